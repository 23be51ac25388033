"""Operators that wait for a GPU, told apart on the CPU."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

WAITING = {
    "_local_scalar_dense",  # Tensor.item, float, bool, if
    "_unique",
    "_unique2",
    "allclose",
    "bincount",
    "equal",
    "histc",
    "is_nonzero",
    "masked_select",
    "multinomial",
    "nonzero",
    "unique_consecutive",
    "unique_dim",
    "unique_dim_consecutive",
}
"""Operators that read from a GPU, or whose result has a size that must be read."""


class Waiting(Exception):
    """An operator that waits for a GPU was called."""


class NoWaiting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses operators that wait for a GPU, and copies between devices."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call an operator if it may be called."""
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        masks = name in {"index", "index_put", "index_put_", "_index_put_impl_"} and any(
            index is not None and index.dtype in {torch.bool, torch.uint8} for index in args[1]
        )
        if name in WAITING or masks or (str(func) == "aten.repeat_interleave.Tensor" and not kwargs.get("output_size")):
            raise Waiting(str(func))
        result = func(*args, **kwargs)
        if name in {"_to_copy", "copy_"} and len({x.device for x in (*args, result) if isinstance(x, Tensor)}) > 1:
            raise Waiting(f"{func} to {result.device}")
        return result
