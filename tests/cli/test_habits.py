"""Inputs and outputs as people have them: hidden files, links, devices, odd names, `~`, pipes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import semcomp_pl
from semcomp_pl.cli import main
from semcomp_pl.codecs import WebP
from semcomp_pl.errors import SemcompError

MODEL = ["--model", "rate_distortion"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def picture(name: str | Path = "a.png", seed: int = 0) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(name)
    return Path(name)


def expected(file: Path) -> bytes:
    """What the file of a picture holds, made in Python."""
    image = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) / 255
    return semcomp_pl.load("rate_distortion").compress(image)


def semcomp(*args: str | bytes, **options: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "semcomp_pl", *args]
    return subprocess.run(command, capture_output=True, check=False, **options)  # type: ignore[call-overload,no-any-return]


def test_files_that_nobody_put_there_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """What file managers hide, links to nothing, and formats that Pillow only writes."""
    picture()
    picture("._b.PNG".replace("PNG", "png")).rename("._b.PNG")
    Path("dangling.png").symlink_to("nowhere.png")
    Path("paper.pdf").write_bytes(b"%PDF-1.4")
    Path("film.mp4").write_bytes(b"....ftyp")
    Path("film.mpg").write_bytes(b"\0\0\1\xb3" + bytes(40))
    assert main(["compress", ".", *MODEL]) == 0
    assert sorted(path.name for path in Path().glob("*.smc")) == ["a.smc"]
    assert main(["compress", "*.p*", *MODEL, "--force"]) == 3
    said = capsys.readouterr().err
    assert "paper.pdf: not a readable image" in said  # a pattern names it
    assert "on_error" not in said  # an option of other commands


def test_an_image_with_an_error_costs_itself_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """However late it is found: the second mask has a class that the model does not know."""
    Path("masks").mkdir()
    for i, worst in enumerate((3, 77, 5)):
        picture(f"{i}.png", i)
        mask = np.full((24, 40), i, np.uint8)
        mask[5, 6] = worst
        Image.fromarray(mask).save(f"masks/{i}.png")
    given = ["0.png", "1.png", "2.png", "--model", "conditional_gan", "--labels", "masks"]
    assert main(["compress", *given]) == 3
    assert [Path(f"{i}.smc").is_file() for i in range(3)] == [True, False, True]
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert errors[0].startswith("error: 1.png: label id 77 found")


@pytest.mark.parametrize(
    "values", [torch.full((3, 9, 9), torch.nan), torch.rand(3, 9, 9) * 255, torch.full((3, 9, 9), -0.1)]
)
def test_values_that_are_no_image_are_refused(values: torch.Tensor) -> None:
    values[0, 0, 0] = values.flatten()[-1]
    for codec in (semcomp_pl.load("rate_distortion"), WebP(50)):
        with pytest.raises(SemcompError, match=r"values from .* found, expected finite ones in \[0, 1\]"):
            codec.compress(values)


def test_rounding_errors_beyond_black_and_white_are_forgiven() -> None:
    image = torch.tensor([-1e-4, 1 + 1e-4]).repeat(3, 4, 4)
    assert WebP(50).compress(image) == WebP(50).compress(image.clamp(0, 1))


def test_a_link_stays_a_link_and_its_target_is_written() -> None:
    picture()
    Path("there").mkdir()
    Path("there/real.smc").write_bytes(b"old")
    Path("link.smc").symlink_to("there/real.smc")
    assert main(["compress", "a.png", *MODEL, "-o", "link.smc"]) == 2  # it exists
    assert main(["compress", "a.png", *MODEL, "-o", "link.smc", "--force"]) == 0
    assert Path("link.smc").is_symlink()
    assert Path("there/real.smc").read_bytes() == expected(Path("a.png"))
    assert [path.name for path in Path("there").iterdir()] == ["real.smc"]


def test_devices_and_pipes_are_written_through() -> None:
    picture()
    assert main(["compress", "a.png", *MODEL, "-o", "/dev/null"]) == 0
    assert Path("/dev/null").is_char_device()
    os.mkfifo("pipe")
    with subprocess.Popen(["cat", "pipe"], stdout=subprocess.PIPE) as reader:
        assert main(["compress", "a.png", *MODEL, "-o", "pipe"]) == 0
        assert reader.communicate()[0] == expected(Path("a.png"))
    assert Path("pipe").is_fifo()
    assert semcomp("compress", "a.png", *MODEL, "--quiet", "-o", "/dev/stdout").stdout == expected(Path("a.png"))


@pytest.mark.parametrize("name", ["x" * 246, "字" * 80])
def test_names_as_long_as_the_file_system_takes(name: str) -> None:
    picture(f"{name}.png")
    assert main(["compress", f"{name}.png", *MODEL]) == 0
    assert main(["decompress", f"{name}.smc", *MODEL, "--force"]) == 0
    assert main(["inspect", f"{name}.smc"]) == 0


@pytest.mark.parametrize("locale", [{}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}])
def test_names_in_other_encodings_are_printed_somehow(locale: dict[str, str]) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    picture().rename(name)
    environment = {**os.environ, **locale}
    done = semcomp("compress", os.fsencode(name), *MODEL, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert Path(os.fsdecode(b"caf\xe9.smc")).is_file()
    assert done.stdout.startswith(b"caf")


def test_an_open_file_is_read_without_a_stray_word() -> None:
    picture()
    done = semcomp("compress", "/dev/stdin", *MODEL, "-o", "b.smc", input=Path("a.png").read_bytes())
    assert (done.returncode, done.stderr) == (0, b"")
    assert Path("b.smc").read_bytes() == expected(Path("a.png"))


def test_dash_says_that_it_is_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    picture()
    assert main(["compress", "-", *MODEL]) == 2
    assert "standard input is not read" in capsys.readouterr().err
    assert main(["compress", "a.png", *MODEL, "-o", "-"]) == 2
    assert "nothing is written to standard output" in capsys.readouterr().err


def test_home_is_written_out_wherever_it_stands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Shells leave it alone within --flag=~/x and in YAML files."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    picture(home / "a.png")
    assert main(["compress", "~/a.png", *MODEL, "--output=~/b.smc"]) == 0
    assert (home / "b.smc").is_file()
    Path("data.yaml").write_text(
        "data:\n  source: {class_path: semcomp_pl.data.Folder, init_args: {root: '~/set'}}\n  size: [32, 32]\n"
        "  cache_dir: '~/cache'\n  num_workers: 0\n"
    )
    for split in ("train", "val"):
        (home / "set" / split).mkdir(parents=True)
        for i in range(2):
            picture(home / "set" / split / f"{i}.png", i)
    command = ["fit", "--config", "configs/trainer/cpu.yaml", "--config", "data.yaml", "--config"]
    command += ["configs/model/rate_distortion.yaml", "--model.filters=4", "--model.blocks=0", "--data.batch_size=2"]
    assert main([*command, "--trainer.max_epochs=1", "--entropy_steps=0", "--runs=~/runs", "--name=tiny"]) == 0
    assert (home / "runs" / "tiny" / "checkpoints" / "best.ckpt").is_file()
    assert list((home / "cache").iterdir())
    assert not Path("~").exists()


def test_a_reader_that_goes_away_is_no_error() -> None:
    for i in range(3):
        picture(f"{i}.png", i)
    command = f"{sys.executable} -u -m semcomp_pl compress . --model rate_distortion --batch 1 | head -1"
    done = subprocess.run(["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"], capture_output=True, check=False)
    assert (done.returncode, done.stderr) in [(141, b""), (0, b"")]
    assert not list(Path().glob(".semcomp-*"))
