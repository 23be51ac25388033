"""Gradients of a step: averaged over processes and batches, and replayed from a CUDA graph."""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, distributed, nn
from torch.optim import Optimizer

from semcomp_pl.types import Batch

WARM_UP = 3
"""Batches before a graph is recorded: compilers, cuDNN and the allocator settle in them."""


def parameters_of(optimizer: Optimizer) -> list[nn.Parameter]:
    """The parameters of all groups of an optimiser."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def average_gradients(optimizer: Optimizer, batches: int = 1) -> None:
    """Divide the gradients of an optimiser's parameters by a number of batches, and average them over all processes.

    One collective a step replaces DDP's own, which follows the graph of one loss, and cannot follow two losses that
    share a graph.
    """
    gradients = [p.grad for p in parameters_of(optimizer) if p.grad is not None]
    processes = _processes()
    if processes > 1:
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        torch._foreach_copy_(gradients, [part.view_as(own) for part, own in zip(parts, gradients, strict=True)])
    if batches * processes > 1:
        torch._foreach_div_(gradients, batches * processes)


class GraphedGradients:
    """Calls a function that adds gradients, and on CUDA replays it from a graph: one launch instead of a thousand.

    The first batches run as they are, on a stream of their own; then a graph is recorded, which reads each further
    batch from where it read the first one. Batches of other shapes, other devices and several processes, whose
    gradients DDP has claimed for another stream, do without a graph.

    Source: https://docs.pytorch.org/docs/stable/notes/cuda.html#whole-network-capture

    Args:
        function: Adds the gradients of a batch to those of the parameters, and returns tensors by name. It must not
            wait for the device, and must do the same for every batch.
    """

    def __init__(self, function: Callable[[Batch], dict[str, Tensor]]) -> None:
        self.function = function
        self.calls = 0
        self.batch: dict[str, Tensor] = {}
        self.terms: dict[str, Tensor] = {}
        self.graph: Any = None

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """What the function returns; a graph's tensors change with the next call."""
        tensors = {name: value for name, value in batch.items() if isinstance(value, Tensor)}
        if not _graphable(tensors):
            return self.function(batch)
        self.calls += 1
        if self.calls <= WARM_UP:
            return self._on_own_stream(batch)
        if self.graph is None:
            self._record(batch, tensors)
        elif _shapes(tensors) != _shapes(self.batch):
            return self.function(batch)
        for name, value in tensors.items():
            self.batch[name].copy_(value)
        self.graph.replay()
        return self.terms

    def _on_own_stream(self, batch: Batch) -> dict[str, Tensor]:
        """Call the function on another stream, as is required before recording."""
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            terms = self.function(batch)
        torch.cuda.current_stream().wait_stream(stream)
        return terms

    def _record(self, batch: Batch, tensors: dict[str, Tensor]) -> None:
        """Record a graph; nothing is computed yet."""
        self.batch = {name: value.clone() for name, value in tensors.items()}
        self.graph = torch.cuda.CUDAGraph()
        # the loader's threads may call CUDA meanwhile
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
            self.terms = self.function(cast(Batch, {**batch, **self.batch}))


def _graphable(tensors: dict[str, Tensor]) -> bool:
    return _processes() == 1 and all(value.is_cuda for value in tensors.values())


def _processes() -> int:
    """Number of processes that train the model."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def _shapes(tensors: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in tensors.items()}
