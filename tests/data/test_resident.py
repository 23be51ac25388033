"""Batches made on the device are those of the loader: the same pixels for the same draws, and draws as probable."""

import itertools
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import chisquare, ks_2samp
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision import tv_tensors
from torchvision.transforms import v2

from semcomp_pl.data import Cityscapes, Folder, ImageDataModule
from semcomp_pl.data.augment import Augmentation, RandomCrop
from semcomp_pl.data.cache import Store
from semcomp_pl.data.crops import Crops, crop_images, crop_maps, jitter
from semcomp_pl.data.frame import Frame
from semcomp_pl.data.order import ShardSampler
from semcomp_pl.data.plan import Plan, draw_plan
from semcomp_pl.data.resident import ResidentLoader
from semcomp_pl.errors import SemcompError
from tests.waiting import WAITING

CPU = torch.device("cpu")
HEIGHT, WIDTH = 60, 90


def pictures(rng: np.random.Generator, count: int) -> NDArray[np.uint8]:
    """Noise, blocks, and gradients (count, HEIGHT, WIDTH, 3)."""
    noise = rng.integers(0, 256, (count, HEIGHT, WIDTH, 3))
    noise[1::3] = np.kron(noise[1::3, ::6, ::6], np.ones((1, 6, 6, 1), int))
    noise[2::3] = (np.arange(WIDTH)[:, None] * [1, 2, 3] + np.arange(HEIGHT)[:, None, None]) % 256
    return noise.astype(np.uint8)


@pytest.mark.parametrize("frame", [Frame(24, 48), Frame(60, 60), Frame(100, 75), Frame(13, 90)], ids=str)
def test_a_given_crop_is_the_loaders(frame: Frame, rng: np.random.Generator) -> None:
    images = pictures(rng, 30)
    ids = rng.integers(0, 40_000, images.shape[:3])
    loader = RandomCrop(frame, (0.3, 1.0))
    for side in (0.3, 0.71, 1.0):
        height, width = frame.crop((WIDTH, HEIGHT), side)
        tops, lefts = rng.integers(0, HEIGHT - height + 1, 6), rng.integers(0, WIDTH - width + 1, 6)
        chosen, flips = rng.integers(0, 30, 6), rng.random(6) < 0.5
        places = [torch.from_numpy(values) for values in (chosen, tops, lefts, flips)]
        crops = Crops(places[0], places[1], places[2], places[3], height, width)
        found = crop_images(torch.from_numpy(images), crops, frame)
        maps = crop_maps(torch.from_numpy(ids), crops, frame)
        assert found.dtype == torch.float32
        for i, k in enumerate(chosen):
            box = {"top": int(tops[i]), "left": int(lefts[i]), "height": height, "width": width}
            image = loader.transform(tv_tensors.Image(torch.from_numpy(images[k]).permute(2, 0, 1)), box)
            label = loader.transform(tv_tensors.Mask(torch.from_numpy(ids[k]).int()), box)
            if flips[i]:
                image, label = v2.functional.horizontal_flip(image), v2.functional.horizontal_flip(label)
            torch.testing.assert_close(found[i], image.as_subclass(torch.Tensor) / 255, atol=1.001 / 255, rtol=0)
            assert torch.equal(maps[i], label.as_subclass(torch.Tensor).long())


def test_colours_are_torchvisions() -> None:
    torch.manual_seed(0)
    images, factors = torch.rand(5, 3, 16, 24), torch.empty(3, 5).uniform_(0, 2.5)
    changes = (v2.functional.adjust_brightness, v2.functional.adjust_contrast, v2.functional.adjust_saturation)
    for order in itertools.permutations(range(3)):
        found = jitter(images, factors, list(order))
        for i, expected in enumerate(images):
            for change in order:
                expected = changes[change](expected, factors[change, i].item())
            torch.testing.assert_close(found[i], expected, atol=1e-6, rtol=0)


def plan(augmentation: Augmentation, batches: int, batch: int) -> Plan:
    images = np.zeros((batches, batch), np.int64)
    return draw_plan(np.random.default_rng(0), augmentation, (WIDTH, HEIGHT), images, CPU)


def test_draws_are_as_probable_as_the_loaders() -> None:
    """Sizes and places of crops, mirrored images, factors and order of colours."""
    augmentation, count = Augmentation(Frame(24, 48), (0.5, 0.9), True, 0.3), 4000
    found = plan(augmentation, count, 1)
    torch.manual_seed(0)
    crop, colour = RandomCrop(Frame(24, 48), (0.5, 0.9)), v2.ColorJitter(0.3, 0.3, 0.3)
    image = tv_tensors.Image(torch.zeros(3, HEIGHT, WIDTH))
    boxes = [crop.make_params([image]) for _ in range(count)]
    colours = [colour.make_params([image]) for _ in range(count)]
    heights, widths = np.array(found.sizes).T
    _, tops, lefts = found.places.squeeze(2).numpy()
    expected = {key: np.array([box[key] for box in boxes]) for key in boxes[0]}
    pairs = {
        "height": (heights, expected["height"]),
        "width": (widths, expected["width"]),
        "top": (tops, expected["top"]),
        "left": (lefts, expected["left"]),
        "middle row": (2 * tops + heights, 2 * expected["top"] + expected["height"]),
        "right": (lefts + widths, expected["left"] + expected["width"]),
    }
    factors = ("brightness_factor", "contrast_factor", "saturation_factor")
    pairs |= {
        key: (found.factors[:, i, 0].numpy(), np.array([c[key] for c in colours])) for i, key in enumerate(factors)
    }
    for name, (ours, theirs) in pairs.items():
        assert ks_2samp(ours, theirs).pvalue > 0.01, name
    assert (tops.max(), lefts.max()) == (expected["top"].max(), expected["left"].max())
    assert abs(found.flips.float().mean() - 0.5) < 0.03
    orders = Counter(map(tuple, found.orders))
    assert len(orders) == 6
    assert chisquare(list(orders.values())).pvalue > 0.01


def test_images_of_a_batch_differ_in_all_but_scale() -> None:
    found = plan(Augmentation(Frame(24, 48), (0.5, 0.9), True, 0.3), 50, 8)
    for batch in range(50):
        crops = found.crops(batch)
        assert len(set(crops.tops.tolist())) > 2
        assert len(set(crops.lefts.tolist())) > 2
        assert len(set(found.factors[batch].flatten().tolist())) == 24
    assert found.flips.any(0).all()
    assert len(set(found.sizes)) > 10


def test_what_is_switched_off_is_not_drawn() -> None:
    found = plan(Augmentation(Frame(60, 90), (1.0, 1.0), False, 0.0), 20, 4)
    assert set(found.sizes) == {(60, 90)}
    assert not found.places.any()
    assert not found.flips.any()
    assert (found.factors == 1).all()


@pytest.fixture
def root(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Nine training images and one other, with masks."""
    for split, count in (("train", 9), ("val", 1)):
        for kind in ("", "annot"):
            (tmp_path / f"{split}{kind}").mkdir()
        for i, pixels in enumerate(pictures(rng, count)):
            Image.fromarray(pixels).save(tmp_path / split / f"{i}.png")
            Image.fromarray(pixels[..., 0] % 5).save(tmp_path / f"{split}annot" / f"{i}.png")
    return tmp_path


def module(root: Path, **options: Any) -> ImageDataModule:
    source = Folder(str(root), masks="annot", classes=list("abcd"), ignore_id=4)
    data = ImageDataModule(source, **{"size": (20, 30), "num_workers": 0, "batch_size": 4, **options})
    data.setup("fit")
    return data


@pytest.mark.parametrize("options", [{}, {"train_size": (HEIGHT, WIDTH), "crop_size": (HEIGHT, WIDTH)}], ids=str)
def test_without_augmentation_batches_equal_the_loaders(root: Path, options: dict[str, Any]) -> None:
    loaders = [module(root, flip=False, resident=resident, **options).train_dataloader() for resident in (False, True)]
    for number in range(3):
        for loader in loaders:
            loader.sampler.set_epoch(number)
        for expected, found in zip(*loaders, strict=True):
            assert expected.keys() == found.keys() == {"image", "label", "name"}
            assert expected["name"] == found["name"]
            assert torch.equal(expected["image"], found["image"])
            assert torch.equal(expected["label"], found["label"])
            assert {k: v.dtype for k, v in expected.items() if k != "name"} == {
                k: v.dtype for k, v in found.items() if isinstance(v, torch.Tensor)
            }


def test_instances_above_half_of_their_range(cityscapes_root: Path, tmp_path: Path) -> None:
    size = (20, 30)
    loaders = [
        ImageDataModule(
            Cityscapes(str(cityscapes_root)),
            size,
            flip=False,
            batch_size=5,
            num_workers=0,
            instances=True,
            cache_dir=str(tmp_path / "cache"),
            resident=resident,
        )
        for resident in (False, True)
    ]
    for data in loaders:
        data.setup("fit")
    (expected,), (found,) = (data.train_dataloader() for data in loaders)
    assert expected["instance"].max() > 32767
    assert torch.equal(found["instance"], expected["instance"])
    assert found["instance"].dtype == torch.int64


def test_every_image_is_seen_once_an_epoch(root: Path) -> None:
    loader = module(root, resident=True, crop_scale=(0.5, 1.0), colour_jitter=0.2, batch_size=3).train_dataloader()
    for number in range(3):
        loader.sampler.set_epoch(number)
        names = [batch["name"] for batch in loader]
        assert [len(name) for name in names] == [3, 3, 3] == [3] * len(loader)
        assert sorted(itertools.chain(*names)) == [str(i) for i in range(9)]


def test_ranks_hold_and_show_parts_of_equal_size(root: Path) -> None:
    data = module(root, resident=True, flip=False)
    shown = []
    for rank in range(2):
        loader = ResidentLoader(data.store("train"), data.augmentation, ShardSampler(9, 2, 2, rank), CPU)
        batches = list(loader)
        assert {kind: len(values) for kind, values in loader.values.items()} == {"image": 4, "label": 4}
        for batch in batches:
            for name, image in zip(batch["name"], batch["image"], strict=True):
                pixels = torch.from_numpy(data.store("train")[int(name)]["image"].copy())
                assert torch.equal(image, pixels.permute(2, 0, 1) / 255)
        shown.append(sorted(name for batch in batches for name in batch["name"]))
    assert shown == [["0", "2", "4", "6"], ["1", "3", "5", "7"]]


class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the names of all operators, and the bytes of the largest tensor."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: set[str] = set()
        self.largest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call an operator and take notes."""
        result = func(*args, **(kwargs or {}))
        self.names.add(func.overloadpacket.__name__)
        if isinstance(result, torch.Tensor):
            self.largest = max(self.largest, result.untyped_storage().nbytes())
        return result


def test_a_batch_waits_for_no_device_and_takes_little_memory(root: Path) -> None:
    """No operator reads a value back or has a result of unknown size; nothing is as large as all images in float."""
    loader = module(
        root, resident=True, crop_scale=(0.5, 1.0), colour_jitter=0.2, train_size=(HEIGHT, WIDTH), batch_size=1
    ).train_dataloader()
    assert isinstance(loader, ResidentLoader)
    assert sum(values.nbytes for values in loader.values.values()) == 9 * HEIGHT * WIDTH * (3 + 1)
    batches = iter(loader)
    next(batches)
    with Watch() as watch:
        list(batches)
    assert {"_upsample_bicubic2d_aa", "index", "lerp"} <= watch.names
    assert not WAITING & watch.names
    assert watch.largest <= 9 * HEIGHT * WIDTH * 3  # the images; a batch in float is less than half of that


def test_too_many_images_are_refused_with_both_sizes(tmp_path: Path) -> None:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    count, shape = round(0.6 * memory / 3e6), (1000, 1000, 3)
    with (tmp_path / "image").open("wb") as file:
        file.truncate(count * 3_000_000)  # a file of holes
    index = {"names": [str(i) for i in range(count)], "skipped": [], "shapes": {"image": [shape] * count}}
    (tmp_path / "index.json").write_text(json.dumps(index))
    message = (
        rf"{count * 0.003:.1f} GB of training images found, expected at most 50% of the {memory / 1e9:.1f} GB of "
        r"memory of cpu; lower --data\.train_size"
    )
    augmentation = Augmentation(Frame(8, 8), (1.0, 1.0), True, 0.0)
    with pytest.raises(SemcompError, match=message):
        ResidentLoader(Store(tmp_path), augmentation, ShardSampler(count, 1), CPU)


def test_images_of_different_sizes_are_refused(root: Path) -> None:
    Image.new("RGB", (50, 40)).save(root / "train" / "0.png")
    Image.new("L", (50, 40)).save(root / "trainannot" / "0.png")
    data = module(root, size=None, crop_size=(20, 30), resident=True)
    with pytest.raises(SemcompError, match=r"different sizes found, expected one size; give --data\.train_size"):
        data.train_dataloader()
