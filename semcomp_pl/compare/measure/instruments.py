"""The networks that measure reconstructions: judges, discriminator and those of metrics."""

from collections.abc import Sequence
from typing import Any, cast

from torch import Tensor
from torchmetrics.utilities import rank_zero_warn

from semcomp_pl.checkpoints.loading import load_discriminator
from semcomp_pl.codecs.pixels import psnr
from semcomp_pl.compare.config import Metric
from semcomp_pl.compare.measure.panel import Panel
from semcomp_pl.errors import SemcompError, SemcompWarning
from semcomp_pl.metrics.catalogue import EXTRAS, SETS
from semcomp_pl.metrics.discriminator_fm import DiscriminatorFM
from semcomp_pl.metrics.fid import InceptionFeatures
from semcomp_pl.metrics.ms_ssim import ms_ssim, ms_ssim_key
from semcomp_pl.metrics.network import NetworkMean, in_float32
from semcomp_pl.metrics.suite import MetricSuite


class Instruments:
    """Networks that measure reconstructions, loaded once per process.

    Args:
        judges: Segmenters that label originals and reconstructions.
        realism_judge: Checkpoint of the discriminator that measures `discriminator_fm`.
        metrics: Names of further metrics; a metric whose weights are missing is left out with a warning.
        device: Device of the judges; the other networks follow the images.

    Attributes:
        panel: The judges.
        metrics: Names of the further metrics whose weights were found.

    Raises:
        SemcompError: a segmenter or the discriminator does not exist, or the judges do not go together.
    """

    def __init__(
        self, judges: Sequence[str], realism_judge: str | None, metrics: Sequence[Metric], device: str
    ) -> None:
        self.panel = Panel(judges, device)
        self.discriminator = None if realism_judge is None else load_discriminator(realism_judge)
        self.realism = None if self.discriminator is None else DiscriminatorFM(self.discriminator)
        self._suite = MetricSuite(extra=[name for name in metrics if name in EXTRAS and name not in SETS])
        self._inception = _inception([name for name in metrics if name in SETS])
        self.metrics = [
            name
            for name in metrics
            if name in self._suite.extra or (self._inception is not None if name in SETS else name not in EXTRAS)
        ]

    def provenance(self) -> dict[str, Any]:
        """Provenance of the networks by metric, as plain values."""
        known = self._suite.provenance()
        if self._inception is not None:
            known |= {name: {"checkpoint": self._inception.checkpoint} for name in SETS}
        judges = {} if self.realism is None else {"discriminator_fm": self.realism.provenance()}
        return {name: known.get(name) for name in self.metrics} | judges

    def quality(self, reconstruction: Tensor, image: Tensor, label: Tensor | None) -> dict[str, float]:
        """Metrics of a pair of images (3, H, W); some need the true label map (H, W)."""
        pair = reconstruction[None], image[None]
        found = {"psnr": psnr(*pair).item()}
        if key := ms_ssim_key((image.shape[-2], image.shape[-1])):
            found[key] = ms_ssim(*pair).item()
        for name, metric in self._suite.extra.items():
            found[name] = cast(NetworkMean, metric).per_image(*pair).item()
        if self.realism is not None:
            labels = None if label is None else label[None]
            found["discriminator_fm"] = self.realism.per_image(*pair, labels).item()
        return found

    def features(self, reconstruction: Tensor) -> Tensor | None:
        """Features (D,) of an image (3, H, W) for the metrics of whole data sets; None without such metrics."""
        if self._inception is None:
            return None
        with in_float32(self._inception, reconstruction.device) as network:
            features: Tensor = network(reconstruction[None])[0]
        return features


def _inception(metrics: Sequence[str]) -> InceptionFeatures | None:
    if not metrics:
        return None
    try:
        return InceptionFeatures()
    except SemcompError as error:
        for name in metrics:
            rank_zero_warn(f"{name} is left out: {error}", category=SemcompWarning)
        return None
