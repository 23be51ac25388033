"""LayeredCodec: a label map, a thumbnail and generated detail (DSSLIC)."""

from typing import Literal

from torch import Tensor

from semcomp_pl import losses
from semcomp_pl.errors import SemcompError
from semcomp_pl.modules.labelled import LabelledGAN
from semcomp_pl.nets.layered import LayeredNet
from semcomp_pl.nets.quantizer import Gradient
from semcomp_pl.types import Batch, CodecOutput


class LayeredCodec(LabelledGAN):
    """x̂ = up(c) + f(s, up(c)), c = Q(E(x, s)): Akbari et al.'s deep semantic segmentation-based layered compression.

        (x, s) --E--> c --8 bits--> thumbnail --bilinear--> up(c) --+-------------(+)--> x̂
        s -----------------------------------------------------------+--f--> detail -^
        (x, s), (x̂, s) --D--> scores

    min E, f: E[(D(x̂, s) - 1)²] + w FM(x, x̂) + λ |x - x̂| + v (1 - SSIM(x, x̂));  min D as for PlainGAN. The absolute
    error is the mean on images scaled to [-1, 1]. s is transmitted at the image's size, c as a picture, without loss
    or at a PSNR, and where wanted x - x̂ as a third layer.

    Source: Akbari et al., ICASSP 2019, https://arxiv.org/abs/1806.03348.

    Args:
        distortion_weight: λ.
        structure_weight: v.
        thumbnail_psnr: Files hold the shortest picture that keeps this PSNR of c, in dB; c without loss if not given.
        residual_quality: Files hold x - x̂ too, as WebP of this quality, 0 to 100; nothing of it if not given.
        downsamplings: The thumbnail's size: 3, 4 or 5 for 1/8, 1/16 or 1/32 of each side.
        quantizer_gradient: How gradients pass the rounding to 8 bits.
        discriminator_scales: Number of the discriminator's scales.
        trunk: The paper's networks are the only ones.
        kwargs: As for `LabelledGAN`. The thumbnail is an RGB picture of 8 bits.

    Raises:
        SemcompError: a number out of range.
    """

    net_type = LayeredNet
    fixed = ("channels", "levels", "entropy_model")

    def __init__(
        self,
        distortion_weight: float = 20.0,
        structure_weight: float = 1.0,
        thumbnail_psnr: float | None = None,
        residual_quality: int | None = None,
        downsamplings: int = 4,
        quantizer_gradient: Gradient = "straight_through",
        discriminator_scales: int = 2,
        trunk: Literal["paper"] = "paper",  # configs/size/paper.yaml says it too
        **kwargs: object,
    ) -> None:
        if trunk != "paper":
            raise SemcompError(f"trunk={trunk} found, expected paper: CompNet and FineNet have no other")
        super().__init__(
            distortion_weight=distortion_weight,
            downsamplings=downsamplings,
            quantizer_gradient=quantizer_gradient,
            discriminator_scales=discriminator_scales,
            channels=3,
            levels=256,
            trunk=trunk,
            entropy_model="static",
            **kwargs,  # type: ignore[arg-type]
        )
        self.structure_weight = structure_weight

    def distortion(self, batch: Batch, out: CodecOutput) -> Tensor:
        """Mean absolute error."""
        return losses.absolute_distortion(out.reconstruction, batch["image"])

    def generator_terms(self, batch: Batch, out: CodecOutput) -> dict[str, Tensor]:
        """PlainGAN's and the structural one, weighted; the range's is zero, because c cannot leave it."""
        structure = losses.structural_dissimilarity(out.reconstruction, batch["image"])
        return {**super().generator_terms(batch, out), "structure": self.structure_weight * structure}
