"""What a sweep looks like: a live table on a terminal, lines elsewhere, and a table in the end."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from semcomp_pl.checkpoints.training_facts import FILE, TrainingFacts, read_training
from semcomp_pl.sweep.file import Sweep
from semcomp_pl.sweep.names import short
from semcomp_pl.sweep.run import Run
from semcomp_pl.sweep.study import Study

_STATES = {
    TrialState.COMPLETE: "done",
    TrialState.FAIL: "[red]failed[/]",
    TrialState.PRUNED: "stopped early",
    TrialState.RUNNING: "[cyan]training[/]",
}
RATES = {
    "test/bpp": "bits per pixel of files (test/bpp)",
    "val/bpp_bound": "bits per pixel, upper bound (val/bpp_bound)",
}
"""Kinds of rates and what they are, the better one first."""
_LINES = 12
"""Rows of the live table."""


@dataclass(frozen=True)
class Result:
    """What is known of a trial that has begun.

    Args:
        trial: The trial.
        run: Its training.
        values: Its values of the parameters that vary.
        objective: The metric's last value; None if there is none.
        rate: Bits per pixel of its files, or else their upper bound; None if there is neither.
    """

    trial: FrozenTrial
    run: Run
    values: dict[str, object]
    objective: float | None
    rate: float | None

    @property
    def facts(self) -> TrainingFacts | None:
        """What its last checkpoint says about the training; None if there is none yet."""
        return read_training(self.run.directory / FILE)

    @property
    def done(self) -> bool:
        """Whether the training came to its end."""
        return self.trial.state == TrialState.COMPLETE

    @property
    def error(self) -> str:
        """Why it failed; empty if it did not."""
        return str(self.trial.user_attrs.get("error", ""))

    @property
    def label(self) -> str:
        """The values in few words."""
        return " ".join(short(name, value) for name, value in self.values.items())


def results(study: Study, directory: Path) -> list[Result]:
    """All trials that have begun and have a name."""
    trials = [trial for trial in study.trials() if "run" in trial.user_attrs]
    return [_result(study.sweep, trial, Run(directory, trial.user_attrs["run"])) for trial in trials]


def _result(sweep: Sweep, trial: FrozenTrial, run: Run) -> Result:
    values = run.history(sweep.metric)
    rates = (run.rate(kind) for kind in RATES)
    rate = next((rate for rate in rates if rate is not None), None)
    return Result(trial, run, sweep.varied(trial.params), values[-1] if values else None, rate)


class Screen:
    """Shows a sweep while it runs.

    Args:
        study: The trials.
        directory: The sweep's directory.
        limit: Number of trials of `bayes`.
        console: Where to.
    """

    def __init__(self, study: Study, directory: Path, limit: int, console: Console) -> None:
        self.study, self.directory, self.limit, self.console = study, directory, limit, console
        self.live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._drawn = 0.0

    def __enter__(self) -> "Screen":
        if self.live is not None:
            self.live.start()
        return self

    def __exit__(self, *args: object) -> None:
        if self.live is not None:
            self.live.stop()

    def tell(self, name: str, text: str) -> None:
        """One line about a run."""
        line = f"{time.strftime('%H:%M:%S')} {name}: {text}"
        self.console.print(line, soft_wrap=True, markup=False, highlight=False)

    def update(self) -> None:
        """Draw the live table, if there is a terminal, once a second."""
        if self.live is not None and time.monotonic() - self._drawn > 1:
            self._drawn = time.monotonic()
            self.live.update(self._table(), refresh=True)

    def _table(self) -> Table:
        found = results(self.study, self.directory)
        running = [one for one in found if one.trial.state == TrialState.RUNNING]
        counts = {state: sum(one.trial.state == state for one in found) for state in _STATES}
        parts = [f"{count} {_STATES[state]}" for state, count in counts.items() if count]
        waiting = self.study.left(self.limit)
        shown = [*running, *best_first(self.study.sweep, [one for one in found if one.done])][:_LINES]
        title = f"{self.directory.name}: {', '.join([*parts, f'{waiting} waiting'])}"
        return table(self.study.sweep, shown, title)


def best_first(sweep: Sweep, found: Sequence[Result]) -> list[Result]:
    """Trials in the order of the objective; those without one come last."""
    sign = -1 if sweep.maximize else 1
    return sorted(found, key=lambda one: (not one.done, sign * (one.objective or 0)))


def table(sweep: Sweep, found: Sequence[Result], title: str) -> Table:
    """A table of trials."""
    sheet = Table("run", "state", "steps", sweep.metric, "bpp", "min", title=title, title_justify="left")
    sheet.columns[0].overflow = "fold"
    for column in sheet.columns[2:]:
        column.justify = "right"
    for one in found:
        objective = "" if one.objective is None else f"{one.objective:.4g}"
        rate = "" if one.rate is None else f"{one.rate:.4f}"
        facts = one.facts
        steps = "" if facts is None or facts.steps is None else str(facts.steps)
        minutes = "" if facts is None or facts.seconds is None else f"{facts.seconds / 60:.1f}"
        sheet.add_row(escape(one.run.name), _STATES[one.trial.state], steps, objective, rate, minutes)
    return sheet
