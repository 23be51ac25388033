"""Distances of sets of images, and a discriminator's reading, as a comparison has them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torchvision.models import inception_v3

from semcomp_pl import load
from semcomp_pl.checkpoints.export import export
from semcomp_pl.checkpoints.loading import load_discriminator
from semcomp_pl.compare.config import Settings
from semcomp_pl.compare.measure import parts
from semcomp_pl.compare.run import compare, fill
from semcomp_pl.data.datamodule import ImageDataset
from semcomp_pl.errors import SemcompError, SemcompWarning
from semcomp_pl.metrics import FID, KID
from semcomp_pl.metrics.discriminator_fm import DiscriminatorFM
from semcomp_pl.metrics.fid import INCEPTION, InceptionFeatures
from tests.compare.conftest import Files, model
from tests.lab import Lab
from tests.metrics import stand_in


@pytest.fixture
def inception(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InceptionFeatures:
    """InceptionV3 of random weights, in its place."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "stand-in-weights"))
    with torch.device("meta"):
        network = inception_v3(weights=None, num_classes=1008, aux_logits=False, init_weights=False)
    monkeypatch.setattr(InceptionFeatures.__init__, "__defaults__", (stand_in.write(INCEPTION, network),))
    return InceptionFeatures()


@pytest.mark.slow
def test_fid_and_kid_are_of_all_images_at_once(
    settings: Settings, lab: Lab, files: Files, inception: InceptionFeatures
) -> None:
    settings = replace(settings, metrics=["fid", "kid"], pictures=0)
    assert compare(settings, lab.data()) == 0
    output = Path(settings.output)
    codec, data = load(files.plain), ImageDataset(lab.data().store("val"))
    metrics = {"fid": FID(inception), "kid": KID(inception)}
    images = [data[index]["image"] for index in range(len(data))]
    for metric in metrics.values():
        for image in images:
            metric.update(codec.decompress(codec.compress(image))[None], image[None])
    (point,) = (each for each in json.loads((output / "summary.json").read_text())["points"] if each["kind"] == "model")
    for name, metric in metrics.items():
        value = point["metrics"][name]
        assert value["value"] == pytest.approx(metric.compute().item(), rel=1e-4, abs=1e-6)
        assert value["low"] is None
        assert f"| {name.upper()} ↓ |" in (output / "report.md").read_text()
    results = parts.collect(output)
    assert results.provenance["metrics"] == {name: {"checkpoint": INCEPTION.name} for name in metrics}
    assert {*results.set_metrics} == {"RateDistortion", "WebP"}
    (output / "features" / "0" / "WebP" / "1 bpp.npy").unlink()
    with pytest.warns(SemcompWarning, match=r"WebP, 1 bpp: no fid, kid: .*No such file"):
        left = parts.collect(output).set_metrics
    assert results.set_metrics["WebP"].keys() - left["WebP"].keys() == {"1 bpp"}


def test_weights_that_are_not_there_leave_a_metric_out(
    settings: Settings, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "nothing"))
    with pytest.warns(SemcompWarning, match="fid is left out"):
        plan = fill(replace(settings, metrics=["fid"]), lab.data())
    assert not (plan.directory / "features").exists()
    assert parts.collect(plan.directory).set_metrics == {}


def test_a_discriminator_judges_but_not_its_own_model(
    settings: Settings, lab: Lab, files: Files, tmp_path: Path
) -> None:
    judge = str(lab.checkpoint(lab.model("semantic_discriminator_gan"), tmp_path / "judge.ckpt"))
    settings = replace(settings, realism_judge=judge)
    results = parts.collect(fill(settings, lab.data()).directory)
    codec, metric = load(files.plain), DiscriminatorFM(load_discriminator(judge))
    data = ImageDataset(lab.data().store("val"))
    for index in range(len(data)):
        image, label = data[index]["image"], data[index]["label"]
        decoded = codec.decompress(codec.compress(image))
        expected = metric.per_image(decoded[None], image[None], label[None]).item()
        (row,) = results.rows.filter(codec="RateDistortion", image=data[index]["name"]).iter_rows(named=True)
        assert row["discriminator_fm"] == pytest.approx(expected, rel=1e-5)
    assert results.rows.filter(codec="Original")["discriminator_fm"].to_list() == [0] * len(data)
    assert results.provenance["metrics"] == {"discriminator_fm": metric.provenance()}
    own = export(judge, str(tmp_path / "exported"))
    for path in (judge, own):
        with pytest.raises(SemcompError, match="that SemanticDiscriminatorGAN, d4C8L5 was trained against found"):
            fill(replace(settings, codecs=[model(path)]), lab.data())
    with pytest.raises(SemcompError, match="a discriminator that sees 4 classes found, the data have 0"):
        fill(replace(settings, output=str(tmp_path / "bare"), judge=None), lab.data(labels=False))
