"""The processes that torchrun or SLURM started for one comparison, and how they wait for each other."""

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
    """Which of the processes this is."""

    rank: int
    world: int
    local: int

    @classmethod
    def of_environment(cls) -> "Share":
        """One of one where nobody started several."""

        def number(default: int, *names: str) -> int:
            return next((int(os.environ[name]) for name in names if name in os.environ), default)

        # SLURM_NTASKS is there in a batch script too, which is a single process
        world = number(1, "WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
        return cls(number(0, "RANK", "SLURM_PROCID"), world, number(0, "LOCAL_RANK", "SLURM_LOCALID"))

    @contextmanager
    def together(self) -> Iterator[None]:
        """Where `once` may be called; begins when all processes are there.

        Raises:
            SemcompError: nothing says where the first process is.
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
        """Let the first process work once all have come here, and have its answer in every one; 1 where it has none.

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
