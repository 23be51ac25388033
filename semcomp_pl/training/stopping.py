"""How the processes of a training end together: when a cluster wants its machines back, and when one of them fails."""

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher

from semcomp_pl.training.callbacks import agreed
from semcomp_pl.training.checkpointing import LastCheckpoint

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
TO_BE_CONTINUED = os.EX_TEMPFAIL
_SECONDS = 10.0  # in which a process ends


class StopAtSignal(Callback):
    """Ends training at SIGTERM or SIGUSR1 between two batches, with a `last.ckpt` from which it goes on exactly.

    Only learning rates that time limits depend on the clock.

    The first process decides, so that all stop before the same batch. Its exit status is 75. The others end with 0, and
    before it, because launchers kill all processes when one ends with an error.

    Lightning would save a checkpoint of its own inside SIGUSR1's handler, in the midst of a step, each process in
    another one; and would broadcast inside SIGTERM's handler, whatever else the processes are exchanging.

    Args:
        run: Directory of the run.
        last: Writes the checkpoint.
    """

    def __init__(self, run: Path, last: LastCheckpoint) -> None:
        self.run, self.last = run, last
        self.received: signal.Signals | None = None
        self.stopping = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Turn off what Lightning does for SLURM: it would put the job's first command, not `fit RUN`, into the queue.

        And turn off its exchange of SIGTERM, which waits for the device before each batch.
        """
        environment = trainer._accelerator_connector.cluster_environment
        if isinstance(environment, SLURMEnvironment):
            environment.auto_requeue = False
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Only note the signals from now on; Lightning restores their handlers in the end."""
        for number in SIGNALS:
            signal.signal(number, self._note)

    on_sanity_check_start = on_train_start

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Stop, if this was asked for, as soon as a checkpoint holds all that was trained.

        Raises:
            SystemExit: with the status of a training that is to be continued, or 0 if this is not the first process.
        """
        self.stopping = self.stopping or agreed(trainer, self.received is not None)
        if self.stopping and self.last.save_before(trainer, pl_module, batch_idx):
            if not trainer.is_global_zero:
                raise SystemExit(0)
            print(self._message(trainer.current_epoch, batch_idx), file=sys.stderr)
            time.sleep(_SECONDS if trainer.world_size > 1 else 0)
            raise SystemExit(TO_BE_CONTINUED)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """End the processes that this one has started if it fails: they would wait for it, on GPUs for half an hour."""
        launcher = trainer.strategy.launcher
        if isinstance(exception, Exception) and isinstance(launcher, _SubprocessScriptLauncher):
            launcher.kill(signal.SIGKILL)

    def _message(self, epoch: int, batch: int) -> str:
        assert self.received is not None
        last = self.run / "checkpoints" / "last.ckpt"
        then = f"semcomp fit {self.run} goes on" if last.is_file() else "no checkpoint was saved"
        return f"{self.run}: stopped by {self.received.name} before batch {batch} of epoch {epoch}; {then}"
