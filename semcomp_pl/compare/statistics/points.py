"""Values of an operating point, and paired differences of two points."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from semcomp_pl.compare.rows import SECTION, Kind, confusion_names, metric_names, section_names
from semcomp_pl.compare.statistics.bootstrap import Array, Bootstrap, Sample, hits_and_unions, interval, paired
from semcomp_pl.compare.summary import Difference, Estimate, Point
from semcomp_pl.errors import SemcompError
from semcomp_pl.metrics import describe, is_detail
from semcomp_pl.metrics.catalogue import by_judge, of_judge

_IOU = {"confusion": "miou", "confusion_agreement": "miou_agreement"}


@dataclass(frozen=True)
class Setting:
    """What all points of a comparison have in common."""

    images: Mapping[str, int]
    """Index of each image, 0..N-1, by name."""
    classes: list[str]
    bootstrap: Bootstrap
    ceiling: Sample | None = None
    """Results of the originals."""
    judges: Sequence[str] = ()
    """Names of the judges, if there are several."""
    panel: Sequence[str] = ()
    """Those of them that are strangers to all codecs, whose mean is the headline; all if there is no stranger."""

    def values(self, sample: Sample) -> dict[str, Array]:
        """All values of a point, see `Bootstrap.values`."""
        return self.bootstrap.values(sample, self.classes, self.ceiling, self.panel)


@dataclass(frozen=True)
class Measured:
    """A point, its results by image, and the resamplings that curves and the judges' orders need."""

    point: Point
    sample: Sample
    curve: dict[str, Array]
    """`bpp` and the ranked metrics, (1 + draws,), or (1,) if single images have no value."""
    judged: dict[str, Array]
    """The mIoU under each of several judges, (1 + draws,): with the truth, or without labels with the original."""


def measure(
    seeds: Sequence[pl.DataFrame], name: str, setting: Setting, given: Sequence[Mapping[str, float]]
) -> Measured:
    """Compute the values of one point, pooled over the seeds of its training: means of metrics, sums of counts.

    Args:
        seeds: Rows of one codec and point, a table for each seed of the training.
        name: Name of the point.
        setting: What all points have in common.
        given: Metrics of the whole data set, for each seed.

    Raises:
        SemcompError: the rows disagree about the point, or confusion counts do not fit the classes.
    """
    rows = pl.concat(seeds)
    first = rows.row(0, named=True)
    _check_one_point(rows)
    samples = [_by_image(one.filter(status="ok"), setting) for one in seeds]
    sample = _pooled(samples)
    values = setting.values(sample)
    sets = {metric: float(np.mean([one[metric] for one in given])) for metric in given[0]}
    estimates = _estimates(values, sample, setting.classes) | {
        metric: Estimate(value) for metric, value in sets.items()
    }
    estimates = _with_spread(estimates, samples, given, setting)
    curve = {name: values[name] for name in estimates if name == "bpp" or (_ranked(name) and name in values)}
    if len(setting.images) == 1:
        curve = {name: draws[:1] for name, draws in curve.items()}
    curve |= {metric: np.array([value]) for metric, value in sets.items()}
    fine = rows.filter(pl.col("image").is_in(rows.filter(pl.col("status") != "ok")["image"].implode()).not_())
    point = Point(
        codec=first["codec"],
        point=name,
        kind=cast(Kind, first["kind"]),
        target=first["target"],
        images=fine["image"].n_unique(),
        no_file=rows.filter(status="no_file")["image"].n_unique(),
        failed=rows.filter(status="failed")["image"].n_unique(),
        bpp=estimates.pop("bpp", None),
        sections=_mean_bytes(fine),
        metrics=estimates,
        encode_seconds=cast(float | None, fine["encode_seconds"].median()),
        decode_seconds=cast(float | None, fine["decode_seconds"].median()),
        peak_memory=cast(int | None, rows["peak_memory"].max()),
        seeds=len(seeds),
    )
    truth = "miou" if any(of_judge(name)[0] == "miou" for name in values) else "miou_agreement"
    judged = {judge: values[by_judge(truth, judge)] for judge in setting.judges if by_judge(truth, judge) in values}
    return Measured(point, sample, curve, judged)


def _check_one_point(rows: pl.DataFrame) -> None:
    for name in ("kind", "target"):
        if rows[name].n_unique() > 1:
            raise SemcompError(
                f"several values of {name} found at codec {rows['codec'][0]}, point {rows['point'][0]}, expected one; "
                "give each operating point a name of its own"
            )


def _pooled(samples: Sequence[Sample]) -> Sample:
    """Results by image over all seeds, NaN where one of them has none: means of metrics, sums of hits and unions."""
    common = set.intersection(*(set(one) for one in samples))
    return {
        name: (np.mean if samples[0][name].ndim == 1 else np.sum)([one[name] for one in samples], axis=0)
        for name in samples[0]
        if name in common
    }


def _with_spread(
    estimates: Mapping[str, Estimate], samples: Sequence[Sample], given: Sequence[Mapping[str, float]], setting: Setting
) -> dict[str, Estimate]:
    """The estimates with the standard deviation over seeds, where there are several."""
    if len(samples) < 2:
        return dict(estimates)
    whole = replace(setting, bootstrap=Bootstrap(len(setting.images), 0))
    found = [
        {name: draws[0] for name, draws in whole.values(sample).items()} | dict(sets)
        for sample, sets in zip(samples, given, strict=True)
    ]
    return {
        name: replace(one, spread=float(np.std([each[name] for each in found], ddof=1)))
        for name, one in estimates.items()
    }


def difference(one: Measured, other: Measured, setting: Setting) -> Difference:
    """Paired differences of two points, `one` minus `other`."""
    mine, theirs = paired(one.sample, other.sample)
    found = gaps(mine, theirs, setting)
    estimates = _estimates(found, mine, setting.classes)
    for name in (one.point.metrics.keys() & other.point.metrics.keys()) - found.keys():
        estimates[name] = Estimate(one.point.metrics[name].value - other.point.metrics[name].value)
    agreed = [name for name in ("miou", "miou_agreement", "miou_ratio") if _agreed(name, estimates, setting.judges)]
    return Difference(one.point.codec, other.point.codec, dict(sorted(estimates.items())), agreed)


def gaps(one: Sample, other: Sample, setting: Setting) -> dict[str, Array]:
    """Differences of all values of two points, each (1 + draws,); the samples are `paired`."""
    values, others = setting.values(one), setting.values(other)
    with np.errstate(invalid="ignore"):  # infinite minus infinite
        return {name: values[name] - others[name] for name in values}


def _agreed(metric: str, gaps: Mapping[str, Estimate], judges: Sequence[str]) -> bool:
    """Whether the intervals of all of several judges lie on the same side of zero."""
    found = [gaps[by_judge(metric, judge)] for judge in judges if by_judge(metric, judge) in gaps]
    if len(found) < max(2, len(judges)):
        return False
    above = [one.low is not None and one.low > 0 for one in found]
    below = [one.high is not None and one.high < 0 for one in found]
    return all(above) or all(below)


def iou_column(name: str) -> str:
    """The metric that is computed from a column of confusion counts."""
    metric, judge = of_judge(name)
    return by_judge(_IOU[metric], judge)


def _ranked(metric: str) -> bool:
    return describe(metric).higher_is_better is not None and not is_detail(metric)


def _by_image(rows: pl.DataFrame, setting: Setting) -> dict[str, Array]:
    places = np.array([setting.images[image] for image in rows["image"]], np.int64)
    sample = {}
    for name in ["bpp", *metric_names(rows)]:
        column = rows[name].cast(pl.Float64).to_numpy()
        if not np.isnan(column).all():
            sample[name] = np.full(len(setting.images), np.nan)
            sample[name][places] = column
    for name in confusion_names(rows):
        judged = ~rows[name].is_null().to_numpy()
        if judged.any():
            k = len(setting.classes)
            if set(rows[name].drop_nulls().list.len()) != {k * k}:
                raise SemcompError(
                    f"{name} of {sorted(set(rows[name].drop_nulls().list.len()))} counts found at codec "
                    f"{rows['codec'][0]}, expected {k * k} for the {k} classes of the provenance; "
                    "give all rows the confusion of the same judges, and its class names as provenance 'classes'"
                )
            counts = np.array(rows[name].drop_nulls().to_list(), np.int64).reshape(-1, k, k)
            iou = iou_column(name)
            sample[iou] = np.full((len(setting.images), 2, k), np.nan)
            sample[iou][places[judged]] = hits_and_unions(counts)
    return sample


def _estimates(values: Mapping[str, Array], sample: Sample, classes: Sequence[str]) -> dict[str, Estimate]:
    """The finite values, with an interval if more than one image has a value."""
    estimates = {}
    for name, draws in values.items():
        if np.isfinite(draws[0]):
            ends = interval(draws[0], draws[1:]) if np.count_nonzero(_seen(name, sample, classes)) > 1 else None
            estimates[name] = Estimate(float(draws[0]), *(ends or (None, None)))
    return estimates


def _seen(name: str, sample: Sample, classes: Sequence[str]) -> NDArray[np.bool_]:
    """Which images (N,) a value rests on."""
    metric, judge = of_judge(name)
    if name in sample and sample[name].ndim == 1:
        return ~np.isnan(sample[name])
    base = "miou_agreement" if metric == "miou_agreement" else "miou"
    counts = [array for known, array in sample.items() if of_judge(known) in ((base, judge), (base, ""))]
    counts = counts or [array for array in sample.values() if array.ndim == 3]
    unions = counts[0][:, 1]
    if metric.startswith("iou_"):
        return unions[:, classes.index(metric.removeprefix("iou_"))] > 0
    return ~np.isnan(unions[:, 0])


def _mean_bytes(rows: pl.DataFrame) -> dict[str, float]:
    """Mean bytes by section; a missing section counts as 0 bytes, so that sections add up to the total."""
    if rows.is_empty():
        return {}
    total = {"total": cast(float, rows["bytes"].mean())}
    sections = {name: rows[SECTION + name] for name in section_names(rows)}
    return total | {
        name: cast(float, column.fill_null(0).mean()) for name, column in sections.items() if column.is_not_null().any()
    }
