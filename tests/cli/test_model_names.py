"""One answer to what a name or a path of a model means, wherever a model is asked for."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch

from semcomp_pl.checkpoints.export import export
from semcomp_pl.checkpoints.loading import load, load_discriminator, load_segmenter
from semcomp_pl.cli import main
from semcomp_pl.compare.measure.panel import Panel
from tests.cli.common import GAN, data_flags
from tests.lab import Lab, scene, write_png

FORMS = ["runs/{}", "{}", "runs/{}/checkpoints/best.ckpt", "weights/exported_{}", "exported_{}"]
"""Of a run, of which there is an export."""
OF_RUNS = FORMS[:3]


@pytest.fixture(scope="module", autouse=True)
def _models(place: Path, lab: Lab, fitted: dict[str, Path]) -> None:
    """Beside `runs/run`, further runs of one checkpoint each, and an export of every run."""
    models = {"segmenter": Path(lab.segmenter), "conditional": fitted["conditional_gan"]}
    for name, file in models.items():
        (place / "runs" / name / "checkpoints").mkdir(parents=True)
        shutil.copy(file, place / "runs" / name / "checkpoints" / "best.ckpt")
    for name in ("run", *models):
        export(str(place / "runs" / name), str(place / "weights" / f"exported_{name}"))
    shutil.copy(place / "runs/run/checkpoints/best.ckpt", place / "elsewhere.ckpt")
    (place / "runs/moved/checkpoints").mkdir(parents=True)
    shutil.copy(place / "elsewhere.ckpt", place / "runs/moved/checkpoints/best.ckpt")
    other = lab.model("pspnet", learning_rate=2e-3)
    (place / "runs/segmenter_2/checkpoints").mkdir(parents=True)
    lab.checkpoint(other, place / "runs/segmenter_2/checkpoints/best.ckpt")
    write_png(place / "a.png", scene(32, 64))


@pytest.mark.parametrize("form", FORMS)
def test_of_functions(inside: Path, form: str) -> None:
    assert load(form.format("run")).fingerprint == load("runs/run/checkpoints/best.ckpt").fingerprint
    segmenter = load_segmenter(form.format("segmenter"))
    assert segmenter.fingerprint() == load_segmenter("runs/segmenter/checkpoints/best.ckpt").fingerprint()
    assert load(form.format("conditional"), form.format("segmenter")).segmenter is segmenter


@pytest.mark.parametrize("form", FORMS)
def test_of_compress_and_decompress(inside: Path, form: str) -> None:
    codec, segmenter = form.format("conditional"), form.format("segmenter")
    assert main(["compress", "a.png", "--model", codec, "--segmenter", segmenter, "--force"]) == 0
    assert main(["decompress", "a.smc", "--model", codec, "-o", "b.png", "--force"]) == 0
    expected = load("conditional", "segmenter").compress(scene(32, 64))
    assert len((inside / "a.smc").read_bytes()) == pytest.approx(len(expected), abs=4)  # half precision moves labels


@pytest.mark.parametrize("form", FORMS)
def test_of_warm_starts(inside: Path, lab: Lab, form: str) -> None:
    model = lab.model("rate_distortion", init_from=form.format("run"))
    lab.fit(model, limit_train_batches=0, limit_val_batches=0)
    expected = load("run").net.generator.state_dict()
    for name, value in model.codec.generator.state_dict().items():
        assert torch.allclose(value, expected[name], atol=1e-3)


@pytest.mark.parametrize("form", FORMS)
def test_of_judges_and_segmenters(inside: Path, lab: Lab, form: str) -> None:
    given = form.format("segmenter")
    judged = lab.model("rate_distortion", judge=given)
    (figures,) = lab.trainer(limit_val_batches=1).validate(judged, lab.data(), verbose=False)
    assert "val/miou" in figures
    assert judged.judged_by == load_segmenter("segmenter").fingerprint()
    served = lab.model("conditional_gan", segmenter=given)
    lab.trainer(limit_val_batches=1).validate(served, lab.data(), verbose=False)
    assert served.rivals() == [judged.judged_by]


@pytest.mark.parametrize("form", OF_RUNS)
def test_of_discriminators(inside: Path, form: str) -> None:
    assert load_discriminator(form.format("run")).codec_fingerprint == load("run").fingerprint


def psnr_of(directory: Path) -> float:
    with (directory / "test" / "metrics.csv").open(newline="") as lines:
        *_, last = csv.DictReader(lines)
    return float(last["test/psnr"])


@pytest.mark.parametrize("form", FORMS)
def test_of_checkpoint_paths(inside: Path, form: str) -> None:
    command = ["test", "--config", "configs/model/plain_gan.yaml", *data_flags("data"), *GAN]
    assert main([*command, f"--ckpt_path={form.format('run')}"]) == 0
    directory = inside / "runs" / ("exported_run" if "exported" in form else "run")
    assert psnr_of(directory) == pytest.approx(expected_psnr(), abs=0.05)


def expected_psnr() -> float:
    """What the last validation of `runs/run` found."""
    with Path("runs/run/metrics.csv").open(newline="") as lines:
        return [float(row["val/psnr"]) for row in csv.DictReader(lines) if row["val/psnr"]][-1]


@pytest.mark.parametrize("form", [*FORMS, "elsewhere.ckpt", "runs/moved", "moved"])
def test_of_test(inside: Path, form: str) -> None:
    """Outside its run a checkpoint is measured as an export is, under a name of its own."""
    name = form.format("run")
    alone = name not in (one.format("run") for one in OF_RUNS)
    run = inside / "runs" / ("run" if not alone else Path(name).stem)
    shutil.rmtree(run / "test", ignore_errors=True)
    assert main(["test", name, *(data_flags("data") if alone else [])]) == 0
    assert psnr_of(run) == pytest.approx(expected_psnr(), abs=0.05)


@pytest.mark.parametrize("form", FORMS)
def test_of_compare(inside: Path, form: str, tmp_path: Path) -> None:
    """Codecs, judge and the segmenter of label maps; an empty list of codecs leaves the models alone."""
    models = [form.format(name) for name in ("run", "conditional")]
    networks = ["--judge=segmenter_2", f"--segmenter={form.format('segmenter')}", "--images=1", "--pictures=0"]
    quick = ["--draws=10", "--timed_images=0", "--workers=0", "--codecs=[]", f"--output={tmp_path}"]
    assert main(["compare", *models, *data_flags("data"), *networks, *quick]) == 0
    said = json.loads((tmp_path / "summary.json").read_text())
    assert said["codecs"] == ["ConditionalGAN", "PlainGAN"]
    assert said["provenance"]["checkpoints"]["PlainGAN"] == {"d4C8L5": load("run").fingerprint.hex()}


@pytest.mark.parametrize("form", FORMS)
def test_of_judges_of_comparisons(inside: Path, form: str) -> None:
    panel = Panel([form.format("segmenter")], "cpu")
    assert [one.fingerprint() for one in panel.judges.values()] == [load_segmenter("segmenter").fingerprint()]


@pytest.mark.parametrize("form", ["weights/exported_run", "elsewhere.ckpt"])
def test_training_goes_on_in_runs_only(inside: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", form, *data_flags("data")]) == 2
    assert (
        "which training cannot go on from; start a new run from them with --model.init_from" in capsys.readouterr().err
    )


@pytest.mark.parametrize("form", FORMS)
def test_of_export(inside: Path, form: str, tmp_path: Path) -> None:
    assert main(["export", form.format("run"), str(tmp_path / "export")]) == 0
    assert load(tmp_path / "export").fingerprint == load("run").fingerprint


def test_what_is_nothing_of_the_kind_is_named(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (inside / "runs" / "empty").mkdir(exist_ok=True)
    for given in ("nowhere", "empty", "data", "runs/empty"):
        for command in (
            ["compress", "a.png", "--force", "--model", given],
            ["decompress", "a.smc", "--force", "--model", given],
            ["compress", "a.png", "--force", "--model", "conditional", "--segmenter", given],
            ["export", given, "new"],
        ):
            assert main(command) == 2
            assert f"error: {given}: no such model; expected a checkpoint (.ckpt)" in capsys.readouterr().err
