"""Files of a codec in layers: what a decoder adds up is what was measured, whichever layers there are."""

from pathlib import Path

import numpy as np
import pytest
import torch

from semcomp_pl.checkpoints.checkpoint import read_saved
from semcomp_pl.checkpoints.loading import codec_of
from semcomp_pl.codecs import JPEG
from semcomp_pl.codecs.neural import NeuralCodec
from semcomp_pl.codecs.pixels import psnr
from semcomp_pl.coding.container import MAX_PIXELS, Kind, Section, pack, parse
from semcomp_pl.errors import FileError
from tests.lab import Lab, label_of, scene

LAYERS = {"exact": (None, None), "lossy": (30.0, None), "residual": (None, 60), "both": (30.0, 60)}


@pytest.fixture(scope="module")
def checkpoint(fitted: dict[str, Path]) -> Path:
    return fitted["layered_codec"]


def opened(
    checkpoint: Path, psnr: float | None = None, quality: int | None = None, max_pixels: int = MAX_PIXELS
) -> NeuralCodec:
    saved = read_saved(checkpoint)
    numbers = {**saved.hyper_parameters, "thumbnail_psnr": psnr, "residual_quality": quality}
    return codec_of(saved._replace(hyper_parameters=numbers), checkpoint, max_pixels=max_pixels)


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("size", [(1, 1), (7, 13), (33, 64), (32, 64)], ids=str)
def test_measure_is_what_other_processes_decode_from_the_bytes(
    checkpoint: Path, size: tuple[int, int], layers: str
) -> None:
    codec, image = opened(checkpoint, *LAYERS[layers]), scene(*size)
    measured, (rates,) = codec.measure(image[None], label_of(image)[None])
    data = codec.compress(image, label_of(image))
    decoded = opened(checkpoint).decompress(data)  # which layers there are, the file says
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
    codec, image = opened(checkpoint, *LAYERS[layers]), scene(32, 64)
    _, (rates,) = codec.measure(image[None], label_of(image)[None])
    container = parse(codec.compress(image, label_of(image)))
    payload = sum(len(section.data) for section in container.sections)
    assert rates.bpp_payload == 8 * payload / (32 * 64)
    assert rates.bpp == 8 * (payload + container.overhead) / (32 * 64)
    assert container.overhead <= 16 + 1 + 3 * len(container.sections)
    assert rates.bpp_ideal <= rates.bpp_payload + 1e-9
    bound = np.log2(5) + 24 * 2 * 4 / (32 * 64) + (24 if LAYERS[layers][1] is not None else 0)
    assert rates.bpp_bound == pytest.approx(bound)
    assert codec.net.bpp_bound(32, 64) == pytest.approx(bound)


@pytest.mark.parametrize("layers", ["exact", "both"])
def test_every_flipped_bit_and_every_truncation_is_refused(checkpoint: Path, layers: str) -> None:
    codec, image = opened(checkpoint, *LAYERS[layers], max_pixels=1 << 12), scene(12, 20)
    data = codec.compress(image, label_of(image))
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FileError):
            codec.decompress(bytes(flipped))
    for length in range(len(data)):
        with pytest.raises(FileError):
            codec.decompress(data[:length])


def forged(codec: NeuralCodec, data: bytes, *sections: Section) -> bytes:
    """A file whose check is right, with other sections."""
    content = codec.file.read(data)
    assert content.labels is not None
    return pack(codec.fingerprint, content.height, content.width, [*sections], content.labels.tobytes())


def test_pictures_of_another_size_are_refused_even_where_the_check_is_right(checkpoint: Path) -> None:
    codec, image = opened(checkpoint), scene(32, 64)
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
    return JPEG(50).compress(torch.rand(3, height, width))


def test_a_residual_brings_the_image_closer_and_costs_bits(checkpoint: Path) -> None:
    image = scene(40, 70)
    sizes, qualities = [], []
    for quality in (None, 5, 95):
        codec = opened(checkpoint, quality=quality)
        data = codec.compress(image, label_of(image))
        sizes.append(len(data))
        qualities.append(psnr(codec.decompress(data)[None], image[None]).item())
    assert sizes == sorted(set(sizes))
    assert qualities == sorted(set(qualities))
    assert qualities[2] > 35


def test_a_thumbnail_at_a_psnr_keeps_it_and_is_shorter(checkpoint: Path) -> None:
    noise = torch.randn(3, 256, 512, generator=torch.Generator().manual_seed(0))
    image = (scene(256, 512) + 0.3 * noise).clamp(0, 1)
    exact, lossy = opened(checkpoint), opened(checkpoint, 30.0)
    files = [codec.compress(image, label_of(scene(256, 512))) for codec in (exact, lossy)]
    assert len(files[1]) < len(files[0])
    one, other = (codec.file.read(data).symbols for codec, data in zip((exact, lossy), files, strict=True))
    difference = (one.astype(float) - other) ** 2
    assert 10 * np.log10(255**2 / difference.mean()) >= 30


def test_tables_shorten_thumbnails(checkpoint: Path) -> None:
    codec = opened(checkpoint)
    (content,) = codec.analyse(scene(64, 128)[None], label_of(scene(64, 128))[None])
    fitted = codec.net.entropy.latent_coder().encode(content.symbols)
    codec.net.entropy.fitted.fill_(False)
    assert len(fitted[1]) < len(codec.net.entropy.latent_coder().encode(content.symbols)[1])


def test_a_label_map_on_the_grid_is_sent_as_one_label_a_pixel_of_the_thumbnail(lab: Lab) -> None:
    codec, image = lab.codec("layered_codec", label_map="grid"), scene(33, 64)
    measured, (rates,) = codec.measure(image[None], label_of(image)[None])
    data = codec.compress(image, label_of(image))
    assert torch.equal(lab.codec("layered_codec", label_map="grid").decompress(data), measured[0])
    assert rates.bpp == 8 * len(data) / (33 * 64)
    content = codec.file.read(data)
    assert content.labels is not None
    assert content.labels.shape == content.symbols.shape[1:] == (3, 4)
    full = lab.codec("layered_codec")
    assert len(data) < len(full.compress(image, label_of(image)))
    with pytest.raises(FileError):
        full.decompress(data)
