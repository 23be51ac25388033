"""The objective of a sweep's runs against their rate."""

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

from matplotlib.figure import Figure

from semcomp_pl.compare.report.figures import write_figure
from semcomp_pl.palette import COLOURS
from semcomp_pl.sweep.file import Sweep
from semcomp_pl.sweep.names import short
from semcomp_pl.sweep.show import RATES, Result

Point = tuple[float, float]
_MARKERS = "osD^vP*X"


def front(points: Sequence[Point], maximize: bool) -> list[Point]:
    """The points of (rate, objective) than which no other has a lower rate and a better objective, by rate."""
    sign = 1 if maximize else -1
    best: list[Point] = []
    for rate, value in sorted(points, key=lambda point: (point[0], -sign * point[1])):
        if not best or sign * value > sign * best[-1][1]:
            best.append((rate, value))
    return best


def draw(sweep: Sweep, found: Sequence[Result], file: Path) -> str | None:
    """Draw the figure as `FILE.png` and `FILE.svg`; returns the kind of rate, or None if the runs have none in common.

    Args:
        sweep: The sweep.
        found: Its finished runs.
        file: Path without an extension.
    """
    kind, points = _rates(found)
    if kind is None:
        return None
    figure = Figure(figsize=(7, 4.5), dpi=150, layout="constrained")
    axes = figure.add_subplot(xlabel=RATES[kind], ylabel=sweep.metric)
    best = front(points, sweep.maximize)
    axes.plot(*zip(*best, strict=True), color="0.6", linewidth=1, zorder=1, label="best at its rate")
    by = _groups(found)
    for name, colour, marker in zip(dict.fromkeys(by), cycle(COLOURS), cycle(_MARKERS), strict=False):
        mine = [point for point, group in zip(points, by, strict=True) if group == name]
        rates, values = zip(*mine, strict=True)
        axes.scatter(rates, values, color=colour, marker=marker, s=28, alpha=0.8, zorder=2, label=name)
    axes.grid(color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize="small")
    write_figure(figure, file)
    return kind


def _rates(found: Sequence[Result]) -> tuple[str | None, list[Point]]:
    """The kind of rate that all runs have, files before bounds, and the points."""
    for kind in RATES:
        rates = [one.run.rate(kind) for one in found]
        points = [
            (r, one.objective)
            for r, one in zip(rates, found, strict=True)
            if r is not None and one.objective is not None
        ]
        if points and len(points) == len(found):
            return kind, points
    return None, []


def _groups(found: Sequence[Result]) -> list[str]:
    """The group of each run: its value of the first parameter that has no more values than there are markers."""
    names = [name for name in found[0].values if name != "seed_everything"]
    for name in names:
        labels = [short(name, one.values[name]) for one in found]
        if 1 < len(set(labels)) <= len(_MARKERS):
            return labels
    return ["runs"] * len(found)
