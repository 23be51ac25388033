"""The reference codecs behind the one interface: pixels and nothing else, and JPEG as published."""

import io
from collections.abc import Callable
from pathlib import Path
from statistics import mean

import numpy as np
import pytest
import torch
from PIL import Image

from semcomp_pl.codecs import AVIF, JPEG, JPEG2000, JPEGXL, OptimizedJPEG, WebP, best_at, bpp
from semcomp_pl.codecs.pillow import PillowCodec
from semcomp_pl.errors import SemcompError
from semcomp_pl.metrics.psnr import psnr
from tests.codecs.test_webp import scene

CODECS = [WebP, JPEG, OptimizedJPEG, JPEG2000, AVIF, JPEGXL]
PUBLISHED = {5: 0.221, 25: 0.588, 45: 0.849, 65: 1.127, 85: 1.857}
"""Bits per pixel of JPEG on Kodak by quality, as CompressAI's published results have it."""


@pytest.fixture(params=CODECS, ids=lambda codec: codec.__name__)
def codec(request: pytest.FixtureRequest) -> type[PillowCodec]:
    if request.param is JPEGXL:
        pytest.importorskip("pillow_jxl", reason="no Pillow plug-in for JPEG XL; pip install 'semcomp_pl[jxl]'")
    kind: type[PillowCodec] = request.param
    return kind


@pytest.mark.parametrize("downscale", [1, 2, 8])
@pytest.mark.parametrize("size", [(7, 13), (1, 1), (1, 64), (33, 2), (60, 90)])
def test_f12_every_size_comes_back(codec: type[PillowCodec], size: tuple[int, int], downscale: float) -> None:
    one = codec(50, downscale)
    image = one.decompress(one.compress(scene(*size)))
    assert image.shape == (3, *size)
    torch.testing.assert_close(image * 255, (image * 255).round(), atol=1e-4, rtol=0)


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


def test_nothing_but_pixels_is_coded(codec: type[PillowCodec]) -> None:
    data = codec(50).compress(scene(64, 64))
    assert not any(
        word in data for word in (b"Exif", b"ICC_PROFILE", b"iCCP", b"acsp", b"http://ns.adobe.com", b"Lavc")
    )
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        assert not picture.getexif()


def test_damaged_bytes_are_refused(codec: type[PillowCodec]) -> None:
    data = codec(50).compress(scene(32, 48))
    for damaged in (b"", data[:8], b"\x89PNG" + data, bytes(len(data))):
        with pytest.raises(SemcompError, match="readable"):
            codec(50).decompress(damaged)


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
