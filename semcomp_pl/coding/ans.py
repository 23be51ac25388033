"""Symbols to bytes and back under tables of integers, by constriction's asymmetric numeral systems (ANS).

ANS is a stack: what was pushed last is popped first, so an encoder goes through its symbols backwards.

Source: Duda, https://arxiv.org/abs/1311.2540; Bamler, https://arxiv.org/abs/2201.01741.
"""

from typing import Any

import numpy as np
from constriction import stream
from numpy.typing import NDArray

from semcomp_pl.coding.fixed import TOTAL
from semcomp_pl.errors import FileError, SemcompError

Symbols = NDArray[np.uint8]
Counts = NDArray[np.int64]
"""Integers (n, L), 1 or more, each row of sum `TOTAL`: how probable each of L symbols is at each of n places."""

_FAMILY = stream.model.Categorical(perfect=False)  # `perfect` is slow and another bitstream


class Encoder:
    """A stack that symbols are pushed onto."""

    def __init__(self) -> None:
        self._coder = stream.stack.AnsCoder()

    def push(self, symbols: NDArray[Any], counts: Counts) -> None:
        """Push n symbols, so that they pop in their order.

        Raises:
            SemcompError: counts that are no such table.
        """
        if len(symbols):
            self._coder.encode_reverse(symbols.astype(np.int32), _FAMILY, _checked(counts))

    def push_uniform(self, symbols: NDArray[Any], levels: int) -> None:
        """Push n symbols, each of `levels` equally probable ones."""
        if len(symbols):
            self._coder.encode_reverse(symbols.astype(np.int32), stream.model.Uniform(levels))

    def data(self) -> bytes:
        """The bytes, without the zeros that pad the last word."""
        return bytes(self._coder.get_compressed().astype("<u4").tobytes()).rstrip(b"\0")


class Decoder:
    """A stack that symbols are popped from. On damaged bytes it pops wrong symbols, and mostly `finish` notices."""

    def __init__(self, data: bytes) -> None:
        if data.endswith(b"\0"):
            raise FileError("the coded symbols end in a zero byte, which no encoder writes; the file is damaged")
        self._coder = stream.stack.AnsCoder(np.frombuffer(data + bytes(-len(data) % 4), "<u4").astype(np.uint32))

    def pop(self, counts: Counts) -> Symbols:
        """The next n symbols.

        Raises:
            SemcompError: counts that are no such table.
        """
        if not len(counts):
            return np.zeros(0, np.uint8)
        popped: Symbols = self._coder.decode(_FAMILY, _checked(counts)).astype(np.uint8)
        return popped

    def pop_uniform(self, count: int, levels: int) -> NDArray[np.int32]:
        """The next symbols, each of `levels` equally probable ones."""
        popped: NDArray[np.int32] = self._coder.decode(stream.model.Uniform(levels), count)
        return popped

    def finish(self) -> None:
        """Check that nothing is left.

        Raises:
            FileError: something is.
        """
        if not self._coder.is_empty():
            raise FileError("the coded symbols do not end where they should; the file is damaged")


def ideal_bits(symbols: NDArray[Any], counts: Counts) -> float:
    """Code length of n symbols under their table: sum of log2(TOTAL / count)."""
    return float(np.log2(TOTAL / counts[np.arange(len(counts)), symbols]).sum())


def _checked(counts: Counts) -> NDArray[np.float64]:
    """The table as constriction wants it: it reads other memory orders wrongly, and may panic on other sums."""
    if counts.dtype != np.int64 or counts.ndim != 2 or not counts.flags.c_contiguous:
        raise SemcompError(
            f"counts {counts.dtype} of shape {counts.shape} found, expected contiguous int64 (n, L); "
            "pass them through numpy.ascontiguousarray"
        )
    table = counts.astype(np.float64)
    if table.size and (table.min() < 1 or (table @ np.ones(table.shape[1]) != TOTAL).any()):
        raise SemcompError(f"counts below 1 or of another sum than {TOTAL} found; normalise the table first")
    return table
