"""Generators G: quantised latent to image."""

import itertools

import torch
from torch import Tensor, nn

from semcomp_pl.nets.blocks import ConvBlock, PreNormBlock, ResidualBlock, resize_to, shuffle_conv, upsample_block
from semcomp_pl.nets.trunk import TrunkShape


class Generator(nn.Module):
    """A body that ends in a convolution to 3 channels, then tanh, scaled to [0, 1]."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, quantized: Tensor, side: Tensor | None = None) -> Tensor:
        """Latent (B, C, h, w) and one-hot label map (B, K, h, w) to an image (B, 3, 2^d h, 2^d w), range [0, 1]."""
        if side is not None:
            quantized = torch.cat([quantized, resize_to(side, quantized)], 1)
        # in float32: bfloat16 has too few steps near 1 for an 8-bit image
        return (torch.tanh(self.body(quantized).float()) + 1) / 2


def make_generator(shape: TrunkShape) -> Generator:
    """The generator of a trunk."""
    return _paper(shape) if shape.trunk == "paper" else _fast(shape)


def _paper(shape: TrunkShape) -> Generator:
    """`c3s1-(2^d F), N x R(2^d F), u..., uF, c7s1-3`.

    With F = 60, N = 9, d = 4: c3s1-960, 9 x R960, u480, u240, u120, u60, c7s1-3.
    Source: Agustsson et al., https://arxiv.org/abs/1804.02958, appendix.
    """
    widths = shape.widths[::-1]
    layers: list[nn.Module] = [ConvBlock(shape.channels + shape.side_channels, widths[0], 3, shape.norm)]
    layers += [ResidualBlock(widths[0], shape.norm) for _ in range(shape.blocks)]
    layers += [upsample_block(a, b, shape.norm, shape.upsampling) for a, b in itertools.pairwise(widths)]
    return Generator(nn.Sequential(*layers, nn.Conv2d(widths[-1], 3, 7, padding=3, padding_mode="reflect")))


def _fast(shape: TrunkShape) -> Generator:
    """N residual blocks at the coarsest stage, one at each finer stage; pixel shuffle between stages, and by 4 last."""
    widths = shape.widths[::-1]
    layers: list[nn.Module] = [nn.Conv2d(shape.channels + shape.side_channels, widths[0], 3, padding=1)]
    layers += [PreNormBlock(widths[0], shape.norm) for _ in range(shape.blocks)]
    for a, b in itertools.pairwise(widths):
        layers += [*shuffle_conv(a, b, 1, 2), PreNormBlock(b, shape.norm)]
    return Generator(nn.Sequential(*layers, *shuffle_conv(widths[-1], 3, 3, 4)))
