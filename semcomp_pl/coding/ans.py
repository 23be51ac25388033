"""Coding of symbols under integer tables, by constriction's asymmetric numeral systems (ANS).

ANS is a stack: what was pushed last is popped first, so an encoder pushes its symbols in reverse order.

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
"""Integers (n, L) of at least 1 whose rows sum to `TOTAL`: the probabilities of L symbols at each of n places."""

_FAMILY = stream.model.Categorical(perfect=False)  # `perfect=True` is slow and makes another bitstream


class Encoder:
    """A stack onto which symbols are pushed."""

    def __init__(self) -> None:
        self._coder = stream.stack.AnsCoder()

    def push(self, symbols: NDArray[Any], counts: Counts) -> None:
        """Push n symbols, so that they are popped in order.

        Raises:
            SemcompError: the counts are not a valid table.
        """
        if len(symbols):
            self._coder.encode_reverse(symbols.astype(np.int32), _FAMILY, _checked(counts))

    def push_uniform(self, symbols: NDArray[Any], levels: int) -> None:
        """Push n symbols, each one of `levels` equally probable ones."""
        if len(symbols):
            self._coder.encode_reverse(symbols.astype(np.int32), stream.model.Uniform(levels))

    def data(self) -> bytes:
        """The bytes, without the zeros that pad the last word."""
        return bytes(self._coder.get_compressed().astype("<u4").tobytes()).rstrip(b"\0")


class Decoder:
    """A stack from which symbols are popped. From damaged bytes it pops wrong symbols; `finish` detects most damage."""

    def __init__(self, data: bytes) -> None:
        if data.endswith(b"\0"):
            raise FileError("the coded symbols end in a zero byte, which no encoder writes; the file is damaged")
        self._coder = stream.stack.AnsCoder(np.frombuffer(data + bytes(-len(data) % 4), "<u4").astype(np.uint32))

    def pop(self, counts: Counts) -> Symbols:
        """The next n symbols.

        Raises:
            SemcompError: the counts are not a valid table.
        """
        if not len(counts):
            return np.zeros(0, np.uint8)
        popped: Symbols = self._coder.decode(_FAMILY, _checked(counts)).astype(np.uint8)
        return popped

    def pop_uniform(self, count: int, levels: int) -> NDArray[np.int32]:
        """The next `count` symbols, each one of `levels` equally probable ones."""
        popped: NDArray[np.int32] = self._coder.decode(stream.model.Uniform(levels), count)
        return popped

    def finish(self) -> None:
        """Check that nothing is left.

        Raises:
            FileError: something is left.
        """
        if not self._coder.is_empty():
            raise FileError("the coded symbols do not end where they should; the file is damaged")


def ideal_bits(symbols: NDArray[Any], counts: Counts) -> float:
    """Code length of n symbols under their table: sum of log2(TOTAL / count)."""
    return float(np.log2(TOTAL / counts[np.arange(len(counts)), symbols]).sum())


def _checked(counts: Counts) -> NDArray[np.float64]:
    """The table as constriction requires it: it misreads other memory layouts, and may panic on other sums."""
    if counts.dtype != np.int64 or counts.ndim != 2 or not counts.flags.c_contiguous:
        raise SemcompError(
            f"counts {counts.dtype} of shape {counts.shape} found, expected contiguous int64 (n, L); "
            "pass them through numpy.ascontiguousarray"
        )
    table = counts.astype(np.float64)
    if table.size and (table.min() < 1 or (table @ np.ones(table.shape[1]) != TOTAL).any()):
        raise SemcompError(f"counts below 1 or of another sum than {TOTAL} found; normalise the table first")
    return table
