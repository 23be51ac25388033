"""Base class of GANs whose files carry the label map."""

from typing import ClassVar

import torch
from torch import Tensor

from semcomp_pl.checkpoints.loading import load_segmenter
from semcomp_pl.codecs.neural import NeuralCodec
from semcomp_pl.modules.gan import PlainGAN
from semcomp_pl.nets.discriminator import Condition
from semcomp_pl.nets.labels import labels_of
from semcomp_pl.nets.segmenter import Segmenter
from semcomp_pl.types import Batch, CodecOutput


class LabelledGAN(PlainGAN):
    """PlainGAN whose codec and discriminator see the label map s, which is transmitted and whose bits count.

    In validation and test, s is the prediction of `segmenter` for x; without a segmenter it is the true label map, and
    the results must be called an oracle's.

    Args:
        segmenter: Segmenter (name, run, export or checkpoint) that makes the label maps in validation and test.
        kwargs: See `PlainGAN`.
    """

    condition: ClassVar[Condition] = "labels"

    def __init__(self, segmenter: str | None = None, **kwargs: object) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self.segmenter_path = segmenter
        self._segmenter: tuple[Segmenter, ...] = ()  # in a tuple, so that its weights stay out of checkpoints

    def setup(self, stage: str) -> None:
        """Also load the segmenter."""
        if self.segmenter_path is not None:
            self._segmenter = (load_segmenter(self.segmenter_path),)
            self.neural_codec()  # raises if the segmenter has other classes
        super().setup(stage)

    def side_label(self, batch: Batch) -> Tensor:
        """The batch's label maps."""
        return labels_of(batch, type(self).__name__)

    def neural_codec(self) -> NeuralCodec:
        """As `CodecModule.neural_codec`, with this model's segmenter."""
        codec = super().neural_codec()
        for segmenter in self._segmenter:
            codec.segmenter = segmenter
        return codec

    def rivals(self) -> list[bytes]:
        """As `CodecModule.rivals`, with the segmenter whose label maps are transmitted."""
        return [*super().rivals(), *(segmenter.fingerprint() for segmenter in self._segmenter)]

    @torch.no_grad()
    def evaluate(self, batch: Batch) -> CodecOutput:
        """As `CodecModule.evaluate`, with the segmenter's label maps if there is a segmenter."""
        for segmenter in self._segmenter:
            batch = {**batch, "label": segmenter.to(self.device).predict(batch["image"])}
        return super().evaluate(batch)

    def label_for_file(self, batch: Batch) -> Tensor | None:
        """The true label maps if there is no segmenter."""
        return None if self._segmenter else batch.get("label")
