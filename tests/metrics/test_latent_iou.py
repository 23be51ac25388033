"""Latent IoU counts symbols by level, over the data set and by channel."""

import numpy as np
import pytest
import torch

from semcomp_pl.errors import SemcompError
from semcomp_pl.metrics import LatentIoU
from semcomp_pl.metrics.latent_iou import latent_iou

LEVELS = 4


def symbols() -> tuple[torch.Tensor, torch.Tensor]:
    """Of five images, three channels; channel 1 has no symbol 3, channel 2 agrees everywhere."""
    generator = torch.Generator().manual_seed(0)
    reference = torch.randint(0, LEVELS, (5, 3, 4, 6), generator=generator)
    found = torch.where(torch.rand(reference.shape, generator=generator) < 0.6, reference, reference.flip(3))
    for values in (found, reference):
        values[:, 1].clamp_(max=2)
    found[:, 2] = reference[:, 2]
    return found, reference


def expected(found: torch.Tensor, reference: torch.Tensor) -> float:
    """Mean over levels of the overlap of the sets of places where they stand."""
    scores = []
    for level in range(LEVELS):
        a, b = ({i for i, value in enumerate(x.flatten().tolist()) if value == level} for x in (found, reference))
        scores += [len(a & b) / len(a | b)] if a | b else []
    return float(np.mean(scores))


@pytest.mark.parametrize("size", [1, 2, 5])
def test_equals_sets_of_places(size: int) -> None:
    found, reference = symbols()
    metric = LatentIoU(3, LEVELS)
    for a, b in zip(torch.split(found, size), torch.split(reference, size), strict=True):
        metric.update(a, b)
    values = {key: value.item() for key, value in metric.compute().items()}
    channels = [expected(found[:, c], reference[:, c]) for c in range(3)]
    assert values["latent_iou"] == pytest.approx(expected(found, reference), abs=1e-12)
    np.testing.assert_allclose([values[f"latent_iou_{c}"] for c in range(3)], channels, atol=1e-12)
    assert channels[2] == 1.0
    assert latent_iou(found, reference, LEVELS).item() == pytest.approx(values["latent_iou"], abs=1e-12)


def test_other_shapes_and_levels_are_refused() -> None:
    found, reference = symbols()
    with pytest.raises(SemcompError, match=r"\(5, 3, 4, 6\) and \(5, 3, 4, 5\)"):
        latent_iou(found, reference[..., :5], LEVELS)
    with pytest.raises(SemcompError, match=r"0\.\.3 found, expected 0\.\.2"):
        latent_iou(found, reference, 3)
