"""Three semantic distances between images, measured by what a segmenter sees in them."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from semcomp_pl.types import IGNORE


def semantic_divergence(logits: Tensor, reference: Tensor) -> Tensor:
    """KL(p(reference) || p(logits)) of segmenter outputs (B, K, H, W), in nats, averaged over pixels."""
    p, q = reference.float().log_softmax(1), logits.float().log_softmax(1)
    return F.kl_div(q, p, reduction="none", log_target=True).sum(1).mean()


def semantic_cross_entropy(logits: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
    """Cross-entropy -log p(label) in nats, of logits (B, K, H, W) and labels (B, H, W).

    Averaged over the pixels not labelled 255, weighted by the `weight` (K,) of their class; 0 without such pixels.
    """
    weight = (torch.ones_like(logits[0, :, 0, 0]) if weight is None else weight).float()
    heavy = F.pad(weight, (0, 1))[label.where(label != IGNORE, len(weight))].sum()
    total = F.cross_entropy(logits.float(), label, weight, ignore_index=IGNORE, reduction="sum")
    return total / heavy.clamp(min=1e-6)


def semantic_feature_distance(features: Sequence[Tensor], reference: Sequence[Tensor]) -> Tensor:
    """Mean squared difference of features (B, C, H, W), averaged over an encoder's stages."""
    pairs = zip(features, reference, strict=True)
    return torch.stack([F.mse_loss(a.float(), b.float()) for a, b in pairs]).mean()
