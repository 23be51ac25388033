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

import semcomp_pl
from semcomp_pl.checkpoints.bundle import rounded
from semcomp_pl.checkpoints.checkpoint import read_saved
from semcomp_pl.errors import SemcompError
from semcomp_pl.types import Batch
from tests.lab import ADVERSARIAL, CODECS, CONFIGS, SEGMENTERS, Lab, reconstruct, tampered

DECAY = 0.5


def average() -> EMAWeightAveraging:
    return EMAWeightAveraging(decay=DECAY, use_buffers=False)


def look(model: Any, batch: Batch) -> Tensor:
    """What a model makes of a batch: reconstructions, or a segmenter's logits."""
    if hasattr(model, "evaluate"):
        return reconstruct(model, batch)
    with torch.no_grad():
        logits: Tensor = model.eval()(batch["image"])
    return logits


@pytest.mark.parametrize("name", CONFIGS)
def test_checkpoints_are_plain_and_come_back_bit_for_bit(lab: Lab, name: str, tmp_path: Path) -> None:
    model = lab.model(name)
    file = lab.checkpoint(model, tmp_path / "model.ckpt")
    content = torch.load(file, weights_only=True)
    arguments = content["hyper_parameters"]
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in arguments.items()}
    assert json.loads(json.dumps(arguments)) == plain
    ours = [kind for kind in type(model).__mro__[:-1] if kind.__module__.startswith("semcomp_pl")]
    assert arguments.keys() == {p for kind in ours for p in own(kind)} - set(getattr(model, "fixed", ()))
    assert content["model"] == type(model).__name__
    again = type(model).load_from_checkpoint(file, weights_only=True)
    assert torch.equal(look(again, lab.batch()), look(model, lab.batch()))
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in again.state_dict().items())


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
    part, served = served_by(tmp_path / "last.ckpt", name)
    assert {f"{part}{key}" for key in served} <= saved["state_dict"].keys()
    assert all(torch.equal(value, saved["state_dict"][f"{part}{key}"]) for key, value in served.items())


def served_by(file: Path, name: str) -> tuple[str, dict[str, Tensor]]:
    """What a module calls its plain network, and the weights that others get of it; codecs round them for files."""
    if name in SEGMENTERS:
        return "segmenter.", semcomp_pl.load_segmenter(file).state_dict()
    state = read_saved(file).state
    loaded = semcomp_pl.load(file).net.state_dict()
    assert all(torch.equal(value, rounded({key: state[key]})[key]) for key, value in loaded.items())
    return "codec.", {key: state[key] for key in loaded}


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


@pytest.fixture(scope="module")
def trained(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lab.checkpoint(lab.model("rate_distortion"), tmp_path_factory.mktemp("trained") / "trained.ckpt")


def test_unreadable_checkpoints_are_named(trained: Path, tmp_path: Path) -> None:
    whole = trained.read_bytes()
    contents = {"text": b"not a checkpoint", "empty": b"", "half": whole[: len(whole) // 2], "short": whole[:-1]}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SemcompError, match=f"{name}: not a readable checkpoint"):
            read_saved(tmp_path / name)
    torch.save({"weights": torch.zeros(3)}, tmp_path / "foreign")
    torch.save(torch.zeros(3), tmp_path / "tensor")
    for name in ("foreign", "tensor"):
        with pytest.raises(SemcompError, match=f"{name}: not a checkpoint of semcomp_pl"):
            read_saved(tmp_path / name)
    with pytest.raises(SemcompError, match="missing: no such checkpoint"):
        read_saved(tmp_path / "missing")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"hyper_parameters": {"filters": 16}},
            r"\d+ tensors do not fit RateDistortion \(first: .*, here .*, there .*\)",
        ),
        ({"hyper_parameters": {"filters": "many"}}, "it is of another version of RateDistortion"),
        ({"model": "os.system"}, r"a model 'os\.system' found, expected one of RateDistortion, PlainGAN"),
        ({"state_dict": {"codec.generator.colour": torch.zeros(3)}}, r"1 tensors do not fit RateDistortion"),
    ],
    ids=["numbers", "no number", "class", "weights"],
)
def test_checkpoints_of_other_versions_are_refused_in_short(
    trained: Path, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    file = tampered(trained, tmp_path / "other.ckpt", **changes)
    with pytest.raises(SemcompError, match=message) as error:
        semcomp_pl.load(file)
    assert len(str(error.value).replace(str(file), "")) < 400


def before_the_parts(file: Path, target: Path) -> Path:
    """A checkpoint as it was before plain networks had names of their own in it."""
    content = torch.load(file, weights_only=True)
    for key in ("state_dict", "current_model_state"):
        if key in content:
            names = {name: name.removeprefix("codec.").removeprefix("segmenter.") for name in content[key]}
            assert names.keys() != set(names.values())
            content[key] = {names[name]: value for name, value in content[key].items()}
    torch.save(content, target)
    return target


@pytest.mark.parametrize("name", CODECS)
def test_checkpoints_without_names_of_parts_load_alike(fitted: dict[str, Path], name: str, tmp_path: Path) -> None:
    old = before_the_parts(fitted[name], tmp_path / "old.ckpt")
    pinned = {"channels": 3, "levels": 256, "trunk": "paper", "entropy_model": "static", "label_map": "full"}
    if name == "layered_codec":  # which once kept among its numbers what it never let anybody choose
        tampered(old, old, hyper_parameters=pinned)
    ours, theirs = semcomp_pl.load(old), semcomp_pl.load(fitted[name])
    assert ours.fingerprint == theirs.fingerprint
    assert [*ours.segmenters] == [*theirs.segmenters]
    state = theirs.net.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in ours.net.state_dict().items())


def test_segmenters_without_names_of_parts_load_alike(lab: Lab, tmp_path: Path) -> None:
    old = before_the_parts(Path(lab.segmenter), tmp_path / "old.ckpt")
    ours, theirs = semcomp_pl.load_segmenter(old), semcomp_pl.load_segmenter(lab.segmenter)
    assert ours.provenance() == theirs.provenance()
    image = lab.batch()["image"]
    assert torch.equal(ours.predict(image), theirs.predict(image))


@pytest.mark.parametrize("name", ["plain_gan", "semantic_distortion_gan", "pspnet"])
def test_lightning_restores_checkpoints_without_names_of_parts(
    lab: Lab, fitted: dict[str, Path], name: str, tmp_path: Path
) -> None:
    file = Path(lab.segmenter) if name == "pspnet" else fitted[name]
    old = before_the_parts(file, tmp_path / "old.ckpt")
    expected = torch.load(file, weights_only=True)["state_dict"]
    model = lab.model(name, **({"segmenter": None} if name == "semantic_distortion_gan" else {}))
    lab.trainer().test(model, lab.data(), ckpt_path=old, weights_only=True, verbose=False)
    again = type(model).load_from_checkpoint(old, weights_only=True)
    for one in (model, again):
        assert all(torch.equal(value, expected[key]) for key, value in one.state_dict().items())


def test_a_run_of_before_is_resumed(lab: Lab, tmp_path: Path) -> None:
    """Its averaged weights and those that it goes on with, and its optimiser's state."""
    saves = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    straight, resumed = lab.model("rate_distortion"), lab.model("rate_distortion")
    lab.fit(straight, 2, [average(), saves])
    old = before_the_parts(tmp_path / "epoch=0.ckpt", tmp_path / "old.ckpt")
    rest = lab.trainer(2, [average(), ModelCheckpoint(tmp_path / "resumed")])
    rest.fit(resumed, datamodule=lab.data(), ckpt_path=old, weights_only=True)
    assert same(straight.state_dict(), resumed.state_dict())
