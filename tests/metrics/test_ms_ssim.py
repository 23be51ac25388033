"""MS-SSIM equals its reference, and exists for every size in a variant that its key names."""

import numpy as np
import pytest
import pytorch_msssim
import torch
from pytorch_msssim.ssim import _ssim
from skimage.metrics import structural_similarity
from torch import Tensor
from torch.nn import functional

from semcomp_pl.codecs.pixels import as_decoded
from semcomp_pl.metrics import MeanMSSSIM
from semcomp_pl.metrics.ms_ssim import WEIGHTS, ms_ssim, ms_ssim_key, scales_for

WINDOW = torch.arange(-5.0, 6).double().div(1.5).square().div(-2).softmax(dim=0)
"""The reference's own window is float32, whose sum is off by enough to show in flat regions."""


def pair(height: int, width: int, batch: int = 2) -> tuple[Tensor, Tensor]:
    """A smooth image and a disturbed copy, 8-bit values in float64."""
    generator = torch.Generator().manual_seed(height * width)
    coarse = torch.rand(batch, 3, 8, 8, generator=generator)
    image = functional.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)
    disturbed = (image + 0.2 * torch.randn(image.shape, generator=generator)).clamp(0, 1)
    return disturbed.mul(255).round().double() / 255, image.mul(255).round().double() / 255


def reference(x: Tensor, y: Tensor, scales: int) -> Tensor:
    """pytorch-msssim with fewer scales, which its public function refuses for small images."""
    weights = torch.tensor(WEIGHTS[:scales], dtype=x.dtype) / sum(WEIGHTS[:scales])
    value = torch.ones(len(x), 3, dtype=x.dtype)
    for scale, weight in enumerate(weights):
        similarity, contrast = _ssim(x, y, data_range=1.0, win=WINDOW.repeat(3, 1, 1, 1))
        value = value * (similarity if scale == scales - 1 else contrast).relu() ** weight
        x, y = functional.avg_pool2d(x, 2), functional.avg_pool2d(y, 2)
    return value.mean(dim=1)


@pytest.mark.parametrize("size", [(176, 192), (240, 480), (400, 192)])
def test_five_scales_equal_pytorch_msssim(size: tuple[int, int]) -> None:
    x, y = pair(*size)
    expected = pytorch_msssim.ms_ssim(x, y, 1.0, size_average=False, win=WINDOW.repeat(3, 1, 1, 1))
    torch.testing.assert_close(ms_ssim(x, y), expected, atol=1e-7, rtol=0)


@pytest.mark.parametrize(("size", "scales"), [((128, 256), 4), ((88, 88), 4), ((64, 64), 3), ((22, 90), 2)])
def test_fewer_scales_equal_pytorch_msssim(size: tuple[int, int], scales: int) -> None:
    x, y = pair(*size)
    torch.testing.assert_close(ms_ssim(x, y), reference(x, y, scales), atol=1e-7, rtol=0)


def test_one_scale_equals_scikit_image() -> None:
    x, y = pair(20, 32)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    expected = [
        structural_similarity(a.double().numpy(), b.double().numpy(), channel_axis=0, **options)
        for a, b in zip(as_decoded(x), as_decoded(y), strict=True)
    ]
    np.testing.assert_allclose(ms_ssim(x, y), expected, atol=1e-6)


def test_one_scale_is_ssim() -> None:
    x, y = pair(13, 21)
    expected = pytorch_msssim.ssim(x, y, 1.0, size_average=False, win=WINDOW.repeat(3, 1, 1, 1), nonnegative_ssim=True)
    torch.testing.assert_close(ms_ssim(x, y), expected, atol=1e-7, rtol=0)


@pytest.mark.parametrize(
    ("side", "scales"),
    [
        (1, None),
        (10, None),
        (11, 1),
        (21, 1),
        (22, 2),
        (43, 2),
        (44, 3),
        (87, 3),
        (88, 4),
        (175, 4),
        (176, 5),
    ],
)
def test_the_smaller_side_decides_the_scales(side: int, scales: int | None) -> None:
    key = None if scales is None else "ms_ssim" if scales == 5 else f"ms_ssim_{scales}"
    for size in ((side, 200), (200, side)):
        assert scales_for(size) == scales
        assert ms_ssim_key(size) == key
    image = torch.rand(1, 3, side, side + 3)
    assert ms_ssim(image, image).isnan().item() == (scales is None)


def test_identical_images_give_one() -> None:
    image = torch.rand(2, 3, 128, 256)
    torch.testing.assert_close(ms_ssim(image, image), torch.ones(2, dtype=torch.float64), atol=1e-12, rtol=0)


def test_black_for_white_leaves_the_luminance_constant() -> None:
    white = torch.ones(1, 3, 128, 256)
    constant, exponent = 0.01**2, WEIGHTS[3] / sum(WEIGHTS[:4])
    expected = (constant / (1 + constant)) ** exponent
    assert ms_ssim(0 * white, white).item() == pytest.approx(expected, abs=1e-9)


def test_negative_correlation_gives_zero_not_nan() -> None:
    image = torch.randint(0, 2, (1, 3, 64, 64)).float()
    assert ms_ssim(1 - image, image).item() == 0.0


def test_variants_are_not_mixed_and_tiny_images_left_out() -> None:
    metric, parts = MeanMSSSIM(), {}
    for size, key in (((176, 180), "ms_ssim"), ((128, 256), "ms_ssim_4"), ((8, 8), "tiny")):
        x, y = pair(*size)
        parts[key] = ms_ssim(x, y)
        metric.update(x[:1], y[:1])
        metric.update(x[1:], y[1:])
    values = metric.compute()
    assert set(values) == {"ms_ssim", "ms_ssim_4"}
    for key, value in values.items():
        assert value.item() == pytest.approx(parts[key].mean().item(), abs=1e-9)
