"""Pixels and cells, against the same sums on tensors."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from semcomp_pl.coding.grid import Grid, mirror
from semcomp_pl.nets.labels import majority, one_hot
from semcomp_pl.nets.tiling import reflect_pad

GRIDS = st.builds(Grid, st.integers(0, 5), st.integers(1, 3), st.sampled_from([1, 2, 4]))
SIDES = st.integers(1, 70)


def drawn(height: int, width: int, classes: int, seed: int) -> NDArray[Any]:
    return np.random.default_rng(seed).choice([*range(classes), 255], (height, width)).astype(np.uint8)


@given(GRIDS, SIDES, SIDES)
def test_cells_are_as_few_as_the_rules_allow(grid: Grid, height: int, width: int) -> None:
    for cells, pixels, side in zip(grid.cells(height, width), grid.pixels(height, width), (height, width), strict=True):
        allowed = range(grid.multiple, 200, grid.multiple)
        assert cells == next(n for n in allowed if n >= grid.least and n * grid.step >= side)
        assert pixels == cells * 2**grid.downsamplings


@pytest.mark.parametrize(
    ("grid", "cells"),
    [(Grid(4), (3, 1)), (Grid(4, least=2), (3, 2)), (Grid(4, multiple=2), (4, 2)), (Grid(4, 2, 4), (4, 4))],
    ids=str,
)
def test_cells_of_33_by_16_pixels(grid: Grid, cells: tuple[int, int]) -> None:
    assert grid.cells(33, 16) == cells


@given(st.integers(1, 40), st.integers(0, 200))
def test_a_line_is_mirrored_as_tensors_are(length: int, further: int) -> None:
    size = length + further
    line = torch.arange(length)
    assert mirror(length, size).tolist() == reflect_pad(line[None], 1, size)[0].tolist()
    if length > 1:
        assert mirror(length, size).tolist() == np.pad(line.numpy(), (0, further), "reflect").tolist()


@settings(max_examples=60, deadline=None)
@given(GRIDS, SIDES, SIDES, st.sampled_from([1, 2, 11, 20, 255, 256]), st.integers(0, 999))
def test_majority_is_that_of_the_networks(grid: Grid, height: int, width: int, classes: int, seed: int) -> None:
    label = drawn(height, width, classes, seed)
    padded = reflect_pad(torch.from_numpy(label.astype(np.int64))[None], *grid.pixels(height, width))
    expected = majority(padded, classes, grid.step)[0].numpy()
    found = grid.majority(label, classes)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)


@settings(max_examples=40, deadline=None)
@given(GRIDS, SIDES, SIDES, st.integers(1, 9), st.integers(0, 999))
def test_shares_count_every_pixel_of_a_cell(grid: Grid, height: int, width: int, classes: int, seed: int) -> None:
    label = drawn(height, width, classes, seed)
    shares = grid.shares(label, classes)
    assert shares.shape == (classes + 1, *grid.cells(height, width))
    assert (shares.sum(0) == math.prod([grid.step] * 2)).all()
    padded = reflect_pad(torch.from_numpy(label.astype(np.int64))[None], *grid.pixels(height, width))
    means = torch.nn.functional.avg_pool2d(one_hot(padded, classes), grid.step)[0]
    np.testing.assert_array_equal(shares[:classes], (means * grid.step**2).round().numpy())
