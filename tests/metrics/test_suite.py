"""The suite gives the same figures under every batch size, device and number of processes."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from semcomp_pl.codecs.pixels import psnr
from semcomp_pl.errors import SemcompError, SemcompWarning
from semcomp_pl.metrics import FID, KID, LatentIoU, MetricSuite, describe
from semcomp_pl.nets.discriminator import Discriminator
from tests.processes import call_two

CLASSES = 4
NAMES = ("sky", "traffic light", "road", "car")
KEYS = {"psnr", "ms_ssim", "bpp", "bpp_bound", "miou", "miou_agreement", "accuracy", "miou_ceiling"}
KEYS |= {"iou_sky", "iou_traffic_light", "iou_road", "iou_car", "latent_iou", *(f"latent_iou_{c}" for c in range(3))}
KEYS |= {"miou_ratio", "discriminator_fm", "feature_distance", "fid", "kid"}
PARTS = ("town", "land", "sea")
Judged = tuple[Tensor, ...]


class Brightness(nn.Module):
    """A stand-in for a segmenter: classes are equal steps of the mean of R, G and B."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.Parameter(torch.tensor(float(CLASSES)))

    def predict(self, image: Tensor) -> Tensor:
        return (image.mean(dim=1) * self.steps).long().clamp(max=CLASSES - 1)


def realist() -> Discriminator:
    """An untrained discriminator of images and brightness classes."""
    torch.manual_seed(0)
    return Discriminator(4, scales=2, condition="labels", num_classes=CLASSES)


class Colours(nn.Module):
    """A stand-in for InceptionV3: mean and deviation of each channel."""

    num_features = 6

    def forward(self, image: Tensor) -> Tensor:
        return torch.cat([image.double().mean(dim=(2, 3)), image.double().std(dim=(2, 3))], dim=1)


def full_suite(parts: Sequence[str] = ()) -> MetricSuite:
    """All metrics that need no weights but those in packages; FID and KID of a stand-in's features."""
    suite = MetricSuite(CLASSES, Brightness(), NAMES, ["feature_distance"], LatentIoU(3, 5), realist(), parts)
    suite.extra.update({"fid": FID(Colours()), "kid": KID(Colours())})
    return suite


def symbols(image: Tensor) -> Tensor:
    """A stand-in for an encoder of three channels and five levels."""
    return (functional.avg_pool2d(image, 8) * 5).long().clamp(max=4)


def batch(count: int, height: int = 32, width: int = 48, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Reconstructions, images, rates and labels (with ignored pixels) of `count` images."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 4, 4, generator=generator)
    image = functional.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)
    reconstruction = (image + 0.1 * torch.randn(image.shape, generator=generator)).clamp(0, 1)
    label = Brightness().predict(image)
    label[torch.rand(label.shape, generator=generator) < 0.1] = 255
    return reconstruction, image, torch.rand(count, generator=generator), label


def judged(suite: MetricSuite, data: Judged, size: int, part: str = PARTS[0]) -> dict[str, float]:
    """All figures after `data`, images of a source `part`, in batches of `size`."""
    for reconstruction, image, rate, label in zip(*(torch.split(part, size) for part in data), strict=True):
        both = symbols(reconstruction), symbols(image)
        bpp, names = {"bpp": rate, "bpp_bound": 0.25}, [f"{part}/{i}" for i in range(len(image))]
        suite.update(reconstruction, image, bpp=bpp, label=label, symbols=both, names=names)
    return {key: value.item() for key, value in suite.compute().items()}


def shards() -> list[Judged]:
    """Seven images, four and three, of sizes that take another number of MS-SSIM scales."""
    return [batch(4, 64, 96, seed=1), batch(3, 24, 32, seed=2)]


def shard_figures(rank: int) -> dict[str, float]:
    """Figures that a process gets from its own shard and source, with a `compute` on the way."""
    suite = full_suite(PARTS)
    first, rest = zip(*((part[:1], part[1:]) for part in shards()[rank]), strict=True)
    judged(suite, first, 1, PARTS[rank])
    return judged(suite, rest, 2 - rank, PARTS[rank])


@pytest.mark.slow
def test_two_processes_with_uneven_shards_equal_one(tmp_path: Path) -> None:
    alone = full_suite(PARTS)
    judged(alone, shards()[0], 4)
    expected = judged(alone, shards()[1], 3, PARTS[1])
    own = {f"{part}/{key}" for part in PARTS[:2] for key in ("psnr", "bpp")}
    assert set(expected) == KEYS - {"ms_ssim"} | {"ms_ssim_3", "ms_ssim_2"} | own
    for part, data in zip(PARTS, shards(), strict=False):
        assert expected[f"{part}/psnr"] == pytest.approx(psnr(*data[:2]).double().mean().item())
        assert expected[f"{part}/bpp"] == pytest.approx(data[2].mean().item())
    for figures in call_two(shard_figures, tmp_path):
        assert figures == pytest.approx(expected, abs=1e-6)


def test_batch_size_changes_nothing() -> None:
    data = batch(7)
    expected = judged(full_suite(), data, 7)
    assert expected["bpp"] == pytest.approx(data[2].double().mean().item(), abs=1e-9)
    assert expected["bpp_bound"] == 0.25
    for size in (1, 2):
        assert judged(full_suite(), data, size) == pytest.approx(expected, abs=1e-6)


def test_perfect_reconstructions_get_full_marks() -> None:
    _, image, rate, label = batch(3)
    figures = judged(full_suite(), (image, image, rate, label), 3)
    assert figures["psnr"] == 100.0
    assert figures["latent_iou"] == figures["miou_agreement"] == figures["miou_ratio"] == 1.0
    assert figures["discriminator_fm"] == figures["feature_distance"] == 0.0
    assert figures["fid"] == pytest.approx(0.0, abs=1e-6)
    assert figures["ms_ssim_2"] == pytest.approx(1.0)
    assert figures["miou"] > 0.99  # rounding to 8 bits moves single pixels over a step


def test_the_judge_sees_8_bit_values() -> None:
    image = torch.full((1, 3, 16, 16), 63.6 / 255)  # below a quarter, but a 64 on file
    label = torch.ones(1, 16, 16, dtype=torch.long)
    assert (Brightness().predict(image) == 0).all()
    suite = MetricSuite(CLASSES, Brightness())
    suite.update(image, image, label=label)
    assert suite.compute()["miou"].item() == 1.0


@pytest.mark.parametrize(
    ("size", "key"),
    [
        ((128, 256), "ms_ssim_4"),
        ((64, 64), "ms_ssim_3"),
        ((176, 176), "ms_ssim"),
        ((8, 8), None),
        ((1, 1), None),
    ],
)
def test_the_size_names_the_ms_ssim_variant(size: tuple[int, int], key: str | None) -> None:
    suite = MetricSuite()
    suite.update(*batch(1, *size)[:2])
    assert list(suite.compute()) == ["psnr"] + ([key] if key else [])


def test_miou_needs_a_judge_and_labels() -> None:
    reconstruction, image, _, label = batch(2)
    for suite, given, found in (
        (MetricSuite(CLASSES), label, []),
        (MetricSuite(CLASSES, Brightness()), None, ["miou_agreement"]),
    ):
        suite.update(reconstruction, image, label=given)
        assert list(suite.compute()) == ["psnr", "ms_ssim_2", *found]
    with pytest.raises(SemcompError, match="num_classes"):
        MetricSuite(judge=Brightness())


def test_every_figure_of_the_suite_is_described() -> None:
    figures = judged(full_suite(), batch(2), 2)
    assert {name for name in figures if describe(name).kind is None} == {"bpp_bound"}  # a rate that its codec names


def test_extra_metrics_are_named_or_left_out_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One warning per metric, with the file, its source and its place; the others are measured."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.warns(SemcompWarning) as warned:
        suite = MetricSuite(extra=["lpips", "dists", "musiq", "fid", "kid", "feature_distance"])
    messages = [str(warning.message) for warning in warned if warning.category is SemcompWarning]
    places = {
        "lpips": "checkpoints/alexnet-owt-7be5be79.pth",
        "dists": "checkpoints/vgg16-397923af.pth",
        "musiq": "pyiqa/musiq_koniq_ckpt-e95806b9.pth",
        "fid": "checkpoints/weights-inception-2015-12-05-6726825d.pth",
        "kid": "checkpoints/weights-inception-2015-12-05-6726825d.pth",
    }
    for message, (name, place) in zip(messages, places.items(), strict=True):
        start = f"{name} is left out: {tmp_path}/hub/{place}: no such weights; fetch https://"
        assert message.startswith(start), message
    suite.update(*batch(2)[:2])
    assert list(suite.compute()) == ["psnr", "ms_ssim_2", "feature_distance"]
    assert not list(tmp_path.rglob("*.pth"))
    with pytest.raises(SemcompError, match="metric 'fidd' found, expected some of lpips, dists, fid"):
        MetricSuite(extra=["fidd"])


def test_too_few_images_leave_a_column_out() -> None:
    suite = full_suite()
    with pytest.warns(SemcompWarning, match=r"left out: \w+ of 1 images asked for, expected at least 2"):
        figures = judged(suite, batch(1), 1)
    assert not {"fid", "kid"} & figures.keys()
    suite.reset()
    assert judged(suite, batch(2), 2).keys() >= {"fid", "kid"}


def test_checkpoints_hold_neither_states_nor_the_judge() -> None:
    suite = full_suite()
    assert suite.judgement is not None
    (judge,) = suite.judgement._judges
    judged(suite, batch(2), 2)
    assert not suite.state_dict()
    assert not list(suite.parameters())
    assert not judge.training


def test_reset_forgets() -> None:
    suite = full_suite()
    expected = judged(suite, batch(3, seed=5), 3)
    suite.reset()
    reconstruction, image, _, label = batch(4, seed=6)
    suite.update(reconstruction, image, bpp={"bpp_ideal": 0.1}, label=label)
    suite.reset()
    assert judged(suite, batch(3, seed=5), 3) == expected


def test_casts_and_inference_mode_do_not_touch_the_states() -> None:
    data = batch(4)
    expected = judged(full_suite(), data, 4)
    suite = full_suite().bfloat16()
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        figures = judged(suite, tuple(part[:2] for part in data), 2)
    assert figures["psnr"] == pytest.approx(psnr(data[0][:2], data[1][:2]).mean().item(), abs=1e-9)
    assert judged(suite, tuple(part[2:] for part in data), 2) == pytest.approx(expected, abs=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_states_and_judge_follow_the_device() -> None:
    data = batch(4)
    judge = Brightness()
    expected = judged(MetricSuite(CLASSES, Brightness()), data, 4)
    suite = MetricSuite(CLASSES, judge).cuda()
    with torch.inference_mode():
        figures = judged(suite, tuple(part.cuda() for part in data), 2)
    assert figures == pytest.approx(expected, abs=1e-6)
    assert judge.steps.is_cuda
    assert not judge.steps.is_inference()
    suite.cpu().reset()
    assert judged(suite, data, 4) == pytest.approx(expected, abs=1e-9)
