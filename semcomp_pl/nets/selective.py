"""What SelectiveGAN adds around a trunk: a network for the label map, and the way of the symbols to meet it."""

import itertools
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semcomp_pl.nets.blocks import ConvBlock, PreNormBlock
from semcomp_pl.nets.encoder import fast_stages, paper_stages
from semcomp_pl.nets.generator import Generator, make_generator
from semcomp_pl.nets.trunk import TrunkShape

DEPTH = 4
"""Halvings between the image and the grid that the generator starts from."""


class SelectiveGenerator(Generator):
    """A generator of the decoded latent and of a network's view of the label map, side by side on its grid.

        latent, 0 where it was not sent --join--+
        one-hot label map --labels--------------+--body--> image

    Source: Agustsson et al., https://arxiv.org/abs/1804.02958, appendix (SC).
    """

    def __init__(self, body: nn.Module, join: nn.Module, labels: nn.Module, step: int) -> None:
        super().__init__(body)
        self.join, self.labels, self.step = join, labels, step

    def forward(self, quantized: Tensor, side: Tensor | None = None) -> Tensor:
        """Latent (B, C, h, w) and one-hot label map (B, K, H, W) or (B, K, h, w) to an image (B, 3, H, W)."""
        assert side is not None
        height, width = (self.step * size for size in quantized.shape[-2:])
        if side.shape[-2:] != (height, width):
            side = F.interpolate(side, (height, width), mode="nearest")
        return super().forward(torch.cat([self.join(quantized), self.labels(side)], 1))


def make_selective_generator(shape: TrunkShape) -> SelectiveGenerator:
    """The generator of a trunk whose `side_channels` classes go through a network of their own.

    Paper: `c7s1-F, d2F, ..., d16F` for the label map; `c3s1-8F, d16F` for a latent at an eighth of the image,
    `c3s1-16F` for one at a sixteenth. Fast: the encoder's stages; a latent at a sixteenth joins as it is.
    """
    deep = replace(shape, downsamplings=max(DEPTH, shape.downsamplings))
    classes, width = shape.side_channels, deep.widths[-1]
    stages = paper_stages(deep, classes) if shape.trunk == "paper" else fast_stages(deep, 16 * classes)
    entrance = [] if shape.trunk == "paper" else [nn.PixelUnshuffle(4)]
    join, joined = (_paper_join if shape.trunk == "paper" else _fast_join)(shape, deep)
    body = make_generator(replace(deep, channels=joined + width, side_channels=0)).body
    return SelectiveGenerator(body, join, nn.Sequential(*entrance, *stages), 1 << shape.downsamplings)


def _paper_join(shape: TrunkShape, deep: TrunkShape) -> tuple[nn.Module, int]:
    widths = deep.widths[shape.downsamplings :]
    layers: list[nn.Module] = [ConvBlock(shape.channels, widths[0], 3, shape.norm)]
    layers += [ConvBlock(a, b, 3, shape.norm, stride=2) for a, b in itertools.pairwise(widths)]
    return nn.Sequential(*layers), widths[-1]


def _fast_join(shape: TrunkShape, deep: TrunkShape) -> tuple[nn.Module, int]:
    if deep.downsamplings == shape.downsamplings:
        return nn.Identity(), shape.channels
    widths = deep.widths[shape.downsamplings - 2 :]
    layers: list[nn.Module] = [nn.Conv2d(shape.channels, widths[0], 3, padding=1)]
    for a, b in itertools.pairwise(widths):
        layers += [PreNormBlock(a, shape.norm), nn.Conv2d(a, b, 3, stride=2, padding=1)]
    return nn.Sequential(*layers), widths[-1]
