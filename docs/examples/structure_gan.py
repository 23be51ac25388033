"""An example of your own model: PlainGAN that also keeps the structure of an image."""

from torch import Tensor

from semcomp_pl.losses import structural_dissimilarity
from semcomp_pl.modules import PlainGAN
from semcomp_pl.nets.discriminator import Features
from semcomp_pl.types import Batch, CodecOutput


class StructureGAN(PlainGAN):
    """PlainGAN + v (1 - SSIM(x, x̂)).

    Args:
        structure_weight: Weight v of the dissimilarity.
        kwargs: See `PlainGAN`.
    """

    def __init__(self, structure_weight: float = 1.0, **kwargs: object) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self.structure_weight = structure_weight

    def generator_terms(self, batch: Batch, out: CodecOutput, real: Features, fake: Features) -> dict[str, Tensor]:
        """PlainGAN's terms, and the dissimilarity."""
        dissimilarity = structural_dissimilarity(out.reconstruction, batch["image"])
        return {**super().generator_terms(batch, out, real, fake), "structure": self.structure_weight * dissimilarity}
