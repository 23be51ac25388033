"""All metrics in display order, and the facts about each column by its name."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, TypeAlias, cast

from torch import Tensor
from torchmetrics import Metric

from semcomp_pl.metrics.discriminator_fm import DiscriminatorFM
from semcomp_pl.metrics.facts import MetricFacts
from semcomp_pl.metrics.feature_distance import FeatureDistance
from semcomp_pl.metrics.fid import FID, KID
from semcomp_pl.metrics.judgement import Judgement
from semcomp_pl.metrics.latent_iou import LatentIoU
from semcomp_pl.metrics.ms_ssim import MeanMSSSIM
from semcomp_pl.metrics.perceptual import DISTS, LPIPS, MUSIQ
from semcomp_pl.metrics.psnr import MeanPSNR
from semcomp_pl.metrics.rate import MeanRate


class _Described(Protocol):
    facts: ClassVar[dict[str, MetricFacts]]


# grouped by kind; figures show the first perception metric that was measured
CLASSES: tuple[type[_Described], ...] = (
    *(MeanRate, MeanPSNR, MeanMSSSIM),
    *(LPIPS, DISTS, FID, KID, FeatureDistance, MUSIQ, DiscriminatorFM),
    *(Judgement, LatentIoU),
)
FACTS: Mapping[str, MetricFacts] = {name: facts for one in CLASSES for name, facts in one.facts.items()}
"""Facts of all columns and families of columns, in display order."""
EXTRAS = {name: cast(Callable[[], Metric], one) for one in CLASSES for name, facts in one.facts.items() if facts.extra}
"""Classes of the metrics that are computed only on request."""
SETS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    name: facts.of_sets for name, facts in FACTS.items() if facts.of_sets is not None
}
"""Metrics of whole data sets, as functions of features (N, D) of reconstructions and those of their originals."""

if TYPE_CHECKING:
    Extra: TypeAlias = str
else:
    Extra = Literal[tuple(EXTRAS)]  # command lines list and check the names


def by_judge(name: str, judge: str) -> str:
    """The column of one judge among several, such as `miou@linknet`; the name itself if there is one judge alone."""
    return f"{name}@{judge}" if judge else name


def of_judge(column: str) -> tuple[str, str]:
    """Name and judge of a column; the judge is empty for the mean of a panel, or if there is one judge alone."""
    name, _, judge = column.partition("@")
    return name, judge


def describe(name: str) -> MetricFacts:
    """The facts of a column; an unknown column is shown under its own name and ranks nothing."""
    name, judge = of_judge(name)
    if judge:
        facts = describe(name)
        return replace(facts, label=f"{facts.label}, {judge}", detail=True)
    if name in FACTS:
        return FACTS[name]
    family = _family(name)
    if family is None:
        return MetricFacts(name, None, None)
    return replace(FACTS[family], label=FACTS[family].label.format(name.removeprefix(family[:-1])))


def is_detail(name: str) -> bool:
    """Whether a column is one of many, for a single class or channel, that progress bars should not show."""
    return describe(name).detail


def ordered(names: Iterable[str]) -> list[str]:
    """Columns in display order: rate, distortion, perception, semantics, then unknown columns by name."""
    order = list(FACTS)

    def place(name: str) -> tuple[int, str]:
        known = name if name in FACTS else _family(name)
        return (len(order) if known is None else order.index(known), name)

    return sorted(names, key=place)


def perceptual(names: Iterable[str]) -> list[str]:
    """The columns that are perception metrics; figures use the first one."""
    return [name for name in ordered(names) if describe(name).kind == "perception"]


def _family(name: str) -> str | None:
    """The family that a column belongs to, such as `iou_*`."""
    return next((known for known in FACTS if known.endswith("*") and name.startswith(known[:-1])), None)
