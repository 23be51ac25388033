"""The discriminator of a checkpoint as a metric's."""

from pathlib import Path

import pytest
import torch

from semcomp_pl import losses
from semcomp_pl.errors import SemcompError
from semcomp_pl.checkpoints.export import export
from semcomp_pl.checkpoints.loading import load
from semcomp_pl.modules.realism import TrainedDiscriminator
from tests.modules.conftest import Lab


@pytest.mark.parametrize("name", ["plain_gan", "semantic_discriminator_gan"])
def test_it_judges_as_in_its_own_model(lab: Lab, name: str, tmp_path: Path) -> None:
    file = lab.checkpoint(lab.model(name), tmp_path / "model.ckpt")
    model, batch = load(file), lab.batch()
    judged = lab.model("rate_distortion", realism_judge=str(file))
    (figures,) = lab.trainer(limit_val_batches=1).validate(judged, lab.data(), verbose=False)
    with torch.no_grad():
        fake = judged.evaluate(batch).reconstruction.mul(255).round().clamp(0, 255) / 255
        real = batch["image"]
        expected = losses.feature_matching(model.judge_realism(fake, batch), model.judge_realism(real, batch))  # type: ignore[operator]
    assert figures["val/discriminator_fm"] == pytest.approx(expected.item(), rel=1e-4)
    found = judged.suite.provenance()["discriminator_fm"]
    assert found["model"] == type(model).__name__
    assert len(bytes.fromhex(found["fingerprint"])) == 8
    assert not [key for key in judged.state_dict() if "discriminator" in key]


def test_one_that_knows_label_maps_needs_them(lab: Lab, tmp_path: Path) -> None:
    file = lab.checkpoint(lab.model("semantic_discriminator_gan"), tmp_path / "model.ckpt")
    judge = TrainedDiscriminator.from_file(str(file))
    with pytest.raises(SemcompError, match="SemanticDiscriminatorGAN needs label maps"):
        judge(torch.rand(1, 3, 32, 64), None)


def test_models_without_a_discriminator_are_refused(lab: Lab, tmp_path: Path) -> None:
    exported = export(str(lab.checkpoint(lab.model("plain_gan"), tmp_path / "gan.ckpt")), str(tmp_path / "gan"))
    other = lab.checkpoint(lab.model("rate_distortion"), tmp_path / "rate.ckpt")
    for path in (exported, other, lab.segmenter):
        with pytest.raises(SemcompError, match="without a discriminator found, expected the checkpoint of an adversar"):
            TrainedDiscriminator.from_file(str(path))
