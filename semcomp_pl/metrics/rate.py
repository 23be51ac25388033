"""Bits per pixel."""

from torch import Tensor

from semcomp_pl.metrics.image_mean import ImageMean


class MeanRate(ImageMean):
    """Mean over images of the bits per pixel of each."""

    higher_is_better = False

    def update(self, bpp: Tensor) -> None:
        """Count the images' rates (B,), bits per pixel of the original."""
        self._add(bpp)
