"""semcomp_pl: semantic image compression below 0.1 bit per pixel, trained, coded and compared.

    import semcomp_pl
    from PIL import Image

    codec = semcomp_pl.load("plain_gan")  # run, export or checkpoint, or its name in weights/ or runs/
    data = codec.compress(Image.open("street.png"))  # the bytes of a .smc file
    image = codec.decompress(data)  # float (3, H, W), RGB, range [0, 1]
    print(8 * len(data) / image[0].numel(), "bpp")

`load_segmenter` loads a segmenter, which makes the label maps of codecs that send them; `Codec` is the interface that
all codecs share, those of `semcomp_pl.codecs` too. Models, data and metrics are in `modules`, `data` and `metrics`; the
command `semcomp` trains and compares them.
"""

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


def __dir__() -> list[str]:
    """The names that are imported on first use too."""
    return sorted({*globals(), *__all__} - {"TYPE_CHECKING", "Any"})
