"""Which codecs may be compared, under which names, and with which label maps."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from semcomp_pl import load, load_segmenter
from semcomp_pl.compare.config import Settings
from semcomp_pl.compare.run import fill
from semcomp_pl.errors import SemcompError
from tests.compare.conftest import TARGETS, Files, Run, model, one, read_provenance, samples, webp
from tests.lab import CLASSES, Lab


def test_classes_that_are_kept_are_what_is_compared(
    settings: Settings, run: Run, lab: Lab, files: Files, tmp_path: Path
) -> None:
    path = lab.checkpoint(lab.model("selective_gan", class_names=CLASSES), tmp_path / "selective.ckpt")
    points = [{"keep": ["car"]}, {"keep": ["sky", "car"]}]
    entry = replace(model(path, "mine"), points=points, labels="true")
    settings = replace(settings, codecs=[entry], metrics=["latent_iou"])
    rows = run(settings).filter(codec="mine (oracle)")
    assert rows["point"].unique(maintain_order=True).to_list() == ["keep=['car']", "keep=['sky', 'car']"]
    assert rows["latent_iou"].null_count() == len(rows)
    sample = samples(lab)[0]
    for point in points:
        size = len(load(path, keep=point["keep"]).compress(sample["image"], sample["label"]))
        assert one(rows, "mine (oracle)", sample["name"], f"keep={point['keep']}")["bytes"] == size
    other = replace(settings, codecs=[replace(entry, points=[points[0], {"keep": ["sky"]}])])
    with pytest.raises(SemcompError, match="a comparison of other points, definitions, checkpoints was begun here"):
        fill(other, lab.data())
    with pytest.raises(SemcompError, match="codes whole images"):
        fill(replace(settings, codecs=[model(files.plain, keep=["car"])]), lab.data())


def test_label_maps_come_from_the_segmenter_or_make_an_oracle(
    settings: Settings, run: Run, lab: Lab, files: Files
) -> None:
    codecs = [model(files.conditional), replace(model(files.conditional), labels="true")]
    settings = replace(settings, codecs=codecs, segmenter=files.segmenter, metrics=["latent_iou"])
    rows = run(settings)
    codec = load(files.conditional)
    oracle, seen = (rows.filter(pl.col("codec") == f"ConditionalGAN{name}") for name in (" (oracle)", ""))
    assert oracle["latent_iou"].is_between(0, 1).all()
    for sample in samples(lab):
        data = codec.compress(sample["image"], sample["label"])
        assert one(oracle, "ConditionalGAN (oracle)", sample["name"])["bytes"] == len(data)
    codec.segmenter = load_segmenter(files.segmenter)
    for sample in samples(lab):
        row = one(seen, "ConditionalGAN", sample["name"])
        assert row["bytes"] == len(codec.compress(sample["image"]))
        assert row["bytes_labels"] > 0
    provenance = read_provenance(settings)
    assert provenance["segmenters"] == {"ConditionalGAN, d4C8L5": load_segmenter(files.segmenter).provenance()}
    own = replace(settings, codecs=[model(files.conditional, segmenter=files.segmenter)], segmenter=None)
    assert run(replace(own, output=settings.output + "2"))["bytes"].to_list() == (
        rows.filter(pl.col("codec") != "ConditionalGAN (oracle)")["bytes"].to_list()
    )
    for entry, source, said in (
        (codecs[1], lab.data(labels=False), "a model of 4 classes found, the data have 0"),
        (replace(model(files.plain), labels="true"), lab.data(), "a codec that sends no label map"),
    ):
        with pytest.raises(SemcompError, match=said):
            fill(replace(settings, judge=None, codecs=[entry]), source)


def test_who_may_not_judge_is_refused(settings: Settings, lab: Lab, files: Files, tmp_path: Path) -> None:
    trained = lab.checkpoint(lab.model("semantic_distortion_gan"), tmp_path / "model.ckpt")
    for path, part in ((trained, "was part of the training"), (files.conditional, "makes the label maps")):
        settings = replace(settings, codecs=[model(path)], judge=lab.segmenter, segmenter=lab.segmenter)
        with pytest.raises(SemcompError, match=f"this segmenter {part} of .* and may not judge it; name another"):
            fill(settings, lab.data())
    with pytest.raises(SemcompError, match="sends a label map; name a --segmenter that makes it"):
        fill(replace(settings, segmenter=None), lab.data())


def test_models_of_one_class_and_shape_are_told_apart(settings: Settings, run: Run, lab: Lab, tmp_path: Path) -> None:
    other = lab.checkpoint(lab.model("rate_distortion", learning_rate=1e-4), tmp_path / "other.ckpt")
    codecs = [settings.codecs[0], model(other), model(other, "mine", "low")]
    rows = run(replace(settings, codecs=codecs))
    names = rows["codec"].unique(maintain_order=True).to_list()
    assert names == ["Original", "RateDistortion (plain)", "RateDistortion (other)", "mine"]
    with pytest.raises(SemcompError, match="two codecs as mine, low found"):
        fill(replace(settings, codecs=[codecs[-1]] * 2), lab.data())


def test_references_of_one_name_and_point_are_refused(settings: Settings, lab: Lab) -> None:
    jpeg = replace(webp(), class_path="semcomp_pl.codecs.OptimizedJPEG", codec="JPEG")
    with pytest.raises(SemcompError, match=r"two codecs as JPEG, 0\.3 bpp found; give each"):
        fill(replace(settings, codecs=[jpeg, webp(TARGETS[:1], codec="JPEG")]), lab.data())
