"""A run in W&B: what Lightning's logger does not send by itself."""

import os
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml
from lightning import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger, WandbLogger

from semcomp_pl.errors import SemcompError
from semcomp_pl.files.atomic import make_output, write_text
from semcomp_pl.files.places import is_first_process


def settle(arguments: Any, run: Path) -> None:
    """Complete the arguments of a run's W&B logger, so that all commands on the run continue one W&B run."""
    arguments.save_dir, arguments.name = str(run), arguments.name or run.name
    arguments.job_type = arguments.job_type or "fit"
    # the agent of a sweep names its runs itself
    arguments.id = arguments.id or os.environ.get("WANDB_RUN_ID") or _id(run)


def without_anonymity(logger: Logger) -> Logger:
    """A logger, which if it is W&B's passes on no argument that W&B 0.31 warns about and Lightning 2.6 always sets."""
    options = getattr(logger, "_wandb_init", {})
    if options.get("anonymous") is None:
        options.pop("anonymous", None)
    return logger


@contextmanager
def refusals() -> Iterator[None]:
    """Give what W&B refuses in this context as an error of the suite.

    Raises:
        SemcompError: W&B cannot be used, such as without an account.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(error, getattr(sys.modules.get("wandb"), "Error", ())):
            raise
        raise SemcompError(
            f"W&B: {error} WANDB_MODE=offline needs no account, --trainer.logger=false leaves it out"
        ) from error


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


def finish() -> None:
    """End this process's W&B run, if there is one: everything logged must be on disk when a command returns."""
    if (wandb := sys.modules.get("wandb")) is not None and wandb.run is not None:
        wandb.finish()


def _loggers(trainer: Trainer) -> list[WandbLogger]:
    """The W&B loggers of a trainer, in the process that logs."""
    found = [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]
    return found if trainer.is_global_zero else []
