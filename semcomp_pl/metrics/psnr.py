"""Peak signal-to-noise ratio."""

from typing import ClassVar

from torch import Tensor

from semcomp_pl.codecs.pixels import psnr
from semcomp_pl.metrics.facts import MetricFacts
from semcomp_pl.metrics.image_mean import ImageMean


class MeanPSNR(ImageMean):
    """Mean over images of each image's PSNR, not the PSNR of the pooled error, which the worst images dominate."""

    facts: ClassVar = {"psnr": MetricFacts("PSNR", "distortion", higher_is_better=True, digits=2, unit="dB")}
    higher_is_better = True

    def update(self, reconstruction: Tensor, image: Tensor) -> None:
        """Add a batch; arguments as for `codecs.pixels.psnr`."""
        self._add(psnr(reconstruction, image))
