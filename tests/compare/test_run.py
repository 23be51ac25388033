"""`semcomp compare`: what is measured, what is kept, and what happens when something goes wrong."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from PIL import Image
from polars.testing import assert_frame_equal

from semcomp_pl.cli import main
from semcomp_pl.codecs import WebP, best_at
from semcomp_pl.compare import parts
from semcomp_pl.compare.config import ModelCodec, Reference, Settings, Wandb
from semcomp_pl.compare.pictures import picture_path
from semcomp_pl.compare.rows import read_results
from semcomp_pl.compare.run import compare, fill
from semcomp_pl.data.datamodule import ImageDataset
from semcomp_pl.errors import SemcompError
from semcomp_pl.metrics.miou import image_confusions
from semcomp_pl.metrics.psnr import psnr
from semcomp_pl.modules.base import CodecModule
from semcomp_pl.modules.conditional import ConditionalGAN
from semcomp_pl.modules.loading import load
from semcomp_pl.modules.segmentation import Segmentation
from tests.compare.conftest import Files
from tests.modules.conftest import CLASSES, HEIGHT, WIDTH, Lab, write_images

Run = Callable[..., pl.DataFrame]
TARGETS = [0.3, 0.5, 1.0, 2.0]


@pytest.fixture
def settings(files: Files, tmp_path: Path) -> Settings:
    """A model, a searched format and a judge, in this process and without the serial pass."""
    return Settings(
        output=str(tmp_path / "out"),
        codecs=[ModelCodec(files.plain)],
        references=[Reference("WebP", targets=TARGETS)],
        judge=files.judge,
        targets=TARGETS,
        draws=50,
        pictures=2,
        timed_images=0,
        workers=0,
    )


@pytest.fixture
def run(lab: Lab) -> Run:
    """Measure, and the rows of the results."""
    return lambda settings: parts.collect(fill(settings, lab.data()).directory).rows


def samples(lab: Lab) -> list[dict[str, Any]]:
    data = ImageDataset(lab.data().store("val"))
    return [data[index] for index in range(len(data))]


def one(rows: pl.DataFrame, codec: str, image: str, point: str | None = None) -> dict[str, Any]:
    found = rows.filter(pl.col("codec") == codec, pl.col("image") == image)
    return (found if point is None else found.filter(pl.col("point") == point)).row(0, named=True)


def measured(settings: Settings) -> int:
    """Rows in all parts."""
    return sum(len(file.read_text().splitlines()) for file in (Path(settings.output) / "parts").glob("rows-*"))


def test_rows_hold_what_files_decode_to(settings: Settings, run: Run, lab: Lab, files: Files) -> None:
    rows = run(settings)
    points = 1 + 1 + len(TARGETS)
    assert len(rows) == 3 * points
    assert rows["error"].null_count() == len(rows)
    model, judge = load(files.plain), Segmentation.from_file(files.judge)
    assert isinstance(model, CodecModule)
    for sample in samples(lab):
        image, label, name = sample["image"], sample["label"], sample["name"]
        data = model.compress(image)
        decoded = model.decompress(data)
        row = one(rows, "RateDistortion", name)
        assert (row["bytes"], row["bpp"]) == (len(data), 8 * len(data) / (HEIGHT * WIDTH))
        assert row["bytes_header"] + row["bytes_latent"] == row["bytes"]
        assert row["psnr"] == pytest.approx(psnr(decoded[None], image[None]).item(), abs=1e-9)
        seen, original = judge.predict(decoded[None]), judge.predict(image[None])
        for column, truth in (("confusion", label[None]), ("confusion_self", original)):
            assert row[column] == image_confusions(seen, truth, len(CLASSES)).flatten().tolist()
        ceiling = one(rows, "Original", name)
        assert (ceiling["kind"], ceiling["bpp"], ceiling["psnr"]) == ("original", 24, 100)
        assert ceiling["confusion"] == image_confusions(original, label[None], len(CLASSES)).flatten().tolist()
        for target in TARGETS:
            found = best_at(image, target, WebP)
            row = one(rows, "WebP", name, f"{target:g} bpp")
            if found is None:
                assert "no file at or below" in row["error"]
            else:
                assert (row["bytes"], row["psnr"]) == (len(found.data), pytest.approx(found.psnr))
                assert row["bpp"] <= target == row["target"]


def test_summary_figures_pictures_and_provenance_stand_beside_the_rows(
    settings: Settings, lab: Lab, files: Files
) -> None:
    assert compare(settings, lab.data()) == 0
    output = Path(settings.output)
    summary = json.loads((output / "summary.json").read_text())
    assert summary["codecs"] == ["RateDistortion", "WebP"]
    assert {"psnr", "ms_ssim_2", "miou", "miou_self", "miou_ratio"} <= {*summary["metrics"]}
    provenance = read_results(output / "results.parquet").provenance
    model = load(files.plain)
    assert isinstance(model, CodecModule)
    assert provenance["checkpoints"] == {"RateDistortion": {"d4C8L5": model.codec().fingerprint.hex()}}
    assert provenance["judge"]["fingerprint"] == Segmentation.from_file(files.judge).fingerprint().hex()
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
    assert "2 images" in capsys.readouterr().out
    assert any("so far" in warning for warning in json.loads((output / "summary.json").read_text())["warnings"])


def test_another_comparison_is_refused(settings: Settings, run: Run, lab: Lab) -> None:
    run(settings)
    for other, named in (
        (replace(settings, images=2), "images, data"),
        (replace(settings, judge=None), "judge, classes"),
        (replace(settings, references=[]), "codecs, points, references"),
    ):
        with pytest.raises(SemcompError, match=f"a comparison of other {named} was begun here"):
            fill(other, lab.data())
    run(replace(settings, pictures=1, draws=20))


def test_a_failing_pair_is_recorded_and_tried_again(settings: Settings, run: Run, lab: Lab) -> None:
    """Of one image the pictures cannot be written."""
    settings = replace(settings, pictures=3)
    obstacle = Path(settings.output) / "pictures" / "1"
    obstacle.parent.mkdir(parents=True)
    obstacle.touch()
    assert compare(settings, lab.data()) == 3
    rows = read_results(Path(settings.output) / "results.parquet").rows
    failed = rows.filter(pl.col("error").is_not_null())
    assert failed["image"].unique().to_list() == ["1"]
    assert failed["error"][0].startswith("NotADirectoryError")
    assert failed["bytes"].null_count() == len(failed)
    obstacle.unlink()
    rows = run(settings)
    assert rows["error"].null_count() == len(rows)
    assert measured(settings) == len(rows) + len(failed)


def test_a_rate_that_a_format_cannot_reach_is_no_fault(settings: Settings, run: Run) -> None:
    rows = run(replace(settings, codecs=[], references=[Reference("WebP", targets=[0.001])]))
    assert rows.filter(pl.col("codec") == "WebP")["error"].unique().to_list() == [
        "no file at or below 0.001 bits per pixel"
    ]
    assert parts.faults(rows) == 0


def test_label_maps_come_from_the_segmenter_or_make_an_oracle(
    settings: Settings, run: Run, lab: Lab, files: Files
) -> None:
    codecs = [ModelCodec(files.conditional), ModelCodec(files.conditional, labels="true")]
    rows = run(replace(settings, codecs=codecs, references=[], segmenter=files.segmenter, metrics=["latent_iou"]))
    model = load(files.conditional)
    assert isinstance(model, ConditionalGAN)
    oracle, seen = (rows.filter(pl.col("codec") == f"ConditionalGAN{name}") for name in (" (oracle)", ""))
    assert oracle["latent_iou"].is_between(0, 1).all()
    for sample in samples(lab):
        data = model.compress(sample["image"], sample["label"])
        assert one(oracle, "ConditionalGAN (oracle)", sample["name"])["bytes"] == len(data)
    model.use_segmenter(files.segmenter)
    for sample in samples(lab):
        row = one(seen, "ConditionalGAN", sample["name"])
        assert row["bytes"] == len(model.compress(sample["image"]))
        assert row["bytes_labels"] > 0


def test_who_may_not_judge_is_refused(settings: Settings, lab: Lab, files: Files, tmp_path: Path) -> None:
    trained = lab.checkpoint(lab.model("semantic_distortion_gan"), tmp_path / "model.ckpt")
    for codec in (str(trained), files.conditional):
        settings = replace(settings, codecs=[ModelCodec(codec)], judge=lab.segmenter, segmenter=lab.segmenter)
        with pytest.raises(SemcompError, match="and may not judge it; name another --judge"):
            fill(settings, lab.data())
    with pytest.raises(SemcompError, match="sends a label map; name a --segmenter that makes it"):
        fill(replace(settings, segmenter=None), lab.data())


def test_models_of_one_class_and_shape_are_told_apart(settings: Settings, run: Run, lab: Lab, tmp_path: Path) -> None:
    other = lab.checkpoint(lab.model("rate_distortion", learning_rate=1e-4), tmp_path / "other.ckpt")
    codecs = [*settings.codecs, ModelCodec(str(other)), ModelCodec(str(other), "mine", "low")]
    rows = run(replace(settings, codecs=codecs, references=[]))
    names = rows["codec"].unique(maintain_order=True).to_list()
    assert names == ["Original", "RateDistortion (plain)", "RateDistortion (other)", "mine"]
    with pytest.raises(SemcompError, match="two models as mine, low found"):
        fill(replace(settings, codecs=[codecs[-1]] * 2), lab.data())


def write_data(lab: Lab, file: Path, **changes: Any) -> Path:
    """A data YAML, as in configs/data."""
    source = {"root": str(lab.root), "masks": "annot", "classes": CLASSES}
    data = {"source": {"class_path": "semcomp_pl.data.Folder", "init_args": source}, "size": [HEIGHT, WIDTH]}
    file.write_text(yaml.safe_dump({"data": data, **changes}))
    return file


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
def test_two_ranks_measure_every_image_once_and_merge(settings: Settings, run: Run, lab: Lab, tmp_path: Path) -> None:
    alone = run(settings)
    references = [{"format": "WebP", "targets": TARGETS}]
    data = write_data(lab, tmp_path / "all.yaml", references=references, targets=TARGETS, judge=settings.judge)
    command = [sys.executable, "-m", "semcomp_pl", "compare", settings.codecs[0].model, "--config", str(data)]
    command += ["--workers=0", "--timed_images=0", "--draws=50", "--output", str(tmp_path / "ranks")]
    ranks = [
        subprocess.Popen(
            command,
            env={**os.environ, "RANK": str(rank), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in ranks:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
        assert "Traceback" not in said
    parts = sorted((tmp_path / "ranks" / "parts").glob("rows-*"))
    assert [part.name[:6] for part in parts] == ["rows-0", "rows-1"]
    images = [{json.loads(line)["image"] for line in part.read_text().splitlines()} for part in parts]
    assert images == [{"0", "2"}, {"1"}]
    assert_frame_equal(read_results(tmp_path / "ranks" / "results.parquet").rows, alone, rel_tol=1e-6)


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


def test_memory_does_not_grow_with_the_number_of_images(settings: Settings, files: Files, tmp_path: Path) -> None:
    from semcomp_pl.compare.run import Share, Worker, prepare

    root = tmp_path / "many"
    root.mkdir()
    write_images(root, {"val": 40})
    settings = replace(settings, pictures=0, references=[Reference("WebP", points=[(1.0, 10)])])
    plan, _ = prepare(settings, Lab(root).data(), Share(0, 1, 0), "")
    plan.directory.mkdir()
    worker = Worker(plan, 0)

    def resident() -> int:
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return 1024 * int(lines["VmRSS"].split()[0])

    sizes = []
    for images in (range(8), range(8, 40)):
        for index in images:
            worker.measure(index, frozenset())
        sizes.append(resident())
    assert sizes[1] - sizes[0] < 24e6  # bytes
