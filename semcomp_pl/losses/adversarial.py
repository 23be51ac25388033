"""Least-squares GAN losses and feature matching, over all scales of the discriminator.

The functions take the output of `semcomp_pl.nets.discriminator.Discriminator`: for each scale the activations of each
layer, the last ones being the scores. Losses are averaged over scales, so that their size does not depend on the number
of scales.

Source: Mao et al., https://arxiv.org/abs/1611.04076 (least squares); Wang et al.,
https://arxiv.org/abs/1711.11585 (feature matching).
"""

from itertools import chain

import torch
from torch import Tensor

from semcomp_pl.nets.discriminator import Features


def least_squares_generator(fake: Features) -> Tensor:
    """The generator's loss E[(D(x̂) - 1)²]."""
    return _mean([((scale[-1].float() - 1) ** 2).mean() for scale in fake])


def least_squares_discriminator(real: Features, fake: Features) -> tuple[Tensor, Tensor]:
    """The terms E[(D(x) - 1)²] and E[D(x̂)²]; D's loss is half their sum, 0.25 if D cannot tell x and x̂ apart."""
    return least_squares_generator(real), _mean([(scale[-1].float() ** 2).mean() for scale in fake])


def feature_matching(fake: Features, real: Features) -> Tensor:
    """Mean absolute difference of activations, averaged over layers (without the scores) and scales."""
    pairs = zip(chain(*(s[:-1] for s in fake)), chain(*(s[:-1] for s in real)), strict=True)
    # the gradient of Tensor.mean would be a tensor of the activation's size
    return _mean([(a.float() - b.detach().float()).abs().sum() / a.numel() for a, b in pairs])


def _mean(values: list[Tensor]) -> Tensor:
    return torch.stack(values).mean()
