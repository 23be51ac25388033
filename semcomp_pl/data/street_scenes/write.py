"""Writes scenes in Cityscapes' folder layout, completely or not at all."""

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from hashlib import blake2b
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock
from PIL import Image

from semcomp_pl.data.street_scenes.scene import SMALLEST, render
from semcomp_pl.errors import SemcompError
from semcomp_pl.progress import tracked
from semcomp_pl.spawning import end_with_parent

MANIFEST = "street_scenes.json"
# rises with every change that alters a pixel, so that an older folder is not taken for this one
VERSION = 1
CITIES = {
    "train": ("northford", "eastham", "millbruck", "sandhafen"),
    "val": ("westbridge",),
    "test": ("southmere",),
}


class _Job(NamedTuple):
    folder: Path
    split: str
    number: int
    size: tuple[int, int]
    seed: int


def write_street_scenes(
    root: Path,
    *,
    train: int = 96,
    val: int = 24,
    test: int = 8,
    size: tuple[int, int] = (256, 512),
    seed: int = 0,
    workers: int = 0,
    progress: bool = True,
) -> Path:
    """Write street scenes in Cityscapes' official layout; a complete folder is left as it is.

    Files: `leftImg8bit/{split}/{city}/{city}_{seq:06d}_{frame:06d}_leftImg8bit.png` and, for train and val,
    `gtFine/{split}/{city}/..._gtFine_labelIds.png` (8 bits) and `..._gtFine_instanceIds.png` (16 bits), as in
    https://github.com/mcordts/cityscapesScripts. A scene depends only on (seed, split, index, size), and what it shows
    does not depend on the size. `street_scenes.json` marks the folder as complete and holds its parameters.

    Args:
        root: Folder to create: absent, empty, or written by an earlier call with equal parameters.
        train: Number of training scenes.
        val: Number of validation scenes.
        test: Number of scenes of the test split, which has no label files.
        size: Height and width in pixels.
        seed: Seed of the whole data set.
        workers: Number of processes that draw; 0 draws in this process.
        progress: Whether to show a progress bar.

    Returns:
        The root.

    Raises:
        SemcompError: the root holds anything else, or a number is out of range.
    """
    counts = {"train": train, "val": val, "test": test}
    if min(*counts.values(), workers, seed) < 0 or min(size) < SMALLEST:
        raise SemcompError(
            f"Cannot write street scenes with {counts}, size {size}, seed {seed}, workers {workers}: "
            f"give numbers of 0 or more and sides of {SMALLEST} px or more."
        )
    parameters = {"version": VERSION, **counts, "size": list(size), "seed": seed}
    root = Path(root)
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(root.with_name(f".{root.name}.lock")):
        if not _complete(root, parameters):
            staging = root.with_name(f".{root.name}.partial")
            shutil.rmtree(staging, ignore_errors=True)
            jobs = [_Job(staging, split, i, size, seed) for split, count in counts.items() for i in range(count)]
            drawn = _run(jobs, workers)
            for _ in tracked(drawn, "drawing street scenes", len(jobs)) if progress else drawn:
                pass
            staging.mkdir(exist_ok=True)
            (staging / MANIFEST).write_text(json.dumps(parameters, indent=2) + "\n")
            staging.replace(root)
    return root


def _complete(root: Path, parameters: dict[str, object]) -> bool:
    """Whether the root holds exactly this data set; an absent or empty folder does not."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    try:
        found = json.loads((root / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise SemcompError(
            f"{root} exists but has no readable {MANIFEST}, so it is not a folder of street scenes: "
            "choose another folder or remove this one."
        ) from error
    if found != parameters:
        raise SemcompError(
            f"{root} holds street scenes made with {found}, asked for {parameters}: "
            "remove this folder, or ask for the same parameters."
        )
    return True


def _run(jobs: list[_Job], workers: int) -> Iterator[None]:
    if not workers:
        yield from map(_write, jobs)
        return
    # spawned, not forked: the caller may have threads of torch running
    with ProcessPoolExecutor(workers, get_context("spawn"), end_with_parent) as pool:
        yield from pool.map(_write, jobs, chunksize=4)


def scene_seed(seed: int, split: str, index: int) -> int:
    """The seed of one scene, unrelated to those of its neighbours."""
    return int.from_bytes(blake2b(f"{seed}/{split}/{index}".encode(), digest_size=8).digest())


def _write(job: _Job) -> None:
    scene = render(scene_seed(job.seed, job.split, job.number), job.size)
    cities = CITIES[job.split]
    city = cities[job.number % len(cities)]
    stem = f"{city}_{job.number // len(cities):06d}_000019"

    def save(kind: str, suffix: str, picture: Image.Image) -> None:
        folder = job.folder / kind / job.split / city
        folder.mkdir(parents=True, exist_ok=True)
        picture.save(folder / f"{stem}_{suffix}.png", compress_level=1)

    save("leftImg8bit", "leftImg8bit", Image.fromarray(scene.image))
    if job.split != "test":
        save("gtFine", "gtFine_labelIds", Image.fromarray(scene.label_ids))
        save("gtFine", "gtFine_instanceIds", Image.fromarray(scene.instance_ids))
