"""Decoding of image and label files; every failure names its file."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from semcomp_pl.errors import SemcompError, SemcompWarning


def open_image(path: Path) -> Image.Image:
    """The decoded image of a file.

    Raises:
        SemcompError: missing, unreadable, truncated, animated or hostile file.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(path)
            image.load()
            frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)  # MPO: a photo and its previews
    except FileNotFoundError:
        raise SemcompError(f"{path}: no such file; check the data root") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise SemcompError(f"{path}: {error}; resize the image first") from None
    except Exception as error:  # on damage the plugins raise OSError, SyntaxError, TypeError, RuntimeError, ...
        raise SemcompError(
            f"{path}: not a readable image ({error}); expected PNG, JPEG or another format that Pillow "
            "decodes; fetch or remove the file, or pass --data.on_error=skip"
        ) from None
    if frames > 1:
        raise SemcompError(f"{path}: {frames} frames found, expected a single one; extract it first")
    return image


def read_image(path: Path) -> Image.Image:
    """An RGB image: EXIF orientation applied, 16 bits scaled to 8, transparency put on white.

    Raises:
        SemcompError: as `open_image`, or the file holds floating-point values.
    """
    image = ImageOps.exif_transpose(open_image(path))
    if image.mode == "F":
        raise SemcompError(f"{path}: floating-point values found, expected 8 or 16 bits; convert the image first")
    if image.mode.startswith("I"):  # Pillow's own conversion clips 16 bits at 255
        values = np.asarray(image, dtype=np.float64)
        image = Image.fromarray(np.uint8(np.clip(values / 257 + 0.5, 0, 255)))
    if image.has_transparency_data:
        warnings.warn(f"{path}: transparency put on white", SemcompWarning, stacklevel=2)
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image.convert("RGB")


def read_index_map(path: Path) -> NDArray[Any]:
    """An integer map (H, W) from a grey, palette or 16-bit file.

    Raises:
        SemcompError: as `open_image`, or the file holds colours instead of indices.
    """
    image = open_image(path)
    if image.mode not in {"L", "P", "1", "I", "I;16", "I;16B"}:
        raise SemcompError(
            f"{path}: a {image.mode} image found, expected an index map (grey, palette or 16-bit); "
            "convert the colours to class ids first"
        )
    return np.asarray(image).astype(np.int64)
