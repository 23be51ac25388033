"""The report of a comparison: `report.html`, one file that needs nothing else, and `report.md` with the same tables.

Both are made from a directory of results, finished or not:

    results.parquet   the rows, see `rows.py`
    summary.json      their summary, see `summary.py`
    figures/          as SVG and PNG, linked in report.md, see `figures.py`
    pictures/         of a bounded number of images, see `pictures.py`; may be absent

The page is `pages/report.html` with the scripts beside it. It asks no server for anything: its own content security
policy forbids it.
"""

import json
import math
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import jinja2
import numpy as np
import polars as pl
from markupsafe import Markup
from pydantic import TypeAdapter, ValidationError

from semcomp_pl import __version__
from semcomp_pl.compare.names import PERCEPTUAL, describe, has_ceiling
from semcomp_pl.compare.report import figures
from semcomp_pl.compare.report.gallery import Gallery, gallery
from semcomp_pl.compare.rows import Results, metric_names, read_results
from semcomp_pl.compare.statistics.bootstrap import hits_and_unions
from semcomp_pl.compare.summary import Estimate, Point, Summary
from semcomp_pl.errors import SemcompError
from semcomp_pl.files.atomic import write_file

SCRIPTS = ("elements.js", "charts.js", "tables.js", "browser.js", "page.js")
VENDOR = ("vendor/chart.js", "vendor/img-comparison-slider.js")
_SIZE = 14_500_000
"""Bytes of a page and its pictures; the pictures' values come on top, and 15 MB are promised."""
_MARKDOWN = str.maketrans({character: f"\\{character}" for character in "\\`*_[]<>|#"} | {"\n": " ", "\r": " "})


def write_report(directory: Path, *, pictures: int = 20) -> Path:
    """Write `report.html` and `report.md` of a directory of results, each whole or not at all.

    Args:
        directory: with `results.parquet` and `summary.json`.
        pictures: images to show at most; 0 for a report of data that must not be shown.

    Returns:
        The page.

    Raises:
        SemcompError: there are no results or no summary of this version, or a file cannot be read or written.
    """
    results, summary = read_results(directory / "results.parquet"), read_summary(directory / "summary.json")
    metrics = [name for name in summary.metrics if any(name in one.metrics for one in summary.points)]
    context = {
        "summary": summary,
        "metrics": metrics,
        "ceilings": [
            name for name in metrics if summary.ceiling and has_ceiling(name) and name in summary.ceiling.metrics
        ],
        "perceptual": [name for name in PERCEPTUAL if name in summary.metrics],
        "sections": list(dict.fromkeys(name for one in summary.points for name in one.sections if name != "total")),
        "figures": {file.stem for file in (directory / "figures").glob("*.svg")},
        "deltas": {(one.metric, one.anchor, one.test): one for one in summary.bjontegaard},
        "facts": _facts(summary.provenance),
        "version": __version__,
    }
    environment = _environment()

    def page(shown: Gallery) -> bytes:
        payload = _payload(summary, results, shown)
        return environment.get_template("report.html").render(context, shown=shown, payload=payload).encode()

    bare = len(page(gallery(directory, summary, 0, 0)))
    content = page(gallery(directory, summary, pictures, _SIZE - bare))
    write_file(directory / "report.html", lambda file: file.write(content))
    text = environment.get_template("report.md").render(context)
    write_file(directory / "report.md", lambda file: file.write(text.encode()))
    return directory / "report.html"


def read_summary(path: Path) -> Summary:
    """What `Summary.write` wrote.

    Raises:
        SemcompError: there is no such file, or it is not a summary as this version writes it.
    """
    try:
        return TypeAdapter(Summary).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise SemcompError(
            f"{path}: no summary of a comparison found ({type(error).__name__}), expected a summary.json of this "
            "version; run semcomp report on the directory that semcomp compare wrote"
        ) from None


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("semcomp_pl.compare.report", "pages"),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    environment.filters |= {
        "number": _number,
        "interval": _interval,
        "plain": lambda text: str(text).translate(_MARKDOWN),
        "breakable": _breakable,
        "label_of": lambda metric: describe(metric).label,
        "json_lines": lambda value: json.dumps(value, indent=1, ensure_ascii=False, default=str),
    }
    environment.globals |= {"describe": describe, "has_ceiling": has_ceiling, "scripts": SCRIPTS, "vendor": VENDOR}
    return environment


def _payload(summary: Summary, results: Results, shown: Gallery) -> dict[str, Any]:
    """What the page's scripts know."""
    names = dict.fromkeys(name for one in _points(summary) for name in one.metrics)
    known = dict.fromkeys(["bpp", *summary.metrics, *names])
    whole = {
        "codecs": {codec: _style(codec, summary.codecs) for codec in summary.codecs},
        "images": len(summary.images),
        "classes": summary.classes,
        "metrics": {name: {**describe(name)._asdict(), "axis": describe(name).axis} for name in known},
        "curves": [name for name in summary.metrics if any(name in one.metrics for one in summary.points)],
        "ceilings": [name for name in known if has_ceiling(name)],
        "perceptual": [name for name in PERCEPTUAL if name in summary.metrics],
        "points": [asdict(one) for one in summary.points],
        "ceiling": summary.ceiling and asdict(summary.ceiling),
        "rates": [asdict(one) for one in summary.at_rates],
        "bjontegaard": [asdict(one) for one in summary.bjontegaard],
        "gallery": {"images": shown.images, "colours": shown.colours, "values": _values(summary, results, shown)},
    }
    return {**cast(dict[str, Any], _rounded(whole)), "sources": shown.sources}


def _style(codec: str, codecs: list[str]) -> dict[str, Any]:
    """The codec's looks, as in the figures."""
    line = figures.LINES[codecs.index(codec) // len(figures.COLOURS) % len(figures.LINES)]
    dash = [] if isinstance(line, str) else [2 * length for length in line[1]]
    return {"colour": figures.colour(codec, codecs), "marker": figures.marker(codec, codecs), "dash": dash}


def _values(summary: Summary, results: Results, shown: Gallery) -> list[dict[int, dict[str, float | str]]]:
    """By shown image and place of the point: bytes, rate and every finite metric of the pair, or its error."""
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
        numbers |= {"miou": _miou(row["confusion"]), "miou_self": _miou(row["confusion_self"])}
        pair |= {name: value for name, value in numbers.items() if value is not None and math.isfinite(value)}
        values[shown.images.index(row["image"])][place] = pair
    return values


def _miou(confusion: list[int] | None) -> float | None:
    """Of a single image, over the classes that it or its reading shows."""
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
    """The interval in brackets, empty where there is none."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    return f"[{_number(estimate.low, metric, digits)}, {_number(estimate.high, metric, digits)}]"


def _breakable(name: str) -> Markup:
    """A name that may break between its words."""
    return Markup("<wbr>").join(re.split(r"(?<=[a-z])(?=[A-Z])", name))


def _facts(provenance: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Provenance as flat names and values, without the command and what is too long for a table."""
    facts = []
    for name, value in provenance.items():
        if isinstance(value, dict):
            facts += _facts(value, f"{prefix}{name}, ")
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
