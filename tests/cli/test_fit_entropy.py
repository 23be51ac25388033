"""`fit-entropy`, and the end of `fit`: tables in the checkpoint or export that they belong to."""

from pathlib import Path

import pytest
import torch

import semcomp_pl
from semcomp_pl.checkpoints.export import export
from semcomp_pl.cli import main
from tests.cli.common import data_flags
from tests.lab import Lab


@pytest.mark.parametrize("name", ["rate_distortion", "conditional_gan"])
def test_a_checkpoint_and_its_export_get_the_same_tables(
    lab: Lab, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = lab.checkpoint(lab.model(name), tmp_path / "model.ckpt")
    bundle = export(str(checkpoint), str(tmp_path / "bundle"))
    assert not semcomp_pl.load(checkpoint).net.entropy.fitted
    for path in (checkpoint, bundle):
        assert main(["fit-entropy", str(path), *data_flags(lab.root), "--steps", "20", "--passes", "2"]) == 0
        assert "context" in capsys.readouterr().out
    codecs = [semcomp_pl.load(checkpoint), semcomp_pl.load(bundle)]
    assert codecs[0].net.entropy.fitted
    assert codecs[0].fingerprint == codecs[1].fingerprint
    torch.load(checkpoint, weights_only=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "model.ckpt"]
    type(lab.model(name)).load_from_checkpoint(checkpoint, weights_only=True)


def test_a_copy_leaves_the_original_alone(lab: Lab, tmp_path: Path) -> None:
    checkpoint = lab.checkpoint(lab.model("rate_distortion", entropy_model="static"), tmp_path / "model.ckpt")
    before = checkpoint.read_bytes()
    assert (
        main(
            ["fit-entropy", str(checkpoint), *data_flags(lab.root), "--passes", "1", "-o", str(tmp_path / "copy.ckpt")]
        )
        == 0
    )
    assert checkpoint.read_bytes() == before
    copy = semcomp_pl.load(tmp_path / "copy.ckpt")
    assert copy.net.entropy.fitted
    assert copy.net.entropy.latent_coder().context is None


def test_tables_of_a_checkpoint_of_before_are_found_again(lab: Lab, tmp_path: Path) -> None:
    """Whose plain network had no name of its own."""
    new = lab.checkpoint(lab.model("rate_distortion", entropy_model="static"), tmp_path / "new.ckpt")
    content = torch.load(new, weights_only=True)
    content["state_dict"] = {name.removeprefix("codec."): value for name, value in content["state_dict"].items()}
    torch.save(content, tmp_path / "old.ckpt")
    for name in ("new", "old"):
        assert main(["fit-entropy", str(tmp_path / f"{name}.ckpt"), *data_flags(lab.root), "--passes", "1"]) == 0
    ours, theirs = (semcomp_pl.load(tmp_path / f"{name}.ckpt") for name in ("new", "old"))
    assert ours.net.entropy.fitted
    assert ours.fingerprint == theirs.fingerprint


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nowhere.ckpt"], "nowhere.ckpt: no such model"),
        (["SEGMENTER"], "a Segmentation found, expected a codec"),
        (["SEGMENTER", "--stepps", "3"], "--stepps"),
        (["SEGMENTER", "-o", "SEGMENTER"], "exists; choose another --output"),
    ],
)
def test_mistakes_are_named(lab: Lab, args: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [lab.segmenter if arg == "SEGMENTER" else arg for arg in args]
    assert main(["fit-entropy", *words, *data_flags(lab.root)]) == 2
    assert message in capsys.readouterr().err


def test_data_of_other_classes_are_refused(
    lab: Lab, fitted: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [*data_flags(lab.root), "--data.source.classes", "[sky,wall,road,car,bus]"]
    assert main(["fit-entropy", str(fitted["conditional_gan"]), *flags]) == 2
    assert "a model of 4 classes found, the data have 5; give its own data" in capsys.readouterr().err


@pytest.mark.slow
def test_fit_ends_with_tables_and_test_measures_files(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    trainer = ["--trainer.accelerator", "cpu", "--trainer.max_epochs", "1", "--trainer.enable_progress_bar", "false"]
    small = ["--model.filters", "8", "--model.blocks", "1", "--entropy_steps", "10", "--name", "small"]
    config = ["--config", "configs/model/rate_distortion.yaml"]
    assert main(["fit", *config, *data_flags(lab.root), *trainer, *small]) == 0
    assert semcomp_pl.load(tmp_path / "runs" / "small").net.entropy.fitted
    assert main(["test", "runs/small"]) == 0
    said = capsys.readouterr().out
    for name in ("  Rate ", "  bpp_payload ", "  bpp_ideal ", "  bpp_bound "):
        assert name in said
    assert main(["fit", "runs/small", "--trainer.max_epochs", "2"]) == 0


@pytest.mark.parametrize("data", [["--data=streets"], ["--data", "streets"], ["--config=configs/data/streets.yaml"]])
def test_a_model_that_is_not_there_costs_no_data(
    data: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the shipped data set is found from anywhere."""
    monkeypatch.chdir(tmp_path)
    assert main(["fit-entropy", "nowhere", *data]) == 2
    assert "nowhere: no such model" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
