"""Pictures of a report: what is kept, and how exactly."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semcomp_pl.compare.measure.pictures import picture_path
from semcomp_pl.compare.report.gallery import class_colours, gallery
from semcomp_pl.compare.summary import Summary
from semcomp_pl.errors import SemcompError
from tests.compare.results import write_directory
from tests.compare.rows import street_results

ENOUGH = 10**8  # characters


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def summary(directory: Path) -> Summary:
    return write_directory(directory, street_results(3), pictures=2)


def decoded(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_pictures_are_those_of_the_files(directory: Path, summary: Summary) -> None:
    shown = gallery(directory, summary, 20, ENOUGH)
    assert shown.images == summary.images[:2]
    for image, sources in zip(shown.images, shown.sources, strict=True):
        assert set(sources) == {-1, *range(len(summary.points))}
        for place, (picture, labels) in sources.items():
            assert summary.ceiling
            point = summary.ceiling if place == -1 else summary.points[place]
            with Image.open(picture_path(directory, image, point.codec, point.point)) as file:
                assert decoded(picture).convert("RGB").tobytes() == file.tobytes()
            assert labels
            with Image.open(picture_path(directory, image, point.codec, point.point, ".label.png")) as file:
                seen = np.asarray(decoded(labels).convert("RGBA"))
                classes = np.asarray(file)
            colours = [[*bytes.fromhex(colour[1:]), 255] for colour in shown.colours]
            assert (seen[classes < 255] == np.array(colours)[classes[classes < 255]]).all()
            assert (seen[classes == 255, 3] == 0).all()
    assert "2 of 3 images, every point, stored as lossless WebP" in shown.note


def test_images_are_spread_over_those_that_have_pictures(directory: Path, summary: Summary) -> None:
    assert gallery(directory, summary, 1, ENOUGH).images == summary.images[:1]
    none = gallery(directory, summary, 0, ENOUGH)
    assert (none.images, none.sources, none.note) == ([], [], "")


def test_a_smaller_budget_keeps_less_and_says_so(directory: Path, summary: Summary) -> None:
    notes = []
    for budget in (10**8, 300_000, 150_000, 60_000, 1):
        shown = gallery(directory, summary, 20, budget)
        sizes = [len(uri) for one in shown.sources for uris in one.values() for uri in uris if uri]
        assert sum(sizes) <= budget
        notes.append(shown.note)
    assert "every point, stored as lossless" in notes[0]
    assert "every point, stored as WebP of quality 90" in notes[1]
    assert "one point per codec" in notes[2]
    assert notes[3].startswith("1 of 3 images, one point per codec")
    assert notes[4] == ""


@pytest.mark.parametrize("count", [0, 1, 11, 19, 171])
def test_colours_of_classes_are_colours(count: int) -> None:
    colours = class_colours(count)
    assert len(colours) == count
    assert len(set(colours)) >= min(count, 100)
    assert all(len(colour) == 7 for colour in colours)


def test_a_broken_picture_is_named(directory: Path, summary: Summary, tmp_path: Path) -> None:
    point = summary.points[0]
    file = picture_path(tmp_path, summary.images[0], point.codec, point.point)
    file.parent.mkdir(parents=True)
    file.write_bytes(b"no picture")
    with pytest.raises(SemcompError, match="no picture found"):
        gallery(tmp_path, summary, 20, ENOUGH)
    Image.new("RGB", (4, 4)).save(file)
    Image.new("RGB", (4, 4)).save(picture_path(tmp_path, summary.images[0], point.codec, point.point, ".label.png"))
    with pytest.raises(SemcompError, match="expected a mask of 8-bit train ids"):
        gallery(tmp_path, summary, 20, ENOUGH)
