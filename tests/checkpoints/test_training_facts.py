"""Facts of trainings: read in both forms, kept in exports, and refused where they are none."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from semcomp_pl.checkpoints.bundle import read_bundle, replace_tensors
from semcomp_pl.checkpoints.export import export
from semcomp_pl.checkpoints.loading import load
from semcomp_pl.checkpoints.training_facts import (
    TrainingData,
    TrainingFacts,
    WarmStart,
    as_json,
    of_whole,
    read_training,
    training_facts,
)
from semcomp_pl.errors import SemcompError
from tests.lab import Lab

OWN = TrainingFacts(
    "PlainGAN",
    steps=720,
    batch=32,
    size=(128, 256),
    images=23040,
    seconds=400.0,
    data=TrainingData("Folder", 367, "ab12"),
    warm_start=WarmStart("first", "RateDistortion", "cd34"),
    finished=True,
)
BY_HAND = {
    "name": "plain_gan_general",
    "class": "PlainGAN",
    "data": "general",
    "steps": 720,
    "batch": 32,
    "size": [128, 256],
    "wall_s": 400,
    "images": 23040,
    "gpu": "NVIDIA H200",
    "torch": "2.11.0",
    "log": [{"step": 200, "s": 26.0}],
}


@pytest.fixture(scope="module")
def checkpoint(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lab.checkpoint(lab.model("plain_gan"), tmp_path_factory.mktemp("checkpoint") / "x.ckpt")


@pytest.fixture
def beside(checkpoint: Path, tmp_path: Path) -> Path:
    """An export beside which facts were put by hand."""
    directory = export(str(checkpoint), str(tmp_path / "taken"))
    (tmp_path / "taken.training.json").write_text(json.dumps(BY_HAND))
    return directory


def test_facts_come_back_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text(as_json(OWN))
    assert read_training(tmp_path / "own.json") == OWN
    assert None not in json.loads((tmp_path / "own.json").read_text()).values()
    assert read_training(tmp_path / "none.json") is None


def test_facts_of_scripts_outside_the_suite_are_understood() -> None:
    found = training_facts(BY_HAND, "file")
    assert (found.model, found.steps, found.batch, found.images) == ("PlainGAN", 720, 32, 23040)
    assert (found.seconds, found.device, found.size) == (400, "NVIDIA H200", (128, 256))
    assert (found.data, found.versions) == (TrainingData("general"), {"torch": "2.11.0"})
    assert (found.seed, found.warm_start, found.finished) == (None, None, None)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"class": None}, "model: None found"),
        ({"steps": "many"}, "steps: 'many' found"),
        ({"steps": True}, "steps: True found"),
        ({"size": [128]}, r"size: \[128\] found"),
        ({"data": {"images": 3}}, "data: no source found"),
    ],
)
def test_what_are_no_facts_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(SemcompError, match=f"file: {said}, expected the facts of a training"):
        training_facts({**BY_HAND, **wrong}, "file")


@pytest.mark.parametrize(("text", "said"), [("{", "not JSON"), ("[]", "a list found")])
def test_files_that_hold_none_are_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "training.json").write_text(text)
    with pytest.raises(SemcompError, match=rf"training\.json: {said}"):
        read_training(tmp_path / "training.json")


def test_weights_kept_in_the_course_of_a_training_say_so() -> None:
    kept = TrainingFacts("PlainGAN", steps=600, images=19200)
    whole = of_whole(kept, OWN)
    assert whole is not None
    assert (whole.images, whole.kept_at) == (23040, 600)
    assert of_whole(OWN, OWN) == of_whole(None, OWN) == of_whole(OWN, None) == OWN


def test_an_export_takes_over_what_stands_beside_it(beside: Path, tmp_path: Path) -> None:
    expected = training_facts(BY_HAND, "file")
    assert load(beside).provenance() == {"training": expected.plain()}
    again = export(str(beside), str(tmp_path / "again"))
    manifest = json.loads((again / "manifest.json").read_text())
    assert manifest["training.json"] == hashlib.sha256((again / "training.json").read_bytes()).hexdigest()
    for file in ("model.safetensors", "config.json", "figures.json"):
        assert (again / file).read_bytes() == (beside / file).read_bytes()
    replace_tensors(again, tmp_path / "fitted", {})
    shutil.rmtree(beside)
    assert read_bundle(again).training == read_bundle(tmp_path / "fitted").training == expected
    (again / "training.json").write_text(as_json(OWN))
    with pytest.raises(SemcompError, match=r"training\.json: checksum differs from manifest\.json"):
        read_bundle(again)
    (again / "training.json").unlink()
    with pytest.raises(SemcompError, match=r"training\.json: no such file"):
        read_bundle(again)


def test_facts_may_be_put_into_an_export_by_hand(beside: Path) -> None:
    (beside / "training.json").write_text(as_json(OWN))
    assert read_bundle(beside).training == OWN


def test_models_without_facts_are_read_as_before(checkpoint: Path, tmp_path: Path) -> None:
    assert load(checkpoint).provenance() == load(export(str(checkpoint), str(tmp_path / "x"))).provenance() == {}
