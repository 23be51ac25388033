"""A sheet of pictures for paper and README: every codec's reconstructions of a few images, at one target rate."""

from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import torch
from matplotlib.figure import Figure
from PIL import Image

from semcomp_pl.compare.measure.pictures import picture_path
from semcomp_pl.compare.report.figures import standing_at
from semcomp_pl.compare.rows import Results
from semcomp_pl.compare.summary import Point, Summary
from semcomp_pl.training.curves import Strip, draw_reconstructions


def reconstructions(directory: Path, summary: Summary, results: Results, columns: int = 3) -> Figure | None:
    """The original above what each codec keeps of it, rate and PSNR of the very file under each picture.

    The rate is the lowest target that the most codecs reach.

    Args:
        directory: of the results, with `pictures/`.
        summary: of them.
        results: the rows.
        columns: images at most, spread over those of the commonest size that every codec shown has a picture of.

    Returns:
        None where no pictures were kept.
    """
    at_rates = [standing_at(summary, one.target) for one in sorted(summary.at_rates, key=lambda one: one.target)]
    points = max(at_rates, key=len, default=[])
    shown = [summary.ceiling, *points] if summary.ceiling else points
    there = [{image for image in summary.images if _file(directory, image, one).is_file()} for one in shown]
    sizes = {row[0]: row[1:] for row in results.rows.select("image", "height", "width").iter_rows()}
    images = [image for image in summary.images if there and all(image in known for known in there)]
    commonest = Counter(sizes[image] for image in images).most_common(1)
    images = [image for image in images if sizes[image] == commonest[0][0]]
    images = [images[place * len(images) // columns] for place in range(columns)] if len(images) > columns else images
    if not images:
        return None
    return draw_reconstructions([_strip(directory, one, images, results) for one in shown])


def _strip(directory: Path, one: Point, images: list[str], results: Results) -> Strip:
    pictures = [np.array(Image.open(_file(directory, image, one)).convert("RGB")) for image in images]
    rows = results.rows.filter(codec=one.codec, point=one.point).filter(pl.col("error").is_null())
    rates = {row["image"]: f"{row['bpp']:.3f} bpp, {row['psnr']:.1f} dB" for row in rows.iter_rows(named=True)}
    captions = ["" if one.kind == "original" else rates.get(image, "") for image in images]
    return Strip(one.codec, torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2) / 255, captions)


def _file(directory: Path, image: str, one: Point) -> Path:
    return picture_path(directory, image, one.codec, one.point)
