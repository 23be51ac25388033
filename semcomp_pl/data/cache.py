"""Prepared images in one memory-mapped file each for images, labels and instances.

Decoding a 2048x1024 PNG costs about a hundred times what reading its 256x128 version costs, so it is done
once. A cache is a directory named by a hash of everything that changes its pixels; it appears by one rename,
whole or not at all.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np
import PIL
from filelock import FileLock
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from rich.progress import track

from semcomp_pl.data.frame import Frame, prepare
from semcomp_pl.data.source import ImageSource, Sample
from semcomp_pl.errors import SemcompError

_FORMAT = 1  # raise it when the pixels of an unchanged file change
_DTYPES = {"image": np.uint8, "label": np.uint8, "instance": np.uint16}
OnError = Literal["raise", "skip"]
_Reader = Callable[[Sample], dict[str, NDArray[Any]] | str]


class Store:
    """Read access to a finished cache: `names`, `skipped`, and per-sample arrays by index."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        index = json.loads((directory / "index.json").read_text())
        self.names: list[str] = index["names"]
        self.skipped: list[str] = index["skipped"]
        self.rows: list[int] = index["rows"]
        self.maps = {kind: np.load(directory / f"{kind}.npy", mmap_mode="r") for kind in index["kinds"]}

    def __reduce__(self) -> tuple[type["Store"], tuple[Path]]:
        """Workers reopen the files: a pickled memory map would carry every pixel."""
        return Store, (self.directory,)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> dict[str, NDArray[Any]]:
        """Arrays `image` (H, W, 3) and, where the data have them, `label` and `instance` (H, W)."""
        return {kind: values[self.rows[index]] for kind, values in self.maps.items()}

    def statistics(self) -> tuple[list[float], list[float]]:
        """Channel mean and standard deviation over all pixels, range [0, 1]; measured once and kept."""
        file = self.directory / "statistics.json"
        if not file.exists():
            total, square = np.zeros(3), np.zeros(3)
            for row in self.rows:
                pixels = self.maps["image"][row].reshape(-1, 3) / 255.0
                total, square = total + pixels.mean(0), square + (pixels**2).mean(0)
            mean = total / len(self)
            std = np.sqrt(np.maximum(square / len(self) - mean**2, 0))
            _write_whole(file, json.dumps({"mean": mean.tolist(), "std": std.tolist()}))
        found = json.loads(file.read_text())
        return found["mean"], found["std"]


def build(
    samples: Sequence[Sample],
    source: ImageSource,
    frame: Frame,
    directory: Path,
    *,
    workers: int = 0,
    on_error: OnError = "raise",
) -> Store:
    """Open the cache of `samples` at `frame` below `directory`, building it first where it is not there.

    Safe when many processes ask at once: one builds, the others wait for it.

    Raises:
        SemcompError: the directory cannot be written, or a sample cannot be read (unless `on_error` is skip).
    """
    key = cache_key(samples, source, frame)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with FileLock(directory / f"{key}.lock"):
            if not (directory / key).is_dir():
                _build(samples, source, frame, directory / key, workers, on_error)
    except PermissionError as error:
        raise SemcompError(
            f"cannot write the image cache to {directory} ({error.strerror}); choose another place with "
            "--data.cache_dir"
        ) from None
    return Store(directory / key)


def cache_key(samples: Sequence[Sample], source: ImageSource, frame: Frame) -> str:
    """Hash of the frame, the source's mapping, and the name, size and modification time of every file."""
    files = [
        (sample.name, *((str(path), *_stamp(path)) for path in sample[1:] if path is not None))
        for sample in samples
    ]
    content = [_FORMAT, PIL.__version__, frame, source.key(), files]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:24]


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except FileNotFoundError:
        raise SemcompError(f"{path}: no such file; check the data root") from None
    return status.st_size, status.st_mtime_ns


def _build(
    samples: Sequence[Sample],
    source: ImageSource,
    frame: Frame,
    target: Path,
    workers: int,
    on_error: OnError,
) -> None:
    part = target.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        kinds = ["image", *(kind for kind in ("label", "instance") if getattr(samples[0], kind) is not None)]
        rows, skipped = _fill(
            part, kinds, samples, partial(_read, source=source, frame=frame), workers, on_error
        )
        names = [samples[row].name for row in rows]
        index = {"names": names, "rows": rows, "kinds": kinds, "skipped": skipped}
        (part / "index.json").write_text(json.dumps(index))
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _fill(
    part: Path, kinds: list[str], samples: Sequence[Sample], read: _Reader, workers: int, on_error: OnError
) -> tuple[list[int], list[str]]:
    """Write one row per sample; return the rows that hold an image, and the messages of those that do not."""
    rows: list[int] = []
    skipped: list[str] = []
    maps: dict[str, NDArray[Any]] = {}
    with ProcessPoolExecutor(workers, get_context("spawn")) if workers > 1 else nullcontext() as pool:
        results = pool.map(read, samples, chunksize=8) if pool else map(read, samples)
        for row, result in enumerate(track(results, f"Caching {part.stem}", len(samples), transient=True)):
            if isinstance(result, str):
                if on_error == "raise":
                    raise SemcompError(result)
                skipped.append(result)
                continue
            for kind in kinds:
                if kind not in maps:
                    shape = (len(samples), *result[kind].shape)
                    maps[kind] = open_memmap(part / f"{kind}.npy", "w+", _DTYPES[kind], shape)
                maps[kind][row] = result[kind]
            rows.append(row)
    if not rows:
        raise SemcompError(f"none of the {len(samples)} images can be read; the first error: {skipped[0]}")
    for values in maps.values():
        values.flush()
    return rows, skipped


def _read(sample: Sample, source: ImageSource, frame: Frame) -> dict[str, NDArray[Any]] | str:
    """The prepared sample, or the message of its error: exceptions would stop the whole pool."""
    try:
        return prepare(sample, source, frame)
    except SemcompError as error:
        return str(error)


def _write_whole(file: Path, text: str) -> None:
    part = file.with_suffix(f".{os.getpid()}.part")
    part.write_text(text)
    part.replace(file)
