"""Reading what a training left behind, without running any of it."""

import pickle
from pathlib import Path
from typing import TypeVar

import torch
import torch.nn.functional as F
from lightning import LightningModule
from torch import Tensor

from semcomp_pl.errors import SemcompError
from semcomp_pl.checkpoints.bundle import Saved, read_bundle

Built = TypeVar("Built", bound=LightningModule)


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
        reason = (str(error) or "no content").splitlines()[0][:120]
        raise SemcompError(f"{path}: not a readable checkpoint ({reason}); it may be truncated or damaged") from None
    if not isinstance(content, dict) or "model" not in content:
        raise SemcompError(f"{path}: not a checkpoint of semcomp_pl; expected one that `semcomp fit` wrote")
    # LightningCLI adds notes of its own, under names with an underscore.
    arguments = {name: value for name, value in content["hyper_parameters"].items() if not name.startswith("_")}
    return Saved(content["model"], arguments, content["state_dict"])


def start_from(module: LightningModule, path: str | Path) -> None:
    """Fill encoder, generator and statistics of `module` from another codec's file.

    Where a convolution of `module` has more input channels (a label map that the other did not see), the further
    ones start at zero, so that the model begins as the same function. Whole networks that the other lacks
    (`generator.labels`) start as they are. Of another number of latent channels, the first are taken over: fewer
    make a codec of a lower rate, and more begin as the same function again.

    Raises:
        SemcompError: unreadable file, networks of other shapes, or trained against a segmenter that `module` would not
            remember.
    """
    saved = read_saved(path)
    _refuse_to_forget(module, saved, path)
    own, there = _codec_part(module.state_dict()), _codec_part(saved.state)
    if "channels" in saved.hyper_parameters and "channels" in module.hparams:
        there = _with_channels(there, own, saved.hyper_parameters["channels"], module.hparams["channels"])
    halves, known = ({_part(name, depth) for name in there} for depth in (1, 2))
    new = {name for name in own if _part(name, 1) in halves and _part(name, 2) not in known}
    lost = (own.keys() ^ there.keys()) - new
    wrong = [f"{name}, found in one of them only" for name in sorted(lost)]
    for name in own.keys() & there.keys():
        value, other = own[name], there[name]
        if _fits(other, value):
            value.zero_()[tuple(slice(n) for n in other.shape)].copy_(other)
        else:
            wrong.append(f"{name} {tuple(value.shape)}, there {tuple(other.shape)}")
    if wrong:
        raise SemcompError(
            f"{path} ({saved.model}) does not fit {type(module).__name__}: {len(wrong)} tensors differ (first: "
            f"{wrong[0]}); train both with the same filters, blocks, downsamplings, trunk, norm and upsampling, "
            "and with the same channels where the other sees label maps"
        )


def _refuse_to_forget(module: LightningModule, saved: Saved, path: str | Path) -> None:
    """What a segmenter has taught stays in the weights, so it may not judge those who start from them."""
    rival, own = saved.state.get("trained_against"), module.state_dict().get("trained_against")
    if rival is not None and rival.any() and (own is None or not own.equal(rival)):
        raise SemcompError(
            f"{path} ({saved.model}) was trained against a segmenter that {type(module).__name__} would not remember "
            "as one that may not judge it; start from a model trained without one"
        )


def _with_channels(there: dict[str, Tensor], own: dict[str, Tensor], found: int, wanted: int) -> dict[str, Tensor]:
    """`there` with as many latent channels as `own`, whose values the further outputs of the encoder get."""
    outputs = [name for name in own if _part(name, 1) == "encoder"][-2:]  # weight and bias of the bottleneck
    inputs = next((name for name in own if name.startswith("generator.body.")), "")
    fits = all(name in there and there[name].shape == (found, *own[name].shape[1:]) for name in outputs)
    if found == wanted or not fits or inputs not in there or there[inputs].shape[1] != found:
        return there
    changed = {name: torch.cat([there[name], own[name][found:].to(there[name])])[:wanted] for name in outputs}
    entry = F.pad(there[inputs], (0, 0, 0, 0, 0, max(0, wanted - found)))[:, :wanted]
    return {**there, **changed, inputs: entry}


def _codec_part(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v for k, v in state.items() if k.partition(".")[0] in {"encoder", "generator", "mean", "std"}}


def _part(name: str, depth: int) -> str:
    return ".".join(name.split(".")[:depth])


def _fits(other: Tensor, value: Tensor) -> bool:
    """Equal shapes but for more input channels."""
    if value.ndim != 4 or other.ndim != 4:
        return value.shape == other.shape
    (a, b, *c), (d, e, *f) = other.shape, value.shape
    return a == d and b <= e and c == f


def read_saved(path: str | Path) -> Saved:
    """A checkpoint file or the directory of an export.

    Raises:
        SemcompError: as `read_checkpoint` and `semcomp_pl.checkpoints.bundle.read_bundle`.
    """
    return read_bundle(Path(path)) if Path(path).is_dir() else read_checkpoint(path)


def rebuild(cls: type[Built], saved: Saved, path: str | Path) -> Built:
    """The model in evaluation mode: its class called with its own arguments, then its weights.

    Raises:
        SemcompError: arguments that the class does not take, or as `load_strictly`.
    """
    try:
        model = cls(**saved.hyper_parameters)
    except TypeError as error:
        raise SemcompError(f"{path}: {error}; it is of another version of {cls.__name__}") from None
    load_strictly(model, saved, path)
    return model.eval()


def load_strictly(module: LightningModule, saved: Saved, path: str | Path) -> None:
    """Load every weight, or say in short which do not fit.

    Raises:
        SemcompError: weights are missing (but for parts that may be absent whole), left over or of other shapes.
    """
    own = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    there = {name: tuple(value.shape) for name, value in saved.state.items()}
    for part in ("discriminator.", "entropy."):  # an export has none; files of before 0.2 have no tables
        if not any(name.startswith(part) for name in there):
            own = {name: shape for name, shape in own.items() if not name.startswith(part)}
    differ = sorted(name for name in own.keys() | there.keys() if own.get(name) != there.get(name))
    if differ:
        raise SemcompError(
            f"{path}: {len(differ)} tensors do not fit {type(module).__name__} (first: {differ[0]}, here "
            f"{own.get(differ[0])}, there {there.get(differ[0])}); it is of another version or architecture"
        )
    module.load_state_dict(saved.state, strict=False)
