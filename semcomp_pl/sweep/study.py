"""A sweep's trials in Optuna's storage, which outlives this process and may be shared by several machines."""

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from semcomp_pl.errors import SemcompError
from semcomp_pl.sweep.file import Point, Sweep

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=ExperimentalWarning)


def sampled(sweep: Sweep, count: int, seed: int) -> list[dict[str, Any]]:
    """The points of a grid, or different random points; for `bayes` such as it begins with.

    Args:
        sweep: The sweep.
        count: Number of random points; ignored for a grid.
        seed: Seed of the random points, of which the first are the same for every `count`.
    """
    if sweep.method == "grid":
        return sweep.grid()
    study = optuna.create_study(sampler=RandomSampler(seed))
    points: dict[tuple[Any, ...], dict[str, Any]] = {}
    for _ in range(100 * count):  # few values have few different points
        if len(points) == count:
            break
        point = study.ask(_distributions(sweep)).params
        points.setdefault(tuple(point.values()), point)
    return [*points.values()]


class Study:
    """The trials of one sweep.

    The points of a grid and of a random search wait in the storage from the beginning, and are taken out one by one,
    so that no two machines train the same point. `bayes` chooses each point when it is asked for.

    Args:
        sweep: The sweep.
        said: What must stay as it is while the sweep is resumed: more arguments of all commands.
        directory: The sweep's directory.
        storage: URL of a database, or a journal file; `sweep.db` in the directory if None.
        seed: Seed of random search and `bayes`.
    """

    def __init__(self, sweep: Sweep, said: Sequence[str], directory: Path, storage: str | None, seed: int) -> None:
        self.sweep, self.seed = sweep, seed
        self._lock = FileLock(directory / "sweep.lock")
        with self._lock:
            self.optuna = optuna.create_study(
                storage=open_storage(storage or f"sqlite:///{directory / 'sweep.db'}"),
                study_name=directory.name,
                sampler=RandomSampler(seed),
                pruner=pruner(sweep.content.get("early_terminate")),
                direction="maximize" if sweep.maximize else "minimize",
                load_if_exists=True,
            )
            self._check(json.dumps([sweep.content, *said], sort_keys=True), directory)

    def _check(self, content: str, directory: Path) -> None:
        if self.optuna.user_attrs.setdefault("sweep", content) != content:
            raise SemcompError(
                f"{directory}: holds a sweep of another YAML or with other arguments, and runs must stay comparable; "
                "choose another --name, or delete it"
            )
        self.optuna.set_user_attr("sweep", content)

    @property
    def prunes(self) -> bool:
        """Whether trainings may be stopped early."""
        return bool(self.sweep.content.get("early_terminate"))

    def fill(self, points: Sequence[Point]) -> None:
        """Let the points wait that are not in the storage yet."""
        with self._lock:
            known = {trial.user_attrs.get("point") for trial in self.optuna.get_trials(deepcopy=False)}
            for number, point in enumerate(points):
                if number not in known:
                    self.optuna.enqueue_trial(dict(point), user_attrs={"point": number})

    def retry_failed(self) -> None:
        """Let the points of failed trials wait once more; the failed trials stay as they are."""
        with self._lock:
            trials = self.optuna.get_trials(deepcopy=False)
            tried = {trial.user_attrs.get("retries") for trial in trials}
            for trial in trials:
                if trial.state == TrialState.FAIL and trial.number not in tried:
                    again = {**_point_of(trial), "retries": trial.number}
                    self.optuna.enqueue_trial(trial.params, user_attrs=again)

    def next(self, limit: int) -> Trial | None:
        """A new trial; None if there is no other point, or `bayes` has had `limit` of them."""
        with self._lock:
            trials = self.optuna.get_trials(deepcopy=False)
            waiting = any(trial.state == TrialState.WAITING for trial in trials)
            if not waiting and (self.sweep.method != "bayes" or len(trials) >= limit):
                return None
            # a sampler that starts anew with the same seed would choose the same points again
            self.optuna.sampler = sampler(self.sweep, self.seed + len(trials))
            return self.optuna.ask(_distributions(self.sweep))

    def left(self, limit: int) -> int:
        """Number of trials that have not begun."""
        states = [trial.state for trial in self.optuna.get_trials(deepcopy=False)]
        more = max(0, limit - len(states)) if self.sweep.method == "bayes" else 0
        return states.count(TrialState.WAITING) + more

    def given(self) -> float | None:
        """Seconds that trainings of this sweep were given; None if they were not limited."""
        found = [trial.user_attrs.get("max_seconds") for trial in self.optuna.get_trials(deepcopy=False)]
        return max((seconds for seconds in found if seconds is not None), default=None)

    def trials(self) -> list[FrozenTrial]:
        """All trials that have begun."""
        return [trial for trial in self.optuna.get_trials() if trial.state != TrialState.WAITING]

    def running(self) -> list[Trial]:
        """Trials that have begun and not ended, here, elsewhere, or in a process that is no more."""
        frozen = self.optuna.get_trials(deepcopy=False, states=[TrialState.RUNNING])
        return [Trial(self.optuna, trial._trial_id) for trial in frozen]

    def ended(self, trial: Trial) -> bool:
        """Whether a trial has ended by now."""
        return self.optuna._storage.get_trial(trial._trial_id).state.is_finished()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other process that shares the directory asks for trials meanwhile."""
        with self._lock:
            yield


def _point_of(trial: FrozenTrial) -> dict[str, Any]:
    return {name: value for name, value in trial.user_attrs.items() if name == "point"}


def _distributions(sweep: Sweep) -> dict[str, Any]:
    return {name: parameter.distribution for name, parameter in sweep.parameters.items()}


def open_storage(given: str) -> BaseStorage:
    """The storage of a URL (`sqlite:///FILE`, `postgresql://...`) or of a journal file.

    Raises:
        SemcompError: a database is asked for without SQLAlchemy, or cannot be opened.
    """
    if "://" not in given:
        return JournalStorage(JournalFileBackend(given))
    try:
        patience = {"connect_args": {"timeout": 60}} if given.startswith("sqlite") else None
        return RDBStorage(given, engine_kwargs=patience)
    except ImportError as error:
        raise SemcompError(
            f"{given}: {error.name or error} is missing, which databases need; install semcomp_pl[sweep], or keep the "
            "trials in a file: --storage FILE.log"
        ) from None
    except Exception as error:
        raise SemcompError(
            f"{given}: cannot be opened ({str(error).splitlines()[0]}); give another --storage"
        ) from error


def sampler(sweep: Sweep, seed: int) -> BaseSampler:
    """What chooses points that do not wait: TPE, W&B's `bayes`."""
    return TPESampler(seed=seed) if sweep.method == "bayes" else RandomSampler(seed)


def pruner(stop: Mapping[str, Any] | None) -> BasePruner:
    """Hyperband with W&B's arguments; a step is a validation. Without `early_terminate`, nothing is stopped."""
    if stop is None:
        return NopPruner()
    eta = int(stop.get("eta", 3))
    longest = stop.get("max_iter", "auto")
    shortest = stop.get("min_iter") or longest / eta ** int(stop.get("s", 1))
    return HyperbandPruner(min_resource=max(1, int(shortest)), max_resource=longest, reduction_factor=eta)
