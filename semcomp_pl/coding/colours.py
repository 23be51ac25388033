"""Lossless coding of maps of a picture's mean colours, and the size at which pictures are drawn."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semcomp_pl.coding import exact
from semcomp_pl.coding.ans import Counts, Symbols, ideal_bits
from semcomp_pl.coding.fixed import OCTAVE, softmax_counts
from semcomp_pl.errors import FileError

LEVELS = 24
"""Number of levels of each plane: Y takes 0..11 in steps of 24/255, Cb and Cr 0..22 in steps of 12/255 around 11."""
GREY = (0, 11, 11)
STEPS = (24, 12, 12)
_BRIGHTEST = 11
_MIDDLE = np.array([5, 11, 11])[:, None, None]
MULTIPLE = 64
"""Divisor of the sides, in pixels, at which pictures are drawn, so that cells of all sizes fit."""
_LONGEST = 16
CELLS = range(3, 7)
"""Sizes of cells: 2^3 to 2^6 pixels."""


def drawn_size(height: int, width: int, pixels: int) -> tuple[int, int]:
    """Height and width at which an image is drawn: its shape, about `pixels` in all, in multiples of 64 up to 1024."""
    scale = math.sqrt(pixels / (height * width)) / MULTIPLE
    rows, columns = (min(_LONGEST, max(1, round(side * scale))) for side in (height, width))
    return MULTIPLE * rows, MULTIPLE * columns


class ColourCoder:
    """Codes maps (3, rows, columns) of 0..23 as differences from their neighbours, under one table per plane.

    Args:
        static: Counts (3, 24) of the differences; `usual` if these were not fitted.
    """

    def __init__(self, static: Counts | None = None) -> None:
        self.static = usual() if static is None else static

    def count(self, colours: NDArray[Any]) -> NDArray[np.int64]:
        """Occurrences (3, 24) of the differences in a map."""
        found = _differences(colours.astype(np.int64))
        return np.stack([np.bincount(plane.ravel(), minlength=LEVELS) for plane in found])

    def bound_bits(self, colours: NDArray[Any]) -> float:
        """log2 24 bits per number."""
        return colours.size * math.log2(LEVELS)

    def encode(self, colours: Symbols) -> bytes:
        """The bytes of a map."""
        missed = _differences(colours.astype(np.int64))
        return exact.encode(missed.ravel().tolist(), self._rows(missed[0].size))

    def ideal_bits(self, colours: Symbols) -> float:
        """Code length of a map under the tables."""
        missed = _differences(colours.astype(np.int64))
        return ideal_bits(missed.ravel(), self._rows(missed[0].size))

    def decode(self, data: bytes, rows: int, columns: int) -> Symbols:
        """The map (3, rows, columns) of bytes.

        Raises:
            FileError: no map of this size has these bytes.
        """
        missed = exact.decode(data, self._rows(rows * columns)).reshape(3, rows, columns).astype(np.int64)
        colours = np.zeros_like(missed)
        for row in range(rows):
            for column in range(columns):
                place = np.s_[:, row : row + 1, column : column + 1]
                colours[place] = (missed[place] + _predicted(colours, row, column)) % LEVELS
        if colours[0].max() > _BRIGHTEST:
            raise FileError("a colour map with a brightness above 11 found; the file is damaged")
        return colours.astype(np.uint8)

    def _rows(self, cells: int) -> Counts:
        return np.repeat(self.static, cells, 0)


def usual() -> Counts:
    """Counts (3, 24) for any photographs: a step from 0 halves those of Y and quarters those of Cb and Cr."""
    away = np.minimum(np.arange(LEVELS), LEVELS - np.arange(LEVELS))
    bits = np.array([1, 2, 2])
    return softmax_counts(-OCTAVE * (away[:, None] * bits).astype(np.float64))


def _predicted(colours: NDArray[np.int64], row: int, column: int) -> NDArray[np.int64]:
    """(3, 1, 1): the mean, rounded down, of the cells above and to the left, or the only one of them that exists."""
    above, left = colours[:, row - 1, column], colours[:, row, column - 1]
    if row and column:
        return ((above + left) // 2)[:, None, None]
    return (above if row else left)[:, None, None] if row or column else _MIDDLE


def _differences(colours: NDArray[np.int64]) -> NDArray[np.int64]:
    missed = np.zeros_like(colours)
    for row, column in np.ndindex(*colours.shape[1:]):
        place = np.s_[:, row : row + 1, column : column + 1]
        missed[place] = (colours[place] - _predicted(colours, row, column)) % LEVELS
    return missed
