"""Whole-image codecs behind one interface: bytes out, image back."""

from semcomp_pl.codecs.avif import AVIF
from semcomp_pl.codecs.base import Codec, bpp
from semcomp_pl.codecs.jpeg import JPEG, OptimizedJPEG
from semcomp_pl.codecs.jpeg2000 import JPEG2000
from semcomp_pl.codecs.jpeg_xl import JPEGXL
from semcomp_pl.codecs.search import Found, best_at
from semcomp_pl.codecs.webp import LosslessWebP, WebP

__all__ = [
    "AVIF",
    "JPEG",
    "JPEG2000",
    "JPEGXL",
    "Codec",
    "Found",
    "LosslessWebP",
    "OptimizedJPEG",
    "WebP",
    "best_at",
    "bpp",
]
