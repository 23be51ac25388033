"""Figures: what stands in them, and that files are the same for the same numbers."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
from matplotlib.container import ErrorbarContainer
from PIL import Image

from semcomp_pl.compare.report.figures import colour, curves, marker, perception, write_figures
from semcomp_pl.compare.rows import Results, table
from semcomp_pl.compare.statistics.summarise import summarise
from semcomp_pl.compare.summary import Summary
from tests.compare.rows import street_results


@pytest.fixture(scope="module")
def summary() -> Summary:
    return summarise(street_results(5), draws=100)


def test_colour_and_marker_tell_codecs_apart() -> None:
    codecs = [f"codec {i}" for i in range(42)]
    looks = {(colour(codec, codecs), marker(codec, codecs)) for codec in codecs}
    assert len(looks) == 42
    assert len({colour(codec, codecs) for codec in codecs[:6]}) == 6


def test_labels_fit_their_axis(summary: Summary) -> None:
    for metric in summary.metrics:
        figure = curves(summary, metric)
        figure.draw_without_rendering()
        label = figure.axes[0].yaxis.label.get_window_extent()
        assert 0 <= label.y0 < label.y1 <= figure.bbox.height, metric


def test_a_codec_without_the_metric_is_not_in_the_legend(summary: Summary) -> None:
    (axes,) = curves(summary, "latent_iou").axes
    assert [one.get_label() for one in axes.containers] == summary.codecs[:4]


@pytest.mark.parametrize("log", [True, False])
def test_curves_show_every_point_with_its_interval(summary: Summary, log: bool) -> None:
    (axes,) = curves(summary, "psnr", log=log).axes
    assert axes.get_xscale() == ("log" if log else "linear")
    assert axes.get_ylabel() == "PSNR (dB), higher is better"
    assert "bits per pixel" in axes.get_xlabel()
    drawn = {str(one.get_label()): one for one in axes.containers if isinstance(one, ErrorbarContainer)}
    assert list(drawn) == summary.codecs
    for codec, one in drawn.items():
        points = summary.curve(codec)
        expected = [(point.bpp.value, point.metrics["psnr"].value) for point in points if point.bpp]
        assert one.lines[0].get_xydata() == pytest.approx(np.array(expected))
        assert one.lines[0].get_color() == colour(codec, summary.codecs)
        low, high = one.lines[2][1].get_segments()[0][:, 1]
        assert (low, high) == pytest.approx((points[0].metrics["psnr"].low, points[0].metrics["psnr"].high))


@pytest.mark.parametrize("rates", [(0.049,), (0.0504, 0.0529), (0.103, 0.118), (4.9, 7.3), (0.01, 1.0)])
def test_the_axis_of_rates_always_has_labels(rates: tuple[float, ...]) -> None:
    side = 1000
    row = {"codec": "one", "kind": "model", "image": "a", "status": "ok", "height": side, "width": side, "psnr": 20.0}
    sizes = [round(rate * side * side / 8) for rate in rates]
    rows = [{**row, "point": str(size), "bytes": size, "bpp": 8 * size / side / side} for size in sizes]
    figure = curves(summarise(Results(table(rows), {}), draws=10), "psnr")
    figure.draw_without_rendering()
    axes = figure.axes[0].xaxis
    low, high = axes.get_view_interval()
    seen = [str(label.get_text()) for label in axes.get_ticklabels() if low <= label.get_position()[0] <= high]
    assert len({*filter(None, seen)}) >= 2


def test_the_ceiling_is_dashed_where_it_says_something(summary: Summary) -> None:
    dashed = [line for line in curves(summary, "miou").axes[0].lines if line.get_label() == "uncompressed"]
    assert [line.get_linestyle() for line in dashed] == ["--"]
    assert not [line for line in curves(summary, "lpips").axes[0].lines if line.get_label() == "uncompressed"]


def test_perception_over_distortion_has_one_point_a_codec(summary: Summary) -> None:
    figure = perception(summary, 0.1)
    assert figure is not None
    (axes,) = figure.axes
    assert len(axes.containers) == len(summary.codecs)
    assert axes.get_ylabel() == "LPIPS, lower is better"
    low, high = axes.get_ylim()
    assert low > high
    assert perception(summary, 0.001) is None
    fid = perception(summary, 0.1, "fid")
    assert fid is not None
    assert fid.axes[0].get_ylabel() == "FID, lower is better"


def test_files_are_complete_and_reproducible(summary: Summary, tmp_path: Path) -> None:
    small = summarise(
        Results(
            street_results(3).rows.select(pl.exclude("lpips", "latent_iou", "accuracy")), {"classes": summary.classes}
        ),
        draws=50,
    )
    for directory in ("one", "two"):
        (tmp_path / directory).mkdir()
        names = write_figures(small, tmp_path / directory)
    assert {"psnr", "psnr_linear", "miou", "miou_linear"} <= set(names)
    assert "perception_0.06" not in names  # no metric of perception is left
    for name in names:
        assert ElementTree.parse(tmp_path / "one" / f"{name}.svg").getroot().tag.endswith("svg")
        with Image.open(tmp_path / "one" / f"{name}.png") as image:
            assert image.width > 1000
        for suffix in ("svg", "png"):
            files = [tmp_path / directory / f"{name}.{suffix}" for directory in ("one", "two")]
            assert files[0].read_bytes() == files[1].read_bytes()
