"""Feature matching under a trained discriminator, as a metric."""

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from semcomp_pl.losses import feature_matching
from semcomp_pl.metrics.image_mean import ImageMean, as_decoded, check_pair
from semcomp_pl.metrics.network import in_float32
from semcomp_pl.nets.discriminator import Features


class Realism(Protocol):
    """A trained discriminator, besides being an nn.Module."""

    def __call__(self, image: Tensor, label: Tensor | None) -> Features:
        """Activations for images (B, 3, H, W) in [0, 1], under label maps (B, H, W) where it was trained with any."""
        ...


def discriminator_fm(fake: Features, real: Features) -> Tensor:
    """`losses.feature_matching` of each image: float (B,), 0 for equal activations.

    Args:
        fake: activations of reconstructions, (B, C, h, w) a layer and scale.
        real: the same of the originals.
    """
    return torch.stack([feature_matching(_only(fake, i), _only(real, i)) for i in range(len(fake[0][0]))])


class DiscriminatorFM(ImageMean):
    """Mean over images of `discriminator_fm`, on 8-bit values; lower is better.

    A codec has an advantage under the discriminator that it was trained against: compare codecs under one that
    is nobody's, or everybody's.

    Source: Wang et al., https://arxiv.org/abs/1711.11585, equation 4.

    Args:
        discriminator: As `Realism`; put in eval mode and moved to the images' device; in no checkpoint.
    """

    higher_is_better = False

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self._networks = (discriminator.eval(),)  # a tuple is not registered

    def per_image(self, reconstruction: Tensor, image: Tensor, label: Tensor | None = None) -> Tensor:
        """The value of each of a batch of pairs (B, 3, H, W) in [0, 1]: float (B,).

        `label` are label maps (B, H, W) for a conditional discriminator.

        Raises:
            SemcompError: the shapes differ, or label maps are missing or of other classes.
        """
        check_pair(reconstruction, image)
        with in_float32(self._networks[0], image.device) as network:
            return discriminator_fm(*(network(as_decoded(x), label) for x in (reconstruction, image)))

    def update(self, reconstruction: Tensor, image: Tensor, label: Tensor | None = None) -> None:
        """Count a batch, as for `per_image`."""
        self._add(self.per_image(reconstruction, image, label))

    def provenance(self) -> dict[str, Any]:
        """What the discriminator says of itself."""
        found: dict[str, Any] = getattr(self._networks[0], "provenance", dict)()
        return found


def _only(features: Features, index: int) -> Features:
    return [[layer[index : index + 1] for layer in scale] for scale in features]
