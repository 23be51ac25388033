"""Distances between two sets of images: Fréchet (FID) and kernel inception distance (KID)."""

import warnings
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance, NoTrainInceptionV3
from torchmetrics.image.kid import KernelInceptionDistance, poly_mmd

from semcomp_pl.codecs.pixels import as_decoded, check_pair
from semcomp_pl.errors import SemcompError
from semcomp_pl.metrics.facts import MetricFacts
from semcomp_pl.metrics.network import in_float32
from semcomp_pl.nets.weights import WeightFile

_NAME = "weights-inception-2015-12-05-6726825d.pth"
INCEPTION = WeightFile(_NAME, f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{_NAME}", "6726825d")


def fid(fake: Tensor, real: Tensor) -> Tensor:
    """Fréchet distance between two sets of features: scalar float64.

    Args:
        fake: Features of reconstructions, (N, D).
        real: Features of originals, (M, D).

    Raises:
        SemcompError: one of the sets has fewer than two images.
    """
    _enough("fid", min(len(fake), len(real)))
    centred = [x.double() - x.double().mean(0) for x in (fake, real)]
    # each covariance is R^T R with at most D rows in R, so the trace of the root of their product is a nuclear norm
    one, other = (torch.linalg.qr(x, mode="r").R / (len(x) - 1) ** 0.5 for x in centred)
    shift = (fake.double().mean(0) - real.double().mean(0)).square().sum()
    root = torch.linalg.svdvals(one @ other.T).sum()
    distance: Tensor = shift + one.square().sum() + other.square().sum() - 2 * root
    return distance


def kid(fake: Tensor, real: Tensor) -> Tensor:
    """Kernel distance between two sets of features (N, D): scalar float64.

    This is the unbiased estimate, with a polynomial kernel of degree 3.

    Raises:
        SemcompError: one of the sets has fewer than two images.
    """
    _enough("kid", min(len(fake), len(real)))
    return poly_mmd(real.double(), fake.double())


class InceptionFeatures(nn.Module):
    """The 2048 features of the InceptionV3 that defines FID; its weights stay out of checkpoints.

    Source: https://github.com/toshas/torch-fidelity

    Args:
        weights: File of the network's weights, converted from TensorFlow's.

    Raises:
        SemcompError: the weights are missing or damaged, or torch-fidelity is not installed.
    """

    num_features = 2048

    def __init__(self, weights: WeightFile = INCEPTION) -> None:
        super().__init__()
        path = weights.find()
        try:
            network = NoTrainInceptionV3("inception-v3-compat", [str(self.num_features)], str(path))
        except ModuleNotFoundError:
            raise SemcompError("torch-fidelity, which has InceptionV3, not found; pip install torch-fidelity") from None
        self._networks = (network,)  # in a tuple, so that it is not registered
        self.checkpoint = weights.name

    def forward(self, image: Tensor) -> Tensor:
        """Image (B, 3, H, W) in [0, 1] to features (B, 2048), float64."""
        pixels = (image * 255).round().byte()
        with in_float32(self._networks[0], image.device) as network:
            features: Tensor = network(pixels)
        return features.double()


class FID(FrechetInceptionDistance):
    """Fréchet inception distance between reconstructions and originals, on 8-bit values; lower is better.

    It is biased: fewer images give a larger value, so values over fewer than 2048 images can be compared only with
    values over equally many images.

    Source: Heusel et al., https://arxiv.org/abs/1706.08500.

    Args:
        features: Network from images to features (B, N), N being its `num_features`; InceptionV3 by default.

    Raises:
        SemcompError: as for `InceptionFeatures`; from `compute`, there are fewer than two images.
    """

    facts: ClassVar = {
        "fid": MetricFacts("FID", "perception", higher_is_better=False, digits=1, extra=True, of_sets=fid),
    }

    def __init__(self, features: nn.Module | None = None) -> None:
        super().__init__(features or InceptionFeatures(), normalize=True)

    def update(self, reconstruction: Tensor, image: Tensor) -> None:  # type: ignore[override]
        """Count a batch of pairs (B, 3, H, W) in [0, 1]."""
        check_pair(reconstruction, image)
        super().update(as_decoded(reconstruction), real=False)
        super().update(as_decoded(image), real=True)

    def compute(self) -> Tensor:
        """Scalar float64."""
        _enough("fid", int(self.real_features_num_samples))
        return super().compute()

    def provenance(self) -> dict[str, Any]:
        """Name of the weights."""
        return {"checkpoint": getattr(self.inception, "checkpoint", type(self.inception).__name__)}


class KID(KernelInceptionDistance):
    """Kernel inception distance between reconstructions and originals, on 8-bit values; lower is better.

    This is the unbiased estimate from all images at once, which may be negative; the usual mean over random subsets
    would vary from run to run.

    Source: Bińkowski et al., https://arxiv.org/abs/1801.01401.

    Args:
        features: Network from images to features (B, N); InceptionV3 by default.

    Raises:
        SemcompError: as for `InceptionFeatures`; from `compute`, there are fewer than two images.
    """

    facts: ClassVar = {
        "kid": MetricFacts("KID", "perception", higher_is_better=False, digits=4, extra=True, of_sets=kid),
    }

    def __init__(self, features: nn.Module | None = None) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Metric `Kernel Inception Distance` will save all")  # 16 kB per image
            super().__init__(features or InceptionFeatures(), subsets=1, normalize=True)

    def update(self, reconstruction: Tensor, image: Tensor) -> None:  # type: ignore[override]
        """Count a batch of pairs (B, 3, H, W) in [0, 1]."""
        check_pair(reconstruction, image)
        super().update(as_decoded(reconstruction), real=False)
        super().update(as_decoded(image), real=True)

    def compute(self) -> Tensor:  # type: ignore[override]
        """Scalar float64."""
        self.subset_size = sum(len(features) for features in self.real_features)
        _enough("kid", self.subset_size)
        mean, _ = super().compute()
        return mean

    def provenance(self) -> dict[str, Any]:
        """Name of the weights."""
        return {"checkpoint": getattr(self.inception, "checkpoint", type(self.inception).__name__)}


def _enough(name: str, images: int) -> None:
    if images < 2:
        raise SemcompError(f"{name} of {images} images asked for, expected at least 2; measure more images")
