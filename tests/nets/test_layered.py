"""CompNet and FineNet: shapes, ranges, and the equation that they are made for."""

import pytest
import torch
from torch import nn

from semcomp_pl.nets.layered import CompNet, FineNet
from semcomp_pl.nets.trunk import TrunkShape


def shape(d: int = 4, filters: int = 4, blocks: int = 1) -> TrunkShape:
    return TrunkShape(filters, blocks, 3, d, "paper", side_channels=5)


def test_layers_of_the_paper() -> None:
    comp = [m for m in CompNet(shape(3, 64, 9)).modules() if isinstance(m, nn.Conv2d)]
    assert [(m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0]) for m in comp] == [
        (8, 64, 7, 1),
        (64, 128, 3, 2),
        (128, 256, 3, 2),
        (256, 512, 3, 2),
        (512, 3, 7, 1),
    ]
    fine = [m for m in FineNet(shape(3, 64, 9)).modules() if isinstance(m, nn.Conv2d)]
    widths = [64, 128, 256, 512, *[512] * 18, 256, 128, 64, 3]
    assert [m.out_channels for m in fine] == widths


@pytest.mark.parametrize("d", [3, 4, 5])
def test_thumbnails_have_their_size_and_reach_every_8_bit_value(d: int) -> None:
    net = CompNet(shape(d))
    side = torch.rand(2, 5, 64, 96)
    latent = net(torch.rand(2, 3, 64, 96), side)
    assert latent.shape == (2, 3, 64 >> d, 96 >> d)
    list(net.body)[-1].bias.data.fill_(1e4)  # type: ignore[operator]
    assert net(torch.rand(2, 3, 64, 96), side).max() == 127.5
    assert latent.abs().max() <= 127.5


@pytest.mark.parametrize("d", [3, 4, 5])
def test_the_image_is_the_enlarged_thumbnail_and_bounded_detail(d: int) -> None:
    torch.manual_seed(0)
    net = FineNet(shape(d)).train()
    symbols = torch.randint(256, (2, 3, 4, 6))
    quantized, side = symbols - 127.5, torch.rand(2, 5, 4 << d, 6 << d)
    image = net(quantized, side)
    enlarged = nn.Upsample(scale_factor=2**d, mode="bilinear")(symbols / 255)
    torch.testing.assert_close(net.enlarge(quantized), enlarged, atol=1e-6, rtol=0)
    detail = net.detail(quantized, side)
    assert 0 < detail.abs().max() <= 1
    # on the scale of [-1, 1]: x̂ = up(c) + f(s, up(c))
    torch.testing.assert_close((2 * image - 1) - (2 * enlarged - 1), detail, atol=1e-5, rtol=0)
    assert torch.equal(net.eval()(quantized, side), image.clamp(0, 1))
    assert not torch.equal(net.detail(quantized, side.flip(1)), detail)


def test_no_detail_leaves_the_enlargement() -> None:
    net = FineNet(shape()).eval()
    for parameter in list(net.body)[-1].parameters():
        parameter.data.zero_()
    quantized = torch.rand(1, 3, 2, 3) * 255 - 127.5
    assert torch.equal(net(quantized, torch.rand(1, 5, 32, 48)), net.enlarge(quantized))
