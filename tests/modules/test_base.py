"""What every trained codec shares: statistics of the data, files in the test stage, and that it can learn at all."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import semcomp_pl
from semcomp_pl.coding.content import Rates
from tests.lab import CODECS, Distortions, Lab, spread


def test_statistics_are_the_training_splits(lab: Lab) -> None:
    model = lab.model("rate_distortion")
    lab.fit(model, limit_train_batches=1)
    pixels = np.stack([np.asarray(Image.open(file)) for file in sorted((lab.root / "train").glob("*.png"))]) / 255
    torch.testing.assert_close(model.codec.mean.double(), torch.tensor(pixels.mean((0, 1, 2))), rtol=0, atol=1e-6)
    torch.testing.assert_close(model.codec.std.double(), torch.tensor(pixels.std((0, 1, 2))), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", CODECS)
def test_the_test_stage_measures_files(lab: Lab, fitted: dict[str, Path], name: str) -> None:
    kind = type(lab.model(name))
    model = kind.load_from_checkpoint(fitted[name], weights_only=True)
    (figures,) = lab.trainer().test(model, datamodule=lab.data(), verbose=False)
    bpp = {field: figures[f"test/{field}"] for field in Rates._fields}
    assert bpp["bpp_ideal"] <= bpp["bpp_payload"] < bpp["bpp"]
    codec = semcomp_pl.load(fitted[name])
    sizes = []
    for batch in lab.batches():
        files = codec.compress_batch(batch["image"], batch["label"] if codec.sends_labels else None)
        sizes += [8 * len(file) / (32 * 64) for file in files]
    assert bpp["bpp"] == pytest.approx(np.mean(sizes))


@pytest.mark.parametrize("name", CODECS)
def test_the_codec_of_a_model_is_that_of_its_checkpoint(lab: Lab, fitted: dict[str, Path], name: str) -> None:
    model = type(lab.model(name)).load_from_checkpoint(fitted[name], weights_only=True)
    ours, theirs = model.neural_codec(), semcomp_pl.load(fitted[name])
    assert (ours.fingerprint, ours.name, ours.point) == (theirs.fingerprint, theirs.name, theirs.point)
    assert [*ours.segmenters] == [*theirs.segmenters]


def test_the_codec_of_a_model_is_made_anew_after_training(lab: Lab) -> None:
    model = lab.model("rate_distortion")
    spread(model.codec)
    before = model.neural_codec()
    assert model.neural_codec() is before
    image = lab.batch()["image"][0]
    data = before.compress(image)
    lab.fit(model)
    assert model.neural_codec().fingerprint != before.fingerprint
    assert before.compress(image) == data, "a snapshot does not move with the weights"


def test_one_image_can_be_learnt(lab: Lab, tmp_path: Path) -> None:
    ramp = np.linspace(0, 1, 64)[None, :, None] * np.linspace(0, 1, 32)[:, None, None] * [255, 180, 90]
    mask = np.tile(np.arange(64) // 16, (32, 1))
    for split in ("train", "val"):
        for i in range(4):
            for directory, pixels in ((split, ramp), (f"{split}annot", mask)):
                (tmp_path / directory).mkdir(exist_ok=True)
                Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / directory / f"{i}.png")
    losses = Distortions()
    model = lab.model("rate_distortion", filters=16, learning_rate=3e-3)
    Lab(tmp_path).fit(model, 60, [losses], limit_val_batches=0)
    assert len(losses.found) == 60
    assert losses.found[-1] < losses.found[0] / 10
