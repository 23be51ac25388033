"""Figures: what stands in them, and that files are the same for the same numbers."""

import re
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
import vl_convert
from PIL import Image

from semcomp_pl.compare.report.charts import VEGA_LITE, Spec, looks_of
from semcomp_pl.compare.report.figures import curves, perception, standing_at, write_figures
from semcomp_pl.compare.rows import Results, table
from semcomp_pl.compare.statistics.summarise import summarise
from semcomp_pl.compare.summary import Estimate, Summary
from tests.compare.rows import street_results


@pytest.fixture(scope="module")
def summary() -> Summary:
    return summarise(street_results(5), draws=100)


class Mark(NamedTuple):
    """A mark of a drawn chart."""

    said: str
    x: float
    y: float
    stroke: str


class Drawn:
    """A chart as SVG."""

    def __init__(self, spec: Spec) -> None:
        self.root = ElementTree.fromstring(vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE))
        self.marks = [mark for group in self.groups("mark-symbol role-mark") for mark in map(self._mark, group)]
        self.texts = [text.text or "" for text in self.root.findall(".//{*}text")]

    def groups(self, name: str) -> list[ElementTree.Element]:
        return [one for one in self.root.findall(".//{*}g") if one.get("class", "").startswith(name)]

    @property
    def legend(self) -> list[str]:
        return [text.text or "" for group in self.groups("mark-text role-legend-label") for text in group]

    @property
    def ticks(self) -> list[str]:
        """Of the axis of rates."""
        return [text.text or "" for text in self.groups("mark-text role-axis-label")[0]]

    @staticmethod
    def _mark(path: ElementTree.Element) -> Mark:
        x, y = (float(number) for number in re.findall(r"[-\d.]+", path.attrib["transform"]))
        return Mark(path.attrib["aria-label"], x, y, path.attrib["stroke"])


def said(estimate: Estimate, digits: int) -> str:
    assert estimate.low is not None
    return f"{estimate.value:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


@pytest.mark.parametrize("log", [True, False])
def test_curves_show_every_point_with_its_interval(summary: Summary, log: bool) -> None:
    drawn = Drawn(curves(summary, "psnr", log=log))
    points = [one for one in summary.points if one.bpp]
    assert {mark.said for mark in drawn.marks} == {
        f"{one.codec}, {one.point}: Rate (bpp) {said(one.bpp, 3)}; PSNR (dB) {said(one.metrics['psnr'], 2)}"
        for one in points
        if one.bpp
    }
    assert {mark.stroke for mark in drawn.marks} == {look.colour for look in looks_of(summary).values()}
    known = {f"{one.codec}, {one.point}": one for one in points}
    values = [known[mark.said.partition(":")[0]] for mark in drawn.marks]
    rates = [one.bpp.value for one in values if one.bpp]
    across = np.log(rates) if log else rates
    assert np.corrcoef(across, [mark.x for mark in drawn.marks])[0, 1] == pytest.approx(1)
    psnrs = [one.metrics["psnr"].value for one in values]
    assert np.corrcoef(psnrs, [mark.y for mark in drawn.marks])[0, 1] == pytest.approx(-1)
    assert {"PSNR (dB), higher is better", "Rate of the files (bits per pixel)"} <= {*drawn.texts}
    assert len(drawn.groups("mark-line")) == len(summary.codecs)


def test_a_codec_without_the_metric_is_not_in_the_legend(summary: Summary) -> None:
    assert Drawn(curves(summary, "psnr")).legend == summary.codecs
    assert Drawn(curves(summary, "latent_iou")).legend == summary.codecs[:4]


@pytest.mark.parametrize("rates", [(0.049,), (0.0504, 0.0529), (0.103, 0.118), (4.9, 7.3), (0.01, 1.0)])
def test_the_axis_of_rates_always_has_labels(rates: tuple[float, ...]) -> None:
    side = 1000
    row = {"codec": "one", "kind": "model", "image": "a", "status": "ok", "height": side, "width": side, "psnr": 20.0}
    sizes = [round(rate * side * side / 8) for rate in rates]
    rows = [{**row, "point": str(size), "bytes": size, "bpp": 8 * size / side / side} for size in sizes]
    assert len({*Drawn(curves(summarise(Results(table(rows), {}), draws=10), "psnr")).ticks}) >= 2


def test_the_ceiling_is_drawn_where_it_says_something(summary: Summary) -> None:
    assert "uncompressed" in Drawn(curves(summary, "miou")).texts
    assert "uncompressed" not in Drawn(curves(summary, "lpips")).texts


def test_perception_over_distortion_has_one_point_a_codec(summary: Summary) -> None:
    spec = perception(summary, 0.1)
    assert spec is not None
    drawn = Drawn(spec)
    assert drawn.legend == summary.codecs
    lpips = {f"{one.codec}, {one.point}": one.metrics["lpips"].value for one in standing_at(summary, 0.1)}
    below = [lpips[mark.said.partition(":")[0]] for mark in drawn.marks]
    assert len(below) == len(summary.codecs)
    assert np.corrcoef(below, [mark.y for mark in drawn.marks])[0, 1] == pytest.approx(1), "a lower distance is better"
    assert {"LPIPS, lower is better", "PSNR (dB), higher is better"} <= {*drawn.texts}
    assert perception(summary, 0.001) is None
    fid = perception(summary, 0.1, "fid")
    assert fid is not None
    assert "FID, lower is better" in Drawn(fid).texts


def test_names_are_text_whatever_they_hold() -> None:
    name = "</svg><script>'\"&amp;\\"
    rows = street_results(2).rows.with_columns(pl.col("codec").replace("PlainGAN", name))
    assert name in Drawn(curves(summarise(Results(rows, street_results(2).provenance), draws=10), "psnr")).legend


def test_files_are_complete_and_reproducible(summary: Summary, tmp_path: Path) -> None:
    rows = street_results(3).rows.select(pl.exclude("lpips", "latent_iou", "accuracy", "ms_ssim_4"))
    small = summarise(Results(rows, {"classes": summary.classes}), draws=50)
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
