"""Every cell is coded once, and sees only what was coded before."""

import numpy as np
import pytest

from semcomp_pl.coding.lattice import BESIDE, KNOWN, RADIUS, cells, pad, steps, windows

SIZES = [(1, 1), (1, 2), (2, 1), (1, 9), (5, 1), (2, 2), (3, 7), (8, 16), (13, 6), (33, 20)]


@pytest.mark.parametrize("size", SIZES)
def test_every_cell_is_coded_exactly_once(size: tuple[int, int]) -> None:
    coded = np.zeros(size, int)
    coded[0, 0] = 1
    for level, kind in steps(*size):
        for part in cells(coded[:: 1 << level, :: 1 << level], kind):
            part += 1
    assert (coded == 1).all()


@pytest.mark.parametrize("size", SIZES)
def test_contexts_are_cells_of_earlier_steps_or_of_the_same(size: tuple[int, int]) -> None:
    when = np.zeros(size, int)
    for number, (level, kind) in enumerate(steps(*size), 1):
        for part in cells(when[:: 1 << level, :: 1 << level], kind):
            part[...] = number
    for number, (level, kind) in enumerate(steps(*size), 1):
        grid = when[:: 1 << level, :: 1 << level][None]
        known = windows(pad(grid - 1000) + 1000 * (pad(np.ones_like(grid)) == 0), kind, KNOWN[kind])
        assert (known < number - 1000).sum() + (known == 1000).sum() == known.size
        beside = windows(pad(np.where(grid == number, 1, -1)), kind, BESIDE[kind])
        assert set(np.unique(beside)) <= {0, 1}


def test_windows_are_the_neighbours_at_their_offsets() -> None:
    planes = np.random.default_rng(0).integers(0, 100, (2, 7, 6))
    padded = pad(planes)
    for kind, starts in enumerate((((1, 1),), ((0, 1), (1, 0)))):
        places = [(y, x) for row, column in starts for y in range(row, 7, 2) for x in range(column, 6, 2)]
        offsets = KNOWN[kind]
        expected = [
            [padded[p, y + RADIUS + dy, x + RADIUS + dx] for y, x in places] for p in range(2) for dy, dx in offsets
        ]
        np.testing.assert_array_equal(windows(padded, kind, offsets), expected)


def test_a_large_grid_takes_few_steps() -> None:
    assert len(steps(128, 256)) == 16
