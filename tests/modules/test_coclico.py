"""What CoCliCo learns from: the flow's equation, what is left out at random, and what `replay` draws from."""

from typing import Any, cast

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from semcomp_pl.data.augment import Augmentation
from semcomp_pl.errors import SemcompError
from semcomp_pl.modules.coclico import CoCliCo, spread_over
from semcomp_pl.nets.colour_map import colour_planes, colour_symbols, colour_values
from tests.lab import Lab


class Batches(Callback):
    """What every step learnt from, and its loss."""

    def __init__(self) -> None:
        self.found: list[dict[str, Tensor]] = []
        self.losses: list[float] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        model: Any = pl_module
        prepare = model.prepare
        model.prepare = lambda batch: (self.found.append(dict(prepare(batch))), self.found[-1])[1]  # type: ignore[func-returns-value]

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        self.losses.append(float(trainer.callback_metrics["train/flow"]))


def test_the_loss_is_that_of_the_flow(lab: Lab) -> None:
    model = lab.model("coclico")
    seen = Batches()
    lab.fit(model, 1, [seen], limit_val_batches=0)
    batch = seen.found[-1]
    asked: list[tuple[Tensor, ...]] = []
    model.codec.generator.register_forward_hook(lambda _, inputs, output: asked.append((*inputs, output)))
    loss = model.losses(cast(Any, batch))["flow"]
    noisy, _, vector, planes, velocity = asked[0]
    for i in range(len(noisy)):
        t, z, noise = batch["time"][i], batch["latent"][i], batch["noise"][i]
        torch.testing.assert_close(noisy[i], (1 - t) * z + t * noise)
    expected = (velocity - batch["noise"] + batch["latent"]).square().mean()
    torch.testing.assert_close(loss, expected)
    assert vector is batch["vector"]
    assert planes is batch["planes"]


def test_latents_have_mean_0_and_deviation_1_over_what_they_were_fitted_to(lab: Lab) -> None:
    model, seen = lab.model("coclico"), Batches()
    lab.fit(model, 6, [seen], limit_val_batches=0)
    latents = torch.cat([batch["latent"] for batch in seen.found])
    assert latents.mean((0, 2, 3)).abs().max() < 0.3
    assert (latents.std((0, 2, 3)) - 1).abs().max() < 0.3


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_vector_and_colours_are_left_out_independently(lab: Lab, dropout: float) -> None:
    model, seen = lab.model("coclico", dropout=dropout), Batches()
    lab.fit(model, 15, [seen], limit_val_batches=0)
    vectors = torch.cat([(batch["vector"] != 0).any(1) for batch in seen.found])
    maps = torch.cat([(batch["planes"] != 0).flatten(1).any(1) for batch in seen.found])
    for share in (vectors.float().mean(), maps.float().mean()):
        assert share == pytest.approx(1 - dropout, abs=0.15)
    assert (vectors & maps).float().mean() == pytest.approx((1 - dropout) ** 2, abs=0.15)


def test_maps_are_those_of_files_at_every_size_of_cells(lab: Lab) -> None:
    model = lab.model("coclico")
    latent, fine = torch.zeros(64, 33, 8, 8), torch.rand(1, 3, 8, 8).expand(64, -1, -1, -1) - 0.3
    found = model.planes(fine, latent)
    expected = [
        colour_planes(colour_values(colour_symbols(torch.nn.functional.avg_pool2d(fine[:1], 1 << d))), (8, 8))[0]
        for d in range(4)
    ]
    drawn = [[torch.equal(one, other) for other in expected].index(True) for one in found]
    assert set(drawn) == {0, 1, 2, 3}


def test_all_steps_draw_from_what_the_first_epochs_see(lab: Lab) -> None:
    found = []
    for epochs, replay in ((2, 0), (30, 2)):
        seen, data = Batches(), lab.data()
        data.augmentation = Augmentation(data.crop_size, (0.5, 1.0), True, 0.0, 0.0)
        data.transform = data.augmentation.transform()
        trainer = lab.trainer(epochs, [seen], limit_val_batches=0)
        trainer.fit(lab.model("coclico", replay=replay), datamodule=data)
        found.append(torch.cat([batch["latent"] for batch in seen.found]))
    first, drawn = found[0].half().float(), found[1]
    equal = (drawn[:, None] == first).flatten(2).all(2)
    assert torch.equal(equal.sum(1), torch.ones(len(drawn)))  # two crops of eight images, all different
    assert equal.any(0).tolist() == [True] * 16


def test_it_learns(lab: Lab) -> None:
    model, seen = lab.model("coclico", learning_rate=3e-3, replay=1), Batches()
    lab.fit(model, 60, [seen], limit_val_batches=0)
    assert sum(seen.losses[-20:]) < 0.9 * sum(seen.losses[:20])


@pytest.mark.parametrize("wrong", [{"dropout": 1.0}, {"replay": -1}, {"rate_weight": 0.1}], ids=str)
def test_numbers_that_mean_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SemcompError, match=next(iter(wrong))):
        CoCliCo(filters=16, latent_space="pixels", **wrong)


def test_places_are_spread() -> None:
    assert spread_over(3, 10) == [0, 1, 2]
    assert spread_over(10, 5) == [0, 2, 4, 6, 8]
