"""The collection of metrics that measures all codecs."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.utilities import rank_zero_warn

from semcomp_pl.codecs.pixels import psnr
from semcomp_pl.errors import SemcompError, SemcompWarning
from semcomp_pl.metrics.catalogue import EXTRAS
from semcomp_pl.metrics.discriminator_fm import DiscriminatorFM
from semcomp_pl.metrics.judgement import Judgement
from semcomp_pl.metrics.latent_iou import LatentIoU
from semcomp_pl.metrics.ms_ssim import MeanMSSSIM
from semcomp_pl.metrics.part_mean import PartMean
from semcomp_pl.metrics.psnr import MeanPSNR
from semcomp_pl.metrics.rate import MeanRate


class MetricSuite(nn.Module):
    """Rate, distortion, perception and semantics of reconstructions, on the 8-bit values that a decoder writes.

    Under DDP every process must have counted an image before `compute`, with the same rate keys. The metrics' states
    follow the module's device; they stay out of its `state_dict`, as do the weights of the judge and other networks.

    Args:
        num_classes: Number of classes K of the labels; required with a judge.
        judge: Segmenter as for `Judgement`; it should not be the one that the codec was trained against.
        classes: Names of the classes, if known.
        extra: Names of further metrics; a metric whose weights are missing is left out with a warning.
        latent: Metric of the symbols, for codecs that have symbols.
        discriminator: Trained discriminator as for `DiscriminatorFM`.
        parts: Names of the sources that the images are a mixture of, for figures of each one.

    Raises:
        SemcompError: a judge is given without `num_classes`, or an extra metric is unknown.
    """

    def __init__(
        self,
        num_classes: int | None = None,
        judge: nn.Module | None = None,
        classes: Sequence[str] = (),
        extra: Sequence[str] = (),
        latent: LatentIoU | None = None,
        discriminator: nn.Module | None = None,
        parts: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.parts, self.by_part = tuple(parts), nn.ModuleDict()
        self.psnr = MeanPSNR()
        self.ms_ssim = MeanMSSSIM()
        self.rates = nn.ModuleDict()
        self.judgement: Judgement | None = None
        if judge is not None:
            if num_classes is None:
                raise SemcompError("a judge without num_classes found; pass the labels' number of classes")
            self.judgement = Judgement(judge, num_classes, classes)
        self.latent = latent
        self.discriminator_fm = None if discriminator is None else DiscriminatorFM(discriminator)
        self.extra = nn.ModuleDict(_load(extra))

    @torch.no_grad()
    def update(
        self,
        reconstruction: Tensor,
        image: Tensor,
        *,
        bpp: Mapping[str, Tensor | float] | None = None,
        label: Tensor | None = None,
        symbols: tuple[Tensor, Tensor] | None = None,
        names: Sequence[str] = (),
    ) -> None:
        """Add a batch.

        Args:
            reconstruction: Float (B, 3, H, W), RGB, range [0, 1].
            image: Originals, of the same shape and range.
            bpp: Bits per pixel of each image (B,), or one number for all, by the key to report it under.
            label: Ground truth for the judge, long (B, H, W), 255 = ignore.
            symbols: The encoder's symbols of reconstructions and of originals, each (B, C, h, w).
            names: Names of the images, which start with their source's if `parts` were given.

        Raises:
            SemcompError: shapes differ, or ids are outside the classes.
        """
        self.psnr.update(reconstruction, image)
        self.ms_ssim.update(reconstruction, image)
        for key, value in (bpp or {}).items():
            if key not in self.rates:
                self.rates[key] = MeanRate().to(image.device)
            rate = torch.as_tensor(value, device=image.device).expand(len(image))
            cast(MeanRate, self.rates[key]).update(rate)
        if self.parts:
            rates = {key: value.to(image.device) for key, value in (bpp or {}).items() if isinstance(value, Tensor)}
            self._count_parts(names, {"psnr": psnr(reconstruction, image), **rates})
        if self.judgement is not None:
            self.judgement.update(reconstruction, image, label)
        if self.latent is not None and symbols is not None:
            self.latent.update(*symbols)
        if self.discriminator_fm is not None:
            self.discriminator_fm.update(reconstruction, image, label)
        for metric in self.extra.values():
            cast(Metric, metric).update(reconstruction, image)

    def _count_parts(self, names: Sequence[str], values: Mapping[str, Tensor]) -> None:
        for key, value in values.items():
            if key not in self.by_part:
                self.by_part[key] = PartMean(self.parts).to(value.device)
            cast(PartMean, self.by_part[key]).update(names, value)

    def compute(self) -> dict[str, Tensor]:
        """Float64 scalars by name, over all images of all processes.

        These are `psnr` (dB), `ms_ssim` or `ms_ssim_N` by the images' size, the rate keys (bits per pixel), the results
        of `Judgement.compute` if there is a judge and of `LatentIoU.compute` if symbols were counted,
        `discriminator_fm`, and the extra metrics. `PART/psnr` and rates that were given by
        image, as `PART/bpp`, are those of one source.
        """
        values = {"psnr": self.psnr.compute(), **self.ms_ssim.compute()}
        # in the same order on all processes, as each compute is a collective call
        values |= {key: cast(MeanRate, self.rates[key]).compute() for key in sorted(self.rates)}
        for key in sorted(self.by_part):
            means = cast(PartMean, self.by_part[key]).compute()
            values |= {f"{part}/{key}": mean for part, mean in means.items()}
        if self.judgement is not None:
            values |= self.judgement.compute()
        if self.latent is not None and self.latent.update_called:  # validation counts no symbols
            found: dict[str, Tensor] = self.latent.compute()
            values |= {key: value for key, value in found.items() if not value.isnan()}
        if self.discriminator_fm is not None:
            values["discriminator_fm"] = self.discriminator_fm.compute()
        for name, metric in self.extra.items():
            try:
                values[name] = cast(Metric, metric).compute().double()
            except SemcompError as error:
                rank_zero_warn(f"left out: {error}", category=SemcompWarning)
        return values

    def reset(self) -> None:
        """Discard all images and rate keys."""
        self.rates.clear()
        self.by_part.clear()
        for part in (self.psnr, self.ms_ssim, self.judgement, self.latent, self.discriminator_fm):
            if part is not None:
                part.reset()
        for metric in self.extra.values():
            cast(Metric, metric).reset()

    def provenance(self) -> dict[str, Any]:
        """Provenance of judge, discriminator and networks by name, as plain values."""
        found = {"judge": self.judgement, "discriminator_fm": self.discriminator_fm, **self.extra}
        return {name: cast(Any, metric).provenance() for name, metric in found.items() if metric is not None}


def _load(names: Sequence[str]) -> dict[str, Metric]:
    """The extra metrics whose weights were found."""
    found = {}
    for name in names:
        if name not in EXTRAS:
            raise SemcompError(f"metric {name!r} found, expected some of {', '.join(EXTRAS)}")
        try:
            found[name] = EXTRAS[name]()
        except SemcompError as error:
            rank_zero_warn(f"{name} is left out: {error}", category=SemcompWarning)
    return found
