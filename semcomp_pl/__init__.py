"""semcomp_pl: semantic image compression below 0.1 bit per pixel, trained, coded and compared."""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`semcomp_pl.load`, imported when asked for: `semcomp --help` must not wait for torch."""
    if name == "load":
        from semcomp_pl.checkpoints.loading import load

        return load
    raise AttributeError(f"module 'semcomp_pl' has no attribute {name!r}")
