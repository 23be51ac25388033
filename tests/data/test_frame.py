"""Image and maps are cropped and resized alike."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from semcomp_pl.data import Folder
from semcomp_pl.data.frame import Frame, prepare
from semcomp_pl.errors import SemcompError

RNG = np.random.default_rng(5)
CASES = [(tuple(RNG.integers(40, 200, 2).tolist()), tuple(RNG.integers(10, 120, 2).tolist())) for _ in range(30)]


def coded(height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """An image whose red is the column and whose green is the row, and a map of 1000 * row + column."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns, rows, rows * 0], axis=-1).astype(np.uint8), 1000 * rows + columns


@pytest.mark.parametrize(("size", "frame"), CASES, ids=str)
def test_image_and_map_stay_aligned(size: tuple[int, int], frame: tuple[int, int]) -> None:
    """Each pixel of the map comes from the source pixel that the colour beside it says.

    Half a pixel is the nearest sample's own error; a pixel's colour is rounded to half a pixel; at the border
    the filter of the image is cut off.
    """
    image, ids = coded(*size)
    target = Frame(*frame)
    colour, found = target.image(Image.fromarray(image)).astype(float), target.map(ids)
    assert colour.shape == (*frame, 3)
    assert found.shape == frame
    inner = (slice(3, -3), slice(3, -3))
    assert np.abs(colour[..., 0] - found % 1000)[inner].max() <= 1.01
    assert np.abs(colour[..., 1] - found // 1000)[inner].max() <= 1.01


@pytest.mark.parametrize(("size", "frame"), CASES, ids=str)
def test_map_equals_pillow_nearest(size: tuple[int, int], frame: tuple[int, int]) -> None:
    """Everywhere but on the border of two pixels, where rounding decides."""
    _, ids = coded(*size)
    target = Frame(*frame)
    left, top, right, bottom = target.box(size[::-1])
    reference = np.asarray(
        Image.fromarray(ids.astype(np.int32)).resize(
            frame[::-1], Image.Resampling.NEAREST, box=(left, top, right, bottom)
        )
    )
    rows = top + (np.arange(frame[0]) + 0.5) * (bottom - top) / frame[0]
    columns = left + (np.arange(frame[1]) + 0.5) * (right - left) / frame[1]
    clear = np.ix_(*(np.abs(at - at.round()) > 1e-6 for at in (rows, columns)))
    np.testing.assert_array_equal(target.map(ids)[clear], reference[clear])
    assert reference[clear].size > 0.4 * reference.size


@pytest.mark.parametrize(
    ("size", "frame", "box"),
    [
        ((480, 360), Frame(128, 256), (0, 60, 480, 300)),
        ((640, 480), Frame(256, 256), (80, 0, 560, 480)),
        ((2048, 1024), Frame(128, 256), (0, 0, 2048, 1024)),
        ((512, 768), Frame(256, 256), (0, 128, 512, 640)),
    ],
    ids=str,
)
def test_largest_centred_box(size: tuple[int, int], frame: Frame, box: tuple[int, ...]) -> None:
    assert frame.box(size) == box


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (7, 13)], ids=str)
def test_images_smaller_than_the_frame_are_enlarged(size: tuple[int, int]) -> None:
    frame = Frame(32, 64)
    assert frame.image(Image.new("RGB", size, (9, 8, 7))).tolist() == np.full((32, 64, 3), (9, 8, 7)).tolist()
    assert (frame.map(np.full(size[::-1], 3)) == 3).all()


def test_no_frame_keeps_the_files_own_size(folder_root: Path) -> None:
    source = Folder(str(folder_root), masks="annot", classes=list("abcd"), ignore_id=4)
    sample = source.samples("train")[0]
    found = prepare(sample, source, None)
    np.testing.assert_array_equal(found["image"], np.asarray(Image.open(sample.image)))
    assert found["label"].shape == found["image"].shape[:2]


def test_mask_of_another_size_names_both_files(folder_root: Path) -> None:
    Image.new("L", (30, 21)).save(folder_root / "trainannot" / "train1.png")
    source = Folder(str(folder_root), masks="annot", classes=list("abcd"), ignore_id=4)
    with pytest.raises(SemcompError, match=r"trainannot/train1\.png: a map of 30x21 .* 30x20 as .*train/train1\.png"):
        prepare(source.samples("train")[1], source, Frame(8, 8))
