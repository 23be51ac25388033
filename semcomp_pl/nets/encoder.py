"""Encoders E: image to latent."""

import itertools

import torch
from torch import Tensor, nn

from semcomp_pl.nets.blocks import ConvBlock, PreNormBlock, resize_to
from semcomp_pl.nets.trunk import TrunkShape


class Encoder(nn.Module):
    """An entrance, whose output is joined by any label map, and a body that ends in the latent.

    The bottleneck has neither normalisation nor activation, so that all quantisation centres can be reached.
    """

    def __init__(self, entrance: nn.Module, body: nn.Module) -> None:
        super().__init__()
        self.entrance, self.body = entrance, body

    def forward(self, image: Tensor, side: Tensor | None = None) -> Tensor:
        """Normalised image (B, 3, H, W) and one-hot label map (B, K, H, W) to the latent (B, C, H/2^d, W/2^d)."""
        x = self.entrance(image)
        if side is not None:
            x = torch.cat([x, resize_to(side, x)], 1)
        latent: Tensor = self.body(x)
        return latent


def make_encoder(shape: TrunkShape) -> Encoder:
    """The encoder of a trunk."""
    return _paper(shape) if shape.trunk == "paper" else _fast(shape)


def _paper(shape: TrunkShape) -> Encoder:
    """`c7s1-F, d2F, ..., d(2^d F), c3s1-C`; with F = 60, d = 4: c7s1-60,d120,d240,d480,d960,c3s1-C.

    Source: Agustsson et al., https://arxiv.org/abs/1804.02958, appendix.
    """
    bottleneck = nn.Conv2d(shape.widths[-1], shape.channels, 3, padding=1, padding_mode="reflect")
    return Encoder(nn.Identity(), nn.Sequential(*paper_stages(shape, 3 + shape.side_channels), bottleneck))


def _fast(shape: TrunkShape) -> Encoder:
    """Space-to-depth by 4, then one residual block per stage, each of half the size of the one before."""
    stages = fast_stages(shape, 48 + shape.side_channels)
    bottleneck = nn.Conv2d(shape.widths[-1], shape.channels, 3, padding=1)
    return Encoder(nn.PixelUnshuffle(4), nn.Sequential(*stages, bottleneck))


def paper_stages(shape: TrunkShape, inputs: int) -> list[nn.Module]:
    """`c7s1-F, d2F, ..., d(2^d F)`: (B, inputs, H, W) to (B, 2^d F, H/2^d, W/2^d)."""
    widths = shape.widths
    halvings = [ConvBlock(a, b, 3, shape.norm, stride=2) for a, b in itertools.pairwise(widths)]
    return [ConvBlock(inputs, widths[0], 7, shape.norm), *halvings]


def fast_stages(shape: TrunkShape, inputs: int) -> list[nn.Module]:
    """A residual block per stage, after space-to-depth by 4: (B, inputs, H/4, W/4) to (B, widths[-1], H/2^d, W/2^d)."""
    widths = shape.widths
    layers: list[nn.Module] = [nn.Conv2d(inputs, widths[0], 3, padding=1), PreNormBlock(widths[0], shape.norm)]
    for a, b in itertools.pairwise(widths):
        layers += [nn.Conv2d(a, b, 3, stride=2, padding=1), PreNormBlock(b, shape.norm)]
    return layers
