"""LayeredCodec: a label map, a thumbnail and generated detail (DSSLIC)."""

import math
from typing import Literal

from torch import Tensor, nn

from semcomp_pl import losses
from semcomp_pl.coding.container import MAX_PIXELS
from semcomp_pl.errors import SemcompError
from semcomp_pl.codecs.neural import TILE
from semcomp_pl.modules.conditional import ConditionalGAN
from semcomp_pl.nets.tables import ThumbnailTables
from semcomp_pl.modules.layered_codec import LayeredFiles
from semcomp_pl.nets.layered import CompNet, FineNet
from semcomp_pl.nets.quantizer import Gradient
from semcomp_pl.nets.trunk import TrunkShape
from semcomp_pl.types import Batch, CodecOutput


class LayeredCodec(ConditionalGAN):
    """x̂ = up(c) + f(s, up(c)), c = Q(E(x, s)): Akbari et al.'s deep semantic segmentation-based layered compression.

        (x, s) --E--> c --8 bits--> thumbnail --bilinear--> up(c) --+-------------(+)--> x̂
        s -----------------------------------------------------------+--f--> detail -^
        (x, s), (x̂, s) --D--> scores

    min E, f: E[(D(x̂, s) - 1)²] + w FM(x, x̂) + λ |x - x̂| + v (1 - SSIM(x, x̂));  min D as of PlainGAN. The absolute
    error is the mean on images scaled to [-1, 1]. s is transmitted at the image's size, c as a picture, without loss
    or at a PSNR, and where wanted x - x̂ as a third layer.

    Source: Akbari et al., ICASSP 2019, https://arxiv.org/abs/1806.03348.

    Args:
        distortion_weight: λ.
        structure_weight: v.
        thumbnail_psnr: Files hold the shortest picture that keeps this PSNR of c, in dB; c without loss if not given.
        residual_quality: Files hold x - x̂ too, as WebP of this quality, 0 to 100; nothing of it if not given.
        downsamplings: The thumbnail's size: 3, 4 or 5 for 1/8, 1/16 or 1/32 a side.
        quantizer_gradient: Of rounding to 8 bits.
        discriminator_scales: Number of the discriminator's scales.
        channels: Of the thumbnail: RGB.
        levels: Of the thumbnail: 8 bits.
        trunk: The paper's networks are the only ones.
        label_map: Always of the image's size.
        entropy_model: Of the thumbnail without loss: tables of what a pixel's neighbours leave open.
        kwargs: As for `ConditionalGAN`.

    Raises:
        SemcompError: a number out of range.
    """

    def __init__(
        self,
        distortion_weight: float = 20.0,
        structure_weight: float = 1.0,
        thumbnail_psnr: float | None = None,
        residual_quality: int | None = None,
        downsamplings: int = 4,
        quantizer_gradient: Gradient = "straight_through",
        discriminator_scales: int = 2,
        channels: Literal[3] = 3,
        levels: Literal[256] = 256,
        trunk: Literal["paper"] = "paper",
        label_map: Literal["full"] = "full",
        entropy_model: Literal["static"] = "static",
        **kwargs: object,
    ) -> None:
        if not 3 <= downsamplings <= 5 or (channels, levels, trunk, label_map) != (3, 256, "paper", "full"):
            raise SemcompError(
                f"downsamplings={downsamplings}, channels={channels}, levels={levels}, trunk={trunk} and "
                f"label_map={label_map} found, expected 3 to 5, 3, 256, paper and full: c is a picture"
            )
        if not 0 <= (residual_quality or 0) <= 100 or math.isnan(thumbnail_psnr or 0):
            raise SemcompError(
                f"residual_quality={residual_quality} and thumbnail_psnr={thumbnail_psnr} found, expected 0 to 100 and "
                "decibels, or null"
            )
        super().__init__(
            distortion_weight=distortion_weight,
            downsamplings=downsamplings,
            quantizer_gradient=quantizer_gradient,
            discriminator_scales=discriminator_scales,
            channels=channels,
            levels=levels,
            trunk=trunk,
            label_map=label_map,
            entropy_model=entropy_model,
            **kwargs,  # type: ignore[arg-type]
        )
        self.structure_weight = structure_weight
        self.thumbnail_psnr, self.residual_quality = thumbnail_psnr, residual_quality
        self.entropy = ThumbnailTables(channels, levels, self.side_channels(), entropy_model)

    def build_encoder(self, shape: TrunkShape) -> nn.Module:
        """CompNet."""
        return CompNet(shape)

    def build_generator(self, shape: TrunkShape) -> nn.Module:
        """FineNet."""
        return FineNet(shape)

    def latent_metric(self) -> None:
        """Its symbols are a picture's pixels."""

    def distortion(self, batch: Batch, out: CodecOutput) -> Tensor:
        """Mean absolute error."""
        return losses.absolute_distortion(out.reconstruction, batch["image"])

    def generator_terms(self, batch: Batch, out: CodecOutput) -> dict[str, Tensor]:
        """PlainGAN's and the structural one, weighted; the range's is zero, because c cannot leave it."""
        structure = losses.structural_dissimilarity(out.reconstruction, batch["image"])
        return {**super().generator_terms(batch, out), "structure": self.structure_weight * structure}

    def bpp_bound(self, height: int, width: int) -> float:
        """As of `CodecModule`: 24 bits a cell, log2(K + 1) a pixel for the labels, and 24 a pixel for a residual."""
        return super().bpp_bound(height, width) + (0 if self.residual_quality is None else 24)

    def reach(self) -> int:
        """As of `CodecModule`: E looks 5 cells far, f 16 N + 20 pixels and the enlargement's one cell."""
        return max(5, math.ceil((16 * int(self.hparams["blocks"]) + 20) / (1 << self.downsamplings)) + 1)

    def make_codec(self, tile: int = TILE, max_pixels: int = MAX_PIXELS) -> LayeredFiles:
        """As of `CodecModule`."""
        return LayeredFiles(self, tile, max_pixels)
