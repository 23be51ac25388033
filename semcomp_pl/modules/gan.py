"""PlainGAN: Agustsson et al.'s generative compression (GC)."""

from torch import Tensor

from semcomp_pl import losses
from semcomp_pl.modules.adversarial import AdversarialCodec
from semcomp_pl.nets.discriminator import Features
from semcomp_pl.types import Batch, CodecOutput


class PlainGAN(AdversarialCodec):
    """min E, G: E[(D(x̂) - 1)²] + λ d(x, x̂) + w FM(x, x̂) + r(E(x));  min D: ½ (E[(D(x) - 1)²] + E[D(x̂)²]).

        x --E--> latent --Q--> symbols --> centres --G--> x̂
        x, x̂ --D--> scores

    d is the mean squared error of images scaled to [-1, 1], FM the feature matching distance under D; r keeps the
    latent within reach of the quantisation centres.

    Source: Agustsson et al., ICCV 2019, https://arxiv.org/abs/1804.02958, equation 6.

    Args:
        distortion_weight: Weight λ of the distortion.
        feature_matching_weight: Weight w of feature matching; 0 for none.
        kwargs: See `AdversarialCodec`.
    """

    def __init__(
        self, distortion_weight: float = 10.0, feature_matching_weight: float = 10.0, **kwargs: object
    ) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self.distortion_weight, self.feature_matching_weight = distortion_weight, feature_matching_weight

    def generator_terms(self, batch: Batch, out: CodecOutput, real: Features, fake: Features) -> dict[str, Tensor]:
        """Weighted adversarial term, distortion, range penalty and feature matching."""
        terms = {
            "adversarial": losses.least_squares_generator(fake),
            "distortion": self.distortion_weight * self.distortion(batch, out),
            "range": losses.range_penalty(out.latent, self.codec.shape.levels),
        }
        if self.feature_matching_weight:
            terms["feature_matching"] = self.feature_matching_weight * losses.feature_matching(fake, real)
        return terms

    def distortion(self, batch: Batch, out: CodecOutput) -> Tensor:
        """The distortion d(x, x̂)."""
        return losses.mse_distortion(out.reconstruction, batch["image"])

    def discriminator_loss(self, real: Features, fake: Features) -> dict[str, Tensor]:
        """The terms of originals and of reconstructions, each multiplied by ½."""
        original, reconstructed = losses.least_squares_discriminator(real, fake)
        return {"discriminator_real": original / 2, "discriminator_fake": reconstructed / 2}
