"""What every codec offers, trained or not."""

from typing import Protocol

from torch import Tensor

from semcomp_pl.errors import SemcompError


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


def check_image(image: Tensor) -> None:
    """Refuse what `compress` does not take.

    Raises:
        SemcompError: not a float image (3, H, W) of at least one pixel.
    """
    if image.ndim != 3 or image.shape[0] != 3 or 0 in image.shape or not image.is_floating_point():
        raise SemcompError(
            f"{image.dtype} of shape {tuple(image.shape)} found, expected a float image (3, H, W) in [0, 1]; "
            "code a batch image by image, and divide 8-bit values by 255"
        )


def bpp(data: bytes, image: Tensor) -> float:
    """Bits of the whole file per pixel of the original image (..., H, W)."""
    return 8 * len(data) / (image.shape[-2] * image.shape[-1])
