"""Bits per pixel."""

from typing import ClassVar

from torch import Tensor

from semcomp_pl.metrics.facts import MetricFacts
from semcomp_pl.metrics.image_mean import ImageMean


class MeanRate(ImageMean):
    """Mean over images of each image's bits per pixel; it ranks nothing, as it is the price of quality."""

    facts: ClassVar = {"bpp": MetricFacts("Rate", "rate", higher_is_better=None, unit="bpp")}
    higher_is_better = None

    def update(self, bpp: Tensor) -> None:
        """Add the images' rates (B,), in bits per pixel of the original."""
        self._add(bpp)
