"""Pictures as parts of files: what the file knows is left out, and nothing of another size comes back."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from semcomp_pl.codecs import LosslessWebP, WebP, sections
from semcomp_pl.codecs.sections import FORMATS, WEBP, Pixels
from semcomp_pl.errors import FileError
from semcomp_pl.metrics.psnr import psnr
from tests.coding.test_thumbnail import picture

SIZES = [(1, 1), (3, 5), (8, 16), (128, 40)]


def decibels(a: Pixels, b: Pixels) -> float:
    return psnr(torch.from_numpy(a)[None] / 255, torch.from_numpy(b)[None] / 255).item()


@pytest.fixture(params=FORMATS)
def coder(request: pytest.FixtureRequest) -> int:
    if FORMATS[request.param].format == "JXL":
        pytest.importorskip("pillow_jxl", reason="no Pillow plug-in for JPEG XL; pip install 'semcomp_pl[jxl]'")
    number: int = request.param
    return number


@pytest.mark.parametrize("size", SIZES)
def test_every_format_comes_back_as_pillow_decodes_it(coder: int, size: tuple[int, int]) -> None:
    pixels = picture(*size)
    codec = FORMATS[coder](60)
    expected = codec.decompress(codec.compress(torch.from_numpy(pixels) / 255))
    found = sections.decode(coder, sections.encode(coder, pixels, 60), *size)
    assert np.array_equal(found, (expected * 255).round().byte().numpy())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", [WebP, LosslessWebP])
def test_webp_is_without_what_its_size_says(kind: type[WebP], size: tuple[int, int]) -> None:
    image = torch.from_numpy(picture(*size)) / 255
    whole = kind(100).compress(image)
    bare = sections._strip_webp(whole, *size)
    assert len(whole) - len(bare) >= 24
    assert sections._restore_webp(bare, *size) == whole
    assert np.array_equal(
        sections.decode(WEBP, bare, *size), np.array(Image.open(io.BytesIO(whole)).convert("RGB")).transpose(2, 0, 1)
    )


def test_lossless_is_that() -> None:
    pixels = picture(9, 14)
    found = dict(sections.lossless(pixels))
    assert WEBP in found
    for how, data in found.items():
        assert np.array_equal(sections.decode(how, data, 9, 14), pixels)


@pytest.mark.parametrize("target", [28.0, 33.0])
def test_lower_qualities_miss_the_target_and_the_one_found_keeps_it(target: float) -> None:
    pixels = picture(16, 32, noise=6)
    found = dict(sections.at_least(pixels, target))
    assert {WEBP, 4} <= found.keys()
    for how, data in found.items():
        assert decibels(sections.decode(how, data, 16, 32), pixels) >= target
    webp = {q: sections.encode(WEBP, pixels, q) for q in range(101)}
    keep = [len(data) for data in webp.values() if decibels(sections.decode(WEBP, data, 16, 32), pixels) >= target]
    assert len(found[WEBP]) <= 1.1 * min(keep)


def test_beyond_reach_is_left_out() -> None:
    found = dict(sections.at_least(np.random.default_rng(0).integers(0, 256, (3, 8, 16), dtype=np.uint8), 60.0))
    assert not found.keys() & {WEBP, 4}


def test_f7_another_size_than_the_files_is_refused(coder: int) -> None:
    data = sections.encode(coder, picture(8, 16), 60)
    sections.decode(coder, data, 8, 16)
    if coder == WEBP:  # its size is the file's: nothing else can be claimed
        return
    for size in ((16, 8), (8, 17), (65535, 65535)):
        with pytest.raises(FileError, match="no readable"):
            sections.decode(coder, data, *size)


def test_damage_and_unknown_formats_are_file_errors(coder: int) -> None:
    data = sections.encode(coder, picture(8, 16), 60)
    for damaged in (b"", data[:7], bytes(len(data))):
        with pytest.raises(FileError):
            sections.decode(coder, damaged, 8, 16)
    with pytest.raises(FileError, match="picture format 14 found"):
        sections.decode(14, data, 8, 16)


def test_formats_keep_their_numbers() -> None:
    """Files have them: docs/file-format.md."""
    text = (Path(__file__).parents[2] / "docs" / "file-format.md").read_text()
    names = {3: "WebP", 4: "JPEG", 5: "JPEG 2000", 6: "AVIF", 7: "JPEG XL"}
    assert FORMATS.keys() == names.keys()
    assert ", ".join(f"{number} {name}" for number, name in names.items()) in text
