"""Pretrained networks for metrics: found on disk, frozen, in float32, and kept out of checkpoints."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from semcomp_pl.codecs.pixels import as_decoded, check_pair
from semcomp_pl.errors import SemcompError
from semcomp_pl.metrics.image_mean import ImageMean

Network = TypeVar("Network", bound=nn.Module)


@contextmanager
def in_float32(network: Network, device: torch.device) -> Iterator[Network]:
    """The network on a device, without gradients and in float32 even if the codec runs in another precision."""
    with torch.inference_mode(False):  # weights moved in inference mode could never be trained or saved again
        network.to(device)
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        yield network


class NetworkMean(ImageMean):
    """Mean over images of a value that a frozen network computes for each, on 8-bit values.

    Subclasses load the network and implement `values`.

    Args:
        network: Network, which is put in eval mode, follows the images' device and stays out of checkpoints.
        checkpoint: Name of its weights.
    """

    smallest: ClassVar[int] = 1
    """The shortest side, in pixels, that the network accepts."""

    def __init__(self, network: nn.Module, checkpoint: str) -> None:
        super().__init__()
        self._networks = (network.eval(),)  # in a tuple, so that it is not registered
        self.checkpoint = checkpoint
        self._sizes: set[tuple[int, int]] = set()

    def values(self, network: nn.Module, reconstruction: Tensor, image: Tensor) -> Tensor:
        """The value of each pair of images (B, 3, H, W): float (B,)."""
        raise NotImplementedError

    def per_image(self, reconstruction: Tensor, image: Tensor) -> Tensor:
        """The value of each image.

        Args:
            reconstruction: Float (B, 3, H, W), RGB, range [0, 1].
            image: Originals, of the same shape and range.

        Returns:
            Float (B,).

        Raises:
            SemcompError: the shapes differ, or the images are too small.
        """
        check_pair(reconstruction, image)
        height, width = image.shape[-2:]
        if min(height, width) < self.smallest:
            raise SemcompError(
                f"images of {width}x{height} found, {type(self).__name__} needs at least {self.smallest} pixels a "
                "side; leave it out of the metrics"
            )
        self._sizes.add((height, width))
        with in_float32(self._networks[0], image.device) as network:
            return self.values(network, as_decoded(reconstruction), as_decoded(image))

    def update(self, reconstruction: Tensor, image: Tensor) -> None:
        """Add a batch; arguments as for `per_image`."""
        self._add(self.per_image(reconstruction, image))

    def provenance(self) -> dict[str, Any]:
        """Name of the weights, and the sizes of all images measured so far."""
        return {"checkpoint": self.checkpoint, "resolutions": [f"{w}x{h}" for h, w in sorted(self._sizes)]}
