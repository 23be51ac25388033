"""Lossless coding of label maps, by context mixing that starts from a prior and adapts to the map.

    label map --questions per cell--> answers --mixed probabilities--> range coder --> bytes

The prior is the state of the adaptive tables after coding the label maps of a training split one after the other.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from semcomp_pl.coding import mixing
from semcomp_pl.coding.ans import Decoder, Encoder
from semcomp_pl.coding.fixed import OCTAVE, SQUASH, STRETCH, TOTAL
from semcomp_pl.errors import FileError, SemcompError

SLOTS = 1 << 11
"""Number of probabilities per context in a prior."""
UNIFORM, MIXED = 0, 1
_WIDE = 1 << 13  # number of cells from which a map gets more slots than a prior has; chosen by hand
_TRUST = 30  # largest number of updates that a prior, fitted on other maps, counts for; chosen by hand
_STEP = OCTAVE // 8  # unit of a prior's log-odds, which are stored as int8


class Prior(NamedTuple):
    """Initial values of the adaptive tables."""

    odds: NDArray[np.int8]
    """Log-odds (contexts, slots), in eighths of a bit."""
    hits: NDArray[np.uint8]
    """Number of updates behind each of them."""
    weights: NDArray[np.int32]
    """Mixing weights (sets, contexts)."""


def no_prior() -> Prior:
    """A prior that knows nothing."""
    shape = (mixing.CONTEXTS, SLOTS)
    weights = np.full((mixing.SETS, mixing.CONTEXTS), mixing.START_WEIGHT, np.int32)
    return Prior(np.zeros(shape, np.int8), np.zeros(shape, np.uint8), weights)


class LabelCoder:
    """Codes maps (H, W) of ids 0..K-1 and, where K < 256, 255 = ignored.

    Args:
        classes: Number of classes K, at most 256.
        prior: Prior fitted by `fit_prior`; if not given, coding starts without one.

    Raises:
        SemcompError: the number of classes is out of range.
    """

    def __init__(self, classes: int, prior: Prior | None = None) -> None:
        if not 1 <= classes <= 256:
            raise SemcompError(f"{classes} classes found, expected 1 to 256; merge some")
        self.classes = classes
        self.alphabet = min(classes + 1, 256)
        self.prior = prior or no_prior()

    def bound_bits(self, cells: int) -> float:
        """Bits of that many cells without a model: log2 of the number of ids per cell."""
        return cells * float(np.log2(self.alphabet))

    def encode(self, label: NDArray[Any]) -> tuple[int, bytes]:
        """Number and bytes of the shorter of two coders.

        Raises:
            SemcompError: an id is out of range.
        """
        symbols = self._symbols(label)
        coded, _ = self._mix(symbols)
        encoder = Encoder()
        encoder.push_uniform(symbols.ravel(), self.alphabet)
        plain = encoder.data()
        return (MIXED, coded) if len(coded) < len(plain) else (UNIFORM, plain)

    def ideal_bits(self, coder: int, label: NDArray[Any]) -> float:
        """Code length under a coder's probabilities."""
        return self.bound_bits(label.size) if coder == UNIFORM else self._mix(self._symbols(label))[1]

    def decode(self, coder: int, data: bytes, height: int, width: int) -> NDArray[np.uint8]:
        """The label map coded in bytes.

        Raises:
            FileError: the coder is unknown, or no map of this size has these bytes.
        """
        if len(data) > self.bound_bits(height * width) / 8 + 5:
            raise FileError(f"{len(data)} bytes found for a label map of {width}x{height}, more than it can need")
        if coder == UNIFORM:
            decoder = Decoder(data)
            symbols = decoder.pop_uniform(height * width, self.alphabet).reshape(height, width).astype(np.int64)
            decoder.finish()
        elif coder == MIXED:
            symbols = self._unmix(data, height, width)
        else:
            raise FileError(f"label coder {coder} found, expected {UNIFORM} or {MIXED}; upgrade semcomp_pl")
        # a damaged map may contain invalid labels; they must become bytes too, for the file's check to refuse the map
        return np.where(symbols >= self.classes, 255, symbols).astype(np.uint8)

    def _symbols(self, label: NDArray[Any]) -> NDArray[np.int64]:
        ids = label.astype(np.int64)
        strange = (ids < 0) | (ids >= self.classes) & (ids != 255)
        if strange.any():
            raise SemcompError(
                f"label id {ids[strange][0]} found, expected 0..{self.classes - 1} or 255; use maps of one taxonomy"
            )
        return np.ascontiguousarray(np.minimum(ids, self.alphabet - 1))

    def _mix(self, symbols: NDArray[np.int64]) -> tuple[bytes, float]:
        data = np.zeros(2 * symbols.size + 64, np.uint8)
        mixer = _mixer(self.prior, symbols.size, data)
        bits = mixing.code_map(symbols.copy(), self.alphabet, mixer, False)
        low, place = int(mixer.coder[mixing.LOW]), int(mixer.coder[mixing.PLACE])
        coded = data[:place].tobytes()
        if low:  # one byte identifies a number in the interval, as the decoder reads zeros after it
            coded += bytes([(low >> 24) + 1])
        return coded if place < len(data) else bytes(len(data)), bits

    def _unmix(self, data: bytes, height: int, width: int) -> NDArray[np.int64]:
        symbols = np.zeros((height, width), np.int64)
        mixer = _mixer(self.prior, symbols.size, np.frombuffer(bytearray(data), np.uint8))
        mixer.coder[mixing.VALUE] = int.from_bytes(data[:4].ljust(4, b"\0"), "big")
        mixer.coder[mixing.PLACE] = 4
        mixing.code_map(symbols, self.alphabet, mixer, True)
        if int(mixer.coder[mixing.PLACE]) - 4 not in {len(data), len(data) - 1}:
            raise FileError("the coded label map does not end where it should; the file is damaged")
        return symbols


def fit_prior(classes: int, maps: Iterable[NDArray[Any]]) -> Prior:
    """The state of the tables after coding label maps (H, W), whose order matters little."""
    coder = LabelCoder(classes)
    mixer = _mixer(no_prior(), 0, np.zeros(0, np.uint8))
    for label in maps:
        mixing.code_map(coder._symbols(label), coder.alphabet, mixer, False)
    rounded = np.clip(np.round(STRETCH[mixer.odds >> 4] / _STEP), -127, 127).astype(np.int8)
    return Prior(rounded, np.minimum(mixer.hits, _TRUST), mixer.weights.astype(np.int32))


def _mixer(prior: Prior, cells: int, data: NDArray[np.uint8]) -> mixing.Mixer:
    """Adaptive tables from a prior; large maps get more slots, each from the prior's slot with the same low bits."""
    odds = SQUASH[prior.odds.astype(np.int64) * _STEP + len(SQUASH) // 2]
    copies = 32 if cells >= _WIDE else 1
    return mixing.Mixer(
        np.tile(odds.clip(16, TOTAL - 17).astype(np.int32), (1, copies)),
        np.tile(prior.hits, (1, copies)),
        prior.weights.astype(np.int64),
        np.array([0, mixing.MASK, 0, 0]),
        data,
    )
