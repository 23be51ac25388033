"""Tiny models and data, made once: they code and are judged in milliseconds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest
import yaml

from semcomp_pl.compare.measure import parts
from semcomp_pl.compare.config import ModelCodec, Reference, Settings
from semcomp_pl.compare.run import fill
from tests.modules.conftest import CLASSES, HEIGHT, WIDTH, Lab, lab

__all__ = ["lab"]

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
        codecs=[ModelCodec(files.plain)],
        references=[Reference("WebP", targets=TARGETS)],
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
