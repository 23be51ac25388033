"""Means of each source's images do not depend on batches; tests/metrics/test_suite.py has processes."""

import torch

from semcomp_pl.metrics.part_mean import PartMean

NAMES = ["a/0", "b/0", "a/1", "b/1", "b/2", "a/2/x"]
VALUES = torch.arange(24, dtype=torch.float64).view(6, 2, 2) ** 2


def test_means_of_batches() -> None:
    metric = PartMean(["b", "a", "none"], (2, 2))
    for start in (0, 1, 4):
        end = {0: 1, 1: 4, 4: 6}[start]
        metric.update(NAMES[start:end], VALUES[start:end])
    found = metric.compute()
    assert found.keys() == {"a", "b"}
    torch.testing.assert_close(found["a"], VALUES[[0, 2, 5]].mean(0), rtol=0, atol=1e-12)
    torch.testing.assert_close(found["b"], VALUES[[1, 3, 4]].mean(0), rtol=0, atol=1e-12)
