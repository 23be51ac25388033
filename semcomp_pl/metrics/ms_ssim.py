"""Multi-scale structural similarity, with fewer scales for images that are too small for five."""

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics import Metric

from semcomp_pl.codecs.pixels import as_decoded, check_pair
from semcomp_pl.metrics.facts import MetricFacts

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales, finest first (Wang, Simoncelli and Bovik, 2003)."""

_BELL = [math.exp(-((shift / 1.5) ** 2) / 2) for shift in range(-5, 6)]
_WINDOW = [weight / sum(_BELL) for weight in _BELL]
_LUMINANCE, _CONTRAST = 0.01**2, 0.03**2


def scales_for(size: tuple[int, int]) -> int | None:
    """Number of scales that an image of `size` (height, width) allows.

    Every halved image must hold the 11x11 window, so one scale needs sides of 11 pixels, two 22, then 44, 88, and the
    standard five scales 176. None if a side is below 11, where the metric is undefined.
    """
    side = min(size)
    return next((scales for scales in (5, 4, 3, 2, 1) if side >> (scales - 1) >= len(_WINDOW)), None)


def ms_ssim_key(size: tuple[int, int]) -> str | None:
    """Column of an image of that size: `ms_ssim` for the standard five scales, else `ms_ssim_N`, or None."""
    scales = scales_for(size)
    return None if scales is None else _key(scales)


def ms_ssim(reconstruction: Tensor, image: Tensor) -> Tensor:
    """MS-SSIM of each image, on 8-bit values, over as many scales as its size allows.

    Contrast and structure are averaged over each scale, luminance over the coarsest, and negative averages
    count as 0. With fewer than five scales the first of the standard exponents are divided by their sum.
    Windows lie inside the image; R, G and B are measured separately, then averaged. Halving an odd side drops
    its last line.

    Source: https://ece.uwaterloo.ca/~z70wang/publications/msssim.pdf

    Args:
        reconstruction: Float (B, 3, H, W), RGB, range [0, 1].
        image: Originals, of the same shape and range.

    Returns:
        Float64 (B,), range [0, 1]; NaN if a side is below 11 pixels.

    Raises:
        SemcompError: the shapes differ.
    """
    check_pair(reconstruction, image)
    scales = scales_for((image.shape[-2], image.shape[-1]))
    if scales is None:
        return image.new_full((len(image),), torch.nan, dtype=torch.float64)
    # float64: variances are small differences of large numbers
    pair = torch.stack([as_decoded(reconstruction), as_decoded(image)]).double().flatten(1, 2)
    terms = []
    for _ in range(scales):
        similarity, contrast = _similarity(pair)
        terms.append(contrast)
        pair = functional.avg_pool2d(pair, 2)
    terms[-1] = similarity
    weights = pair.new_tensor(WEIGHTS[:scales])
    if scales < len(WEIGHTS):  # the standard five are used as published: their sum is 1.0001
        weights = weights / weights.sum()
    powers = torch.stack(terms).relu() ** weights[:, None]
    return powers.prod(dim=0).view(-1, 3).mean(dim=1)


class MeanMSSSIM(Metric):
    """Mean over images of `ms_ssim`, separately for each number of scales: averages never mix variants.

    Images with a side below 11 pixels are left out.
    """

    facts: ClassVar = {
        "ms_ssim": MetricFacts("MS-SSIM", "distortion", higher_is_better=True),
        "ms_ssim_*": MetricFacts("MS-SSIM ({} scales)", "distortion", higher_is_better=True),
    }
    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros(len(WEIGHTS), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros(len(WEIGHTS), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, reconstruction: Tensor, image: Tensor) -> None:
        """Add a batch; arguments as for `ms_ssim`."""
        values = ms_ssim(reconstruction, image).detach()
        scales = scales_for((image.shape[-2], image.shape[-1]))
        if scales is not None:
            here = functional.one_hot(torch.tensor(scales - 1), len(WEIGHTS)).to(values.device)
            self.total = self.total + here * values.sum()
            self.count = self.count + here * values.numel()

    def compute(self) -> dict[str, Tensor]:
        """Float64 scalars by `ms_ssim_key`, for the variants that occurred."""
        present = [index for index, count in enumerate(self.count.tolist()) if count]
        return {_key(index + 1): self.total[index] / self.count[index] for index in present}


def _key(scales: int) -> str:
    return "ms_ssim" if scales == len(WEIGHTS) else f"ms_ssim_{scales}"


def _similarity(pair: Tensor) -> tuple[Tensor, Tensor]:
    """Mean similarity (N,) and its contrast-structure part (N,) of two stacks of planes (2, N, H, W)."""
    x, y = pair
    mean_x, mean_y, xx, yy, xy = _blur(torch.stack([x, y, x * x, y * y, x * y]))
    variances = xx - mean_x.square() + yy - mean_y.square()
    contrast = (2 * (xy - mean_x * mean_y) + _CONTRAST) / (variances + _CONTRAST)
    luminance = (2 * mean_x * mean_y + _LUMINANCE) / (mean_x.square() + mean_y.square() + _LUMINANCE)
    return (luminance * contrast).mean(dim=(1, 2)), contrast.mean(dim=(1, 2))


def _blur(planes: Tensor) -> Tensor:
    """Gaussian means over all windows inside planes (..., H, W)."""
    # sums of shifted planes: in float64 on a CPU, conv2d takes 9 to 20 times as long
    for dim in (-2, -1):
        inside = planes.shape[dim] - len(_WINDOW) + 1
        blurred = torch.zeros_like(planes.narrow(dim, 0, inside))
        for shift, weight in enumerate(_WINDOW):
            blurred.add_(planes.narrow(dim, shift, inside), alpha=weight)
        planes = blurred
    return planes
