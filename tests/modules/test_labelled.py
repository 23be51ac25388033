"""Label maps as networks see them, and where a conditional model takes its own from."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from semcomp_pl.errors import SemcompError
from semcomp_pl.modules import ConditionalGAN, Segmentation
from semcomp_pl.nets.labels import majority, one_hot
from tests.modules.conftest import CLASSES, Lab, reconstruct

K = len(CLASSES)


def random_labels(height: int, width: int) -> Tensor:
    return torch.tensor(np.random.default_rng(0).choice([*range(K), 255], (2, height, width)))


def test_one_hot_and_ignored_pixels_are_all_zero() -> None:
    label = random_labels(6, 8)
    hot = one_hot(label, K)
    assert hot.dtype == torch.float32
    assert np.array_equal(hot.numpy(), np.stack([label.numpy() == k for k in range(K)], 1))
    assert not hot.sum(1)[label == 255].any()


@pytest.mark.parametrize("step", [1, 2, 4, 16])
def test_majority_against_numpy(step: int) -> None:
    label = random_labels(32, 48)
    ids = label.numpy()
    expected = np.zeros((2, 32 // step, 48 // step), int)
    for b, i, j in np.ndindex(expected.shape):
        cell = ids[b, i * step : (i + 1) * step, j * step : (j + 1) * step]
        values, counts = np.unique(cell, return_counts=True)  # sorted: the smallest of equally common ids wins
        expected[b, i, j] = values[counts.argmax()]
    assert np.array_equal(majority(label, K, step).numpy(), expected)


@pytest.mark.parametrize("name", ["semantic_discriminator_gan", "conditional_gan"])
def test_labels_are_needed(lab: Lab, name: str) -> None:
    model, batch = lab.model(name), lab.batch()
    del batch["label"]
    with pytest.raises(SemcompError, match=f"{type(model).__name__} needs label maps, the data have none"):
        model.condition(batch)
    with pytest.raises(SemcompError, match="needs label maps, the data have none"):
        lab.trainer().fit(model, datamodule=lab.data(labels=False))


def test_only_conditional_models_transmit_labels(lab: Lab) -> None:
    batch = lab.batch()
    other: Any = {**batch, "label": (batch["label"] + 1) % K}
    for name, depends in (("semantic_discriminator_gan", False), ("conditional_gan", True)):
        model = lab.model(name)
        assert torch.equal(reconstruct(model, batch), reconstruct(model, other)) is not depends


@pytest.mark.parametrize(("height", "width", "cells"), [(128, 256, 128), (130, 258, 153), (1, 1, 1)])
def test_transmitted_labels_count(lab: Lab, height: int, width: int, cells: int) -> None:
    model, plain = lab.model("conditional_gan"), lab.model("plain_gan")
    extra = model.bpp_bound(height, width) - plain.bpp_bound(height, width)
    assert math.isclose(extra * height * width, cells * math.log2(K + 1), rel_tol=1e-9)


def test_without_segmenter_labels_are_an_oracle_and_with_one_they_are_its_own(lab: Lab) -> None:
    oracle: ConditionalGAN = lab.model("conditional_gan")
    served: ConditionalGAN = lab.model("conditional_gan", segmenter=lab.segmenter)
    lab.trainer().validate(served, datamodule=lab.data(), verbose=False)
    batch = lab.batch()
    seen = Segmentation.from_file(lab.segmenter).predict(batch["image"])
    assert (seen != batch["label"]).any()
    unlabelled: Any = {kind: value for kind, value in batch.items() if kind != "label"}
    relabelled: Any = {**batch, "label": seen}
    assert torch.equal(reconstruct(served, unlabelled), reconstruct(oracle, relabelled))
    assert not torch.equal(reconstruct(served, batch), reconstruct(oracle, batch))
    with pytest.raises(SemcompError, match="needs label maps"):
        oracle.evaluate(unlabelled)
