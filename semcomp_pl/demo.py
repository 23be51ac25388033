"""`semcomp demo`: the suite's whole job on procedural street scenes, in minutes and without a download."""

import argparse
import csv
import os
import shutil
import time
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from semcomp_pl.codecs.search import best_at
from semcomp_pl.codecs.webp import WebP
from semcomp_pl.data import ImageDataModule, StreetScenes
from semcomp_pl.errors import SemcompError
from semcomp_pl.metrics.psnr import psnr
from semcomp_pl.metrics.suite import MetricSuite
from semcomp_pl.modules.base import CodecModule
from semcomp_pl.modules.loading import load
from semcomp_pl.modules.segmentation import Segmentation
from semcomp_pl.paths import RUN_VARIABLE, configs_root
from semcomp_pl.plots import Strip, draw_losses, draw_reconstructions
from semcomp_pl.types import Batch

_RD, _SEGMENTER = "runs/rate_distortion/checkpoints/best.ckpt", "runs/pspnet/checkpoints/best.ckpt"
_GAN = ["--model.init_from", _RD, "--model.learning_rate", "3e-4", "--trainer.max_epochs", "5"]
STAGES: dict[str, tuple[str, list[str]]] = {
    "rate_distortion": ("RateDistortion", ["--trainer.max_epochs", "35"]),
    "pspnet": ("PSPNet", ["--trainer.max_epochs", "10"]),
    "plain_gan": ("PlainGAN", _GAN),
    "semantic_discriminator_gan": ("SemanticDiscriminatorGAN", _GAN),
    "conditional_gan": ("ConditionalGAN (oracle)", _GAN),
    "semantic_distortion_gan": ("SemanticDistortionGAN", [*_GAN, "--model.segmenter", _SEGMENTER]),
}
"""Run name -> row name and flags; the same commands as anybody would type, at sizes for two cores."""

_DATA = ["--data.source.train", "192", "--data.train_size", "[192,384]", "--data.crop_scale", "[0.67,1.0]"]


class Row(NamedTuple):
    """One codec's line of results.csv and its strip of pictures."""

    values: dict[str, str | float]
    strip: Strip


def main(args: list[str]) -> None:
    """Run the demo; what an earlier one finished is reused.

    Raises:
        SemcompError: the output directory cannot be written.
    """
    parser = argparse.ArgumentParser("semcomp demo", description=__doc__)
    parser.add_argument("--output", default="demo", help="directory for runs, table and pictures (default: demo)")
    parser.add_argument("--epochs", type=int, help="epochs of every training, for a quick look")
    options = parser.parse_args(args)
    output = Path(options.output)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SemcompError(f"{output}: cannot make this directory ({error.strerror}); choose another --output") from None
    console = Console()
    started = time.perf_counter()
    with chdir(output):
        for name in STAGES:
            _train(name, options.epochs, console)
        rows = _judge_all(console)
        _write(rows, console)
    minutes = (time.perf_counter() - started) / 60
    console.print(f"Done in {minutes:.1f} min: {output}/results.csv, reconstructions.png, losses.png, runs/")


def _train(name: str, epochs: int | None, console: Console) -> None:
    """Fit one model with the command line's own code, unless its run is complete."""
    from semcomp_pl.cli import main as semcomp

    title, flags = STAGES[name]
    run = Path("runs") / name
    if (run / "done").exists():
        console.print(f"[bold]{title}[/]: reusing {run}")
        return
    shutil.rmtree(run, ignore_errors=True)  # a run that was interrupted
    configs = [f"{configs_root()}/{c}.yaml" for c in ("trainer/cpu", "data/streets", f"model/{name}")]
    command = ["fit", *(part for config in configs for part in ("--config", config)), *_DATA, *flags]
    if epochs is not None:
        command += ["--trainer.max_epochs", str(epochs)]
    rhythm = str(min(5, epochs or 5))
    command += ["--data.source.root", "streets", "--trainer.check_val_every_n_epoch", rhythm, "--name", name]
    console.print(f"[bold]{title}[/]: semcomp {' '.join(command)}", highlight=False, soft_wrap=True)
    os.environ.pop(RUN_VARIABLE, None)  # of the training before
    if semcomp(command):
        raise SemcompError(f"{title} was not trained; see the message above")
    (run / "done").touch()


def _judge_all(console: Console) -> list[Row]:
    """Every model, and WebP at the models' rate, over the validation scenes."""
    data = ImageDataModule(StreetScenes(root="streets", train=192), num_workers=0)
    data.setup("validate")
    batches: list[Batch] = list(data.val_dataloader())  # type: ignore[arg-type]
    judge = load(_SEGMENTER)
    assert isinstance(judge, Segmentation)
    rows = []
    for name, (title, _) in STAGES.items():
        model = load(Path("runs") / name / "checkpoints/best.ckpt")
        if isinstance(model, CodecModule):
            console.print(f"Measuring {title}")
            allowed = None if judge.fingerprint() in model.rivals() else judge
            rows.append(_measure(title, "bpp_bound", _model_coder(model), batches, allowed))
    target = float(rows[0].values["bpp_bound"])
    console.print(f"Measuring WebP at its best below {target:.3f} bpp")
    return [*rows, _measure("WebP", "bpp", _webp_coder(target), batches, judge)]


Coder = Callable[[Batch], tuple[Tensor, list[float]]]
"""A batch to reconstructions (B, 3, H, W) and bits per pixel of each image."""


def _model_coder(model: CodecModule) -> Coder:
    def code(batch: Batch) -> tuple[Tensor, list[float]]:
        image = batch["image"]
        return model.evaluate(batch).reconstruction, [model.bpp_bound(*image.shape[-2:])] * len(image)

    return code


def _webp_coder(target: float) -> Coder:
    def code(batch: Batch) -> tuple[Tensor, list[float]]:
        found = [best_at(image, target, WebP) for image in batch["image"]]
        if None in found:
            raise SemcompError(f"WebP has no file below {target} bpp for one of the scenes")
        files = [file for file in found if file is not None]
        return torch.stack([file.reconstruction for file in files]), [file.bpp for file in files]

    return code


def _measure(title: str, rate: str, code: Coder, batches: list[Batch], judge: Segmentation | None) -> Row:
    """Run a codec over the scenes: all of them for the metrics, the first few for the pictures."""
    suite = MetricSuite(None if judge is None else judge.hparams["num_classes"], judge)
    seconds, images = 0.0, 0
    for batch in batches:
        start = time.perf_counter()
        reconstruction, bpp = code(batch)
        seconds += time.perf_counter() - start
        images += len(reconstruction)
        suite.update(reconstruction, batch["image"], bpp={rate: torch.tensor(bpp)}, label=batch["label"])
    metrics = {name: float(value) for name, value in suite.compute().items()}
    first = batches[0]["image"][:3]
    pictures, rates = code({kind: values[:3] for kind, values in batches[0].items()})  # type: ignore[index, misc]
    captions = [f"{b:.3f} bpp, {q:.1f} dB" for b, q in zip(rates, psnr(pictures, first), strict=True)]
    return Row({"codec": title, **metrics, "seconds": seconds / images}, Strip(title, pictures, captions))


def _write(rows: list[Row], console: Console) -> None:
    """results.csv, the same as a table, and the two pictures."""
    names = ["codec", "bpp_bound", "bpp", *(n for n in rows[0].values if n not in {"codec", "bpp_bound", "seconds"})]
    names = list(dict.fromkeys([*names, "miou", "seconds"]))
    table = Table(*names, title="Procedural street scenes, 256x128, validation split; seconds an image, both ways")
    with Path("results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for row in rows:
            writer.writerow(row.values)
            table.add_row(*(_cell(row.values.get(name, "")) for name in names))
    console.print(table)
    originals = ImageDataModule(StreetScenes(root="streets", train=192), num_workers=0)
    originals.setup("validate")
    batch: Any = next(iter(originals.val_dataloader()))
    first = Strip("Original", batch["image"][:3], [""] * 3)
    draw_reconstructions([first, *(row.strip for row in rows)], Path("reconstructions.png"))
    draw_losses({title: Path("runs") / name / "metrics.csv" for name, (title, _) in STAGES.items()}, Path("losses.png"))


def _cell(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.3f}"


__all__ = ["RUN_VARIABLE", "STAGES", "main"]
