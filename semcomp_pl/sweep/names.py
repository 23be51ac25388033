"""Short names of runs."""

import re
from collections.abc import Mapping
from typing import Any

_LONGEST = 80
_LONE = {"model", "data", "trainer", "size", "config"}
"""Parameters whose values say what they are."""


def short(name: str, value: Any) -> str:
    """A parameter in few letters: `model.filters`, 64 -> `filters=64`; `seed_everything`, 1 -> `seed=1`."""
    name = "seed" if name == "seed_everything" else name.rpartition(".")[2]
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    return text if name in _LONE else f"{name}={text}"


def run_name(number: int, values: Mapping[str, Any]) -> str:
    """`007-plain_gan-seed=1`; what is no good in a file's name becomes a minus sign."""
    text = "-".join([f"{number:03}", *(short(name, value) for name, value in values.items())])
    return re.sub(r"[^\w.=+-]+", "-", text)[:_LONGEST].rstrip("-")
