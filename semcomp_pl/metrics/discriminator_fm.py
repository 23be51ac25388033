"""Feature matching under a trained discriminator, as a metric."""

from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from semcomp_pl.codecs.pixels import as_decoded, check_pair
from semcomp_pl.losses import feature_matching
from semcomp_pl.metrics.facts import MetricFacts
from semcomp_pl.metrics.image_mean import ImageMean
from semcomp_pl.metrics.network import in_float32
from semcomp_pl.nets.discriminator import Features


class Realism(Protocol):
    """What a trained discriminator must offer besides being an nn.Module."""

    def __call__(self, image: Tensor, label: Tensor | None) -> Features:
        """Activations for images (B, 3, H, W) in [0, 1], given label maps (B, H, W) if it was trained with them."""
        ...


def discriminator_fm(fake: Features, real: Features) -> Tensor:
    """`losses.feature_matching` of each image: float (B,), 0 for equal activations.

    Args:
        fake: Activations of reconstructions, (B, C, h, w) per scale and layer.
        real: Activations of the originals.
    """
    return torch.stack([feature_matching(_only(fake, i), _only(real, i)) for i in range(len(fake[0][0]))])


class DiscriminatorFM(ImageMean):
    """Mean over images of `discriminator_fm`, on 8-bit values; lower is better.

    A codec has an advantage under the discriminator that it was trained against: compare codecs under a discriminator
    that none of them, or all of them, were trained against.

    Source: Wang et al., https://arxiv.org/abs/1711.11585, equation 4.

    Args:
        discriminator: Discriminator as described by `Realism`; it is put in eval mode, follows the images' device and
            stays out of checkpoints.
    """

    facts: ClassVar = {
        "discriminator_fm": MetricFacts("Discriminator features", "perception", higher_is_better=False),
    }
    higher_is_better = False

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self._networks = (discriminator.eval(),)  # in a tuple, so that it is not registered

    def per_image(self, reconstruction: Tensor, image: Tensor, label: Tensor | None = None) -> Tensor:
        """The value of each image of a batch: float (B,).

        Args:
            reconstruction: Float (B, 3, H, W), range [0, 1].
            image: Originals, of the same shape and range.
            label: Label maps (B, H, W), for a conditional discriminator.

        Raises:
            SemcompError: the shapes differ, or label maps are missing or of other classes.
        """
        check_pair(reconstruction, image)
        with in_float32(self._networks[0], image.device) as network:
            return discriminator_fm(*(network(as_decoded(x), label) for x in (reconstruction, image)))

    def update(self, reconstruction: Tensor, image: Tensor, label: Tensor | None = None) -> None:
        """Add a batch; arguments as for `per_image`."""
        self._add(self.per_image(reconstruction, image, label))

    def provenance(self) -> dict[str, Any]:
        """The discriminator's own provenance; empty if it has none."""
        found: dict[str, Any] = getattr(self._networks[0], "provenance", dict)()
        return found


def _only(features: Features, index: int) -> Features:
    return [[layer[index : index + 1] for layer in scale] for scale in features]
