"""Starting one model from the weights of another."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging

from semcomp_pl.errors import SemcompError
from semcomp_pl.modules import RateDistortion
from semcomp_pl.types import Batch
from tests.lab import GANS, Lab, reconstruct, tampered

OTHERS: list[dict[str, Any]] = [
    {"filters": 16},
    {"blocks": 0},
    {"blocks": 2},
    {"channels": 4, "filters": 16},
    {"downsamplings": 3},
    {"trunk": "paper"},
    {"norm": "instance"},
]
"""What makes an architecture another than the tiny one."""
STATISTICS = torch.tensor([0.1, 0.2, 0.3])


@pytest.fixture(scope="module")
def baseline(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained RateDistortion checkpoint whose statistics no data set of these tests has."""
    file = lab.checkpoint(lab.model("rate_distortion"), tmp_path_factory.mktemp("baseline") / "trained.ckpt")
    return tampered(
        file, file.with_name("baseline.ckpt"), state_dict={"codec.mean": STATISTICS, "codec.std": STATISTICS}
    )


def opened(checkpoint: Path) -> RateDistortion:
    return RateDistortion.load_from_checkpoint(checkpoint, weights_only=True)


def average() -> EMAWeightAveraging:
    return EMAWeightAveraging(decay=0.5, use_buffers=False)


class Start(Callback):
    """What the model makes of a batch before its first step."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.found = reconstruct(pl_module, self.batch)
        pl_module.train()


@pytest.mark.parametrize("name", ["rate_distortion", *GANS])
def test_warm_start_begins_as_the_same_function(lab: Lab, name: str, baseline: Path) -> None:
    model, start = lab.model(name, init_from=str(baseline)), Start(lab.batch())
    lab.fit(model, 1, [start, average()])
    expected = reconstruct(opened(baseline), lab.batch())
    torch.testing.assert_close(start.found, expected, rtol=0, atol=1e-6)
    assert torch.equal(model.codec.mean, STATISTICS)
    assert torch.equal(model.codec.std, STATISTICS)


@pytest.mark.parametrize("trunk", ["fast", "paper"])
@pytest.mark.parametrize("name", ["rate_distortion", "conditional_gan"])
def test_warm_start_at_a_higher_rate_is_the_same_function(lab: Lab, name: str, trunk: str, tmp_path: Path) -> None:
    baseline = lab.checkpoint(lab.model("rate_distortion", trunk=trunk), tmp_path / "baseline.ckpt")
    known = opened(baseline)
    model = lab.model(name, trunk=trunk, init_from=str(baseline), channels=known.codec.shape.channels + 3)
    start = Start(lab.batch())
    lab.fit(model, 1, [start, average()])
    torch.testing.assert_close(start.found, reconstruct(known, lab.batch()), rtol=0, atol=1e-6)


@pytest.mark.parametrize("trunk", ["fast", "paper"])
def test_warm_start_at_a_lower_rate_knows_the_first_channels(lab: Lab, trunk: str, tmp_path: Path) -> None:
    baseline = lab.checkpoint(lab.model("rate_distortion", trunk=trunk), tmp_path / "baseline.ckpt")
    start = opened(baseline).eval().codec
    model = lab.model("rate_distortion", trunk=trunk, init_from=str(baseline), channels=1, learning_rate=0.0)
    lab.fit(model)
    image, net = lab.batch()["image"], model.codec
    with torch.no_grad():
        latent = start.analysis(image)
        torch.testing.assert_close(net.analysis(image), latent[:, :1], rtol=0, atol=1e-6)
        quantized = start.quantizer(latent)[0]
        expected = start.synthesis(torch.cat([quantized[:, :1], torch.zeros_like(quantized[:, 1:])], 1))
        torch.testing.assert_close(net.synthesis(quantized[:, :1]), expected, rtol=0, atol=1e-6)


def test_warm_start_is_read_when_fitting_only(lab: Lab) -> None:
    model = lab.model("plain_gan", init_from="nowhere.ckpt")
    lab.trainer().validate(model, lab.data(), verbose=False)
    with pytest.raises(SemcompError, match=r"nowhere\.ckpt: no such model"):
        lab.fit(model)


@pytest.mark.parametrize("other", OTHERS, ids=str)
def test_warm_start_from_another_architecture_is_refused_in_short(
    lab: Lab, baseline: Path, other: dict[str, Any]
) -> None:
    with pytest.raises(SemcompError, match=r"\(RateDistortion\) does not fit PlainGAN: \d+ tensors differ") as error:
        lab.fit(lab.model("plain_gan", init_from=str(baseline), **other))
    assert len(str(error.value).replace(str(baseline), "")) < 400


def test_warm_start_neither_from_a_segmenter_nor_from_a_model_that_knows_more(
    lab: Lab, fitted: dict[str, Path]
) -> None:
    with pytest.raises(SemcompError, match=r"\(Segmentation\) does not fit PlainGAN"):
        lab.fit(lab.model("plain_gan", init_from=lab.segmenter))
    with pytest.raises(SemcompError, match=r"\(ConditionalGAN\) does not fit PlainGAN"):
        lab.fit(lab.model("plain_gan", init_from=str(fitted["conditional_gan"])))


@pytest.mark.parametrize(("name", "called"), [("layered_codec", "LayeredCodec"), ("coclico", "CoCliCo")])
def test_warm_start_from_its_own_kind_only(lab: Lab, fitted: dict[str, Path], name: str, called: str) -> None:
    """Everything but the tables comes from there, also what is fitted before training and not by it."""
    model = lab.model(name, init_from=str(fitted[name]), learning_rate=0.0)
    lab.fit(model, limit_train_batches=1, limit_val_batches=0)
    before = torch.load(fitted[name], weights_only=True)["state_dict"]
    rest = {
        key: value for key, value in model.state_dict().items() if key.startswith("codec.") and "entropy" not in key
    }
    assert any(key.startswith("codec.encoder.") for key in rest)
    assert all(torch.equal(value, before[key]) for key, value in rest.items())
    with pytest.raises(SemcompError, match=rf"\(RateDistortion\) does not fit {called}"):
        lab.fit(lab.model(name, init_from=str(fitted["rate_distortion"])))
