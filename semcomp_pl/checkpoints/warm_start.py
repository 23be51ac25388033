"""Starting one model from the weights of another."""

import torch
import torch.nn.functional as F
from torch import Tensor

from semcomp_pl.checkpoints.bundle import Saved, trained_against
from semcomp_pl.checkpoints.checkpoint import read_saved
from semcomp_pl.checkpoints.models import fingerprint_of
from semcomp_pl.checkpoints.training_facts import WarmStart
from semcomp_pl.errors import SemcompError
from semcomp_pl.files.places import find_model, model_name
from semcomp_pl.nets.codec import CodecNet


def start_from(net: CodecNet, model: str, remembers: bytes | None, path: str) -> WarmStart:
    """Load all of a network but its tables from another codec's file.

    If a convolution of `net` has more input channels than the other's (for a label map that the other did not see),
    their weights start at zero, so that the model begins as the same function. Networks that the other lacks
    (`generator.labels`) keep their initial weights. If the numbers of latent channels differ, the first ones are
    copied: with fewer channels the codec has a lower rate, with more it again begins as the same function.

    Args:
        net: Network to load into.
        model: Name of its model.
        remembers: Fingerprint of the segmenter that the model is trained against, which may not judge it; None if
            there is none.
        path: The other codec's checkpoint, export or run, or its name.

    Returns:
        What the other codec was.

    Raises:
        SemcompError: the file is unreadable, the shapes differ otherwise, or the other codec was trained against a
            segmenter that the new model would not record.
    """
    file = find_model(path)
    saved = read_saved(file)
    _refuse_to_forget(model, remembers, saved, path)
    parts = {_part(name, 1) for name in net.state_dict()} - {"entropy"}
    own, there = _of_parts(parts, net.state_dict()), _of_parts(parts, saved.state)
    if "channels" in saved.hyper_parameters:
        there = _with_channels(there, own, saved.hyper_parameters["channels"], net.shape.channels)
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
            f"{path} ({saved.model}) does not fit {model}: {len(wrong)} tensors differ (first: "
            f"{wrong[0]}); train both with the same filters, blocks, downsamplings, trunk, norm and upsampling, "
            "and with the same channels where the other sees label maps"
        )
    return WarmStart(model_name(str(file)), saved.model, fingerprint_of(saved).hex())


def _refuse_to_forget(model: str, remembers: bytes | None, saved: Saved, path: str) -> None:
    """Refuse weights trained against a segmenter, which may not judge models that start from them, if not recorded."""
    rival = trained_against(saved)
    if rival is not None and rival != remembers:
        raise SemcompError(
            f"{path} ({saved.model}) was trained against a segmenter that {model} would not remember "
            "as one that may not judge it; start from a model trained without one"
        )


def _with_channels(there: dict[str, Tensor], own: dict[str, Tensor], found: int, wanted: int) -> dict[str, Tensor]:
    """`there` with as many latent channels as `own`; additional encoder outputs get the values of `own`."""
    outputs = [name for name in own if _part(name, 1) == "encoder"][-2:]  # weight and bias of the bottleneck
    inputs = next((name for name in own if name.startswith("generator.body.")), "")
    fits = all(name in there and there[name].shape == (found, *own[name].shape[1:]) for name in outputs)
    if found == wanted or not fits or inputs not in there or there[inputs].shape[1] != found:
        return there
    changed = {name: torch.cat([there[name], own[name][found:].to(there[name])])[:wanted] for name in outputs}
    entry = F.pad(there[inputs], (0, 0, 0, 0, 0, max(0, wanted - found)))[:, :wanted]
    return {**there, **changed, inputs: entry}


def _of_parts(parts: set[str], state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if _part(name, 1) in parts}


def _part(name: str, depth: int) -> str:
    return ".".join(name.split(".")[:depth])


def _fits(other: Tensor, value: Tensor) -> bool:
    """Whether the shapes are equal, except that `value` may have more input channels."""
    if value.ndim != 4 or other.ndim != 4:
        return value.shape == other.shape
    (a, b, *c), (d, e, *f) = other.shape, value.shape
    return a == d and b <= e and c == f
