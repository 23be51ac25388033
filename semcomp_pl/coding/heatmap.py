"""Which cells of a latent are coded: a map of yes and no, as short as the label map beside it allows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from semcomp_pl.coding.label_map import LabelCoder
from semcomp_pl.errors import FileError

Heatmap = NDArray[np.bool_]
CLASSES = 2
"""The coder after `LabelCoder`'s own: a bit a class, whose cells are kept."""


class HeatmapCoder:
    """Codes heatmaps (H, W) beside a label map that was sent before.

    Regions chosen by class need a bit a class, because the cells follow from the label map. Others (boxes, single
    instances) go through the adaptive coder of label maps, or are sent as they are where that is shorter.

    Args:
        classes: K of the label map.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self._plain = LabelCoder(1)  # 0 = kept, and one more id

    def bound_bits(self, cells: int) -> float:
        """A bit a cell."""
        return float(cells)

    def encode(self, heatmap: Heatmap, present: NDArray[np.bool_]) -> tuple[int, bytes]:
        """The shortest coder's bytes, and which it is; `present` (K, H, W) tells the classes of each cell."""
        found = [self._plain.encode(_as_labels(heatmap))]
        flat = present.reshape(len(present), -1)
        kept = np.asarray(~(flat & ~heatmap.ravel()).any(1) & flat.any(1))  # lie inside the heatmap whole
        if (_cells_of(kept, present) == heatmap).all():
            found.append((CLASSES, np.packbits(kept).tobytes().rstrip(b"\0")))
        return min(found, key=lambda item: len(item[1]))

    def ideal_bits(self, coder: int, heatmap: Heatmap) -> float:
        """Code length under a coder's probabilities."""
        return float(self.classes) if coder == CLASSES else self._plain.ideal_bits(coder, _as_labels(heatmap))

    def decode(self, coder: int, data: bytes, present: NDArray[np.bool_]) -> Heatmap:
        """The heatmap of bytes.

        Raises:
            FileError: another coder, or bytes that no heatmap of this size has.
        """
        if coder != CLASSES:
            found: Heatmap = self._plain.decode(coder, data, *present.shape[1:]) == 0
            return found
        size = -(-self.classes // 8)
        if len(data) > size or data.endswith(b"\0"):
            raise FileError(f"{len(data)} bytes of kept classes found, expected at most {size}; the file is damaged")
        bits = np.unpackbits(np.frombuffer(data.ljust(size, b"\0"), np.uint8))
        if bits[self.classes :].any():
            raise FileError(f"a kept class beyond 0..{self.classes - 1} found; the file is damaged")
        return _cells_of(bits[: self.classes].astype(bool), present)


def _cells_of(kept: NDArray[np.bool_], present: NDArray[np.bool_]) -> Heatmap:
    return np.asarray(present[kept].any(0))


def _as_labels(heatmap: Heatmap) -> NDArray[Any]:
    return np.where(heatmap, 0, 255)
