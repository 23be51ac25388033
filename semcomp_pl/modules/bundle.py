"""Exported models: a directory of half-precision weights, plain JSON and checksums.

    model.safetensors   averaged weights: matrices and kernels in float16, vectors and statistics as they are
    config.json         name of the class, its constructor arguments, versions
    figures.json        what `semcomp test` measured for the run, where it did
    manifest.json       SHA-256 of the other files

The file names are fixed and the class must be one of the suite's, so a stranger's bundle names nothing to import,
open or run. The discriminator stays behind: coding does not need it.
"""

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from semcomp_pl import __version__
from semcomp_pl.errors import SemcompError
from semcomp_pl.modules.checkpoint import Saved, read_checkpoint
from semcomp_pl.paths import run_of_checkpoint

_FORMAT = 1
_FILES = ("config.json", "figures.json", "model.safetensors")
_PATHS = ("init_from", "judge", "segmenter", "encoder_weights")  # files of the machine that trained


def export(checkpoint: str, directory: str) -> Path:
    """Write a checkpoint as a bundle; returns its directory.

    Raises:
        SemcompError: unreadable checkpoint, or the directory holds something already.
    """
    saved, target = read_checkpoint(checkpoint), Path(directory)
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise SemcompError(f"{target}: holds files already, expected a new or empty directory; choose another")
    state = {
        name: (value.half() if value.is_floating_point() and value.ndim > 1 else value).contiguous()
        for name, value in saved.state.items()
        if not name.startswith("discriminator.")
    }
    arguments = {name: None if name in _PATHS else value for name, value in saved.hyper_parameters.items()}
    config = {
        "format": _FORMAT,
        "model": saved.model,
        "hyper_parameters": arguments,
        "versions": {"semcomp_pl": __version__, "torch": torch.__version__},
    }
    contents = {
        "config.json": _json(config),
        "figures.json": _json(_figures(checkpoint)),
        "model.safetensors": save_tensors(state),
    }
    target.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (target / name).write_bytes(content)
    manifest = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    (target / "manifest.json").write_bytes(_json(manifest))
    return target


def read_bundle(directory: Path) -> Saved:
    """The model in an exported directory.

    Raises:
        SemcompError: a file is missing or differs from its checksum, or another format or model than this
            version knows.
    """
    manifest = _parse(directory / "manifest.json", _read(directory / "manifest.json"))
    contents = {name: _read(directory / name) for name in _FILES}
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != manifest.get(name):
            raise SemcompError(f"{directory / name}: checksum differs from manifest.json; fetch the export again")
    config = _parse(directory / "config.json", contents["config.json"])
    if config.get("format") != _FORMAT:
        raise SemcompError(
            f"{directory}: export format {config.get('format')} found, expected {_FORMAT}; upgrade semcomp_pl"
        )
    state = {
        name: value.float() if value.is_floating_point() else value
        for name, value in load_tensors(contents["model.safetensors"]).items()
    }
    return Saved(config["model"], config["hyper_parameters"], state)


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


def _figures(checkpoint: str) -> dict[str, float]:
    """What `semcomp test` measured for the run that the checkpoint belongs to."""
    run = run_of_checkpoint(checkpoint)
    file = None if run is None else run / "test" / "metrics.csv"
    if file is None or not file.is_file():
        return {}
    with file.open(newline="") as lines:
        *_, last = csv.DictReader(lines)
    return {name: float(value) for name, value in last.items() if name.startswith("test/") and value}
