"""WebP."""

from typing import Any, ClassVar

from semcomp_pl.codecs.pillow import PillowCodec


class WebP(PillowCodec):
    """Lossy WebP by libwebp with its slowest, best search.

    Source: https://developers.google.com/speed/webp/docs/riff_container
    """

    format: ClassVar[str] = "WEBP"
    options: ClassVar[dict[str, Any]] = {"method": 6}


class LosslessWebP(WebP):
    """The same format without loss; `quality` is how long its search takes."""

    options: ClassVar[dict[str, Any]] = {"method": 6, "lossless": True}
