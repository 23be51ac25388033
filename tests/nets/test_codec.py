"""What every codec is before any training: what it can do, sizes, rates, and how far it looks."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from semcomp_pl.coding.container import Kind
from semcomp_pl.errors import SemcompError
from semcomp_pl.nets.codec import CodecNet, CodecShape, ConditionalNet
from semcomp_pl.nets.layered import LayeredNet, LayeredShape
from semcomp_pl.nets.selective import SelectiveNet

NETS = {"plain": CodecNet, "conditional": ConditionalNet, "selective": SelectiveNet, "layered": LayeredNet}
CLASSES = 4
SIZES = [(7, 13), (1, 1), (130, 258), (32, 64)]
VARIANTS: list[dict[str, Any]] = [
    {},
    {"norm": "instance", "downsamplings": 2},
    {"trunk": "paper", "downsamplings": 1},
    {"trunk": "paper", "filters": 2},
    {"trunk": "paper", "norm": "instance", "upsampling": "transposed", "filters": 2},
]


def make(kind: str, **numbers: Any) -> CodecNet:
    torch.manual_seed(0)
    return NETS[kind].of({"filters": 4, "blocks": 1, "num_classes": CLASSES, **numbers}).eval()


def drawn(height: int, width: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.rand(2, 3, height, width), torch.randint(CLASSES, (2, height, width))


def seen_by(net: CodecNet, label: Tensor) -> Tensor | None:
    return label if net.label_map else None


@pytest.mark.parametrize(
    ("kind", "numbers", "label_map", "chooses", "is_code"),
    [
        ("plain", {}, None, False, True),
        ("conditional", {}, "grid", False, True),
        ("conditional", {"label_map": "full"}, "full", False, True),
        ("selective", {}, "grid", True, True),
        ("selective", {"label_map": "full"}, "full", True, True),
        ("layered", {"downsamplings": 3}, "full", False, False),
        ("layered", {"downsamplings": 3, "label_map": "grid"}, "grid", False, False),
    ],
)
def test_what_it_can_do(
    kind: str, numbers: dict[str, Any], label_map: str | None, chooses: bool, is_code: bool
) -> None:
    net = make(kind, levels=4, **numbers)  # none of four levels is 0, which stands for symbols that are not sent
    assert (net.label_map, net.chooses_regions, net.symbols_are_code) == (label_map, chooses, is_code)
    assert net.side_channels == (0 if label_map is None else CLASSES)
    sections = [section.kind for section in net.sections()]
    assert (Kind.LABELS in sections) is (label_map is not None)
    assert (Kind.HEATMAP in sections) is chooses
    assert (Kind.LATENT in sections) is is_code is (Kind.THUMBNAIL not in sections)
    assert len(sections) == len(set(sections))
    image, label = drawn(32, 64)
    keep = torch.zeros_like(label, dtype=torch.bool)
    with torch.no_grad():
        whole = net(image, seen_by(net, label)).reconstruction
        assert torch.equal(net(image, seen_by(net, (label + 1) % CLASSES)).reconstruction, whole) is (label_map is None)
        if chooses:
            assert not torch.equal(net(image, label, keep).reconstruction, whole)
        else:
            with pytest.raises(SemcompError, match="this codec sends every symbol"):
                net(image, seen_by(net, label), keep)


@pytest.mark.parametrize("kind", NETS)
@pytest.mark.parametrize("size", SIZES)
def test_any_size_comes_back(kind: str, size: tuple[int, int]) -> None:
    net, (image, label) = make(kind), drawn(*size)
    with torch.no_grad():
        out = net(image, seen_by(net, label))
    least = 2 if kind == "layered" else 1
    cells = tuple(max(least, math.ceil(side / 16)) for side in size)
    channels, levels = (3, 256) if kind == "layered" else (8, 5)
    assert net.grid.cells(*size) == cells
    assert out.reconstruction.shape == (2, 3, *size)
    assert out.latent.shape == out.symbols.shape == (2, channels, *cells)
    assert out.symbols.dtype == torch.long
    assert 0 <= out.symbols.min() <= out.symbols.max() < levels
    assert 0 <= out.reconstruction.min() <= out.reconstruction.max() <= 1


@pytest.mark.parametrize("numbers", VARIANTS, ids=str)
@pytest.mark.parametrize("size", SIZES)
def test_any_size_and_trunk_agree_with_the_bound(numbers: dict[str, Any], size: tuple[int, int]) -> None:
    net = make("plain", **numbers)
    with torch.no_grad():
        out = net(drawn(*size)[0])
    assert out.reconstruction.shape == (2, 3, *size)
    bits = out.symbols[0].numel() * math.log2(5)
    assert math.isclose(net.bpp_bound(*size) * math.prod(size), bits, rel_tol=1e-9)


def test_padding_mirrors_and_is_cut_off() -> None:
    """An image of whole cells is coded as it is: extending it by its own mirror image gives the same."""
    net, (image, _) = make("plain"), drawn(30, 61)
    padded = torch.cat([image, image[..., -4:-1].flip(-1)], -1)
    padded = torch.cat([padded, padded[:, :, -3:-1].flip(2)], 2)
    with torch.no_grad():
        assert torch.equal(net(image).reconstruction, net(padded).reconstruction[..., :30, :61])


def test_bound_of_the_study() -> None:
    net = make("plain", channels=8, levels=5, downsamplings=4)
    assert math.isclose(net.bpp_bound(128, 256), 8 * 16 * 8 * math.log2(5) / (128 * 256), rel_tol=1e-12)
    assert round(net.bpp_bound(128, 256), 4) == 0.0726


@pytest.mark.parametrize(("channels", "levels", "downsamplings"), [(1, 2, 2), (4, 3, 3), (8, 8, 4)])
def test_bound_rounds_cells_up(channels: int, levels: int, downsamplings: int) -> None:
    net = make("plain", channels=channels, levels=levels, downsamplings=downsamplings)
    step = 2**downsamplings
    height, width = 3 * step + 1, 5 * step - 1
    expected = 4 * 5 * channels * math.log2(levels) / (height * width)
    assert math.isclose(net.bpp_bound(height, width), expected, rel_tol=1e-12)


@pytest.mark.parametrize(("height", "width", "cells"), [(128, 256, 128), (130, 258, 153), (1, 1, 1)])
@pytest.mark.parametrize("label_map", ["grid", "full"])
def test_label_maps_that_are_sent_count(height: int, width: int, cells: int, label_map: str) -> None:
    extra = make("conditional", label_map=label_map).bpp_bound(height, width) - make("plain").bpp_bound(height, width)
    labels = cells if label_map == "grid" else height * width
    assert math.isclose(extra * height * width, labels * math.log2(CLASSES + 1), rel_tol=1e-9)


@pytest.mark.parametrize("kind", NETS)
def test_a_shape_ignores_what_is_for_training_and_completes_the_rest(kind: str) -> None:
    shape_type = NETS[kind].shape_type
    training = {"learning_rate": 1.0, "judge": "nowhere", "discriminator_filters": 3, "betas": (0, 0), "name": "x"}
    assert shape_type.of({"filters": 12, **training}) == shape_type(filters=12)
    assert shape_type.of({}) == shape_type()
    assert make(kind, **training).state_dict().keys() == make(kind).state_dict().keys()


def test_a_layered_shape_cannot_be_talked_out_of_a_picture() -> None:
    """A picture has three channels of 8 bits, whatever else the hyper-parameters say."""
    shape = LayeredShape.of({"channels": 8, "levels": 5, "trunk": "fast", "entropy_model": "context"})
    assert (shape.channels, shape.levels, shape.trunk, shape.entropy_model) == (3, 256, "paper", "static")
    assert CodecShape.of({"channels": 7, "levels": 3}) == CodecShape(channels=7, levels=3)


REACH = [
    ("plain", {"trunk": "fast"}),
    ("plain", {"trunk": "paper"}),
    ("conditional", {"label_map": "grid"}),
    ("conditional", {"label_map": "full", "trunk": "paper"}),
    ("selective", {"label_map": "full"}),
    ("selective", {"label_map": "grid", "trunk": "paper"}),
    ("layered", {"label_map": "full"}),
    ("layered", {"label_map": "grid"}),
]


@pytest.mark.parametrize("blocks", [0, 2])
@pytest.mark.parametrize("downsamplings", [3, 4])
@pytest.mark.parametrize(("kind", "numbers"), REACH, ids=str)
def test_no_network_looks_beyond_its_reach(kind: str, numbers: dict[str, Any], downsamplings: int, blocks: int) -> None:
    net = make(kind, filters=2, blocks=blocks, downsamplings=downsamplings, **numbers)
    step, reach = net.grid.step, net.reach
    width = step * (2 * reach + 4)
    image, label = torch.rand(1, 3, 1, width), torch.zeros(1, 1, width).long()
    image, label = net.pad(image), net.pad(label)
    other, marked = image.clone(), label.clone()
    other[..., :step] = 1 - other[..., :step]
    marked[..., :step] = 1
    with torch.no_grad():
        latent = net.analysis(image, seen_by(net, label))
        changed = net.analysis(other, seen_by(net, marked)) != latent
        assert changed[..., 0].any()
        assert not changed[..., reach + 1 :].any()
        quantized = net.quantizer(torch.randn_like(latent))[0]
        further = quantized.clone()
        further[..., 0] = net.quantizer(-5 - quantized[..., 0])[0]
        sent = [None if net.label_map is None else net.sent(one) for one in (label, marked)]
        changed = net.synthesis(quantized, sent[0]) != net.synthesis(further, sent[1])
        assert changed[..., :step].any()
        assert not changed[..., (reach + 1) * step :].any()
