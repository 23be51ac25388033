"""What is left of a sweep: exports, a table, a figure, and the command that compares its runs."""

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from optuna.trial import TrialState
from rich.console import Console

from semcomp_pl.checkpoints.export import export
from semcomp_pl.errors import SemcompError
from semcomp_pl.sweep.pareto import draw
from semcomp_pl.sweep.run import Run
from semcomp_pl.sweep.show import Result, best_first, results, table
from semcomp_pl.sweep.study import Study


class Exporter:
    """Exports runs that came to their end, as `semcomp export` does, to `exports/NAME` in the sweep's directory.

    Args:
        study: The trials.
        directory: The sweep's directory.
        which: `none`, `all`, or `first` of those runs that differ in the seed alone.
        tell: Told what cannot be exported.
    """

    def __init__(self, study: Study, directory: Path, which: str, tell: Callable[[str, str], None]) -> None:
        self.study, self.directory, self.which, self.tell = study, directory, which, tell

    def __call__(self, run: Run) -> None:
        """Export a run, if it is wanted and not there yet."""
        target = self.directory / "exports" / run.name
        if self.which == "none" or target.exists() or (self.which == "first" and self._has_twin(run)):
            return
        try:
            export(str(run.directory), str(target))
        except SemcompError as error:
            self.tell(run.name, f"not exported: {error}")

    def _has_twin(self, run: Run) -> bool:
        """Whether a run that differs in the seed alone is exported."""
        values = {one.run.name: {**one.values, "seed_everything": None} for one in results(self.study, self.directory)}
        there = (file.name for file in (self.directory / "exports").glob("*"))
        return any(values.get(name) == values[run.name] for name in there)


def report(study: Study, directory: Path, console: Console, limit: int, comparison: Sequence[str]) -> int:
    """Print a table of all runs and the command that compares them, and draw `pareto.png` and `pareto.svg`.

    Args:
        study: The trials.
        directory: The sweep's directory.
        console: Where to.
        limit: Number of trials of `bayes`.
        comparison: Arguments of `semcomp compare` that name the data.

    Returns:
        Number of failed runs.
    """
    found = best_first(study.sweep, results(study, directory))
    done = [one for one in found if one.done]
    failed = [one for one in found if one.trial.state == TrialState.FAIL]
    left = study.left(limit)
    console.print(table(study.sweep, found, f"{directory}: {len(done)} of {len(found) + left} done"))
    if left:
        console.print(f"{left} not begun; the same command goes on with them", highlight=False)
    for one in failed:
        console.print(f"{one.run.log}: {one.error}", soft_wrap=True, markup=False, highlight=False)
    kind = draw(study.sweep, done, directory / "pareto") if done else None
    if kind is not None:
        console.print(f"{directory}/pareto.png and .svg: {study.sweep.metric} against {kind}", highlight=False)
    if done:
        console.print("\nCompare the files of these models by:", highlight=False)
        print(f"semcomp compare {shlex.join([*_runs(done), *comparison, '--output', f'comparisons/{directory.name}'])}")
    return len(failed)


def _runs(done: Sequence[Result]) -> list[str]:
    return [str(one.run.directory) for one in sorted(done, key=lambda one: one.trial.number)]
