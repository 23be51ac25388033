"""`semcomp demo`, at one epoch a model."""

import csv
import shutil
from pathlib import Path

import pytest
from PIL import Image

from semcomp_pl.demo import STAGES, main


@pytest.mark.slow
def test_demo_writes_its_table_and_pictures_and_reuses_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "demo"
    main(["--output", str(output), "--epochs", "1", "--scenes", "16"])
    capsys.readouterr()
    with (output / "results.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    titles = [title for name, (title, _) in STAGES.items() if name != "pspnet"]
    assert [row["codec"] for row in rows] == [*titles, "WebP"]
    for row in rows[:-1]:
        assert 0 < float(row["bpp_ideal"]) <= float(row["bpp_payload"]) < float(row["bpp"])
    assert rows[-1]["bpp_bound"] == ""
    assert 0 < float(rows[-1]["bpp"]) <= max(0.03, float(rows[0]["bpp"]))
    assert rows[titles.index("SemanticDistortionGAN")]["miou"] == ""  # the segmenter it was trained against
    assert all(row["miou"] for row in rows if row["codec"] != "SemanticDistortionGAN")
    for picture in ("reconstructions.png", "losses.png"):
        assert min(Image.open(output / picture).size) > 500
    shutil.rmtree(output / "runs" / "semantic_distortion_gan")
    main(["--output", str(output), "--epochs", "1", "--scenes", "16"])
    said = capsys.readouterr().out
    assert said.count("reusing") == len(STAGES) - 1
    assert "SemanticDistortionGAN: semcomp fit" in said
