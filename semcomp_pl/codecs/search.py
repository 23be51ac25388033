"""Search for the quality and downscale with which a codec does best at a target rate."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from inspect import signature
from typing import NamedTuple

from torch import Tensor

from semcomp_pl.codecs.base import Codec
from semcomp_pl.codecs.pixels import bpp, psnr

DOWNSCALES = (1, 1.25, 1.5, 2, 2.5, 3, 4, 6, 8)
"""Downscale factors that a search tries; chosen by hand."""


class Found(NamedTuple):
    """The codec that a search found for a target rate, and its result for the image."""

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


def psnr_of(reconstruction: Tensor, image: Tensor) -> float:
    """PSNR of a reconstruction (3, H, W) in decibels."""
    return psnr(reconstruction[None], image[None].cpu()).item()


class Search:
    """Finds the best quality and downscale whose file is no larger than a target.

    For each downscale the quality is bisected, on the assumption that the rate grows with it. If the rate is not quite
    monotone, a slightly better quality may be missed, but no file above the target is ever returned.

    The files of the latest image and their scores are cached until `at` is called with another image, so that further
    targets cost little; the results are those of a new search.

    Args:
        make: Callable that makes a codec, such as `WebP`; called with `quality=` and, if it has such a parameter,
            `downscale=`. Without that parameter, only a downscale of 1 is searched.
        downscales: Downscale factors to try.
        qualities: Qualities to try, in ascending order.
        score: Function of a reconstruction and its image, each (3, H, W), whose highest value is best; PSNR by default.
    """

    def __init__(
        self,
        make: Callable[..., Codec],
        downscales: Sequence[float] = DOWNSCALES,
        qualities: Sequence[int] = range(101),
        score: Callable[[Tensor, Tensor], float] = psnr_of,
    ) -> None:
        self._make = make
        self._scales = "downscale" in signature(make).parameters
        self._downscales = downscales if self._scales else [1]
        self._qualities, self._score = qualities, score
        self._image: Tensor | None = None
        self._files: dict[tuple[int, float], bytes] = {}
        self._scores: dict[tuple[int, float], float] = {}

    def at(self, image: Tensor, target_bpp: float) -> Found | None:
        """The best result at or below a rate.

        Args:
            image: Float (3, H, W), RGB, range [0, 1]; pass the same, unchanged object for all targets of an image.
            target_bpp: Largest bits per pixel.

        Returns:
            The result, or None if no file is small enough.
        """
        if image is not self._image:
            self._image, self._files, self._scores = image, {}, {}
        found = {downscale: self._fitting(image, target_bpp, downscale) for downscale in self._downscales}
        fitting = [(quality, downscale) for downscale, quality in found.items() if quality is not None]
        if not fitting:
            return None
        best = max(fitting, key=lambda point: self._quality_of(image, point))
        codec, data = self._codec(best), self._files[best]
        reconstruction = codec.decompress(data)
        return Found(codec, data, reconstruction, bpp(data, image), psnr_of(reconstruction, image), *best)

    def _codec(self, point: tuple[int, float]) -> Codec:
        quality, downscale = point
        return self._make(quality=quality, downscale=downscale) if self._scales else self._make(quality=quality)

    def _fitting(self, image: Tensor, target_bpp: float, downscale: float) -> int | None:
        """The highest quality found at or below a rate; None if there is none."""

        def rate(quality: int) -> float:
            point = quality, downscale
            if point not in self._files:
                self._files[point] = self._codec(point).compress(image)
            return bpp(self._files[point], image)

        # the quality before the insertion point was probed, so it fits even if the rate is not monotone
        count = bisect_right(self._qualities, target_bpp, key=rate)
        return self._qualities[count - 1] if count else None

    def _quality_of(self, image: Tensor, point: tuple[int, float]) -> float:
        if point not in self._scores:
            reconstruction = self._codec(point).decompress(self._files[point])
            self._scores[point] = self._score(reconstruction, image)
        return self._scores[point]


def best_at(
    image: Tensor,
    target_bpp: float,
    make: Callable[..., Codec],
    *,
    downscales: Sequence[float] = DOWNSCALES,
    qualities: Sequence[int] = range(101),
) -> Found | None:
    """The result of highest PSNR at or below a rate, as `Search` finds it.

    Args:
        image: Float (3, H, W), RGB, range [0, 1].
        target_bpp: Largest bits per pixel.
        make: Callable that makes a codec, such as `WebP`; see `Search`.
        downscales: Downscale factors to try.
        qualities: Qualities to try, in ascending order.

    Returns:
        The result, or None if no file is small enough.
    """
    return Search(make, downscales, qualities).at(image, target_bpp)
