"""Loaders of training images that say how far an epoch has come, and go on from there."""

import zlib
from typing import Any

from lightning import Trainer
from torch.utils.data import DataLoader

from semcomp_pl.data.order import EpochSampler
from semcomp_pl.errors import SemcompError


class Resumable:
    """Mixin of a training loader: its place in the epoch is part of Lightning's checkpoints.

    What counts is what the model was trained on. The loader does not know that, since batches are fetched ahead; so it
    asks the trainer.
    """

    trainer: Trainer
    sampler: Any

    def state_dict(self) -> dict[str, int]:
        """`epoch`, the number of its images already `seen` by all ranks, and what its order depends on."""
        if not isinstance(self.sampler, EpochSampler):
            return {}  # Trainer(overfit_batches=...) has put in a sampler of its own
        loop: Any = self.trainer.fit_loop
        epoch = max(0, loop.epoch_progress.current.started - 1)  # other counts are increased before the last hooks run
        progress = loop.epoch_loop.batch_progress
        seen = progress.current.processed * self.sampler.step
        if progress.is_last_batch and progress.current.processed == progress.current.ready:
            epoch, seen = epoch + 1, 0
        return {"epoch": epoch, "seen": seen, **_identity(self.sampler)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue where `state` was saved, also with another number of ranks or batch size.

        Raises:
            SemcompError: in mid-epoch, the images seen are no whole number of batches, or the order is another one.
        """
        sampler = self.sampler
        if not isinstance(sampler, EpochSampler) or not state:
            raise SemcompError(
                "a checkpoint of a run with overfit_batches, or such a run that shall go on, found, expected neither; "
                "go on without --trainer.overfit_batches from another checkpoint, or start again"
            )
        if state["seen"]:
            _check_order(state, sampler)
        sampler.place(state["epoch"], _batches_done(state["seen"], sampler))
        _recount(self.trainer, sampler)


class TrainLoader(Resumable, DataLoader[dict[str, Any]]):
    """A DataLoader that goes on in mid-epoch; its length is always that of the whole epoch."""


def _identity(sampler: EpochSampler) -> dict[str, int]:
    shares = 0 if sampler.weights is None else zlib.crc32(sampler.weights.tobytes())
    return {"images": sampler.images, "seed": sampler.seed, "shards": sampler.shards, "shares": shares}


def _check_order(state: dict[str, int], sampler: EpochSampler) -> None:
    expected = _identity(sampler)
    found = {name: state.get(name, value) for name, value in expected.items()}
    if found != expected:
        raise SemcompError(
            f"a checkpoint within an epoch of {found} found, expected {expected}, as otherwise some images would be "
            "seen twice and others never; go on with the same images, shares, --data.seed, --data.resident and, if "
            "resident, number of processes, or from the end of an epoch"
        )


def _batches_done(seen: int, sampler: EpochSampler) -> int:
    done, rest = divmod(seen, sampler.step)
    if rest or (done and done >= sampler.batches):
        raise SemcompError(
            f"a checkpoint after {seen} images of an epoch found, expected whole batches of {sampler.step} images over "
            f"all processes, and fewer than {sampler.batches} of them; go on with the former --data.batch_size and "
            "number of processes, or from the end of an epoch"
        )
    return done


def _recount(trainer: Trainer, sampler: EpochSampler) -> None:
    """Give Lightning, which counts an epoch's batches, the count in batches of the present size."""
    current: Any = trainer.fit_loop.epoch_loop.batch_progress.current
    ended = current.processed and not sampler.first
    change = (limited(sampler.batches, trainer.limit_train_batches) if ended else sampler.first) - current.processed
    current.ready += change
    current.started += change
    current.processed += change
    current.completed += change


def limited(batches: int, limit: float) -> int:
    """Number of an epoch's batches that Lightning trains on: a limit of type float is a share of them."""
    return min(batches, limit) if isinstance(limit, int) else int(batches * limit)
