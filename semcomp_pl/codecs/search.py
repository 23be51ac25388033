"""The best that a reference codec does at a target rate."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor

from semcomp_pl.codecs.base import Codec, bpp
from semcomp_pl.metrics.psnr import psnr


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


def best_at(
    image: Tensor,
    target_bpp: float,
    make: Callable[[int, float], Codec],
    *,
    downscales: Sequence[float] = (1, 1.25, 1.5, 2, 2.5, 3, 4, 6, 8),
    qualities: Sequence[int] = range(101),
) -> Found | None:
    """The highest PSNR over downscales whose file is no larger than the target.

    For each downscale the quality is bisected, taking the rate to grow with it; where it does not quite, a
    slightly better quality may be missed, but no file above the target is ever returned.

    Args:
        image: float (3, H, W), RGB, range [0, 1].
        target_bpp: bits per pixel, inclusive.
        make: the codec of a quality and a downscale, such as `WebP`.
        downscales: the factors to try.
        qualities: the qualities to try, rising.

    Returns:
        None where no file fits.
    """
    found: Found | None = None
    for downscale in downscales:

        def rate(quality: int, downscale: float = downscale) -> float:
            return bpp(make(quality, downscale).compress(image), image)

        # what stands before the insertion point was probed, so it fits even where the rate is not monotone
        fitting = bisect_right(qualities, target_bpp, key=rate)
        if fitting:
            one = _measure(make(qualities[fitting - 1], downscale), image)
            found = one if found is None else max(found, one, key=lambda each: each.psnr)
    return found


def _measure(codec: Codec, image: Tensor) -> Found:
    data = codec.compress(image)
    reconstruction = codec.decompress(data)
    decibels = psnr(reconstruction[None], image[None]).item()
    return Found(codec, data, reconstruction, bpp(data, image), decibels)
