"""Decoding of image and label files: pixels as sRGB, label ids unchanged; all errors name their file."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps

from semcomp_pl.errors import SemcompError, SemcompWarning

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Transposition for each EXIF orientation."""
_ONLY_IDENTIFIED = {"BUFR", "GRIB", "HDF5", "MPEG"}
"""Formats that Pillow identifies but cannot decode."""
_STEPS = {"L;2": 85, "L;4": 17}
"""Factor by which Pillow multiplies grey values of fewer than 8 bits."""


def open_image(path: Path) -> Image.Image:
    """The decoded image of a file.

    Raises:
        SemcompError: the file is missing, unreadable, truncated, animated or a decompression bomb.
    """
    return _open(path)[0]


def is_image(path: Path) -> bool:
    """Whether a file's name is that of an image: of a format that Pillow reads, and not hidden."""
    known = Image.registered_extensions().get(path.suffix.lower())  # Pillow can only write some of them
    return known in Image.OPEN and known not in _ONLY_IDENTIFIED and not path.name.startswith(".")


def read_image(path: Path) -> Image.Image:
    """An image as sRGB: EXIF orientation applied, 16 bits scaled to 8, transparency blended with white.

    Unreadable metadata is ignored with a warning, because the pixels are fine.

    Raises:
        SemcompError: as for `open_image`, or the values have no defined range.
    """
    image, raw = _open(path)
    with _named(path):
        return _to_srgb(path, _upright(path, _eight_bits(path, image, raw)))


def as_srgb(image: Image.Image) -> Image.Image:
    """An image that is open already, as `read_image` reads its file.

    Raises:
        SemcompError: it cannot be decoded, or the values have no defined range.
    """
    name = Path(getattr(image, "filename", "") or "image")
    with _named(name):
        image.load()
        return _to_srgb(name, _upright(name, _eight_bits(name, image, image.mode)))


def read_index_map(path: Path) -> NDArray[np.int64]:
    """The ids (H, W) in a grey or palette file of any bit depth, as stored in the file.

    Raises:
        SemcompError: as for `open_image`, or the file holds colours instead of indices.
    """
    image, raw = _open(path)
    if image.mode not in {"L", "P", "1"} and not image.mode.startswith("I"):
        raise SemcompError(
            f"{path}: a {image.mode} image found, expected an index map (grey or palette, of up to 32 bits); "
            "convert the colours to class ids first"
        )
    with _named(path):
        ids = np.asarray(image).astype(np.int64)
        kind = raw.rstrip("R")  # the order of bits within a byte
        if image.mode in {"L", "1"} and kind.endswith("I"):  # files where zero is white, which Pillow inverts
            ids, kind = (1 if image.mode == "1" else 255) - ids, kind.rstrip("I")
        return ids // _STEPS.get(kind, 1)


def _open(path: Path) -> tuple[Image.Image, str]:
    """The decoded image, and the storage format of its values in the file (Pillow's raw mode)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(path)
            arguments = image.tile[0][3] if image.tile else ""
            raw = arguments if isinstance(arguments, str) else next(iter(arguments or ("",)))
            image.load()
            frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)  # MPO: a photo and its previews
    except FileNotFoundError:
        raise SemcompError(f"{path}: no such file; check the path") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise SemcompError(f"{path}: {error}; resize the image first") from None
    except Exception as error:  # on damage the plugins raise OSError, SyntaxError, TypeError, RuntimeError, ...
        raise _unreadable(path, error) from None
    if frames > 1:
        raise SemcompError(f"{path}: {frames} frames found, expected a single one; extract it first")
    return image, str(raw)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn any error that a decoder raises late into an error about this file."""
    try:
        yield
    except (SemcompError, SemcompWarning):
        raise
    except Exception as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> SemcompError:
    return SemcompError(
        f"{path}: not a readable image ({error}); expected PNG, JPEG or another format that Pillow decodes; fetch the "
        "file again, or remove it"
    )


def _eight_bits(path: Path, image: Image.Image, raw: str) -> Image.Image:
    """The image in a mode with 8 bits per channel; only values with a defined range are scaled."""
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.asarray(image).astype(np.float64)
        top = 4095 if raw.startswith("I;12") else 65535
        if not (image.mode.startswith("I;16") or image.format in {"PNG", "PPM", "JPEG2000"}):
            kind = "floating-point" if image.mode == "F" else "integer"
            raise SemcompError(
                f"{path}: {kind} values from {values.min():g} to {values.max():g} found, which have no defined black "
                "and white, expected 8 or 16 bits per channel; scale the values first"
            )
        scaled = Image.fromarray(np.uint8(np.clip(values * 255 / top + 0.5, 0, 255)))
        scaled.info, scaled._exif = image.info, getattr(image, "_exif", None)
        return scaled
    return image


def _upright(path: Path, image: Image.Image) -> Image.Image:
    """The image rotated as its EXIF orientation says, if it has one."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception as error:  # one bad tag makes Pillow fail to rewrite the block
        _note(path, f"broken EXIF metadata ({error})")
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return image
    return image if turn is None else image.transpose(turn)


def _to_srgb(path: Path, image: Image.Image) -> Image.Image:
    """The image as sRGB, with transparency blended with white."""
    profile, alpha = image.info.get("icc_profile"), None
    if image.has_transparency_data:
        _note(path, "transparency put on white")
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
    if image.mode not in {"RGB", "L", "CMYK"}:
        image = image.convert("RGB")
    image = image.convert("RGB") if profile is None else _converted(path, image, profile)
    if alpha is not None:
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=alpha)
        return white
    return image


def _converted(path: Path, image: Image.Image, data: bytes) -> Image.Image:
    """The image converted from a colour profile to sRGB."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        if image.mode == "L" and profile.profile.xcolor_space.strip() == "RGB":
            image = image.convert("RGB")
        found = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except Exception as error:  # PyCMSError, OSError, ValueError, or this build of Pillow lacks littlecms
        _note(path, f"unreadable colour profile ({error}), taken as sRGB")
        return image.convert("RGB")
    assert found is not None
    return found


def _note(path: Path, what: str) -> None:
    warnings.warn(f"{path}: {what}", SemcompWarning, stacklevel=2)
