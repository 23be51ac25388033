"""The grid of a latent's cells over an image's pixels, and label maps on it."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semcomp_pl.types import IGNORE


@dataclass(frozen=True)
class Grid:
    """The cells of a codec: squares of 2^d pixels, over images mirrored at their lower and right border.

    Args:
        downsamplings: Number of halvings d.
        least: Smallest number of rows and of columns.
        multiple: Divisor of the numbers of rows and of columns.
    """

    downsamplings: int
    least: int = 1
    multiple: int = 1

    @property
    def step(self) -> int:
        """Side of a cell in pixels."""
        return 1 << self.downsamplings

    def cells(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns for an image of given size in pixels: its sides divided by 2^d and rounded up."""
        rows, columns = (max(self.least, math.ceil(side / self.step)) for side in (height, width))
        return self.multiple * math.ceil(rows / self.multiple), self.multiple * math.ceil(columns / self.multiple)

    def pixels(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the image after mirroring to whole cells."""
        rows, columns = self.cells(height, width)
        return rows << self.downsamplings, columns << self.downsamplings

    def shares(self, label: NDArray[Any], classes: int) -> NDArray[np.int64]:
        """Number of pixels per cell of classes 0..K-1, then of the ignored one: (K + 1, rows, columns) from (H, W)."""
        rows, columns = self.cells(*label.shape)
        known = np.where(label == IGNORE, classes, label.astype(np.int64))  # with 256 classes, more than a byte holds
        for axis, size in enumerate(self.pixels(*label.shape)):
            known = known.take(mirror(known.shape[axis], size), axis)
        split = known.reshape(rows, self.step, columns, self.step)
        return np.stack([(split == k).sum((1, 3)) for k in range(classes + 1)])

    def majority(self, label: NDArray[Any], classes: int) -> NDArray[np.uint8]:
        """The most frequent id of each cell, possibly 255, in a tie the smallest: (rows, columns) from (H, W)."""
        winner = self.shares(label, classes).argmax(0)
        return np.where(winner == classes, IGNORE, winner).astype(np.uint8)


def mirror(length: int, size: int) -> NDArray[np.int64]:
    """Indices 0..length-1 at the places 0..size-1 of a line of `length` pixels mirrored at its ends repeatedly."""
    period = max(1, 2 * length - 2)
    places = np.arange(size) % period
    return np.minimum(places, period - places) if length > 1 else places * 0
