"""What every codec is, before any training: sizes, rates, statistics, and that it can learn at all."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from PIL import Image
from torch import Tensor

from semcomp_pl.modules import RateDistortion
from tests.modules.conftest import CLASSES, CODECS, Lab

SIZES = [(7, 13), (1, 1), (130, 258), (32, 64)]
VARIANTS: list[dict[str, Any]] = [
    {},
    {"norm": "instance", "downsamplings": 2},
    {"trunk": "paper", "downsamplings": 1},
    {"trunk": "paper", "filters": 2},
    {"trunk": "paper", "norm": "instance", "upsampling": "transposed", "filters": 2},
]


def random_batch(height: int, width: int) -> Any:
    torch.manual_seed(0)
    return {"image": torch.rand(2, 3, height, width), "label": torch.randint(len(CLASSES), (2, height, width))}


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("size", SIZES)
def test_f12_any_size_comes_back(lab: Lab, name: str, size: tuple[int, int]) -> None:
    model = lab.model(name).eval()
    out = model.evaluate(random_batch(*size))
    cells = tuple(max(model.least_cells, math.ceil(side / 16)) for side in size)
    channels, levels = (3, 256) if name == "layered_codec" else (8, 5)
    assert out.reconstruction.shape == (2, 3, *size)
    assert out.latent.shape == out.symbols.shape == (2, channels, *cells)
    assert out.symbols.dtype == torch.long
    assert 0 <= out.symbols.min() <= out.symbols.max() < levels
    assert 0 <= out.reconstruction.min() <= out.reconstruction.max() <= 1


@pytest.mark.parametrize("options", VARIANTS, ids=str)
@pytest.mark.parametrize("size", SIZES)
def test_f12_any_size_and_trunk_agree_with_the_bound(lab: Lab, options: dict[str, Any], size: tuple[int, int]) -> None:
    model = lab.model("rate_distortion", **options).eval()
    out = model.evaluate(random_batch(*size))
    assert out.reconstruction.shape == (2, 3, *size)
    bits = out.symbols[0].numel() * math.log2(5)
    assert math.isclose(model.bpp_bound(*size) * math.prod(size), bits, rel_tol=1e-9)


def test_padding_is_cut_off_and_changes_no_kept_latent(lab: Lab) -> None:
    """An image of whole cells is coded as it is: extending it by its own border gives the same."""
    model, batch = lab.model("rate_distortion").eval(), random_batch(30, 61)
    padded = torch.cat([batch["image"], batch["image"][..., -1:].expand(-1, -1, -1, 3)], -1)
    padded = torch.cat([padded, padded[:, :, -1:].expand(-1, -1, 2, -1)], 2)
    whole: Tensor = model.evaluate({"image": padded}).reconstruction
    assert torch.equal(model.evaluate(batch).reconstruction, whole[..., :30, :61])


def test_bound_of_the_study() -> None:
    model = RateDistortion(filters=4, blocks=0, channels=8, levels=5, downsamplings=4)
    assert math.isclose(model.bpp_bound(128, 256), 8 * 16 * 8 * math.log2(5) / (128 * 256), rel_tol=1e-12)
    assert round(model.bpp_bound(128, 256), 4) == 0.0726


@pytest.mark.parametrize(("channels", "levels", "downsamplings"), [(1, 2, 2), (4, 3, 3), (8, 8, 4)])
def test_bound_rounds_cells_up(channels: int, levels: int, downsamplings: int) -> None:
    model = RateDistortion(filters=4, blocks=0, channels=channels, levels=levels, downsamplings=downsamplings)
    step = 2**downsamplings
    height, width = 3 * step + 1, 5 * step - 1
    expected = 4 * 5 * channels * math.log2(levels) / (height * width)
    assert math.isclose(model.bpp_bound(height, width), expected, rel_tol=1e-12)


def test_statistics_are_the_training_splits(lab: Lab) -> None:
    model = lab.model("rate_distortion")
    lab.fit(model, limit_train_batches=1)
    pixels = np.stack([np.asarray(Image.open(file)) for file in sorted((lab.root / "train").glob("*.png"))]) / 255
    torch.testing.assert_close(model.mean.double(), torch.tensor(pixels.mean((0, 1, 2))), rtol=0, atol=1e-6)
    torch.testing.assert_close(model.std.double(), torch.tensor(pixels.std((0, 1, 2))), rtol=0, atol=1e-6)


class Losses(Callback):
    """The distortion of every step."""

    def __init__(self) -> None:
        self.found: list[float] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.found.append(float(trainer.callback_metrics["train/distortion"]))


def test_one_image_can_be_learnt(lab: Lab, tmp_path: Path) -> None:
    ramp = np.linspace(0, 1, 64)[None, :, None] * np.linspace(0, 1, 32)[:, None, None] * [255, 180, 90]
    for split in ("train", "val"):
        for i in range(4):
            for directory, pixels in ((split, ramp), (f"{split}annot", np.zeros((32, 64)))):
                (tmp_path / directory).mkdir(exist_ok=True)
                Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / directory / f"{i}.png")
    losses = Losses()
    model = lab.model("rate_distortion", filters=16, learning_rate=3e-3)
    Lab(tmp_path).fit(model, 60, [losses], limit_val_batches=0)
    assert len(losses.found) == 60
    assert losses.found[-1] < losses.found[0] / 10
