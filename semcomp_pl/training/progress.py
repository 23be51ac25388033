"""The progress bar."""

import time
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar


class ProgressBar(RichProgressBar):
    """Lightning's bar, brought up to date every now and then and at an epoch's last batch.

    Lightning reads all losses after each batch, and waits for the device with it.

    Args:
        seconds: Time between two looks at the losses.
    """

    def __init__(self, seconds: float = 0.5) -> None:
        super().__init__(refresh_rate=4)
        self.seconds = seconds
        self._shown = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Show the batch, if it is time."""
        if self.is_enabled and (trainer.is_last_batch or time.monotonic() - self._shown > self.seconds):
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
            self._shown = time.monotonic()
