"""The search finds what trying everything finds, and never exceeds the target."""

import os
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from semcomp_pl.codecs import Found, Search, WebP, best_at, bpp
from semcomp_pl.codecs.pixels import psnr

SHARED = Path(__file__).parents[3] / "shared" / "data"
CAMVID = Path(os.environ.get("SEMCOMP_TEST_DATA", SHARED)) / "camvid" / "val"
QUALITIES = range(0, 101, 10)
DOWNSCALES = (1, 1.5, 2, 4)


def scene() -> Tensor:
    """A soft image with texture (3, 48, 80)."""
    generator = torch.Generator().manual_seed(0)
    layers = [torch.rand(1, 3, 48 // step, 80 // step, generator=generator) / step for step in (2, 4, 16)]
    smooth = [functional.interpolate(layer, size=(48, 80), mode="bicubic") for layer in layers]
    image = torch.stack([layer * weight for layer, weight in zip(smooth, (0.4, 1.2, 9), strict=True)]).sum(0)
    return image[0].clamp(0, 1)


@pytest.fixture(scope="module")
def everything() -> list[tuple[float, float]]:
    """Rate and PSNR of every quality and downscale."""
    image, pairs = scene(), []
    for codec in (WebP(quality, downscale) for quality in QUALITIES for downscale in DOWNSCALES):
        data = codec.compress(image)
        pairs.append((bpp(data, image), psnr(codec.decompress(data)[None], image[None]).item()))
    return pairs


@pytest.mark.parametrize("target", [0.2, 0.25, 0.3, 0.4, 0.6, 1.0, 2.0, 50.0])
def test_equals_exhaustive_search(target: float, everything: list[tuple[float, float]]) -> None:
    found = best_at(scene(), target, WebP, downscales=DOWNSCALES, qualities=QUALITIES)
    fitting = [decibels for rate, decibels in everything if rate <= target]
    if not fitting:
        assert found is None
        return
    assert found is not None
    assert found.psnr == max(fitting)
    assert found.bpp == bpp(found.data, scene()) <= target
    assert torch.equal(found.reconstruction, found.codec.decompress(found.data))
    assert WebP(found.quality, found.downscale).compress(scene()) == found.data


def test_the_target_itself_fits_and_nothing_below_the_floor(everything: list[tuple[float, float]]) -> None:
    floor = min(rate for rate, _ in everything)
    found = best_at(scene(), floor, WebP, downscales=DOWNSCALES, qualities=QUALITIES)
    assert isinstance(found, Found)
    assert found.bpp == floor
    assert best_at(scene(), floor - 1e-9, WebP, downscales=DOWNSCALES, qualities=QUALITIES) is None


class Erratic:
    """A codec whose rate jumps up and down with quality, and which cannot downscale."""

    def __init__(self, quality: int, speed: int = 1) -> None:
        assert speed == 1
        self.size = quality * 37 % 101

    def compress(self, image: Tensor) -> bytes:
        return bytes(self.size)

    def decompress(self, data: bytes) -> Tensor:
        return torch.full((3, 8, 8), len(data) / 255)


def test_no_file_exceeds_the_target_where_the_rate_is_not_monotone() -> None:
    image, search = torch.ones(3, 8, 8), Search(Erratic)
    for size in range(101):
        found = search.at(image, 8 * size / 64)
        assert found is None or (len(found.data) <= size and found.downscale == 1)


def test_what_is_remembered_changes_no_result_and_codes_nothing_twice() -> None:
    made: list[tuple[int, float, int]] = []

    class Counted(WebP):
        def compress(self, image: Any) -> bytes:
            made.append((self.quality, self.downscale, id(image)))
            return super().compress(image)

    images, targets = [scene(), scene().flip(2)], (0.2, 1.0, 0.3, 0.3)
    search = Search(Counted, DOWNSCALES, QUALITIES)
    for image in images:
        for target in targets:
            found, expected = (
                search.at(image, target),
                best_at(image, target, WebP, downscales=DOWNSCALES, qualities=QUALITIES),
            )
            assert (found is None) == (expected is None)
            if found is not None and expected is not None:
                assert torch.equal(found.reconstruction, expected.reconstruction)
                assert found[1:2] + found[3:] == expected[1:2] + expected[3:]
    assert len(made) == len(set(made))


def test_an_image_seen_before_the_last_is_searched_anew() -> None:
    search = Search(WebP, DOWNSCALES, QUALITIES)
    image, other = scene(), torch.zeros(3, 8, 8)
    first, _, again = search.at(image, 0.5), search.at(other, 0.5), search.at(image, 0.5)
    assert first is not None
    assert again is not None
    assert first.data == again.data


@pytest.mark.skipif(not CAMVID.is_dir(), reason="no CamVid: set SEMCOMP_TEST_DATA to the folder of the data sets")
def test_camvid_reaches_the_measured_quality() -> None:
    """Every tenth image at 256x128; the whole set gives 22.33 dB at 0.063 bpp and 24.49 dB at 0.15."""
    images = []
    for path in sorted(CAMVID.glob("*.png"))[::10]:
        with Image.open(path) as picture:
            full = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)[None, :, 60:300] / 255
        small = functional.interpolate(full, size=(128, 256), mode="bicubic", antialias=True)
        images.append(small[0].clamp(0, 1))
    for target, decibels in ((0.063, 22.3), (0.15, 24.5)):
        found = [best_at(image, target, WebP, downscales=(1.5, 2, 2.5, 3, 4)) for image in images]
        assert mean(one.psnr for one in found if one is not None) == pytest.approx(decibels, abs=0.1)
        assert all(one is not None and one.bpp <= target for one in found)
