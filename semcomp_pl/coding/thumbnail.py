"""Lossless coding of small pictures, as differences from neighbouring pixels under one table per channel."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from semcomp_pl.coding.ans import Symbols
from semcomp_pl.coding.context import Keep
from semcomp_pl.coding.latent import LatentCoder, count


class ThumbnailCoder(LatentCoder):
    """A `LatentCoder` of 8-bit RGB pixels (3, H, W) that codes their `differences`.

    At a sixteenth of 256x128 pixels, the header of any picture format takes as many bytes as the pixels.
    """

    def count(self, symbols: NDArray[Any]) -> NDArray[np.int64]:
        """Occurrences (3, 256) of the differences of pictures (N, 3, H, W)."""
        return count(np.stack([differences(pixels) for pixels in symbols]), self.levels)

    def encode(self, symbols: Symbols, label: NDArray[Any] | None = None, keep: Keep = None) -> tuple[int, bytes]:
        """See `LatentCoder.encode`; there is no context model, and the label map is ignored."""
        return super().encode(differences(symbols), None, keep)

    def ideal_bits(self, coder: int, symbols: Symbols, label: NDArray[Any] | None = None, keep: Keep = None) -> float:
        """See `LatentCoder.ideal_bits`."""
        return super().ideal_bits(coder, differences(symbols), None, keep)

    def decode(
        self, coder: int, data: bytes, height: int, width: int, label: NDArray[Any] | None = None, keep: Keep = None
    ) -> Symbols:
        """See `LatentCoder.decode`."""
        return restore(super().decode(coder, data, height, width, None, keep))


def differences(pixels: Symbols) -> Symbols:
    """Pixels (3, H, W) minus their predictions, for red and blue also minus green's difference; modulo 256.

    The prediction is the mean, rounded down, of the pixels above and to the left, or the only one of them that exists.
    """
    above, left = np.roll(pixels, 1, 1).astype(np.int64), np.roll(pixels, 1, 2).astype(np.int64)
    above[:, 0], left[:, :, 0] = left[:, 0], above[:, :, 0]
    above[:, 0, 0] = left[:, 0, 0] = 0
    missed = pixels - (above + left) // 2
    missed[[0, 2]] -= missed[1]
    return missed.astype(np.uint8)


def restore(missed: Symbols) -> Symbols:
    """The pixels with given `differences`, computed diagonal by diagonal."""
    missed = missed.copy()
    missed[[0, 2]] += missed[1]
    _, height, width = missed.shape
    pixels = np.zeros_like(missed)
    for diagonal in range(height + width - 1):
        rows = np.arange(max(0, diagonal - width + 1), min(height, diagonal + 1))
        columns = diagonal - rows
        above = pixels[:, rows - (rows > 0), columns - (rows == 0)]
        left = pixels[:, rows - (columns == 0), columns - (columns > 0)]
        mean = (above.astype(np.int64) + left) // 2 if diagonal else np.zeros((), np.int64)
        pixels[:, rows, columns] = (missed[:, rows, columns] + mean) % 256
    return pixels
