"""Tiny data sets in their real layouts, and real data where they are at hand."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat
from torchvision.datasets import Cityscapes

if TYPE_CHECKING:  # tests of a coder should not wait for Lightning
    from tests.lab import Lab

HEIGHT, WIDTH = 20, 30
COCO_IDS = [0, 1, 10, 12, 89, 91, 92, 181]
"""Ids of pixel maps; 11, 25 and others of COCO never occur."""
COCO_NAMES = {"train": ("000000000009", "000000000025", "000000000030"), "val": ("000000000139", "000000000285")}


def save(path: Path, pixels: NDArray[np.generic]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def pytest_configure(config: pytest.Config) -> None:
    """Let what libraries and killed processes leave in the directory of temporary files go with the session.

    The directory's name is short, as sockets in it have paths of at most 107 bytes. Directories of tests stay where
    pytest keeps them for a while.
    """
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    directory = tempfile.TemporaryDirectory(prefix="semcomp-", ignore_cleanup_errors=True)
    os.environ["TMPDIR"] = tempfile.tempdir = directory.name
    config.add_cleanup(directory.cleanup)


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Lab]":
    """Tiny models and what they are trained on; on one thread, because results must not depend on the machine."""
    from tests.lab import make_lab

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield make_lab(tmp_path_factory.mktemp("lab"))
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def fitted(lab: "Lab", tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint of every codec, trained for an epoch, with tables."""
    from tests.lab import CODECS

    root = tmp_path_factory.mktemp("fitted")
    return {name: lab.fitted(lab.model(name), root / f"{name}.ckpt") for name in CODECS}


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def noise(rng: np.random.Generator) -> Callable[[], NDArray[np.uint8]]:
    """A new random RGB image at every call."""
    return lambda: rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


@pytest.fixture
def folder_root(tmp_path: Path, rng: np.random.Generator, noise: Callable[[], NDArray[np.uint8]]) -> Path:
    """5 + 3 images with masks of ids 0..3, 4 for unlabelled, and 255."""
    for split, count in (("train", 5), ("val", 3)):
        for i in range(count):
            save(tmp_path / "folder" / split / f"{split}{i}.png", noise())
            mask = rng.choice([0, 1, 2, 3, 4, 255], (HEIGHT, WIDTH)).astype(np.uint8)
            save(tmp_path / "folder" / f"{split}annot" / f"{split}{i}.png", mask)
    return tmp_path / "folder"


@pytest.fixture
def cityscapes_root(tmp_path: Path, rng: np.random.Generator, noise: Callable[[], NDArray[np.uint8]]) -> Path:
    """Five, two and one images; things are numbered, or a group, which has no number."""
    root = tmp_path / "cityscapes"
    cities = {"train": {"aachen": 3, "bochum": 2}, "val": {"lindau": 2}, "test": {"bonn": 1}}
    things = [c.id for c in Cityscapes.classes if c.has_instances]
    for split, counts in cities.items():
        for city, count in counts.items():
            for i in range(count):
                name = f"{city}_{i:06d}_000019"
                save(root / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png", noise())
                if split == "test":
                    continue
                ids = rng.integers(0, 34, (HEIGHT, WIDTH))
                single = np.isin(ids, things) & (rng.random(ids.shape) < 0.7)
                numbered = np.where(single, ids * 1000 + rng.integers(0, 40, ids.shape), ids)
                truth = root / "gtFine" / split / city
                save(truth / f"{name}_gtFine_labelIds.png", ids.astype(np.uint8))
                save(truth / f"{name}_gtFine_instanceIds.png", numbered.astype(np.uint16))
    return root


@pytest.fixture
def coco_10k_root(tmp_path: Path, rng: np.random.Generator, noise: Callable[[], NDArray[np.uint8]]) -> Path:
    """Version 1.1: `S` holds 1..182, 0 for unlabelled; the lists are not sorted."""
    root = tmp_path / "coco_10k"
    lists = {
        "train": ("COCO_train2014_000000000077", "COCO_train2014_000000000034"),
        "test": ("COCO_train2014_000000000009",),
    }
    (root / "annotations").mkdir(parents=True)
    (root / "imageLists").mkdir()
    for split, names in lists.items():
        (root / "imageLists" / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
        for name in names:
            save(root / "images" / f"{name}.jpg", noise())
            ids = rng.choice([0, *(i + 1 for i in COCO_IDS)], (HEIGHT, WIDTH)).astype(np.uint16)
            savemat(root / "annotations" / f"{name}.mat", {"S": ids, "names": np.array(["unlabeled", "person"])})
    return root


@pytest.fixture
def coco_164k_root(tmp_path: Path, rng: np.random.Generator, noise: Callable[[], NDArray[np.uint8]]) -> Path:
    """Pixel maps of 0..181, 255 for unlabelled, and instance maps as SPADE writes them."""
    root = tmp_path / "coco_164k"
    for split, names in COCO_NAMES.items():
        for name in names:
            save(root / "images" / f"{split}2017" / f"{name}.jpg", noise())
            ids = rng.choice([*COCO_IDS, 255], (HEIGHT, WIDTH)).astype(np.uint8)
            save(root / "annotations" / f"{split}2017" / f"{name}.png", ids)
            counted = np.where(ids < 91, rng.integers(0, 5, ids.shape), ids).astype(np.uint8)
            save(root / "instances" / f"{split}2017" / f"{name}.png", counted)
    return root


@pytest.fixture
def real_data() -> Callable[[str], Path]:
    """The directory of a real data set, or a skipped test."""
    root = Path(os.environ.get("SEMCOMP_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))

    def find(name: str) -> Path:
        if not (root / name).is_dir():
            pytest.skip(f"no {name} in {root}; set SEMCOMP_TEST_DATA to a directory that has it")
        return root / name

    return find


@pytest.fixture
def taef2() -> str:
    """The directory of TAEF2's files, or a skipped test."""
    from semcomp_pl.nets.latent_space import TAEF2

    for root in (Path(__file__).parents[2] / "shared" / "weights", Path(torch.hub.get_dir()) / "checkpoints"):
        if all((root / file.name).is_file() for file in TAEF2):
            return str(root)
    pytest.skip(f"no {TAEF2[0].name}; fetch {TAEF2[0].url}")
