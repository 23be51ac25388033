"""JPEG."""

from typing import Any, ClassVar

from semcomp_pl.codecs.pillow import PillowCodec


class JPEG(PillowCodec):
    """Baseline JPEG by libjpeg-turbo with the standard's Huffman tables and 4:2:0, as published curves have it.

    Source: https://www.w3.org/Graphics/JPEG/itu-t81.pdf
    """

    format: ClassVar[str] = "JPEG"


class OptimizedJPEG(JPEG):
    """The same pixels with Huffman tables made for each file: smaller, and most so at low rates."""

    options: ClassVar[dict[str, Any]] = {"optimize": True}
