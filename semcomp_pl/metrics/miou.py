"""Intersection over union of label maps, from one confusion matrix of the whole data set."""

import torch
from torch import Tensor
from torchmetrics import Metric

from semcomp_pl.errors import SemcompError
from semcomp_pl.types import IGNORE


def image_confusions(prediction: Tensor, label: Tensor, num_classes: int) -> Tensor:
    """Number of pixels of each image by true class (rows) and predicted class (columns), except those labelled 255.

    Args:
        prediction: Long (B, H, W), 0..K-1.
        label: Long (B, H, W), 0..K-1 or 255.
        num_classes: Number of classes K.

    Returns:
        Long (B, K, K).

    Raises:
        SemcompError: the shapes differ or an id is outside its range.
    """
    if prediction.shape != label.shape or label.ndim != 3:
        raise SemcompError(
            f"prediction of shape {tuple(prediction.shape)} and label of shape {tuple(label.shape)} found, "
            "expected one shape (B, H, W) for both; bring the prediction to the label's size"
        )
    known = label != IGNORE
    for name, ids in (("prediction", prediction), ("label", label[known])):
        if ids.numel() and not 0 <= ids.min() <= ids.max() < num_classes:
            raise SemcompError(
                f"{name} ids {int(ids.min())}..{int(ids.max())} found, expected 0..{num_classes - 1}; "
                "use a segmenter and a data set of one taxonomy"
            )
    image = torch.arange(len(label), device=label.device).view(-1, 1, 1).expand_as(label)
    return tally(image[known], label[known], prediction[known], len(label), num_classes)


def tally(group: Tensor, row: Tensor, column: Tensor, groups: int, size: int) -> Tensor:
    """How often each (row, column) occurs in each group: long (groups, size, size) from ids of one shape."""
    cells = (group * size + row) * size + column
    return cells.flatten().bincount(minlength=groups * size**2).view(groups, size, size)


def confusion(prediction: Tensor, label: Tensor, num_classes: int) -> Tensor:
    """`image_confusions` of all images together: long (K, K)."""
    return image_confusions(prediction, label, num_classes).sum(dim=0)


def class_iou(confusion: Tensor) -> Tensor:
    """IoU of each class (..., K) float64 in [0, 1] from matrices (..., K, K); NaN where a class is absent.

    A class is absent when no judged pixel has it as its label or prediction, as in Cityscapes' evaluation.
    Source: https://github.com/mcordts/cityscapesScripts
    """
    hits = confusion.diagonal(dim1=-2, dim2=-1).double()
    return hits / (confusion.sum(dim=-2) + confusion.sum(dim=-1) - hits)


def pixel_accuracy(confusion: Tensor) -> Tensor:
    """Share of the judged pixels whose class is right, float64 (...) in [0, 1], from matrices (..., K, K)."""
    return confusion.diagonal(dim1=-2, dim2=-1).sum(dim=-1).double() / confusion.sum(dim=(-2, -1))


class MeanIoU(Metric):
    """Mean IoU over the classes that occur, each over all pixels of all images.

    Args:
        num_classes: Number of classes K.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    matrix: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.add_state("matrix", torch.zeros(num_classes, num_classes, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, label: Tensor) -> None:
        """Add a batch; arguments as for `confusion`."""
        self.matrix = self.matrix + confusion(prediction, label, self.num_classes)

    def compute(self) -> Tensor:
        """The mean IoU, scalar float64 in [0, 1]; NaN if no pixel was judged."""
        return class_iou(self.matrix).nanmean()

    def counts(self) -> Tensor:
        """The confusion matrix, long (K, K), of all pixels so far, over all processes."""
        with self.sync_context():
            return self.matrix.clone()

    def per_class(self) -> Tensor:
        """`class_iou` (K,) of all pixels so far, over all processes."""
        return class_iou(self.counts())
