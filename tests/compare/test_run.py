"""`semcomp compare`: what is measured, what is kept, and what happens when something goes wrong."""

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch
from PIL import Image
from polars.testing import assert_frame_equal

from semcomp_pl import load, load_segmenter
from semcomp_pl.cli import main
from semcomp_pl.codecs import WebP, best_at
from semcomp_pl.codecs.pixels import psnr
from semcomp_pl.compare.config import Settings, Wandb
from semcomp_pl.compare.measure import parts
from semcomp_pl.compare.measure.measurer import Measurer
from semcomp_pl.compare.measure.pictures import picture_path
from semcomp_pl.compare.rows import read_results
from semcomp_pl.compare.run import compare, fill
from semcomp_pl.compare.summary import read_summary
from semcomp_pl.errors import SemcompError
from semcomp_pl.metrics.miou import image_confusions
from semcomp_pl.nets.segmenter import Segmenter
from tests.compare.conftest import TARGETS, Files, Run, one, samples, webp, write_data
from tests.lab import CLASSES, HEIGHT, WIDTH, Lab
from tests.offline import read_offline


def measured(settings: Settings) -> int:
    """Rows in all parts."""
    return sum(len(file.read_text().splitlines()) for file in (Path(settings.output) / "parts").glob("rows-*"))


def test_rows_hold_what_files_decode_to(settings: Settings, run: Run, lab: Lab, files: Files) -> None:
    rows = run(settings)
    points = 1 + 1 + len(TARGETS)
    assert len(rows) == 3 * points
    assert rows["error"].null_count() == len(rows)
    codec, judge = load(files.plain), load_segmenter(files.judge)
    for sample in samples(lab):
        image, label, name = sample["image"], sample["label"], sample["name"]
        data = codec.compress(image)
        decoded = codec.decompress(data)
        row = one(rows, "RateDistortion", name)
        assert (row["bytes"], row["bpp"]) == (len(data), 8 * len(data) / (HEIGHT * WIDTH))
        assert row["bytes_header"] + row["bytes_latent"] == row["bytes"]
        assert row["psnr"] == pytest.approx(psnr(decoded[None], image[None]).item(), abs=1e-9)
        seen, original = judge.predict(decoded[None]), judge.predict(image[None])
        for column, truth in (("confusion", label[None]), ("confusion_agreement", original)):
            assert row[column] == image_confusions(seen, truth, len(CLASSES)).flatten().tolist()
        ceiling = one(rows, "Original", name)
        assert (ceiling["kind"], ceiling["bpp"], ceiling["psnr"]) == ("original", 24, 100)
        assert ceiling["confusion"] == image_confusions(original, label[None], len(CLASSES)).flatten().tolist()
        for target in TARGETS:
            found = best_at(image, target, WebP)
            row = one(rows, "WebP", name, f"{target:g} bpp")
            if found is None:
                assert (row["status"], row["bytes"]) == ("no_file", None)
            else:
                assert row["status"] == "ok"
                assert (row["bytes"], row["psnr"]) == (len(found.data), pytest.approx(found.psnr))
                assert row["bpp"] <= target == row["target"]


def test_summary_figures_pictures_and_provenance_stand_beside_the_rows(
    settings: Settings, lab: Lab, files: Files
) -> None:
    assert compare(settings, lab.data()) == 0
    output = Path(settings.output)
    summary = json.loads((output / "summary.json").read_text())
    assert summary["codecs"] == ["RateDistortion", "WebP"]
    assert {"psnr", "ms_ssim_2", "miou", "miou_agreement", "miou_ratio"} <= {*summary["metrics"]}
    provenance = read_results(output / "results.parquet").provenance
    assert provenance["checkpoints"] == {"RateDistortion": {"d4C8L5": load(files.plain).fingerprint.hex()}}
    assert provenance["definitions"]["RateDistortion, d4C8L5"] == {
        "class_path": "semcomp_pl.load",
        "init_args": {"model": files.plain},
    }
    assert provenance["judges"]["judge"]["fingerprint"] == load_segmenter(files.judge).fingerprint().hex()
    assert provenance["classes"] == CLASSES
    assert (output / "figures" / "psnr.svg").is_file()
    assert "RateDistortion" in (output / "report.md").read_text()
    assert (output / "report.html").is_file()
    shown = {path.parent.parent.name for path in output.glob("pictures/*/WebP/*.png")}
    assert len(shown) == settings.pictures
    for codec, point in (("RateDistortion", "d4C8L5"), ("WebP", "1 bpp"), ("Original", "8 bits")):
        for suffix, mode in ((".png", "RGB"), (".label.png", "L")):
            with Image.open(picture_path(output, min(shown), codec, point, suffix)) as picture:
                assert (picture.size, picture.mode) == ((WIDTH, HEIGHT), mode)


def test_a_judge_reads_data_without_labels(settings: Settings, lab: Lab) -> None:
    """Against its own reading of the originals alone."""
    assert compare(settings, lab.data(labels=False)) == 0
    summary = json.loads((Path(settings.output) / "summary.json").read_text())
    assert {"miou_agreement", "accuracy_agreement"} < {*summary["metrics"]}
    assert not {"miou", "accuracy"} & {*summary["metrics"]}
    assert "## Class by class" not in (Path(settings.output) / "report.md").read_text()


def test_finished_pairs_are_not_measured_again(settings: Settings, run: Run) -> None:
    rows = run(settings)
    (part,) = (Path(settings.output) / "parts").glob("rows-*")
    lines = part.read_text().splitlines(keepends=True)
    part.write_text("".join(lines[:-2]) + lines[-2][:40])  # as a kill leaves it
    assert_frame_equal(run(settings), rows)
    assert measured(settings) == len(rows) + 1
    assert_frame_equal(run(settings), rows)
    assert measured(settings) == len(rows) + 1


def test_results_so_far_are_rendered(settings: Settings, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run(settings)
    output = Path(settings.output)
    (part,) = (output / "parts").glob("rows-*")
    part.write_text("".join(part.read_text().splitlines(keepends=True)[:8]))
    assert main(["report", str(output)]) == 0
    assert "5 points over 1 image:" in capsys.readouterr().out
    warnings = json.loads((output / "summary.json").read_text())["warnings"]
    assert [(one["images"], one["of"]) for one in warnings if one["problem"] == "unfinished"] == [(1, 3)]
    part.write_text("".join(part.read_text().splitlines(keepends=True)[:3]))
    assert main(["report", str(output)]) == 2
    assert "no image was measured by every codec yet" in capsys.readouterr().err


def test_lines_that_were_cut_short_are_measured_again(settings: Settings, run: Run) -> None:
    """At the end, in the middle as after a full disk, and where a crash left zeros."""
    rows = run(settings)
    (part,) = (Path(settings.output) / "parts").glob("rows-*")
    lines = part.read_bytes().splitlines(keepends=True)
    part.write_bytes(b"".join([*lines[:2], lines[2][:30] + b"\n", bytes(40) + b"\n", *lines[4:-1], lines[-1][:9]]))
    parts.append(part, [json.loads(lines[3])])
    assert_frame_equal(run(settings), rows)
    assert measured(settings) == 18 + 1 + 2  # all, a line for one that was cut short, and those that were missing
    times = part.with_name("times.jsonl")
    row = {"codec": "WebP", "point": "1 bpp", "image": "0", "encode_seconds": 1, "decode_seconds": 2, "peak_memory": 3}
    parts.append(times, [row, {**row, "image": "1"}])
    times.write_bytes(times.read_bytes()[:-20])
    parts.append(times, [{**row, "image": "2"}])
    assert parts.times(Path(settings.output))["image"].to_list() == ["0", "2"]
    assert run(settings)["encode_seconds"].drop_nulls().to_list() == [1, 1]


def test_another_comparison_is_refused(settings: Settings, run: Run, lab: Lab, tmp_path: Path) -> None:
    run(settings)
    judge = str(lab.checkpoint(lab.model("plain_gan"), tmp_path / "gan.ckpt"))
    for other, named in (
        (replace(settings, images=2), "images, data"),
        (replace(settings, judge=None), "judges, relatives, classes"),
        (replace(settings, codecs=settings.codecs[:1]), "codecs, points, definitions"),
        (replace(settings, realism_judge=judge), "metrics"),
    ):
        with pytest.raises(SemcompError, match=f"a comparison of other {named} was begun here"):
            fill(other, lab.data())
    run(replace(settings, pictures=1, draws=20, seed=1))


def test_a_failing_pair_is_recorded_and_tried_again(settings: Settings, run: Run, lab: Lab) -> None:
    """Of one image the pictures cannot be written."""
    settings = replace(settings, pictures=3)
    obstacle = Path(settings.output) / "pictures" / "1"
    obstacle.parent.mkdir(parents=True)
    obstacle.touch()
    assert compare(settings, lab.data()) == 3
    rows = read_results(Path(settings.output) / "results.parquet").rows
    failed = rows.filter(status="failed")
    assert len(failed) == rows["error"].count() == 1 + 1 + len(TARGETS)
    assert failed["image"].unique().to_list() == ["1"]
    assert failed["error"][0].startswith("NotADirectoryError")
    assert failed["bytes"].null_count() == len(failed)
    obstacle.unlink()
    rows = run(settings)
    assert rows["error"].null_count() == len(rows)
    assert measured(settings) == len(rows) + len(failed)


def test_a_rate_that_a_format_cannot_reach_is_no_fault(settings: Settings, run: Run) -> None:
    rows = run(replace(settings, codecs=[webp([0.001])]))
    found = rows.filter(codec="WebP")
    assert found.select("status", "error").unique().rows() == [("no_file", "no file at or below 0.001 bits per pixel")]
    assert parts.faults(rows) == 0
    lines = measured(settings)
    run(replace(settings, codecs=[webp([0.001])]))
    assert measured(settings) == lines, "which is known"


class Broken(torch.nn.Module):
    """A judge of the comparison that fails at its first image."""

    num_classes = len(CLASSES)

    def __init__(self, judge: Segmenter) -> None:
        super().__init__()
        self.judge, self.left = judge, 1

    def predict(self, image: torch.Tensor) -> torch.Tensor:
        self.left -= 1
        if self.left == 0:
            raise RuntimeError("out of memory")
        return self.judge.predict(image)


def test_whatever_one_pair_dies_of_the_others_are_measured(
    settings: Settings, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values that are no numbers from a decoder, and a judge that fails."""
    plan = fill(replace(settings, images=1, output=settings.output + "1"), lab.data())
    measurer = Measurer(plan)
    assert measurer.instruments.panel.judges
    measurer.instruments.panel.judges["judge"] = Broken(measurer.instruments.panel.judges["judge"])  # type: ignore[assignment]
    coder = measurer.coders[2]
    added = iter([0.0, float("nan"), float("inf"), 0.0])
    decode = coder.decode
    monkeypatch.setattr(coder, "decode", lambda data: decode(data) + next(added))
    rows = {row["codec"] + row["point"]: (row["status"], row["error"]) for row in measurer.rows(0)}
    assert rows.pop("Original8 bits") == ("failed", "RuntimeError: out of memory")
    for point in ("0.5 bpp", "1 bpp"):
        status, error = rows.pop(f"WebP{point}")
        assert status == "failed"
        assert "no finite numbers found" in error
    assert {*rows.values()} == {("ok", None)}


def test_two_models_by_name_are_compared_with_sensible_references(lab: Lab, files: Files, tmp_path: Path) -> None:
    data = write_data(lab, tmp_path / "data.yaml")
    flags = ["--images", "1", "--workers", "0", "--timed_images", "0", "--draws", "20", "-o", str(tmp_path / "out")]
    command = ["compare", files.plain, files.conditional, "--data", str(data), "--segmenter", files.segmenter, *flags]
    assert main(command) == 0
    rows = read_results(tmp_path / "out" / "results.parquet").rows
    codecs = ["Original", "RateDistortion", "ConditionalGAN", "WebP", "AVIF", "JPEG", "JPEG 2000"]
    assert rows["codec"].unique(maintain_order=True).to_list() == codecs
    again = ["compare", "--config", str(tmp_path / "out" / "config.yaml")]
    assert main(again) == 0
    assert_frame_equal(read_results(tmp_path / "out" / "results.parquet").rows, rows)


@pytest.mark.slow
def test_times_are_of_a_serial_pass_and_workers_change_nothing(
    settings: Settings, run: Run, lab: Lab, tmp_path: Path
) -> None:
    alone = run(settings)
    assert compare(replace(settings, workers=2, timed_images=2, output=str(tmp_path / "two")), lab.data()) == 0
    rows = read_results(tmp_path / "two" / "results.parquet").rows
    taken = ["encode_seconds", "decode_seconds", "peak_memory"]
    assert_frame_equal(rows.drop(taken), alone.drop(taken), rel_tol=1e-6)
    timed = rows.filter(pl.col("encode_seconds").is_not_null())
    done = rows.filter(pl.col("kind") != "original", pl.col("error").is_null(), pl.col("image").is_in(["0", "2"]))
    assert timed.select("codec", "point", "image").equals(done.select("codec", "point", "image"))
    assert timed["peak_memory"].null_count() == 0
    assert (timed.filter(kind="model")["peak_memory"] > 1e6).all()  # a file of a tiny image may need no page more
    assert alone["encode_seconds"].null_count() == len(alone)


@pytest.mark.slow
def test_wandb_gets_summary_curves_and_pictures_offline(
    settings: Settings, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert compare(replace(settings, wandb=Wandb(project="semcomp_tests")), lab.data()) == 0
    rows = read_results(Path(settings.output) / "results.parquet").rows
    (tables,) = Path(settings.output).glob("wandb/offline-run-*/files/media/table")
    (points,) = tables.glob("points_*.table.json")
    found = json.loads(points.read_text())
    table = pl.DataFrame(found["data"], found["columns"], orient="row")
    mean = rows.filter(pl.col("codec") == "RateDistortion")["psnr"].mean()
    assert table.filter(pl.col("codec") == "RateDistortion")["psnr"].to_list() == [pytest.approx(mean)]
    (pictures,) = tables.glob("pictures_*.table.json")
    assert len(json.loads(pictures.read_text())["data"]) == settings.pictures
    assert {*(path.name.split("_")[0] for path in (tables / "curves").iterdir())} >= {"psnr", "miou"}
    (tracked,) = read_offline(Path(settings.output))
    assert (tracked.group, tracked.job_type) == ("comparisons", "compare")
    assert tracked.config["comparison"]["images"] == ["0", "1", "2"]
    keys = {key.partition(" ")[0] for key in tracked.summary if not key.startswith("_")}
    assert {"codecs", "images", "points", "pictures", "curves/psnr_table"} < keys
    assert len(keys) <= 30
    for at in read_summary(Path(settings.output) / "summary.json").at_rates:
        best = [entry.codec for entry in at.entries if entry.standing.get("miou_ratio") == "best"]
        assert [tracked.summary[f"best@{at.target:g}"]] == best
        assert tracked.summary[f"miou_ratio@{at.target:g}"] >= tracked.summary[f"format/miou_ratio@{at.target:g}"]
    assert {*tracked.artifacts["comparison"]} == {"report.html", "report.md", "summary.json", "summary.csv"}
