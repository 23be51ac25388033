"""Conversion between the content of a file and its bytes."""

from collections.abc import Sequence

from semcomp_pl.coding.container import MAX_PIXELS, Kind, Section, pack, parse, refuse_large, verify
from semcomp_pl.coding.content import Content, Rates
from semcomp_pl.coding.section import SectionCoder
from semcomp_pl.errors import FileError


class ImageFile:
    """Writes and reads the files of one codec.

    Args:
        fingerprint: 32 bytes that identify the codec.
        coders: Coders of its sections, in the order of the file; each may use the content of the sections before.
    """

    def __init__(self, fingerprint: bytes, coders: Sequence[SectionCoder]) -> None:
        self.fingerprint = fingerprint
        self.coders = {coder.kind: coder for coder in coders}

    def settle(self, content: Content) -> Content:
        """The content with those sections coded whose coders change what is transmitted."""
        for coder in self.coders.values():
            content = coder.settle(content)
        return content

    def write(self, content: Content) -> bytes:
        """The file of an image."""
        sections = [coder.encode(content) for kind, coder in self.coders.items() if kind in content.parts]
        return pack(self.fingerprint, content.height, content.width, sections, self._checked(sections, content))

    def read(self, data: bytes, max_pixels: int = MAX_PIXELS) -> Content:
        """The content of a file.

        Raises:
            FileError: the file is not one of the suite's, of another model, damaged, or larger than allowed.
        """
        content, sections = self._open(data, max_pixels)
        checked = [section for section in sections if self.coders[section.kind].checked(section)]
        for section in checked:
            content = self._decode(section, content)
        verify(self.fingerprint, data, self._checked(checked, content))
        for section in sections:
            if section not in checked:
                content = self._decode(section, content)
        return content

    def rates(self, data: bytes, content: Content) -> Rates:
        """The rates of a file with this content, in bits per pixel of the image."""
        sections = parse(data).sections
        bound = sum(self.coders[section.kind].bound_bits(content) for section in sections)
        ideal = sum(self.coders[section.kind].ideal_bits(section, content) for section in sections)
        payload = 8 * sum(len(section.data) for section in sections)
        pixels = content.height * content.width
        return Rates(bound / pixels, ideal / pixels, payload / pixels, 8 * len(data) / pixels)

    def _open(self, data: bytes, max_pixels: int) -> tuple[Content, list[Section]]:
        """An empty content, and the sections to fill it from, in the codec's order."""
        container = parse(data)
        if container.model != self.fingerprint[:3]:
            raise FileError(
                f"made with model {container.model.hex()}, this is {self.fingerprint[:3].hex()}; decode with that model"
            )
        refuse_large(container, max_pixels)
        found = {section.kind: section for section in container.sections}
        required = {kind for kind, coder in self.coders.items() if coder.required}
        if not required <= found.keys() <= self.coders.keys():
            names, wanted = (", ".join(sorted(kind.name.lower() for kind in kinds)) for kinds in (found, required))
            raise FileError(f"sections {names} found, expected {wanted} of this model; the file is damaged")
        return Content(container.height, container.width, {}), [found[kind] for kind in self.coders if kind in found]

    def _decode(self, section: Section, content: Content) -> Content:
        return content.with_part(section.kind, self.coders[section.kind].decode(section, content))

    def _checked(self, sections: Sequence[Section], content: Content) -> bytes:
        """The decoded bytes that the check covers besides the file's own."""
        kinds: list[Kind] = [section.kind for section in sections if self.coders[section.kind].checked(section)]
        return b"".join(content.parts[kind].tobytes() for kind in kinds)
