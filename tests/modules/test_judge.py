"""Who may judge a model: any segmenter but those of its own training."""

from pathlib import Path
from typing import Any

import pytest
import torch

from semcomp_pl.errors import SemcompError
from semcomp_pl.modules import Segmentation, SemanticDistortionGAN
from semcomp_pl.modules.export import export
from semcomp_pl.modules.loading import load
from tests.modules.conftest import Lab

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
