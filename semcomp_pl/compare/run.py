"""`semcomp compare` and `semcomp report`: measure what is not measured yet, then say what it comes to."""

import platform
import shlex
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from hashlib import sha256
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from lightning.pytorch.loggers import WandbLogger
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
from rich.text import Text

from semcomp_pl import __version__
from semcomp_pl.files.atomic import make_output
from semcomp_pl.compare.measure import parts
from semcomp_pl.compare.measure.coders import segmenter_of, settle
from semcomp_pl.compare.config import Settings, parse
from semcomp_pl.compare.report.figures import write_figure, write_figures
from semcomp_pl.compare.measure.measurer import Measurer, Pair, Plan, available
from semcomp_pl.compare.measure.ranks import Share
from semcomp_pl.compare.report.page import write_report
from semcomp_pl.compare.rows import read_results
from semcomp_pl.compare.report.sheet import reconstructions
from semcomp_pl.compare.statistics.summarise import summarise
from semcomp_pl.compare.summary import Summary
from semcomp_pl.compare.measure.timing import time_coder
from semcomp_pl.compare.report.tracking import track
from semcomp_pl.data import ImageDataModule
from semcomp_pl.data.cache import Store
from semcomp_pl.errors import SemcompError


def main(args: list[str]) -> int:
    """Run `semcomp compare`; 3 where a pair failed.

    Raises:
        SemcompError: bad settings, unreadable models or data, a judge that may not judge, or a directory of another
            comparison.
    """
    settings, data, logger, config = parse(args)
    return compare(settings, data, logger, config, f"semcomp compare {shlex.join(args)}")


def compare(
    settings: Settings, data: ImageDataModule, logger: WandbLogger | None = None, config: str = "", command: str = ""
) -> int:
    """Measure what is not measured yet; then the first process merges, takes times, renders and reports.

    Returns:
        Exit status: 3 where a pair failed, else 0.

    Raises:
        SemcompError: as `main`.
    """
    share = Share.of_environment()
    with share.together():
        plan = fill(settings, data, config, command)
        return share.once(lambda: _finish(plan, settings, logger))


def _finish(plan: Plan, settings: Settings, logger: WandbLogger | None) -> int:
    directory = plan.directory
    with FileLock(directory / ".lock"):
        _time(plan, settings.timed_images)
        summary = render(directory)
        failed = parts.faults(read_results(directory / "results.parquet").rows)
        if logger is None and settings.wandb.project is not None:
            given = settings.wandb
            name = given.name or directory.resolve().name
            logger = WandbLogger(name=name, save_dir=str(directory), project=given.project, entity=given.entity)
        if logger is not None:
            track(summary, directory, logger)
    if failed:
        file = directory / "results.parquet"
        Console(stderr=True).print(f"{failed} pairs failed; their errors stand in {file}", highlight=False)
    return 3 if failed else 0


def fill(settings: Settings, data: ImageDataModule, config: str = "", command: str = "") -> Plan:
    """Measure this process's share of what is not measured yet, into part files.

    Raises:
        SemcompError: as `main`.
    """
    share, directory = Share.of_environment(), Path(settings.output)
    make_output(directory)
    with FileLock(directory / ".lock"):
        data.prepare_data()
        plan, provenance = prepare(settings, data, share, command)
        parts.claim(directory, provenance, config)
    measure(plan, settings.workers, share)
    return plan


def report(args: list[str]) -> None:
    """Run `semcomp report`.

    Raises:
        SemcompError: bad usage, or no comparison there.
    """
    if len(args) != 1 or args[0].startswith("-"):
        raise SemcompError(f"semcomp report takes one argument, the DIR of a comparison; {len(args)} found")
    render(Path(args[0]))


def render(directory: Path) -> Summary:
    """Merge the rows so far, and write summary, figures and report of them.

    Raises:
        SemcompError: no comparison there, or a file cannot be written.
    """
    results = parts.collect(directory)
    settings = results.provenance.get("settings", {})
    summary = summarise(results, **{name: settings[name] for name in ("draws", "seed", "targets") if name in settings})
    summary.write(directory)
    make_output(directory / "figures")
    write_figures(summary, directory / "figures")
    sheet = reconstructions(directory, summary, results) if settings.get("pictures") else None
    if sheet is not None:
        write_figure(sheet, directory / "figures" / "reconstructions")
    page = write_report(directory, pictures=settings.get("pictures", 20))
    print(f"{len(summary.points)} points over {len(summary.images)} images: {page}")
    return summary


def prepare(settings: Settings, data: ImageDataModule, share: Share, command: str) -> tuple[Plan, dict[str, Any]]:
    """What is to be measured, checked, and by what.

    Raises:
        SemcompError: as `main`.
    """
    store = data.store(settings.split)
    names = store.names[: settings.images]
    judge = None if settings.judge is None else segmenter_of(settings.judge)
    if judge is not None and data.num_classes not in {0, judge.num_classes}:
        raise SemcompError(
            f"{settings.judge}: a judge of {judge.num_classes} classes found, the data have {data.num_classes}; "
            "choose one that was trained on such data"
        )
    models, fingerprints = settle(settings, data.num_classes)
    metrics, networks = available(settings.metrics, settings.realism_judge)
    device = f"{settings.device}:{share.local}" if settings.device == "cuda" and share.world > 1 else settings.device
    plan = Plan(
        directory=Path(settings.output),
        store=store,
        names=names,
        pictured=frozenset(names[i] for i in _spread(len(names), settings.pictures)),
        models=models,
        references=settings.references,
        judge=settings.judge,
        realism_judge=settings.realism_judge,
        metrics=metrics,
        device=device,
    )
    classes = list(data.classes) or list((judge and judge.class_names) or [])
    known = [str(i) for i in range(judge.num_classes)] if judge is not None else []
    segmenters = {f"{one.codec}, {one.point}": segmenter_of(one.segmenter) for one in models if one.segmenter}
    provenance = {
        "codecs": [codec for codec, _ in plan.points()],
        "points": [f"{codec}, {point}" for codec, point in plan.points()],
        "keep": {f"{one.codec}, {one.point}": one.keep for one in models if one.keep is not None},
        "references": [f"{one.format}: {one.points}" for one in settings.references],
        "images": list(names),
        "checkpoints": fingerprints,
        "data": {
            "source": type(data.source).__name__,
            "split": settings.split,
            "fingerprint": _fingerprint(store, names),
        },
        "judge": None if judge is None else judge.provenance(),
        "segmenters": {name: segmenter.provenance() for name, segmenter in segmenters.items()},
        "classes": (classes or known) if judge is not None else [],
        "metrics": networks,
        "device": torch.cuda.get_device_name() if settings.device.startswith("cuda") else "cpu",
        "versions": _versions(),
        "seeds": {"bootstrap": settings.seed},
        "settings": {
            "draws": settings.draws,
            "seed": settings.seed,
            "targets": settings.targets,
            "pictures": settings.pictures,
        },
        "command": command,
    }
    return plan, provenance


def measure(plan: Plan, workers: int, share: Share) -> None:
    """Append the rows of this process's images that are not there yet.

    Raises:
        SemcompError: a worker died.
    """
    wanted, done = plan.points(), defaultdict(set)
    for pair in parts.finished(plan.directory):
        done[pair[2]].add(pair)
    mine = range(share.rank, len(plan.names), share.world)
    tasks = {index: frozenset(done[plan.names[index]]) for index in mine}
    tasks = {index: known for index, known in tasks.items() if len(known) < len(wanted)}
    total = sum(len(wanted) - len(known) for known in tasks.values())
    if not tasks:
        return
    with _progress(total) as advance:
        if workers == 0:
            worker = Worker(plan, share.rank)
            for index, known in tasks.items():
                advance(worker.measure(index, known))
            return
        context, count = get_context("spawn"), min(workers, len(tasks))
        threads = max(1, torch.get_num_threads() // count)
        pool = ProcessPoolExecutor(count, context, _start, (plan, share.rank, threads))
        try:
            for future in as_completed([pool.submit(_measure, index, known) for index, known in tasks.items()]):
                advance(future.result())
        except BrokenProcessPool:
            raise SemcompError(
                "a worker died, probably out of memory; lower --workers and run the command again: it goes on with "
                "what is not measured yet"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


class Worker:
    """A process's measurer and the part that its rows go to."""

    current: "Worker"

    def __init__(self, plan: Plan, rank: int) -> None:
        self.measurer = Measurer(plan)
        (plan.directory / "parts").mkdir(exist_ok=True)
        self.file = plan.directory / "parts" / f"rows-{rank}-{uuid.uuid4().hex[:12]}.jsonl"

    def measure(self, index: int, known: frozenset[Pair]) -> int:
        """Number of rows added."""
        count = 0
        for row in self.measurer.rows(index, known):
            parts.append(self.file, [row])
            count += 1
        return count


def _start(plan: Plan, rank: int, threads: int) -> None:
    torch.set_num_threads(threads)
    Worker.current = Worker(plan, rank)


def _measure(index: int, known: frozenset[Pair]) -> int:
    return Worker.current.measure(index, known)


def _time(plan: Plan, count: int) -> None:
    """The serial pass: codec by codec, each in a process of its own, once no other process measures."""
    images = list(_spread(len(plan.names), count))
    timed = set(parts.times(plan.directory).select("codec", "point").iter_rows())
    places = [place for place in range(1, plan.makers()) if not timed.intersection(plan.points_of(place))]
    if not images or not places:
        return
    with (
        _progress(len(places), "Times") as advance,
        ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool,
    ):
        for place in places:
            rows = pool.submit(time_coder, plan, place, images).result()
            parts.append(plan.directory / "parts" / "times.jsonl", rows)
            advance(1)


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Steps a second, once there is a rate."""
        return Text(f"{task.speed:.2f}/s" if task.speed else "")


@contextmanager
def _progress(total: int, title: str = "Comparing") -> Iterator[Callable[[int], None]]:
    """A bar with rate and remaining time, on a terminal only."""
    console = Console(stderr=True)
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), _Speed(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=total)
        yield lambda steps: progress.advance(task, steps)


def _spread(total: int, count: int) -> list[int]:
    """`count` of the places 0..total-1, evenly; all where there are fewer."""
    return sorted({int(place) for place in np.linspace(0, total - 1, min(count, total)).round()})


def _fingerprint(store: Store, names: Sequence[str]) -> str:
    """SHA-256 of the names and prepared pixels of images and label maps."""
    digest = sha256()
    for index, name in enumerate(names):
        digest.update(name.encode())
        for kind, pixels in sorted(store[index].items()):
            digest.update(f" {kind} {pixels.dtype} {pixels.shape} ".encode())
            digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def _versions() -> dict[str, str]:
    packages = ("torch", "torchvision", "torchmetrics", "numpy", "pillow", "polars", "bjontegaard")
    return {"semcomp_pl": __version__, "python": platform.python_version()} | {name: version(name) for name in packages}
