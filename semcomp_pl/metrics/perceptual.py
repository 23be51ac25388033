"""Perceptual metrics with published weights: LPIPS, DISTS and MUSIQ.

Each needs one file of weights that no package contains; it is looked up where its library stores it.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torchmetrics.functional.image.dists import DISTSNetwork
from torchmetrics.image import LearnedPerceptualImagePatchSimilarity

from semcomp_pl.metrics.facts import MetricFacts
from semcomp_pl.metrics.network import NetworkMean
from semcomp_pl.nets.weights import WeightFile

ALEXNET = WeightFile(
    "alexnet-owt-7be5be79.pth", "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth", "7be5be79"
)
VGG16 = WeightFile("vgg16-397923af.pth", "https://download.pytorch.org/models/vgg16-397923af.pth", "397923af")
_PYIQA = "https://huggingface.co/chaofengc/IQA-PyTorch-Weights/resolve/main/"
MUSIQ_KONIQ = WeightFile(
    "musiq_koniq_ckpt-e95806b9.pth", f"{_PYIQA}musiq_koniq_ckpt-e95806b9.pth", "e95806b9", folder="pyiqa"
)


class LPIPS(NetworkMean):
    """Learned perceptual image patch similarity, version 0.1 on AlexNet; 0 for equal images, lower is better.

    Source: Zhang et al., https://arxiv.org/abs/1801.03924.

    Args:
        weights: File of AlexNet's ImageNet weights; torchmetrics contains the linear layers.

    Raises:
        SemcompError: the weights are missing or damaged.
    """

    facts: ClassVar = {"lpips": MetricFacts("LPIPS", "perception", higher_is_better=False, extra=True)}
    higher_is_better = False
    smallest = 31

    def __init__(self, weights: WeightFile = ALEXNET) -> None:
        weights.find()  # torchvision would fetch it
        super().__init__(LearnedPerceptualImagePatchSimilarity("alex").net, weights.name)

    def values(self, network: nn.Module, reconstruction: Tensor, image: Tensor) -> Tensor:
        """Distances (B,)."""
        distances: Tensor = network(reconstruction, image, normalize=True)
        return distances.flatten()


class DISTS(NetworkMean):
    """Deep image structure and texture similarity, on VGG16; 0 for equal images, lower is better.

    Source: Ding et al., https://arxiv.org/abs/2004.07728.

    Args:
        weights: File of VGG16's ImageNet weights; torchmetrics contains the others.

    Raises:
        SemcompError: the weights are missing or damaged.
    """

    facts: ClassVar = {"dists": MetricFacts("DISTS", "perception", higher_is_better=False, extra=True)}
    higher_is_better = False

    def __init__(self, weights: WeightFile = VGG16) -> None:
        weights.find()  # torchvision would fetch it
        super().__init__(DISTSNetwork(), weights.name)

    def values(self, network: nn.Module, reconstruction: Tensor, image: Tensor) -> Tensor:
        """Distances (B,)."""
        distances: Tensor = network(reconstruction, image)
        return distances.flatten()


class MUSIQ(NetworkMean):
    """Quality of the reconstruction alone, 0 to 100; higher is better. It was trained on human ratings in KonIQ-10k.

    It depends on the images' resolution, which `provenance` states with the checkpoint. The network comes from pyiqa,
    whose licence is non-commercial; it is imported nowhere else.

    Source: Ke et al., https://arxiv.org/abs/2108.05997; https://github.com/chaofengc/IQA-PyTorch.

    Args:
        weights: File of pyiqa's weights, trained on KonIQ-10k.

    Raises:
        SemcompError: the weights are missing or damaged.
    """

    facts: ClassVar = {
        "musiq": MetricFacts("MUSIQ", "perception", higher_is_better=True, digits=2, ceiling=True, extra=True),
    }
    higher_is_better = True

    def __init__(self, weights: WeightFile = MUSIQ_KONIQ) -> None:
        state: dict[str, Any] = torch.load(weights.find(), map_location="cpu", weights_only=True)
        from pyiqa.archs.musiq_arch import MUSIQ as Network

        network = Network(pretrained=False)
        network.load_state_dict({name.removeprefix("module."): value for name, value in state.items()})
        super().__init__(network, weights.name)

    def values(self, network: nn.Module, reconstruction: Tensor, image: Tensor) -> Tensor:
        """Ratings (B,) of the reconstructions in a batch."""
        ratings: Tensor = network(reconstruction)
        return ratings.flatten()
