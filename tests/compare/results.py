"""A directory of results as `semcomp compare` leaves it, with pictures of street scenes and stand-ins for codecs."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from semcomp_pl.compare.measure.pictures import picture_path
from semcomp_pl.compare.rows import Results, write_results
from semcomp_pl.compare.statistics.summarise import summarise
from semcomp_pl.compare.summary import Summary
from semcomp_pl.data.street_scenes import render
from tests.compare.rows import CLASSES, HEIGHT, WIDTH, street_results


def write_directory(directory: Path, results: Results | None = None, *, pictures: int = 3) -> Summary:
    """Rows, summary and pictures of the first images, more blurred where a codec has fewer bits."""
    results = results or street_results(6)
    summary = summarise(results, draws=200)
    write_results(results, directory / "results.parquet")
    summary.write(directory)
    points = [*summary.points, *([summary.ceiling] if summary.ceiling else [])]
    for seed, image in enumerate(summary.images[:pictures]):
        original, labels = scene(seed)
        for one in points:
            rate = one.bpp.value if one.bpp else 1
            blur = 0 if one.kind == "original" else 0.1 / rate if one.kind == "model" else 0.2 / rate
            file = picture_path(directory, image, one.codec, one.point)
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(original).filter(ImageFilter.GaussianBlur(blur)).save(file)
            coarse = (WIDTH // (1 + round(blur)), HEIGHT // (1 + round(blur)))
            seen = Image.fromarray(labels).resize(coarse, Image.Resampling.NEAREST)
            seen.save(picture_path(directory, image, one.codec, one.point, ".label.png"))
    return summary


def scene(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A street (H, W, 3) and its label ids as if they were classes, (H, W), 255 where there is none."""
    drawn = render(seed, (HEIGHT, WIDTH))
    labels = np.asarray(drawn.label_ids, np.uint8)
    return np.asarray(drawn.image, np.uint8), np.where(labels < 4, 255, labels % len(CLASSES)).astype(np.uint8)
