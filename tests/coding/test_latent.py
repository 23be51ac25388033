"""The shortest coder is taken, and no latent costs more than its bound and five bytes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semcomp_pl.coding.fixed import TOTAL
from semcomp_pl.coding.latent import CONTEXT, STATIC, UNIFORM, LatentCoder, count, normalise
from semcomp_pl.errors import FileError, SemcompError
from tests.coding.test_context import grid, model


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 4), st.integers(2, 256), st.integers(1, 12), st.integers(1, 12), st.booleans(), st.integers(0, 999)
)
def test_every_latent_comes_back_within_its_bound(
    channels: int, levels: int, height: int, width: int, context: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    occurrences = rng.integers(0, 50, (channels, levels))
    coder = LatentCoder(channels, levels, normalise(occurrences), model(channels, levels) if context else None)
    symbols = grid(rng, channels, levels, height, width)
    kind, data = coder.encode(symbols)
    np.testing.assert_array_equal(coder.decode(kind, data, height, width), symbols)
    assert len(data) <= coder.bound_bits(height, width) / 8 + 5
    assert len(data) <= 1.01 * coder.ideal_bits(kind, symbols) / 8 + 4


def test_static_tables_code_what_they_were_fitted_on_at_its_entropy() -> None:
    rng = np.random.default_rng(0)
    symbols = rng.choice(5, (40, 1, 16, 16), p=[0.7, 0.1, 0.1, 0.05, 0.05]).astype(np.uint8)
    static = normalise(count(symbols, 5))
    assert (static.sum(1) == TOTAL).all()
    shares = np.bincount(symbols.ravel(), minlength=5) / symbols.size
    entropy = -(shares * np.log2(shares)).sum() * 256
    coder = LatentCoder(1, 5, static)
    assert np.mean([coder.ideal_bits(STATIC, one) for one in symbols]) == pytest.approx(entropy, rel=1e-3)
    kinds = {coder.encode(one)[0] for one in symbols}
    assert kinds == {STATIC}


def test_symbols_that_the_tables_do_not_expect_fall_back_to_uniform() -> None:
    table = np.array([[TOTAL - 4, 1, 1, 1, 1]])
    coder = LatentCoder(1, 5, table)
    symbols = np.full((1, 8, 8), 4, np.uint8)
    kind, data = coder.encode(symbols)
    assert kind == UNIFORM
    assert len(data) <= 64 * np.log2(5) / 8 + 5


def test_counts_are_those_of_each_channel() -> None:
    symbols = np.array([[[[0, 1]], [[2, 2]]], [[[1, 1]], [[0, 2]]]], np.uint8)
    np.testing.assert_array_equal(count(symbols, 3), [[1, 3, 0], [1, 0, 3]])


@pytest.mark.parametrize(
    ("coder", "data", "message"),
    [
        (CONTEXT, b"\1", "which this model has not"),
        (7, b"\1", "which this model has not"),
        (UNIFORM, b"\1" * 25, "more than it can need"),
        (STATIC, b"\1" * 10_000_000, "more than it can need"),
    ],
)
def test_what_no_latent_of_this_model_has_is_refused(coder: int, data: bytes, message: str) -> None:
    with pytest.raises(FileError, match=message):
        LatentCoder(1, 5, normalise(np.ones((1, 5)))).decode(coder, data, 8, 8)


@pytest.mark.parametrize("levels", [1, 257])
def test_a_symbol_is_a_byte(levels: int) -> None:
    with pytest.raises(SemcompError, match="expected 2 to 256"):
        LatentCoder(1, levels)
