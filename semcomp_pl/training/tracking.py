"""A run in W&B: what Lightning's logger does not send by itself."""

import os
import uuid
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml
from lightning import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import WandbLogger

from semcomp_pl.codecs.neural import NeuralCodec
from semcomp_pl.data import ImageDataModule
from semcomp_pl.data.datamodule import ImageDataset
from semcomp_pl.files.atomic import make_output, write_text
from semcomp_pl.files.places import is_first_process


def settle(arguments: Any, run: Path) -> None:
    """Complete the arguments of a run's W&B logger, so that all commands on the run continue one W&B run."""
    arguments.save_dir, arguments.name = str(run), arguments.name or run.name
    arguments.job_type = arguments.job_type or "fit"
    # the agent of a sweep names its runs itself
    arguments.id = arguments.id or os.environ.get("WANDB_RUN_ID") or _id(run)


def _id(run: Path) -> str | None:
    """Id of the run in W&B, kept in the run's directory; None in processes that do not log."""
    if not is_first_process():
        return None
    file = run / "wandb_id"
    if not file.is_file():
        make_output(run, "--runs")
        write_text(file, uuid.uuid4().hex[:8])
    return file.read_text().strip()


def send_settings(trainer: Trainer, config: str) -> None:
    """Send all settings of a run, given as YAML, to its config: those of model, data, trainer and the run itself."""
    for logger in _loggers(trainer):
        logger.experiment.config.update(yaml.safe_load(config), allow_val_change=True)


def send_outcome(trainer: Trainer, data: ImageDataModule, codec: NeuralCodec | None) -> None:
    """Send what is known of `best.ckpt` to a run's summary: `best/METRIC` and, with a codec, `best/bpp` of its files.

    Args:
        trainer: Trainer of the run, which has ended.
        data: Data of the run.
        codec: Codec of `best.ckpt` with fitted tables; None if there are none.
    """
    for logger in _loggers(trainer):
        for one in trainer.checkpoint_callbacks:
            if isinstance(one, ModelCheckpoint) and one.monitor and one.best_model_score is not None:
                logger.experiment.summary[f"best/{one.monitor.partition('/')[2]}"] = float(one.best_model_score)
        if codec is not None:
            logger.experiment.summary["best/bpp"] = fmean(file_rates(codec, data))


def file_rates(codec: NeuralCodec, data: ImageDataModule, images: int = 8) -> list[float]:
    """Bits per pixel of the files of the first validation images, with their true label maps if it sends any."""
    store = ImageDataset(data.store("val"))
    rates = []
    for sample in (store[index] for index in range(min(images, len(store)))):
        file = codec.compress(sample["image"], sample.get("label") if codec.sends_labels else None)
        rates.append(8 * len(file) / sample["image"][0].numel())
    return rates


def _loggers(trainer: Trainer) -> list[WandbLogger]:
    """The W&B loggers of a trainer, in the process that logs."""
    found = [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]
    return found if trainer.is_global_zero else []
