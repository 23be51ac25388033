"""What a file holds, decoded, and what it costs."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from semcomp_pl.coding.container import Kind, Section


class Content(NamedTuple):
    """One image as a codec transmits it."""

    height: int
    """Pixels of the image."""
    width: int
    parts: Mapping[Kind, NDArray[Any]]
    """What each section holds, in the form that its `SectionCoder` says."""
    coded: Mapping[Kind, Section] = {}
    """Sections that were coded before the file is written, because their form changes what is transmitted."""

    def with_part(self, kind: Kind, values: NDArray[Any], coded: Section | None = None) -> "Content":
        """The same with another part, and its section where that is chosen already."""
        sections = self.coded if coded is None else {**self.coded, kind: coded}
        return self._replace(parts={**self.parts, kind: values}, coded=sections)

    @property
    def symbols(self) -> NDArray[np.uint8]:
        """Symbols of the latent (C, rows, columns), or the pixels of the thumbnail that stands in its place."""
        return self.parts[Kind.LATENT if Kind.LATENT in self.parts else Kind.THUMBNAIL]

    @property
    def labels(self) -> NDArray[np.uint8] | None:
        """The label map, on the latent's grid or at the image's size; none for most codecs."""
        return self.parts.get(Kind.LABELS)

    @property
    def heatmap(self) -> NDArray[np.bool_] | None:
        """The cells (rows, columns) whose symbols are sent; none where all are."""
        return self.parts.get(Kind.HEATMAP)


class Rates(NamedTuple):
    """Bits per pixel of one file; each at most the one before, but for the few bytes that a coder needs to end."""

    bpp_bound: float
    """What is sent, without any model of it."""
    bpp_ideal: float
    """Its code length under the models that the file uses."""
    bpp_payload: float
    """Bytes of the sections."""
    bpp: float
    """Bytes of the file."""


def by_name(rates: Sequence[Rates]) -> dict[str, list[float]]:
    """The rates of several files, by name."""
    return {name: [*values] for name, values in zip(Rates._fields, zip(*rates, strict=True), strict=True)}
