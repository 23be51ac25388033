"""What the suite does, on images that everybody has, in minutes and without a download: `semcomp demo`."""

import math
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from rich.console import Console
from rich.markup import escape
from torch import Tensor

from semcomp_pl.checkpoints.loading import load
from semcomp_pl.cli import compare, compress, decompress, inspect, train
from semcomp_pl.cli.compare import as_yaml
from semcomp_pl.codecs import AVIF, OptimizedJPEG, WebP
from semcomp_pl.codecs.pixels import bpp, psnr
from semcomp_pl.codecs.search import best_at
from semcomp_pl.compare.config import LOAD, CodecEntry
from semcomp_pl.compare.report.sheet import Strip, draw_reconstructions
from semcomp_pl.data import ImageDataModule, StreetScenes
from semcomp_pl.data.datamodule import ImageDataset
from semcomp_pl.data.samples import write_samples
from semcomp_pl.errors import SemcompError
from semcomp_pl.files.atomic import write_file
from semcomp_pl.files.images import is_image, read_image
from semcomp_pl.files.places import released, with_configs
from semcomp_pl.progress import duration

MODELS = {"rate_distortion": "RateDistortion", "plain_gan": "PlainGAN"}
"""The released models that were trained on streets and photographs, so that these images are in their domain."""
FORMATS = {"WebP": WebP, "AVIF": AVIF, "JPEG": OptimizedJPEG}
STAGES = {"images": 4, "a photograph as a file": 15, "a minute of training": 85, "comparison": 60}
"""Seconds that each stage takes on two cores, to say how much is left."""
_LIVE = "runs/live"
_SCENES, _SIZE = 64, (128, 256)
_TRAINING: dict[str, Any] = {
    "model": {
        "init_args": {"init_from": "rate_distortion", "discriminator_filters": 16, "learning_rate": 3e-4},
    },
    "data": {
        "source": {"init_args": {"train": _SCENES, "val": 4, "test": 0, "size": [*_SIZE]}},
        "crop_size": [64, 128],
        "crop_scale": [0.5, 0.5],
        "resident": True,
    },
    "ema_decay": 0.95,
    "entropy_steps": 100,
}
"""A released warm start, whose sizes the model has, and small crops: some hundred steps in a minute."""


def run(output: Path, own: Path | None, seconds: int) -> int:
    """Run all stages; returns the comparison's exit status.

    Args:
        output: Directory to write to.
        own: Directory of images; the samples if not given.
        seconds: Time of training.

    Raises:
        SemcompError: no released models or no images are here, or a command failed.
    """
    if not MODELS.keys() <= released().keys():
        raise SemcompError(
            "no weights/ found, as a clone has, whose models it shows; semcomp demo --train trains its own"
        )
    if seconds < 1:
        raise SemcompError(f"seconds={seconds} found, expected 1 or more")
    with chdir(output):
        return _run(own, seconds)


def _run(own: Path | None, seconds: int) -> int:
    stages = Stages(STAGES)
    with stages.next():
        images = _images(own)
    with stages.next():
        _photograph(images)
    with stages.next():
        _train(seconds)
    with stages.next():
        status = _compare(images)
    stages.end()
    return status


class Stages:
    """Numbers stages, times them, and says how much is left.

    Args:
        planned: Seconds that each is expected to take, by title.
    """

    def __init__(self, planned: dict[str, int]) -> None:
        self.planned = planned
        self.console = Console(highlight=False)
        self._started, self._done = time.monotonic(), 0

    @contextmanager
    def next(self) -> Iterator[None]:
        """The next stage."""
        title = [*self.planned][self._done]
        times = [*self.planned.values()]
        expected, took = sum(times[: self._done]), time.monotonic() - self._started
        left = sum(times[self._done :]) * max(1.0, took / expected if expected else 1.0)
        self._done += 1
        number = f"{self._done} of {len(times)}"
        self.console.print(f"\n[bold]{number}  {title}[/], about {duration(left)} left")
        started = time.monotonic()
        yield
        self.console.print(f"[dim]{number} took {duration(time.monotonic() - started)}[/]")

    def end(self) -> None:
        """Say how long all took."""
        self.console.print(f"\nDone in {duration(time.monotonic() - self._started)}.")


def _call(command: str, run: Callable[[list[str]], int | None], *words: str) -> None:
    """Say and run a command.

    Raises:
        SemcompError: it failed.
    """
    _say(command, words)
    if run([*words]):
        raise SemcompError(f"semcomp {command} failed, see above")


def _images(own: Path | None) -> list[Path]:
    """The images of the demo: those of a directory, or the samples; photographs last.

    Raises:
        SemcompError: the directory holds none, or the samples cannot be written.
    """
    images = write_samples(Path("samples")) if own is None else sorted(file for file in own.iterdir() if is_image(file))
    if not images:
        raise SemcompError(f"{own}: no images found, expected some; choose another --images")
    print(f"{len(images)} images: {', '.join(file.name for file in images)}")
    return images


def _photograph(images: Sequence[Path]) -> None:
    """Compress, inspect and decompress one, and draw it beside what other formats make of as many bytes."""
    source = next((file for file in images if file.stem == "coffee"), images[-1])
    _call("compress", compress.main, str(source), "--model", "plain_gan", "-o", "photograph.smc")
    _call("inspect", inspect.main, "photograph.smc")
    _call("decompress", decompress.main, "photograph.smc", "--model", "plain_gan", "-o", "photograph.png")
    image = _read(source)
    pictures = [("original", image)]
    most = 0.0
    for name, title in MODELS.items():
        codec = load(name)
        data = codec.compress(image)
        most = max(most, bpp(data, image))
        pictures.append(_decoded(title, len(data), image, codec.decompress(data)))
    for title, kind in FORMATS.items():
        found = best_at(image, most, kind)
        if found is not None:
            pictures.append(_decoded(title, len(found.data), image, found.reconstruction))
    _draw("first.png", pictures)


def _decoded(title: str, size: int, image: Tensor, decoded: Tensor) -> tuple[str, Tensor]:
    return f"{title}: {size:,} bytes, {psnr(decoded[None], image[None]).item():.1f} dB", decoded


def _draw(file: str, pictures: Sequence[tuple[str, Tensor]], columns: int = 3) -> None:
    """A picture of captioned images of one size."""
    rows = [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
    strips = [Strip("", torch.stack([one for _, one in row]), [caption for caption, _ in row]) for row in rows]
    write_file(Path(file), partial(draw_reconstructions(strips).savefig, format="png"))
    print(f"a picture of it: {Path(file).resolve()}", flush=True)


def _train(seconds: int) -> None:
    """Train, and draw what its start and its end make of scenes that neither has seen."""
    limit = {"max_epochs": None, "max_time": f"00:00:{seconds // 60:02}:{seconds % 60:02}"}
    trainer = {"accelerator": "cpu", "check_val_every_n_epoch": 1000, **limit}
    Path("training.yaml").write_text(yaml.safe_dump({**_TRAINING, "trainer": trainer}, sort_keys=False))
    configs = ("--data", "streets", "--model", "plain_gan", "--config", "training.yaml")
    _call("fit", _fit, "--name", "live", *configs)
    scenes = ImageDataset(ImageDataModule(StreetScenes(train=_SCENES, val=4, test=0, size=_SIZE), _SIZE).store("val"))
    images = [scenes[index]["image"] for index in range(3)]
    pictures = [("original", image) for image in images]
    for title, name in (("before", "rate_distortion"), ("after", _LIVE)):
        codec = load(name)
        files = [codec.compress(image) for image in images]
        decoded = [codec.decompress(data) for data in files]
        pictures += [_decoded(title, len(data), *pair) for data, *pair in zip(files, images, decoded, strict=True)]
    _draw("training.png", pictures)


def _fit(words: list[str]) -> None:
    train.main(["fit", *with_configs(words)])


def _compare(images: Sequence[Path]) -> int:
    """Compare released models, the one trained here, and formats, at the rate of the model that needs most."""
    models = {title: released()[name] for name, title in MODELS.items()} | {"PlainGAN, trained here": Path(_LIVE)}
    rate = max(_mean_rate(model, images) for model in models.values())
    rate = math.ceil(1000 * rate) / 1000
    entries = [CodecEntry(LOAD, {"model": str(model)}, title) for title, model in models.items()]
    entries += [
        CodecEntry(f"semcomp_pl.codecs.{kind.__name__}", codec=title, targets=[rate]) for title, kind in FORMATS.items()
    ]
    settings: dict[str, Any] = {"output": "comparison", "codecs": [as_yaml(one) for one in entries], "targets": [rate]}
    root = {"init_args": {"root": str(images[0].parent)}}
    settings |= {"data": {"source": root, "cache_dir": "cache", "num_workers": 0}}
    settings |= {} if len(images) > 2 else {"workers": 0}  # to start workers would take longer
    Path("comparison.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    words = ["--config", "configs/compare/samples.yaml", "--config", "comparison.yaml"]
    _say("compare", words)
    return compare.main(words)


def _mean_rate(model: Path, images: Sequence[Path]) -> float:
    """Mean bits per pixel of a model's files."""
    codec = load(model)
    return sum(bpp(codec.compress(image), image) for image in map(_read, images)) / len(images)


def _read(file: Path) -> Tensor:
    return torch.from_numpy(np.array(read_image(file))).permute(2, 0, 1) / 255


def _say(command: str, words: Sequence[str]) -> None:
    Console(highlight=False).print(f"[bold]$ semcomp {command} {escape(shlex.join(words))}[/]", soft_wrap=True)
