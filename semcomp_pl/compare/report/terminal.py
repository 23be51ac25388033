"""The end of a comparison on a terminal: its table at one rate, its answer, and where the report is."""

from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from semcomp_pl.compare.report.answer import headline, leading, main_rate
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
    console.print(headline(summary))
    console.print(f"{_count(len(summary.points), 'point')} over {_count(len(summary.images), 'image')}:")
    console.print(str(page.resolve()), soft_wrap=True)


def table(summary: Summary, at: AtRate) -> Table:
    """One row per codec that has a point at a rate: measured rate and the most telling metrics."""
    metrics = telling(summary)
    title = f"{_count(len(summary.images), 'image')}, files at or below {at.target:g} bits per pixel"
    caption = "★ best, ≈ tied with it by the 95 % interval over images; models in bold"
    found = Table(title=title, caption=caption, title_justify="left", caption_justify="left", box=SIMPLE_HEAD)
    found.add_column("codec", no_wrap=True)
    for name in ("bpp", *metrics):
        better = {True: "↑", False: "↓", None: ""}[describe(name).higher_is_better]
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
    names = leading(name for name in summary.metrics if name in measured)
    distortion = [name for name in reversed(names) if describe(name).kind == "distortion"]
    return [*dict.fromkeys([*names[:1], *perceptual(names)[:1], *distortion, *names])][:_METRICS]


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"


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
