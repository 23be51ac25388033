"""SemanticDiscriminatorGAN: the discriminator knows the label map (GC(D+))."""

from torch import Tensor

from semcomp_pl.modules.gan import PlainGAN
from semcomp_pl.nets.labels import labels_of, one_hot
from semcomp_pl.types import Batch


class SemanticDiscriminatorGAN(PlainGAN):
    """PlainGAN with D(x, s) and D(x̂, s): realism is asked of each region by its class.

        x --E--> latent --Q--> symbols --> centres --G--> x̂
        (x, s), (x̂, s) --D--> scores

    s is the one-hot label map; D sees it in training only, and nothing extra is transmitted.

    Source: Agustsson et al., ICCV 2019, https://arxiv.org/abs/1804.02958, section 5.1.

    Args:
        kwargs: As for `PlainGAN`.
    """

    def condition(self, batch: Batch) -> Tensor:
        """One-hot label map (B, K, H, W)."""
        return one_hot(labels_of(batch, type(self).__name__), self.num_classes)

    def condition_channels(self) -> int:
        """The classes K."""
        return self.num_classes
