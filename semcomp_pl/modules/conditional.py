"""ConditionalGAN: encoder, generator and discriminator know the label map, and the file carries it."""

from semcomp_pl.modules.labelled import LabelledGAN
from semcomp_pl.nets.codec import ConditionalNet, LabelMap


class ConditionalGAN(LabelledGAN):
    """PlainGAN whose codec and discriminator see the label map s too: G(Q(E(x, s)), s↓).

        (x, s) --E--> latent --Q--> symbols --> centres --+--G--> x̂
        s --majority vote on the latent grid--> s↓ -------+
        (x, s), (x̂, s) --D--> scores

    s↓ is transmitted: its bits count, at most log2(K + 1) a cell.

    Source: Agustsson et al., ICCV 2019, https://arxiv.org/abs/1804.02958.

    Args:
        label_map: What is transmitted: `grid`, one label per cell of the latent by majority vote, or `full`, the map at
            the image's size, of which G sees the share of each class in a cell.
        kwargs: As for `LabelledGAN`.
    """

    net_type = ConditionalNet

    def __init__(self, label_map: LabelMap = "grid", **kwargs: object) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
