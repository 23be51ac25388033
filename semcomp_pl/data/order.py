"""Orders of training images and random draws, which depend on the seed, the epoch and the image alone.

Numbers come from Philox, a counter-based generator: a place in its stream is computed, not reached. So nothing that a
process did before, and no number of workers, changes a draw.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DistributedSampler


class Use(IntEnum):
    """What random numbers are for; each use has its own."""

    ORDER = 0
    IMAGE = 1
    BATCHES = 2


def random_numbers(seed: int, use: Use, epoch: int, part: int) -> np.random.Generator:
    """Random numbers for one image, or one rank, `part` in an epoch."""
    return np.random.Generator(np.random.Philox(key=seed % 2**64, counter=[0, part, epoch, use]))


@contextmanager
def torch_seeded(seed: int) -> Iterator[None]:
    """Draw from torch's global generator of the CPU as if it were just seeded, and leave it as it was.

    `torch.random.fork_rng` with `torch.manual_seed` does the same for all devices, in 80 us instead of 2.
    """
    generator = torch.default_generator
    state = generator.get_state()
    generator.manual_seed(seed)
    try:
        yield
    finally:
        generator.set_state(state)


class Draw(NamedTuple):
    """An image, and the epoch that it is drawn in."""

    epoch: int
    image: int


class EpochSampler(DistributedSampler[Draw]):
    """Every image once an epoch, in an order that is common to all ranks; each of them takes every `world`-th image.

    So the images that all ranks have seen are the first of that order, whatever their number and batch size.

    Args:
        images: Number of images; as many as do not fill all ranks alike are left out at random.
        batch: Number of images in a batch of one rank.
        world: Number of ranks.
        rank: Rank of this process.
        seed: Seed of the order.
    """

    shards = 1
    """Number of parts of the data set that are shuffled apart."""

    def __init__(self, images: int, batch: int, world: int = 1, rank: int = 0, seed: int = 0) -> None:
        super().__init__(range(images), world, rank, seed=seed, drop_last=True)  # type: ignore[arg-type]
        self.images, self.batch, self.first = images, batch, 0

    def __iter__(self) -> Iterator[Draw]:
        """Draws from the first batch that is not done yet; `len` is still that of the whole epoch."""
        return iter([Draw(self.epoch, image) for image in self.order()[self.first * self.batch :].tolist()])

    @property
    def step(self) -> int:
        """Number of images in a batch of all ranks."""
        return self.batch * self.num_replicas

    @property
    def batches(self) -> int:
        """Number of complete batches of this rank in an epoch."""
        return len(self) // self.batch

    def order(self) -> NDArray[np.int64]:
        """Indices of the current epoch's images of this rank, all of them."""
        order = random_numbers(self.seed, Use.ORDER, self.epoch, 0).permutation(self.images)
        return order[self.rank : self.total_size : self.num_replicas]

    def set_epoch(self, epoch: int) -> None:
        """Go to an epoch: to its start, unless it is the current one."""
        if epoch != self.epoch:
            self.place(epoch, 0)

    def place(self, epoch: int, first: int) -> None:
        """Go to batch `first` of an epoch."""
        self.epoch, self.first = epoch, first


class ShardSampler(EpochSampler):
    """Every image once an epoch, where the images of each rank are the same in all epochs.

    With one rank the order is EpochSampler's.
    """

    @property
    def shards(self) -> int:  # type: ignore[override]
        """Each rank shuffles its own images."""
        return self.num_replicas

    def order(self) -> NDArray[np.int64]:
        """Indices of the current epoch's images of this rank: `rank`, `rank + world`, ... shuffled."""
        own = random_numbers(self.seed, Use.ORDER, self.epoch, self.rank).permutation(self.num_samples)
        return self.rank + self.num_replicas * own
