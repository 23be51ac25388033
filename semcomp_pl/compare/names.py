"""What each metric is called, its unit, and which way is better: written once."""

from typing import NamedTuple


class Description(NamedTuple):
    """A metric as tables and axes show it."""

    label: str
    unit: str
    """Empty where it has none."""
    higher_is_better: bool | None
    """None where it ranks nothing."""
    digits: int
    """Behind the point, in tables."""

    @property
    def axis(self) -> str:
        """The label with its unit, such as `PSNR (dB)`."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


# "to the original's reading": the judge's label map of the original stands for the truth
_KNOWN = {
    "bpp": Description("Rate", "bpp", None, 3),
    "psnr": Description("PSNR", "dB", True, 2),
    "ms_ssim": Description("MS-SSIM", "", True, 3),
    "feature_distance": Description("Feature distance", "", False, 3),
    "lpips": Description("LPIPS", "", False, 3),
    "dists": Description("DISTS", "", False, 3),
    "fid": Description("FID", "", False, 1),
    "kid": Description("KID", "", False, 4),
    "discriminator_fm": Description("Discriminator features", "", False, 3),
    "musiq": Description("MUSIQ", "", True, 2),
    "accuracy": Description("Pixel accuracy", "", True, 3),
    "accuracy_self": Description("Pixel accuracy to the original's reading", "", True, 3),
    "miou": Description("mIoU", "", True, 3),
    "miou_self": Description("mIoU to the original's reading", "", True, 3),
    "miou_ratio": Description("mIoU / ceiling", "", True, 3),
    "latent_iou": Description("Latent IoU", "", None, 3),
}
PERCEPTUAL = ("lpips", "dists", "fid", "kid", "feature_distance", "musiq")
"""Metrics of perception, the first one that was measured stands for it."""


def describe(metric: str) -> Description:
    """A metric by its column's name; `ms_ssim_N` names its scales, `iou_CLASS` its class.

    An unknown name is shown as it is and ranks nothing.
    """
    if metric in _KNOWN:
        return _KNOWN[metric]
    if metric.startswith("iou_"):
        return Description(f"IoU {metric.removeprefix('iou_')}", "", True, 3)
    if metric.startswith("ms_ssim_"):
        return _KNOWN["ms_ssim"]._replace(label=f"MS-SSIM ({metric.removeprefix('ms_ssim_')} scales)")
    return Description(metric, "", None, 3)


def ordered(metrics: set[str]) -> list[str]:
    """Metrics in the order to show them: distortion, perception, semantics, then the unknown by name."""
    order = list(_KNOWN)

    def place(metric: str) -> tuple[int, str]:
        known = "ms_ssim" if metric.startswith("ms_ssim") else metric
        return (order.index(known) if known in _KNOWN else len(order), metric)

    return sorted(metrics, key=place)


def has_ceiling(metric: str) -> bool:
    """Whether the uncompressed image falls short of the metric's best value, so that its own is worth showing."""
    return metric in {"miou", "accuracy", "musiq"} or metric.startswith("iou_")
