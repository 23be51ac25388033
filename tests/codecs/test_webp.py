"""WebP files hold pixels and, below full size, the size; whatever else is refused."""

import io
import struct

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from semcomp_pl.codecs import WebP, bpp
from semcomp_pl.errors import SemcompError


def scene(height: int, width: int) -> Tensor:
    """A smooth colour image (3, height, width)."""
    coarse = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    return functional.interpolate(coarse, size=(height, width), mode="bicubic")[0].clamp(0, 1)


def chunks(data: bytes) -> list[bytes]:
    """Names of the RIFF chunks, which must fill the file."""
    riff, size, kind = struct.unpack_from("<4sI4s", data)
    assert (riff, size, kind) == (b"RIFF", len(data) - 8, b"WEBP")
    names, offset = [], 12
    while offset < len(data):
        name, length = struct.unpack_from("<4sI", data, offset)
        names.append(name)
        offset += 8 + length + length % 2
    assert offset == len(data)
    return names


@pytest.mark.parametrize("downscale", [1, 2])
@pytest.mark.parametrize("quality", [0, 50, 100])
def test_file_holds_pixels_and_nothing_else(quality: int, downscale: float) -> None:
    data = WebP(quality, downscale).compress(scene(60, 90))
    if downscale > 1:
        assert struct.unpack(">HH", data[:4]) == (60, 90)
        data = data[4:]
    assert chunks(data) == [b"VP8 "]
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.size == (90 // downscale, 60 // downscale)


@pytest.mark.parametrize("downscale", [1, 1.25, 2, 8])
@pytest.mark.parametrize("size", [(7, 13), (1, 1), (1, 64), (33, 2), (60, 90)])
def test_f12_every_size_comes_back(size: tuple[int, int], downscale: float) -> None:
    codec = WebP(50, downscale)
    image = codec.decompress(codec.compress(scene(*size)))
    assert image.shape == (3, *size)
    assert image.dtype == torch.float32
    torch.testing.assert_close(image * 255, (image * 255).round(), atol=1e-4, rtol=0)
    assert image.min() >= 0
    assert image.max() <= 1


@pytest.mark.parametrize(("downscale", "decibels"), [(1, 38), (2, 34)])
def test_colours_and_orientation_come_back(downscale: float, decibels: float) -> None:
    image, codec = scene(64, 96), WebP(95, downscale)
    error = (codec.decompress(codec.compress(image)) - image).square().mean()
    assert -10 * error.log10() > decibels


def test_fine_patterns_are_averaged_not_aliased() -> None:
    checkers = (torch.arange(64)[:, None] + torch.arange(64)) % 2
    codec = WebP(100, 2)
    image = codec.decompress(codec.compress(checkers.float().expand(3, 64, 64)))
    torch.testing.assert_close(image[:, 8:-8, 8:-8], torch.full((3, 48, 48), 0.5), atol=0.03, rtol=0)


def test_rounding_to_8_bits_happens_in_compress() -> None:
    image = scene(32, 32).mul(255).round() / 255
    assert WebP(50).compress(image + 0.49 / 255) == WebP(50).compress(image)


def test_bpp_counts_the_whole_file_once_per_pixel() -> None:
    data = WebP(0, 4).compress(scene(64, 128))
    assert bpp(data, scene(64, 128)) == 8 * len(data) / 8192


@pytest.mark.parametrize("downscale", [1, 2])
def test_f2_every_truncation_is_refused(downscale: float) -> None:
    codec = WebP(30, downscale)
    data = codec.compress(scene(32, 48))
    for length in range(len(data)):
        with pytest.raises(SemcompError, match="found"):
            codec.decompress(data[:length])


@pytest.mark.parametrize("downscale", [1, 2])
def test_f4_other_bytes_are_refused(downscale: float) -> None:
    png = io.BytesIO()
    Image.new("RGB", (8, 8)).save(png, "PNG")
    for data in (b"", b"RIFF", bytes(200), png.getvalue(), struct.pack(">HH", 8, 8) + png.getvalue()):
        with pytest.raises(SemcompError, match=f"{len(data)} bytes|{len(data) - 4} bytes"):
            WebP(50, downscale).decompress(data)


@pytest.mark.parametrize("size", [(0, 0), (0, 48), (65535, 65535), (34, 48), (48, 32)])
def test_f7_size_that_the_picture_contradicts_is_refused(size: tuple[int, int]) -> None:
    data = struct.pack(">HH", *size) + WebP(50, 2).compress(scene(32, 48))[4:]
    with pytest.raises(SemcompError, match=f"24x16 found under a header of {size[1]}x{size[0]}"):
        WebP(50, 2).decompress(data)


def test_another_downscale_is_refused() -> None:
    with pytest.raises(SemcompError, match="expected that size over 4"):
        WebP(50, 4).decompress(WebP(50, 2).compress(scene(32, 48)))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.rand(1, 3, 8, 8), r"\(1, 3, 8, 8\)"),
        (torch.rand(1, 8, 8), r"\(1, 8, 8\)"),
        (torch.rand(3, 0, 8), r"\(3, 0, 8\)"),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), "uint8"),
        (torch.zeros(3, 1, 16384), "16384x1"),
    ],
    ids=["batch", "grey", "empty", "uint8", "beyond WebP's side"],
)
def test_images_that_no_file_can_hold_are_refused(image: Tensor, message: str) -> None:
    with pytest.raises(SemcompError, match=message):
        WebP(50).compress(image)


def test_sides_beyond_16_bits_are_refused_and_the_largest_comes_back() -> None:
    codec = WebP(0, 8)
    with pytest.raises(SemcompError, match="65536x1 found, expected at most 65535"):
        codec.compress(torch.zeros(3, 1, 65536))
    assert codec.decompress(codec.compress(torch.zeros(3, 1, 65535))).shape == (3, 1, 65535)


@pytest.mark.parametrize(("quality", "downscale"), [(-1, 1), (101, 1), (50, 0.5), (50, float("nan"))])
def test_numbers_out_of_range_are_refused(quality: int, downscale: float) -> None:
    with pytest.raises(SemcompError, match=r"expected quality in 0\.\.100"):
        WebP(quality, downscale)
