"""The sections of a file: one class a kind, which codes its part of an image's content and says what that costs.

A codec's file is an ordered list of these; a new kind is one more class here and its number in `container.Kind`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from semcomp_pl.coding.container import Kind, Section

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
"""Coders of thumbnail and residual from here on are picture formats; those below are the suite's own."""


class SectionCoder(ABC):
    """Codes sections of one kind."""

    kind: ClassVar[Kind]
    coders: ClassVar[tuple[str, ...]]
    """What each number of a coder stands for."""
    required: ClassVar[bool] = True
    """Whether every file has such a section."""

    @abstractmethod
    def encode(self, content: Content) -> Section:
        """The section of a content that has this kind; kinds before it in the file are known to the decoder."""

    @abstractmethod
    def decode(self, section: Section, content: Content) -> NDArray[Any]:
        """What the section holds, given what the sections before it held.

        Raises:
            FileError: bytes that no such content has.
        """

    @abstractmethod
    def bound_bits(self, content: Content) -> float:
        """Bits without any model."""

    @abstractmethod
    def ideal_bits(self, section: Section, content: Content) -> float:
        """Code length under the model that the section was coded with."""

    def checked(self, section: Section) -> bool:
        """Whether the file's check covers what is decoded, beside the bytes: so for all that the suite itself codes.

        What is not covered is decoded only after the check has passed.
        """
        return True

    def settle(self, content: Content) -> Content:
        """The content with the section chosen, where that changes what is transmitted."""
        return content


class LabelSection(SectionCoder):
    """A label map, at the image's size or on the grid of the latent.

    Args:
        coder: Codes it.
        grid: The latent's.
        full: Whether it is sent at the image's size.
    """

    kind, coders = Kind.LABELS, ("uniform", "mixed")

    def __init__(self, coder: LabelCoder, grid: Grid, full: bool) -> None:
        self.coder, self.grid, self.full = coder, grid, full

    def encode(self, content: Content) -> Section:
        """By the shorter of two coders."""
        return Section(self.kind, *self.coder.encode(content.parts[self.kind]))

    def decode(self, section: Section, content: Content) -> NDArray[np.uint8]:
        """Train ids (H, W) or (rows, columns), 255 = ignore."""
        size = (content.height, content.width) if self.full else self.grid.cells(content.height, content.width)
        return self.coder.decode(section.coder, section.data, *size)

    def bound_bits(self, content: Content) -> float:
        """log2 of the number of ids, for each label."""
        return self.coder.bound_bits(content.parts[self.kind].size)

    def ideal_bits(self, section: Section, content: Content) -> float:
        """Code length under the mixed model."""
        return self.coder.ideal_bits(section.coder, content.parts[self.kind])

    def on_grid(self, content: Content) -> NDArray[np.uint8]:
        """The label map on the grid, (rows, columns)."""
        label = content.parts[self.kind]
        return self.grid.majority(label, self.coder.classes) if self.full else label

    def present(self, content: Content) -> NDArray[np.bool_]:
        """The classes (K, rows, columns) that each cell is known to hold."""
        label, classes = content.parts[self.kind], self.coder.classes
        import numpy as np

        if self.full:
            return np.asarray(self.grid.shares(label, classes)[:classes] > 0)
        return np.asarray(label == np.arange(classes)[:, None, None])


class HeatmapSection(SectionCoder):
    """Which cells' symbols are sent, (rows, columns) bool; a file without this section has them all.

    Args:
        coder: Codes it.
        labels: The label map's section, which comes before.
    """

    kind, coders, required = Kind.HEATMAP, ("uniform", "adaptive", "classes"), False

    def __init__(self, coder: HeatmapCoder, labels: LabelSection) -> None:
        self.coder, self.labels = coder, labels

    def encode(self, content: Content) -> Section:
        """By the shortest of three coders."""
        return Section(self.kind, *self.coder.encode(content.parts[self.kind], self.labels.present(content)))

    def decode(self, section: Section, content: Content) -> NDArray[np.bool_]:
        """Bool (rows, columns)."""
        return self.coder.decode(section.coder, section.data, self.labels.present(content))

    def bound_bits(self, content: Content) -> float:
        """One bit per cell."""
        return self.coder.bound_bits(content.parts[self.kind].size)

    def ideal_bits(self, section: Section, content: Content) -> float:
        """Code length under the coder that was used."""
        return self.coder.ideal_bits(section.coder, content.parts[self.kind])


class LatentSection(SectionCoder):
    """Symbols (C, rows, columns), all of them or those of a heatmap's cells.

    Args:
        coder: Codes them.
        grid: Theirs.
        labels: The section of the label map that the coder's context model knows; none for most codecs.
    """

    kind, coders = Kind.LATENT, ("uniform", "static", "context")

    def __init__(self, coder: LatentCoder, grid: Grid, labels: LabelSection | None = None) -> None:
        self.coder, self.grid, self.labels = coder, grid, labels

    def encode(self, content: Content) -> Section:
        """By the context model, or what is shorter."""
        return Section(self.kind, *self.coder.encode(content.parts[self.kind], *self._known(content)))

    def decode(self, section: Section, content: Content) -> NDArray[np.uint8]:
        """Symbols 0..L-1, `neutral` where none is sent."""
        cells = self.grid.cells(content.height, content.width)
        return self.coder.decode(section.coder, section.data, *cells, *self._known(content))

    def bound_bits(self, content: Content) -> float:
        """log2 L for each symbol that is sent."""
        _, rows, columns = content.parts[self.kind].shape
        return self.coder.bound_bits(rows, columns, content.parts.get(Kind.HEATMAP))

    def ideal_bits(self, section: Section, content: Content) -> float:
        """Code length under the model that was used."""
        return self.coder.ideal_bits(section.coder, content.parts[self.kind], *self._known(content))

    def _known(self, content: Content) -> tuple[NDArray[np.uint8] | None, NDArray[np.bool_] | None]:
        return None if self.labels is None else self.labels.on_grid(content), content.parts.get(Kind.HEATMAP)


class _PictureSection(SectionCoder):
    """Pixels, uint8 (3, H, W), that a picture format may have coded.

    The check covers a format's bytes alone: other versions of its library may decode to pixels that differ by one.
    """

    def checked(self, section: Section) -> bool:
        """The suite's own coders only."""
        return section.coder < FIRST_PICTURE


class ThumbnailSection(_PictureSection):
    """A small picture on the latent's grid, in the shortest form.

    Args:
        coder: Codes it without loss.
        grid: Its.
        least_psnr: The shortest picture that keeps so many dB is taken; none for a picture without loss.
    """

    kind, coders = Kind.THUMBNAIL, ("uniform", "static", *_PICTURES)

    def __init__(self, coder: LatentCoder, grid: Grid, least_psnr: float | None = None) -> None:
        self.coder, self.grid, self.least_psnr = coder, grid, least_psnr

    def encode(self, content: Content) -> Section:
        """The section that `settle` chose, else by the suite's own coder."""
        return content.coded.get(self.kind) or self._own(content)

    def decode(self, section: Section, content: Content) -> NDArray[np.uint8]:
        """Uint8 (3, rows, columns)."""
        cells = self.grid.cells(content.height, content.width)
        return self._decode(section, cells)

    def bound_bits(self, content: Content) -> float:
        """24 bits per pixel."""
        return self.coder.bound_bits(*content.parts[self.kind].shape[1:])

    def ideal_bits(self, section: Section, content: Content) -> float:
        """Code length under the suite's own coders; of what a format wrote, whose model nobody knows, its length."""
        if section.coder < FIRST_PICTURE:
            return self.coder.ideal_bits(section.coder, content.parts[self.kind])
        return 8 * len(section.data)

    def settle(self, content: Content) -> Content:
        """The shortest of all forms, and the pixels as they come back from it."""
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
    """What the generator got wrong, as a picture: 128 for zero, and two levels of the image in one of its own.

    Args:
        quality: Of WebP, 0 to 100; none for files without this section, which are read all the same.
    """

    kind, coders, required = Kind.RESIDUAL, ("", "", *_PICTURES), False

    def __init__(self, quality: int | None = None) -> None:
        self.quality = quality

    def code(self, content: Content, missing: NDArray[np.float32]) -> Content:
        """The content with a residual of original minus decoded image, float (3, H, W) in [-1, 1]."""
        from semcomp_pl.coding import pictures

        assert self.quality is not None
        pixels = (missing * 127.5 + 128).round().clip(0, 255).astype("uint8", order="C")
        section = Section(self.kind, pictures.WEBP, pictures.encode(pictures.WEBP, pixels, self.quality))
        return content.with_part(self.kind, self.decode(section, content), section)

    @staticmethod
    def values(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What is to be added to the decoded image: float (3, H, W)."""
        values: NDArray[np.float32] = pixels.astype("float32")
        values -= 128
        values /= 127.5
        return values

    def encode(self, content: Content) -> Section:
        """As `code` made it."""
        return content.coded[self.kind]

    def decode(self, section: Section, content: Content) -> NDArray[np.uint8]:
        """Uint8 (3, H, W)."""
        from semcomp_pl.coding import pictures

        return pictures.decode(section.coder, section.data, content.height, content.width)

    def bound_bits(self, content: Content) -> float:
        """24 bits per pixel."""
        return 24.0 * content.height * content.width

    def ideal_bits(self, section: Section, content: Content) -> float:
        """The length that it has."""
        return 8 * len(section.data)


SECTIONS: tuple[type[SectionCoder], ...] = (
    LatentSection,
    LabelSection,
    HeatmapSection,
    ThumbnailSection,
    ResidualSection,
)
"""By kind, for those who only want their names."""
