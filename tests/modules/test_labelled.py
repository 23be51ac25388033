"""Where a model that sends label maps takes its own from."""

from typing import Any

import pytest
import torch

from semcomp_pl.checkpoints.loading import load_segmenter
from semcomp_pl.errors import SemcompError
from tests.lab import CLASSES, LABELLED, Lab, reconstruct


@pytest.mark.parametrize("name", ["semantic_discriminator_gan", *LABELLED])
def test_labels_are_needed(lab: Lab, name: str) -> None:
    model, batch = lab.model(name), lab.batch()
    del batch["label"]
    with pytest.raises(SemcompError, match=f"{type(model).__name__} needs label maps, the data have none"):
        model.discriminate(batch["image"], batch)
    with pytest.raises(SemcompError, match="needs label maps, the data have none"):
        lab.trainer().fit(model, datamodule=lab.data(labels=False))


def test_only_conditional_models_transmit_labels(lab: Lab) -> None:
    batch = lab.batch()
    other: Any = {**batch, "label": (batch["label"] + 1) % len(CLASSES)}
    for name, depends in (("semantic_discriminator_gan", False), ("conditional_gan", True)):
        model = lab.model(name)
        assert torch.equal(reconstruct(model, batch), reconstruct(model, other)) is not depends


def test_without_segmenter_labels_are_an_oracle_and_with_one_they_are_its_own(lab: Lab) -> None:
    oracle = lab.model("conditional_gan")
    served = lab.model("conditional_gan", segmenter=lab.segmenter)
    lab.trainer().validate(served, datamodule=lab.data(), verbose=False)
    batch = lab.batch()
    seen = load_segmenter(lab.segmenter).predict(batch["image"])
    assert (seen != batch["label"]).any()
    unlabelled: Any = {kind: value for kind, value in batch.items() if kind != "label"}
    relabelled: Any = {**batch, "label": seen}
    assert torch.equal(reconstruct(served, unlabelled), reconstruct(oracle, relabelled))
    assert not torch.equal(reconstruct(served, batch), reconstruct(oracle, batch))
    with pytest.raises(SemcompError, match="needs label maps"):
        oracle.evaluate(unlabelled)


@pytest.mark.parametrize("name", LABELLED)
def test_files_of_the_test_stage_carry_the_segmenters_label_maps(lab: Lab, name: str) -> None:
    served = lab.model(name, segmenter=lab.segmenter)
    (figures,) = lab.trainer().test(served, datamodule=lab.data(), verbose=False)
    codec = lab.model(name).eval().neural_codec()
    segmenter, sizes = load_segmenter(lab.segmenter), []
    for batch in lab.batches():
        seen = segmenter.predict((batch["image"] * 255).round() / 255)
        sizes += [8 * len(data) / (32 * 64) for data in codec.compress_batch(batch["image"], seen)]
    assert figures["test/bpp"] == pytest.approx(sum(sizes) / len(sizes))


def test_a_segmenter_of_other_classes_is_refused(lab: Lab, tmp_path: Any) -> None:
    wide = lab.checkpoint(lab.model("pspnet", num_classes=7), tmp_path / "wide.ckpt")
    with pytest.raises(SemcompError, match="a segmenter of 7 classes found, expected 4"):
        lab.trainer().validate(lab.model("conditional_gan", segmenter=str(wide)), lab.data(), verbose=False)
