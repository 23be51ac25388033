"""Measuring a plan's images in several processes, and the serial pass that measures times afterwards."""

import uuid
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

import torch

from semcomp_pl.compare.measure import parts
from semcomp_pl.compare.measure.measurer import Measurer, Pair
from semcomp_pl.compare.measure.plan import Loaded, Plan, spread
from semcomp_pl.compare.measure.ranks import Share
from semcomp_pl.compare.measure.timing import time_coder
from semcomp_pl.errors import SemcompError
from semcomp_pl.progress import progress
from semcomp_pl.spawning import end_with_parent, without_main

Tasks = dict[int, frozenset[Pair]]
"""Indices of images, each with its pairs that are measured already."""


class Worker:
    """The measurer of a process, and the part file for its rows."""

    current: "Worker"

    def __init__(self, plan: Plan, rank: int, loaded: Loaded | None = None) -> None:
        self.measurer = Measurer(plan, loaded)
        (plan.directory / "parts").mkdir(exist_ok=True)
        self.file = plan.directory / "parts" / f"rows-{rank}-{uuid.uuid4().hex[:12]}.jsonl"

    def measure(self, index: int, known: frozenset[Pair]) -> int:
        """Measure an image and append its missing rows; returns their number."""
        count = 0
        for row in self.measurer.rows(index, known):
            parts.append(self.file, [row])
            count += 1
        return count


def measure(plan: Plan, workers: int, share: Share, loaded: Loaded | None = None) -> None:
    """Measure and append the missing rows of this process's share of the images.

    Args:
        plan: Plan of the comparison.
        workers: Number of worker processes; 0 measures in this process.
        share: Share of the images that this process is responsible for.
        loaded: Networks and codecs that this process has already loaded.

    Raises:
        SemcompError: a worker died.
    """
    wanted, done = plan.points(), defaultdict(set)
    for pair in parts.finished(plan.directory):
        done[pair[2]].add(pair)
    mine = range(share.rank, len(plan.names), share.world)
    tasks = {index: frozenset(done[plan.names[index]]) for index in mine}
    tasks = {index: known for index, known in tasks.items() if len(known) < len(wanted)}
    if not tasks:
        return
    with progress(sum(len(wanted) - len(known) for known in tasks.values()), "comparing") as advance:
        if workers:
            _measure_in_pool(plan, share.rank, tasks, min(workers, len(tasks)), advance)
            return
        worker = Worker(plan, share.rank, loaded)
        for index, known in tasks.items():
            advance(worker.measure(index, known))


def _measure_in_pool(plan: Plan, rank: int, tasks: Tasks, count: int, advance: Callable[[int], None]) -> None:
    threads = max(1, torch.get_num_threads() // count)
    pool = ProcessPoolExecutor(count, get_context("spawn"), _start, (plan, rank, threads))
    try:
        with without_main():
            futures = [pool.submit(_measure, index, known) for index, known in tasks.items()]
        for future in as_completed(futures):
            advance(future.result())
    except BrokenProcessPool:
        raise SemcompError(
            "a worker died, probably out of memory; lower --workers and run the command again: it goes on with "
            "what is not measured yet"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _start(plan: Plan, rank: int, threads: int) -> None:
    end_with_parent()
    torch.set_num_threads(threads)
    Worker.current = Worker(plan, rank)


def _measure(index: int, known: frozenset[Pair]) -> int:
    return Worker.current.measure(index, known)


def take_times(plan: Plan, count: int) -> None:
    """Run the serial pass over `count` images: one codec after another, each in its own process."""
    images = spread(len(plan.names), count)
    timed = set(parts.times(plan.directory).select("codec", "point").iter_rows())
    candidates = [one for one in plan.candidates if not timed.intersection(one.pairs)]
    if not images or not candidates:
        return
    with (
        progress(len(candidates), "times") as advance,
        ProcessPoolExecutor(1, get_context("spawn"), end_with_parent, max_tasks_per_child=1) as pool,
    ):
        for candidate in candidates:
            with without_main():
                timed_rows = pool.submit(time_coder, plan, candidate, images)
            rows = timed_rows.result()
            parts.append(plan.directory / "parts" / "times.jsonl", rows)
            advance(1)
