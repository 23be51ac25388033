"""Symbols come back, at the length that their tables promise; anything but a table is refused."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from semcomp_pl.coding.ans import Decoder, Encoder, ideal_bits
from semcomp_pl.coding.fixed import TOTAL
from semcomp_pl.errors import FileError, SemcompError

KINDS = ("even", "skewed", "certain")


def tables(rng: np.random.Generator, n: int, levels: int, kind: str) -> NDArray[np.int64]:
    """Counts (n, levels): all alike, Dirichlet, or all but one at the least."""
    weights = {"even": 100.0, "skewed": 0.3, "certain": 1e-3}[kind]
    shares = rng.dirichlet(np.full(levels, weights), n) if n else np.zeros((0, levels))
    counts = 1 + np.floor(np.nan_to_num(shares) * (TOTAL - levels)).astype(np.int64)
    counts[np.arange(n), counts.argmax(1)] += TOTAL - counts.sum(1)
    return counts


def draw(rng: np.random.Generator, counts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """A symbol of each row, as probable as it says."""
    drawn: NDArray[np.uint8] = (
        (rng.integers(0, TOTAL, len(counts))[:, None] >= counts.cumsum(1)).sum(1).astype(np.uint8)
    )
    return drawn


@given(st.integers(0, 3000), st.integers(2, 256), st.sampled_from(KINDS), st.integers(0, 2**32 - 1))
def test_symbols_come_back_at_their_ideal_length(n: int, levels: int, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = tables(rng, n, levels, kind)
    symbols = draw(rng, counts)
    encoder = Encoder()
    encoder.push(symbols, counts)
    data = encoder.data()
    decoder = Decoder(data)
    np.testing.assert_array_equal(decoder.pop(counts), symbols)
    decoder.finish()
    assert len(data) <= 1.01 * ideal_bits(symbols, counts) / 8 + 4


@given(st.integers(2, 256), st.sampled_from(KINDS), st.integers(0, 2**32 - 1))
def test_the_improbable_comes_back_too(levels: int, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = tables(rng, 500, levels, kind)
    symbols = rng.integers(0, levels, 500).astype(np.uint8)
    encoder = Encoder()
    encoder.push(symbols, counts)
    np.testing.assert_array_equal(Decoder(encoder.data()).pop(counts), symbols)


def test_twenty_thousand_of_one_kind_cost_next_to_nothing() -> None:
    counts = np.tile([1, TOTAL - 2, 1], (20_000, 1))
    encoder = Encoder()
    encoder.push(np.ones(20_000, np.uint8), counts)
    assert len(encoder.data()) <= 4
    decoder = Decoder(encoder.data())
    assert (decoder.pop(counts) == 1).all()
    decoder.finish()


@given(st.integers(0, 2000), st.integers(2, 257), st.integers(0, 2**32 - 1))
def test_uniform_symbols_come_back_at_the_bound(n: int, levels: int, seed: int) -> None:
    symbols = np.random.default_rng(seed).integers(0, levels, n)
    encoder = Encoder()
    encoder.push_uniform(symbols, levels)
    data = encoder.data()
    assert len(data) <= n * np.log2(levels) / 8 + 5
    decoder = Decoder(data)
    np.testing.assert_array_equal(decoder.pop_uniform(n, levels), symbols)
    decoder.finish()


def test_stacks_nest() -> None:
    rng = np.random.default_rng(0)
    parts = [(draw(rng, counts), counts) for counts in (tables(rng, 50, 5, "skewed"), tables(rng, 70, 3, "even"))]
    encoder = Encoder()
    for symbols, counts in reversed(parts):
        encoder.push(symbols, counts)
    decoder = Decoder(encoder.data())
    for symbols, counts in parts:
        np.testing.assert_array_equal(decoder.pop(counts), symbols)
    decoder.finish()


def test_what_is_left_over_is_noticed() -> None:
    rng = np.random.default_rng(0)
    counts = tables(rng, 200, 5, "even")
    encoder = Encoder()
    encoder.push(draw(rng, counts), counts)
    decoder = Decoder(encoder.data())
    decoder.pop(counts[:100])
    with pytest.raises(FileError, match="do not end where they should"):
        decoder.finish()
    with pytest.raises(FileError, match="zero byte"):
        Decoder(encoder.data() + b"\0")


GOOD = np.array([[TOTAL - 3, 2, 1], [1, 2, TOTAL - 3]])


@pytest.mark.parametrize(
    "counts",
    [
        np.asfortranarray(GOOD),
        np.repeat(GOOD, 2, 1)[:, ::2],
        GOOD.astype(np.int32),
        (GOOD / 2).astype(np.float16),
        GOOD / TOTAL,
        np.full((2, 3), np.nan),
        GOOD * [[1], [0]],
        GOOD * [[1], [-1]],
        GOOD + np.array([[0], [1]]),
        np.array([[TOTAL, 0, 0], [1, 2, TOTAL - 3]]),
        GOOD[0],
    ],
    ids=["fortran", "strided", "int32", "float16", "shares", "nan", "zeros", "negative", "sum", "a zero", "a row"],
)
def test_what_is_no_table_is_refused(counts: Any) -> None:
    with pytest.raises(SemcompError, match="counts"):
        Encoder().push(np.array([0, 1]), counts)
    with pytest.raises(SemcompError, match="counts"):
        Decoder(b"").pop(counts)
