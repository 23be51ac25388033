"""Batches: aligned augmentation, an order that is a function of seed and epoch, every evaluated image once."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import LightningModule, Trainer, seed_everything
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2

from semcomp_pl.data import Cityscapes, CocoStuff10k, CocoStuff164k, Folder, ImageDataModule, ImageSource, StreetScenes
from semcomp_pl.data.augment import RandomCrop
from semcomp_pl.data.frame import Frame
from semcomp_pl.errors import SemcompError, SemcompWarning


class Recorder(LightningModule):
    """Learns nothing; notes the names it is shown in one file a rank and loop."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.directory = directory
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def note(self, loop: str, batch: dict[str, Any]) -> None:
        with (self.directory / f"{loop}.{self.global_rank}").open("a") as file:
            file.write("".join(f"{self.current_epoch} {name}\n" for name in batch["name"]))

    def training_step(self, batch: dict[str, Any], index: int) -> torch.Tensor:
        self.note("train", batch)
        loss: torch.Tensor = self.weight * batch["image"].mean()
        return loss

    def validation_step(self, batch: dict[str, Any], index: int) -> None:
        self.note("val", batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def trainer(directory: Path, **options: Any) -> Trainer:
    return Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=directory,
        **options,
    )


def noted(directory: Path, loop: str, rank: int = 0) -> list[tuple[int, str]]:
    lines = (directory / f"{loop}.{rank}").read_text().splitlines()
    return [(int(epoch), name) for epoch, name in (line.split() for line in lines)]


def images(root: Path, train: int, val: int) -> Folder:
    for split, count in (("train", train), ("val", val)):
        (root / split).mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", (16, 16), (i, 2 * i, 3 * i)).save(root / split / f"{i:02}.png")
    return Folder(str(root))


def module(source: Any, cache: Path, **options: Any) -> ImageDataModule:
    return ImageDataModule(source, **{"size": (16, 16), "num_workers": 0, "cache_dir": str(cache), **options})


def ordered(pairs: Iterable[tuple[int, str]], epoch: int) -> list[str]:
    return [name for e, name in pairs if e == epoch]


@pytest.mark.filterwarnings("ignore:.*(num_workers|log_every|dataloader)")
def test_training_order_is_a_function_of_seed_and_epoch(tmp_path: Path) -> None:
    source = images(tmp_path / "data", 14, 2)
    runs = {}
    for name, data_seed, global_seed in (("a", 0, 1), ("b", 0, 2), ("c", 1, 1)):
        seed_everything(global_seed)
        (tmp_path / name).mkdir()
        data = module(source, tmp_path / "cache", batch_size=4, seed=data_seed)
        trainer(tmp_path, max_epochs=2).fit(Recorder(tmp_path / name), data)
        runs[name] = noted(tmp_path / name, "train")
    assert runs["a"] == runs["b"] != runs["c"]
    first, second = ordered(runs["a"], 0), ordered(runs["a"], 1)
    assert len(set(first)) == len(first) == 12  # complete batches of different images
    assert len(set(second)) == len(second) == 12
    assert first != second != sorted(second)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_two_processes_evaluate_every_image_once(tmp_path: Path) -> None:
    source = images(tmp_path / "data", 9, 7)
    data = module(source, tmp_path / "cache", batch_size=2, eval_batch_size=2)
    trainer(tmp_path, max_epochs=1, devices=2, strategy="ddp_fork").fit(Recorder(tmp_path), data)
    seen = [name for rank in (0, 1) for _, name in noted(tmp_path, "val", rank)]
    assert sorted(seen) == [f"{i:02}" for i in range(7)]
    trained = [[name for _, name in noted(tmp_path, "train", rank)] for rank in (0, 1)]
    assert [len(names) for names in trained] == [4, 4]
    assert not set(trained[0]) & set(trained[1])


def test_fewer_images_than_a_batch_are_refused(tmp_path: Path) -> None:
    data = module(images(tmp_path / "data", 3, 1), tmp_path / "cache", batch_size=4)
    data.setup("fit")
    with pytest.raises(SemcompError, match="3 training images found, expected at least one batch of 4"):
        data.train_dataloader()


def test_evaluation_keeps_order_and_size(tmp_path: Path) -> None:
    data = module(images(tmp_path / "data", 2, 7), tmp_path / "cache", eval_batch_size=3)
    data.setup("validate")
    batches = list(data.val_dataloader())
    assert [len(batch["name"]) for batch in batches] == [3, 3, 1]
    assert [name for batch in batches for name in batch["name"]] == [f"{i:02}" for i in range(7)]
    values = torch.cat([batch["image"] for batch in batches])
    expected = torch.tensor([[i, 2 * i, 3 * i] for i in range(7)]) / 255
    torch.testing.assert_close(values, expected[:, :, None, None].expand(-1, -1, 16, 16), atol=0, rtol=0)


SOURCES: dict[str, Callable[[Path], ImageSource]] = {
    "folder": lambda root: Folder(str(root), masks="annot", classes=list("abcd"), ignore_id=4),
    "cityscapes": lambda root: Cityscapes(str(root)),
    "coco_10k": lambda root: CocoStuff10k(str(root)),
    "coco_164k": lambda root: CocoStuff164k(str(root), instances="instances/SPLIT2017"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_batches_of_every_source(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    source = SOURCES[name](request.getfixturevalue(f"{name}_root"))
    data = module(source, tmp_path / "cache", size=(8, 16), train_size=(12, 16), batch_size=2, instances=True)
    data.setup("fit")
    for loader in (data.train_dataloader(), data.val_dataloader()):
        batch = next(iter(loader))
        count = len(batch["name"])
        assert batch["image"].shape == (count, 3, 8, 16)
        assert batch["image"].dtype == torch.float32
        assert 0 <= batch["image"].min() < 0.3 < 0.7 < batch["image"].max() <= 1
        assert batch["label"].shape == (count, 8, 16)
        assert batch["label"].dtype == torch.int64
        assert set(batch["label"].flatten().tolist()) <= {*range(data.num_classes), 255}
        assert type(batch["image"]) is type(batch["label"]) is torch.Tensor
        assert ("instance" in batch) == (name in {"cityscapes", "coco_164k"})
        if "instance" in batch:
            assert batch["instance"].dtype == torch.int64
            assert batch["instance"].max() > 0


def test_instances_are_left_out_unless_asked_for(cityscapes_root: Path, tmp_path: Path) -> None:
    data = module(Cityscapes(str(cityscapes_root)), tmp_path / "cache")
    assert data.store("train").maps.keys() == {"image", "label"}


@pytest.mark.parametrize("size", [(120, 160), (90, 240), (200, 100)], ids=str)
@pytest.mark.parametrize("frame", [Frame(32, 64), Frame(50, 50)], ids=str)
def test_random_crop_keeps_image_and_maps_aligned(size: tuple[int, int], frame: Frame) -> None:
    """The colour of each pixel says where it comes from, and so does its map."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    image = torch.from_numpy(np.stack([columns, rows, 0 * rows])).to(torch.uint8)
    sample = {
        "image": tv_tensors.Image(image),
        "label": tv_tensors.Mask(torch.from_numpy(1000 * rows + columns).int()),
    }
    torch.manual_seed(0)
    transform = v2.Compose([RandomCrop(frame, (0.4, 1.0)), v2.RandomHorizontalFlip(0.5)])
    spans = []
    for _ in range(30):
        found = transform(sample)
        colour, ids = found["image"].float(), found["label"]
        assert colour.shape == (3, *frame)
        assert ids.shape == frame
        inner = (slice(3, -3), slice(3, -3))
        assert (colour[0] - ids % 1000)[inner].abs().max() <= 1.01
        assert (colour[1] - ids // 1000)[inner].abs().max() <= 1.01
        offset = (colour[0] - ids % 1000)[inner].mean().abs()
        assert offset <= 0.51  # an even shrinkage has its samples between two pixels
        spans.append((ids % 1000).max() - (ids % 1000).min())
    assert min(spans) < 0.6 * max(spans)


def test_random_crop_covers_the_image(tmp_path: Path) -> None:
    """Corners are reached, the scale is spread over its range, and 1.0 is the largest centred box or beside it."""
    ids = tv_tensors.Mask(torch.arange(64 * 64).reshape(1, 64, 64).int())
    torch.manual_seed(0)
    crop = RandomCrop(Frame(8, 16), (0.5, 1.0))
    boxes = [crop.make_params([ids]) for _ in range(400)]
    heights = [box["height"] for box in boxes]
    assert (min(heights), max(heights)) == (16, 32)
    assert min(box["top"] for box in boxes) == min(box["left"] for box in boxes) == 0
    assert max(box["top"] + box["height"] for box in boxes) == 64
    assert max(box["left"] + box["width"] for box in boxes) == 64
    assert all(abs(box["width"] - 2 * box["height"]) <= 1 for box in boxes)


def test_whole_crop_changes_nothing() -> None:
    image = tv_tensors.Image(torch.randint(0, 256, (3, 24, 48), dtype=torch.uint8))
    assert torch.equal(RandomCrop(Frame(24, 48), (1.0, 1.0))(image), image)


@pytest.mark.parametrize("scale", [(0.0, 1.0), (0.8, 0.5), (0.5, 1.2)], ids=str)
def test_senseless_crop_is_refused(scale: tuple[float, float]) -> None:
    with pytest.raises(SemcompError, match="crop_scale"):
        RandomCrop(Frame(8, 8), scale)


def test_procedural_data_are_made_and_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = StreetScenes(train=3, val=1, test=0, size=(48, 96))
    data = module(source, tmp_path / "cache", size=(32, 64))
    data.prepare_data()
    mean, std = data.statistics()
    pixels = np.stack(
        [
            np.asarray(Image.open(sample.image).resize((64, 32), Image.Resampling.BICUBIC), dtype=float) / 255
            for sample in source.samples("train")
        ]
    )
    np.testing.assert_allclose(mean, pixels.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, pixels.std((0, 1, 2)), rtol=1e-12)
    assert (data.num_classes, data.classes[13]) == (19, "car")
    assert json.loads(json.dumps(mean)) == mean


def test_skipped_files_are_reported(folder_root: Path, tmp_path: Path) -> None:
    (folder_root / "val" / "val1.png").write_bytes(b"broken")
    source = SOURCES["folder"](folder_root)
    data = module(source, tmp_path / "cache", on_error="skip")
    with pytest.warns(SemcompWarning, match=r"val: 1 of 3 images left out; first: .*val1\.png"):
        data.setup("validate")
    assert [name for batch in data.val_dataloader() for name in batch["name"]] == ["val0", "val2"]
    with pytest.raises(SemcompError, match=r"val1\.png: not a readable image"):
        module(source, tmp_path / "cache").setup("validate")


def test_without_a_size_images_are_evaluated_whole_and_trained_on_by_crops(folder_root: Path) -> None:
    first = folder_root / "train" / "train0.png"
    size = Image.open(first).size
    for file in (first, folder_root / "trainannot" / "train0.png", folder_root / "val" / "val0.png"):
        Image.open(file).transpose(Image.Transpose.ROTATE_90).save(file)
    Image.open(folder_root / "valannot" / "val0.png").transpose(Image.Transpose.ROTATE_90).save(
        folder_root / "valannot" / "val0.png"
    )
    source = Folder(str(folder_root), masks="annot", classes=["sky", "road", "car", "tree"], ignore_id=4)
    data = ImageDataModule(source, size=None, crop_size=(8, 16), batch_size=5, num_workers=0)
    data.setup("fit")
    (batch,) = data.train_dataloader()
    assert batch["image"].shape == (5, 3, 8, 16)
    assert [tuple(batch["image"].shape[-2:]) for batch in data.val_dataloader()] == [size, *[size[::-1]] * 2]
    assert sum(data.class_shares()) == pytest.approx(1)
    data = ImageDataModule(source, size=None, num_workers=0)
    data.setup("fit")
    with pytest.raises(SemcompError, match=r"give --data\.crop_size"):
        data.train_dataloader()
