r"""How far the search of reference codecs is from trying everything: a Markdown table.

    python benchmarks/search.py --config configs/data/camvid.yaml --data.source.root data/camvid --images 10

For each format, image and target, `Search` bisects the quality at each downscale; beside it stands the best PSNR among
all qualities at all downscales whose files are no larger than the target. Both see the same files.
"""

import platform
from typing import NamedTuple

import PIL
import torch
from jsonargparse import ArgumentParser
from rich.progress import track
from torch import Tensor

from semcomp_pl.codecs import pillow
from semcomp_pl.codecs.pixels import bpp
from semcomp_pl.codecs.search import DOWNSCALES, Search, psnr_of
from semcomp_pl.data import ImageDataModule


class Tried(NamedTuple):
    """A file of an image."""

    bpp: float
    psnr: float


def main() -> None:
    """Measure and print the table."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--config", action="config")
    parser.add_class_arguments(ImageDataModule, "data")
    parser.add_argument("--formats", type=list[str], default=["WebP", "AVIF", "JPEGXL"], help="names of codecs")
    parser.add_argument("--targets", type=list[float], default=[0.075, 0.1], help="bits per pixel")
    parser.add_argument("--images", type=int, default=10, help="number of images, the first of the split")
    parser.add_argument("--qualities", type=int, default=101, help="how many qualities are tried, from 0")
    config = parser.parse_args()
    data = parser.instantiate(config).data
    data.setup("validate")
    loaded = torch.cat([batch["image"] for batch in data.val_dataloader()])[: config.images]
    print(f"{len(loaded)} images of {tuple(loaded.shape[2:])}; {platform.machine()}, Pillow {PIL.__version__}\n")
    print("| format | target, bpp | images | search, dB | everything, dB | mean difference, dB | largest, dB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in config.formats:
        found = [both(name, image, config.targets, range(config.qualities)) for image in track(loaded, name)]
        for i, target in enumerate(config.targets):
            pairs = [pair for pair in (image[i] for image in found) if pair is not None]
            print(row(name, target, pairs), flush=True)


def both(name: str, image: Tensor, targets: list[float], qualities: range) -> list[tuple[float, float] | None]:
    """PSNR by the search and by trying everything, at each target; None where no file is small enough."""
    codec = getattr(pillow, name)
    search = Search(codec, DOWNSCALES, qualities)
    tried = [try_one(codec, image, quality, scale) for scale in DOWNSCALES for quality in qualities]
    results: list[tuple[float, float] | None] = []
    for target in targets:
        found = search.at(image, target)
        best = max((one.psnr for one in tried if one.bpp <= target), default=None)
        results.append(None if best is None else (-torch.inf if found is None else found.psnr, best))
    return results


def try_one(kind: type[pillow.PillowCodec], image: Tensor, quality: int, downscale: float) -> Tried:
    """Code and decode an image at one quality and downscale."""
    codec = kind(quality, downscale)
    data = codec.compress(image)
    return Tried(bpp(data, image), psnr_of(codec.decompress(data), image))


def row(name: str, target: float, pairs: list[tuple[float, float]]) -> str:
    """A row of the table."""
    if not pairs:
        return f"| {name} | {target:g} | 0 | | | | |"
    search, best = (torch.tensor(values, dtype=torch.float64) for values in zip(*pairs, strict=True))
    gap = best - search
    cells = [len(pairs), *(f"{value:.3f}" for value in (search.mean(), best.mean(), gap.mean(), gap.max()))]
    return f"| {name} | {target:g} | " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    main()
