"""The interface of all codecs, and the facts that a codec may state about itself."""

from collections.abc import Collection, Mapping
from typing import Any, Literal, Protocol

from torch import Tensor

Kind = Literal["model", "reference"]


class Codec(Protocol):
    """Turns an image into the bytes of a file and back."""

    def compress(self, image: Tensor) -> bytes:
        """The complete file of an image: everything that `decompress` needs.

        Args:
            image: Float (3, H, W), RGB, range [0, 1]; the codec rounds it to 8 bits.

        Raises:
            SemcompError: wrong shape or type, or a size that the format cannot hold.
        """
        ...

    def decompress(self, data: bytes) -> Tensor:
        """The image in a file: float32 (3, H, W), RGB, multiples of 1/255 in [0, 1].

        Raises:
            SemcompError: `compress` did not write these bytes.
        """
        ...


class CodecFacts:
    """Facts about a codec that a comparison uses; the values here are the defaults.

    A codec may inherit from this class and override what differs, or ignore it: `facts_of` reads any object.
    """

    kind: Kind = "model"
    """`model` for a trained codec, `reference` for an established format."""
    label: str | None = None
    """Display name; the class's name if None."""
    point: str | None = None
    """Operating point, such as `d4C8L5` or `q10_x2`."""
    fingerprint: bytes = b""
    """32 bytes that identify weights and tables; empty if it has none."""
    sends_labels: bool = False
    """Whether files carry a label map: `compress` then takes one (H, W) as its second argument, and makes its own if
    none is given."""
    num_classes: int = 0
    """Number of classes K of the label map."""
    segmenters: Collection[str] = ()
    """Fingerprints, in hexadecimal, of the segmenters that may not judge this codec, because it was trained against
    them or sends their label maps."""

    def sections(self, data: bytes) -> dict[str, int]:
        """Bytes of a file by section; empty if unknown."""
        return {}

    def encode_again(
        self, reconstruction: Tensor, image: Tensor, label: Tensor | None = None
    ) -> tuple[Tensor, Tensor, int] | None:
        """Symbols (B, C, h, w) of reconstructions (B, 3, H, W) and of their originals, and the number of levels.

        Both are encoded with the same label map (B, H, W). None if the codec sends no latent, or only part of it.
        """
        return None

    def provenance(self) -> Mapping[str, Any]:
        """What a reader needs to know to reproduce the codec, as plain JSON."""
        return {}


def facts_of(codec: object) -> CodecFacts:
    """The codec itself if it inherits from `CodecFacts`, else facts from its attributes of the same names."""
    if isinstance(codec, CodecFacts):
        return codec
    found = CodecFacts()
    for name in vars(CodecFacts):
        if not name.startswith("_") and hasattr(codec, name):
            setattr(found, name, getattr(codec, name))
    return found
