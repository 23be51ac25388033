"""Degraded training images: each way does what it says, to images alone, as often as asked."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import binomtest
from torchvision import tv_tensors
from torchvision.transforms import v2

from semcomp_pl.data import Folder, ImageDataModule
from semcomp_pl.data.augment import Augmentation
from semcomp_pl.data.degrade import Compress, Noise, Shrink, degradation
from semcomp_pl.data.frame import Frame
from semcomp_pl.errors import SemcompError


def sample(rng: np.random.Generator) -> dict[str, torch.Tensor]:
    """Broad coloured stripes under fine noise, and a map."""
    stripes = 60 + 12 * (np.arange(96) // 8)[None, :, None] + rng.integers(-30, 31, (64, 96, 3))
    image = torch.from_numpy(stripes.clip(0, 255).astype(np.uint8)).permute(2, 0, 1)
    return {"image": tv_tensors.Image(image), "label": tv_tensors.Mask(torch.randint(0, 5, (64, 96)).int())}


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.float() - b.float()).std())


@pytest.mark.parametrize(
    ("way", "mild", "strong"),
    [
        (Noise, 0.02, 0.1),
        (partial(Compress, form="jpeg"), 80, 5),
        (partial(Compress, form="webp"), 80, 0),
        (Shrink, 1.5, 4),
    ],
    ids=["noise", "jpeg", "webp", "shrink"],
)
def test_each_way_leaves_the_map_and_grows_with_its_strength(
    way: Callable[[float, float], v2.Transform], mild: float, strong: float, rng: np.random.Generator
) -> None:
    given = sample(rng)
    changes = []
    for strength in (mild, strong):
        found = way(strength, strength)(given)
        assert torch.equal(found["label"], given["label"])
        assert (found["image"].dtype, found["image"].shape) == (torch.uint8, given["image"].shape)
        assert isinstance(found["image"], tv_tensors.Image)
        changes.append(difference(found["image"], given["image"]))
    assert 1 < changes[0] < changes[1] < 40


def test_the_asked_share_of_images_is_degraded(rng: np.random.Generator) -> None:
    torch.manual_seed(0)
    given, count = sample(rng), 300
    changes = [difference(degradation(0.4)(given)["image"], given["image"]) for _ in range(count)]
    changed = sum(change > 0 for change in changes)
    assert binomtest(changed, count, 0.4).pvalue > 1e-3


def test_augmented_images_are_degraded_only_if_asked(rng: np.random.Generator) -> None:
    given = sample(rng)
    options = (Frame(64, 96), (1.0, 1.0), False, 0.0)
    assert torch.equal(Augmentation(*options).transform()(given)["image"], given["image"])
    assert not torch.equal(Augmentation(*options, degrade=1.0).transform()(given)["image"], given["image"])


def test_degraded_batches_depend_on_seed_and_epoch_not_on_workers(
    folder_root: Path, rng: np.random.Generator, noise: Callable[[], NDArray[np.uint8]]
) -> None:
    def batches(workers: int, epoch: int = 0) -> list[torch.Tensor]:
        data = ImageDataModule(Folder(str(folder_root)), (32, 64), degrade=1.0, batch_size=2, num_workers=workers)
        data.setup("fit")
        loader = data.train_dataloader()
        loader.sampler.set_epoch(epoch)
        return [batch["image"] for batch in loader]

    first = batches(0)
    assert all(torch.equal(a, b) for a, b in zip(first, batches(1), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, batches(0, epoch=1), strict=True))


@pytest.mark.parametrize(("degrade", "resident", "words"), [(1.2, False, "between 0 and 1"), (0.5, True, "resident")])
def test_impossible_requests_are_refused(folder_root: Path, degrade: float, resident: bool, words: str) -> None:
    with pytest.raises(SemcompError, match=words):
        ImageDataModule(Folder(str(folder_root)), degrade=degrade, resident=resident)
