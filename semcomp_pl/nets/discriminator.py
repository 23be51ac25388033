"""The discriminator D: PatchGANs at several scales of the image."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semcomp_pl.nets.blocks import Norm, make_norm

Features = list[list[Tensor]]
"""Per scale the activations of each layer, the last being the map of scores (B, 1, h, w)."""


class PatchGAN(nn.ModuleList):
    """`C64-C128-C256-C512` and a score a patch: 4x4 convolutions, the first three of stride 2, leaky ReLU 0.2.

    Source: Isola et al., https://arxiv.org/abs/1611.07004; Wang et al., https://arxiv.org/abs/1711.11585.
    """

    def __init__(self, inputs: int, filters: int, norm: Norm) -> None:
        super().__init__()
        widths = [filters, 2 * filters, 4 * filters, 8 * filters]
        for stage, width in enumerate(widths):
            convolution = nn.Conv2d(inputs, width, 4, stride=2 if stage < 3 else 1, padding=2)
            middle = [make_norm(norm, width)] if stage else []
            self.append(nn.Sequential(convolution, *middle, nn.LeakyReLU(0.2)))
            inputs = width
        self.append(nn.Conv2d(inputs, 1, 4, padding=2))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, inputs, H, W) to the activations of every layer."""
        activations = []
        for layer in self:
            x = layer(x)
            activations.append(x)
        return activations


class Discriminator(nn.Module):
    """A PatchGAN at full size, one at half, one at a quarter: each scale's scores enter every loss.

    Args:
        filters: Width of the first layer (64 in the paper).
        scales: Number of PatchGANs (3 in the paper).
        norm: `instance` (paper) or `channel`.
        side_channels: Channels of the one-hot label map seen beside the image; 0 for none.
    """

    def __init__(self, filters: int = 64, scales: int = 3, norm: Norm = "instance", side_channels: int = 0) -> None:
        super().__init__()
        self.scales = nn.ModuleList(PatchGAN(3 + side_channels, filters, norm) for _ in range(scales))

    def forward(self, image: Tensor, condition: Tensor | None = None) -> Features:
        """Image (B, 3, H, W) in [0, 1], condition (B, K, H, W), to the activations of each scale."""
        x = image * 2 - 1
        if condition is not None:
            x = torch.cat([x, condition], 1)
        features = []
        for patch_gan in self.scales:
            features.append(patch_gan(x))
            x = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
        return features
