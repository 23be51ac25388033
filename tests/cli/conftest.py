"""A directory with data and a run, as somebody would have it."""

from pathlib import Path

import pytest

from semcomp_pl.cli import main
from tests.cli.flags import QUIET, TINY, data_flags
from tests.lab import write_images

GAN = [*TINY, *QUIET, "--model.discriminator_filters=4", "--trainer.max_epochs=2"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data in `data`, and `runs/run`, a PlainGAN of two epochs."""
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
