"""From names and paths to codecs, segmenters and discriminators; what is there already is not loaded again."""

import gc
import shutil
from pathlib import Path

import pytest
import torch

import semcomp_pl
from semcomp_pl import losses
from semcomp_pl.checkpoints.export import export
from semcomp_pl.checkpoints.loading import load_discriminator, load_segmenter
from semcomp_pl.errors import SemcompError
from tests.lab import Lab, reconstruct, tampered


@pytest.mark.parametrize("name", ["plain_gan", "semantic_discriminator_gan", "conditional_gan", "selective_gan"])
def test_a_discriminator_judges_as_in_its_own_model(lab: Lab, fitted: dict[str, Path], name: str) -> None:
    file, batch = fitted[name], lab.batch()
    model = type(lab.model(name)).load_from_checkpoint(file, weights_only=True)
    judged = lab.model("rate_distortion", realism_judge=str(file))
    (figures,) = lab.trainer(limit_val_batches=1).validate(judged, lab.data(), verbose=False)
    with torch.no_grad():
        fake = reconstruct(judged, batch).mul(255).round().clamp(0, 255) / 255
        real = batch["image"]
        expected = losses.feature_matching(model.discriminate(fake, batch), model.discriminate(real, batch))
    assert figures["val/discriminator_fm"] == pytest.approx(expected.item(), rel=1e-4)
    found = judged.suite.provenance()["discriminator_fm"]
    assert found == load_discriminator(file).provenance()
    assert found["model"] == type(model).__name__
    assert not [key for key in judged.state_dict() if "discriminator" in key]


def test_a_discriminator_belongs_to_a_codec_and_has_a_name_of_its_own(fitted: dict[str, Path], tmp_path: Path) -> None:
    ours, theirs = (load_discriminator(fitted[name]) for name in ("plain_gan", "semantic_discriminator_gan"))
    assert ours.codec_fingerprint == semcomp_pl.load(fitted["plain_gan"]).fingerprint
    assert (ours.num_classes, theirs.num_classes) == (0, 4)
    assert not ours.discriminator.training
    assert not any(parameter.requires_grad for parameter in ours.parameters())
    content = torch.load(fitted["plain_gan"], weights_only=True)["state_dict"]
    name = next(key for key in content if key.startswith("discriminator."))
    other = tampered(fitted["plain_gan"], tmp_path / "other.ckpt", state_dict={name: content[name] + 1})
    assert load_discriminator(other).codec_fingerprint == ours.codec_fingerprint
    assert load_discriminator(other).provenance()["fingerprint"] != ours.provenance()["fingerprint"]


def test_a_discriminator_that_knows_label_maps_needs_them(fitted: dict[str, Path]) -> None:
    judge = load_discriminator(fitted["semantic_discriminator_gan"])
    with pytest.raises(SemcompError, match="a discriminator that sees label maps found, and data without"):
        judge(torch.rand(1, 3, 32, 64), None)


def test_models_without_a_discriminator_are_refused(lab: Lab, fitted: dict[str, Path], tmp_path: Path) -> None:
    exported = export(str(fitted["plain_gan"]), str(tmp_path / "gan"))
    for path in (exported, fitted["rate_distortion"]):
        with pytest.raises(SemcompError, match="without a discriminator found, expected the checkpoint of an adversar"):
            load_discriminator(path)
    with pytest.raises(SemcompError, match="a Segmentation found, expected a codec"):
        load_discriminator(lab.segmenter)


def test_kinds_are_not_confused(lab: Lab, fitted: dict[str, Path]) -> None:
    with pytest.raises(SemcompError, match="a Segmentation found, expected a codec; give it as judge or segmenter"):
        semcomp_pl.load(lab.segmenter)
    with pytest.raises(SemcompError, match="a RateDistortion found, expected a segmenter"):
        load_segmenter(fitted["rate_distortion"])


def test_a_segmenter_is_loaded_once_and_again_when_its_file_changed(lab: Lab, tmp_path: Path) -> None:
    file = Path(shutil.copy(lab.segmenter, tmp_path / "segmenter.ckpt"))
    first = load_segmenter(file)
    assert load_segmenter(str(file)) is first
    (tmp_path / "link.ckpt").symlink_to(file)
    assert load_segmenter(tmp_path / "link.ckpt") is first
    assert load_segmenter(lab.segmenter) is not first
    before = first.fingerprint()
    state = torch.load(file, weights_only=True)["state_dict"]
    name = next(key for key, value in state.items() if key.startswith("segmenter.net.") and value.ndim == 4)
    tampered(file, file, state_dict={name: 2 * state[name]})
    second = load_segmenter(file)
    assert second is not first
    assert second.fingerprint() != before
    assert first.fingerprint() == before, "who holds the old one keeps it"


def test_an_exported_segmenter_is_loaded_once_and_again_when_it_was_written_anew(lab: Lab, tmp_path: Path) -> None:
    directory = export(lab.segmenter, str(tmp_path / "export"))
    first = load_segmenter(directory)
    assert load_segmenter(directory) is first
    shutil.rmtree(directory)
    export(lab.segmenter, str(directory))
    assert load_segmenter(directory) is not first


def test_a_segmenter_that_nobody_holds_is_let_go(lab: Lab, tmp_path: Path) -> None:
    """Its memory belongs to who uses it."""
    file = Path(shutil.copy(lab.segmenter, tmp_path / "segmenter.ckpt"))
    load_segmenter(file).mark = True  # type: ignore[assignment]
    gc.collect()
    assert not hasattr(load_segmenter(file), "mark")
