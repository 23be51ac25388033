"""Checkpoints: what they hold, what comes back from them, and where training goes on."""

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from torch import Tensor

from semcomp_pl.errors import SemcompError
from semcomp_pl.modules.base import CodecModule
from semcomp_pl.checkpoints.loading import load
from semcomp_pl.types import Batch
from tests.modules.conftest import ADVERSARIAL, CONFIGS, GANS, Lab, reconstruct

DECAY = 0.5
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


def average() -> EMAWeightAveraging:
    return EMAWeightAveraging(decay=DECAY, use_buffers=False)


def look(model: Any, batch: Batch) -> Tensor:
    """What a model makes of a batch: reconstructions, or a segmenter's logits."""
    if hasattr(model, "evaluate"):
        return reconstruct(model, batch)
    with torch.no_grad():
        logits: Tensor = model.eval()(batch["image"])
    return logits


def tampered(source: Path, target: Path, **changes: Any) -> Path:
    """A copy of a checkpoint with other entries; dictionaries are merged."""
    content = torch.load(source, weights_only=True)
    for key, value in changes.items():
        content[key] = {**content[key], **value} if isinstance(value, dict) else value
    torch.save(content, target)
    return target


@pytest.fixture(scope="module")
def baseline(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained RateDistortion checkpoint whose statistics no data set of these tests has."""
    file = lab.checkpoint(lab.model("rate_distortion"), tmp_path_factory.mktemp("baseline") / "trained.ckpt")
    return tampered(file, file.with_name("baseline.ckpt"), state_dict={"mean": STATISTICS, "std": STATISTICS})


@pytest.mark.parametrize("name", CONFIGS)
def test_checkpoints_are_plain_and_come_back_bit_for_bit(lab: Lab, name: str, tmp_path: Path) -> None:
    model = lab.model(name)
    file = lab.checkpoint(model, tmp_path / "model.ckpt")
    content = torch.load(file, weights_only=True)
    arguments = content["hyper_parameters"]
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in arguments.items()}
    assert json.loads(json.dumps(arguments)) == plain
    declared = {p for kind in type(model).__mro__[:-1] if kind.__module__.startswith("semcomp_pl") for p in own(kind)}
    assert arguments.keys() == declared
    assert content["model"] == type(model).__name__
    again = type(model).load_from_checkpoint(file, weights_only=True)
    for other in (load(file), again):
        assert type(other) is type(model)
        assert torch.equal(look(other, lab.batch()), look(model, lab.batch()))
        assert all(torch.equal(value, model.state_dict()[key]) for key, value in other.state_dict().items())
    assert not load(file).training


def own(kind: type) -> set[str]:
    """Named arguments of a class's own constructor."""
    return set(inspect.signature(kind.__init__).parameters) - {"self", "kwargs", "args"}  # type: ignore[misc]


class MovingAverage(Callback):
    """The average of all parameters so far, in float64, and the parameters as they are."""

    def __init__(self) -> None:
        self.average: dict[str, Tensor] = {}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.now = {name: value.detach().double().clone() for name, value in pl_module.named_parameters()}
        before = self.average or self.now
        self.average = {name: DECAY * before[name] + (1 - DECAY) * value for name, value in self.now.items()}


@pytest.mark.parametrize("name", CONFIGS)
def test_checkpoints_hold_the_averaged_weights(lab: Lab, name: str, tmp_path: Path) -> None:
    reference = MovingAverage()
    lab.fit(lab.model(name), 2, [reference, average(), ModelCheckpoint(tmp_path, save_last=True)])
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    for key, value in reference.average.items():
        torch.testing.assert_close(saved["state_dict"][key].double(), value, rtol=1e-5, atol=1e-6)
        assert torch.equal(saved["current_model_state"][key].double(), reference.now[key])
    assert any((saved["state_dict"][key] != saved["current_model_state"][key]).any() for key in reference.now)
    served = load(tmp_path / "last.ckpt").state_dict()
    assert all(torch.equal(served[key], saved["state_dict"][key]) for key in served)


class Seeds(Callback):
    """Random numbers (a segmenter's dropout) as a function of epoch and batch."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        torch.manual_seed(1000 * trainer.current_epoch + batch_idx)


def same(a: Any, b: Any) -> bool:
    """Equal values in nested containers, tensors to 1e-6."""
    if isinstance(a, Tensor):
        return torch.allclose(a, b, rtol=0, atol=1e-6)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


@pytest.mark.parametrize("name", CONFIGS)
def test_resuming_at_an_epochs_end_is_as_if_never_stopped(lab: Lab, name: str, tmp_path: Path) -> None:
    straight, resumed = lab.model(name), lab.model(name)
    saves = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    whole = lab.fit(straight, 2, [Seeds(), average(), saves])
    for parameter in resumed.parameters():
        parameter.data.zero_()
    rest = lab.trainer(2, [Seeds(), average(), ModelCheckpoint(tmp_path / "resumed")])
    rest.fit(resumed, datamodule=lab.data(), ckpt_path=tmp_path / "epoch=0.ckpt", weights_only=True)
    steps = 8 if name in ADVERSARIAL else 4  # two batches an epoch, Lightning counts every optimiser's
    for trainer in (whole, rest):
        assert (trainer.current_epoch, trainer.global_step) == (2, steps)
    assert same(straight.state_dict(), resumed.state_dict())
    assert len(rest.optimizers) == 1 + (name in ADVERSARIAL)
    for a, b in zip(whole.optimizers, rest.optimizers, strict=True):
        assert a.state_dict()["state"]
        assert same(a.state_dict(), b.state_dict())


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
    expected = reconstruct(load(baseline), lab.batch())  # type: ignore[arg-type]
    torch.testing.assert_close(start.found, expected, rtol=0, atol=1e-6)
    assert torch.equal(model.mean, STATISTICS)
    assert torch.equal(model.std, STATISTICS)


@pytest.mark.parametrize("trunk", ["fast", "paper"])
@pytest.mark.parametrize("name", ["rate_distortion", "conditional_gan"])
def test_warm_start_at_a_higher_rate_is_the_same_function(lab: Lab, name: str, trunk: str, tmp_path: Path) -> None:
    baseline = lab.checkpoint(lab.model("rate_distortion", trunk=trunk), tmp_path / "baseline.ckpt")
    known = load(baseline)
    assert isinstance(known, CodecModule)
    model = lab.model(name, trunk=trunk, init_from=str(baseline), channels=known.channels + 3)
    start = Start(lab.batch())
    lab.fit(model, 1, [start, average()])
    torch.testing.assert_close(start.found, reconstruct(known, lab.batch()), rtol=0, atol=1e-6)


@pytest.mark.parametrize("trunk", ["fast", "paper"])
def test_warm_start_at_a_lower_rate_knows_the_first_channels(lab: Lab, trunk: str, tmp_path: Path) -> None:
    baseline = lab.checkpoint(lab.model("rate_distortion", trunk=trunk), tmp_path / "baseline.ckpt")
    start = load(baseline)
    assert isinstance(start, CodecModule)
    model = lab.model("rate_distortion", trunk=trunk, init_from=str(baseline), channels=1, learning_rate=0.0)
    lab.fit(model)
    image = lab.batch()["image"]
    latent = start.analysis(image)
    torch.testing.assert_close(model.analysis(image), latent[:, :1], rtol=0, atol=1e-6)
    quantized = start.quantizer(latent)[0]
    expected = start.synthesis(torch.cat([quantized[:, :1], torch.zeros_like(quantized[:, 1:])], 1))
    torch.testing.assert_close(model.synthesis(quantized[:, :1]), expected, rtol=0, atol=1e-6)


def test_warm_start_is_read_when_fitting_only(lab: Lab) -> None:
    model = lab.model("plain_gan", init_from="nowhere.ckpt")
    lab.trainer().validate(model, lab.data(), verbose=False)
    with pytest.raises(SemcompError, match=r"nowhere\.ckpt: no such checkpoint"):
        lab.fit(model)


@pytest.mark.parametrize("other", OTHERS, ids=str)
def test_warm_start_from_another_architecture_is_refused_in_short(
    lab: Lab, baseline: Path, other: dict[str, Any]
) -> None:
    with pytest.raises(SemcompError, match=r"\(RateDistortion\) does not fit PlainGAN: \d+ tensors differ") as error:
        lab.fit(lab.model("plain_gan", init_from=str(baseline), **other))
    assert len(str(error.value).replace(str(baseline), "")) < 400


def test_warm_start_neither_from_a_segmenter_nor_from_a_model_that_knows_more(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(SemcompError, match=r"\(Segmentation\) does not fit PlainGAN"):
        lab.fit(lab.model("plain_gan", init_from=lab.segmenter))
    conditional = lab.checkpoint(lab.model("conditional_gan"), tmp_path / "conditional.ckpt")
    with pytest.raises(SemcompError, match=r"\(ConditionalGAN\) does not fit PlainGAN"):
        lab.fit(lab.model("plain_gan", init_from=str(conditional)))


def test_unreadable_checkpoints_are_named(baseline: Path, tmp_path: Path) -> None:
    whole = baseline.read_bytes()
    contents = {"text": b"not a checkpoint", "empty": b"", "half": whole[: len(whole) // 2], "short": whole[:-1]}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SemcompError, match=f"{name}: not a readable checkpoint"):
            load(tmp_path / name)
    torch.save({"weights": torch.zeros(3)}, tmp_path / "foreign")
    torch.save(torch.zeros(3), tmp_path / "tensor")
    for name in ("foreign", "tensor"):
        with pytest.raises(SemcompError, match=f"{name}: not a checkpoint of semcomp_pl"):
            load(tmp_path / name)
    with pytest.raises(SemcompError, match="missing: no such checkpoint"):
        load(tmp_path / "missing")


def test_checkpoints_of_other_versions_are_refused_in_short(baseline: Path, tmp_path: Path) -> None:
    file = tmp_path / "other.ckpt"
    tampered(baseline, file, hyper_parameters={"filters": 16})
    with pytest.raises(SemcompError, match=r"\d+ tensors do not fit RateDistortion \(first: .*, here .*, there .*\)"):
        load(file)
    tampered(baseline, file, hyper_parameters={"colour": "blue"})
    with pytest.raises(SemcompError, match="'colour'; it is of another version of RateDistortion"):
        load(file)
    tampered(baseline, file, model="os.system")
    with pytest.raises(SemcompError, match=r"a model 'os\.system' found, expected one of RateDistortion, PlainGAN"):
        load(file)
