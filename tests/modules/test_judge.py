"""Who may judge a model: any segmenter but those of its own training."""

from pathlib import Path
from typing import Any

import pytest
import torch

from semcomp_pl.checkpoints.bundle import read_bundle
from semcomp_pl.checkpoints.checkpoint import with_part
from semcomp_pl.checkpoints.export import export
from semcomp_pl.checkpoints.loading import load_segmenter
from semcomp_pl.codecs.pixels import as_decoded
from semcomp_pl.errors import SemcompError
from semcomp_pl.metrics.latent_iou import latent_iou
from semcomp_pl.metrics.miou import class_iou, confusion
from semcomp_pl.modules import SemanticDistortionGAN
from tests.lab import CLASSES, LATENTS, Lab, as_exported, spread

REFUSED = "this segmenter was part of the model's training and may not judge it"


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
    saved = read_bundle(export(files["model"], str(tmp_path / "export")))
    model = SemanticDistortionGAN(**saved.hyper_parameters)
    model.load_state_dict(with_part(saved.state, model, model.part), strict=False)
    for judge in (lab.segmenter, files["exported"]):
        model.judge_path = judge
        with pytest.raises(SemcompError, match=REFUSED):
            lab.trainer().validate(model, lab.data(), verbose=False)


def test_another_segmenter_judges(lab: Lab, files: dict[str, str]) -> None:
    model: Any = SemanticDistortionGAN.load_from_checkpoint(files["model"], weights_only=True)
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
    judge = load_segmenter(files["other"])
    counts = sum(confusion(judge.predict(batch["image"]), batch["label"], 4) for batch in lab.batches())
    assert figures["test/miou_ceiling"] == pytest.approx(float(class_iou(torch.as_tensor(counts)).nanmean()))
    assert figures["test/miou_ratio"] == pytest.approx(figures["test/miou"] / figures["test/miou_ceiling"])
    details = {name for name in figures if name.startswith(("test/iou_", "test/latent_iou_"))}
    assert {"test/latent_iou_0"} < details
    assert details <= {f"test/iou_{name}" for name in CLASSES} | {
        f"test/latent_iou_{c}" for c in range(model.codec.shape.channels)
    }
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


@pytest.mark.parametrize("name", LATENTS)
def test_test_encodes_reconstructions_again(lab: Lab, name: str) -> None:
    model = lab.model(name)
    spread(model.codec)
    model = as_exported(model)
    (figures,) = lab.trainer().test(model, lab.data(), verbose=False)
    found: list[list[torch.Tensor]] = [[], []]
    for batch in lab.batches():
        out = model.evaluate(batch)
        again = model.evaluate({**batch, "image": as_decoded(out.reconstruction)})
        for symbols, kept in zip((again.symbols, out.symbols), found, strict=True):
            kept.append(symbols)
    expected = latent_iou(torch.cat(found[0]), torch.cat(found[1]), model.codec.shape.levels)
    # kernels for other batches may round a latent on the border of two symbols to the other side
    assert figures["test/latent_iou"] == pytest.approx(expected.item(), abs=1e-3)


def test_a_judge_must_be_a_segmenter(lab: Lab, files: dict[str, str]) -> None:
    model = lab.model("rate_distortion", judge=files["model"])
    with pytest.raises(SemcompError, match="a SemanticDistortionGAN found, expected a segmenter"):
        lab.trainer().validate(model, lab.data(), verbose=False)
