"""ConditionalGAN: encoder, generator and discriminator know the label map, and the file carries it."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from semcomp_pl.modules.labels import labels_of, majority, one_hot
from semcomp_pl.modules.segmentation import Segmentation
from semcomp_pl.modules.semantic_discriminator import SemanticDiscriminatorGAN
from semcomp_pl.types import IGNORE, Batch, CodecOutput


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
        kwargs: As for `PlainGAN`.
    """

    def __init__(self, segmenter: str | None = None, **kwargs: object) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self.segmenter_path = segmenter
        self._segmenter: tuple[Segmentation, ...] = ()  # a tuple is not registered: no weights in the checkpoint

    def side_channels(self) -> int:
        """The classes K."""
        return self.num_classes

    def side_bits(self, cells: int) -> float:
        """log2(K + 1) a cell: the ignored id is transmitted too."""
        return cells * math.log2(self.num_classes + 1)

    def side_information(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """One-hot label maps, full size for the encoder and by majority vote on the latent grid for the generator."""
        label = F.pad(labels_of(batch, type(self).__name__), self.padding(batch["image"]), value=IGNORE)
        cells = majority(label, self.num_classes, 2**self.downsamplings)
        return one_hot(label, self.num_classes), one_hot(cells, self.num_classes)

    def setup(self, stage: str) -> None:
        """Load the segmenter too."""
        super().setup(stage)
        if self.segmenter_path is not None:
            self._segmenter = (Segmentation.from_file(self.segmenter_path),)

    def rivals(self) -> list[bytes]:
        """The judge may not be the network whose label maps the model transmits."""
        return [] if self.segmenter_path is None else [Segmentation.from_file(self.segmenter_path).fingerprint()]

    @torch.no_grad()
    def evaluate(self, batch: Batch) -> CodecOutput:
        """Code with the segmenter's label maps where there is one."""
        for segmenter in self._segmenter:
            batch = {**batch, "label": segmenter.to(self.device).predict(batch["image"])}
        return super().evaluate(batch)
