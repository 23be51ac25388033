"""Networks compile as one graph, and compiled ones compute what eager ones do, results and gradients alike.

Compiled and eager ones differ by up to 6e-5 of the largest value. That is rounding: both are equally far from the same
network in float64, which other mathematics would not be.
"""

import copy
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from semcomp_pl.nets.blocks import ResidualBlock, recompute_activations
from semcomp_pl.nets.denoiser import Denoiser
from semcomp_pl.nets.discriminator import Discriminator
from semcomp_pl.nets.encoder import make_encoder
from semcomp_pl.nets.generator import make_generator
from semcomp_pl.nets.layered import CompNet, FineNet, LayeredShape
from semcomp_pl.nets.quantizer import Quantizer
from semcomp_pl.nets.segmenter import Segmenter
from semcomp_pl.nets.selective import make_selective_generator
from semcomp_pl.nets.trunk import TrunkShape

FAST = TrunkShape(4, 1, 3, 2, side_channels=2)
PAPER = TrunkShape(2, 1, 3, 2, "paper", "instance", "transposed")
LAYERED = LayeredShape(filters=2, blocks=1, downsamplings=3)


def recomputing() -> nn.Module:
    net = make_generator(PAPER)
    recompute_activations(net)
    return net


def image(channels: int = 3, height: int = 16, width: int = 32) -> Tensor:
    return torch.rand(2, channels, height, width)


NETWORKS: dict[str, Callable[[], tuple[nn.Module, tuple[Tensor, ...]]]] = {
    "encoder": lambda: (make_encoder(FAST), (image(), image(2))),
    "generator": lambda: (make_generator(FAST), (image(3, 4, 8), image(2))),
    "paper_encoder": lambda: (make_encoder(PAPER), (image(),)),
    "paper_generator": lambda: (make_generator(PAPER), (image(3, 4, 8),)),
    "recomputing_generator": lambda: (recomputing(), (image(3, 4, 8),)),
    "selective_generator": lambda: (make_selective_generator(FAST), (image(3, 8, 8), image(2, 32, 32))),
    "comp_net": lambda: (CompNet(LAYERED), (image(),)),
    "fine_net": lambda: (FineNet(LAYERED), (image(3, 4, 8),)),
    "soft_quantizer": lambda: (Quantizer(5), (4 * image() - 2,)),
    "straight_through_quantizer": lambda: (Quantizer(5, "straight_through"), (4 * image() - 2,)),
    "discriminator": lambda: (
        Discriminator(2, 2, condition="boundaries", num_classes=4),
        (image(3, 32, 32), torch.randint(4, (2, 32, 32))),
    ),
    "segmenter": lambda: (Segmenter("pspnet", "tu-tf_efficientnet_lite0", 3, None, 2), (image(3, 64, 64),)),
    "denoiser": lambda: (Denoiser(3, 4, 16, 1), (image(3, 8, 8), torch.rand(2), torch.rand(2, 4), image(4, 8, 8))),
    "block": lambda: (ResidualBlock(4, "instance"), (image(4, 6, 8),)),
}


def floats(output: Any) -> list[Tensor]:
    """The tensors of floats in nested lists."""
    if isinstance(output, Tensor):
        return [output] if output.is_floating_point() else []
    return [tensor for part in output for tensor in floats(part)]


def results(net: nn.Module, inputs: Iterable[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Outputs, and the gradients that inputs and parameters get from a sum of the outputs with random weights."""
    given = [x.clone().requires_grad_(x.is_floating_point()) for x in inputs]
    torch.manual_seed(1)  # the segmenter drops features out
    outputs = floats(net(*given))
    weighted = [(x * torch.randn(x.shape).to(x)).sum() for x in outputs]
    targets = [x for x in (*given, *net.parameters()) if x.requires_grad]
    gradients = torch.autograd.grad(torch.stack(weighted).sum(), targets, allow_unused=True)
    return [x.detach() for x in outputs], [gradient for gradient in gradients if gradient is not None]


def exact(net: nn.Module, inputs: Iterable[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Results in float64, also where networks ask for float32."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tensor, "float", Tensor.double)
        return results(net.double(), [x.double() if x.is_floating_point() else x for x in inputs])


def error(found: list[Tensor], true: list[Tensor]) -> float:
    """The largest difference as a fraction of the largest value.

    Of all tensors together, as the gradient of a bias before instance normalisation is 0 but for rounding.
    """
    differences = [float((one - other).abs().max()) for one, other in zip(found, true, strict=True)]
    return max(differences) / max(float(x.abs().max()) for x in true)


def same(name: str, backend: str) -> None:
    """Check that a network compiled without a graph break is as near to the exact results as it is itself."""
    torch.manual_seed(0)
    net, inputs = NETWORKS[name]()
    net = net.to(memory_format=torch.channels_last)
    true, eager = exact(copy.deepcopy(net), inputs), results(copy.deepcopy(net), inputs)
    torch._dynamo.reset()
    compiled = results(torch.compile(net, fullgraph=True, dynamic=False, backend=backend), inputs)  # type: ignore[arg-type]
    for found, usual, exactly in zip(compiled, eager, true, strict=True):
        assert error(found, exactly) <= 3 * error(usual, exactly) + 1e-6
        assert error(usual, exactly) < 1e-4


@pytest.mark.parametrize("name", NETWORKS)
def test_one_graph_with_the_results_of_the_network(name: str) -> None:
    same(name, "aot_eager")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["soft_quantizer", "block"])
def test_generated_code_with_the_results_of_the_network(name: str) -> None:
    """Of parts, as a whole network takes a minute; the graphs of all were compiled above."""
    same(name, "inductor")
