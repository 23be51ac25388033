"""Figures of a comparison in files: curves over the measured rate, and distortion against perception."""

from dataclasses import asdict
from functools import partial
from pathlib import Path

import matplotlib
import vl_convert
from matplotlib.figure import Figure

from semcomp_pl.compare.report.charts import VEGA_LITE, Spec, chart
from semcomp_pl.compare.summary import Point, Summary
from semcomp_pl.files.atomic import write_file
from semcomp_pl.metrics import perceptual


def curves(summary: Summary, metric: str, *, log: bool = True) -> Spec:
    """A metric over the mean measured rate: one curve per codec, with bars for the intervals of both.

    Args:
        summary: Of the comparison.
        metric: One of `summary.metrics`, or `iou_CLASS`.
        log: Whether the axis of rates is logarithmic.
    """
    points = [one for one in summary.points if one.bpp and metric in one.metrics]
    return _filled(summary, points, "bpp", metric, log)


def perception(summary: Summary, target: float, metric: str | None = None) -> Spec | None:
    """PSNR against a metric of perception at a target rate, one mark per codec; better is up and to the right.

    Source: Blau and Michaeli, Rethinking Lossy Compression: The Rate-Distortion-Perception Tradeoff, ICML 2019.

    Args:
        summary: Of the comparison.
        target: One of its targets, in bits per pixel.
        metric: Of perception; by default the first one that was measured.

    Returns:
        None where no codec has both metrics at that rate.
    """
    metric = metric or next(iter(perceptual(summary.metrics)), None)
    points = [one for one in standing_at(summary, target) if {"psnr", metric} <= one.metrics.keys()]
    return None if metric is None or not points else _filled(summary, points, "psnr", metric)


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
    found: dict[str, Spec | None] = {}
    for metric in summary.metrics:
        found |= {metric: curves(summary, metric), f"{metric}_linear": curves(summary, metric, log=False)}
    found |= {f"perception_{one.target:g}": perception(summary, one.target) for one in summary.at_rates}
    specs = {name: spec for name, spec in found.items() if spec is not None}
    for name, spec in specs.items():
        _write_chart(spec, directory / name)
    return list(specs)


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure as `PATH.svg` and `PATH.png`.

    Raises:
        SemcompError: a file cannot be written.
    """
    # a fixed salt and no date: the same numbers give the same file
    with matplotlib.rc_context({"svg.hashsalt": "semcomp"}):
        write_file(Path(f"{path}.svg"), partial(figure.savefig, format="svg", metadata={"Date": None}))
        write_file(Path(f"{path}.png"), partial(figure.savefig, format="png"))


# DejaVu Sans comes with matplotlib: a chart is as wide on a machine without fonts of its own
vl_convert.register_font_directory(str(Path(matplotlib.get_data_path(), "fonts", "ttf")))


def _write_chart(spec: Spec, path: Path) -> None:
    svg = vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE)
    png = vl_convert.svg_to_png(svg, scale=2)
    write_file(Path(f"{path}.svg"), lambda file: file.write(svg.encode()))
    write_file(Path(f"{path}.png"), lambda file: file.write(png))


def _filled(summary: Summary, points: list[Point], x: str, y: str, log: bool = False) -> Spec:
    """The chart of some points, with their data."""
    spec = chart(summary, x, log=log, codecs=[one.codec for one in points])
    params = [{**one, "value": y} if one["name"] == "y" else one for one in spec["params"]]
    ceiling = [asdict(summary.ceiling)] if summary.ceiling else []
    return {**spec, "params": params, "datasets": {"points": [asdict(one) for one in points], "ceiling": ceiling}}
