"""The progress of a training, a test or a prediction, in one line."""

import sys
import time
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar

from semcomp_pl.progress import Line, clock, speed

SHORT = {
    "adversarial": "adv",
    "distortion": "dist",
    "feature_matching": "fm",
    "cross_entropy": "ce",
    "structure": "struct",
    "semantic": "sem",
    "bpp_estimated": "bpp est.",
}
"""Short names of what a step logs; other names are shown as they are."""
_FIGURES = 3


class ProgressLine(ProgressBar):
    """Epoch, batch, speed, time left of the whole training and three figures; metrics.csv has all figures.

    The figures are the first two terms of the loss and the first metric of validation, or three terms before there is
    one. They are read every now and then, because the device is waited for with them.

    Args:
        seconds: Time between two looks at the figures.
        every: Time between two lines where there is no terminal.
    """

    def __init__(self, seconds: float = 0.5, every: float = 30.0) -> None:
        super().__init__()
        self.seconds, self.every = seconds, every
        self._line: Line | None = None
        self._enabled = True
        self._started, self._before = time.monotonic(), 0.0
        self._shown, self._batches, self._pace = time.monotonic(), 0, 0.0

    def enable(self) -> None:
        """Show progress."""
        self._enabled = True

    def disable(self) -> None:
        """Show none, as in all processes but the first."""
        self._enabled = False

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print above the line."""
        print(*args, **kwargs, file=sys.stderr)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._started = self._shown = time.monotonic()
        self._before = _done(pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Show the batch, if it is time."""
        self._batches += 1
        now = time.monotonic()
        if not self._enabled or now - self._shown < self.seconds:
            return
        pace = self._batches / (now - self._shown)
        self._pace = 0.7 * self._pace + 0.3 * pace if self._pace else pace
        self._shown, self._batches = now, 0
        done = _done(pl_module)
        said = [self._epoch(trainer), f"{batch_idx + 1}/{trainer.num_training_batches}", speed(self._pace, 1.0)]
        if done > self._before:
            left = (now - self._started) * (1 - done) / (done - self._before)
            said.append(f"{clock(left)} left")
        self._show("  ".join([*said, *_figures(self.get_metrics(trainer, pl_module))]), done)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Show the batch."""
        fitting = (
            f"{self._epoch(trainer)}  " if trainer.training or trainer.fit_loop.epoch_progress.current.ready else ""
        )
        total = trainer.num_sanity_val_batches if trainer.sanity_checking else trainer.num_val_batches
        self._count(f"{fitting}validation", batch_idx, total)

    def on_test_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        """Show the batch."""
        self._count("test", trainer.test_loop.batch_progress.current.ready - 1, trainer.num_test_batches)

    def on_predict_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        """Show the batch."""
        self._count("prediction", trainer.predict_loop.batch_progress.current.ready - 1, trainer.num_predict_batches)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Remove the line."""
        if self._line is not None:
            self._line.__exit__()
            self._line = None

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Remove the line."""
        self.teardown(trainer, pl_module, "")

    def _epoch(self, trainer: Trainer) -> str:
        last = f"/{trainer.max_epochs}" if (trainer.max_epochs or -1) > 0 else ""
        return f"epoch {trainer.current_epoch + 1}{last}"

    def _count(self, title: str, batch_idx: int, totals: Any) -> None:
        total = totals[0] if isinstance(totals, list) else totals
        self._show(f"{title}  {batch_idx + 1}/{total}", (batch_idx + 1) / total)

    def _show(self, text: str, done: float) -> None:
        if self._enabled:
            if self._line is None:
                self._line = Line(self.every).__enter__()
            self._line.show(text, min(1.0, done))


def _done(module: LightningModule) -> float:
    done = getattr(module, "done", None)
    return 0.0 if done is None else float(done())


def _figures(metrics: dict[str, Any]) -> list[str]:
    """Three figures of those that a training logs."""
    terms = {name.removeprefix("train/"): value for name, value in metrics.items() if name.startswith("train/")}
    measured = {name.removeprefix("val/"): value for name, value in metrics.items() if name.startswith("val/")}
    chosen = [*[*terms.items()][: _FIGURES - bool(measured)], *[*measured.items()][:1]]
    return [f"{SHORT.get(name, name)} {value:.3g}" for name, value in chosen]
