"""The context model in training: the networks of `semcomp_pl.coding.context` in floating point."""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from semcomp_pl.coding.context import CEILING, TRUNK, UNIT, centred, layers, side_planes
from semcomp_pl.coding.fixed import OCTAVE
from semcomp_pl.coding.lattice import BESIDE, KNOWN, cells, pad, steps, windows


class Frozen(NamedTuple):
    """The integers that `semcomp_pl.coding.context.ContextModel` computes with."""

    weights: NDArray[np.int8]
    biases: NDArray[np.int32]
    shifts: NDArray[np.int8]


class ContextNet(nn.Module):
    """Predicts the probabilities of a grid's symbols from their neighbours.

    Args:
        channels: Number of channels C of the latent.
        levels: Number of levels L of the quantiser.
        classes: Number of classes K of the label map that the decoder also knows; 0 for none.
    """

    def __init__(self, channels: int, levels: int, classes: int) -> None:
        super().__init__()
        self.channels, self.levels, self.classes = channels, levels, classes
        shapes = layers(channels, levels, classes)
        # module names may not contain dots
        self.linears = nn.ModuleDict({_key(s.name): nn.Linear(s.inputs, s.outputs) for s in shapes})

    def forward(self, symbols: NDArray[np.uint8], label: NDArray[Any] | None = None) -> Tensor:
        """Code length in nats of symbols (B, C, H, W), given label maps (B, H, W), without each grid's first cell."""
        batch, channels = symbols.shape[:2]
        total = torch.zeros(())
        for level, kind in steps(*symbols.shape[2:]):
            grid = symbols[..., :: 1 << level, :: 1 << level]
            here = None if label is None else label[:, :: 1 << level, :: 1 << level]
            targets = _flat(cells(grid, kind))  # (B, C, cells)
            if not targets.size:
                continue
            height, width = grid.shape[2:]
            padded = pad(centred(grid, self.levels).reshape(-1, height, width))
            sides = [
                side_planes(height, width, level, None if here is None else here[i], self.classes)
                for i in range(1 if here is None else batch)
            ]
            side = np.stack([_flat(cells(planes, kind)) for planes in sides])
            side = np.broadcast_to(side, (batch, *side.shape[1:]))
            known = windows(padded, kind, KNOWN[kind]).reshape(batch, -1, side.shape[2])
            beside = windows(padded, kind, BESIDE[kind]).reshape(batch, -1, side.shape[2])
            features = self._activate(f"{kind}.trunk", _rows(np.concatenate([known, side], 1)))
            inputs = torch.cat([features, _rows(beside)], 1)
            truth = torch.from_numpy(targets.transpose(1, 0, 2).reshape(channels, -1).astype(np.int64))
            for channel in range(channels):
                seen = inputs[:, : TRUNK + channel * len(BESIDE[kind])]
                hidden = self._activate(f"{kind}.head{channel}", seen)
                logits = self._linear(f"{kind}.out{channel}")(hidden)
                total = total + F.cross_entropy(logits, truth[channel], reduction="sum")
        return total

    def _activate(self, name: str, inputs: Tensor) -> Tensor:
        activations: Tensor = self._linear(name)(inputs)
        return activations.clamp(0, CEILING / UNIT)

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


def _flat(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """Cells (..., rows, columns) of all parts along one axis."""
    return np.concatenate([part.reshape(*part.shape[:-2], -1) for part in parts], -1)


def _rows(inputs: NDArray[np.int16]) -> Tensor:
    """Integers (B, inputs, cells) in units of 1/UNIT to floats (B * cells, inputs)."""
    flat = inputs.transpose(0, 2, 1).reshape(-1, inputs.shape[1])
    return torch.from_numpy(flat.astype(np.float32)) / UNIT
