"""Tables that shorten files, fitted on what a trained model transmits."""

from pathlib import Path

import pytest
import torch

from semcomp_pl.errors import SemcompError
from semcomp_pl.training.entropy import bits_per_image, fit_context, fit_entropy, fit_file, transmit
from tests.lab import Lab


def test_fitting_again_gives_the_same_tables_and_leaves_codec_and_random_state(lab: Lab) -> None:
    model = lab.model("rate_distortion")
    lab.fit(model)
    codec = model.neural_codec()
    before = {name: value.clone() for name, value in codec.net.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(3)
    found = []
    for _ in range(2):
        torch.manual_seed(5)
        found.append(fit_entropy(codec, lab.data(), steps=5, passes=1))
        assert torch.equal(torch.rand(3), expected)
    assert found[0]["fitted"]
    assert found[0].keys() == codec.net.entropy.state_dict().keys()
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())
    assert all(torch.equal(value, before[name]) for name, value in codec.net.state_dict().items())


def test_the_context_model_finds_what_neighbours_share(lab: Lab) -> None:
    model = lab.model("rate_distortion", downsamplings=2, channels=2)
    lab.fit(model, epochs=2)
    lab.fit_tables(model, steps=150, passes=2)
    bits = bits_per_image(model.neural_codec(), lab.data())
    assert bits["context"] < 0.8 * bits["static"] < bits["bound"]


@pytest.mark.parametrize("kind", ["static", "context"])
@pytest.mark.parametrize("name", ["rate_distortion", "conditional_gan", "selective_gan"])
def test_bits_per_image_are_those_of_the_coders(lab: Lab, name: str, kind: str) -> None:
    model = lab.model(name, entropy_model=kind)
    lab.fit(model)
    lab.fit_tables(model, steps=10, passes=1)
    codec = model.neural_codec()
    found = bits_per_image(codec, lab.data())
    assert found.keys() == {"bound", "static"} | ({"context"} if kind == "context" else set())
    totals, images = dict.fromkeys(found, 0.0), 0
    coder = codec.net.entropy.latent_coder()
    for batch in lab.batches():
        for content in codec.analyse(batch["image"], batch["label"]):
            images += 1
            for how, number in (("static", 1), ("context", 2)):
                if how in found:
                    totals[how] += coder.ideal_bits(number, content.symbols, content.labels)
    for how in found.keys() - {"bound"}:
        assert found[how] == pytest.approx(totals[how] / images)
    assert found["bound"] == pytest.approx(8 * 2 * 4 * torch.tensor(5.0).log2().item())


def test_labels_are_needed_where_they_are_sent(lab: Lab) -> None:
    with pytest.raises(SemcompError, match="ConditionalGAN needs label maps"):
        fit_entropy(lab.model("conditional_gan").neural_codec(), lab.data(labels=False), 2, 1)


@pytest.mark.parametrize("numbers", [(0, 1), (1, 0)])
def test_numbers_that_fit_nothing_are_refused(lab: Lab, numbers: tuple[int, int]) -> None:
    with pytest.raises(SemcompError, match="expected 1 or more"):
        fit_entropy(lab.model("rate_distortion").neural_codec(), lab.data(), *numbers)


def test_a_fit_goes_on_from_the_entropy_model_of_training(lab: Lab, tmp_path: Path) -> None:
    """One step from it leaves shorter files than one step from random weights."""
    model = lab.model("rate_distortion", rate_weight=0.5, downsamplings=2, channels=2)
    trainer = lab.fit(model, epochs=2)
    fit_context(model.rate.net, transmit(model.eval().neural_codec(), lab.data(), 0, passes=2), steps=100)
    bits = []
    for name in ("known", "forgotten"):
        trainer.save_checkpoint(tmp_path / name)
        bits.append(bits_per_image(fit_file(tmp_path / name, lab.data(), 1, 1), lab.data())["context"])
        model.rate = None
    assert bits[0] < 0.9 * bits[1]
