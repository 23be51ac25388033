"""Launchers of several processes, and signals by which clusters end them."""

import csv
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from semcomp_pl.cli import main
from tests.lab import write_images
from tests.launchers import Launcher, alike, by_lightning, by_srun, by_torchrun, fit_arguments
from tests.runs import differing, trained

pytestmark = pytest.mark.slow


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    """A directory with images in `data`."""
    (tmp_path / "data").mkdir()
    write_images(tmp_path / "data", {"train": 16, "val": 3})
    return tmp_path


@pytest.mark.parametrize("launcher", [by_lightning, by_torchrun, by_srun])
def test_processes_share_one_run(launcher: Launcher, inside: Path) -> None:
    taken = inside / "runs" / "rate_distortion"
    taken.mkdir(parents=True)
    args = fit_arguments("rate_distortion", "--config=configs/logger/wandb.yaml")
    for ended in launcher(args, inside, WANDB_MODE="offline"):
        assert ended.status == 0, ended.err[-3000:]
        assert not re.search("warn|deprecat", ended.err + ended.out, re.IGNORECASE), ended.err
    assert {run.name for run in (inside / "runs").iterdir()} == {"rate_distortion", "rate_distortion-2"}
    assert not list(taken.iterdir())
    run = inside / "runs" / "rate_distortion-2"
    files = {file.name for file in run.rglob("*")}
    assert {"config.yaml", "metrics.csv", "samples.png", "best.ckpt", "last.ckpt"} <= files
    (online,) = (run / "wandb").glob("offline-run-*")
    assert online.name.endswith((run / "wandb_id").read_text())
    assert alike(inside)


@pytest.mark.parametrize("launcher", [by_torchrun, by_srun])
def test_no_process_waits_for_one_whose_name_is_taken(launcher: Launcher, inside: Path) -> None:
    taken = inside / "runs" / "mine" / "config.yaml"
    taken.parent.mkdir(parents=True)
    taken.touch()
    for ended in launcher(fit_arguments("rate_distortion", "--name=mine"), inside):
        assert ended.status != 0
        assert "error: runs/mine: this run exists; choose another --name" in ended.err
    assert list(taken.parent.iterdir()) == [taken]


def test_an_error_of_the_first_process_ends_the_other_one(inside: Path) -> None:
    (ended,) = by_lightning(fit_arguments("rate_distortion"), inside, STOP="error 0 1")
    assert ended.status == 2
    assert "error: found what only the first process sees" in ended.err
    assert "Traceback" not in ended.err


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as lines:
        return [*csv.DictReader(lines)]


@pytest.mark.parametrize(
    ("launcher", "stop", "flags"),
    [
        (by_lightning, "SIGTERM 1 1", ["--trainer.devices=1", "--trainer.strategy=auto", "--data.num_workers=1"]),
        (by_srun, "SIGUSR1 1 0", ["--trainer.log_every_n_steps=1", "--model.accumulate=2"]),
    ],
    ids=["one process", "srun"],
)
def test_a_signal_leaves_a_checkpoint_that_goes_on_exactly(
    launcher: Launcher, stop: str, flags: list[str], inside: Path
) -> None:
    queue = inside / "scontrol"
    queue.write_text("#!/bin/sh\ntouch requeued\n")
    queue.chmod(0o755)
    path = f"{inside}{os.pathsep}{os.environ['PATH']}"
    args = [*fit_arguments("plain_gan", *flags), "--trainer.max_epochs=3", "--trainer.check_val_every_n_epoch=2"]
    stopped = launcher([*args, "--name=stopped"], inside, STOP=stop, PATH=path)
    assert [ended.status for ended in stopped] == [os.EX_TEMPFAIL, 0][: len(stopped)]
    assert (
        f"runs/stopped: stopped by {stop.split()[0]} before batch 2 of epoch 1; semcomp fit runs/stopped goes on"
        in (stopped[0].err.splitlines())
    )
    assert "Traceback" not in "".join(ended.err for ended in stopped)
    assert not (inside / "requeued").exists()
    for ended in [*launcher(["fit", "runs/stopped"], inside), *launcher([*args, "--name=whole"], inside)]:
        assert ended.status == 0, ended.err[-3000:]
    runs = inside / "runs"
    assert rows(runs / "stopped") == rows(runs / "whole")
    assert differing(trained(runs / "stopped"), trained(runs / "whole")) == []


def test_torchrun_hands_a_signal_on_and_workers_live_on(inside: Path) -> None:
    flags = ["--trainer.max_epochs=1000", "--data.num_workers=1", "--name=run"]
    (ended,) = by_torchrun(fit_arguments("rate_distortion", *flags), inside, STOP="SIGTERM 1 0 parent")
    assert ended.status == 1  # torchrun's own
    assert "runs/run: stopped by SIGTERM before batch" in ended.err
    assert "DataLoader worker" not in ended.err
    assert trained(inside / "runs" / "run")["loops"]["fit_loop"]["epoch_progress"]["current"]["started"] >= 2


GUIDE = (Path(__file__).parents[1] / "docs" / "clusters.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
(JOB,) = (block for block in BLOCKS if block.startswith("#!"))


@pytest.mark.parametrize("block", [block for block in BLOCKS if block != JOB])
def test_the_commands_of_the_guide_are_understood(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = shlex.split(block.replace("\\\n", " "))
    with pytest.raises(SystemExit) as end:
        main([*words[words.index("semcomp") + 1 :], "--print_config"])
    assert end.value.code == 0, capsys.readouterr().err


def test_the_job_of_the_guide_puts_itself_into_the_queue_until_training_is_done(tmp_path: Path) -> None:
    commands = {
        "srun": 'while [ "$1" != semcomp ]; do shift; done; exec "$@"',
        "semcomp": 'echo "$@" >> said; exit "$STATUS"',
        "scontrol": 'echo "scontrol $@" >> said',
    }
    for name, text in commands.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "job").write_text(JOB)
    job = {"SLURM_JOB_NAME": "mine", "SLURM_JOB_ID": "7", "SLURM_NNODES": "2", "SLURM_CPUS_PER_TASK": "8"}
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"

    def said(status: int) -> list[str]:
        (tmp_path / "said").unlink(missing_ok=True)
        own = {**os.environ, **job, "PATH": path, "STATUS": str(status)}
        subprocess.run(["bash", "-u", "job"], cwd=tmp_path, env=own, check=False)
        return (tmp_path / "said").read_text().splitlines()

    run = tmp_path / "runs" / "mine"
    run.mkdir(parents=True)  # left by an attempt that was killed
    first, queued = said(75)
    assert first.startswith("fit --name=mine --config configs/trainer/ddp.yaml")
    assert first.endswith("--trainer.num_nodes=2")
    assert queued == "scontrol requeue 7"
    assert not run.exists()
    last = run / "checkpoints" / "last.ckpt"
    last.parent.mkdir(parents=True)
    last.touch()
    assert said(75) == ["fit runs/mine", "scontrol requeue 7"]
    assert said(0) == said(2) == ["fit runs/mine"]
