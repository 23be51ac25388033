"""Trainings of two processes on the CPU, started by Lightning, by torchrun, and as srun would."""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from lightning import Callback, LightningModule, Trainer

from semcomp_pl.errors import SemcompError
from tests.lab import ADVERSARIAL, CLASSES, HEIGHT, WIDTH
from tests.processes import Finished, environment, finish, rendezvous

ROOT = Path(__file__).parents[1]
COMMAND = ["-m", "semcomp_pl"]


class Launcher(Protocol):
    """Starts `semcomp ARGS` in a directory, with `more` in the environment."""

    def __call__(self, args: Sequence[str], directory: Path, **more: str) -> list[Finished]:
        """What became of the processes that it started itself, rank 0 first."""


def fit_arguments(name: str, *flags: str) -> list[str]:
    """`semcomp fit` of a tiny model on the images in `data`, which `Watch` watches."""
    sizes = ["--model.filters=8", "--model.blocks=1"]
    sizes += ["--model.discriminator_filters=4"] if name in ADVERSARIAL else []
    return [
        *("fit", "--config", "configs/trainer/ddp.yaml", "--config", f"configs/model/{name}.yaml"),
        *("--trainer.accelerator=cpu", "--trainer.devices=2", "--trainer.max_epochs=1", "--entropy_steps=0"),
        *("--trainer.num_sanity_val_steps=0", "--trainer.enable_progress_bar=false"),
        "--trainer.callbacks=tests.launchers.Watch",
        *("--data.source=semcomp_pl.data.Folder", "--data.source.root=data", "--data.source.masks=annot"),
        *(f"--data.source.classes=[{','.join(CLASSES)}]", f"--data.size=[{HEIGHT},{WIDTH}]"),
        *("--data.batch_size=2", "--data.eval_batch_size=2", "--data.num_workers=0"),
        *sizes,
        *flags,
    ]


def by_lightning(args: Sequence[str], directory: Path, **more: str) -> list[Finished]:
    """What became of the first process, which starts the other one."""
    return finish([_start([*COMMAND, *args], directory, **more)])


def by_torchrun(args: Sequence[str], directory: Path, **more: str) -> list[Finished]:
    """What became of torchrun, which says what its processes say."""
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *COMMAND, *args]
    return finish([_start(command, directory, **more)])


def by_srun(args: Sequence[str], directory: Path, **more: str) -> list[Finished]:
    """What became of both processes, which find the variables that `srun --ntasks-per-node=2` sets."""
    job = {"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2"}
    job |= {"SLURM_NNODES": "1", "SLURM_NODEID": "0", "SLURM_NODELIST": "localhost", **rendezvous(), **more}
    ranks = ({"SLURM_PROCID": rank, "SLURM_LOCALID": rank} for rank in ("0", "1"))
    return finish([_start([*COMMAND, *args], directory, **job, **rank) for rank in ranks])


def _start(command: Sequence[str], directory: Path, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=directory,
        env=environment(PYTHONPATH=str(ROOT), **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class Watch(Callback):
    """Writes, for its rank, the names of its validation images and hashes of all weights at the end.

    The variable STOP (`SIGTERM 1 3 parent`) makes each process signal itself, or its parent, after batch 3 of epoch 1;
    `error 1 3` makes the first process fail there.
    """

    def __init__(self) -> None:
        self.names: list[str] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Send the signal or fail, if it is time."""
        name, *place = os.environ.get("STOP", "none").split()
        if place[:2] != [str(trainer.current_epoch), str(batch_idx)]:
            return
        if name != "error":
            os.kill(os.getppid() if "parent" in place else os.getpid(), signal.Signals[name])
        elif trainer.is_global_zero:
            raise SemcompError("found what only the first process sees")

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Note the names."""
        self.names += batch["name"]

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hash the weights that are trained."""
        self._write("raw", trainer.global_rank, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hash the averaged weights."""
        self._write("averaged", trainer.global_rank, pl_module)
        Path(f"names-{trainer.global_rank}").write_text(" ".join(self.names))

    def _write(self, kind: str, rank: int, module: LightningModule) -> None:
        digest = hashlib.sha256()
        for value in module.state_dict().values():
            digest.update(value.contiguous().numpy().tobytes())
        Path(f"{kind}-{rank}").write_text(digest.hexdigest())


def alike(directory: Path) -> bool:
    """Whether both ranks ended with the same weights, trained and averaged."""
    kinds = ([(directory / f"{kind}-{rank}").read_text() for rank in range(2)] for kind in ("raw", "averaged"))
    return all(first == second for first, second in kinds)
