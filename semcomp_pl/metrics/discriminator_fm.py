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
    """A trained discriminator, besides being an nn.Module."""

    def __call__(self, image: Tensor, label: Tensor | None) -> Features:
        """Activations for images (B, 3, H, W) in [0, 1], given label maps (B, H, W) if it was trained with any."""
        ...


def discriminator_fm(fake: Features, real: Features) -> Tensor:
    """`losses.feature_matching` of each image: float (B,), 0 for equal activations.

    Args:
        fake: activations of reconstructions, (B, C, h, w) per scale and layer.
        real: those of the originals.
    """
    return torch.stack([feature_matching(_only(fake, i), _only(real, i)) for i in range(len(fake[0][0]))])


class DiscriminatorFM(ImageMean):
    """Mean over images of `discriminator_fm`, on 8-bit values; lower is better.

    A codec has an advantage under the discriminator that it was trained against: compare codecs under one that no
    codec was trained against, or all were.

    Source: Wang et al., https://arxiv.org/abs/1711.11585, equation 4.

    Args:
        discriminator: What `Realism` describes; it is put in eval mode, follows the images' device and stays out of
            checkpoints.
    """

    facts: ClassVar = {
        "discriminator_fm": MetricFacts("Discriminator features", "perception", higher_is_better=False),
    }
    higher_is_better = False

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self._networks = (discriminator.eval(),)  # a tuple is not registered

    def per_image(self, reconstruction: Tensor, image: Tensor, label: Tensor | None = None) -> Tensor:
        """The value of each pair of a batch: float (B,).

        Args:
            reconstruction: float (B, 3, H, W), range [0, 1].
            image: the original, the same.
            label: label maps (B, H, W), for a conditional discriminator.

        Raises:
            SemcompError: the shapes differ, or label maps are missing or of other classes.
        """
        check_pair(reconstruction, image)
        with in_float32(self._networks[0], image.device) as network:
            return discriminator_fm(*(network(as_decoded(x), label) for x in (reconstruction, image)))

    def update(self, reconstruction: Tensor, image: Tensor, label: Tensor | None = None) -> None:
        """Count a batch, shaped as for `per_image`."""
        self._add(self.per_image(reconstruction, image, label))

    def provenance(self) -> dict[str, Any]:
        """How the discriminator describes itself; empty if it does not."""
        found: dict[str, Any] = getattr(self._networks[0], "provenance", dict)()
        return found


def _only(features: Features, index: int) -> Features:
    return [[layer[index : index + 1] for layer in scale] for scale in features]
