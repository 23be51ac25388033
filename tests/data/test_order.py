"""What is drawn at random depends on (seed, epoch, image) alone, and disturbs no other random numbers."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from semcomp_pl.data import Folder, ImageDataModule
from semcomp_pl.data.order import EpochSampler, ShardSampler, Use, random_numbers
from tests.lab import write_noise

IMAGES = 14
LOADERS: dict[str, dict[str, Any]] = {
    "0 workers": {"num_workers": 0},
    "2 workers": {"num_workers": 2},
    "resident": {"resident": True},
}


@pytest.fixture
def root(tmp_path: Path, rng: np.random.Generator) -> Path:
    return write_noise(tmp_path, {"train": IMAGES, "val": 3}, rng)


def module(root: Path, **options: Any) -> ImageDataModule:
    options = {"num_workers": 0, "batch_size": 2, "crop_scale": (0.5, 1.0), "colour_jitter": 0.2, **options}
    data = ImageDataModule(Folder(str(root)), (16, 16), **options)
    data.setup("fit")
    return data


def epoch(data: ImageDataModule, number: int) -> dict[str, Tensor]:
    """Images of an epoch by name, in their order."""
    loader = data.train_dataloader()
    loader.sampler.set_epoch(number)
    return {name: image for batch in loader for name, image in zip(batch["name"], batch["image"], strict=True)}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("loader", LOADERS)
def test_an_epoch_is_a_function_of_seed_and_number(root: Path, loader: str) -> None:
    data = module(root, **LOADERS[loader])
    third = epoch(data, 3)
    torch.manual_seed(1)
    assert same(epoch(data, 3), third)
    for other in (epoch(data, 4), epoch(module(root, **LOADERS[loader], seed=1), 3)):
        assert list(other) != list(third)
        assert sorted(other) == sorted(third)
        assert not any(torch.equal(other[name], third[name]) for name in third)


def test_draws_do_not_depend_on_workers_or_batches(root: Path) -> None:
    expected = epoch(module(root), 1)
    assert same(epoch(module(root, num_workers=2), 1), expected)
    assert same(epoch(module(root, num_workers=1, batch_size=7), 1), expected)


@pytest.mark.parametrize("loader", LOADERS)
def test_torchs_own_random_numbers_stay_as_they_are(root: Path, loader: str) -> None:
    data = module(root, **LOADERS[loader])
    before = torch.get_rng_state()
    epoch(data, 0)
    list(data.val_dataloader())
    assert torch.equal(torch.get_rng_state(), before)


def test_seed_and_epoch_are_not_added() -> None:
    """As they are in torch's DistributedSampler, where epoch 1 of seed 0 has the order of epoch 0 of seed 1."""
    orders = set()
    for seed in range(-1, 4):
        sampler = EpochSampler(IMAGES, 1, seed=seed)
        for number in range(5):
            sampler.set_epoch(number)
            orders.add(tuple(sampler.order()))
    assert len(orders) == 25


def test_every_use_has_its_own_numbers() -> None:
    keys = [(seed, use, number, part) for seed in (0, 1) for use in Use for number in (0, 1) for part in (0, 1)]
    assert len({tuple(random_numbers(*key).random(8)) for key in keys}) == len(keys)
    # a million numbers on, a stream has not reached the one of the next image
    first, second = (random_numbers(0, Use.IMAGE, 0, part) for part in (0, 1))
    assert not np.isin(second.random(100), first.random(1_000_000)).any()


def test_all_orders_are_equally_likely() -> None:
    sampler = EpochSampler(3, 1)
    counts: Counter[tuple[int, ...]] = Counter()
    for number in range(6000):
        sampler.set_epoch(number)
        counts[tuple(sampler.order().tolist())] += 1
    assert len(counts) == 6
    assert sum((count - 1000) ** 2 / 1000 for count in counts.values()) < 20.5  # chi square, p = 0.001


@pytest.mark.parametrize("world", [1, 2, 3, 4])
def test_ranks_divide_an_epoch_whose_seen_images_come_first(world: int) -> None:
    samplers = [EpochSampler(IMAGES, 2, world, rank) for rank in range(world)]
    whole = EpochSampler(IMAGES, 1)
    for sampler in (*samplers, whole):
        sampler.set_epoch(5)
    order = whole.order().tolist()
    shares = [[draw.image for draw in sampler] for sampler in samplers]
    assert {len(share) for share in shares} == {IMAGES // world} == {len(sampler) for sampler in samplers}
    for batches in range(IMAGES // world // 2):
        seen = {image for share in shares for image in share[: 2 * batches]}
        assert seen == set(order[: 2 * batches * world])
        for sampler, share in zip(samplers, shares, strict=True):
            sampler.place(5, batches)
            assert [draw.image for draw in sampler] == share[2 * batches :]
            assert {draw.epoch for draw in sampler} <= {5}
            assert len(sampler) == len(share)


def test_a_new_epoch_starts_at_its_start() -> None:
    sampler = EpochSampler(IMAGES, 2)
    sampler.place(3, 4)
    sampler.set_epoch(3)
    assert len(list(sampler)) == IMAGES - 8
    sampler.set_epoch(4)
    assert len(list(sampler)) == IMAGES


def test_shards_stay_with_their_ranks() -> None:
    for number in range(3):
        shares = []
        for rank in range(3):
            sampler = ShardSampler(IMAGES, 2, 3, rank)
            sampler.set_epoch(number)
            shares.append(sampler.order().tolist())
        assert [sorted(share) for share in shares] == [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]
        assert [[image // 3 for image in share] for share in shares[1:]] != [[image // 3 for image in shares[0]]] * 2
    assert (ShardSampler(IMAGES, 2).order() == EpochSampler(IMAGES, 2).order()).all()
