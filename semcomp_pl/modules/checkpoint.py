"""Reading what a training left behind, without running any of it."""

import pickle
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning import LightningModule
from torch import Tensor

from semcomp_pl.errors import SemcompError


class Saved(NamedTuple):
    """A model on disk: name of its class, its plain constructor arguments, its (averaged) weights."""

    model: str
    hyper_parameters: dict[str, Any]
    state: dict[str, Tensor]


def read_checkpoint(path: str | Path) -> Saved:
    """A Lightning checkpoint of the suite.

    Raises:
        SemcompError: no such file, not a checkpoint, damaged, or not written by this suite.
    """
    path = Path(path)
    if not path.is_file():
        raise SemcompError(f"{path}: no such checkpoint; expected a .ckpt file or the directory of an export")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0][:120]
        raise SemcompError(
            f"{path}: not a readable checkpoint ({reason}); it may be truncated or damaged"
        ) from None
    if not isinstance(content, dict) or "model" not in content:
        raise SemcompError(f"{path}: not a checkpoint of semcomp_pl; expected one that `semcomp fit` wrote")
    return Saved(content["model"], content["hyper_parameters"], content["state_dict"])


def start_from(module: LightningModule, path: str | Path) -> None:
    """Fill encoder, generator and statistics of `module` from another codec's file.

    Where a convolution of `module` has more input channels (a label map that the other did not see), the further
    ones start at zero, so that the model begins as the same function.

    Raises:
        SemcompError: unreadable file, or networks of other shapes.
    """
    saved = read_saved(path)
    own = module.state_dict()
    parts = {
        name: value
        for name, value in own.items()
        if name.split(".")[0] in {"encoder", "generator", "mean", "std"}
    }
    wrong = []
    for name, value in parts.items():
        other = saved.state.get(name)
        if other is None or other.ndim != value.ndim or not _fits(other, value):
            wrong.append(
                f"{name} {tuple(value.shape)}, there {None if other is None else tuple(other.shape)}"
            )
            continue
        value.zero_()[tuple(slice(n) for n in other.shape)].copy_(other)
    if wrong:
        raise SemcompError(
            f"{path} ({saved.model}) does not fit {type(module).__name__}: {len(wrong)} tensors differ (first: "
            f"{wrong[0]}); train both with the same filters, blocks, channels, downsamplings and trunk"
        )


def _fits(other: Tensor, value: Tensor) -> bool:
    """Equal shapes but for more input channels."""
    same = [a == b for a, b in zip(other.shape, value.shape, strict=True)]
    return all(same) or (value.ndim == 4 and other.shape[1] <= value.shape[1] and sum(same) == 3)


def read_saved(path: str | Path) -> Saved:
    """A checkpoint file or the directory of an export.

    Raises:
        SemcompError: as `read_checkpoint` and `semcomp_pl.modules.bundle.read_bundle`.
    """
    from semcomp_pl.modules.bundle import read_bundle

    return read_bundle(Path(path)) if Path(path).is_dir() else read_checkpoint(path)


def load_strictly(module: LightningModule, saved: Saved, path: str | Path) -> None:
    """Load every weight, or say in short which do not fit.

    Raises:
        SemcompError: weights are missing (an export has no discriminator), left over or of other shapes.
    """
    own = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    there = {name: tuple(value.shape) for name, value in saved.state.items()}
    if not any(name.startswith("discriminator.") for name in there):
        own = {name: shape for name, shape in own.items() if not name.startswith("discriminator.")}
    differ = sorted(name for name in own.keys() | there.keys() if own.get(name) != there.get(name))
    if differ:
        raise SemcompError(
            f"{path}: {len(differ)} tensors do not fit {type(module).__name__} (first: {differ[0]}, here "
            f"{own.get(differ[0])}, there {there.get(differ[0])}); it is of another version or architecture"
        )
    module.load_state_dict(saved.state, strict=False)
