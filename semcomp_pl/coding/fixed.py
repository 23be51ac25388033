"""Exponential and logistic functions as integer tables, computed by integer arithmetic: the same on every machine."""

from math import isqrt

import numpy as np
from numpy.typing import NDArray

TOTAL = 1 << 16
"""Sum of each row of counts, and the scale of all probabilities."""
OCTAVE = 128
"""Steps per bit: logits and log-odds to base 2 are integers in units of 1/OCTAVE bit."""

_ONE = 1 << 20


def _powers() -> NDArray[np.int64]:
    """`_ONE` * 2^(-k / OCTAVE), rounded down, for k = 0, 1, ... until it is 0."""
    scale = 1 << 256
    step = 2 * scale
    for _ in range(OCTAVE.bit_length() - 1):
        step = isqrt(step * scale)
    values, value = [], _ONE * scale
    while value >= scale:
        values.append(value // scale)
        value = value * scale // step
    return np.array([*values, 0])


POWERS = _powers()
_POWERS = POWERS.astype(np.float64)
REACH = 16 * OCTAVE - 1
"""Largest log-odds: 2^-16 is the smallest probability."""
_HALF = np.arange(REACH + 1)
_TAIL = TOTAL * POWERS[_HALF] // (_ONE + POWERS[_HALF])
SQUASH = np.concatenate([_TAIL[:0:-1], TOTAL - _TAIL]).clip(1, TOTAL - 1)
"""Probabilities, times `TOTAL`, for the log-odds -REACH..REACH."""
STRETCH = np.searchsorted(SQUASH, np.arange(TOTAL // 16) * 16 + 8).clip(0, 2 * REACH) - REACH
"""Log-odds of probabilities p / TOTAL, indexed by p // 16."""


def softmax_counts(logits: NDArray[np.float64]) -> NDArray[np.int64]:
    """Counts in proportion to 2^(logit / OCTAVE), at least 1 each, which sum to `TOTAL`.

    Args:
        logits: Integers (L, n), held in any type: one column per symbol to code.

    Returns:
        C-contiguous (n, L): one row per symbol.
    """
    levels, n = logits.shape
    below = np.minimum(logits.max(0) - logits, len(POWERS) - 1).astype(np.intp)
    powers = _POWERS[below]
    # the quotients are below 2^16, of integers below 2^53: float64 rounds none of them up to the next integer
    counts = 1 + np.floor(powers * (TOTAL - levels) / powers.sum(0))
    counts[logits.argmax(0), np.arange(n)] += TOTAL - counts.sum(0)
    return np.ascontiguousarray(counts.T.astype(np.int64))
