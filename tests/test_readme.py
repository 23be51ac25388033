"""Every command block of the README runs, in its order and in one directory, at sizes that take a minute."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from PIL import Image
from wandb.cli.cli import cli as wandb

import semcomp_pl
from semcomp_pl.cli import COMMANDS, main
from semcomp_pl.data.street_scenes import render, write_street_scenes
from tests.processes import environment

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
NOT_RUN = {
    "make": "it installs, and runs this test; `semcomp demo`, which `make demo` calls, is tests/test_demo.py",
    "wandb": "needs an account; every command of every sweep is parsed in tests/test_sweeps.py",
}
"""Programs whose commands are only parsed, and why."""
SCENES = "--data.source.train 8 --data.source.val 2 --data.source.test 2"
DATA = "--data.num_workers 0 --data.batch_size 4 --data.size [64,128]"
MODEL = "--model.filters 4 --model.blocks 0"
RUN = "--trainer.enable_progress_bar false"
COMPARISON = "--data.num_workers 0 --data.size [64,128] --images 2 --pictures 1 --draws 20 --timed_images 0 --workers 0"
ON_THE_CPU = "--trainer.accelerator cpu --trainer.devices 1"
OWN_CODEC = """
from semcomp_pl.codecs import JPEG


class Mine(JPEG):
    def __init__(self, strength):
        super().__init__(quality=10 * strength)
"""
"""What stands for the codec that a reader would bring, in `my_codec.py`."""


class Block(NamedTuple):
    """A code block."""

    language: str
    text: str

    def commands(self) -> Iterator[list[str]]:
        """The words of each command."""
        for line in self.text.splitlines():
            words = shlex.split(line, comments=True)
            while "&&" in words:
                end = words.index("&&")
                yield words[:end]
                words = words[end + 1 :]
            yield words


BLOCKS = [Block(*found) for found in re.findall(r"^```(\w*)\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)]
LINES = [command for block in BLOCKS if block.language == "sh" for command in block.commands()]


def sizes(words: list[str]) -> list[str]:
    """Flags that make a semcomp command small."""
    command, text = words[1], " ".join(words)
    flags = COMPARISON if command == "compare" else "--dry-run" if command == "sweep" else ""
    flags += f" {SCENES}" if "streets.yaml" in text else ""
    if command == "fit":
        # a run that is gone on with knows the rest
        resumed = not words[2].startswith("-")
        flags += f" {RUN} --trainer.max_epochs 2" if resumed else f" {RUN} --trainer.max_epochs 1 --entropy_steps 2"
        flags += "" if resumed else f" {DATA} {MODEL}"
        flags += " --model.discriminator_filters 4" if "_gan.yaml" in text else ""
        flags += f" {ON_THE_CPU}" if "ddp.yaml" in text else ""
    return flags.split()


def write_data() -> None:
    """An image, and data sets of two images in their layouts; their labels are arbitrary."""
    for i in range(2):
        scene = render(i, (360, 480))
        for split in ("train", "val"):
            for folder, pixels in ((split, scene.image), (f"{split}annot", scene.label_ids % 12)):
                save(pixels, Path("data/camvid") / folder / f"{i}.png")
        save(scene.image, Path("data/comma10k/imgs") / f"{i}.png")
    write_street_scenes(Path("data/cityscapes"), train=4, val=2, test=0, progress=False)
    save(render(2, (256, 512)).image, Path("street.png"))
    shutil.copytree(ROOT / "sweeps", "sweeps")


def save(pixels: object, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)  # type: ignore[arg-type]


def run(words: list[str]) -> int:
    """Exit status of a command."""
    if words[0] == "mkdir":
        return subprocess.run(words, check=False).returncode
    assert words[0] == "semcomp"
    command = [*words[1:], *sizes(words)]
    if any("ddp.yaml" in word for word in words):  # its group of processes would outlive it
        return subprocess.run([sys.executable, "-m", "semcomp_pl", *command], env=environment(), check=False).returncode
    return main(command)


def run_python(code: str) -> None:
    """A block about an image, which the reader has."""
    picture = torch.rand(3, 40, 60)
    names = {"semcomp_pl": semcomp_pl, "image": picture}
    exec(code, names)
    found = names["image"]
    assert isinstance(found, torch.Tensor)
    assert found.shape == picture.shape


def run_yaml(text: str) -> None:
    """A block of a comparison's config."""
    Path("my_codec.py").write_text(OWN_CODEC)
    Path("codecs.yaml").write_text(text)
    words = shlex.split("semcomp compare --config configs/data/camvid.yaml --config codecs.yaml --output own")
    assert run(words) == 0


def test_blocks_are_found_and_every_command_is_of_a_known_program() -> None:
    assert {block.language for block in BLOCKS} == {"sh", "python", "yaml"}
    assert {words[0] for words in LINES} <= {"semcomp", "mkdir", *NOT_RUN}
    verbs = {words[1] for words in LINES if words[0] == "semcomp"}
    assert verbs <= COMMANDS.keys()
    assert verbs >= COMMANDS.keys() - {"demo", "fit-entropy", "samples"}


@pytest.mark.parametrize("words", [words for words in LINES if words[0] in NOT_RUN], ids=" ".join)
def test_what_is_not_run_is_parsed(words: list[str]) -> None:
    program, verb, *rest = words
    if program == "make":
        subprocess.run(["make", "--dry-run", *words[1:]], cwd=ROOT, check=True, capture_output=True)
        return
    command = wandb.commands[verb]
    command.make_context(verb, list(rest))
    for file in rest:
        assert "/" not in file or not file.endswith(".yaml") or (ROOT / file).is_file()


@pytest.mark.slow
def test_every_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pillow_jxl", reason="a comparison has JPEG XL; pip install '.[jxl]'")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").symlink_to(ROOT / "weights")
    write_data()
    for block in BLOCKS:
        if block.language == "python":
            run_python(block.text)
        elif block.language == "yaml":
            run_yaml(block.text)
        else:
            for words in (words for words in block.commands() if words[0] not in NOT_RUN):
                assert run(words) == 0, " ".join(words)
    made = ["runs/gan/samples.png", "my_gan/model.safetensors", "street.smc", "out/street.png", "mine/report.md"]
    made += [f"comparisons/{name}/report.html" for name in ("camvid", "comma10k", "streets")] + ["own/report.html"]
    for file in made:
        assert Path(file).is_file(), file
    assert len([*Path("runs/gan/predict").glob("*.png")]) == 2
