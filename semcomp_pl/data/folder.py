"""Any directory of images, with index masks of the same names or without."""

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
    """Images in one directory a split, index masks of the same names in another.

    Args:
        root: Directory that holds the others.
        train: Images of the training split, below `root`.
        val: Images of the validation split, below `root`.
        test: Images of the test split, below `root`; none if not given.
        masks: Where a split's masks are: appended to its directory (`annot`: `train` -> `trainannot`), or with
            `{split}` the whole path below `root` (`ann_dir/{split}`: `img_dir/train` -> `ann_dir/train`); none for
            images without masks.
        classes: Names of the mask values 0..K-1; 255 and `ignore_id` are ignored.
        ignore_id: One more mask value to be read as ignored.
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
        """The mask values as they are, `ignore_id` as 255."""
        return {**super().train_ids, self.ignore_id: IGNORE}

    def samples(self, split: Split) -> list[Sample]:
        """Images by name, each with its mask."""
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
        """Classes that no training mask shows."""
        absent = [name for name, count in zip(self.classes, counts, strict=False) if not count]
        if not absent or not counts.any():
            return []
        where = f"{self.root}: {some(absent)} of {len(self.classes)} classes occur in no training mask"
        if set(np.flatnonzero(counts)) == {0, IGNORE}:
            return [f"{where}, which hold 0 and 255 alone; 255 is ignored: where it is a class, write its id instead"]
        return [f"{where}; check the order of the names, or leave these out"]
