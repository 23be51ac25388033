"""Files of random weights that stand in for published ones, in the layout and place where these are looked for."""

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn

from semcomp_pl.nets.weights import WeightFile


def write(weights: WeightFile, network: nn.Module) -> WeightFile:
    """Write random weights for a network; returns the description of a file with their checksum.

    Tensors are overlapping views of a few numbers, so that the file has kilobytes where the real one has hundreds of
    megabytes.
    """
    path = Path(torch.hub.get_dir()) / weights.folder / weights.name
    assert "stand-in" in str(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    torch.save({name: _random(name, value) for name, value in network.state_dict().items()}, path)
    return weights._replace(sha256=hashlib.sha256(path.read_bytes()).hexdigest()[:8])


def _random(name: str, value: Tensor) -> Tensor:
    if value.ndim < 2:
        ones = name.endswith("running_var") or (name.endswith("weight") and value.ndim == 1)
        return torch.full(tuple(value.shape), int(ones), dtype=value.dtype)
    inputs = value[0].numel()
    numbers: Tensor = torch.randn(sum(value.shape)) * (2 / inputs) ** 0.5
    return numbers.as_strided(value.shape, (1,) * value.ndim)
