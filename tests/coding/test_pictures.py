"""Pictures as parts of files: what the file knows is left out, and nothing of another size comes back."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from semcomp_pl.coding import pictures
from semcomp_pl.coding.pictures import FORMATS, LOSSLESS_WEBP, LOSSY_WEBP, WEBP, PictureFormat, Pixels
from semcomp_pl.errors import FileError, SemcompError
from tests.coding.test_thumbnail import picture

SIZES = [(1, 1), (3, 5), (8, 16), (128, 40)]


def decibels(a: Pixels, b: Pixels) -> float:
    return float(peak_signal_noise_ratio(a, b, data_range=255))


@pytest.fixture(params=FORMATS)
def coder(request: pytest.FixtureRequest) -> int:
    if not FORMATS[request.param].available:
        pytest.skip("no Pillow plug-in for JPEG XL; pip install 'semcomp_pl[jxl]'")
    number: int = request.param
    return number


@pytest.mark.parametrize("size", SIZES)
def test_every_format_comes_back_as_pillow_decodes_it(coder: int, size: tuple[int, int]) -> None:
    pixels = picture(*size)
    whole = FORMATS[coder].write(Image.fromarray(pixels.transpose(1, 2, 0)), 60)
    expected = np.array(Image.open(io.BytesIO(whole)).convert("RGB")).transpose(2, 0, 1)
    found = pictures.decode(coder, pictures.encode(coder, pixels, 60), *size)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("form", [LOSSY_WEBP, LOSSLESS_WEBP], ids=["lossy", "lossless"])
def test_webp_is_without_what_its_size_says(form: PictureFormat, size: tuple[int, int]) -> None:
    whole = form.write(Image.fromarray(picture(*size).transpose(1, 2, 0)), 100)
    bare = pictures._strip_webp(whole, *size)
    assert len(whole) - len(bare) >= 24
    assert pictures._restore_webp(bare, *size) == whole
    assert np.array_equal(
        pictures.decode(WEBP, bare, *size), np.array(Image.open(io.BytesIO(whole)).convert("RGB")).transpose(2, 0, 1)
    )


def test_lossless_is_that() -> None:
    pixels = picture(9, 14)
    found = dict(pictures.lossless(pixels))
    assert WEBP in found
    for how, data in found.items():
        assert np.array_equal(pictures.decode(how, data, 9, 14), pixels)


@pytest.mark.parametrize("target", [28.0, 33.0])
def test_lower_qualities_miss_the_target_and_the_one_found_keeps_it(target: float) -> None:
    pixels = picture(16, 32, noise=6)
    found = dict(pictures.at_least(pixels, target))
    assert {WEBP, 4} <= found.keys()
    for how, data in found.items():
        assert decibels(pictures.decode(how, data, 16, 32), pixels) >= target
    webp = {q: pictures.encode(WEBP, pixels, q) for q in range(101)}
    keep = [len(data) for data in webp.values() if decibels(pictures.decode(WEBP, data, 16, 32), pixels) >= target]
    assert len(found[WEBP]) <= 1.1 * min(keep)


def test_beyond_reach_is_left_out() -> None:
    found = dict(pictures.at_least(np.random.default_rng(0).integers(0, 256, (3, 8, 16), dtype=np.uint8), 60.0))
    assert not found.keys() & {WEBP, 4}


def test_another_size_than_the_files_is_refused(coder: int) -> None:
    data = pictures.encode(coder, picture(8, 16), 60)
    pictures.decode(coder, data, 8, 16)
    if coder == WEBP:  # its size is the file's: nothing else can be claimed
        return
    for size in ((16, 8), (8, 17), (65535, 65535)):
        with pytest.raises(FileError, match="no readable"):
            pictures.decode(coder, data, *size)


def test_damage_and_unknown_formats_are_file_errors(coder: int) -> None:
    data = pictures.encode(coder, picture(8, 16), 60)
    for damaged in (b"", data[:7], bytes(len(data))):
        with pytest.raises(FileError):
            pictures.decode(coder, damaged, 8, 16)
    with pytest.raises(FileError, match="picture format 14 found"):
        pictures.decode(14, data, 8, 16)


def test_formats_keep_their_numbers() -> None:
    """Files have them: docs/file-format.md."""
    text = (Path(__file__).parents[2] / "docs" / "file-format.md").read_text()
    names = {3: "WebP", 4: "JPEG", 5: "JPEG 2000", 6: "AVIF", 7: "JPEG XL"}
    assert FORMATS.keys() == names.keys()
    assert ", ".join(f"{number} {name}" for number, name in names.items()) in text


def test_psnr_is_scikit_images() -> None:
    a, b = picture(8, 16), picture(8, 16, seed=1)
    assert pictures.psnr(a, b) == pytest.approx(decibels(a, b), rel=1e-12)
    assert pictures.psnr(a, a) == float("inf")


def test_pictures_beyond_pillows_limit_are_no_bombs() -> None:
    bomb = io.BytesIO()
    Image.new("L", (20000, 5000)).save(bomb, "PNG")
    form = PictureFormat("PNG")
    with pytest.warns(Image.DecompressionBombWarning), pytest.raises(SemcompError, match="at most 89478485 pixels"):
        form.read(bomb.getvalue())


def test_pixels_need_no_torch() -> None:
    code = "import sys, semcomp_pl.coding.pictures; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
