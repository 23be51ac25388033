"""FID and KID are the published formulas over the features of InceptionV3, read from a real file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.linalg import sqrtm
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torchvision.models import inception_v3

from semcomp_pl.errors import SemcompError
from semcomp_pl.metrics import FID, KID
from semcomp_pl.metrics.fid import INCEPTION, InceptionFeatures, fid, kid
from tests.metrics import stand_in


class Corners(nn.Module):
    """Stand-in for InceptionV3: eight pixels."""

    num_features = 8

    def forward(self, image: Tensor) -> Tensor:
        return image[:, :, ::4, ::4].flatten(1)[:, :8].double()


def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (40, 3, 8, 8), generator=generator) / 255
    return (image * 0.8 + 0.05).mul(255).round() / 255, image


def as_array(images: Tensor) -> NDArray[np.float64]:
    return np.asarray(Corners()(images))


def counted(metric: FID | KID, size: int) -> float:
    for a, b in zip(*(torch.split(x, size) for x in data()), strict=True):
        metric.update(a, b)
    return metric.compute().item()


@pytest.mark.parametrize("size", [7, 40])
def test_fid_equals_the_formula(size: int) -> None:
    fake, real = (as_array(x) for x in data())
    covariances = np.cov(fake, rowvar=False), np.cov(real, rowvar=False)
    shift = ((fake.mean(0) - real.mean(0)) ** 2).sum()
    expected = shift + np.trace(sum(covariances)) - 2 * np.trace(sqrtm(covariances[0] @ covariances[1])).real
    assert counted(FID(Corners()), size) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("size", [7, 40])
def test_kid_is_the_unbiased_estimate_from_all_images(size: int) -> None:
    fake, real = (as_array(x) for x in data())
    n, width = fake.shape

    def kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        values: NDArray[np.float64] = (a @ b.T / width + 1) ** 3
        return values

    own = sum(k.sum() - np.trace(k) for k in (kernel(fake, fake), kernel(real, real))) / (n * (n - 1))
    expected = own - 2 * kernel(fake, real).mean()
    assert counted(KID(Corners()), size) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("images", [2, 6, 40])
def test_sets_of_features_give_what_the_metrics_count(images: int) -> None:
    """Of fewer images than features and of more."""
    fake, real = (x[:images] for x in data())
    for function, metric in ((fid, FID(Corners())), (kid, KID(Corners()))):
        metric.update(fake, real)
        value = function(Corners()(fake), Corners()(real))
        assert value.dtype == torch.float64
        assert value.item() == pytest.approx(metric.compute().item(), abs=1e-6)
        with pytest.raises(SemcompError, match=f"{function.__name__} of 1 images asked for"):
            function(Corners()(fake[:1]), Corners()(real[:1]))
    assert fid(Corners()(real), Corners()(real)).item() == pytest.approx(0, abs=1e-9)


def test_one_image_is_refused() -> None:
    for metric in (FID(Corners()), KID(Corners())):
        metric.update(*(x[:1] for x in data()))
        with pytest.raises(SemcompError, match=r"of 1 images asked for, expected at least 2"):
            metric.compute()


@pytest.mark.slow
def test_inception_loads_from_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "stand-in-weights"))
    with torch.device("meta"):
        network = inception_v3(weights=None, num_classes=1008, aux_logits=False, init_weights=False)
    weights = stand_in.write(INCEPTION, network)
    path = Path(torch.hub.get_dir()) / weights.folder / weights.name
    theirs = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(path))
    image = nn.functional.interpolate(torch.rand(2, 3, 20, 20), (299, 299)).mul(255).round() / 255
    (expected,) = theirs((image * 255).round().byte())
    features = InceptionFeatures(weights)
    torch.testing.assert_close(features(image), expected.double(), atol=1e-4, rtol=1e-4)
    assert not features.state_dict()
    metric = FID(features)
    assert metric.provenance() == {"checkpoint": INCEPTION.name}
    assert "inception" not in "".join(metric.state_dict())
    with pytest.raises(SemcompError, match="the file is damaged"):
        InceptionFeatures()
