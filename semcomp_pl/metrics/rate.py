"""Bits per pixel."""

from typing import ClassVar

from torch import Tensor

from semcomp_pl.metrics.facts import MetricFacts
from semcomp_pl.metrics.image_mean import ImageMean


class MeanRate(ImageMean):
    """Mean over images of the bits per pixel of each; it ranks nothing, as it is what quality is paid with."""

    facts: ClassVar = {"bpp": MetricFacts("Rate", "rate", higher_is_better=None, unit="bpp")}
    higher_is_better = None

    def update(self, bpp: Tensor) -> None:
        """Count the images' rates (B,), bits per pixel of the original."""
        self._add(bpp)
