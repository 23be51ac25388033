"""What a comparison says at its end: nothing but what its numbers say, whoever wins."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from semcomp_pl.compare.report.answer import main_rate
from semcomp_pl.compare.report.terminal import show, telling
from semcomp_pl.compare.statistics.summarise import summarise
from semcomp_pl.compare.summary import Summary
from semcomp_pl.metrics import describe
from tests.compare.rows import street_results


@pytest.fixture(scope="module")
def summary() -> Summary:
    return summarise(street_results(5), draws=100)


def said(summary: Summary, width: int = 80) -> list[str]:
    file = io.StringIO()
    show(summary, Path("out/report.html"), Console(file=file, width=width, highlight=False))
    return file.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_has_the_numbers_of_the_summary_in_order_of_the_first_metric(summary: Summary, width: int) -> None:
    lines = said(summary, width)
    assert max(map(len, lines[:-1])) <= width
    at = main_rate(summary)
    assert at is not None
    assert len([one for one in at.entries if one.point]) == max(
        sum(one.point is not None for one in rate.entries) for rate in summary.at_rates
    )
    metric = telling(summary)[0]
    points = [summary.point(one.codec, one.point) for one in at.entries if one.point is not None]
    digits = describe(metric).digits
    ranked = sorted(points, key=lambda one: -one.metrics[metric].value)
    rows = [next(line for line in lines if line.strip().startswith(f"{one.codec} ")) for one in ranked]
    assert [lines.index(row) for row in rows] == sorted(lines.index(row) for row in rows)
    for row, one in zip(rows, ranked, strict=True):
        assert one.bpp
        assert f"{one.bpp.value:.4f}" in row
        assert f"{one.metrics[metric].value:.{digits}f}" in row
    assert lines[-1] == str(Path("out/report.html").resolve())
