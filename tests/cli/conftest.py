"""Directories to run commands in: an empty one, and one with data and a run."""

from pathlib import Path

import pytest

from semcomp_pl.cli import main
from tests.cli.common import GAN, Run, data_flags


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data in `data`, and `runs/run`, a PlainGAN of two epochs."""
    from tests.lab import write_images

    directory = tmp_path_factory.mktemp("cli")
    (directory / "data").mkdir()
    write_images(directory / "data", {"train": 8, "val": 3})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        assert main(["fit", "--config", "configs/model/plain_gan.yaml", *data_flags("data"), *GAN, "--name=run"]) == 0
    return directory


@pytest.fixture
def inside(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, which is the current directory."""
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Status, output and errors of a command in a directory of its own."""
    monkeypatch.chdir(tmp_path)

    def command(*args: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main([*args])
        said = capsys.readouterr()
        return status, said.out, said.err

    return command
