"""Means over images that do not depend on batches or processes, and the pixels that every metric judges."""

import torch
from torch import Tensor
from torchmetrics import Metric

from semcomp_pl.errors import SemcompError


def as_decoded(image: Tensor) -> Tensor:
    """The values that an 8-bit file would hold, still in [0, 1].

    Args:
        image: float (..., H, W) of any floating type, range [0, 1]; what lies outside is clipped.

    Returns:
        Float32 (..., H, W), multiples of 1/255.
    """
    return image.float().mul(255).round().clamp(0, 255).div(255)


def check_pair(reconstruction: Tensor, image: Tensor) -> None:
    """Refuse pairs that would broadcast into a wrong figure.

    Raises:
        SemcompError: not two tensors of one shape (B, 3, H, W).
    """
    if reconstruction.shape != image.shape or image.ndim != 4 or image.shape[1] != 3:
        raise SemcompError(
            f"reconstruction of shape {tuple(reconstruction.shape)} and image of shape {tuple(image.shape)} "
            "found, expected one shape (B, 3, H, W) for both; crop or enlarge the reconstruction first"
        )


class ImageMean(Metric):
    """Mean over images of one value per image, whatever the batch sizes and the number of processes.

    Subclasses compute the values in `update` and pass them to `_add`.
    """

    is_differentiable = False
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def _add(self, values: Tensor) -> None:
        """Count the images' values (B,)."""
        # out of place: under inference_mode the states may be inference tensors
        self.total = self.total + values.detach().double().sum()
        self.count = self.count + values.numel()

    def compute(self) -> Tensor:
        """Scalar float64, NaN before the first image."""
        return self.total / self.count
