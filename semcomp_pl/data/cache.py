"""A cache of prepared samples, with one memory-mapped file each for images, labels and instances.

Decoding a 2048x1024 PNG takes far longer than reading its 256x128 version, so it is done once. A cache is a directory
named by a hash of everything that affects its pixels; it is created by a single rename, complete or not at all.
"""

import hashlib
import json
import math
import shutil
import warnings
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import PIL
from filelock import FileLock
from numpy.typing import NDArray
from PIL import Image

from semcomp_pl.data.frame import Frame, prepare
from semcomp_pl.data.source import ImageSource, Sample
from semcomp_pl.errors import SemcompError
from semcomp_pl.progress import tracked

_FORMAT = 4  # increase it when the layout of the files, or the pixels of an unchanged image, change
_DTYPES = {"image": np.uint8, "label": np.uint8, "instance": np.uint16}
OnError = Literal["raise", "skip"]
_Prepared = dict[str, NDArray[Any]] | str


class Store:
    """Read access to a complete cache: `names`, `skipped`, and the arrays of each sample by index."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._index = json.loads((directory / "index.json").read_text())
        self.names: list[str] = self._index["names"]
        self.skipped: list[str] = self._index["skipped"]
        shapes = self._index["shapes"]
        self._ends: dict[str, NDArray[np.int64]] = {}
        if all(len(set(map(tuple, own))) == 1 for own in shapes.values()):
            whole = {kind: (len(own), *own[0]) for kind, own in shapes.items()}
        else:
            self._ends = {kind: np.cumsum([math.prod(shape) for shape in own]) for kind, own in shapes.items()}
            whole = {kind: (int(ends[-1]),) for kind, ends in self._ends.items()}
        # arrays (N, H, W, ...); if sizes differ, flat arrays of the values of all images one after another
        self.maps = {kind: np.memmap(directory / kind, _DTYPES[kind], "r", shape=size) for kind, size in whole.items()}

    def __reduce__(self) -> tuple[type["Store"], tuple[Path]]:
        """Pickle the directory only: workers can reopen the files, and a pickled memory map would hold all pixels."""
        return Store, (self.directory,)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> dict[str, NDArray[Any]]:
        """Arrays `image` (H, W, 3) and, if the data have them, `label` and `instance` (H, W)."""
        if not self._ends:
            return {kind: values[index] for kind, values in self.maps.items()}
        shapes = {kind: own[index] for kind, own in self._index["shapes"].items()}
        ends = {kind: int(self._ends[kind][index]) for kind in shapes}
        return {kind: self.maps[kind][ends[kind] - math.prod(s) : ends[kind]].reshape(s) for kind, s in shapes.items()}

    def label_counts(self) -> NDArray[np.int64]:
        """Number of pixels of each id 0..255 in all label maps together."""
        return np.array(self._index["labels"], np.int64)

    def statistics(self) -> tuple[list[float], list[float]]:
        """Channel mean and standard deviation over all pixels, range [0, 1]."""
        return self._index["mean"], self._index["std"]


def build(
    samples: Sequence[Sample],
    source: ImageSource,
    frame: Frame | None,
    directory: Path,
    *,
    workers: int = 0,
    on_error: OnError = "raise",
) -> Store:
    """Open the cache of `samples` at the size `frame` (None: their own sizes) in `directory`; build it if missing.

    Safe for concurrent processes: one builds the cache while the others wait.

    Raises:
        SemcompError: the directory cannot be written, or a sample cannot be read (unless `on_error` is skip).
    """
    if not samples:
        raise SemcompError(f"{source.root}: no image found, expected at least one; check --data.source.root")
    target = directory / cache_key(samples, source, frame)
    if not target.is_dir():  # an existing cache may be in a read-only directory
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with FileLock(target.with_suffix(".lock")):
                if not target.is_dir():
                    _build(samples, partial(_read, source=source, frame=frame), target, workers, on_error)
        except OSError as error:
            raise SemcompError(
                f"{directory}: cannot write the image cache ({error.strerror or error}); choose another place "
                "with --data.cache_dir"
            ) from None
    store = Store(target)
    if store.skipped and on_error == "raise":
        raise SemcompError(_advice(store.skipped[0]))
    return store


def cache_key(samples: Sequence[Sample], source: ImageSource, frame: Frame | None) -> str:
    """Hash of the frame, the source's mapping, and the name, size and modification time of every file."""
    files = [[path and (str(path), *_stamp(path)) for path in sample[1:]] for sample in samples]
    content = [_FORMAT, PIL.__version__, frame, source.key(), [sample.name for sample in samples], files]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:24]


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise SemcompError(f"{path}: {error.strerror}; check --data.source.root") from None
    return status.st_size, status.st_mtime_ns


def _build(
    samples: Sequence[Sample],
    read: partial[_Prepared],
    target: Path,
    workers: int,
    on_error: OnError,
) -> None:
    part = target.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        # a thread changes the filters and restores them while it opens a file; what others restore meanwhile ends with
        # this block, and the filter that all of them set holds throughout
        with warnings.catch_warnings(), closing(_prepared(samples, read, workers)) as results:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            shown = tracked(results, "preparing images", len(samples))
            index = _write(part, samples, shown, on_error)
        (part / "index.json").write_text(json.dumps(index))
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _prepared(samples: Sequence[Sample], read: partial[_Prepared], workers: int) -> Generator[_Prepared]:
    """The prepared samples, in order; a few are read ahead, so that memory holds no more when the disk is slow.

    Threads are enough: Pillow decodes and resizes without Python's lock.
    """
    pool, ahead = ThreadPoolExecutor(max(1, workers)), deque[Future[_Prepared]]()
    try:
        for sample in samples:
            ahead.append(pool.submit(read, sample))
            if len(ahead) > 2 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _write(part: Path, samples: Sequence[Sample], results: Iterable[_Prepared], on_error: OnError) -> dict[str, Any]:
    """Append all samples to the files and return the index.

    Files are not memory-mapped for writing: on a full disk a write raises an error, while storing to a mapped page
    kills the process.
    """
    names: list[str] = []
    skipped: list[str] = []
    shapes: dict[str, list[tuple[int, ...]]] = {}
    counts, ids = np.zeros((3, 256), np.int64), np.zeros(256, np.int64)
    with ExitStack() as files:
        for sample, result in zip(samples, results, strict=True):
            if isinstance(result, str):
                if on_error == "raise":
                    raise SemcompError(_advice(result))
                skipped.append(result)
                continue
            if not names:
                shapes = {kind: [] for kind in result}
                out = {kind: files.enter_context((part / kind).open("wb")) for kind in result}
            for kind, file in out.items():
                file.write(np.ascontiguousarray(result[kind], _DTYPES[kind]).data)
                shapes[kind].append(result[kind].shape)
            counts += [np.bincount(channel, minlength=256) for channel in result["image"].reshape(-1, 3).T]
            if "label" in result:
                ids += np.bincount(result["label"].ravel(), minlength=256)
            names.append(sample.name)
    if not names:
        raise SemcompError(f"none of the {len(samples)} images can be read; the first error: {skipped[0]}")
    return {"names": names, "skipped": skipped, "shapes": shapes, "labels": ids.tolist(), **_moments(counts)}


def _advice(message: str) -> str:
    return f"{message}; or leave out what cannot be read with --data.on_error=skip"


def _moments(counts: NDArray[np.int64]) -> dict[str, list[float]]:
    """Mean and standard deviation, in [0, 1], of each channel from counts (3, 256) of its levels."""
    levels, total = np.arange(256) / 255, counts[0].sum()
    mean = counts @ levels / total
    variance = (counts * (levels - mean[:, None]) ** 2).sum(1) / total
    return {"mean": mean.tolist(), "std": np.sqrt(variance).tolist()}


def _read(sample: Sample, source: ImageSource, frame: Frame | None) -> _Prepared:
    """The prepared sample, or the message of its error, so that the caller can leave the sample out."""
    try:
        return prepare(sample, source, frame)
    except SemcompError as error:
        return str(error)
