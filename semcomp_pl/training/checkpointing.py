"""When checkpoints are written, how they replace older ones, and which of them training may go on from."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning import LightningModule, Trainer
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint

from semcomp_pl.data.resume import Resumable
from semcomp_pl.errors import SemcompError
from semcomp_pl.files.atomic import make_output, remove_parts, write_file
from semcomp_pl.training.callbacks import TimeLimit, agreed
from semcomp_pl.training.history import RunHistory


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint completely, or leaves the older one of its name."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            SemcompError: it cannot be written; an older one of this name is unchanged.
        """
        file = Path(path)
        make_output(file.parent, "--runs")
        try:
            write_file(file, lambda stream: torch.save(checkpoint, stream))
        except SemcompError as error:
            kept = ", or make room and resume: the checkpoint of before is unchanged" if file.is_file() else ""
            raise SemcompError(f"training stopped: {error}{kept}") from None


class RunCheckpoint(ModelCheckpoint):
    """A checkpoint `NAME.ckpt` of the run, written after validations.

    Args:
        directory: Directory of the run's checkpoints.
        name: Name of the file, without suffix.
        monitor: Metric whose highest value is kept; None to keep the latest.
    """

    def __init__(self, directory: Path, name: str, monitor: str | None = None) -> None:
        super().__init__(directory, name, monitor, mode="max", enable_version_counter=False)

    @property
    def state_key(self) -> str:
        """Lightning's own, by which checkpoints of before are known; it tells metrics apart."""
        return super().state_key.replace(type(self).__qualname__, ModelCheckpoint.__qualname__)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the best score, also after the run's directory was moved."""
        old, new = str(state_dict["dirpath"]), str(self.dirpath)

        def moved(path: str) -> str:
            return path.replace(old, new, 1) if path.startswith(old) else path

        best = {moved(path): score for path, score in state_dict["best_k_models"].items()}
        paths = {key: moved(state_dict[key]) for key in ("best_model_path", "kth_best_model_path", "last_model_path")}
        super().load_state_dict({**state_dict, **paths, "best_k_models": best, "dirpath": self.dirpath})

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the end of an epoch; if training ends within the epoch, so that it may go on there."""
        within = not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        with _within_epoch(trainer) if within and _goes_on_within(trainer, pl_module) else nullcontext():
            super().on_train_epoch_end(trainer, pl_module)


class LastCheckpoint(RunCheckpoint):
    """`last.ckpt`, which resumed training goes on from: written after validations and every few minutes.

    Within an epoch it is written before a batch starts, when the batch before it is logged and validated, and no
    gradients wait for a step. It is not written there if the model or the loader could not go on from it.

    Args:
        directory: Directory of the run's checkpoints.
        minutes: Minutes between checkpoints; 0 for none but those after validations.
    """

    def __init__(self, directory: Path, minutes: float) -> None:
        super().__init__(directory, "last")
        self.minutes = minutes
        self._gap: str | None = None
        self._obstacle: str | None = None
        self._resumable = False

    @property
    def state_key(self) -> str:
        """A name of its own, as callbacks of the user's that monitor nothing either have Lightning's."""
        return type(self).__qualname__

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Remove what a killed process had begun to write."""
        super().setup(trainer, pl_module, stage)
        if trainer.is_global_zero and self.dirpath is not None:
            remove_parts(Path(self.dirpath))

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """See what the checkpoint lacks for going on within an epoch."""
        if not checkpoint["loops"]["fit_loop"]["state_dict"].get("combined_loader"):
            self._gap = "it does not say which images of this epoch were seen"
        elif checkpoint.get("window_open"):
            self._gap = "it lacks the gradients of its last batches, which waited for an optimiser step"

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check that training goes on where the checkpoint was saved.

        Raises:
            SemcompError: it was saved within an epoch, and the model or the loader cannot go on there.
        """
        super().on_train_start(trainer, pl_module)
        self._last_global_step_saved = trainer.global_step  # nothing is new yet
        self._obstacle = _obstacle(trainer, pl_module)
        self._resumable = _goes_on_within(trainer, pl_module)
        loop, reason = trainer.fit_loop, self._obstacle or self._gap
        if reason is not None and loop.restarting and not loop.epoch_loop.batch_progress.is_last_batch:
            raise SemcompError(
                f"{trainer.ckpt_path}: a checkpoint within epoch {trainer.current_epoch} found, expected one at an "
                f"epoch's end, because {reason}; resume from such a checkpoint, or start a new run from this one "
                "with --model.init_from"
            )

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save what was validated, unless training could not go on from it."""
        ends = trainer.is_last_batch or trainer.should_stop
        if ends or not (self._obstacle or getattr(pl_module, "window_open", False)):
            super().on_validation_end(trainer, pl_module)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Save what the batches before this one led to, if it is time."""
        assert self._last_time_checked is not None
        due = self.minutes > 0 and time.monotonic() - self._last_time_checked >= 60 * self.minutes
        if agreed(trainer, due):
            self.save_before(trainer, pl_module, batch_idx)

    def save_before(self, trainer: Trainer, pl_module: LightningModule, batch_idx: int) -> bool:
        """Save what the batches before one that starts led to, if that is possible; whether nothing is unsaved now.

        All processes call it before the same batch. Nothing is saved before an epoch's first batch.
        """
        if self._last_global_step_saved == trainer.global_step:
            return True
        if not self._resumable or not batch_idx or pl_module.window_open:
            return False
        with _before_batch(trainer):
            self._save_none_monitor_checkpoint(trainer, self._monitor_candidates(trainer))
        self._last_time_checked = time.monotonic()
        return True

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save how many rows of the history belong to the checkpoint, and whether gradients are missing from it."""
        checkpoint["window_open"] = bool(getattr(pl_module, "window_open", False))
        rows = [logger.rows for logger in trainer.loggers if isinstance(logger, RunHistory)]
        if rows:
            checkpoint["history_rows"] = rows[0]


def _obstacle(trainer: Trainer, pl_module: LightningModule) -> str | None:
    """Why training cannot go on within an epoch; None if it can."""
    if not hasattr(pl_module, "window_open"):
        return f"{type(pl_module).__name__} is no ScheduledModule, whose random numbers follow from epoch and batch"
    loader = trainer.train_dataloader
    if not (hasattr(loader, "state_dict") and hasattr(loader, "load_state_dict")):
        return f"{type(loader).__name__}, the training loader, has no state_dict to say which images it has given out"
    return None


def _goes_on_within(trainer: Trainer, pl_module: LightningModule) -> bool:
    """Whether training can go on between any two batches."""
    # the state of other loaders counts the batch that is fetched, but not trained on yet
    return _obstacle(trainer, pl_module) is None and isinstance(trainer.train_dataloader, Resumable)


@contextmanager
def _within_epoch(trainer: Trainer) -> Iterator[None]:
    """Lightning's counters as if it had not taken the epoch for processed."""
    progress: Any = trainer.fit_loop.epoch_progress
    for counts in (progress.total, progress.current):
        counts.processed -= 1
    try:
        yield
    finally:
        for counts in (progress.total, progress.current):
            counts.processed += 1


@contextmanager
def _before_batch(trainer: Trainer) -> Iterator[None]:
    """Lightning's counters without the batch that was just fetched."""
    progress = trainer.fit_loop.epoch_loop.batch_progress
    last = progress.is_last_batch
    progress.is_last_batch = False
    for counts in (progress.total, progress.current):
        counts.ready -= 1
    try:
        yield
    finally:
        progress.is_last_batch = last
        for counts in (progress.total, progress.current):
            counts.ready += 1


class Progress(NamedTuple):
    """How far training had come when a checkpoint was saved."""

    epochs: int
    """Number of finished epochs."""
    batches: int
    """Number of batches of all epochs."""
    seconds: float
    """Time of training; 0 in checkpoints that do not say."""
    rows: int | None
    """Number of rows of the history; None in checkpoints that do not say."""


def read_progress(checkpoint: Path) -> Progress:
    """Progress of the training that saved a checkpoint."""
    content = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    loop = content["loops"]["fit_loop"]
    epoch, batch = loop["epoch_progress"]["current"], loop["epoch_loop.batch_progress"]
    epochs = epoch["started"] if batch["is_last_batch"] else epoch["processed"]
    seconds = content["callbacks"].get(TimeLimit.__qualname__, {}).get("time_elapsed", {}).get("train", 0.0)
    return Progress(epochs, batch["total"]["processed"], seconds, content.get("history_rows"))
