"""Coding of a latent's symbols: with a context model, with one table per channel, or uniform."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semcomp_pl.coding.ans import Counts, Decoder, Encoder, Symbols
from semcomp_pl.coding.context import ContextModel, Keep, neutral
from semcomp_pl.coding.fixed import TOTAL
from semcomp_pl.errors import FileError, SemcompError

UNIFORM, STATIC, CONTEXT = 0, 1, 2
_BLOCK = 1 << 15  # number of symbols whose tables are made at once


def normalise(counts: NDArray[Any]) -> Counts:
    """Occurrences (C, L) scaled to integers of at least 1 whose rows sum to `TOTAL`."""
    levels = counts.shape[1]
    known = counts.astype(np.int64) + 1
    table: Counts = 1 + known * (TOTAL - levels) // known.sum(1, keepdims=True)
    table[np.arange(len(table)), known.argmax(1)] += TOTAL - table.sum(1)
    return table


def count(symbols: NDArray[Any], levels: int) -> NDArray[np.int64]:
    """Occurrences (C, L) of the symbols of each channel in (N, C, H, W)."""
    return np.stack([np.bincount(channel.ravel(), minlength=levels) for channel in symbols.swapaxes(0, 1)])


class LatentCoder:
    """Codes symbols (C, H, W) in 0..L-1, given a label map (H, W) if the context model uses one.

    Args:
        channels: Number of channels C.
        levels: Number of levels L, at most 256.
        static: Counts (C, L) of all channels; None if they were not fitted.
        context: Context model, if there is one.
    """

    def __init__(
        self, channels: int, levels: int, static: Counts | None = None, context: ContextModel | None = None
    ) -> None:
        if not 2 <= levels <= 256:
            raise SemcompError(f"{levels} levels found, expected 2 to 256; a symbol is a byte")
        self.channels, self.levels, self.static, self.context = channels, levels, static, context

    def count(self, symbols: NDArray[Any]) -> NDArray[np.int64]:
        """Occurrences (C, L) in (N, C, H, W), which `normalise` turns into `static`."""
        return count(symbols, self.levels)

    def bound_bits(self, height: int, width: int, keep: Keep = None) -> float:
        """Bits without a model: C * H * W * log2 L, or for the cells of `keep` only."""
        return self.channels * (height * width if keep is None else int(keep.sum())) * math.log2(self.levels)

    def encode(self, symbols: Symbols, label: NDArray[Any] | None = None, keep: Keep = None) -> tuple[int, bytes]:
        """Number and bytes of a coder: the context model if it stays below the bound, else the shortest.

        The bytes never exceed the bound by more than 5. Outside `keep` (H, W) the symbols must be `neutral`.
        """
        found = {}
        if self.context is not None:
            found[CONTEXT] = self.context.encode(symbols, label, keep)
            if 8 * len(found[CONTEXT]) < self.bound_bits(symbols.shape[1], symbols.shape[2], keep):
                return CONTEXT, found[CONTEXT]  # nearly always; the others need not be tried
        coded = _coded(symbols, keep)
        found[UNIFORM] = self._uniform(coded)
        if self.static is not None:
            found[STATIC] = self._static(coded)
        return min(found.items(), key=lambda item: len(item[1]))

    def ideal_bits(self, coder: int, symbols: Symbols, label: NDArray[Any] | None = None, keep: Keep = None) -> float:
        """Code length of symbols under a coder's probabilities."""
        if coder == CONTEXT and self.context is not None:
            return self.context.bits(symbols, label, keep)
        if coder == STATIC and self.static is not None:
            codes = np.log2(TOTAL / self.static)
            return float((codes * count(_coded(symbols, keep)[None], self.levels)).sum())
        return self.bound_bits(symbols.shape[1], symbols.shape[2], keep)

    def decode(
        self, coder: int, data: bytes, height: int, width: int, label: NDArray[Any] | None = None, keep: Keep = None
    ) -> Symbols:
        """The symbols (C, H, W) of bytes, `neutral` outside `keep`.

        Raises:
            FileError: the model lacks the coder, or no latent of this size has these bytes.
        """
        if len(data) > self.bound_bits(height, width, keep) / 8 + 5:
            raise FileError(f"{len(data)} bytes found for a latent of {width}x{height} cells, more than it can need")
        if coder == CONTEXT and self.context is not None:
            return self.context.decode(data, height, width, label, keep)
        decoder = Decoder(data)
        cells = height * width if keep is None else int(keep.sum())
        if coder == UNIFORM:
            found = decoder.pop_uniform(self.channels * cells, self.levels).astype(np.uint8)
        elif coder == STATIC and self.static is not None:
            found = np.zeros((self.channels, cells), np.uint8)
            for channel, block in _blocks(self.channels, cells):
                found[channel, block] = decoder.pop(_rows(self.static[channel], block))
        else:
            raise FileError(f"latent coder {coder} found, which this model has not; fit its entropy model or upgrade")
        decoder.finish()
        symbols = np.full((self.channels, height, width), neutral(self.levels), np.uint8)
        symbols[:, np.ones((height, width), bool) if keep is None else keep] = found.reshape(self.channels, cells)
        return symbols

    def _uniform(self, coded: Symbols) -> bytes:
        encoder = Encoder()
        encoder.push_uniform(coded.ravel(), self.levels)
        return encoder.data()

    def _static(self, coded: Symbols) -> bytes:
        assert self.static is not None
        encoder = Encoder()
        for channel, block in reversed(_blocks(self.channels, coded.shape[1])):
            encoder.push(coded[channel, block], _rows(self.static[channel], block))
        return encoder.data()


def _coded(symbols: Symbols, keep: Keep) -> Symbols:
    """The symbols of each channel that are coded, (C, n)."""
    return symbols.reshape(len(symbols), -1) if keep is None else symbols[:, keep]


def _blocks(channels: int, cells: int) -> list[tuple[int, slice]]:
    """Channels and blocks of their cells, in decoding order."""
    starts = range(0, cells, _BLOCK)
    return [(channel, slice(start, min(cells, start + _BLOCK))) for channel in range(channels) for start in starts]


def _rows(counts: Counts, block: slice) -> Counts:
    return np.tile(counts, (block.stop - block.start, 1))
