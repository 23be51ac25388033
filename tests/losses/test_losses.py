"""Every loss against its formula in numpy."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import rel_entr
from skimage.metrics import structural_similarity
from torch import Tensor
from torch.autograd import backward
from torch.nn.functional import cross_entropy

from semcomp_pl import losses
from semcomp_pl.nets.discriminator import Features


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def features(requires_grad: bool = False) -> Features:
    """Three scales of three activations and the scores, smaller from scale to scale."""
    return [
        [torch.randn(2, channels, side, side, requires_grad=requires_grad) for channels in (4, 8, 1)]
        for side in (9, 5, 3)
    ]


def scores(value: float) -> Features:
    return [[torch.randn(2, 4, side, side), torch.full((2, 1, side, side), value)] for side in (9, 5, 3)]


def array(x: Tensor) -> NDArray[np.float64]:
    return x.detach().double().numpy()


def close(loss: Tensor, reference: float) -> None:
    assert loss.ndim == 0
    assert loss.item() == pytest.approx(reference, rel=1e-6, abs=1e-6)


def softmax(logits: Tensor) -> NDArray[np.float64]:
    exponentials = np.exp(array(logits))
    return np.asarray(exponentials / exponentials.sum(1, keepdims=True))


def test_mse_distortion_is_on_images_scaled_to_minus_one_and_one() -> None:
    x, y = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    close(losses.mse_distortion(x, y), float(np.mean(((2 * array(x) - 1) - (2 * array(y) - 1)) ** 2)))
    close(losses.mse_distortion(torch.zeros_like(x), torch.ones_like(x)), 4)


def test_least_squares_generator() -> None:
    fake = features()
    close(losses.least_squares_generator(fake), float(np.mean([np.mean((array(s[-1]) - 1) ** 2) for s in fake])))


def test_least_squares_discriminator() -> None:
    real, fake = features(), features()
    on_real, on_fake = losses.least_squares_discriminator(real, fake)
    close(on_real, float(np.mean([np.mean((array(s[-1]) - 1) ** 2) for s in real])))
    close(on_fake, float(np.mean([np.mean(array(s[-1]) ** 2) for s in fake])))


def test_a_lost_discriminator_has_loss_a_quarter() -> None:
    half = scores(0.5)
    on_real, on_fake = losses.least_squares_discriminator(half, half)
    close((on_real + on_fake) / 2, 0.25)
    close(losses.least_squares_generator(half), 0.25)


def test_least_squares_optimum() -> None:
    on_real, on_fake = losses.least_squares_discriminator(scores(1), scores(0))
    close(on_real + on_fake, 0)
    close(losses.least_squares_generator(scores(1)), 0)


def test_every_scale_enters_the_generators_loss() -> None:
    fake = features(requires_grad=True)
    backward(losses.least_squares_generator(fake))
    for scale in fake:
        assert scale[-1].grad is not None
        assert scale[-1].grad.abs().sum() > 0
        assert all(activation.grad is None for activation in scale[:-1])


def test_feature_matching() -> None:
    fake, real = features(), features()
    pairs = [(a, b) for s, t in zip(fake, real, strict=True) for a, b in zip(s[:-1], t[:-1], strict=True)]
    close(losses.feature_matching(fake, real), float(np.mean([np.mean(np.abs(array(a) - array(b))) for a, b in pairs])))
    close(losses.feature_matching(fake, fake), 0)


def test_feature_matching_leaves_scores_and_the_real_side_alone() -> None:
    fake, real = features(requires_grad=True), features(requires_grad=True)
    backward(losses.feature_matching(fake, real))
    assert all(activation.grad is None for scale in real for activation in scale)
    assert all(activation.grad is not None for scale in fake for activation in scale[:-1])
    assert all(scale[-1].grad is None for scale in fake)


def test_semantic_divergence_against_scipy() -> None:
    logits, reference = torch.randn(2, 5, 4, 6), torch.randn(2, 5, 4, 6)
    expected = rel_entr(softmax(reference), softmax(logits)).sum(1).mean()
    close(losses.semantic_divergence(logits, reference), float(expected))


def test_semantic_divergence_is_zero_only_for_equal_distributions() -> None:
    logits = torch.randn(2, 5, 4, 6)
    close(losses.semantic_divergence(logits + 3, logits), 0)  # the softmax ignores a constant
    for _ in range(20):
        assert losses.semantic_divergence(logits + 0.1 * torch.randn(2, 5, 4, 6), logits) > 1e-4


def test_semantic_divergence_pulls_logits_towards_the_reference() -> None:
    reference, logits = torch.randn(1, 5, 2, 2), torch.randn(1, 5, 2, 2, requires_grad=True)
    found = []
    for _ in range(5):
        loss = losses.semantic_divergence(logits, reference)
        (gradient,) = torch.autograd.grad(loss, logits)
        logits = (logits - gradient).detach().requires_grad_()
        found.append(loss.item())
    assert all(later < earlier for earlier, later in pairwise(found))


def test_semantic_cross_entropy_against_torch() -> None:
    logits, label, weight = torch.randn(2, 5, 4, 6), torch.randint(0, 5, (2, 4, 6)), torch.rand(5)
    label[0, :2] = 255
    close(losses.semantic_cross_entropy(logits, label), float(cross_entropy(logits, label, ignore_index=255)))
    expected = cross_entropy(logits, label, weight, ignore_index=255)
    close(losses.semantic_cross_entropy(logits, label, weight), float(expected))
    assert losses.semantic_cross_entropy(logits, torch.full_like(label, 255)) == 0


def test_semantic_feature_distance_is_the_mean_of_each_stages() -> None:
    stages = [(torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8)), (torch.randn(2, 9, 2, 2), torch.randn(2, 9, 2, 2))]
    expected = np.mean([((array(a) - array(b)) ** 2).mean() for a, b in stages])
    close(losses.semantic_feature_distance(*zip(*stages, strict=True)), float(expected))


@pytest.mark.parametrize("levels", range(2, 9))
def test_range_penalty(levels: int) -> None:
    latent = torch.randn(2, 3, 4, 4) * levels
    excess = np.maximum(np.abs(array(latent)) - (levels - 1) / 2 - 0.5, 0)
    close(losses.range_penalty(latent, levels), float(np.mean(excess**2)))


@pytest.mark.parametrize("levels", range(2, 9))
def test_range_penalty_is_zero_in_reach_and_points_inwards(levels: int) -> None:
    reach = levels / 2
    inside = torch.linspace(-reach, reach, 101, requires_grad=True)
    backward(losses.range_penalty(inside, levels))
    assert inside.grad is not None
    assert not inside.grad.any()
    outside = torch.tensor([-reach - 1, -reach - 0.1, reach + 0.1, reach + 1], requires_grad=True)
    backward(losses.range_penalty(outside, levels))
    assert outside.grad is not None
    assert torch.equal(outside.grad.sign(), outside.detach().sign())


def test_absolute_distortion() -> None:
    a, b = torch.rand(2, 3, 8, 9), torch.rand(2, 3, 8, 9)
    close(losses.absolute_distortion(a, b), float(np.abs((2 * array(a) - 1) - (2 * array(b) - 1)).mean()))


def test_structural_dissimilarity() -> None:
    """Of the whole image, mirrored at its border; scikit-image's mean leaves out the border that is added here."""
    a = torch.rand(1, 3, 24, 30)
    b = (a + 0.1 * torch.randn(1, 3, 24, 30)).clamp(0, 1)
    one, other = (np.pad(array(x)[0], ((0, 0), (5, 5), (5, 5)), mode="reflect") for x in (a, b))
    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    reference = structural_similarity(one, other, channel_axis=0, data_range=1.0, **gaussian)
    assert losses.structural_dissimilarity(a, b).item() == pytest.approx(1 - reference, abs=1e-6)
    assert losses.structural_dissimilarity(a, a).abs() < 1e-6
    b.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        loss = losses.structural_dissimilarity(b, a)
    assert loss.dtype == torch.float32
    backward([loss])
    assert b.grad is not None
    assert b.grad.isfinite().all()
