"""Fits to measure: their command lines, the processes they run in, and what their probes found."""

import gc
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import torch

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, kw_only=True)
class Data:
    """Images to train on, and a segmenter for the model that learns from one."""

    root: str
    segmenter: str
    config: str = "configs/data/camvid.yaml"
    options: tuple[str, ...] = ()
    """Further arguments of `semcomp fit`."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A fit, and how it is measured; `options` are further arguments of `semcomp fit`."""

    model: str
    batch: int = 8
    size: tuple[int, int] = (128, 256)
    precision: str | None = "32-true"
    """None leaves the choice to the trainer's config file."""
    resident: bool = False
    compiled: bool = False
    accelerator: str = "cpu"
    workers: int = 2
    options: tuple[str, ...] = ()
    warmup: int = 2
    steps: int = 8
    seconds: float = 1e9
    parts: bool = False
    plain: bool = False
    weights: str | None = None
    """File for the weights after the last step."""

    def arguments(self, data: Data, run: Path, started: float) -> list[str]:
        """The arguments of `semcomp` for a run whose figures are written to `run`.json."""
        probe = {
            "file": str(_figures_file(run)),
            "started": started,
            **{name: getattr(self, name) for name in ("warmup", "steps", "seconds", "parts", "plain", "weights")},
        }
        segmenter = [f"--model.segmenter={data.segmenter}"] if self.model == "semantic_distortion_gan" else []
        return [
            "fit",
            f"--config={data.config}",
            f"--config=configs/model/{self.model}.yaml",
            f"--config=configs/trainer/{self.accelerator}.yaml",
            f"--data.source.root={data.root}",
            f"--data.size=[{self.size[0]},{self.size[1]}]",
            f"--data.batch_size={self.batch}",
            f"--data.num_workers={self.workers}",
            *(["--data.resident=true"] if self.resident else []),
            *(["--compile=true"] if self.compiled else []),
            f"--trainer.accelerator={self.accelerator}",
            "--trainer.devices=1",
            *([f"--trainer.precision={self.precision}"] if self.precision else []),
            f"--trainer.max_steps={10 * (self.warmup + self.steps)}",  # the probe ends it
            "--trainer.limit_val_batches=0",
            "--trainer.num_sanity_val_steps=0",
            f"--trainer.callbacks={json.dumps({'class_path': 'probe.Probe', 'init_args': probe})}",
            "--monitor=null",
            "--entropy_steps=0",
            f"--runs={run.parent}",
            f"--name={run.name}",
            *segmenter,
            *data.options,
            *self.options,
        ]


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What a fit's probe found, or why the fit failed; times in seconds, memory in MB."""

    error: str = ""
    batch: int = 0
    first_step: float = 0.0
    first_step_done: float = 0.0
    steps: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)
    parts: dict[str, float] = field(default_factory=dict)
    memory: float = 0.0
    precision: str = ""

    @property
    def step(self) -> float:
        """Median time of a step."""
        return statistics.median(self.steps)

    @property
    def rate(self) -> float:
        """Images per second over all timed steps."""
        return self.batch * len(self.steps) / sum(self.steps)

    @property
    def plain_step(self) -> float:
        """Median time of the plain loop's steps."""
        return statistics.median(self.plain)

    @property
    def overhead(self) -> float:
        """Median over the steps of the fraction that one takes longer than the plain loop's."""
        return statistics.median(own / plain for own, plain in zip(self.steps, self.plain, strict=True)) - 1

    @classmethod
    def read(cls, run: Path, otherwise: str) -> Self:
        """The figures of a run, or an error if it left none."""
        file = _figures_file(run)
        return cls(**json.loads(file.read_text())) if file.is_file() else cls(error=otherwise)


def _figures_file(run: Path) -> Path:
    return run.with_name(f"{run.name}.json")


def environment(tree: Path, threads: int | None = None) -> dict[str, str]:
    """This process's environment for one that uses a tree of the suite, and the modules beside this file."""
    paths = [str(tree), str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    more = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **more}


def run_alone(
    case: Case, data: Data, run: Path, *, tree: Path = HERE.parent, threads: int | None = None, limit: float = 600
) -> Figures:
    """Run a fit in a process of its own, as users do: its first step comes after all imports.

    Args:
        case: The fit.
        data: What it trains on.
        run: Directory for the run, in a directory that exists.
        tree: Source tree of the suite, which may be an older one.
        threads: Threads that compute; torch's choice if not given.
        limit: Seconds after which it is ended.
    """
    command = [sys.executable, "-m", "semcomp_pl", *case.arguments(data, run, time.time())]
    try:
        finished = subprocess.run(
            command, env=environment(tree, threads), cwd=run.parent, timeout=limit, capture_output=True, text=True
        )
    except subprocess.TimeoutExpired:
        return Figures.read(run, f"took longer than {limit:.0f} s")
    return Figures.read(run, _last_line(finished.stderr, "no figures"))


def _last_line(text: str, otherwise: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else otherwise


class Bench:
    """Runs fits, each in a process and a directory of its own, and says so on the way.

    Args:
        data: What they train on.
        directory: Directory to make for the runs.
        threads: Threads that compute; torch's choice if not given.
    """

    def __init__(self, data: Data, directory: Path, threads: int | None = None) -> None:
        self.data, self.directory, self.threads = data, directory, threads
        self.count = 0
        directory.mkdir()

    def run(self, case: Case, tree: Path = HERE.parent) -> Figures:
        """Run a fit with a source tree of the suite."""
        self.count += 1
        start = time.monotonic()
        figures = run_alone(case, self.data, self.directory / str(self.count), tree=tree, threads=self.threads)
        found = figures.error or f"{figures.rate:.2f} images/s"
        print(f"{time.monotonic() - start:5.1f} s  {tree.name} {case.model}: {found}", file=sys.stderr, flush=True)
        return figures


def run_together(
    cases: Sequence[Case], data: Data, runs: Sequence[Path], *, limit: float, end: float = math.inf
) -> list[Figures]:
    """Run fits one after another in one process, which saves starting time; after a failure in a new one.

    Args:
        cases: The fits.
        data: What they train on.
        runs: Directory of each run.
        limit: Seconds after which a fit is ended.
        end: Time, as `time.monotonic` tells it, after which nothing runs.
    """
    found: list[Figures] = []
    while len(found) < len(cases) and time.monotonic() < end:
        left = runs[len(found) :]
        jobs = {"data": asdict(data), "runs": [*map(str, left)], "cases": [*map(asdict, cases[len(found) :])]}
        task, log = left[0].with_suffix(".task"), left[0].with_suffix(".log")
        task.write_text(json.dumps(jobs))
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, __file__, str(task)],
                stdout=subprocess.DEVNULL,
                stderr=output,
                cwd=task.parent,
                env=environment(HERE.parent),
            )
            error = _watch(process, [_figures_file(run) for run in left], limit, end)
        if process.returncode > 0:
            error = _last_line(log.read_text(errors="replace"), error)
        done = [Figures.read(run, "") for run in left if _figures_file(run).is_file()]
        found += done if done and not error else [*done, Figures(error=error or "no figures")]
    return [*found, *[Figures(error="no time left")] * len(cases)][: len(cases)]


def _watch(process: subprocess.Popen[bytes], files: Sequence[Path], limit: float, end: float) -> str:
    """Wait for a process, and end it if its next file takes too long; returns what went wrong, if anything."""
    count, since = 0, time.monotonic()
    while process.poll() is None:
        time.sleep(0.1)
        now, written = time.monotonic(), sum(file.is_file() for file in files)
        if written > count:
            count, since = written, now
        if now > min(since + limit, end):
            process.kill()
            process.wait()
            return f"took longer than {limit:.0f} s" if now < end else "no time left"
    return f"the process ended with status {process.returncode}" if process.returncode else ""


def _run_here(case: Case, data: Data, run: Path) -> bool:
    """Run a fit in this process; an error becomes its figures, and the answer False."""
    from semcomp_pl.cli import main

    torch.compiler.reset()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    error = "ended before its last timed step"
    try:
        main([*case.arguments(data, run, time.time()), "--debug"])
    except (Exception, SystemExit) as raised:
        (*_, message) = ["", *filter(str.strip, str(raised).splitlines()[:1])]
        error = f"{type(raised).__name__}: {message}"
    if _figures_file(run).is_file():
        return True
    _figures_file(run).write_text(json.dumps({"error": error}))
    return False


if __name__ == "__main__":
    given: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    for number, options in enumerate(given["cases"]):
        if not _run_here(Case(**options), Data(**given["data"]), Path(given["runs"][number])):
            break  # an error on a GPU may spoil what follows in this process
