"""Every data set in its real layout: samples, train ids, and what is wrong with a broken one."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat, savemat
from torchvision.datasets import Cityscapes as Torchvision

from semcomp_pl.data import Cityscapes, CocoStuff10k, CocoStuff164k, Folder, ImageSource, StreetScenes
from semcomp_pl.data.coco_stuff import NAMES
from semcomp_pl.errors import SemcompError


def folder(root: Path) -> Folder:
    return Folder(str(root), masks="annot", classes=["sky", "road", "car", "tree"], ignore_id=4)


def test_folder_lists_pairs_by_name(folder_root: Path) -> None:
    samples = folder(folder_root).samples("train")
    assert [sample.name for sample in samples] == [f"train{i}" for i in range(5)]
    for sample in samples:
        assert sample.image == folder_root / "train" / f"{sample.name}.png"
        assert sample.label == folder_root / "trainannot" / f"{sample.name}.png"


def test_ignored_ids_become_255_and_others_stay(folder_root: Path) -> None:
    path = folder_root / "trainannot" / "train0.png"
    raw = np.asarray(Image.open(path))
    found = folder(folder_root).read_label(path)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.where(raw == 4, 255, raw))
    assert set(np.unique(raw)) == {0, 1, 2, 3, 4, 255}


@pytest.mark.parametrize("wrong", [5, 254, 256, 65535])
def test_id_outside_the_taxonomy_names_file_and_value(folder_root: Path, wrong: int) -> None:
    path = folder_root / "trainannot" / "train0.png"
    ids = np.zeros((20, 30), np.uint16)
    ids[3, 4] = wrong
    Image.fromarray(ids).save(path)
    with pytest.raises(SemcompError, match=rf"train0\.png: label id {wrong} found, expected one of 0\.\.4, 255"):
        folder(folder_root).read_label(path)


def test_missing_and_orphaned_masks_in_one_message(folder_root: Path) -> None:
    for i in range(3):
        (folder_root / "trainannot" / f"train{i}.png").unlink()
    Image.new("L", (30, 20)).save(folder_root / "trainannot" / "stray.png")
    with pytest.raises(
        SemcompError, match=r"3 \(train0, train1, train2\) images without.*1 \(stray\) masks without image"
    ):
        folder(folder_root).samples("train")


def test_five_names_of_many_are_listed(folder_root: Path) -> None:
    for i in range(7):
        Image.new("RGB", (30, 20)).save(folder_root / "val" / f"x{i}.png")
    with pytest.raises(SemcompError, match=r"7 \(x0, x1, x2, x3, x4, \.\.\.\) images without"):
        folder(folder_root).samples("val")


def test_shared_names_are_listed(folder_root: Path) -> None:
    Image.new("RGB", (30, 20)).save(folder_root / "train" / "train0.jpg")
    with pytest.raises(SemcompError, match=r"train: 1 \(train0\.jpg\) share their names"):
        folder(folder_root).samples("train")


def test_empty_missing_and_unnamed_splits_are_told_apart(folder_root: Path) -> None:
    shutil.rmtree(folder_root / "val")
    with pytest.raises(SemcompError, match="val: no such directory"):
        folder(folder_root).samples("val")
    (folder_root / "val").mkdir()
    (folder_root / "val" / "Thumbs.db").touch()
    with pytest.raises(SemcompError, match="val: no image"):
        folder(folder_root).samples("val")
    with pytest.raises(SemcompError, match="no test directory was named"):
        folder(folder_root).samples("test")


def test_images_alone(folder_root: Path) -> None:
    source = Folder(str(folder_root / "train"), train=".", val=".", test=".")
    assert source.num_classes == 0
    assert [s.name for s in source.samples("test")] == [f"train{i}" for i in range(5)]
    assert all(s.label is None for s in source.samples("val"))


@pytest.mark.parametrize(("split", "count"), [("train", 5), ("val", 2)])
def test_cityscapes_finds_the_files_that_torchvision_finds(cityscapes_root: Path, split: str, count: int) -> None:
    reference = Torchvision(str(cityscapes_root), split=split, mode="fine", target_type=["semantic", "instance"])
    samples = Cityscapes(str(cityscapes_root)).samples(split)  # type: ignore[arg-type]
    assert len(samples) == count
    assert {(str(s.image), str(s.label), str(s.instance)) for s in samples} == {
        (image, *targets) for image, targets in zip(reference.images, reference.targets, strict=True)
    }


def test_cityscapes_train_ids(cityscapes_root: Path) -> None:
    source = Cityscapes(str(cityscapes_root))
    assert source.num_classes == 19
    assert (source.classes[0], source.classes[10], source.classes[18]) == ("road", "sky", "bicycle")
    official = {c.id: c for c in Torchvision.classes}
    for sample in source.samples("val"):
        assert sample.label is not None
        raw = np.asarray(Image.open(sample.label))
        found = source.read_label(sample.label)
        for i in np.unique(raw):
            assert set(found[raw == i]) == {official[i].train_id}
            if official[i].train_id != 255:
                assert source.classes[official[i].train_id] == official[i].name


def test_cityscapes_instances_are_single_things(cityscapes_root: Path) -> None:
    source = Cityscapes(str(cityscapes_root))
    sample = source.samples("train")[0]
    assert sample.instance is not None
    raw = np.asarray(Image.open(sample.instance))
    found = source.read_instance(sample)
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found[raw >= 1000], raw[raw >= 1000])
    assert (found[raw < 1000] == 0).all()
    assert (raw >= 1000).any()


def test_cityscapes_test_split_has_no_labels(cityscapes_root: Path) -> None:
    (sample,) = Cityscapes(str(cityscapes_root)).samples("test")
    assert (sample.name, sample.label, sample.instance) == ("bonn_000000_000019", None, None)


@pytest.mark.parametrize("kind", ["labelIds", "instanceIds"])
def test_cityscapes_with_missing_truth(cityscapes_root: Path, kind: str) -> None:
    next((cityscapes_root / "gtFine" / "train" / "bochum").glob(f"*_{kind}.png")).unlink()
    with pytest.raises(SemcompError, match=r"gtFine/train: 1 \(bochum_00000\d_000019\) images without"):
        Cityscapes(str(cityscapes_root)).samples("train")


def test_cityscapes_without_gtfine_or_images(cityscapes_root: Path) -> None:
    shutil.rmtree(cityscapes_root / "gtFine")
    with pytest.raises(SemcompError, match="gtFine/val: no such directory"):
        Cityscapes(str(cityscapes_root)).samples("val")
    shutil.rmtree(cityscapes_root / "leftImg8bit" / "val" / "lindau")
    with pytest.raises(SemcompError, match=r"leftImg8bit/val: no \*/\*_leftImg8bit.png found"):
        Cityscapes(str(cityscapes_root)).samples("val")


def test_cityscapes_has_no_id_34(cityscapes_root: Path) -> None:
    source = Cityscapes(str(cityscapes_root))
    label = source.samples("train")[0].label
    assert label is not None
    Image.fromarray(np.full((20, 30), 34, np.uint8)).save(label)
    with pytest.raises(SemcompError, match=r"label id 34 found, expected one of 0\.\.33"):
        source.read_label(label)


def test_street_scenes_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = StreetScenes(train=2, val=1, test=1, size=(48, 96), seed=3)
    with pytest.raises(SemcompError, match="no such directory"):
        source.samples("train")
    source.prepare()
    assert [len(source.samples(split)) for split in ("train", "val", "test")] == [2, 1, 1]
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "data/streets").rglob("*.png")}
    source.prepare()
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "data/streets").rglob("*.png")} == before
    label = source.samples("train")[0].label
    assert label is not None
    assert source.read_label(label).shape == (48, 96)


def test_a_place_that_was_named_is_read_and_never_drawn_in(tmp_path: Path) -> None:
    for place in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(SemcompError, match=f"{place}: nothing found, expected street scenes, .* leave it out"):
            StreetScenes(str(place)).prepare()
    assert not list(tmp_path.iterdir())


def test_coco_taxonomy() -> None:
    assert len(set(NAMES)) == len(NAMES) == 182
    ten, full = CocoStuff10k(contiguous=False), CocoStuff164k(contiguous=False)
    assert ten.classes == full.classes == NAMES
    assert CocoStuff10k().classes == CocoStuff164k().classes
    assert CocoStuff10k().num_classes == 171
    # numbers as printed in the official list, https://github.com/nightrome/cocostuff/blob/master/labels.md
    official = {1: "person", 13: "stop sign", 90: "toothbrush", 92: "banner", 149: "road", 169: "tree", 182: "wood"}
    for small in (CocoStuff10k(), ten):
        assert {i: small.classes[small.train_ids[i]] for i in official} == official
    for large in (CocoStuff164k(), full):
        assert {i: large.classes[large.train_ids[i - 1]] for i in official} == official
    assert sorted(set(CocoStuff164k().train_ids.values())) == [*range(171), 255]


def test_coco_10k_splits_are_the_official_lists(coco_10k_root: Path) -> None:
    source = CocoStuff10k(str(coco_10k_root))
    assert [s.name[-3:] for s in source.samples("train")] == ["077", "034"]
    assert [s.name[-3:] for s in source.samples("val")] == ["009"]
    assert source.samples("val") == source.samples("test")


@pytest.mark.parametrize("contiguous", [True, False])
def test_coco_10k_labels(coco_10k_root: Path, contiguous: bool) -> None:
    source = CocoStuff10k(str(coco_10k_root), contiguous)
    label = source.samples("train")[0].label
    assert label is not None
    raw = loadmat(label)["S"]
    found = source.read_label(label)
    assert (found[raw == 0] == 255).all()
    for i in np.unique(raw[raw > 0]):
        (train_id,) = set(found[raw == i])
        assert source.classes[train_id] == NAMES[i - 1]
        assert contiguous or train_id == i - 1


@pytest.mark.parametrize(("folder_name", "kind"), [("images", "image"), ("annotations", "annotation")])
def test_coco_10k_incomplete(coco_10k_root: Path, folder_name: str, kind: str) -> None:
    next((coco_10k_root / folder_name).glob("*077.*")).unlink()
    with pytest.raises(SemcompError, match=rf"1 \(COCO_train2014_000000000077\) of the 2 names .* no {kind}"):
        CocoStuff10k(str(coco_10k_root)).samples("train")


def test_coco_10k_lists_are_checked(coco_10k_root: Path) -> None:
    file = coco_10k_root / "imageLists" / "train.txt"
    file.write_text(file.read_text() * 2)
    with pytest.raises(SemcompError, match=r"4 names, 2 \(.*\) of them twice"):
        CocoStuff10k(str(coco_10k_root)).samples("train")
    file.write_text("")
    with pytest.raises(SemcompError, match="0 names"):
        CocoStuff10k(str(coco_10k_root)).samples("train")
    file.unlink()
    with pytest.raises(SemcompError, match=r"train\.txt: No such file"):
        CocoStuff10k(str(coco_10k_root)).samples("train")


@pytest.mark.parametrize("damage", ["truncated", "no S", "empty", "version 1.0"])
def test_a_broken_mat_file_of_coco_10k_is_named(coco_10k_root: Path, damage: str) -> None:
    source = CocoStuff10k(str(coco_10k_root))
    label = source.samples("train")[0].label
    assert label is not None
    if damage == "truncated":
        label.write_bytes(label.read_bytes()[:400])
    elif damage == "empty":
        label.write_bytes(b"")
    elif damage == "no S":
        savemat(label, {"T": np.zeros((2, 2))})
    else:  # the header of a MATLAB 7.3 file, which is HDF5
        label.write_bytes(b"MATLAB 7.3 MAT-file".ljust(116) + bytes(8) + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n")
    with pytest.raises(SemcompError, match="version 1.0 of" if damage == "version 1.0" else "no readable label map S"):
        source.read_label(label)


@pytest.mark.parametrize("contiguous", [True, False])
def test_coco_164k_labels(coco_164k_root: Path, contiguous: bool) -> None:
    source = CocoStuff164k(str(coco_164k_root), contiguous)
    assert len(source.samples("train")) == 3
    (sample, _) = source.samples("val")
    assert sample.label is not None
    raw = np.asarray(Image.open(sample.label))
    found = source.read_label(sample.label)
    assert (found[raw == 255] == 255).all()
    for i in np.unique(raw[raw < 255]):
        (train_id,) = set(found[raw == i])
        assert source.classes[train_id] == NAMES[i]


def test_coco_164k_instances(coco_164k_root: Path) -> None:
    source = CocoStuff164k(str(coco_164k_root), instances="instances/SPLIT2017")
    sample = source.samples("train")[1]
    assert sample.label is not None
    assert sample.instance is not None
    label, raw = np.asarray(Image.open(sample.label)), np.asarray(Image.open(sample.instance))
    found = source.read_instance(sample)
    np.testing.assert_array_equal(found > 0, label < 91)
    np.testing.assert_array_equal(found[label < 91], raw[label < 91].astype(int) + 1)


def test_a_coco_class_that_never_occurs_is_refused(coco_164k_root: Path) -> None:
    label = coco_164k_root / "annotations" / "val2017" / "000000000139.png"
    Image.fromarray(np.full((20, 30), 11, np.uint8)).save(label)
    with pytest.raises(SemcompError, match=r"label id 11 found, expected one of 0\.\.10, 12\.\.24, "):
        CocoStuff164k(str(coco_164k_root)).read_label(label)
    assert CocoStuff164k(str(coco_164k_root), contiguous=False).read_label(label)[0, 0] == 11


def test_coco_164k_incomplete(coco_164k_root: Path) -> None:
    (coco_164k_root / "annotations" / "train2017" / "000000000025.png").unlink()
    with pytest.raises(SemcompError, match=r"1 \(000000000025\) images without label map"):
        CocoStuff164k(str(coco_164k_root)).samples("train")
    (coco_164k_root / "instances" / "val2017" / "000000000139.png").unlink()
    with pytest.raises(SemcompError, match=r"1 \(000000000139\) images without instance map"):
        CocoStuff164k(str(coco_164k_root), instances="instances/SPLIT2017").samples("val")
    with pytest.raises(SemcompError, match="no labelled test split"):
        CocoStuff164k(str(coco_164k_root)).samples("test")


@pytest.mark.parametrize("source", [Cityscapes, StreetScenes, CocoStuff10k, CocoStuff164k, Folder], ids=str)
def test_missing_root_is_named(tmp_path: Path, source: type[ImageSource]) -> None:
    with pytest.raises(SemcompError, match=r"nowhere/.*[Nn]o such .*--data\.source\.root"):
        source(str(tmp_path / "nowhere")).samples("train")  # type: ignore[call-arg]
