"""What a metric is called, its unit and which way is better: written once, beside the class that computes it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

Kind = Literal["rate", "distortion", "perception", "semantics"]


@dataclass(frozen=True)
class MetricFacts:
    """One column of figures, as suite, comparison, figures and report need to know it.

    A metric class holds them in `facts`, by the column's name. A name that ends in `*` stands for a family of columns,
    such as `iou_*` for the IoU of each class; what replaces the `*` also replaces `{}` in the label.
    """

    label: str
    """In tables and on axes."""
    kind: Kind | None
    """None for a column that no class of the suite describes."""
    higher_is_better: bool | None
    """None where it ranks nothing."""
    digits: int = 3
    """After the decimal point, in tables."""
    unit: str = ""
    """Empty where it has none."""
    ceiling: bool = False
    """Whether the uncompressed image falls short of the best value, so that its own is worth showing."""
    extra: bool = False
    """Whether only those who ask for it get it: it takes time, and most such metrics need weights."""
    detail: bool = False
    """Whether it is one of many, a class's or a channel's, that nobody wants to watch."""
    of_sets: Callable[[Tensor, Tensor], Tensor] | None = None
    """For a metric that only a whole data set has: its value from features (N, D) of reconstructions and (M, D) of
    originals. None for a metric that single images have."""

    @property
    def axis(self) -> str:
        """The label with its unit, such as `PSNR (dB)`."""
        return f"{self.label} ({self.unit})" if self.unit else self.label
