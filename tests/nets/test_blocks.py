"""Instance normalisation against PyTorch's, and residual blocks that compute their activations again."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from semcomp_pl.nets.blocks import InstanceNorm, Norm, make_norm, recompute_activations
from semcomp_pl.nets.generator import make_generator
from semcomp_pl.nets.identity import fingerprint
from semcomp_pl.nets.trunk import Trunk, TrunkShape

FORMATS = (torch.contiguous_format, torch.channels_last)


def normalised(norm: nn.Module, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Output, and the gradient of its sum weighted by `weight`."""
    x = x.clone().requires_grad_()
    y = norm(x)
    (gradient,) = torch.autograd.grad((y * weight).sum(), x)
    return y.detach(), gradient


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("mean", [0.0, 30.0])
def test_instance_norm_is_that_of_pytorch(memory_format: torch.memory_format, mean: float) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(3, 5, 17, 9) * torch.logspace(-2, 2, 5).view(5, 1, 1) + mean, torch.randn(3, 5, 17, 9)
    x, weight = (value.contiguous(memory_format=memory_format) for value in (x, weight))
    # in float64, as PyTorch's own float32 is no nearer to it
    expected = normalised(nn.InstanceNorm2d(5), x.double(), weight.double())
    for found, reference in zip(normalised(InstanceNorm(5), x, weight), expected, strict=True):
        scale = reference.abs().amax((0, 2, 3), keepdim=True)
        # the first channels vary by little about a large mean, of which float32 keeps 7 digits
        assert ((found - reference) / scale)[:, 2:].abs().max() < 3e-6
        assert ((found - reference) / scale).abs().max() < (3e-6 if mean == 0 else 1e-3)
        assert found.is_contiguous(memory_format=memory_format)


def test_instance_norm_gradient_against_differences() -> None:
    x = torch.randn(2, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: InstanceNorm(2)(x.float()).double(), x, eps=1e-2, atol=2e-3)


def test_instance_norm_of_bfloat16_is_computed_in_float() -> None:
    """A mean in bfloat16 would be off by up to 0.06 at 30."""
    x, weight = (torch.randn(2, 4, 32, 64) + 30).bfloat16(), torch.randn(2, 4, 32, 64)
    expected = normalised(InstanceNorm(4), x.float(), weight)
    output, gradient = normalised(InstanceNorm(4), x, weight)
    assert output.dtype == gradient.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), expected[0], rtol=2**-8, atol=2**-8)
    torch.testing.assert_close(gradient.float(), expected[1], rtol=2**-6, atol=2**-6)


def test_neither_norm_has_weights_but_the_channels() -> None:
    assert not InstanceNorm(4).state_dict()
    assert {*make_norm("channel", 4).state_dict()} == {"norm.weight", "norm.bias"}


def kept(net: nn.Module, x: Tensor) -> tuple[int, list[Tensor]]:
    """Bytes of the activations that are kept for the gradients, and output and gradients."""
    parameters = {parameter.data_ptr() for parameter in net.parameters()}
    sizes: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        y = net(x)
    return sum(sizes.values()), [y.detach(), *torch.autograd.grad(y.square().sum(), [*net.parameters()])]


@pytest.mark.parametrize(("trunk", "norm"), [("fast", "channel"), ("paper", "instance")])
def test_recomputing_gives_the_same_gradients_and_keeps_less(trunk: Trunk, norm: Norm) -> None:
    torch.manual_seed(0)
    net, x = make_generator(TrunkShape(4, 9, 3, 2, trunk, norm)), torch.randn(2, 3, 8, 16)
    again = copy.deepcopy(net)
    recompute_activations(again)
    (all_bytes, expected), (some_bytes, found) = kept(net, x), kept(again, x)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    assert some_bytes < 0.6 * all_bytes
    with torch.no_grad():
        assert torch.equal(again(x), net(x))


def test_recomputing_changes_no_weight_name_or_fingerprint() -> None:
    net = make_generator(TrunkShape(4, 2, 3, 2))
    before = fingerprint("", net.state_dict())
    recompute_activations(net)
    assert fingerprint("", net.state_dict()) == before
