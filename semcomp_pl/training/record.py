"""The record of a training, from its first batch over all resumptions: see `semcomp_pl.checkpoints.training_facts`."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from semcomp_pl.checkpoints.checkpoint import RECORD
from semcomp_pl.checkpoints.training_facts import FILE, TrainingData, TrainingFacts, as_json, training_facts
from semcomp_pl.data import ImageDataModule
from semcomp_pl.files.atomic import write_text
from semcomp_pl.training.callbacks import TimeLimit
from semcomp_pl.types import Batch
from semcomp_pl.version import __version__


class TrainingRecord(Callback):
    """Writes what a training was into its checkpoints, and with each of them to `training.json` of the run.

    Args:
        run: Directory of the run.
        clock: Measures the time of training.
    """

    def __init__(self, run: Path, clock: TimeLimit) -> None:
        self.run, self.clock = run, clock
        self._before: TrainingFacts | None = None
        self._images: int | None = 0

    @property
    def state_key(self) -> str:
        """The name that readers of checkpoints know."""
        return RECORD

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what was done before."""
        self._before = training_facts(state_dict, "checkpoint")
        self._images = self._before.images

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave open what a checkpoint without a record does not say."""
        if self._before is None and _steps(trainer):
            self._images = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Count the images of all processes."""
        if self._images is not None:
            self._images += len(batch["image"]) * trainer.world_size

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Write the facts."""
        facts = self._facts(trainer, pl_module)
        checkpoint["callbacks"][self.state_key] = facts.plain()
        if trainer.is_global_zero:
            write_text(self.run / FILE, as_json(facts))

    def _facts(self, trainer: Trainer, pl_module: LightningModule) -> TrainingFacts:
        data: ImageDataModule = trainer.datamodule  # type: ignore[attr-defined]
        root, done = trainer.strategy.root_device, getattr(pl_module, "done", None)
        current: Any = trainer.fit_loop.epoch_loop.batch_progress.current
        earlier = None if self._before is None else self._before.warm_start
        return TrainingFacts(
            model=type(pl_module).__name__,
            seed=getattr(pl_module, "seed", None),
            steps=_steps(trainer),
            batch=data.batch_size * trainer.world_size,
            accumulate=getattr(pl_module, "accumulate", None),
            size=data.crop_size and (data.crop_size[0], data.crop_size[1]),
            images=self._images,
            epochs=round(trainer.current_epoch + current.processed / trainer.num_training_batches, 3),
            seconds=None if self._images is None else round(self.clock.time_elapsed(), 1),
            precision=str(trainer.precision),
            processes=trainer.world_size,
            device=torch.cuda.get_device_name(root) if root.type == "cuda" else root.type,
            versions={"semcomp_pl": __version__, "torch": str(torch.__version__)},
            data=_data(data),
            warm_start=getattr(pl_module, "warm_start", None) or earlier,
            schedule=getattr(pl_module, "schedule", None),
            finished=None if done is None else done() >= 1,
        )


def _steps(trainer: Trainer) -> int:
    """Number of batches of all epochs."""
    total: Any = trainer.fit_loop.epoch_loop.batch_progress.total
    return int(total.processed)


def _data(data: ImageDataModule) -> TrainingData:
    """The training split; its fingerprint is a hash of names, shares of a mixture, and statistics of the pixels."""
    store, source = data.stores["train"], type(data.source).__name__
    weights = data.source.weights(store.names)
    content = json.dumps([store.names, None if weights is None else weights.tolist(), *store.statistics()])
    return TrainingData(
        f"{source}({', '.join(data.parts)})" if data.parts else source,
        len(store),
        hashlib.sha256(content.encode()).hexdigest()[:16],
        data.seed,
    )
