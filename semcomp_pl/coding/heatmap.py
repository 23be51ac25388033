"""Coding of heatmaps, which say which cells of a latent are coded, with the help of the label map."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from semcomp_pl.coding.ans import Counts, Decoder, Encoder, ideal_bits
from semcomp_pl.coding.fixed import TOTAL
from semcomp_pl.errors import FileError

Heatmap = NDArray[np.bool_]
UNIFORM, ADAPTIVE, CLASSES = 0, 1, 2
_NEIGHBOURS = ((0, -1), (-1, -1), (-1, 0), (-1, 1))
_AGREE = 3  # initial tally for each neighbour that agrees; chosen by hand


class HeatmapCoder:
    """Codes heatmaps (H, W), given a label map that was sent before.

    Regions chosen by class need one bit per class if their cells follow from the label map in the form sent. Other
    regions (boxes, single instances, coarse label maps) are coded cell by cell with probabilities that depend on the
    neighbours, or as plain bits if that is shorter.

    Args:
        classes: Number of classes K of the label map.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def bound_bits(self, cells: int) -> float:
        """Bits of that many cells without a model: one bit per cell."""
        return float(cells)

    def encode(self, heatmap: Heatmap, present: NDArray[np.bool_]) -> tuple[int, bytes]:
        """Number and bytes of the shortest coder; `present` (K, H, W) tells the classes in each cell."""
        bits = np.ascontiguousarray(heatmap).ravel().astype(np.uint8)
        plain, adaptive = Encoder(), Encoder()
        plain.push_uniform(bits, 2)
        adaptive.push(bits, _all_counts(heatmap))
        found = [(UNIFORM, plain.data()), (ADAPTIVE, adaptive.data())]
        flat = present.reshape(len(present), -1)
        kept = np.asarray(~(flat & ~heatmap.ravel()).any(1) & flat.any(1))  # entirely inside the heatmap
        if (_cells_of(kept, present) == heatmap).all():
            found.append((CLASSES, np.packbits(kept).tobytes().rstrip(b"\0")))
        return min(found, key=lambda item: len(item[1]))

    def ideal_bits(self, coder: int, heatmap: Heatmap) -> float:
        """Code length under a coder's probabilities."""
        if coder == ADAPTIVE:
            return ideal_bits(heatmap.ravel().astype(np.uint8), _all_counts(heatmap))
        return float(self.classes) if coder == CLASSES else self.bound_bits(heatmap.size)

    def decode(self, coder: int, data: bytes, present: NDArray[np.bool_]) -> Heatmap:
        """The heatmap coded in bytes.

        Raises:
            FileError: the coder is unknown, or no heatmap of this size has these bytes.
        """
        height, width = present.shape[1:]
        if coder in {UNIFORM, ADAPTIVE} and len(data) > height * width / 8 + 5:
            raise FileError(f"{len(data)} bytes found for a heatmap of {width}x{height}, more than it can need")
        if coder == UNIFORM:
            decoder = Decoder(data)
            plain = decoder.pop_uniform(height * width, 2).reshape(height, width).astype(bool)
            decoder.finish()
            return np.asarray(plain)
        if coder == ADAPTIVE:
            return _decode_adaptive(data, height, width)
        if coder != CLASSES:
            raise FileError(f"heatmap coder {coder} found, expected {UNIFORM} to {CLASSES}; upgrade semcomp_pl")
        size = -(-self.classes // 8)
        if len(data) > size or data.endswith(b"\0"):
            raise FileError(f"{len(data)} bytes of kept classes found, expected at most {size}; the file is damaged")
        bits = np.unpackbits(np.frombuffer(data.ljust(size, b"\0"), np.uint8))
        if bits[self.classes :].any():
            raise FileError(f"a kept class beyond 0..{self.classes - 1} found; the file is damaged")
        return _cells_of(bits[: self.classes].astype(bool), present)


def _cells_of(kept: NDArray[np.bool_], present: NDArray[np.bool_]) -> Heatmap:
    return np.asarray(present[kept].any(0))


def _adapting(heatmap: Heatmap) -> Iterator[tuple[int, int, Counts]]:
    """Row, column and counts (1, 2) of each cell; reads a cell only after yielding its counts."""
    height, width = heatmap.shape
    kept = np.array([bin(context).count("1") for context in range(16)])
    tallies = 1 + _AGREE * np.stack([4 - kept, kept], 1)
    for row in range(height):
        for column in range(width):
            context = 0
            for down, across in _NEIGHBOURS:
                i, j = row + down, column + across
                context = 2 * context + int(i >= 0 and 0 <= j < width and heatmap[i, j])
            yes = max(1, min(TOTAL - 1, int(tallies[context, 1]) * TOTAL // int(tallies[context].sum())))
            yield row, column, np.array([[TOTAL - yes, yes]], np.int64)
            tallies[context, int(heatmap[row, column])] += 2


def _all_counts(heatmap: Heatmap) -> Counts:
    return np.concatenate([counts for *_, counts in _adapting(heatmap)])


def _decode_adaptive(data: bytes, height: int, width: int) -> Heatmap:
    decoder, heatmap = Decoder(data), np.zeros((height, width), bool)
    for row, column, counts in _adapting(heatmap):
        heatmap[row, column] = decoder.pop(counts)[0]
    decoder.finish()
    return heatmap
