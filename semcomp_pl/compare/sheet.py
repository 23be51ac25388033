"""A sheet of pictures for paper and README: every codec's reconstructions of a few images, at one target rate."""

from pathlib import Path

import polars as pl
import torch
from matplotlib.figure import Figure
from torchvision.io import ImageReadMode, decode_image

from semcomp_pl.compare.figures import standing_at
from semcomp_pl.compare.pictures import picture_path
from semcomp_pl.compare.rows import Results
from semcomp_pl.compare.summary import Point, Summary
from semcomp_pl.plots import Strip, draw_reconstructions


def reconstructions(directory: Path, summary: Summary, results: Results, columns: int = 3) -> Figure | None:
    """The original above what each codec keeps of it, rate and PSNR of the very file under each picture.

    The rate is the lowest target that the most codecs reach.

    Args:
        directory: of the results, with `pictures/`.
        summary: of them.
        results: the rows.
        columns: images at most, those spread over the ones that every codec shown has a picture of.

    Returns:
        None where no pictures were kept.
    """
    at_rates = [standing_at(summary, one.target) for one in sorted(summary.at_rates, key=lambda one: one.target)]
    points = max(at_rates, key=len, default=[])
    shown = [summary.ceiling, *points] if summary.ceiling else points
    there = [{image for image in summary.images if _file(directory, image, one).is_file()} for one in shown]
    images = [image for image in summary.images if there and all(image in known for known in there)]
    images = [images[place * len(images) // columns] for place in range(columns)] if len(images) > columns else images
    if not images:
        return None
    return draw_reconstructions([_strip(directory, one, images, results) for one in shown])


def _strip(directory: Path, one: Point, images: list[str], results: Results) -> Strip:
    pictures = [decode_image(str(_file(directory, image, one)), ImageReadMode.RGB) / 255 for image in images]
    rows = results.rows.filter(pl.col("codec") == one.codec, pl.col("point") == one.point)
    rates = {row["image"]: f"{row['bpp']:.3f} bpp, {row['psnr']:.1f} dB" for row in rows.iter_rows(named=True)}
    captions = ["" if one.kind == "original" else rates[image] for image in images]
    return Strip(one.codec, torch.stack(pictures), captions)


def _file(directory: Path, image: str, one: Point) -> Path:
    return picture_path(directory, image, one.codec, one.point)
