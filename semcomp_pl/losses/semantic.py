"""How far two images are apart in what a segmenter sees."""

import torch.nn.functional as F
from torch import Tensor


def semantic_divergence(logits: Tensor, reference: Tensor) -> Tensor:
    """KL(p(reference) || p(logits)) in nats, mean over pixels, of segmenter outputs (B, K, H, W)."""
    p, q = reference.float().log_softmax(1), logits.float().log_softmax(1)
    return F.kl_div(q, p, reduction="none", log_target=True).sum(1).mean()
