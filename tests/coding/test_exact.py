"""Exact arithmetic coding: every message comes back, near its ideal length, and no other bytes are accepted."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcomp_pl.coding import exact
from semcomp_pl.coding.ans import Counts, ideal_bits
from semcomp_pl.coding.fixed import TOTAL
from semcomp_pl.errors import FileError


def tables(count: int, levels: int, seed: int) -> Counts:
    """Random tables, some of them very uneven."""
    rng = np.random.default_rng(seed)
    weights = rng.random((count, levels)) ** rng.integers(1, 30, (count, 1))
    counts: Counts = 1 + np.floor(weights / weights.sum(1, keepdims=True) * (TOTAL - levels)).astype(np.int64)
    counts[:, 0] += TOTAL - counts.sum(1)
    return counts


@given(st.integers(0, 60), st.integers(2, 20), st.integers(0, 999))
def test_every_message_comes_back_within_a_byte_of_its_ideal_length(count: int, levels: int, seed: int) -> None:
    counts = tables(count, levels, seed)
    symbols = np.random.default_rng(seed).integers(0, levels, count)
    data = exact.encode(symbols.tolist(), counts)
    assert len(data) <= math.ceil((ideal_bits(symbols, counts) + 2) / 8)
    assert np.array_equal(exact.decode(data, counts), symbols)


def test_lengths_of_likely_messages_are_ideal_on_average() -> None:
    counts = tables(100, 6, 0)
    rng = np.random.default_rng(1)
    draws = [np.array([rng.choice(6, p=row / TOTAL) for row in counts]) for _ in range(50)]
    excess = [8 * len(exact.encode(draw.tolist(), counts)) - ideal_bits(draw, counts) for draw in draws]
    assert -1 < np.mean(excess) < 8


def test_bytes_are_decoded_to_what_their_number_says() -> None:
    """Of four equally probable symbols, each takes two bits, highest first."""
    counts = np.full((4, 4), TOTAL // 4)
    assert exact.encode([3, 0, 2, 1], counts) == bytes([0b11001001])
    assert exact.decode(bytes([0b00011011]), counts).tolist() == [0, 1, 2, 3]


@given(st.binary(max_size=12), st.integers(0, 99))
def test_bytes_that_no_encoder_writes_are_refused(data: bytes, seed: int) -> None:
    counts = tables(5, 4, seed)
    try:
        symbols = exact.decode(data, counts)
    except FileError:
        return
    assert exact.encode(symbols.tolist(), counts) == data


def test_a_message_that_is_too_long_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(FileError, match="11 bytes found for 5 symbols, more than they can need"):
        exact.decode(bytes(10) + b"\1", tables(5, 4, 0))
