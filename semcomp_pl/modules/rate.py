"""Entropy-aware training: what an image's symbols cost under an entropy model that learns beside the encoder."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semcomp_pl.coding.context import neutral
from semcomp_pl.nets.context import ContextNet

LEARNING_RATE, BETAS = 5e-3, (0.9, 0.99)
"""Adam's for a context network; chosen by hand."""


class EstimatedRate(nn.Module):
    """R = Σ -log2 p(s | context of s) over an image's symbols s, under a `ContextNet` p.

    R itself has no gradient to the latent z, as s is the index of the centre nearest to it. The expected cost of a
    symbol has one, if level l is drawn with the quantiser's soft assignment q_l(z) = softmax_l(-(z - c_l)²):

        dR/dz = Σ_l dq_l(z)/dz · (-log2 p(l | context of s))

    So a symbol moves to where neighbours make it cheap. What it does to its neighbours' probabilities has no gradient:
    contexts are symbols, not latents. p itself learns from R, as files hold s and nothing soft.

    Source: Ballé et al., https://arxiv.org/abs/1611.01704 (rate under a learned entropy model as a term of the loss);
    Mentzer et al., https://arxiv.org/abs/1801.04260 (soft assignment, and a context model that learns beside it).

    Args:
        channels: Number of channels C of the latent.
        levels: Number of levels L of the quantiser.
        classes: Number of classes K of the label map that the decoder also knows; 0 for none.
    """

    def __init__(self, channels: int, levels: int, classes: int) -> None:
        super().__init__()
        self.net = ContextNet(channels, levels, classes)

    def forward(
        self, symbols: Tensor, assignment: Tensor, label: Tensor | None = None, keep: Tensor | None = None
    ) -> Tensor:
        """Bits (B,) of symbols (B, C, h, w).

        Args:
            symbols: Long, 0..L-1.
            assignment: Soft assignment q of the latent, (B, C, h, w, L).
            label: Label maps (B, h, w), if p knows these.
            keep: Cells (B, h, w), bool, whose symbols are sent; all if not given.
        """
        if keep is not None:
            symbols = symbols.where(keep[:, None], neutral(self.net.levels))  # as in files
        with torch.autocast(symbols.device.type, enabled=False):  # bits are sums of thousands of small terms
            logits: Tensor = self.net(symbols, label)
            hard = F.cross_entropy(logits, symbols, reduction="none")
            costs = -logits.detach().log_softmax(1)
            soft = (assignment.movedim(-1, 1) * costs).sum(1)
            nats = hard + (soft - soft.detach())
        sent = nats if keep is None else nats * keep[:, None]
        return sent.sum((1, 2, 3)) / math.log(2)

    def parameter_group(self) -> dict[str, Any]:
        """Parameters and options of p in the codec's optimiser."""
        # its gradients are proportional to the rate's weight; Adam makes up for that as far as they exceed this epsilon
        return {"params": [*self.parameters()], "lr": LEARNING_RATE, "betas": BETAS, "eps": 1e-15}
