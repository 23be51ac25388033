"""The report of a comparison: `report.html`, one file that needs nothing else, and `report.md` with the same tables.

A comparison may be finished or not. Beside the two files the report expects, where they exist:

    figures/    as SVG and PNG, linked in report.md, see `figures.py`
    pictures/   of a bounded number of images, see `measure/pictures.py`

The page is made from `pages/report.html` and the scripts beside it. It requests nothing from any server: its own
content security policy forbids it.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, cast

import jinja2
import numpy as np
import polars as pl
import vl_convert
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from semcomp_pl import __version__
from semcomp_pl.compare.report import answer, sentences, trainings
from semcomp_pl.compare.report.charts import VEGA_LITE, chart, looks_of
from semcomp_pl.compare.report.gallery import Gallery, gallery
from semcomp_pl.compare.rows import Results, confusion_names, metric_names
from semcomp_pl.compare.statistics.bootstrap import hits_and_unions, means_over
from semcomp_pl.compare.statistics.points import iou_column
from semcomp_pl.compare.summary import Estimate, Point, Summary
from semcomp_pl.files.atomic import write_file
from semcomp_pl.metrics import describe, perceptual

SCRIPTS = ("elements.js", "charts.js", "tables.js", "browser.js", "page.js")
_SIZE = 14_500_000
"""Bytes of a page with its pictures; their values come on top, and 15 MB are promised."""
_DELTAS, _PERCEPTION = "Average distance between curves", "Distortion and perception"
_DATA = "<!-- data -->"
"""Where the template takes the data of the scripts: how many pictures fit is known once all else is rendered."""
_MARKDOWN = str.maketrans({character: f"\\{character}" for character in "\\`*_[]<>|#"} | {"\n": " ", "\r": " "})


def write_report(directory: Path, results: Results, summary: Summary, *, pictures: int = 20) -> Path:
    """Write `report.html` and `report.md`, each whole or not at all.

    Args:
        directory: of the results; its `figures/` and `pictures/` are shown, if there are any.
        results: what was measured.
        summary: of the results.
        pictures: most images to show; 0 for a report of data that must not be shown.

    Returns:
        The page.

    Raises:
        SemcompError: a picture cannot be read, or a file cannot be written.
    """
    environment, context = _environment(), _context(directory, summary)
    before, _, after = environment.get_template("report.html").render(context).rpartition(_DATA)
    known = _payload(summary)
    space = _SIZE - len((before + after + _json(known)).encode())
    shown = gallery(directory, summary, pictures, space)
    known["gallery"] = _rounded({**asdict(replace(shown, sources=[])), "values": _values(summary, results, shown)})
    data = _json({**known, "sources": shown.sources})
    content = (before + data + after).encode()
    write_file(directory / "report.html", lambda file: file.write(content))
    text = environment.get_template("report.md").render(context)
    write_file(directory / "report.md", lambda file: file.write(text.encode()))
    return directory / "report.html"


def _context(directory: Path, summary: Summary) -> dict[str, Any]:
    """What the templates know."""
    metrics = _measured(summary)
    empty = dict(_empty(summary))
    ceiling = summary.ceiling.metrics if summary.ceiling else {}
    return {
        "summary": summary,
        "metrics": metrics,
        "judges": len(summary.judges) > 1,
        "judged": next((name for name in answer.MEANING if name in metrics), ""),
        "headline": answer.headline(summary),
        "remarks": answer.remarks(summary),
        "first_rate": _first_rate(summary),
        "looks": looks_of(summary),
        "empty": list(empty.items()),
        "has_deltas": _DELTAS not in empty,
        "has_perception": _PERCEPTION not in empty,
        "timed": any(one.encode_seconds is not None for one in summary.points),
        "ceilings": [name for name in metrics if describe(name).ceiling and name in ceiling],
        "perceptual": perceptual(summary.metrics),
        "sections": list(dict.fromkeys(name for one in summary.points for name in one.sections if name != "total")),
        "figures": {file.stem for file in (directory / "figures").glob("*.svg")},
        "deltas": {(one.metric, one.anchor, one.test): one for one in summary.bjontegaard},
        "valued": partial(_valued, summary),
        "facts": _facts(summary.provenance),
        "trainings": trainings.trainings(summary),
        "budgets": trainings.budgets(summary),
        "budgets_differ": trainings.differ(summary),
        "version": __version__,
    }


def _measured(summary: Summary) -> list[str]:
    """The metrics that some codec has, in the order in which tables show them."""
    return answer.leading(name for name in summary.metrics if any(name in one.metrics for one in summary.points))


def _empty(summary: Summary) -> Iterator[tuple[str, str]]:
    """Sections without content, and why they have none."""
    if not any(one.rate or one.quality for one in summary.bjontegaard):
        yield _DELTAS, "no two codecs have curves to compare, of four points or more that overlap"
    if not {"psnr", *perceptual(summary.metrics)[:1]} <= set(_measured(summary)) or not perceptual(summary.metrics):
        yield _PERCEPTION, f"PSNR and a metric of perception, such as {describe('lpips').label}, were not both measured"


def _valued(summary: Summary, metric: str, kind: Literal["rate", "quality"]) -> list[str]:
    """The codecs with a Bjontegaard delta of the metric."""
    found = [one for one in summary.bjontegaard if one.metric == metric and getattr(one, kind) is not None]
    return [codec for codec in summary.codecs if any(codec in (one.anchor, one.test) for one in found)]


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("semcomp_pl.compare.report", "pages"),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": _number,
        "interval": _interval,
        "plain": lambda text: str(text).translate(_MARKDOWN),
        "breakable": _breakable,
        "label_of": lambda metric: describe(metric).label,
        "reason": sentences.reason,
        "sentence": sentences.warning,
        "panel_sentence": sentences.panel,
        "order_sentence": sentences.order,
        "dashes": lambda lengths: " ".join(f"{0.2 * length:g}" for length in lengths),
        "duration": trainings.duration,
        "count": lambda value: "–" if value is None else f"{value:,}",  # noqa: RUF001
        "json_lines": lambda value: json.dumps(value, indent=1, ensure_ascii=False, default=str),
    }
    environment.globals |= {"describe": describe, "scripts": SCRIPTS, "vega": _vega}
    return environment


def _payload(summary: Summary) -> dict[str, Any]:
    """What the page's scripts know besides pictures."""
    names = dict.fromkeys(name for one in _points(summary) for name in one.metrics)
    known = dict.fromkeys(["bpp", *summary.metrics, *names])
    whole = {
        "colours": {codec: look.colour for codec, look in looks_of(summary).items()},
        "charts": {
            "log": chart(summary, log=True),
            "linear": chart(summary),
            "perception": chart(summary, "psnr") if _PERCEPTION not in dict(_empty(summary)) else None,
        },
        "images": len(summary.images),
        "classes": summary.classes,
        "metrics": {name: _about(name) for name in known},
        "curves": _measured(summary),
        "first_rate": _first_rate(summary),
        "pair": _pair(summary),
        "perceptual": perceptual(summary.metrics),
        "points": [asdict(one) for one in summary.points],
        "ceiling": summary.ceiling and asdict(summary.ceiling),
        "rates": [asdict(one) for one in summary.at_rates],
        "bjontegaard": [asdict(one) for one in summary.bjontegaard],
    }
    return cast(dict[str, Any], _rounded(whole))


def _about(metric: str) -> dict[str, Any]:
    """The facts of a metric that the scripts read."""
    facts = describe(metric)
    return {name: getattr(facts, name) for name in ("label", "unit", "axis", "digits", "higher_is_better", "detail")}


def _json(value: Any) -> str:
    """Compact JSON that may stand in a page."""
    return str(htmlsafe_json_dumps(value, allow_nan=False, separators=(",", ":")))


def _first_rate(summary: Summary) -> int:
    """Place of the rate that is shown first."""
    main = answer.main_rate(summary)
    return 0 if main is None else summary.at_rates.index(main)


def _pair(summary: Summary) -> list[int]:
    """Places of the best codec and its rival at the rate that is shown first."""
    main = answer.main_rate(summary)
    found = [one for one in answer.answers(summary) if main is not None and one.target == main.target]
    return [summary.points.index(one) for best in found for one in (best.best, best.rival) if one is not None]


@cache
def _vega() -> str:
    """Vega with its embedding, as a script."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE)


def _values(summary: Summary, results: Results, shown: Gallery) -> list[dict[int, dict[str, float | str]]]:
    """For each image shown, by place of the point: bytes, rate and every finite metric of the pair, or its error."""
    places = {(one.codec, one.point): place for place, one in enumerate(summary.points)}
    if summary.ceiling:
        places[summary.ceiling.codec, summary.ceiling.point] = -1
    values: list[dict[int, dict[str, float | str]]] = [{} for _ in shown.images]
    for row in results.rows.filter(pl.col("image").is_in(shown.images)).iter_rows(named=True):
        place = places.get((row["codec"], row["point"]))
        if place is None:
            continue
        pair: dict[str, float | str] = {"error": row["error"]} if row["error"] is not None else {}
        numbers = {name: row[name] for name in ("bytes", "bpp", *metric_names(results.rows))}
        numbers |= _mious(row, confusion_names(results.rows), summary.strangers)
        pair |= {name: value for name, value in numbers.items() if value is not None and math.isfinite(value)}
        values[shown.images.index(row["image"])][place] = pair
    return values


def _mious(row: dict[str, Any], columns: list[str], panel: list[str]) -> dict[str, float]:
    """The mIoU of a single image under each judge, and the mean over a panel."""
    known = {iou_column(name): _miou(row[name]) for name in columns}
    found = {name: np.array(value) for name, value in known.items() if value is not None}
    return {name: float(value) for name, value in (found | means_over(panel, found)).items()}


def _miou(confusion: list[int] | None) -> float | None:
    """The mIoU of a single image, over the classes that occur in its truth or prediction."""
    if not confusion:
        return None
    k = math.isqrt(len(confusion))
    hits, unions = hits_and_unions(np.array(confusion, np.int64).reshape(1, k, k))[0]
    return float(np.mean(hits[unions > 0] / unions[unions > 0])) if unions.any() else None


def _points(summary: Summary) -> list[Point]:
    return [*summary.points, *([summary.ceiling] if summary.ceiling else [])]


def _number(value: float | None, metric: str = "", digits: int | None = None) -> str:
    """A value with the digits of its metric and a true minus sign; a dash where there is none."""
    if value is None:
        return "–"  # noqa: RUF001
    text = f"{value:z.{describe(metric).digits if digits is None else digits}f}"
    return text.replace("-", "−")  # noqa: RUF001


def _interval(estimate: Estimate | None, metric: str = "", digits: int | None = None) -> str:
    """The interval in brackets, and the spread over seeds of the training; empty where there is no interval."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    spread = "" if estimate.spread is None else f" ±{_number(estimate.spread, metric, digits)}"
    return f"[{_number(estimate.low, metric, digits)}, {_number(estimate.high, metric, digits)}]{spread}"


def _breakable(name: str) -> Markup:
    """A name that may be broken between its words."""
    return Markup("<wbr>").join(re.split(r"(?<=[a-z])(?=[A-Z])", name))


def _facts(provenance: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Provenance as flat names and values, without command, trainings and whatever is too long for a table."""
    facts = []
    for name, value in provenance.items():
        if isinstance(value, dict):
            facts += [] if name == "training" else _facts(value, f"{prefix}{name}, ")
            continue
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        if prefix + name != "command" and 0 < len(text) <= 300:
            facts.append((prefix + name, text))
    return facts


def _rounded(value: Any) -> Any:
    """Plain JSON with six significant digits, enough for every table and half the size."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value
