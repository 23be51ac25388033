"""The quantiser against brute force and against autograd of its formula."""

import math

import pytest
import torch
from torch import Tensor
from torch.autograd import backward

from semcomp_pl.errors import SemcompError
from semcomp_pl.nets.quantizer import Quantizer

LEVELS = range(2, 9)


def centres_of(levels: int) -> list[float]:
    return [level - (levels - 1) / 2 for level in range(levels)]


def soft(latent: Tensor, levels: int) -> Tensor:
    """sum_l c_l exp(-(z - c_l)^2) / sum_l exp(-(z - c_l)^2), term by term in float64."""
    weights = [torch.exp(-((latent - c) ** 2)) for c in centres_of(levels)]
    top = sum((c * w for c, w in zip(centres_of(levels), weights, strict=True)), torch.zeros_like(latent))
    return top / sum(weights, torch.zeros_like(latent))


@pytest.mark.parametrize("levels", LEVELS)
def test_nearest_centre(levels: int) -> None:
    latent = torch.randn(2, 3, 8, 8) * levels
    quantized, symbols = Quantizer(levels)(latent)
    distances = torch.stack([(latent - c).abs() for c in centres_of(levels)])
    assert symbols.dtype == torch.long
    assert torch.equal(symbols, distances.argmin(0))
    torch.testing.assert_close(quantized, torch.tensor(centres_of(levels))[symbols], rtol=0, atol=1e-6)


@pytest.mark.parametrize("levels", LEVELS)
def test_every_level_is_reached_and_dequantized(levels: int) -> None:
    quantizer = Quantizer(levels)
    _, symbols = quantizer(torch.linspace(-levels, levels, 1001))
    assert symbols.unique().tolist() == list(range(levels))
    assert quantizer.dequantize(torch.arange(levels)).tolist() == centres_of(levels)
    assert quantizer.dequantize(symbols.view(7, 11, 13)).shape == (7, 11, 13)


@pytest.mark.parametrize("levels", LEVELS)
def test_soft_gradient(levels: int) -> None:
    latent = torch.linspace(-levels, levels, 201, requires_grad=True)
    weight = torch.linspace(-1, 1, 201)
    backward((Quantizer(levels, "soft")(latent)[0] * weight).sum())
    reference = latent.detach().double().requires_grad_()
    backward((soft(reference, levels) * weight.double()).sum())
    assert latent.grad is not None
    assert reference.grad is not None
    torch.testing.assert_close(latent.grad, reference.grad.float(), rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("levels", LEVELS)
def test_straight_through_gradient(levels: int) -> None:
    edge = (levels - 1) / 2
    latent = torch.linspace(-levels, levels, 200, requires_grad=True)
    backward(Quantizer(levels, "straight_through")(latent)[0].sum())
    assert latent.grad is not None
    assert torch.equal(latent.grad, (latent.detach().abs() <= edge).float())


def test_gradient_leads_back_to_most_of_the_range() -> None:
    """A softmax so sharp that nearly every gradient vanishes is a known fault of public code."""
    latent = torch.linspace(-2, 2, 401, requires_grad=True)
    backward(Quantizer(5)(latent)[0].sum())
    assert latent.grad is not None
    assert (latent.grad > 0.3).all()


def test_half_precision_latents_are_quantized_in_float() -> None:
    quantized, _ = Quantizer(5)(torch.randn(4, 4, dtype=torch.bfloat16))
    assert quantized.dtype == torch.float32


@pytest.mark.parametrize("levels", LEVELS)
def test_bound_bits(levels: int) -> None:
    assert math.isclose(2 ** Quantizer(levels).bound_bits(3), levels**3, rel_tol=1e-12)


@pytest.mark.parametrize("levels", [1, 0, -3, 257])
def test_levels_that_no_byte_holds_or_fewer_than_two_are_refused(levels: int) -> None:
    with pytest.raises(SemcompError, match=f"levels={levels} found, expected 2 to 256"):
        Quantizer(levels)
