"""Whole-image codecs behind one interface: bytes out, image back."""

from semcomp_pl.codecs.base import Codec, bpp
from semcomp_pl.codecs.search import Found, best_at
from semcomp_pl.codecs.webp import WebP

__all__ = ["Codec", "Found", "WebP", "best_at", "bpp"]
