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
    """An image, the epoch that it is drawn in, and how often it was drawn before in that epoch."""

    epoch: int
    image: int
    turn: int = 0


def draw_rows(numbers: np.random.Generator, count: int, weights: NDArray[np.float64] | None) -> NDArray[np.int64]:
    """Rows (image, turn) of `count` draws from as many images, in random order.

    Without weights, each image is drawn once. With them, image i is expected w = count * weights[i] / sum(weights)
    times, and drawn floor(w) or ceil(w) times; so are images of one weight together.
    """
    images = numbers.permutation(count)
    if weights is None:
        return np.stack([images, np.zeros_like(images)], axis=1)
    # systematic sampling: images lie side by side on a line, each as long as its weight, and a comb of step 1, at a
    # random place, has as many teeth in each as it is drawn; those of one weight lie together, in random order
    images = images[np.argsort(weights[images], kind="stable")]
    ends = np.cumsum(weights[images])
    comb = numbers.random(dtype=np.float32)  # whose largest value is far enough below 1 for a sum not to round up
    times = np.diff(np.floor(ends / ends[-1] * count + comb).astype(np.int64), prepend=0)
    turns = np.arange(count) - np.repeat(times.cumsum() - times, times)
    return numbers.permutation(np.stack([images.repeat(times), turns], axis=1))


class EpochSampler(DistributedSampler[Draw]):
    """As many draws an epoch as there are images, in an order common to all ranks; each takes every `world`-th one.

    So the images that all ranks have seen are the first of that order, whatever their number and batch size. Without
    weights, every image is drawn once an epoch.

    Args:
        images: Number of images, and of draws; as many draws as do not fill all ranks alike are left out at random.
        batch: Number of images in a batch of one rank.
        world: Number of ranks.
        rank: Rank of this process.
        seed: Seed of the order.
        weights: How often to draw the images (images,), relative to one another; all alike if not given.
    """

    shards = 1
    """Number of parts of the data set that are shuffled apart."""

    def __init__(
        self,
        images: int,
        batch: int,
        world: int = 1,
        rank: int = 0,
        seed: int = 0,
        weights: NDArray[np.float64] | None = None,
    ) -> None:
        super().__init__(range(images), world, rank, seed=seed, drop_last=True)  # type: ignore[arg-type]
        self.images, self.batch, self.first, self.weights = images, batch, 0, weights

    def __iter__(self) -> Iterator[Draw]:
        """Draws from the first batch that is not done yet; `len` is still that of the whole epoch."""
        return iter([Draw(self.epoch, *row) for row in self.rows()[self.first * self.batch :].tolist()])

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
        return self.rows()[:, 0]

    def rows(self) -> NDArray[np.int64]:
        """The current epoch's rows (image, turn) of this rank, all of them."""
        rows = draw_rows(random_numbers(self.seed, Use.ORDER, self.epoch, 0), self.images, self.weights)
        return rows[self.rank : self.total_size : self.num_replicas]

    def set_epoch(self, epoch: int) -> None:
        """Go to an epoch: to its start, unless it is the current one."""
        if epoch != self.epoch:
            self.place(epoch, 0)

    def place(self, epoch: int, first: int) -> None:
        """Go to batch `first` of an epoch."""
        self.epoch, self.first = epoch, first


class ShardSampler(EpochSampler):
    """Draws as EpochSampler's, where the images of each rank are the same in all epochs.

    With one rank they are EpochSampler's.
    """

    @property
    def shards(self) -> int:  # type: ignore[override]
        """Each rank shuffles its own images."""
        return self.num_replicas

    def rows(self) -> NDArray[np.int64]:
        """The current epoch's rows of this rank, whose images are some of `rank`, `rank + world`, ..."""
        own = np.arange(self.rank, self.total_size, self.num_replicas)
        weights = None if self.weights is None else self.weights[own]
        rows = draw_rows(random_numbers(self.seed, Use.ORDER, self.epoch, self.rank), len(own), weights)
        rows[:, 0] = own[rows[:, 0]]
        return rows
