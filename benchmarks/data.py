"""Images per second from the cache at 256x128, compared with decoding and resizing 2048x1024 PNGs in each epoch.

    python benchmarks/data.py [--images 24] [--seconds 5]

Both ways use one process, include label maps and read files from the page cache: this measures computation, not disks.
"""

import argparse
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL
import torch

from semcomp_pl.data import ImageSource, StreetScenes
from semcomp_pl.data.cache import build
from semcomp_pl.data.datamodule import ImageDataset
from semcomp_pl.data.frame import Frame, prepare

FRAME = Frame(128, 256)
TARGET = 20


def rate(read: Callable[[int], object], count: int, seconds: float) -> float:
    """Calls of `read` per second, over whole epochs, each in a new random order."""
    rng = np.random.default_rng(0)
    read(0)
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        for index in rng.permutation(count):
            read(int(index))
        done += count
    return done / (time.perf_counter() - start)


def measure(source: ImageSource, directory: Path, seconds: float) -> tuple[float, float, float]:
    """Seconds to build the cache, images/s by decoding each time, and images/s from the cache."""
    samples = [sample._replace(instance=None) for sample in source.samples("train")]
    start = time.perf_counter()
    cached = ImageDataset(build(samples, source, FRAME, directory))
    built = time.perf_counter() - start

    def decode(index: int) -> list[torch.Tensor]:
        arrays = prepare(samples[index], source, FRAME)
        image = torch.from_numpy(arrays["image"].copy()).permute(2, 0, 1) / 255
        return [image, torch.from_numpy(arrays["label"]).long()]

    slow = rate(decode, len(samples), seconds)
    return built, slow, rate(cached.__getitem__, len(samples), seconds)


def main() -> None:
    """Write scenes to a temporary directory, measure both ways and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=24, help="procedural street scenes to write and read")
    parser.add_argument("--seconds", type=float, default=5, help="minimum time to measure each way")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        source = StreetScenes(f"{place}/streets", train=options.images, val=0, test=0, size=(1024, 2048))
        source.prepare()
        built, slow, fast = measure(source, Path(place) / "cache", options.seconds)
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, Pillow {PIL.__version__}"
    print(f"{platform.processor() or platform.machine()}, {versions}, NumPy {np.__version__}, 1 process")
    print(f"cache built in           {built:8.1f} s for {options.images} images of 2048x1024")
    print(f"decoding and resizing    {slow:8.1f} images/s")
    print(f"from the cache, 256x128  {fast:8.1f} images/s")
    print(f"ratio                    {fast / slow:8.1f}   (target: at least {TARGET})")


if __name__ == "__main__":
    main()
