"""JPEG XL."""

from importlib.util import find_spec
from typing import Any, ClassVar

from semcomp_pl.codecs.pillow import PillowCodec
from semcomp_pl.errors import SemcompError


class JPEGXL(PillowCodec):
    """Lossy JPEG XL by libjxl with its slowest, best search but one (effort 9).

    Source: https://www.iso.org/standard/85066.html

    Raises:
        SemcompError: the Pillow plug-in is not installed, or as `PillowCodec`.
    """

    format: ClassVar[str] = "JXL"
    options: ClassVar[dict[str, Any]] = {"effort": 9}

    def __init__(self, quality: int, downscale: float = 1.0) -> None:
        super().__init__(quality, downscale)
        if find_spec("pillow_jxl") is None:
            raise SemcompError("Pillow's plug-in for JPEG XL not found; pip install 'semcomp_pl[jxl]'")
        import pillow_jxl  # noqa: F401  # registers the format

    def save_options(self) -> dict[str, Any]:
        """Quality 100 is lossless: the plug-in refuses the number without the word."""
        return {**super().save_options(), "lossless": self.quality == 100}
