r"""What other context models would make of a trained codec's symbols: bits per symbol on the validation split.

    python benchmarks/context.py --config configs/data/camvid.yaml --data.source.root data/camvid \\
        --models weights/rate_distortion weights/plain_gan

Each variant is fitted for equal steps on the same symbols of the augmented training split, in floating point; integers
cost 0.1 % more. `means` adds, for each channel, the means of the coarser lattice and of its nearest row above a cell;
`half`, `double` and `fourfold` change the width of all hidden layers; `mixed` mixes each distribution with a static
one of its channel, in proportions that are learned; `no place` takes row and column away.
"""

import math
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from jsonargparse import ArgumentParser
from torch import Tensor, nn

import semcomp_pl
from semcomp_pl.codecs.neural import NeuralCodec
from semcomp_pl.coding import context
from semcomp_pl.coding.latent import normalise
from semcomp_pl.data import ImageDataModule
from semcomp_pl.nets.context import ContextNet, Places
from semcomp_pl.training.entropy import fit_context, transmit

WIDTH = context.TRUNK, context.HIDDEN
SIDE = context.side_inputs


class Means(ContextNet):
    """Sees also the means of each channel over what is known of the grid and of a row."""

    def __init__(self, channels: int, levels: int, classes: int) -> None:
        context.side_inputs = lambda classes: SIDE(classes) + 2 * channels
        super().__init__(channels, levels, classes)
        context.side_inputs = SIDE

    def forward(self, symbols: Tensor, label: Tensor | None = None) -> Tensor:
        """See `ContextNet.forward`."""
        self.size = symbols.shape[2:]
        return super().forward(symbols, label)

    def inputs(self, places: Places, values: Tensor, label: Tensor | None) -> Tensor:
        """See `ContextNet.inputs`."""
        grid = values[..., :-1].reshape(*values.shape[:2], *self.size)
        y, x = places.cells // self.size[1], places.cells % self.size[1]
        coarse = 2 * ((y | x) & -(y | x))  # distance of the cells that the level before knows
        found = values.new_zeros(len(values), len(y), 2 * values.shape[1])
        for stride in sorted(set(coarse.tolist())):
            (at,) = torch.where(coarse == stride)
            rows = grid[..., ::stride, ::stride].mean(3)
            found[:, at] = torch.cat(
                [rows.mean(2, keepdim=True).expand(-1, -1, len(at)), rows[..., y[at] // stride]], 1
            ).mT
        return torch.cat([super().inputs(places, values, label), found], 2)


class NoPlace(ContextNet):
    """Does not see row and column."""

    def inputs(self, places: Places, values: Tensor, label: Tensor | None) -> Tensor:
        """See `ContextNet.inputs`."""
        side = places.side.clone()
        side[:, :2] = 0
        return super().inputs(places._replace(side=side), values, label)


class Mixed(ContextNet):
    """Mixes each distribution with a static one of its channel."""

    def __init__(self, channels: int, levels: int, classes: int) -> None:
        super().__init__(channels, levels, classes)
        self.static = nn.Parameter(torch.zeros(levels, channels, 1, 1))
        self.share = nn.Parameter(torch.full((channels, 1, 1), -4.0))

    def forward(self, symbols: Tensor, label: Tensor | None = None) -> Tensor:
        """See `ContextNet.forward`."""
        logits = super().forward(symbols, label)
        own, static = (
            logits.log_softmax(1) + F.logsigmoid(-self.share),
            self.static.log_softmax(0) + F.logsigmoid(self.share),
        )
        return torch.logaddexp(own, static.expand_as(own))


VARIANTS: dict[str, tuple[float, Callable[[int, int, int], ContextNet]]] = {
    "as it is": (1, ContextNet),
    "no place": (1, NoPlace),
    "means": (1, Means),
    "mixed": (1, Mixed),
    "half": (0.5, ContextNet),
    "double": (2, ContextNet),
    "fourfold": (4, ContextNet),
    "double, means": (2, Means),
}


def main() -> None:
    """Measure and print Markdown tables."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--config", action="config")
    parser.add_class_arguments(ImageDataModule, "data")
    parser.add_argument("--models", type=str, nargs="+", help="codecs that send symbols")
    parser.add_argument("--variants", type=str, nargs="+", default=[*VARIANTS], choices=[*VARIANTS])
    parser.add_argument("--steps", type=int, default=1200, help="steps of each fit")
    config = parser.parse_args()
    data = parser.instantiate(config).data
    data.setup("fit")
    print("| model | variant | parameters | bits per symbol | change | ms to code a grid |")
    print("|" + " --- |" * 6)
    for path in config.models:
        _measure(path, data, config.variants, config.steps)


@torch.enable_grad()
def _measure(path: str, data: ImageDataModule, variants: list[str], steps: int) -> None:
    codec = semcomp_pl.load(path)
    torch.manual_seed(0)
    sent = transmit(codec, data, steps)
    known = _validation(codec, data)
    base = math.nan
    for name in variants:
        factor, kind = VARIANTS[name]
        context.TRUNK, context.HIDDEN = (round(factor * width) for width in WIDTH)
        torch.manual_seed(0)
        net = fit_context(kind(codec.net.shape.channels, codec.net.shape.levels, codec.net.side_channels), sent, steps)
        with torch.no_grad():
            nats = [F.cross_entropy(net(*batch), batch[0]) for batch in known]
        bits = float(torch.stack(nats).mean()) / math.log(2)
        base = bits if name == "as it is" else base
        parameters = sum(parameter.numel() for parameter in net.parameters())
        speed = f"{_time(net, known[0][0][0].numpy()):.1f}" if kind is ContextNet and not net.classes else ""
        print(
            f"| {path} | {name} | {parameters} | {bits:.4f} | {100 * (bits / base - 1):+.2f} % | {speed} |", flush=True
        )
    context.TRUNK, context.HIDDEN = WIDTH


def _validation(codec: NeuralCodec, data: ImageDataModule) -> list[tuple[Tensor, Tensor | None]]:
    """Symbols and label maps on the grid of each batch."""
    found = []
    labels = codec.net.label_section()
    for batch in data.val_dataloader():
        contents = codec.analyse(batch["image"], batch.get("label"))
        symbols = torch.from_numpy(np.stack([content.symbols for content in contents])).long()
        maps = None if labels is None else np.stack([labels.on_grid(content) for content in contents])
        found.append((symbols, None if maps is None else torch.from_numpy(maps).long()))
    return found


def _time(net: ContextNet, symbols: np.ndarray) -> float:
    """Milliseconds to encode a grid: the least of ten."""
    flat = normalise(np.ones((net.channels, net.levels), int))
    coder = context.ContextModel(net.channels, net.levels, 0, flat, *net.freeze())
    run = partial(coder.encode, symbols.astype(np.uint8))
    times = []
    for _ in range(10):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1000 * min(times)


if __name__ == "__main__":
    main()
