"""What a comparison keeps in memory: each network once a process, and no image longer than it takes."""

import ctypes
import gc
from collections import Counter
from dataclasses import replace
from pathlib import Path
from shutil import copy
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch import Tensor, nn

from semcomp_pl.compare.config import Settings
from semcomp_pl.compare.measure.plan import prepare
from semcomp_pl.compare.measure.pool import Worker
from semcomp_pl.compare.measure.ranks import Share
from semcomp_pl.compare.run import compare
from semcomp_pl.data import Folder, ImageDataModule
from semcomp_pl.metrics.feature_distance import FeatureDistance
from semcomp_pl.nets.codec import CodecNet
from semcomp_pl.nets.discriminator import Discriminator
from semcomp_pl.nets.segmenter import Segmenter
from tests.compare.conftest import Files, model, webp
from tests.lab import Lab

SIZE = (128, 256)
PIXELS = 4 * 3 * SIZE[0] * SIZE[1]
"""Bytes of an image of floats."""


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many networks of each kind were built since the test began."""
    count: Counter[str] = Counter()

    def counting(kind: type[nn.Module]) -> None:
        initialise = kind.__init__

        def counted(self: nn.Module, *args: Any, **kwargs: Any) -> None:
            count[kind.__name__] += 1
            initialise(self, *args, **kwargs)

        monkeypatch.setattr(kind, "__init__", counted)

    for kind in (CodecNet, Segmenter, Discriminator, FeatureDistance):
        counting(kind)
    return count


def test_nothing_is_loaded_twice(
    settings: Settings, lab: Lab, files: Files, tmp_path: Path, made: Counter[str]
) -> None:
    """Sender and receiver of each model, one judge, one segmenter that two codecs share, one discriminator."""
    realism_judge = str(lab.checkpoint(lab.model("plain_gan"), tmp_path / "gan.ckpt"))
    codecs = [model(files.plain), model(files.conditional), replace(model(files.conditional), labels="true"), webp()]
    # files of their own: another test may still hold what it loaded from the shared ones
    judge, segmenter = (copy(file, tmp_path / f"{i}.ckpt") for i, file in enumerate((files.judge, files.segmenter)))
    codecs.append(model(files.conditional, "again", segmenter=str(segmenter)))
    settings = replace(
        settings, codecs=codecs, judge=str(judge), segmenter=str(segmenter), metrics=["feature_distance"]
    )
    made.clear()
    assert compare(replace(settings, realism_judge=realism_judge), lab.data()) == 0
    assert made == {"CodecNet": 2 * 4, "Segmenter": 2, "Discriminator": 1, "FeatureDistance": 1}


@pytest.mark.parametrize("leaks", [False, True])
def test_memory_does_not_grow_with_the_number_of_images(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leaks: bool
) -> None:
    """A leak of the reconstructions of a single codec would show, and does so where it is made to happen."""
    count, first = 12, 4
    root = tmp_path / "many" / "val"
    root.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(first + count):
        Image.fromarray(rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)).save(root / f"{index}.png")
    data = ImageDataModule(Folder(str(root.parent)), SIZE, num_workers=0)
    points = [{"quality": 10}, {"quality": 20, "downscale": 2}]
    settings = replace(settings, pictures=0, codecs=[settings.codecs[0], webp([], points=points)])
    Path(settings.output).mkdir()
    prepared = prepare(settings, data, Share(0, 1, 0))
    worker = Worker(prepared.plan, 0, prepared.loaded)
    kept: list[Tensor] = []
    if leaks:
        receiver = worker.measurer.coders[1].receiver
        decompress = receiver.decompress

        def leaking(data: bytes) -> Tensor:
            kept.append(decompress(data))
            return kept[-1]

        monkeypatch.setattr(receiver, "decompress", leaking)
    sizes = []
    for images in (range(first), range(first, first + count)):
        for index in images:
            worker.measure(index, frozenset())
        sizes.append(_held())
    assert (sizes[1] - sizes[0] > count * PIXELS / 2) == leaks


def _held() -> int:
    """Bytes of this process that are neither free nor of files."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(lines["RssAnon"].split()[0])
