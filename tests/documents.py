"""Code blocks of Markdown pages."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Block(NamedTuple):
    """A code block."""

    language: str
    text: str

    def commands(self) -> Iterator[list[str]]:
        """The words of each command."""
        for line in self.text.replace("\\\n", "").splitlines():
            words = shlex.split(line, comments=True)
            while "&&" in words:
                end = words.index("&&")
                yield words[:end]
                words = words[end + 1 :]
            yield words


def blocks(page: str) -> list[Block]:
    """The blocks of a page, given by its path in the repository, in their order."""
    text = (ROOT / page).read_text()
    return [Block(*found) for found in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)]


def links(page: str) -> Iterator[Path]:
    """Files that a page links to or shows."""
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text()):
        yield (ROOT / page).parent / target
