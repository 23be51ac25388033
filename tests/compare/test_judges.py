"""Several judges: their figures, mean and agreement, and those that are relatives of a codec's segmenter."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import kendalltau

from semcomp_pl.compare.config import Settings, check
from semcomp_pl.compare.measure import parts
from semcomp_pl.compare.measure.panel import family
from semcomp_pl.compare.rows import Results
from semcomp_pl.compare.run import fill, render
from semcomp_pl.compare.statistics.judges import kendall
from semcomp_pl.compare.statistics.summarise import summarise
from semcomp_pl.compare.summary import Summary
from semcomp_pl.errors import SemcompError
from tests.compare.conftest import Files, Run, model, webp
from tests.compare.rows import confusion, street_results
from tests.lab import Lab

SEGMENTER = {"architecture": "fpn", "encoder": "resnet18"}


def panel_results(shares: dict[str, dict[str, float]], relatives: dict[str, dict[str, str]] | None = None) -> Results:
    """Synthetic results whose judges each see a given share of the pixels right in the reconstructions of a codec."""
    results, rng = street_results(20), np.random.default_rng(1)
    rows = results.rows.filter(pl.col("codec").is_in([*next(iter(shares.values())), "original"]))
    truths = {
        image: np.array(counts).reshape(11, 11).sum(axis=1)
        for image, counts in rows.filter(kind="original").select("image", "confusion").iter_rows()
    }
    for judge, known in shares.items():
        counts = [
            confusion(rng, truths[image], known.get(codec, 0.95))
            for codec, image in rows.select("codec", "image").rows()
        ]
        rows = rows.with_columns(pl.Series(f"confusion@{judge}", counts, pl.List(pl.Int64)))
    nothing = pl.lit(None, pl.List(pl.Int64))
    rows = rows.with_columns(nothing.alias("confusion"), nothing.alias("confusion_agreement"))
    judges = dict.fromkeys(shares, SEGMENTER)
    provenance = {**results.provenance, "judges": judges, "relatives": relatives or {name: {} for name in shares}}
    return Results(rows, provenance)


def at(summary: Summary, codec: str, point: str) -> dict[str, float]:
    return {name: one.value for name, one in summary.point(codec, point).metrics.items()}


def test_each_judge_counts_as_it_does_alone_and_the_headline_is_their_mean(
    settings: Settings, run: Run, lab: Lab, files: Files, tmp_path: Path
) -> None:
    other = str(lab.checkpoint(lab.model("pspnet", learning_rate=3e-2), tmp_path / "other.ckpt"))
    alone = {
        name: run(replace(settings, judge=judge, output=str(tmp_path / name)))
        for name, judge in (("judge", files.judge), ("other", other))
    }
    settings = replace(settings, judge=[files.judge, other])
    plan = fill(settings, lab.data())
    results = parts.collect(plan.directory)
    for name, rows in alone.items():
        for column in ("confusion", "confusion_agreement", "accuracy"):
            assert results.rows[f"{column}@{name}"].to_list() == rows[column].to_list()
    summary = render(plan.directory, results)
    assert [one.name for one in summary.judges] == ["judge", "other"]
    values = at(summary, "RateDistortion", "d4C8L5")
    for metric in ("miou", "miou_agreement", "miou_ratio", "accuracy"):
        assert values[metric] == pytest.approx((values[f"{metric}@judge"] + values[f"{metric}@other"]) / 2)
    assert summary.ceiling is not None
    ceiling = {name: one.value for name, one in summary.ceiling.metrics.items()}
    assert values["miou_ratio@other"] == pytest.approx(values["miou@other"] / ceiling["miou@other"])


def test_only_what_all_judges_say_is_agreed() -> None:
    better, worse = {"PlainGAN": 0.85, "RateDistortion": 0.6}, {"PlainGAN": 0.6, "RateDistortion": 0.85}
    for other, agreed in ((better, ["miou"]), (worse, [])):
        summary = summarise(panel_results({"one": better, "two": other}), draws=300)
        rate = summary.at_rates[-1]
        (difference,) = rate.differences
        assert [name for name in difference.agreed if name == "miou"] == agreed
        assert rate.order is not None
        assert (rate.order.tau.value, rate.order.alike) == ((1, 1) if agreed else (-1, 0))
        assert rate.order.agreed == len(agreed)
        behind = next(one for one in rate.entries if one.standing.get("miou") != "best")
        assert ("miou" in behind.agreed) is bool(agreed)


def test_relatives_stay_out_of_the_headline_and_both_readings_are_given() -> None:
    shares = {
        "stranger": {"PlainGAN": 0.7, "SemanticDistortionGAN": 0.72},
        "distant": {"PlainGAN": 0.72, "SemanticDistortionGAN": 0.72},
        "relative": {"PlainGAN": 0.7, "SemanticDistortionGAN": 0.95},
    }
    kin: dict[str, dict[str, str]] = {"stranger": {}, "distant": {}, "relative": {"SemanticDistortionGAN": "unknown"}}
    summary = summarise(panel_results(shares, kin), draws=300)
    assert summary.strangers == ["stranger", "distant"]
    for point in summary.points:
        values = {name: one.value for name, one in point.metrics.items()}
        assert values["miou"] == pytest.approx((values["miou@stranger"] + values["miou@distant"]) / 2)
    (gain,) = summary.at_rates[-1].gains
    assert (gain.codec, gain.over) == ("SemanticDistortionGAN", "PlainGAN")
    mine, theirs = (at(summary, codec, "d4C16") for codec in (gain.codec, gain.over))
    for estimate, judges in ((gain.relatives, ["relative"]), (gain.strangers, ["stranger", "distant"])):
        expected = np.mean([mine[f"miou_ratio@{name}"] - theirs[f"miou_ratio@{name}"] for name in judges])
        assert estimate.value == pytest.approx(expected)
        assert estimate.low is not None
        assert estimate.low < estimate.value
    assert gain.relatives.low is not None
    assert gain.relatives.low > gain.strangers.value


def test_tau_is_kendalls() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 7, 5))
    pairs = [(i, j) for i in range(7) for j in range(i + 1, 7)]
    signs = np.stack([np.sign(values[:, i] - values[:, j]) for i, j in pairs], axis=1)
    expected = [
        np.mean([kendalltau(values[a, :, draw], values[b, :, draw]).statistic for a, b in ((0, 1), (0, 2), (1, 2))])
        for draw in range(5)
    ]
    np.testing.assert_allclose(kendall(signs), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("encoder", "expected"),
    [
        ("tu-tf_efficientnet_lite2", "efficientnet"),
        ("timm-efficientnet-b0", "efficientnet"),
        ("resnet18", "resnet"),
        ("tu-regnety_004", "regnety"),
        ("mit_b0", "mit"),
    ],
)
def test_families_of_encoders(encoder: str, expected: str) -> None:
    assert family(encoder) == expected


def test_a_judge_of_the_kind_of_a_codecs_segmenter_is_marked(settings: Settings, lab: Lab, files: Files) -> None:
    codecs = [*settings.codecs, model(files.conditional)]
    plan = fill(replace(settings, codecs=codecs, segmenter=files.segmenter), lab.data())
    found = parts.collect(plan.directory).provenance["relatives"]
    assert found == {"judge": {"ConditionalGAN": "architecture pspnet"}}


@pytest.mark.parametrize("difference", ["name", "classes"])
def test_judges_that_do_not_go_together_are_refused(
    settings: Settings, lab: Lab, files: Files, tmp_path: Path, difference: str
) -> None:
    (tmp_path / "more").mkdir()
    changes: dict[str, Any] = {"num_classes": 7, "class_names": None} if difference == "classes" else {}
    name = "judge" if difference == "name" else "seven"
    other = lab.checkpoint(lab.model("pspnet", **changes), tmp_path / "more" / f"{name}.ckpt")
    said = "two judges called judge" if difference == "name" else r"judge: 4, seven: 7\), expected one taxonomy"
    with pytest.raises(SemcompError, match=said):
        fill(replace(settings, judge=[files.judge, str(other)]), lab.data())


def test_a_search_for_agreement_finds_more_of_it(settings: Settings, run: Run) -> None:
    entries = [replace(webp([0.5]), best=best, codec=best) for best in ("psnr", "agreement")]
    rows = run(replace(settings, codecs=entries)).filter(kind="reference").sort("image")
    psnr, agreement = (rows.filter(codec=best) for best in ("psnr", "agreement"))
    assert (agreement["bpp"] <= 0.5).all()
    assert (agreement["accuracy_agreement"] >= psnr["accuracy_agreement"] - 1e-9).all()
    assert (psnr["psnr"] >= agreement["psnr"] - 1e-9).all()
    for judge, entry, said in (
        (None, entries[1], "best=agreement without a judge"),
        (settings.judge, replace(entries[1], targets=[], init_args={"quality": 5}), "best=agreement without targets"),
    ):
        refused = replace(settings, judge=judge, codecs=[entry])
        with pytest.raises(SemcompError, match=said):
            (run if entry.targets else check)(refused)
