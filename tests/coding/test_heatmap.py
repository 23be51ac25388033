"""Heatmaps come back whatever they are, and cost what they must."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semcomp_pl.coding.context import neutral
from semcomp_pl.coding.heatmap import ADAPTIVE, CLASSES, HeatmapCoder
from semcomp_pl.coding.latent import LatentCoder, count, normalise
from semcomp_pl.errors import FileError
from tests.coding.test_context import grid, model


def present_in(rng: np.random.Generator, classes: int, height: int, width: int) -> np.ndarray:
    """One or two classes a cell, in patches."""
    ids = rng.integers(0, classes, (2, -(-height // 3), -(-width // 3))).repeat(3, 1).repeat(3, 2)[:, :height, :width]
    found: np.ndarray = (ids[:, None] == np.arange(classes)[:, None, None]).any(0)
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 30), st.integers(1, 12), st.integers(1, 12), st.floats(0, 1), st.integers(0, 999))
def test_every_heatmap_comes_back_at_a_bit_a_cell_or_less(
    classes: int, height: int, width: int, share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    coder, present = HeatmapCoder(classes), present_in(rng, classes, height, width)
    heatmap = rng.random((height, width)) < share
    kind, data = coder.encode(heatmap, present)
    np.testing.assert_array_equal(coder.decode(kind, data, present), heatmap)
    assert len(data) <= coder.bound_bits(height * width) / 8 + 5


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 30), st.integers(0, 999))
def test_regions_of_classes_cost_a_bit_a_class(classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    coder, present = HeatmapCoder(classes), present_in(rng, classes, 24, 36)
    heatmap = np.asarray(present[rng.random(classes) < 0.4].any(0))
    kind, data = coder.encode(heatmap, present)
    assert len(data) <= -(-classes // 8)
    np.testing.assert_array_equal(coder.decode(kind, data, present), heatmap)


def test_a_box_costs_less_than_a_bit_a_cell() -> None:
    present = present_in(np.random.default_rng(0), 11, 32, 64)
    heatmap = np.zeros((32, 64), bool)
    heatmap[10:20, 7:40] = True
    assert len(HeatmapCoder(11).encode(heatmap, present)[1]) < 32 * 64 / 8 / 6


def test_regions_on_a_coarse_grid_cost_less_than_a_bit_a_cell() -> None:
    """Two blobs on 16x8 cells, beside a label map that does not tell them."""
    present = present_in(np.random.default_rng(0), 11, 8, 16)
    heatmap = np.zeros((8, 16), bool)
    heatmap[4:7, 2:6] = heatmap[5:8, 9:15] = True
    coder = HeatmapCoder(11)
    kind, data = coder.encode(heatmap, present)
    assert kind == ADAPTIVE
    assert len(data) <= 11
    assert 8 * len(data) <= coder.ideal_bits(kind, heatmap) + 32


@pytest.mark.parametrize(
    ("coder", "data"), [(CLASSES, b"\1\1\1"), (CLASSES, b"\1\0"), (CLASSES, b"\1\1"), (7, b""), (0, bytes(99))]
)
def test_what_no_encoder_wrote_is_refused(coder: int, data: bytes) -> None:
    with pytest.raises(FileError):
        HeatmapCoder(11).decode(coder, data, present_in(np.random.default_rng(0), 11, 8, 8))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 4), st.integers(2, 9), st.integers(1, 12), st.integers(1, 12), st.floats(0, 1), st.integers(0, 999)
)
def test_symbols_outside_are_neither_coded_nor_decoded(
    channels: int, levels: int, height: int, width: int, share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    keep = rng.random((height, width)) < share
    symbols = grid(rng, channels, levels, height, width)
    symbols[:, ~keep] = neutral(levels)
    static = normalise(count(symbols[None], levels))
    for coder in (
        LatentCoder(channels, levels),
        LatentCoder(channels, levels, static),
        LatentCoder(channels, levels, static, model(channels, levels)),
    ):
        kind, data = coder.encode(symbols, keep=keep)
        np.testing.assert_array_equal(coder.decode(kind, data, height, width, keep=keep), symbols)
        assert len(data) <= coder.bound_bits(height, width, keep) / 8 + 5
        assert len(data) <= 1.01 * coder.ideal_bits(kind, symbols, keep=keep) / 8 + 4
        if not keep.any():
            assert data == b""


def test_the_context_model_alone_codes_kept_symbols_at_its_own_length() -> None:
    rng = np.random.default_rng(0)
    keep = rng.random((20, 30)) < 0.5
    symbols = grid(rng, 3, 5, 20, 30)
    symbols[:, ~keep] = neutral(5)
    coder = model(3, 5)
    data = coder.encode(symbols, keep=keep)
    np.testing.assert_array_equal(coder.decode(data, 20, 30, keep=keep), symbols)
    assert 8 * len(data) <= coder.bits(symbols, keep=keep) + 40
    assert coder.bits(symbols, keep=keep) < coder.bits(symbols)
