"""Reading of checkpoints, without executing anything in them."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from semcomp_pl.checkpoints.bundle import Saved, read_bundle
from semcomp_pl.checkpoints.models import check_own
from semcomp_pl.checkpoints.training_facts import FILE, TrainingFacts, of_whole, read_training, training_facts
from semcomp_pl.errors import SemcompError
from semcomp_pl.files.places import run_of_checkpoint

PARTS = ("codec", "segmenter")
"""Attribute names under which modules hold the plain network that they train."""
RECORD = "TrainingRecord"
"""Name under which checkpoints hold the facts of the training."""


def read_checkpoint(path: str | Path) -> Saved:
    """The model in a Lightning checkpoint of the suite.

    Raises:
        SemcompError: the file does not exist, is no checkpoint, is damaged, or was not written by this suite.
    """
    path = Path(path)
    if not path.is_file():
        raise SemcompError(f"{path}: no such checkpoint; expected a .ckpt file or the directory of an export")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, ValueError) as error:
        reason = (str(error) or "no content").splitlines()[0][:120]
        raise SemcompError(f"{path}: not a readable checkpoint ({reason}); it may be truncated or damaged") from None
    if not isinstance(content, dict) or "model" not in content:
        raise SemcompError(f"{path}: not a checkpoint of semcomp_pl; expected one that `semcomp fit` wrote")
    saved = saved_of(content["model"], content["hyper_parameters"], content["state_dict"])
    return saved._replace(training=_training(content.get("callbacks", {}).get(RECORD), path))


def _training(found: Mapping[str, Any] | None, path: Path) -> TrainingFacts | None:
    """Facts of the training in a checkpoint, which may have gone on from there if the checkpoint is one of a run."""
    run = run_of_checkpoint(str(path))
    whole = None if run is None else read_training(run / FILE)
    return of_whole(None if found is None else training_facts(found, path), whole)


def saved_of(model: str, hyper_parameters: Mapping[str, Any], state: Mapping[str, Tensor]) -> Saved:
    """A module's model, with the weights of its plain network under that network's own names."""
    # LightningCLI adds entries of its own, whose names start with an underscore
    arguments = {name: value for name, value in hyper_parameters.items() if not name.startswith("_")}
    return Saved(model, arguments, {_without_part(name): value for name, value in state.items()})


def _without_part(name: str) -> str:
    part, _, rest = name.partition(".")
    return rest if part in PARTS else name


def with_part(state: Mapping[str, Tensor], module: nn.Module, part: str) -> dict[str, Tensor]:
    """Saved weights renamed for a module that holds its plain network as `part`."""
    own = module.state_dict().keys()
    return {f"{part}.{name}" if f"{part}.{name}" in own else name: value for name, value in state.items()}


def read_saved(path: str | Path) -> Saved:
    """The model in a checkpoint file or in the directory of an export.

    Raises:
        SemcompError: as for `read_checkpoint` and `semcomp_pl.checkpoints.bundle.read_bundle`.
    """
    if not Path(path).is_dir():
        return read_checkpoint(path)
    saved = read_bundle(Path(path))
    check_own(saved.model, path)
    return saved


def load_strictly(network: nn.Module, model: str, state: Mapping[str, Tensor], path: str | Path) -> None:
    """Load all weights, or raise a short error about those that do not fit.

    Args:
        network: Network to load them into.
        model: Its name in the error message.
        state: Weights to load.
        path: File that they come from, for the error message.

    Raises:
        SemcompError: weights are missing (except for parts that may be missing as a whole), unexpected, or of other
            shapes.
    """
    own = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    there = {name: tuple(value.shape) for name, value in state.items()}
    # exports lack the first two; files from before 0.2 lack tables
    for part in ("discriminator.", "rate.", "entropy.", "codec.entropy."):
        if not any(name.startswith(part) for name in there):
            own = {name: shape for name, shape in own.items() if not name.startswith(part)}
    differ = sorted(name for name in own.keys() | there.keys() if own.get(name) != there.get(name))
    if differ:
        raise SemcompError(
            f"{path}: {len(differ)} tensors do not fit {model} (first: {differ[0]}, here "
            f"{own.get(differ[0])}, there {there.get(differ[0])}); it is of another version or architecture"
        )
    network.load_state_dict(dict(state), strict=False)
