"""CoCliCo's frozen parts, its rotation, its noise, and the guidance of its flow to a colour map."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from semcomp_pl.codecs.pixels import psnr
from semcomp_pl.errors import SemcompError
from semcomp_pl.nets.coclico import CoCliCoNet, CoCliCoShape, best_step
from semcomp_pl.nets.colour_map import colour_planes, colour_symbols, colour_values
from semcomp_pl.nets.embedder import EfficientNetLite0, OpenClip, embedding_dimensions, make_embedder
from semcomp_pl.nets.extra import diffusers_part
from semcomp_pl.nets.latent_space import CHANNELS, Pixels, latent_space, to_rgb, to_ycbcr
from semcomp_pl.nets.sampler import ColourGuidance, noise, sample
from tests.lab import scene
from tests.processes import environment

TINY = CoCliCoShape(filters=16, channels=6, latent_space="pixels", pixels=4096, steps=3)


def pictures(count: int, side: int = 64) -> Tensor:
    """Smooth images, uint8 (count, 3, side, side)."""
    return torch.stack([(255 * scene(side, side, seed)).round().byte() for seed in range(count)])


@pytest.fixture(scope="module")
def net() -> CoCliCoNet:
    net = CoCliCoNet(TINY).eval()
    net.calibrate(pictures(24))
    return net


def test_kodak_comes_back_from_taef2_at_30_db(real_data: Callable[[str], Path], taef2: str) -> None:
    space, found = latent_space("taef2", taef2), []
    for file in sorted(real_data("kodak").glob("*.*"))[:3]:
        pixels = np.asarray(Image.open(file).convert("RGB")).copy()
        image = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
        with torch.no_grad():
            latent = space.encode(image)
            found.append(float(psnr(space.decode(latent), image)))
        assert latent.shape == (1, CHANNELS["taef2"], 64, 96)
    assert np.mean(found) > 30


def test_missing_or_changed_weights_of_a_latent_space_are_named(tmp_path: Path) -> None:
    with pytest.raises(SemcompError, match=r"taef2_encoder\.pth: no such weights; fetch https://github\.com/madeby"):
        latent_space("taef2", str(tmp_path))
    (tmp_path / "taef2_encoder.pth").write_bytes(b"no weights")
    with pytest.raises(SemcompError, match=r"SHA-256 .* found, expected 10a4e1021e89d755"):
        latent_space("taef2", str(tmp_path))


def test_pixels_are_an_orthonormal_transform_cut_off() -> None:
    space, image = Pixels(), scene(32, 48)[None] / 2 + 0.25
    latent = space.encode(image)
    torch.testing.assert_close(space.encode(space.decode(latent)), latent, rtol=0, atol=1e-4)
    assert psnr(space.decode(latent), image) > 35, "smooth images have nothing else"
    means = F.avg_pool2d(to_ycbcr(image), 8)
    constant = latent[:, [0, 21, 27]] / 8  # the first frequency of each plane
    torch.testing.assert_close(constant, means, rtol=0, atol=1e-5)


def test_colours_come_back_within_half_a_step() -> None:
    colours = torch.rand(3, 3, 5, 4)
    found = to_rgb(to_ycbcr(colours))
    torch.testing.assert_close(found, colours, rtol=0, atol=1e-4)
    ycbcr = to_ycbcr(colours)
    symbols = colour_symbols(ycbcr)
    assert symbols.min() >= 0
    assert symbols[:, 0].max() <= 11
    assert symbols.max() <= 22
    missed = (colour_values(symbols) - ycbcr).abs().amax((0, 2, 3))
    assert (missed <= torch.tensor([12, 6, 6]) / 255 + 1e-6).all()
    planes = colour_planes(ycbcr, (10, 8))
    assert planes.shape == (3, 4, 10, 8)
    assert (planes[:, 3] == 1).all()


@pytest.mark.parametrize(("levels", "step"), [(2, 1.596), (3, 1.224), (4, 0.9957), (8, 0.5860), (16, 0.3352)])
def test_steps_are_those_of_max(levels: int, step: float) -> None:
    assert best_step(levels) == pytest.approx(step, abs=0.005)


def test_vectors_are_principal_components_of_about_unit_steps(net: CoCliCoNet) -> None:
    images = pictures(24)
    with torch.no_grad():
        embeddings = net.embedder(net.resized(images / 255)).double().numpy()
        vectors = net.analysis(net.resized(images / 255)).double().numpy()
    centred = embeddings - embeddings.mean(0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    for c in range(TINY.channels):
        assert abs(np.corrcoef(vectors[:, c], left[:, c] * sizes[c])[0, 1]) > 0.999
    np.testing.assert_allclose(vectors.std(0) * best_step(TINY.levels), 1, rtol=1e-3)
    np.testing.assert_allclose(vectors.mean(0), 0, atol=1e-2)


def test_few_images_give_few_components() -> None:
    net = CoCliCoNet(TINY)
    net.calibrate(pictures(3))
    assert (net.rotation.weight.abs().sum(1) > 0).tolist() == [True, True, False, False, False, False]
    assert net.rotation.weight.half().isfinite().all()


def test_another_embedder_than_that_of_training_is_refused() -> None:
    net = CoCliCoNet(TINY)
    net.embedder_id.fill_(7)
    with pytest.raises(SemcompError, match=r"efficientnet_lite0 with weights .* found, expected 07070707"):
        net.analysis(torch.rand(1, 3, 64, 64))


def test_noise_is_normal_and_for_ever_the_same() -> None:
    found = noise(3, 8, 16, 16)
    assert found.mean().abs() < 0.05
    assert found.std() == pytest.approx(1, abs=0.05)
    assert torch.equal(found, noise(3, 8, 16, 16))
    assert not torch.equal(found, noise(4, 8, 16, 16))
    expected = [-2.1954, -0.6502, -0.0713, -1.3321]
    torch.testing.assert_close(noise(0, 4), torch.tensor(expected), rtol=0, atol=1e-4)


def test_sampling_follows_a_straight_flow_exactly() -> None:
    start, end = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    for steps in (1, 7):
        found = sample(lambda latent, time: start - end, start, steps)
        torch.testing.assert_close(found, end, rtol=0, atol=1e-5)


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0])
def test_guidance_brings_mean_colours_to_the_map_and_leaves_the_rest(net: CoCliCoNet, scale: float) -> None:
    generator = torch.Generator().manual_seed(0)
    latent = torch.randn(2, 33, 8, 8, generator=generator)
    colours = to_ycbcr(torch.rand(2, 3, 2, 2, generator=generator))
    guide = ColourGuidance(colours, net.colour_weight, net.colour_bias, scale)

    def found(latent: Tensor) -> Tensor:
        means = F.adaptive_avg_pool2d(latent, (2, 2))
        return torch.einsum("ck,bkhw->bchw", net.colour_weight, means) + net.colour_bias.view(3, 1, 1)

    moved = guide(latent)
    before, after = ((found(values) - colours).abs().mean() for values in (latent, moved))
    assert (after == before) if scale == 0 else (after < (1 - 0.6 * scale) * before)
    high = [values - F.interpolate(F.avg_pool2d(values, 2), scale_factor=2.0) for values in (latent, moved)]
    assert (high[1] - high[0]).abs().max() <= 0.35 * (moved - latent).abs().max()


def test_pictures_have_the_colours_that_guide_them(net: CoCliCoNet) -> None:
    """In pixels, whose colours are linear: whatever an untrained flow draws, its cells have the map's means."""
    image = to_ycbcr(torch.tensor([0.7, 0.4, 0.3]).view(1, 3, 1, 1))
    net.shape.__dict__["colour_guidance"] = 1.0
    with torch.no_grad():
        drawn = net.draw(None, image.expand(1, 3, 2, 2), 64, 64)
    means = F.avg_pool2d(drawn, 32)
    assert (means - to_rgb(image)).abs().mean() < 0.1


def test_shapes_that_mean_nothing_are_refused() -> None:
    for wrong, message in (
        ({"downsamplings": 7}, "downsamplings=7"),
        ({"pixels": 1 << 24}, "larger pictures do not fit into memory"),
        ({"steps": 0}, "steps=0"),
        ({"guidance": -1.0}, "guidance=-1.0"),
        ({"sends": "all"}, "sends=all"),
        ({"embedder": "resnet"}, "embedder=resnet found, expected efficientnet_lite0"),
        ({"filters": 40}, "filters=40"),
    ):
        with pytest.raises(SemcompError, match=message):
            CoCliCoNet.of({"latent_space": "pixels", **wrong})


def test_building_and_reading_need_no_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    net = CoCliCoNet(CoCliCoShape(filters=16))
    assert net.frozen == {}
    assert net.embedder_id.tolist() == [0] * 8
    with pytest.raises(SemcompError, match=r"taef2_encoder\.pth: no such weights"):
        net.latent(torch.rand(1, 3, 128, 256))


def test_features_of_efficientnet_are_pooled_by_parts() -> None:
    embedder = make_embedder("efficientnet_lite0")
    assert embedder.dimensions == embedding_dimensions("efficientnet_lite0") == 2560
    image = torch.rand(1, 3, 128, 256)
    with torch.no_grad():
        whole = embedder(image).view(320, 2, 4)
        (features,) = embedder.get_submodule("net")((image * 255 - 127) / 128)
    torch.testing.assert_close(whole[:, 0, 0], features[0, :, :2, :2].mean((1, 2)), rtol=1e-3, atol=1e-4)
    assert embedder.fingerprint() == EfficientNetLite0().fingerprint()


def test_clip_is_read_from_a_local_checkpoint(tmp_path: Path) -> None:
    open_clip = pytest.importorskip("open_clip")
    vision = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16}
    text = {"context_length": 8, "vocab_size": 16, "width": 64, "heads": 1, "layers": 1}
    config = tmp_path / "ViT-tiny.json"
    config.write_text(json.dumps({"embed_dim": 24, "vision_cfg": vision, "text_cfg": text}))
    open_clip.add_model_config(config)
    model = open_clip.create_model("ViT-tiny")
    file = tmp_path / "ViT-tiny.pt"
    torch.save(model.state_dict(), file)
    embedder = make_embedder("open_clip:ViT-tiny", str(file))
    assert isinstance(embedder, OpenClip)
    assert embedder.dimensions == 24
    image = scene(32, 32)[None].clamp(0, 1)
    mean, std = (
        torch.tensor(values).view(3, 1, 1) for values in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
    )
    with torch.no_grad():
        expected = model.eval().encode_image((image - mean) / std, normalize=True)
        torch.testing.assert_close(embedder(image), expected, rtol=1e-3, atol=1e-4)
    file.write_bytes(b"no checkpoint")
    with pytest.raises(SemcompError, match="expected a checkpoint of open_clip's ViT-tiny"):
        make_embedder("open_clip:ViT-tiny", str(file))
    with pytest.raises(SemcompError, match="no such CLIP weights; fetch a checkpoint of ViT-tiny"):
        make_embedder("open_clip:ViT-tiny", str(tmp_path / "missing.pt"))
    with pytest.raises(SemcompError, match="open_clip knows no 'ViT-none'"):
        embedding_dimensions("open_clip:ViT-none")


def test_diffusers_is_imported_without_a_word_or_named_if_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from semcomp_pl.nets.extra import diffusers_part as part; part('UNet2DModel')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(SemcompError, match="diffusers or transformers is not installed"):
        diffusers_part("UNet2DModel")
