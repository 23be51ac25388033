"""SelectiveGAN: Agustsson et al.'s selective compression (SC). What matters is coded, the rest is made up."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from semcomp_pl import losses
from semcomp_pl.errors import SemcompError
from semcomp_pl.modules.conditional import ConditionalGAN
from semcomp_pl.nets.labels import boundaries, labels_of, one_hot
from semcomp_pl.nets.encoder import Encoder, make_encoder
from semcomp_pl.nets.generator import Generator
from semcomp_pl.nets.selective import DEPTH, make_selective_generator
from semcomp_pl.nets.trunk import TrunkShape
from semcomp_pl.types import Batch, CodecOutput

KEPT_SHARE = 0.25
"""Of the instances, in training."""


class SelectiveGAN(ConditionalGAN):
    """ConditionalGAN whose symbols are sent in a chosen region m only: G(m Q(E(x)), F(s)).

        x --E--> latent --Q--> symbols --> centres --m--+--G--> x̂
        s --F------------------------------------------+
        (x, s, boundaries), (x̂, s, boundaries) --D--> scores

    The distortion is of the cells in m alone, feature matching is of the whole image. Training draws m: the cells of
    a quarter of the instances (RI), or a box (RB). A file carries m, s and the symbols in m; outside m, G makes up
    what the label map says. Without m everything is coded.

    Where data have no instance maps, all pixels of a class are one instance.

    Source: Agustsson et al., ICCV 2019, https://arxiv.org/abs/1804.02958, section 5.2 and appendix.

    Args:
        regions: What training keeps: `instances` (RI), `boxes` (RB), or for each image one or the other.
        kwargs: As for `ConditionalGAN`. The paper quantises at an eighth of the image (`downsamplings` 3) and sends
            the `full` label map.
    """

    def __init__(self, regions: Literal["instances", "boxes", "both"] = "both", **kwargs: object) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self.regions = regions

    selects = True

    def build_encoder(self, shape: TrunkShape) -> Encoder:
        """E sees the image alone."""
        return make_encoder(replace(shape, side_channels=0))

    def build_generator(self, shape: TrunkShape) -> Generator:
        """G with F before it."""
        return make_selective_generator(shape)

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """As `CodecModule.grid`, in whole cells of the generator's grid."""
        part = 1 << max(0, DEPTH - self.downsamplings)
        rows, columns = super().grid(height, width)
        return part * math.ceil(rows / part), part * math.ceil(columns / part)

    def condition(self, batch: Batch) -> Tensor:
        """One-hot label map and boundaries (B, K + 1, H, W)."""
        label = labels_of(batch, type(self).__name__)
        edges = boundaries(label) | boundaries(batch.get("instance", label))
        return torch.cat([one_hot(label, self.num_classes), edges[:, None].float()], 1)

    def condition_channels(self) -> int:
        """The classes K, and the boundaries."""
        return self.num_classes + 1

    def analysis(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        """As `CodecModule.analysis`, of the image alone."""
        return super().analysis(image)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """A step with regions drawn anew."""
        super().training_step({**batch, "keep": self.draw(batch)}, batch_idx)

    def distortion(self, batch: Batch, out: CodecOutput) -> Tensor:
        """Mean squared error over all pixels, 0 outside the cells that are kept."""
        if "keep" not in batch:
            return super().distortion(batch, out)
        kept = self.heatmap(batch["keep"])[:, None].float()
        kept = kept.repeat_interleave(1 << self.downsamplings, -1).repeat_interleave(1 << self.downsamplings, -2)
        kept = kept[..., : out.reconstruction.shape[-2], : out.reconstruction.shape[-1]]
        return losses.mse_distortion(out.reconstruction * kept, batch["image"] * kept)

    def draw(self, batch: Batch) -> Tensor:
        """Regions (B, H, W) to keep, as training draws them."""
        label = labels_of(batch, type(self).__name__)
        boxes = {"instances": 0.0, "boxes": 1.0, "both": 0.5}[self.regions]
        instances = batch.get("instance", torch.zeros_like(label))
        chosen = [
            random_box(*ids.shape).to(ids.device) if torch.rand(()) < boxes else random_instances(ids)
            for ids in label + 256 * instances
        ]
        return torch.stack(chosen)

    def region(
        self,
        label: Tensor,
        keep: Sequence[str] | None = None,
        synthesize: Sequence[str] | None = None,
        boxes: Sequence[tuple[int, int, int, int]] = (),
    ) -> Tensor:
        """Regions (B, H, W) of label maps (B, H, W) by names or ids of classes, and boxes (x, y, width, height).

        Raises:
            SemcompError: both lists of classes, an unknown class, or a box outside the image.
        """
        if keep is not None and synthesize is not None:
            raise SemcompError("classes to keep and classes to synthesize found, expected one of the two lists")
        chosen = torch.zeros_like(label, dtype=torch.bool)
        if keep is not None:
            chosen |= torch.isin(label, torch.tensor(self._ids(keep), device=label.device))
        elif synthesize is not None:
            chosen |= ~torch.isin(label, torch.tensor(self._ids(synthesize), device=label.device))
        height, width = label.shape[-2:]
        for x, y, across, down in boxes:
            if min(x, y) < 0 or min(across, down) < 1 or x + across > width or y + down > height:
                raise SemcompError(
                    f"box {x},{y},{across},{down} found, expected x,y,width,height inside an image of {width}x{height}"
                )
            chosen[:, y : y + down, x : x + across] = True
        return chosen

    def _ids(self, classes: Sequence[str]) -> list[int]:
        names = {name: i for i, name in enumerate(self.class_names or [])}
        names |= {str(i): i for i in range(self.num_classes)}
        for name in classes:
            if name not in names:
                known = ", ".join(self.class_names or [f"0..{self.num_classes - 1}"])
                raise SemcompError(f"class {name!r} found, expected some of: {known}")
        return [names[name] for name in classes]


def random_instances(ids: Tensor, share: float = KEPT_SHARE) -> Tensor:
    """The pixels (H, W) of a share of the ids in (H, W), of at least one."""
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
