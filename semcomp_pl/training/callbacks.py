"""Callbacks that limit training, and write a run's config, sample images and predictions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter, Timer
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.loggers import WandbLogger
from torch import Tensor
from torchvision.transforms.v2.functional import to_pil_image
from torchvision.utils import make_grid

from semcomp_pl.files.atomic import make_output, write_file, write_text
from semcomp_pl.modules.base import CodecModule
from semcomp_pl.types import Batch


class SaveRunConfig(SaveConfigCallback):
    """Writes `config.yaml` to the run's directory, completely or not at all."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "save_to_log_dir": False})

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write the file beside the history."""
        directory = Path(trainer.loggers[0].log_dir or trainer.default_root_dir)
        make_output(directory, "--runs")
        write_text(directory / self.config_filename, self.parser.dump(self.config, skip_none=False))


def agreed(trainer: Trainer, verdict: bool) -> bool:
    """The verdict of rank 0, asked before or after a batch.

    Several processes exchange it every `log_every_n_steps` batches, for that waits for the device.
    """
    if trainer.world_size == 1:
        return verdict
    interval: int = max(1, trainer.log_every_n_steps)  # type: ignore[attr-defined]
    # not after an odd number of batches, as before it gradients of accumulate=2 wait for a step
    return trainer.fit_loop.total_batch_idx % interval == 0 and bool(trainer.strategy.broadcast(verdict))


class TimeLimit(Timer):
    """Lightning's Timer, which does not wait for the device after each batch, and logs the last one.

    Args:
        duration: Time of training, as for `Trainer(max_time=...)`.
    """

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        """Make this batch the last if the time has run out."""
        if agreed(trainer, (self.time_remaining() or 0) <= 0):
            trainer.should_stop = True

    def on_train_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        """Do nothing."""


class Budget(Callback):
    """Ends training after a number of batches, and always with a validation.

    Lightning's `max_steps` counts the steps of all optimisers, so it would mean different lengths for different models.
    Without this callback, training that ends in mid-epoch or has fewer epochs than `check_val_every_n_epoch` would
    never be validated.

    Args:
        max_batches: Number of batches; None if only epochs or time limit the training.
    """

    def __init__(self, max_batches: int | None = None) -> None:
        self.max_batches = max_batches

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make the last epoch end with a validation."""
        if trainer.current_epoch + 1 == trainer.max_epochs:
            trainer.check_val_every_n_epoch = 1

    on_train_start = on_train_epoch_start  # an epoch that is gone on with does not start again

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        """Make this batch the last if it uses up the budget; told afterwards, Lightning would log an older batch."""
        done = trainer.fit_loop.epoch_loop.batch_progress.total.completed + 1
        if self.max_batches is not None and done >= self.max_batches:
            trainer.should_stop = True

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Validate after the last batch."""
        if trainer.should_stop:
            trainer.check_val_every_n_epoch = 1


class SampleGrid(Callback):
    """Saves originals and reconstructions of the first validation images as `samples.png`, and logs them to W&B.

    Args:
        images: Number of images.
    """

    def __init__(self, images: int = 4) -> None:
        self.images = images

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the grid from the first process's first batch."""
        first = batch_idx == 0 and trainer.is_global_zero and not trainer.sanity_checking
        if not first or not isinstance(pl_module, CodecModule):
            return
        few: Any = {kind: values[: self.images] for kind, values in batch.items()}  # type: ignore[index]
        grid = make_grid(torch.cat([few["image"], pl_module.evaluate(few).reconstruction]), nrow=self.images)
        picture = to_pil_image(grid.float().cpu().clamp(0, 1))
        write_file(Path(trainer.default_root_dir) / "samples.png", lambda file: picture.save(file, "PNG"))
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_image("val/samples", [picture])


class PredictionWriter(BasePredictionWriter):
    """Writes the reconstructions (or label maps) of `predict` as PNGs named like their images."""

    def __init__(self, directory: Path) -> None:
        super().__init__("batch")
        self.directory = directory

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Tensor,
        batch_indices: Sequence[int] | None,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write a batch: images as 8-bit RGB, label maps as 8-bit indices."""
        for name, values in zip(batch["name"], prediction, strict=True):
            pixels = (values * 255).round().byte() if values.is_floating_point() else values.byte()[None]
            file = self.directory / f"{name}.png"
            make_output(file.parent, "--runs")
            picture = to_pil_image(pixels.cpu())
            write_file(file, lambda stream, picture=picture: picture.save(stream, "PNG"))  # type: ignore[misc]
