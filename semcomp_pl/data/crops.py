"""Crops, mirror images and colours of whole batches, made on the device that holds the images.

Nothing here waits for the device: shapes come from plain numbers, and what differs between images from tensors.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from semcomp_pl.data.frame import Frame

_GREY = (0.2989, 0.587, 0.114)  # torchvision's weights of red, green and blue


class Crops(NamedTuple):
    """Where a batch of B images is cut from N larger ones."""

    images: Tensor
    """Long (B,), which of the N images."""
    tops: Tensor
    """Long (B,), first rows."""
    lefts: Tensor
    """Long (B,), first columns."""
    flips: Tensor
    """Bool (B,), which crops are mirrored."""
    height: int
    """Number of rows of all crops."""
    width: int
    """Number of columns of all crops."""

    def places(self, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Indices (B, 1, 1), (B, h, 1), (B, 1, w) of the pixels at `rows` (h,) and `columns` (w,) of each crop."""
        columns = torch.where(self.flips[:, None], columns.flip(0), columns)
        rows, columns = self.tops[:, None] + rows, self.lefts[:, None] + columns
        return self.images[:, None, None], rows[:, :, None], columns[:, None, :]


def crop_images(images: Tensor, crops: Crops, frame: Frame) -> Tensor:
    """Crops of images, uint8 (N, H, W, 3), resized to the frame by bicubic interpolation with antialiasing.

    Returns:
        Float (B, 3, *frame), range [0, 1].
    """
    rows, columns = (torch.arange(length, device=images.device) for length in (crops.height, crops.width))
    pixels = images[crops.places(rows, columns)].permute(0, 3, 1, 2).float()
    # columns before rows, with overshoots cut off in between and whole levels at the end, as torch resizes bytes
    return _resize(_resize(pixels, (crops.height, frame.width)), frame).round_().div_(255)


def _resize(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    if pixels.shape[2:] == size:
        return pixels
    return functional.interpolate(pixels, tuple(size), mode="bicubic", antialias=True).clamp_(0, 255)


def crop_maps(maps: Tensor, crops: Crops, frame: Frame) -> Tensor:
    """Crops of maps (N, H, W), resized to the frame by nearest neighbour: (B, *frame)."""
    rows, columns = (_nearest(*sizes, maps.device) for sizes in zip((crops.height, crops.width), frame, strict=True))
    return maps[crops.places(rows, columns)]


def jitter(images: Tensor, factors: Tensor, order: list[int]) -> Tensor:
    """Change brightness (0), contrast (1) and saturation (2) in the given order, each as torchvision defines it.

    Args:
        images: Float (B, 3, H, W), range [0, 1].
        factors: Float (3, B), each image's factors of brightness, contrast and saturation.
        order: The order of the changes.
    """
    for change in order:
        images = torch.lerp(_opposite(images, change), images, factors[change, :, None, None, None]).clamp_(0, 1)
    return images


def _opposite(images: Tensor, change: int) -> Tensor:
    """What a factor of 0 makes of images: black, their mean grey level, or their grey version."""
    if change == 0:
        return torch.zeros_like(images)
    grey = sum(images[:, i : i + 1] * weight for i, weight in enumerate(_GREY))
    assert isinstance(grey, Tensor)
    return grey if change == 2 else grey.mean((1, 2, 3), keepdim=True)


def _nearest(length: int, size: int, device: torch.device) -> Tensor:
    """For each of `size` pixels the nearest of `length`, as torch itself chooses it, in its own precision."""
    indices = torch.arange(length, device=device, dtype=torch.float32)
    return functional.interpolate(indices[None, None], size, mode="nearest-exact")[0, 0].long()
