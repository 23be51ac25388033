"""A mixture is one source: its images, mapped labels and order are functions of its sources, shares and the seed."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import chisquare

from semcomp_pl.data import Folder, ImageDataModule, Mixture
from semcomp_pl.data.order import EpochSampler, ShardSampler
from semcomp_pl.errors import SemcompError
from tests.data.test_resume import run, saved
from tests.lab import CLASSES as LAB_CLASSES
from tests.lab import Lab, write_noise

CLASSES = {"town": ["sky", "road", "car", "cloud"], "land": ["street", "tree", "heaven"]}
MAPPING = {"town": {"sky": "sky", "road": "road", "cloud": "sky"}, "land": {"street": "road", "heaven": "sky"}}
COUNTS = {"town": 6, "land": 10}
SIZES = {"town": (20, 30), "land": (40, 24)}
SHARES = {"town": 3.0, "land": 1.0}


@pytest.fixture
def root(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Images of two sizes, equally named in both sources, with masks of all classes and 255."""
    for name, count in COUNTS.items():
        for split in ("train", "val"):
            for kind in (split, f"{split}annot"):
                (tmp_path / name / kind).mkdir(parents=True)
            for i in range(count if split == "train" else 3):
                image = rng.integers(0, 256, (*SIZES[name], 3), np.uint8)
                Image.fromarray(image).save(tmp_path / name / split / f"{i}.png")
                mask = rng.choice([*range(len(CLASSES[name])), 255], SIZES[name]).astype(np.uint8)
                Image.fromarray(mask).save(tmp_path / name / f"{split}annot" / f"{i}.png")
    return tmp_path


def folder(root: Path, name: str) -> Folder:
    return Folder(str(root / name), masks="annot", classes=CLASSES[name])


def mixture(root: Path, shares: dict[str, float] | None = SHARES, **options: Any) -> Mixture:
    options = {"classes": ["road", "sky"], "mapping": MAPPING, **options}
    return Mixture({name: folder(root, name) for name in COUNTS}, shares, **options)


def module(source: Mixture, **options: Any) -> ImageDataModule:
    options = {"size": (16, 24), "num_workers": 0, "batch_size": 4, "crop_scale": (0.5, 1.0), **options}
    data = ImageDataModule(source, **options)
    data.setup("fit")
    return data


def seen(data: ImageDataModule, epoch: int = 0) -> Iterator[tuple[str, bytes]]:
    """Names and pixels of an epoch, in their order."""
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    for batch in loader:
        yield from zip(batch["name"], [image.numpy().tobytes() for image in batch["image"]], strict=True)


def test_images_and_mapped_labels_are_those_of_the_files(root: Path) -> None:
    data = module(mixture(root), size=None, crop_size=(8, 8))
    found = {batch["name"][0]: batch for batch in data.val_dataloader()}
    assert list(found) == [f"{name}/{i}" for name in COUNTS for i in range(3)]
    for name in COUNTS:
        common = [{"road": 0, "sky": 1}.get(MAPPING[name].get(cls, ""), 255) for cls in CLASSES[name]]
        for i in range(3):
            batch = found[f"{name}/{i}"]
            pixels, mask = (np.asarray(Image.open(root / name / kind / f"{i}.png")) for kind in ("val", "valannot"))
            expected = np.array([*common, *[255] * 252])[np.minimum(mask, 250)]
            np.testing.assert_array_equal(batch["label"][0], expected)
            np.testing.assert_array_equal((batch["image"][0] * 255).round().permute(1, 2, 0), pixels)


def test_classes_without_a_mapping_keep_their_names(root: Path) -> None:
    source = mixture(root, mapping={"land": MAPPING["land"]})
    label = source.read_maps(source.samples("val")[0])["label"]
    mask = np.asarray(Image.open(root / "town/valannot/0.png"))
    np.testing.assert_array_equal(label, np.where(mask == 1, 0, np.where(mask == 0, 1, 255)))


def test_without_common_classes_there_are_no_labels(root: Path) -> None:
    data = module(Mixture({"a": folder(root, "town"), "b": Folder(str(root / "land"))}))
    assert (data.num_classes, data.parts) == (0, ("a", "b"))
    assert next(iter(data.train_dataloader())).keys() == next(iter(data.val_dataloader())).keys() == {"image", "name"}


@pytest.mark.parametrize("share", [0.03, 0.3, 0.375, 0.5, 0.9])
@pytest.mark.parametrize("world", [1, 2])
def test_shares_are_those_of_every_epoch_and_images_of_a_source_are_alike(root: Path, share: float, world: int) -> None:
    source = mixture(root, {"town": share, "land": 1 - share})
    names = [sample.name for sample in source.samples("train")]
    for kind in (EpochSampler, ShardSampler):
        total: Counter[int] = Counter()
        samplers = [kind(16, 1, world, rank, 7, source.weights(names)) for rank in range(world)]
        for epoch in range(300):
            for sampler in samplers:
                sampler.set_epoch(epoch)
            images = [int(image) for sampler in samplers for image in sampler.order()]
            assert len(images) == 16
            counts = Counter(images)
            assert abs(sum(counts[i] for i in range(6)) - 16 * share) < world
            assert all(abs(counts[i] - 16 * share / 6) < 1 for i in range(6))
            total += counts
        for own in (range(6), range(6, 16)):
            assert chisquare([total[i] for i in own]).pvalue > 1e-4


def test_without_shares_every_image_is_seen_once_in_the_order_of_one_source(root: Path) -> None:
    assert mixture(root, None).weights(["town/0"]) is None
    found = [name for name, _ in seen(module(mixture(root, None)))]
    order = EpochSampler(16, 4).order()
    assert found == [mixture(root).samples("train")[i].name for i in order]


def test_an_image_that_is_drawn_again_is_augmented_anew(root: Path) -> None:
    source = mixture(root, {"town": 30, "land": 1})
    data = module(source)
    first = list(seen(data))
    assert max(Counter(name for name, _ in first).values()) > 2
    assert len(set(first)) == len(first)
    assert first == list(seen(module(source, num_workers=2)))
    assert sorted(first) != sorted(seen(data, 1))


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_divide_an_epoch(root: Path, world: int) -> None:
    source = mixture(root)
    weights = source.weights([sample.name for sample in source.samples("train")])
    whole = EpochSampler(16, 1, weights=weights).rows().tolist()
    own = [EpochSampler(16, 1, world, rank, weights=weights).rows().tolist() for rank in range(world)]
    assert [row for rows in zip(*own, strict=True) for row in rows] == whole[: 16 // world * world]
    assert len({tuple(row) for row in whole}) == 16
    shards = [set(ShardSampler(16, 1, world, rank, weights=weights).order().tolist()) for rank in range(world)]
    assert all(shard <= set(range(rank, 16, world)) for rank, shard in enumerate(shards))


def test_resident_batches_are_the_loaders(root: Path) -> None:
    whole = {"flip": False, "crop_scale": (1.0, 1.0), "size": (20, 30)}
    loaders = [module(mixture(root), resident=resident, **whole).train_dataloader() for resident in (False, True)]
    for epoch in range(3):
        for loader in loaders:
            loader.sampler.set_epoch(epoch)
        for expected, found in zip(*loaders, strict=True):
            assert expected["name"] == found["name"]
            assert torch.equal(expected["label"], found["label"])
            assert torch.equal(expected["image"], found["image"])


@pytest.mark.parametrize("resident", [False, True], ids=["loader", "resident"])
@pytest.mark.filterwarnings("ignore")
def test_a_run_goes_on_with_the_next_batch(tmp_path: Path, rng: np.random.Generator, resident: bool) -> None:
    sources = {}
    for name, count in {"a": 5, "b": 9}.items():
        (tmp_path / name).mkdir()
        sources[name] = Folder(str(write_noise(tmp_path / name, {"train": count, "val": 1}, rng)))
    options: dict[str, Any] = {"source": Mixture({**sources}, {"a": 2, "b": 1}), "resident": resident}
    whole, checkpoints = saved(tmp_path, **options)
    for checkpoint, done in list(checkpoints.items())[::3]:
        assert run(tmp_path, checkpoint=checkpoint, **options) == whole[done:], checkpoint.name
    options["source"] = Mixture({**sources}, {"a": 1, "b": 1})
    with pytest.raises(SemcompError, match="go on with the same images, shares"):
        run(tmp_path, checkpoint=tmp_path / "saved" / "batch_end.2.ckpt", **options)


def test_the_cache_depends_on_the_mapping_not_on_shares(root: Path) -> None:
    cache = module(mixture(root)).store("train").directory
    assert module(mixture(root, None)).store("train").directory == cache
    assert (
        module(mixture(root, mapping={"town": {"sky": "road"}, "land": {"tree": "sky"}})).store("train").directory
        != cache
    )


def test_statistics_count_every_image_once(root: Path) -> None:
    data = module(mixture(root), size=(16, 16))
    pixels = np.concatenate(
        [image["image"].reshape(-1, 3) for image in map(data.store("train").__getitem__, range(16))]
    )
    np.testing.assert_allclose(data.statistics()[0], pixels.mean(0) / 255)
    assert sum(data.class_shares()) == pytest.approx(1)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown source in shares": ({"shares": {"town": 1, "sea": 1}}, "sea found, expected sources: town, land"),
    "unknown source in mapping": ({"mapping": {**MAPPING, "sea": {}}}, "sea found, expected sources"),
    "missing share": ({"shares": {"town": 1}}, "expected a positive one for each of town, land"),
    "share of zero": ({"shares": {"town": 1, "land": 0}}, "expected a positive one"),
    "unknown class": ({"mapping": {"town": {"wall": "road"}}}, "wall found, expected classes of town: sky, road, car"),
    "unknown common class": ({"mapping": {"town": {"sky": "blue"}}}, "blue found, expected common classes: road, sky"),
    "nothing in common": ({"mapping": {"town": MAPPING["town"]}}, "source land without any of the common classes"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_contradictions_are_refused(root: Path, case: str) -> None:
    changes, message = REFUSED[case]
    with pytest.raises(SemcompError, match=message):
        mixture(root, **changes)


def test_bad_names_and_missing_files_are_refused(root: Path) -> None:
    for sources in ({}, {"a/b": folder(root, "town")}):
        with pytest.raises(SemcompError, match="expected one or more, with names without a slash"):
            Mixture({**sources})
    with pytest.raises(SemcompError, match=r"source b: .*no such directory.*check --data\.source\.sources\.b\.root"):
        Mixture({"a": folder(root, "town"), "b": Folder(str(root / "nowhere"))}).samples("train")


@pytest.mark.parametrize("name", ["rate_distortion", "pspnet"])
def test_figures_of_each_source_are_those_of_the_source_alone(name: str, lab: Lab, tmp_path: Path) -> None:
    other = Folder(str(lab.root), train="val", val="train", masks="annot", classes=LAB_CLASSES)
    sources = {"a": lab.data().source, "b": other}
    options: dict[str, Any] = {"size": (32, 64), "num_workers": 0, "cache_dir": str(tmp_path), "eval_batch_size": 2}
    model, trainer = lab.model(name), lab.trainer()

    def validated(source: Any) -> dict[str, float]:
        (found,) = trainer.validate(model, ImageDataModule(source, **options), verbose=False)
        return dict(found)

    found = validated(Mixture({**sources}, classes=LAB_CLASSES))
    key = "miou" if name == "pspnet" else "psnr"
    for part, source in sources.items():
        assert found[f"val/{part}/{key}"] == pytest.approx(validated(source)[f"val/{key}"], rel=1e-6)
    assert found[f"val/a/{key}"] != found[f"val/b/{key}"]
