"""RateDistortion: the baseline, trained on distortion alone."""

from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from semcomp_pl.losses import mse_distortion, range_penalty
from semcomp_pl.modules.base import CodecModule
from semcomp_pl.types import Batch


class RateDistortion(CodecModule):
    """min E, G: d(x, x̂) + r(E(x)), at the rate that the shape of the latent allows.

        x --E--> latent --Q--> symbols --> centres --G--> x̂

    d is the mean squared error of images scaled to [-1, 1]; r keeps the latent within reach of the quantisation
    centres. The suite's GANs start from its weights.
    """

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The distortion and the penalty."""
        out = self(batch)
        return {
            "distortion": mse_distortion(out.reconstruction, batch["image"]),
            "range": range_penalty(out.latent, self.codec.shape.levels),
            **self.rate_terms(batch, out),
        }

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Adam for encoder and generator."""
        return self.codec_optimizer()
