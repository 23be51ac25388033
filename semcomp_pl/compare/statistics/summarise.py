"""Computing the summary of a comparison from its rows."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import polars as pl

from semcomp_pl.compare.rows import SEED, Results, check
from semcomp_pl.compare.statistics.bootstrap import LEVEL, Bootstrap
from semcomp_pl.compare.statistics.delta import Curve, compare, swap
from semcomp_pl.compare.statistics.judges import gains, judges_of, order, panels
from semcomp_pl.compare.statistics.points import Measured, Setting, difference, measure
from semcomp_pl.compare.statistics.rates import at_rate
from semcomp_pl.compare.summary import TARGETS, AtRate, Bjontegaard, Caution, Difference, Judge, Point, Summary
from semcomp_pl.errors import SemcompError
from semcomp_pl.metrics import describe, is_detail, ordered

_OWN = "own point"  # a column that no table of results has


def summarise(results: Results, *, draws: int = 10_000, seed: int = 0, targets: Sequence[float] = TARGETS) -> Summary:
    """Summarise the rows of a comparison, finished or not.

    Args:
        results: Rows and their provenance.
        draws: Number of bootstrap resamplings.
        seed: Seed of the bootstrap.
        targets: Rates in bits per pixel at which codecs are compared.

    Raises:
        SemcompError: the rows fail `rows.check`, or their confusion counts do not fit the class names.
    """
    images: list[str] = sorted(check(results.rows)["image"].unique())
    classes = [str(name) for name in results.provenance.get("classes", [])]
    places = {image: place for place, image in enumerate(images)}
    judges = judges_of(results.provenance)
    judging, panel = panels(judges)
    setting = Setting(places, classes, Bootstrap(len(images), draws, seed), judges=judging, panel=panel)
    original, setting = _ceiling(results, setting)
    measured = _measure(results, setting, original=False)
    kinds = {one.point.codec: one.point.kind for one in measured}
    codecs = sorted(kinds, key=lambda codec: (kinds[codec], codec))  # "model" sorts before "reference"
    measured.sort(key=lambda one: (codecs.index(one.point.codec), one.point.bpp.value if one.point.bpp else 0))
    points = [one.point for one in measured]
    ceiling = original.point if original else None
    names = {name for one in [*points, *([ceiling] if ceiling else [])] for name in one.metrics}
    return Summary(
        codecs=codecs,
        images=images,
        classes=classes,
        metrics=ordered(name for name in names if not is_detail(name)),
        points=points,
        ceiling=ceiling,
        at_rates=_at_rates(targets, codecs, measured, setting, judges),
        bjontegaard=_deltas(codecs, measured),
        warnings=_warnings(points, ceiling, len(images), len(results.provenance.get("images", images))),
        draws=draws,
        level=LEVEL,
        seed=seed,
        provenance=dict(results.provenance),
        judges=judges,
    )


def _ceiling(results: Results, setting: Setting) -> tuple[Measured | None, Setting]:
    """The originals, and the setting with the judge's counts for them."""
    originals = _measure(results, setting, original=True)
    if not originals:
        return None, setting
    if len(originals) > 1:
        raise SemcompError(f"{len(originals)} points of kind original found, expected one; merge one comparison only")
    return originals[0], replace(setting, ceiling=originals[0].sample)


def _measure(results: Results, setting: Setting, *, original: bool) -> list[Measured]:
    rows = results.rows.filter((pl.col("kind") == "original") == original)
    own = pl.when(pl.col("seed").is_null()).then("point").otherwise(pl.col("point").str.replace(f"{SEED}-?\\d+$", ""))
    found = []
    for group in rows.with_columns(own.alias(_OWN)).partition_by("codec", _OWN, maintain_order=True):
        seeds = group.drop(_OWN).partition_by("point", maintain_order=True)
        sets = results.set_metrics.get(group["codec"][0], {})
        given = [sets.get(one["point"][0], {}) for one in seeds]
        found.append(measure(seeds, group[_OWN][0], setting, given))
    return found


def _at_rates(
    targets: Sequence[float],
    codecs: Sequence[str],
    measured: Sequence[Measured],
    setting: Setting,
    judges: Sequence[Judge],
) -> list[AtRate]:
    samples = {(one.point.codec, one.point.point): one for one in measured}
    known: dict[tuple[str, str, str, str], Difference] = {}

    def paired(one: Point, other: Point) -> Difference:
        """Paired difference, computed once per pair, as a point may be used at several targets."""
        key = (one.codec, one.point, other.codec, other.point)
        if key not in known:
            known[key] = difference(samples[key[:2]], samples[key[2:]], setting)
        return known[key]

    found = []
    for target in targets:
        at = at_rate(target, codecs, [one.point for one in measured], paired)
        here = [samples[entry.codec, entry.point] for entry in at.entries if entry.point is not None]
        found.append(replace(at, order=order(at, here, setting.judges), gains=gains(here, judges, setting)))
    return found


def _deltas(codecs: Sequence[str], measured: Sequence[Measured]) -> list[Bjontegaard]:
    names = {name for one in measured for name in one.curve if describe(name).higher_is_better is not None}
    found = []
    for metric in ordered(names):
        curves = {codec: _curve(codec, metric, measured) for codec in codecs}
        for anchor, test in combinations(codecs, 2):
            if curves[anchor].rate.size and curves[test].rate.size:
                delta = compare(curves[anchor], curves[test], metric)
                found += [delta, swap(delta)]
    return found


def _curve(codec: str, metric: str, measured: Sequence[Measured]) -> Curve:
    """The curve of a codec's points that have the metric for all images."""
    points = [one for one in measured if one.point.codec == codec and not one.point.lacking and metric in one.curve]
    if not points:
        return Curve(codec, np.empty((1, 0)), np.empty((1, 0)))
    columns = [np.stack([one.curve[name] for one in points], axis=1) for name in ("bpp", metric)]
    return Curve(codec, *columns)


def _warnings(points: Sequence[Point], ceiling: Point | None, images: int, planned: int) -> list[Caution]:
    found = [] if ceiling else [Caution("no_ceiling")]
    if images < planned:
        found.append(Caution("unfinished", images, planned))
    for one in [*points, *([ceiling] if ceiling else [])]:
        measured = one.images + one.lacking
        if one.failed:
            found.append(Caution("failed", one.failed, measured, one.codec, one.point))
        if one.no_file and one.images:  # a point without any file is expected if a format cannot reach a target
            found.append(Caution("no_file", one.no_file, measured, one.codec, one.point))
        if measured < images:
            found.append(Caution("incomplete", measured, images, one.codec, one.point))
    if images == 1:
        found.append(Caution("one_image"))
    return found
