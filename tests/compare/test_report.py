"""The report's files: what stands in them, without a browser."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from semcomp_pl.compare.report import page as module
from semcomp_pl.compare.report.answer import headline, leading
from semcomp_pl.compare.report.page import write_report
from semcomp_pl.compare.report.sentences import reason, warning
from semcomp_pl.compare.rows import Results, table
from semcomp_pl.compare.statistics.summarise import summarise
from semcomp_pl.compare.summary import Caution, Summary, read_summary
from semcomp_pl.errors import SemcompError
from semcomp_pl.metrics import describe
from tests.compare.results import write_directory
from tests.compare.rows import lose, street_results


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def results() -> Results:
    return street_results(6)


@pytest.fixture(scope="module")
def summary(directory: Path, results: Results) -> Summary:
    found = write_directory(directory, results, pictures=1)
    assert write_report(directory, results, found) == directory / "report.html"
    return found


@pytest.fixture(scope="module")
def write(directory: Path, results: Results, summary: Summary) -> Callable[[], Path]:
    """Write the report again."""
    return partial(write_report, directory, results, summary)


class Attributes(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def tables(text: str) -> list[list[list[str]]]:
    """The tables of a Markdown text as cells."""
    blocks = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    return [[re.split(r"(?<!\\)\|", line)[1:-1] for line in block.splitlines()] for block in blocks]


def test_a_summary_is_read_as_it_was_written(directory: Path, summary: Summary) -> None:
    assert read_summary(directory / "summary.json") == summary


def test_the_page_names_nothing_outside_itself(directory: Path, summary: Summary) -> None:
    page = (directory / "report.html").read_text()
    assert len(page.encode()) < 15_000_000
    for tag, attributes in Attributes(page).found:
        for name in ("src", "href", "data", "action", "poster", "srcset"):
            assert (attributes.get(name) or "#").startswith(("#", "data:")), tag
    assert "sourceMappingURL" not in page
    assert all(name in page for name in ("MIT License", "BSD-3-Clause", "ISC License"))


def test_markdown_has_the_values_and_marks_of_the_summary(directory: Path, summary: Summary) -> None:
    text = (directory / "report.md").read_text()
    found = tables(text)
    for rows in found:
        assert {len(row) for row in rows} == {len(rows[0])}
    assert f"**{headline(summary)}**" in text.replace("\\", "")
    for at, rows in zip(summary.at_rates, found, strict=False):
        assert f"### At or below {at.target:g} bpp" in text
        assert len(rows) == 2 + len(summary.codecs) + 1
        for entry, cells in zip(at.entries, rows[2:], strict=False):
            assert entry.point
            point = summary.point(entry.codec, entry.point)
            assert cells[0].strip() == entry.codec
            for metric, cell in zip(leading(summary.metrics), cells[3:], strict=True):
                if metric not in point.metrics:
                    assert cell.strip() == "–"  # noqa: RUF001
                    continue
                assert f"{point.metrics[metric].value:.{describe(metric).digits}f}" in cell
                assert ("★" in cell) == (entry.standing.get(metric) == "best")
                assert ("≈" in cell) == (entry.standing.get(metric) == "tied")
    assert "semcomp compare --config configs/compare/streets.yaml" in text


def test_figures_are_linked_where_they_are(directory: Path, write: Callable[..., Path]) -> None:
    assert "![" not in (directory / "report.md").read_text()
    (directory / "figures").mkdir()
    (directory / "figures" / "psnr.svg").touch()
    (directory / "figures" / "perception_0.06.svg").touch()
    write()
    links = re.findall(r"!\[.*?\]\((.*?)\)", (directory / "report.md").read_text())
    assert links == ["figures/psnr.svg", "figures/perception_0.06.svg"]


def test_data_that_must_not_be_shown_are_not(directory: Path, write: Callable[..., Path]) -> None:
    assert "data:image/webp" in write().read_text()
    write(pictures=0)
    assert "data:image/webp" not in (directory / "report.html").read_text()


def test_pictures_have_the_space_that_the_rest_leaves(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, bare = write().stat().st_size, write(pictures=0).stat().st_size
    monkeypatch.setattr(module, "_SIZE", bare + (whole - bare) // 2)
    assert bare < write().stat().st_size < bare + (whole - bare) * 0.7
    monkeypatch.setattr(module, "_SIZE", bare // 2)
    assert write().stat().st_size == bare
    monkeypatch.undo()
    assert write().stat().st_size == whole


def test_a_row_of_originals_that_says_nothing_is_left_out(tmp_path: Path) -> None:
    results = street_results(3)
    unjudged = results.rows.with_columns(
        pl.lit(None, pl.List(pl.Int64)).alias("confusion"), pl.lit(None, pl.Float64).alias("accuracy")
    )
    for rows, shown in ((results.rows, True), (unjudged, False)):
        given = Results(rows, results.provenance)
        write_report(tmp_path, given, write_directory(tmp_path, given, pictures=0))
        for name, end in (("report.html", 'id="files"'), ("report.md", "## Over the rate")):
            text = (tmp_path / name).read_text()
            assert ("what the uncompressed originals reach" in text) == shown
            assert ("the ceiling" in text.partition(end)[0]) == shown


def test_the_same_results_give_the_same_files(directory: Path, write: Callable[..., Path]) -> None:
    write()
    first = [(directory / name).read_bytes() for name in ("report.html", "report.md")]
    write()
    assert [(directory / name).read_bytes() for name in ("report.html", "report.md")] == first


def test_hardly_any_results_can_be_reported(tmp_path: Path) -> None:
    row: dict[str, Any] = {"codec": "one", "point": "p", "kind": "model", "image": "a", "height": 8, "width": 8}
    fine = Results(table([{**row, "status": "ok", "bytes": 8, "bpp": 1.0, "psnr": 20.0}]), {})
    failed = Results(table([{**row, "status": "failed", "error": "it | failed"}]), {})
    for number, results in enumerate([fine, failed, Results(table([]), {})]):
        directory = tmp_path / str(number)
        directory.mkdir()
        write_report(directory, results, write_directory(directory, results))
        for rows in tables((directory / "report.md").read_text()):
            assert {len(line) for line in rows} == {len(rows[0])}


def test_what_says_nothing_is_folded(tmp_path: Path) -> None:
    """Codecs that reach no rate, curves of too few points, metrics and times that nobody measured."""
    given = street_results(4)
    given = lose(given, "WebP", "best at 0.03", *given.rows["image"], status="no_file")
    silent = pl.lit(None, pl.Float64)
    rows = given.rows.with_columns(lpips=silent, encode_seconds=silent, decode_seconds=silent)
    rows = rows.filter(pl.col("point").is_in(["d4C2", "best at 0.03", "uncompressed"]))
    few = Results(rows, given.provenance)
    write_report(tmp_path, few, write_directory(tmp_path, few, pictures=0))
    page, text = ((tmp_path / name).read_text() for name in ("report.html", "report.md"))
    for name in ("delta", "perception"):
        assert f'id="{name}"' not in page
        assert f'href="#{name}"' not in page
    assert "2 sections have nothing to show" in page
    assert "1 codec does not stand at this rate" in page
    assert "WebP: cannot reach 0.03 bpp: its smallest files are larger" in page
    assert "encode" not in page.partition('id="files"')[2].partition("</table>")[0]
    assert "## Average distance" not in text
    assert "- WebP: cannot reach 0.03 bpp" in text
    assert "| WebP | – |" not in text  # noqa: RUF001


def test_oracles_and_values_of_zero_have_no_marks(tmp_path: Path, results: Results) -> None:
    nothing = [0, 1] + [0] * 9
    blind = pl.lit([nothing[(place - row) % 11] for row in range(11) for place in range(11)])
    seen = pl.when(pl.col("codec") == "AVIF").then(blind).otherwise("confusion").alias("confusion")
    named = pl.col("codec").replace("SemanticDistortionGAN", "ConditionalGAN (oracle)")
    given = replace(results, rows=results.rows.with_columns(seen, named))
    write_report(tmp_path, given, write_directory(tmp_path, given, pictures=0))
    rows = tables((tmp_path / "report.md").read_text())[0]
    oracle, avif = (next(row for row in rows if row[0].strip() == name) for name in ("ConditionalGAN (oracle)", "AVIF"))
    assert not {*"★≈▾"} & {*"".join(oracle)}
    miou = next(place for place, name in enumerate(rows[0]) if name.strip() == "mIoU ↑")
    assert avif[miou].strip() == "0.000 [0.000, 0.000]"


def test_a_file_that_is_no_summary_is_named(tmp_path: Path) -> None:
    file = tmp_path / "summary.json"
    with pytest.raises(SemcompError, match=r"summary\.json: no summary of a comparison found"):
        read_summary(file)
    file.write_text('{"codecs": []}')
    with pytest.raises(SemcompError, match=r"summary\.json: no summary of a comparison found"):
        read_summary(file)


def test_reasons_are_sentences(results: Results) -> None:
    given = lose(results, "WebP", "best at 0.03", *results.rows["image"], status="no_file")
    given = lose(given, "PlainGAN", "d4C2", "street_002", "street_003")
    given = replace(given, rows=given.rows.filter((pl.col("codec") != "AVIF") | (pl.col("target") == 0.1)))
    summary = summarise(given, draws=10)
    at = summary.at_rates[0]
    part = summarise(lose(results, "WebP", "best at 0.03", "street_002", status="no_file"), draws=10)
    (lacking,) = (entry for entry in part.at_rates[0].entries if entry.codec == "WebP")
    assert reason(lacking, part, 0.03) == "reaches 0.03 bpp for 5 of 6 images only"
    assert {entry.codec: reason(entry, summary, at.target) for entry in at.entries if entry.status != "ok"} == {
        "PlainGAN": "2 of 6 images failed at d4C2",
        "AVIF": "no point at or below 0.03 bpp",
        "WebP": "cannot reach 0.03 bpp: its smallest files are larger",
    }
    said = [warning(one) for one in summary.warnings]
    assert said == ["PlainGAN, d4C2: 2 of 6 images failed, so it stands at no target rate"]


@pytest.mark.parametrize(
    ("caution", "text"),
    [
        (Caution("no_ceiling"), "no originals were judged: there is no ceiling"),
        (Caution("unfinished", 12, 50), "unfinished: 12 of 50 images so far"),
        (Caution("incomplete", 5, 12, "WebP", "q10"), "WebP, q10: 5 of 12 images so far"),
        (
            Caution("no_file", 1, 12, "WebP", "q10"),
            "WebP, q10: cannot reach its target for 1 of 12 images, so it stands at no target rate",
        ),
        (Caution("one_image"), "one image only: there are no intervals"),
    ],
    ids=lambda given: given.problem if isinstance(given, Caution) else "",
)
def test_cautions_are_sentences(caution: Caution, text: str) -> None:
    assert warning(caution).startswith(text)


def test_markup_in_names_is_text(tmp_path: Path) -> None:
    results = street_results(2)
    rows = results.rows.with_columns(pl.col("codec").replace("WebP", "<b>|`x`</script>"))
    named = Results(rows, {**results.provenance, "command": "<i>`rm`\n"})
    write_report(tmp_path, named, write_directory(tmp_path, named, pictures=0))
    page = (tmp_path / "report.html").read_text()
    assert not {tag for tag, _ in Attributes(page).found} & {"b", "i"}
    text = (tmp_path / "report.md").read_text()
    assert "\\<b\\>\\|\\`x\\`\\</script\\>" in text
    for lines in tables(text):
        assert {len(line) for line in lines} == {len(lines[0])}
