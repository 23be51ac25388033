"""The procedural data set: Cityscapes' layout and ids, reproducible, varied, natural in its statistics."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from torchvision.datasets import Cityscapes

from semcomp_pl.data.street_scenes import Scene, render, write_street_scenes
from semcomp_pl.data.street_scenes.canvas import Label
from semcomp_pl.data.street_scenes.write import scene_seed
from semcomp_pl.errors import SemcompError

CLASSES = {c.id: c for c in Cityscapes.classes}
TRAINED = {c.id for c in Cityscapes.classes if not c.ignore_in_eval}
SMALL = (64, 128)


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    """The first scenes of the default data set's training split."""
    return [render(scene_seed(0, "train", i), (128, 256)) for i in range(32)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scenes") / "street"
    return write_street_scenes(root, train=5, val=2, test=1, size=SMALL, progress=False)


def test_torchvision_reads_the_folder_as_cityscapes(folder: Path) -> None:
    for split, count in (("train", 5), ("val", 2)):
        data = Cityscapes(str(folder), split=split, mode="fine", target_type=["semantic", "instance"])
        assert len(data) == count
        image, (label, instance) = data[0]
        assert image.mode == "RGB"
        assert image.size == label.size == instance.size == SMALL[::-1]
        assert label.mode == "L"
        assert instance.mode == "I;16"


def test_the_test_split_has_images_only(folder: Path) -> None:
    assert len(list((folder / "leftImg8bit" / "test").rglob("*_leftImg8bit.png"))) == 1
    assert not (folder / "gtFine" / "test").exists()


def test_files_hold_what_render_returns(folder: Path) -> None:
    scene = render(scene_seed(0, "val", 1), SMALL)
    stem = "westbridge_000001_000019"
    image = Image.open(folder / "leftImg8bit" / "val" / "westbridge" / f"{stem}_leftImg8bit.png")
    truth = folder / "gtFine" / "val" / "westbridge"
    np.testing.assert_array_equal(np.asarray(image), scene.image)
    np.testing.assert_array_equal(np.asarray(Image.open(truth / f"{stem}_gtFine_labelIds.png")), scene.label_ids)
    np.testing.assert_array_equal(np.asarray(Image.open(truth / f"{stem}_gtFine_instanceIds.png")), scene.instance_ids)


@pytest.mark.slow
def test_same_bytes_with_two_workers(folder: Path, tmp_path: Path) -> None:
    other = write_street_scenes(tmp_path / "other", train=5, val=2, test=1, size=SMALL, workers=2, progress=False)
    assert contents(other) == contents(folder)


def test_more_scenes_leave_the_first_ones_alone(folder: Path, tmp_path: Path) -> None:
    other = contents(write_street_scenes(tmp_path / "few", train=2, val=1, test=0, size=SMALL, progress=False))
    other.pop("street_scenes.json")
    assert other.items() <= contents(folder).items()


def test_second_call_leaves_a_complete_folder_alone(folder: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    write_street_scenes(folder, train=5, val=2, test=1, size=SMALL, progress=False)
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before


@pytest.mark.parametrize("change", [{"seed": 1}, {"train": 6}, {"size": (96, 192)}], ids=str)
def test_other_parameters_at_the_same_root_are_refused(folder: Path, change: dict[str, object]) -> None:
    wanted: dict[str, object] = {"train": 5, "val": 2, "test": 1, "size": SMALL, **change}
    with pytest.raises(SemcompError, match="asked for"):
        write_street_scenes(folder, progress=False, **wanted)  # type: ignore[arg-type]


def test_foreign_folder_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(SemcompError, match="not a folder of street scenes"):
        write_street_scenes(tmp_path, train=1, val=0, test=0, size=SMALL, progress=False)
    assert [p.name for p in tmp_path.iterdir()] == ["note.txt"]


def test_left_overs_of_a_killed_call_are_swept_away(tmp_path: Path) -> None:
    (tmp_path / ".street.partial" / "gtFine").mkdir(parents=True)
    (tmp_path / ".street.partial" / "stale.png").write_bytes(b"half")
    root = write_street_scenes(tmp_path / "street", train=1, val=0, test=0, size=SMALL, progress=False)
    assert len(contents(root)) == 4
    assert json.loads((root / "street_scenes.json").read_text())["train"] == 1


@pytest.mark.parametrize("bad", [{"train": -1}, {"workers": -1}, {"seed": -1}, {"size": (8, 16)}], ids=str)
def test_senseless_numbers_are_refused(tmp_path: Path, bad: dict[str, object]) -> None:
    with pytest.raises(SemcompError, match="numbers of 0 or more"):
        write_street_scenes(tmp_path / "x", progress=False, **bad)  # type: ignore[arg-type]
    assert not (tmp_path / "x").exists()


def test_labels_carry_cityscapes_names() -> None:
    assert {label.name.lower().replace("_", " "): int(label) for label in Label} == {
        CLASSES[label].name: label for label in Label
    }


def test_every_id_belongs_to_cityscapes(scenes: list[Scene]) -> None:
    assert set(np.unique([s.label_ids for s in scenes])) <= CLASSES.keys()


def test_instances_agree_with_labels(scenes: list[Scene]) -> None:
    for scene in scenes:
        labels, instances = scene.label_ids.astype(int), scene.instance_ids.astype(int)
        assert scene.instance_ids.dtype == np.uint16
        has_instances = np.vectorize(lambda i: CLASSES[i].has_instances)(labels)
        np.testing.assert_array_equal(instances[~has_instances], labels[~has_instances])
        np.testing.assert_array_equal(instances[has_instances] // 1000, labels[has_instances])


def test_scenes_are_rich_in_classes(scenes: list[Scene]) -> None:
    seen = [TRAINED & set(np.unique(s.label_ids).tolist()) for s in scenes]
    assert len(set().union(*seen)) >= 15
    assert sum(len(classes) >= 8 for classes in seen) > 0.9 * len(scenes)


def test_no_class_swallows_the_scenes(scenes: list[Scene]) -> None:
    pixels = Counter(np.concatenate([s.label_ids.ravel() for s in scenes]).tolist())
    assert max(pixels.values()) < 0.6 * pixels.total()
    assert {Label.ROAD, Label.BUILDING, Label.SKY, Label.VEGETATION, Label.CAR} <= {
        i for i, count in pixels.items() if count > 0.02 * pixels.total()
    }


def test_statistics_are_those_of_photographs(scenes: list[Scene]) -> None:
    """Neighbours agree, the spectrum falls about as 1/f, exposure is neither black nor white."""
    grey = np.stack([s.image.mean(axis=-1) for s in scenes])
    for axis in (1, 2):
        a, b = np.delete(grey, -1, axis), np.delete(grey, 0, axis)
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.9
    assert -1.7 < spectral_slope(grey[:, :, :128]) < -0.7
    assert 60 < grey.mean() < 150
    assert (grey.std(axis=(1, 2)) > 15).all()


def spectral_slope(squares: NDArray[np.float64]) -> float:
    """Exponent of the amplitude spectrum over frequency; about -1.2 for photographs (Field 1987)."""
    n = squares.shape[1]
    window = np.hanning(n)[:, None] * np.hanning(n)
    centred = squares - squares.mean(axis=(1, 2), keepdims=True)
    amplitude = np.abs(np.fft.fft2(centred * window)).mean(axis=0)
    cycles = np.hypot(*np.meshgrid(np.fft.fftfreq(n), np.fft.fftfreq(n)))
    band = (cycles > 3 / n) & (cycles < 0.35)
    return float(np.polyfit(np.log(cycles[band]), np.log(amplitude[band]), 1)[0])


def test_label_borders_lie_on_image_borders(scenes: list[Scene]) -> None:
    """Colour changes more across label borders than within regions, and most at no shift at all."""

    def contrast(shift: int) -> float:
        steps = []
        for scene in scenes:
            labels = np.roll(scene.label_ids, shift, axis=1)[:, 8:-8].astype(int)
            change = np.abs(np.diff(scene.image[:, 8:-8].astype(float), axis=1)).mean(axis=-1)
            steps.append(change[np.diff(labels, axis=1) != 0].mean())
        return float(np.mean(steps))

    aligned = contrast(0)
    assert aligned > 1.3 * max(contrast(s) for s in (-3, -2, 2, 3))
    assert aligned > max(contrast(-1), contrast(1))


def test_seeds_differ() -> None:
    a, b = render(1, SMALL), render(2, SMALL)
    assert (a.label_ids != b.label_ids).mean() > 0.05
    assert np.abs(a.image.astype(int) - b.image).mean() > 5


def test_a_seed_is_a_scene() -> None:
    first, second = render(7, SMALL), render(7, SMALL)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("seed", [3, 11])
def test_same_scene_at_any_size(seed: int) -> None:
    small, large = render(seed, SMALL), render(seed, (512, 1024))
    assert (small.label_ids == large.label_ids[4::8, 4::8]).mean() > 0.93
    shrunk = np.asarray(Image.fromarray(large.image).reduce(8), dtype=float)
    assert np.abs(shrunk - small.image).mean() < 10


@pytest.mark.parametrize("size", [(32, 32), (100, 333), (1024, 2048)], ids=str)
def test_odd_and_large_sizes(size: tuple[int, int]) -> None:
    scene = render(5, size)
    assert scene.image.shape == (*size, 3)
    assert scene.label_ids.shape == scene.instance_ids.shape == size


def test_too_small_is_refused() -> None:
    with pytest.raises(SemcompError, match="32 px"):
        render(0, (16, 64))
