"""What several judges say of the same codecs: how far they agree, and what relatives see that strangers do not."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from semcomp_pl.compare.rows import ORACLE
from semcomp_pl.compare.statistics.bootstrap import Array, interval, paired
from semcomp_pl.compare.statistics.points import Measured, Setting, gaps
from semcomp_pl.compare.summary import AtRate, Estimate, Gain, Judge, Order, headline
from semcomp_pl.metrics.catalogue import by_judge


def judges_of(provenance: Mapping[str, Any]) -> list[Judge]:
    """The judges as the provenance of a comparison names them; none for one of an older version."""
    judges, kin = provenance.get("judges"), provenance.get("relatives")
    if not isinstance(judges, dict) or not isinstance(kin, dict):
        return []
    return [Judge(name, said["architecture"], said["encoder"], kin.get(name, {})) for name, said in judges.items()]


def panels(judges: Sequence[Judge]) -> tuple[list[str], list[str]]:
    """Names of several judges, and of the strangers among them; none for a single judge, whose columns have no name."""
    return ([one.name for one in judges], headline(judges)) if len(judges) > 1 else ([], [])


def order(at: AtRate, points: Sequence[Measured], judges: Sequence[str]) -> Order | None:
    """How far judges agree on the order of points at a rate; None unless two judges saw two points."""
    seen = [one for one in points if all(judge in one.judged for judge in judges)]
    if len(judges) < 2 or len(seen) < 2:
        return None
    values = np.stack([[one.judged[judge] for one in seen] for judge in judges])
    signs = np.stack([np.sign(values[:, i] - values[:, j]) for i, j in combinations(range(len(seen)), 2)], axis=1)
    taus = kendall(signs)
    metric = "miou" if any("miou" in one.metrics for one in at.differences) else "miou_agreement"
    return Order(
        tau=_estimate(taus),
        pairs=signs.shape[1],
        alike=int((np.abs(signs[:, :, 0].sum(axis=0)) == len(judges)).sum()),
        agreed=sum(metric in one.agreed for one in at.differences),
    )


def kendall(signs: Array) -> Array:
    """Kendall's tau-a (D,), averaged over pairs of judges, from signs (judges, pairs of points, D) of differences.

    Source: Kendall, A New Measure of Rank Correlation, Biometrika 30, 1938.
    """
    pairs = combinations(range(len(signs)), 2)
    taus: Array = np.mean([np.mean(signs[i] * signs[j], axis=0) for i, j in pairs], axis=0)
    return taus


def gains(points: Sequence[Measured], judges: Sequence[Judge], setting: Setting) -> list[Gain]:
    """Gains of codecs with relatives among the judges over the best codec without, by strangers and relatives.

    An oracle, which is sent the true label map, is no codec to measure a gain against.
    """
    strangers = [one.name for one in judges if not one.relatives]
    kin = {one.point.codec: [judge.name for judge in judges if one.point.codec in judge.relatives] for one in points}
    able = [one for one in points if "miou_ratio" in one.point.metrics and not one.point.codec.endswith(ORACLE)]
    free = [one for one in able if not kin[one.point.codec]]
    if not strangers or not free:
        return []
    best = max(free, key=lambda one: one.point.metrics["miou_ratio"].value)
    found = []
    for one in able:
        names = kin[one.point.codec]
        if names:
            gained = gaps(*paired(one.sample, best.sample), setting)
            means = (
                np.mean([gained[by_judge("miou_ratio", judge)] for judge in group], axis=0)
                for group in (names, strangers)
            )
            found.append(Gain(one.point.codec, best.point.codec, *map(_estimate, means)))
    return found


def _estimate(draws: Array) -> Estimate:
    return Estimate(float(draws[0]), *(interval(draws[0], draws[1:]) or (None, None)))
