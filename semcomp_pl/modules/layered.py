"""LayeredCodec: a label map, a thumbnail and generated detail (DSSLIC)."""

from typing import Literal

from torch import Tensor

from semcomp_pl import losses
from semcomp_pl.errors import SemcompError
from semcomp_pl.modules.labelled import LabelledGAN
from semcomp_pl.nets.codec import LabelMap
from semcomp_pl.nets.discriminator import Features
from semcomp_pl.nets.layered import LayeredNet
from semcomp_pl.nets.quantizer import Gradient
from semcomp_pl.types import Batch, CodecOutput


class LayeredCodec(LabelledGAN):
    """x̂ = up(c) + f(s, up(c)), c = Q(E(x, s)): Akbari et al.'s deep semantic segmentation-based layered compression.

        (x, s) --E--> c --8 bits--> thumbnail --bilinear--> up(c) --+-------------(+)--> x̂
        s -----------------------------------------------------------+--f--> detail -^
        (x, s), (x̂, s) --D--> scores

    min E, f: E[(D(x̂, s) - 1)²] + w FM(x, x̂) + λ |x - x̂| + v (1 - SSIM(x, x̂));  min D as for PlainGAN. The absolute
    error is averaged over images scaled to [-1, 1]. s is transmitted at the image's size or on c's grid; c as a
    picture, lossless or at a given PSNR; and x - x̂ as an optional third layer.

    Source: Akbari et al., ICASSP 2019, https://arxiv.org/abs/1806.03348.

    Args:
        distortion_weight: Weight λ of the absolute error.
        structure_weight: Weight v of 1 - SSIM.
        thumbnail_psnr: PSNR of c in dB: files hold the shortest picture that reaches it. If not given, c is lossless.
        residual_quality: WebP quality, 0 to 100, of the residual x - x̂ in files. If not given, files hold no residual.
        label_map: Form in which s is transmitted: `full`, at the image's size, as in the paper, or `grid`, one label
            per pixel of the thumbnail by majority vote, which f sees enlarged; at 256x128 a map at full size alone
            takes 0.12 bpp.
        downsamplings: Size of the thumbnail: 3, 4 or 5 for 1/8, 1/16 or 1/32 of each side.
        quantizer_gradient: How gradients pass the rounding to 8 bits: `soft` or `straight_through`.
        discriminator_scales: Number of the discriminator's scales.
        trunk: Only the paper's networks exist.
        kwargs: See `LabelledGAN`. The latent is always an 8-bit RGB picture.

    Raises:
        SemcompError: a number is out of range.
    """

    net_type = LayeredNet
    fixed = ("channels", "levels", "entropy_model")

    def __init__(
        self,
        distortion_weight: float = 20.0,
        structure_weight: float = 1.0,
        thumbnail_psnr: float | None = None,
        residual_quality: int | None = None,
        label_map: LabelMap = "full",
        downsamplings: int = 4,
        quantizer_gradient: Gradient = "straight_through",
        discriminator_scales: int = 2,
        trunk: Literal["paper"] = "paper",  # configs/size/paper.yaml sets it
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
        """Mean absolute error of images scaled to [-1, 1]."""
        return losses.absolute_distortion(out.reconstruction, batch["image"])

    def generator_terms(self, batch: Batch, out: CodecOutput, real: Features, fake: Features) -> dict[str, Tensor]:
        """PlainGAN's weighted terms and the structural one; the range penalty is 0, as c cannot leave its range."""
        structure = losses.structural_dissimilarity(out.reconstruction, batch["image"])
        return {**super().generator_terms(batch, out, real, fake), "structure": self.structure_weight * structure}
