"""Binary context mixing of a label map, compiled: the arithmetic of `semcomp_pl.coding.label_map`.

Each cell becomes a few yes-or-no questions: is its label that of its left neighbour? That of the upper one? And so on;
if no neighbour has its label, the nine bits of the label follow. Each answer is predicted by adaptive probabilities
under ten contexts, mixed in the logistic domain with weights that adapt too (Mahoney, "Adaptive weighing of context
models for lossless data compression", http://hdl.handle.net/11141/154), and coded by a carryless 32-bit binary range
coder. All arithmetic is on integers, so that every machine makes the same bits. Contexts, learning rates and initial
weights were chosen by hand.
"""

import os
import tempfile
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if os.path.expanduser("~") == "~":  # noqa: PTH111  # without a home, numba would create a directory named ~ here
    os.environ.setdefault("NUMBA_CACHE_DIR", os.path.join(tempfile.gettempdir(), "semcomp_numba"))  # noqa: PTH118
import numba

from semcomp_pl.coding.fixed import REACH, SQUASH, STRETCH, TOTAL

CONTEXTS = 10
SETS = 34
"""Number of sets of mixing weights: 5 questions times 0..4 neighbours that agree, and 9 bits of a label."""
START_WEIGHT = int(0.3 * TOTAL)
MASK = 0xFFFFFFFF
LOW, HIGH, VALUE, PLACE = range(4)
"""Indices in the coder's state: ends of the interval, current code value, number of bytes written or read."""

_NEAR = np.array(  # rows above, columns to the right
    [(0, -1), (1, 0), (1, -1), (1, 1), (0, -2), (2, 0), (2, 1), (1, -2), (1, 2), (2, -1), (0, -3), (3, 0)]
)
_SPREAD = np.array(  # odd multipliers, so that equal keys fall into other slots in each context
    [
        0x9E3779B1,
        0x85EBCA77,
        0xC2B2AE3D,
        0x27D4EB2F,
        0x165667B1,
        0xD6E8FEB9,
        0xB5297A4D,
        0x68E31DA5,
        0x1B56C4E9,
        0x7FEB352D,
    ]
)
_RATES = TOTAL * 2 // (2 * np.arange(256) + 3)
_LABEL_BITS = 9


class Mixer(NamedTuple):
    """Adaptive tables and the state of the range coder; all of it changes while coding."""

    odds: NDArray[np.int32]
    """Probabilities of yes (`CONTEXTS`, slots), times `TOTAL`; the number of slots is a power of two."""
    hits: NDArray[np.uint8]
    """Number of updates of each (`CONTEXTS`, slots), at most 255."""
    weights: NDArray[np.int64]
    """Mixing weights (`SETS`, `CONTEXTS`)."""
    coder: NDArray[np.int64]
    """State of the range coder: `LOW`, `HIGH`, `VALUE`, `PLACE`."""
    data: NDArray[np.uint8]
    """Bytes read or written; bytes that do not fit are only counted."""


@numba.njit(cache=True)
def code_map(labels: NDArray[np.int64], alphabet: int, mixer: Mixer, decode: bool) -> float:
    """Code a label map (H, W) of 0..alphabet-1 into `mixer.data`, or decode it from there; returns the ideal bits.

    `alphabet` is at most 257; its value also serves as the label of cells outside the map.
    """
    height, width = labels.shape
    near = np.empty(len(_NEAR), np.int64)
    bits = 0.0
    for y in range(height):
        run = 0  # number of cells since the label last changed in this row
        for x in range(width):
            for j in range(len(_NEAR)):
                row, column = y - _NEAR[j, 0], x + _NEAR[j, 1]
                near[j] = labels[row, column] if row >= 0 and 0 <= column < width else alphabet
            ahead = 0  # number of cells until it changes in the row above
            while ahead < 7 and y > 0 and x + ahead + 1 < width and labels[y - 1, x + ahead + 1] == near[1]:
                ahead += 1
            place = (16 * y // height, 8 * x // width, run, ahead)
            labels[y, x], cost = _code_cell(labels[y, x], near, alphabet, place, mixer, decode)
            run = run + 1 if labels[y, x] == near[0] else 0
            bits += cost
    return bits


@numba.njit(cache=True)
def _code_cell(
    truth: int, near: NDArray[np.int64], alphabet: int, place: tuple[int, int, int, int], mixer: Mixer, decode: bool
) -> tuple[int, float]:
    """Ask for the neighbours' labels in turn, then for the label's bits; returns the label and its ideal bits."""
    keys = np.empty(CONTEXTS, np.int64)
    asked = np.empty(6, np.int64)
    questions, bits = 0, 0.0
    for j in range(6):
        label = near[j]
        repeated = label == alphabet
        for k in range(questions):
            repeated = repeated or asked[k] == label
        if repeated:
            continue
        agreeing = _question(keys, near, label, questions, place)
        answer, cost = _code_bit(int(truth == label), keys, min(questions, 4) * 5 + agreeing, mixer, decode)
        bits += cost
        asked[questions] = label
        questions += 1
        if answer:
            return label, bits
    node = 1
    for j in range(_LABEL_BITS):
        _spelling(keys, near, node, questions, place)
        bit, cost = _code_bit((truth >> (_LABEL_BITS - 1 - j)) & 1, keys, 25 + j, mixer, decode)
        bits += cost
        node = 2 * node + bit
    return node - (1 << _LABEL_BITS), bits


@numba.njit(cache=True)
def _code_bit(bit: int, keys: NDArray[np.int64], chosen: int, mixer: Mixer, decode: bool) -> tuple[int, float]:
    """Predict, code or decode, and learn one bit; returns the bit and its ideal cost in bits."""
    odds, hits, weights = mixer.odds, mixer.hits, mixer.weights
    slots = odds.shape[1] - 1
    places = np.empty(CONTEXTS, np.int64)
    stretched = np.empty(CONTEXTS, np.int64)
    dot = 0
    for m in range(CONTEXTS):
        key = keys[m] * _SPREAD[m] & MASK
        places[m] = (key ^ (key >> 16)) & slots
        stretched[m] = STRETCH[odds[m, places[m]] >> 4]
        dot += weights[chosen, m] * stretched[m]
    p = SQUASH[min(max(dot >> 16, -REACH), REACH) + REACH]
    bit = _range_code(bit, p, mixer.coder, mixer.data, decode)
    error = bit * TOTAL - p
    for m in range(CONTEXTS):
        weights[chosen, m] += stretched[m] * error >> 14
        old, seen = odds[m, places[m]], hits[m, places[m]]
        new = old + ((bit * (TOTAL - 1) - old) * _RATES[seen] >> 16)
        odds[m, places[m]] = min(max(new, 16), TOTAL - 17)
        hits[m, places[m]] = min(seen + 1, 255)
    return bit, -np.log2((p if bit else TOTAL - p) / TOTAL)


@numba.njit(cache=True)
def _range_code(bit: int, p: int, coder: NDArray[np.int64], data: NDArray[np.uint8], decode: bool) -> int:
    """Code or decode a bit that is 1 with probability p / TOTAL."""
    span = coder[HIGH] - coder[LOW]
    middle = coder[LOW] + (span >> 16) * p + ((span & 0xFFFF) * p >> 16)
    if decode:
        bit = int(coder[VALUE] <= middle)
    if bit:
        coder[HIGH] = middle
    else:
        coder[LOW] = middle + 1
    while (coder[LOW] ^ coder[HIGH]) >> 24 == 0:
        place = coder[PLACE]
        if decode:
            coder[VALUE] = (coder[VALUE] << 8 & MASK) | (data[place] if place < len(data) else 0)
        elif place < len(data):
            data[place] = coder[HIGH] >> 24
        coder[PLACE] = place + 1
        coder[LOW] = coder[LOW] << 8 & MASK
        coder[HIGH] = (coder[HIGH] << 8 & MASK) | 255
    return bit


@numba.njit(cache=True)
def _question(
    keys: NDArray[np.int64], near: NDArray[np.int64], label: int, questions: int, place: tuple[int, int, int, int]
) -> int:
    """Fill in the contexts of "is it `label`?"; returns how many of the four nearest neighbours have this label."""
    band, strip, run, ahead = place
    wide, agreeing = 0, 0
    for k in range(len(near)):
        same = int(near[k] == label)
        wide = 2 * wide + same
        agreeing += same if k < 4 else 0
    pattern, few = wide >> 4, wide >> 8
    corner = _hash(_hash(_hash(_hash(label, near[0]), near[1]), near[2]), near[3])
    keys[0] = pattern
    keys[1] = _hash(_hash(_hash(label, few), near[0]), near[1])
    keys[2] = corner
    keys[3] = _hash(_hash(corner, near[4]), near[5])
    keys[4] = _hash(_hash(label, band), few)
    keys[5] = _hash(_hash(label, band), strip)
    keys[6] = _hash(pattern, min(run, 15))
    keys[7] = _hash(_hash(_hash(label, ahead), few), int(near[0] == near[1]))
    keys[8] = wide
    keys[9] = _hash(label, agreeing)
    for m in range(CONTEXTS):
        keys[m] = _hash(keys[m], 1000 + questions)
    return agreeing


@numba.njit(cache=True)
def _spelling(
    keys: NDArray[np.int64], near: NDArray[np.int64], node: int, questions: int, place: tuple[int, int, int, int]
) -> None:
    """Fill in the contexts of a label's next bit; `node` is a leading 1 followed by the label's bits so far."""
    band, strip, _, _ = place
    keys[0] = node
    keys[1] = _hash(node, near[0])
    keys[2] = _hash(node, near[1])
    keys[3] = _hash(node, band)
    keys[4] = _hash(_hash(node, band), strip)
    keys[5] = _hash(_hash(node, near[0]), near[1])
    keys[6] = _hash(node, near[3])
    keys[7] = _hash(_hash(node, near[0]), near[3])
    keys[8] = _hash(_hash(_hash(node, near[0]), near[1]), near[3])
    keys[9] = _hash(_hash(node, questions), band >> 2)
    for m in range(CONTEXTS):
        keys[m] = _hash(keys[m], 2000)


@numba.njit(cache=True)
def _hash(a: int, b: int) -> Any:
    return ((a ^ (a >> 15)) * 0x2C1B3C6D + (b + 1) * 0x297A2D39) & MASK
