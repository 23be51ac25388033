"""Means over images that do not depend on batch sizes or the number of processes."""

import torch
from torch import Tensor
from torchmetrics import Metric


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
        """Add the images' values (B,)."""
        # not in place: under inference_mode the states may be inference tensors
        self.total = self.total + values.detach().double().sum()
        self.count = self.count + values.numel()

    def compute(self) -> Tensor:
        """The mean, scalar float64; NaN before the first image."""
        return self.total / self.count
