"""Gradients of a step: those of the plain alternation, averaged over processes, compiled, replayed from a graph."""

import copy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from semcomp_pl.modules.gradients import GraphedGradients, average_gradients
from semcomp_pl.modules.learning import total
from semcomp_pl.types import Batch, CodecOutput
from tests.lab import ADVERSARIAL, Lab
from tests.processes import call_two

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a CUDA device")


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def alternate(model: Any, batch: Batch) -> dict[str, Tensor]:
    """Gradients of the codec, then of the discriminator, with networks evaluated anew for each loss."""
    model.discriminator.requires_grad_(False)
    out = model(batch)
    with torch.no_grad():
        real = model.discriminate(batch["image"], batch)
    total(model.generator_terms(batch, out, real, model.discriminate(out.reconstruction, batch))).backward()  # type: ignore[no-untyped-call]
    model.discriminator.requires_grad_(True)
    out = CodecOutput(*(value.detach() for value in out))
    real, fake = (model.discriminate(image, batch) for image in (batch["image"], out.reconstruction))
    total(model.discriminator_loss(real, fake)).backward()  # type: ignore[no-untyped-call]
    return gradients(model)


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_one_evaluation_gives_the_gradients_of_the_alternation(lab: Lab, name: str) -> None:
    model = lab.model(name)
    if name == "semantic_distortion_gan":
        lab.fit(model, limit_train_batches=0)  # loads the segmenter
    batch = model.prepare(lab.batch("train"))
    expected = alternate(copy.deepcopy(model), batch)
    seen: list[int] = []
    model.discriminator.register_forward_hook(lambda *_: seen.append(1))
    model.add_gradients(batch)
    found = gradients(model)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-7)
    assert len(seen) == 2


def averaged(rank: int) -> list[Tensor]:
    """Gradients after `average_gradients` of two batches on each of two ranks."""
    net = nn.Linear(3, 2)
    net.weight.grad = torch.full((2, 3), 1.0 + rank)
    net.bias.grad = torch.tensor([10.0, 20.0]) * (rank + 1)
    unused = nn.Parameter(torch.ones(1))
    average_gradients(torch.optim.SGD([net.weight, net.bias, unused]), 2)
    return [net.weight.grad, net.bias.grad]


@pytest.mark.slow
def test_gradients_are_averaged_over_ranks_and_batches(tmp_path: Path) -> None:
    for weight, bias in call_two(averaged, tmp_path):
        assert torch.equal(weight, torch.full((2, 3), 0.75))
        assert torch.equal(bias, torch.tensor([7.5, 15.0]))


def test_compiled_gradients_are_those_of_eager_networks(lab: Lab) -> None:
    model, batch = lab.model("plain_gan"), lab.batch("train")
    terms = model.add_gradients(batch)
    expected = gradients(model)
    model.zero_grad()
    model.compile_networks("aot_eager")
    compiled = model._graph(batch)
    for key, value in terms.items():
        torch.testing.assert_close(compiled[key], value, rtol=1e-5, atol=1e-6)
    for key, value in gradients(model).items():
        torch.testing.assert_close(value, expected[key], rtol=1e-3, atol=1e-6)


@CUDA
def test_a_graph_gives_the_gradients_of_the_function() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 1, 3)).cuda()

    def add(own: nn.Module, batch: Batch) -> dict[str, Tensor]:
        loss = own(batch["image"]).square().mean()
        loss.backward()
        return {"loss": loss.detach()}

    eager, graphed = copy.deepcopy(net), GraphedGradients(partial(add, net))
    for _ in range(8):
        batch: Batch = {"image": torch.rand(2, 3, 16, 16, device="cuda")}
        eager.zero_grad(set_to_none=False)
        net.zero_grad(set_to_none=False)
        torch.testing.assert_close(graphed(batch), add(eager, batch))
        torch.testing.assert_close(gradients(net), gradients(eager))
    assert graphed.graph is not None
