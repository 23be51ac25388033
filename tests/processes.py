"""Two processes of one group on the CPU, as torchrun starts them: commands, and functions of test files."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import distributed


class Finished(NamedTuple):
    """A process that has ended."""

    status: int
    out: str
    err: str


def environment(**more: str) -> dict[str, str]:
    """This process's environment for one that computes on one core and sees no GPU."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **more}


def rendezvous() -> dict[str, str]:
    """Variables that say where the processes of a group meet."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}


def finish(processes: Sequence[subprocess.Popen[str]], seconds: float = 300) -> list[Finished]:
    """What became of processes that were started with pipes; they are killed if they take longer."""
    try:
        with ThreadPoolExecutor(len(processes)) as pool:  # one may wait for another while its own pipe is full
            said = [*pool.map(lambda process: process.communicate(timeout=seconds), processes)]
    finally:
        for process in processes:
            process.kill()
    return [Finished(process.returncode, *texts) for process, texts in zip(processes, said, strict=True)]


def run_two(command: Sequence[str], **more: str) -> list[Finished]:
    """What became of both processes of a command, rank 0 first; `more` goes into their environment."""
    more |= {**rendezvous(), "WORLD_SIZE": "2"}
    return finish(
        [
            subprocess.Popen(
                command, env=environment(RANK=rank, **more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            for rank in ("0", "1")
        ]
    )


def call_two(function: Callable[[int], Any], directory: Path) -> list[Any]:
    """What a function returns for rank 0 and for rank 1, called in a gloo group.

    Args:
        function: At the top of a test file; takes the rank, returns what `torch.save` takes.
        directory: For the answers.
    """
    command = [sys.executable, "-m", "tests.processes", function.__module__, function.__name__, str(directory)]
    for finished in run_two(command, PYTHONPATH=str(Path(__file__).parents[1])):
        assert finished.status == 0, finished.err
    return [torch.load(directory / f"{rank}.pt") for rank in range(2)]


def _answer(module: str, function: str, directory: str) -> None:
    """The work of a process that `call_two` starts."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    rank = distributed.get_rank()
    torch.save(getattr(import_module(module), function)(rank), Path(directory) / f"{rank}.pt")
    distributed.destroy_process_group()
    sys.stdout.flush()
    sys.stderr.flush()
    # Python's own end may be aborted by a thread of gloo that lets go of a tensor meanwhile
    os._exit(0)


if __name__ == "__main__":
    _answer(*sys.argv[1:])
