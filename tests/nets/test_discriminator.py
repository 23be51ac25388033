"""The discriminator: three PatchGANs, their layers, and what they see."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from semcomp_pl.nets.blocks import ChannelNorm
from semcomp_pl.nets.discriminator import Discriminator

Layer = tuple[str, object]


def layers(patch_gan: nn.Module) -> list[Layer]:
    """(kind, detail) of every layer in order."""
    found: list[Layer] = []
    for layer in patch_gan.modules():
        if isinstance(layer, nn.Conv2d):
            found.append(("conv", (layer.kernel_size[0], layer.stride[0], layer.out_channels)))
        elif isinstance(layer, nn.LeakyReLU):
            found.append(("leaky", layer.negative_slope))
        elif isinstance(layer, (nn.InstanceNorm2d, ChannelNorm)):
            found.append(("norm", type(layer).__name__))
    return found


def test_paper_layers() -> None:
    """C64-C128-C256-C512 and a score, at each of three scales; no normalisation on the first layer."""
    expected: list[Layer] = [("conv", (4, 2, 64)), ("leaky", 0.2)]
    for width, stride in ((128, 2), (256, 2), (512, 1)):
        expected += [("conv", (4, stride, width)), ("norm", "InstanceNorm2d"), ("leaky", 0.2)]
    expected.append(("conv", (4, 1, 1)))
    with torch.device("meta"):
        discriminator = Discriminator()
    assert [layers(scale) for scale in discriminator.scales] == [expected] * 3


@pytest.mark.parametrize("side_channels", [0, 5])
def test_shapes_at_three_scales(side_channels: int) -> None:
    discriminator = Discriminator(4, side_channels=side_channels)
    condition = torch.rand(2, side_channels, 64, 128) if side_channels else None
    features = discriminator(torch.rand(2, 3, 64, 128), condition)
    assert [len(scale) for scale in features] == [5, 5, 5]
    for factor, scale in zip((1, 2, 4), features, strict=True):
        height, width = 64 // factor, 128 // factor
        for activation, channels in zip(scale[:3], (4, 8, 16), strict=True):
            height, width = height // 2 + 1, width // 2 + 1  # kernel 4, stride 2, padding 2
            assert activation.shape == (2, channels, height, width)
        assert scale[3].shape == (2, 32, height + 1, width + 1)
        assert scale[4].shape == (2, 1, height + 2, width + 2)


def test_coarser_scales_see_the_image_shrunk() -> None:
    """Each scale alone, on an image averaged over 3x3 at every second pixel, gives the same scores."""
    discriminator = Discriminator(4, norm="channel").eval()
    image = torch.rand(1, 3, 32, 32)
    x = image * 2 - 1
    for features, patch_gan in zip(discriminator(image), discriminator.scales, strict=True):
        torch.testing.assert_close(features[-1], patch_gan(x)[-1])
        inside = functional.unfold(x, 3, padding=1, stride=2)
        count = functional.unfold(torch.ones_like(x), 3, padding=1, stride=2)
        side = x.shape[-1] // 2
        x = (inside.view(3, 9, -1).sum(1) / count.view(3, 9, -1).sum(1)).view(1, 3, side, side)


def test_the_condition_changes_every_scale() -> None:
    discriminator = Discriminator(4, side_channels=2)
    image, condition = torch.rand(1, 3, 32, 32), torch.rand(1, 2, 32, 32)
    pairs = zip(discriminator(image, condition), discriminator(image, 1 - condition), strict=True)
    assert all((a[-1] != b[-1]).any() for a, b in pairs)
