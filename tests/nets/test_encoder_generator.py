"""Encoders and generators: sizes, and the paper's layers read back from what was built."""

import itertools
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from semcomp_pl.errors import SemcompError
from semcomp_pl.nets.blocks import ChannelNorm, Norm, ResidualBlock, shuffle_conv
from semcomp_pl.nets.encoder import make_encoder
from semcomp_pl.nets.generator import make_generator
from semcomp_pl.nets.trunk import Trunk, TrunkShape, Upsampling

NORMS = (ChannelNorm, nn.InstanceNorm2d)
CASES = [
    (downsamplings, trunk, norm, upsampling)
    for downsamplings, trunk, norm in itertools.product((2, 3, 4), ("fast", "paper"), ("channel", "instance"))
    for upsampling in (("resize", "transposed") if trunk == "paper" else ("resize",))
]


def leaves(module: nn.Module) -> Iterator[nn.Module]:
    """Layers in order; a residual block counts as one."""
    children = list(module.children())
    if isinstance(module, (ResidualBlock, *NORMS)) or not children:
        yield module
    for child in children if not isinstance(module, (ResidualBlock, *NORMS)) else ():
        yield from leaves(child)


def notation(module: nn.Module) -> list[str]:
    """pix2pixHD notation of every convolution, with `*` where normalisation and ReLU do not both follow it."""
    layers = [layer for layer in leaves(module) if not isinstance(layer, nn.Identity)]
    names: list[str] = []
    enlarged = False
    for i, layer in enumerate(layers):
        after = layers[i + 1 : i + 3]
        whole = len(after) == 2 and isinstance(after[0], NORMS) and isinstance(after[1], nn.ReLU)
        if isinstance(layer, nn.ConvTranspose2d):
            assert layer.stride == (2, 2)
            names.append(f"u{layer.out_channels}" + "*" * (not whole))
        elif isinstance(layer, nn.Conv2d):
            (kernel, wide), (stride, across) = layer.kernel_size, layer.stride
            assert (kernel, stride) == (wide, across)
            assert layer.padding_mode == "reflect"
            plain = (
                f"d{layer.out_channels}" if (kernel, stride) == (3, 2) else f"c{kernel}s{stride}-{layer.out_channels}"
            )
            names.append((f"u{layer.out_channels}" if enlarged else plain) + "*" * (not whole))
        elif isinstance(layer, ResidualBlock):
            first, second = (c for c in layer.modules() if isinstance(c, nn.Conv2d))
            assert first.kernel_size == second.kernel_size == (3, 3)
            names.append(f"R{first.in_channels}")
        enlarged = isinstance(layer, nn.Upsample)
    return names


def forward(shape: TrunkShape, image: Tensor, side: Tensor | None = None) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        latent = make_encoder(shape).eval()(image, side)
        return latent, make_generator(shape).eval()(latent, side)


@pytest.mark.parametrize(("downsamplings", "trunk", "norm", "upsampling"), CASES)
def test_latent_and_image_sizes(downsamplings: int, trunk: Trunk, norm: Norm, upsampling: Upsampling) -> None:
    shape = TrunkShape(4, 1, 3, downsamplings, trunk, norm, upsampling, side_channels=2)
    latent, image = forward(shape, torch.randn(2, 3, 32, 64), torch.rand(2, 2, 32, 64))
    assert latent.shape == (2, 3, 32 // 2**downsamplings, 64 // 2**downsamplings)
    assert image.shape == (2, 3, 32, 64)
    assert image.min() >= 0
    assert image.max() <= 1


@pytest.mark.parametrize("upsampling", ["transposed", "resize"])
def test_paper_layers(upsampling: Upsampling) -> None:
    """The appendix of Agustsson et al., with nothing after the bottleneck and only tanh after the image."""
    shape = TrunkShape(60, 9, 8, 4, "paper", "instance", upsampling)
    with torch.device("meta"):  # 158 million parameters
        encoder, generator = make_encoder(shape), make_generator(shape)
    assert notation(encoder) == ["c7s1-60", "d120", "d240", "d480", "d960", "c3s1-8*"]
    assert notation(generator) == ["c3s1-960", *["R960"] * 9, "u480", "u240", "u120", "u60", "c7s1-3*"]


def test_paper_residual_block_is_normalised_and_not_activated_after_its_sum() -> None:
    block = ResidualBlock(4, "instance")
    kinds = [type(layer).__name__ for layer in block.body.modules() if not list(layer.children())]
    assert kinds == ["Conv2d", "InstanceNorm", "ReLU", "Conv2d", "InstanceNorm"]
    x = torch.randn(2, 4, 6, 6)
    torch.testing.assert_close(block(x) - x, block.body(x))


@pytest.mark.parametrize("trunk", ["fast", "paper"])
def test_bottleneck_and_output_end_in_a_bare_convolution(trunk: Trunk) -> None:
    shape = TrunkShape(4, 1, 3, 2, trunk)
    *_, bottleneck = leaves(make_encoder(shape))
    assert isinstance(bottleneck, nn.Conv2d)
    tail = [layer for layer in leaves(make_generator(shape)) if not isinstance(layer, nn.PixelShuffle)]
    assert isinstance(tail[-1], nn.Conv2d)


@pytest.mark.parametrize("trunk", ["fast", "paper"])
def test_a_shift_of_the_bottleneck_bias_shifts_the_latent(trunk: Trunk) -> None:
    """Any value can reach the quantiser, whatever the image: no normalisation and no ReLU is in the way."""
    encoder = make_encoder(TrunkShape(4, 1, 3, 2, trunk)).eval()
    image = torch.randn(1, 3, 16, 16)
    *_, bottleneck = leaves(encoder)
    with torch.no_grad():
        before = encoder(image)
        bottleneck.get_parameter("bias").sub_(7)
        torch.testing.assert_close(encoder(image), before - 7)


@pytest.mark.parametrize("trunk", ["fast", "paper"])
def test_generator_output_is_tanh_mapped_to_unit_range(trunk: Trunk) -> None:
    generator = make_generator(TrunkShape(4, 1, 3, 2, trunk)).eval()
    latent = torch.randn(1, 3, 4, 4)
    torch.testing.assert_close(generator(latent), generator.body(latent).tanh() / 2 + 0.5)


def test_channel_norm_equals_layer_norm() -> None:
    norm = ChannelNorm(5)
    nn.init.normal_(norm.norm.weight)
    nn.init.normal_(norm.norm.bias)
    x = torch.randn(2, 5, 6, 7)
    expected = torch.stack(
        [
            torch.stack([functional.layer_norm(x[..., i, j], (5,), norm.norm.weight, norm.norm.bias) for j in range(7)])
            for i in range(6)
        ]
    )
    torch.testing.assert_close(norm(x), expected.permute(2, 3, 0, 1), rtol=1e-6, atol=1e-6)


def test_channel_norm_makes_codecs_independent_of_the_image_size() -> None:
    """Cells far from the seam are the same in a crop; under instance normalisation they are not."""
    image = torch.randn(1, 3, 32, 256)
    for norm, same in (("channel", True), ("instance", False)):
        encoder = make_encoder(TrunkShape(4, 1, 3, 2, "fast", norm)).eval()  # type: ignore[arg-type]
        with torch.no_grad():
            whole, crop = encoder(image)[..., :24], encoder(image[..., :128])[..., :24]
        assert torch.allclose(whole, crop, atol=1e-5) is same


def test_side_information_reaches_latent_and_image() -> None:
    shape = TrunkShape(4, 1, 3, 2, side_channels=2)
    torch.manual_seed(0)
    encoder, generator = make_encoder(shape), make_generator(shape)
    image, side = torch.randn(1, 3, 16, 16), torch.rand(1, 2, 16, 16)
    with torch.no_grad():
        latent = encoder(image, side)
        assert (latent != encoder(image, 1 - side)).any()
        assert (generator(latent, side) != generator(latent, 1 - side)).any()


@pytest.mark.parametrize(
    "wrong",
    [{"filters": 0}, {"blocks": -1}, {"channels": 0}, {"downsamplings": 1}, {"downsamplings": 0, "trunk": "paper"}],
)
def test_impossible_shapes_are_refused_by_name(wrong: dict[str, int]) -> None:
    with pytest.raises(SemcompError, match=f"{next(iter(wrong))}=-?\\d found, expected at least"):
        TrunkShape(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("factor", [2, 4])
def test_pixels_of_a_shuffled_cell_start_equal(factor: int) -> None:
    grown = shuffle_conv(5, 3, 3, factor)(torch.randn(2, 5, 6, 7))
    assert grown.shape == (2, 3, 6 * factor, 7 * factor)
    cells = grown.unfold(2, factor, factor).unfold(3, factor, factor).flatten(4)
    torch.testing.assert_close(cells, cells[..., :1].expand_as(cells))
    assert cells[..., 0].std() > 0.1
