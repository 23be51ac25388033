"""Anybody's own codec in a comparison, beside the YAML or installed, and what is said of a class that makes none."""

import re
import sys
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import yaml

from semcomp_pl.cli import main
from semcomp_pl.codecs import WebP
from semcomp_pl.compare.config import CodecEntry, Settings
from semcomp_pl.compare.rows import read_results
from semcomp_pl.compare.run import fill
from semcomp_pl.errors import SemcompError
from tests.compare.conftest import TARGETS, Run, one, samples, write_data
from tests.lab import HEIGHT, WIDTH, Lab

CODEC = '''
"""A codec that keeps one value for each block, from 8 bits down to 1, and knows nothing of semcomp_pl."""

import os
from pathlib import Path

import numpy as np
import torch


class Blocks:
    def __init__(self, bits=8, block=8, log=None):
        self.bits, self.block = bits, block
        if log:
            with Path(log).open("a") as file:
                file.write(f"{os.getpid()}\\n")

    def compress(self, image):
        small = torch.nn.functional.avg_pool2d(image[None], self.block)[0]
        values = small.mul(2**self.bits - 1).round().byte().cpu().numpy()
        unpacked = np.unpackbits(values.reshape(-1, 1), axis=1)[:, 8 - self.bits:]
        return bytes([self.bits, self.block, *values.shape[1:]]) + np.packbits(unpacked).tobytes()

    def decompress(self, data):
        bits, block, height, width = data[:4]
        unpacked = np.unpackbits(np.frombuffer(data[4:], np.uint8))[:3 * height * width * bits].reshape(-1, bits)
        values = (unpacked * 2 ** np.arange(bits)[::-1]).sum(1).reshape(3, height, width)
        image = torch.from_numpy(values / (2**bits - 1)).float()
        return image.repeat_interleave(block, 1).repeat_interleave(block, 2)


class ByQuality(Blocks):
    """More bits the higher the quality."""

    def __init__(self, quality):
        super().__init__(1 + 7 * quality // 100, 4)


class Deaf:
    def compress(self, image):
        return b""


class Failing:
    def __init__(self):
        raise RuntimeError("no licence found")
'''


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a comparison adds to the path is for this test only."""
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def module(tmp_path: Path) -> str:
    """Name of a module in a directory of its own, under which no other test has imported anything."""
    name = f"codec_of_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(CODEC)
    return name


def compare(lab: Lab, directory: Path, codecs: list[dict[str, Any]], *flags: str) -> tuple[int, pl.DataFrame]:
    """A comparison as the command line makes it; its exit status and its rows."""
    file = write_data(lab, directory / "mine.yaml", codecs=codecs, targets=TARGETS, draws=20)
    quick = ["--workers=0", "--timed_images=0", "--pictures=0", *flags]
    status = main(["compare", "--config", str(file), *quick, "--output", str(directory / "out")])
    return status, read_results(directory / "out" / "results.parquet").rows


def test_a_class_beside_the_yaml_is_compared_at_its_points(lab: Lab, tmp_path: Path, module: str) -> None:
    """Its rows hold the rates of its files and what they decode to; points are named by what differs."""
    points = [{"bits": 2}, {"bits": 6}]
    entry = {"class_path": f"{module}.Blocks", "init_args": {"block": 4}, "codec": "Mine", "points": points}
    status, rows = compare(lab, tmp_path, [entry, {"class_path": f"{module}.Blocks"}])
    assert status == 0
    named = rows.filter(pl.col("codec") != "Original").select("codec", "point").unique(maintain_order=True)
    assert named.rows() == [("Mine", "bits=2"), ("Mine", "bits=6"), ("Blocks", "default")]
    assert rows["status"].unique().to_list() == ["ok"]
    sample = samples(lab)[0]
    row = one(rows, "Mine", sample["name"], "bits=6")
    assert row["bytes"] == 4 + -(-3 * (HEIGHT // 4) * (WIDTH // 4) * 6 // 8)
    assert one(rows, "Mine", sample["name"], "bits=2")["psnr"] < row["psnr"]
    again = tmp_path / "out" / "config.yaml"
    assert yaml.safe_load(again.read_text())["paths"] == [str(tmp_path)]
    sys.path.remove(str(tmp_path))
    assert main(["compare", "--config", str(again)]) == 0, "which lies in another directory"
    provenance = read_results(tmp_path / "out" / "results.parquet").provenance
    said = provenance["definitions"]["Mine, bits=6"]
    assert said.pop("source_sha256") == sha256((tmp_path / f"{module}.py").read_bytes()).hexdigest()
    assert said == {"class_path": f"{module}.Blocks", "init_args": {"block": 4, "bits": 6}}
    assert provenance["checkpoints"] == {}


def test_a_class_with_a_quality_is_searched_for_rates(lab: Lab, tmp_path: Path, module: str) -> None:
    """The best quality is that of the most bits that fit; one receiver decodes them all."""
    targets = [0.1, 0.5, 1.0]
    status, rows = compare(lab, tmp_path, [{"class_path": f"{module}.ByQuality", "targets": targets}])
    assert status == 0
    blocks = 3 * (HEIGHT // 4) * (WIDTH // 4)
    sizes = [4 + -(-blocks * bits // 8) for bits in range(1, 9)]
    for target in targets:
        found = rows.filter(codec="ByQuality", point=f"{target:g} bpp")
        fitting = [size for size in sizes if 8 * size / (HEIGHT * WIDTH) <= target]
        assert found["bytes"].to_list() == [max(fitting, default=None)] * len(found)
        assert found["status"].unique().to_list() == ["ok" if fitting else "no_file"]
        assert found["target"].unique().to_list() == [target]


class Inverted(WebP):
    """A codec of an installed module that says what it is: WebP of the negative."""

    label = "Negative"

    def compress(self, image: Any) -> bytes:
        return super().compress(1 - image)

    def decompress(self, data: bytes) -> torch.Tensor:
        return 1 - super().decompress(data)


def test_a_class_of_an_installed_module_says_what_it_is(settings: Settings, run: Run, lab: Lab) -> None:
    path = f"{Inverted.__module__}.Inverted"
    rows = run(replace(settings, codecs=[CodecEntry(path, points=[{"quality": 20}, {"quality": 60, "downscale": 2}])]))
    found = rows.filter(codec="Negative")
    assert found["point"].unique(maintain_order=True).to_list() == ["q20", "q60_x2"]
    assert found["kind"].unique().to_list() == ["reference"]
    for sample in samples(lab):
        size = len(WebP(20).compress(1 - sample["image"]))
        assert one(rows, "Negative", sample["name"], "q20")["bytes"] == size


@pytest.mark.slow
def test_workers_find_and_load_it_too(lab: Lab, tmp_path: Path, module: str) -> None:
    """The first process makes an instance for its facts, each worker a sender and a receiver."""
    log = tmp_path / "made.txt"
    entry = {"class_path": f"{module}.Blocks", "init_args": {"log": str(log)}}
    status, rows = compare(lab, tmp_path, [entry], "--workers=2")
    assert status == 0
    assert rows["status"].to_list() == ["ok"] * 6
    made = Counter(log.read_text().split())
    assert sorted(made.values()) == [1, 2, 2]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"class_path": "nowhere.Mine"}, r"no module nowhere found in what is installed, .*; correct class_path"),
        ({"class_path": "MODULE.Blokcs"}, r"no class or function Blokcs found in .*; did you mean Blocks\?"),
        ({"class_path": "Blocks"}, r"expected a dotted path such as my_codec\.Blocks"),
        ({"class_path": "MODULE.Deaf"}, "a Deaf without decompress found, expected a codec"),
        ({"class_path": "MODULE.Failing"}, "RuntimeError: no licence found"),
        ({"class_path": "MODULE.Blocks", "init_args": {"bitz": 3}}, r"argument 'bitz' found, .*; did you mean bits\?"),
        ({"class_path": "MODULE.ByQuality"}, "missing a required argument: 'quality'; add it to init_args"),
        ({"class_path": "MODULE.Blocks", "targets": [1]}, "targets found, but no argument `quality` to search with"),
        ({"class_path": "MODULE.Blocks", "points": [{"bits": 2}, {"bits": 2}]}, "two codecs as Blocks, bits=2 found"),
        ({"class_path": "MODULE.Blocks", "points": [{}], "point": "x"}, "point 'x' beside points or targets found"),
        ({"class_path": "MODULE.ByQuality", "targets": [1], "init_args": {"quality": 3}}, "a quality found beside"),
        ({"class_path": "semcomp_pl.load", "init_args": {"model": "nothing"}}, "nothing: no such model"),
        ({"class_path": "MODULE.Blocks", "kodec": "x"}, r"kodec: Unexpected keyword argument; did you mean codec\?"),
    ],
)
def test_what_makes_no_codec_is_one_clear_error(
    lab: Lab, tmp_path: Path, module: str, capsys: pytest.CaptureFixture[str], entry: dict[str, Any], said: str
) -> None:
    """With the directories that were looked in, and the name that is nearest to a misspelt one."""
    entry = {**entry, "class_path": entry["class_path"].replace("MODULE", module)}
    file = write_data(lab, tmp_path / "mine.yaml", codecs=[entry], output=str(tmp_path / "out"))
    assert main(["compare", "--config", str(file)]) == 2
    error = capsys.readouterr().err
    assert re.search(said, error)
    assert error.count("\n") == 1


def test_a_module_that_cannot_be_imported_says_why(settings: Settings, lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "codec_without_its_library.py").write_text("import libnothing\n")
    broken = replace(settings, codecs=[CodecEntry("codec_without_its_library.Mine")], paths=[str(tmp_path)])
    with pytest.raises(SemcompError, match="cannot be imported: ModuleNotFoundError: No module named 'libnothing'"):
        fill(broken, lab.data())
