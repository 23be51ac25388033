"""Image codecs behind one interface: image to the bytes of a file and back."""

from semcomp_pl.codecs.base import Codec, CodecFacts, facts_of
from semcomp_pl.codecs.command import CommandCodec
from semcomp_pl.codecs.pillow import AVIF, JPEG, JPEG2000, JPEGXL, LosslessWebP, OptimizedJPEG, WebP
from semcomp_pl.codecs.pixels import bpp
from semcomp_pl.codecs.search import Found, Search, best_at
from semcomp_pl.codecs.unclip import StableUnclip

__all__ = [
    "AVIF",
    "JPEG",
    "JPEG2000",
    "JPEGXL",
    "Codec",
    "CodecFacts",
    "CommandCodec",
    "Found",
    "LosslessWebP",
    "OptimizedJPEG",
    "Search",
    "StableUnclip",
    "WebP",
    "best_at",
    "bpp",
    "facts_of",
]
