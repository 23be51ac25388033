"""Training images that live on the training device, where batches are cut from them."""

import math
import os
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semcomp_pl.data.augment import Augmentation
from semcomp_pl.data.cache import Store
from semcomp_pl.data.crops import crop_images, crop_maps, jitter
from semcomp_pl.data.order import ShardSampler, Use, random_numbers
from semcomp_pl.data.plan import Plan, draw_plan
from semcomp_pl.data.resume import Resumable
from semcomp_pl.errors import SemcompError
from semcomp_pl.types import Batch

_SHARE = 0.5  # of a device's memory; the model needs the rest
_BLOCK = 256  # images that are moved at once


class ResidentLoader(Resumable):
    """Batches (`semcomp_pl.types.Batch`) of augmented images, made on the device that holds all of them.

    Args:
        store: The prepared images, of one size.
        augmentation: What is changed at random.
        sampler: Order and share of the images.
        device: Where the images are kept and the batches made.

    Raises:
        SemcompError: images differ in size, or take more than half of the device's memory.
    """

    def __init__(self, store: Store, augmentation: Augmentation, sampler: ShardSampler, device: torch.device) -> None:
        if store.maps["image"].ndim != 4:
            raise SemcompError(
                "data.resident=true with training images of different sizes found, expected one size; give "
                "--data.train_size, or leave --data.resident false"
            )
        _check_fits(store, sampler, device)
        self.augmentation, self.device = augmentation, device
        self.sampler: ShardSampler = sampler  # by this name Lightning finds what to tell the epoch
        self.names = np.array(store.names)
        self.values = {kind: _move(values, sampler, device) for kind, values in store.maps.items()}

    def __len__(self) -> int:
        """Number of batches in a whole epoch."""
        return self.sampler.batches

    def __iter__(self) -> Iterator[Batch]:
        """Batches from the first one that is not done yet."""
        sampler = self.sampler
        order = sampler.order()[: len(self) * sampler.batch].reshape(len(self), sampler.batch)
        numbers = random_numbers(sampler.seed, Use.BATCHES, sampler.epoch, sampler.rank)
        height, width = self.values["image"].shape[1:3]
        plan = draw_plan(numbers, self.augmentation, (width, height), order // sampler.num_replicas, self.device)
        for batch in range(sampler.first, len(self)):
            yield self._batch(plan, batch, self.names[order[batch]].tolist())

    def _batch(self, plan: Plan, batch: int, names: list[str]) -> Batch:
        frame, crops = self.augmentation.crop_size, plan.crops(batch)
        assert frame is not None
        image = crop_images(self.values["image"], crops, frame)
        if self.augmentation.colour_jitter:
            image = jitter(image, plan.factors[batch], plan.orders[batch])
        made = Batch(image=image, name=names)
        if "label" in self.values:
            made["label"] = crop_maps(self.values["label"], crops, frame).long()
        if "instance" in self.values:
            made["instance"] = crop_maps(self.values["instance"], crops, frame).long() & 0xFFFF
        return made


def _move(values: NDArray[np.generic], sampler: ShardSampler, device: torch.device) -> Tensor:
    """This rank's part of the images or maps on a device, copied block by block."""
    own = values[sampler.rank : sampler.total_size : sampler.num_replicas]
    if own.dtype == np.uint16:  # torch cannot index it; the same bits are read as int16
        own = own.view(np.int16)
    moved = torch.empty(own.shape, dtype=torch.int16 if own.dtype == np.int16 else torch.uint8, device=device)
    for start in range(0, len(own), _BLOCK):
        moved[start : start + _BLOCK] = torch.from_numpy(np.array(own[start : start + _BLOCK]))
    return moved


def _check_fits(store: Store, sampler: ShardSampler, device: torch.device) -> None:
    sizes = (math.prod(values.shape[1:]) * values.itemsize for values in store.maps.values())
    needed, memory = sum(sizes) * sampler.num_samples, _memory(device)
    if needed > _SHARE * memory:
        raise SemcompError(
            f"data.resident=true with {needed / 1e9:.1f} GB of training images found, expected at most {_SHARE:.0%} of "
            f"the {memory / 1e9:.1f} GB of memory of {device}; lower --data.train_size, or leave --data.resident false"
        )


def _memory(device: torch.device) -> int:
    """Bytes of a GPU's memory, or of the machine's."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
