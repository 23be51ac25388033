"""How commands end: with what matters, and without warnings on the way."""

import csv
import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor

from semcomp_pl import load
from semcomp_pl.cli import main
from tests.cli.common import GAN, TINY, data_flags
from tests.lab import HEIGHT, WIDTH
from tests.processes import environment


def files_bpp(run: str) -> float:
    """Mean bits per pixel of the files of the data set's three validation images."""
    codec = load(run)
    images = [pil_to_tensor(Image.open(file)) / 255 for file in sorted(Path("data/val").iterdir())]
    return sum(8 * len(codec.compress(image)) / (HEIGHT * WIDTH) for image in images) / len(images)


@pytest.mark.slow
def test_fit_ends_with_what_matters(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    flags = [*data_flags("data"), *TINY, "--trainer.accelerator=cpu", "--trainer.max_epochs=2", "--name=ended"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        assert main(["fit", "--config", "configs/model/rate_distortion.yaml", *flags]) == 0
    assert [str(one.message) for one in caught if "lightning" in one.filename or "semcomp" in one.filename] == []
    out, err = capsys.readouterr()
    assert not re.search("warn|FLOPs|train mode|Tip|TPU", out + err, re.IGNORECASE)
    assert max(map(len, out.splitlines())) <= 80
    model, first, best, files, *then = out.splitlines()
    assert model.startswith("RateDistortion, parameters: codec ")
    assert re.fullmatch(r"runs/ended: 2 epochs, 4 batches in \d+ s", first)
    with Path("runs/ended/metrics.csv").open(newline="") as lines:
        psnr = max(float(row["val/psnr"]) for row in csv.DictReader(lines) if row["val/psnr"])
    assert best == f"  best    PSNR {psnr:.2f} dB in validation: checkpoints/best.ckpt"
    assert files.startswith(f"  files   {files_bpp('runs/ended'):.4f} bpp (mean of 3 validation images; 0.")
    commands = [line.replace("next", "").strip() for line in then]
    assert commands == ["semcomp test runs/ended", "semcomp compress IMAGE --model runs/ended"]
    assert main([*shlex.split(commands[0])[1:], "--trainer.enable_progress_bar=false"]) == 0


def test_without_tables_no_rate_of_files_is_claimed(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [*data_flags("data"), *GAN, "--entropy_steps=0", "--name=bare", "--config", "configs/model/plain_gan.yaml"]
    assert main(["fit", *flags]) == 0
    out = capsys.readouterr().out
    assert "files   not measured, as no tables are fitted" in out
    assert "semcomp fit-entropy runs/bare" in out
    assert "as no --monitor chose" in out


@pytest.mark.parametrize(("command", "prefix"), [("test", "test/"), ("validate", "val/")])
def test_measurements_end_with_the_figures_that_matter(
    command: str, prefix: str, inside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "runs/run", "--trainer.enable_progress_bar=false"]) == 0
    title, *lines, place = capsys.readouterr().out.splitlines()
    assert title == "runs/run, split val"
    with Path(f"runs/run/{command}/metrics.csv").open(newline="") as file:
        *_, row = csv.DictReader(file)
    psnr, rate = float(row[f"{prefix}psnr"]), float(row[f"{prefix}bpp_bound"])
    assert [line.split() for line in lines if "PSNR" in line] == [["PSNR", f"{psnr:.2f}", "dB"]]
    assert ["bpp_bound", f"{rate:.4f}"] in [line.split() for line in lines]
    details = [name for name in row if name.startswith(f"{prefix}latent_iou_")]
    more = f", with {len(details)} more of single classes and channels" if details else ""
    assert place == f"All in runs/run/{command}/metrics.csv{more}"
    assert len(lines) == len([name for name in row if name.startswith(prefix)]) - len(details)
    assert max(map(len, [title, *lines, place])) <= 80


def test_predict_says_where_it_wrote(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "runs/run", "--trainer.enable_progress_bar=false"]) == 0
    found = re.search(r"^(\d+) images written to (runs/run/predict)$", capsys.readouterr().out, re.MULTILINE)
    assert found
    assert len([*Path(found[2]).glob("*.png")]) == int(found[1]) == 3


@pytest.mark.slow
def test_no_command_warns_of_anything(inside: Path) -> None:
    """In a process of their own, whose filters of warnings are those that users have."""
    data, quick = data_flags("data"), ["--codecs=[]", "--draws=10", "--timed_images=1", "--pictures=1", "--workers=1"]
    commands = [
        ["fit", "--config=configs/model/plain_gan.yaml", *data, *GAN, "--name=healthy"],
        ["fit", "runs/healthy", "--trainer.max_epochs=3"],
        *([command, "runs/healthy"] for command in ("test", "validate", "predict")),
        ["fit-entropy", "healthy", *data, "--steps=2", "-o=fitted.ckpt"],
        ["export", "healthy", "healthy_export"],
        ["compress", "data/val/0.png", "--model=healthy", "-o=healthy.smc"],
        ["inspect", "healthy.smc"],
        ["decompress", "healthy.smc", "--model=healthy", "-o=healthy.png"],
        ["compare", "healthy", *data, *quick, "--output=healthy_comparison"],
        ["report", "healthy_comparison"],
    ]
    code = f"from semcomp_pl.cli import main\nif __name__ == '__main__':\n    assert not any(map(main, {commands}))"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert not re.search("warn|deprecat|FLOPs|Tip:|TPU", done.stderr + done.stdout, re.IGNORECASE), done.stderr
    assert "\nruns/healthy: 3 epochs, 6 batches in " in done.stdout
