"""`semcomp fit`, `validate`, `test` and `predict`: LightningCLI with one directory per run."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import Logger

from semcomp_pl.checkpoints.checkpoint import load_strictly, read_saved, with_part
from semcomp_pl.checkpoints.models import check_known, name_of
from semcomp_pl.cli.help import arrange, texts
from semcomp_pl.cli.parser import Parser
from semcomp_pl.data import ImageDataModule
from semcomp_pl.errors import SemcompError
from semcomp_pl.files.atomic import make_output, write_text
from semcomp_pl.files.places import (
    claim_run,
    find_checkpoint,
    release_run,
    run_of_checkpoint,
    snake_case,
)
from semcomp_pl.modules.base import CodecModule
from semcomp_pl.modules.learning import ScheduledModule
from semcomp_pl.training.averaging import MovingAverage
from semcomp_pl.training.callbacks import Budget, PredictionWriter, SampleGrid, SaveRunConfig, TimeLimit
from semcomp_pl.training.checkpointing import AtomicCheckpointIO, LastCheckpoint, RunCheckpoint, read_progress
from semcomp_pl.training.entropy import STEPS, fit_file
from semcomp_pl.training.history import RunHistory
from semcomp_pl.training.memory import keep_freed_memory
from semcomp_pl.training.outcome import figures, file_rates, outcome
from semcomp_pl.training.precision import PreciseTrainer, settled
from semcomp_pl.training.progress import ProgressLine
from semcomp_pl.training.quiet import ModelLine, silence
from semcomp_pl.training.record import TrainingRecord
from semcomp_pl.training.stopping import StopAtSignal
from semcomp_pl.training.tracking import finish, refusals, send_outcome, settle, without_anonymity


class SemcompCLI(LightningCLI):
    """Command line for a model chosen by `class_path`, the data module, and a directory per run.

    `runs/NAME/` holds `config.yaml`, `metrics.csv`, `training.json`, `checkpoints/{best,last}.ckpt`, and what the other
    commands write in `validate/`, `test/` and `predict/`.

    Args:
        args: The command, and its arguments.
    """

    run: Path
    checkpoint: Path | None

    def __init__(self, args: list[str]) -> None:
        self.command = args[0]
        super().__init__(
            LightningModule,
            ImageDataModule,
            subclass_mode_model=True,
            trainer_class=PreciseTrainer,
            save_config_callback=SaveRunConfig,
            save_config_kwargs={"overwrite": True},
            seed_everything_default=0,
            auto_configure_optimizers=False,
            parser_class=Parser,
            parser_kwargs={"prog": "semcomp", self.command: texts(self.command)},
            args=args,
        )

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]  # static in Lightning, called on `self`
        """Only the command that was asked for: each describes all arguments of trainer, model and data anew."""
        return {self.command: LightningCLI.subcommands()[self.command]}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of a run that belong to neither trainer, model nor data."""
        parser.add_argument(
            "--name", type=str | None, default=None, help="Name of the run; by default the model's name in snake_case."
        )
        parser.add_argument("--runs", type=str, default="runs", help="Directory of all runs.")
        parser.add_argument(
            "--monitor",
            type=str | None,
            default="val/psnr",
            help="Metric whose highest value selects best.ckpt; null keeps the latest validated weights.",
        )
        parser.add_argument(
            "--ema_decay",
            type=float,
            default=0.999,
            help="Largest decay per step of the moving average of the weights, reached after 9 / (1 - decay) steps.",
        )
        parser.add_argument(
            "--checkpoint_minutes",
            type=float,
            default=10.0,
            help="Minutes between checkpoints (last.ckpt) within an epoch; 0 for none but those after validations.",
        )
        parser.add_argument(
            "--compile",
            type=bool,
            default=False,
            help="Compile the networks for training; on a CUDA device, the gradients of a step are then replayed from "
            "a CUDA graph.",
        )
        parser.add_argument(
            "--entropy_steps",
            type=int,
            default=STEPS,
            help="Steps for fitting the entropy model of the best checkpoint after training; 0 leaves that to "
            "semcomp fit-entropy.",
        )
        parser.link_arguments("data.num_classes", "model.init_args.num_classes", apply_on="instantiate")
        parser.link_arguments("data.classes", "model.init_args.class_names", compute_fn=list, apply_on="instantiate")

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        arrange(parser, subcommand)
        return parser

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse without Lightning's warning about given `args`."""
        self.config = parser.parse_args(args)

    def _parse_ckpt_path(self) -> None:
        """Do nothing: Lightning would let a checkpoint's arguments override flags such as `--model.judge`."""

    def before_instantiate_classes(self) -> None:
        """Settle the run's directory, the checkpoint and the precision before anything is built."""
        config = self.config[self.subcommand]
        if config.trainer.accelerator in {"gpu", "cuda"} and not _has_gpu():
            raise SemcompError(
                f"accelerator={config.trainer.accelerator} found, but no GPU that torch can use; train on the CPU with "
                "--trainer=cpu (configs/trainer/cpu.yaml), or install a torch for this machine's GPU"
            )
        self._find_run(config)
        config.trainer.precision = settled(config.trainer.precision, config.trainer.accelerator, self.run)
        # Lightning loads checkpoints; an export is loaded by `_fill`.
        export = self.checkpoint is None or self.checkpoint.is_dir()
        config.ckpt_path = None if export or self.subcommand == "fit" else str(self.checkpoint)
        config.weights_only = True
        for logger in _as_list(config.trainer.logger):
            if logger.class_path.endswith("WandbLogger"):
                settle(logger.init_args, self.run)

    def _find_run(self, config: Any) -> None:
        """Set `checkpoint`, and `run`: a new run, the checkpoint's run, or for an export a run of the same name."""
        root, name = Path(config.runs), config.name or snake_case(config.model.class_path)
        self.checkpoint = None if config.ckpt_path is None else find_checkpoint(config.ckpt_path, root / name)
        if self.checkpoint is None:
            if self.subcommand != "fit":
                raise SemcompError(
                    f"no checkpoint to {self.subcommand}; name the run (semcomp {self.subcommand} {root / name}) or "
                    "--ckpt_path=FILE"
                )
            self.run = claim_run(root, name, explicit=config.name is not None)
        elif self.checkpoint.is_dir():
            if self.subcommand == "fit":
                raise SemcompError(
                    f"{self.checkpoint}: an export cannot be resumed, it holds no optimiser; start a new run from it "
                    "with --model.init_from"
                )
            self.run = root / (config.name or self.checkpoint.resolve().name)
        else:
            self.run = run_of_checkpoint(str(self.checkpoint)) or root / name

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The configured trainer with the run's logger and callbacks."""
        if self.checkpoint is not None:
            _fill(self.model, self.checkpoint)
        config = self.config_init[self.subcommand]
        if self.subcommand != "fit":
            kwargs["enable_checkpointing"] = False
        steps = config.trainer.max_steps
        if steps > 0:  # Lightning counts the steps of all optimisers together
            self.model.max_batches, kwargs["max_steps"] = steps, -1
        if (steps > 0 or config.trainer.max_time) and not config.trainer.max_epochs:
            kwargs["max_epochs"] = -1
        loggers = _as_list(config.trainer.logger)
        given = [without_anonymity(logger) for logger in loggers if isinstance(logger, Logger)]
        trainer = super().instantiate_trainer(
            default_root_dir=str(self.run),
            logger=[self._history(config), *given],
            callbacks=[*_as_list(config.trainer.callbacks), *self._callbacks(config)],
            plugins=[*_as_list(config.trainer.plugins), AtomicCheckpointIO()],
            **kwargs | {"max_time": None},  # `TimeLimit` keeps it
        )
        if self.subcommand == "fit" and self.checkpoint is not None:
            trainer.ckpt_path = str(self.checkpoint)  # here, so that the model's set-up sees it
        return trainer

    def _history(self, config: Any) -> RunHistory:
        if self.subcommand != "fit":
            return RunHistory(self.run / str(self.subcommand))
        if self.checkpoint is None:
            return RunHistory(self.run)
        done, given = read_progress(self.checkpoint), config.trainer
        left = TimeLimit(given.max_time).time_remaining()
        ends = {
            f"max_epochs={given.max_epochs}": 0 < (given.max_epochs or -1) <= done.epochs,
            f"max_steps={given.max_steps}": 0 < given.max_steps <= done.batches,
            f"max_time={given.max_time}": left is not None and left <= done.seconds,
        }
        reached = [limit for limit, ended in ends.items() if ended]
        if reached and not (config.entropy_steps and _lacks_tables(self.run / "checkpoints" / "best.ckpt")):
            raise SemcompError(
                f"{self.run}: finished, {done.epochs} epochs done with {reached[0]}; a higher "
                f"--trainer.{reached[0].partition('=')[0]} goes on"
            )
        return RunHistory(self.run, done.epochs, done.rows)

    def before_fit(self) -> None:
        """Check that a checkpoint will be able to name the model, and compile the networks, if asked to."""
        keep_freed_memory()
        if isinstance(self.model, CodecModule):
            check_known(name_of(type(self.model)), "--model")
        if not self.config[self.subcommand].compile:
            return
        if not hasattr(self.model, "compile_networks"):
            raise SemcompError(f"compile=true with {type(self.model).__name__} found, expected a model of the suite")
        self.model.compile_networks()

    def after_fit(self) -> None:
        """Fit the entropy model of the best checkpoint, so that `test` measures files and not bounds."""
        config = self.config[self.subcommand]
        best = self.run / "checkpoints" / "best.ckpt"
        wanted = config.entropy_steps and not config.trainer.fast_dev_run and self.trainer.is_global_zero
        if not best.is_file() and not config.trainer.fast_dev_run and self.trainer.is_global_zero:
            last = best.with_name("last.ckpt")
            found = f"{last} is the last one" if last.is_file() else "none was saved"
            print(f"{self.run}: no checkpoint was validated, so there is no best.ckpt; {found}", file=sys.stderr)
        rates: list[float] = []
        if wanted and best.is_file() and isinstance(self.model, CodecModule):
            rates = file_rates(fit_file(best, self.datamodule, config.entropy_steps), self.datamodule)
        send_outcome(self.trainer, rates)
        finish()  # what W&B says at its end comes before what matters
        if best.is_file() and not config.trainer.fast_dev_run and self.trainer.is_global_zero:
            print(outcome(self.run, self.trainer, rates, isinstance(self.model, CodecModule)))

    def after_predict(self) -> None:
        """Say where the images are."""
        if self.trainer.is_global_zero:
            directory = self.run / "predict"
            print(f"{len(self.datamodule.store(self.datamodule.test_split))} images written to {directory}")

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        """Keep Lightning from printing its table, in which 17 digits of all classes hide what matters."""
        kwargs = super()._prepare_subcommand_kwargs(subcommand)
        return {**kwargs, "verbose": False} if "verbose" in kwargs else kwargs

    def after_test(self) -> None:
        """Print the metrics, and write what they were measured with beside them, as `provenance.json`."""
        if self.config[self.subcommand].verbose and self.trainer.is_global_zero:
            test = self.subcommand == "test"
            prefix, split = ("test/", self.datamodule.test_split) if test else ("val/", "val")
            metrics = {name: one for name, one in self.trainer.callback_metrics.items() if name.startswith(prefix)}
            print(figures(self.run / str(self.subcommand), split, metrics))
        if isinstance(self.model, CodecModule) and self.trainer.is_global_zero:
            directory = self.run / str(self.subcommand)
            make_output(directory, "--runs")
            write_text(directory / "provenance.json", json.dumps(self.model.suite.provenance(), indent=2) + "\n")

    after_validate = after_test

    def _callbacks(self, config: Any) -> Sequence[Callback]:
        trainer = config.trainer
        callbacks: list[Callback] = [] if trainer.enable_progress_bar is False else [ProgressLine()]
        callbacks += [] if trainer.enable_model_summary is False else [ModelLine()]
        if self.subcommand == "predict":
            return [*callbacks, PredictionWriter(self.run / "predict")]
        if self.subcommand != "fit" or trainer.fast_dev_run:
            return callbacks
        last, clock = LastCheckpoint(self.run / "checkpoints", config.checkpoint_minutes), TimeLimit(trainer.max_time)
        return [
            *callbacks,
            MovingAverage(config.ema_decay),
            SampleGrid(),
            RunCheckpoint(self.run / "checkpoints", "best", config.monitor),
            last,
            StopAtSignal(self.run, last),
            clock,
            Budget(trainer.max_steps if trainer.max_steps > 0 else None),
            TrainingRecord(self.run, clock),
        ]


def _fill(model: ScheduledModule, checkpoint: Path) -> None:
    """Load the weights; Lightning loads a checkpoint again later, but its errors about weights that differ are long."""
    saved, own = read_saved(checkpoint), name_of(type(model))
    if saved.model != own:
        raise SemcompError(f"{checkpoint}: a {saved.model} found, expected a {own}; give its own config file")
    load_strictly(model, own, with_part(saved.state, model, model.part), checkpoint)


def _has_gpu() -> bool:
    return torch.cuda.is_available() or torch.backends.mps.is_available()


def _lacks_tables(best: Path) -> bool:
    """Whether training ended, but not the fit of the tables after it."""
    state = read_saved(best).state if best.is_file() else {}
    return any(name.endswith("entropy.fitted") and not value for name, value in state.items())


def _as_list(value: Any) -> list[Any]:
    if value is None or isinstance(value, bool):
        return []
    return list(value) if isinstance(value, list) else [value]


def main(args: list[str]) -> None:
    """Run one of LightningCLI's commands.

    Raises:
        SemcompError: unusable data, configuration or checkpoint.
    """
    torch.set_float32_matmul_precision("high")
    silence()
    try:
        with refusals():
            SemcompCLI(args)
    except MisconfigurationException as error:
        raise SemcompError(str(error)) from error
    except ValueError as error:
        if isinstance(error.__cause__, SemcompError):  # jsonargparse wraps what a model's constructor raises
            raise error.__cause__ from None
        raise
    except SystemExit as end:
        if end.code != 1:
            raise
        raise KeyboardInterrupt from None  # Lightning exits with 1 after Ctrl-C
    finally:
        release_run()
        finish()
