"""Commands in processes that may be killed: forks of one that has imported everything, so that each starts at once."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lightning import Callback, LightningModule, Trainer

from tests.processes import environment

ROOT = Path(__file__).parents[1]


class Ended(NamedTuple):
    """How a command ended."""

    status: int
    """Exit status, or minus the signal that killed it."""
    said: str
    """What it wrote to its standard output and errors."""


class Forks:
    """A process that forks one for each command."""

    def __init__(self) -> None:
        self.server = subprocess.Popen(
            [sys.executable, "-m", "tests.forks"],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, directory: Path, args: Sequence[str], *, ranks: int = 1, seconds: float | None = None, **variables: str
    ) -> Ended:
        """Run `semcomp ARGS` in a directory, in `ranks` processes; kill it after some seconds, if given."""
        order = {"directory": str(directory), "args": [*args], "ranks": ranks, "seconds": seconds}
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write(json.dumps({**order, "variables": variables}) + "\n")
        self.server.stdin.flush()
        return Ended(*json.loads(self.server.stdout.readline()))

    def close(self) -> None:
        """End the process."""
        self.server.communicate()


class Kill(Callback):
    """Kills its process at the call of a hook of Lightning that the variable KILL says: `on_train_batch_end:3`.

    With `seconds:0.2` another process kills it that long after the first batch started, wherever it is then.
    """

    def __init__(self) -> None:
        self.hook, _, when = os.environ.get("KILL", "none:0").partition(":")
        self.left = float(when or 0)

    def _count(self, hook: str) -> None:
        self.left -= hook == self.hook
        if hook == self.hook and not self.left:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_train_start(self, *args: Any) -> None:
        """Start the other process."""
        own = os.getpid()
        if self.hook == "seconds" and not os.fork():
            time.sleep(self.left)
            if os.getppid() == own:
                os.kill(own, signal.SIGKILL)
            os._exit(0)

    def on_train_batch_start(self, *args: Any) -> None:
        """Before a batch, and before the checkpoint of those before it."""
        self._count("on_train_batch_start")

    def on_train_batch_end(self, *args: Any) -> None:
        """After a batch, before it is logged."""
        self._count("on_train_batch_end")

    def on_train_epoch_end(self, *args: Any) -> None:
        """After an epoch, before its checkpoint."""
        self._count("on_train_epoch_end")

    def on_train_epoch_start(self, *args: Any) -> None:
        """Before an epoch, after the checkpoint of the one before."""
        self._count("on_train_epoch_start")

    def on_validation_end(self, *args: Any) -> None:
        """After a validation, before its checkpoint."""
        self._count("on_validation_end")


class Names(Callback):
    """Appends the names of each training batch to the file `names-RANK`, after its epoch."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write them."""
        with Path(f"names-{trainer.global_rank}").open("a") as file:
            file.write(" ".join([str(trainer.current_epoch), *batch["name"]]) + "\n")


class Rates(Callback):
    """Appends the learning rate of each training batch to the file `rates-RANK`."""

    def on_train_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        """Write it."""
        with Path(f"rates-{trainer.global_rank}").open("a") as file:
            file.write(f"{trainer.optimizers[0].param_groups[0]['lr']!r}\n")


def _serve() -> None:
    import timm  # noqa: F401
    from diffusers import UNet2DModel  # noqa: F401

    import semcomp_pl.cli.train
    import semcomp_pl.modules  # noqa: F401

    for line in sys.stdin:
        order = json.loads(line)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        processes = []
        for rank in range(order["ranks"]):
            process = os.fork()
            if not process:
                _work(order, rank, port)
            processes.append(process)
        print(json.dumps([_end(processes, order["seconds"]), _said(order["directory"])]), flush=True)


def _work(order: dict[str, Any], rank: int, port: str) -> None:
    """Be the process of a command; never returns."""
    from semcomp_pl.cli import main

    os.chdir(order["directory"])
    os.environ.update(order["variables"])
    if "LONGEST_FILE" in os.environ:  # what a full disk does to a writer
        longest = int(os.environ["LONGEST_FILE"])
        resource.setrlimit(resource.RLIMIT_FSIZE, (longest, longest))
    if order["ranks"] > 1:  # as torchrun does
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=port, WORLD_SIZE=str(order["ranks"]))
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), TORCHELASTIC_RUN_ID="none")
    output = os.open(f"said-{rank}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    status = 70
    try:
        status = main(order["args"])
    except BaseException as error:
        status = error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 70
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _end(processes: list[int], seconds: float | None) -> int:
    """The first bad status, or 0; all processes are killed as soon as one ends badly."""
    until = float("inf") if seconds is None else time.monotonic() + seconds
    left, status = set(processes), 0
    while left:
        for process in [*left]:
            done, code = os.waitpid(process, os.WNOHANG)
            if done:
                left.remove(process)
                status = status or os.waitstatus_to_exitcode(code)
        if (status and left) or time.monotonic() > until:
            for process in left:
                os.kill(process, signal.SIGKILL)
        time.sleep(0.005)
    return status


def _said(directory: str) -> str:
    return "".join(file.read_text(errors="replace") for file in sorted(Path(directory).glob("said-*")))


if __name__ == "__main__":
    _serve()
