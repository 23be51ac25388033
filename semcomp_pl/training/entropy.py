"""`semcomp fit-entropy`: the integer tables that a trained model's files are coded with, from a training split."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor, nn
from torch.optim import AdamW
from torch.utils.data import DataLoader

from semcomp_pl.files.atomic import write_file
from semcomp_pl.coding.label_map import Prior, fit_prior
from semcomp_pl.coding.latent import STATIC, normalise
from semcomp_pl.data import ImageDataModule
from semcomp_pl.data.datamodule import ImageDataset
from semcomp_pl.errors import SemcompError
from semcomp_pl.modules.base import CodecModule
from semcomp_pl.checkpoints.bundle import replace_tensors
from semcomp_pl.modules.learning import schedule_factor
from semcomp_pl.checkpoints.loading import load
from semcomp_pl.nets.context import ContextNet, Frozen
from semcomp_pl.cli.parser import Parser
from semcomp_pl.files.places import find_model

STEPS, PASSES = 2000, 12
_CELLS = 4096  # of the grids in a training batch
_LEARNING_RATE = 3e-3


class Sent(NamedTuple):
    """What a model transmits of a split."""

    symbols: NDArray[np.uint8]
    """(N, C, h, w)."""
    labels: NDArray[np.uint8] | None
    """As they are sent, (N, h, w) or (N, H, W)."""
    cells: NDArray[np.uint8] | None
    """On the latent grid, (N, h, w)."""


def fit_entropy(model: CodecModule, data: ImageDataModule, steps: int = STEPS, passes: int = PASSES) -> None:
    """Fill the model's tables from the training split, augmented as for training; the model is not trained.

    Args:
        model: The codec.
        data: Its data.
        steps: Steps of the context network, where the model has one.
        passes: Times that the split is read, each time augmented anew.

    Raises:
        SemcompError: the model needs label maps that the data lack, or numbers below 1.
    """
    if steps < 1 or passes < 1:
        raise SemcompError(
            f"steps={steps} and passes={passes} found, expected 1 or more; for tables without a network train with "
            "--model.entropy_model static"
        )
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(0)
        sent = _transmit(model.eval(), data, passes)
        static = normalise(model.entropy.latent_coder().count(sent.symbols))
        context = _train(model, sent, steps) if model.entropy.kind == "context" else None
        prior = None if sent.labels is None else _fit_labels(model.num_classes, sent.labels)
    model.entropy.fill(static.astype(np.int32), context, prior)
    model.train(model.training)  # drops the snapshot of the old tables


def _transmit(model: CodecModule, data: ImageDataModule, passes: int) -> Sent:
    loader = DataLoader(ImageDataset(data.store("train"), data.transform), data.eval_batch_size)
    batches = track(_repeat(loader, passes), "Collecting symbols", len(loader) * passes, transient=True)
    symbols, labels, cells = [], [], []
    with torch.no_grad():
        for batch in batches:
            label = None if "label" not in batch else batch["label"].to(model.device)
            contents = model.codec().analyse(batch["image"], label)
            symbols += [content.symbols for content in contents]
            labels += [content.labels for content in contents if content.labels is not None]
            cells += [model.codec().file.on_grid(content.labels) for content in contents]
    known = [cell for cell in cells if cell is not None]
    return Sent(np.stack(symbols), np.stack(labels) if labels else None, np.stack(known) if known else None)


def _repeat(loader: DataLoader[dict[str, Any]], passes: int) -> Iterator[dict[str, Any]]:
    for _ in range(passes):
        yield from loader


def _train(model: CodecModule, sent: Sent, steps: int) -> Frozen:
    """The context network after `steps` of cross-entropy, rounded to integers."""
    net = ContextNet(model.channels, model.quantizer.levels, model.side_channels())
    optimizer = AdamW(net.parameters(), _LEARNING_RATE, betas=(0.9, 0.99))
    batch = max(1, _CELLS // math.prod(sent.symbols.shape[2:]))
    rng = np.random.default_rng(0)
    for step in track(range(steps), "Fitting the context model", transient=True):
        for group in optimizer.param_groups:
            group["lr"] = _LEARNING_RATE * schedule_factor("cosine", step / steps)
        chosen = rng.integers(0, len(sent.symbols), batch)
        symbols = sent.symbols[chosen]
        nats: Tensor = net(symbols, None if sent.cells is None else sent.cells[chosen]) / symbols.size
        optimizer.zero_grad()
        nats.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
    return net.freeze()


def _fit_labels(classes: int, labels: NDArray[np.uint8]) -> Prior:
    order = np.random.default_rng(0).permutation(len(labels))
    return fit_prior(classes, (labels[i] for i in order[: max(1000, 2_000_000 // labels[0].size)]))


def bits_per_image(model: CodecModule, data: ImageDataModule) -> dict[str, float]:
    """Mean bits an image of the validation split, by coder: `bound`, `static`, `context` where there is one."""
    coder = model.entropy.latent_coder()
    loader = DataLoader(ImageDataset(data.store("val")), data.eval_batch_size)
    totals: dict[str, float] = {}
    images = 0
    for batch in loader:
        for content in model.codec().analyse(batch["image"], batch.get("label")):
            cells = model.codec().file.on_grid(content.labels)
            found = {"bound": coder.bound_bits(*content.symbols.shape[1:])}
            found["static"] = coder.ideal_bits(STATIC, content.symbols)
            if coder.context is not None:
                found["context"] = coder.context.bits(content.symbols, cells)
            totals = {name: totals.get(name, 0.0) + bits for name, bits in found.items()}
            images += 1
    return {name: bits / images for name, bits in totals.items()}


def fit_file(path: Path, data: ImageDataModule, steps: int, passes: int, target: Path | None = None) -> CodecModule:
    """Fit the tables of a checkpoint or export and write them into it, or into a copy.

    Raises:
        SemcompError: unreadable, or no codec.
    """
    model = load(path)
    if not isinstance(model, CodecModule):
        raise SemcompError(f"{path}: a {type(model).__name__} found, expected a codec; segmenters write no files")
    if model.num_classes and model.side_channels() and data.num_classes != model.num_classes:
        raise SemcompError(
            f"{path}: a model of {model.num_classes} classes found, the data have {data.num_classes}; give its own data"
        )
    fit_entropy(model, data, steps, passes)
    tables = {f"entropy.{name}": value for name, value in model.entropy.state_dict().items()}
    target = target or path
    if path.is_dir():
        replace_tensors(path, target, tables)
    else:
        content = torch.load(path, map_location="cpu", weights_only=True)
        content["state_dict"] |= tables
        write_file(target, lambda file: torch.save(content, file))
    return model


def main(args: list[str]) -> None:
    """Run `semcomp fit-entropy`.

    Raises:
        SemcompError: bad usage, unreadable model or data.
    """
    parser = Parser(prog="semcomp fit-entropy", description=__doc__)
    parser.add_argument("model", type=str, help="Run, checkpoint or export; written in place.")
    parser.add_argument("--config", action="config", help="The data's YAML.")
    parser.add_class_arguments(ImageDataModule, "data")
    parser.add_argument("--output", "-o", type=str | None, default=None, help="Write a copy instead.")
    parser.add_argument("--steps", type=int, default=STEPS, help="Steps of the context network.")
    parser.add_argument("--passes", type=int, default=PASSES, help="Times that the training split is read.")
    config = parser.parse_args(args)
    data = parser.instantiate(config).data
    data.prepare_data()
    path = find_model(config.model)
    target = None if config.output is None else Path(config.output)
    if target is not None and target.exists():
        raise SemcompError(f"{target}: exists; choose another --output, or leave it out to write {path} itself")
    model = fit_file(path, data, config.steps, config.passes, target)
    print(f"tables of {model.codec().fingerprint[:3].hex()} written to {target or path}")
    for name, bits in bits_per_image(model, data).items():
        print(f"  {name:8} {bits / 8:8.1f} bytes an image of the validation split, symbols alone")
