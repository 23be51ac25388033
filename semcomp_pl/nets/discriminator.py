"""The discriminator D: PatchGANs at several scales of the image."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semcomp_pl.errors import SemcompError
from semcomp_pl.nets.blocks import Norm, make_norm
from semcomp_pl.nets.labels import boundaries, one_hot

Condition = Literal["none", "labels", "boundaries"]
Features = list[list[Tensor]]
"""Activations of each layer, per scale; the last ones are the map of scores (B, 1, h, w)."""


class PatchGAN(nn.ModuleList):
    """`C64-C128-C256-C512` and one score per patch: 4x4 convolutions, the first three of stride 2, leaky ReLU 0.2.

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
        """(B, inputs, H, W) to the activations of all layers."""
        activations = []
        for layer in self:
            x = layer(x)
            activations.append(x)
        return activations


class Discriminator(nn.Module):
    """PatchGANs at full size, half size, a quarter and so on; the scores of all scales enter the losses.

    Args:
        filters: Width of the first layer (64 in the paper).
        scales: Number of PatchGANs (3 in the paper).
        norm: `instance` (paper) or `channel`.
        condition: What it sees besides the image: `none`; `labels`, the one-hot label map; or `boundaries`, the label
            map and its boundaries.
        num_classes: Number of classes K of the label map.
    """

    def __init__(
        self,
        filters: int = 64,
        scales: int = 3,
        norm: Norm = "instance",
        condition: Condition = "none",
        num_classes: int = 0,
    ) -> None:
        super().__init__()
        self.condition, self.num_classes = condition, num_classes
        inputs = 3 + {"none": 0, "labels": num_classes, "boundaries": num_classes + 1}[condition]
        self.scales = nn.ModuleList(PatchGAN(inputs, filters, norm) for _ in range(scales))

    def forward(self, image: Tensor, label: Tensor | None = None, instance: Tensor | None = None) -> Features:
        """Image (B, 3, H, W) in [0, 1] to the activations of each scale.

        Args:
            image: Images (B, 3, H, W).
            label: Label maps (B, H, W), unless the condition is `none`.
            instance: Instance maps (B, H, W), if available, whose boundaries are added to those of the labels.

        Raises:
            SemcompError: label maps are needed but missing.
        """
        x = self._input(image, label, instance)
        features = []
        for patch_gan in self.scales:
            features.append(patch_gan(x))
            x = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
        return features

    def _input(self, image: Tensor, label: Tensor | None, instance: Tensor | None) -> Tensor:
        """What the finest scale sees, in channels_last memory format, which convolutions need to be fast."""
        parts = [image.contiguous(memory_format=torch.channels_last) * 2 - 1]
        if self.condition != "none":
            if label is None:
                raise SemcompError(
                    "a discriminator that sees label maps found, and data without; choose data with labels"
                )
            parts.append(one_hot(label, self.num_classes))
        if self.condition == "boundaries" and label is not None:
            edges = boundaries(label) | boundaries(label if instance is None else instance)
            parts.append(edges[..., None].permute(0, 3, 1, 2).float())
        return torch.cat(parts, 1)
