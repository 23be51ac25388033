"""`fit-entropy`, and the end of `fit`: tables that shorten files, in the checkpoint or export they belong to."""

from pathlib import Path

import pytest
import torch

import semcomp_pl
from semcomp_pl.cli import main
from semcomp_pl.training.entropy import bits_per_image, fit_entropy
from semcomp_pl.errors import SemcompError
from semcomp_pl.modules.base import CodecModule
from semcomp_pl.checkpoints.export import export
from tests.modules.conftest import CLASSES, Lab


def data_flags(lab: Lab) -> list[str]:
    names = ",".join(CLASSES)
    source = ["--data.source", "semcomp_pl.data.Folder", "--data.source.root", str(lab.root)]
    masks = ["--data.source.masks", "annot", "--data.source.classes", f"[{names}]"]
    return [*source, *masks, "--data.size", "[32,64]", "--data.num_workers", "0", "--data.batch_size", "4"]


def opened(path: Path) -> CodecModule:
    model = semcomp_pl.load(path)
    assert isinstance(model, CodecModule)
    return model


@pytest.mark.parametrize("name", ["rate_distortion", "conditional_gan"])
def test_a_checkpoint_and_its_export_get_the_same_tables(
    lab: Lab, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = lab.checkpoint(lab.model(name), tmp_path / "model.ckpt")
    bundle = export(str(checkpoint), str(tmp_path / "bundle"))
    assert not opened(checkpoint).entropy.fitted
    for path in (checkpoint, bundle):
        assert main(["fit-entropy", str(path), *data_flags(lab), "--steps", "20", "--passes", "2"]) == 0
        assert "context" in capsys.readouterr().out
    models = [opened(checkpoint), opened(bundle)]
    assert models[0].entropy.fitted
    assert models[0].codec().fingerprint == models[1].codec().fingerprint
    torch.load(checkpoint, weights_only=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "model.ckpt"]


def test_a_copy_leaves_the_original_alone(lab: Lab, tmp_path: Path) -> None:
    checkpoint = lab.checkpoint(lab.model("rate_distortion", entropy_model="static"), tmp_path / "model.ckpt")
    before = checkpoint.read_bytes()
    assert main(["fit-entropy", str(checkpoint), *data_flags(lab), "-o", str(tmp_path / "copy.ckpt")]) == 0
    assert checkpoint.read_bytes() == before
    assert opened(tmp_path / "copy.ckpt").entropy.fitted
    assert opened(tmp_path / "copy.ckpt").codec().file.latent.context is None


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
    assert main(["fit-entropy", *words, *data_flags(lab)]) == 2
    assert message in capsys.readouterr().err


def test_fitting_again_gives_the_same_tables_and_leaves_the_random_state(lab: Lab) -> None:
    model = lab.model("rate_distortion")
    lab.fit(model)
    torch.manual_seed(5)
    expected = torch.rand(3)
    found = []
    for _ in range(2):
        torch.manual_seed(5)
        fit_entropy(model, lab.data(), steps=5, passes=1)
        assert torch.equal(torch.rand(3), expected)
        found.append({name: value.clone() for name, value in model.entropy.state_dict().items()})
    for name, value in found[0].items():
        assert torch.equal(value, found[1][name])


def test_the_context_model_finds_what_neighbours_share(lab: Lab) -> None:
    model = lab.model("rate_distortion", downsamplings=2, channels=2)
    lab.fit(model, epochs=2)
    fit_entropy(model, lab.data(), steps=150, passes=2)
    bits = bits_per_image(model, lab.data())
    assert bits["context"] < 0.8 * bits["static"] < bits["bound"]


@pytest.mark.slow
def test_fit_ends_with_tables_and_test_measures_files(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    trainer = ["--trainer.accelerator", "cpu", "--trainer.max_epochs", "1", "--trainer.enable_progress_bar", "false"]
    small = ["--model.filters", "8", "--model.blocks", "1", "--entropy_steps", "10", "--name", "small"]
    config = ["--config", "configs/model/rate_distortion.yaml"]
    assert main(["fit", *config, *data_flags(lab), *trainer, *small]) == 0
    model = opened(tmp_path / "runs" / "small" / "checkpoints" / "best.ckpt")
    assert model.entropy.fitted
    assert main(["test", "runs/small"]) == 0
    said = capsys.readouterr().out
    for name in ("test/bpp ", "test/bpp_payload", "test/bpp_ideal", "test/bpp_bound"):
        assert name in said
    assert main(["fit", "runs/small", "--trainer.max_epochs", "2"]) == 0


@pytest.mark.parametrize("numbers", [{"steps": 0}, {"passes": 0}])
def test_numbers_that_fit_nothing_are_refused(lab: Lab, numbers: dict[str, int]) -> None:
    with pytest.raises(SemcompError, match="expected 1 or more"):
        fit_entropy(lab.model("rate_distortion"), lab.data(), **numbers)
