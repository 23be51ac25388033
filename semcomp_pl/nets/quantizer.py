"""The quantiser Q: L evenly spaced centres, hard in the forward pass, differentiable in the backward pass."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from semcomp_pl.errors import SemcompError

Gradient = Literal["soft", "straight_through"]


class Quantizer(nn.Module):
    """Rounds to the nearest of L centres spaced by 1 around 0: -2, -1, 0, 1, 2 for L = 5.

    Args:
        levels: Number of centres L, 2 to 256.
        gradient: `soft` differentiates the mean of the centres c weighted by the softmax of -(z - c)^2;
            `straight_through` passes gradients unchanged inside the range of the centres.

    Source: Mentzer et al., https://arxiv.org/abs/1801.04260, section 3.2 (soft); Bengio et al.,
    https://arxiv.org/abs/1308.3432 (straight-through).

    Raises:
        SemcompError: the number of levels is out of range.
    """

    centres: Tensor

    def __init__(self, levels: int, gradient: Gradient = "soft") -> None:
        super().__init__()
        if not 2 <= levels <= 256:
            raise SemcompError(f"levels={levels} found, expected 2 to 256: a symbol is a byte")
        self.levels, self.gradient = levels, gradient
        self.register_buffer("centres", torch.arange(levels) - (levels - 1) / 2, persistent=False)

    def forward(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Latent of any shape to (quantised, symbols): floats on the centres, long indices 0..L-1."""
        latent = latent.float()
        # NaN has no index; it must reach the loss, which stops training, and not the lookup
        steps = (latent.detach() - self.centres[0]).nan_to_num()
        symbols = steps.round().clamp(0, self.levels - 1).long()
        hard, soft = self.dequantize(symbols), self._differentiable(latent)
        return soft + (hard - soft).detach(), symbols

    def dequantize(self, symbols: Tensor) -> Tensor:
        """The centres that symbols stand for."""
        return self.centres[symbols]

    def assignment(self, latent: Tensor) -> Tensor:
        """Soft assignment of a latent of any shape to the centres, (..., L): the softmax of -(z - c)^2."""
        return (-((latent.unsqueeze(-1) - self.centres) ** 2)).softmax(-1)

    def bound_bits(self, symbols: int) -> float:
        """Bits of this many symbols without an entropy model: symbols * log2 L."""
        return symbols * math.log2(self.levels)

    def _differentiable(self, latent: Tensor) -> Tensor:
        # Values beyond the outer centres get no gradient here, and must not: with Adam, even a tenth of the gradient,
        # whose sign never changes there, drove latents to infinity within 200 steps.
        if self.gradient == "straight_through":
            edge = (self.levels - 1) / 2  # the outermost centre
            return latent.clamp(-edge, edge)
        return (self.assignment(latent) * self.centres).sum(-1)
