"""All random draws of an epoch of resident images at once."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semcomp_pl.data.augment import Augmentation
from semcomp_pl.data.crops import Crops


class Plan(NamedTuple):
    """The draws of an epoch of S batches of B images.

    What shapes and calls depend on stays on the host, so that nothing has to wait for the device.
    """

    sizes: list[tuple[int, int]]
    """Height and width of each batch's crops."""
    orders: list[list[int]]
    """The order in which brightness (0), contrast (1) and saturation (2) of each batch change."""
    places: Tensor
    """Long (3, S, B): index of the image, first row and first column of its crop."""
    flips: Tensor
    """Bool (S, B), which crops are mirrored."""
    factors: Tensor
    """Float (S, 3, B), factors of brightness, contrast and saturation."""

    def crops(self, batch: int) -> Crops:
        """The crops of a batch."""
        images, tops, lefts = self.places[:, batch]
        return Crops(images, tops, lefts, self.flips[batch], *self.sizes[batch])


def draw_plan(
    numbers: np.random.Generator,
    augmentation: Augmentation,
    size: tuple[int, int],
    images: NDArray[np.int64],
    device: torch.device,
) -> Plan:
    """Draw an epoch of `images` (S, B), whose `size` is (width, height), for use on a device.

    Each number has the distribution that it has in `Augmentation.transform`, but scale and order of the colours are
    drawn once a batch.
    """
    assert augmentation.crop_size is not None
    sides = numbers.uniform(*augmentation.crop_scale, len(images))
    sizes = [augmentation.crop_size.crop(size, side) for side in sides.tolist()]
    free = np.array(size[::-1]) - np.array(sizes) + 1
    corners = numbers.integers(free.T[..., None], size=(2, *images.shape))
    flips = numbers.random(images.shape) < 0.5 * augmentation.flip
    orders = numbers.permuted(np.tile(np.arange(3), (len(images), 1)), axis=1)
    jitter = augmentation.colour_jitter
    factors = numbers.uniform(max(0, 1 - jitter), 1 + jitter, (len(images), 3, images.shape[1]))
    moved = (_move(values, device) for values in (np.stack([images, *corners]), flips, factors.astype(np.float32)))
    return Plan(sizes, orders.tolist(), *moved)


def _move(values: NDArray[np.generic], device: torch.device) -> Tensor:
    """The values on a device; nothing waits until they are there."""
    tensor = torch.from_numpy(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
