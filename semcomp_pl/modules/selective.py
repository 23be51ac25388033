"""SelectiveGAN: Agustsson et al.'s selective compression (SC), which codes chosen regions and synthesizes the rest."""

from typing import Literal

import torch
from torch import Tensor

from semcomp_pl import losses
from semcomp_pl.modules.conditional import ConditionalGAN
from semcomp_pl.nets.labels import labels_of
from semcomp_pl.nets.selective import SelectiveNet
from semcomp_pl.types import Batch, CodecOutput

KEPT_SHARE = 0.25
"""Share of the instances that training keeps, as in the paper."""


class SelectiveGAN(ConditionalGAN):
    """ConditionalGAN that sends symbols only in a chosen region m: G(m Q(E(x)), F(s)).

        x --E--> latent --Q--> symbols --> centres --m--+--G--> x̂
        s --F------------------------------------------+
        (x, s, boundaries), (x̂, s, boundaries) --D--> scores

    The distortion covers only the cells in m, feature matching the whole image. Training draws m at random: the cells
    of a quarter of the instances (RI), or a box (RB). A file carries m, s and the symbols in m; outside m, G
    synthesizes the image from the label map. Without m everything is coded.

    If the data have no instance maps, all pixels of a class are one instance.

    Source: Agustsson et al., ICCV 2019, https://arxiv.org/abs/1804.02958, section 5.2 and appendix.

    Args:
        regions: Regions kept in training: `instances` (RI), `boxes` (RB), or `both`, chosen at random for each image.
        kwargs: See `ConditionalGAN`. The paper's latent has an eighth of the image's size (`downsamplings` 3), and its
            label map is `full`.
    """

    net_type = SelectiveNet
    condition = "boundaries"

    def __init__(self, regions: Literal["instances", "boxes", "both"] = "both", **kwargs: object) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self.regions = regions

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """As `AdversarialCodec.training_step`, with newly drawn regions."""
        super().training_step({**batch, "keep": self.draw(batch)}, batch_idx)

    def distortion(self, batch: Batch, out: CodecOutput) -> Tensor:
        """Mean squared error over all pixels, counted as 0 outside the kept cells."""
        if "keep" not in batch:
            return super().distortion(batch, out)
        step = self.codec.grid.step
        kept = self.codec.heatmap(batch["keep"])[:, None].float()
        kept = kept.repeat_interleave(step, -1).repeat_interleave(step, -2)
        kept = kept[..., : out.reconstruction.shape[-2], : out.reconstruction.shape[-1]]
        return losses.mse_distortion(out.reconstruction * kept, batch["image"] * kept)

    def draw(self, batch: Batch) -> Tensor:
        """Random regions (B, H, W), bool, to keep in training."""
        label = labels_of(batch, type(self).__name__)
        boxes = {"instances": 0.0, "boxes": 1.0, "both": 0.5}[self.regions]
        instances = batch.get("instance", torch.zeros_like(label))
        chosen = [
            random_box(*ids.shape).to(ids.device) if torch.rand(()) < boxes else random_instances(ids)
            for ids in label + 256 * instances
        ]
        return torch.stack(chosen)


def random_instances(ids: Tensor, share: float = KEPT_SHARE) -> Tensor:
    """The pixels (H, W), bool, of a random share of the ids in (H, W), at least of one id."""
    found = torch.unique(ids)
    count = max(1, round(share * len(found)))
    return torch.isin(ids, found[torch.randperm(len(found))[:count].to(ids.device)])


def random_box(height: int, width: int) -> Tensor:
    """A box of random size at a random place, as bool (H, W)."""
    down, across = int(torch.randint(1, height + 1, ())), int(torch.randint(1, width + 1, ()))
    top, left = int(torch.randint(height - down + 1, ())), int(torch.randint(width - across + 1, ()))
    box = torch.zeros(height, width, dtype=torch.bool)
    box[top : top + down, left : left + across] = True
    return box
