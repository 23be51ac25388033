"""What every codec offers, trained or not."""

from typing import Protocol

from torch import Tensor


class Codec(Protocol):
    """Turns one image into the bytes of a file and back."""

    name: str

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


def bpp(data: bytes, image: Tensor) -> float:
    """Bits of the whole file per pixel of the original image (..., H, W)."""
    return 8 * len(data) / (image.shape[-2] * image.shape[-1])
