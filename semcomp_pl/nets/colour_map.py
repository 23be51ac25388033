"""Maps of mean colours: quantised for files, and laid out for the denoiser."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from semcomp_pl.coding.colours import GREY, LEVELS, STEPS

_USUAL = (0.4, 0.25), (0.0, 0.05), (0.0, 0.05)
"""Mean and deviation of Y, Cb and Cr, about."""


def colour_symbols(colours: Tensor) -> Tensor:
    """Y, Cb, Cr (B, 3, rows, columns) to long 0..23, see `LEVELS`."""
    planes = [255 / step * plane + grey for plane, step, grey in zip(colours.unbind(1), STEPS, GREY, strict=True)]
    return torch.stack(planes, 1).round().clamp(0, LEVELS - 1).long()


def colour_values(symbols: Tensor) -> Tensor:
    """Y in 0..1, Cb and Cr around 0: the inverse of `colour_symbols`."""
    planes = zip(symbols.unbind(1), STEPS, GREY, strict=True)
    return torch.stack([(plane - grey) * (step / 255) for plane, step, grey in planes], 1)


def colour_planes(colours: Tensor, size: Sequence[int]) -> Tensor:
    """A colour map at a latent's size, about normal, and a plane of ones, (B, 4, h, w)."""
    planes = [(plane - mean) / spread for plane, (mean, spread) in zip(colours.unbind(1), _USUAL, strict=True)]
    large = F.interpolate(torch.stack(planes, 1), [*size], mode="bilinear", align_corners=False)
    return torch.cat([large, torch.ones_like(large[:, :1])], 1)


def within_steps(differences: Tensor) -> Tensor:
    """Differences of Y, Cb, Cr (B, 3, rows, columns), without what the rounding of `colour_symbols` may have made."""
    halves = [step / 510 for step in STEPS]
    planes = zip(differences.unbind(1), halves, strict=True)
    return torch.stack([F.softshrink(plane, half) for plane, half in planes], 1)
