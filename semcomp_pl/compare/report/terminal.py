"""The end of a comparison on a terminal: its table at one rate, its answer, and where the report is."""

from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from semcomp_pl.compare.report.answer import MEANING
from semcomp_pl.compare.summary import AtRate, Entry, Estimate, Point, Summary
from semcomp_pl.metrics import describe, perceptual

_MARKS = {"best": "★", "tied": "≈", "behind": " "}
_METRICS = 4


def show(summary: Summary, page: Path, console: Console | None = None) -> None:
    """Print the table of the lowest rate that most codecs reach, the answer in a sentence, and the path of the page.

    Args:
        summary: of the comparison.
        page: of its report.
        console: where to print; standard output by default.
    """
    console = console or Console(highlight=False)
    at = main_rate(summary)
    if at is not None:
        console.print(table(summary, at))
        absent = [one.codec for one in at.entries if one.point is None]
        if absent:
            console.print(f"No point at or below {at.target:g} bpp: {', '.join(absent)}.")
        console.print(answer(summary, at))
    console.print(f"{len(summary.points)} points over {len(summary.images)} images:")
    console.print(str(page.resolve()), soft_wrap=True)


def main_rate(summary: Summary) -> AtRate | None:
    """The lowest of the target rates that the largest number of codecs reaches; None if no codec reaches any."""
    rates = sorted(summary.at_rates, key=lambda one: one.target)
    best = max(rates, key=lambda one: len(_standing(one)), default=None)
    return best if best is not None and _standing(best) else None


def table(summary: Summary, at: AtRate) -> Table:
    """One row per codec that has a point at a rate: measured rate and the most telling metrics."""
    metrics = telling(summary)
    title = f"{len(summary.images)} images, files at or below {at.target:g} bits per pixel"
    caption = "★ best, ≈ tied with it by the 95 % interval over images; models in bold"
    found = Table(title=title, caption=caption, title_justify="left", caption_justify="left", box=SIMPLE_HEAD)
    found.add_column("codec", no_wrap=True)
    for name in ("bpp", *metrics):
        better = {True: " ↑", False: " ↓", None: ""}[describe(name).higher_is_better]
        found.add_column("bpp" if name == "bpp" else describe(name).label + better, justify="right")
    for entry in sorted(_standing(at), key=lambda one: _rank(summary, one, metrics)):
        point = _point(summary, entry)
        cells = [_cell(point.metrics.get(name), name, entry.standing.get(name)) for name in metrics]
        rate = "" if point.bpp is None else f"{point.bpp.value:.4f}"
        found.add_row(entry.codec, rate, *cells, style="bold" if point.kind == "model" else "")
    return found


def telling(summary: Summary) -> list[str]:
    """Up to four metrics in order of importance: meaning, perception, then distortion."""
    measured = {name for one in summary.points for name in one.metrics}
    distortion = [name for name in summary.metrics if describe(name).kind == "distortion"]
    order = [*MEANING[:1], *perceptual(summary.metrics)[:1], *reversed(distortion), *MEANING[1:]]
    return [name for name in order if name in measured][:_METRICS]


def answer(summary: Summary, at: AtRate) -> str:
    """Which of models and formats is best by the first metric at a rate, whoever it is, and by how much."""
    metric = next(iter(telling(summary)), None)
    ranked = sorted(_standing(at), key=lambda one: _rank(summary, one, [metric or ""]))
    if metric is None or metric not in _point(summary, ranked[0]).metrics:
        return "No codec has a metric that ranks it."
    first = _point(summary, ranked[0])
    facts = describe(metric)
    said = f"By {facts.label} {first.codec} is best at or below {at.target:g} bpp: {_at(first, metric)}"
    rival = next((one for one in ranked[1:] if _point(summary, one).kind != first.kind), None)
    if rival is None:
        return f"{said}."
    other = _point(summary, rival)
    of = "models" if other.kind == "model" else "formats"
    tied = "; the difference may be chance" if rival.standing.get(metric) == "tied" else ""
    return f"{said}, against {_at(other, metric)} of {other.codec}, the best of the {of}{tied}."


def _at(point: Point, metric: str) -> str:
    rate = "" if point.bpp is None else f" in {point.bpp.value:.4f} bpp"
    return f"{point.metrics[metric].value:.{describe(metric).digits}f}{rate}"


def _standing(at: AtRate) -> list[Entry]:
    return [one for one in at.entries if one.point is not None]


def _point(summary: Summary, entry: Entry) -> Point:
    assert entry.point is not None
    return summary.point(entry.codec, entry.point)


def _rank(summary: Summary, entry: Entry, metrics: list[str]) -> float:
    """Smaller is better; codecs without the first metric come last."""
    value = _point(summary, entry).metrics.get(next(iter(metrics), ""))
    if value is None:
        return float("inf")
    return -value.value if describe(metrics[0]).higher_is_better else value.value


def _cell(value: Estimate | None, metric: str, standing: str | None) -> str:
    return "" if value is None else f"{value.value:.{describe(metric).digits}f} {_MARKS.get(standing or '', ' ')}"
