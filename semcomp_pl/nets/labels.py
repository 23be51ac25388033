"""Label maps as networks see them."""

import torch
import torch.nn.functional as F
from torch import Tensor

from semcomp_pl.errors import SemcompError
from semcomp_pl.types import IGNORE, Batch


def one_hot(label: Tensor, num_classes: int) -> Tensor:
    """Label map (B, H, W) of ids 0..K-1 or 255 to floats (B, K, H, W), all zero at ignored pixels."""
    return _votes(label, torch.arange(num_classes, device=label.device))


def _votes(label: Tensor, ids: Tensor) -> Tensor:
    """Where a label map (B, H, W) has each of the ids (K,): 0 or 1, (B, K, H, W) in channels_last memory format."""
    # F.one_hot reads the largest label back from the device
    return (label[..., None] == ids).permute(0, 3, 1, 2).float()


def boundaries(ids: Tensor) -> Tensor:
    """Boundary pixels (B, H, W), bool, of a map (B, H, W): those with another id at one of their four neighbours.

    Source: Wang et al., https://arxiv.org/abs/1711.11585, section 3.3.
    """
    edges = torch.zeros_like(ids, dtype=torch.bool)
    across, down = ids[:, :, 1:] != ids[:, :, :-1], ids[:, 1:] != ids[:, :-1]
    edges[:, :, 1:] |= across
    edges[:, :, :-1] |= across
    edges[:, 1:] |= down
    edges[:, :-1] |= down
    return edges


def majority(label: Tensor, num_classes: int, step: int) -> Tensor:
    """The most frequent id, which may be 255, of each step x step cell: (B, H, W) to (B, H/step, W/step).

    Sides must be multiples of `step`; among equally frequent ids the smallest is taken.
    """
    ids = torch.arange(num_classes + 1, device=label.device)
    winner = F.avg_pool2d(_votes(label.where(label != IGNORE, num_classes), ids), step).argmax(1)
    return winner.where(winner != num_classes, IGNORE)


def check_labels(label: Tensor, image: Tensor, num_classes: int) -> None:
    """Refuse label maps that do not fit images (B, 3, H, W) or K classes.

    Raises:
        SemcompError: the sizes differ, or an id is neither in 0..K-1 nor 255.
    """
    expected = (len(image), *image.shape[-2:])
    if tuple(label.shape) != expected:
        raise SemcompError(
            f"label maps of shape {tuple(label.shape)} found, expected {expected}; give one of each image's size"
        )
    strange = (label != IGNORE) & ((label < 0) | (label >= num_classes))
    if strange.any():
        raise SemcompError(
            f"label id {int(label[strange][0])} found, expected 0..{num_classes - 1} or {IGNORE}; use the classes that "
            "the model was trained on"
        )


def labels_of(batch: Batch, model: str) -> Tensor:
    """The batch's label maps.

    Raises:
        SemcompError: the data have none.
    """
    if "label" not in batch:
        raise SemcompError(
            f"{model} needs label maps, the data have none; choose data with labels, or name a segmenter"
        )
    return batch["label"]
