"""The still-image formats: pixels and nothing else, every size back from the bytes alone, and JPEG as published."""

import io
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import mean

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torch.nn import functional

from semcomp_pl.codecs import AVIF, JPEG, JPEG2000, JPEGXL, LosslessWebP, OptimizedJPEG, WebP, best_at, bpp
from semcomp_pl.codecs.pillow import PillowCodec
from semcomp_pl.codecs.pixels import psnr
from semcomp_pl.errors import SemcompError

CODECS = [WebP, JPEG, OptimizedJPEG, JPEG2000, AVIF, JPEGXL]
SIZES = [(7, 13), (1, 1), (1, 64), (33, 2), (60, 90)]
PUBLISHED = {5: 0.221, 25: 0.588, 45: 0.849, 65: 1.127, 85: 1.857}
"""Bits per pixel of JPEG on Kodak by quality, as CompressAI's published results have it."""


def scene(height: int, width: int, seed: int = 0) -> Tensor:
    """A smooth colour image (3, height, width)."""
    coarse = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return functional.interpolate(coarse, size=(height, width), mode="bicubic")[0].clamp(0, 1)


@pytest.fixture(params=CODECS, ids=lambda codec: codec.__name__)
def codec(request: pytest.FixtureRequest) -> type[PillowCodec]:
    kind: type[PillowCodec] = request.param
    if not kind.format.available:
        pytest.skip("no Pillow plug-in for JPEG XL; pip install 'semcomp_pl[jxl]'")
    return kind


@pytest.mark.parametrize("downscale", [1, 1.25, 2, 8])
@pytest.mark.parametrize("size", SIZES)
def test_every_size_comes_back(codec: type[PillowCodec], size: tuple[int, int], downscale: float) -> None:
    one = codec(50, downscale)
    image = one.decompress(one.compress(scene(*size)))
    assert image.shape == (3, *size)
    assert image.dtype == torch.float32
    torch.testing.assert_close(image * 255, (image * 255).round(), atol=1e-4, rtol=0)
    assert image.min() >= 0
    assert image.max() <= 1


@settings(max_examples=60, deadline=None)
@given(
    form=st.sampled_from([WebP, LosslessWebP, JPEG, JPEG2000]),
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    quality=st.integers(0, 100),
    downscale=st.one_of(st.just(1.0), st.floats(1, 200)),
    seed=st.integers(0, 9),
)
def test_files_need_no_settings_of_their_writer(
    form: type[PillowCodec], size: tuple[int, int], quality: int, downscale: float, seed: int
) -> None:
    writer = form(quality, downscale)
    data = writer.compress(scene(*size, seed))
    bare = data[4:] if downscale > 1 else data
    with Image.open(io.BytesIO(bare)) as picture:
        expected = picture.convert("RGB").resize((size[1], size[0]), Image.Resampling.LANCZOS)
    for reader in (writer, form(50), form(0, 3)):
        found = reader.decompress(data).mul(255).round().byte().permute(1, 2, 0).numpy()
        assert np.array_equal(found, np.asarray(expected))


@pytest.mark.parametrize("size", [(65290, 1), (65290, 2), (1, 65290), (65496, 3), (12, 12)])
def test_sizes_that_look_like_the_start_of_a_file_come_back(codec: type[PillowCodec], size: tuple[int, int]) -> None:
    """65290 is FF0A, with which JPEG XL files begin; FFD8 is JPEG's; a JPEG 2000 or AVIF file in a box has a length."""
    assert codec(50).decompress(codec(10, 8).compress(scene(*size))).shape == (3, *size)


@settings(max_examples=60, deadline=None)
@given(form=st.sampled_from([WebP, JPEG, JPEG2000, AVIF]), data=st.binary(max_size=60), at=st.integers(0, 4))
def test_any_bytes_are_an_image_or_one_error(form: type[PillowCodec], data: bytes, at: int) -> None:
    start = form(50, 2).compress(scene(8, 8))[: 4 * at]
    with suppress(SemcompError):
        assert form(50).decompress(start + data).ndim == 3


def test_higher_qualities_are_larger_and_better(codec: type[PillowCodec]) -> None:
    image = scene(96, 128) + 0.05 * torch.rand(3, 96, 128, generator=torch.Generator().manual_seed(1))
    image = image.clamp(0, 1)
    sizes, decibels = [], []
    for quality in (0, 30, 60, 90):
        data = codec(quality).compress(image)
        sizes.append(len(data))
        decibels.append(psnr(codec(quality).decompress(data)[None], image[None]).item())
    assert sizes == sorted(sizes)
    assert decibels == sorted(decibels)
    assert decibels[-1] > 30


@pytest.mark.parametrize("downscale", [1, 2])
def test_nothing_but_pixels_and_the_size_is_coded(codec: type[PillowCodec], downscale: int) -> None:
    data = codec(50, downscale).compress(scene(60, 90))
    if downscale > 1:
        assert struct.unpack(">HH", data[:4]) == (60, 90)
        data = data[4:]
    assert not any(
        word in data for word in (b"Exif", b"ICC_PROFILE", b"iCCP", b"acsp", b"http://ns.adobe.com", b"Lavc")
    )
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        assert not picture.getexif()
        assert picture.size == (90 // downscale, 60 // downscale)


def test_webp_is_one_chunk() -> None:
    data = WebP(50).compress(scene(60, 90))
    riff, size, kind, chunk, length = struct.unpack_from("<4sI4s4sI", data)
    assert (riff, size, kind, chunk) == (b"RIFF", len(data) - 8, b"WEBP", b"VP8 ")
    assert len(data) == 20 + length + length % 2


def test_lossless_webp_is_that() -> None:
    image = torch.rand(3, 9, 14).mul(255).round() / 255
    assert torch.equal(LosslessWebP(0).decompress(LosslessWebP(0).compress(image)), image)


@pytest.mark.parametrize(("downscale", "decibels"), [(1, 38), (2, 34)])
def test_colours_and_orientation_come_back(downscale: float, decibels: float) -> None:
    image, codec = scene(64, 96), WebP(95, downscale)
    assert psnr(codec.decompress(codec.compress(image))[None], image[None]).item() > decibels


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
def test_every_truncation_is_refused(downscale: float) -> None:
    codec = WebP(30, downscale)
    data = codec.compress(scene(32, 48))
    for length in range(len(data)):
        with pytest.raises(SemcompError, match=f"{length} bytes found"):
            codec.decompress(data[:length])


def test_damaged_bytes_and_other_formats_are_refused(codec: type[PillowCodec]) -> None:
    data, bmp = codec(50).compress(scene(32, 48)), io.BytesIO()
    Image.new("RGB", (8, 8)).save(bmp, "BMP")
    for damaged in (
        b"",
        data[:8],
        b"\x89PNG" + data,
        bytes(len(data)),
        bmp.getvalue(),
        b"\0\x08\0\x08" + bmp.getvalue(),
    ):
        with pytest.raises(SemcompError, match="readable"):
            codec(50).decompress(damaged)


@pytest.mark.parametrize("size", [(34, 48), (48, 32), (8, 12), (16, 65535)])
def test_a_size_that_the_picture_contradicts_is_refused(size: tuple[int, int]) -> None:
    data = struct.pack(">HH", *size) + WebP(50, 2).compress(scene(32, 48))[4:]
    with pytest.raises(SemcompError, match=f"24x16 found under a header of {size[1]}x{size[0]}"):
        WebP(50, 2).decompress(data)


@pytest.mark.parametrize("size", [(0, 0), (0, 48), (65535, 65535)])
def test_a_size_beyond_what_pillow_decodes_is_refused(size: tuple[int, int]) -> None:
    data = struct.pack(">HH", *size) + WebP(50, 9).compress(scene(9, 9))[4:]
    with pytest.raises(SemcompError, match="no readable WEBP"):
        WebP(50).decompress(data)


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


def test_points_say_quality_and_downscale() -> None:
    assert [WebP(10).point, WebP(10, 2).point, JPEG(7, 1.25).point] == ["q10", "q10_x2", "q7_x1.25"]
    assert WebP(10).kind == "reference"


def test_the_search_serves_every_codec(codec: type[PillowCodec]) -> None:
    image = scene(128, 256)
    found = best_at(image, 0.5, codec, downscales=(1, 2, 4), qualities=range(0, 101, 20))
    assert found is not None
    assert found.bpp == bpp(found.data, image) <= 0.5
    assert torch.equal(found.codec.decompress(found.data), found.reconstruction)


def test_optimized_tables_change_no_pixel() -> None:
    image = scene(60, 90)
    plain, small = JPEG(30).compress(image), OptimizedJPEG(30).compress(image)
    assert len(small) < len(plain)
    assert torch.equal(JPEG(30).decompress(small), JPEG(30).decompress(plain))


@pytest.mark.slow
@pytest.mark.parametrize("quality", PUBLISHED)
def test_jpeg_on_kodak_is_as_published(real_data: Callable[[str], Path], quality: int) -> None:
    rates = []
    for file in sorted(real_data("kodak").glob("*.png")):
        pixels = np.asarray(Image.open(file).convert("RGB"))
        image = torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255
        rates.append(bpp(JPEG(quality).compress(image), image))
    assert len(rates) == 24
    assert mean(rates) == pytest.approx(PUBLISHED[quality], abs=0.002)
