"""The decoded content of a file, and its rates."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from semcomp_pl.coding.container import Kind, Section


class Content(NamedTuple):
    """One image as a codec transmits it."""

    height: int
    """Height of the image in pixels."""
    width: int
    parts: Mapping[Kind, NDArray[Any]]
    """Content of each section, in the form described by its `SectionCoder`."""
    coded: Mapping[Kind, Section] = {}
    """Sections coded before the file is written, because the choice of their coder changes what is transmitted."""

    def with_part(self, kind: Kind, values: NDArray[Any], coded: Section | None = None) -> "Content":
        """The same content with a part added or replaced, and its section if coded already."""
        sections = self.coded if coded is None else {**self.coded, kind: coded}
        return self._replace(parts={**self.parts, kind: values}, coded=sections)

    @property
    def symbols(self) -> NDArray[np.uint8]:
        """Symbols of the latent (C, rows, columns), or the pixels of the thumbnail or the vector that replaces it."""
        return next(self.parts[kind] for kind in (Kind.LATENT, Kind.THUMBNAIL, Kind.VECTOR) if kind in self.parts)

    @property
    def labels(self) -> NDArray[np.uint8] | None:
        """The label map, on the latent's grid or at the image's size; None if there is none."""
        return self.parts.get(Kind.LABELS)

    @property
    def heatmap(self) -> NDArray[np.bool_] | None:
        """The cells (rows, columns) whose symbols are sent; None if all are."""
        return self.parts.get(Kind.HEATMAP)


class Rates(NamedTuple):
    """Bits per pixel of one file, explained step by step."""

    bpp_bound: float
    """Bits of the content without any entropy model."""
    bpp_ideal: float
    """Code length of the content under the models that the file uses."""
    bpp_payload: float
    """Size of the sections' data."""
    bpp: float
    """Size of the whole file."""


def by_name(rates: Sequence[Rates]) -> dict[str, list[float]]:
    """The rates of several files, by name."""
    return {name: [*values] for name, values in zip(Rates._fields, zip(*rates, strict=True), strict=True)}
