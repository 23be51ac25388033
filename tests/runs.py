"""What runs leave behind, and where two of them differ."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def trained(run: Path, name: str = "last") -> dict[str, Any]:
    """What a checkpoint says about training: weights, averages, optimisers and counters."""
    content: dict[str, Any] = torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)
    content.pop("callbacks")  # they have paths in them
    return content


def differing(a: Any, b: Any, path: str = "") -> list[str]:
    """Where nested containers differ, by a bit or more."""
    if isinstance(a, Tensor):
        return [] if torch.equal(a, b) else [path]
    if isinstance(a, dict):
        missing = [f"{path}.{key}" for key in a.keys() ^ b.keys()]
        return missing + [where for key in a.keys() & b.keys() for where in differing(a[key], b[key], f"{path}.{key}")]
    if isinstance(a, (list, tuple)) and len(a) == len(b):
        return [where for i, (x, y) in enumerate(zip(a, b, strict=True)) for where in differing(x, y, f"{path}.{i}")]
    return [] if a == b else [f"{path}: {a} and {b}"]
