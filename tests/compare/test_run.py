"""`semcomp compare`: what is measured, what is kept, and what happens when something goes wrong."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from PIL import Image
from polars.testing import assert_frame_equal

from semcomp_pl.cli import main
from semcomp_pl.codecs import WebP, best_at
from semcomp_pl.compare.measure import parts
from semcomp_pl.compare.config import ModelCodec, Reference, Settings, Wandb
from semcomp_pl.compare.measure.measurer import Measurer
from semcomp_pl.compare.measure.pictures import picture_path
from semcomp_pl.compare.rows import read_results
from semcomp_pl.compare.run import compare, fill
from semcomp_pl.data.datamodule import ImageDataset
from semcomp_pl.errors import SemcompError
from semcomp_pl.metrics.miou import image_confusions
from semcomp_pl.metrics.psnr import psnr
from semcomp_pl.modules.base import CodecModule
from semcomp_pl.modules.conditional import ConditionalGAN
from semcomp_pl.checkpoints.loading import load
from semcomp_pl.modules.segmentation import Segmentation
from tests.compare.conftest import TARGETS, Files, Run, write_data
from tests.modules.conftest import CLASSES, HEIGHT, WIDTH, Lab, write_images


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


def test_a_judge_reads_data_without_labels(settings: Settings, lab: Lab) -> None:
    """Against its own reading of the originals alone."""
    assert compare(settings, lab.data(labels=False)) == 0
    summary = json.loads((Path(settings.output) / "summary.json").read_text())
    assert {"miou_self", "accuracy_self"} < {*summary["metrics"]}
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
    assert "5 points over 1 images" in capsys.readouterr().out
    warnings = json.loads((output / "summary.json").read_text())["warnings"]
    assert "unfinished: 1 of 3 images so far" in warnings
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
        (replace(settings, judge=None), "judge, classes"),
        (replace(settings, references=[]), "codecs, points, references"),
        (replace(settings, realism_judge=judge), "metrics"),
    ):
        with pytest.raises(SemcompError, match=f"a comparison of other {named} was begun here"):
            fill(other, lab.data())
    run(replace(settings, pictures=1, draws=20, seed=1))


def test_classes_that_are_kept_are_what_is_compared(settings: Settings, run: Run, lab: Lab, tmp_path: Path) -> None:
    model = str(lab.checkpoint(lab.model("selective_gan", class_names=CLASSES), tmp_path / "selective.ckpt"))
    settings = replace(settings, codecs=[ModelCodec(model, "mine", "some", "true", keep=["car"])], references=[])
    run(settings)
    provenance = json.loads((Path(settings.output) / "comparison.json").read_text())
    assert provenance["keep"] == {"mine (oracle), some": ["car"]}
    other = replace(settings, codecs=[replace(settings.codecs[0], keep=["sky"])])
    with pytest.raises(SemcompError, match="a comparison of other keep was begun here"):
        fill(other, lab.data())


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


def test_references_of_one_name_and_point_are_refused(settings: Settings, lab: Lab) -> None:
    references = [Reference("OptimizedJPEG", "JPEG", TARGETS), Reference("WebP", "JPEG", TARGETS[:1])]
    with pytest.raises(SemcompError, match=r"two codecs as JPEG, 0\.3 bpp found; give each"):
        fill(replace(settings, references=references), lab.data())


class Broken(torch.nn.Module):
    """A judge of the comparison that fails at its first image."""

    num_classes = len(CLASSES)

    def __init__(self, judge: Segmentation) -> None:
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
    assert measurer.judge is not None
    measurer.judge = Broken(measurer.judge)  # type: ignore[assignment]
    coder = measurer.coders[2]
    nothing = {"0.5 bpp": float("nan"), "1 bpp": float("inf")}
    decode = coder.decode
    monkeypatch.setattr(coder, "decode", lambda point, data: decode(point, data) + nothing.get(point, 0.0))
    errors = {row["codec"] + row["point"]: row["error"] for row in measurer.rows(0)}
    assert errors.pop("Original8 bits") == "RuntimeError: out of memory"
    for point in nothing:
        assert "no finite numbers found" in errors.pop(f"WebP{point}")
    errors.pop("WebP0.3 bpp")  # which has no file
    assert {*errors.values()} == {None}


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


def test_memory_does_not_grow_with_the_number_of_images(settings: Settings, files: Files, tmp_path: Path) -> None:
    from semcomp_pl.compare.measure.ranks import Share
    from semcomp_pl.compare.run import Worker, prepare

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
