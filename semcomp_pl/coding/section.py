"""What a kind of section in a file must be able to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from semcomp_pl.coding.container import Kind, Section

if TYPE_CHECKING:  # `semcomp inspect` reads names, and should not wait for NumPy
    from numpy.typing import NDArray

    from semcomp_pl.coding.content import Content


class SectionCoder(ABC):
    """Codes sections of one kind."""

    kind: ClassVar[Kind]
    coders: ClassVar[tuple[str, ...]]
    """Names of the coders, by number."""
    required: ClassVar[bool] = True
    """Whether every file must have such a section."""

    @abstractmethod
    def encode(self, content: Content) -> Section:
        """The section of a content that has this kind; the decoder knows the sections before it in the file."""

    @abstractmethod
    def decode(self, section: Section, content: Content) -> NDArray[Any]:
        """The content of the section, given that of the sections before it.

        Raises:
            FileError: no such content has these bytes.
        """

    @abstractmethod
    def bound_bits(self, content: Content) -> float:
        """Bits of the content without any model."""

    @abstractmethod
    def ideal_bits(self, section: Section, content: Content) -> float:
        """Code length in bits under the model with which the section was coded."""

    def checked(self, section: Section) -> bool:
        """Whether the file's check covers the decoded content besides the bytes, as for the suite's own coders.

        Sections not covered are decoded only after the check has passed.
        """
        return True

    def settle(self, content: Content) -> Content:
        """The content with this section coded, if the choice of coder changes what is transmitted."""
        return content
