"""Least-squares GAN and feature matching, over every scale of the discriminator.

Each function takes what `semcomp_pl.nets.discriminator.Discriminator` returns: per scale the activations of each
layer, the last being the scores. Means are over scales, so that a loss keeps its size whatever their number.

Source: Mao et al., https://arxiv.org/abs/1611.04076 (least squares); Wang et al.,
https://arxiv.org/abs/1711.11585 (feature matching).
"""

from itertools import chain

import torch
from torch import Tensor

from semcomp_pl.nets.discriminator import Features


def least_squares_generator(fake: Features) -> Tensor:
    """E[(D(x̂) - 1)²]."""
    return _mean([((scale[-1].float() - 1) ** 2).mean() for scale in fake])


def least_squares_discriminator(real: Features, fake: Features) -> tuple[Tensor, Tensor]:
    """The two halves E[(D(x) - 1)²] and E[D(x̂)²]; their half sum is D's loss, 0.25 where D is lost."""
    return least_squares_generator(real), _mean([(scale[-1].float() ** 2).mean() for scale in fake])


def feature_matching(fake: Features, real: Features) -> Tensor:
    """Mean absolute difference of activations, over layers (without the scores) and scales."""
    pairs = zip(chain(*(s[:-1] for s in fake)), chain(*(s[:-1] for s in real)), strict=True)
    return _mean([(a.float() - b.detach().float()).abs().mean() for a, b in pairs])


def _mean(values: list[Tensor]) -> Tensor:
    return torch.stack(values).mean()
