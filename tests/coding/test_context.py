"""The context model: symbols come back for every shape, from integers that plain Python computes alike."""

from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from math import floor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semcomp_pl.coding.ans import Symbols
from semcomp_pl.coding.context import CEILING, UNIT, ContextModel, centred, layers
from semcomp_pl.coding.fixed import softmax_counts
from semcomp_pl.coding.latent import normalise
from semcomp_pl.coding.lattice import BESIDE, KNOWN, Step, cells, steps
from semcomp_pl.errors import FileError
from semcomp_pl.nets.context import ContextNet, Frozen


def model(channels: int, levels: int, classes: int = 0, seed: int = 0) -> ContextModel:
    """One with random weights, frozen from the network that would be trained."""
    torch.manual_seed(seed)
    net = ContextNet(channels, levels, classes)
    first = normalise(np.ones((channels, levels), int))
    return ContextModel(channels, levels, classes, first, *net.freeze())


def grid(rng: np.random.Generator, channels: int, levels: int, height: int, width: int) -> Symbols:
    return rng.integers(0, levels, (channels, height, width)).astype(np.uint8)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 5),
    st.sampled_from([2, 3, 5, 17, 256]),
    st.sampled_from([0, 1, 11, 182]),
    st.integers(1, 20),
    st.integers(1, 20),
    st.integers(0, 2**32 - 1),
)
def test_symbols_come_back(channels: int, levels: int, classes: int, height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    coder, symbols = model(channels, levels, classes), grid(rng, channels, levels, height, width)
    label = rng.choice([*range(classes), 255], (height, width)) if classes else None
    data = coder.encode(symbols, label)
    np.testing.assert_array_equal(coder.decode(data, height, width, label), symbols)
    assert len(data) <= 1.01 * coder.bits(symbols, label) / 8 + 4


def test_another_label_map_decodes_to_other_symbols_or_is_noticed() -> None:
    rng = np.random.default_rng(0)
    coder, symbols = model(3, 5, classes=4), grid(rng, 3, 5, 8, 8)
    label = rng.integers(0, 4, (8, 8))
    data = coder.encode(symbols, label)
    with suppress(FileError):
        assert (coder.decode(data, 8, 8, (label + 1) % 4) != symbols).any()


def test_blocks_of_cells_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    coder, symbols = model(3, 5), grid(np.random.default_rng(0), 3, 5, 13, 18)
    whole = coder.encode(symbols)
    monkeypatch.setattr("semcomp_pl.coding.context._BLOCK", 7)
    assert coder.encode(symbols) == whole
    np.testing.assert_array_equal(coder.decode(whole, 13, 18), symbols)


def extreme(like: Frozen) -> Frozen:
    """Any integers that the tables can hold."""
    rng = np.random.default_rng(0)
    drawn = [rng.integers(np.iinfo(v.dtype).min, np.iinfo(v.dtype).max, v.shape, v.dtype, True) for v in like[:2]]
    return Frozen(drawn[0], drawn[1], rng.integers(-3, 20, like.shifts.shape, np.int8))


@pytest.mark.parametrize("change", [lambda frozen: frozen, extreme], ids=["as initialised", "extreme"])
def test_probabilities_are_what_exact_fractions_give(change: Callable[[Frozen], Frozen]) -> None:
    """Every number of one step again, cell by cell and without NumPy's matrix product."""
    channels, levels = 2, 3
    torch.manual_seed(1)
    frozen = change(ContextNet(channels, levels, 0).freeze())
    coder = ContextModel(channels, levels, 0, normalise(np.ones((channels, levels), int)), *frozen)
    symbols = grid(np.random.default_rng(1), channels, levels, 4, 5)
    values = centred(symbols, levels)
    matrices = {}
    at = row = 0
    for name, outputs, inputs in layers(channels, levels, 0):
        rows = range(row, row + outputs)
        weights = [frozen.weights[at + i * inputs : at + (i + 1) * inputs].tolist() for i in range(outputs)]
        matrices[name] = [(w, int(frozen.biases[r]), int(frozen.shifts[r])) for w, r in zip(weights, rows, strict=True)]
        at, row = at + outputs * inputs, row + outputs

    def apply(name: str, x: list[int]) -> list[int]:
        sums = [(sum(a * b for a, b in zip(w, x, strict=True)) + bias, s) for w, bias, s in matrices[name]]
        return [floor(Fraction(total) / Fraction(2) ** shift + Fraction(1, 2)) for total, shift in sums]

    def activate(name: str, x: list[int]) -> list[int]:
        return [min(max(value, 0), CEILING) for value in apply(name, x)]

    def at_place(channel: int, y: int, x: int) -> int:
        return int(values[channel, y, x]) if 0 <= y < 4 and 0 <= x < 5 else 0

    step = Step(0, 1)
    places = [(y, x) for y in (0, 2) for x in (1, 3)] + [(y, x) for y in (1, 3) for x in (0, 2, 4)]
    expected: dict[int, list[list[int]]] = {0: [], 1: []}
    for y, x in places:
        seen = [at_place(c, y + dy, x + dx) for c in range(channels) for dy, dx in KNOWN[1]]
        side = [2 * UNIT * y // 3 - UNIT, 2 * UNIT * x // 4 - UNIT, UNIT, 0, 0]
        features = activate("1.trunk", seen + side)
        for channel in range(channels):
            hidden = activate(f"1.head{channel}", features)
            expected[channel].append(apply(f"1.out{channel}", hidden))
            features = features + [at_place(channel, y + dy, x + dx) for dy, dx in BESIDE[1]]
    for (channel, _), counts in coder._tables(symbols, None, step):
        logits = np.array(expected[channel], dtype=np.float64).T
        np.testing.assert_array_equal(counts, softmax_counts(logits))


def nats(net: ContextNet, symbols: Symbols) -> torch.Tensor:
    """Code length of each symbol, (B, C, cells)."""
    truth = torch.from_numpy(symbols).long()
    return torch.nn.functional.cross_entropy(net(truth), truth, reduction="none").flatten(2)


def test_all_cells_at_once_are_predicted_as_they_are_decoded() -> None:
    """The network in training and the integers of files see the same neighbours, with label maps and at any size."""
    rng = np.random.default_rng(0)
    for channels, levels, classes, height, width in ((1, 2, 0, 1, 1), (3, 5, 4, 7, 12), (2, 9, 0, 1, 9)):
        torch.manual_seed(0)
        net = ContextNet(channels, levels, classes)
        coder = ContextModel(channels, levels, classes, normalise(np.ones((channels, levels), int)), *net.freeze())
        symbols = grid(rng, channels, levels, height, width)
        label = rng.choice([*range(classes), 255], (height, width)) if classes else None
        known = None if label is None else torch.from_numpy(label)[None]
        with torch.no_grad():
            floating = net(torch.from_numpy(symbols)[None].long(), known)[0].softmax(0)
        for step in steps(height, width):
            at = np.arange(height * width).reshape(height, width)[:: 1 << step.level, :: 1 << step.level]
            order = np.concatenate([part.ravel() for part in cells(at, step.kind)])
            for (channel, block), counts in coder._tables(symbols, label, step):
                found = floating[:, channel].flatten(1).T[order[block]]
                np.testing.assert_allclose(counts / counts.sum(1, keepdims=True), found, atol=0.01)


def test_integers_code_as_well_as_the_network_they_come_from() -> None:
    rng = np.random.default_rng(0)
    smooth = rng.integers(0, 5, (64, 1, 4, 4)).repeat(2, 2).repeat(2, 3).astype(np.uint8)
    symbols = np.concatenate([smooth, 4 - smooth], 1)
    torch.manual_seed(0)
    net = ContextNet(2, 5, 0)
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    for _ in range(60):
        optimizer.zero_grad()
        nats(net, symbols[:32]).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    coder = ContextModel(2, 5, 0, normalise(np.ones((2, 5), int)), *net.freeze())
    first = 2 * np.log2(5)
    with torch.no_grad():
        floating = nats(net, symbols[32:])[..., 1:].sum().item() / np.log(2) / 32 + first
    integer = np.mean([coder.bits(one) for one in symbols[32:]])
    assert integer == pytest.approx(floating, rel=0.01)
    assert integer < 0.5 * symbols[0].size * np.log2(5)


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    place = int(rng.integers(len(data)))
    return data[:place] + bytes([data[place] ^ 1 << int(rng.integers(8))]) + data[place + 1 :]


def test_damage_changes_the_symbols_or_is_noticed() -> None:
    rng = np.random.default_rng(0)
    coder, symbols = model(4, 5), grid(rng, 4, 5, 8, 16)
    data = coder.encode(symbols)
    noticed = 0
    for _ in range(60):
        try:
            assert (coder.decode(damaged(data, rng), 8, 16) != symbols).any()
        except FileError:
            noticed += 1
    assert noticed > 50
