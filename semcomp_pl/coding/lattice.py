"""The order in which a grid's cells are coded: coarse lattices first, each cell between known neighbours.

    level s         corners: the centre of four      edges: between two of the level and two corners
    a . a . a       a . a . a                        a b a b a
    . . . . .       . c . c .                        b c b c b
    a . a . a       a . a . a                        a b a b a

The lattice of every other row and column (a) is a grid of its own and was coded before, in the same way, down to a
single cell. Corners (c), then edges (b) make it twice as fine. The cells of a step are coded at once: a grid of any
size takes two steps a level.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

RADIUS = 2
"""Cells, of the level's own lattice, that a cell's context reaches."""


class Step(NamedTuple):
    """Cells that are coded at once."""

    level: int
    """0 is the grid itself, each further one every other row and column of the one before."""
    kind: int
    """0 for corners, 1 for edges."""


STARTS = (((1, 1),), ((0, 1), (1, 0)))
"""First row and column of a kind's cells, which are two apart."""
KNOWN = tuple(
    tuple(
        (y, x)
        for y in range(-RADIUS, RADIUS + 1)
        for x in range(-RADIUS, RADIUS + 1)
        if ((y % 2, x % 2) == (1, 1) if kind == 0 else (y + x) % 2 == 1)
    )
    for kind in (0, 1)
)
"""By kind: where a cell sees cells of earlier steps, (rows, columns) away."""
BESIDE = tuple(
    tuple(
        (y, x)
        for y in range(-RADIUS, RADIUS + 1)
        for x in range(-RADIUS, RADIUS + 1)
        if ((y % 2, x % 2) == (0, 0) if kind == 0 else (y + x) % 2 == 0)
    )
    for kind in (0, 1)
)
"""By kind: where it sees cells of its own step, of whose channels only the earlier ones are known."""


def steps(height: int, width: int) -> list[Step]:
    """All steps after the single cell at the top left, in the order of decoding."""
    levels = (max(height, width) - 1).bit_length()
    return [Step(level, kind) for level in reversed(range(levels)) for kind in (0, 1)]


def cells(grid: NDArray[Any], kind: int) -> list[NDArray[Any]]:
    """Views (..., rows, columns) of the cells of a kind, in a grid (..., H, W) of the step's level."""
    return [grid[..., y::2, x::2] for y, x in STARTS[kind]]


def pad(planes: NDArray[Any]) -> NDArray[Any]:
    """Planes (P, H, W) with `RADIUS` zeros on every side, as `windows` wants them."""
    return np.pad(planes, ((0, 0), (RADIUS, RADIUS), (RADIUS, RADIUS)))


def windows(
    padded: NDArray[Any], kind: int, offsets: tuple[tuple[int, int], ...], out: NDArray[Any] | None = None
) -> NDArray[Any]:
    """What the cells of a kind see of planes (P, H + 2 RADIUS, W + 2 RADIUS): (P * offsets, cells).

    `out`, of that shape and any type, is filled and returned where it is given.
    """
    planes, height, width = len(padded), padded.shape[-2] - 2 * RADIUS, padded.shape[-1] - 2 * RADIUS
    sizes = [(len(range(row, height, 2)), len(range(column, width, 2))) for row, column in STARTS[kind]]
    if out is None:
        out = np.empty((planes * len(offsets), sum(rows * columns for rows, columns in sizes)), padded.dtype)
    cell = 0
    for (row, column), (rows, columns) in zip(STARTS[kind], sizes, strict=True):
        part = out[:, cell : cell + rows * columns].reshape(planes, len(offsets), rows, columns)  # a view
        for i, (y, x) in enumerate(offsets):
            top, left = row + RADIUS + y, column + RADIUS + x
            part[:, i] = padded[:, top : top + 2 * rows - 1 : 2, left : left + 2 * columns - 1 : 2]
        cell += rows * columns
    return out
