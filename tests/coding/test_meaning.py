"""Vectors and colour maps without loss, and the size at which pictures are drawn."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcomp_pl.coding.ans import Symbols
from semcomp_pl.coding.colours import LEVELS, ColourCoder, drawn_size, usual
from semcomp_pl.coding.container import Kind, Section
from semcomp_pl.coding.content import Content
from semcomp_pl.coding.fixed import TOTAL
from semcomp_pl.coding.latent import STATIC, UNIFORM, normalise
from semcomp_pl.coding.meaning import ColourSection, VectorSection
from semcomp_pl.coding.vector import VectorCoder
from semcomp_pl.errors import FileError


def colour_map(rows: int, columns: int, seed: int = 0) -> Symbols:
    """A soft map (3, rows, columns) of valid levels."""
    rng = np.random.default_rng(seed)
    soft = np.linspace(2, 9, rows)[:, None] + rng.integers(-2, 3, (3, rows, columns))
    levels = (soft + np.array([0, 6, 5])[:, None, None]).round().clip(0, [[[11]], [[22]], [[22]]])
    colours: Symbols = levels.astype(np.uint8)
    return colours


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99), st.booleans())
def test_every_map_comes_back(rows: int, columns: int, seed: int, fitted: bool) -> None:
    colours = colour_map(rows, columns, seed)
    coder = ColourCoder(normalise(ColourCoder().count(colours)) if fitted else None)
    data = coder.encode(colours)
    assert np.array_equal(coder.decode(data, rows, columns), colours)
    assert 8 * len(data) <= coder.ideal_bits(colours) + 10


def test_a_fitted_table_shortens_maps_like_those_it_was_fitted_to() -> None:
    maps = [colour_map(4, 8, seed) for seed in range(40)]
    fitted = ColourCoder(normalise(np.sum([ColourCoder().count(colours) for colours in maps[:20]], axis=0)))
    lengths = [[len(coder.encode(colours)) for colours in maps[20:]] for coder in (ColourCoder(), fitted)]
    assert np.mean(lengths[1]) < np.mean(lengths[0]) < 3 * 32 * math.log2(LEVELS) / 8


def test_differences_are_from_the_mean_of_the_cells_above_and_to_the_left() -> None:
    colours = np.array([[[5, 7], [8, 6]]] * 3, np.uint8)
    counts = ColourCoder().count(colours)
    missed = [0, 2, 3, (6 - (7 + 8) // 2) % LEVELS]  # the first one from 5
    assert counts[0].nonzero()[0].tolist() == sorted(missed)
    assert counts.sum(1).tolist() == [4, 4, 4]


def test_the_usual_table_is_one_of_counts() -> None:
    assert usual().sum(1).tolist() == [TOTAL] * 3
    assert usual().min() >= 1
    assert usual()[0, 0] == pytest.approx(2 * usual()[0, 1], rel=1e-3)


def test_a_brightness_that_no_writer_has_is_refused() -> None:
    colours = colour_map(2, 2)
    colours[0, 1, 1] = 12
    data = ColourCoder().encode(colours)
    with pytest.raises(FileError, match="brightness above 11"):
        ColourCoder().decode(data, 2, 2)


@given(st.integers(1, 64), st.integers(2, 16), st.integers(0, 99), st.booleans())
def test_every_vector_comes_back(channels: int, levels: int, seed: int, fitted: bool) -> None:
    many = np.random.default_rng(seed).binomial(levels - 1, 0.5, (20, channels)).astype(np.uint8)
    coder = VectorCoder(channels, levels)
    coder = VectorCoder(channels, levels, normalise(coder.count(many))) if fitted else coder
    number, data = coder.encode(many[0])
    assert number in ({UNIFORM, STATIC} if fitted else {UNIFORM})
    assert np.array_equal(coder.decode(number, data), many[0])
    assert len(data) <= math.ceil((coder.bound_bits() + 2) / 8)


def test_sections_refuse_what_the_model_has_not() -> None:
    vector, colours = VectorSection(VectorCoder(4, 2)), ColourSection(ColourCoder(), 1 << 15)
    content = Content(128, 256, {})
    with pytest.raises(FileError, match="vector coder 1 found, which this model has not"):
        vector.decode(Section(Kind.VECTOR, STATIC, b"\1"), content)
    for coder in (0, 2, 7):
        with pytest.raises(FileError, match=rf"cells of 2\^{coder} pixels found"):
            colours.decode(Section(Kind.COLOURS, coder, b"\1"), content)


def test_maps_of_all_sizes_are_written_and_read() -> None:
    coder = ColourSection(ColourCoder(), 1 << 15)
    for size, shape in ((3, (16, 32)), (4, (8, 16)), (5, (4, 8)), (6, (2, 4))):
        content = Content(128, 256, {Kind.COLOURS: colour_map(*shape)})
        section = coder.encode(content)
        assert section.coder == size
        assert np.array_equal(coder.decode(section, content), content.parts[Kind.COLOURS])


@given(st.integers(1, 65535), st.integers(1, 65535), st.integers(12, 20))
def test_pictures_are_drawn_near_their_shape_and_never_large(height: int, width: int, bits: int) -> None:
    rows, columns = drawn_size(height, width, 1 << bits)
    assert rows % 64 == columns % 64 == 0
    assert min(rows, columns) >= 64
    assert max(rows, columns) <= 1024
    assert (rows >= columns) if height >= width else (rows <= columns)


def test_sizes_of_the_usual_shapes() -> None:
    assert drawn_size(128, 256, 1 << 15) == (128, 256)
    assert drawn_size(512, 768, 1 << 15) == (128, 192)
    assert drawn_size(768, 512, 1 << 15) == (192, 128)
    assert drawn_size(1024, 2048, 1 << 17) == (256, 512)
    assert drawn_size(512, 512, 1 << 18) == (512, 512)
