"""The cache holds what reading gives, appears whole or not at all, and is renewed when anything changes."""

import json
import multiprocessing
import os
import pickle
import resource
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from semcomp_pl.data import Cityscapes, CocoStuff164k, Folder, ImageSource
from semcomp_pl.data.cache import Store, build, cache_key
from semcomp_pl.data.frame import Frame, prepare
from semcomp_pl.errors import SemcompError

FRAME = Frame(16, 32)
CLASSES = ["sky", "road", "car", "tree"]
FORK = multiprocessing.get_context("fork")  # the classes and the processes below live in this file alone


class Watched(Folder):
    """A folder that notes every label it reads, and kills its own process where the file `die` is there."""

    def read_ids(self, path: Path) -> NDArray[Any]:
        with (self.root / "reads.txt").open("a") as log:
            log.write(f"{path.name}\n")
        if (self.root / "die").exists() and path.name == "train3.png":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read_ids(path)


@pytest.fixture
def source(folder_root: Path) -> Watched:
    return Watched(str(folder_root), masks="annot", classes=CLASSES, ignore_id=4)


def make(source: ImageSource, cache: Path, frame: Frame = FRAME, **options: Any) -> Store:
    return build(source.samples("train"), source, frame, cache, **options)


def finished(cache: Path) -> list[Path]:
    return [path for path in cache.glob("*") if path.is_dir()]


def test_holds_what_reading_gives(cityscapes_root: Path, tmp_path: Path) -> None:
    source = Cityscapes(str(cityscapes_root))
    samples = source.samples("train")
    store = make(source, tmp_path / "cache")
    assert store.names == [sample.name for sample in samples]
    assert len(store) == 5
    for i, sample in enumerate(samples):
        expected = prepare(sample, source, FRAME)
        assert store[i].keys() == {"image", "label", "instance"}
        for kind, values in store[i].items():
            np.testing.assert_array_equal(values, expected[kind])
            assert values.dtype == expected[kind].dtype


def test_images_of_different_sizes_stay_as_they_are(tmp_path: Path, rng: np.random.Generator) -> None:
    pixels = [rng.integers(0, 256, (height, width, 3), np.uint8) for height, width in ((7, 9), (9, 7), (3, 4))]
    for split in ("train", "trainannot"):
        (tmp_path / split).mkdir()
    for i, values in enumerate(pixels):
        Image.fromarray(values).save(tmp_path / "train" / f"{i}.png")
        Image.fromarray(values[..., 0] % 4).save(tmp_path / "trainannot" / f"{i}.png")
    source = Folder(str(tmp_path), masks="annot", classes=CLASSES, ignore_id=4)
    made = build(source.samples("train"), source, None, tmp_path / "cache")
    for store in (made, pickle.loads(pickle.dumps(made))):
        for i, values in enumerate(pixels):
            np.testing.assert_array_equal(store[i]["image"], values)
            np.testing.assert_array_equal(store[i]["label"], values[..., 0] % 4)
    expected = np.concatenate([values.reshape(-1, 3) for values in pixels]) / 255
    np.testing.assert_allclose(made.statistics(), [expected.mean(0), expected.std(0)])


def test_workers_build_the_same_and_name_the_broken_file(cityscapes_root: Path, tmp_path: Path) -> None:
    source = Cityscapes(str(cityscapes_root))
    samples = [s._replace(name=f"{i}{s.name}") for i in range(20) for s in source.samples("train")]
    broken = samples[2].image
    broken.write_bytes(broken.read_bytes()[:300])
    alone, together = (build(samples, source, FRAME, tmp_path / str(n), workers=n, on_error="skip") for n in (0, 2))
    assert together.names == alone.names == [s.name for s in samples if s.image != broken]
    assert together.skipped == alone.skipped
    assert len(together.skipped) == 20
    assert together.skipped[0].startswith(f"{broken}: not a readable image")
    for kind in alone.maps:
        np.testing.assert_array_equal(alone.maps[kind], together.maps[kind])


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_stops_the_reading(source: Watched, tmp_path: Path, workers: int) -> None:
    samples = [sample._replace(name=f"{i}{sample.name}") for i in range(40) for sample in source.samples("train")]
    (source.root / "trainannot" / "train1.png").write_bytes(b"broken")
    with pytest.raises(SemcompError, match=r"train1\.png: not a readable image"):
        build(samples, source, FRAME, tmp_path / "cache", workers=workers)
    assert len((source.root / "reads.txt").read_text().split()) < 20
    assert finished(tmp_path / "cache") == []


def test_threads_refuse_huge_images_and_leave_warnings_alone(
    source: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each thread changes Python's filters of warnings, which all threads share."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)  # Pillow warns about the images of 600
    samples = [sample._replace(name=f"{i}{sample.name}") for i in range(40) for sample in source.samples("train")]
    before, interval = list(warnings.filters), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that threads do get in each other's way
    try:
        with pytest.raises(SemcompError, match=r"none of the 200 images can be read; .*resize the image first"):
            build(samples, source, FRAME, tmp_path / "cache", workers=8, on_error="skip")
    finally:
        sys.setswitchinterval(interval)
    assert warnings.filters == before


def test_workers_use_classes_that_exist_in_this_process_alone(folder_root: Path, tmp_path: Path) -> None:
    class Inverted(Folder):
        def read_ids(self, path: Path) -> NDArray[Any]:
            ids = super().read_ids(path)
            return np.where(ids < 4, 3 - ids, 255)

    source = Inverted(str(folder_root), masks="annot", classes=CLASSES)
    store = make(source, tmp_path / "cache", workers=2)
    for i, sample in enumerate(source.samples("train")):
        np.testing.assert_array_equal(store[i]["label"], prepare(sample, source, FRAME)["label"])


def test_second_call_reads_no_image(source: Watched, tmp_path: Path) -> None:
    first = make(source, tmp_path / "cache")
    reads = (source.root / "reads.txt").read_text()
    second = make(source, tmp_path / "cache")
    assert (source.root / "reads.txt").read_text() == reads
    assert first.directory == second.directory


CHANGES: dict[str, Callable[[Watched], Any]] = {
    "touched image": lambda s: os.utime(s.root / "train" / "train2.png", (1, 1)),
    "other label": lambda s: Image.new("L", (30, 20), 1).save(s.root / "trainannot" / "train2.png"),
    "one image more": lambda s: [
        (s.root / d / "train9.png").write_bytes((s.root / d / "train0.png").read_bytes())
        for d in ("train", "trainannot")
    ],
    "ignored id": lambda s: setattr(s, "ignore_id", 3),
    "class names": lambda s: setattr(s, "classes", ("sky", "road", "bus", "tree")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_key_changes_with_files_and_mapping(source: Watched, change: str) -> None:
    before = cache_key(source.samples("train"), source, FRAME)
    assert cache_key(source.samples("train"), source, FRAME) == before
    CHANGES[change](source)
    assert cache_key(source.samples("train"), source, FRAME) != before


def test_key_changes_with_frame_split_and_class(source: Watched, folder_root: Path) -> None:
    plain = Folder(str(folder_root), masks="annot", classes=CLASSES, ignore_id=4)
    train, val = source.samples("train"), source.samples("val")
    unlabelled = [sample._replace(label=None) for sample in train]
    keys = [
        cache_key(train, source, FRAME),
        cache_key(train, source, Frame(32, 16)),
        cache_key(val, source, FRAME),
        cache_key(unlabelled, source, FRAME),
        cache_key(train, plain, FRAME),
        cache_key(list(reversed(train)), source, FRAME),
    ]
    assert len(set(keys)) == len(keys)


def test_key_changes_with_coco_numbering(coco_164k_root: Path) -> None:
    contiguous, full = (CocoStuff164k(str(coco_164k_root), c) for c in (True, False))
    samples = full.samples("train")
    assert cache_key(samples, contiguous, FRAME) != cache_key(samples, full, FRAME)


def test_changed_image_gives_its_new_pixels(source: Watched, tmp_path: Path) -> None:
    make(source, tmp_path / "cache")
    Image.new("RGB", (30, 20), (1, 2, 3)).save(source.root / "train" / "train1.png")
    assert (make(source, tmp_path / "cache")[1]["image"] == (1, 2, 3)).all()


def test_killed_build_leaves_nothing_and_the_next_one_succeeds(source: Watched, tmp_path: Path) -> None:
    (source.root / "die").touch()
    process = FORK.Process(target=make, args=(source, tmp_path / "cache"))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    key = cache_key(source.samples("train"), source, FRAME)
    assert not (tmp_path / "cache" / key).exists()
    assert (tmp_path / "cache" / f"{key}.part").is_dir()  # or it died too early to prove anything
    (source.root / "die").unlink()
    store = make(source, tmp_path / "cache")
    assert finished(tmp_path / "cache") == [store.directory]
    np.testing.assert_array_equal(store[4]["label"], prepare(source.samples("train")[4], source, FRAME)["label"])


def test_build_killed_at_any_time_leaves_a_whole_cache_or_none(source: Watched, tmp_path: Path) -> None:
    frame, started = Frame(256, 512), time.perf_counter()
    expected = make(source, tmp_path / "expected", frame)
    duration = time.perf_counter() - started
    for fraction in np.linspace(0, 1.5, 25):
        process = FORK.Process(target=make, args=(source, tmp_path / "cache", frame))
        process.start()
        process.join(fraction * duration)
        process.kill()
        process.join()
        for directory in finished(tmp_path / "cache"):
            if directory.suffix != ".part":
                for kind, values in Store(directory).maps.items():
                    np.testing.assert_array_equal(values, expected.maps[kind])
    assert make(source, tmp_path / "cache", frame).names == expected.names


def _build_and_send(source: Watched, cache: Path, start: Any, sent: Any) -> None:
    start.wait()
    store = make(source, cache)
    sent.put((os.getpid(), {kind: np.array(values) for kind, values in store.maps.items()}))


def test_processes_that_ask_at_once_build_once_and_read_the_same(source: Watched, tmp_path: Path) -> None:
    start, sent = FORK.Barrier(3), FORK.Queue()
    processes = [FORK.Process(target=_build_and_send, args=(source, tmp_path / "cache", start, sent)) for _ in range(3)]
    for process in processes:
        process.start()
    found = [sent.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert len({pid for pid, _ in found}) == 3
    assert sorted((source.root / "reads.txt").read_text().split()) == [f"train{i}.png" for i in range(5)]
    for _, maps in found[1:]:
        for kind, values in maps.items():
            np.testing.assert_array_equal(values, found[0][1][kind])


def test_pickled_store_carries_no_pixels(cityscapes_root: Path, tmp_path: Path) -> None:
    store = make(Cityscapes(str(cityscapes_root)), tmp_path / "cache", Frame(128, 256))
    pickled = pickle.dumps(store)
    assert len(pickled) < 1000
    again = pickle.loads(pickled)
    for kind, values in store.maps.items():
        np.testing.assert_array_equal(again.maps[kind], values)


def _build_unprivileged(top: Path, sent: Any) -> None:
    os.chdir(top)  # relative paths need no permission above it
    if os.geteuid() == 0:  # whom permissions do not stop
        os.seteuid(65534)
    source = Folder("folder", masks="annot", classes=CLASSES, ignore_id=4)
    for place in (Path("closed"), Path("closed/below")):
        try:
            make(source, place)
        except SemcompError as error:
            sent.put(str(error))


def test_unwritable_directory_is_a_clear_error(source: Watched, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "closed").mkdir(mode=0o555)
    sent = FORK.Queue()
    process = FORK.Process(target=_build_unprivileged, args=(tmp_path, sent))
    process.start()
    for place in ("closed", "closed/below"):
        start = f"{place}: cannot write the image cache (Permission denied); choose another place with --data.cache_dir"
        assert sent.get(timeout=60) == start
    process.join()


def test_file_in_the_way_is_a_clear_error(source: Watched, tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(SemcompError, match=r"cannot write the image cache .*--data\.cache_dir"):
        make(source, tmp_path / "cache")


def test_finished_cache_is_opened_without_writing(source: Watched, tmp_path: Path) -> None:
    store = make(source, tmp_path / "cache")
    lock = store.directory.with_suffix(".lock")
    lock.unlink(missing_ok=True)
    lock.mkdir()  # nobody can lock now, as on a read-only file system
    assert make(source, tmp_path / "cache").names == store.names


def _build_on_full_disk(source: Watched, cache: Path, sent: Any) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
    try:
        make(source, cache)
    except SemcompError as error:
        sent.put(str(error))


def test_full_disk_is_an_error_that_leaves_nothing(source: Watched, tmp_path: Path) -> None:
    sent = FORK.Queue()
    process = FORK.Process(target=_build_on_full_disk, args=(source, tmp_path / "cache", sent))
    process.start()
    assert "cannot write the image cache (File too large)" in sent.get(timeout=60)
    process.join()
    assert finished(tmp_path / "cache") == []


def test_skip_leaves_broken_files_out_and_says_so(source: Watched, tmp_path: Path) -> None:
    (source.root / "train" / "train0.png").write_bytes(b"broken")
    ids = np.full((20, 30), 77, np.uint8)
    Image.fromarray(ids).save(source.root / "trainannot" / "train3.png")
    store = make(source, tmp_path / "cache", on_error="skip")
    assert store.names == ["train1", "train2", "train4"]
    assert ["train0.png" in store.skipped[0], "train3.png: label id 77" in store.skipped[1]] == [True, True]
    for i, row in enumerate((1, 2, 4)):
        expected = prepare(source.samples("train")[row], source, FRAME)
        np.testing.assert_array_equal(store[i]["image"], expected["image"])
        np.testing.assert_array_equal(store[i]["label"], expected["label"])
    np.testing.assert_allclose(store.statistics()[0], store.maps["image"].mean((0, 1, 2)) / 255, rtol=1e-12)
    with pytest.raises(SemcompError, match=r"train0\.png"):
        make(source, tmp_path / "cache", on_error="raise")


def test_an_error_leaves_nothing(source: Watched, tmp_path: Path) -> None:
    (source.root / "train" / "train4.png").write_bytes(b"broken")
    with pytest.raises(SemcompError, match=r"train/train4\.png: not a readable image"):
        make(source, tmp_path / "cache")
    assert finished(tmp_path / "cache") == []


def test_nothing_readable_is_an_error(source: Watched, tmp_path: Path) -> None:
    for path in (source.root / "train").iterdir():
        path.write_bytes(b"broken")
    with pytest.raises(SemcompError, match=r"none of the 5 images can be read; the first error: .*train0\.png"):
        make(source, tmp_path / "cache", on_error="skip")
    with pytest.raises(SemcompError, match="no image found"):
        build([], source, FRAME, tmp_path / "cache")


def test_statistics_equal_numpy(source: Watched, tmp_path: Path) -> None:
    store = make(source, tmp_path / "cache")
    pixels = np.stack([prepare(s, source, FRAME)["image"] for s in source.samples("train")]).reshape(-1, 3) / 255
    mean, std = store.statistics()
    np.testing.assert_allclose(mean, pixels.mean(0), rtol=1e-12)
    np.testing.assert_allclose(std, pixels.std(0), rtol=1e-12)
    assert json.loads(json.dumps([mean, std])) == [mean, std]
