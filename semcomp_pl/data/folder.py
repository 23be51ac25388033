"""Directories of images, with or without index masks of the same names."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semcomp_pl.data.listing import check_pairs, find, some
from semcomp_pl.data.source import ImageSource, Sample, Split
from semcomp_pl.errors import SemcompError
from semcomp_pl.files.places import expand_home
from semcomp_pl.types import IGNORE


class Folder(ImageSource):
    """Images in one directory per split, and index masks of the same names in another.

    Args:
        root: Directory that holds the others.
        train: Directory of the training split's images, below `root`.
        val: Directory of the validation split's images, below `root`.
        test: Directory of the test split's images, below `root`; if not given, there is no test split.
        masks: Directory of a split's masks: either a suffix to the directory of its images (`annot`: `train` ->
            `trainannot`), or a path below `root` with `{split}` (`ann_dir/{split}`: `img_dir/train` ->
            `ann_dir/train`). If not given, there are no masks.
        classes: Names of the mask values 0..K-1; 255 and `ignore_id` are ignored.
        ignore_id: A further mask value to ignore.
    """

    def __init__(
        self,
        root: str,
        train: str = "train",
        val: str = "val",
        test: str | None = None,
        masks: str | None = None,
        classes: list[str] | None = None,
        ignore_id: int = IGNORE,
    ) -> None:
        self.root = Path(expand_home(root))
        self.directories: dict[Split, str | None] = {"train": train, "val": val, "test": test}
        self.masks = masks
        self.classes = tuple(classes or ())
        self.ignore_id = ignore_id

    @property
    def train_ids(self) -> Mapping[int, int]:
        """Identity for the mask values 0..K-1; `ignore_id` becomes 255."""
        return {**super().train_ids, self.ignore_id: IGNORE}

    def samples(self, split: Split) -> list[Sample]:
        """Images by name, each with its mask if there are masks."""
        name = self.directories[split]
        if name is None:
            raise SemcompError(f"{self.root}: no {split} directory was named; pass --data.source.{split}")
        images = find(self.root / name)
        if self.masks is None:
            return [Sample(stem, image) for stem, image in images.items()]
        whole = "{split}" in self.masks
        masks = find(self.root / (self.masks.replace("{split}", Path(name).name) if whole else f"{name}{self.masks}"))
        check_pairs(images, masks, self.root / name)
        return [Sample(stem, image, masks[stem]) for stem, image in images.items()]

    def doubts(self, counts: NDArray[np.int64]) -> list[str]:
        """A sentence about classes that occur in no training mask, if there are any."""
        absent = [name for name, count in zip(self.classes, counts, strict=False) if not count]
        if not absent or not counts.any():
            return []
        where = f"{self.root}: {some(absent)} of {len(self.classes)} classes occur in no training mask"
        if set(np.flatnonzero(counts)) == {0, IGNORE}:
            return [f"{where}, which hold 0 and 255 alone; 255 is ignored: where it is a class, write its id instead"]
        return [f"{where}; check the order of the names, or leave these out"]
