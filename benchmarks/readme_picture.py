"""The picture of the README: images that no model has seen, and what is left of them in files of equal size.

    python benchmarks/readme_picture.py --streets comma10k/imgs --photographs gb82 --output docs/results/pictures.jpg

comma10k (MIT) is at https://github.com/commaai/comma10k, gb82 (CC0) at https://github.com/gianni-rosato/gb82-image-set.
Means over all images are printed.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

import semcomp_pl
from semcomp_pl.codecs import WebP, best_at, bpp
from semcomp_pl.codecs.search import psnr_of
from semcomp_pl.files.images import read_image

MODELS = {"RateDistortion": "rate_distortion", "PlainGAN": "plain_gan"}
SIZES = {"streets": (256, 128), "photographs": (288, 192)}
"""Width and height at which images are coded."""
SHOWN = ("0008_", "0002_", "gb82_dog", "gb82_waves")
"""How the names of the images in the picture start; chosen by eye."""
CELL, GAP, LINE = 304, 6, 32


class Coded(NamedTuple):
    """An image as it comes out of a file."""

    image: Tensor
    size: int
    bpp: float
    psnr: float


def images(directory: Path, size: tuple[int, int]) -> Iterator[tuple[str, Tensor]]:
    """Names and images (3, H, W) of a directory, cropped at the centre and resized to a width and height."""
    for file in sorted(directory.iterdir()):
        whole = read_image(file)
        scale = min(whole.width / size[0], whole.height / size[1])
        across, down = (whole.width - size[0] * scale) / 2, (whole.height - size[1] * scale) / 2
        box = (across, down, whole.width - across, whole.height - down)
        pixels = np.array(whole.resize(size, Image.Resampling.LANCZOS, box))
        yield file.name, torch.from_numpy(pixels).permute(2, 0, 1) / 255


def coded(image: Tensor) -> dict[str, Coded]:
    """What the models make of an image, and WebP at its best PSNR in a file no larger than the larger of theirs."""
    found = {}
    for title, name in MODELS.items():
        codec = semcomp_pl.load(name)
        data = codec.compress(image)
        out = codec.decompress(data)
        found[title] = Coded(out, len(data), bpp(data, image), psnr_of(out, image))
    webp = best_at(image, max(one.bpp for one in found.values()), WebP)
    assert webp is not None
    return {**found, "WebP": Coded(webp.reconstruction, len(webp.data), webp.bpp, webp.psnr)}


def paste(sheet: Image.Image, image: Tensor, column: int, top: int) -> int:
    """Put an image into a column and return where it ends."""
    picture = Image.fromarray(image.mul(255).round().byte().permute(1, 2, 0).numpy())
    height = CELL * picture.height // picture.width
    sheet.paste(picture.resize((CELL, height), Image.Resampling.BICUBIC), (column * (CELL + GAP), top))
    return top + height


def draw(rows: list[tuple[Tensor, dict[str, Coded]]]) -> Image.Image:
    """One row an image, one column a codec, with size and PSNR of each file below."""
    titles = ["Original", *rows[0][1]]
    height = LINE + sum(CELL * image.shape[1] // image.shape[2] + LINE for image, _ in rows)
    sheet = Image.new("RGB", (len(titles) * (CELL + GAP) - GAP, height), "white")
    pen = ImageDraw.Draw(sheet)
    fonts = Path(mpl.get_data_path()) / "fonts" / "ttf"
    bold, plain = (ImageFont.truetype(fonts / f"DejaVuSans{kind}.ttf", 20) for kind in ("-Bold", ""))
    for column, title in enumerate(titles):
        pen.text((column * (CELL + GAP), 4), title, "black", bold)
    top = LINE
    for image, codecs in rows:
        end = paste(sheet, image, 0, top)
        for column, one in enumerate(codecs.values(), start=1):
            paste(sheet, one.image, column, top)
            pen.text((column * (CELL + GAP), end + 2), f"{one.size} bytes, {one.psnr:.1f} dB", "black", plain)
        top = end + LINE
    return sheet


def main() -> None:
    """Code all images, print the means and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in SIZES:
        parser.add_argument(f"--{name}", type=Path, required=True, help="directory of images")
    parser.add_argument("--output", type=Path, required=True, help="JPEG file")
    options = parser.parse_args()
    rows = []
    for name, size in SIZES.items():
        found = [(file, image, coded(image)) for file, image in images(getattr(options, name), size)]
        for codec in found[0][2]:
            every = [one[codec] for *_, one in found]
            rate, quality = mean(one.bpp for one in every), mean(one.psnr for one in every)
            print(f"{name}, {len(found)} images: {codec} {rate:.4f} bpp, {quality:.2f} dB")
        rows += [one[1:] for start in SHOWN for one in found if one[0].startswith(start)]
    draw(rows).save(options.output, quality=90)


if __name__ == "__main__":
    main()
