"""Figures of each source of a mixture, beside those of the whole."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric


class PartMean(Metric):
    """Mean over the images of each source of one value per image, by the source's name.

    Processes may have counted images of different sources, but each must have counted one.

    Args:
        parts: Names of the sources.
        shape: Shape of an image's value.
    """

    is_differentiable = False
    full_state_update = False
    sums: Tensor
    images: Tensor

    def __init__(self, parts: Sequence[str], shape: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.parts = tuple(parts)
        self.add_state("sums", torch.zeros(len(parts), *shape, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("images", torch.zeros(len(parts), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, names: Sequence[str], values: Tensor) -> None:
        """Add the values (B, *shape) of images that are named `PART/...`."""
        part = torch.tensor([self.parts.index(name.partition("/")[0]) for name in names], device=values.device)
        self.sums = self.sums.index_add(0, part, values.detach().double())
        self.images = self.images + part.bincount(minlength=len(self.parts))

    def compute(self) -> dict[str, Tensor]:
        """Float64 means of `shape` by source, of the sources that have an image in any process."""
        counts = self.images.tolist()
        return {
            part: self.sums[i] / count for i, (part, count) in enumerate(zip(self.parts, counts, strict=True)) if count
        }
