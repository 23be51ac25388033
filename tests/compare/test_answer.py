"""The sentence that a report opens with, against the summary that it is computed from."""

import re
from dataclasses import replace

import polars as pl
import pytest

from semcomp_pl.compare.report.answer import answers, headline, main_rate, remarks
from semcomp_pl.compare.rows import Results, table
from semcomp_pl.compare.statistics.summarise import summarise
from semcomp_pl.compare.summary import AtRate, Difference, Entry, Estimate, Judge, Point, Summary
from semcomp_pl.metrics import perceptual
from tests.compare.rows import street_results

FULL = street_results(8)
EMPTY = Estimate(0.06, 0.05, 0.07)


def point(codec: str, metric: str, value: float, kind: str = "model") -> Point:
    return Point(
        codec, "p", "model" if kind == "model" else "reference", None, 3, 0, 0, EMPTY, {}, {metric: Estimate(value)},
        None, None, None,
    )  # fmt: skip


def made(
    points: list[Point], gaps: dict[tuple[str, str], dict[str, tuple[float, float]]], judges: int = 0, rates: int = 1
) -> Summary:
    """A summary of points at one or more rates, with the ends of the intervals of some differences."""
    entries = [Entry(one.codec, "ok", "p", None, {}, {}) for one in points]
    differences = [
        Difference(*pair, {metric: Estimate(sum(ends) / 2, *ends) for metric, ends in known.items()})
        for pair, known in gaps.items()
    ]
    base = summarise(Results(table([]), {}), draws=2)
    return replace(
        base,
        codecs=[one.codec for one in points],
        metrics=list(points[0].metrics),
        points=points,
        judges=[Judge(f"judge{number}", "a", "b", {}) for number in range(judges)],
        at_rates=[AtRate(0.01 * (rate + 1), entries, differences) for rate in range(rates)],
    )


def test_best_rival_and_lead_are_those_of_the_summary() -> None:
    summary = summarise(FULL, draws=100)
    found = answers(summary)
    assert [one.target for one in found] == sorted(one.target for one in summary.at_rates)
    for one, at in zip(found, summary.at_rates, strict=True):
        standing = [summary.point(entry.codec, entry.point) for entry in at.entries if entry.point]
        value = {each.codec: each.metrics["miou_ratio"].value for each in standing}
        assert one.metric == "miou_ratio"
        assert value[one.best.codec] == max(value.values())
        assert one.rival is not None
        assert one.rival.kind == "reference" != one.best.kind
        assert one.lead is not None
        assert one.lead.value == pytest.approx(value[one.best.codec] - value[one.rival.codec])


def test_without_a_judge_perception_answers_and_psnr_without_that() -> None:
    unjudged = [pl.lit(None, pl.List(pl.Int64)).alias(name) for name in ("confusion", "confusion_agreement")]
    rows = FULL.rows.with_columns(unjudged)
    summary = summarise(Results(rows, {}), draws=50)
    assert {one.metric for one in answers(summary)} == {perceptual(summary.metrics)[0]}
    bare = summarise(Results(rows.drop(perceptual(summary.metrics)), {}), draws=50)
    assert {one.metric for one in answers(bare)} == {"psnr"}
    assert re.match(r"At 0.03 and 0.04 bpp, AVIF has the best PSNR \([\d.]+ and [\d.]+ dB\): ", headline(bare))


def test_the_main_rate_is_told_first_in_one_sentence_and_the_others_after_it() -> None:
    points = [point("GAN", "miou", 0.5), point("WebP", "miou", 0.35, "reference"), point("AVIF", "miou", 0.3, "format")]
    summary = made(points, {("GAN", "WebP"): {"miou": (0.1, 0.2)}}, rates=4)
    few = [Entry(one.codec, "no_point", None, None, {}, {}) for one in points[:2]] + summary.at_rates[0].entries[2:]
    low = [replace(at, entries=few) for at in summary.at_rates[:2]]
    summary = replace(summary, at_rates=[*low, *summary.at_rates[2:]])
    assert main_rate(summary) == summary.at_rates[2]
    assert headline(summary) == (
        "At 0.03 and 0.04 bpp, GAN keeps the most meaning (mIoU 0.500): 0.150 above the best format (WebP)."
    )
    assert remarks(summary)[0] == "At 0.01 and 0.02 bpp, AVIF stands alone (mIoU 0.300)."


def test_one_codec_stands_alone_and_none_is_said() -> None:
    rows = FULL.rows.filter(pl.col("codec").is_in(["PlainGAN", "original"]))
    assert "PlainGAN stands alone (mIoU / ceiling " in headline(summarise(replace(FULL, rows=rows), draws=20))
    assert headline(summarise(Results(table([]), {}), draws=2)) == "No codec stands at a target rate."


def test_unfinished_comparisons_say_so() -> None:
    given = replace(FULL, provenance={**FULL.provenance, "images": ["a"] * 20})
    assert headline(summarise(given, draws=20)).startswith("So far, over 8 of 20 images: at 0.03 ")


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ([(0.1, 0.2)] * 3, "all 3 judges agree."),
        ([(0.1, 0.2), (-0.1, 0.2), (0.1, 0.2)], "2 of 3 judges agree."),
        ([(0.1, 0.2), (-0.3, -0.1)], "1 of 2 judges agree."),
        ([(0.1, 0.2)] * 2, "both judges agree."),
        ([(0.1, 0.2)], "0.150 above the best format (WebP)."),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_judges_are_counted(seen: list[tuple[float, float]], said: str, turned: bool) -> None:
    gaps = {"miou": (0.1, 0.2)} | {f"miou@judge{number}": ends for number, ends in enumerate(seen)}
    if turned:
        gaps = {name: (-high, -low) for name, (low, high) in gaps.items()}
    pair = ("WebP", "GAN") if turned else ("GAN", "WebP")
    points = [point("GAN", "miou", 0.5), point("WebP", "miou", 0.35, "reference")]
    assert headline(made(points, {pair: gaps}, len(seen))).endswith(said)


def test_a_lead_that_may_be_zero_is_none() -> None:
    points = [point("GAN", "psnr", 20.1), point("WebP", "psnr", 20.0, "reference")]
    text = headline(made(points, {("GAN", "WebP"): {"psnr": (-0.1, 0.3)}}))
    assert text == "At 0.01 bpp, GAN has the best PSNR (20.10 dB): not told apart from the best format (WebP)."


def test_less_is_better_where_it_is() -> None:
    points = [point("GAN", "lpips", 0.2), point("WebP", "lpips", 0.5, "reference")]
    text = headline(made(points, {("GAN", "WebP"): {"lpips": (-0.4, -0.2)}}, rates=3))
    assert text == "At 0.01 to 0.03 bpp, GAN has the best LPIPS (0.200): 0.300 below the best format (WebP)."


def test_a_metric_is_named_as_in_a_sentence() -> None:
    points = [point("GAN", "feature_distance", 0.8), point("WebP", "feature_distance", 0.9, "reference")]
    assert "GAN has the best feature distance (0.800)" in headline(made(points, {}))


def test_equals_and_oracles_are_named_apart() -> None:
    points = [point("GAN", "miou", 0.5), point("GAN (oracle)", "miou", 0.6), point("Other", "miou", 0.49)]
    points.append(point("WebP", "miou", 0.3, "reference"))
    summary = made(points, {("GAN", "Other"): {"miou": (-0.1, 0.12)}, ("GAN", "WebP"): {"miou": (0.1, 0.3)}})
    assert headline(summary).startswith("At 0.01 bpp, GAN keeps the most meaning (mIoU 0.500)")
    assert remarks(summary) == [
        "Other cannot be told apart from GAN.",
        "GAN (oracle) is sent the true label map, and reaches 0.600.",
    ]


def test_trainings_are_counted() -> None:
    points = [replace(point("GAN", "psnr", 20.0), seeds=3), point("Other", "psnr", 19.0)]
    text = headline(made(points, {("GAN", "Other"): {"psnr": (0.5, 1.5)}}))
    assert (
        text
        == "At 0.01 bpp, GAN has the best PSNR (20.00 dB, mean of 3 trainings): 1.00 dB above the next best (Other)."
    )
