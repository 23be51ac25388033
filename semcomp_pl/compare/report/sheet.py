"""A sheet of pictures for paper and README: every codec's reconstructions of a few images, at one target rate."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from semcomp_pl.compare.measure.pictures import picture_path
from semcomp_pl.compare.measure.plan import spread
from semcomp_pl.compare.report.answer import main_rate
from semcomp_pl.compare.report.figures import standing_at
from semcomp_pl.compare.rows import Results
from semcomp_pl.compare.summary import Point, Summary


class Strip(NamedTuple):
    """A codec's reconstructions of the same few images."""

    title: str
    images: Tensor
    """Float (N, 3, H, W), range [0, 1]."""
    captions: list[str]
    """N of them."""


def draw_reconstructions(strips: list[Strip]) -> Figure:
    """One row per strip, one column per image, with a caption under each picture."""
    columns = len(strips[0].images)
    height, width = strips[0].images.shape[-2:]
    cell = 3.6
    figure = Figure((cell * columns + 0.3, len(strips) * (cell * height / width + 0.5)), dpi=110, layout="constrained")
    for row, strip in enumerate(strips):
        for column, (image, caption) in enumerate(zip(strip.images, strip.captions, strict=True)):
            axes = figure.add_subplot(len(strips), columns, row * columns + column + 1)
            axes.imshow(image.permute(1, 2, 0).clamp(0, 1).numpy())
            axes.set_axis_off()
            title = strip.title if column == 0 else ""
            axes.set_title(title, loc="left", fontsize=9, fontweight="bold")
            axes.text(1, -0.02, caption, transform=axes.transAxes, fontsize=8, ha="right", va="top")
    return figure


def reconstructions(directory: Path, summary: Summary, results: Results, columns: int = 3) -> Figure | None:
    """The original above every codec's reconstruction, with the rate and PSNR of that very file under each picture.

    The codecs stand at the main rate of the report.

    Args:
        directory: of the results, with `pictures/`.
        summary: of the results.
        results: the rows.
        columns: most images to show, spread over those of the most common size of which every codec has a picture.

    Returns:
        None where no pictures were kept.
    """
    main = main_rate(summary)
    points = standing_at(summary, main.target) if main else []
    shown = [summary.ceiling, *points] if summary.ceiling else points
    there = [{image for image in summary.images if _file(directory, image, one).is_file()} for one in shown]
    sizes = {row[0]: row[1:] for row in results.rows.select("image", "height", "width").iter_rows()}
    images = [image for image in summary.images if there and all(image in known for known in there)]
    commonest = Counter(sizes[image] for image in images).most_common(1)
    images = [image for image in images if sizes[image] == commonest[0][0]]
    if not images:
        return None
    images = [images[place] for place in spread(len(images), columns)]
    return draw_reconstructions([_strip(directory, one, images, results) for one in shown])


def _strip(directory: Path, one: Point, images: list[str], results: Results) -> Strip:
    pictures = [np.array(Image.open(_file(directory, image, one)).convert("RGB")) for image in images]
    rows = results.rows.filter(codec=one.codec, point=one.point, status="ok")
    rates = {row["image"]: f"{row['bpp']:.3f} bpp, {row['psnr']:.1f} dB" for row in rows.iter_rows(named=True)}
    captions = ["" if one.kind == "original" else rates.get(image, "") for image in images]
    return Strip(one.codec, torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2) / 255, captions)


def _file(directory: Path, image: str, one: Point) -> Path:
    return picture_path(directory, image, one.codec, one.point)
