"""The best that a codec of many qualities does at a target rate."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from inspect import signature
from typing import NamedTuple

from torch import Tensor

from semcomp_pl.codecs.base import Codec
from semcomp_pl.codecs.pixels import bpp, psnr

DOWNSCALES = (1, 1.25, 1.5, 2, 2.5, 3, 4, 6, 8)
"""Factors that a search tries."""


class Found(NamedTuple):
    """A codec that fits the target rate, and what it makes of the image."""

    codec: Codec
    data: bytes
    reconstruction: Tensor
    """Float (3, H, W), RGB, range [0, 1]."""
    bpp: float
    """Bits of `data` per pixel of the image."""
    psnr: float
    """Decibels."""
    quality: int
    downscale: float


class Search:
    """Looks for the highest PSNR over downscales whose file is no larger than a target.

    For each downscale the quality is bisected, taking the rate to grow with it; where it does not quite, a slightly
    better quality may be missed, but no file above the target is ever returned.

    The files of one image and their PSNR are remembered until `at` is given another one, so that further targets cost
    little; what is found is what a new search would find.

    Args:
        make: Makes a codec, as `WebP` does; called with `quality=` and, where it has a parameter of that name, with
            `downscale=`. One without is searched at a downscale of 1 alone.
        downscales: The factors to try.
        qualities: The qualities to try, rising.
    """

    def __init__(
        self,
        make: Callable[..., Codec],
        downscales: Sequence[float] = DOWNSCALES,
        qualities: Sequence[int] = range(101),
    ) -> None:
        self._make = make
        self._scales = "downscale" in signature(make).parameters
        self._downscales = downscales if self._scales else [1]
        self._qualities = qualities
        self._image: Tensor | None = None
        self._files: dict[tuple[int, float], bytes] = {}
        self._psnr: dict[tuple[int, float], float] = {}

    def at(self, image: Tensor, target_bpp: float) -> Found | None:
        """What is best at a rate.

        Args:
            image: float (3, H, W), RGB, range [0, 1]; the same object for all targets of an image, and not changed.
            target_bpp: bits per pixel, inclusive.

        Returns:
            None where no file fits.
        """
        if image is not self._image:
            self._image, self._files, self._psnr = image, {}, {}
        found = {downscale: self._fitting(image, target_bpp, downscale) for downscale in self._downscales}
        fitting = [(quality, downscale) for downscale, quality in found.items() if quality is not None]
        if not fitting:
            return None
        best = max(fitting, key=lambda point: self._quality_of(image, point))
        codec, data = self._codec(best), self._files[best]
        return Found(codec, data, codec.decompress(data), bpp(data, image), self._psnr[best], *best)

    def _codec(self, point: tuple[int, float]) -> Codec:
        quality, downscale = point
        return self._make(quality=quality, downscale=downscale) if self._scales else self._make(quality=quality)

    def _fitting(self, image: Tensor, target_bpp: float, downscale: float) -> int | None:
        """The highest quality found below a rate."""

        def rate(quality: int) -> float:
            point = quality, downscale
            if point not in self._files:
                self._files[point] = self._codec(point).compress(image)
            return bpp(self._files[point], image)

        # what stands before the insertion point was probed, so it fits even where the rate is not monotone
        count = bisect_right(self._qualities, target_bpp, key=rate)
        return self._qualities[count - 1] if count else None

    def _quality_of(self, image: Tensor, point: tuple[int, float]) -> float:
        if point not in self._psnr:
            reconstruction = self._codec(point).decompress(self._files[point])
            self._psnr[point] = psnr(reconstruction[None], image[None].cpu()).item()
        return self._psnr[point]


def best_at(
    image: Tensor,
    target_bpp: float,
    make: Callable[..., Codec],
    *,
    downscales: Sequence[float] = DOWNSCALES,
    qualities: Sequence[int] = range(101),
) -> Found | None:
    """The highest PSNR over downscales whose file is no larger than the target, as `Search` finds it.

    Args:
        image: float (3, H, W), RGB, range [0, 1].
        target_bpp: bits per pixel, inclusive.
        make: as of `Search`, such as `WebP`.
        downscales: the factors to try.
        qualities: the qualities to try, rising.

    Returns:
        None where no file fits.
    """
    return Search(make, downscales, qualities).at(image, target_bpp)
