"""How far two images are apart in what a segmenter sees: three distances, for the same place in a loss."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from semcomp_pl.types import IGNORE


def semantic_divergence(logits: Tensor, reference: Tensor) -> Tensor:
    """KL(p(reference) || p(logits)) in nats, mean over pixels, of segmenter outputs (B, K, H, W)."""
    p, q = reference.float().log_softmax(1), logits.float().log_softmax(1)
    return F.kl_div(q, p, reduction="none", log_target=True).sum(1).mean()


def semantic_cross_entropy(logits: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
    """-log p(label) in nats, of logits (B, K, H, W) and label (B, H, W).

    Mean over the pixels not labelled 255, each as heavy as `weight` (K,) says of its class; 0 where there is none.
    """
    weight = torch.ones_like(logits[0, :, 0, 0]) if weight is None else weight.to(logits.device)
    weight = weight.float()
    heavy = F.pad(weight, (0, 1))[label.where(label != IGNORE, len(weight))].sum()
    total = F.cross_entropy(logits.float(), label, weight, ignore_index=IGNORE, reduction="sum")
    return total / heavy.clamp(min=1e-6)


def semantic_feature_distance(features: Sequence[Tensor], reference: Sequence[Tensor]) -> Tensor:
    """Mean squared difference of features (B, C, H, W), mean over an encoder's stages."""
    pairs = zip(features, reference, strict=True)
    return torch.stack([F.mse_loss(a.float(), b.float()) for a, b in pairs]).mean()
