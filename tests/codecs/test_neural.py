"""Trained networks as codecs: files of every model and size come back, at rates in their order, and nothing leaks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import semcomp_pl
from semcomp_pl.checkpoints.checkpoint import read_saved
from semcomp_pl.checkpoints.export import export
from semcomp_pl.checkpoints.loading import codec_of
from semcomp_pl.codecs.base import facts_of
from semcomp_pl.codecs.neural import NeuralCodec
from semcomp_pl.coding.container import Kind, parse
from semcomp_pl.coding.content import Rates
from semcomp_pl.errors import FileError, SemcompError
from semcomp_pl.nets.codec import CodecNet
from semcomp_pl.nets.labels import majority
from tests.lab import CLASSES, CODECS, LABELLED, Lab, label_of, scene

SIZES = [(1, 1), (1, 40), (7, 13), (33, 64), (32, 64)]


def label_for(codec: NeuralCodec, image: Tensor) -> Tensor | None:
    """A label map where the model sends one."""
    return label_of(image) if codec.sends_labels else None


def through_the_net(codec: NeuralCodec, image: Tensor, label: Tensor | None, keep: Tensor | None = None) -> Tensor:
    """What the network alone makes of an image (3, H, W) of 8 bits."""
    batch = [None if values is None else values[None] for values in (label, keep)]
    with torch.no_grad():
        reconstruction: Tensor = codec.net((image[None] * 255).round() / 255, *batch).reconstruction[0]
    return reconstruction


def with_net(codec: NeuralCodec, **options: Any) -> NeuralCodec:
    """Another codec of the same network, with the tables that it has now."""
    return NeuralCodec(codec.net, codec.name, codec.fingerprint, **options)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", CODECS)
def test_every_size_comes_back_from_bytes_alone(fitted: dict[str, Path], name: str, size: tuple[int, int]) -> None:
    writer, reader = (semcomp_pl.load(fitted[name]) for _ in range(2))
    image = scene(*size)
    data = writer.compress(image, label_for(writer, image))
    decoded = reader.decompress(data)
    assert decoded.shape == image.shape
    torch.testing.assert_close(decoded * 255, (decoded * 255).round(), atol=1e-4, rtol=0)
    expected = through_the_net(writer, image, label_for(writer, image))
    assert (decoded - expected).abs().max() <= 0.501 / 255 + 1e-5


@pytest.mark.parametrize("name", CODECS)
def test_a_checkpoint_and_its_export_are_one_codec(fitted: dict[str, Path], name: str, tmp_path: Path) -> None:
    ours = semcomp_pl.load(fitted[name])
    theirs = semcomp_pl.load(export(str(fitted[name]), str(tmp_path / "export")))
    assert len(ours.fingerprint) == 32
    assert ours.fingerprint == theirs.fingerprint
    image = scene(40, 50)
    data = ours.compress(image, label_for(ours, image))
    assert torch.equal(theirs.decompress(data), ours.decompress(data))
    assert parse(data).model == theirs.fingerprint[:3]


@pytest.mark.parametrize("name", CODECS)
def test_facts(lab: Lab, fitted: dict[str, Path], name: str) -> None:
    codec = semcomp_pl.load(fitted[name])
    facts = facts_of(codec)
    model = type(lab.model(name)).__name__
    assert (facts.kind, facts.label, codec.name) == ("model", model, model)
    assert facts.point == {"layered_codec": "d4C3L256", "coclico": "d5C32L4"}.get(name, "d4C8L5")
    assert facts.sends_labels is (name in LABELLED)
    assert facts.num_classes == len(CLASSES)
    taught = semcomp_pl.load_segmenter(lab.segmenter).fingerprint().hex()
    assert [*facts.segmenters] == ([taught] if name == "semantic_distortion_gan" else [])
    data = codec.compress(scene(32, 64), label_for(codec, scene(32, 64)))
    parts = facts.sections(data)
    assert sum(parts.values()) == len(data)
    code = {"layered_codec": ["thumbnail"], "coclico": ["vector", "colours"]}.get(name, ["latent"])
    assert [*parts] == ["header", *(["labels"] if facts.sends_labels else []), *code]


def test_other_weights_or_tables_are_another_codec(fitted: dict[str, Path]) -> None:
    saved = read_saved(fitted["rate_distortion"])
    before = codec_of(saved, "model").fingerprint
    assert codec_of(saved, "model").fingerprint == before
    kernel = next(name for name in saved.state if name.startswith("generator."))
    changes: dict[str, Callable[[Tensor], Tensor]] = {
        "entropy.static": lambda static: static + torch.eye(*static.shape, dtype=static.dtype),
        kernel: lambda weights: weights * 1.01,
    }
    for name, change in changes.items():
        other = saved._replace(state={**saved.state, name: change(saved.state[name])})
        assert codec_of(other, "model").fingerprint != before
    numbers = {**saved.hyper_parameters, "upsampling": "transposed"}  # of the same weights in the fast trunk
    assert codec_of(saved._replace(hyper_parameters=numbers), "model").fingerprint != before
    numbers = {**saved.hyper_parameters, "learning_rate": 7.0}
    assert codec_of(saved._replace(hyper_parameters=numbers), "model").fingerprint == before


def test_files_of_another_codec_are_refused(fitted: dict[str, Path]) -> None:
    ours, theirs = (semcomp_pl.load(fitted[name]) for name in ("rate_distortion", "plain_gan"))
    both = f"made with model {ours.fingerprint[:3].hex()}, this is {theirs.fingerprint[:3].hex()}"
    with pytest.raises(FileError, match=both):
        theirs.decompress(ours.compress(scene(8, 8)))


@pytest.mark.parametrize("name", CODECS)
def test_batches_give_the_bytes_that_single_images_give(fitted: dict[str, Path], name: str) -> None:
    codec = semcomp_pl.load(fitted[name])
    images = torch.stack([scene(32, 48, seed) for seed in range(5)])
    labels = torch.stack([label_of(image) for image in images]) if codec.sends_labels else None
    files = codec.compress_batch(images, labels)
    for i, data in enumerate(files):
        together = codec.file.read(data)
        (alone,) = codec.analyse(images[i : i + 1], None if labels is None else labels[i : i + 1])
        # convolutions of another batch size may round the other way where a latent lies between two centres
        assert (together.symbols != alone.symbols).mean() < 0.01
    mixed = [files[0], codec.compress(scene(20, 20), label_for(codec, scene(20, 20))), files[1]]
    for data, image in zip(mixed, codec.decompress_batch(mixed), strict=True):
        assert (image - codec.decompress(data)).abs().max() <= 1.001 / 255


TILED: list[tuple[str, dict[str, Any]]] = [
    ("rate_distortion", {}),
    ("conditional_gan", {}),
    ("selective_gan", {}),
    ("selective_gan", {"downsamplings": 3}),
    ("layered_codec", {}),
]


@pytest.mark.parametrize(("name", "numbers"), TILED, ids=str)
def test_tiles_leave_no_seams(lab: Lab, name: str, numbers: dict[str, Any]) -> None:
    whole = lab.codec(name, **numbers)
    # one pixel less than a whole number of cells; five margins are the least that a tile may be
    tile = 5 * whole.net.reach * whole.net.grid.step + 2 * whole.net.grid.step - 1
    tiled = with_net(whole, tile=tile)
    image = scene(48, 2 * tile + 100)
    whole.tile = 1 << 16
    label = label_for(whole, image)
    data = whole.compress(image, label)
    assert tiled.compress(image, label) == data
    assert (tiled.decompress(data) - whole.decompress(data)).abs().max() <= 1.001 / 255


def test_instance_normalised_tiles_fade_into_each_other(lab: Lab) -> None:
    whole = lab.codec("rate_distortion", norm="instance")
    image, tiled = scene(64, 2400), with_net(whole, tile=512)
    whole.tile = 4096
    data = tiled.compress(image)
    steps = [(codec.decompress(data).diff(dim=2)).abs().mean((0, 1)).max() for codec in (whole, tiled)]
    assert steps[1] <= 1.1 * steps[0] + 2 / 255


def test_autocast_round_the_codec_changes_nothing(fitted: dict[str, Path]) -> None:
    codec = semcomp_pl.load(fitted["conditional_gan"])
    image, label = scene(32, 64), label_of(scene(32, 64))
    data = codec.compress(image, label)
    decoded = codec.decompress(data)
    with torch.autocast("cpu", torch.bfloat16):
        assert codec.compress(image, label) == data
        assert torch.equal(codec.decompress(data), decoded)


def test_label_maps_are_sent_on_the_grid_or_whole(lab: Lab) -> None:
    image = scene(40, 50)
    label = label_of(image)
    label[:3, :4] = 255
    for size in ("grid", "full"):
        codec = lab.codec("conditional_gan", label_map=size)
        data = codec.compress(image, label)
        content = codec.file.read(data)
        expected = label if size == "full" else majority(codec.net.pad(label[None]), len(CLASSES), 16)[0]
        np.testing.assert_array_equal(content.labels, expected.numpy())
        assert {section.kind for section in parse(data).sections} == {Kind.LATENT, Kind.LABELS}
        difference = codec.decompress(data) - through_the_net(codec, image, label)
        assert difference.abs().max() <= 0.501 / 255 + 1e-5


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (torch.full((32, 64), 4), r"label id 4 found, expected 0\.\.3 or 255"),
        (torch.full((32, 64), -1), "label id -1 found"),
        (torch.zeros(30, 64, dtype=torch.long), r"shape \(1, 30, 64\) found, expected \(1, 32, 64\)"),
    ],
)
def test_label_maps_of_others_are_refused(fitted: dict[str, Path], label: Tensor, message: str) -> None:
    with pytest.raises(SemcompError, match=message):
        semcomp_pl.load(fitted["conditional_gan"]).compress(scene(32, 64), label)


@pytest.mark.parametrize("name", LABELLED)
def test_models_that_send_label_maps_need_one_or_a_segmenter(lab: Lab, fitted: dict[str, Path], name: str) -> None:
    codec, image = semcomp_pl.load(fitted[name]), scene(32, 64)
    with pytest.raises(SemcompError, match=r"needs label maps.*segmenter"):
        codec.compress(image)
    segmenter = semcomp_pl.load_segmenter(lab.segmenter)
    seen = segmenter.predict((image[None] * 255).round() / 255)[0]
    expected = codec.compress(image, seen)
    codec.segmenter = segmenter
    assert codec.compress(image) == expected
    assert [*codec.segmenters] == [segmenter.fingerprint().hex()]
    named = semcomp_pl.load(fitted[name], lab.segmenter)
    assert named.segmenter is segmenter
    assert named.compress(image) == expected
    assert torch.equal(semcomp_pl.load(fitted[name]).decompress(expected), codec.decompress(expected))


def test_segmenters_that_do_not_fit_are_refused(lab: Lab, fitted: dict[str, Path], tmp_path: Path) -> None:
    wide = lab.checkpoint(lab.model("pspnet", num_classes=7), tmp_path / "wide.ckpt")
    with pytest.raises(SemcompError, match="a segmenter of 7 classes found, expected 4"):
        semcomp_pl.load(fitted["conditional_gan"], wide)
    with pytest.raises(SemcompError, match="PlainGAN sends no label maps; leave out the segmenter"):
        semcomp_pl.load(fitted["plain_gan"], lab.segmenter)


def test_fitted_tables_shorten_files_of_few_levels(lab: Lab) -> None:
    model, batch = lab.model("rate_distortion"), lab.batch()
    lab.fit(model)
    lab.fit_tables(model, steps=30, passes=2)
    codec = model.neural_codec()
    _, rates = codec.measure(batch["image"])
    codec.net.entropy.fitted.fill_(False)
    _, plain = with_net(codec).measure(batch["image"])
    assert sum(rate.bpp for rate in rates) < 0.9 * sum(rate.bpp for rate in plain)


@pytest.mark.parametrize("kind", ["context", "static"])
@pytest.mark.parametrize("name", ["rate_distortion", "conditional_gan"])
def test_rates_are_in_their_order(lab: Lab, name: str, kind: str, tmp_path: Path) -> None:
    file = lab.fitted(lab.model(name, entropy_model=kind), tmp_path / "model.ckpt", steps=10, passes=1)
    codec, batch = semcomp_pl.load(file), lab.batch()
    _, rates = codec.measure(batch["image"], batch["label"] if codec.sends_labels else None)
    pixels, sections = 32 * 64, 2 if codec.sends_labels else 1
    for rate in rates:
        assert rate.bpp_ideal <= rate.bpp_payload + 1e-9
        assert rate.bpp_payload < rate.bpp
        assert rate.bpp_payload <= rate.bpp_bound + 8 * 5 * sections / pixels
        assert rate.bpp_payload <= 1.01 * rate.bpp_ideal + 8 * 4 * sections / pixels
        assert rate.bpp - rate.bpp_payload <= 8 * (16 if sections == 1 else 21) / pixels
        assert rate.bpp_bound == pytest.approx(codec.net.bpp_bound(32, 64))


@pytest.mark.parametrize("name", CODECS)
def test_measure_is_what_the_files_say(lab: Lab, fitted: dict[str, Path], name: str) -> None:
    codec, batch = semcomp_pl.load(fitted[name]), lab.batch()
    label = batch["label"] if codec.sends_labels else None
    images, rates = codec.measure(batch["image"], label)
    files = codec.compress_batch(batch["image"], label)
    assert torch.equal(images, torch.stack(codec.decompress_batch(files)))
    for data, rate in zip(files, rates, strict=True):
        payload = len(data) - codec.sections(data)["header"]
        assert (rate.bpp, rate.bpp_payload) == (8 * len(data) / (32 * 64), 8 * payload / (32 * 64))
        assert isinstance(rate, Rates)


def test_images_are_encoded_again_under_one_label_map(fitted: dict[str, Path]) -> None:
    codec = semcomp_pl.load(fitted["conditional_gan"])
    image, other = scene(40, 50), scene(40, 50, seed=1)
    label = label_of(image)
    found = codec.encode_again(other[None], image[None], label[None])
    assert found is not None
    for symbols, one in zip(found[:2], (other, image), strict=True):
        np.testing.assert_array_equal(symbols[0], codec.analyse(one[None], label[None])[0].symbols)
    assert found[2] == 5
    assert semcomp_pl.load(fitted["layered_codec"]).encode_again(other[None], image[None], label[None]) is None


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.rand(1, 3, 8, 8), r"\(1, 3, 8, 8\)"),
        (torch.rand(1, 8, 8), r"\(1, 8, 8\)"),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), "uint8"),
        (torch.rand(3, 0, 8), r"\(3, 0, 8\)"),
    ],
)
def test_what_is_no_image_is_refused(image: Tensor, message: str) -> None:
    codec = NeuralCodec(CodecNet.of({"filters": 4, "blocks": 0}).eval(), "RateDistortion", bytes(32))
    with pytest.raises(SemcompError, match=message):
        codec.compress(image)


def test_a_device_that_is_not_there_is_named(fitted: dict[str, Path]) -> None:
    with pytest.raises(SemcompError, match=r"device abacus: .*; cpu works everywhere"):
        semcomp_pl.load(fitted["rate_distortion"], device="abacus")
