"""Data sets, their preparation and the one data module."""

from semcomp_pl.data.datamodule import ImageDataModule
from semcomp_pl.data.folder import Folder
from semcomp_pl.data.source import ImageSource, Sample

__all__ = ["Folder", "ImageDataModule", "ImageSource", "Sample"]
