"""Every kind of file is read right or refused by name."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from semcomp_pl.errors import SemcompError, SemcompWarning
from semcomp_pl.files.images import open_image, read_image, read_index_map


def smooth(height: int = 24, width: int = 40) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 10, columns * 6, rows * 3 + columns * 2], axis=-1).astype(np.uint8)


def encoded(pixels: NDArray[np.uint8], suffix: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, suffix)
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("suffix", ["png", "jpeg", "webp", "bmp", "tiff"])
def test_truncated_file_is_named_at_every_length(tmp_path: Path, suffix: str) -> None:
    """Only what follows the last pixel may be missing."""
    whole = encoded(smooth(), suffix)
    pixels = np.asarray(Image.open(io.BytesIO(whole)))
    file = tmp_path / f"street.{suffix}"
    refused = 0
    for length in range(0, len(whole), max(1, len(whole) // 150)):
        file.write_bytes(whole[:length])
        try:
            np.testing.assert_array_equal(np.asarray(open_image(file)), pixels)
        except SemcompError as error:
            assert str(error).startswith(f"{file}: not a readable image (")  # noqa: PT017 (either outcome is right)
            refused += 1
    assert refused > 70


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("suffix", ["png", "jpeg", "webp", "gif", "bmp", "tiff", "tga", "ppm", "jpeg2000"])
def test_damage_is_read_or_refused_by_name(tmp_path: Path, suffix: str, rng: np.random.Generator) -> None:
    whole = np.frombuffer(encoded(smooth(), suffix), np.uint8)
    file = tmp_path / "damaged"
    for _ in range(150):
        damaged = whole.copy()
        where = rng.integers(0, len(whole), rng.integers(1, 8)) // rng.choice([1, 1, 20])  # every third time the header
        damaged[where] = rng.integers(0, 256, where.shape)
        file.write_bytes(damaged.tobytes())
        try:
            image = open_image(file)
        except SemcompError as error:
            assert str(file) in str(error)  # noqa: PT017 (either outcome is right)
        else:
            assert np.asarray(image).shape[:2] == image.size[::-1]


@pytest.mark.parametrize("kind", ["directory", "text", "nothing"])
def test_what_is_no_image_at_all_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    if kind == "directory":
        (tmp_path / "x.png").mkdir()
    elif kind == "text":
        (tmp_path / "x.png").write_text("not an image")
    with pytest.raises(SemcompError, match=r"x\.png"):
        read_image(tmp_path / "x.png")


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    values = np.arange(0, 65536, 257 // 2 + 1, dtype=np.uint16)[:500].reshape(20, 25)
    Image.fromarray(values).save(tmp_path / "deep.png")
    found = np.asarray(read_image(tmp_path / "deep.png"))
    expected = np.round(values / 65535 * 255).astype(np.uint8)
    np.testing.assert_array_equal(found, np.stack([expected] * 3, axis=-1))


def test_sixteen_bit_ids_are_kept(tmp_path: Path) -> None:
    ids = np.array([[0, 255, 256], [26001, 33999, 65535]], np.uint16)
    Image.fromarray(ids).save(tmp_path / "ids.png")
    np.testing.assert_array_equal(read_index_map(tmp_path / "ids.png"), ids)


def test_floating_point_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 0.5, np.float32)).save(tmp_path / "float.tiff")
    with pytest.raises(SemcompError, match=r"float\.tiff: floating-point"):
        read_image(tmp_path / "float.tiff")


ORIENTED: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: np.rot90,
}
"""What a viewer shows for EXIF orientation n (CIPA DC-008, tag 274)."""


@pytest.mark.parametrize("orientation", ORIENTED)
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(smooth()).save(tmp_path / "phone.png", exif=exif)
    expected = ORIENTED[orientation](smooth())
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "phone.png")), expected)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "YCbCr"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    grey = np.stack([smooth()[..., 0]] * 3, axis=-1)
    image = Image.fromarray(grey)
    image = image.quantize(256) if mode == "P" else image.convert(mode)
    image.save(tmp_path / "image.tiff")
    found = read_image(tmp_path / "image.tiff")
    assert found.mode == "RGB"
    assert found.size == (40, 24)
    assert np.abs(np.asarray(found).astype(int) - grey).max() <= 2


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_put_on_white_with_a_warning(tmp_path: Path, mode: str) -> None:
    grey = np.full((8, 8), 100, np.uint8)
    alpha = np.repeat(np.array([0, 255], np.uint8), 32).reshape(8, 8)
    layer = Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)])
    if mode == "P":
        Image.fromarray(alpha // 255).convert("P").save(tmp_path / "icon.png", transparency=0)
    else:
        layer.convert(mode).save(tmp_path / "icon.png")
    with pytest.warns(SemcompWarning, match=r"icon\.png: transparency"):
        found = np.asarray(read_image(tmp_path / "icon.png"))
    assert (found[:4] == 255).all()
    assert (found[4:] < 255).all()


def test_half_transparent_pixels_are_blended_with_white(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (0, 100, 200, 51)).save(tmp_path / "glass.png")
    with pytest.warns(SemcompWarning):
        found = np.asarray(read_image(tmp_path / "glass.png"))
    np.testing.assert_allclose(found[0, 0], [0.8 * 255, 0.8 * 255 + 20, 0.8 * 255 + 40], atol=1)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tiff"])
def test_several_frames_are_refused(tmp_path: Path, suffix: str) -> None:
    frames = [Image.fromarray(smooth() // (i + 1)) for i in range(3)]
    frames[0].save(tmp_path / f"film.{suffix}", save_all=True, append_images=frames[1:])
    with pytest.raises(SemcompError, match="3 frames found, expected a single one"):
        read_image(tmp_path / f"film.{suffix}")


def test_photo_with_a_preview_is_no_film(tmp_path: Path) -> None:
    photo, preview = Image.fromarray(smooth()), Image.fromarray(smooth(6, 10))
    photo.save(tmp_path / "phone.jpg", "MPO", save_all=True, append_images=[preview], quality=95)
    assert read_image(tmp_path / "phone.jpg").size == (40, 24)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_coloured_mask_is_refused(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (4, 4)).save(tmp_path / "mask.png")
    with pytest.raises(SemcompError, match=rf"mask\.png: a {mode} image found, expected an index map"):
        read_index_map(tmp_path / "mask.png")


def test_palette_masks_are_indices_not_colours(tmp_path: Path) -> None:
    ids = np.arange(12, dtype=np.uint8).reshape(3, 4)
    image = Image.fromarray(ids, "P")
    image.putpalette([255 - i for i in range(48)])
    image.save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_index_map(tmp_path / "mask.png"), ids)


@pytest.mark.parametrize("side", [10_000, 50_000])
def test_decompression_bomb_is_refused(tmp_path: Path, side: int) -> None:
    """A header of 10^8 pixels, where Pillow only warns, and one of 2.5 * 10^9."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b""))
    with pytest.raises(SemcompError, match=r"bomb\.png: Image size .* exceeds limit"):
        read_image(tmp_path / "bomb.png")
