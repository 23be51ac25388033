"""AVIF."""

from typing import Any, ClassVar

from semcomp_pl.codecs.pillow import PillowCodec


class AVIF(PillowCodec):
    """Lossy AVIF by libavif, 4:2:0, at speed 4 of 0 (slowest) to 10.

    Source: https://aomediacodec.github.io/av1-avif/
    """

    format: ClassVar[str] = "AVIF"
    options: ClassVar[dict[str, Any]] = {"speed": 4}
