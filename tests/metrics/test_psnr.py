"""PSNR is judged per image on 8-bit values, whatever the batches."""

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from semcomp_pl.codecs.pixels import psnr
from semcomp_pl.errors import SemcompError
from semcomp_pl.metrics import MeanPSNR


def test_equals_scikit_image_on_the_8_bit_values() -> None:
    torch.manual_seed(0)
    image = torch.rand(5, 3, 24, 40)
    reconstruction = (image + 0.1 * torch.randn_like(image)).clamp(0, 1)
    x, y = (t.mul(255).round().byte().numpy() for t in (image, reconstruction))
    expected = [peak_signal_noise_ratio(a, b, data_range=255) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(psnr(reconstruction, image), expected, atol=1e-5)
    metric = MeanPSNR()
    metric.update(reconstruction[:4], image[:4])
    metric.update(reconstruction[4:], image[4:])
    assert metric.compute().item() == pytest.approx(np.mean(expected), abs=1e-5)


def test_mean_over_images_is_not_the_pooled_psnr() -> None:
    image = torch.zeros(2, 3, 20, 20)
    reconstruction = image.clone()
    reconstruction[0].flatten(1)[:, :1] = 0.2  # 1 of 400 pixels: 40 dB
    reconstruction[1].flatten(1)[:, :100] = 0.2  # 100 of 400: 20 dB
    metric = MeanPSNR()
    metric.update(reconstruction, image)
    pooled = -10 * (reconstruction - image).square().mean().log10()
    assert metric.compute().item() == pytest.approx(30.0, abs=1e-5)
    assert pooled.item() == pytest.approx(22.97, abs=0.01)


def test_identical_images_get_100_decibels() -> None:
    image = torch.rand(2, 3, 8, 8)
    assert psnr(image, image).tolist() == [100.0, 100.0]


def test_less_than_half_a_grey_level_is_no_error() -> None:
    image = torch.randint(0, 256, (1, 3, 16, 16)) / 255
    assert psnr(image + 0.49 / 255, image).item() == 100.0


def test_values_outside_the_range_are_clipped() -> None:
    image = torch.randint(0, 2, (1, 3, 16, 16)).float()
    assert psnr(image * 3 - 1, image).item() == 100.0


def test_nan_is_not_hidden() -> None:
    image = torch.rand(1, 3, 8, 8)
    assert psnr(image * torch.nan, image).isnan().all()


def test_other_shape_is_refused() -> None:
    with pytest.raises(SemcompError, match=r"\(1, 3, 8, 8\).*\(1, 1, 8, 8\)"):
        psnr(torch.rand(1, 3, 8, 8), torch.rand(1, 1, 8, 8))
