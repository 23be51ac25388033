"""The order in which a grid's cells are coded: coarse lattices first, each cell between known neighbours.

    level s         corners: the centre of four      edges: between two of the level and two corners
    a . a . a       a . a . a                        a b a b a
    . . . . .       . c . c .                        b c b c b
    a . a . a       a . a . a                        a b a b a

The lattice of every other row and column (a) is itself a grid, which was coded before in the same way, starting from a
single cell. Corners (c), then edges (b), double its resolution. The cells of a step are coded together, so a grid of
any size takes two steps per level.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

RADIUS = 2
"""Reach of a cell's context, in cells of the level's own lattice."""


class Step(NamedTuple):
    """Cells that are coded together."""

    level: int
    """Level: 0 is the grid itself, and each further level has every other row and column of the one before."""
    kind: int
    """Kind: 0 for corners, 1 for edges."""


STARTS = (((1, 1),), ((0, 1), (1, 0)))
"""First row and column of the cells of each kind, which are two apart."""
KNOWN = tuple(
    tuple(
        (y, x)
        for y in range(-RADIUS, RADIUS + 1)
        for x in range(-RADIUS, RADIUS + 1)
        if ((y % 2, x % 2) == (1, 1) if kind == 0 else (y + x) % 2 == 1)
    )
    for kind in (0, 1)
)
"""Offsets (rows, columns) from a cell to the cells of earlier steps that it sees, by kind."""
BESIDE = tuple(
    tuple(
        (y, x)
        for y in range(-RADIUS, RADIUS + 1)
        for x in range(-RADIUS, RADIUS + 1)
        if ((y % 2, x % 2) == (0, 0) if kind == 0 else (y + x) % 2 == 0)
    )
    for kind in (0, 1)
)
"""Offsets to the cells of its own step, of which only the channels before its own are known, by kind."""


def steps(height: int, width: int) -> list[Step]:
    """All steps after the single cell at the top left, in decoding order."""
    levels = (max(height, width) - 1).bit_length()
    return [Step(level, kind) for level in reversed(range(levels)) for kind in (0, 1)]


def cells(grid: NDArray[Any], kind: int) -> list[NDArray[Any]]:
    """Views (..., rows, columns) of the cells of a kind, in a grid (..., H, W) of the step's level."""
    return [grid[..., y::2, x::2] for y, x in STARTS[kind]]


def pad(planes: NDArray[Any]) -> NDArray[Any]:
    """Planes (P, H, W) padded with `RADIUS` zeros on every side, as `windows` needs them."""
    return np.pad(planes, ((0, 0), (RADIUS, RADIUS), (RADIUS, RADIUS)))


def windows(
    padded: NDArray[Any], kind: int, offsets: tuple[tuple[int, int], ...], out: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Values that the cells of a kind see at the offsets, in planes (P, H + 2 RADIUS, W + 2 RADIUS).

    Returns (P * offsets, cells): `out`, of that shape and any type, if it is given.
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
