"""Exports: what they hold, that they come back, and that nothing damaged or strange is taken."""

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from semcomp_pl.errors import SemcompError
from semcomp_pl.modules import Segmentation
from semcomp_pl.checkpoints.export import export
from semcomp_pl.checkpoints.loading import load
from tests.modules.conftest import CODECS, CONFIGS, GANS, Lab, reconstruct

FILES = ["config.json", "figures.json", "manifest.json", "model.safetensors"]


@pytest.fixture(scope="module")
def checkpoints(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One of every model."""
    root = tmp_path_factory.mktemp("checkpoints")
    return {name: lab.checkpoint(lab.model(name), root / f"{name}.ckpt") for name in CONFIGS}


@pytest.fixture
def bundle(checkpoints: dict[str, Path], tmp_path: Path) -> Path:
    return export(str(checkpoints["plain_gan"]), str(tmp_path / "bundle"))


def rewrite(bundle: Path, file: str, **changes: Any) -> None:
    """Change entries of a JSON file and its checksum, as a stranger could."""
    content = json.dumps({**json.loads((bundle / file).read_text()), **changes}).encode()
    (bundle / file).write_bytes(content)
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest[file] = hashlib.sha256(content).hexdigest()
    (bundle / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("name", CONFIGS)
def test_weights_come_back_as_half_precision_rounds_them(
    checkpoints: dict[str, Path], name: str, tmp_path: Path
) -> None:
    original = load(checkpoints[name]).state_dict()
    model = load(export(str(checkpoints[name]), str(tmp_path / "bundle")))
    for key, value in model.state_dict().items():
        if key.startswith("discriminator."):
            continue
        kernel = value.is_floating_point() and value.ndim > 1
        assert torch.equal(value, original[key].half().float() if kernel else original[key])
    assert not model.training


@pytest.mark.parametrize("name", CODECS)
def test_reconstructions_and_rates_come_back(lab: Lab, checkpoints: dict[str, Path], name: str, tmp_path: Path) -> None:
    before: Any = load(checkpoints[name])
    after: Any = load(export(str(checkpoints[name]), str(tmp_path / "bundle")))
    difference = (reconstruct(after, lab.batch()) - reconstruct(before, lab.batch())).abs()
    assert difference.mean() < 2e-3
    assert after.bpp_bound(128, 256) == before.bpp_bound(128, 256)


def test_segmenters_come_back_with_their_fingerprint(lab: Lab, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    directory = export(str(checkpoints["pspnet"]), str(tmp_path / "bundle"))
    before, after = (Segmentation.from_file(str(path)) for path in (checkpoints["pspnet"], directory))
    assert len(before.fingerprint()) == 8
    assert before.fingerprint() == after.fingerprint()
    assert lab.model("pspnet").fingerprint() != before.fingerprint()
    image = lab.batch()["image"]
    assert (before.predict(image) == after.predict(image)).float().mean() > 0.98
    assert torch.equal(before.input_size, after.input_size)
    assert after.input_size.tolist() == [32, 64]


@pytest.mark.parametrize("name", CONFIGS)
def test_files_are_plain_and_small(checkpoints: dict[str, Path], name: str, tmp_path: Path) -> None:
    directory = export(str(checkpoints[name]), str(tmp_path / "bundle"))
    assert sorted(file.name for file in directory.iterdir()) == FILES
    manifest = json.loads((directory / "manifest.json").read_text())
    assert manifest == {
        file: hashlib.sha256((directory / file).read_bytes()).hexdigest() for file in FILES if file != "manifest.json"
    }
    config = json.loads((directory / "config.json").read_text())
    content = torch.load(checkpoints[name], weights_only=True)
    assert config["model"] == content["model"]
    assert config["hyper_parameters"].keys() == content["hyper_parameters"].keys()
    assert config["hyper_parameters"].get("segmenter") is None  # a path of the machine that trained
    sent = [value for key, value in content["state_dict"].items() if not key.startswith("discriminator.")]
    sizes = [(v.ndim > 1 and v.is_floating_point(), v.numel() * v.element_size()) for v in sent]
    kernels, rest = ([size for halved, size in sizes if halved is wide] for wide in (True, False))
    overhead = 200 * len(sent)  # names and offsets
    assert (directory / "model.safetensors").stat().st_size <= sum(kernels) / 2 + sum(rest) + overhead


def test_figures_are_what_the_runs_test_measured(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "test").mkdir()
    (run / "config.yaml").touch()
    shutil.copy(checkpoints["plain_gan"], run / "checkpoints" / "best.ckpt")
    (run / "test" / "metrics.csv").write_text("epoch,step,test/psnr,test/bpp_bound\n0,0,20.5,0.25\n")
    directory = export(str(run / "checkpoints" / "best.ckpt"), str(tmp_path / "bundle"))
    assert json.loads((directory / "figures.json").read_text()) == {"test/psnr": 20.5, "test/bpp_bound": 0.25}
    untested = export(str(checkpoints["plain_gan"]), str(tmp_path / "untested"))
    assert json.loads((untested / "figures.json").read_text()) == {}


@pytest.mark.parametrize("file", FILES)
def test_a_flipped_bit_is_found_and_its_file_named(bundle: Path, file: str) -> None:
    whole = (bundle / file).read_bytes()
    for k in range(24):
        position, bit = (len(whole) - 1) * k // 23, k % 8
        damaged = bytearray(whole)
        damaged[position] ^= 1 << bit
        (bundle / file).write_bytes(damaged)
        with pytest.raises(SemcompError, match=file.replace(".", r"\.")):
            load(bundle)
    (bundle / file).write_bytes(whole)
    load(bundle)


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_named(bundle: Path, file: str) -> None:
    (bundle / file).unlink()
    with pytest.raises(SemcompError, match=rf"{file}: no such file"):
        load(bundle)


def test_an_empty_file_and_a_list_are_no_manifest(bundle: Path) -> None:
    for content, found in (("", "not JSON"), ("[]", "a list found, expected a JSON object")):
        (bundle / "manifest.json").write_text(content)
        with pytest.raises(SemcompError, match=rf"manifest\.json: {found}"):
            load(bundle)


@pytest.mark.parametrize("name", ["stranger.Codec", "os.system", "CodecModule", "Module", ""])
def test_unknown_classes_are_refused_and_nothing_is_imported(
    bundle: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stranger.py").write_text("class Codec: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    load(bundle)
    rewrite(bundle, "config.json", model=name)
    before = set(sys.modules)
    with pytest.raises(SemcompError, match=f"a model '{name}' found, expected one of RateDistortion, PlainGAN"):
        load(bundle)
    assert set(sys.modules) == before
    assert "stranger" not in sys.modules


def test_unknown_arguments_are_refused(bundle: Path) -> None:
    arguments = json.loads((bundle / "config.json").read_text())["hyper_parameters"]
    rewrite(bundle, "config.json", hyper_parameters={**arguments, "_instantiator": "os.system"})
    with pytest.raises(SemcompError, match="'_instantiator'; it is of another version of PlainGAN"):
        load(bundle)


def test_other_formats_are_refused(bundle: Path) -> None:
    rewrite(bundle, "config.json", format=2)
    with pytest.raises(SemcompError, match="export format 2 found, expected 1; upgrade semcomp_pl"):
        load(bundle)


def test_nothing_is_overwritten(bundle: Path, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    contents = {file: (bundle / file).read_bytes() for file in FILES}
    for target in (bundle, bundle / "config.json"):
        with pytest.raises(SemcompError, match=f"{target}: holds files already, expected a new or empty directory"):
            export(str(checkpoints["rate_distortion"]), str(target))
    assert contents == {file: (bundle / file).read_bytes() for file in FILES}
    (tmp_path / "empty").mkdir()
    load(export(str(checkpoints["rate_distortion"]), str(tmp_path / "empty")))


@pytest.mark.parametrize("name", GANS)
def test_exports_are_warm_starts(lab: Lab, checkpoints: dict[str, Path], name: str, tmp_path: Path) -> None:
    directory = export(str(checkpoints["rate_distortion"]), str(tmp_path / "bundle"))
    model = lab.model(name, init_from=str(directory), learning_rate=0.0)
    lab.fit(model, limit_train_batches=1)
    exported = load(directory).state_dict()
    for key, value in model.state_dict().items():
        if key in exported and value.shape == exported[key].shape:
            assert torch.equal(value, exported[key])
