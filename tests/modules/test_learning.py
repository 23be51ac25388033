"""Learning rates, clipping, and the end of a training whose numbers are none."""

import math
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.optim import Optimizer

from semcomp_pl.errors import SemcompError
from semcomp_pl.modules.learning import Schedule, schedule_factor
from semcomp_pl.training.callbacks import TimeLimit
from tests.lab import ADVERSARIAL, CONFIGS, Lab

GRID = [i / 1000 for i in range(1001)]


def test_constant_schedule() -> None:
    assert {schedule_factor("constant", done) for done in GRID} == {1.0}


def test_poly_schedule() -> None:
    assert [schedule_factor("poly", done) for done in GRID] == pytest.approx([(1 - done) ** 0.9 for done in GRID])


def test_cosine_schedule_warms_up_and_ends_at_zero() -> None:
    factors = [schedule_factor("cosine", done) for done in GRID]
    assert 0 < factors[0] <= 0.01
    assert all(earlier < later for earlier, later in pairwise(factors[:11]))
    assert all(earlier > later for earlier, later in pairwise(factors[11:]))
    assert max(factors) > 0.99
    assert factors[500] == pytest.approx(0.5)
    assert factors[-1] == pytest.approx(0, abs=1e-12)
    for done in GRID[11:]:
        assert schedule_factor("cosine", done) == pytest.approx(math.cos(math.pi * done / 2) ** 2)


class Rates(Callback):
    """The rates of all optimisers when they step."""

    def __init__(self) -> None:
        self.found: list[list[float]] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.found.append([group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups])


@pytest.mark.parametrize("schedule", ["cosine", "poly", "constant"])
@pytest.mark.parametrize("name", ["pspnet", "rate_distortion", "plain_gan"])
def test_every_optimiser_follows_the_schedule(lab: Lab, name: str, schedule: Schedule) -> None:
    options = {"discriminator_learning_rate": 2e-4} if name == "plain_gan" else {}
    rates, initial = Rates(), [1e-3, *options.values()]
    lab.fit(lab.model(name, schedule=schedule, learning_rate=1e-3, **options), 3, [rates], limit_val_batches=0)
    expected = [[rate * schedule_factor(schedule, step / 6) for rate in initial] for step in range(6)]
    assert rates.found == [pytest.approx(step) for step in expected]


class Paced(TimeLimit):
    """A clock by which every batch takes a second."""

    batches = 0

    def time_elapsed(self, stage: str = "train") -> float:
        return float(self.batches)

    def on_train_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        self.batches += 1


@pytest.mark.parametrize("schedule", ["cosine", "poly"])
@pytest.mark.parametrize(("epochs", "seconds"), [(1000, 5), (-1, 3), (2, 5), (1000, 1)])
def test_the_schedule_ends_with_the_first_of_epochs_and_time(
    lab: Lab, epochs: int, seconds: int, schedule: Schedule
) -> None:
    rates, batches = Rates(), 2 * epochs if epochs > 0 else 1000
    model = lab.model("rate_distortion", schedule=schedule, learning_rate=1)
    lab.fit(model, epochs, [rates, Paced({"seconds": seconds})], limit_val_batches=0)
    steps = range(min(batches, seconds + 1))
    expected = [schedule_factor(schedule, max(step / batches, step / seconds)) for step in steps]
    assert [rate for (rate,) in rates.found] == pytest.approx(expected)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_falling_schedule_needs_an_end(lab: Lab, name: str) -> None:
    model = lab.model(name)
    with pytest.raises(SemcompError, match=f"schedule={model.schedule} needs an end, found max_epochs=-1"):
        lab.fit(model, -1)
    lab.fit(lab.model(name, schedule="constant"), -1, max_steps=2, limit_val_batches=0)


class Norms(Callback):
    """The gradient norm of each optimiser's own parameters as it steps."""

    def __init__(self) -> None:
        self.found: dict[int, list[float]] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for i, optimizer in enumerate(trainer.optimizers):
            optimizer.register_step_post_hook(partial(self.note, i))

    def note(self, key: int, optimizer: Optimizer, *_: Any) -> None:
        gradients = [p.grad.norm() for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        self.found.setdefault(key, []).append(float(torch.stack(gradients).norm()))


@pytest.mark.parametrize("name", CONFIGS)
def test_each_optimiser_is_clipped_by_its_own_norm(lab: Lab, name: str) -> None:
    free, clipped = Norms(), Norms()
    lab.fit(lab.model(name, gradient_clip=0.0), 1, [free], limit_val_batches=0)
    lab.fit(lab.model(name, gradient_clip=1e-3), 1, [clipped], limit_val_batches=0)
    assert len(clipped.found) == len(free.found) == 1 + (name in ADVERSARIAL)
    assert min(min(norms) for norms in free.found.values()) > 2e-3
    for norms in clipped.found.values():
        assert norms == pytest.approx([1e-3] * 2, rel=1e-3)


class Poison(Callback):
    """A NaN among the weights (a loss that is none) or in one gradient, at the start of epoch 1."""

    def __init__(self, gradient: bool = False) -> None:
        self.gradient = gradient

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        first = next(pl_module.parameters())
        if trainer.current_epoch == 1 and self.gradient:
            first.register_hook(lambda gradient: gradient * torch.nan)  # type: ignore[no-untyped-call]
        elif trainer.current_epoch == 1:
            first.data.fill_(torch.nan)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("every", [1, 50])
def test_nan_loss_stops_and_names_losses_and_checkpoint(lab: Lab, name: str, every: int, tmp_path: Path) -> None:
    saves = ModelCheckpoint(tmp_path, filename="last", enable_version_counter=False)
    found = r"epoch 1, batch 0: .*\b\w+ = nan.* last checkpoint: .*last\.ckpt;"
    with pytest.raises(SemcompError, match=found) as error:
        lab.fit(lab.model(name), 3, [Poison(), saves], log_every_n_steps=every)
    assert str(tmp_path / "last.ckpt") in str(error.value)
    good = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert all(value.isfinite().all() for value in good["state_dict"].values())


@pytest.mark.parametrize("name", ["rate_distortion", "plain_gan"])
def test_nan_gradient_stops_before_it_is_saved(lab: Lab, name: str, tmp_path: Path) -> None:
    saves = ModelCheckpoint(tmp_path, filename="last", every_n_train_steps=1, enable_version_counter=False)
    with pytest.raises(SemcompError, match=r"epoch 1, batch 0: .*gradient norm 1 = nan.* expected finite numbers"):
        lab.fit(lab.model(name, gradient_clip=0.0), 3, [Poison(gradient=True), saves], log_every_n_steps=50)
    good = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert all(value.isfinite().all() for value in good["state_dict"].values())


class Draws(Callback):
    """A number drawn after each batch; may use up further random numbers between epochs."""

    def __init__(self, wasted: int = 0) -> None:
        self.wasted, self.found = wasted, list[float]()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.found.append(float(torch.rand(())))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        torch.rand(self.wasted)


def test_random_numbers_depend_on_seed_epoch_and_batch_alone(lab: Lab) -> None:
    found = []
    for seed, wasted in ((0, 0), (0, 5), (1, 0)):
        draws, model = Draws(wasted), lab.model("selective_gan")
        torch.manual_seed(seed)
        lab.fit(model, 2, [draws], limit_val_batches=0)
        found.append(draws.found)
    assert found[0] == found[1]
    assert len({*found[0], *found[2]}) == 8


class Gradients(Callback):
    """The gradients of each optimiser's parameters as it steps."""

    def __init__(self) -> None:
        self.found: list[list[torch.Tensor]] = []

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        own = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        self.found.append([gradient.clone() for gradient in own])


@pytest.mark.parametrize("name", ["rate_distortion", "plain_gan"])
def test_two_accumulated_batches_are_one_of_twice_the_size(lab: Lab, name: str) -> None:
    found = []
    for accumulate, batch_size in ((2, 4), (1, 8)):
        data, gradients = lab.data(), Gradients()
        data.batch_size = batch_size
        lab.trainer(1, [gradients], limit_val_batches=0).fit(lab.model(name, accumulate=accumulate), datamodule=data)
        found.append(gradients.found)
    assert len(found[0]) == len(found[1]) == 1 + (name in ADVERSARIAL)
    for accumulated, whole in zip(*found, strict=True):
        torch.testing.assert_close(accumulated, whole, rtol=1e-3, atol=1e-6)


def test_a_window_ends_with_its_epoch(lab: Lab) -> None:
    gradients = Gradients()
    model = lab.model("rate_distortion", accumulate=5)
    lab.fit(model, 2, [gradients], limit_val_batches=0)
    assert len(gradients.found) == 2
    assert not model.window_open
    with pytest.raises(SemcompError, match="accumulate=0 found, expected 1 or more"):
        lab.model("plain_gan", accumulate=0)
