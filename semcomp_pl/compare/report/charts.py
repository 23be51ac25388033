"""The one chart of a report, as a Vega-Lite specification: the page renders it, and files hold it as SVG and PNG.

It is the same for all metrics: what it shows is set by its parameters, which the page changes.

    y         the metric on the vertical axis
    only      titles of the points to show, `CODEC, POINT`; all if it is empty
    hidden    codecs to leave out

Source of the language: https://vega.github.io/vega-lite/docs/spec.html
"""

from collections.abc import Iterable, Sequence
from typing import Any

from semcomp_pl.compare.report.trainings import trainings
from semcomp_pl.compare.summary import Summary
from semcomp_pl.metrics import describe
from semcomp_pl.palette import Look, looks

Spec = dict[str, Any]
"""A Vega-Lite specification, or a part of one."""
VEGA_LITE = "6.4"
"""Its version."""
FONT = "DejaVu Sans, Verdana, sans-serif"
"""Wide ones first: what is measured in them has room in whatever font a reader has."""
_TICKS = (
    0.01,
    0.015,
    0.02,
    0.03,
    0.04,
    0.05,
    0.06,
    0.07,
    0.08,
    0.09,
    0.1,
    0.15,
    0.2,
    0.3,
    0.5,
    0.8,
    1.0,
    2.0,
    4.0,
    8.0,
)


def looks_of(summary: Summary) -> dict[str, Look]:
    """The look of each codec: by the class of a model where it is known, else by the codec's name."""
    classes = {title.partition(", ")[0]: facts.model for title, facts in trainings(summary).items()}
    formats = [point.codec for point in summary.points if point.kind == "reference"]
    return looks({codec: classes.get(codec, codec) for codec in summary.codecs}, formats)


def chart(summary: Summary, x: str = "bpp", *, log: bool = False, codecs: Sequence[str] | None = None) -> Spec:
    """The chart without its data, which are points of the summary as JSON: `points`, and the originals as `ceiling`.

    Args:
        summary: Of the comparison.
        x: Column on the horizontal axis: `bpp`, or a metric.
        log: Whether the horizontal axis, of `bpp`, is logarithmic.
        codecs: Those to show, with a legend; by default all without one.
    """
    shown = {codec: look for codec, look in looks_of(summary).items() if codecs is None or codec in codecs}
    values = {"y": x, "only": [], "hidden": [], "x": x, "about": _about(summary)}
    values["dashes"] = {codec: look.dash for codec, look in shown.items()}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": 560,
        "height": 340,
        "params": [{"name": name, "value": value} for name, value in values.items()],
        "title": {"text": {"expr": "about[y].title"}, "anchor": "start", "frame": "group", "fontSize": 12},
        "data": {"name": "points"},
        "transform": _transforms(),
        "encoding": {"x": _across(summary, x, log), "y": _up(x)},
        "layer": [*(_ceiling() if x == "bpp" else []), *_of_points(shown, codecs is not None)],
        "config": {
            "font": FONT,
            "view": {"stroke": None},
            "axis": {
                "gridOpacity": 0.6,
                "tickCount": 6,
                "labelFontSize": 11,
                "titleFontSize": 12,
                "labelOverlap": "greedy",
            },
            "legend": {"labelFontSize": 11, "labelLimit": 260, "symbolStrokeWidth": 1.8},
        },
    }


def _about(summary: Summary) -> dict[str, dict[str, Any]]:
    """What the chart says of each column."""
    names = dict.fromkeys(["bpp", *summary.metrics, *(name for one in summary.points for name in one.metrics)])
    found = {}
    for name in names:
        facts = describe(name)
        better = {True: ", higher is better", False: ", lower is better", None: ""}[facts.higher_is_better]
        found[name] = {
            "label": facts.axis,
            "title": facts.axis + better,
            "format": f".{facts.digits}f",
            "ceiling": facts.ceiling,
            "down": facts.higher_is_better is False,
        }
    return found


def _transforms() -> list[Spec]:
    """From points to values and ends of intervals on both axes, and what is said of a mark."""
    steps = [
        {"calculate": "datum.codec + ', ' + datum.point", "as": "title"},
        {"filter": "indexof(hidden, datum.codec) < 0 && (!length(only) || indexof(only, datum.title) >= 0)"},
        {"calculate": "x == 'bpp' ? datum.bpp : datum.metrics[x]", "as": "x"},
        {"calculate": "datum.metrics[y]", "as": "y"},
        {"filter": "isValid(datum.x) && isValid(datum.y)"},
    ]
    for axis in ("x", "y"):
        end, shown = f"datum.{axis}.{{0}}", f"format(datum.{axis}.{{0}}, about[{axis}].format)"
        known = f"isValid({end}) ? {end} : datum.{axis}.value"
        interval = f"' [' + {shown.format('low')} + ', ' + {shown.format('high')} + ']'"
        said = f"{shown.format('value')} + (isValid(datum.{axis}.low) ? {interval} : '')"
        steps += [
            {"calculate": end.format("value"), "as": f"{axis}_value"},
            {"calculate": known.format("low"), "as": f"{axis}_low"},
            {"calculate": known.format("high"), "as": f"{axis}_high"},
            {"calculate": f"about[{axis}].label + ' ' + {said}", "as": f"{axis}_said"},
        ]
    return [*steps, {"calculate": "datum.title + ': ' + datum.x_said + '; ' + datum.y_said", "as": "said"}]


def _across(summary: Summary, x: str, log: bool) -> Spec:
    axis: Spec = {"title": "Rate of the files (bits per pixel)" if x == "bpp" else _about(summary)[x]["title"]}
    rates = [end for one in summary.points if one.bpp for end in (one.bpp.value, one.bpp.low, one.bpp.high) if end]
    scale: Spec = {"zero": x == "bpp"}
    if log and rates:
        low, high = min(rates) / 1.04, max(rates) * 1.04
        ticks = [tick for tick in _TICKS if low <= tick <= high]
        # a range without two round numbers is short enough for a linear axis
        scale = {"type": "log" if len(ticks) > 1 else "linear", "domain": [low, high], "nice": False}
        axis |= {"values": ticks} if len(ticks) > 1 else {"tickCount": 5}
    return {"field": "x_value", "type": "quantitative", "scale": scale, "axis": axis}


def _up(x: str) -> Spec:
    reverse = {"expr": "about[y].down"} if x != "bpp" else False
    scale = {"zero": False, "reverse": reverse}
    return {"field": "y_value", "type": "quantitative", "scale": scale, "axis": {"title": None}}


def _of_points(shown: dict[str, Look], legend: bool) -> list[Spec]:
    """Intervals of both axes, lines and marks."""
    stroke, fill, shape = (
        _by_codec(shown, values, legend)
        for values in (
            [one.colour for one in shown.values()],
            # a hollow marker hides the line behind it
            [one.colour if one.filled else "white" for one in shown.values()],
            [one.marker for one in shown.values()],
        )
    )
    said = {"description": {"field": "said"}, "tooltip": [_told("title"), _told("x_said", "↔"), _told("y_said", "↕")]}
    return [
        {"mark": {"type": "rule", "opacity": 0.6}, "encoding": {**_ends("x"), "stroke": stroke}},
        {"mark": {"type": "rule", "opacity": 0.6}, "encoding": {**_ends("y"), "stroke": stroke}},
        {
            # a scale of dashes would dash the legend's markers
            "mark": {"type": "line", "strokeWidth": 1.8, "strokeDash": {"expr": "dashes[datum.codec]"}},
            "encoding": {"stroke": stroke},
        },
        {
            "mark": {"type": "point", "size": 90, "strokeWidth": 1.8, "opacity": 1},
            "encoding": {"stroke": stroke, "fill": fill, "shape": shape, **said},
        },
    ]


def _ends(axis: str) -> Spec:
    title: Spec = {"axis": {"title": None}} if axis == "y" else {}
    return {axis: {"field": f"{axis}_low", "type": "quantitative", **title}, f"{axis}2": {"field": f"{axis}_high"}}


def _by_codec(codecs: Iterable[str], values: Sequence[str], legend: bool) -> Spec:
    scale = {"domain": list(codecs), "range": values}
    shown = {"title": None, "symbolOpacity": 1} if legend else None
    return {"field": "codec", "type": "nominal", "scale": scale, "legend": shown}


def _told(field: str, title: str = "title") -> Spec:
    return {"field": field, "title": title}


def _ceiling() -> list[Spec]:
    """What the uncompressed originals reach: a line within its interval."""
    here: Spec = {
        "data": {"name": "ceiling"},
        "transform": [
            {"filter": "about[y].ceiling && isValid(datum.metrics[y])"},
            *({"calculate": f"datum.metrics[y].{end}", "as": f"y_{end}"} for end in ("value", "low", "high")),
        ],
    }
    text = {"type": "text", "text": "uncompressed", "x": 4, "dy": 5, "align": "left", "baseline": "top"}
    band = {"mark": {"type": "rect", "opacity": 0.12, "color": "gray"}, "encoding": {"x": None, **_ends("y")}}
    line = {"mark": {"type": "rule", "strokeDash": [6, 4], "color": "gray"}, "encoding": {"x": None}}
    return [here | band, here | line, {**here, "mark": {**text, "color": "gray"}, "encoding": {"x": None}}]
