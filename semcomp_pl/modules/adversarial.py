"""Alternating training of a codec and a discriminator, whatever their losses."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Adam

from semcomp_pl.modules.base import CodecModule
from semcomp_pl.modules.learning import total
from semcomp_pl.nets.blocks import Norm
from semcomp_pl.nets.discriminator import Condition, Discriminator, Features
from semcomp_pl.nets.labels import labels_of
from semcomp_pl.types import Batch, CodecOutput


class AdversarialCodec(CodecModule, ABC):
    """A codec that learns against a discriminator.

        x --E--> latent --Q--> symbols --> centres --G--> x̂
        (x, condition), (x̂, condition) --D--> scores

    Each batch steps the codec on the sum of `generator_terms`, and the discriminator on the sum of
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
        self.discriminator_learning_rate = discriminator_learning_rate
        self.discriminator = Discriminator(
            discriminator_filters, discriminator_scales, discriminator_norm, self.condition, self.num_classes
        ).to(memory_format=torch.channels_last)

    @abstractmethod
    def generator_terms(self, batch: Batch, out: CodecOutput, real: Features, fake: Features) -> dict[str, Tensor]:
        """Weighted terms of the codec's loss, by name; their sum is minimised.

        Args:
            batch: The batch.
            out: The codec's output for it.
            real: The discriminator's activations for the originals.
            fake: Those for the reconstructions.
        """

    @abstractmethod
    def discriminator_loss(self, real: Features, fake: Features) -> dict[str, Tensor]:
        """Terms of the discriminator's loss, by name; their sum is minimised."""

    def discriminate(self, image: Tensor, batch: Batch) -> Features:
        """The discriminator's activations for images (B, 3, H, W) under the batch's condition."""
        label = None if self.condition == "none" else labels_of(batch, type(self).__name__)
        features: Features = self.discriminator(image, label, batch.get("instance"))
        return features

    def add_gradients(self, batch: Batch) -> dict[str, Tensor]:
        """Add the gradients of both sides; the discriminator sees originals and reconstructions once.

        Its loss does not depend on the codec's step, so both losses are differentiated before either optimiser steps.
        """
        out: CodecOutput = self(batch)
        real, fake = self.discriminate(batch["image"], batch), self.discriminate(out.reconstruction, batch)
        terms = {**self.generator_terms(batch, out, real, fake), **self.rate_terms(batch, out)}
        losses = self.discriminator_loss(real, fake)
        # gradients are wanted for one side of a graph that both share
        torch.autograd.backward(total(terms), inputs=self.codec_parameters(), retain_graph=True)
        torch.autograd.backward(total(losses), inputs=[*self.discriminator.parameters()])
        return self.logged({**terms, **losses})

    def networks(self) -> list[nn.Module]:
        """Encoder, generator and discriminator."""
        return [*super().networks(), self.discriminator]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """One Adam for encoder and generator, one for the discriminator."""
        discriminator = Adam(self.discriminator.parameters(), self.discriminator_learning_rate, self.betas, fused=True)
        return [self.codec_optimizer(), discriminator]
