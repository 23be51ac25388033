"""A run in W&B: what Lightning's logger does not send by itself."""

import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml
from lightning import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import WandbLogger

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


def send_outcome(trainer: Trainer, rates: Sequence[float]) -> None:
    """Send what is known of `best.ckpt` to a run's summary: `best/METRIC` and, if measured, `best/bpp` of its files.

    Args:
        trainer: Trainer of the run, which has ended.
        rates: Bits per pixel of files of `best.ckpt`; none if it has no fitted tables.
    """
    for logger in _loggers(trainer):
        for one in trainer.checkpoint_callbacks:
            if isinstance(one, ModelCheckpoint) and one.monitor and one.best_model_score is not None:
                logger.experiment.summary[f"best/{one.monitor.partition('/')[2]}"] = float(one.best_model_score)
        if rates:
            logger.experiment.summary["best/bpp"] = fmean(rates)


def _loggers(trainer: Trainer) -> list[WandbLogger]:
    """The W&B loggers of a trainer, in the process that logs."""
    found = [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]
    return found if trainer.is_global_zero else []
