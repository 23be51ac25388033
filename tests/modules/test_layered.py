"""LayeredCodec: its losses, its layers, and files that add up to what is measured."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from semcomp_pl import losses
from semcomp_pl.cli import main
from semcomp_pl.coding.container import Kind, Section, pack, parse
from semcomp_pl.training.entropy import fit_entropy
from semcomp_pl.errors import FileError, SemcompError
from semcomp_pl.codecs.pixels import psnr
from semcomp_pl.modules import LayeredCodec
from semcomp_pl.modules.layered_codec import LayeredFiles
from tests.modules.conftest import Lab
from tests.modules.test_files import open_codec, scene

LAYERS = {"exact": (None, None), "lossy": (30.0, None), "residual": (None, 60), "both": (30.0, 60)}


@pytest.fixture(scope="module")
def checkpoint(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained for two epochs, with tables."""
    model = lab.model("layered_codec")
    trainer = lab.fit(model, 2)
    fit_entropy(model, lab.data(), passes=2)
    file = tmp_path_factory.mktemp("layered") / "model.ckpt"
    trainer.save_checkpoint(file)
    return file


def codec_of(checkpoint: Path, layers: str = "exact", **options: Any) -> LayeredFiles:
    model = open_codec(checkpoint)
    assert isinstance(model, LayeredCodec)
    model.thumbnail_psnr, model.residual_quality = LAYERS[layers]
    return model.make_codec(**options)


def label_of(image: Tensor) -> Tensor:
    return (image[0] * 3.999).long()


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("size", [(1, 1), (7, 13), (33, 64), (32, 64)], ids=str)
def test_measure_is_what_other_processes_decode_from_the_bytes(
    checkpoint: Path, size: tuple[int, int], layers: str
) -> None:
    codec, image = codec_of(checkpoint, layers), scene(*size)
    measured, (rates,) = codec.measure(image[None], label_of(image)[None])
    data = codec.compress(image, label_of(image))
    decoded = codec_of(checkpoint).decompress(data)  # which layers there are, the file says
    assert decoded.shape == image.shape
    assert torch.equal(decoded, measured[0])
    assert rates.bpp == 8 * len(data) / (size[0] * size[1])
    content = codec.file.read(data)
    assert content.labels is not None
    assert np.array_equal(content.labels, label_of(image).numpy())
    kinds = [section.kind for section in parse(data).sections]
    assert kinds == [Kind.LABELS, Kind.THUMBNAIL] + [Kind.RESIDUAL] * (LAYERS[layers][1] is not None)


@pytest.mark.parametrize("layers", LAYERS)
def test_rates_count_everything(checkpoint: Path, layers: str) -> None:
    codec, image = codec_of(checkpoint, layers), scene(32, 64)
    _, (rates,) = codec.measure(image[None], label_of(image)[None])
    container = parse(codec.compress(image, label_of(image)))
    payload = sum(len(section.data) for section in container.sections)
    assert rates.bpp_payload == 8 * payload / (32 * 64)
    assert rates.bpp == 8 * (payload + container.overhead) / (32 * 64)
    assert container.overhead <= 16 + 1 + 3 * len(container.sections)
    assert rates.bpp_ideal <= rates.bpp_payload + 1e-9
    bound = np.log2(5) + 24 * 2 * 4 / (32 * 64) + (24 if LAYERS[layers][1] is not None else 0)
    assert rates.bpp_bound == pytest.approx(bound)


@pytest.mark.parametrize("layers", ["exact", "both"])
def test_every_flipped_bit_and_every_truncation_is_refused(checkpoint: Path, layers: str) -> None:
    codec, image = codec_of(checkpoint, layers, max_pixels=1 << 12), scene(12, 20)
    data = codec.compress(image, label_of(image))
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FileError):
            codec.decompress(bytes(flipped))
    for length in range(len(data)):
        with pytest.raises(FileError):
            codec.decompress(data[:length])


def forged(codec: LayeredFiles, data: bytes, *sections: Section) -> bytes:
    """A file whose check is right, with other sections."""
    content = codec.file.read(data)
    assert content.labels is not None
    return pack(codec.fingerprint, content.height, content.width, [*sections], content.labels.tobytes())


def test_pictures_of_another_size_are_refused_even_where_the_check_is_right(checkpoint: Path) -> None:
    codec, image = codec_of(checkpoint), scene(32, 64)
    data = codec.compress(image, label_of(image))
    labels, thumbnail = parse(data).sections
    small, large = (Section(Kind.THUMBNAIL, 4, _jpeg(*size)) for size in ((2, 4), (200, 400)))
    assert codec.decompress(forged(codec, data, labels, small)).shape == (3, 32, 64)
    with pytest.raises(FileError, match="no readable JPEG image"):
        codec.decompress(forged(codec, data, labels, large))
    residual = Section(Kind.RESIDUAL, 4, _jpeg(31, 64))
    with pytest.raises(FileError, match="no readable JPEG image"):
        codec.decompress(forged(codec, data, labels, small, residual))
    for wrong in ([labels], [small], [labels, small, Section(Kind.LATENT, 0, b"")]):
        with pytest.raises(FileError, match="expected labels, thumbnail of this model"):
            codec.decompress(forged(codec, data, *wrong))
    hostile = pack(codec.fingerprint, 65535, 65535, [labels, thumbnail], b"")
    with pytest.raises(FileError, match="4294836225 pixels"):
        codec.decompress(hostile)


def _jpeg(height: int, width: int) -> bytes:
    from semcomp_pl.codecs import JPEG

    return JPEG(50).compress(torch.rand(3, height, width))


def test_a_residual_brings_the_image_closer_and_costs_bits(checkpoint: Path) -> None:
    image = scene(40, 70)
    sizes, qualities = [], []
    codec = codec_of(checkpoint)
    for quality in (None, 5, 95):
        codec.residual_quality = quality
        data = codec.compress(image, label_of(image))
        sizes.append(len(data))
        qualities.append(psnr(codec.decompress(data)[None], image[None]).item())
    assert sizes == sorted(set(sizes))
    assert qualities == sorted(set(qualities))
    assert qualities[2] > 35


def test_a_thumbnail_at_a_psnr_keeps_it_and_is_shorter(lab: Lab, checkpoint: Path) -> None:
    noise = torch.randn(3, 256, 512, generator=torch.Generator().manual_seed(0))
    image = (scene(256, 512) + 0.3 * noise).clamp(0, 1)
    exact, lossy = codec_of(checkpoint), codec_of(checkpoint, "lossy")
    files = [codec.compress(image, label_of(scene(256, 512))) for codec in (exact, lossy)]
    assert len(files[1]) < len(files[0])
    one, other = (codec.file.read(data).symbols for codec, data in zip((exact, lossy), files, strict=True))
    difference = (one.astype(float) - other) ** 2
    assert 10 * np.log10(255**2 / difference.mean()) >= 30


def test_tables_shorten_thumbnails(checkpoint: Path) -> None:
    model = open_codec(checkpoint)
    thumbnail = model.codec().analyse(scene(64, 128)[None], label_of(scene(64, 128))[None])[0].symbols
    fitted = model.entropy.latent_coder().encode(thumbnail)
    model.entropy.fitted.fill_(False)
    assert len(fitted[1]) < len(model.entropy.latent_coder().encode(thumbnail)[1])


def test_tiles_leave_no_seams(checkpoint: Path) -> None:
    image = scene(64, 1100)
    whole, tiled = codec_of(checkpoint), codec_of(checkpoint, tile=512)
    assert 5 * whole.model.reach() <= 512 >> 4
    data = whole.compress(image, label_of(image))
    assert tiled.compress(image, label_of(image)) == data
    assert (tiled.decompress(data) - whole.decompress(data)).abs().max() <= 1.001 / 255


@pytest.mark.parametrize("d", [3, 4, 5])
@pytest.mark.parametrize("blocks", [0, 2])
def test_neither_network_looks_beyond_its_reach(lab: Lab, d: int, blocks: int) -> None:
    model = lab.model("layered_codec", downsamplings=d, blocks=blocks, filters=2).eval()
    reach, cell = model.reach(), 1 << d
    cells = 2 * reach + 3
    image = torch.rand(1, 3, cell, cells * cell)
    label = torch.zeros(1, cell, cells * cell, dtype=torch.long)
    image, label = model.pad(image), model.pad(label)
    latent = torch.randint(256, (1, 3, image.shape[-2] >> d, cells)) - 127.5
    with torch.no_grad():
        other = image.clone()
        other[..., :cell] = 1 - other[..., :cell]
        changed = model.analysis(image, label) != model.analysis(other, label)
        assert not changed[..., reach + 1 :].any()
        further = latent.clone()
        further[..., 0] *= -1
        marked = label.clone()
        marked[..., :cell] = 1
        changed = model.synthesis(latent, label) != model.synthesis(further, marked)
    assert changed[..., :cell].any()
    assert not changed[..., (reach + 1) * cell :].any()


def test_terms_are_the_weighted_losses(lab: Lab) -> None:
    model, batch = lab.model("layered_codec"), lab.batch("train")
    out = model(batch)
    terms = model.generator_terms(batch, out)
    fake, real = model.judge_realism(out.reconstruction, batch), model.judge_realism(batch["image"], batch)
    expected = {
        "adversarial": losses.least_squares_generator(fake),
        "distortion": 20 * 2 * (out.reconstruction - batch["image"]).abs().mean(),
        "range": torch.zeros(()),
        "feature_matching": 10 * losses.feature_matching(fake, real),
        "structure": losses.structural_dissimilarity(out.reconstruction, batch["image"]),
    }
    assert terms.keys() == expected.keys()
    for term, value in expected.items():
        torch.testing.assert_close(terms[term], value, rtol=1e-6, atol=1e-6)
    assert len(model.discriminator.scales) == 2


def test_a_class_that_only_the_detail_knows_is_drawn(lab: Lab) -> None:
    """The symbols alone do not make the image: the label map does too."""
    model, batch = lab.model("layered_codec").eval(), lab.batch()
    with torch.no_grad():
        quantized, _ = model.quantizer(model.analysis(batch["image"], batch["label"]))
        one = model.synthesis(quantized, batch["label"])
        other = model.synthesis(quantized, (batch["label"] + 1) % 4)
    assert not torch.equal(one, other)


class Distortion(Callback):
    """Of every step."""

    def __init__(self) -> None:
        self.found: list[float] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.found.append(float(trainer.callback_metrics["train/distortion"]))


def test_training_lowers_the_distortion(lab: Lab) -> None:
    steps = Distortion()
    lab.fit(lab.model("layered_codec", learning_rate=3e-3), 15, [steps], limit_val_batches=0)
    assert np.mean(steps.found[-4:]) < 0.7 * np.mean(steps.found[:4])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"downsamplings": 2}, "downsamplings=2"),
        ({"channels": 8}, "channels=8"),
        ({"levels": 5}, "levels=5"),
        ({"trunk": "fast"}, "trunk=fast"),
        ({"label_map": "grid"}, "label_map=grid"),
        ({"residual_quality": 101}, "residual_quality=101"),
        ({"thumbnail_psnr": float("nan")}, "thumbnail_psnr=nan"),
    ],
    ids=str,
)
def test_numbers_that_make_no_layers_are_refused(lab: Lab, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SemcompError, match=message):
        lab.model("layered_codec", **options)


def test_warm_start_from_its_own_kind_only(lab: Lab, checkpoint: Path, tmp_path: Path) -> None:
    model = lab.model("layered_codec", init_from=str(checkpoint), learning_rate=0.0)
    lab.fit(model, limit_train_batches=1, limit_val_batches=0)
    before = open_codec(checkpoint).state_dict()
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items() if "encoder" in key)
    other = lab.checkpoint(lab.model("rate_distortion"), tmp_path / "other.ckpt")
    with pytest.raises(SemcompError, match=r"\(RateDistortion\) does not fit LayeredCodec"):
        lab.fit(lab.model("layered_codec", init_from=str(other)))


def test_commands_take_it(
    lab: Lab, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from torchvision.transforms.v2.functional import to_pil_image

    monkeypatch.chdir(tmp_path)
    to_pil_image(scene(40, 60)).save("a.png")
    model = ["--model", str(checkpoint)]
    assert main(["compress", "a.png", *model]) == 2
    assert "LayeredCodec sends a label map" in capsys.readouterr().err
    assert main(["compress", "a.png", *model, "--segmenter", lab.segmenter]) == 0
    assert main(["decompress", "a.smc", *model, "-o", "b.png"]) == 0
    capsys.readouterr()
    assert main(["inspect", "a.smc"]) == 0
    said = capsys.readouterr().out
    assert "thumbnail" in said
    assert "labels" in said
    assert main(["export", str(checkpoint), "bundle"]) == 0
    assert main(["decompress", "a.smc", "--model", "bundle", "-o", "c.png"]) == 0
    assert (tmp_path / "b.png").read_bytes() == (tmp_path / "c.png").read_bytes()
