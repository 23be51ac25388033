"""Sweeps that are interrupted in every way, of a stand-in that trains in no time."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from semcomp_pl.errors import SemcompError
from semcomp_pl.sweep.loop import Loop
from tests.processes import environment
from tests.sweep.drive import drive

ROOT = Path(__file__).parents[2]
SWEEP = Path("runs/s")


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def started(*more: str, **options: Any) -> subprocess.Popen[bytes]:
    """A process that runs the sweep."""
    command = [sys.executable, "-m", "tests.sweep.drive", str(SWEEP), json.dumps(options), *more]
    return subprocess.Popen(command, env=environment(PYTHONPATH=str(ROOT)))


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def steps() -> dict[str, list[int]]:
    """The steps of each run, in the order in which they were done."""
    files = sorted(SWEEP.glob("*/checkpoints/last.ckpt"))
    return {file.parents[1].name: [int(line) for line in file.read_text().splitlines()] for file in files}


def whole(count: int) -> dict[str, list[int]]:
    """What four runs look like that did each step once."""
    return {f"{number:03}-quality={number + 1}": [*range(count)] for number in range(4)}


def test_each_point_is_trained_once_and_a_finished_sweep_has_nothing_to_do() -> None:
    side_by_side = list[int]()
    loop, told = drive(
        SWEEP,
        "--steps=20",
        workers=3,
        show=lambda loop: side_by_side.append(sum(active.run.alive for active in loop.active.values())),
    )
    assert max(side_by_side) == 3
    assert steps() == whole(20)
    trials = loop.study.trials()
    assert [(trial.params["quality"], trial.value) for trial in trials] == [(1, 20), (2, 40), (3, 60), (4, 80)]
    assert {line.partition(": ")[2].split(",")[0] for line in told} == {"started", "done"}
    _, told = drive(SWEEP, "--steps=20")
    assert told == []


@pytest.mark.parametrize("orphans", ["live", "die"])
def test_a_killed_sweep_goes_on_where_its_trainings_are(orphans: str) -> None:
    process = started("--steps=25")
    wait_for(lambda: len(steps()) == 2)
    process.kill()
    process.wait()
    if orphans == "die":
        for file in SWEEP.glob("logs/*.pid"):
            os.kill(int(file.read_text()), signal.SIGKILL)
            status = file.with_suffix("")
            wait_for(status.is_file)
            status.unlink()  # as if the machine had lost its power
    _, told = drive(SWEEP, "--steps=25")
    assert steps() == whole(25)
    assert sum("goes on" in line for line in told) == (2 if orphans == "die" else 0)


def test_a_signal_stops_all_trainings_with_a_checkpoint() -> None:
    process = started("--steps=25")
    wait_for(lambda: len(steps()) == 2)
    process.send_signal(signal.SIGTERM)
    process.wait()
    assert [file.read_text().strip() for file in SWEEP.glob("logs/*.status")] == [str(os.EX_TEMPFAIL)] * 2
    assert all(len(done) < 25 for done in steps().values())
    loop, _ = drive(SWEEP, "--steps=25")
    assert steps() == whole(25)
    assert len(loop.study.trials()) == 4


def test_a_sweep_that_was_killed_before_it_named_a_trial_trains_it() -> None:
    study = drive(SWEEP, parameters={"quality": {"values": [1]}})[0].study
    study.fill([{"quality": 1}, {"quality": 1}])
    assert study.next(0) is not None
    loop, told = drive(SWEEP, parameters={"quality": {"values": [1]}})
    assert "001: starts again" in told
    assert [trial.state for trial in loop.study.trials()] == [TrialState.COMPLETE] * 2


def test_several_machines_share_a_storage() -> None:
    both = [started(storage="sweep.log", workers=1) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert steps() == whole(4)


def test_failures_are_kept_with_their_reason_and_retried_only_if_asked() -> None:
    loop, told = drive(SWEEP, "--fail=3")
    assert [trial.number for trial in loop.study.trials() if trial.state == TrialState.FAIL] == [2]
    assert loop.study.trials()[2].user_attrs["error"] == "error: it went wrong"
    assert "002-quality=3: failed: error: it went wrong" in told
    assert drive(SWEEP, "--fail=3")[1] == []
    loop, told = drive(SWEEP, "--fail=3", retry=True)
    assert told == ["004-quality=3: started", "004-quality=3: failed: error: it went wrong"]
    assert steps()["002-quality=3"] == steps()["004-quality=3"] == [0]
    assert drive(SWEEP, "--fail=3")[1] == []


def test_hyperband_stops_what_is_worse() -> None:
    values = [9, 8, 7, 1, 2, 3, 0.1, 0.2, 0.3]
    stop = {"type": "hyperband", "min_iter": 1, "max_iter": 9, "eta": 3}
    loop, _ = drive(
        SWEEP, "--steps=9", workers=1, parameters={"quality": {"values": values}}, early_terminate=stop, limit=9
    )
    states = [trial.state for trial in loop.study.trials()]
    assert states[0] == TrialState.COMPLETE
    assert TrialState.PRUNED in states
    for trial, done in zip(loop.study.trials(), steps().values(), strict=True):
        assert (len(done) < 9) == (trial.state == TrialState.PRUNED)
        assert trial.intermediate_values.keys() == set(range(1, len(trial.intermediate_values) + 1))
        if trial.state == TrialState.PRUNED:
            assert trial.params["quality"] < 9


def test_bayes_chooses_new_points_after_an_interruption() -> None:
    options: dict[str, Any] = {"method": "bayes", "parameters": {"quality": {"min": 0.0, "max": 1.0}}}
    drive(SWEEP, limit=3, **options)
    loop, _ = drive(SWEEP, limit=6, **options)
    assert len({trial.params["quality"] for trial in loop.study.trials()}) == 6
    assert all(trial.state == TrialState.COMPLETE for trial in loop.study.trials())


def test_time_that_runs_out_stops_trainings_that_go_on_later() -> None:
    def run_out(loop: Loop) -> None:
        if loop.budget is not None and len(steps()) == 2:
            loop.budget.deadline = 0

    loop, _ = drive(SWEEP, "--steps=25", minutes=10, show=run_out)
    assert loop.late
    limits = [json.loads(file.read_text())["trainer.max_time"] for file in SWEEP.glob("*/config.yaml")]
    assert limits == ["00:00:04:53"] * 2  # two rounds in ten minutes, with some seconds in reserve
    assert all(len(done) < 25 for done in steps().values())
    loop, _ = drive(SWEEP, "--steps=25", minutes=30)
    assert steps() == whole(25)
    assert {trial.user_attrs["max_seconds"] for trial in loop.study.trials()} == {loop.study.given()}


def test_another_sweep_is_refused() -> None:
    drive(SWEEP, "--steps=1")
    with pytest.raises(SemcompError, match="holds a sweep of another YAML or with other arguments"):
        drive(SWEEP, "--steps=2")
