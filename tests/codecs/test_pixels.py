"""The forms of an image that codecs take."""

import inspect
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from semcomp_pl.checkpoints.loading import load
from semcomp_pl.codecs import WebP
from semcomp_pl.codecs.pixels import Picture, image_of
from semcomp_pl.errors import SemcompError
from semcomp_pl.files.images import read_image


@pytest.fixture
def pixels(rng: np.random.Generator) -> NDArray[np.uint8]:
    return rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)


def test_tensors_arrays_and_pictures_make_the_same_files(pixels: NDArray[np.uint8]) -> None:
    tensor = torch.from_numpy(pixels).permute(2, 0, 1) / 255
    forms: list[Picture] = [pixels, np.asfortranarray(pixels), pixels[:, ::-1][:, ::-1], Image.fromarray(pixels)]
    golden = Path(__file__).parents[1] / "golden" / "v1"
    for codec in (load(golden / "rate_distortion"), WebP(50)):
        expected = codec.compress(tensor)
        assert [codec.compress(form) for form in forms] == [expected] * len(forms)
        assert "uint8 array (H, W, 3)" in str(inspect.getdoc(codec.compress))
    assert torch.equal(image_of(pixels), tensor)


def test_a_picture_that_is_open_counts_as_its_file_does(pixels: NDArray[np.uint8], tmp_path: Path) -> None:
    """Sideways, transparent, and of 16 bits."""
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=turned)
    Image.fromarray(np.dstack([pixels, pixels[..., :1]])).save(tmp_path / "clear.png")
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(tmp_path / "deep.png")
    for name, size in {"turned": (30, 20), "clear": (20, 30), "deep": (20, 30)}.items():
        file = tmp_path / f"{name}.png"
        with pytest.warns(UserWarning, match="transparency put on white") if name == "clear" else nullcontext():
            found = image_of(Image.open(file))
            expected = torch.from_numpy(np.array(read_image(file))).permute(2, 0, 1) / 255
        assert torch.equal(found, expected)
        assert found.shape == (3, *size)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (np.zeros((3, 20, 30), np.uint8), r"uint8 of shape \(3, 20, 30\)"),
        (np.zeros((20, 30), np.uint8), r"uint8 of shape \(20, 30\)"),
        (np.zeros((20, 30, 3)), r"float64 of shape \(20, 30, 3\)"),
        (np.zeros((0, 30, 3), np.uint8), r"torch.float32 of shape \(3, 0, 30\)"),
        (torch.zeros(3, 20, 30, dtype=torch.uint8), r"torch.uint8 of shape \(3, 20, 30\)"),
        (torch.zeros(1, 3, 20, 30), r"torch.float32 of shape \(1, 3, 20, 30\)"),
        ("street.png", "str"),
    ],
)
def test_what_is_no_image_is_refused(given: object, found: str) -> None:
    with pytest.raises(SemcompError, match=rf"{found} found, expected a float tensor \(3, H, W\)"):
        WebP(50).compress(given)  # type: ignore[arg-type]
