"""Reference codecs as parts of a file that knows its size: the formats by number, and the shortest for a quality."""

import struct
from bisect import bisect_left
from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semcomp_pl.codecs.avif import AVIF
from semcomp_pl.codecs.jpeg import OptimizedJPEG
from semcomp_pl.codecs.jpeg2000 import JPEG2000
from semcomp_pl.codecs.jpeg_xl import JPEGXL
from semcomp_pl.codecs.pillow import PillowCodec
from semcomp_pl.codecs.webp import LosslessWebP, WebP
from semcomp_pl.errors import FileError, SemcompError
from semcomp_pl.metrics.psnr import psnr

Pixels = NDArray[np.uint8]
"""RGB (3, H, W)."""
WEBP = 3
FORMATS: dict[int, type[PillowCodec]] = {WEBP: WebP, 4: OptimizedJPEG, 5: JPEG2000, 6: AVIF, 7: JPEGXL}
"""By the number that a file has for them; `JPEGXL` only where its plug-in is installed."""
_LOSSLESS: dict[int, type[PillowCodec]] = {WEBP: LosslessWebP, 7: JPEGXL}  # at quality 100
_START = b"\x9d\x01\x2a"


def encode(coder: int, pixels: Pixels, quality: int) -> bytes:
    """A picture in a format at a quality of 0..100.

    Raises:
        SemcompError: as `PillowCodec` and its `compress`.
    """
    return _compress(coder, FORMATS[coder](quality), _image(pixels))


def decode(coder: int, data: bytes, height: int, width: int) -> Pixels:
    """The picture of bytes.

    Raises:
        FileError: an unknown format, one without its plug-in, or bytes of no picture of this size.
    """
    if coder not in FORMATS:
        raise FileError(f"picture format {coder} found, expected one of {[*FORMATS]}; upgrade semcomp_pl")
    try:
        codec = FORMATS[coder](100)
        whole = _restore_webp(data, height, width) if coder == WEBP else data
        picture = codec.open(whole, (width, height))
    except SemcompError as error:
        raise FileError(str(error)) from None
    return np.array(picture).transpose(2, 0, 1).copy()


def lossless(pixels: Pixels) -> Iterator[tuple[int, bytes]]:
    """Formats that can, and their bytes."""
    for coder, kind in _LOSSLESS.items():
        if _available(kind):
            yield coder, _compress(coder, kind(100), _image(pixels))


def at_least(pixels: Pixels, decibels: float) -> Iterator[tuple[int, bytes]]:
    """Formats that reach a PSNR, and their bytes at the lowest quality found that does.

    Quality is bisected, taking PSNR to grow with it; where it does not quite, a lower one may be missed.
    """
    image = _image(pixels)
    for coder, kind in FORMATS.items():
        if not _available(kind):
            continue

        def reached(quality: int, kind: type[PillowCodec] = kind) -> float:
            codec = kind(quality)
            return psnr(codec.decompress(codec.compress(image))[None], image[None]).item()

        quality = bisect_left(range(101), decibels, key=reached)  # what it returns was tried, or is 101
        if quality <= 100:
            yield coder, encode(coder, pixels, quality)


def _available(kind: type[PillowCodec]) -> bool:
    return kind is not JPEGXL or find_spec("pillow_jxl") is not None


def _image(pixels: Pixels) -> Tensor:
    return torch.from_numpy(pixels).float() / 255


def _compress(coder: int, codec: PillowCodec, image: Tensor) -> bytes:
    data = codec.compress(image)
    return _strip_webp(data, image.shape[-2], image.shape[-1]) if coder == WEBP else data


def _strip_webp(data: bytes, height: int, width: int) -> bytes:
    """A WebP file without what follows from its size, 24 to 28 bytes.

    Source: RFC 6386, section 9.1 (VP8), and RFC 9649, sections 2.4 and 3.4 (the container, and VP8L's header).

    Raises:
        SemcompError: it holds more than one picture.
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
    """The file again: a first byte of 2F is VP8L's signature, a VP8 key frame's is even."""
    if bare[:1] == b"\x2f":
        kind, body = b"VP8L", bare[:1] + struct.pack("<I", width - 1 | (height - 1) << 14) + bare[1:]
    else:
        kind, body = b"VP8 ", bare[:3] + _START + struct.pack("<HH", width, height) + bare[3:]
    padded = body + bytes(len(body) % 2)
    return struct.pack("<4sI4s4sI", b"RIFF", 12 + len(padded), b"WEBP", kind, len(body)) + padded
