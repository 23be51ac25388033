"""Images and masks as people have them: broken metadata, colour profiles, every depth."""

import io
import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from semcomp_pl.errors import SemcompError, SemcompWarning
from semcomp_pl.files.images import read_image, read_index_map

INPUTS = Path(os.environ.get("SEMCOMP_TEST_INPUTS", Path(__file__).parents[3] / "shared" / "inputs"))


def given(name: str) -> Path:
    if not (INPUTS / name).is_file():
        pytest.skip(f"no {name} in {INPUTS}; set SEMCOMP_TEST_INPUTS to a directory that has it")
    return INPUTS / name


def bits(values: NDArray[np.int64], depth: int) -> list[bytes]:
    """Rows of values packed to bytes, highest bit first."""
    lines = ("".join(f"{value:0{depth}b}" for value in row) for row in values)
    padded = (line + "0" * (-len(line) % 8) for line in lines)
    return [bytes(int(line[i : i + 8], 2) for i in range(0, len(line), 8)) for line in padded]


def png(values: NDArray[np.int64], depth: int, palette: bool) -> bytes:
    """A grey or palette PNG, by the specification: https://www.w3.org/TR/png-3."""
    height, width = values.shape

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 3 if palette else 0, 0, 0, 0))
    colours = chunk(b"PLTE", bytes(range(255, -1, -1)) * 3) if palette else b""
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in bits(values, depth))))
    return b"\x89PNG\r\n\x1a\n" + head + colours + pixels + chunk(b"IEND", b"")


def tiff(values: NDArray[np.int64], depth: int, white_is_zero: bool) -> bytes:
    """A grey little-endian TIFF in one strip, without compression."""
    height, width = values.shape
    data = values.astype(f"<u{depth // 8}").tobytes() if depth >= 16 else b"".join(bits(values, depth))
    photometric = 0 if white_is_zero else 1
    entries = [(256, 4, width), (257, 4, height), (258, 3, depth), (259, 3, 1), (262, 3, photometric), (273, 4, 8)]
    entries += [(277, 3, 1), (278, 4, height), (279, 4, len(data))]
    table = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(entries)) + table + bytes(4)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("palette", [False, True], ids=["grey", "palette"])
def test_png_masks_of_every_depth_mean_their_raw_ids(tmp_path: Path, depth: int, palette: bool) -> None:
    if palette and depth == 16:
        pytest.skip("no PNG has a palette of 16 bits")
    ids = np.arange(35).reshape(5, 7) * 37 % 2**depth
    (tmp_path / "mask.png").write_bytes(png(ids, depth, palette))
    np.testing.assert_array_equal(read_index_map(tmp_path / "mask.png"), ids)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16, 32])
@pytest.mark.parametrize("white_is_zero", [False, True], ids=["black is zero", "white is zero"])
def test_tiff_masks_of_every_depth_mean_their_raw_ids(tmp_path: Path, depth: int, white_is_zero: bool) -> None:
    if white_is_zero and depth == 32:
        pytest.skip("Pillow opens no such file")
    ids = np.arange(35).reshape(5, 7) * 37 % 2 ** min(depth, 31)
    (tmp_path / "mask.tif").write_bytes(tiff(ids, depth, white_is_zero))
    np.testing.assert_array_equal(read_index_map(tmp_path / "mask.tif"), ids)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_values_without_a_range_are_refused_with_the_one_found(tmp_path: Path, dtype: type) -> None:
    Image.fromarray(np.linspace(-5, 90000, 12).reshape(3, 4).astype(dtype)).save(tmp_path / "deep.tif")
    with pytest.raises(SemcompError, match=r"deep\.tif: .* values from -5 to 90000 found, .* scale the values first"):
        read_image(tmp_path / "deep.tif")


def test_twelve_bits_have_a_range(tmp_path: Path) -> None:
    values = np.array([[0, 1024, 2048, 4095]])
    (tmp_path / "deep.tif").write_bytes(tiff_of_twelve_bits(values))
    found = np.asarray(read_image(tmp_path / "deep.tif"))[..., 0]
    np.testing.assert_array_equal(found, np.round(values * 255 / 4095))


def tiff_of_twelve_bits(values: NDArray[np.int64]) -> bytes:
    return tiff(values, 12, white_is_zero=False)


def test_the_file_of_integers_is_refused() -> None:
    with pytest.raises(SemcompError, match="integer values from 0 to"):
        read_image(given("int32.tif"))


def test_broken_metadata_cost_no_pixel() -> None:
    """The orientation can still be read, so it holds."""
    with pytest.warns(SemcompWarning, match=r"exif_rational\.jpg: broken EXIF metadata"):
        found = read_image(given("exif_rational.jpg"))
    with Image.open(given("exif_rational.jpg")) as image:
        np.testing.assert_array_equal(np.asarray(found), np.rot90(np.asarray(image), -1))


def test_a_bad_tag_of_any_kind_is_only_noted(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 3
    pixels = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    exif[282] = (72, 1)
    block = bytearray(exif.tobytes())
    refused = 0
    for place in range(len(block)):
        damaged = bytes(block[:place]) + b"\xff" + bytes(block[place + 1 :])
        Image.fromarray(pixels).save(tmp_path / "a.png", exif=damaged)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = np.asarray(read_image(tmp_path / "a.png"))
        same = found.shape == pixels.shape and (found == pixels).all()
        refused += same
        assert same or found.size == pixels.size  # turned, or as it is
    assert refused  # where the orientation itself was hit


def test_colour_profiles_are_converted_to_srgb() -> None:
    image = read_image(given("icc_display_p3.png"))
    assert image.getpixel((0, 0)) == (0, 204, 0)  # by littlecms, whatever the rendering intent


@pytest.mark.filterwarnings("ignore:.*transparency put on white")
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK"])
def test_an_srgb_profile_changes_nothing_in_any_mode(tmp_path: Path, mode: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    name = "a.tif" if mode == "CMYK" else "a.png"
    image.save(tmp_path / name)
    plain = np.asarray(read_image(tmp_path / name)).astype(int)
    image.save(tmp_path / name, icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = np.asarray(read_image(tmp_path / name)).astype(int)
    # a profile of another kind of colours than the image has is noted, and the pixels stay
    assert any("unreadable colour profile" in str(each.message) for each in said) == (mode == "CMYK")
    assert abs(found - plain).max() <= 1


def test_an_unreadable_profile_is_noted(tmp_path: Path) -> None:
    pixels = np.full((4, 5, 3), 90, np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=b"nothing of the kind")
    with pytest.warns(SemcompWarning, match=r"a\.png: unreadable colour profile .*, taken as sRGB"):
        np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "a.png")), pixels)


def test_a_mask_with_a_profile_keeps_its_ids(tmp_path: Path) -> None:
    ids = np.arange(12, dtype=np.uint8).reshape(3, 4)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    buffer = io.BytesIO()
    Image.fromarray(ids).save(buffer, "PNG", icc_profile=profile)
    (tmp_path / "mask.png").write_bytes(buffer.getvalue())
    np.testing.assert_array_equal(read_index_map(tmp_path / "mask.png"), ids)
