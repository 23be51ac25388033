"""The file format around the coded sections, as described in `docs/file-format.md`. Parsing it needs no model.

magic 2 | version, layout 1 | model 3 | height 2 | width 2 | length 2 | check 4 | sections
"""

import struct
import zlib
from enum import IntEnum
from typing import NamedTuple

from semcomp_pl.errors import FileError, SemcompError

MAGIC = b"\x8dS"
VERSION = 1
MAX_PIXELS = 1 << 26
"""Larger images are refused unless the caller allows them, as a small file must not claim all memory."""
MAX_SIDE = (1 << 16) - 1
_HEAD = struct.Struct(">2sB3sHHHI")
_TABLE = 15


class Kind(IntEnum):
    """Kind of content of a section."""

    LATENT = 0
    LABELS = 1
    HEATMAP = 2
    THUMBNAIL = 3
    RESIDUAL = 4
    VECTOR = 5
    COLOURS = 6


class Section(NamedTuple):
    """One part of a file."""

    kind: Kind
    coder: int
    """Number of its coder, 0..14: 0 is uniform, without a model; each kind numbers its other coders itself."""
    data: bytes


class Container(NamedTuple):
    """A parsed file."""

    model: bytes
    """First three bytes of the model's fingerprint."""
    height: int
    width: int
    sections: list[Section]
    check: int
    overhead: int
    """Number of bytes that are not data of a section."""


def pack(fingerprint: bytes, height: int, width: int, sections: list[Section], content: bytes) -> bytes:
    """The file of an image.

    Args:
        fingerprint: 32 bytes that identify the model; all of them enter the check.
        height: Height in pixels, 1..65535.
        width: Width in pixels, 1..65535.
        sections: At least one section, each of another kind.
        content: Bytes that a decoder must obtain from the sections; they enter the check too.

    Raises:
        SemcompError: a side is out of range.
    """
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
        raise SemcompError(f"an image of {width}x{height} found, expected sides of 1 to {MAX_SIDE}; cut it")
    layout, table = sections[0].coder, b""
    if [section.kind for section in sections] != [Kind.LATENT]:
        layout = _TABLE
        heads = (bytes([section.kind << 4 | section.coder]) + _varint(len(section.data)) for section in sections)
        table = bytes([len(sections)]) + b"".join(heads)
    body = table + b"".join(section.data for section in sections)
    head = (MAGIC, VERSION << 4 | layout, fingerprint[:3], height, width, (_HEAD.size + len(body)) & 0xFFFF)
    bare = _HEAD.pack(*head, 0)
    return _HEAD.pack(*head, _crc(fingerprint, bare + body, content)) + body


def parse(data: bytes) -> Container:
    """Parse a file, without its check: that covers what only a model can decode, and is left to `verify`.

    Raises:
        FileError: the file is not one of the suite's, or is of a newer version, truncated, too long or inconsistent.
    """
    if not data.startswith(MAGIC[: len(data)]) or not data:
        raise FileError("not a semcomp file; expected one that semcomp compress wrote")
    if len(data) < _HEAD.size:
        raise FileError(f"truncated: {len(data)} bytes found, expected {_HEAD.size} of header alone; fetch it again")
    _, form, model, height, width, length, check = _HEAD.unpack_from(data)
    version, layout = form >> 4, form & 15
    if version != VERSION:
        raise FileError(f"made by a newer version ({version}, this is {VERSION}), or damaged; upgrade semcomp_pl")
    missing = (length - len(data)) & 0xFFFF
    if missing:
        found = f"{missing} bytes missing" if missing < 1 << 15 else f"{(1 << 16) - missing} bytes of trailing data"
        kind = "truncated" if missing < 1 << 15 else "trailing data"
        raise FileError(f"{kind}: {found} in a file of {len(data)} bytes; fetch it again")
    if not (height and width):
        raise FileError(f"an image of {width}x{height} found, expected sides of 1 or more; the file is damaged")
    single = Section(Kind.LATENT, layout, data[_HEAD.size :])
    sections = _sections(data) if layout == _TABLE else [single]
    overhead = len(data) - sum(len(section.data) for section in sections)
    return Container(model, height, width, sections, check, overhead)


def refuse_large(container: Container, max_pixels: int = MAX_PIXELS) -> None:
    """Refuse an image that is too large, before anything is allocated for it.

    Raises:
        FileError: the image has more pixels than allowed.
    """
    pixels = container.height * container.width
    if pixels > max_pixels:
        raise FileError(
            f"an image of {container.width}x{container.height} found, {pixels} pixels, expected at most {max_pixels}; "
            "where the file can be trusted, allow more with --max-pixels"
        )


def verify(fingerprint: bytes, data: bytes, content: bytes) -> None:
    """Check a complete file against the model and the decoded content.

    Raises:
        FileError: the check differs.
    """
    *head, check = _HEAD.unpack_from(data)
    if _crc(fingerprint, _HEAD.pack(*head, 0) + data[_HEAD.size :], content) != check:
        raise FileError("the check over file and decoded symbols differs: the file is damaged; fetch it again")


def _crc(*parts: bytes) -> int:
    value = 0
    for part in parts:
        value = zlib.crc32(part, value)
    return value


def _sections(data: bytes) -> list[Section]:
    """The sections after a table of their kinds, coders and lengths."""
    count, place = _byte(data, _HEAD.size), _HEAD.size + 1
    heads: list[tuple[Kind, int, int]] = []
    for _ in range(count):
        head = _byte(data, place)
        length, place = _read_varint(data, place + 1)
        kind, coder = head >> 4, head & 15
        if kind not in list(Kind) or kind in [known for known, *_ in heads] or coder == _TABLE:
            raise FileError(
                f"a section of kind {kind}, coder {coder} found, expected each kind of 0..{max(Kind)} once; "
                "the file is damaged or made by a newer version"
            )
        heads.append((Kind(kind), coder, length))
    if not heads or sum(length for *_, length in heads) != len(data) - place:
        raise FileError("sections that do not fill the file found; it is damaged")
    sections = []
    for kind, coder, length in heads:
        sections.append(Section(kind, coder, data[place : place + length]))
        place += length
    return sections


def _byte(data: bytes, place: int) -> int:
    if place >= len(data):
        raise FileError("truncated: the table of sections runs past the end; the file is damaged")
    return data[place]


def _varint(value: int) -> bytes:
    """Seven bits per byte, lowest first; the top bit is set if more follow."""
    low = bytearray()
    while value > 127:
        low.append(value & 127 | 128)
        value >>= 7
    return bytes([*low, value])


def _read_varint(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 35, 7):
        byte = _byte(data, place)
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise FileError("a length of more than 35 bits found; the file is damaged")
