"""The training step that all models share: gradients, their average, clipping, learning rates, and a watch for NaN."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, cast

import numpy as np
import torch
from lightning import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim import Optimizer

from semcomp_pl.checkpoints.checkpoint import with_part
from semcomp_pl.checkpoints.models import name_of
from semcomp_pl.checkpoints.training_facts import WarmStart
from semcomp_pl.errors import SemcompError
from semcomp_pl.modules.gradients import GraphedGradients, average_gradients, parameters_of
from semcomp_pl.types import Batch

Schedule = Literal["cosine", "poly", "constant"]


class ScheduledModule(LightningModule):
    """Trains by `losses` or `add_gradients`, with learning rates that follow the fraction of training done.

    Whatever a batch's step depends on follows from the weights and from (seed, epoch, batch, rank): learning rates,
    and the state of torch's random generators. There is no scheduler to step, save or restore. If time limits training,
    learning rates depend on the clock too.

    A step does not wait for the device. Losses and gradient norms are read every `log_every_n_steps` batches, at the
    end of an epoch and before a checkpoint is written; NaN or infinity stops training then.

    `part` names the attribute of a subclass that holds the plain network it trains.

    Args:
        schedule: How all learning rates fall.
        gradient_clip: Largest gradient norm of a step; 0 for no clipping.
        accumulate: Number of batches per optimiser step.

    Raises:
        SemcompError: `accumulate` is below 1.
    """

    part: ClassVar[str]
    max_batches: int | None = None
    """Number of batches after which training ends, unless `max_epochs` ends it earlier; None for no such limit."""
    time_done: float | None = None
    """Fraction of the time of training that is over, equal in all processes; None if time does not limit it."""

    def __init__(self, schedule: Schedule, gradient_clip: float, accumulate: int) -> None:
        super().__init__()
        if accumulate < 1:
            raise SemcompError(f"accumulate={accumulate} found, expected 1 or more; set --model.accumulate")
        self.schedule, self.gradient_clip, self.accumulate = schedule, gradient_clip, accumulate
        self.automatic_optimization = False
        self.seed: int | None = None
        self.window_open = False
        """Whether gradients wait for further batches before their optimiser step; no checkpoint holds them."""
        self.warm_start: WarmStart | None = None
        self._opened = 0
        self._unread: list[tuple[int, tuple[str, ...], Tensor]] = []
        self._norms: list[Tensor] = []
        self._graph: GraphedGradients | None = None

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Weighted terms of the loss, by name; their sum is minimised."""
        raise NotImplementedError

    def prepare(self, batch: Batch) -> Batch:
        """The batch with what the step needs besides, such as random draws; must not wait for the device."""
        return batch

    def add_gradients(self, batch: Batch) -> dict[str, Tensor]:
        """Add the gradients of a prepared batch's losses to those of the parameters; returns the losses by name.

        It draws nothing at random and does not wait for the device, so that a CUDA graph can replay it.
        """
        terms = self.losses(batch)
        total(terms).backward()  # type: ignore[no-untyped-call]
        return self.logged(terms)

    def logged(self, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """What `train/...` logs of the terms of a loss."""
        return {name: value.detach() for name, value in terms.items()}

    def networks(self) -> list[nn.Module]:
        """The networks that `compile_networks` compiles."""
        raise NotImplementedError

    def compile_networks(self, backend: str = "inductor") -> None:
        """Compile the networks for training; on a CUDA device, gradients are replayed from a CUDA graph too.

        Args:
            backend: Compiler, by its name in `torch.compile`.
        """
        # both halves of an adversarial step differentiate one graph, so its buffers must outlive the first
        torch._functorch.config.donated_buffer = False
        for network in self.networks():
            network.compile(fullgraph=True, dynamic=False, backend=backend)
        self._graph = GraphedGradients(self.add_gradients)

    def data_parts(self) -> tuple[str, ...]:
        """Names of the sources of which the data are a mixture; empty for a single source."""
        parts: tuple[str, ...] = getattr(getattr(self.trainer, "datamodule", None), "parts", ())
        return parts

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch's gradients, and step all optimisers at the end of each window of `accumulate` batches."""
        if not self.window_open:
            self._opened = batch_idx  # within a window, if training had ended there and goes on
            for optimizer in self.trainer.optimizers:
                # a graph writes to the same gradients each time
                optimizer.zero_grad(set_to_none=self._graph is None)
        differentiate = self._graph or self.add_gradients
        terms = differentiate(self.prepare(batch))
        last = batch_idx + 1 >= self.trainer.num_training_batches
        full = (batch_idx + 1) % self.accumulate == 0
        self.window_open = not (full or last or self._done(batch_idx + 1) >= 1)
        self._norms = []
        if not self.window_open:
            optimizers = self.optimizers()
            for own in cast(list[LightningOptimizer], optimizers if isinstance(optimizers, list) else [optimizers]):
                average_gradients(own.optimizer, batch_idx - self._opened + 1)
                own.step()
        norms = {f"gradient norm {i + 1}": norm for i, norm in enumerate(self._norms)}
        self._unread.append((batch_idx, (*terms, *norms), _stack([*terms.values(), *norms.values()])))
        if last or self.trainer._logger_connector.should_update_logs:
            latest = self.read_losses()
            self.log_dict({f"train/{name}": latest[name] for name in terms}, prog_bar=True)
            self.log("learning_rate", self.trainer.optimizers[0].param_groups[0]["lr"])

    def read_losses(self) -> dict[str, float]:
        """Wait for the device, check all losses and gradient norms since the last reading; returns the latest.

        Raises:
            SemcompError: one of them is not finite.
        """
        values = torch.cat([row for *_, row in self._unread] or [torch.empty(0)]).tolist()
        found: dict[str, float] = {}
        for batch, names, _ in self._unread:
            found, values = dict(zip(names, values, strict=False)), values[len(names) :]
            if not all(map(math.isfinite, found.values())):
                self._stop(batch, found)
        self._unread.clear()
        return found

    def on_fit_start(self) -> None:
        """Refuse a schedule without an end.

        Raises:
            SemcompError: the learning rate is to fall, but neither epochs nor batches nor time are limited.
        """
        self.seed = torch.initial_seed() if self.seed is None else self.seed
        if self.schedule == "constant":
            return
        ends = (self.trainer.max_epochs or -1, self.trainer.max_steps, self.max_batches or -1)
        if max(ends) < 1 and self.time_done is None:
            raise SemcompError(
                f"schedule={self.schedule} needs an end, found max_epochs={self.trainer.max_epochs}; set "
                "--trainer.max_epochs, --trainer.max_steps or --trainer.max_time, or --model.schedule=constant"
            )

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set the learning rate and the state of torch's random generators."""
        factor = schedule_factor(self.schedule, self._done(batch_idx))
        for optimizer in self.trainer.optimizers:
            for group in optimizer.param_groups:
                group.setdefault("initial_lr", group["lr"])
                group["lr"] = group["initial_lr"] * factor
        counter = [self.seed or 0, self.current_epoch, batch_idx, self.global_rank]
        torch.manual_seed(int(np.random.SeedSequence(counter).generate_state(1, np.uint64)[0]))

    def done(self) -> float:
        """Fraction of the whole training that is done, asked between two batches."""
        progress: Any = self.trainer.fit_loop.epoch_loop.batch_progress.current
        return self._done(progress.processed)

    def _done(self, batch_idx: int) -> float:
        """Fraction of the whole training that is done before a batch of this epoch; 0 if training has no limit.

        The largest of the fractions of epochs, of batches and of time.
        """
        epochs, batches = self.trainer.max_epochs or -1, max(1.0, float(self.trainer.num_training_batches))
        if self.max_batches is None and self.trainer.max_steps > 0:  # which counts the steps of all optimisers
            self.max_batches = -(-self.trainer.max_steps // len(self.trainer.optimizers)) * self.accumulate
        ends = [
            epochs * batches if epochs > 0 else math.inf,
            math.inf if self.max_batches is None else self.max_batches,
        ]
        done = (self.current_epoch * float(self.trainer.num_training_batches) + batch_idx) / min(ends)
        return min(1.0, max(done, self.time_done or 0.0))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the name of the class with the hyper-parameters, so that a checkpoint says which model it is.

        Raises:
            SemcompError: losses are not finite, so that the weights may not be either.
        """
        self.read_losses()
        checkpoint["model"], checkpoint["seed"] = name_of(type(self)), self.seed

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Accept old checkpoints, in which the plain network had no name of its own."""
        self.seed = checkpoint.get("seed")
        for weights in checkpoint.keys() & {"state_dict", "current_model_state"}:  # averaged and latest weights
            checkpoint[weights] = with_part(checkpoint[weights], self, self.part)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip the gradient norm of this optimiser's parameters; in this hook gradients are unscaled in any precision.

        A norm that is NaN or infinite stops training at the next reading.
        """
        self._norms.append(nn.utils.clip_grad_norm_(parameters_of(optimizer), self.gradient_clip or math.inf))

    def _stop(self, batch: int, found: Mapping[str, float]) -> None:
        """Raise the error that stops training at values that are not finite."""
        self._unread.clear()
        saved = [getattr(callback, "best_model_path", "") for callback in reversed(self.trainer.checkpoint_callbacks)]
        last = next(filter(None, saved), "none yet")
        values = ", ".join(f"{name} = {value:.4g}" for name, value in found.items())
        raise SemcompError(
            f"training stopped in epoch {self.current_epoch}, batch {batch}: {values}, expected finite numbers; last "
            f"checkpoint: {last}; start from it with --model.init_from and a lower --model.learning_rate"
        )


def total(terms: Mapping[str, Tensor]) -> Tensor:
    """The sum of the terms of a loss."""
    return torch.stack([*terms.values()]).sum()


def _stack(values: list[Tensor]) -> Tensor:
    return torch.stack([value.detach().float() for value in values])


def schedule_factor(schedule: Schedule, done: float) -> float:
    """Factor of the learning rate after the fraction `done` in [0, 1] of training.

    `cosine` warms up over the first hundredth and falls to 0; `poly` is (1 - done)^0.9, as is usual for segmenters.
    """
    if schedule == "constant":
        return 1.0
    if schedule == "poly":
        return float((1 - done) ** 0.9)
    return min(1.0, done / 0.01 + 0.01) * 0.5 * (1 + math.cos(math.pi * done))
