"""The pictures of a report as data URIs, as many and as exact as its size allows.

They are read from `pictures/` of the results, in the layout of `measure/pictures.py`. Reconstructions are stored
without loss if all of them fit, or those at the target rates; else as WebP of quality 90; else for fewer points and
images. Label maps are always stored without loss.
"""

import io
from base64 import b64encode
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import matplotlib
import numpy as np
from PIL import Image

from semcomp_pl.compare.measure.pictures import picture_path
from semcomp_pl.compare.measure.plan import spread
from semcomp_pl.compare.report.answer import main_rate
from semcomp_pl.compare.summary import Point, Summary
from semcomp_pl.errors import SemcompError

Quality = Literal["lossless", "90"]
_CODED = {"lossless": "as lossless WebP", "90": "as WebP of quality 90, which adds faint artefacts of its own"}


@dataclass(frozen=True)
class Gallery:
    """What the image browser shows."""

    images: list[str]
    sources: list[dict[int, tuple[str, str | None]]]
    """For each image: place of the point -> data URIs of picture and coloured label map. The original's place is -1,
    that of a point is its place in `Summary.points`."""
    colours: list[str]
    """Of the classes, `#RRGGBB`."""
    note: str
    """A sentence on how the pictures were chosen and coded; empty where there are none."""


@dataclass(frozen=True)
class _Choice:
    """What to keep."""

    images: list[str]
    points: dict[int, Point]
    said: str
    quality: Quality


def gallery(directory: Path, summary: Summary, limit: int, budget: int) -> Gallery:
    """Choose and encode the pictures of a comparison.

    Args:
        directory: of the results.
        summary: of the results.
        limit: most images to show; they are spread evenly over the images that have pictures.
        budget: most characters of all data URIs together.

    Raises:
        SemcompError: a file is not a picture.
    """
    colours = class_colours(len(summary.classes))
    points = dict(enumerate(summary.points))
    if summary.ceiling:
        points |= {-1: summary.ceiling}
    there = [
        image for image in summary.images if any(_file(directory, image, one).is_file() for one in points.values())
    ]
    known: dict[tuple[Path, Quality], str] = {}
    for choice in _choices(summary, points, there, limit):
        sources = _embed(directory, choice, colours, budget, known)
        if sources is not None:
            count = len(choice.images)
            note = (
                f"{count} of {len(summary.images)} images, {choice.said}, stored {_CODED[choice.quality]}; "
                "label maps are stored without loss."
            )
            return Gallery(choice.images, sources, colours, note if count else "")
    return Gallery([], [], colours, "")


def class_colours(classes: int) -> list[str]:
    """Colours of the classes, `#RRGGBB`: those of a qualitative palette, or hues all around if there are many."""
    name = "tab10" if classes <= 10 else "tab20" if classes <= 20 else "gist_rainbow"
    palette = matplotlib.colormaps[name]
    # a golden step keeps neighbouring ids apart
    places: list[int] | list[float] = list(range(classes)) if classes <= 20 else [i * 0.618 % 1 for i in range(classes)]
    return [matplotlib.colors.to_hex(palette(place)) for place in places]


def _choices(summary: Summary, points: dict[int, Point], images: list[str], limit: int) -> Iterator[_Choice]:
    """From the best to the smallest."""
    at_rates = [{(e.codec, e.point) for e in one.entries if e.point is not None} for one in summary.at_rates]
    main = main_rate(summary)
    subsets: list[tuple[str, dict[int, Point]]] = [
        ("every point", points),
        ("the points that stand for their codecs at the target rates", _only(points, set().union(*at_rates))),
        ("one point per codec", _only(points, at_rates[summary.at_rates.index(main)] if main else set())),
    ]
    count = min(limit, len(images))
    chosen = [images[place] for place in spread(len(images), count)]
    order: list[tuple[int, Quality]] = [(0, "lossless"), (1, "lossless"), (0, "90"), (1, "90"), (2, "90")]
    for place, quality in order:
        yield _Choice(chosen, subsets[place][1], subsets[place][0], quality)
    while count > 1:
        count = count // 2
        few = [images[place] for place in spread(len(images), count)]
        yield _Choice(few, subsets[2][1], subsets[2][0], "90")


def _only(points: dict[int, Point], names: Collection[tuple[str, str | None]]) -> dict[int, Point]:
    return {place: one for place, one in points.items() if place == -1 or (one.codec, one.point) in names}


def _embed(
    directory: Path, choice: _Choice, colours: list[str], budget: int, known: dict[tuple[Path, Quality], str]
) -> list[dict[int, tuple[str, str | None]]] | None:
    """The `Gallery.sources` of a choice; None if they exceed the budget."""
    sources: list[dict[int, tuple[str, str | None]]] = []
    for image in choice.images:
        here: dict[int, tuple[str, str | None]] = {}
        for place, point in choice.points.items():
            file = _file(directory, image, point)
            if not file.is_file():
                continue
            key = (file, choice.quality)
            if key not in known:
                known[key] = _webp(file, choice.quality)
            labels = picture_path(directory, image, point.codec, point.point, ".label.png")
            if (labels, "lossless") not in known and labels.is_file():
                known[labels, "lossless"] = _label_map(labels, colours)
            here[place] = (known[key], known.get((labels, "lossless")))
            budget -= sum(len(uri) for uri in here[place] if uri)
            if budget < 0:
                return None
        sources.append(here)
    return sources


def _file(directory: Path, image: str, point: Point) -> Path:
    return picture_path(directory, image, point.codec, point.point)


def _webp(file: Path, quality: Quality) -> str:
    picture, data = _open(file).convert("RGB"), io.BytesIO()
    if quality == "lossless":
        picture.save(data, "WEBP", lossless=True, quality=20, method=2)
    else:
        picture.save(data, "WEBP", quality=int(quality), method=4)
    return _uri("image/webp", data)


def _label_map(file: Path, colours: list[str]) -> str:
    """A label map in the colours of its classes; ids that are no class are transparent."""
    labels, data = np.asarray(_open(file)), io.BytesIO()
    if labels.dtype != np.uint8 or labels.ndim != 2:
        raise SemcompError(f"{file}: {labels.dtype} of shape {labels.shape} found, expected a mask of 8-bit train ids")
    picture = Image.fromarray(labels).convert("L")
    picture.putpalette(bytes.fromhex("".join(colour[1:] for colour in colours)).ljust(768, b"\0"))
    picture.save(data, "PNG", optimize=True, transparency=bytes([255] * len(colours) + [0] * (256 - len(colours))))
    return _uri("image/png", data)


def _open(file: Path) -> Image.Image:
    try:
        picture = Image.open(file)
        picture.load()
    except OSError as error:
        raise SemcompError(f"{file}: no picture found ({error}); remove it and run the comparison again") from None
    return picture


def _uri(kind: str, data: io.BytesIO) -> str:
    return f"data:{kind};base64,{b64encode(data.getvalue()).decode()}"
