"""Shapes and ranges of the data that all parts of the suite exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypedDict

if TYPE_CHECKING:  # rooms without torch read constants here
    from torch import Tensor

IGNORE = 255
"""Label id of pixels that are neither trained on nor judged."""


class Batch(TypedDict, total=False):
    """One batch of the data module.

    `label` and `instance` are present only if the data set has them.
    """

    image: Tensor
    """Float (B, 3, H, W), RGB, range [0, 1]."""
    label: Tensor
    """Long (B, H, W), train ids 0..K-1, 255 = ignore."""
    instance: Tensor
    """Long (B, H, W), 0 = no instance."""
    keep: Tensor
    """Bool (B, H, W), the region that a selective codec sends; if absent, it sends everything."""
    name: list[str]
    """B names, unique within the split."""


class CodecOutput(NamedTuple):
    """Output of a codec for a batch of images."""

    reconstruction: Tensor
    """Float (B, 3, H, W), RGB, range [0, 1]."""
    latent: Tensor
    """Float (B, C, H/2^d, W/2^d), the encoder's output before quantisation."""
    symbols: Tensor
    """Long (B, C, H/2^d, W/2^d), indices 0..L-1 of the quantisation centres."""
