"""Fits the integer tables that a trained model's files are coded with, on a training split."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import AdamW
from torch.utils.data import DataLoader, Subset

from semcomp_pl.checkpoints.bundle import replace_tensors
from semcomp_pl.checkpoints.checkpoint import PARTS, read_saved
from semcomp_pl.checkpoints.loading import codec_of, load
from semcomp_pl.codecs.neural import NeuralCodec
from semcomp_pl.coding.content import Content
from semcomp_pl.coding.latent import normalise
from semcomp_pl.data import ImageDataModule
from semcomp_pl.data.datamodule import ImageDataset
from semcomp_pl.errors import SemcompError
from semcomp_pl.files.atomic import write_file
from semcomp_pl.modules.learning import schedule_factor
from semcomp_pl.nets.context import ContextNet
from semcomp_pl.progress import tracked

if TYPE_CHECKING:
    from semcomp_pl.coding.label_map import Prior

STEPS = 1200
# chosen by trial: docs/results/entropy.md
_CELLS = 2048  # latent cells in a batch of a step
_IMAGES = 4  # images coded for each step
_LEARNING_RATE, _WEIGHT_DECAY = 1e-2, 0.1


class Sent(NamedTuple):
    """What a model transmits for the images of a split."""

    counts: dict[str, NDArray[np.int64]]
    """Occurrences of everything that has a static table, by the name of the table."""

    symbols: NDArray[np.uint8]
    """Symbols (N, C, h, w)."""
    labels: NDArray[np.uint8] | None
    """Label maps as they are sent, (N, h, w) or (N, H, W)."""
    cells: NDArray[np.uint8] | None
    """Label maps on the latent grid, (N, h, w)."""


def fit_entropy(
    codec: NeuralCodec,
    data: ImageDataModule,
    steps: int = STEPS,
    passes: int | None = None,
    start: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Fit a codec's tables on the augmented training split; encoder and generator stay unchanged.

    Args:
        codec: Codec of a trained model; it keeps the tables that it has.
        data: Data that the model was trained on.
        steps: Training steps of the context network, if the model has one.
        passes: Number of passes over the split, each with new random augmentation; as many, or such a part of one, as
            give four images for each step if not given.
        start: State of the context network of training, from which the fit starts; from random weights if not given.

    Returns:
        State dictionary for the codec's `net.entropy`.

    Raises:
        SemcompError: the model needs label maps that the data lack, or a number is below 1.
    """
    if steps < 1 or (passes is not None and passes < 1):
        raise SemcompError(
            f"steps={steps} and passes={passes} found, expected 1 or more; for tables without a network train with "
            "--model.entropy_model static"
        )
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(0)
        sent = transmit(codec, data, steps, passes)
        tables = codec.net.build_tables()
        static = {name: normalise(counts) for name, counts in sent.counts.items()}
        shape, context = codec.net.shape, None
        if tables.kind == "context":
            net = ContextNet(shape.channels, shape.levels, codec.net.side_channels)
            net.load_state_dict(net.state_dict() if start is None else dict(start))
            context = fit_context(net, sent, steps).freeze()
        prior = None if sent.labels is None else _fit_labels(codec.num_classes, sent.labels)
    tables.fill(static, context, prior)
    return tables.state_dict()


def transmit(codec: NeuralCodec, data: ImageDataModule, steps: int, passes: int | None = None) -> Sent:
    """What a codec sends for augmented training images, as `fit_entropy` takes them."""
    images = ImageDataset(data.store("train"), data.transform)
    wanted = _IMAGES * steps if passes is None else passes * len(images)
    order = torch.cat([torch.randperm(len(images)) for _ in range(math.ceil(wanted / len(images)))])
    loader = DataLoader(Subset(images, order[:wanted].tolist()), data.eval_batch_size)
    tables, counts = codec.net.build_tables(), dict[str, NDArray[np.int64]]()
    symbols, labels, cells = [], [], []
    with torch.no_grad():
        for batch in tracked(loader, "entropy model: collecting symbols"):
            contents = codec.analyse(batch["image"], batch.get("label"))
            for content in contents:
                found = tables.occurrences(content)
                counts = {name: counts.get(name, np.int64(0)) + values for name, values in found.items()}
            symbols += [content.symbols for content in contents]
            labels += [content.labels for content in contents if content.labels is not None]
            cells += [_on_grid(codec, content) for content in contents]
    known = [cell for cell in cells if cell is not None]
    return Sent(counts, np.stack(symbols), np.stack(labels) if labels else None, np.stack(known) if known else None)


def _on_grid(codec: NeuralCodec, content: Content) -> NDArray[np.uint8] | None:
    """The label map on the latent grid, as the context model sees it; None if none is sent."""
    labels = codec.net.label_section()
    return None if labels is None else labels.on_grid(content)


def fit_context(net: ContextNet, sent: Sent, steps: int) -> ContextNet:
    """Train a context network on the cross-entropy of symbols; returns the network itself."""
    optimizer = AdamW(net.parameters(), _LEARNING_RATE, betas=(0.9, 0.99), weight_decay=_WEIGHT_DECAY, fused=True)
    batch = max(1, _CELLS // math.prod(sent.symbols.shape[2:]))
    symbols, cells = (None if values is None else torch.from_numpy(values) for values in (sent.symbols, sent.cells))
    assert symbols is not None
    for step in tracked(range(steps), "entropy model: fitting"):
        for group in optimizer.param_groups:
            group["lr"] = _LEARNING_RATE * schedule_factor("cosine", step / steps)
        chosen = torch.randint(len(symbols), (batch,))
        truth = symbols[chosen].long()
        nats = F.cross_entropy(net(truth, None if cells is None else cells[chosen].long()), truth)
        optimizer.zero_grad()
        nats.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
    return net


def _fit_labels(classes: int, labels: NDArray[np.uint8]) -> Prior:
    from semcomp_pl.coding.label_map import fit_prior  # here, for its compiler is slow to import

    order = np.random.default_rng(0).permutation(len(labels))
    return fit_prior(classes, (labels[i] for i in order[: max(1000, 2_000_000 // labels[0].size)]))


def bits_per_image(codec: NeuralCodec, data: ImageDataModule) -> dict[str, float]:
    """Mean bits of a validation image's symbols by coder: `bound`, `static`, and `context` if the model has one."""
    loader = DataLoader(ImageDataset(data.store("val")), data.eval_batch_size)
    totals: dict[str, float] = {}
    images = 0
    for batch in loader:
        for content in codec.analyse(batch["image"], batch.get("label")):
            found = codec.net.entropy.bits(content, _on_grid(codec, content))
            totals = {name: totals.get(name, 0.0) + bits for name, bits in found.items()}
            images += 1
    return {name: bits / images for name, bits in totals.items()}


def fit_file(
    path: Path, data: ImageDataModule, steps: int, passes: int | None = None, target: Path | None = None
) -> NeuralCodec:
    """Fit the tables of a checkpoint or export and write them to it, or to a copy; returns the codec of that file.

    If the codec was trained with a rate in its loss, the fit starts from the entropy model of training.

    Raises:
        SemcompError: the file is unreadable, not a codec, or of another number of classes than the data.
    """
    saved = read_saved(path)
    codec = codec_of(saved, path)
    if codec.sends_labels and data.num_classes != codec.num_classes:
        raise SemcompError(
            f"{path}: a model of {codec.num_classes} classes found, the data have {data.num_classes}; give its own data"
        )
    part = "rate.net."
    known = {k.removeprefix(part): v for k, v in saved.state.items() if k.startswith(part)}
    fitted = fit_entropy(codec, data, steps, passes, known or None)
    target = target or path
    if path.is_dir():
        replace_tensors(path, target, {f"entropy.{name}": value for name, value in fitted.items()})
    else:
        content = torch.load(path, map_location="cpu", weights_only=True)
        part = next((f"{part}." for part in PARTS if any(k.startswith(f"{part}.") for k in content["state_dict"])), "")
        content["state_dict"] |= {f"{part}entropy.{name}": value for name, value in fitted.items()}
        write_file(target, lambda file: torch.save(content, file))
    return load(target)
