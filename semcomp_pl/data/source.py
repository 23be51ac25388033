"""The interface of all data sets: where images are and what their labels mean."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from semcomp_pl.errors import SemcompError
from semcomp_pl.files.images import read_index_map
from semcomp_pl.types import IGNORE

Split = Literal["train", "val", "test"]


class Sample(NamedTuple):
    """The files of one image; `name` is unique within its split."""

    name: str
    image: Path
    label: Path | None = None
    instance: Path | None = None


class ImageSource(ABC):
    """A data set on disk: lists the files of a split and reads its label maps as train ids.

    A new data set needs one subclass. Decoding, cropping, caching, augmentation and batching are done by the data
    module, in the same way for all. Several threads read samples at once.
    """

    root: Path
    classes: tuple[str, ...]
    """Names of the train ids 0..K-1; empty for data without labels."""
    parts: tuple[str, ...] = ()
    """Names of the sources that a mixture is made of, with which its samples' names start: `PART/...`."""

    @property
    def num_classes(self) -> int:
        """Number of classes K, without the ignored one."""
        return len(self.classes)

    @property
    def train_ids(self) -> Mapping[int, int]:
        """Map from every id that a label file may hold to its train id: 0..K-1, or 255 = ignore."""
        return {**{i: i for i in range(self.num_classes)}, IGNORE: IGNORE}

    @abstractmethod
    def samples(self, split: Split) -> list[Sample]:
        """The samples of a split, in a fixed order.

        Raises:
            SemcompError: the root is missing, has another layout, or holds no image of this split.
        """

    def prepare(self) -> None:  # noqa: B027 (most data sets have nothing to generate)
        """Generate the data if they are procedural; called once, by one process."""

    def read_label(self, path: Path) -> NDArray[np.uint8]:
        """Label map (H, W) of train ids, 255 = ignore.

        Raises:
            SemcompError: the file cannot be read or holds an id outside the taxonomy.
        """
        ids = self.read_ids(path)
        table = np.full(max(self.train_ids) + 2, -1)
        table[list(self.train_ids)] = list(self.train_ids.values())
        mapped: NDArray[Any] = table[
            ids.clip(-1, len(table) - 1)
        ]  # the last entry belongs to no id, and catches ids beyond either end
        wrong = ids[mapped < 0]
        if wrong.size:
            raise SemcompError(
                f"{path}: label id {wrong[0]} found, expected one of {_ranges(self.train_ids)}; "
                "check the list of classes or the mapping of the data set"
            )
        return mapped.astype(np.uint8)

    def read_ids(self, path: Path) -> NDArray[Any]:
        """Integer map (H, W) of the ids in a label file."""
        return read_index_map(path)

    def read_instance(self, sample: Sample) -> NDArray[np.uint16]:
        """Instance map (H, W), 0 = no instance, of a sample that has one."""
        assert sample.instance is not None
        return read_index_map(sample.instance).astype(np.uint16)

    def read_maps(self, sample: Sample) -> dict[str, NDArray[Any]]:
        """Maps (H, W) of train ids as `label` and of instances as `instance`, of those that a sample has."""
        maps: dict[str, NDArray[Any]] = {}
        if sample.label is not None:
            maps["label"] = self.read_label(sample.label)
        if sample.instance is not None:
            maps["instance"] = self.read_instance(sample)
        return maps

    def weights(self, names: Sequence[str]) -> NDArray[np.float64] | None:
        """How often to draw the named training images, relative to one another; None for each once an epoch."""
        return None

    def doubts(self, counts: NDArray[np.int64]) -> list[str]:
        """Sentences about anything suspicious in the pixel counts of train ids 0..255 in the training split."""
        return []

    def key(self) -> list[Any]:
        """The attributes that affect the pixels that are read, as part of the cache's key."""
        return [type(self).__qualname__, self.classes, sorted(self.train_ids.items())]


def _ranges(ids: Mapping[int, int]) -> str:
    """`0..18, 255` for the keys 0 to 18 and 255."""
    starts = [i for i in sorted(ids) if i - 1 not in ids]
    ends = [i for i in sorted(ids) if i + 1 not in ids]
    return ", ".join(str(a) if a == b else f"{a}..{b}" for a, b in zip(starts, ends, strict=True))
