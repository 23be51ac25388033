"""Arithmetic coding of short messages with Python's own integers: at most two bits above the ideal code length.

The interval of a message is kept exactly, so the work grows with the square of its length: it is for messages of some
hundred symbols, of which a stack of 32-bit words would spend several bytes on its own state.
"""

import bisect
import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from semcomp_pl.coding.ans import Counts
from semcomp_pl.coding.fixed import TOTAL
from semcomp_pl.errors import FileError

_BITS = TOTAL.bit_length() - 1


def encode(symbols: Sequence[int], counts: Counts) -> bytes:
    """The shortest bytes that name a number within the interval of a message; zeros follow them.

    Args:
        symbols: n symbols 0..L-1.
        counts: The probabilities (n, L) of each, integers of at least 1 whose rows sum to `TOTAL`.
    """
    low, width = 0, 1
    for symbol, row in zip(symbols, counts.tolist(), strict=True):
        low = low * TOTAL + width * sum(row[:symbol])
        width *= row[symbol]
    whole = _BITS * len(symbols)
    for length in range(2 * len(symbols) + 1):
        shift = whole - 8 * length
        number = -(-low >> shift)
        if number << shift < low + width:
            return number.to_bytes(length, "big")
    raise AssertionError("an interval is never narrower than its last unit")


def decode(data: bytes, counts: Counts) -> NDArray[np.uint8]:
    """The message (n,) of bytes, under the probabilities (n, L) it was coded with.

    Raises:
        FileError: no message has these bytes.
    """
    count = len(counts)
    if 8 * len(data) > _BITS * count:
        raise FileError(f"{len(data)} bytes found for {count} symbols, more than they can need; the file is damaged")
    place, width, unit = int.from_bytes(data, "big") << (_BITS * count - 8 * len(data)), 1, _BITS * count
    symbols = []
    for row in counts.tolist():
        unit -= _BITS
        starts = [0, *itertools.accumulate(row)]
        symbol = bisect.bisect_right(starts, (place >> unit) // width) - 1
        place -= (width * starts[symbol]) << unit
        width *= row[symbol]
        symbols.append(symbol)
    if encode(symbols, counts) != data:
        raise FileError("bytes found that no encoder writes for these symbols; the file is damaged")
    return np.array(symbols, np.uint8)
