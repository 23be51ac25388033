"""The context model in training: the networks of `semcomp_pl.coding.context` in floating point, differentiable."""

import itertools
import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from semcomp_pl.coding.context import CEILING, LEVELS_APART, UNIT, layers
from semcomp_pl.coding.fixed import OCTAVE
from semcomp_pl.coding.lattice import BESIDE, KNOWN, STARTS


class Frozen(NamedTuple):
    """The integers that `semcomp_pl.coding.context.ContextModel` computes with."""

    weights: NDArray[np.int8]
    biases: NDArray[np.int32]
    shifts: NDArray[np.int8]


class Places(NamedTuple):
    """The n cells of a kind on all levels of a grid, as indices into its H * W cells; H * W is outside."""

    cells: Tensor
    """The cells themselves, long (n,)."""
    known: Tensor
    """Cells of earlier steps that each of them sees, long (n, known)."""
    beside: Tensor
    """Cells of its own step, of which it sees the channels before its own, long (n, beside)."""
    side: Tensor
    """Row, column and level as the networks see them, (n, 2 + LEVELS_APART)."""


class ContextNet(nn.Module):
    """Predicts the probabilities of a grid's symbols from their neighbours.

    All symbols are known in training, so all levels, channels and grids of a batch go through each network at once.

    Args:
        channels: Number of channels C of the latent.
        levels: Number of levels L of the quantiser.
        classes: Number of classes K of the label map that the decoder also knows; 0 for none.
    """

    def __init__(self, channels: int, levels: int, classes: int) -> None:
        super().__init__()
        self.channels, self.levels, self.classes = channels, levels, classes
        self.first = nn.Parameter(torch.zeros(channels, levels))  # logits of the cell that no other precedes
        shapes = layers(channels, levels, classes)
        # module names may not contain dots
        self.linears = nn.ModuleDict({_key(s.name): nn.Linear(s.inputs, s.outputs) for s in shapes})
        self._places: dict[tuple[int, int, torch.device], list[Places]] = {}

    def forward(self, symbols: Tensor, label: Tensor | None = None) -> Tensor:
        """Logits (B, L, C, H, W) of all levels for symbols (B, C, H, W), given label maps (B, H, W); integers."""
        batch, channels, height, width = symbols.shape
        kinds = self._places_of(height, width, symbols.device)
        steps = (2 * UNIT * symbols // (self.levels - 1) - UNIT).to(self.first) / UNIT
        values = torch.cat([steps.flatten(2), steps.new_zeros(batch, channels, 1)], 2)  # (B, C, cells and outside)
        logits = [self.first.expand(batch, 1, -1, -1)]
        logits += [self._predict(kind, places, values, label) for kind, places in enumerate(kinds)]
        order = torch.cat([kinds[0].cells.new_zeros(1), *(places.cells for places in kinds)]).argsort()
        found = torch.cat(logits, 1).index_select(1, order)  # (B, cells, C, L)
        return found.permute(0, 3, 2, 1).reshape(batch, self.levels, channels, height, width)

    def inputs(self, places: Places, values: Tensor, label: Tensor | None) -> Tensor:
        """What the trunk sees of the cells of a kind, (B, n, inputs)."""
        seen = values[:, :, places.known].transpose(1, 2).flatten(2)
        found = [seen, places.side.to(seen).expand(len(seen), -1, -1)]
        if label is not None:
            known = label.flatten(1)[:, places.cells, None].clamp(max=self.classes)  # the ignored id is the last class
            found.append((known == torch.arange(self.classes + 1, device=label.device)).to(seen))
        return torch.cat(found, 2)

    def _predict(self, kind: int, places: Places, values: Tensor, label: Tensor | None) -> Tensor:
        """Logits (B, n, C, L) of the cells of a kind."""
        batch, channels, _ = values.shape
        count = len(places.cells)
        beside = values[:, :-1, places.beside].transpose(1, 2).flatten(2)  # no channel comes after the last one
        trunk = _activate(self._linear(f"{kind}.trunk")(self.inputs(places, values, label)))
        features = torch.cat([trunk, beside], 2)
        heads = [self._linear(f"{kind}.head{channel}") for channel in range(channels)]
        outs = [self._linear(f"{kind}.out{channel}") for channel in range(channels)]
        # one matrix for all channels, with zeros for what a channel may not see
        weight = torch.cat([nn.functional.pad(h.weight, (0, features.shape[2] - h.in_features)) for h in heads])
        hidden = _activate(nn.functional.linear(features, weight, torch.cat([h.bias for h in heads])))
        hidden = hidden.view(batch * count, channels, outs[0].in_features).transpose(0, 1)
        weight, bias = torch.stack([o.weight.T for o in outs]), torch.stack([o.bias for o in outs])
        found = torch.baddbmm(bias[:, None], hidden, weight)  # (C, B n, L)
        return found.transpose(0, 1).reshape(batch, count, channels, self.levels)

    def _places_of(self, height: int, width: int, device: torch.device) -> list[Places]:
        """The cells of each kind; computed on the device, as copying would wait for it, and kept in training."""
        key = (height, width, device)
        found = self._places.get(key) or [_find_places(kind, height, width, device) for kind in (0, 1)]
        if self.training:  # where all images have one size
            self._places[key] = found
        return found

    def _linear(self, name: str) -> nn.Linear:
        linear = self.linears[_key(name)]
        assert isinstance(linear, nn.Linear)
        return linear

    @torch.no_grad()
    def freeze(self) -> Frozen:
        """Round to integers: each row of weights to 8 bits under the largest power of two that fits."""
        weights, biases, shifts = [], [], []
        for shape in layers(self.channels, self.levels, self.classes):
            linear = self._linear(shape.name)
            weight, bias = linear.weight.double(), linear.bias.double()
            # logits are converted from nats to the steps of `semcomp_pl.coding.fixed`
            unit = OCTAVE / math.log(2) if ".out" in shape.name else UNIT
            weight, bias = weight * (unit / UNIT), bias * unit
            shift = (127 / weight.abs().amax(1).clamp(min=1e-3)).log2().floor()
            weights.append((weight * 2 ** shift[:, None]).round().flatten())
            biases.append((bias * 2**shift).round())
            shifts.append(shift)
        return Frozen(
            torch.cat(weights).to(torch.int8).numpy(),
            torch.cat(biases).to(torch.int32).numpy(),
            torch.cat(shifts).to(torch.int8).numpy(),
        )


def _key(name: str) -> str:
    return name.replace(".", "_")


def _activate(sums: Tensor) -> Tensor:
    return nn.functional.hardtanh(sums, 0, CEILING / UNIT)  # clamp is slower backwards


def _find_places(kind: int, height: int, width: int, device: torch.device) -> Places:
    grid = torch.arange(height * width, device=device).view(height, width)
    parts = [(grid[:0], grid[:0])]  # a single cell has no levels
    for i, (top, left) in itertools.product(range((max(height, width) - 1).bit_length()), STARTS[kind]):
        part = grid[top << i :: 2 << i, left << i :: 2 << i]
        parts.append((part, torch.full_like(part, i)))
    cells, level = (torch.cat([part.flatten() for part in both]) for both in zip(*parts, strict=True))
    y, x, stride = cells // width, cells % width, torch.ones_like(level) << level

    def seen(offsets: tuple[tuple[int, int], ...]) -> Tensor:
        found = []
        for down, across in offsets:
            row, column = y + down * stride, x + across * stride
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            found.append((row * width + column).where(inside, height * width))
        return torch.stack(found, 1)

    def along(line: Tensor, size: int) -> Tensor:
        return 2 * UNIT * (line // stride) // ((size - 1) // stride).clamp(min=1) - UNIT

    which = level.clamp(max=LEVELS_APART - 1)
    side = [along(y, height), along(x, width), *(UNIT * (which == i) for i in range(LEVELS_APART))]
    return Places(cells, seen(KNOWN[kind]), seen(BESIDE[kind]), torch.stack(side, 1) / UNIT)
