"""What a fit measures about itself: a callback for `semcomp fit --trainer.callbacks=...`.

Steps are timed from the end of one batch to the end of the next, so that nothing between them is left out. On a GPU
events mark these moments, and the device is waited for only before the first and after the last timed step.
"""

import functools
import json
import math
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.profilers import Profiler
from plain_loop import PlainLoop

PARTS = ("data", "codec half", "discriminator half", "optimiser", "EMA", "rest")
"""Parts of a step.

Data: waiting for the loader or making the batch, and copying it to the device. Codec half: everything between the
batch and the codec's gradients, the discriminator's view of both images included. Discriminator half: its loss and
gradients, and a second look at the images if it takes one. Optimiser: clipping and steps of all optimisers. EMA: the
moving average. Rest: logging, Lightning's loop, other callbacks.
"""
Moment = Any  # seconds, or an event on a GPU
PLAIN = "plain loop"


class Clock:
    """Moments on the processor, or on the current stream of a GPU."""

    def __init__(self, device: torch.device) -> None:
        self.cuda = device.type == "cuda"

    def now(self) -> Moment:
        """This moment."""
        if not self.cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def wait(self) -> None:
        """Wait until the GPU has done all its work."""
        if self.cuda:
            torch.cuda.synchronize()

    def seconds(self, start: Moment, end: Moment) -> float:
        """Seconds between two moments, which must have passed."""
        return float(start.elapsed_time(end)) / 1000 if self.cuda else float(end - start)


class Parts(Profiler):
    """Takes the time of each part from the marks that Lightning sets around its hooks."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.passes = 0
        self.stack = ["rest"]
        self.changes: list[tuple[str, Moment]] = []

    def start(self, action_name: str) -> None:
        """Enter an action."""
        self.enter(_part(action_name) or self.stack[-1])

    def stop(self, action_name: str) -> None:
        """Leave the last action."""
        if len(self.stack) > 1:  # an action may have begun before this profiler was there
            self.stack.pop()
        self._change()

    def enter(self, part: str) -> None:
        """Enter an action of a part; the plain loop has no parts."""
        self.stack.append(PLAIN if self.stack[-1] == PLAIN else part)
        self._change()

    def within(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function as an action of a part."""

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self.enter(part)
            try:
                return function(*args, **kwargs)
            finally:
                self.stop(part)

        return timed

    def watch(self, module: Any) -> None:
        """Tell the halves of a step apart: the second of its backward passes is the discriminator's."""
        if hasattr(module, "discriminator_loss"):
            module.discriminator_loss = self.within("discriminator half", module.discriminator_loss)
        halves = [self.within(half, torch.autograd.backward) for half in ("codec half", "discriminator half")]

        def backward(*args: Any, **kwargs: Any) -> None:
            self.passes += 1
            halves[self.passes > 1](*args, **kwargs)

        torch.autograd.backward = backward

    def open(self) -> None:
        """Forget what was recorded, and record from now on."""
        self.changes = [(self.stack[-1], self.clock.now())]

    def close(self) -> dict[str, float]:
        """Seconds of each part since `open`; all moments must have passed."""
        seconds = dict.fromkeys((*PARTS, PLAIN), 0.0)
        for (part, start), (_, end) in zip(self.changes, self.changes[1:], strict=False):
            seconds[part] += self.clock.seconds(start, end)
        return {part: seconds[part] for part in PARTS}

    def mark(self) -> None:
        """End the part that is going on, for `close`."""
        self.changes.append((self.stack[-1], self.clock.now()))

    def _change(self) -> None:
        if self.changes and self.changes[-1][0] != self.stack[-1]:
            self.mark()


def _part(action: str) -> str | None:
    """The part that one of Lightning's actions belongs to; None for that of the action around it."""
    if action.endswith(("dataloader_next", "batch_to_device")):
        return "data"
    if action.startswith("[Strategy]") and action.endswith(".training_step"):
        return "codec half"
    if action.endswith("optimizer_step"):
        return "optimiser"
    if "WeightAveraging" in action and action.endswith("on_train_batch_end"):
        return "EMA"
    return None


class Probe(Callback):
    """Times some steps of a fit, writes the figures to a JSON file, and ends the fit.

    Args:
        file: JSON file to write.
        started: When the process was started, in seconds since the epoch.
        warmup: Steps before the timed ones.
        steps: Steps to time.
        seconds: Time after which no further step is begun, once there are three.
        parts: Time the parts of the steps too, which adds some microseconds to each.
        plain: Time the hand-written loop too, on the same batches: after each step, so that both see the same moments
            of a busy machine; or on a GPU, whose queue must not run dry, after all of them.
        weights: File for the weights after the last step.
    """

    def __init__(
        self,
        file: str,
        started: float,
        warmup: int = 2,
        steps: int = 8,
        seconds: float = math.inf,
        parts: bool = False,
        plain: bool = False,
        weights: str | None = None,
    ) -> None:
        self.file, self.started = Path(file), started
        self.warmup, self.steps, self.seconds = warmup, steps, seconds
        self.with_parts, self.with_plain, self.weights = parts, plain, weights
        self.parts: Parts | None = None
        self.loop: PlainLoop | None = None
        self.figures: dict[str, Any] = {}
        self.done = 0
        self.last: Moment = None
        self.steps_seen: list[tuple[Moment, Moment]] = []
        self.plain_seen: list[tuple[Moment, Moment]] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set up what measures."""
        self.clock = Clock(pl_module.device)
        self.figures["precision"] = str(trainer.precision)
        if self.with_plain:
            self.loop = PlainLoop(pl_module, bf16=trainer.precision == "bf16-mixed")
        if self.with_parts:
            trainer.profiler = self.parts = Parts(self.clock)  # type: ignore[attr-defined]
            self.parts.watch(pl_module)
        if self.clock.cuda:
            torch.cuda.reset_peak_memory_stats()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Note when the first step begins."""
        if self.parts is not None:
            self.parts.passes = 0
        if not self.done:
            self.figures["first_step"] = time.time() - self.started
            if not self.warmup:
                self._open()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note when a step has ended, and whether it was the last."""
        if "steps" in self.figures:
            return
        self.done += 1
        end = self.clock.now()
        if self.done == 1:
            self.clock.wait()
            self.figures["first_step_done"] = time.time() - self.started
        if self.done > self.warmup:
            self.steps_seen.append((self.last, end))
            count = len(self.steps_seen)
            late = time.perf_counter() - self.opened > self.seconds
            if count == self.steps or (late and count >= 3):
                self._close(batch)
                if self.weights is not None:
                    torch.save(pl_module.state_dict(), self.weights)
                trainer.should_stop = True
                return
            self.last = end
        if self.loop is not None and not self.clock.cuda:
            self._step_plainly(batch)
            self.last = self.clock.now()
        if self.done == self.warmup:
            self._open()

    def _open(self) -> None:
        self.clock.wait()
        self.opened = time.perf_counter()
        self.plain_seen.clear()
        if self.parts is not None:
            self.parts.open()
        self.last = self.clock.now()

    def _close(self, batch: Any) -> None:
        if self.parts is not None:
            self.parts.mark()
        self.clock.wait()
        seconds = [self.clock.seconds(*span) for span in self.steps_seen]
        size = len(batch["image"])
        self.figures |= {"batch": size, "steps": seconds, "memory": _peak(self.clock.cuda)}
        if self.parts is not None:
            self.figures["parts"] = {part: value / len(seconds) for part, value in self.parts.close().items()}
        if self.loop is not None:
            for _ in range(len(seconds) + 3 if self.clock.cuda else 1):
                self._step_plainly(batch)
            self.clock.wait()
            self.figures["plain"] = [self.clock.seconds(*span) for span in self.plain_seen[-len(seconds) :]]
        self.file.write_text(json.dumps(self.figures))

    def _step_plainly(self, batch: Any) -> None:
        assert self.loop is not None
        if self.parts is not None:
            self.parts.enter(PLAIN)
        start = self.clock.now()
        self.loop.step(batch)
        self.plain_seen.append((start, self.clock.now()))
        if self.parts is not None:
            self.parts.stop(PLAIN)


def _peak(cuda: bool) -> float:
    """The most memory used so far, in MB: allocated on the GPU since training began, or by this process."""
    if cuda:
        return torch.cuda.max_memory_allocated() / 1e6
    status = Path("/proc/self/status")
    if status.is_file():  # ru_maxrss may be that of the process which started this one
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
