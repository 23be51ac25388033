"""Files of chosen regions: what is kept is coded, and what is not is neither coded nor decoded."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import semcomp_pl
from semcomp_pl.codecs.neural import NeuralCodec
from semcomp_pl.coding.container import Kind, parse
from semcomp_pl.coding.context import neutral
from semcomp_pl.coding.heatmap import CLASSES as BY_CLASS
from semcomp_pl.errors import FileError, SemcompError
from tests.lab import CLASSES, Lab


@pytest.fixture
def trained(fitted: dict[str, Path]) -> NeuralCodec:
    return semcomp_pl.load(fitted["selective_gan"])


@pytest.fixture
def seen(lab: Lab) -> tuple[Tensor, Tensor]:
    """An image and its label map."""
    batch = lab.batch()
    return batch["image"][0], batch["label"][0]


def sections(data: bytes) -> dict[Kind, bytes]:
    return {section.kind: section.data for section in parse(data).sections}


@pytest.mark.parametrize("size", [(32, 64), (40, 50), (17, 1)])
@pytest.mark.parametrize("downsamplings", [3, 4])
@pytest.mark.parametrize("label_map", ["grid", "full"])
def test_a_region_comes_back_from_bytes_alone(
    lab: Lab, size: tuple[int, int], downsamplings: int, label_map: str
) -> None:
    codec = lab.codec("selective_gan", downsamplings=downsamplings, label_map=label_map, levels=4)
    image, label = torch.rand(3, *size), torch.randint(0, len(CLASSES), size)
    keep = torch.zeros(size, dtype=torch.bool)
    keep[: size[0] // 2, : size[1] // 3 + 1] = True
    data = codec.compress(image, label, keep)
    content = codec.file.read(data)
    kept = codec.net.heatmap(keep[None])[0].numpy()
    assert np.array_equal(kept, True | kept if content.heatmap is None else content.heatmap)
    assert (content.symbols[:, ~kept] == neutral(4)).all()
    with torch.no_grad():
        out = codec.net((image[None] * 255).round() / 255, label[None], keep[None])
    assert (codec.decompress(data) - out.reconstruction[0]).abs().max() <= 0.501 / 255 + 1e-5


def test_only_what_is_kept_is_paid_for(lab: Lab, seen: tuple[Tensor, Tensor]) -> None:
    untrained = lab.codec("selective_gan")  # codes symbols as uniform
    image, label = seen
    sizes = {}
    for columns in (0, 16, 32, 48, 64):
        keep = torch.zeros_like(label, dtype=torch.bool)
        keep[:, :columns] = True
        sizes[columns] = sections(untrained.compress(image, label, keep))
    lengths = [len(found[Kind.LATENT]) for found in sizes.values()]
    assert lengths[0] == 0
    assert all(a < b for a, b in itertools.pairwise(lengths))
    assert Kind.HEATMAP not in sizes[64], "everything is kept: nothing to say about it"
    assert sizes[64][Kind.LATENT] == sections(untrained.compress(image, label))[Kind.LATENT]


def test_what_is_not_kept_depends_on_the_labels_and_not_on_the_pixels(
    trained: NeuralCodec, seen: tuple[Tensor, Tensor]
) -> None:
    image, label = seen
    nothing = torch.zeros_like(label, dtype=torch.bool)
    data = trained.compress(image, label, nothing)
    assert data == trained.compress(torch.rand_like(image), label, nothing)
    other = trained.decompress(trained.compress(image, (label + 1) % len(CLASSES), nothing))
    assert not torch.equal(trained.decompress(data), other)


def test_classes_are_coded_as_a_bit_each(lab: Lab, seen: tuple[Tensor, Tensor]) -> None:
    codec = lab.codec("selective_gan", label_map="full", class_names=CLASSES)
    image, label = seen
    present = [name for i, name in enumerate(CLASSES) if (label == i).any()]
    keep = codec.region(label[None], keep=present[:1])[0]
    (heatmap,) = [s for s in parse(codec.compress(image, label, keep)).sections if s.kind == Kind.HEATMAP]
    assert heatmap.coder == BY_CLASS
    assert len(heatmap.data) == 1


def test_classes_to_keep_stay_with_the_codec(lab: Lab, fitted: dict[str, Path], seen: tuple[Tensor, Tensor]) -> None:
    image, label = seen
    codec = semcomp_pl.load(fitted["selective_gan"], keep=["1", "3"])
    chosen = torch.isin(label, torch.tensor([1, 3]))
    whole = semcomp_pl.load(fitted["selective_gan"])
    assert codec.compress(image, label) == whole.compress(image, label, chosen)
    assert whole.encode_again(image[None], image[None], label[None]) is not None
    assert codec.encode_again(image[None], image[None], label[None]) is None
    codec.keep = None
    assert codec.compress(image, label) == whole.compress(image, label)
    with pytest.raises(SemcompError, match=r"class '4' found, expected some of: 0\.\.3"):
        codec.keep = ["4"]
    with pytest.raises(SemcompError, match="class 'zebra' found, expected some of"):
        semcomp_pl.load(fitted["selective_gan"], keep=["zebra"])
    with pytest.raises(SemcompError, match="PlainGAN codes whole images; leave out the regions"):
        semcomp_pl.load(fitted["plain_gan"], keep=["1"])


def test_every_flipped_bit_is_noticed(trained: NeuralCodec, seen: tuple[Tensor, Tensor]) -> None:
    image, label = seen
    box = trained.region(label[None], boxes=[(10, 3, 24, 17)])[0]
    data = trained.compress(image, label, box)
    for place in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        with pytest.raises(FileError):
            trained.decompress(bytes(damaged))


@pytest.mark.parametrize("name", ["conditional_gan", "rate_distortion"])
def test_models_that_send_everything_refuse_a_region(
    fitted: dict[str, Path], name: str, seen: tuple[Tensor, Tensor]
) -> None:
    image, label = seen
    with pytest.raises(SemcompError, match="sends every symbol, but a region to keep was given; use a SelectiveGAN"):
        semcomp_pl.load(fitted[name]).compress(image, label, label == 0)
