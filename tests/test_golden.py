"""Files written once must decode to the same symbols for ever, on any machine and under any settings."""

import json
import subprocess
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import semcomp_pl
from semcomp_pl.codecs.neural import NeuralCodec
from semcomp_pl.coding.container import Kind, parse
from semcomp_pl.coding.pictures import FORMATS
from semcomp_pl.coding.sections import SECTIONS
from semcomp_pl.errors import FileError

GOLDEN = Path(__file__).parent / "golden" / "v1"
ALL = sorted((GOLDEN / "files").glob("*.smc"))
DAMAGED = (
    "_pixel",
    "_odd",
    "_whole",
    "_classes",
    "_adaptive",
    "_scattered",
    "_small",
    "_webp",
    "selective_gan_uniform",
    "layered_codec_uniform",
    "coclico_uniform",
    "coclico_vector",
    "coclico_static",
    "_cells8",
    "_cells16",
    "_cells32",
    "_cells64",
)
EXACT = {(Kind.LATENT, 0), (Kind.LATENT, 1), (Kind.LATENT, 2), (Kind.LABELS, 0), (Kind.LABELS, 1)}
EXACT |= {(Kind.HEATMAP, 0), (Kind.HEATMAP, 1), (Kind.HEATMAP, 2), (Kind.THUMBNAIL, 0), (Kind.THUMBNAIL, 1)}
EXACT |= {(Kind.VECTOR, 0), (Kind.VECTOR, 1), *((Kind.COLOURS, size) for size in (3, 4, 5, 6))}
"""The suite's own coders; the others are picture formats, which may decode a level apart from version to version."""


def sections(file: Path) -> set[tuple[Kind, int]]:
    """Kind and coder of each section of a file."""
    return {(section.kind, section.coder) for section in parse(file.read_bytes()).sections}


def readable(file: Path) -> bool:
    """Whether this machine has every format of a file: the one for JPEG XL is an extra."""
    return all(FORMATS[coder].available for kind, coder in sections(file) - EXACT)


def name_of(file: Path) -> str:
    """The model that wrote a file."""
    return file.stem.rpartition("_")[0]


FILES = [file for file in ALL if readable(file)]
MODELS = sorted({name_of(file) for file in ALL})
SMALL = [file for file in FILES if file.stem.endswith(DAMAGED)]


@cache
def codec_of(name: str) -> NeuralCodec:
    """A model's, for small images only."""
    return semcomp_pl.load(GOLDEN / name, max_pixels=1 << 20)


def same_symbols(codec: NeuralCodec, file: Path) -> None:
    """The suite's own sections are exact, and pictures within a level of what their format once decoded."""
    content = codec.file.read(file.read_bytes())
    parts = {"symbols": content.symbols}
    parts |= {kind.name.lower(): content.parts[kind] for kind in list(Kind)[1:] if kind in content.parts}
    for kind in ("thumbnail", "vector"):
        parts.pop(kind, None)  # which are the symbols
    with np.load(GOLDEN / "decoded" / f"{file.stem}.npz") as expected:
        assert parts.keys() == expected.keys()
        for name, values in parts.items():
            differ = np.abs(values.astype(int) - expected[name]).max()
            exact = name in {"labels", "heatmap", "colours"} or (name == "symbols" and sections(file) <= EXACT)
            assert differ <= (0 if exact else 1)


def test_there_are_files_of_every_coder_that_sections_name() -> None:
    named = {(section.kind, coder) for section in SECTIONS for coder, name in enumerate(section.coders) if name}
    assert {section.kind for section in SECTIONS} == set(Kind)
    assert named > EXACT
    assert set.union(*map(sections, ALL)) == named


def test_damage_is_tried_on_every_coder_of_the_suite_and_on_a_picture_format() -> None:
    assert set.union(*map(sections, SMALL)) == EXACT | {(Kind.THUMBNAIL, 3), (Kind.RESIDUAL, 3)}


@pytest.mark.parametrize("file", ALL, ids=lambda file: file.stem)
def test_symbols_are_exact_and_pixels_within_one_level(file: Path) -> None:
    if file not in FILES:
        pytest.skip("JPEG XL's plug-in is not installed; pip install '.[jxl]'")
    codec = codec_of(name_of(file))
    same_symbols(codec, file)
    pixels = (codec.decompress(file.read_bytes()) * 255).round()
    with Image.open(GOLDEN / "decoded" / f"{file.stem}.png") as picture:
        expected = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)
    assert pixels.shape == expected.shape
    # a level of a thumbnail is one of the image, a level of a residual is two
    assert (pixels - expected).abs().max() <= (1 if sections(file) <= EXACT else 4)


@pytest.mark.parametrize("file", SMALL, ids=lambda file: file.stem)
def test_a_codec_in_bfloat16_decodes_the_same_symbols(file: Path) -> None:
    codec = codec_of(name_of(file))
    with torch.autocast("cpu", torch.bfloat16):
        same_symbols(codec, file)
        assert codec.decompress(file.read_bytes()).isfinite().all()
    half = semcomp_pl.load(GOLDEN / name_of(file)).net.to(torch.bfloat16)
    same_symbols(NeuralCodec(half, codec.name, codec.fingerprint), file)


DECODE = """
import json, sys, torch
threads, onednn = int(sys.argv[1]), sys.argv[2] == "True"
torch.set_num_threads(threads)
torch.backends.mkldnn.enabled = onednn
from pathlib import Path
from tests.test_golden import FILES, codec_of, name_of, same_symbols
for file in FILES:
    codec = codec_of(name_of(file))
    same_symbols(codec, file)
    batch = codec.decompress_batch([file.read_bytes()] * int(sys.argv[3]))
    print(json.dumps([file.stem, (batch[-1] * 255).round().flatten().tolist()]))
"""


@pytest.mark.slow
def test_other_processes_threads_and_batches_decode_the_same() -> None:
    answers = []
    for threads, onednn, batch in ((1, True, 1), (2, True, 8), (1, False, 8), (2, False, 1)):
        words = [sys.executable, "-c", DECODE, str(threads), str(onednn), str(batch)]
        environment = {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads), "PATH": ""}
        done = subprocess.run(
            words, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1], env=environment
        )
        answers.append([json.loads(line) for line in done.stdout.splitlines()])
    for answer in answers:
        assert [name for name, _ in answer] == [file.stem for file in FILES]
        for (_, found), (_, expected) in zip(answer, answers[0], strict=True):
            assert np.abs(np.array(found) - np.array(expected)).max() <= 1


def sound(file: Path) -> tuple[NeuralCodec, bytes]:
    """The codec of a file, and its bytes, which it decodes as they are."""
    codec, data = codec_of(name_of(file)), file.read_bytes()
    codec.decompress(data)
    return codec, data


def rejected(codec: NeuralCodec, data: bytes) -> None:
    with pytest.raises(FileError):
        codec.decompress(data)


@pytest.mark.parametrize("file", SMALL, ids=lambda file: file.stem)
def test_every_flipped_bit_is_rejected(file: Path) -> None:
    codec, data = sound(file)
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        rejected(codec, bytes(flipped))


@pytest.mark.parametrize("file", SMALL, ids=lambda file: file.stem)
def test_every_truncation_deletion_and_insertion_is_rejected(file: Path) -> None:
    codec, data = sound(file)
    for place in range(len(data)):
        rejected(codec, data[:place])
        rejected(codec, data[:place] + data[place + 1 :])
        for byte in (0, 0x5A, 0xFF):
            rejected(codec, data[:place] + bytes([byte]) + data[place:])
    for extra in range(1, 65):
        rejected(codec, data + bytes(extra))
        rejected(codec, data + bytes([7]) * extra)


@pytest.mark.parametrize("file", SMALL, ids=lambda file: file.stem)
def test_lost_and_invented_bytes_of_the_right_length_are_rejected(file: Path) -> None:
    """With the header's length made to fit, so that the coders have to deal with them."""
    codec, data = sound(file)
    for place in range(16, len(data)):
        for changed in (data[:place] + data[place + 1 :], data[:place] + b"\x5a" + data[place:]):
            rejected(codec, changed[:10] + len(changed).to_bytes(2, "big") + changed[12:])


def edit(data: bytes, place: float, kind: str, extra: bytes) -> bytes:
    """One change of a file, at a fraction of its length."""
    at = int(place * len(data))
    return {
        "overwrite": data[:at] + extra + data[at + len(extra) :],
        "insert": data[:at] + extra + data[at:],
        "delete": data[:at] + data[at + len(extra) :],
        "cut": data[:at],
    }[kind]


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(SMALL),
    st.lists(
        st.tuples(st.floats(0, 1), st.sampled_from(["overwrite", "insert", "delete", "cut"]), st.binary(max_size=9)),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
def test_edited_files_are_rejected(file: Path, edits: list[tuple[float, str, bytes]], fit: bool) -> None:
    original = data = file.read_bytes()
    for place, kind, extra in edits:
        data = edit(data, place, kind, extra)
    if fit and len(data) >= 16:  # model and length as the reader expects them
        data = original[:6] + data[6:10] + (len(data) & 0xFFFF).to_bytes(2, "big") + data[12:]
    if data != original:
        rejected(codec_of(name_of(file)), data)


@pytest.mark.parametrize(("name", "other"), [*pairwise([*MODELS, MODELS[0]])])
def test_another_models_file_names_both(name: str, other: str) -> None:
    codec = codec_of(other)
    for file in (file for file in SMALL if name_of(file) == name):
        own, theirs = codec.fingerprint[:3].hex(), codec_of(name).fingerprint[:3].hex()
        with pytest.raises(FileError, match=f"made with model {theirs}, this is {own}"):
            codec.decompress(file.read_bytes())


@pytest.mark.parametrize("size", [(65535, 65535), (1, 65535), (8192, 8192), (1000, 1000), (0, 0), (0, 9), (1, 1)])
@pytest.mark.parametrize("name", MODELS)
def test_hostile_sizes_are_rejected(name: str, size: tuple[int, int]) -> None:
    data = next(file for file in SMALL if name_of(file) == name and not file.stem.endswith("_pixel")).read_bytes()
    sized = data[:6] + size[0].to_bytes(2, "big") + size[1].to_bytes(2, "big") + data[10:]
    rejected(codec_of(name), sized)
