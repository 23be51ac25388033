"""Metrics of the predictions of a judge, a segmenter that no codec was trained against."""

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, cast

import torch
from torch import Tensor, nn

from semcomp_pl.codecs.pixels import as_decoded
from semcomp_pl.metrics.facts import MetricFacts
from semcomp_pl.metrics.miou import MeanIoU, class_iou, pixel_accuracy
from semcomp_pl.metrics.network import in_float32


class Judge(Protocol):
    """What a judge must offer besides being an nn.Module."""

    def predict(self, image: Tensor) -> Tensor:
        """Label maps, long (B, H, W), of images (B, 3, H, W) in [0, 1]."""
        ...


def class_scores(matrix: Tensor, classes: Sequence[str] = ()) -> dict[str, Tensor]:
    """`miou`, pixel `accuracy` and `iou_CLASS` of each class that occurs, from a confusion matrix (K, K).

    Classes without names are called by their index; blanks in names become `_`. Float64 scalars in [0, 1]; empty if no
    pixel was judged.
    """
    if not matrix.any():
        return {}
    iou = class_iou(matrix)
    known = len(classes) == len(iou)
    names = ["_".join(name.split()) for name in classes] if known else [str(index) for index in range(len(iou))]
    present = {f"iou_{name}": value for name, value in zip(names, iou, strict=True) if not value.isnan()}
    return {"miou": iou.nanmean(), "accuracy": pixel_accuracy(matrix), **present}


class Judgement(nn.Module):
    """IoU and accuracy of a judge's predictions, from confusion matrices of the whole data set.

    Args:
        judge: Segmenter as described by `Judge`; it is put in eval mode, follows the images' device and stays out of
            checkpoints.
        num_classes: Number of classes K.
        classes: Names of the classes, if known.
    """

    facts: ClassVar = {
        "accuracy": MetricFacts("Pixel accuracy", "semantics", higher_is_better=True, ceiling=True),
        "accuracy_agreement": MetricFacts("Pixel agreement with the original", "semantics", higher_is_better=True),
        "miou": MetricFacts("mIoU", "semantics", higher_is_better=True, ceiling=True),
        "miou_agreement": MetricFacts("mIoU agreement with the original", "semantics", higher_is_better=True),
        "miou_ratio": MetricFacts("mIoU / ceiling", "semantics", higher_is_better=True),
        "miou_ceiling": MetricFacts("mIoU of the originals", "semantics", higher_is_better=None),
        "iou_*": MetricFacts("IoU {}", "semantics", higher_is_better=True, ceiling=True, detail=True),
    }

    def __init__(self, judge: nn.Module, num_classes: int, classes: Sequence[str] = ()) -> None:
        super().__init__()
        self._judges = (judge.eval(),)  # in a tuple, so that its weights stay out of checkpoints
        self.classes = tuple(classes)
        self.truth, self.agreement, self.ceiling = (MeanIoU(num_classes) for _ in range(3))

    @torch.no_grad()
    def update(self, reconstruction: Tensor, image: Tensor, label: Tensor | None = None) -> None:
        """Add a batch of pairs (B, 3, H, W) in [0, 1], with label maps (B, H, W) if available."""
        with in_float32(self._judges[0], image.device) as judge:
            predicted, original = (cast(Judge, judge).predict(as_decoded(x)) for x in (reconstruction, image))
        self.agreement.update(predicted, original)
        if label is not None:
            self.truth.update(predicted, label)
            self.ceiling.update(original, label)

    def compute(self) -> dict[str, Tensor]:
        """Float64 scalars over all images of all processes.

        `miou_agreement` compares with the judge's own predictions for the originals. If there were labels, `miou`,
        `accuracy` and the `iou_CLASS` of each class compare with these, `miou_ceiling` is the `miou` of the originals,
        and `miou_ratio` is `miou` as a share of it.
        """
        # three collective calls, in one order on all processes
        truth, agreement, ceiling = (metric.counts() for metric in (self.truth, self.agreement, self.ceiling))
        values = class_scores(truth, self.classes)
        if agreement.any():
            values["miou_agreement"] = class_iou(agreement).nanmean()
        if "miou" in values:
            values["miou_ceiling"] = class_iou(ceiling).nanmean()
            values["miou_ratio"] = values["miou"] / values["miou_ceiling"]
        return values

    def reset(self) -> None:
        """Discard all images counted so far."""
        for metric in (self.truth, self.agreement, self.ceiling):
            metric.reset()

    def provenance(self) -> dict[str, Any]:
        """The judge's own provenance; empty if it has none."""
        found: dict[str, Any] = getattr(self._judges[0], "provenance", dict)()
        return found
