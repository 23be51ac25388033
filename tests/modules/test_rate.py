"""Entropy-aware training: the estimate is what files cost, its gradient is the expected cost's, and it lowers rates."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from semcomp_pl.checkpoints.export import export
from semcomp_pl.checkpoints.loading import load
from semcomp_pl.coding.latent import CONTEXT, normalise
from semcomp_pl.errors import SemcompError
from semcomp_pl.modules.rate import EstimatedRate
from semcomp_pl.nets.quantizer import Quantizer
from tests.lab import ADVERSARIAL, CODECS, HEIGHT, WIDTH, Lab, spread


@pytest.mark.parametrize("name", ["rate_distortion", "conditional_gan", "selective_gan"])
def test_the_estimate_is_the_code_length_of_a_file_with_these_tables(lab: Lab, name: str) -> None:
    model = lab.model(name, rate_weight=0.5)
    spread(model.codec)
    batch = model.prepare(lab.batch())
    estimated = model.estimated_bpp(batch, model.eval().evaluate(batch))
    flat = normalise(np.ones((8, 5), int))  # as the first cell's probabilities still are
    model.codec.entropy.fill({"static": flat}, model.rate.net.freeze(), None)
    codec = model.neural_codec()
    coder, labels = codec.net.entropy.latent_coder(), codec.net.label_section()
    for i, content in enumerate(codec.analyse(batch["image"], batch["label"], batch.get("keep"))):
        label = None if labels is None else labels.on_grid(content)
        bits = coder.ideal_bits(CONTEXT, content.symbols, label, content.heatmap)
        assert estimated[i].item() == pytest.approx(bits / (HEIGHT * WIDTH), rel=0.01)


def case(seed: int = 0) -> tuple[EstimatedRate, Tensor]:
    """An entropy model with some preferences, and a latent in double precision."""
    torch.manual_seed(seed)
    rate = EstimatedRate(2, 3, 0)
    for parameter in rate.parameters():
        parameter.data = 3 * parameter.data.double()
    rate.net.first.data.normal_()
    return rate, 1.2 * torch.randn(2, 2, 4, 5, dtype=torch.float64)


def test_the_gradient_to_the_latent_is_that_of_the_expected_code_length() -> None:
    rate, latent = case()
    quantizer = Quantizer(3)
    symbols = quantizer(latent)[1]
    costs = -rate.net(symbols).log_softmax(1).detach() / math.log(2)  # (B, L, C, H, W)

    def expected(z: Tensor) -> Tensor:
        assignment = torch.softmax(-((z[:, None] - quantizer.centres[:, None, None, None]) ** 2), 1)
        return torch.sum(assignment * costs)

    z = latent.clone().requires_grad_()
    bits = rate(symbols, quantizer.assignment(z)).sum()
    (found,) = torch.autograd.grad(bits, z)
    for at in [(0, 0, 0, 0), (0, 1, 2, 3), (1, 0, 3, 4)]:
        step = torch.zeros_like(latent)
        step[at] = 1e-4
        difference = (expected(latent + step) - expected(latent - step)) / 2e-4
        assert found[at].item() == pytest.approx(difference.item(), rel=1e-5, abs=1e-9)
    assert found.abs().min() > 0
    hard = costs.gather(1, symbols[:, None]).sum()
    assert bits.item() == pytest.approx(hard.item(), rel=1e-9)  # forwards, what the symbols cost


def test_the_entropy_model_learns_from_hard_symbols_alone() -> None:
    rate, latent = case()
    symbols, wide = Quantizer(3)(latent)[1], Quantizer(3).assignment(latent)
    found = []
    for assignment in (wide, torch.nn.functional.one_hot(symbols, 3).double()):
        rate.zero_grad()
        rate(symbols, assignment).sum().backward()
        found.append([p.grad.clone() for p in rate.parameters() if p.grad is not None])
    assert len(found[0]) == len([*rate.parameters()])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


def test_symbols_that_are_not_sent_cost_nothing_and_inform_nobody() -> None:
    rate, latent = case()
    quantizer = Quantizer(3)
    keep = torch.zeros(2, 4, 5, dtype=torch.bool)
    keep[:, :2, 1:4] = True
    z = latent.clone().requires_grad_()
    bits = rate(quantizer(z)[1], quantizer.assignment(z), keep=keep)
    (gradient,) = torch.autograd.grad(bits.sum(), z)
    assert (gradient != 0).any(1).equal(keep)
    other = torch.where(keep[:, None], latent, -latent)
    assert rate(quantizer(other)[1], quantizer.assignment(other), keep=keep).equal(bits)


def test_a_rate_in_the_loss_is_lower_in_files(lab: Lab) -> None:
    """After thirty steps with and without it, by files under tables fitted on each model's own symbols."""
    bpp = []
    for weight in (0.0, 10.0):
        model = lab.model("rate_distortion", rate_weight=weight, downsamplings=2, channels=2, learning_rate=3e-3)
        spread(model.codec)
        lab.fit(model, 15)
        lab.fit_tables(model, steps=60, passes=2)
        rates = model.neural_codec().measure(lab.batch()["image"])[1]
        bpp.append(np.mean([rate.bpp_ideal for rate in rates]))
    assert bpp[1] < 0.85 * bpp[0]


@pytest.mark.parametrize("name", [name for name in CODECS if name != "coclico"])
def test_every_codec_trains_with_it(lab: Lab, name: str) -> None:
    model = lab.model(name, rate_weight=0.5)
    before = {key: value.clone() for key, value in model.rate.state_dict().items()}
    metrics = lab.fit(model).callback_metrics
    assert metrics["train/rate"] == pytest.approx(0.5 * metrics["train/bpp_estimated"].item(), rel=1e-6)
    assert metrics["val/bpp_estimated"] > 0
    assert all(not torch.equal(value, before[key]) for key, value in model.rate.state_dict().items() if "first" in key)


@pytest.mark.parametrize("name", ["rate_distortion", *ADVERSARIAL[:1]])
def test_without_it_nothing_is_built_or_drawn(lab: Lab, name: str) -> None:
    model, state = lab.model(name), torch.get_rng_state()
    assert lab.model(name, rate_weight=0.0).state_dict().keys() == model.state_dict().keys()
    assert torch.get_rng_state().equal(state)
    assert not any(key.startswith("rate") for key in model.state_dict())


def test_checkpoints_resume_with_it_and_exports_leave_it_out(lab: Lab, tmp_path: Path) -> None:
    model = lab.model("plain_gan", rate_weight=0.5)
    file = lab.checkpoint(model, tmp_path / "x.ckpt")
    again = type(model).load_from_checkpoint(file, weights_only=True)
    for key, value in model.state_dict().items():
        assert again.state_dict()[key].equal(value)
    bundle = export(str(file), str(tmp_path / "bundle"))
    assert load(bundle).fingerprint == load(file).fingerprint


@pytest.mark.parametrize("weight", [-1.0, math.inf, math.nan])
def test_weights_that_mean_nothing_are_refused(lab: Lab, weight: float) -> None:
    with pytest.raises(SemcompError, match=f"rate_weight={weight} found, expected 0 or more"):
        lab.model("rate_distortion", rate_weight=weight)
