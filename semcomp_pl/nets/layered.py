"""A codec in layers: CompNet makes a thumbnail, FineNet adds detail to its enlargement.

Source: Akbari et al., https://arxiv.org/abs/1806.03348.
"""

import itertools
import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semcomp_pl.coding.section import SectionCoder
from semcomp_pl.coding.sections import ResidualSection, ThumbnailSection
from semcomp_pl.errors import SemcompError
from semcomp_pl.nets.blocks import ConvBlock, ResidualBlock, upsample_block
from semcomp_pl.nets.codec import CodecShape, ConditionalNet, LabelMap
from semcomp_pl.nets.tables import EntropyModel, ThumbnailTables
from semcomp_pl.nets.trunk import Trunk, TrunkShape

STAGES = 3
"""Number of times that FineNet halves its input, whatever the size of the thumbnail."""


@dataclass(frozen=True, kw_only=True)
class LayeredShape(CodecShape):
    """A `CodecShape` with the parameters of a file's layers.

    Args:
        thumbnail_psnr: PSNR of c in dB: files hold the shortest picture that reaches it. If not given, c is lossless.
        residual_quality: WebP quality, 0 to 100, of the residual x - x̂ in files. If not given, files hold no residual.
        label_map: Form in which s is sent and FineNet sees it.
    """

    channels: int = field(default=3, init=False)
    levels: int = field(default=256, init=False)
    trunk: Trunk = field(default="paper", init=False)
    entropy_model: EntropyModel = field(default="static", init=False)
    label_map: LabelMap = "full"
    thumbnail_psnr: float | None = None
    residual_quality: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 3 <= self.downsamplings <= 5:
            raise SemcompError(f"downsamplings={self.downsamplings} found, expected 3 to 5: c is a picture")
        if not 0 <= (self.residual_quality or 0) <= 100 or math.isnan(self.thumbnail_psnr or 0):
            raise SemcompError(
                f"residual_quality={self.residual_quality} and thumbnail_psnr={self.thumbnail_psnr} found, expected 0 "
                "to 100 and decibels, or null"
            )


class LayeredNet(ConditionalNet):
    """x̂ = up(c) + f(s, up(c)) with c = Q(E(x, s)); c is sent as a picture, s at the image's size or on its grid."""

    shape_type = LayeredShape
    options = ("thumbnail_psnr", "residual_quality")
    shape: LayeredShape

    @property
    def symbols_are_code(self) -> bool:
        """False: they are the pixels of a picture."""
        return False

    @property
    def reach(self) -> int:
        """E sees 5 cells far, f 16 N + 20 pixels and one more cell through the enlargement."""
        return max(5, math.ceil((16 * self.shape.blocks + 20) / self.grid.step) + 1)

    def build_encoder(self, trunk: TrunkShape) -> nn.Module:
        """Build CompNet."""
        return CompNet(trunk)

    def build_generator(self, trunk: TrunkShape) -> nn.Module:
        """Build FineNet."""
        return FineNet(trunk)

    def build_tables(self) -> ThumbnailTables:
        """Build the tables of the differences between pixels and their predictions."""
        shape = self.shape
        return ThumbnailTables(shape.channels, shape.levels, self.side_channels, shape.entropy_model)

    def sections(self) -> list[SectionCoder]:
        """The coders of label map, thumbnail and optional residual."""
        labels = self.label_section()
        assert labels is not None
        thumbnail = ThumbnailSection(self.entropy.latent_coder(), self.grid, self.shape.thumbnail_psnr)
        return [labels, thumbnail, ResidualSection(self.shape.residual_quality)]

    def bpp_bound(self, height: int, width: int) -> float:
        """24 bits per cell, log2(K + 1) per label sent, and 24 per pixel for any residual."""
        return super().bpp_bound(height, width) + (0 if self.shape.residual_quality is None else 24)


class CompNet(nn.Module):
    """`c7s1-F, d2F, d4F, d8F, c7s1-3`: one stage per halving, further stages keeping the width 8F.

    It ends in tanh times 127.5, the range of 256 centres spaced by 1, so that each centre is an 8-bit value.
    """

    def __init__(self, shape: TrunkShape) -> None:
        super().__init__()
        widths = [min(width, 8 * shape.filters) for width in shape.widths]
        layers: list[nn.Module] = [ConvBlock(3 + shape.side_channels, widths[0], 7, shape.norm)]
        layers += [ConvBlock(a, b, 3, shape.norm, stride=2) for a, b in itertools.pairwise(widths)]
        # a thumbnail may have too few cells for a reflected border of 3
        layers.append(nn.Conv2d(widths[-1], 3, 7, padding=3, padding_mode="replicate"))
        self.body = nn.Sequential(*layers)

    def forward(self, image: Tensor, side: Tensor | None = None) -> Tensor:
        """Normalised image (B, 3, H, W) and label map (B, K, H, W) to (B, 3, H/2^d, W/2^d) in -127.5..127.5."""
        x = image if side is None else torch.cat([image, side], 1)
        # in float32: bfloat16 has too few steps for 8-bit values
        return 127.5 * torch.tanh(self.body(x).float())


class FineNet(nn.Module):
    """up(c) + f(s, up(c)), f pix2pixHD's global generator: `c7s1-F, d2F, d4F, d8F, N x R8F, u4F, u2F, uF, c7s1-3`.

    Inside, images are scaled to [-1, 1], the range of f's tanh.
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
        """Thumbnail (B, 3, h, w) and label map, one-hot at the image's or thumbnail's size, to an image in [0, 1].

        In training values may leave the range, as clipping would leave them without a gradient back.
        """
        image = self.enlarge(quantized) + self.detail(quantized, side) / 2
        return image if self.training else image.clamp(0, 1)

    def enlarge(self, quantized: Tensor) -> Tensor:
        """up(c): the thumbnail at the image's size, bilinear, in [0, 1]."""
        pixels = quantized.float() / 255 + 0.5
        return F.interpolate(pixels, scale_factor=self.factor, mode="bilinear", align_corners=False)

    def detail(self, quantized: Tensor, side: Tensor | None = None) -> Tensor:
        """f(s, up(c)), in [-1, 1] and on that scale; a label map on the grid is enlarged to the image's size."""
        base = 2 * self.enlarge(quantized) - 1
        if side is None:
            return torch.tanh(self.body(base).float())
        labels = side if side.shape[2:] == base.shape[2:] else F.interpolate(side, scale_factor=self.factor)
        return torch.tanh(self.body(torch.cat([labels, base], 1)).float())
