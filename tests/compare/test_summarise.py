"""The summary of whole tables, against values computed straight from the rows."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from semcomp_pl.compare.rows import Results
from semcomp_pl.compare.statistics.summarise import summarise
from semcomp_pl.compare.summary import Caution, Entry, Summary
from semcomp_pl.errors import SemcompError
from semcomp_pl.metrics.miou import class_iou
from tests.compare.rows import CLASSES, lose, street_results

DRAWS = 300


@pytest.fixture(scope="module")
def results() -> Results:
    return street_results(12)


@pytest.fixture(scope="module")
def summary(results: Results) -> Summary:
    return summarise(results, draws=DRAWS)


def entry(summary: Summary, target: float, codec: str) -> Entry:
    (found,) = [one for at in summary.at_rates if at.target == target for one in at.entries if one.codec == codec]
    return found


def of(results: Results, codec: str, point: str) -> pl.DataFrame:
    return results.rows.filter(pl.col("codec") == codec, pl.col("point") == point)


def with_rows(results: Results, *changes: pl.Expr) -> Results:
    return replace(results, rows=results.rows.with_columns(*changes))


def test_values_are_those_of_the_rows(results: Results, summary: Summary) -> None:
    point, rows = summary.point("PlainGAN", "d4C8"), of(results, "PlainGAN", "d4C8")
    for name in ("psnr", "ms_ssim_4", "lpips", "accuracy"):
        assert point.metrics[name].value == pytest.approx(rows[name].to_numpy().mean(), rel=1e-12)
    for column, name in (("confusion", "miou"), ("confusion_agreement", "miou_agreement")):
        iou = class_iou(torch.tensor(rows[column].to_list()).sum(dim=0).reshape(11, 11))
        assert point.metrics[name].value == pytest.approx(iou.nanmean().item(), rel=1e-12)
        if name == "miou":
            classes = [point.metrics[f"iou_{label}"].value for label in CLASSES]
            assert classes == pytest.approx(iou.tolist(), rel=1e-12)
    assert summary.ceiling is not None
    ratio = point.metrics["miou"].value / summary.ceiling.metrics["miou"].value
    assert point.metrics["miou_ratio"].value == pytest.approx(ratio, rel=1e-12)
    assert point.metrics["fid"].low is None
    assert point.sections["total"] == pytest.approx(point.sections["header"] + point.sections["latent"])
    assert point.encode_seconds == pytest.approx(rows["encode_seconds"].drop_nulls().median())
    assert point.peak_memory == 900_000_002


def test_every_value_of_images_lies_in_its_interval(summary: Summary) -> None:
    for point in summary.points:
        for name, one in point.metrics.items():
            if name != "fid":
                assert one.low is not None
                assert one.high is not None
                assert one.low <= one.value <= one.high, name


def test_order_of_codecs_points_and_metrics(summary: Summary) -> None:
    assert summary.codecs == [
        *("PlainGAN", "RateDistortion", "SemanticDiscriminatorGAN", "SemanticDistortionGAN"),
        *("AVIF", "WebP"),
    ]
    rates = [one.bpp.value for one in summary.curve("WebP") if one.bpp]
    assert rates == sorted(rates)
    assert len(rates) == 4
    assert summary.metrics == [
        *("psnr", "ms_ssim_4", "lpips", "fid", "accuracy"),
        *("miou", "miou_agreement", "miou_ratio", "latent_iou"),
    ]
    assert summary.warnings == []


def test_the_original_is_the_ceiling_and_nothing_else(summary: Summary) -> None:
    assert summary.ceiling is not None
    assert "psnr" not in summary.ceiling.metrics  # it is infinite
    assert summary.ceiling.metrics["miou_agreement"].value == 1
    assert "original" not in summary.codecs
    assert all(one.kind != "original" for one in summary.points)


def test_points_at_a_target(summary: Summary) -> None:
    for at in summary.at_rates:
        for one in at.entries:
            rates = {point.point: point.bpp.value for point in summary.curve(one.codec) if point.bpp}
            fitting = {name: rate for name, rate in rates.items() if rate <= at.target}
            assert one.point == (max(fitting, key=lambda name: fitting[name]) if fitting else None)
    assert entry(summary, 0.06, "WebP").point == "best at 0.06"
    assert entry(summary, 0.075, "WebP").point == "best at 0.06"


def test_best_tied_and_behind(results: Results, summary: Summary) -> None:
    for at in summary.at_rates:
        for metric in ("psnr", "lpips", "miou"):
            best = [one for one in at.entries if one.standing.get(metric) == "best"]
            assert len(best) == 1
            for one in at.entries:
                if one.point is not None and one.standing[metric] != "best":
                    gap = one.to_best[metric]
                    assert gap.low is not None
                    assert gap.high is not None
                    assert (gap.value <= 0) == (metric != "lpips")
                    assert (one.standing[metric] == "tied") == (gap.low <= 0 <= gap.high)
                    rows, top = (of(results, e.codec, e.point or "") for e in (one, best[0]))
                    if metric != "miou":
                        paired = (rows[metric] - top[metric]).to_numpy().mean()
                        assert gap.value == pytest.approx(paired, abs=1e-12)
            assert all("latent_iou" not in one.standing for one in at.entries)


def test_one_codec_under_two_names_is_tied(results: Results) -> None:
    twin = results.rows.filter(pl.col("codec") == "AVIF").with_columns(codec=pl.lit("AVIF again"))
    summary = summarise(replace(results, rows=pl.concat([results.rows, twin])), draws=DRAWS)
    standings = {entry(summary, 0.06, name).standing["psnr"] for name in ("AVIF", "AVIF again")}
    assert standings == {"best", "tied"}
    (delta,) = [b for b in summary.bjontegaard if (b.anchor, b.test, b.metric) == ("AVIF", "AVIF again", "psnr")]
    assert delta.rate is not None
    assert (delta.rate.value, delta.rate.low, delta.rate.high) == pytest.approx((0, 0, 0), abs=1e-9)


def test_differences_are_of_all_pairs_and_all_classes(summary: Summary) -> None:
    (at,) = [one for one in summary.at_rates if one.target == 0.1]
    assert len(at.differences) == 15
    for one in at.differences:
        assert {f"iou_{label}" for label in CLASSES} | {"bpp", "psnr", "miou", "miou_ratio"} <= one.metrics.keys()
    assert at.differences[0].metrics["fid"].low is None


def test_a_point_with_a_failure_stands_at_no_target(results: Results) -> None:
    summary = summarise(lose(results, "PlainGAN", "d4C2", "street_003"), draws=DRAWS)
    point = summary.point("PlainGAN", "d4C2")
    assert (point.images, point.no_file, point.failed) == (11, 0, 1)
    rows = of(results, "PlainGAN", "d4C2").filter(pl.col("image") != "street_003")
    assert point.metrics["psnr"].value == pytest.approx(rows["psnr"].to_numpy().mean(), rel=1e-12)
    found = entry(summary, 0.03, "PlainGAN")
    assert (found.status, found.point, found.tried) == ("failed", None, "d4C2")
    assert summary.warnings == [Caution("failed", 1, 12, "PlainGAN", "d4C2")]
    notes = [b.notes for b in summary.bjontegaard if b.anchor == "PlainGAN"]
    assert all("PlainGAN has 3 points, at least 4 are needed" in each for each in notes)


def test_a_rate_below_a_formats_smallest_files_is_said_in_its_row_alone(results: Results) -> None:
    results = lose(results, "WebP", "best at 0.03", *results.rows["image"], status="no_file")
    summary = summarise(results, draws=DRAWS)
    found = entry(summary, 0.03, "WebP")
    assert (found.status, found.point, found.tried) == ("no_file", None, "best at 0.03")
    assert (summary.point("WebP", "best at 0.03").no_file, summary.warnings) == (12, [])


def test_a_rate_that_some_images_cannot_reach_is_warned_of(results: Results) -> None:
    summary = summarise(lose(results, "WebP", "best at 0.03", "street_001", status="no_file"), draws=DRAWS)
    assert entry(summary, 0.03, "WebP").status == "no_file"
    assert summary.warnings == [Caution("no_file", 1, 12, "WebP", "best at 0.03")]


def test_a_codec_whose_points_are_all_above_a_target_has_none(results: Results) -> None:
    rows = results.rows.filter((pl.col("codec") != "PlainGAN") | (pl.col("point") == "d4C16"))
    found = entry(summarise(replace(results, rows=rows), draws=DRAWS), 0.03, "PlainGAN")
    assert (found.status, found.point, found.tried) == ("no_point", None, None)


def test_results_so_far(results: Results) -> None:
    rows = results.rows.filter((pl.col("codec") != "WebP") | (pl.col("image") < "street_005"))
    summary = summarise(replace(results, rows=rows.filter(pl.col("kind") != "original")), draws=DRAWS)
    assert summary.ceiling is None
    assert "miou_ratio" not in summary.metrics
    assert Caution("no_ceiling") in summary.warnings
    assert Caution("incomplete", 5, 12, "WebP", "best at 0.03") in summary.warnings
    (at,) = [one for one in summary.at_rates if one.target == 0.06]
    (pair,) = [one for one in at.differences if (one.codec, one.other) == ("AVIF", "WebP")]
    first = [of(results, codec, "best at 0.06").filter(pl.col("image") < "street_005") for codec in ("AVIF", "WebP")]
    assert pair.metrics["psnr"].value == pytest.approx(
        (first[0]["psnr"] - first[1]["psnr"]).to_numpy().mean(), abs=1e-12
    )


def test_nothing_yet_and_one_image(results: Results) -> None:
    empty = summarise(replace(results, rows=results.rows.clear()), draws=DRAWS)
    assert (empty.codecs, empty.points, empty.ceiling) == ([], [], None)
    one = summarise(replace(results, rows=results.rows.filter(pl.col("image") == "street_000")), draws=DRAWS)
    assert all(each.low is None for point in one.points for each in point.metrics.values())
    assert Caution("one_image") in one.warnings
    deltas = [each for delta in one.bjontegaard for each in (delta.rate, delta.quality) if each is not None]
    assert deltas
    assert all(each.low is None for each in deltas)


def test_a_class_that_one_image_shows_has_no_interval(results: Results) -> None:
    """Its resamplings either have that image's value or none: they say nothing of another image."""
    k, place = len(CLASSES), CLASSES.index("bicyclist")
    gone = np.ones((k, k), bool)
    gone[place], gone[:, place] = False, False

    def without(image: str, counts: list[int]) -> list[int]:
        return counts if image == "street_000" else (np.array(counts).reshape(k, k) * gone).ravel().tolist()

    pairs = results.rows.select("image", "confusion").iter_rows()
    confusion = pl.Series([without(*pair) for pair in pairs], dtype=pl.List(pl.Int64))
    summary = summarise(replace(results, rows=results.rows.with_columns(confusion.alias("confusion"))), draws=DRAWS)
    for point in summary.points:
        assert point.metrics["iou_bicyclist"].low is None
        assert point.metrics["iou_car"].low is not None
    for at in summary.at_rates:
        assert all(one.metrics["iou_bicyclist"].low is None for one in at.differences)


def test_images_that_are_still_to_come_are_said(results: Results) -> None:
    planned = [f"street_{place:03d}" for place in range(50)]
    summary = summarise(replace(results, provenance={**results.provenance, "images": planned}), draws=DRAWS)
    assert summary.warnings == [Caution("unfinished", 12, 50)]


def test_without_a_judge(results: Results) -> None:
    rows = results.rows.with_columns(
        confusion=pl.lit(None, pl.List(pl.Int64)), confusion_agreement=pl.lit(None, pl.List(pl.Int64))
    )
    summary = summarise(Results(rows, {}), draws=DRAWS)
    assert summary.metrics == ["psnr", "ms_ssim_4", "lpips", "accuracy", "latent_iou"]


def test_an_oracle_is_compared_and_takes_no_standing_from_others(results: Results, summary: Summary) -> None:
    best = next(one for one in summary.at_rates[2].entries if one.standing.get("miou") == "best")
    better = [pl.col(name) + 9 for name in ("psnr", "accuracy")]
    oracle = results.rows.filter(codec=best.codec).with_columns(*better, codec=pl.lit(f"{best.codec} (oracle)"))
    found = summarise(replace(results, rows=pl.concat([results.rows, oracle])), draws=DRAWS)
    for one in summary.at_rates[2].entries:
        assert entry(found, 0.06, one.codec).standing == one.standing
    added = entry(found, 0.06, f"{best.codec} (oracle)")
    assert (added.standing, added.agreed) == ({}, [])
    assert added.to_best["psnr"].value > 0


def test_tables_that_contradict_themselves_are_refused(results: Results) -> None:
    two = pl.when(pl.col("image") == "street_000").then(0.5).otherwise(pl.col("target")).alias("target")
    with pytest.raises(SemcompError, match="several values of target"):
        summarise(with_rows(results, two), draws=DRAWS)
    with pytest.raises(SemcompError, match=r"expected 4 for the 2 classes"):
        summarise(replace(results, provenance={"classes": ["a", "b"]}), draws=DRAWS)
    originals = results.rows.filter(pl.col("kind") == "original").with_columns(point=pl.lit("again"))
    with pytest.raises(SemcompError, match="2 points of kind original"):
        summarise(replace(results, rows=pl.concat([results.rows, originals])), draws=DRAWS)


def test_files(summary: Summary, tmp_path: Path) -> None:
    summary.write(tmp_path)
    read = json.loads((tmp_path / "summary.json").read_text())
    assert read == json.loads(json.dumps(summary.to_json()))
    assert [at["target"] for at in read["at_rates"]] == [0.03, 0.04, 0.06, 0.075, 0.1]
    with (tmp_path / "summary.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == 25
    assert [row["kind"] for row in rows[:2]] == ["original", "model"]
    point = summary.points[0]
    assert float(rows[1]["psnr_low"]) == point.metrics["psnr"].low
    assert float(rows[1]["bytes_latent"]) == point.sections["latent"]
    assert rows[1]["fid_low"] == ""


def test_the_same_rows_give_the_same_summary(results: Results, summary: Summary) -> None:
    shuffled = replace(results, rows=results.rows.sample(fraction=1, shuffle=True, seed=1))
    again = summarise(shuffled, draws=DRAWS)
    assert again.points[5].metrics.keys() == summary.points[5].metrics.keys()
    for name, one in summary.points[5].metrics.items():
        assert again.points[5].metrics[name].value == pytest.approx(one.value, rel=1e-12)
        assert (again.points[5].metrics[name].low or 0) == pytest.approx(one.low or 0, rel=1e-12)
    assert np.isfinite(summary.points[5].metrics["miou"].value)


def test_seeds_of_a_training_are_one_point_with_their_spread() -> None:
    results = street_results(12)
    here = (pl.col("codec") == "PlainGAN") & (pl.col("point") == "d4C8")
    alone = {}
    rows = [results.rows.filter(~here)]
    for seed, other in enumerate((street_results(12, seed=3), street_results(12, seed=4))):
        own = other.rows.filter(here).with_columns(seed=pl.lit(seed, pl.Int64))
        alone[seed] = summarise(Results(own, results.provenance), draws=20).point("PlainGAN", "d4C8").metrics
        rows.append(own.with_columns(point=pl.lit(f"d4C8, seed {seed}")))
    summary = summarise(replace(results, rows=pl.concat(rows), set_metrics={}), draws=200)
    point = summary.point("PlainGAN", "d4C8")
    assert (point.seeds, point.images) == (2, 12)
    assert [one.point for one in summary.points if one.codec == "PlainGAN"].count("d4C8") == 1
    for name in ("psnr", "miou"):
        values = [metrics[name].value for metrics in alone.values()]
        found = point.metrics[name]
        assert found.value == pytest.approx(np.mean(values), abs=0.01 if name == "miou" else 1e-9)
        assert found.spread == pytest.approx(np.std(values, ddof=1))
        assert found.low is not None
        assert found.low < found.value
    assert summary.point("PlainGAN", "d4C4").metrics["psnr"].spread is None
