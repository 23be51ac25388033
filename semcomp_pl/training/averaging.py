"""The moving average of a model's weights, which is what validation, the best checkpoint and files see."""

from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging
from torch import Tensor


class MovingAverage(EMAWeightAveraging):
    """Lightning's EMAWeightAveraging, updated by one operation over all parameters that never waits for the device.

    After optimiser step n + 1, average = d · average + (1 - d) · weights with d = min(decay, (1 + n) / (10 + n)); the
    first step copies the weights. So a training much shorter than 1 / (1 - decay) steps does not end with an average
    that is mostly its first weights: a ninth of the steps counts at first. Buffers are not averaged but copied,
    whenever the average is used.

    Source: `num_updates` of https://www.tensorflow.org/api_docs/python/tf/train/ExponentialMovingAverage.

    Args:
        decay: Largest decay per optimiser step.
    """

    def __init__(self, decay: float = 0.999) -> None:
        super().__init__(decay=decay, use_buffers=False)
        self.decay = decay
        self._pairs: tuple[list[Tensor], list[Tensor]] | None = None
        self._updates = 0

    @property
    def state_key(self) -> str:
        """Lightning's own, so that checkpoints of either class are resumed by the other."""
        return EMAWeightAveraging.__qualname__

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Pair the parameters, and read how often they were averaged before."""
        assert self._average_model is not None
        own = dict(pl_module.named_parameters())
        pairs = [(value, own[name]) for name, value in self._average_model.module.named_parameters()]
        self._pairs = [average.detach() for average, _ in pairs], [value.detach() for _, value in pairs]
        self._updates = int(self._average_model.n_averaged)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the average if this batch ended with an optimiser step."""
        if trainer.global_step <= self._latest_update_step or self._pairs is None:
            return
        average, weights = self._pairs
        if self._updates:
            decay = min(self.decay, (1 + self._updates) / (10 + self._updates))
            torch._foreach_lerp_(average, weights, 1 - decay)
        else:
            torch._foreach_copy_(average, weights)
        self._updates += 1
        self._latest_update_step = trainer.global_step

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validate the average."""
        self._copy_buffers(pl_module)
        super().on_validation_epoch_start(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the average in the model."""
        self._copy_buffers(pl_module)
        super().on_train_end(trainer, pl_module)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save the average as the model's weights, and the latest weights beside it."""
        self._copy_buffers(pl_module)
        super().on_save_checkpoint(trainer, pl_module, checkpoint)

    def _copy_buffers(self, pl_module: LightningModule) -> None:
        """Bring the average's buffers up to date, and its count of updates."""
        if self._average_model is None:
            return
        own = dict(pl_module.named_buffers())
        for name, value in self._average_model.module.named_buffers():
            value.copy_(own[name])
        if self._pairs is not None:
            self._average_model.n_averaged.fill_(self._updates)
