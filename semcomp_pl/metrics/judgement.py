"""What a segmenter that no codec was trained against sees in reconstructions."""

from collections.abc import Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from semcomp_pl.metrics.image_mean import as_decoded
from semcomp_pl.metrics.miou import MeanIoU, class_iou, pixel_accuracy
from semcomp_pl.metrics.network import in_float32


class Segmenter(Protocol):
    """What is asked of a judge, besides being an nn.Module."""

    def predict(self, image: Tensor) -> Tensor:
        """Label map, long (B, H, W), of images (B, 3, H, W) in [0, 1].

        `Segmentation` enlarges images that are smaller than those it was trained on.
        """
        ...


def class_scores(matrix: Tensor, classes: Sequence[str] = ()) -> dict[str, Tensor]:
    """`miou`, pixel `accuracy` and `iou_NAME` of each class that occurs, from a confusion matrix (K, K).

    Classes without a name are called by their index; blanks in names become `_`. Float64 scalars in [0, 1]; empty
    where no pixel was judged.
    """
    if not matrix.any():
        return {}
    iou = class_iou(matrix)
    known = len(classes) == len(iou)
    names = ["_".join(name.split()) for name in classes] if known else [str(index) for index in range(len(iou))]
    present = {f"iou_{name}": value for name, value in zip(names, iou, strict=True) if not value.isnan()}
    return {"miou": iou.nanmean(), "accuracy": pixel_accuracy(matrix), **present}


class Judgement(nn.Module):
    """IoU and accuracy of a judge's label maps, from confusion matrices of the whole data set.

    Args:
        judge: As `Segmenter`; put in eval mode and moved to the images' device; in no checkpoint.
        num_classes: K.
        classes: Their names, where known.
    """

    def __init__(self, judge: nn.Module, num_classes: int, classes: Sequence[str] = ()) -> None:
        super().__init__()
        self._judges = (judge.eval(),)  # a tuple is not registered: no weights in the checkpoint
        self.classes = tuple(classes)
        self.truth, self.own, self.ceiling = (MeanIoU(num_classes) for _ in range(3))

    @torch.no_grad()
    def update(self, reconstruction: Tensor, image: Tensor, label: Tensor | None = None) -> None:
        """Count a batch of pairs (B, 3, H, W) in [0, 1], with label maps (B, H, W) where there are any."""
        with in_float32(self._judges[0], image.device) as judge:
            seen, original = (cast(Segmenter, judge).predict(as_decoded(x)) for x in (reconstruction, image))
        self.own.update(seen, original)
        if label is not None:
            self.truth.update(seen, label)
            self.ceiling.update(original, label)

    def compute(self) -> dict[str, Tensor]:
        """Float64 scalars over all images of all processes.

        `miou_self` against the judge's own reading of the originals; against labels where there were any `miou`,
        `accuracy`, `iou_NAME` of each class, `miou_ceiling`, the `miou` of the originals, and `miou_ratio` to it.
        """
        # three collective calls, in one order on all processes
        truth, own, ceiling = (metric.counts() for metric in (self.truth, self.own, self.ceiling))
        values = class_scores(truth, self.classes)
        if own.any():
            values["miou_self"] = class_iou(own).nanmean()
        if "miou" in values:
            values["miou_ceiling"] = class_iou(ceiling).nanmean()
            values["miou_ratio"] = values["miou"] / values["miou_ceiling"]
        return values

    def reset(self) -> None:
        """Forget all images."""
        for metric in (self.truth, self.own, self.ceiling):
            metric.reset()

    def provenance(self) -> dict[str, Any]:
        """What the judge says of itself."""
        found: dict[str, Any] = getattr(self._judges[0], "provenance", dict)()
        return found
