"""`semcomp sweep`: what it prints, what it refuses, and real trainings that are killed, gone on with, and fail."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

import semcomp_pl
from semcomp_pl.cli import main
from semcomp_pl.cli.compare import parse
from tests.cli.common import Run, data_flags
from tests.lab import write_images
from tests.processes import environment
from tests.runs import differing, trained

ROOT = Path(__file__).parents[2]
TINY = ["--model.filters=8", "--model.blocks=1", "--trainer.accelerator=cpu", "--trainer.max_epochs=8"]
MODELS = ["rate_distortion", "plain_gan", "semantic_distortion_gan"]
ONE = {"parameters": {"model": {"value": "plain_gan"}}}


def write_sweep(**changes: Any) -> Path:
    """`study.yaml`, a sweep over models; SemanticDistortionGAN fails for lack of a segmenter."""
    fit = ["${env}", "${interpreter}", "-m", "semcomp_pl", "fit", "-c", "configs/logger/wandb.yaml"]
    content = {
        "method": "grid",
        "metric": {"name": "val/psnr", "goal": "maximize"},
        "parameters": {"model": {"values": MODELS}},
        "command": [*fit, *data_flags("data"), *TINY, "--checkpoint_minutes=1e-9", "--entropy_steps=2", "${args}"],
    }
    Path("study.yaml").write_text(yaml.safe_dump({**content, **changes}))
    return Path("study.yaml")


@pytest.mark.parametrize(
    ("changes", "flags", "error"),
    [
        ({}, ["--worker=2"], "error: unrecognized arguments: --worker=2; found in: semcomp fit "),
        ({}, ["--model=pspnet"], "--model=pspnet: model is swept by the YAML"),
        ({"method": "random"}, [], "method random has no end; say how many --trials N"),
        ({"method": "hope"}, [], "method 'hope' found, expected one of grid, random, bayes"),
        ({"metric": None}, [], "no metric found; give its name and goal"),
        ({"parameters": {"x": {"min": 0.0, "max": 1.0}}}, [], "method grid: parameter x is continuous"),
        (
            {"parameters": {"x": {"distribution": "beta"}}},
            [],
            "parameter x: distribution 'beta' found, expected one of",
        ),
        ({"parameters": {"x": {"min": 3}}}, [], "parameter x: uniform needs max"),
        ({"parameters": {"x": {"parameters": {}}}}, [], "parameter x: nested parameters found; name each by its flag"),
        ({"command": ["python", "train.py", "${args}"]}, [], "python train.py --model=rate_distortion ... found"),
        ({"command": ["semcomp", "fit", "${args_json}"]}, [], "macro ${args_json} found, expected one of ${env}"),
        ({"early_terminate": {"type": "envelope"}}, [], "expected type hyperband with min_iter or max_iter"),
        (ONE, ["--max-minutes=0.5"], "30 s in 1 rounds, each with 60 s for start"),
        (ONE, ["--storage=nosql://there"], "nosql://there: cannot be opened"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_is_trained(
    changes: dict[str, Any], flags: list[str], error: str, run: Run
) -> None:
    status, out, err = run("sweep", str(write_sweep(**changes)), *flags)
    assert (status, out) == (2, "")
    assert error in err
    assert not list(Path().glob("runs/*/*/"))


def test_a_dry_run_prints_commands_that_fit_accepts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    status, out, _ = run("sweep", str(write_sweep()), "--dry-run", "--model.channels=4", "--data=streets")
    assert status == 0
    assert not Path("runs").exists()
    for number, (line, model) in enumerate(zip(out.splitlines(), MODELS, strict=True)):
        env, python, *command = shlex.split(line)
        assert [env, python, *command[:3]] == ["/usr/bin/env", sys.executable, "-m", "semcomp_pl", "fit"]
        assert command[-5:-2] == [f"--model={model}", "--runs=runs/study", f"--name={number:03}-{model}"]
        with pytest.raises(SystemExit):
            main([*command[2:], "--print_config"])
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert "--trainer.logger=false" in out
    assert "--trainer.logger=false" not in run("sweep", "study.yaml", "--dry-run")[1]


def test_random_points_are_the_same_again_and_more_trials_add_to_them(run: Run) -> None:
    rates = {"min": 1e-5, "max": 1e-2, "distribution": "log_uniform_values"}
    file = write_sweep(method="random", parameters={"model.learning_rate": rates})
    three, two = (run("sweep", str(file), "--dry-run", "--model=plain_gan", f"--trials={n}")[1] for n in (3, 2))
    assert three.splitlines()[:2] == two.splitlines()
    assert len(set(three.splitlines())) == 3


@pytest.mark.slow
def test_a_sweep_that_was_killed_trains_on(tmp_path: Path, run: Run) -> None:
    (tmp_path / "data").mkdir()
    write_images(tmp_path / "data", {"train": 8, "val": 3})
    write_sweep()
    command = ["sweep", "study.yaml", "--workers=2", "--export=first"]
    sweep = subprocess.Popen(
        [sys.executable, "-m", "semcomp_pl", *command], env=environment(PYTHONPATH=str(ROOT)), stdout=subprocess.PIPE
    )
    until = time.monotonic() + 300
    while not [*Path("runs/study").glob("*/checkpoints/last.ckpt")]:
        assert time.monotonic() < until
        time.sleep(0.01)
    sweep.kill()
    for file in Path("runs/study/logs").glob("*.pid"):
        os.kill(int(file.read_text()), signal.SIGKILL)
        while not file.with_suffix("").is_file():
            time.sleep(0.01)
        file.with_suffix("").unlink()  # as if the machine had lost its power
    (said, _), runs = sweep.communicate(), [f"runs/study/00{number}-{model}" for number, model in enumerate(MODELS)]
    assert said.decode().count(": started") == 2

    status, out, _ = run(*command)
    assert status == 1
    assert ": goes on" in out
    assert [out.count(": goes on") + out.count(": starts again"), out.count(": started"), out.count(": done")] == [
        2,
        1,
        2,
    ]
    reason = "error: SemanticDistortionGAN needs a segmenter to fit"
    assert f"runs/study/logs/002-semantic_distortion_gan.log: {reason}" in out
    assert {file.name for file in Path("runs/study").glob("pareto.*")} == {"pareto.png", "pareto.svg"}
    settings, *_ = parse(shlex.split(out.splitlines()[-1])[2:])
    assert [entry.init_args.get("model") for entry in settings.codecs][:2] == runs[:2]
    for place in runs[:2]:
        assert semcomp_pl.load(f"runs/study/exports/{Path(place).name}")

    planned = shlex.split(run("sweep", "study.yaml", "--dry-run", "--name=whole")[1].splitlines()[1])
    assert main(planned[4:]) == 0
    for name in ("best", "last"):
        assert differing(trained(Path(runs[1]), name), trained(Path("runs/whole/001-plain_gan"), name)) == []

    assert run(*command)[1].count("done, ") == 0
