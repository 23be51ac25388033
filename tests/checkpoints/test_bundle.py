"""Exports: what they hold, that they come back, and that nothing damaged or strange is taken."""

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import semcomp_pl
from semcomp_pl.checkpoints.bundle import read_bundle
from semcomp_pl.checkpoints.checkpoint import read_saved
from semcomp_pl.checkpoints.export import export
from semcomp_pl.checkpoints.loading import load_discriminator, load_segmenter
from semcomp_pl.errors import SemcompError
from semcomp_pl.nets.segmenter import Segmenter
from tests.lab import CODECS, CONFIGS, GANS, SEGMENTERS, Lab

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


def halved(value: Tensor) -> Tensor:
    """As half precision keeps matrices and kernels, and vectors and integers as they are."""
    return value.half().float() if value.is_floating_point() and value.ndim > 1 else value


@pytest.mark.parametrize("name", CONFIGS)
def test_weights_come_back_as_half_precision_rounds_them(
    checkpoints: dict[str, Path], name: str, tmp_path: Path
) -> None:
    before = read_saved(checkpoints[name])
    after = read_saved(export(str(checkpoints[name]), str(tmp_path / "bundle")))
    assert after.model == before.model
    assert before.state.keys() - after.state.keys() == {k for k in before.state if k.startswith("discriminator.")}
    assert all(torch.equal(value, halved(before.state[key])) for key, value in after.state.items())


@pytest.mark.parametrize("name", CODECS)
def test_checkpoints_and_exports_are_coded_with_the_same_weights(
    checkpoints: dict[str, Path], name: str, tmp_path: Path
) -> None:
    saved = read_saved(checkpoints[name])
    before = semcomp_pl.load(checkpoints[name])
    after = semcomp_pl.load(export(str(checkpoints[name]), str(tmp_path / "bundle")))
    for codec in (before, after):
        assert not codec.net.training
        assert not any(parameter.requires_grad for parameter in codec.net.parameters())
        assert all(torch.equal(value, halved(saved.state[key])) for key, value in codec.net.state_dict().items())
    assert after.net.bpp_bound(128, 256) == before.net.bpp_bound(128, 256)
    assert after.fingerprint == before.fingerprint


@pytest.mark.parametrize("name", SEGMENTERS)
def test_segmenters_come_back_with_their_fingerprint(
    lab: Lab, checkpoints: dict[str, Path], name: str, tmp_path: Path
) -> None:
    directory = export(str(checkpoints[name]), str(tmp_path / "bundle"))
    before, after = (load_segmenter(path) for path in (checkpoints[name], directory))
    assert isinstance(before, Segmenter)
    assert not before.training
    assert before.fingerprint() == after.fingerprint()
    assert lab.model(name).segmenter.fingerprint() != before.fingerprint()
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
            read_bundle(bundle)
    (bundle / file).write_bytes(whole)
    read_bundle(bundle)


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_named(bundle: Path, file: str) -> None:
    (bundle / file).unlink()
    with pytest.raises(SemcompError, match=rf"{file}: no such file"):
        read_bundle(bundle)


def test_an_empty_file_and_a_list_are_no_manifest(bundle: Path) -> None:
    for content, found in (("", "not JSON"), ("[]", "a list found, expected a JSON object")):
        (bundle / "manifest.json").write_text(content)
        with pytest.raises(SemcompError, match=rf"manifest\.json: {found}"):
            read_bundle(bundle)


@pytest.mark.parametrize("name", ["stranger.Codec", "os.system", "CodecModule", "CodecNet", "Module", ""])
def test_unknown_classes_are_refused_and_nothing_is_imported(
    bundle: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stranger.py").write_text("class Codec: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    semcomp_pl.load(bundle)
    rewrite(bundle, "config.json", model=name)
    before = set(sys.modules)
    for opened in (semcomp_pl.load, load_segmenter, load_discriminator):
        with pytest.raises(SemcompError, match=f"a model '{name}' found, expected one of RateDistortion, PlainGAN"):
            opened(bundle)
    assert set(sys.modules) == before
    assert "stranger" not in sys.modules


def test_arguments_of_strangers_build_nothing(bundle: Path) -> None:
    """What does not shape a network is not looked at."""
    before = semcomp_pl.load(bundle)
    arguments = json.loads((bundle / "config.json").read_text())["hyper_parameters"]
    rewrite(bundle, "config.json", hyper_parameters={**arguments, "_instantiator": "os.system", "encoder": "os.system"})
    assert semcomp_pl.load(bundle).fingerprint == before.fingerprint


@pytest.mark.parametrize("numbers", [{"filters": "many"}, {"filters": None}, {"norm": "batch"}, {"levels": 1}], ids=str)
def test_arguments_that_build_no_network_are_refused(bundle: Path, numbers: dict[str, Any]) -> None:
    arguments = json.loads((bundle / "config.json").read_text())["hyper_parameters"]
    rewrite(bundle, "config.json", hyper_parameters={**arguments, **numbers})
    with pytest.raises(SemcompError):
        semcomp_pl.load(bundle)


def test_other_formats_are_refused(bundle: Path) -> None:
    rewrite(bundle, "config.json", format=2)
    with pytest.raises(SemcompError, match="export format 2 found, expected 1; upgrade semcomp_pl"):
        read_bundle(bundle)


def test_nothing_is_overwritten(bundle: Path, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    contents = {file: (bundle / file).read_bytes() for file in FILES}
    for target in (bundle, bundle / "config.json"):
        with pytest.raises(SemcompError, match=f"{target}: holds files already, expected a new or empty directory"):
            export(str(checkpoints["rate_distortion"]), str(target))
    assert contents == {file: (bundle / file).read_bytes() for file in FILES}
    (tmp_path / "empty").mkdir()
    read_bundle(export(str(checkpoints["rate_distortion"]), str(tmp_path / "empty")))


@pytest.mark.parametrize("name", GANS)
def test_exports_are_warm_starts(lab: Lab, checkpoints: dict[str, Path], name: str, tmp_path: Path) -> None:
    directory = export(str(checkpoints["rate_distortion"]), str(tmp_path / "bundle"))
    model = lab.model(name, init_from=str(directory), learning_rate=0.0)
    lab.fit(model, limit_train_batches=1)
    exported = read_bundle(directory).state
    halves = {key: value for key, value in model.codec.state_dict().items() if key.startswith(("encoder", "generator"))}
    known = [key for key, value in halves.items() if key in exported and value.shape == exported[key].shape]
    assert len(known) > 0.5 * len(halves)
    assert all(torch.equal(halves[key], exported[key]) for key in known)
