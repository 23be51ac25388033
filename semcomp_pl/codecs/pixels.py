"""Pixels as all codecs and metrics see them: 8-bit values held as floats, with checks of shape and range."""

from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from semcomp_pl.errors import SemcompError
from semcomp_pl.files.images import as_srgb

Picture: TypeAlias = Tensor | NDArray[np.uint8] | Image.Image
"""An image in one of the forms that the suite's codecs take: see `image_of`."""
CAP = 100.0
"""Largest PSNR, in decibels, which identical images get: a single one would otherwise make a mean infinite."""


_SLACK = 0.5 / 255


def as_decoded(image: Tensor) -> Tensor:
    """The values that an 8-bit file would hold, still in [0, 1].

    Args:
        image: Float (..., H, W) of any floating type, range [0, 1]; other values are clipped.

    Returns:
        Float32 (..., H, W), multiples of 1/255.
    """
    return image.float().mul(255).round().clamp(0, 255).div(255)


def to_bytes(image: Tensor) -> Tensor:
    """Uint8 (..., H, W) of an image in [0, 1], rounded."""
    return image.float().mul(255).round().clamp(0, 255).to(torch.uint8)


def image_of(given: Picture) -> Tensor:
    """What a codec compresses, as a tensor.

    Args:
        given: Float tensor (3, H, W), RGB, range [0, 1]; or uint8 array (H, W, 3), RGB; or PIL image of any mode, which
            is read as its file would be: upright, as sRGB, transparency on white.

    Returns:
        Float (3, H, W), RGB, range [0, 1].

    Raises:
        SemcompError: it is none of these or has no pixel, or as for `check_range`.
    """
    if isinstance(given, Image.Image):
        given = np.array(as_srgb(given))
    if isinstance(given, np.ndarray) and given.ndim == 3 and given.shape[-1] == 3 and given.dtype == np.uint8:
        given = torch.from_numpy(np.ascontiguousarray(given)).permute(2, 0, 1) / 255
    fits = isinstance(given, Tensor) and given.ndim == 3 and given.shape[0] == 3 and 0 not in given.shape
    if not isinstance(given, Tensor) or not fits or not given.is_floating_point():
        found = f"{given.dtype} of shape {tuple(given.shape)}" if hasattr(given, "dtype") else type(given).__name__
        raise SemcompError(
            f"{found} found, expected a float tensor (3, H, W) in [0, 1], a uint8 array (H, W, 3) or a PIL image; "
            "code a batch image by image"
        )
    check_range(given)
    return given


def check_range(image: Tensor) -> None:
    """Refuse values that clipping would change visibly.

    Raises:
        SemcompError: a value is not finite, or further outside [0, 1] than rounding to 8 bits hides.
    """
    low, high = float(image.min()), float(image.max())
    if not (low >= -_SLACK and high <= 1 + _SLACK):  # so that NaN is refused too
        raise SemcompError(
            f"values from {low:g} to {high:g} found, expected finite ones in [0, 1]; divide 8-bit values by 255"
        )


def check_pair(reconstruction: Tensor, image: Tensor) -> None:
    """Refuse pairs of different shapes, which broadcasting would turn into a wrong result.

    Raises:
        SemcompError: not two tensors of the same shape (B, 3, H, W).
    """
    if reconstruction.shape != image.shape or image.ndim != 4 or image.shape[1] != 3:
        raise SemcompError(
            f"reconstruction of shape {tuple(reconstruction.shape)} and image of shape {tuple(image.shape)} "
            "found, expected one shape (B, 3, H, W) for both; crop or enlarge the reconstruction first"
        )


def psnr(reconstruction: Tensor, image: Tensor) -> Tensor:
    """PSNR of each image over its pixels and channels, on 8-bit values.

    Args:
        reconstruction: Float (B, 3, H, W), RGB, range [0, 1].
        image: Originals, of the same shape and range.

    Returns:
        Float64 (B,), decibels, at most 100.

    Raises:
        SemcompError: the shapes differ.
    """
    check_pair(reconstruction, image)
    error = (as_decoded(reconstruction) - as_decoded(image)).double().square().mean(dim=(1, 2, 3))
    return (-10 * error.log10()).clamp(max=CAP)


def bpp(data: bytes, image: Tensor) -> float:
    """Bits of the whole file per pixel of the original image (..., H, W)."""
    return 8 * len(data) / (image.shape[-2] * image.shape[-1])
