"""JPEG 2000."""

from typing import Any, ClassVar

from semcomp_pl.codecs.pillow import PillowCodec


class JPEG2000(PillowCodec):
    """Irreversible JPEG 2000 by OpenJPEG, as a bare codestream.

    The format has a rate and no quality: `quality` q asks for 24 / 1000^(1 - q / 100) bits per pixel, from 0.024 to 24,
    as far as the header of about 150 bytes allows.

    Source: https://www.itu.int/rec/T-REC-T.800
    """

    format: ClassVar[str] = "JPEG2000"
    options: ClassVar[dict[str, Any]] = {"irreversible": True, "no_jp2": True, "quality_mode": "rates"}

    def save_options(self) -> dict[str, Any]:
        """The quality as a ratio of compression."""
        return {**self.options, "quality_layers": [1000 ** (1 - self.quality / 100)]}
