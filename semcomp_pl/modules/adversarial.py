"""Alternating training of a codec and a discriminator, whatever their losses."""

from abc import ABC, abstractmethod
from typing import ClassVar, cast

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import Adam

from semcomp_pl.modules.base import CodecModule
from semcomp_pl.nets.blocks import Norm
from semcomp_pl.nets.discriminator import Condition, Discriminator, Features
from semcomp_pl.nets.labels import labels_of
from semcomp_pl.types import Batch, CodecOutput


class AdversarialCodec(CodecModule, ABC):
    """A codec that learns against a discriminator.

        x --E--> latent --Q--> symbols --> centres --G--> x̂
        (x, condition), (x̂, condition) --D--> scores

    Each batch steps the codec on the sum of `generator_terms`, then the discriminator on the sum of
    `discriminator_loss`. A model implements these two hooks and sets `condition`.

    Args:
        discriminator_filters: Width of the discriminator's first layer (64 in the paper).
        discriminator_scales: Number of the discriminator's scales (3 in the paper).
        discriminator_norm: Normalisation in the discriminator: `instance` (paper) or `channel`.
        discriminator_learning_rate: Learning rate of the discriminator (Adam).
        kwargs: See `CodecModule`.
    """

    condition: ClassVar[Condition] = "none"
    """What the discriminator sees besides the image."""

    def __init__(
        self,
        discriminator_filters: int = 64,
        discriminator_scales: int = 3,
        discriminator_norm: Norm = "instance",
        discriminator_learning_rate: float = 1e-4,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self.automatic_optimization = False
        self.discriminator_learning_rate = discriminator_learning_rate
        self.discriminator = Discriminator(
            discriminator_filters, discriminator_scales, discriminator_norm, self.condition, self.num_classes
        ).to(memory_format=torch.channels_last)

    @abstractmethod
    def generator_terms(self, batch: Batch, out: CodecOutput) -> dict[str, Tensor]:
        """Weighted terms of the codec's loss, by name; their sum is minimised."""

    @abstractmethod
    def discriminator_loss(self, batch: Batch, out: CodecOutput) -> dict[str, Tensor]:
        """Terms of the discriminator's loss, by name; their sum is minimised. `out` carries no gradient."""

    def discriminate(self, image: Tensor, batch: Batch) -> Features:
        """The discriminator's activations for images (B, 3, H, W) under the batch's condition."""
        label = None if self.condition == "none" else labels_of(batch, type(self).__name__)
        features: Features = self.discriminator(image, label, batch.get("instance"))
        return features

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One step of the codec, then one of the discriminator on the same reconstructions."""
        codec, discriminator = cast(list[LightningOptimizer], self.optimizers())
        with self.toggled_optimizer(codec):
            out: CodecOutput = self(batch)
            terms = self.generator_terms(batch, out)
            self.log_losses(terms)
            codec.zero_grad()
            self.manual_backward(torch.stack([*terms.values()]).sum())
            codec.step()
        with self.toggled_optimizer(discriminator):
            losses = self.discriminator_loss(batch, CodecOutput(*(value.detach() for value in out)))
            self.log_losses(losses)
            discriminator.zero_grad()
            self.manual_backward(torch.stack([*losses.values()]).sum())
            discriminator.step()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """One Adam for encoder and generator, one for the discriminator."""
        discriminator = Adam(self.discriminator.parameters(), self.discriminator_learning_rate, self.betas)
        return [self.codec_optimizer(), discriminator]
