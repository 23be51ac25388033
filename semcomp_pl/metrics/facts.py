"""Facts about metrics: label, unit, which direction is better; stated by the class that computes the metric."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

Kind = Literal["rate", "distortion", "perception", "semantics"]


@dataclass(frozen=True)
class MetricFacts:
    """Facts about one column of results, for the suite, comparisons, figures and reports.

    A metric class holds them in `facts`, by the column's name. A name that ends in `*` stands for a family of columns,
    such as `iou_*` for the IoU of each class; what replaces the `*` also replaces `{}` in the label.
    """

    label: str
    """Name in tables and on axes."""
    kind: Kind | None
    """Kind of metric; None for a column that no class of the suite describes."""
    higher_is_better: bool | None
    """Direction; None if the metric ranks nothing."""
    digits: int = 3
    """Number of decimals in tables."""
    unit: str = ""
    """Unit; empty if it has none."""
    ceiling: bool = False
    """Whether uncompressed images do not reach the best value either, so that their own value should be shown."""
    extra: bool = False
    """Whether it is computed on request only, because it takes time and in most cases needs weights."""
    detail: bool = False
    """Whether it is one of many, for a single class or channel, that progress bars should not show."""
    of_sets: Callable[[Tensor, Tensor], Tensor] | None = None
    """For a metric of whole data sets: its value from features (N, D) of reconstructions and (M, D) of originals. None
    for a metric of single images."""

    @property
    def axis(self) -> str:
        """The label with its unit, such as `PSNR (dB)`."""
        return f"{self.label} ({self.unit})" if self.unit else self.label
