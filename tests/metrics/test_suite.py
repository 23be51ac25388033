"""The suite gives the same figures under every batch size, device and number of processes."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.multiprocessing.spawn import spawn
from torch.nn import functional

from semcomp_pl.errors import SemcompError
from semcomp_pl.metrics import MetricSuite
from semcomp_pl.metrics.psnr import psnr

CLASSES = 4
Judged = tuple[Tensor, ...]


class Brightness(nn.Module):
    """A stand-in for a segmenter: classes are equal steps of the mean of R, G and B."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.Parameter(torch.tensor(float(CLASSES)))

    def predict(self, image: Tensor) -> Tensor:
        return (image.mean(dim=1) * self.steps).long().clamp(max=CLASSES - 1)


def batch(count: int, height: int = 32, width: int = 48, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Reconstructions, images, rates and labels (with ignored pixels) of `count` images."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 4, 4, generator=generator)
    image = functional.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)
    reconstruction = (image + 0.1 * torch.randn(image.shape, generator=generator)).clamp(0, 1)
    label = Brightness().predict(image)
    label[torch.rand(label.shape, generator=generator) < 0.1] = 255
    return reconstruction, image, torch.rand(count, generator=generator), label


def judged(suite: MetricSuite, data: Judged, size: int) -> dict[str, float]:
    """All figures of `data` in batches of `size`."""
    for reconstruction, image, rate, label in zip(*(torch.split(part, size) for part in data), strict=True):
        suite.update(reconstruction, image, bpp={"bpp": rate, "bpp_bound": 0.25}, label=label)
    return {key: value.item() for key, value in suite.compute().items()}


def shards() -> list[Judged]:
    """Seven images, four and three, of sizes that take another number of MS-SSIM scales."""
    return [batch(4, 64, 96, seed=1), batch(3, 24, 32, seed=2)]


def rank_main(rank: int, folder: str) -> None:
    """One of two processes: judge the own shard, with a `compute` on the way, and write the figures."""
    rendezvous = f"file://{folder}/rendezvous"
    distributed.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=2)
    suite = MetricSuite(CLASSES, Brightness())
    first, rest = zip(*((part[:1], part[1:]) for part in shards()[rank]), strict=True)
    judged(suite, first, 1)
    figures = judged(suite, rest, 2 - rank)
    assert suite.miou is not None
    torch.save((figures, suite.miou.per_class()), Path(folder) / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_m1_two_processes_with_uneven_shards_equal_one(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(request.config.rootpath)  # the spawned processes import this file by its name
    spawn(rank_main, args=(str(tmp_path),), nprocs=2)  # type: ignore[no-untyped-call]
    alone = MetricSuite(CLASSES, Brightness())
    judged(alone, shards()[0], 4)
    expected = judged(alone, shards()[1], 3)
    assert set(expected) == {"psnr", "ms_ssim_3", "ms_ssim_2", "bpp", "bpp_bound", "miou"}
    assert alone.miou is not None
    for rank in range(2):
        figures, per_class = torch.load(tmp_path / f"{rank}.pt")
        assert figures == pytest.approx(expected, abs=1e-6)
        torch.testing.assert_close(per_class, alone.miou.per_class(), atol=1e-6, rtol=0, equal_nan=True)


def test_batch_size_changes_nothing() -> None:
    data = batch(7)
    expected = judged(MetricSuite(CLASSES, Brightness()), data, 7)
    assert expected["bpp"] == pytest.approx(data[2].double().mean().item(), abs=1e-9)
    assert expected["bpp_bound"] == 0.25
    for size in (1, 2):
        assert judged(MetricSuite(CLASSES, Brightness()), data, size) == pytest.approx(expected, abs=1e-9)


def test_perfect_reconstructions_get_full_marks() -> None:
    _, image, rate, label = batch(3)
    figures = judged(MetricSuite(CLASSES, Brightness()), (image, image, rate, label), 3)
    assert figures["psnr"] == 100.0
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
def test_m5_the_size_names_the_ms_ssim_variant(size: tuple[int, int], key: str | None) -> None:
    suite = MetricSuite()
    suite.update(*batch(1, *size)[:2])
    assert list(suite.compute()) == ["psnr"] + ([key] if key else [])


def test_miou_needs_a_judge_and_labels() -> None:
    reconstruction, image, _, label = batch(2)
    for suite, given in ((MetricSuite(CLASSES), label), (MetricSuite(CLASSES, Brightness()), None)):
        suite.update(reconstruction, image, label=given)
        assert list(suite.compute()) == ["psnr", "ms_ssim_2"]
    with pytest.raises(SemcompError, match="num_classes"):
        MetricSuite(judge=Brightness())


def test_checkpoints_hold_neither_states_nor_the_judge() -> None:
    judge = Brightness().train()
    suite = MetricSuite(CLASSES, judge)
    judged(suite, batch(2), 2)
    assert not suite.state_dict()
    assert not list(suite.parameters())
    assert not judge.training


def test_reset_forgets() -> None:
    suite = MetricSuite(CLASSES, Brightness())
    expected = judged(suite, batch(3, seed=5), 3)
    suite.reset()
    suite.update(*batch(4, seed=6)[:2], bpp={"bpp_ideal": 0.1})
    suite.reset()
    assert judged(suite, batch(3, seed=5), 3) == expected


def test_casts_and_inference_mode_do_not_touch_the_states() -> None:
    data = batch(4)
    expected = judged(MetricSuite(CLASSES, Brightness()), data, 4)
    suite = MetricSuite(CLASSES, Brightness()).bfloat16()
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        figures = judged(suite, tuple(part[:2] for part in data), 2)
    assert figures["psnr"] == pytest.approx(psnr(data[0][:2], data[1][:2]).mean().item(), abs=1e-9)
    assert judged(suite, tuple(part[2:] for part in data), 2) == pytest.approx(expected, abs=1e-9)


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
