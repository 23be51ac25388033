"""The training step of a codec as one would write it by hand: the suite's networks and losses, and plain PyTorch."""

import copy
import itertools
from typing import Any

import torch
from torch import nn
from torch.optim import Adam

from semcomp_pl import losses
from semcomp_pl.types import Batch

EMA_DECAY = 0.999


class PlainLoop:
    """Trains copies of a model's networks: alone on the distortion, or as PlainGAN does if there is a discriminator.

    Label maps go where the networks ask for them, so this is also the step of SemanticDiscriminatorGAN and of
    ConditionalGAN. There is no logging, no check for NaN, and no schedule of the learning rate.

    Args:
        model: LightningModule of RateDistortion or of one of these GANs.
        bf16: Whether to compute in bf16, with weights in float32.
    """

    def __init__(self, model: Any, bf16: bool) -> None:
        self.device, self.bf16, self.clip = model.device, bf16, model.gradient_clip
        self.codec = copy.deepcopy(model.codec)
        self.discriminator = copy.deepcopy(getattr(model, "discriminator", None))
        self.codec_parameters = [*self.codec.encoder.parameters(), *self.codec.generator.parameters()]
        self.sides = [self.codec_parameters]
        rates = [model.learning_rate]
        if self.discriminator is not None:
            self.sides.append([*self.discriminator.parameters()])
            rates.append(model.discriminator_learning_rate)
        self.optimizers = [
            Adam(side, rate, model.betas, fused=True) for side, rate in zip(self.sides, rates, strict=True)
        ]
        self.weights = [*itertools.chain(*self.sides)]
        self.average = [weight.detach().clone() for weight in self.weights]

    def step(self, batch: Batch) -> None:
        """One step of codec and discriminator, and of the moving average."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            generator_loss, discriminator_loss = self._losses(batch)
        torch.autograd.backward(generator_loss, inputs=self.sides[0], retain_graph=True)
        if discriminator_loss is not None:
            torch.autograd.backward(discriminator_loss, inputs=self.sides[1])
        for side, optimizer in zip(self.sides, self.optimizers, strict=True):
            if self.clip:
                nn.utils.clip_grad_norm_(side, self.clip)
            optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.average, self.weights, 1 - EMA_DECAY)

    def _losses(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The losses of the codec and of the discriminator, which sees every image once."""
        image, label = batch["image"], batch.get("label")
        out = self.codec(image, label if self.codec.label_map else None)
        distortion = losses.mse_distortion(out.reconstruction, image)
        stray = losses.range_penalty(out.latent, self.codec.shape.levels)
        if self.discriminator is None:
            return distortion + stray, None
        condition = () if self.discriminator.condition == "none" else (label,)
        real, fake = self.discriminator(image, *condition), self.discriminator(out.reconstruction, *condition)
        matching = losses.feature_matching(fake, real)
        generator_loss = losses.least_squares_generator(fake) + 10 * distortion + stray + 10 * matching
        discriminator_loss = torch.stack(losses.least_squares_discriminator(real, fake)).sum() / 2
        return generator_loss, discriminator_loss
