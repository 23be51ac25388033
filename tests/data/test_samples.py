"""`semcomp samples`."""

import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from semcomp_pl.cli import main
from semcomp_pl.data.samples import PHOTOGRAPHS, SIZE, write_samples
from semcomp_pl.errors import SemcompError


def test_samples_are_scenes_and_the_photographs_of_scikit_image(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "samples"
    assert main(["samples", str(directory), "--scenes", "2"]) == 0
    assert capsys.readouterr().out.startswith(f"6 images in {directory}: 2 street scenes")
    scenes = [np.asarray(Image.open(directory / f"street_{i}.png")) for i in range(2)]
    assert scenes[0].shape == (*SIZE, 3)
    assert not np.array_equal(scenes[0], scenes[1])
    for name, shown in {"cat": skimage.data.chelsea(), "rocket": skimage.data.rocket()}.items():
        (file,) = directory.glob(f"{name}.*")
        assert np.array_equal(np.asarray(Image.open(file)), shown)
    assert {file.stem for file in directory.iterdir()} == {"street_0", "street_1", *PHOTOGRAPHS}


def test_what_is_there_is_kept_and_never_replaced(tmp_path: Path) -> None:
    (written,) = write_samples(tmp_path, 1, photographs=False)
    before = written.stat().st_mtime_ns
    assert write_samples(tmp_path, 1, photographs=False) == [written]
    assert written.stat().st_mtime_ns == before
    written.write_bytes(b"mine")
    with pytest.raises(SemcompError, match=r"street_0\.png: another file of this name found; choose another directory"):
        write_samples(tmp_path, 2, photographs=False)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("street_0.png", b"mine")]


def test_without_scikit_image_one_sentence_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)
    assert main(["samples", str(tmp_path)]) == 2
    assert "pip install 'semcomp_pl[demo]', or write the street scenes alone" in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]
    assert main(["samples", str(tmp_path), "--scenes", "1", "--no-photographs"]) == 0
    assert [file.name for file in tmp_path.iterdir()] == ["street_0.png"]
