"""Budgets, ends, disks and scripts, as users of `semcomp fit` have them."""

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from semcomp_pl.checkpoints.loading import load
from semcomp_pl.cli import main
from semcomp_pl.data import Folder, ImageDataModule
from semcomp_pl.errors import SemcompWarning
from tests.lab import CLASSES, HEIGHT, SEGMENTERS, WIDTH, write_images

Fit = Callable[..., int]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def fit(tmp_path: Path) -> Fit:
    """`semcomp fit` of a tiny model on 8 images in batches of 2, which is 4 batches an epoch."""
    write_images(tmp_path, {"train": 8, "val": 2})
    source = {"root": ".", "masks": "annot", "classes": CLASSES}
    data = {"source": {"class_path": "semcomp_pl.data.Folder", "init_args": source}, "size": [HEIGHT, WIDTH]}
    Path("data.yaml").write_text(json.dumps({"data": {**data, "batch_size": 2, "num_workers": 0}}))

    def run(model: str, *flags: str) -> int:
        tiny = [] if model in SEGMENTERS else ["--model.filters=4", "--model.blocks=0"]
        tiny += ["--model.discriminator_filters=4"] if model.endswith("_gan") else []
        configs = ["configs/trainer/cpu.yaml", "data.yaml", f"configs/model/{model}.yaml"]
        command = [word for config in configs for word in ("--config", config)]
        quiet = ["--trainer.enable_progress_bar=false", "--trainer.log_every_n_steps=1", "--entropy_steps=0"]
        return main(["fit", *command, *tiny, *quiet, *flags])

    return run


def history(run: str) -> list[dict[str, str]]:
    with (Path("runs") / run / "metrics.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def checkpoint(run: str, name: str = "last") -> dict[str, Any]:
    content: dict[str, Any] = torch.load(f"runs/{run}/checkpoints/{name}.ckpt", weights_only=True)
    return content


def facts(run: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(f"runs/{run}/training.json").read_text())
    return content


@pytest.mark.parametrize("model", ["rate_distortion", "plain_gan"])
def test_max_steps_counts_batches_for_every_model(fit: Fit, model: str) -> None:
    """Six batches of four an epoch: the schedule ends there, and so does a validation."""
    assert fit(model, "--trainer.max_steps=6", "--trainer.max_epochs=50", "--name=x") == 0
    trained = [row for row in history("x") if row["train/distortion"]]
    assert len(trained) == 6
    assert [row["val/psnr"] != "" for row in history("x")][-1]
    rates = {group["lr"] for state in checkpoint("x")["optimizer_states"] for group in state["param_groups"]}
    first = {group["initial_lr"] for state in checkpoint("x")["optimizer_states"] for group in state["param_groups"]}
    assert max(rates) < 0.1 * max(first)  # of a cosine in its last sixth
    assert Path("runs/x/checkpoints/best.ckpt").is_file()


def test_a_training_shorter_than_its_rhythm_is_validated_at_its_end(fit: Fit) -> None:
    rhythm = ["--trainer.max_epochs=2", "--trainer.check_val_every_n_epoch=50", "--name=x"]
    assert fit("rate_distortion", *rhythm) == 0
    assert [row["epoch"] for row in history("x") if row["val/psnr"]] == ["1"]
    assert main(["test", "runs/x", "--trainer.enable_progress_bar=false"]) == 0


def test_a_time_that_runs_out_ends_validated_and_annealed(fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    limits = ["--trainer.max_time=00:00:00:01", "--trainer.max_epochs=null", "--trainer.check_val_every_n_epoch=500"]
    assert fit("plain_gan", *limits, "--name=x") == 0
    assert [row for row in history("x") if row["val/psnr"]]
    assert {group["lr"] for state in checkpoint("x")["optimizer_states"] for group in state["param_groups"]} == {0}
    assert facts("x")["seconds"] >= 1
    assert main(["fit", "runs/x"]) == 2
    assert "done with max_time=00:00:00:01; a higher --trainer.max_time goes on" in capsys.readouterr().err
    assert fit("plain_gan", "--trainer.max_time=00:00:00:00") == 2
    assert "max_time=00:00:00:00 found, expected more than no time" in capsys.readouterr().err


def test_a_run_says_what_its_training_was(fit: Fit) -> None:
    """Six batches of two images, then, in batches of four, what is missing of the second epoch and a third one."""
    assert fit("rate_distortion", "--trainer.max_steps=6", "--name=x") == 0
    first = facts("x")
    resumed = ["--trainer.max_steps=-1", "--trainer.max_epochs=3", "--data.batch_size=4"]
    assert main(["fit", "runs/x", *resumed, "--trainer.enable_progress_bar=false"]) == 0
    found = facts("x")
    assert (first["steps"], first["batch"], first["images"], first["epochs"]) == (6, 2, 12, 1.5)
    assert (found["steps"], found["batch"], found["images"], found["epochs"]) == (9, 4, 24, 3)
    assert found["seconds"] >= first["seconds"] > 0
    assert (found["model"], found["seed"], found["schedule"], found["finished"]) == (
        "RateDistortion",
        0,
        "cosine",
        True,
    )
    assert found["data"] == first["data"]
    assert (found["data"]["source"], found["data"]["images"]) == ("Folder", 8)
    assert (found["size"], found["device"]) == ([HEIGHT, WIDTH], "cpu")
    settings = yaml.safe_load(Path("runs/x/config.yaml").read_text())
    assert settings["trainer"]["precision"] == first["precision"] == found["precision"]
    assert found["precision"] in {"32-true", "bf16-mixed"}, "what auto came to"


def test_a_warm_start_and_the_weights_that_were_kept_are_said(fit: Fit) -> None:
    assert fit("rate_distortion", "--trainer.max_epochs=1", "--name=first") == 0
    # a rate at which later weights are worse
    flags = ["--trainer.max_epochs=3", "--model.learning_rate=1", "--ema_decay=0", "--model.schedule=constant"]
    assert fit("plain_gan", "--model.init_from=first", *flags, "--name=x") == 0
    source = load("first")
    started = {"name": "first", "model": "RateDistortion", "fingerprint": source.fingerprint.hex()}
    assert facts("x")["warm_start"] == started
    said = load("x").provenance()["training"]
    assert {**said, "kept_at": None, "size": [*said["size"]]} == {**facts("x"), "kept_at": None}
    assert said.get("kept_at") == (kept if (kept := checkpoint("x", "best")["global_step"] // 2) < 12 else None)
    assert main(["export", "x", "exported"]) == 0
    assert load("exported").provenance()["training"] == said


def test_a_run_without_a_validated_checkpoint_says_so(fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit("rate_distortion", "--trainer.max_epochs=1", "--trainer.limit_val_batches=0", "--name=x") == 0
    assert "no checkpoint was validated" in capsys.readouterr().err
    assert main(["test", "runs/x"]) == 2


def test_single_images_under_batch_norm_of_pooled_features_are_refused(
    fit: Fit, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--trainer.max_epochs=1", "--data.batch_size=1", "--name=x", "--monitor=val/miou"]
    assert fit("deeplabv3plus", *flags, "--model.encoder_weights=null") == 2
    assert "batch_size=1 found, expected 2 or more: deeplabv3plus normalises" in capsys.readouterr().err


def test_flags_win_wherever_they_stand(fit: Fit) -> None:
    Path("late.yaml").write_text("trainer: {max_epochs: 7}\n")
    assert fit("rate_distortion", "--trainer.max_epochs=1", "--config", "late.yaml", "--name=x") == 0
    assert {row["epoch"] for row in history("x")} == {"0"}


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--name=a/b"], "name 'a/b' found, expected one of a directory below runs"),
        (["--runs=data.yaml"], "data.yaml: cannot make this directory"),
        (["--runs=/proc/runs"], "/proc/runs: cannot make this directory"),
    ],
)
def test_places_that_are_none_are_named(
    fit: Fit, capsys: pytest.CaptureFixture[str], flags: list[str], said: str
) -> None:
    assert fit("rate_distortion", *flags) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def limit_files() -> None:
    """A file system on which no file gets longer: what a full disk does to a writer."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))


@pytest.mark.slow
def test_a_full_disk_costs_no_earlier_picture_or_checkpoint(fit: Fit) -> None:
    assert fit("rate_distortion", "--trainer.max_epochs=1", "--name=x") == 0
    quiet = "--trainer.enable_progress_bar=false"
    assert main(["predict", "runs/x", quiet]) == 0
    kept = {path: path.read_bytes() for path in Path("runs/x").rglob("*") if path.suffix in {".png", ".ckpt"}}
    assert len(kept) == 2 + 2 + 1  # predictions, checkpoints, samples
    for command in (["predict", "runs/x"], ["fit", "runs/x", "--trainer.max_epochs=2"]):
        done = subprocess.run(
            [sys.executable, "-m", "semcomp_pl", *command, quiet],
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=limit_files,  # one thread
        )
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
        assert "File too large" in done.stderr
        assert {path: path.read_bytes() for path in kept} == kept
        assert not [path for path in Path("runs").rglob("*") if path.name.startswith(".semcomp-")]


@pytest.mark.slow
def test_ctrl_c_ends_quietly_with_what_was_trained(fit: Fit) -> None:
    assert fit("rate_distortion", "--trainer.max_epochs=1", "--name=x") == 0
    before = Path("runs/x/checkpoints/last.ckpt").stat().st_mtime_ns
    command = [sys.executable, "-m", "semcomp_pl", "fit", "runs/x", "--trainer.max_epochs=100000"]
    with subprocess.Popen(
        [*command, "--trainer.enable_progress_bar=false"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # shells ignore it in the background
    ) as process:
        while process.poll() is None and Path("runs/x/checkpoints/last.ckpt").stat().st_mtime_ns == before:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert checkpoint("x")["epoch"] > 0


SCRIPT = """
from semcomp_pl.data import Folder, ImageDataModule
data = ImageDataModule(Folder('set'), (16, 16), num_workers=2, cache_dir='cache')
print('ran'); print(len(data.store('train')))
"""


@pytest.mark.parametrize("how", ["script", "standard input"])
def test_scripts_without_a_main_guard_build_caches(tmp_path: Path, how: str) -> None:
    (tmp_path / "set" / "train").mkdir(parents=True)
    for i in range(64):
        Image.fromarray(np.full((16, 16, 3), i, np.uint8)).save(tmp_path / "set" / "train" / f"{i}.png")
    Path("script.py").write_text(SCRIPT)
    command = [sys.executable, "script.py" if how == "script" else "-"]
    done = subprocess.run(command, input=SCRIPT, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.split() == ["ran", "64"]


def test_a_source_of_the_script_itself_is_read(tmp_path: Path) -> None:
    (tmp_path / "set" / "train").mkdir(parents=True)
    for i in range(64):
        Image.fromarray(np.full((16, 16, 3), i, np.uint8)).save(tmp_path / "set" / "train" / f"{i}.png")
    own = SCRIPT.replace("data =", "class Mine(Folder): pass\ndata =").replace("Folder('set')", "Mine('set')")
    Path("script.py").write_text(own)
    command = [sys.executable, "script.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.split() == ["ran", "64"]


def test_masks_in_a_tree_of_their_own(tmp_path: Path) -> None:
    """As mmsegmentation has them: img_dir/train beside ann_dir/train."""
    write_images(tmp_path, {"train": 3})
    (tmp_path / "img_dir").mkdir()
    (tmp_path / "ann_dir").mkdir()
    (tmp_path / "train").rename(tmp_path / "img_dir" / "train")
    (tmp_path / "trainannot").rename(tmp_path / "ann_dir" / "train")
    source = Folder(str(tmp_path), train="img_dir/train", masks="ann_dir/{split}", classes=CLASSES)
    samples = source.samples("train")
    assert [sample.label for sample in samples] == [tmp_path / "ann_dir" / "train" / f"{i}.png" for i in range(3)]


@pytest.mark.parametrize(
    ("values", "classes", "said"),
    [
        ([0, 1], ["a", "b", "c"], r"1 \(c\) of 3 classes occur in no training mask; check"),
        ([0, 255], ["a", "b"], r"1 \(b\) of 2 classes .*, which hold 0 and 255 alone; 255 is ignored"),
        ([0, 1], ["a", "b"], None),
    ],
)
def test_classes_that_no_mask_shows_are_said(
    tmp_path: Path, values: list[int], classes: list[str], said: str | None, recwarn: pytest.WarningsRecorder
) -> None:
    for name in ("train", "trainannot", "val", "valannot"):
        (tmp_path / name).mkdir()
    for split in ("train", "val"):
        Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(tmp_path / split / "0.png")
        mask = np.resize(np.array(values, np.uint8), (16, 16))
        Image.fromarray(mask).save(tmp_path / f"{split}annot" / "0.png")
    data = ImageDataModule(Folder(str(tmp_path), masks="annot", classes=classes), (16, 16), num_workers=0)
    if said is None:
        data.setup("fit")
        assert not [each for each in recwarn if issubclass(each.category, SemcompWarning)]
    else:
        with pytest.warns(SemcompWarning, match=said):
            data.setup("fit")


@pytest.mark.slow
def test_a_resumed_run_goes_on_in_its_wandb_run(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    logger = ["--config", "configs/logger/wandb.yaml", "--name=x"]
    assert fit("rate_distortion", *logger, "--trainer.max_epochs=1") == 0
    assert main(["fit", "runs/x", "--trainer.max_epochs=2", "--trainer.enable_progress_bar=false"]) == 0
    files = list(Path("runs/x/wandb").glob("offline-run-*/run-*.wandb"))
    assert {file.stem.removeprefix("run-") for file in files} == {Path("runs/x/wandb_id").read_text()}
    assert len(files) == 2
    assert all(file.stat().st_size for file in files)
    monkeypatch.setenv("WANDB_RUN_ID", "named0by0agent")  # as a sweep's agent does
    assert fit("rate_distortion", *logger[:2], "--name=y", "--trainer.max_epochs=1") == 0
    assert list(Path("runs/y/wandb").glob("offline-run-*/run-named0by0agent.wandb"))


def test_without_a_home_nothing_is_left_here(tmp_path: Path) -> None:
    code = "import os; os.path.expanduser = lambda path: path; import semcomp_pl.coding.mixing as m; m._hash(1, 2)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={**os.environ, "HOME": "~"}
    )
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir())
