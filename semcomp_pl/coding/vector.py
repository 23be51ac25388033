"""Coding of a quantised vector: every dimension under a table of its own."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semcomp_pl.coding import exact
from semcomp_pl.coding.ans import Counts, Symbols, ideal_bits
from semcomp_pl.coding.latent import STATIC, UNIFORM, count, normalise
from semcomp_pl.errors import FileError


class VectorCoder:
    """Codes vectors of C symbols in 0..L-1.

    Args:
        channels: Number of dimensions C.
        levels: Number of levels L, at most 256.
        static: Counts (C, L) of all dimensions; None if they were not fitted.
    """

    def __init__(self, channels: int, levels: int, static: Counts | None = None) -> None:
        self.channels, self.levels = channels, levels
        self.tables = {UNIFORM: normalise(np.zeros((channels, levels), np.int64))}
        self.tables |= {} if static is None else {STATIC: static}

    def count(self, symbols: NDArray[Any]) -> NDArray[np.int64]:
        """Occurrences (C, L) in vectors (N, C)."""
        return count(symbols[:, :, None, None], self.levels)

    def bound_bits(self) -> float:
        """C log2 L."""
        return self.channels * math.log2(self.levels)

    def encode(self, symbols: Symbols) -> tuple[int, bytes]:
        """Number and bytes of the shortest coder."""
        found = {coder: exact.encode(symbols.tolist(), table) for coder, table in self.tables.items()}
        return min(found.items(), key=lambda item: len(item[1]))

    def ideal_bits(self, coder: int, symbols: Symbols) -> float:
        """Code length of symbols (C,) under a coder's probabilities."""
        return ideal_bits(symbols, self.tables[coder])

    def decode(self, coder: int, data: bytes) -> Symbols:
        """The symbols (C,) of bytes.

        Raises:
            FileError: the model lacks the coder, or no vector has these bytes.
        """
        if coder not in self.tables:
            raise FileError(f"vector coder {coder} found, which this model has not; fit its entropy model or upgrade")
        return exact.decode(data, self.tables[coder])
