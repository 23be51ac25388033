"""The shipped data configs, on the real data where they are at hand."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from jsonargparse import ArgumentParser
from PIL import Image

from semcomp_pl.data import ImageDataModule
from semcomp_pl.data.coco_stuff import NAMES

CONFIGS = Path(__file__).parents[2] / "configs" / "data"


def load(config: str, *args: str) -> ImageDataModule:
    """The data module of a config, as the command line builds it."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(ImageDataModule, "data")
    parser.add_argument("--config", action="config")
    parsed = parser.parse_args(["--config", str(CONFIGS / f"{config}.yaml"), *args])
    data = parser.instantiate(parsed).data
    assert isinstance(data, ImageDataModule)
    return data


@pytest.mark.parametrize(
    ("config", "size", "classes"),
    [
        ("camvid", (128, 256), 11),
        ("camvid_segmenter", (360, 480), 11),
        ("cityscapes", (128, 256), 19),
        ("streets", (128, 256), 19),
        ("coco_stuff_10k", (256, 256), 171),
        ("coco_stuff_164k", (256, 256), 171),
        ("kodak", None, 0),
        ("comma10k", (128, 256), 0),
        ("idd_lite", (128, 256), 7),
        ("idd_lite_segmenter", (160, 320), 7),
        ("streets7", (128, 256), 7),
        ("photos", (256, 256), 0),
        ("everything", (128, 256), 0),
    ],
)
def test_config_builds_its_data(config: str, size: tuple[int, int] | None, classes: int) -> None:
    data = load(config)
    assert (data.size, data.num_classes, len(data.classes)) == (size, classes, classes)
    assert not data.source.root.is_absolute()


def test_every_config_is_tested() -> None:
    tested = test_config_builds_its_data.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert {path.stem for path in CONFIGS.glob("*.yaml")} == {config for config, *_ in tested}


def test_streets_config_writes_and_reads_its_scenes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # for scenes are drawn in data/streets
    small = [f"--data.source.{name}" for name in ("train=2", "val=1", "size=[64, 128]")]
    data = load("streets", *small, "--data.num_workers=0", f"--data.cache_dir={tmp_path / 'cache'}")
    data.prepare_data()
    data.setup("validate")
    (batch,) = data.val_dataloader()
    assert batch["image"].shape == (1, 3, 128, 256)
    assert batch["label"].unique().numel() > 4


def test_camvid(real_data: Callable[[str], Path], tmp_path: Path) -> None:
    root = real_data("camvid")
    data = load("camvid", f"--data.source.root={root}", f"--data.cache_dir={tmp_path}", "--data.num_workers=0")
    assert [len(data.source.samples(split)) for split in ("train", "val")] == [367, 101]
    store = data.store("val")
    shares = np.bincount(store.maps["label"].ravel(), minlength=256) / store.maps["label"].size
    assert set(np.flatnonzero(shares)) == {*range(11), 255}
    assert shares[data.classes.index("road")] > 0.15
    sample = data.source.samples("val")[50]
    cropped = Image.open(sample.image).crop((0, 60, 480, 300)).resize((256, 128), Image.Resampling.BICUBIC)
    rows = slice(3, -3)  # at the border the filter sees what lies beyond the crop
    np.testing.assert_array_equal(store[50]["image"][rows], np.asarray(cropped)[rows])


def test_streets_of_two_sources_in_seven_classes(real_data: Callable[[str], Path], tmp_path: Path) -> None:
    roots = {"idd": real_data("idd_lite"), "camvid": real_data("camvid")}
    flags = [f"--data.source.sources.{name}.root={root}" for name, root in roots.items()]
    data = load("streets7", *flags, "--data.size=[227,320]", f"--data.cache_dir={tmp_path}", "--data.num_workers=0")
    assert [len(data.source.samples(split)) for split in ("train", "val")] == [1403 + 367, 204 + 101]
    store = data.store("val")
    # 0 sky, 1 building, 2 pole, 3 road, 4 pavement, 5 tree, 6 sign, 7 fence, 8 car, 9 pedestrian, 10 bicyclist, 11
    table = np.array([6, 5, 4, 0, 1, 5, 4, 4, 3, 2, 2, 255])
    for index, atol in ((50, 0.0), (204 + 50, 0.06)):  # CamVid's are cropped
        label = data.source.samples("val")[index].label
        assert label is not None
        ids = np.asarray(Image.open(label))
        given = np.bincount((table[ids] if index > 204 else ids).ravel(), minlength=256) / ids.size
        found = np.bincount(store[index]["label"].ravel(), minlength=256) / store[index]["label"].size
        np.testing.assert_allclose(found, given, atol=atol)


def test_coco_stuff_sample(real_data: Callable[[str], Path], tmp_path: Path) -> None:
    root = real_data("cocostuff_sample")
    directories = [f"--data.source.{kind}s=SPLIT_{short}" for kind, short in (("image", "img"), ("label", "label"))]
    data = load(
        "coco_stuff_164k",
        *directories,
        "--data.source.instances=SPLIT_inst",
        f"--data.source.root={root}",
        *(f"--data.cache_dir={tmp_path}", "--data.instances=true", "--data.num_workers=0"),
    )
    assert [len(data.source.samples(split)) for split in ("train", "val")] == [13, 8]
    store = data.store("val")
    things = [data.classes.index(name) for name in NAMES[:91] if name in data.classes]
    np.testing.assert_array_equal(np.isin(store.maps["label"], things), store.maps["instance"] > 0)
    seen = {data.classes[i] for i in np.unique(store.maps["label"]) if i < 255}
    assert {"person", "tree", "wall-concrete"} <= seen
    # COCO val2017's 139 is a living room with a television, 785 a skier on snow
    rooms = {name: np.unique(store[store.names.index(name)]["label"]) for name in store.names}
    assert {"tv", "chair", "dining table"} <= {data.classes[i] for i in rooms["000000000139"] if i < 255}
    assert {"person", "skis", "snow"} <= {data.classes[i] for i in rooms["000000000785"] if i < 255}


def test_kodak(real_data: Callable[[str], Path], tmp_path: Path) -> None:
    root = real_data("kodak")
    data = load("kodak", f"--data.source.root={root}", f"--data.cache_dir={tmp_path}", "--data.num_workers=0")
    data.setup("test")
    batches = list(data.test_dataloader())
    assert [name for batch in batches for name in batch["name"]] == [f"kodim{i:02}" for i in range(1, 25)]
    shapes = [tuple(batch["image"].shape) for batch in batches]
    assert {shape: shapes.count(shape) for shape in set(shapes)} == {(1, 3, 512, 768): 18, (1, 3, 768, 512): 6}
    assert all(batch.keys() == {"image", "name"} for batch in batches)
