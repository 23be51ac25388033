"""Reference codecs: the still-image formats that Pillow writes, optionally below the image's size."""

import io
import math
import struct
import warnings
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from semcomp_pl.codecs.base import check_image
from semcomp_pl.errors import SemcompError

_SIZE = struct.Struct(">HH")
_MAX_SIDE = 2**16 - 1


class PillowCodec:
    """A lossy Pillow format at one quality; a format is a subclass that names it.

    With `downscale` above 1 the image is coded that many times smaller a side and enlarged again by the
    decoder, both with Pillow's Lanczos filter, which is antialiased; this reaches rates below the format's
    floor. The file then starts with the original height and width, two big-endian 16-bit numbers, because
    the decoder needs them. Nothing but pixels is coded: no EXIF, ICC profile or XMP.

    Args:
        quality: the format's own scale, 0 (smallest) to 100.
        downscale: factor per side, at least 1.

    Raises:
        SemcompError: a number out of range.
    """

    format: ClassVar[str]
    """Pillow's name of the format."""
    options: ClassVar[dict[str, Any]] = {}
    """Further arguments of `Image.save`."""

    def __init__(self, quality: int, downscale: float = 1.0) -> None:
        if not 0 <= quality <= 100 or not 1 <= downscale < math.inf:
            raise SemcompError(
                f"quality {quality} and downscale {downscale} found, expected quality in 0..100 and a finite "
                "downscale of 1 or more; change the one out of range"
            )
        self.quality = quality
        self.downscale = downscale
        self.name = f"{self.format.lower()}_q{quality}" + (f"_x{downscale:g}" if downscale > 1 else "")

    def compress(self, image: Tensor) -> bytes:
        """As `Codec.compress`."""
        picture = _to_picture(image)
        width, height = picture.size
        header = b""
        if self.downscale > 1:
            if max(width, height) > _MAX_SIDE:
                raise SemcompError(
                    f"an image of {width}x{height} found, expected at most {_MAX_SIDE} pixels a side; tile it"
                )
            header = _SIZE.pack(height, width)
            picture = picture.resize(self._reduced(width, height), Image.Resampling.LANCZOS)
        stream = io.BytesIO()
        try:
            picture.save(stream, format=self.format, **self.save_options())
        except (OSError, ValueError, RuntimeError) as error:
            raise SemcompError(
                f"{self.format} cannot hold an image of {picture.width}x{picture.height} ({error}); "
                "raise downscale or tile the image"
            ) from None
        return header + stream.getvalue()

    def decompress(self, data: bytes) -> Tensor:
        """As `Codec.decompress`."""
        if self.downscale == 1:
            return _to_tensor(self.open(data))
        if len(data) < _SIZE.size:
            raise SemcompError(f"{len(data)} bytes found, expected {self.name}; the file is truncated")
        height, width = _SIZE.unpack_from(data)
        picture = self.open(data[_SIZE.size :])
        if 0 in (width, height) or picture.size != self._reduced(width, height):
            raise SemcompError(
                f"a picture of {picture.width}x{picture.height} found under a header of {width}x{height}, "
                f"expected that size over {self.downscale:g}; decode with the downscale it was coded with"
            )
        return _to_tensor(picture.resize((width, height), Image.Resampling.LANCZOS))

    def save_options(self) -> dict[str, Any]:
        """Arguments of `Image.save` beside the format."""
        return {**self.options, "quality": self.quality}

    def _reduced(self, width: int, height: int) -> tuple[int, int]:
        return max(1, round(width / self.downscale)), max(1, round(height / self.downscale))

    def open(self, data: bytes, size: tuple[int, int] | None = None) -> Image.Image:
        """The decoded picture, RGB.

        Raises:
            SemcompError: bytes of no such picture, or of one that is not (width, height) where that is given.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(io.BytesIO(data), formats=[self.format]) as picture:
                    if size not in {None, picture.size}:
                        raise OSError(f"of {picture.width}x{picture.height}, not {size}")
                    return picture.convert("RGB")
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise SemcompError(f"{self.format}: {error}; code the image in tiles") from None
        except (OSError, SyntaxError, ValueError, RuntimeError) as error:  # JPEG XL's plug-in raises the last
            raise SemcompError(
                f"{len(data)} bytes found that are no readable {self.format} image, expected what "
                f"{self.name} wrote; the file is damaged or of another codec"
            ) from error


def _to_picture(image: Tensor) -> Image.Image:
    check_image(image)
    values = image.detach().float().mul(255).round().clamp(0, 255).byte()
    return Image.fromarray(values.permute(1, 2, 0).cpu().numpy())


def _to_tensor(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255
