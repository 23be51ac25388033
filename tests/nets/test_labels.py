"""Label maps as networks see them."""

import numpy as np
import pytest
import torch
from torch import Tensor

from semcomp_pl.nets.labels import boundaries, majority, one_hot

K = 4


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


def test_boundaries_are_pixels_with_another_neighbour() -> None:
    ids = random_labels(9, 7).numpy()
    expected = np.zeros(ids.shape, bool)
    for b, i, j in np.ndindex(ids.shape):
        around = ids[b, max(i - 1, 0) : i + 2, j].tolist() + ids[b, i, max(j - 1, 0) : j + 2].tolist()
        expected[b, i, j] = len(set(around)) > 1
    np.testing.assert_array_equal(boundaries(torch.tensor(ids)).numpy(), expected)
    assert not boundaries(torch.full((1, 5, 7), 3)).any()
