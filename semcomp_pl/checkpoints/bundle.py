"""Exported models: directories of half-precision weights, plain JSON and checksums.

    model.safetensors   averaged weights: matrices and kernels in float16, vectors and statistics unchanged
    config.json         name of the class, its constructor arguments, versions
    figures.json        results of `semcomp test` for the run and what they were measured with, if it was tested
    training.json       what the training was, if that is known
    manifest.json       SHA-256 of the other files

File names are fixed and the class must be one of the suite's, so an export from an unknown source cannot name anything
to import, open or run. The discriminator and the entropy model of training are left out: coding needs neither.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from semcomp_pl.checkpoints.training_facts import FILE, TrainingFacts, as_json, read_training
from semcomp_pl.errors import SemcompError
from semcomp_pl.files.atomic import new_directory
from semcomp_pl.version import __version__

_FORMAT = 1
_FILES = ("config.json", "figures.json", "model.safetensors")
_OPTIONAL = (FILE,)
# paths on the training machine
_PATHS = ("init_from", "judge", "realism_judge", "segmenter", "encoder_weights", "embedder_weights", "latent_weights")


class Saved(NamedTuple):
    """A model on disk."""

    model: str
    """Name of its class."""
    hyper_parameters: dict[str, Any]
    """Its constructor arguments, as plain values."""
    state: dict[str, Tensor]
    """Its averaged weights: those of the plain network under the network's own names (`encoder.`, `generator.`, ...),
    and tensors needed for training only (`discriminator.`, `trained_against`, ...)."""
    training: TrainingFacts | None = None
    """What its training was; None if that is not known."""


def exported(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights as an export stores them: matrices and kernels in half precision, without what only training needs."""
    return {
        name: (value.half() if value.is_floating_point() and value.ndim > 1 else value).contiguous()
        for name, value in state.items()
        if not name.startswith(("discriminator.", "rate."))
    }


def rounded(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights in float32, rounded as an export rounds them, so that a checkpoint and its export are the same codec."""
    return {k: v.float() if v.is_floating_point() else v for k, v in exported(state).items()}


def trained_against(saved: Saved) -> bytes | None:
    """Fingerprint of the segmenter that a model was trained against, which may not judge it; None if there is none."""
    value = saved.state.get("trained_against")
    return None if value is None or not value.any() else bytes(value.tolist())


def write_bundle(saved: Saved, figures: dict[str, Any], directory: Path) -> None:
    """Write a model and its test results.

    Raises:
        SemcompError: the directory is not empty, or is a file.
    """
    if directory.exists() and not (directory.is_dir() and not any(directory.iterdir())):
        raise SemcompError(f"{directory}: holds files already, expected a new or empty directory; choose another")
    state = exported(saved.state)
    arguments = {name: None if name in _PATHS else value for name, value in saved.hyper_parameters.items()}
    config = {
        "format": _FORMAT,
        "model": saved.model,
        "hyper_parameters": arguments,
        "versions": {"semcomp_pl": __version__, "torch": torch.__version__},
    }
    directory.parent.mkdir(parents=True, exist_ok=True)
    training = {} if saved.training is None else {FILE: as_json(saved.training).encode()}
    _write(directory, {"config.json": _json(config), "figures.json": _json(figures), **training}, state)


def replace_tensors(directory: Path, target: Path, tensors: dict[str, Tensor]) -> None:
    """Add or replace tensors of an export, in place or in a copy.

    Raises:
        SemcompError: as for `read_bundle`.
    """
    read_bundle(directory)  # for its checks
    state = load_tensors(_read(directory / "model.safetensors")) | tensors
    others = ["config.json", "figures.json", *(name for name in _OPTIONAL if (directory / name).is_file())]
    _write(target, {name: _read(directory / name) for name in others}, state)


def _write(directory: Path, contents: dict[str, bytes], state: dict[str, Tensor]) -> None:
    contents = {**contents, "model.safetensors": save_tensors(state)}
    contents["manifest.json"] = _json({name: hashlib.sha256(c).hexdigest() for name, c in contents.items()})
    with new_directory(directory) as part:
        for name, content in contents.items():
            (part / name).write_bytes(content)


def exported_class(directory: Path) -> str:
    """Name of the class of an export, without a check of the other files.

    Raises:
        SemcompError: `config.json` is missing or no JSON object.
    """
    return str(_parse(directory / "config.json", _read(directory / "config.json")).get("model"))


def read_bundle(directory: Path) -> Saved:
    """The model in an exported directory.

    Raises:
        SemcompError: a file is missing or differs from its checksum, or this version does not know the format or the
            model.
    """
    manifest = _parse(directory / "manifest.json", _read(directory / "manifest.json"))
    contents = {name: _read(directory / name) for name in (*_FILES, *(name for name in _OPTIONAL if name in manifest))}
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != manifest.get(name):
            raise SemcompError(f"{directory / name}: checksum differs from manifest.json; fetch the export again")
    config = _parse(directory / "config.json", contents["config.json"])
    if config.get("format") != _FORMAT:
        raise SemcompError(
            f"{directory}: export format {config.get('format')} found, expected {_FORMAT}; upgrade semcomp_pl"
        )
    state = rounded(load_tensors(contents["model.safetensors"]))
    beside = directory.with_name(f"{directory.name}.{FILE}")  # put there by hand
    training = read_training(directory / FILE, contents.get(FILE)) or read_training(beside)
    return Saved(config["model"], config["hyper_parameters"], state, training)


def figures_of(directory: Path) -> dict[str, Any]:
    """The test results in an exported directory.

    Raises:
        SemcompError: they are missing or no JSON object.
    """
    return _parse(directory / "figures.json", _read(directory / "figures.json"))


def _read(file: Path) -> bytes:
    if not file.is_file():
        raise SemcompError(f"{file}: no such file; expected the directory of an export with {', '.join(_FILES)}")
    return file.read_bytes()


def _parse(file: Path, content: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(content)
    except ValueError as error:
        raise SemcompError(f"{file}: not JSON ({error}); fetch the export again") from None
    if not isinstance(parsed, dict):
        raise SemcompError(f"{file}: a {type(parsed).__name__} found, expected a JSON object; fetch the export again")
    return parsed


def _json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()
