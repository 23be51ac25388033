"""LPIPS, DISTS and MUSIQ load real files, agree with pyiqa's, and count images."""

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
import torchmetrics.functional.image as published
from torch import Tensor, nn
from torchvision.models import alexnet, vgg16

from semcomp_pl.errors import SemcompError
from semcomp_pl.metrics import DISTS, LPIPS, MUSIQ
from semcomp_pl.metrics.network import NetworkMean
from semcomp_pl.metrics.perceptual import ALEXNET, MUSIQ_KONIQ, VGG16
from semcomp_pl.nets.weights import WeightFile
from tests.metrics import stand_in
from tests.processes import call_two

FILES = Path(published.__file__).parent
KINDS: dict[str, tuple[Callable[..., NetworkMean], WeightFile]] = {
    "lpips": (LPIPS, ALEXNET),
    "dists": (DISTS, VGG16),
    "musiq": (MUSIQ, MUSIQ_KONIQ),
}


def network(name: str) -> nn.Module:
    """The network that the file holds, without memory."""
    from pyiqa.archs.musiq_arch import MUSIQ as Musiq

    makers: dict[str, Callable[[], nn.Module]] = {
        "lpips": alexnet,
        "dists": vgg16,
        "musiq": partial(Musiq, pretrained=False),
    }
    with torch.device("meta"):
        return makers[name]()


def make(name: str) -> NetworkMean:
    """The metric on a stand-in for its weights."""
    kind, weights = KINDS[name]
    return kind(stand_in.write(weights, network(name)))


@pytest.fixture(autouse=True)
def _hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "stand-in-weights"))


def pairs() -> tuple[Tensor, Tensor]:
    """Five images, noisy and clean, of 8-bit values."""
    generator = torch.Generator().manual_seed(0)
    image = nn.functional.interpolate(torch.rand(5, 3, 8, 12, generator=generator), (48, 72), mode="bilinear")
    reconstruction = (image + 0.1 * torch.randn(image.shape, generator=generator)).clamp(0, 1)
    return tuple((x * 255).round() / 255 for x in (reconstruction, image))  # type: ignore[return-value]


def theirs(name: str) -> nn.Module:
    """Pyiqa's metric from the same files."""
    import pyiqa

    files = {
        "lpips": FILES / "lpips_models" / "alex.pth",
        "dists": FILES / "dists_models" / "weights.pt",
        "musiq": Path(torch.hub.get_dir()) / "pyiqa" / MUSIQ_KONIQ.name,
    }
    metric: nn.Module = pyiqa.create_metric(
        name, device=torch.device("cpu"), pretrained=False, pretrained_model_path=str(files[name])
    )
    return metric


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_equals_pyiqa_from_the_same_weights(name: str) -> None:
    metric, (reconstruction, image) = make(name), pairs()
    values = metric.per_image(reconstruction, image)
    expected = theirs(name)(reconstruction, image).flatten()
    assert values.shape == (5,)
    torch.testing.assert_close(values, expected, atol=1e-5, rtol=1e-5)
    assert len({*values.tolist()}) == 5
    if name != "musiq":
        torch.testing.assert_close(metric.per_image(image, image), torch.zeros(5), atol=1e-5, rtol=0)
    for size in (1, 2):
        for a, b in zip(torch.split(reconstruction, size), torch.split(image, size), strict=True):
            metric.update(a, b)
    assert metric.compute().item() == pytest.approx(values.double().mean().item(), abs=1e-5)
    assert metric.provenance() == {"checkpoint": KINDS[name][1].name, "resolutions": ["72x48"]}
    assert not metric.state_dict()


@pytest.mark.parametrize("name", KINDS)
def test_missing_and_damaged_weights_are_named(name: str) -> None:
    kind, weights = KINDS[name]
    place = Path(torch.hub.get_dir()) / weights.folder / weights.name
    with pytest.raises(SemcompError) as missing:
        kind()
    assert str(missing.value) == f"{place}: no such weights; fetch {weights.url} and put the file there"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"stand-in")
    with pytest.raises(SemcompError, match=r"SHA-256 \w{8}... found, expected \w{8}...; the file is damaged"):
        kind()


def test_names_carry_checksums_as_torch_hub_writes_them() -> None:
    """Pyiqa names its files alike: the LPIPS layers that torchmetrics ships are its `LPIPS_v0.1_alex-df73285e.pth`."""
    for _, weights in KINDS.values():
        assert weights.name.endswith(f"-{weights.sha256}.pth")
        assert weights.url.endswith(weights.name)
    layers = (FILES / "lpips_models" / "alex.pth").read_bytes()
    assert hashlib.sha256(layers).hexdigest().startswith("df73285e")


@pytest.mark.slow
def test_small_images_are_refused_where_the_network_needs_more() -> None:
    metric = make("lpips")
    metric.update(torch.rand(1, 3, 31, 31), torch.rand(1, 3, 31, 31))
    with pytest.raises(SemcompError, match="images of 40x30 found, LPIPS needs at least 31 pixels a side"):
        metric.update(torch.rand(1, 3, 30, 40), torch.rand(1, 3, 30, 40))


def shard_figures(rank: int) -> dict[str, float]:
    """Figures that a process gets from two or three of the five images."""
    own = [slice(0, 2), slice(2, 5)][rank]
    figures = {}
    for name, (kind, weights) in KINDS.items():
        metric = kind(weights._replace(sha256=""))
        for a, b in zip(*(torch.split(x[own], 2) for x in pairs()), strict=True):
            metric.update(a, b)
        figures[name] = metric.compute().item()
    return figures


@pytest.mark.slow
def test_two_processes_with_uneven_shards_equal_one(tmp_path: Path) -> None:
    expected = {name: make(name).per_image(*pairs()).double().mean().item() for name in KINDS}
    for figures in call_two(shard_figures, tmp_path):
        assert figures == pytest.approx(expected, rel=1e-5, abs=1e-5)
