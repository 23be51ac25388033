"""What a decoder must get out of a file, and the way from there to bytes and back."""

from collections.abc import Callable, Sequence, Set
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from semcomp_pl.coding.ans import Symbols
from semcomp_pl.coding.container import MAX_PIXELS, Kind, Section, pack, parse, refuse_large, verify
from semcomp_pl.coding.heatmap import Heatmap, HeatmapCoder
from semcomp_pl.coding.label_map import LabelCoder
from semcomp_pl.coding.latent import LatentCoder
from semcomp_pl.errors import FileError

Labels = NDArray[np.uint8]


class Content(NamedTuple):
    """One image as a model transmits it."""

    height: int
    """Pixels of the image."""
    width: int
    symbols: Symbols
    """(C, rows, columns)."""
    labels: Labels | None
    """The label map sent beside them, on the latent grid or at the image's size; none for most models."""
    heatmap: Heatmap | None = None
    """The cells (rows, columns) whose symbols are sent; the others are `neutral`. None where all are."""
    layers: tuple[Section, ...] = ()
    """Sections that are chosen before the file is written."""


class Rates(NamedTuple):
    """Bits of one file; each at most the one before, but for the few bytes that a coder needs to end."""

    bpp_bound: float
    """Of symbols and label map without any model."""
    bpp_ideal: float
    """Their code length under the models that the file uses."""
    bpp_payload: float
    """Bytes of the sections."""
    bpp: float
    """Bytes of the file."""


def by_name(rates: Sequence[Rates]) -> dict[str, list[float]]:
    """The rates of several files, by name."""
    return {name: [*values] for name, values in zip(Rates._fields, zip(*rates, strict=True), strict=True)}


class ImageFile:
    """Writes and reads the files of one model.

    Args:
        fingerprint: 32 bytes that name the model.
        latent: Coder of its symbols.
        labels: Coder of its label maps; none where it sends none.
        grid: (height, width) of an image to those of its latent.
        full_labels: The label map is sent at the image's size, not on the latent grid.
        reduce: A label map at the image's size to the latent grid.
        present: A label map as it is sent to the classes (K, rows, columns) that each cell holds, for models whose
            files carry a heatmap; none where they do not.
    """

    def __init__(
        self,
        fingerprint: bytes,
        latent: LatentCoder,
        labels: LabelCoder | None,
        grid: Callable[[int, int], tuple[int, int]],
        full_labels: bool = False,
        reduce: Callable[[Labels], Labels] = lambda label: label,
        present: Callable[[Labels], NDArray[np.bool_]] | None = None,
    ) -> None:
        self.fingerprint, self.latent, self.labels, self.grid = fingerprint, latent, labels, grid
        self.full_labels, self._reduce, self._present = full_labels, reduce, present
        self.heatmap = HeatmapCoder(labels.classes) if present is not None and labels is not None else None

    def write(self, content: Content) -> bytes:
        """The file of an image."""
        sections = []
        if self.labels is not None and content.labels is not None:
            sections.append(Section(Kind.LABELS, *self.labels.encode(content.labels)))
            if self.heatmap is not None and content.heatmap is not None:
                coded = self.heatmap.encode(content.heatmap, self._classes_present(content.labels))
                sections.append(Section(Kind.HEATMAP, *coded))
        symbols = self.latent.encode(content.symbols, self.on_grid(content.labels), content.heatmap)
        sections.append(Section(Kind.LATENT, *symbols))
        return pack(self.fingerprint, content.height, content.width, sections, _plain(content))

    def read(self, data: bytes, max_pixels: int = MAX_PIXELS) -> Content:
        """What a file holds.

        Raises:
            FileError: not a file of the suite, another model's, damaged, or larger than allowed.
        """
        needed = {Kind.LATENT} if self.labels is None else {Kind.LATENT, Kind.LABELS}
        optional = {Kind.HEATMAP} if self.heatmap is not None else set()
        height, width, sections = self.open(data, max_pixels, needed, optional)
        rows, columns = self.grid(height, width)
        labels = heatmap = None
        if self.labels is not None:
            size = (height, width) if self.full_labels else (rows, columns)
            labels = self.labels.decode(*sections[Kind.LABELS][1:], *size)
        if self.heatmap is not None and labels is not None and Kind.HEATMAP in sections:
            heatmap = self.heatmap.decode(*sections[Kind.HEATMAP][1:], self._classes_present(labels))
        symbols = self.latent.decode(*sections[Kind.LATENT][1:], rows, columns, self.on_grid(labels), heatmap)
        content = Content(height, width, symbols, labels, heatmap)
        verify(self.fingerprint, data, _plain(content))
        return content

    def open(
        self, data: bytes, max_pixels: int, required: Set[Kind], optional: Set[Kind] = frozenset()
    ) -> tuple[int, int, dict[Kind, Section]]:
        """Height and width of a file's image, and its sections, not decoded and not verified yet.

        Raises:
            FileError: as `read`.
        """
        container = parse(data)
        if container.model != self.fingerprint[:3]:
            raise FileError(
                f"made with model {container.model.hex()}, this is {self.fingerprint[:3].hex()}; decode with that model"
            )
        refuse_large(container, max_pixels)
        sections = {section.kind: section for section in container.sections}
        if not required <= sections.keys() <= required | optional:
            found, wanted = (", ".join(sorted(kind.name.lower() for kind in kinds)) for kinds in (sections, required))
            raise FileError(f"sections {found} found, expected {wanted} of this model; the file is damaged")
        return container.height, container.width, sections

    def rates(self, data: bytes, content: Content) -> Rates:
        """How long the file is, and how long it might be, in bits per pixel of the image."""
        sections = parse(data).sections
        coders = {section.kind: section.coder for section in sections}
        heatmap = content.heatmap
        bound, ideal = self.latent.bound_bits(content.symbols.shape[1], content.symbols.shape[2], heatmap), 0.0
        if self.labels is not None and content.labels is not None:
            bound += self.labels.bound_bits(content.labels.size)
            ideal += self.labels.ideal_bits(coders[Kind.LABELS], content.labels)
        if self.heatmap is not None and heatmap is not None:
            bound += self.heatmap.bound_bits(heatmap.size)
            ideal += self.heatmap.ideal_bits(coders[Kind.HEATMAP], heatmap)
        ideal += self.latent.ideal_bits(coders[Kind.LATENT], content.symbols, self.on_grid(content.labels), heatmap)
        payload = 8 * sum(len(section.data) for section in sections)
        pixels = content.height * content.width
        return Rates(bound / pixels, ideal / pixels, payload / pixels, 8 * len(data) / pixels)

    def _classes_present(self, labels: Labels) -> NDArray[np.bool_]:
        assert self._present is not None
        return self._present(labels)

    def on_grid(self, labels: Labels | None) -> Labels | None:
        """The label map as the latent's coder knows it."""
        return self._reduce(labels) if labels is not None and self.full_labels else labels


def _plain(content: Content) -> bytes:
    labels = b"" if content.labels is None else content.labels.tobytes()
    heatmap = b"" if content.heatmap is None else content.heatmap.tobytes()
    return labels + heatmap + content.symbols.tobytes()
