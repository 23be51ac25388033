"""The models that the documents quote."""

from pathlib import Path

import pytest
import torch

from semcomp_pl.checkpoints.loading import load
from semcomp_pl.modules.base import CodecModule

WEIGHTS = Path(__file__).parents[1] / "weights"
EXPORTS = sorted(file.parent for file in WEIGHTS.glob("*/manifest.json"))


def size(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())


def test_they_stay_small() -> None:
    assert EXPORTS
    assert max(map(size, EXPORTS)) <= 12_000_000
    assert size(WEIGHTS) <= 112_000_000


@pytest.mark.parametrize("export", EXPORTS, ids=lambda path: path.name)
def test_they_load_and_run(export: Path) -> None:
    model = load(export)
    assert model.num_classes == (19 if export.name.startswith("streets_") else 11)
    image = torch.full((1, 3, 64, 96), 0.4)
    if isinstance(model, CodecModule):
        out = model.evaluate({"image": image, "label": torch.zeros(1, 64, 96, dtype=torch.long)})
        assert (out.reconstruction - image).abs().mean() < 0.1
    else:
        assert model.predict(image).shape == (1, 64, 96)
