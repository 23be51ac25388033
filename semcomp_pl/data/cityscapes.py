"""Cityscapes, and data sets in the same layout."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torchvision.datasets import Cityscapes as Torchvision

from semcomp_pl.data.listing import check_pairs, find
from semcomp_pl.data.source import ImageSource, Sample, Split
from semcomp_pl.files.images import read_index_map
from semcomp_pl.files.places import expand_home

_TABLE = [c for c in Torchvision.classes if c.id >= 0]  # licence plates, -1, occur in no label map


class Cityscapes(ImageSource):
    """Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR 2016.

    2975 + 500 + 1525 street images of 2048x1024, 19 classes; the test split has no labels
    (https://arxiv.org/abs/1604.01685, https://www.cityscapes-dataset.com):

        root/leftImg8bit/{train,val,test}/CITY/NAME_leftImg8bit.png
        root/gtFine/{train,val}/CITY/NAME_gtFine_labelIds.png
        root/gtFine/{train,val}/CITY/NAME_gtFine_instanceIds.png

    Args:
        root: Directory that holds `leftImg8bit` and `gtFine`.
    """

    classes = tuple(c.name for c in _TABLE if c.train_id != 255)

    def __init__(self, root: str = "data/cityscapes") -> None:
        self.root = Path(expand_home(root))

    @property
    def train_ids(self) -> Mapping[int, int]:
        """Map from label ids 0..33 to the benchmark's 19 train ids; other classes become 255."""
        return {c.id: c.train_id for c in _TABLE}

    def samples(self, split: Split) -> list[Sample]:
        """Images by city and name, with label and instance maps except in the test split."""
        images = find(self.root / "leftImg8bit" / split, "_leftImg8bit.png", "*/*")
        if split == "test":
            return [Sample(name, image) for name, image in images.items()]
        truth = self.root / "gtFine" / split
        labels = find(truth, "_gtFine_labelIds.png", "*/*")
        instances = find(truth, "_gtFine_instanceIds.png", "*/*")
        check_pairs(images, labels, truth, "label map")
        check_pairs(images, instances, truth, "instance map")
        return [Sample(name, image, labels[name], instances[name]) for name, image in images.items()]

    def read_instance(self, sample: Sample) -> NDArray[np.uint16]:
        """Label id * 1000 + number for single objects, 0 elsewhere, where the official maps hold the label id."""
        assert sample.instance is not None
        ids = read_index_map(sample.instance)
        return np.where(ids >= 1000, ids, 0).astype(np.uint16)
