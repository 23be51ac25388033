"""Files in layers: a label map, a thumbnail, and where wanted what the generator got wrong."""

from collections.abc import Callable
from typing import Any

from semcomp_pl.coding.ans import Symbols
from semcomp_pl.coding.container import MAX_PIXELS, Kind, Section, pack, parse, verify
from semcomp_pl.coding.image_file import Content, ImageFile, Labels, Rates

FIRST_PICTURE = 3
"""Coders of thumbnail and residual from here on are picture formats; below, they are `LatentCoder`'s."""
PictureDecoder = Callable[[int, bytes, int, int], Symbols]
"""Coder, bytes, height and width to pixels (3, H, W); raises FileError where they are no such picture."""


class LayeredFile(ImageFile):
    """Sections labels, thumbnail and, of some files, residual.

    A content's `symbols` are the thumbnail as a decoder sees it, its `layers` the sections of thumbnail and residual.
    What the suite's own coders wrote is checked as decoded. Picture formats are checked by their bytes alone, because
    other libraries may decode to pixels that differ by one; nothing decodes them before they have passed.

    Args:
        pictures: Decodes what picture formats wrote.
        args: As for `ImageFile`; `latent` is the thumbnail's own coder.
    """

    def __init__(self, pictures: PictureDecoder, *args: Any) -> None:
        super().__init__(*args)
        self._pictures = pictures

    def own(self, symbols: Symbols) -> Section:
        """The thumbnail (3, h, w) without loss, by the suite's own coder."""
        return Section(Kind.THUMBNAIL, *self.latent.encode(symbols))

    def write(self, content: Content) -> bytes:
        """The file of an image; its thumbnail by the suite's own coder where the content has no layers."""
        assert self.labels is not None
        assert content.labels is not None
        layers = content.layers or (self.own(content.symbols),)
        labels = Section(Kind.LABELS, *self.labels.encode(content.labels))
        own = any(layer.kind == Kind.THUMBNAIL and layer.coder < FIRST_PICTURE for layer in layers)
        plain = _plain(content.labels, content.symbols if own else None)
        return pack(self.fingerprint, content.height, content.width, [labels, *layers], plain)

    def read(self, data: bytes, max_pixels: int = MAX_PIXELS) -> Content:
        """As `ImageFile.read`; the residual stays coded."""
        assert self.labels is not None
        needed = {Kind.LABELS, Kind.THUMBNAIL}
        height, width, sections = self.open(data, max_pixels, needed, {Kind.RESIDUAL})
        thumbnail = sections[Kind.THUMBNAIL]
        labels = self.labels.decode(*sections.pop(Kind.LABELS)[1:], height, width)
        grid = self.grid(height, width)
        symbols = self.latent.decode(*thumbnail[1:], *grid) if thumbnail.coder < FIRST_PICTURE else None
        verify(self.fingerprint, data, _plain(labels, symbols))
        if symbols is None:
            symbols = self._pictures(*thumbnail[1:], *grid)
        return Content(height, width, symbols, labels, layers=tuple(sections.values()))

    def rates(self, data: bytes, content: Content) -> Rates:
        """As `ImageFile.rates`.

        The bound of a residual is 24 bits a pixel. The ideal length of what a picture format wrote is the length that
        it has: nobody knows its model.
        """
        assert self.labels is not None
        assert content.labels is not None
        sections = {section.kind: section for section in parse(data).sections}
        thumbnail, residual = sections[Kind.THUMBNAIL], sections.get(Kind.RESIDUAL)
        pixels = content.height * content.width
        bound = self.labels.bound_bits(pixels) + self.latent.bound_bits(*content.symbols.shape[1:])
        bound += 24 * pixels if residual else 0
        ideal = self.labels.ideal_bits(sections[Kind.LABELS].coder, content.labels)
        ideal += 8 * len(residual.data) if residual else 0
        own = thumbnail.coder < FIRST_PICTURE
        ideal += self.latent.ideal_bits(thumbnail.coder, content.symbols) if own else 8 * len(thumbnail.data)
        payload = 8 * sum(len(section.data) for section in sections.values())
        return Rates(bound / pixels, ideal / pixels, payload / pixels, 8 * len(data) / pixels)


def _plain(labels: Labels, symbols: Symbols | None) -> bytes:
    """What the check covers beside the file's bytes."""
    return labels.tobytes() + (b"" if symbols is None else symbols.tobytes())
