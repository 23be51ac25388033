"""Integer tables against the functions that they stand for."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from semcomp_pl.coding.fixed import OCTAVE, POWERS, REACH, SQUASH, STRETCH, TOTAL, softmax_counts


def test_powers_are_exact_to_the_last_unit() -> None:
    expected = np.floor(2.0 ** (20 - np.arange(len(POWERS) - 1) / OCTAVE))
    assert np.abs(POWERS[:-1] - expected).max() <= 1
    assert POWERS[-1] == 0


def test_squash_is_the_logistic_function_and_stretch_its_inverse() -> None:
    odds = np.arange(-REACH, REACH + 1)
    assert np.abs(SQUASH - TOTAL / (1 + 2.0 ** (-odds / OCTAVE))).max() < 1.5
    assert SQUASH.min() >= 1
    assert SQUASH.max() < TOTAL
    assert (np.diff(SQUASH) >= 0).all()
    back = SQUASH[STRETCH + REACH]
    assert np.abs(back - (np.arange(TOTAL // 16) * 16 + 8)).max() <= 0.003 * TOTAL


@given(st.integers(2, 257), st.integers(1, 9), st.integers(0, 2**32 - 1), st.sampled_from([0, 10, 1000, 10**6]))
def test_counts_are_tables_in_the_proportions_of_a_softmax(levels: int, n: int, seed: int, spread: int) -> None:
    logits = np.random.default_rng(seed).integers(-spread, spread + 1, (levels, n)).astype(np.float64)
    counts = softmax_counts(logits)
    assert counts.shape == (n, levels)
    assert counts.flags.c_contiguous
    assert (counts.sum(1) == TOTAL).all()
    assert counts.min() >= 1
    powers = 2.0 ** ((logits - logits.max(0)).T / OCTAVE)
    expected = powers / powers.sum(1, keepdims=True)
    assert np.abs(counts / TOTAL - expected).max() < (2 * levels + 4) / TOTAL


def test_a_shift_of_all_logits_changes_nothing() -> None:
    logits = np.array([[3, 500], [90, -40], [-7, 12]], np.float64)
    np.testing.assert_array_equal(softmax_counts(logits + 12345), softmax_counts(logits))
