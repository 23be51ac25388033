"""Runs a sweep: trainings side by side, started, watched, stopped early, and gone on with after interruptions."""

import math
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import FrameType

from optuna.trial import Trial, TrialState

from semcomp_pl.sweep.budget import Budget
from semcomp_pl.sweep.names import run_name
from semcomp_pl.sweep.run import Run, as_flag
from semcomp_pl.sweep.study import Study

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
_HOST = socket.gethostname()


@dataclass
class Plan:
    """How a sweep is run on this machine.

    Args:
        workers: Trainings side by side.
        limit: Number of trials of `bayes`.
        more: Arguments of all commands that override the YAML's.
        last: Arguments that come after all others.
        environment: What goes into the environment of all trainings.
        interval: Seconds between two looks at all trainings.
    """

    workers: int
    limit: int
    more: Sequence[str] = ()
    last: Sequence[str] = ()
    environment: dict[str, str] = field(default_factory=dict)
    interval: float = 0.5


@dataclass
class Active:
    """A training of this process.

    Args:
        since: When it was started, in seconds of the monotonic clock.
    """

    trial: Trial
    run: Run
    since: float
    pruned: bool = False


class Loop:
    """Runs all trials of a study that wait, or were interrupted.

    Args:
        study: The trials.
        directory: The sweep's directory.
        plan: How to run them.
        budget: Their time, if it is limited.
        tell: Told what happens: a run's name, and a text.
        show: Called often.
        finish: Called with each run that came to its end.
    """

    def __init__(
        self,
        study: Study,
        directory: Path,
        plan: Plan,
        budget: Budget | None,
        tell: Callable[[str, str], None],
        show: Callable[[], None],
        finish: Callable[[Run], None],
    ) -> None:
        self.study, self.directory, self.plan, self.budget = study, directory, plan, budget
        self.tell, self.show, self.finish = tell, show, finish
        self.active: dict[int, Active] = {}
        self.received: signal.Signals | None = None
        self.late = False

    @property
    def stopping(self) -> bool:
        """Whether no more trainings start, and those that run are asked to end."""
        return self.received is not None or self.late

    def run(self) -> None:
        """Run until all is done, a signal comes, or the time is up; trainings end with a checkpoint then."""
        self._adopt()
        with self._listening():
            while True:
                for active in [*self.active.values()]:
                    self._look_at(active)
                self.late = self.late or (self.budget is not None and self.budget.over)
                others = 0
                if not self.stopping:
                    others, orphans = self._go_on()
                    self._begin(orphans)
                self.show()
                if not self.active and not others:
                    return
                time.sleep(self.plan.interval)

    @contextmanager
    def _listening(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)

    def _look_at(self, active: Active) -> None:
        """Report what a training has logged, and see whether it has ended or should."""
        alive = active.run.alive  # asked first: what it logs at its end must be read
        self._report(active)
        if not alive:
            self._end(active.trial, active.run, active.pruned)
        elif active.pruned or self.stopping:
            active.run.stop()

    def _report(self, active: Active) -> None:
        """Tell the pruner of new values of the metric."""
        if active.pruned or not self.study.prunes:
            return
        trial, values = active.trial, active.run.history(self.study.sweep.metric)
        for step in range(len(trial.storage.get_trial(trial._trial_id).intermediate_values), len(values)):
            trial.report(values[step], step + 1)
            active.pruned = active.pruned or trial.should_prune()

    def _end(self, trial: Trial, run: Run, pruned: bool = False) -> None:
        """Record how a training ended; one that can go on stays open."""
        active = self.active.pop(trial.number, None)
        if pruned and not run.done:
            self.study.optuna.tell(trial, state=TrialState.PRUNED)
            self.tell(run.name, "stopped early by Hyperband")
        elif run.done:
            self._succeed(trial, run)
            if active is not None and self.budget is not None and "max_seconds" in trial.user_attrs:
                self.budget.learn(time.monotonic() - active.since, trial.user_attrs["max_seconds"])
        elif run.interrupted:
            self.tell(run.name, "interrupted; it can go on")
        else:
            self._fail(trial, run, run.last_line or f"ended with status {run.status}")
        run.release()

    def _succeed(self, trial: Trial, run: Run) -> None:
        metric, values = self.study.sweep.metric, run.history(self.study.sweep.metric)
        if not values or math.isnan(values[-1]):
            self._fail(trial, run, f"no {metric} in metrics.csv" if not values else f"{metric} is nan")
            return
        self.study.optuna.tell(trial, values[-1])
        self.tell(run.name, f"done, {metric} {values[-1]:.4g}")
        self.finish(run)

    def _fail(self, trial: Trial, run: Run, reason: str) -> None:
        trial.set_user_attr("error", reason)
        self.study.optuna.tell(trial, state=TrialState.FAIL)
        self.tell(run.name, f"failed: {reason}")

    def _go_on(self) -> tuple[int, int]:
        """Take over trainings that nobody watches.

        Returns:
            How many trainings of this machine go on without this process, and how many of them have outlived theirs.
        """
        others = orphans = 0
        for trial in self.study.running():
            if trial.number in self.active or "run" not in trial.user_attrs:  # another machine names it right now
                continue
            run = Run(self.directory, trial.user_attrs["run"])
            here = trial.user_attrs.get("host") == _HOST
            if not (here or run.known_here) or not run.claim():
                others += here
                orphans += here and not _lives(trial.user_attrs["watched_by"])
            elif self.study.ended(trial):  # meanwhile, elsewhere
                run.release()
            elif not run.interrupted:  # it has ended since its sweep was killed
                self._end(trial, run)
            elif len(self.active) + orphans < self.plan.workers:
                self._start(trial, run, "goes on" if run.resumable else "starts again")
            else:
                run.release()
                others += 1
        return others, orphans

    def _begin(self, orphans: int) -> None:
        """Start new trainings while workers are idle."""
        while len(self.active) + orphans < self.plan.workers:
            waiting = self.study.left(self.plan.limit)
            limit = self.budget.next(waiting) if self.budget is not None else None
            if waiting == 0 or (self.budget is not None and limit is None):
                break
            with self.study.alone():
                trial = self.study.next(self.plan.limit)
                if trial is None:
                    break
                run = Run(self.directory, run_name(trial.number, self.study.sweep.varied(trial.params)))
                run.claim()  # before others know of it
                self._own(trial, run)
            if limit is not None:
                trial.set_user_attr("max_seconds", limit.total_seconds())
            self._start(trial, run, "started" + (f", to train for {spoken(limit.total_seconds())}" if limit else ""))

    def _own(self, trial: Trial, run: Run) -> None:
        """Say that this process watches a trial."""
        trial.set_user_attr("host", _HOST)
        trial.set_user_attr("watched_by", os.getpid())
        trial.set_user_attr("run", run.name)

    def _adopt(self) -> None:
        """Name the trials of processes that were killed before they did."""
        with self.study.alone():
            for trial in self.study.running():
                if "run" not in trial.user_attrs:
                    self._own(trial, Run(self.directory, run_name(trial.number, self.study.sweep.varied(trial.params))))

    def _start(self, trial: Trial, run: Run, said: str) -> None:
        self._own(trial, run)
        command = self.study.sweep.command(trial.params, self.plan.more)
        limit = trial.user_attrs.get("max_seconds")
        flags = [] if limit is None else [f"--trainer.max_time={as_flag(timedelta(seconds=limit))}"]
        run.start(command, [*self.plan.last, *flags], self.plan.environment)
        self.active[trial.number] = Active(trial, run, time.monotonic())
        self.tell(run.name, said)


def _lives(process: int) -> bool:
    """Whether a process of this machine lives."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def share_of_cores(workers: int) -> dict[str, str]:
    """Threads of each of some trainings side by side, unless the environment says how many."""
    cores = len(os.sched_getaffinity(0))
    return {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(max(1, cores // workers))}


def spoken(seconds: float) -> str:
    """A time in seconds or minutes."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
