"""Coordination of the processes that torchrun or SLURM started for one comparison."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple

import torch.distributed as dist
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

from semcomp_pl.errors import SemcompError

_PATIENCE = timedelta(days=30)


class Share(NamedTuple):
    """This process's place among the processes of a comparison."""

    rank: int
    world: int
    local: int

    @classmethod
    def of_environment(cls) -> "Share":
        """The share that the environment describes; everything if this is the only process."""

        def number(default: int, *names: str) -> int:
            return next((int(os.environ[name]) for name in names if name in os.environ), default)

        # SLURM_NTASKS is also set in a batch script, which is a single process
        world = number(1, "WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
        return cls(number(0, "RANK", "SLURM_PROCID"), world, number(0, "LOCAL_RANK", "SLURM_LOCALID"))

    @contextmanager
    def together(self) -> Iterator[None]:
        """Context in which `once` may be called; entered once all processes have started.

        Raises:
            SemcompError: the address of the first process is unknown.
        """
        if self.world == 1:
            yield
            return
        if "MASTER_ADDR" not in os.environ and SLURMEnvironment.detect():
            environment = SLURMEnvironment()
            os.environ |= {"MASTER_ADDR": environment.main_address, "MASTER_PORT": str(environment.main_port)}
        if not os.environ.keys() >= {"MASTER_ADDR", "MASTER_PORT"}:
            raise SemcompError(
                f"{self.world} processes found, but no MASTER_ADDR and MASTER_PORT, expected what torchrun sets; start "
                "them with torchrun or srun"
            )
        dist.init_process_group("gloo", rank=self.rank, world_size=self.world, timeout=_PATIENCE)
        try:
            yield
        finally:
            dist.destroy_process_group()

    def once(self, work: Callable[[], int]) -> int:
        """Run `work` in the first process once all processes have arrived, and return its result in all of them.

        If `work` raises, the other processes get 1.

        Raises:
            SemcompError: another process has ended.
        """
        if self.world == 1:
            return work()
        with self._others():
            dist.barrier()
        answer = [1]
        try:
            answer = [work()] if self.rank == 0 else answer
        finally:
            with self._others():
                dist.broadcast_object_list(answer)
        return answer[0]

    @contextmanager
    def _others(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError:
            raise SemcompError(
                "another process of this comparison ended, and says why; the same command again goes on from here"
            ) from None
