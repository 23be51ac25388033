"""`semcomp demo`, at one epoch a model."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from PIL import Image

from semcomp_pl.checkpoints.bundle import exported_class
from semcomp_pl.checkpoints.models import SEGMENTATION
from semcomp_pl.cli.demo import STAGES, main
from semcomp_pl.compare.config import sensible_references
from semcomp_pl.compare.rows import read_results
from semcomp_pl.files.places import released


@pytest.mark.slow
def test_demo_ends_in_a_report_and_reuses_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "demo"
    quick = ["--output", str(output), "--epochs", "1", "--scenes", "16", "--images", "2"]
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
    assert results.provenance["judges"]["streets_deeplabv3plus"]["architecture"] == "deeplabv3plus"
    summary = json.loads((output / "comparison" / "summary.json").read_text())
    assert summary["ceiling"]["metrics"]["miou"]["value"] > 0.4
    settings = yaml.safe_load((output / "comparison.yaml").read_text())
    codecs = [name for name, path in released().items() if exported_class(path) != SEGMENTATION]
    references = sensible_references()
    assert len(settings["codecs"]) == len(STAGES) - 1 + len(codecs) + len(references)
    for picture in ("losses.png", "comparison/figures/reconstructions.png"):
        assert min(Image.open(output / picture).size) > 500
    shutil.rmtree(output / "runs" / "semantic_distortion_gan")
    assert main(quick) == 0
    said = capsys.readouterr().out
    assert said.count("reusing") == len(STAGES) - 1
    assert "SemanticDistortionGAN: semcomp fit" in said
