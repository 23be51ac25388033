"""ConditionalGAN: encoder, generator and discriminator know the label map, and the file carries it."""

from typing import Literal

import torch
from torch import Tensor

from semcomp_pl.errors import SemcompError
from semcomp_pl.modules.base import CodecModule
from semcomp_pl.nets.labels import labels_of
from semcomp_pl.modules.segmentation import Segmentation
from semcomp_pl.modules.semantic_discriminator import SemanticDiscriminatorGAN
from semcomp_pl.types import Batch, CodecOutput


class ConditionalGAN(SemanticDiscriminatorGAN):
    """SemanticDiscriminatorGAN whose codec sees s too: G(Q(E(x, s)), s↓).

        (x, s) --E--> latent --Q--> symbols --> centres --+--G--> x̂
        s --majority vote on the latent grid--> s↓ -------+
        (x, s), (x̂, s) --D--> scores

    s↓ is transmitted: its bits count, at most log2(K + 1) a cell. In validation and test s is what `segmenter` sees
    in x; without a segmenter it is the true label map, and the row must be called an oracle.

    Source: Agustsson et al., ICCV 2019, https://arxiv.org/abs/1804.02958.

    Args:
        segmenter: Checkpoint of the segmenter that makes label maps outside training.
        label_map: What is transmitted: `grid`, a label a cell of the latent by majority vote, or `full`, the map at
            the image's size, of which G sees the share of each class in a cell.
        kwargs: As for `PlainGAN`.
    """

    def __init__(
        self, segmenter: str | None = None, label_map: Literal["grid", "full"] = "grid", **kwargs: object
    ) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self.segmenter_path, self.full_labels = segmenter, label_map == "full"
        self._segmenter: tuple[Segmentation, ...] = ()  # a tuple is not registered: no weights in the checkpoint

    def side_channels(self) -> int:
        """The classes K."""
        return self.num_classes

    def side_label(self, batch: Batch) -> Tensor:
        """The batch's label maps, or what the segmenter sees where it has none."""
        if "label" not in batch and self._segmenter:
            return self.segment(batch["image"])
        return labels_of(batch, type(self).__name__)

    def segment(self, image: Tensor) -> Tensor:
        """Label maps (B, H, W) that the segmenter sees in images (B, 3, H, W)."""
        (segmenter,) = self._segmenter
        return segmenter.to(self.device).predict(image)

    def use_segmenter(self, path: str) -> None:
        """Take label maps from this checkpoint.

        Raises:
            SemcompError: unreadable, no segmenter, or of other classes.
        """
        segmenter = Segmentation.from_file(path)
        if segmenter.num_classes != self.num_classes:
            raise SemcompError(
                f"{path}: a segmenter of {segmenter.num_classes} classes found, expected {self.num_classes} as the "
                "codec has; train both on one data set"
            )
        self._segmenter, self._codec = (segmenter,), None

    def as_exported(self) -> CodecModule:
        """With the same segmenter."""
        twin = super().as_exported()
        assert isinstance(twin, ConditionalGAN)
        twin._segmenter = self._segmenter
        return twin

    def setup(self, stage: str) -> None:
        """Load the segmenter too."""
        super().setup(stage)
        if self.segmenter_path is not None:
            self.use_segmenter(self.segmenter_path)

    def rivals(self) -> list[bytes]:
        """The judge may not be the network whose label maps the model transmits."""
        return [] if self.segmenter_path is None else [Segmentation.from_file(self.segmenter_path).fingerprint()]

    @torch.no_grad()
    def evaluate(self, batch: Batch) -> CodecOutput:
        """Code with the segmenter's label maps where there is one."""
        if self._segmenter:
            batch = {**batch, "label": self.segment(batch["image"])}
        return super().evaluate(batch)

    def label_for_file(self, batch: Batch) -> Tensor | None:
        """The true label maps, but where there is a segmenter."""
        return None if self._segmenter else batch.get("label")
