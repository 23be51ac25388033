"""The sheet of pictures: which codecs and images stand in it, and what is said of them."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from semcomp_pl.compare.measure.pictures import picture_path
from semcomp_pl.compare.report.figures import standing_at
from semcomp_pl.compare.report.sheet import reconstructions
from semcomp_pl.compare.rows import read_results
from tests.compare.results import write_directory


@pytest.mark.parametrize(("columns", "expected"), [(1, 1), (2, 2), (8, 4)])
def test_every_codec_of_the_lowest_rate_that_most_reach(tmp_path: Path, columns: int, expected: int) -> None:
    summary = write_directory(tmp_path, pictures=4)
    results = read_results(tmp_path / "results.parquet")
    figure = reconstructions(tmp_path, summary, results, columns)
    assert figure is not None
    points = {one.target: standing_at(summary, one.target) for one in summary.at_rates}
    most = max(map(len, points.values()))
    chosen = points[min(target for target, found in points.items() if len(found) == most)]
    titles = [axes.get_title("left") for axes in figure.axes[::expected]]
    assert titles == ["original", *(one.codec for one in chosen)]
    assert len(figure.axes) == expected * len(titles)
    axes, one, image = figure.axes[expected], chosen[0], summary.images[0]
    with Image.open(picture_path(tmp_path, image, one.codec, one.point)) as picture:
        shown = np.asarray(axes.images[0].get_array())
        np.testing.assert_array_equal(np.round(shown * 255).astype(np.uint8), np.asarray(picture))
    row = results.rows.filter(codec=one.codec, point=one.point, image=image).row(0, named=True)
    assert axes.texts[0].get_text() == f"{row['bpp']:.3f} bpp, {row['psnr']:.1f} dB"
    assert figure.axes[0].texts[0].get_text() == ""


def test_images_that_a_codec_lacks_are_left_out(tmp_path: Path) -> None:
    summary = write_directory(tmp_path, pictures=2)
    results = read_results(tmp_path / "results.parquet")
    for file in (tmp_path / "pictures").rglob("*.png"):
        if file.is_relative_to(tmp_path / "pictures" / summary.images[0]) and "original" not in file.parts:
            file.unlink()
    figure = reconstructions(tmp_path, summary, results)
    assert figure is not None
    rows = results.rows.filter(pl.col("image") == summary.images[1])
    captions = {f"{row['bpp']:.3f} bpp, {row['psnr']:.1f} dB" for row in rows.iter_rows(named=True)}
    assert {axes.texts[0].get_text() for axes in figure.axes[1:]} <= captions


def test_no_pictures_no_sheet(tmp_path: Path) -> None:
    summary = write_directory(tmp_path, pictures=0)
    assert reconstructions(tmp_path, summary, read_results(tmp_path / "results.parquet")) is None
