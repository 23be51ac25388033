"""`semcomp demo` on two small images, and its long form at one epoch a model."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor

from semcomp_pl import load
from semcomp_pl.checkpoints.bundle import exported_class
from semcomp_pl.checkpoints.models import SEGMENTATION
from semcomp_pl.cli.demo import main
from semcomp_pl.cli.long_demo import STAGES
from semcomp_pl.cli.short_demo import STAGES as SHORT
from semcomp_pl.compare.config import sensible_references
from semcomp_pl.compare.rows import read_results
from semcomp_pl.compare.summary import read_summary
from semcomp_pl.data.street_scenes import render
from semcomp_pl.errors import SemcompError
from semcomp_pl.files.places import released


@pytest.mark.slow
def test_the_demo_ends_with_a_table_an_answer_and_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    for seed in range(2):
        Image.fromarray(render(seed, (64, 128)).image).save(f"mine/{seed}.png")
    assert main(["--images", "mine", "--seconds", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    starts = [line for line in lines if re.match(r"\d of 4  .*, about .* left$", line)]
    titles = [f"{i + 1} of 4  {title}" for i, title in enumerate(SHORT)]
    assert [line.partition(",")[0] for line in starts] == titles
    assert len([line for line in lines if re.match(r"\d of 4 took \d+ (s|min)$", line)]) == 4
    decoded = load("plain_gan").decompress(Path("demo/photograph.smc").read_bytes())
    shown = pil_to_tensor(Image.open("demo/photograph.png"))
    assert torch.equal((decoded * 255).round().byte(), shown)
    for picture in ("first.png", "training.png", "comparison/figures/reconstructions.png"):
        assert min(Image.open(Path("demo") / picture).size) > 200
    summary = read_summary(Path("demo/comparison/summary.json"))
    assert summary.codecs == ["PlainGAN", "PlainGAN, trained here", "RateDistortion", "AVIF", "JPEG", "WebP"]
    (at,) = summary.at_rates
    rates = [one.bpp.value for one in summary.points if one.kind == "model" and one.bpp]
    assert max(rates) <= at.target < max(rates) + 0.001
    assert any(line.startswith("At ") and "feature distance" in line for line in lines)
    report = next(Path(line) for line in lines if line.endswith("report.html"))
    assert report.is_absolute()
    assert report.is_file()
    with pytest.raises(SemcompError, match="mine: not empty, and not of an earlier demo; choose another --output"):
        main(["--output", "mine"])
    with pytest.raises(SemcompError, match="seconds=0 found"):
        main(["--seconds", "0"])
    assert [file.name for file in Path("demo").iterdir()] == ["about.txt"]


@pytest.mark.slow
def test_the_long_demo_ends_in_a_report_and_reuses_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "demo"
    quick = ["--train", "--output", str(output), "--epochs", "1", "--scenes", "16", "--images", "2"]
    assert main(quick) == 0
    report = output / "comparison" / "report.html"
    assert str(report.resolve()) in capsys.readouterr().out
    assert 100_000 < report.stat().st_size < 15_000_000
    results = read_results(output / "comparison" / "results.parquet")
    assert results.rows["image"].n_unique() == 2
    found = set(results.rows["codec"])
    assert found >= {title for title, _ in STAGES.values() if title != "PSPNet"}
    assert found >= {"RateDistortion (CamVid)", "PlainGAN (CamVid)", "SelectiveGAN (CamVid)"}
    assert found >= {"Original", "WebP", "AVIF", "JPEG", "JPEG 2000"}
    assert results.provenance["judges"]["streets_linknet"]["architecture"] == "linknet"
    summary = json.loads((output / "comparison" / "summary.json").read_text())
    assert summary["ceiling"]["metrics"]["miou"]["value"] > 0.3
    settings = yaml.safe_load((output / "comparison.yaml").read_text())
    # CoCliCo's pictures need files from elsewhere
    codecs = [name for name, path in released().items() if exported_class(path) not in {SEGMENTATION, "CoCliCo"}]
    references = sensible_references()
    assert len(settings["codecs"]) == len(STAGES) - 1 + len(codecs) + len(references)
    for picture in ("losses.png", "comparison/figures/reconstructions.png"):
        assert min(Image.open(output / picture).size) > 500
    shutil.rmtree(output / "runs" / "semantic_distortion_gan")
    assert main(quick) == 0
    said = capsys.readouterr().out
    assert said.count("reusing") == len(STAGES) - 1
    assert "SemanticDistortionGAN: semcomp fit" in said
