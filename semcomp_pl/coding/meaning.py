"""The sections of a file that holds no picture: a vector of what the image means, and a map of its colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from semcomp_pl.coding.container import Kind, Section
from semcomp_pl.coding.section import SectionCoder
from semcomp_pl.errors import FileError

if TYPE_CHECKING:  # `semcomp inspect` reads names, and should not wait for NumPy
    import numpy as np
    from numpy.typing import NDArray

    from semcomp_pl.coding.colours import ColourCoder
    from semcomp_pl.coding.content import Content
    from semcomp_pl.coding.vector import VectorCoder


class VectorSection(SectionCoder):
    """A quantised vector (C,) of symbols 0..L-1.

    Args:
        coder: Coder of vectors.
    """

    kind, coders, required = Kind.VECTOR, ("uniform", "static"), False

    def __init__(self, coder: VectorCoder) -> None:
        self.coder = coder

    def encode(self, content: Content) -> Section:
        """The section from the shorter of two coders."""
        return Section(self.kind, *self.coder.encode(content.parts[self.kind]))

    def decode(self, section: Section, content: Content) -> NDArray[np.uint8]:
        """Symbols (C,)."""
        return self.coder.decode(section.coder, section.data)

    def bound_bits(self, content: Content) -> float:
        """C log2 L."""
        return self.coder.bound_bits()

    def ideal_bits(self, section: Section, content: Content) -> float:
        """Code length under the coder's table."""
        return self.coder.ideal_bits(section.coder, content.parts[self.kind])


class ColourSection(SectionCoder):
    """The mean colours (3, rows, columns), 0..23, of the cells of a picture as it is drawn.

    The number of the coder is the size of the cells: 2^3 to 2^6 pixels. So a model writes and reads maps of all sizes.

    Args:
        coder: Coder of colour maps.
        pixels: Number of pixels of a picture as it is drawn.
    """

    kind, required = Kind.COLOURS, False
    coders = ("", "", "", "cells of 8", "cells of 16", "cells of 32", "cells of 64")

    def __init__(self, coder: ColourCoder, pixels: int) -> None:
        self.coder, self.pixels = coder, pixels

    def encode(self, content: Content) -> Section:
        """The section of a map, whose shape tells the size of its cells."""
        from semcomp_pl.coding.colours import drawn_size

        colours = content.parts[self.kind]
        rows, _ = drawn_size(content.height, content.width, self.pixels)
        return Section(self.kind, (rows // colours.shape[1]).bit_length() - 1, self.coder.encode(colours))

    def decode(self, section: Section, content: Content) -> NDArray[np.uint8]:
        """The map (3, rows, columns)."""
        from semcomp_pl.coding.colours import CELLS, drawn_size

        if section.coder not in CELLS:
            raise FileError(f"a colour map with cells of 2^{section.coder} pixels found, expected 2^3 to 2^6; upgrade")
        rows, columns = (side >> section.coder for side in drawn_size(content.height, content.width, self.pixels))
        return self.coder.decode(section.data, rows, columns)

    def bound_bits(self, content: Content) -> float:
        """3 log2 24 bits for each cell."""
        return self.coder.bound_bits(content.parts[self.kind])

    def ideal_bits(self, section: Section, content: Content) -> float:
        """Code length under the coder's tables."""
        return self.coder.ideal_bits(content.parts[self.kind])
