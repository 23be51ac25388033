"""Who may judge a model: any segmenter but those of its own training."""

from pathlib import Path
from typing import Any

import pytest
import torch

from semcomp_pl.errors import SemcompError
from semcomp_pl.codecs.pixels import as_decoded
from semcomp_pl.metrics.latent_iou import latent_iou
from semcomp_pl.metrics.miou import class_iou, confusion
from semcomp_pl.modules import Segmentation, SemanticDistortionGAN
from semcomp_pl.checkpoints.export import export
from semcomp_pl.checkpoints.loading import load
from semcomp_pl.types import Batch
from tests.modules.conftest import CLASSES, CODECS, Lab

REFUSED = "this segmenter was part of the model's training and may not judge it"


def batches(lab: Lab) -> list[Batch]:
    """All batches of the validation split."""
    data = lab.data()
    data.setup("validate")
    return [*data.val_dataloader()]


@pytest.fixture(scope="module")
def files(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A SemanticDistortionGAN, its segmenter's export, and another segmenter of the same architecture."""
    root = tmp_path_factory.mktemp("judges")
    model = lab.checkpoint(lab.model("semantic_distortion_gan"), root / "model.ckpt")
    other = lab.checkpoint(lab.model("pspnet", learning_rate=1e-2), root / "other.ckpt")
    exported = export(lab.segmenter, str(root / "segmenter"))
    return {"model": str(model), "other": str(other), "exported": str(exported)}


def test_its_own_segmenter_is_refused_before_training(lab: Lab, files: dict[str, str]) -> None:
    for judge in (lab.segmenter, files["exported"]):
        with pytest.raises(SemcompError, match=REFUSED):
            lab.fit(lab.model("semantic_distortion_gan", judge=judge), limit_train_batches=0, limit_val_batches=0)


@pytest.mark.parametrize("verb", ["validate", "test"])
def test_its_own_segmenter_is_refused_for_a_checkpoint_that_no_longer_names_it(
    lab: Lab, files: dict[str, str], verb: str
) -> None:
    """Lightning restores the checkpoint, and with it the fingerprint, after `setup`."""
    model = lab.model("semantic_distortion_gan", segmenter=None, judge=lab.segmenter)
    with pytest.raises(SemcompError, match=REFUSED):
        getattr(lab.trainer(), verb)(model, lab.data(), ckpt_path=files["model"], weights_only=True, verbose=False)


def test_its_own_segmenter_is_refused_after_export(lab: Lab, files: dict[str, str], tmp_path: Path) -> None:
    model: Any = load(export(files["model"], str(tmp_path / "export")))
    assert isinstance(model, SemanticDistortionGAN)
    for judge in (lab.segmenter, files["exported"]):
        model.judge_path = judge
        with pytest.raises(SemcompError, match=REFUSED):
            lab.trainer().validate(model, lab.data(), verbose=False)


def test_another_segmenter_judges(lab: Lab, files: dict[str, str]) -> None:
    model: Any = load(files["model"])
    model.judge_path = files["other"]
    (figures,) = lab.trainer().validate(model, lab.data(), verbose=False)
    assert 0 <= figures["val/miou"] <= 1


def test_the_segmenter_whose_labels_are_transmitted_is_refused(lab: Lab, files: dict[str, str]) -> None:
    refused = lab.model("conditional_gan", segmenter=lab.segmenter, judge=files["exported"])
    with pytest.raises(SemcompError, match=REFUSED):
        lab.trainer().validate(refused, lab.data(), verbose=False)
    accepted = lab.model("conditional_gan", segmenter=lab.segmenter, judge=files["other"])
    (figures,) = lab.trainer().validate(accepted, lab.data(), verbose=False)
    assert "val/miou" in figures


@pytest.mark.parametrize("name", ["rate_distortion", "plain_gan", "semantic_distortion_gan"])
def test_what_a_segmenter_taught_is_not_forgotten_by_a_warm_start(lab: Lab, files: dict[str, str], name: str) -> None:
    other = {"segmenter": files["other"]} if name == "semantic_distortion_gan" else {}
    with pytest.raises(SemcompError, match=r"was trained against a segmenter that \w+ would not remember"):
        lab.fit(lab.model(name, init_from=files["model"], **other), limit_train_batches=0, limit_val_batches=0)
    same = lab.model("semantic_distortion_gan", init_from=files["model"], judge=lab.segmenter)
    with pytest.raises(SemcompError, match=REFUSED):
        lab.fit(same, limit_train_batches=0, limit_val_batches=0)


def test_a_judge_reads_originals_and_reconstructions(lab: Lab, files: dict[str, str]) -> None:
    """Its figures by class stay out of the progress bar; what it is stands in the result."""
    model = lab.model("rate_distortion", judge=files["other"], class_names=CLASSES)
    trainer = lab.trainer()
    (figures,) = trainer.test(model, lab.data(), verbose=False)
    judge = Segmentation.from_file(files["other"])
    counts = sum(confusion(judge.predict(batch["image"]), batch["label"], 4) for batch in batches(lab))
    assert figures["test/miou_ceiling"] == pytest.approx(float(class_iou(torch.as_tensor(counts)).nanmean()))
    assert figures["test/miou_ratio"] == pytest.approx(figures["test/miou"] / figures["test/miou_ceiling"])
    details = {name for name in figures if name.startswith(("test/iou_", "test/latent_iou_"))}
    assert {"test/latent_iou_0"} < details
    assert details <= {f"test/iou_{name}" for name in CLASSES} | {f"test/latent_iou_{c}" for c in range(model.channels)}
    assert trainer.progress_bar_metrics.keys() == figures.keys() - details
    assert model.suite.provenance()["judge"] == {
        "fingerprint": judge.fingerprint().hex(),
        "architecture": "pspnet",
        "encoder": judge.encoder,
        "num_classes": 4,
        "input_size": [32, 64],
        "channels": "RGB",
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
    }


@pytest.mark.parametrize("name", [name for name in CODECS if name != "layered_codec"])
def test_test_encodes_reconstructions_again(lab: Lab, name: str) -> None:
    model = lab.model(name).as_exported()
    (figures,) = lab.trainer().test(model, lab.data(), verbose=False)
    found: list[list[torch.Tensor]] = [[], []]
    for batch in batches(lab):
        out = model.evaluate(batch)
        again = model.evaluate({**batch, "image": as_decoded(out.reconstruction)})
        for symbols, kept in zip((again.symbols, out.symbols), found, strict=True):
            kept.append(symbols)
    expected = latent_iou(torch.cat(found[0]), torch.cat(found[1]), model.quantizer.levels)
    # kernels for other batches may round a latent on the border of two symbols to the other side
    assert figures["test/latent_iou"] == pytest.approx(expected.item(), abs=1e-3)


def test_a_judge_must_be_a_segmenter(lab: Lab, files: dict[str, str]) -> None:
    model = lab.model("rate_distortion", judge=files["model"])
    with pytest.raises(SemcompError, match="a SemanticDistortionGAN found, expected a Segmentation checkpoint"):
        lab.trainer().validate(model, lab.data(), verbose=False)


def test_a_segmenter_reads_enlarged_images_in_bfloat16(lab: Lab) -> None:
    """As SemanticDistortionGAN asks it to in bf16-mixed training: torch has no antialiased resize of bfloat16."""
    segmenter = Segmentation.from_file(str(lab.segmenter))
    segmenter.input_size.copy_(torch.tensor([64, 96]))
    image = torch.rand(1, 3, 32, 48, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        logits = segmenter.read(image)
    assert logits.shape[-2:] == (32, 48)
    (gradient,) = torch.autograd.grad(logits.square().mean(), image)
    assert gradient.abs().sum() > 0
    torch.testing.assert_close(logits.detach(), segmenter.read(image).detach(), atol=0.3, rtol=0.1)
