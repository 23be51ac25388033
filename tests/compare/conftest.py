"""Tiny models and data, made once: they code and are judged in milliseconds."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest
import yaml

from semcomp_pl.compare.config import LOAD, CodecEntry, Settings
from semcomp_pl.compare.measure import parts
from semcomp_pl.compare.run import fill
from semcomp_pl.data.datamodule import ImageDataset
from tests.lab import CLASSES, HEIGHT, WIDTH, Lab

Run = Callable[..., pl.DataFrame]
TARGETS = [0.3, 0.5, 1.0, 2.0]


class Files(NamedTuple):
    """Checkpoints."""

    plain: str
    """A RateDistortion."""
    conditional: str
    """A ConditionalGAN."""
    segmenter: str
    judge: str


def model(path: object, codec: str | None = None, point: str | None = None, **init_args: Any) -> CodecEntry:
    """A trained model."""
    return CodecEntry(LOAD, {"model": str(path), **init_args}, codec, point)


def webp(targets: list[float] | None = None, **further: Any) -> CodecEntry:
    """A searched format."""
    return CodecEntry("semcomp_pl.codecs.WebP", targets=TARGETS if targets is None else targets, **further)


@pytest.fixture(scope="session")
def files(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Files:
    root = tmp_path_factory.mktemp("models")
    models = {"plain": lab.model("rate_distortion"), "conditional": lab.model("conditional_gan")}
    models["judge"] = lab.model("pspnet", learning_rate=1e-2)
    made = {name: str(lab.checkpoint(model, root / f"{name}.ckpt")) for name, model in models.items()}
    return Files(**made, segmenter=lab.segmenter)


@pytest.fixture
def settings(files: Files, tmp_path: Path) -> Settings:
    """A model, a searched format and a judge, in this process and without the serial pass."""
    return Settings(
        output=str(tmp_path / "out"),
        codecs=[model(files.plain), webp()],
        judge=files.judge,
        targets=TARGETS,
        draws=50,
        pictures=2,
        timed_images=0,
        workers=0,
    )


@pytest.fixture
def run(lab: Lab) -> Run:
    """Measure, and the rows of the results."""
    return lambda settings: parts.collect(fill(settings, lab.data()).directory).rows


def write_data(lab: Lab, file: Path, **changes: Any) -> Path:
    """A data YAML, as in configs/data."""
    source = {"root": str(lab.root), "masks": "annot", "classes": CLASSES}
    data = {"source": {"class_path": "semcomp_pl.data.Folder", "init_args": source}, "size": [HEIGHT, WIDTH]}
    file.write_text(yaml.safe_dump({"data": data, **changes}))
    return file


def samples(lab: Lab) -> list[dict[str, Any]]:
    """The images and label maps of the validation split."""
    data = ImageDataset(lab.data().store("val"))
    return [data[index] for index in range(len(data))]


def one(rows: pl.DataFrame, codec: str, image: str, point: str | None = None) -> dict[str, Any]:
    """A row."""
    found = rows.filter(pl.col("codec") == codec, pl.col("image") == image)
    return (found if point is None else found.filter(pl.col("point") == point)).row(0, named=True)


def read_provenance(settings: Settings) -> dict[str, Any]:
    """What a comparison says of itself."""
    found: dict[str, Any] = json.loads((Path(settings.output) / "comparison.json").read_text())
    return found
