"""Data sets, their preparation, and the data module."""

from semcomp_pl.data.cityscapes import Cityscapes
from semcomp_pl.data.coco_stuff import CocoStuff10k, CocoStuff164k
from semcomp_pl.data.datamodule import ImageDataModule
from semcomp_pl.data.folder import Folder
from semcomp_pl.data.mixture import Mixture
from semcomp_pl.data.source import ImageSource, Sample
from semcomp_pl.data.streets import StreetScenes

__all__ = [
    "Cityscapes",
    "CocoStuff10k",
    "CocoStuff164k",
    "Folder",
    "ImageDataModule",
    "ImageSource",
    "Mixture",
    "Sample",
    "StreetScenes",
]
