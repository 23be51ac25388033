"""SelectiveGAN: what training keeps, what its loss and its discriminator see, and where it starts."""

from pathlib import Path

import pytest
import torch

from semcomp_pl.losses import mse_distortion
from semcomp_pl.modules.selective import random_box, random_instances
from tests.lab import Lab, reconstruct


def test_the_distortion_ignores_what_is_not_kept(lab: Lab) -> None:
    model, batch = lab.model("selective_gan"), lab.batch("train")
    keep = torch.zeros_like(batch["label"], dtype=torch.bool)
    keep[:, 3:5, 20:21] = True  # in the cell of rows 0..15, columns 16..31
    batch["keep"] = keep
    out = model(batch)
    cell = (slice(None), slice(None), slice(0, 16), slice(16, 32))
    expected = mse_distortion(out.reconstruction[cell], batch["image"][cell]) * 16 * 16 / (32 * 64)
    torch.testing.assert_close(model.distortion(batch, out), expected)


def test_training_keeps_a_quarter_of_the_instances_or_a_box(lab: Lab) -> None:
    ids = torch.arange(64).reshape(8, 8) % 20
    assert len(torch.unique(ids[random_instances(ids)])) == 5
    shares = torch.tensor([random_box(16, 32).float().mean() for _ in range(400)])
    assert 0.2 < shares.mean() < 0.36, "each side is half of the image's on average, and half a pixel"
    box = random_box(16, 32)
    rows, columns = box.any(1), box.any(0)
    assert torch.equal(box, rows[:, None] & columns)
    model, batch = lab.model("selective_gan", regions="instances"), lab.batch("train")
    for drawn, label in zip(model.draw(batch), batch["label"], strict=True):
        for name in torch.unique(label):
            assert drawn[label == name].float().mean() in (0, 1)


@pytest.mark.parametrize("with_instances", [False, True])
def test_the_discriminator_sees_labels_and_boundaries(lab: Lab, with_instances: bool) -> None:
    model, batch = lab.model("selective_gan"), lab.batch("train")
    if with_instances:
        batch["instance"] = torch.arange(64).expand_as(batch["label"])
    found = model.discriminate(batch["image"], batch)
    expected = model.discriminator(batch["image"], batch["label"], batch.get("instance"))
    assert model.discriminator.condition == "boundaries"
    assert torch.equal(found[0][-1], expected[0][-1])
    flat = {**batch, "instance": torch.zeros_like(batch["label"])}
    same = torch.equal(found[0][-1], model.discriminate(batch["image"], flat)[0][-1])
    assert same is not with_instances, "instances add boundaries inside classes"


def test_a_rate_distortion_model_starts_it(lab: Lab, fitted: dict[str, Path]) -> None:
    start = str(fitted["rate_distortion"])
    model, other = (lab.model(name, init_from=start) for name in ("selective_gan", "rate_distortion"))
    for one in (model, other):
        lab.fit(one, limit_train_batches=0)
    batch = lab.batch()
    torch.testing.assert_close(reconstruct(model, batch), reconstruct(other, batch))
