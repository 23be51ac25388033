"""Reference codecs: the still-image formats that Pillow writes."""

from typing import ClassVar

from PIL import Image

from semcomp_pl.codecs.picture import PictureCodec
from semcomp_pl.coding import pictures
from semcomp_pl.coding.pictures import PictureFormat


class PillowCodec(PictureCodec):
    """A Pillow format at one quality; subclasses set `format`.

    Args:
        quality: Quality on the format's own scale, 0 (smallest file) to 100.
        downscale: Factor, at least 1, by which each side is reduced before coding.

    Raises:
        SemcompError: a number is out of range, or the format's plug-in is not installed.
    """

    format: ClassVar[PictureFormat]

    def __init__(self, quality: int, downscale: float = 1.0) -> None:
        super().__init__(quality, downscale)
        self.format.require()

    def encode(self, picture: Image.Image) -> bytes:
        """See `PictureCodec.encode`."""
        return self.format.write(picture, self.quality)

    def decode(self, data: bytes) -> Image.Image:
        """See `PictureCodec.decode`."""
        return self.format.read(data)


class WebP(PillowCodec):
    """Lossy WebP by libwebp with its slowest, best search.

    Source: https://developers.google.com/speed/webp/docs/riff_container
    """

    format = pictures.LOSSY_WEBP


class LosslessWebP(PillowCodec):
    """Lossless WebP; `quality` is the effort of its search."""

    format = pictures.LOSSLESS_WEBP


class JPEG(PillowCodec):
    """Baseline JPEG by libjpeg-turbo with the standard's Huffman tables and 4:2:0, as in most published curves.

    Source: https://www.w3.org/Graphics/JPEG/itu-t81.pdf
    """

    format = pictures.STANDARD_JPEG


class OptimizedJPEG(PillowCodec):
    """JPEG with Huffman tables optimised for each file: the same pixels in smaller files, above all at low rates."""

    format = pictures.OPTIMIZED_JPEG


class JPEG2000(PillowCodec):
    """Irreversible JPEG 2000 by OpenJPEG, as a bare codestream.

    The format has a target rate instead of a quality: `quality` q asks for 24 / 1000^(1 - q / 100) bits per pixel, from
    0.024 to 24, as far as the header of about 150 bytes allows.

    Source: https://www.itu.int/rec/T-REC-T.800
    """

    format = pictures.JPEG_2000


class AVIF(PillowCodec):
    """Lossy AVIF by libavif, 4:2:0, at speed 4 on the scale from 0 (slowest) to 10.

    Source: https://aomediacodec.github.io/av1-avif/
    """

    format = pictures.AVIF


class JPEGXL(PillowCodec):
    """JPEG XL by libjxl with its second slowest search (effort 9); lossy below quality 100.

    Source: https://www.iso.org/standard/85066.html
    """

    format = pictures.JPEG_XL
