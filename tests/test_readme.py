"""Every block of the README, and of the pages that go on from it, runs in its order and in one directory.

Sizes of data and networks are such that it takes a minute.
"""

import csv
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import semcomp_pl
from semcomp_pl.cli import COMMANDS, main
from semcomp_pl.data.street_scenes import render
from tests.documents import ROOT, blocks, links
from tests.lab import CODECS, MODELS

README = "README.md"
PAGES = [
    README,
    *(f"docs/{name}.md" for name in ("training", "files", "protocol", "judges", "models", "report", "api")),
]
"""Pages whose blocks run, in this order."""
NOT_RUN = {
    "make": "it installs, and runs this test; `semcomp demo`, which `make demo` calls, is tests/test_demo.py",
    "pip": "the tests have their environment; the wheel is tests/test_wheel.py",
}
"""Programs whose commands are not run, and why."""
DATA = "--data.num_workers 0 --data.batch_size 4 --data.size [64,128]"
COMPARISON = "--data.num_workers 0 --data.size [64,128] --images 2 --pictures 1 --draws 20 --timed_images 0 --workers 0"
OWN_CODEC = """
from semcomp_pl.codecs import JPEG


class Mine(JPEG):
    def __init__(self, strength):
        super().__init__(quality=10 * strength)
"""
"""What stands for the codec that a reader would bring, in `my_codec.py`."""
COMMAND_LINES = [
    (page, words) for page in PAGES for block in blocks(page) if block.language == "sh" for words in block.commands()
]


def sizes(words: list[str]) -> list[str]:
    """Flags that make a semcomp command small."""
    command, text = words[1], " ".join(words)
    flags = COMPARISON if command == "compare" else ""
    if "--data streets" in text or "streets.yaml" in text:
        flags += " --data.source.train 8 --data.source.val 2 --data.source.test 2"
    if command != "fit" or "help" in text:
        return flags.split()
    flags += " --trainer.enable_progress_bar false"
    if not words[2].startswith("-"):  # gone on with: the run knows the rest
        return [*flags.split(), "--trainer.max_epochs", "2"]
    flags += f" {DATA} --trainer.max_epochs 1 --entropy_steps 2"
    if "segmenter" not in text and "init_from rate_distortion" not in text:
        flags += " --model.filters 4 --model.blocks 0"
    if "GAN" in text or "_gan" in text:
        flags += " --model.discriminator_filters 4"
    return flags.split()


def write_what_readers_have() -> None:
    """An image, a data set of four in CamVid's layout, whose labels are arbitrary, and a codec."""
    label = np.tile(np.arange(480) // 40, (360, 1)).astype(np.uint8)
    for i in range(4):
        for split in ("train", "val"):
            for folder, pixels in ((split, render(i, (360, 480)).image), (f"{split}annot", label)):
                file = Path("data/camvid") / folder / f"{i}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(file)
    Image.fromarray(render(2, (256, 512)).image).save("street.png")
    Path("out").mkdir()
    Path("my_codec.py").write_text(OWN_CODEC)


def run(words: list[str]) -> int:
    """Exit status of a command."""
    try:
        return main([*words[1:], *sizes(words)])
    except SystemExit as stop:  # of --help and --print_config
        return int(stop.code or 0)


def run_yaml(text: str) -> int:
    """Exit status of a comparison with a block of its config."""
    Path("codecs.yaml").write_text(text)
    return run(shlex.split("semcomp compare --config configs/data/camvid.yaml --config codecs.yaml --output own"))


def run_python(code: str) -> None:
    """A block: a file, if its first line says so, or about an image, which the reader has."""
    if code.startswith("# my_"):
        Path(code.split()[1]).write_text(code)
        return
    names = {"semcomp_pl": semcomp_pl, "image": torch.rand(3, 40, 60)}
    exec(code, names)
    found = names["image"]
    assert isinstance(found, torch.Tensor)
    assert 0 <= found.min() <= found.max() <= 1


def test_the_readme_is_short() -> None:
    assert len((ROOT / README).read_text().split()) <= 1000


def test_the_readme_has_its_sections_in_order() -> None:
    text = (ROOT / README).read_text()
    titles = ["Install", "Sixty seconds", "Train", "Python", "Models", "More", "Licence"]
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == titles
    first = text.partition("## Install")[0]
    assert first.index("bit per pixel") < first.index("| bpp |") < first.index("](docs/results/pictures.jpg)")


def test_figures_are_those_that_were_measured() -> None:
    with (ROOT / "docs/results/camvid/summary.csv").open() as file:
        measured = {(row["codec"], f"{float(row['bpp']):.4f}"): row for row in csv.DictReader(file) if row["bpp"]}
    for page, names in ((README, ("miou_ratio", "psnr")), ("docs/results/camvid/README.md", ("miou_ratio", "miou"))):
        text = (ROOT / page).read_text()
        shown = re.findall(r"^\| ([^|]+) \| (0\.\d{4}) \| ([^|]+) \| ([^|]+) \|", text, re.MULTILINE)
        assert len(shown) > 5, page
        for title, rate, *cells in shown:
            codec = "WebP for the judges" if title == "WebP, searched for the judges" else title.partition(",")[0]
            row = measured[codec, rate]
            for name, cell in zip(names, cells, strict=True):
                said = re.findall(r"\d+\.\d+", cell)
                values = [row[name], row[f"{name}_low"], row[f"{name}_high"]]
                digits = len(said[0].partition(".")[2])
                assert said == [f"{float(value):.{digits}f}" for value in values][: len(said)], (page, title)


@pytest.mark.parametrize("kind", sorted({MODELS[name].__name__ for name in CODECS}))
def test_every_model_stands_in_the_tables(kind: str) -> None:
    for page, row in (
        (README, f"| `{kind}` |"),
        ("docs/models.md", f"| `{kind}` |"),
        ("docs/api.md", f"modules.{kind}\n"),
    ):
        assert row in (ROOT / page).read_text(), page


@pytest.mark.parametrize("page", [README, "CONTRIBUTING.md"])
def test_links_lead_to_files(page: str) -> None:
    assert not [link for link in links(page) if not link.exists()]


def test_every_command_is_shown() -> None:
    assert {words[0] for _, words in COMMAND_LINES} <= {"semcomp", *NOT_RUN}
    verbs = {words[1] for _, words in COMMAND_LINES if words[0] == "semcomp"}
    assert verbs <= COMMANDS.keys()
    assert verbs >= COMMANDS.keys() - {"demo", "fit-entropy", "sweep"}


@pytest.mark.parametrize("words", [words for _, words in COMMAND_LINES if words[0] == "make"], ids=" ".join)
def test_targets_exist(words: list[str]) -> None:
    subprocess.run(["make", "--dry-run", *words[1:]], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.slow
def test_every_block_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pillow_jxl", reason="a comparison has JPEG XL; pip install '.[jxl]'")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_models", raising=False)  # of another test
    (tmp_path / "weights").symlink_to(ROOT / "weights")
    write_what_readers_have()
    for page in PAGES:
        for block in blocks(page):
            if block.language == "python":
                run_python(block.text)
            elif block.language == "yaml":
                assert run_yaml(block.text) == 0
            elif block.language == "sh":
                for words in (words for words in block.commands() if words[0] not in NOT_RUN):
                    assert run(words) == 0, f"{page}: {' '.join(words)}"
    made = ["cat.smc", "cat.png", "runs/gan/samples.png", "my_gan/model.safetensors", "out/street.png"]
    made += [
        "structure.smc",
        *(f"{name}/report.html" for name in ("comparisons/samples", "comparisons/camvid", "panel")),
    ]
    assert not [file for file in made if not Path(file).is_file()]
