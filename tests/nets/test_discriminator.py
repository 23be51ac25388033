"""The discriminator: three PatchGANs, their layers, and what they see."""

from contextlib import nullcontext
from typing import get_args

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from semcomp_pl.errors import SemcompError
from semcomp_pl.nets.blocks import ChannelNorm
from semcomp_pl.nets.discriminator import Condition, Discriminator
from semcomp_pl.nets.labels import boundaries

CONDITIONS: tuple[Condition, ...] = get_args(Condition)
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
        expected += [("conv", (4, stride, width)), ("norm", "InstanceNorm"), ("leaky", 0.2)]
    expected.append(("conv", (4, 1, 1)))
    with torch.device("meta"):
        discriminator = Discriminator()
    assert [layers(scale) for scale in discriminator.scales] == [expected] * 3


def labels(size: tuple[int, int], seed: int = 0) -> Tensor:
    return torch.randint(5, (2, *size), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("condition", CONDITIONS)
def test_shapes_at_three_scales(condition: Condition) -> None:
    discriminator = Discriminator(4, condition=condition, num_classes=5)
    features = discriminator(torch.rand(2, 3, 64, 128), labels((64, 128)))
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


def test_what_it_sees_beside_the_image() -> None:
    """The same network on an image and maps that were put together here gives the same scores."""
    image, label, instance = torch.rand(2, 3, 32, 48), labels((32, 48)), labels((32, 48), seed=1)
    label[:, :4, :7] = 255
    hot = torch.stack([(label == k).float() for k in range(5)], 1)
    edges = boundaries(label)[:, None].float()
    finer = (boundaries(label) | boundaries(instance))[:, None].float()
    expected: dict[Condition, tuple[list[Tensor], list[Tensor]]] = {
        "none": ([], []),
        "labels": ([hot], [hot]),
        "boundaries": ([hot, edges], [hot, finer]),
    }
    for condition, (alone, with_instances) in expected.items():
        discriminator = Discriminator(4, condition=condition, num_classes=5).eval()
        first = discriminator.scales[0]
        for seen, found in (
            (alone, discriminator(image, label)),
            (with_instances, discriminator(image, label, instance)),
        ):
            scores = first(torch.cat([image * 2 - 1, *seen], 1))[-1]
            torch.testing.assert_close(found[0][-1], scores)


def test_the_label_map_changes_every_scale() -> None:
    discriminator = Discriminator(4, condition="labels", num_classes=5)
    image, label = torch.rand(2, 3, 32, 32), labels((32, 32))
    pairs = zip(discriminator(image, label), discriminator(image, (label + 1) % 5), strict=True)
    assert all((a[-1] != b[-1]).any() for a, b in pairs)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_labels_are_needed_where_they_are_seen(condition: Condition) -> None:
    discriminator = Discriminator(4, condition=condition, num_classes=5)
    with nullcontext() if condition == "none" else pytest.raises(SemcompError, match="choose data with labels"):
        discriminator(torch.rand(1, 3, 32, 32))
