"""SemanticDiscriminatorGAN: the discriminator sees the label map (GC(D+))."""

from semcomp_pl.modules.gan import PlainGAN


class SemanticDiscriminatorGAN(PlainGAN):
    """PlainGAN with D(x, s) and D(x̂, s): each region must look real for its class.

        x --E--> latent --Q--> symbols --> centres --G--> x̂
        (x, s), (x̂, s) --D--> scores

    s is the one-hot label map; only D sees it, in training, and nothing extra is transmitted.

    Source: Agustsson et al., ICCV 2019, https://arxiv.org/abs/1804.02958, section 5.1.

    Args:
        kwargs: See `PlainGAN`.
    """

    condition = "labels"
