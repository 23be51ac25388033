"""Callbacks that limit training, and write a run's config, sample images and predictions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter, Timer
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.loggers import WandbLogger
from torch import Tensor
from torchvision.transforms.v2.functional import to_pil_image
from torchvision.utils import make_grid

from semcomp_pl.errors import SemcompError
from semcomp_pl.files.atomic import make_output, write_file, write_text
from semcomp_pl.modules.base import CodecModule
from semcomp_pl.training.tracking import send_settings
from semcomp_pl.types import Batch

T = TypeVar("T")


class SaveRunConfig(SaveConfigCallback):
    """Writes `config.yaml` to the run's directory, completely or not at all."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "save_to_log_dir": False})

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write the file beside the history, and send what it holds to W&B if the run is logged there."""
        directory = Path(trainer.loggers[0].log_dir or trainer.default_root_dir)
        make_output(directory, "--runs")
        config = self.parser.dump(self.config, skip_none=False)
        write_text(directory / self.config_filename, config)
        if stage == "fit":
            send_settings(trainer, config)


def told(trainer: Trainer, value: T) -> T | None:
    """The value of rank 0, asked before or after a batch; None if processes do not exchange it there.

    Several processes exchange it every `log_every_n_steps` batches, for that waits for the device.
    """
    if trainer.world_size == 1:
        return value
    interval: int = max(1, trainer.log_every_n_steps)  # type: ignore[attr-defined]
    # not after an odd number of batches, as before it gradients of accumulate=2 wait for a step
    return trainer.strategy.broadcast(value) if trainer.fit_loop.total_batch_idx % interval == 0 else None


def agreed(trainer: Trainer, verdict: bool) -> bool:
    """The verdict of rank 0, where processes exchange it; see `told`."""
    return bool(told(trainer, verdict))


class TimeLimit(Timer):
    """Measures the time of training; if it is limited, learning rates fall to their end in that time.

    Time is that between the first batch and the last, with all validations and checkpoints in between, over all
    resumptions; what a killed process did after its last checkpoint does not count, as it is done again.

    Unlike Lightning's Timer it does not wait for the device after each batch, and logs the last one.

    Args:
        duration: Time of training, as for `Trainer(max_time=...)`; None for no limit.

    Raises:
        SemcompError: there is no time to train in.
    """

    def __init__(self, duration: Any = None) -> None:
        super().__init__(duration)
        if self._duration == 0:
            raise SemcompError(f"max_time={duration} found, expected more than no time; set --trainer.max_time")

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Tell the model that time limits its training."""
        self._tell(pl_module, 0.0)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock where the checkpoint's stood, which is the same in all processes."""
        self._tell(pl_module, self._offset)
        super().on_train_start(trainer, pl_module)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        """Tell the model how much of the time is over, and make this batch the last if all is."""
        seconds = None if self._duration is None else told(trainer, self.time_elapsed())
        if seconds is not None:
            self._tell(pl_module, seconds)
            trainer.should_stop = trainer.should_stop or seconds >= (self._duration or 0)

    def _tell(self, pl_module: LightningModule, seconds: float) -> None:
        if self._duration is not None:
            cast(Any, pl_module).time_done = seconds / self._duration

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
