"""Whether an encoder sees the same symbols in a reconstruction as in the original."""

from typing import ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric

from semcomp_pl.errors import SemcompError
from semcomp_pl.metrics.facts import MetricFacts
from semcomp_pl.metrics.miou import class_iou, tally


def latent_confusions(symbols: Tensor, reference: Tensor, levels: int) -> Tensor:
    """How often each level of the original (rows) became each level of the reconstruction (columns), per channel.

    Args:
        symbols: The encoder's symbols of the reconstructions, long (B, C, h, w), 0..L-1.
        reference: The encoder's symbols of the originals.
        levels: Number of levels L.

    Returns:
        Long (C, L, L).

    Raises:
        SemcompError: the shapes differ or a symbol is outside its range.
    """
    if symbols.shape != reference.shape or symbols.ndim != 4:
        raise SemcompError(
            f"symbols of shapes {tuple(symbols.shape)} and {tuple(reference.shape)} found, expected one shape "
            "(B, C, h, w) for both; encode reconstruction and original at one size"
        )
    for values in (symbols, reference):
        if values.numel() and not 0 <= values.min() <= values.max() < levels:
            raise SemcompError(
                f"symbols {int(values.min())}..{int(values.max())} found, expected 0..{levels - 1}; give the codec's "
                "levels"
            )
    channels = symbols.shape[1]
    channel = torch.arange(channels, device=symbols.device).view(-1, 1, 1)
    return tally(channel, reference, symbols, channels, levels)


def latent_iou(symbols: Tensor, reference: Tensor, levels: int) -> Tensor:
    """IoU of each level over all symbols of a batch, averaged over the levels that occur in either.

    It tells how stable a codec's code is, and ranks nothing: each codec is measured by its own encoder, and a codec
    that codes all images alike would reach 1.

    Args:
        symbols: Symbols of the reconstructions, as for `latent_confusions`.
        reference: Symbols of the originals.
        levels: Number of levels L.

    Returns:
        Scalar float64 in [0, 1].
    """
    return class_iou(latent_confusions(symbols, reference, levels).sum(dim=0)).nanmean()


class LatentIoU(Metric):
    """`latent_iou` over the symbols of all images, for all channels together and for each; it ranks nothing.

    Args:
        channels: Number of channels C.
        levels: Number of levels L.
    """

    facts: ClassVar = {
        "latent_iou": MetricFacts("Latent IoU", "semantics", higher_is_better=None),
        "latent_iou_*": MetricFacts("Latent IoU of channel {}", "semantics", higher_is_better=None, detail=True),
    }

    is_differentiable = False
    higher_is_better = None
    full_state_update = False
    matrix: Tensor

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__()
        self.levels = levels
        self.add_state("matrix", torch.zeros(channels, levels, levels, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, symbols: Tensor, reference: Tensor) -> None:
        """Add a batch; arguments as for `latent_confusions`."""
        self.matrix = self.matrix + latent_confusions(symbols, reference, self.levels)

    def compute(self) -> dict[str, Tensor]:
        """Float64 scalars in [0, 1]: `latent_iou`, and `latent_iou_c` of each channel c."""
        values = {"latent_iou": class_iou(self.matrix.sum(dim=0)).nanmean()}
        return values | {f"latent_iou_{c}": iou for c, iou in enumerate(class_iou(self.matrix).nanmean(dim=-1))}
