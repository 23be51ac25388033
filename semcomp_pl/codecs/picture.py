"""Codecs of 8-bit pictures, optionally at a reduced size."""

import math
import struct
from abc import ABC, abstractmethod

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from semcomp_pl.codecs.base import CodecFacts, Kind
from semcomp_pl.codecs.pixels import Picture, image_of, to_bytes
from semcomp_pl.coding.pictures import MAX_PICTURE
from semcomp_pl.errors import SemcompError

_SIZE = struct.Struct(">HH")
_MAX_SIDE = 2**16 - 1


class PictureCodec(CodecFacts, ABC):
    """Codes an image as a picture in some format; subclasses convert pictures to bytes and back.

    With `downscale` above 1, each side of the image is divided by that factor before coding and enlarged again by the
    decoder, both with Pillow's antialiased Lanczos filter; this reaches rates below the format's minimum. Such a file
    starts with the original height and width, two big-endian 16-bit numbers. The decoder needs only the file: every
    codec of a format decodes all files of that format, whatever their quality and downscale.

    Args:
        quality: 0 (smallest file) to 100.
        downscale: Factor, at least 1, by which each side is reduced before coding.

    Raises:
        SemcompError: a number is out of range.
    """

    kind: Kind = "reference"

    def __init__(self, quality: int, downscale: float = 1.0) -> None:
        if not 0 <= quality <= 100 or not 1 <= downscale < math.inf:
            raise SemcompError(
                f"quality {quality} and downscale {downscale} found, expected quality in 0..100 and a finite "
                "downscale of 1 or more; change the one out of range"
            )
        self.quality = quality
        self.downscale = downscale
        self.point = f"q{quality}" + (f"_x{downscale:g}" if downscale > 1 else "")

    @abstractmethod
    def encode(self, picture: Image.Image) -> bytes:
        """The bytes of an RGB picture in this format.

        Raises:
            SemcompError: the format cannot hold it.
        """

    @abstractmethod
    def decode(self, data: bytes) -> Image.Image:
        """The RGB picture of bytes in this format.

        Raises:
            SemcompError: the bytes are not such a picture.
        """

    def compress(self, image: Picture) -> bytes:
        """The file of an image.

        Args:
            image: Float tensor (3, H, W) in [0, 1], uint8 array (H, W, 3), or PIL image.

        Raises:
            SemcompError: it is none of these, or of a size that the format cannot hold.
        """
        picture = Image.fromarray(to_bytes(image_of(image).detach()).permute(1, 2, 0).cpu().numpy())
        if self.downscale == 1:
            return self.encode(picture)
        width, height = picture.size
        if not _is_size(height, width):
            raise SemcompError(
                f"an image of {width}x{height} found, expected at most {_MAX_SIDE} per side and {MAX_PICTURE} pixels "
                "in all; tile it"
            )
        reduced = [max(1, round(side / self.downscale)) for side in picture.size]
        picture = picture.resize((reduced[0], reduced[1]), Image.Resampling.LANCZOS)
        return _SIZE.pack(height, width) + self.encode(picture)

    def decompress(self, data: bytes) -> Tensor:
        """See `Codec.decompress`."""
        height, width = _SIZE.unpack_from(data) if len(data) > _SIZE.size else (0, 0)
        contradiction: SemcompError | None = None
        # try the size first: a decoder may well skip four bytes before a picture, but hardly read one that lacks four
        if _is_size(height, width):
            try:
                return self._enlarged(data[_SIZE.size :], width, height)
            except _ContradictionError as error:
                contradiction = error
            except SemcompError:
                pass
        try:
            return _to_tensor(self.decode(data))
        except SemcompError as error:
            raise contradiction or error from None

    def _enlarged(self, data: bytes, width: int, height: int) -> Tensor:
        picture = self.decode(data)
        if not _is_reduced(picture.size, (width, height)):
            raise _ContradictionError(
                f"a picture of {picture.width}x{picture.height} found under a header of {width}x{height}, expected one "
                "of that shape and no larger; the file is damaged"
            )
        return _to_tensor(picture.resize((width, height), Image.Resampling.LANCZOS))


class _ContradictionError(SemcompError):
    """The size in a file's header does not fit its picture."""


def _is_size(height: int, width: int) -> bool:
    """Whether a file may start with this size; most formats' first bytes mean a size that is too large or zero."""
    return 0 < height <= _MAX_SIDE and 0 < width <= _MAX_SIDE and height * width <= MAX_PICTURE


def _is_reduced(reduced: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether dividing `size` by one factor of at least 1, and rounding, gives `reduced`."""
    least = max(1.0, *(whole / (part + 0.5) for part, whole in zip(reduced, size, strict=True)))
    most = min(whole / (part - 0.5) if part > 1 else math.inf for part, whole in zip(reduced, size, strict=True))
    return least <= most * (1 + 1e-12)


def _to_tensor(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255
