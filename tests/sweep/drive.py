"""Runs a sweep of the stand-in in a process of its own, which tests kill."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from semcomp_pl.sweep.budget import Budget
from semcomp_pl.sweep.file import Sweep
from semcomp_pl.sweep.loop import Loop, Plan
from semcomp_pl.sweep.parameters import read_parameter
from semcomp_pl.sweep.study import Study, sampled

TRAINEE = Path(__file__).with_name("trainee.py")


def a_sweep(**changes: Any) -> Sweep:
    """A sweep over `quality`, which the objective grows with."""
    content: dict[str, Any] = {
        "method": "grid",
        "metric": {"name": "val/psnr", "goal": "maximize"},
        "parameters": {"quality": {"values": [1, 2, 3, 4]}},
        # what starts the stand-in ends in the words `semcomp fit`
        "command": ["${interpreter}", "-S", "semcomp", "fit", "${args}"],
        **changes,
    }
    return Sweep(content, {name: read_parameter(name, spec) for name, spec in content["parameters"].items()})


def drive(
    directory: Path,
    *more: str,
    workers: int = 2,
    limit: int = 4,
    minutes: float | None = None,
    storage: str | None = None,
    retry: bool = False,
    show: Callable[[Loop], None] = lambda loop: None,
    **changes: Any,
) -> tuple[Loop, list[str]]:
    """Run what is left of a sweep; the loop at its end, and what was told."""
    sweep, told = a_sweep(**changes), list[str]()
    directory.mkdir(exist_ok=True, parents=True)
    link = Path("semcomp")
    if not link.exists():
        link.symlink_to(TRAINEE)
    study = Study(sweep, more, directory, storage, seed=0)
    if sweep.method != "bayes":
        study.fill(sampled(sweep, limit, 0))
    if retry:
        study.retry_failed()
    budget = None if minutes is None else Budget(minutes, 0.5, workers, study.left(limit), study.given())
    loop: Loop = Loop(
        study,
        directory,
        Plan(workers, limit, more, interval=0.02),
        budget,
        lambda name, text: told.append(f"{name}: {text}"),
        lambda: show(loop),
        lambda run: None,
    )
    loop.run()
    return loop, told


if __name__ == "__main__":
    drive(Path(sys.argv[1]), *sys.argv[3:], **json.loads(sys.argv[2]))
