"""Intersection over union of label maps, from one confusion matrix of the whole data set."""

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import multiclass_confusion_matrix

from semcomp_pl.errors import SemcompError
from semcomp_pl.types import IGNORE


def confusion(prediction: Tensor, label: Tensor, num_classes: int) -> Tensor:
    """Pixels by true class (rows) and predicted class (columns), without those labelled 255.

    Args:
        prediction: long (B, H, W), 0..K-1.
        label: long (B, H, W), 0..K-1 or 255.
        num_classes: K.

    Returns:
        Long (K, K).

    Raises:
        SemcompError: the shapes differ or an id is outside its range.
    """
    if prediction.shape != label.shape:
        raise SemcompError(
            f"prediction of shape {tuple(prediction.shape)} and label of shape {tuple(label.shape)} found, "
            "expected one shape (B, H, W) for both; bring the prediction to the label's size"
        )
    for name, ids in (("prediction", prediction), ("label", label[label != IGNORE])):
        if ids.numel() and not 0 <= ids.min() <= ids.max() < num_classes:
            raise SemcompError(
                f"{name} ids {int(ids.min())}..{int(ids.max())} found, expected 0..{num_classes - 1}; "
                "use a segmenter and a data set of one taxonomy"
            )
    return multiclass_confusion_matrix(prediction, label, num_classes, ignore_index=IGNORE, validate_args=False).long()


def class_iou(confusion: Tensor) -> Tensor:
    """IoU of each class (K,) float64 in [0, 1] from a matrix (K, K); NaN where a class is absent.

    A class is absent when it is neither labelled nor predicted on any judged pixel, as Cityscapes counts.
    Source: https://github.com/mcordts/cityscapesScripts
    """
    hits = confusion.diagonal().double()
    return hits / (confusion.sum(dim=0) + confusion.sum(dim=1) - hits)


class MeanIoU(Metric):
    """Mean over the present classes of the IoU over all pixels of all images."""

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    matrix: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.add_state("matrix", torch.zeros(num_classes, num_classes, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, label: Tensor) -> None:
        """Count a batch, shaped as for `confusion`."""
        self.matrix = self.matrix + confusion(prediction, label, self.num_classes)

    def compute(self) -> Tensor:
        """Scalar float64 in [0, 1]; NaN where no pixel was judged."""
        return class_iou(self.matrix).nanmean()

    def per_class(self) -> Tensor:
        """`class_iou` (K,) of all pixels so far, over all processes."""
        with self.sync_context():
            return class_iou(self.matrix)
