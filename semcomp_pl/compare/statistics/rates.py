"""Codecs side by side at a target rate: the point of each codec, the best codec, and those tied with it.

An oracle, which nobody can use, is compared with the best codec, and has no standing of its own.
"""

from collections.abc import Callable, Sequence
from itertools import combinations

from semcomp_pl.compare.rows import ORACLE
from semcomp_pl.compare.statistics.delta import negative
from semcomp_pl.compare.summary import AtRate, Difference, Entry, Estimate, Point, Standing
from semcomp_pl.metrics import describe

_SLACK = 1 + 1e-9  # a mean of rates that all equal the target may exceed it by a rounding error


def at_rate(
    target: float, codecs: Sequence[str], points: Sequence[Point], difference: Callable[[Point, Point], Difference]
) -> AtRate:
    """Compare the codecs at a target rate.

    Args:
        target: Target rate in bits per pixel.
        codecs: Names of the codecs in display order.
        points: Points of all codecs.
        difference: Function that gives the paired difference of two points, the first minus the second.
    """
    chosen = {codec: choose(target, [one for one in points if one.codec == codec]) for codec in codecs}
    found = {codec: point for codec, point in chosen.items() if point and not point.lacking}
    pairs = {(a, b): difference(found[a], found[b]) for a, b in combinations(found, 2)}
    best = _best({codec: point for codec, point in found.items() if not codec.endswith(ORACLE)})
    entries = []
    for codec, point in chosen.items():
        if point is None:
            entries.append(Entry(codec, "no_point", None, None, {}, {}))
            continue
        if point.lacking:
            entries.append(Entry(codec, "failed" if point.failed else "no_file", None, point.point, {}, {}))
            continue
        gaps = {
            metric: _of_pair(pairs, codec, winner, metric)
            for metric, winner in best.items()
            if winner != codec and metric in point.metrics
        }
        to_best = {metric: gap for metric, gap in gaps.items() if gap is not None}
        if codec.endswith(ORACLE):
            entries.append(Entry(codec, "ok", point.point, None, {}, to_best))
            continue
        standing: dict[str, Standing] = {metric: "best" for metric, winner in best.items() if winner == codec}
        standing |= {metric: "tied" if _may_be_zero(gap) else "behind" for metric, gap in to_best.items()}
        standing = {name: one for name, one in standing.items() if not _nothing(point.metrics[name], name)}
        agreed = [metric for metric in to_best if metric in _pair(pairs, codec, best[metric]).agreed]
        entries.append(Entry(codec, "ok", point.point, None, standing, to_best, agreed))
    return AtRate(target, entries, list(pairs.values()))


def choose(target: float, points: Sequence[Point]) -> Point | None:
    """A codec's point at a target rate.

    This is the point searched for the target, else the one with the highest mean rate at or below it. A point that
    lacks images is returned only if no other point is low enough, as its mean is over easy images alone. None if no
    point is low enough.
    """
    fitting = [one for one in points if one.bpp is not None and one.bpp.value <= target * _SLACK]
    whole = [one for one in fitting if not one.lacking]
    if whole:
        return max(whole, key=lambda one: (one.target == target, one.bpp.value if one.bpp else 0))
    partial = fitting or [one for one in points if one.target is not None and one.target <= target and one.lacking]
    return partial[-1] if partial else None


def _best(found: dict[str, Point]) -> dict[str, str]:
    """The codec with the best value of each ranked metric."""
    metrics = {metric for point in found.values() for metric in point.metrics}
    best = {}
    for metric in sorted(metrics):
        higher = describe(metric).higher_is_better
        if higher is not None:
            values = {codec: point.metrics[metric].value for codec, point in found.items() if metric in point.metrics}
            best[metric] = (max if higher else min)(values, key=lambda codec: values[codec])
    return best


def _of_pair(pairs: dict[tuple[str, str], Difference], codec: str, other: str, metric: str) -> Estimate | None:
    """The paired difference of two codecs; None without a value, as for a class that no common image shows."""
    found = _pair(pairs, codec, other)
    gap = found.metrics.get(metric)
    return gap if gap is None or found.codec == codec else negative(gap)


def _pair(pairs: dict[tuple[str, str], Difference], codec: str, other: str) -> Difference:
    return pairs[codec, other] if (codec, other) in pairs else pairs[other, codec]


def _nothing(value: Estimate, metric: str) -> bool:
    """Whether a value that should be high is shown as zero, as that of a class that no codec preserves."""
    facts = describe(metric)
    return bool(facts.higher_is_better) and abs(round(value.value, facts.digits)) == 0


def _may_be_zero(gap: Estimate) -> bool:
    if gap.low is None or gap.high is None:
        return gap.value == 0
    return gap.low <= 0 <= gap.high
