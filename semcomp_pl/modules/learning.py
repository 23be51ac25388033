"""Learning rate and clipping, the same under automatic and manual optimisation."""

import math
from typing import Any, Literal

from lightning import LightningModule
from torch import nn
from torch.optim import Optimizer

from semcomp_pl.errors import SemcompError

Schedule = Literal["cosine", "poly", "constant"]


class ScheduledModule(LightningModule):
    """Sets every optimiser's learning rate from the fraction of training done, and clips its gradients.

    The rate is a function of (epoch, batch) alone: there is no scheduler to step, to save or to restore.
    Subclasses set `schedule` and `gradient_clip`.
    """

    schedule: Schedule
    gradient_clip: float

    def on_fit_start(self) -> None:
        """Refuse a schedule without an end.

        Raises:
            SemcompError: a falling rate with `max_epochs=-1`.
        """
        if self.schedule != "constant" and (self.trainer.max_epochs or -1) < 1:
            raise SemcompError(
                f"schedule={self.schedule} needs an end, found max_epochs={self.trainer.max_epochs}; set "
                "--trainer.max_epochs, or --model.schedule=constant"
            )

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set and log the learning rate."""
        epochs = self.trainer.max_epochs or 1
        done = (self.current_epoch + batch_idx / max(1, float(self.trainer.num_training_batches))) / epochs
        factor = schedule_factor(self.schedule, done)
        for optimizer in self.trainer.optimizers:
            for group in optimizer.param_groups:
                group.setdefault("initial_lr", group["lr"])
                group["lr"] = group["initial_lr"] * factor

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip the gradient norm of this optimiser's parameters: here gradients are unscaled in any precision."""
        if self.gradient_clip:
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(parameters, self.gradient_clip)


def schedule_factor(schedule: Schedule, done: float) -> float:
    """Factor of the learning rate when the fraction `done` in [0, 1] of training is behind.

    `cosine` warms up over the first hundredth and falls to 0; `poly` is (1 - done)^0.9, as segmenters use it.
    """
    if schedule == "constant":
        return 1.0
    if schedule == "poly":
        return float((1 - done) ** 0.9)
    return min(1.0, done / 0.01 + 0.01) * 0.5 * (1 + math.cos(math.pi * done))
