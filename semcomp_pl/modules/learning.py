"""Learning rate and gradient clipping, the same under automatic and manual optimisation."""

import math
import sys
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from lightning import LightningModule
from lightning.pytorch.callbacks import Timer
from torch import Tensor, nn
from torch.optim import Optimizer

from semcomp_pl.checkpoints.checkpoint import with_part
from semcomp_pl.errors import SemcompError

Schedule = Literal["cosine", "poly", "constant"]


class ScheduledModule(LightningModule):
    """Sets all learning rates from the fraction of training done, clips gradients, and stops at NaN or infinity.

    Learning rates depend only on (epoch, batch): there is no scheduler to step, save or restore. Subclasses set
    `schedule` and `gradient_clip`; `part` names their attribute that holds the plain network they train.
    """

    part: ClassVar[str]
    max_batches: int | None = None
    """Number of batches after which training ends, unless `max_epochs` ends it earlier; None for no such limit."""

    schedule: Schedule
    gradient_clip: float

    def on_fit_start(self) -> None:
        """Refuse a schedule without an end, and warn if training may stop before its end.

        Raises:
            SemcompError: the learning rate is to fall, but neither epochs nor batches are limited.
        """
        if self.schedule == "constant":
            return
        ends = (self.trainer.max_epochs or -1, self.trainer.max_steps, self.max_batches or -1)
        if max(ends) < 1:
            raise SemcompError(
                f"schedule={self.schedule} needs an end, found max_epochs={self.trainer.max_epochs}; set "
                "--trainer.max_epochs or --trainer.max_steps, or --model.schedule=constant"
            )
        if self.trainer.is_global_zero and any(isinstance(callback, Timer) for callback in self.trainer.callbacks):  # type: ignore[attr-defined]
            print(
                f"max_time may end this training before schedule={self.schedule} has come to its end", file=sys.stderr
            )

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set the learning rate."""
        done = (self.current_epoch * float(self.trainer.num_training_batches) + batch_idx) / self._batches()
        factor = schedule_factor(self.schedule, done)
        for optimizer in self.trainer.optimizers:
            for group in optimizer.param_groups:
                group.setdefault("initial_lr", group["lr"])
                group["lr"] = group["initial_lr"] * factor

    def _batches(self) -> float:
        """Number of batches in the whole training; infinite if it has no limit."""
        epochs, batches = self.trainer.max_epochs or -1, max(1.0, float(self.trainer.num_training_batches))
        if self.max_batches is None and self.trainer.max_steps > 0:  # which counts the steps of all optimisers
            self.max_batches = -(-self.trainer.max_steps // len(self.trainer.optimizers))
        ends = [
            epochs * batches if epochs > 0 else math.inf,
            math.inf if self.max_batches is None else self.max_batches,
        ]
        return min(ends)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the name of the class with the hyper-parameters, so that a checkpoint says which model it is."""
        checkpoint["model"] = type(self).__name__

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Accept old checkpoints, in which the plain network had no name of its own."""
        for weights in checkpoint.keys() & {"state_dict", "current_model_state"}:  # averaged and latest weights
            checkpoint[weights] = with_part(checkpoint[weights], self, self.part)

    def log_losses(self, terms: Mapping[str, Tensor]) -> None:
        """Log scalars as `train/...`; call it before the optimiser step.

        Raises:
            SemcompError: one of them is not finite.
        """
        if not torch.stack([value.detach().float() for value in terms.values()]).isfinite().all():
            self._stop(", ".join(f"{name} = {value.item():.4g}" for name, value in terms.items()))
        self.log_dict({f"train/{name}": value.detach() for name, value in terms.items()}, prog_bar=True)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip the gradient norm of this optimiser's parameters; in this hook gradients are unscaled in any precision.

        Raises:
            SemcompError: the norm is not finite; the weights are unchanged.
        """
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        norm = nn.utils.clip_grad_norm_(parameters, self.gradient_clip or math.inf)
        if not norm.isfinite():
            self._stop(f"gradient norm = {norm.item():.4g}")

    def _stop(self, found: str) -> None:
        """Raise the error that stops training at values that are not finite."""
        saved = [getattr(callback, "best_model_path", "") for callback in reversed(self.trainer.checkpoint_callbacks)]
        last = next(filter(None, saved), "none yet")
        raise SemcompError(
            f"training stopped in epoch {self.current_epoch}: {found}, expected finite numbers; last checkpoint: "
            f"{last}; start from it with --model.init_from and a lower --model.learning_rate"
        )


def schedule_factor(schedule: Schedule, done: float) -> float:
    """Factor of the learning rate after the fraction `done` in [0, 1] of training.

    `cosine` warms up over the first hundredth and falls to 0; `poly` is (1 - done)^0.9, as is usual for segmenters.
    """
    if schedule == "constant":
        return 1.0
    if schedule == "poly":
        return float((1 - done) ** 0.9)
    return min(1.0, done / 0.01 + 0.01) * 0.5 * (1 + math.cos(math.pi * done))
