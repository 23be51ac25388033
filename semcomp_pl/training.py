"""fit, validate, test and predict: LightningCLI, each run in a directory of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint, RichProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, Logger

from semcomp_pl.callbacks import PredictionWriter, SaveRunConfig, SampleGrid
from semcomp_pl.data import ImageDataModule
from semcomp_pl.errors import SemcompError
from semcomp_pl.paths import claim_run, run_of_checkpoint, snake_case


class SemcompCLI(LightningCLI):
    """One model by its `class_path`, the one data module, and the layout of a run's directory.

    `runs/NAME/` holds `config.yaml`, `metrics.csv`, `checkpoints/{best,last}.ckpt`, and `validate/`, `test/`,
    `predict/` for what those wrote.
    """

    run: Path

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """What belongs to a run and to neither trainer, model nor data."""
        parser.add_argument(
            "--name", type=str | None, default=None, help="Name of the run; the model's by default."
        )
        parser.add_argument("--runs", type=str, default="runs", help="Directory of all runs.")
        parser.add_argument(
            "--monitor", type=str | None, default="val/psnr", help="What the best checkpoint has most of."
        )
        parser.add_argument(
            "--ema_decay", type=float, default=0.999, help="Decay a step of the averaged weights."
        )
        parser.link_arguments("data.num_classes", "model.init_args.num_classes", apply_on="instantiate")

    def before_instantiate_classes(self) -> None:
        """Settle the run's directory and the checkpoint before anything is built."""
        config = self.config[self.subcommand]
        config.weights_only = True
        checkpoint = config.ckpt_path
        root, model = Path(config.runs), snake_case(config.model.class_path)
        named = root / (config.name or model)
        if self.subcommand == "fit" and checkpoint is None:
            self.run = claim_run(root, named.name, explicit=config.name is not None)
        else:
            self.run = (
                named if checkpoint in {None, "last", "best"} else run_of_checkpoint(checkpoint) or named
            )
        if checkpoint in {"last", "best"}:
            config.ckpt_path = str(self.run / "checkpoints" / f"{checkpoint}.ckpt")
        if config.ckpt_path is not None and not Path(config.ckpt_path).is_file():
            raise SemcompError(
                f"no checkpoint to resume or to load: {config.ckpt_path} is not there; fit the model first"
            )
        if self.subcommand != "fit" and config.ckpt_path is None:
            raise SemcompError(
                f"no checkpoint to {self.subcommand}; name the run (semcomp {self.subcommand} runs/NAME) or --ckpt_path FILE"
            )
        for logger in _as_list(config.trainer.logger):
            if logger.class_path.endswith("WandbLogger"):
                logger.init_args.update(save_dir=str(self.run), name=logger.init_args.name or self.run.name)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The configured trainer with the run's logger and callbacks."""
        config = self.config_init[self.subcommand]
        given = [logger for logger in _as_list(config.trainer.logger) if isinstance(logger, Logger)]
        return super().instantiate_trainer(
            default_root_dir=str(self.run),
            logger=[self._csv_logger(), *given],
            callbacks=[*_as_list(config.trainer.callbacks), *self._callbacks(config)],
            **kwargs,
        )

    def _csv_logger(self) -> CSVLogger:
        where = self.run if self.subcommand == "fit" else self.run / self.subcommand
        return CSVLogger(where.parent, where.name, version="")

    def _callbacks(self, config: Any) -> Sequence[Callback]:
        callbacks: list[Callback] = [] if config.trainer.enable_progress_bar is False else [RichProgressBar()]
        if self.subcommand == "predict":
            return [*callbacks, PredictionWriter(self.run / "predict")]
        if self.subcommand != "fit" or config.trainer.fast_dev_run:
            return callbacks
        checkpoint = ModelCheckpoint(
            self.run / "checkpoints",
            filename="best",
            monitor=config.monitor,
            mode="max",
            save_last=True,
            enable_version_counter=False,
        )
        return [
            *callbacks,
            EMAWeightAveraging(decay=config.ema_decay, use_buffers=False),
            SampleGrid(),
            checkpoint,
        ]


def _as_list(value: Any) -> list[Any]:
    if value is None or isinstance(value, bool):
        return []
    return list(value) if isinstance(value, list) else [value]


def main(args: list[str]) -> None:
    """Run one of LightningCLI's commands.

    Raises:
        SemcompError: data, configuration or checkpoint are not as they must be.
    """
    torch.set_float32_matmul_precision("high")
    SemcompCLI(
        LightningModule,
        ImageDataModule,
        subclass_mode_model=True,
        save_config_callback=SaveRunConfig,
        save_config_kwargs={"overwrite": True},
        seed_everything_default=0,
        auto_configure_optimizers=False,
        parser_kwargs={"prog": "semcomp"},
        args=args,
    )
