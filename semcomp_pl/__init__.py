"""semcomp_pl: semantic image compression below 0.1 bit per pixel, trained, coded and compared."""

from typing import TYPE_CHECKING, Any

from semcomp_pl.version import __version__

if TYPE_CHECKING:
    from semcomp_pl.checkpoints.loading import load, load_segmenter
    from semcomp_pl.codecs.base import Codec

__all__ = ["Codec", "__version__", "load", "load_segmenter"]


def __getattr__(name: str) -> Any:
    """Import the package's functions on first use: `semcomp --help` must not wait for torch."""
    if name in {"load", "load_segmenter"}:
        from semcomp_pl.checkpoints import loading

        return getattr(loading, name)
    if name == "Codec":
        from semcomp_pl.codecs.base import Codec

        return Codec
    raise AttributeError(f"module 'semcomp_pl' has no attribute {name!r}")
