"""SelectiveGAN: what training keeps, what its loss and its discriminator see, and where it starts."""

import math
from collections import Counter
from itertools import combinations, product
from pathlib import Path

import pytest
import torch
from torch import Tensor

from semcomp_pl.losses import mse_distortion
from semcomp_pl.modules.selective import random_boxes, random_instances
from tests.lab import Lab, reconstruct


def one_at_a_time_instances(ids: Tensor) -> Tensor:
    """The rule for one map (H, W): a quarter of the ids that occur, at least one, without replacement."""
    found = torch.unique(ids)
    count = max(1, round(0.25 * len(found)))
    return torch.isin(ids, found[torch.randperm(len(found))[:count]])


def one_at_a_time_box(height: int, width: int) -> Tensor:
    """The rule for one box (H, W): sides uniform, then corners uniform."""
    down, across = int(torch.randint(1, height + 1, ())), int(torch.randint(1, width + 1, ()))
    top, left = int(torch.randint(height - down + 1, ())), int(torch.randint(width - across + 1, ()))
    box = torch.zeros(height, width, dtype=torch.bool)
    box[top : top + down, left : left + across] = True
    return box


def deviation(found: Tensor, expected: dict[bytes, float]) -> float:
    """How far masks (N, ...), bool, are from their probabilities by bytes: chi-square, in deviations from its mean."""
    counts = Counter(mask.numpy().tobytes() for mask in found)
    assert counts.keys() <= expected.keys(), "only masks that can be"
    terms = [(counts[key] - share * len(found)) ** 2 / (share * len(found)) for key, share in expected.items()]
    freedom = len(terms) - 1
    return (sum(terms) - freedom) / math.sqrt(2 * freedom)


def test_the_distortion_ignores_what_is_not_kept(lab: Lab) -> None:
    model, batch = lab.model("selective_gan"), lab.batch("train")
    keep = torch.zeros_like(batch["label"], dtype=torch.bool)
    keep[:, 3:5, 20:21] = True  # in the cell of rows 0..15, columns 16..31
    batch["keep"] = keep
    out = model(batch)
    cell = (slice(None), slice(None), slice(0, 16), slice(16, 32))
    expected = mse_distortion(out.reconstruction[cell], batch["image"][cell]) * 16 * 16 / (32 * 64)
    torch.testing.assert_close(model.distortion(batch, out), expected)


def maps(kind: str) -> Tensor:
    """Maps of ids (4, H, W): label + 256 instance."""
    torch.manual_seed(0)
    if kind == "labels":
        return torch.randint(0, 20, (4, 16, 32)).where(torch.rand(4, 16, 32) < 0.9, 255)
    if kind == "any number of ids":
        return torch.randint(0, 1000, (4, 8, 8)) % torch.tensor([1, 2, 3, 900])[:, None, None]
    return torch.randint(0, 256, (4, 128, 256)) + 256 * torch.randint(0, 65536, (4, 128, 256))


@pytest.mark.parametrize("kind", ["labels", "any number of ids", "instances everywhere"])
def test_a_quarter_of_the_ids_of_each_map_is_kept_whole(kind: str) -> None:
    ids = maps(kind)
    for one, kept in zip(ids, random_instances(ids), strict=True):
        chosen, found = torch.unique(one[kept]), torch.unique(one)
        assert len(chosen) == max(1, round(0.25 * len(found)))
        assert torch.equal(kept, torch.isin(one, chosen))


@pytest.mark.parametrize("count", [3, 6, 10])
def test_ids_are_drawn_as_one_map_at_a_time_would(count: int) -> None:
    """Every subset of the right size is equally likely, whatever ids there are and however often they occur."""
    torch.manual_seed(0)
    ids = torch.tensor([7 * k * k + k for k in range(count) for _ in range(k + 1)])[None]
    ids = ids[:, torch.randperm(ids.shape[1])]
    kept = max(1, round(0.25 * count))
    subsets = [torch.isin(ids, torch.unique(ids)[list(chosen)]) for chosen in combinations(range(count), kept)]
    expected = {mask.numpy().tobytes(): 1 / len(subsets) for mask in subsets}
    alone = torch.stack([one_at_a_time_instances(ids) for _ in range(4000)])
    together = random_instances(ids.expand(4000, *ids.shape))
    assert deviation(alone, expected) < 6
    assert deviation(together, expected) < 6
    pairs = {first + second: 1 / len(subsets) ** 2 for first, second in product(expected, repeat=2)}
    assert deviation(together.view(2000, 2, -1), pairs) < 6, "each map is drawn independently of its neighbour"


def test_boxes_are_drawn_as_one_at_a_time_would() -> None:
    torch.manual_seed(0)
    height, width = 3, 4
    expected = {}
    for down, across in product(range(1, height + 1), range(1, width + 1)):
        corners = [*product(range(height - down + 1), range(width - across + 1))]
        for top, left in corners:
            box = torch.zeros(height, width, dtype=torch.bool)
            box[top : top + down, left : left + across] = True
            expected[box.numpy().tobytes()] = 1 / (height * width * len(corners))
    assert deviation(torch.stack([one_at_a_time_box(height, width) for _ in range(6000)]), expected) < 6
    together = random_boxes(torch.zeros(6000, height, width))
    assert deviation(together, expected) < 6
    pairs = {first + second: a * b for (first, a), (second, b) in product(expected.items(), repeat=2)}
    assert deviation(together.view(3000, 2, -1), pairs) < 6, "each box is drawn independently of its neighbour"


def test_training_draws_regions_of_the_chosen_kind(lab: Lab) -> None:
    label = torch.tensor([[0, 1], [1, 0]]).repeat(2000, 2, 2)
    instance = torch.arange(4).repeat_interleave(4).view(1, 4, 4).expand_as(label)
    share = {}
    for regions in ("instances", "boxes", "both"):
        keep = lab.model("selective_gan", regions=regions).prepare({"label": label, "image": label})["keep"]
        share[regions] = (keep == (label == keep[:, :1, :1].logical_not())).all((1, 2)).float().mean().item()
        keep = lab.model("selective_gan", regions=regions).prepare({"label": label, "instance": instance})["keep"]
        assert (keep.sum((1, 2)) == 4).all() == (regions == "instances"), "two of the eight pairs of class and instance"
    assert share["instances"] == 1
    assert share["boxes"] == 0
    assert 0.46 < share["both"] < 0.54


def test_regions_follow_from_the_random_state(lab: Lab) -> None:
    model, batch = lab.model("selective_gan"), lab.batch("train")
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(model.prepare(batch))
    assert torch.equal(drawn[0]["keep"], drawn[1]["keep"])
    assert not torch.equal(drawn[0]["keep"], drawn[2]["keep"])
    assert "keep" not in batch
    assert drawn[0]["image"] is batch["image"]


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
