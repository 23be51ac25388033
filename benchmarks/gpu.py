"""What a first session on a GPU should measure; benchmarks/gpu.sh runs it.

All rates are those of `semcomp fit` itself: bf16-mixed, resident data, moving average on. First come, side by side,
fits whose speed does not matter: some fill the compilers' cache, some are compared with each other; and the tests that
need CUDA. Then the timed fits have the machine to themselves, one after another. What fails leaves its error in the
table. On a CPU it runs with tiny networks and images and without aims, to see that it would run.
"""

import argparse
import csv
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from fits import HERE, Case, Data, Figures, environment, run_alone, run_together
from pictures import write_pictures, write_segmenter
from tables import table

Line = dict[str, str]
TOLERANCE = 0.02  # of a loss, relative: bf16 rounds each product by up to 0.004


@dataclass(frozen=True)
class Row:
    """A line of the table: a fit to time, and its aim in images/s or as a fraction of another line's."""

    title: str
    case: Case
    aim: float | None = None
    of: str | None = None


def main() -> None:
    """Measure everything, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", type=Path, default=Path("gpu"), help="directory for gpu.md and gpu.json")
    parser.add_argument("--accelerator", default="gpu", choices=("gpu", "cpu"))
    parser.add_argument("--only", default="", help="text that the titles of timed fits must contain")
    parser.add_argument("--eager", action="store_true", help="leave out what is compiled")
    parser.add_argument("--minutes", type=float, default=5.5, help="time after which nothing more is begun")
    options = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        session = Session(Path(directory), options.accelerator == "cpu", start + 60 * options.minutes)
        wanted = [row for row in _rows(session.tiny) if options.only in row.title]
        rows = [row for row in wanted if not (options.eager and row.case.compiled)]
        checks = session.prepare([row for row in rows if row.case.compiled])
        starts = session.first_steps()
        timed = session.measure(rows)
    lines = [*_timed(rows, timed), *starts, *checks]
    text = f"# Training on a GPU\n\n{_machine(time.monotonic() - start)}\n\n{table(lines)}"
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "gpu.md").write_text(text)
    raw = {row.title: asdict(figures) for row, figures in zip(rows, timed, strict=True)}
    (options.out / "gpu.json").write_text(json.dumps({"table": lines, "fits": raw}, indent=1))
    print(text)


def _rows(tiny: bool) -> list[Row]:
    """The timed fits, what matters most first."""
    usual = replace(
        Case(model="plain_gan", batch=32, precision="bf16-mixed", resident=True),
        accelerator="cpu" if tiny else "gpu",
        warmup=2 if tiny else 12,
        steps=3 if tiny else 40,
        seconds=6,
    )
    paper = replace(usual, batch=8, size=(256, 512), options=("--config=configs/size/paper.yaml",))
    rows = [
        Row("PlainGAN, 32", usual, 3500),
        Row("RateDistortion, 64", replace(usual, model="rate_distortion", batch=64), 15000),
        Row("SelectiveGAN, 32", replace(usual, model="selective_gan"), 0.6, "PlainGAN, 32"),
        Row("SemanticDistortionGAN, 32", replace(usual, model="semantic_distortion_gan"), 0.6, "PlainGAN, 32"),
        Row("PlainGAN, paper trunk, 512x256, 8", paper, 300),
        Row("PlainGAN, 8", replace(usual, batch=8)),
    ]
    rows = [Row(row.title, _shrunk(row.case)) for row in rows] if tiny else rows
    return [
        *rows,
        *map(_compiled, rows),
        Row("PlainGAN, 32, with its parts", replace(rows[0].case, parts=True)),
        Row("PlainGAN, 32, beside the plain loop", replace(rows[0].case, plain=True)),
    ]


def _compiled(row: Row) -> Row:
    """The same fit compiled, compared with the other one compiled."""
    of = None if row.of is None else f"{row.of}, compiled"
    return replace(row, title=f"{row.title}, compiled", case=replace(row.case, compiled=True), of=of)


def _shrunk(case: Case) -> Case:
    """The same fit for a CPU."""
    options = (*case.options, "--model.filters=8", "--model.blocks=1")
    options += () if case.model == "rate_distortion" else ("--model.discriminator_filters=4",)
    return replace(case, batch=4, size=(case.size[0] // 4, case.size[1] // 4), options=options)


class Session:
    """The data, and the fits on them.

    Args:
        directory: For everything that is written.
        tiny: Whether to run at sizes that a CPU takes.
        end: Time, as `time.monotonic` tells it, after which nothing runs.
    """

    def __init__(self, directory: Path, tiny: bool, end: float) -> None:
        self.tiny, self.end = tiny, end
        self.limit = 0.45 * (end - time.monotonic())  # of a fit before the timed ones, which need the other half
        self.runs = directory / "runs"
        self.runs.mkdir()
        size, images, copies = ((90, 120), 16, 4) if tiny else ((360, 480), 512, 8)
        root, segmenter = directory / "pictures", directory / "segmenter.ckpt"
        write_pictures(root, images, size, copies)
        try:
            write_segmenter(segmenter, size)
        except ImportError as error:
            print(f"no segmenter, so SemanticDistortionGAN cannot be trained: {error}", file=sys.stderr)
        train_size = f"--data.train_size=[{size[0]},{size[1]}]"
        self.data = Data(root=str(root), segmenter=str(segmenter), options=(train_size,))

    def alone(self, case: Case, name: str) -> Figures:
        """A fit in a process of its own."""
        left = self.end - time.monotonic()
        if left <= 0:
            return Figures(error="no time left")
        return run_alone(case, self.data, self.runs / name, limit=min(left, self.limit))

    def prepare(self, rows: Sequence[Row]) -> list[Line]:
        """Side by side: compile what is timed later, compare results, and run the tests that need CUDA."""
        plain = next(row.case for row in _rows(self.tiny))
        steps = 4 if self.tiny else 20
        short = replace(
            plain,
            batch=min(8, plain.batch),
            warmup=0,
            steps=steps,
            seconds=1e9,
            options=(*plain.options, "--trainer.log_every_n_steps=1"),
        )
        compared = {
            name: replace(short, compiled=name == "compiled", weights=str(self.runs / f"{name}.pt"))
            for name in ("first", "second", *(["compiled"] if rows else []))
        }
        os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "2")
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # each needs some GB of the device
            fits = {name: pool.submit(self.alone, case, name) for name, case in compared.items()}
            for number, row in enumerate(rows):
                pool.submit(self.alone, replace(row.case, warmup=0, steps=1), f"compile{number}")
            tests = pool.submit(self._tests)
        found = {name: fit.result() for name, fit in fits.items()}
        lines = [self._compare("two fits of {} steps with one seed", found, "second", self._weights)]
        if rows:
            lines.append(self._compare("compiled, and not compiled, for {} steps", found, "compiled", self._losses))
        return [*lines, {"fit": "tests that need CUDA", "note": tests.result()}]

    def first_steps(self) -> list[Line]:
        """The loader's speed, and the time from the start of a process to its first step, with a cache at hand."""
        resident = next(row.case for row in _rows(self.tiny))
        loader = replace(resident, resident=False, workers=2 if self.tiny else 8)
        return [
            _line("PlainGAN, 32, first of its process", self.alone(resident, "resident"), None),
            _line("PlainGAN, 32, 8 loading processes", self.alone(loader, "loader"), None),
        ]

    def measure(self, rows: Sequence[Row]) -> list[Figures]:
        """The timed fits, one after another."""
        runs = [self.runs / f"timed{number}" for number in range(len(rows))]
        return run_together([row.case for row in rows], self.data, runs, limit=90, end=self.end)

    def _compare(self, title: str, found: dict[str, Figures], other: str, how: Callable[[str], str]) -> Line:
        """How far a fit is from the first one."""
        steps = max(len(fit.steps) for fit in found.values())
        errors = [found[name].error for name in ("first", other) if found[name].error]
        try:
            note = errors[0] if errors else how(other)
        except (OSError, ValueError, RuntimeError) as error:
            note = f"{type(error).__name__}: {error}"
        return {"fit": title.format(steps), "note": note}

    def _weights(self, other: str) -> str:
        one, two = (torch.load(self.runs / f"{name}.pt", map_location="cpu") for name in ("first", other))
        apart = max(float((one[name].float() - value.float()).abs().max()) for name, value in two.items())
        return "equal weights" if apart == 0 else f"weights up to {apart:.2g} apart"

    def _losses(self, other: str) -> str:
        one, two = (read_losses(self.runs / name / "metrics.csv") for name in ("first", other))
        apart = max(abs(a - b) / max(abs(a), 1e-3) for a, b in zip(one, two, strict=True))
        return f"{len(one)} losses up to {apart:.2%} apart (aim: {TOLERANCE:.0%})"

    def _tests(self) -> str:
        """The last line of what pytest says."""
        tests = HERE.parent / "tests"
        files = [str(file) for file in sorted(tests.rglob("test_*.py")) if "CUDA" in file.read_text()]
        if not files:
            return f"none in {tests}"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "cuda_tests", "-p", "no:cacheprovider", *files]
        left = max(1.0, self.end - time.monotonic())
        try:
            finished = subprocess.run(
                command, env=environment(HERE.parent), cwd=HERE.parent, timeout=left, capture_output=True, text=True
            )
        except subprocess.TimeoutExpired:
            return "no time left"
        said = (finished.stdout + finished.stderr).strip().splitlines() or ["nothing said"]
        failed = [line for line in said if line.startswith(("FAILED", "ERROR"))]
        return "; ".join([said[-1], *failed])


def read_losses(metrics: Path) -> list[float]:
    """All training losses that a run has logged, by step."""
    with metrics.open(newline="") as lines:
        rows = [*csv.DictReader(lines)]
    return [float(value) for row in rows for name, value in row.items() if name.startswith("train/") and value]


def _met(met: bool) -> str:
    return "yes" if met else "NO"


def _timed(rows: Sequence[Row], found: Sequence[Figures]) -> list[Line]:
    rates = {row.title: figures.rate for row, figures in zip(rows, found, strict=True) if not figures.error}
    lines = []
    for row, figures in zip(rows, found, strict=True):
        aim = row.aim if row.of is None else (row.aim or 0) * rates[row.of] if row.of in rates else None
        lines.append(_line(row.title, figures, aim))
    return lines


def _line(title: str, figures: Figures, aim: float | None) -> Line:
    """A line of the table for a timed fit."""
    if figures.error:
        return {"fit": title, "note": figures.error}
    notes = [f"{part} {1000 * seconds:.2f} ms" for part, seconds in figures.parts.items()]
    notes += [f"{figures.overhead:+.1%} over {1000 * figures.plain_step:.2f} ms (aim: 5 %)"] if figures.plain else []
    return {
        "fit": title,
        "images/s": f"{figures.rate:,.0f}",
        "aim": "" if aim is None else f"{aim:,.0f}",
        "met": "" if aim is None else _met(figures.rate >= aim),
        "step (ms)": f"{1000 * figures.step:.2f}",
        "memory (MB)": f"{figures.memory:,.0f}",
        "first step (s)": f"{figures.first_step:.1f}, done {figures.first_step_done:.1f}",
        "note": ", ".join(notes),
    }


def _machine(seconds: float) -> str:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, CUDA {torch.version.cuda}"
    return f"{device}, {os.cpu_count()} cores, {versions}. All of it took {seconds:.0f} s."


if __name__ == "__main__":
    main()
