"""compress and decompress from outside: every kind of image, every kind of mistake, nothing lost."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import semcomp_pl
from semcomp_pl.coding.container import parse
from tests.cli.common import CONDITIONAL, FILES, PLAIN, Run, picture


def test_an_image_goes_to_a_file_and_back(run: Run, tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    status, said, _ = run("compress", "a.png", "--model", PLAIN)
    assert status == 0
    data = (tmp_path / "a.smc").read_bytes()
    assert said == f"a.png -> a.smc  {len(data)} bytes  {8 * len(data) / 2400:.4f} bpp\n"
    assert run("decompress", "a.smc", "--model", PLAIN, "-o", "b.png")[0] == 0
    with Image.open(tmp_path / "b.png") as decoded:
        assert (decoded.size, decoded.mode) == ((60, 40), "RGB")
        found = np.asarray(decoded)
    codec = semcomp_pl.load(PLAIN)
    with Image.open(tmp_path / "a.png") as image:
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    assert codec.compress(pixels / 255) == data
    np.testing.assert_array_equal(found, (codec.decompress(data) * 255).round().byte().permute(1, 2, 0))


KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "grey": ("L", "png", {}),
    "palette": ("P", "png", {}),
    "rgba": ("RGBA", "png", {}),
    "cmyk": ("CMYK", "jpg", {}),
    "bilevel": ("1", "png", {}),
    "webp": ("RGB", "webp", {}),
    "bmp": ("RGB", "bmp", {}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_image_is_taken(run: Run, tmp_path: Path, kind: str) -> None:
    mode, suffix, options = KINDS[kind]
    picture(tmp_path / f"a.{suffix}", mode=mode, **options)
    status, _, errors = run("compress", f"a.{suffix}", "--model", PLAIN)
    assert status == 0
    assert ("transparency put on white" in errors) == (kind == "rgba")
    found = parse((tmp_path / "a.smc").read_bytes())
    assert (found.height, found.width) == (40, 60)


def test_sixteen_bits_are_scaled_and_orientation_is_applied(run: Run, tmp_path: Path) -> None:
    grey = np.linspace(0, 65535, 40 * 60).reshape(40, 60).astype(np.uint16)
    Image.fromarray(grey).save(tmp_path / "deep.png")
    Image.fromarray((grey / 257 + 0.5).astype(np.uint8)).convert("RGB").save(tmp_path / "flat.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    picture(tmp_path / "turned.png", exif=turned)
    assert run("compress", "deep.png", "flat.png", "turned.png", "--model", PLAIN)[0] == 0
    assert (tmp_path / "deep.smc").read_bytes() == (tmp_path / "flat.smc").read_bytes()
    found = parse((tmp_path / "turned.smc").read_bytes())
    assert (found.height, found.width) == (60, 40)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (7, 13), (64, 4096)])
def test_every_size_is_taken(run: Run, tmp_path: Path, size: tuple[int, int]) -> None:
    picture(tmp_path / "a.png", *size)
    assert run("compress", "a.png", "--model", PLAIN)[0] == 0
    assert run("decompress", "a.smc", "--model", PLAIN, "-o", "b.png")[0] == 0
    with Image.open(tmp_path / "b.png") as decoded:
        assert decoded.size == size[::-1]


def test_directories_patterns_and_sizes_mixed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    sizes = {"a.png": (32, 32), "b.jpg": (32, 32), "c.png": (20, 50), "d.png": (32, 32)}
    for name, size in sizes.items():
        picture(tmp_path / "in" / name, *size)
    (tmp_path / "in" / "notes.txt").write_text("no image")
    status, said, _ = run("compress", "in", "--model", PLAIN, "-o", "out/")
    assert status == 0
    assert "4 of 4 images" in said
    for name, size in sizes.items():
        found = parse((tmp_path / "out" / name).with_suffix(".smc").read_bytes())
        assert (found.height, found.width) == size
    assert run("decompress", "out/[ab].smc", "--model", PLAIN)[0] == 0
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == ["a.png", "b.png"]
    assert run("compress", "in/*.jpg", "--model", PLAIN)[0] == 0
    assert (tmp_path / "in" / "b.smc").is_file()


def test_one_bad_input_among_many_is_reported_and_the_rest_done(run: Run, tmp_path: Path) -> None:
    for name in ("a.png", "c.png"):
        picture(tmp_path / name)
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    status, said, errors = run("compress", "a.png", "b.png", "c.png", "gone.png", "--model", PLAIN)
    assert status == 3
    assert [line.split()[0] for line in said.splitlines()] == ["a.png", "c.png", "2"]
    assert [line.split(":")[1].strip() for line in errors.splitlines()] == ["b.png", "gone.png"]
    good = (tmp_path / "a.smc").read_bytes()
    (tmp_path / "c.smc").write_bytes(good[:-3])
    (tmp_path / "d.smc").write_bytes(b"\x89PNG" + good)
    status, said, errors = run("decompress", "a.smc", "c.smc", "d.smc", "--model", PLAIN, "--force", "-o", "./")
    assert status == 3
    assert said.startswith("a.smc -> a.png")
    assert "c.smc: truncated" in errors
    assert "d.smc: not a semcomp file" in errors


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["compress", "a.png"], "--model"),
        (["compress", "--model", PLAIN], "IMAGE"),
        (["compress", "a.png", "--model", "nowhere"], "nowhere: no such model"),
        (["compress", "a.png", "--model", PLAIN, "--colour"], "--colour"),
        (["compress", "a.png", "--model", PLAIN, "-o", "no/"], "no: no such directory; make it first"),
        (["compress", "a.png", "--model", PLAIN, "-o", "no/a.smc"], "no: no such directory"),
        (["compress", "a.png", "--model", PLAIN, "-o", "a.png"], "an input, which would be overwritten"),
        (["compress", "a.png", "--model", PLAIN, "-o", "there.smc"], "there.smc: exists; choose another -o"),
        (["compress", "a.png", "b.png", "--model", PLAIN, "-o", "x.smc"], "2 inputs found for the one output"),
        (["compress", "a.png", "a.jpg", "--model", PLAIN], "would both become a.smc"),
        (["compress", "empty", "--model", PLAIN], "empty: no input found"),
        (["compress", "*.tiff", "--model", PLAIN], "no file matches"),
        (["compress", "a.png", "--model", PLAIN, "--device", "abacus"], "device abacus"),
        (["compress", "a.png", "--model", PLAIN, "--segmenter", "x"], "sends no label maps"),
        (["compress", "a.png", "--model", CONDITIONAL], "--segmenter"),
        (["decompress", "a.png", "--model", PLAIN, "--max-pixels", "many"], "--max-pixels"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_refused_before_any_work(run: Run, tmp_path: Path, args: list[str], message: str) -> None:
    for name in ("a.png", "b.png", "a.jpg"):
        picture(tmp_path / name)
    (tmp_path / "there.smc").write_text("precious")
    (tmp_path / "empty").mkdir()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    status, said, errors = run(*args)
    assert (status, said) == (2, "")
    assert errors.startswith("error: ")
    assert message in errors
    assert errors.count("\n") == 1
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_force_overwrites(run: Run, tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "a.smc").write_text("old")
    assert run("compress", "a.png", "--model", PLAIN, "--force")[0] == 0
    parse((tmp_path / "a.smc").read_bytes())


@pytest.mark.slow
def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    """The limit of a file's size stands for a full disk: both fail while bytes are written."""
    target = tmp_path / "a.png"
    target.write_bytes(b"precious")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    source = FILES / "rate_distortion_whole.smc"
    command = [sys.executable, "-m", "semcomp_pl", "decompress", str(source), "--model", PLAIN]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "numba"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [*command, "-o", str(target), "--force"], capture_output=True, text=True, preexec_fn=limit, env=environment
    )
    assert done.returncode == 3
    assert f"{target}: cannot write it (File too large)" in done.stderr
    assert target.read_bytes() == b"precious"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["a.png"]


@pytest.mark.slow
def test_a_killed_process_leaves_what_was_there(tmp_path: Path) -> None:
    images = tmp_path / "in"
    images.mkdir()
    for i in range(200):
        picture(images / f"{i:03}.png", 64, 128)
        (images / f"{i:03}.smc").write_bytes(b"old")
    command = [sys.executable, "-m", "semcomp_pl", "compress", str(images), "--model", PLAIN, "--force", "--batch", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(5):
        process.stdout.readline()
    time.sleep(0.02)
    process.kill()
    process.wait()
    contents = [path.read_bytes() for path in sorted(images.glob("*.smc"))]
    assert len(contents) == 200
    done = [data for data in contents if data != b"old"]
    assert len(done) >= 5
    for data in done:
        parse(data)
