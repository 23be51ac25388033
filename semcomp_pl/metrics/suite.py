"""The one collection of metrics that judges every codec."""

from collections.abc import Mapping
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from semcomp_pl.errors import SemcompError
from semcomp_pl.metrics.image_mean import as_decoded
from semcomp_pl.metrics.miou import MeanIoU
from semcomp_pl.metrics.ms_ssim import MeanMSSSIM
from semcomp_pl.metrics.psnr import MeanPSNR
from semcomp_pl.metrics.rate import MeanRate


class Segmenter(Protocol):
    """What `MetricSuite` asks of a judge, besides being an nn.Module."""

    def predict(self, image: Tensor) -> Tensor:
        """Label map, long (B, H, W), of images (B, 3, H, W) in [0, 1]."""
        ...


class MetricSuite(nn.Module):
    """Rate, distortion and semantics of reconstructions, on the 8-bit values that a decoder writes.

    Under DDP every process must have counted an image before `compute`, with the same rate keys. The metrics'
    states follow the module's device and stay out of its `state_dict`, and so do the judge's weights.

    Args:
        num_classes: K of the labels; needed with a judge.
        judge: a segmenter with `predict`, put in eval mode and moved to the images' device. It should not be
            the network that the codec was trained against.

    Raises:
        SemcompError: a judge without `num_classes`.
    """

    def __init__(self, num_classes: int | None = None, judge: nn.Module | None = None) -> None:
        super().__init__()
        self.psnr = MeanPSNR()
        self.ms_ssim = MeanMSSSIM()
        self.rates = nn.ModuleDict()
        self.miou: MeanIoU | None = None
        self._judges: tuple[nn.Module, ...] = ()  # a tuple is not registered: no weights in the checkpoint
        if judge is not None:
            if num_classes is None:
                raise SemcompError("a judge without num_classes found; pass the labels' number of classes")
            self.miou = MeanIoU(num_classes)
            self._judges = (judge.eval(),)

    @torch.no_grad()
    def update(
        self,
        reconstruction: Tensor,
        image: Tensor,
        *,
        bpp: Mapping[str, Tensor | float] | None = None,
        label: Tensor | None = None,
    ) -> None:
        """Count a batch.

        Args:
            reconstruction: float (B, 3, H, W), RGB, range [0, 1].
            image: the original, the same.
            bpp: bits per pixel of each image (B,), or one number for all, by the key it is reported under.
            label: long (B, H, W), 255 = ignore; judged where there is a judge.

        Raises:
            SemcompError: shapes that differ, or ids outside the classes.
        """
        self.psnr.update(reconstruction, image)
        self.ms_ssim.update(reconstruction, image)
        for key, value in (bpp or {}).items():
            if key not in self.rates:
                self.rates[key] = MeanRate().to(image.device)
            rate = torch.as_tensor(value, device=image.device).expand(len(image))
            cast(MeanRate, self.rates[key]).update(rate)
        if label is not None and self.miou is not None:
            self.miou.update(_segment(self._judges[0], reconstruction), label)

    def compute(self) -> dict[str, Tensor]:
        """Float64 scalars by name, over all images of all processes.

        `psnr` (dB), `ms_ssim` or `ms_ssim_N` by the images' size, the rate keys (bits per pixel) and, where a
        judge saw labels, `miou`.
        """
        values = {"psnr": self.psnr.compute(), **self.ms_ssim.compute()}
        # one order on all processes: each compute is a collective call
        values |= {key: cast(MeanRate, self.rates[key]).compute() for key in sorted(self.rates)}
        if self.miou is not None:
            iou = self.miou.per_class()
            if not iou.isnan().all():
                values["miou"] = iou.nanmean()
        return values

    def reset(self) -> None:
        """Forget all images and rate keys."""
        self.rates.clear()
        for metric in (self.psnr, self.ms_ssim, self.miou):
            if metric is not None:
                metric.reset()


def _segment(judge: nn.Module, reconstruction: Tensor) -> Tensor:
    """The judge's label map, in float32 whatever precision the codec runs in."""
    with torch.inference_mode(False):  # weights moved in inference mode could never be trained or saved again
        judge.to(reconstruction.device)
    with torch.autocast(reconstruction.device.type, enabled=False):
        return cast(Segmenter, judge).predict(as_decoded(reconstruction))
