"""What a report says about how its models were trained."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from semcomp_pl.compare.report.page import write_report
from semcomp_pl.compare.report.trainings import budgets, duration, trainings
from semcomp_pl.compare.rows import Results
from semcomp_pl.compare.statistics.summarise import summarise
from semcomp_pl.compare.summary import Summary
from tests.compare.rows import CODECS, street_results

MODELS = [f"{codec}, d4C{2**step}" for codec, about in CODECS.items() if about.kind == "model" for step in range(1, 5)]


@pytest.fixture(scope="module")
def results() -> Results:
    return street_results(2)


@pytest.fixture(scope="module")
def silent(results: Results) -> Summary:
    """The summary of codecs that say nothing of their trainings."""
    return summarise(results, draws=20)


def told(summary: Summary, **said: Any) -> Summary:
    """The summary with what codecs say."""
    definitions = {title: {"class_path": "x", "provenance": {"training": facts}} for title, facts in said.items()}
    return replace(summary, provenance={**summary.provenance, "definitions": definitions})


def facts(images: int, **more: Any) -> dict[str, Any]:
    return {"model": "PlainGAN", "steps": images // 32, "batch": 32, "images": images, **more}


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        ([1472] * 15 + [396736], "Trainings differ: 1,472 to 396,736 images seen"),
        ([23040] * 16, "Trainings are alike: 23,040 images seen"),
        ([23040, 22], "Trainings differ: 22 to 23,040 images seen; 14 of 16 models do not say"),
        ([23040], "Training: 23,040 images seen; 15 of 16 models do not say"),
        ([], ""),
    ],
)
def test_unequal_budgets_are_said(silent: Summary, images: list[int], sentence: str) -> None:
    said = {title: facts(seen) for title, seen in zip(MODELS, images, strict=False)}
    assert budgets(told(silent, **said)) == sentence


def test_what_others_mean_by_training_is_left_out(silent: Summary) -> None:
    said = {MODELS[0]: facts(32), MODELS[1]: {"on": "my machine"}, MODELS[2]: "long", MODELS[3]: facts(32, steps="x")}
    assert [*trainings(told(silent, **said))] == MODELS[:1]


def test_the_report_shows_trainings(results: Results, silent: Summary, tmp_path: Path) -> None:
    own = facts(23040, seconds=400.0, warm_start={"name": "<first>", "model": "RateDistortion", "fingerprint": "ab"})
    found = told(silent, **{MODELS[0]: {**own, "seed": 3, "device": "NVIDIA H200"}, MODELS[1]: facts(64)})
    write_report(tmp_path, results, found)
    text, page = (tmp_path / "report.md").read_text(), (tmp_path / "report.html").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| PlainGAN, d4C2 | 3 ")]
    expected = r"| PlainGAN, d4C2 | 3 | 720 | 32 | 23,040 | 6.7 min | – | \<first\> | NVIDIA H200 |"  # noqa: RUF001
    assert rows == [expected]
    assert text.count("Trainings differ: 64 to 23,040 images seen") == 2
    section = page.partition('<section id="trainings">')[2].partition("</section>")[0]
    assert [word for word in ("23,040", "6.7 min", "&lt;first&gt;", "NVIDIA H200") if word not in section] == []
    assert section.count("<tr>") == 1 + 2
    write_report(tmp_path, results, silent)  # of models that say nothing
    assert "#trainings" not in (tmp_path / "report.html").read_text()


def test_times_are_readable() -> None:
    assert [duration(seconds) for seconds in (None, 0.4, 119, 400, 86400)] == ["–", "0 s", "119 s", "6.7 min", "24.0 h"]  # noqa: RUF001
