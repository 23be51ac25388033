"""Figures of a comparison, for paper and screen: curves over the measured rate, and distortion against perception.

A codec has the same colour and marker in every figure, from its place among all codecs.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from semcomp_pl.compare.summary import Estimate, Point, Summary
from semcomp_pl.files.atomic import write_file
from semcomp_pl.metrics import describe, perceptual
from semcomp_pl.palette import COLOURS

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", (0, (4, 1.5)), (0, (1, 1.2)))
_TICKS = (0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8, 1.0, 2.0, 4.0)


def colour(codec: str, codecs: Sequence[str]) -> str:
    """The codec's colour, `#RRGGBB`, by its place in `Summary.codecs`."""
    return COLOURS[codecs.index(codec) % len(COLOURS)]


def marker(codec: str, codecs: Sequence[str]) -> str:
    """The codec's marker as matplotlib's letter; colour and marker together are unique for up to 42 codecs."""
    return MARKERS[codecs.index(codec) % len(MARKERS)]


def curves(summary: Summary, metric: str, *, log: bool = True) -> Figure:
    """A metric over the mean measured rate: one curve per codec, with bars for the intervals of both.

    Args:
        summary: of the comparison.
        metric: one of `summary.metrics`, or `iou_CLASS`.
        log: whether the axis of rates is logarithmic.
    """
    figure, axes = _canvas()
    rates = []
    for codec in summary.codecs:
        points = [(one.bpp, one.metrics[metric]) for one in summary.curve(codec) if one.bpp and metric in one.metrics]
        if points:
            _draw(axes, points, codec, summary.codecs)
        rates += [rate.value for rate, _ in points]
    if summary.ceiling and metric in summary.ceiling.metrics and describe(metric).ceiling:
        ceiling = summary.ceiling.metrics[metric]
        axes.axhline(ceiling.value, color="black", linestyle="--", linewidth=1.2, label="uncompressed")
        if ceiling.low is not None and ceiling.high is not None:
            axes.axhspan(ceiling.low, ceiling.high, color="black", alpha=0.07, linewidth=0)
    axes.set_xlabel("Rate of the files (bits per pixel, mean over images)")
    axes.set_ylabel(_label(metric))
    axes.set_title(f"Bars: {summary.level:.0%} intervals over {len(summary.images)} images", loc="left", fontsize=9)
    _rate_axis(axes, rates, log)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return figure


def perception(summary: Summary, target: float, metric: str | None = None) -> Figure | None:
    """PSNR against a metric of perception at a target rate, one mark per codec; better is up and to the right.

    Source: Blau and Michaeli, Rethinking Lossy Compression: The Rate-Distortion-Perception Tradeoff, ICML 2019.

    Args:
        summary: of the comparison.
        target: one of its targets, in bits per pixel.
        metric: of perception; by default the first one that was measured.

    Returns:
        None where no codec has both metrics at that rate.
    """
    metric = metric or next(iter(perceptual(summary.metrics)), None)
    points = {point.codec: point for point in standing_at(summary, target)}
    points = {codec: one for codec, one in points.items() if {"psnr", metric} <= one.metrics.keys()}
    if metric is None or not points:
        return None
    figure, axes = _canvas()
    for codec, one in points.items():
        rate = f"{one.bpp.value:.3f} bpp" if one.bpp else ""
        _draw(axes, [(one.metrics["psnr"], one.metrics[metric])], codec, summary.codecs, f"{codec}, {rate}")
    axes.set_xlabel(_label("psnr"))
    axes.set_ylabel(_label(metric))
    if describe(metric).higher_is_better is False:
        axes.invert_yaxis()
    axes.set_title(f"At or below {target:g} bits per pixel; better is up and to the right", loc="left", fontsize=9)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return figure


def standing_at(summary: Summary, target: float) -> list[Point]:
    """The points that stand for their codecs at one of the target rates."""
    entries = [entry for one in summary.at_rates if one.target == target for entry in one.entries]
    return [summary.point(entry.codec, entry.point) for entry in entries if entry.point is not None]


def write_figures(summary: Summary, directory: Path) -> list[str]:
    """Write every figure as SVG and PNG.

    Returns:
        Their names without the suffix: `METRIC` and `METRIC_linear` per metric, `perception_TARGET` per target rate.

    Raises:
        SemcompError: a file cannot be written.
    """
    found: dict[str, Figure | None] = {}
    for metric in summary.metrics:
        found |= {metric: curves(summary, metric), f"{metric}_linear": curves(summary, metric, log=False)}
    found |= {f"perception_{one.target:g}": perception(summary, one.target) for one in summary.at_rates}
    figures = {name: figure for name, figure in found.items() if figure is not None}
    for name, figure in figures.items():
        write_figure(figure, directory / name)
    return list(figures)


def write_figure(figure: Figure, path: Path) -> None:
    """Write one figure as `PATH.svg` and `PATH.png`.

    Raises:
        SemcompError: a file cannot be written.
    """
    # a fixed salt and no date: the same numbers give the same file
    with matplotlib.rc_context({"svg.hashsalt": "semcomp"}):
        write_file(Path(f"{path}.svg"), partial(figure.savefig, format="svg", metadata={"Date": None}))
        write_file(Path(f"{path}.png"), partial(figure.savefig, format="png"))


def _canvas() -> tuple[Figure, Axes]:
    figure = Figure((8, 4.4), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _draw(
    axes: Axes, points: Sequence[tuple[Estimate, Estimate]], codec: str, codecs: Sequence[str], label: str = ""
) -> None:
    place = codecs.index(codec)
    axes.errorbar(
        [x.value for x, _ in points],
        [y.value for _, y in points],
        xerr=_bars([x for x, _ in points]),
        yerr=_bars([y for _, y in points]),
        label=label or codec,
        color=colour(codec, codecs),
        marker=marker(codec, codecs),
        linestyle=LINES[place // len(COLOURS) % len(LINES)],
        markersize=5.5,
        linewidth=1.6,
        ecolor=(colour(codec, codecs), 0.6),
        elinewidth=0.8,
        capsize=1.5,
    )


def _bars(estimates: Sequence[Estimate]) -> list[list[float]]:
    """Distances to the ends of the intervals, below and above; 0 without an interval or where rounding inverts it."""
    below = [max(0.0, one.value - one.low) if one.low is not None else 0.0 for one in estimates]
    above = [max(0.0, one.high - one.value) if one.high is not None else 0.0 for one in estimates]
    return [below, above]


def _label(metric: str) -> str:
    described = describe(metric)
    better = {True: ", higher is better", False: ", lower is better", None: ""}[described.higher_is_better]
    return described.axis + better


def _rate_axis(axes: Axes, rates: Sequence[float], log: bool) -> None:
    if not log:
        axes.set_xlim(left=0)
    elif rates:
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        ticks = [tick for tick in _TICKS if low <= tick <= high]
        axes.xaxis.set_major_locator(FixedLocator(ticks) if len(ticks) > 1 else MaxNLocator(5))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:g}"))
