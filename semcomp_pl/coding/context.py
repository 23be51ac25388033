"""The context model: each symbol's probabilities from its decoded neighbours, in exact integer arithmetic.

Two networks, one for corners and one for edges (`semcomp_pl.coding.lattice`), shared by all levels:

    neighbours of earlier steps, place, level, label --trunk--> features ----+
    neighbours of this step, channels before c ------------------------------+--head c--> hidden --out c--> L logits

Weights are 8-bit integers with a power of two per row, activations integers in units of 1/256. Both are held in
float64, where sums below 2^53 are exact in any order, so matrix products give the same integers with any library and
any number of threads. The model is trained in floating point by `semcomp_pl.nets.context`.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from semcomp_pl.coding.ans import Counts, Decoder, Encoder, Symbols, ideal_bits
from semcomp_pl.coding.fixed import softmax_counts
from semcomp_pl.coding.lattice import BESIDE, KNOWN, RADIUS, Step, cells, pad, steps, windows

UNIT = 256
"""The integer that stands for 1."""
CEILING = 16 * UNIT - 1
"""Activations are clipped to 0..CEILING."""
LEVELS_APART = 3
"""Number of levels that the networks distinguish; coarser ones are treated as the last of them."""
TRUNK, HIDDEN = 64, 32
_BLOCK = 1 << 15  # number of cells computed at once, to bound the memory

Floats = NDArray[np.float64]
Inputs = NDArray[np.int16]
Keep = NDArray[np.bool_] | None
"""Cells (H, W) that are coded; None for all."""


class Layer(NamedTuple):
    """One matrix of the network, (outputs, inputs), and its bias."""

    name: str
    outputs: int
    inputs: int


def side_inputs(classes: int) -> int:
    """Number of inputs for row, column, each level, and each class of any label map (with the ignored one)."""
    return 2 + LEVELS_APART + (classes + 1 if classes else 0)


def layers(channels: int, levels: int, classes: int) -> list[Layer]:
    """All matrices, in the order in which their weights are stored."""
    found = []
    for kind in (0, 1):
        found.append(Layer(f"{kind}.trunk", TRUNK, channels * len(KNOWN[kind]) + side_inputs(classes)))
        for channel in range(channels):
            found.append(Layer(f"{kind}.head{channel}", HIDDEN, TRUNK + channel * len(BESIDE[kind])))
            found.append(Layer(f"{kind}.out{channel}", levels, HIDDEN))
    return found


def centred(symbols: NDArray[Any], levels: int) -> Inputs:
    """Symbols 0..L-1 as the networks see them: integers in -UNIT..UNIT."""
    table = (2 * UNIT * np.arange(levels) // (levels - 1) - UNIT).astype(np.int16)
    found: Inputs = table[symbols]
    return found


def side_planes(height: int, width: int, level: int, label: NDArray[Any] | None, classes: int) -> Inputs:
    """The networks' further inputs for the grid of a level, (`side_inputs`, H, W)."""
    planes = np.zeros((side_inputs(classes if label is not None else 0), height, width), np.int16)
    planes[0] = (2 * UNIT * np.arange(height) // max(1, height - 1) - UNIT)[:, None]
    planes[1] = 2 * UNIT * np.arange(width) // max(1, width - 1) - UNIT
    planes[2 + min(level, LEVELS_APART - 1)] = UNIT
    if label is not None:
        known = np.minimum(label, classes)  # the ignored id is the last class
        planes[2 + LEVELS_APART :] = UNIT * (known == np.arange(classes + 1)[:, None, None])
    return planes


class ContextModel:
    """Codes symbols (C, H, W) under probabilities predicted from their neighbours.

    Args:
        channels: Number of channels C.
        levels: Number of levels L.
        classes: Number of classes K of the label map that the decoder also knows; 0 for none.
        first: Counts (C, L) of the single cell that is coded first.
        weights: Weights of all matrices, concatenated in the order of `layers`, int8.
        biases: Biases, likewise, int32.
        shifts: Shift of each row, int8: the row's weights mean integers / 2^shift.
    """

    def __init__(
        self,
        channels: int,
        levels: int,
        classes: int,
        first: Counts,
        weights: NDArray[np.int8],
        biases: NDArray[np.int32],
        shifts: NDArray[np.int8],
    ) -> None:
        self.channels, self.levels, self.classes, self.first = channels, levels, classes, first
        self._layers = {}
        at = row = 0
        for name, outputs, inputs in layers(channels, levels, classes):
            rows, shift = slice(row, row + outputs), shifts[row : row + outputs, None].astype(int)
            bias = biases[rows, None] + np.ldexp(0.5, shift)  # the half rounds
            matrix = np.hstack([bias, weights[at : at + outputs * inputs].reshape(outputs, inputs)])
            self._layers[name] = np.ldexp(matrix, -shift)  # powers of two: still exact
            at, row = at + outputs * inputs, row + outputs

    def encode(self, symbols: Symbols, label: NDArray[Any] | None = None, keep: Keep = None) -> bytes:
        """Bytes of symbols (C, H, W), given a label map (H, W) if the model uses one.

        Only the cells of `keep` (H, W) are coded; the others must hold `neutral`, so that the decoder sees the same
        neighbours.
        """
        coder = Encoder()
        for step in reversed(steps(*symbols.shape[1:])):
            for chosen, counts in reversed([*self._tables(symbols, label, step)]):
                kept = _kept(keep, step, chosen[1])
                coder.push(_gather(symbols, step, *chosen)[kept], counts[kept])
        if keep is None or keep[0, 0]:
            coder.push(symbols[:, 0, 0], self.first)
        return coder.data()

    def decode(
        self, data: bytes, height: int, width: int, label: NDArray[Any] | None = None, keep: Keep = None
    ) -> Symbols:
        """The symbols (C, H, W) of bytes, `neutral` outside `keep`.

        Raises:
            FileError: the bytes end too late or too early.
        """
        coder = Decoder(data)
        symbols = np.full((self.channels, height, width), neutral(self.levels), np.uint8)
        if keep is None or keep[0, 0]:
            symbols[:, 0, 0] = coder.pop(self.first)
        for step in steps(height, width):
            for chosen, counts in self._tables(symbols, label, step):
                kept = _kept(keep, step, chosen[1])
                values = np.full(len(counts), neutral(self.levels), np.uint8)
                values[kept] = coder.pop(counts[kept])
                _scatter(symbols, step, *chosen, values)
        coder.finish()
        return symbols

    def bits(self, symbols: Symbols, label: NDArray[Any] | None = None, keep: Keep = None) -> float:
        """Code length of symbols (C, H, W) under the model."""
        total = ideal_bits(symbols[:, 0, 0], self.first) if keep is None or keep[0, 0] else 0.0
        for step in steps(*symbols.shape[1:]):
            for chosen, counts in self._tables(symbols, label, step):
                kept = _kept(keep, step, chosen[1])
                total += ideal_bits(_gather(symbols, step, *chosen)[kept], counts[kept])
        return total

    def _tables(
        self, symbols: Symbols, label: NDArray[Any] | None, step: Step
    ) -> Iterator[tuple[tuple[int, slice], Counts]]:
        """Channel, block of cells and their counts, in decoding order; reads no symbols before they are decoded."""
        level, kind = step
        stride = 1 << level
        grid = symbols[:, ::stride, ::stride]
        count = sum(part.size for part in cells(grid[0], kind))
        if not count:
            return
        blocks = [slice(start, min(count, start + _BLOCK)) for start in range(0, count, _BLOCK)]
        padded = pad(centred(grid, self.levels))
        here = None if label is None else label[::stride, ::stride]
        height, width = grid.shape[1:]
        side = side_planes(height, width, level, here, self.classes)
        seen, beside = self.channels * len(KNOWN[kind]), len(BESIDE[kind])
        known = np.empty((1 + seen + len(side), count))
        known[0] = 1  # multiplied with a layer's bias
        windows(padded, kind, KNOWN[kind], known[1 : 1 + seen])
        known[1 + seen :] = np.concatenate([part.reshape(len(side), -1) for part in cells(side, kind)], 1)
        features = np.empty((1 + TRUNK + self.channels * beside, count))
        features[0], filled = 1, 1 + TRUNK
        for block in blocks:
            self._activate(f"{kind}.trunk", known[:, block], features[1:filled, block])
        hidden = np.empty((1 + HIDDEN, min(count, _BLOCK)))
        hidden[0] = 1
        for channel in range(self.channels):
            for block in blocks:
                inside = hidden[:, : block.stop - block.start]
                self._activate(f"{kind}.head{channel}", features[:filled, block], inside[1:])
                logits = self._layers[f"{kind}.out{channel}"] @ inside
                yield (channel, block), softmax_counts(np.floor(logits, out=logits))
            padded[channel, RADIUS:-RADIUS, RADIUS:-RADIUS] = centred(grid[channel], self.levels)  # now it is decoded
            windows(padded[channel : channel + 1], kind, BESIDE[kind], features[filled : filled + beside])
            filled += beside

    def _activate(self, name: str, inputs: Floats, out: Floats) -> None:
        """Compute a layer on integers, rounded to integers and clipped; the first input is 1."""
        sums = self._layers[name] @ inputs
        np.floor(sums, out=sums)
        np.clip(sums, 0, CEILING, out=out)


def neutral(levels: int) -> int:
    """The symbol that replaces those not sent, the one whose centre is nearest to 0."""
    return levels // 2


def _kept(keep: Keep, step: Step, block: slice) -> Any:
    """Which cells of a block are coded."""
    if keep is None:
        return slice(None)
    stride = 1 << step.level
    return np.concatenate([part.ravel() for part in cells(keep[::stride, ::stride], step.kind)])[block]


def _gather(symbols: Symbols, step: Step, channel: int, chosen: slice) -> Symbols:
    stride = 1 << step.level
    parts = cells(symbols[channel, ::stride, ::stride], step.kind)
    flat: Symbols = np.concatenate([part.ravel() for part in parts])[chosen].astype(np.uint8)
    return flat


def _scatter(symbols: Symbols, step: Step, channel: int, chosen: slice, values: Symbols) -> None:
    stride = 1 << step.level
    start = 0
    for part in cells(symbols[channel, ::stride, ::stride], step.kind):
        low, high = max(chosen.start - start, 0), min(chosen.stop - start, part.size)
        if low < high:
            rows, columns = np.divmod(np.arange(low, high), part.shape[1])
            part[rows, columns] = values[start + low - chosen.start : start + high - chosen.start]
        start += part.size
