"""The sections of a file: one class per kind, which codes its part of an image's content and computes its cost.

A codec's file is an ordered list of sections; a new kind needs a class here and a number in `container.Kind`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from semcomp_pl.coding.container import Kind, Section
from semcomp_pl.coding.meaning import ColourSection, VectorSection
from semcomp_pl.coding.section import SectionCoder

if TYPE_CHECKING:  # `semcomp inspect` reads names here, and should wait neither for NumPy nor for the coders
    import numpy as np
    from numpy.typing import NDArray

    from semcomp_pl.coding.content import Content
    from semcomp_pl.coding.grid import Grid
    from semcomp_pl.coding.heatmap import HeatmapCoder
    from semcomp_pl.coding.label_map import LabelCoder
    from semcomp_pl.coding.latent import LatentCoder

_PICTURES = ("", "webp", "jpeg", "jpeg 2000", "avif", "jpeg xl")
FIRST_PICTURE = 3
"""Coders of thumbnail and residual with this number or a higher one are picture formats; lower ones are the suite's."""


class LabelSection(SectionCoder):
    """A label map, at the image's size or on the grid of the latent.

    Args:
        coder: Coder of label maps.
        grid: Grid of the latent.
        full: Whether the label map is sent at the image's size.
    """

    kind, coders = Kind.LABELS, ("uniform", "mixed")

    def __init__(self, coder: LabelCoder, grid: Grid, full: bool) -> None:
        self.coder, self.grid, self.full = coder, grid, full

    def encode(self, content: Content) -> Section:
        """The section from the shorter of two coders."""
        return Section(self.kind, *self.coder.encode(content.parts[self.kind]))

    def decode(self, section: Section, content: Content) -> NDArray[np.uint8]:
        """Train ids (H, W) or (rows, columns), 255 = ignore."""
        size = (content.height, content.width) if self.full else self.grid.cells(content.height, content.width)
        return self.coder.decode(section.coder, section.data, *size)

    def bound_bits(self, content: Content) -> float:
        """log2 of the number of ids per label."""
        return self.coder.bound_bits(content.parts[self.kind].size)

    def ideal_bits(self, section: Section, content: Content) -> float:
        """Code length under the mixed model."""
        return self.coder.ideal_bits(section.coder, content.parts[self.kind])

    def on_grid(self, content: Content) -> NDArray[np.uint8]:
        """The label map on the grid, (rows, columns)."""
        label = content.parts[self.kind]
        return self.grid.majority(label, self.coder.classes) if self.full else label

    def present(self, content: Content) -> NDArray[np.bool_]:
        """The classes known to occur in each cell, bool (K, rows, columns)."""
        label, classes = content.parts[self.kind], self.coder.classes
        import numpy as np

        if self.full:
            return np.asarray(self.grid.shares(label, classes)[:classes] > 0)
        return np.asarray(label == np.arange(classes)[:, None, None])


class HeatmapSection(SectionCoder):
    """The cells whose symbols are sent, bool (rows, columns); a file without this section has the symbols of all.

    Args:
        coder: Coder of heatmaps.
        labels: Section of the label map, which comes before.
    """

    kind, coders, required = Kind.HEATMAP, ("uniform", "adaptive", "classes"), False

    def __init__(self, coder: HeatmapCoder, labels: LabelSection) -> None:
        self.coder, self.labels = coder, labels

    def encode(self, content: Content) -> Section:
        """The section from the shortest of three coders."""
        return Section(self.kind, *self.coder.encode(content.parts[self.kind], self.labels.present(content)))

    def decode(self, section: Section, content: Content) -> NDArray[np.bool_]:
        """Bool (rows, columns)."""
        return self.coder.decode(section.coder, section.data, self.labels.present(content))

    def bound_bits(self, content: Content) -> float:
        """One bit per cell."""
        return self.coder.bound_bits(content.parts[self.kind].size)

    def ideal_bits(self, section: Section, content: Content) -> float:
        """Code length in bits under the coder used."""
        return self.coder.ideal_bits(section.coder, content.parts[self.kind])


class LatentSection(SectionCoder):
    """Symbols (C, rows, columns), all of them or those of a heatmap's cells.

    Args:
        coder: Coder of symbols.
        grid: Grid of the latent.
        labels: Section of the label map that the coder's context model uses; None if it uses none.
    """

    kind, coders = Kind.LATENT, ("uniform", "static", "context")

    def __init__(self, coder: LatentCoder, grid: Grid, labels: LabelSection | None = None) -> None:
        self.coder, self.grid, self.labels = coder, grid, labels

    def encode(self, content: Content) -> Section:
        """The section from the context model, or from the shortest coder if the context model exceeds the bound."""
        return Section(self.kind, *self.coder.encode(content.parts[self.kind], *self._known(content)))

    def decode(self, section: Section, content: Content) -> NDArray[np.uint8]:
        """Symbols 0..L-1, `neutral` in cells that were not sent."""
        cells = self.grid.cells(content.height, content.width)
        return self.coder.decode(section.coder, section.data, *cells, *self._known(content))

    def bound_bits(self, content: Content) -> float:
        """log2 L per symbol that is sent."""
        _, rows, columns = content.parts[self.kind].shape
        return self.coder.bound_bits(rows, columns, content.parts.get(Kind.HEATMAP))

    def ideal_bits(self, section: Section, content: Content) -> float:
        """Code length in bits under the model used."""
        return self.coder.ideal_bits(section.coder, content.parts[self.kind], *self._known(content))

    def _known(self, content: Content) -> tuple[NDArray[np.uint8] | None, NDArray[np.bool_] | None]:
        return None if self.labels is None else self.labels.on_grid(content), content.parts.get(Kind.HEATMAP)


class _PictureSection(SectionCoder):
    """Pixels, uint8 (3, H, W), which may be coded in a picture format.

    For picture formats the check covers only the bytes, as other versions of a library may decode pixels that differ
    by 1.
    """

    def checked(self, section: Section) -> bool:
        """True for the suite's own coders."""
        return section.coder < FIRST_PICTURE


class ThumbnailSection(_PictureSection):
    """A small picture on the latent's grid, in the shortest form.

    Args:
        coder: Lossless coder of pictures.
        grid: Grid of the picture.
        least_psnr: PSNR in dB that the picture must reach; None for a lossless picture.
    """

    kind, coders = Kind.THUMBNAIL, ("uniform", "static", *_PICTURES)

    def __init__(self, coder: LatentCoder, grid: Grid, least_psnr: float | None = None) -> None:
        self.coder, self.grid, self.least_psnr = coder, grid, least_psnr

    def encode(self, content: Content) -> Section:
        """The section that `settle` chose, else the one from the suite's own coder."""
        return content.coded.get(self.kind) or self._own(content)

    def decode(self, section: Section, content: Content) -> NDArray[np.uint8]:
        """Uint8 (3, rows, columns)."""
        cells = self.grid.cells(content.height, content.width)
        return self._decode(section, cells)

    def bound_bits(self, content: Content) -> float:
        """24 bits per pixel."""
        return self.coder.bound_bits(*content.parts[self.kind].shape[1:])

    def ideal_bits(self, section: Section, content: Content) -> float:
        """Code length in bits under the suite's own coders; for picture formats, whose models are unknown, the size."""
        if section.coder < FIRST_PICTURE:
            return self.coder.ideal_bits(section.coder, content.parts[self.kind])
        return 8 * len(section.data)

    def settle(self, content: Content) -> Content:
        """The content with the shortest of all forms, and the pixels decoded from it."""
        from semcomp_pl.coding import pictures

        pixels = content.parts[self.kind]
        own = self._own(content)
        found = [*pictures.lossless(pixels)]
        found += [] if self.least_psnr is None else pictures.at_least(pixels, self.least_psnr)
        candidates = [own, *(Section(self.kind, coder, data) for coder, data in found)]
        best = min(candidates, key=lambda section: len(section.data))
        decoded = pixels if best is own else self._decode(best, (pixels.shape[1], pixels.shape[2]))
        return content.with_part(self.kind, decoded, best)

    def _own(self, content: Content) -> Section:
        return Section(self.kind, *self.coder.encode(content.parts[self.kind]))

    def _decode(self, section: Section, cells: tuple[int, int]) -> NDArray[np.uint8]:
        if section.coder < FIRST_PICTURE:
            return self.coder.decode(section.coder, section.data, *cells)
        from semcomp_pl.coding import pictures

        return pictures.decode(section.coder, section.data, *cells)


class ResidualSection(_PictureSection):
    """The residual of the reconstruction as a picture: 128 means zero, and one level means two levels of the image.

    Args:
        quality: WebP quality, 0 to 100; None to write files without this section (files with it can be read anyway).
    """

    kind, coders, required = Kind.RESIDUAL, ("", "", *_PICTURES), False

    def __init__(self, quality: int | None = None) -> None:
        self.quality = quality

    def code(self, content: Content, missing: NDArray[np.float32]) -> Content:
        """The content with a coded residual, original minus reconstruction, float (3, H, W) in [-1, 1]."""
        from semcomp_pl.coding import pictures

        assert self.quality is not None
        pixels = (missing * 127.5 + 128).round().clip(0, 255).astype("uint8", order="C")
        section = Section(self.kind, pictures.WEBP, pictures.encode(pictures.WEBP, pixels, self.quality))
        return content.with_part(self.kind, self.decode(section, content), section)

    @staticmethod
    def values(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The values to add to the reconstruction: float (3, H, W)."""
        values: NDArray[np.float32] = pixels.astype("float32")
        values -= 128
        values /= 127.5
        return values

    def encode(self, content: Content) -> Section:
        """The section that `code` made."""
        return content.coded[self.kind]

    def decode(self, section: Section, content: Content) -> NDArray[np.uint8]:
        """Uint8 (3, H, W)."""
        from semcomp_pl.coding import pictures

        return pictures.decode(section.coder, section.data, content.height, content.width)

    def bound_bits(self, content: Content) -> float:
        """24 bits per pixel."""
        return 24.0 * content.height * content.width

    def ideal_bits(self, section: Section, content: Content) -> float:
        """Size of the section's data in bits."""
        return 8 * len(section.data)


SECTIONS: tuple[type[SectionCoder], ...] = (
    LatentSection,
    LabelSection,
    HeatmapSection,
    ThumbnailSection,
    ResidualSection,
    VectorSection,
    ColourSection,
)
"""All section classes by kind, for callers that only need names."""
