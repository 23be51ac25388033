"""SelectiveGAN: Agustsson et al.'s selective compression (SC), which codes chosen regions and synthesizes the rest."""

from typing import Literal

import torch
import torch.nn.functional as F
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

    def prepare(self, batch: Batch) -> Batch:
        """The batch with newly drawn regions."""
        return {**batch, "keep": self.draw(batch)}

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
        boxes = random_boxes(label)
        if self.regions == "boxes":
            return boxes
        instances = random_instances(label + 256 * batch["instance"] if "instance" in batch else label)
        if self.regions == "instances":
            return instances
        return boxes.where(torch.rand(len(label), 1, 1, device=label.device) < 0.5, instances)


def random_instances(ids: Tensor, share: float = KEPT_SHARE) -> Tensor:
    """The pixels, bool (B, H, W), of a random share of the ids in each map of (B, H, W), at least of one id each.

    Ids are 0..2^32 - 1. All maps are drawn at once and on their device, without waiting for it: `torch.unique` would
    wait, and a table of all possible ids would be too large.
    """
    values, pixels = _sort_rows(ids.flatten(1))
    first = F.pad(values.diff() != 0, (1, 0), value=True)  # the first of the pixels of each id
    found, places = first.sum(1, keepdim=True), torch.arange(values.shape[1], device=ids.device)
    unused = (places >= found).long() << 31
    _, shuffled = _sort_rows(torch.randint(1 << 31, values.shape, device=ids.device) + unused)
    count = (share * found.double()).round().clamp(min=1)
    chosen = torch.zeros_like(first).scatter(1, shuffled, places < count)
    kept = chosen.gather(1, first.cumsum(1) - 1)
    return kept.scatter(1, pixels, kept).view_as(ids)


def random_boxes(maps: Tensor) -> Tensor:
    """For each of the maps (B, H, W) a box of random size at a random place, as bool (B, H, W)."""
    count, height, width = maps.shape
    down, across = (_random_spans(count, length, maps.device) for length in (height, width))
    return down[:, :, None] & across[:, None]


def _random_spans(count: int, length: int, device: torch.device) -> Tensor:
    """Spans of random size 1..length at random places, as bool (count, length)."""
    size = torch.randint(1, length + 1, (count, 1), device=device)
    start = (torch.rand(count, 1, device=device) * (length - size + 1)).long()
    places = torch.arange(length, device=device)
    return (places >= start) & (places < start + size)


def _sort_rows(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Each row of (B, N), integers 0..2^32 - 1, sorted, and where in its row each value was.

    All rows are sorted as one: torch has a radix sort for integers in one dimension only, which takes a third of the
    time on a CPU, and on a GPU one call instead of B.
    """
    rows = torch.arange(len(keys), device=keys.device)[:, None]
    values, order = (keys + (rows << 32)).flatten().sort()
    return values.view_as(keys) - (rows << 32), order.view_as(keys) - rows * keys.shape[1]
