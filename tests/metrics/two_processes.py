"""Figures as two processes compute them together."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import distributed
from torch.multiprocessing.spawn import spawn


def figures_of_both(measure: Callable[[int], dict[str, float]], folder: Path) -> list[dict[str, float]]:
    """What `measure` returns in each of two processes that form a group, called with its rank.

    Args:
        measure: a function that the processes can import by its name.
        folder: empty, for the files by which they meet and answer.
    """
    spawn(_main, args=(measure, folder), nprocs=2)  # type: ignore[no-untyped-call]
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


def _main(rank: int, measure: Callable[[int], dict[str, float]], folder: Path) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    torch.set_num_threads(1)
    torch.save(measure(rank), folder / f"{rank}.pt")
    distributed.destroy_process_group()
