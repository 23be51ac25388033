"""Still-image formats for sections of files and for reference codecs."""

import io
import struct
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semcomp_pl.errors import FileError, SemcompError

Pixels = NDArray[np.uint8]
"""RGB (3, H, W)."""
MAX_PICTURE = 1024**3 // 12
"""Largest number of pixels that is decoded, Pillow's limit: larger pictures count as decompression bombs."""
_UNREADABLE = (OSError, SyntaxError, ValueError, RuntimeError)  # JPEG XL's plug-in raises the last


def _as_quality(quality: int) -> dict[str, Any]:
    return {"quality": quality}


class PictureFormat(NamedTuple):
    """A format that Pillow reads and writes.

    Only pixels are written, no EXIF, ICC profile or XMP.
    """

    name: str
    """Pillow's name of the format."""
    options: Mapping[str, Any] = MappingProxyType({})
    """Arguments of `Image.save` at all qualities."""
    by_quality: Callable[[int], dict[str, Any]] = _as_quality
    """Further arguments for a quality of 0 (smallest) to 100."""
    plugin: str | None = None
    """Plug-in module that adds the format to Pillow, if it needs one."""
    extra: str = ""
    """Extra of this package that installs the plug-in."""

    @property
    def available(self) -> bool:
        """Whether its plug-in is installed, if it needs one."""
        return self.plugin is None or find_spec(self.plugin) is not None

    def require(self) -> None:
        """Make sure that Pillow supports the format.

        Raises:
            SemcompError: its plug-in is not installed.
        """
        if self.plugin is None:
            return
        if not self.available:
            raise SemcompError(
                f"{self.plugin} not found, which {self.name} needs; pip install 'semcomp_pl[{self.extra}]'"
            )
        import_module(self.plugin)

    def write(self, picture: Image.Image, quality: int) -> bytes:
        """The file of a picture.

        Raises:
            SemcompError: the format cannot hold this size, or its plug-in is missing.
        """
        self.require()
        stream = io.BytesIO()
        try:
            picture.save(stream, format=self.name, **self.options, **self.by_quality(quality))
        except _UNREADABLE as error:
            raise SemcompError(
                f"{self.name} cannot hold an image of {picture.width}x{picture.height} ({error}); "
                "raise downscale or tile the image"
            ) from None
        return stream.getvalue()

    def read(self, data: bytes, size: tuple[int, int] | None = None) -> Image.Image:
        """The picture in a file, as RGB.

        Args:
            data: Bytes of the file.
            size: Required width and height, if known.

        Raises:
            SemcompError: the bytes are not such a picture, or the plug-in is missing.
        """
        self.require()
        try:
            with Image.open(io.BytesIO(data), formats=[self.name]) as picture:
                if size not in {None, picture.size}:
                    raise OSError(f"{picture.width}x{picture.height} found, expected {size}")
                if picture.width * picture.height > MAX_PICTURE:
                    raise OSError(f"{picture.width}x{picture.height} found, expected at most {MAX_PICTURE} pixels")
                return picture.convert("RGB")
        except (*_UNREADABLE, Image.DecompressionBombError) as error:
            raise SemcompError(
                f"{len(data)} bytes found that are no readable {self.name} image ({error}); "
                "the file is damaged or of another codec"
            ) from error


LOSSY_WEBP = PictureFormat("WEBP", {"method": 6})
LOSSLESS_WEBP = PictureFormat("WEBP", {"method": 6, "lossless": True})
STANDARD_JPEG = PictureFormat("JPEG")
OPTIMIZED_JPEG = PictureFormat("JPEG", {"optimize": True})
JPEG_2000 = PictureFormat(
    "JPEG2000",
    {"irreversible": True, "no_jp2": True, "quality_mode": "rates"},
    lambda quality: {"quality_layers": [1000 ** (1 - quality / 100)]},  # a compression ratio
)
AVIF = PictureFormat("AVIF", {"speed": 4})
JPEG_XL = PictureFormat(
    "JXL",
    {"effort": 9},
    lambda quality: {"quality": quality, "lossless": quality == 100},  # 100 is refused otherwise
    plugin="pillow_jxl",
    extra="jxl",
)

WEBP = 3
FORMATS = {WEBP: LOSSY_WEBP, 4: OPTIMIZED_JPEG, 5: JPEG_2000, 6: AVIF, 7: JPEG_XL}
"""Picture formats by their coder number in files."""
_LOSSLESS = {WEBP: LOSSLESS_WEBP, 7: JPEG_XL}  # at quality 100
_START = b"\x9d\x01\x2a"


def psnr(a: Pixels, b: Pixels) -> float:
    """PSNR of two pictures in decibels; infinite where they are equal."""
    error = np.mean((a.astype(np.float64) - b) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def encode(coder: int, pixels: Pixels, quality: int) -> bytes:
    """The bytes of a picture in a format, at a quality of 0..100.

    Raises:
        SemcompError: as for `PictureFormat.write`.
    """
    return _write(coder, FORMATS[coder], pixels, quality)


def decode(coder: int, data: bytes, height: int, width: int) -> Pixels:
    """The picture coded in bytes.

    Raises:
        FileError: the format is unknown or its plug-in missing, or the bytes are no picture of this size.
    """
    if coder not in FORMATS:
        raise FileError(f"picture format {coder} found, expected one of {[*FORMATS]}; upgrade semcomp_pl")
    try:
        whole = _restore_webp(data, height, width) if coder == WEBP else data
        picture = FORMATS[coder].read(whole, (width, height))
    except SemcompError as error:
        raise FileError(str(error)) from None
    return np.array(picture).transpose(2, 0, 1).copy()


def lossless(pixels: Pixels) -> Iterator[tuple[int, bytes]]:
    """Lossless formats, and the picture's bytes in each."""
    for coder, form in _LOSSLESS.items():
        if form.available:
            yield coder, _write(coder, form, pixels, 100)


def at_least(pixels: Pixels, decibels: float) -> Iterator[tuple[int, bytes]]:
    """Formats that reach a PSNR, and the picture's bytes in each at the lowest quality found that does.

    Quality is bisected, on the assumption that PSNR grows with it; if not quite, a lower quality may be missed.
    """
    for coder, form in FORMATS.items():
        if not form.available:
            continue
        tried: dict[int, bytes] = {}

        def reached(quality: int, coder: int = coder, tried: dict[int, bytes] = tried) -> float:
            tried[quality] = encode(coder, pixels, quality)
            return psnr(decode(coder, tried[quality], *pixels.shape[1:]), pixels)

        quality = bisect_left(range(101), decibels, key=reached)  # the result has been tried, or is 101
        if quality in tried:
            yield coder, tried[quality]


def _write(coder: int, form: PictureFormat, pixels: Pixels, quality: int) -> bytes:
    data = form.write(Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))), quality)
    return _strip_webp(data, *pixels.shape[1:]) if coder == WEBP else data


def _strip_webp(data: bytes, height: int, width: int) -> bytes:
    """A WebP file without the 24 to 28 bytes that follow from its size.

    Source: RFC 6386, section 9.1 (VP8), and RFC 9649, sections 2.4 and 3.4 (the container, and VP8L's header).

    Raises:
        SemcompError: it has another structure than a file of a single picture.
    """
    length = int.from_bytes(data[16:20], "little")
    body = data[20 : 20 + length]
    bare = body[:1] + body[5:] if data[12:16] == b"VP8L" else body[:3] + body[10:]
    if _restore_webp(bare, height, width) != data:
        raise SemcompError(
            "a WebP file of another build than expected found; use the version of Pillow in pyproject.toml"
        )
    return bare


def _restore_webp(bare: bytes, height: int, width: int) -> bytes:
    """Undo `_strip_webp`: a first byte of 2F is VP8L's signature, and that of a VP8 key frame is even."""
    if bare[:1] == b"\x2f":
        kind, body = b"VP8L", bare[:1] + struct.pack("<I", width - 1 | (height - 1) << 14) + bare[1:]
    else:
        kind, body = b"VP8 ", bare[:3] + _START + struct.pack("<HH", width, height) + bare[3:]
    padded = body + bytes(len(body) % 2)
    return struct.pack("<4sI4s4sI", b"RIFF", 12 + len(padded), b"WEBP", kind, len(body)) + padded
