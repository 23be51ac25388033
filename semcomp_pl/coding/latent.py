"""Symbols of a latent to bytes: under the context model, or where that fails uniform or under one table a channel."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semcomp_pl.coding.ans import Counts, Decoder, Encoder, Symbols
from semcomp_pl.coding.context import ContextModel
from semcomp_pl.coding.fixed import TOTAL
from semcomp_pl.errors import FileError, SemcompError

UNIFORM, STATIC, CONTEXT = 0, 1, 2
_BLOCK = 1 << 15  # symbols whose tables are made at once


def normalise(counts: NDArray[Any]) -> Counts:
    """Occurrences (C, L) to integers of sum `TOTAL` a row, none below 1, in the same proportions."""
    levels = counts.shape[1]
    known = counts.astype(np.int64) + 1
    table: Counts = 1 + known * (TOTAL - levels) // known.sum(1, keepdims=True)
    table[np.arange(len(table)), known.argmax(1)] += TOTAL - table.sum(1)
    return table


def count(symbols: NDArray[Any], levels: int) -> NDArray[np.int64]:
    """Occurrences (C, L) of the symbols of each channel in (N, C, H, W)."""
    return np.stack([np.bincount(channel.ravel(), minlength=levels) for channel in symbols.swapaxes(0, 1)])


class LatentCoder:
    """Codes symbols (C, H, W) of 0..L-1, beside a label map (H, W) where the context model knows one.

    Args:
        channels: C.
        levels: L, at most 256.
        static: Counts (C, L) of every channel; none where nothing was fitted.
        context: The context model, where there is one.
    """

    def __init__(
        self, channels: int, levels: int, static: Counts | None = None, context: ContextModel | None = None
    ) -> None:
        if not 2 <= levels <= 256:
            raise SemcompError(f"{levels} levels found, expected 2 to 256; a symbol is a byte")
        self.channels, self.levels, self.static, self.context = channels, levels, static, context

    def count(self, symbols: NDArray[Any]) -> NDArray[np.int64]:
        """Occurrences (C, L) in (N, C, H, W), from which `static` is normalised."""
        return count(symbols, self.levels)

    def bound_bits(self, height: int, width: int) -> float:
        """Bits without a model: C * H * W * log2 L."""
        return self.channels * height * width * math.log2(self.levels)

    def encode(self, symbols: Symbols, label: NDArray[Any] | None = None) -> tuple[int, bytes]:
        """The context model's bytes if they are below the bound, else those of the shortest coder, and which it is.

        Never more than the bound and 5 bytes.
        """
        found = {}
        if self.context is not None:
            found[CONTEXT] = self.context.encode(symbols, label)
            if 8 * len(found[CONTEXT]) < self.bound_bits(*symbols.shape[1:]):
                return CONTEXT, found[CONTEXT]  # as nearly always: the others need not be tried
        found[UNIFORM] = self._uniform(symbols)
        if self.static is not None:
            found[STATIC] = self._static(symbols)
        return min(found.items(), key=lambda item: len(item[1]))

    def ideal_bits(self, coder: int, symbols: Symbols, label: NDArray[Any] | None = None) -> float:
        """Code length of symbols under a coder's probabilities."""
        if coder == CONTEXT and self.context is not None:
            return self.context.bits(symbols, label)
        if coder == STATIC and self.static is not None:
            codes = np.log2(TOTAL / self.static)
            return float(sum((codes[c] * n).sum() for c, n in enumerate(count(symbols[None], self.levels))))
        return self.bound_bits(*symbols.shape[1:])

    def decode(self, coder: int, data: bytes, height: int, width: int, label: NDArray[Any] | None = None) -> Symbols:
        """The symbols (C, H, W) of bytes.

        Raises:
            FileError: a coder that the model has not, or bytes that no latent of this size has.
        """
        if len(data) > self.bound_bits(height, width) / 8 + 5:
            raise FileError(f"{len(data)} bytes found for a latent of {width}x{height} cells, more than it can need")
        if coder == CONTEXT and self.context is not None:
            return self.context.decode(data, height, width, label)
        decoder = Decoder(data)
        if coder == UNIFORM:
            symbols = decoder.pop_uniform(self.channels * height * width, self.levels).astype(np.uint8)
        elif coder == STATIC and self.static is not None:
            blocks = _blocks(self.channels, height * width)
            symbols = np.concatenate([decoder.pop(_rows(self.static[c], block)) for c, block in blocks])
        else:
            raise FileError(f"latent coder {coder} found, which this model has not; fit its entropy model or upgrade")
        decoder.finish()
        return symbols.reshape(self.channels, height, width)

    def _uniform(self, symbols: Symbols) -> bytes:
        encoder = Encoder()
        encoder.push_uniform(symbols.ravel(), self.levels)
        return encoder.data()

    def _static(self, symbols: Symbols) -> bytes:
        assert self.static is not None
        encoder = Encoder()
        for channel, block in reversed(_blocks(self.channels, symbols[0].size)):
            encoder.push(symbols[channel].ravel()[block], _rows(self.static[channel], block))
        return encoder.data()


def _blocks(channels: int, cells: int) -> list[tuple[int, slice]]:
    """Channels and their cells, in the order of decoding."""
    starts = range(0, cells, _BLOCK)
    return [(channel, slice(start, min(cells, start + _BLOCK))) for channel in range(channels) for start in starts]


def _rows(counts: Counts, block: slice) -> Counts:
    return np.tile(counts, (block.stop - block.start, 1))
