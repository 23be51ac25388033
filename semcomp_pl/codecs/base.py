"""What every codec offers, whoever wrote it, and what it may tell of itself."""

from collections.abc import Collection, Mapping
from typing import Any, Literal, Protocol

from torch import Tensor

Kind = Literal["model", "reference"]


class Codec(Protocol):
    """Turns one image into the bytes of a file and back."""

    def compress(self, image: Tensor) -> bytes:
        """The whole file of an image: all that `decompress` needs.

        Args:
            image: float (3, H, W), RGB, range [0, 1]; rounded to 8 bits here.

        Raises:
            SemcompError: another shape or type, or a size that the format cannot hold.
        """
        ...

    def decompress(self, data: bytes) -> Tensor:
        """The image of a file: float32 (3, H, W), RGB, multiples of 1/255 in [0, 1].

        Raises:
            SemcompError: bytes that `compress` did not write.
        """
        ...


class CodecFacts:
    """What a codec may tell a comparison of itself; these are the answers of one that says nothing.

    A codec inherits from this class and replaces what is different, or ignores it: `facts_of` reads any object.
    """

    kind: Kind = "model"
    """`model` where it was trained, `reference` for a format that everybody has."""
    label: str | None = None
    """Display name; the class's name where there is none."""
    point: str | None = None
    """Operating point, such as `d4C8L5` or `q10_x2`."""
    fingerprint: bytes = b""
    """32 bytes that name weights and tables; empty where there are none."""
    sends_labels: bool = False
    """Whether files carry a label map: `compress` then takes one (H, W) as its second argument, and makes its own where
    it is given none."""
    num_classes: int = 0
    """Classes K of the label map."""
    segmenters: Collection[str] = ()
    """Fingerprints, in hexadecimal, of the segmenters that may not judge this codec: it learned from them, or sends
    their maps."""

    def sections(self, data: bytes) -> dict[str, int]:
        """Bytes of a file by section; empty where nothing is known of them."""
        return {}

    def encode_again(
        self, reconstruction: Tensor, image: Tensor, label: Tensor | None = None
    ) -> tuple[Tensor, Tensor, int] | None:
        """Symbols (B, C, h, w) of reconstructions (B, 3, H, W) and of their originals, and the number of levels.

        Both are seen with one label map (B, H, W). None where the codec sends no latent, or not all of it.
        """
        return None

    def provenance(self) -> Mapping[str, Any]:
        """What a reader needs to know to repeat it; plain JSON."""
        return {}


class _Silent(CodecFacts):
    pass


def facts_of(codec: object) -> CodecFacts:
    """The codec itself where it inherits from `CodecFacts`, else what its attributes of those names say."""
    if isinstance(codec, CodecFacts):
        return codec
    found = _Silent()
    for name in vars(CodecFacts):
        if not name.startswith("_") and hasattr(codec, name):
            setattr(found, name, getattr(codec, name))
    return found
