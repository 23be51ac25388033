"""The models that the documents quote."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import semcomp_pl
from semcomp_pl.checkpoints.bundle import read_bundle
from semcomp_pl.checkpoints.models import SEGMENTATION, fingerprint_of
from semcomp_pl.files.images import read_image

WEIGHTS = Path(__file__).parents[1] / "weights"
EXPORTS = {file.parent.name: file.parent for file in sorted(WEIGHTS.glob("*/manifest.json"))}
MODELS = {name: read_bundle(path).model for name, path in EXPORTS.items()}
SEGMENTERS = [name for name, model in MODELS.items() if model == SEGMENTATION]
CODECS = [name for name in EXPORTS if name not in SEGMENTERS]
IDS: dict[str, str] = json.loads((Path(__file__).parent / "golden" / "ids.json").read_text())
"""Fingerprints, in hexadecimal: files name a codec by them, and codecs the segmenters that taught them."""


def size(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())


def test_they_stay_small() -> None:
    assert max(map(size, EXPORTS.values())) <= 12_000_000
    assert size(WEIGHTS) <= 80_000_000


def test_each_has_an_id() -> None:
    assert IDS.keys() == EXPORTS.keys()


@pytest.mark.parametrize("name", CODECS)
def test_codecs_keep_their_ids_and_code(name: str, request: pytest.FixtureRequest) -> None:
    codec = semcomp_pl.load(EXPORTS[name])
    assert codec.fingerprint.hex() == fingerprint_of(read_bundle(EXPORTS[name])).hex() == IDS[name]
    assert codec.num_classes == {"coclico": 7}.get(name, 11)
    assert codec.net.entropy.fitted
    if name == "coclico":
        codec = semcomp_pl.load(EXPORTS[name], options={"latent_weights": request.getfixturevalue("taef2")})
    image = torch.full((3, 64, 96), 0.4)
    data = codec.compress(image, torch.zeros(64, 96, dtype=torch.long))
    assert (codec.decompress(data) - image).abs().mean() < 0.1


@pytest.mark.parametrize("name", SEGMENTERS)
def test_segmenters_keep_their_ids_and_predict(name: str) -> None:
    segmenter = semcomp_pl.load_segmenter(EXPORTS[name])
    assert segmenter.fingerprint().hex() == IDS[name]
    assert segmenter.num_classes == {"streets": 19, "idd": 7}.get(name.partition("_")[0], 11)
    assert segmenter.predict(torch.full((1, 3, 64, 96), 0.4)).shape == (1, 64, 96)


def test_who_was_taught_by_a_released_segmenter_remembers_it() -> None:
    taught = {name: [*semcomp_pl.load(EXPORTS[name]).segmenters] for name in CODECS}
    assert {name for name, rivals in taught.items() if rivals} == {"semantic_distortion_gan"}
    assert taught["semantic_distortion_gan"] == [IDS["pspnet"]]


@pytest.mark.parametrize(
    ("data", "size", "most"), [("comma10k_sample/imgs", (256, 128), 60), ("kodak", (768, 512), 196)]
)
def test_a_file_of_meaning_is_some_tens_of_bytes(
    real_data: Callable[[str], Path], data: str, size: tuple[int, int], most: int
) -> None:
    """At most 60 bytes at 256x128, and 0.004 bpp at 768x512."""
    codec = semcomp_pl.load(EXPORTS["coclico"])
    for file in sorted(real_data(data).iterdir())[:8]:
        pixels = np.array(read_image(file).resize(size, Image.Resampling.LANCZOS))
        assert len(codec.compress(torch.from_numpy(pixels).permute(2, 0, 1) / 255)) <= most
