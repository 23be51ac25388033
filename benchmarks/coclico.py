"""What CoCliCo's files look like, and how near their pictures come to the colours that were sent.

    python benchmarks/coclico.py weights/coclico data/comma10k/imgs figure.jpg

Draws each image at four operating points with bytes under each, and prints a table: for every point and scale of the
colour guidance the mean size of files, the root mean square difference between cells' mean colours and those of the
original, and seconds of processor time for a picture; then by how many levels pictures of one file differ between one
and two threads, and alone and in a batch. benchmarks/coclico_page.py makes this figure and the tables of the results.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from semcomp_pl import load
from semcomp_pl.codecs.neural import NeuralCodec
from semcomp_pl.files.images import read_image
from semcomp_pl.nets.latent_space import to_ycbcr

POINTS: dict[str, dict[str, Any]] = {
    "vector": {"sends": "vector"},
    "vector + 4x2 colours": {"downsamplings": 6},
    "+ 8x4 colours": {"downsamplings": 5},
    "+ 16x8 colours": {"downsamplings": 4},
}
USUAL = "+ 8x4 colours"
SIZE = (256, 128)
_CAPTION = 16


def cropped(file: Path) -> Tensor:
    """An image (3, 128, 256), cropped to 2:1 at the centre."""
    picture = read_image(file)
    width = min(picture.width, 2 * picture.height)
    left, top = (picture.width - width) // 2, (picture.height - width // 2) // 2
    small = picture.crop((left, top, left + width, top + width // 2)).resize(SIZE, Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(small)).permute(2, 0, 1) / 255


def figure(rows: Sequence[Sequence[tuple[Tensor, str]]]) -> Image.Image:
    """Rows of pictures (3, 128, 256), each with a caption below it."""
    width, height = SIZE[0] + 4, SIZE[1] + _CAPTION
    sheet = Image.new("RGB", (len(rows[0]) * width - 4, len(rows) * height), "white")
    draw = ImageDraw.Draw(sheet)
    for i, row in enumerate(rows):
        for j, (picture, caption) in enumerate(row):
            pixels = (picture * 255).round().byte().permute(1, 2, 0).numpy()
            sheet.paste(Image.fromarray(pixels), (j * width, i * height))
            draw.text((j * width + 2, i * height + SIZE[1] + 2), caption, "black")
    return sheet


def colour_error(decoded: Tensor, original: Tensor, cell: int) -> list[float]:
    """Root mean square differences of Y, Cb and Cr between cells' means, in levels of 0..255."""
    difference = F.avg_pool2d(to_ycbcr(decoded) - to_ycbcr(original), cell)
    return [255 * float(plane.square().mean().sqrt()) for plane in difference.unbind(1)]


def measure(codec: NeuralCodec, images: Tensor, cell: int) -> tuple[list[bytes], Tensor, list[float], float]:
    """Files, decoded images, colour errors, and seconds of processor time for each decoded image."""
    files = codec.compress_batch(images)
    start = time.process_time()
    decoded = torch.stack([codec.decompress(data) for data in files])
    seconds = (time.process_time() - start) / len(files)
    return files, decoded, colour_error(decoded, images, cell), seconds


def repeatability(codec: NeuralCodec, files: Sequence[bytes]) -> dict[str, float]:
    """Largest difference in levels between pictures of one file."""
    torch.set_num_threads(1)
    alone = torch.stack([codec.decompress(data) for data in files])
    found = {"batch": codec.decompress_batch(files)}
    torch.set_num_threads(2)
    found["threads"] = [codec.decompress(data) for data in files]
    return {name: 255 * float((torch.stack(other) - alone).abs().max()) for name, other in found.items()}


def main(model: str, directory: str, target: str) -> dict[float, tuple[str, str]]:
    """Draw and measure; returns colour errors and seconds of the usual point by scale of the colour guidance."""
    usual: dict[float, tuple[str, str]] = {}
    images = torch.stack([cropped(file) for file in sorted(Path(directory).iterdir())[:10]])
    rows: list[list[tuple[Tensor, str]]] = [[(image, "original")] for image in images]
    codec = load(model)  # loads what a first picture would else wait for
    codec.decompress(codec.compress(images[0]))
    print("| sent | colour guidance | bytes | rms of Y, Cb, Cr | s a picture |\n| --- | --- | --- | --- | --- |")
    for name, options in POINTS.items():
        cell = 1 << options.get("downsamplings", 5)
        for scale in (0.0, 1.0) if "downsamplings" in options else (0.0,):
            codec = load(model, options={**options, "colour_guidance": scale})
            codec.decompress(codec.compress(images[0]))
            files, decoded, errors, seconds = measure(codec, images, cell)
            sizes = [len(data) for data in files]
            rms = ", ".join(f"{error:.1f}" for error in errors)
            if name == USUAL:
                usual[scale] = rms, f"{seconds:.2f}"
            print(f"| {name} | {scale:g} | {np.mean(sizes):.1f} (max {max(sizes)}) | {rms} | {seconds:.2f} |")
        for row, picture, data in zip(rows, decoded, files, strict=True):
            row.append((picture, f"{name}: {len(data)} bytes"))
    print("levels between pictures of one file:", repeatability(codec, files[:4]))
    figure(rows).save(target, quality=88)
    return usual


if __name__ == "__main__":
    main(*sys.argv[1:])
