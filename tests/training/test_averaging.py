"""The moving average against Lightning's own, which it replaces: up to a decay of 2/11 they are the same."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from semcomp_pl.training.averaging import MovingAverage
from tests.lab import Lab


def lightnings(decay: float) -> EMAWeightAveraging:
    return EMAWeightAveraging(decay=decay, use_buffers=False)


def saved(lab: Lab, name: str, average: Callback, directory: Path, epochs: int = 3, **options: Any) -> dict[str, Any]:
    """What a training with this average saves."""
    saves = ModelCheckpoint(directory, "{epoch}", save_top_k=-1)
    lab.fit(lab.model(name, **options), epochs, [average, saves])
    return load(directory / f"epoch={epochs - 1}.ckpt")


def load(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(file, weights_only=True)
    return content


@pytest.mark.parametrize("decay", [0.0, 0.15])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("plain_gan", {}),
        ("rate_distortion", {"accumulate": 2}),
        ("pspnet", {}),  # with running statistics
    ],
    ids=["two optimisers", "accumulated", "buffers"],
)
def test_the_average_is_lightnings(lab: Lab, name: str, options: dict[str, Any], decay: float, tmp_path: Path) -> None:
    ours = saved(lab, name, MovingAverage(decay), tmp_path / "ours", **options)
    theirs = saved(lab, name, lightnings(decay), tmp_path / "theirs", **options)
    assert ours.keys() == theirs.keys()
    assert ours["callbacks"]["EMAWeightAveraging"] == theirs["callbacks"]["EMAWeightAveraging"]
    assert ours["averaging_state"] == theirs["averaging_state"]
    for weights in ("state_dict", "current_model_state"):
        assert [*ours[weights]] == [*theirs[weights]]
        for key, value in theirs[weights].items():
            torch.testing.assert_close(ours[weights][key], value, rtol=1e-6, atol=1e-7)
    moved = [key for key in ours["state_dict"] if (ours["state_dict"][key] != ours["current_model_state"][key]).any()]
    assert bool(moved) == (decay > 0)


@pytest.mark.parametrize(("first", "second"), [(MovingAverage, lightnings), (lightnings, MovingAverage)])
def test_each_goes_on_from_the_others_checkpoints(lab: Lab, first: Any, second: Any, tmp_path: Path) -> None:
    whole = saved(lab, "rate_distortion", first(0.15), tmp_path / "whole")
    rest = lab.trainer(3, [second(0.15), ModelCheckpoint(tmp_path / "rest", "{epoch}")])
    checkpoint = tmp_path / "whole" / "epoch=0.ckpt"
    rest.fit(lab.model("rate_distortion"), datamodule=lab.data(), ckpt_path=checkpoint, weights_only=True)
    found = load(tmp_path / "rest" / "epoch=2.ckpt")
    assert found["averaging_state"] == whole["averaging_state"]
    for key, value in whole["state_dict"].items():
        torch.testing.assert_close(found["state_dict"][key], value, rtol=1e-6, atol=1e-7)


class Calls(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Names of the operators that are called."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Note and call an operator."""
        self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


class Watched(MovingAverage):
    """Notes what each update calls."""

    def __init__(self) -> None:
        super().__init__(0.9)
        self.calls: list[list[str]] = []

    def on_train_batch_end(self, *args: Any) -> None:
        with Calls() as calls:
            super().on_train_batch_end(*args)
        self.calls.append(calls.names)


def test_an_update_is_one_operation(lab: Lab) -> None:
    """None of which reads a value, for which a device would have to be waited for."""
    average = Watched()
    lab.fit(lab.model("plain_gan"), 2, [average])
    assert average.calls == [["_foreach_copy_"], *[["_foreach_lerp_"]] * 3]


class Constant(LightningModule):
    """Weights that are what the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(3))


def test_an_average_of_given_weights() -> None:
    """Without Lightning's loops: v1, then d · average + (1 - d) · v for each further v, and d rises to its limit."""
    model, average = Constant(), MovingAverage(0.3)
    trainer: Any = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    average.setup(trainer, model, "fit")
    average.on_train_start(trainer, model)
    expected: Tensor | None = None
    for step, value in enumerate(torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), 1):
        model.weight.data.copy_(value)
        trainer.fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step.total.completed = step
        for _ in range(2):  # without a further step nothing changes
            average.on_train_batch_end(trainer, model, None, None, 0)
        decay = [0, 2 / 11, 3 / 12, 0.3, 0.3][step - 1]
        expected = value if expected is None else decay * expected + (1 - decay) * value
    content: dict[str, Any] = {"state_dict": model.state_dict()}
    average.on_save_checkpoint(trainer, model, content)
    torch.testing.assert_close(content["state_dict"]["weight"], expected)
    assert content["averaging_state"]["n_averaged"] == 5
