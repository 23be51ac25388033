"""The networks of a layered codec: CompNet makes a thumbnail, FineNet adds detail to its enlargement.

Source: Akbari et al., https://arxiv.org/abs/1806.03348.
"""

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semcomp_pl.nets.blocks import ConvBlock, ResidualBlock, upsample_block
from semcomp_pl.nets.trunk import TrunkShape

STAGES = 3
"""Halvings of FineNet, whatever the size of the thumbnail."""


class CompNet(nn.Module):
    """`c7s1-F, d2F, d4F, d8F, c7s1-3`, a stage a halving: further ones keep the width 8F.

    It ends in tanh times 127.5: the reach of 256 centres one apart, so that a centre is an 8-bit value.
    """

    def __init__(self, shape: TrunkShape) -> None:
        super().__init__()
        widths = [min(width, 8 * shape.filters) for width in shape.widths]
        layers: list[nn.Module] = [ConvBlock(3 + shape.side_channels, widths[0], 7, shape.norm)]
        layers += [ConvBlock(a, b, 3, shape.norm, stride=2) for a, b in itertools.pairwise(widths)]
        # a thumbnail may have fewer cells than a mirrored border of 3 needs
        layers.append(nn.Conv2d(widths[-1], 3, 7, padding=3, padding_mode="replicate"))
        self.body = nn.Sequential(*layers)

    def forward(self, image: Tensor, side: Tensor | None = None) -> Tensor:
        """Normalised image (B, 3, H, W) and label map (B, K, H, W) to (B, 3, H/2^d, W/2^d), -127.5 to 127.5."""
        x = image if side is None else torch.cat([image, side], 1)
        # float: bfloat16 has too few steps for 8-bit values
        return 127.5 * torch.tanh(self.body(x).float())


class FineNet(nn.Module):
    """up(c) + f(s, up(c)), f pix2pixHD's global generator: `c7s1-F, d2F, d4F, d8F, N x R8F, u4F, u2F, uF, c7s1-3`.

    Values are taken to be in [-1, 1], as f's tanh is.
    """

    def __init__(self, shape: TrunkShape) -> None:
        super().__init__()
        self.factor = 1 << shape.downsamplings
        widths = [shape.filters << stage for stage in range(STAGES + 1)]
        layers: list[nn.Module] = [ConvBlock(3 + shape.side_channels, widths[0], 7, shape.norm)]
        layers += [ConvBlock(a, b, 3, shape.norm, stride=2) for a, b in itertools.pairwise(widths)]
        layers += [ResidualBlock(widths[-1], shape.norm) for _ in range(shape.blocks)]
        layers += [upsample_block(a, b, shape.norm, shape.upsampling) for a, b in itertools.pairwise(widths[::-1])]
        layers.append(nn.Conv2d(widths[0], 3, 7, padding=3, padding_mode="reflect"))
        self.body = nn.Sequential(*layers)

    def forward(self, quantized: Tensor, side: Tensor | None = None) -> Tensor:
        """Thumbnail on its centres (B, 3, h, w) and label map (B, K, H, W) to an image (B, 3, H, W), range [0, 1].

        In training it may leave the range: where it were cut off, no gradient would lead back.
        """
        image = self.enlarge(quantized) + self.detail(quantized, side) / 2
        return image if self.training else image.clamp(0, 1)

    def enlarge(self, quantized: Tensor) -> Tensor:
        """up(c): the thumbnail at the image's size, bilinear, in [0, 1]."""
        pixels = quantized.float() / 255 + 0.5
        return F.interpolate(pixels, scale_factor=self.factor, mode="bilinear", align_corners=False)

    def detail(self, quantized: Tensor, side: Tensor | None = None) -> Tensor:
        """f(s, up(c)), in [-1, 1] and on that scale."""
        base = 2 * self.enlarge(quantized) - 1
        return torch.tanh(self.body(base if side is None else torch.cat([side, base], 1)).float())
