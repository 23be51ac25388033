"""Trained models as codecs: files of every model and size come back, at rates in their order, and nothing leaks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2.functional import to_pil_image

import semcomp_pl
from semcomp_pl.cli import main
from semcomp_pl.coding.container import Kind, parse
from semcomp_pl.coding.image_file import Rates
from semcomp_pl.training.entropy import fit_entropy
from semcomp_pl.errors import SemcompError
from semcomp_pl.modules.base import CodecModule
from semcomp_pl.codecs.neural import TrainedCodec
from semcomp_pl.checkpoints.export import export
from semcomp_pl.nets.labels import majority
from tests.modules.conftest import CLASSES, CODECS, Lab

SIZES = [(1, 1), (1, 40), (7, 13), (33, 64), (32, 64)]


def scene(height: int, width: int, seed: int = 0) -> Tensor:
    """A smooth image (3, H, W)."""
    coarse = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")[0].clamp(0, 1)


def label_of(model: CodecModule, image: Tensor) -> Tensor | None:
    """A label map where the model sends one."""
    return (image[0] * 3.999).long() if model.side_channels() else None


@pytest.fixture(scope="module")
def fitted(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint of every codec, trained for an epoch, with tables."""
    root = tmp_path_factory.mktemp("fitted")
    found = {}
    for name in CODECS:
        model = lab.model(name)
        trainer = lab.fit(model)
        fit_entropy(model, lab.data(), steps=30, passes=2)
        trainer.save_checkpoint(root / f"{name}.ckpt")
        found[name] = root / f"{name}.ckpt"
    return found


def open_codec(path: Path) -> CodecModule:
    model = semcomp_pl.load(path)
    assert isinstance(model, CodecModule)
    return model


@pytest.fixture
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", CODECS)
def test_f12_every_size_comes_back_from_bytes_alone(fitted: dict[str, Path], name: str, size: tuple[int, int]) -> None:
    writer, reader = open_codec(fitted[name]), open_codec(fitted[name])
    image = scene(*size)
    data = writer.compress(image, label_of(writer, image))
    decoded = reader.decompress(data)
    assert decoded.shape == image.shape
    torch.testing.assert_close(decoded * 255, (decoded * 255).round(), atol=1e-4, rtol=0)
    label = label_of(writer, image)
    batch: Any = {"image": (image[None] * 255).round() / 255} | ({} if label is None else {"label": label[None]})
    through_the_graph = writer.as_exported().evaluate(batch).reconstruction[0]
    assert (decoded - through_the_graph).abs().max() <= 0.501 / 255 + 1e-5


@pytest.mark.parametrize("name", CODECS)
def test_a_checkpoint_and_its_export_are_one_codec(fitted: dict[str, Path], name: str, tmp_path: Path) -> None:
    ours = open_codec(fitted[name])
    theirs = open_codec(export(str(fitted[name]), str(tmp_path / "export")))
    assert ours.codec().fingerprint == theirs.codec().fingerprint
    image = scene(40, 50)
    data = ours.compress(image, label_of(ours, image))
    assert torch.equal(theirs.decompress(data), ours.decompress(data))
    assert parse(data).model == theirs.codec().fingerprint[:3]


def test_other_weights_or_tables_are_another_codec(fitted: dict[str, Path]) -> None:
    model = open_codec(fitted["rate_distortion"])
    before = model.codec().fingerprint
    with torch.no_grad():
        model.entropy.static[0, 0] += 1
        model.entropy.static[0, 1] -= 1
    assert TrainedCodec(model).fingerprint != before
    other = open_codec(fitted["rate_distortion"])
    with torch.no_grad():
        next(other.generator.parameters()).mul_(1.01)
    assert other.codec().fingerprint != before


@pytest.mark.parametrize("name", CODECS)
def test_batches_give_the_bytes_that_single_images_give(fitted: dict[str, Path], name: str) -> None:
    model = open_codec(fitted[name])
    images = torch.stack([scene(32, 48, seed) for seed in range(5)])
    labels = None if label_of(model, images[0]) is None else (images[:, 0] * 3.999).long()
    files = model.codec().compress_batch(images, labels)
    for i, data in enumerate(files):
        together = model.codec().file.read(data)
        (alone,) = model.codec().analyse(images[i : i + 1], None if labels is None else labels[i : i + 1])
        # convolutions of another batch size may round the other way where a latent lies between two centres
        assert (together.symbols != alone.symbols).mean() < 0.01
    mixed = [files[0], model.compress(scene(20, 20), label_of(model, scene(20, 20))), files[1]]
    for data, image in zip(mixed, model.codec().decompress_batch(mixed), strict=True):
        assert (image - model.decompress(data)).abs().max() <= 1.001 / 255


@pytest.mark.parametrize("name", ["rate_distortion", "conditional_gan"])
def test_tiles_leave_no_seams(fitted: dict[str, Path], name: str) -> None:
    model = open_codec(fitted[name])
    image = scene(96, 1100)
    whole, tiled = TrainedCodec(model), TrainedCodec(model, tile=512)
    assert 512 >> model.downsamplings >= 5 * model.reach()
    label = label_of(model, image)
    data = whole.compress(image, label)
    assert tiled.compress(image, label) == data
    assert (tiled.decompress(data) - whole.decompress(data)).abs().max() <= 1.001 / 255


def test_instance_normalised_tiles_fade_into_each_other(lab: Lab) -> None:
    model = lab.model("rate_distortion", norm="instance")
    image = scene(64, 2400)
    whole, tiled = TrainedCodec(model), TrainedCodec(model, tile=512)
    whole.tile = 4096
    data = tiled.compress(image)
    steps = [(codec.decompress(data).diff(dim=2)).abs().mean((0, 1)).max() for codec in (whole, tiled)]
    assert steps[1] <= 1.1 * steps[0] + 2 / 255


def test_f11_autocast_round_the_codec_changes_nothing(fitted: dict[str, Path]) -> None:
    model = open_codec(fitted["conditional_gan"])
    image = scene(32, 64)
    label = label_of(model, image)
    data = model.compress(image, label)
    with torch.autocast("cpu", torch.bfloat16):
        assert model.compress(image, label) == data
        assert torch.equal(model.decompress(data), model.decompress(data))


def test_label_maps_are_sent_on_the_grid_or_whole(lab: Lab) -> None:
    image = scene(40, 50)
    label = (image[0] * 3.999).long()
    label[:3, :4] = 255
    for size in ("grid", "full"):
        model = lab.model("conditional_gan", label_map=size).eval()
        data = model.compress(image, label)
        content = model.codec().file.read(data)
        expected = label if size == "full" else majority(model.pad(label[None]), len(CLASSES), 16)[0]
        np.testing.assert_array_equal(content.labels, expected.numpy())
        assert {section.kind for section in parse(data).sections} == {Kind.LATENT, Kind.LABELS}
        batch: Any = {"image": (image[None] * 255).round() / 255, "label": label[None]}
        assert (
            model.decompress(data) - model.as_exported().evaluate(batch).reconstruction[0]
        ).abs().max() <= 0.501 / 255 + 1e-5


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (torch.full((32, 64), 4), r"label id 4 found, expected 0\.\.3 or 255"),
        (torch.full((32, 64), -1), "label id -1 found"),
        (torch.zeros(30, 64, dtype=torch.long), r"shape \(1, 30, 64\) found, expected \(1, 32, 64\)"),
    ],
)
def test_d5_d6_label_maps_of_others_are_refused(fitted: dict[str, Path], label: Tensor, message: str) -> None:
    with pytest.raises(SemcompError, match=message):
        open_codec(fitted["conditional_gan"]).compress(scene(32, 64), label)


def test_models_that_send_label_maps_need_one_or_a_segmenter(lab: Lab, fitted: dict[str, Path]) -> None:
    model: Any = open_codec(fitted["conditional_gan"])
    with pytest.raises(SemcompError, match=r"needs label maps.*segmenter"):
        model.compress(scene(32, 64))
    model.use_segmenter(lab.segmenter)
    data = model.compress(scene(32, 64))
    assert torch.equal(open_codec(fitted["conditional_gan"]).decompress(data), model.decompress(data))


def test_the_command_takes_label_maps_from_masks_or_from_a_segmenter(
    lab: Lab,
    fitted: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    model = ["--model", str(fitted["conditional_gan"])]
    to_pil_image(scene(40, 60)).save("a.png")
    (tmp_path / "masks").mkdir()
    mask = np.repeat([[0, 1, 3, 255]], 40, 0).repeat(15, 1).astype(np.uint8)
    Image.fromarray(mask).save("masks/a.png")
    assert main(["compress", "a.png", *model, "--labels", "masks"]) == 0
    assert main(["decompress", "a.smc", *model, "-o", "b.png"]) == 0
    content = open_codec(fitted["conditional_gan"]).codec().file.read(Path("a.smc").read_bytes())
    np.testing.assert_array_equal(content.labels, [[0, 1, 3, 255]] * 3)
    assert main(["compress", "a.png", *model, "--segmenter", lab.segmenter, "--force"]) == 0
    assert main(["decompress", "a.smc", *model, "-o", "c.png"]) == 0
    capsys.readouterr()
    Image.fromarray(mask[:, :30]).save("masks/a.png")
    assert main(["compress", "a.png", *model, "--labels", "masks", "--force"]) == 3
    assert "a mask of 30x40 found, expected 60x40" in capsys.readouterr().err
    wide = lab.checkpoint(lab.model("pspnet", num_classes=7), tmp_path / "wide.ckpt")
    assert main(["compress", "a.png", *model, "--segmenter", str(wide), "--force"]) == 2
    assert "a segmenter of 7 classes found, expected 4" in capsys.readouterr().err


def test_fitted_tables_shorten_files(lab: Lab, fitted: dict[str, Path]) -> None:
    model = open_codec(fitted["rate_distortion"])
    batch = lab.batch()
    _, rates = model.codec().measure(batch["image"])
    model.entropy.fitted.fill_(False)
    _, plain = TrainedCodec(model).measure(batch["image"])
    assert sum(rate.bpp for rate in rates) < 0.9 * sum(rate.bpp for rate in plain)


@pytest.mark.parametrize("kind", ["context", "static"])
@pytest.mark.parametrize("name", ["rate_distortion", "conditional_gan"])
def test_rates_are_in_their_order(lab: Lab, name: str, kind: str) -> None:
    model = lab.model(name, entropy_model=kind)
    lab.fit(model)
    fit_entropy(model, lab.data(), steps=10, passes=1)
    batch = lab.batch()
    label = batch["label"] if model.side_channels() else None
    _, rates = model.codec().measure(batch["image"], label)
    pixels, sections = 32 * 64, 2 if model.side_channels() else 1
    for rate in rates:
        assert rate.bpp_ideal <= rate.bpp_payload + 1e-9
        assert rate.bpp_payload < rate.bpp
        assert rate.bpp_payload <= rate.bpp_bound + 8 * 5 * sections / pixels
        assert rate.bpp_payload <= 1.01 * rate.bpp_ideal + 8 * 4 * sections / pixels
        assert rate.bpp - rate.bpp_payload <= 8 * (16 if sections == 1 else 21) / pixels
        assert rate.bpp_bound == pytest.approx(model.bpp_bound(32, 64))


@pytest.mark.parametrize("name", CODECS)
def test_the_test_stage_measures_files(lab: Lab, fitted: dict[str, Path], name: str) -> None:
    model = open_codec(fitted[name])
    trainer = lab.trainer()
    (figures,) = trainer.test(model, datamodule=lab.data(), verbose=False)
    bpp = {field: figures[f"test/{field}"] for field in Rates._fields}
    assert bpp["bpp_ideal"] <= bpp["bpp_payload"] < bpp["bpp"]
    data = lab.data()
    data.setup("test")
    sizes = []
    for batch in data.test_dataloader():
        label = batch["label"] if model.side_channels() else None
        sizes += [8 * len(file) / (32 * 64) for file in model.codec().compress_batch(batch["image"], label)]
    assert bpp["bpp"] == pytest.approx(np.mean(sizes))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.rand(1, 3, 8, 8), r"\(1, 3, 8, 8\)"),
        (torch.rand(1, 8, 8), r"\(1, 8, 8\)"),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), "uint8"),
        (torch.rand(3, 0, 8), r"\(3, 0, 8\)"),
    ],
)
def test_what_is_no_image_is_refused(lab: Lab, image: Tensor, message: str) -> None:
    with pytest.raises(SemcompError, match=message):
        lab.model("rate_distortion").compress(image)
