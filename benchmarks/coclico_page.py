"""Renews figure and tables of docs/results/coclico.md in place; what the page says about them is to be read again.

    python benchmarks/coclico_page.py data/camvid data/comma10k/imgs [MODEL ...]

Compares as configs/compare/coclico.yaml says, on the first 20 images of CamVid's validation split, and goes on with a
comparison that was interrupted. Models named at the end are compared too, such as a PlainGAN with C = 3.
"""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import coclico
from tables import table

from semcomp_pl.cli import main as semcomp
from semcomp_pl.compare.summary import Point, Summary, read_summary

PAGE = Path(__file__).parents[1] / "docs" / "results" / "coclico.md"
METRICS = {
    "miou_ratio": ("mIoU / ceiling", 3),
    "miou_agreement": ("mIoU agreement", 3),
    "feature_distance": ("feature distance", 3),
    "ms_ssim_4": ("MS-SSIM", 3),
    "psnr": ("PSNR, dB", 2),
}
"""Metrics of the tables, with their names there and their digits."""
USUAL, UNGUIDED = ("CoCliCo", "d5C32L4"), ("CoCliCo, not guided to colours", "d5C32L4")
NAMES = {
    ("CoCliCo", "C32L4"): "CoCliCo, vector alone",
    ("CoCliCo", "d6C32L4"): "CoCliCo, vector + 4x2 colours",
    USUAL: "**CoCliCo, vector + 8x4 colours**, the default",
    ("CoCliCo", "d4C32L4"): "CoCliCo, vector + 16x8 colours",
    ("CoCliCo, colours alone", "d5"): "CoCliCo, 8x4 colours alone",
    ("SelectiveGAN, label map alone", "d4C8L5"): "SelectiveGAN, label map alone",
    ("smallest WebP", "q0"): "WebP, smallest file",
}
"""Codec and point of a comparison -> its name on the page, in the page's order."""


def named(point: Point) -> str:
    """The name of a point on the page."""
    channels = re.fullmatch(r"d\d+C(\d+)L\d+", point.point)
    usual = f"{point.codec}, C = {channels[1]}" if channels else f"{point.codec} {point.point}"
    return NAMES.get((point.codec, point.point), usual)


def values(point: Point, *left_out: str) -> dict[str, str]:
    """The metrics of a point as the page writes them; empty where they were not measured."""
    shown = {name: facts for name, facts in METRICS.items() if name not in left_out}
    found = point.metrics
    return {title: f"{found[name].value:.{n}f}" if name in found else "" for name, (title, n) in shown.items()}


def codecs_table(summary: Summary) -> list[str]:
    """The lines of the table of codecs: the page's rows, with further codecs by rate before the last of them."""
    known = [*NAMES]

    def place(point: Point) -> float:
        key = (point.codec, point.point)
        return known.index(key) if key in known else len(known) - 2 + point.sections["total"] / (1 << 24)

    shown = [point for point in summary.points if (point.codec, point.point) != UNGUIDED and point.bpp is not None]
    rows = [{"codec": named(point), **rates(point), **values(point)} for point in sorted(shown, key=place)]
    return table(rows).splitlines()


def rates(point: Point) -> dict[str, str]:
    """Mean bytes of a point's files and bits per pixel."""
    assert point.bpp is not None
    return {"bytes": f"{point.sections['total']:.1f}", "bpp": f"{point.bpp.value:.4f}"}


def guidance_table(summary: Summary, measured: dict[float, tuple[str, str]]) -> list[str]:
    """The lines of the table of the guidance to colours; `measured` has colour errors and seconds by its scale."""
    rows = []
    for name, key, scale in (("guided", USUAL, 1.0), ("not guided", UNGUIDED, 0.0)):
        errors, seconds = measured[scale]
        row = {"": name, **values(summary.point(*key), "ms_ssim_4"), "rms of Y, Cb, Cr in a cell": errors}
        rows.append(row | {"s a picture": seconds})
    return table(rows).splitlines()


def renewed(page: str, lines: Sequence[str]) -> str:
    """A page with the table of the same header replaced.

    Raises:
        ValueError: there is no such table, or several.
    """
    old = re.compile(rf"^{re.escape(lines[0])}\n(\|.*\n)+", re.MULTILINE)
    found, count = old.subn(lambda _: "\n".join(lines) + "\n", page)
    if count != 1:
        raise ValueError(f"{count} tables found that start with {lines[0]}, expected one")
    return found


def main() -> None:
    """Compare, draw and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("streets", help="CamVid's directory")
    parser.add_argument("pictures", help="directory of images for the figure")
    parser.add_argument("models", nargs="*", help="further models to compare")
    parser.add_argument("--model", default="weights/coclico", help="the model of the figure")
    parser.add_argument("--output", default="comparisons/coclico", help="directory of the comparison")
    given = parser.parse_args()
    config = ["--config", "configs/compare/coclico.yaml", "--data.source.root", given.streets, "--output", given.output]
    if semcomp(["compare", *given.models, *config, "--images", "20", "--workers", "1", "--pictures", "0"]):
        raise SystemExit("some files could not be made; see the report")
    summary = read_summary(Path(given.output) / "summary.json")
    measured = coclico.main(given.model, given.pictures, str(PAGE.with_suffix(".jpg")))
    page = renewed(PAGE.read_text(), codecs_table(summary))
    PAGE.write_text(renewed(page, guidance_table(summary, measured)))


if __name__ == "__main__":
    main()
