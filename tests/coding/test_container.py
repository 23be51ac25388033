"""The container: small, self-describing, and unforgiving."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcomp_pl.coding.container import (
    MAX_SIDE,
    Kind,
    Section,
    pack,
    parse,
    refuse_large,
    verify,
)
from semcomp_pl.errors import FileError, SemcompError

MODEL = bytes(range(32))
LATENT = Section(Kind.LATENT, 2, b"some symbols")
MANY = [Section(kind, int(kind), bytes([kind]) * 50 * kind) for kind in Kind]


def file(sections: list[Section] | None = None, height: int = 128, width: int = 256) -> bytes:
    return pack(MODEL, height, width, sections or [LATENT], b"content")


@given(st.integers(1, MAX_SIDE), st.integers(1, MAX_SIDE), st.binary(max_size=300), st.integers(0, 14))
def test_a_single_section_costs_sixteen_bytes_at_any_size(height: int, width: int, data: bytes, coder: int) -> None:
    packed = pack(MODEL, height, width, [Section(Kind.LATENT, coder, data)], b"")
    assert len(packed) == len(data) + 16
    found = parse(packed)
    assert (found.height, found.width, found.model, found.overhead) == (height, width, MODEL[:3], 16)
    assert found.sections == [Section(Kind.LATENT, coder, data)]
    verify(MODEL, packed, b"")


@given(st.lists(st.sampled_from(MANY), min_size=1, unique_by=lambda section: section.kind))
def test_sections_come_back_in_their_order(sections: list[Section]) -> None:
    packed = file(sections)
    assert parse(packed).sections == sections
    verify(MODEL, packed, b"content")
    assert parse(packed).overhead <= 17 + 3 * len(sections)


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (65536, 1)])
def test_sizes_that_no_header_holds_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(SemcompError, match="expected sides of 1 to 65535"):
        file(height=size[0], width=size[1])


@pytest.mark.parametrize("sections", [[LATENT], MANY], ids=["one section", "all kinds"])
def test_every_flipped_bit_is_rejected(sections: list[Section]) -> None:
    packed = file(sections)
    for bit in range(8 * len(packed)):
        flipped = bytearray(packed)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FileError):
            _whole(bytes(flipped))


@pytest.mark.parametrize("sections", [[LATENT], MANY], ids=["one section", "all kinds"])
def test_every_truncation_is_called_that(sections: list[Section]) -> None:
    packed = file(sections)
    for length in range(1, len(packed)):
        with pytest.raises(FileError, match="truncated"):
            parse(packed[:length])


@pytest.mark.parametrize("extra", [1, 2, 17, 64])
def test_trailing_data_is_called_that(extra: int) -> None:
    with pytest.raises(FileError, match=f"trailing data: {extra} bytes"):
        parse(file() + bytes(extra))


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n" + bytes(50), b"\0" * 100, b"RIFF1234WEBP", b"S\x8d" * 20])
def test_other_files_are_not_ours(data: bytes) -> None:
    with pytest.raises(FileError, match="not a semcomp file"):
        parse(data)


@pytest.mark.parametrize("version", [0, 2, 15])
def test_other_versions_are_not_guessed_at(version: int) -> None:
    packed = bytearray(file())
    packed[2] = version << 4 | packed[2] & 15
    with pytest.raises(FileError, match=rf"version \({version}, this is 1\)"):
        parse(bytes(packed))


def test_unknown_and_repeated_sections_are_refused() -> None:
    packed = file([LATENT, MANY[1]])
    for kind in (7, 15, 1):
        changed = bytearray(packed)
        changed[17] = kind << 4
        with pytest.raises(FileError, match=r"each kind of 0\.\.6 once"):
            parse(bytes(changed))


def test_sizes_are_refused_before_anything_is_allocated() -> None:
    hostile = parse(file(height=65535, width=65535))
    with pytest.raises(FileError, match=r"4294836225 pixels, expected at most 67108864.*--max-pixels"):
        refuse_large(hostile)
    refuse_large(hostile, 1 << 32)
    refuse_large(parse(file(height=8192, width=8192)))


def test_lengths_past_the_end_are_refused() -> None:
    packed = bytearray(file([MANY[1], LATENT]))
    for place, value in ((16, 9), (16, 0), (18, 127), (18, 0xFF)):
        changed = bytearray(packed)
        changed[place] = value
        with pytest.raises(FileError):
            parse(bytes(changed))


def test_a_check_made_again_without_the_content_is_rejected() -> None:
    packed = file()
    forged = pack(MODEL, 128, 256, [Section(Kind.LATENT, 2, b"other symbols")], b"content")
    parse(forged)
    with pytest.raises(FileError, match="damaged"):
        verify(MODEL, forged, b"what the other symbols decode to")
    verify(MODEL, packed, b"content")


def test_another_model_is_found_by_the_check_even_if_its_id_is_equal() -> None:
    with pytest.raises(FileError, match="damaged"):
        verify(MODEL[:3] + bytes(29), file(), b"content")


@given(st.binary(max_size=200))
def test_any_bytes_behind_the_magic_are_taken_apart_or_refused(tail: bytes) -> None:
    for data in (tail, b"\x8dS" + tail, b"\x8dS\x1f" + tail, _sized(b"\x8dS\x1f" + tail)):
        try:
            found = parse(data)
        except FileError:
            continue
        assert found.overhead + sum(len(section.data) for section in found.sections) == len(data)


def _sized(data: bytes) -> bytes:
    """The same with the length that it has, where a header has room for it."""
    return data if len(data) < 12 else data[:10] + struct.pack(">H", len(data) & 0xFFFF) + data[12:]


def _whole(data: bytes) -> None:
    parse(data)
    verify(MODEL, data, b"content")
