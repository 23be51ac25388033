"""`semcomp demo`: the suite's whole job on procedural street scenes, in minutes and without a download."""

import argparse
import csv
import shutil
import time
from contextlib import chdir
from pathlib import Path

from rich.console import Console
from rich.table import Table

from semcomp_pl.atomic import make_output
from semcomp_pl.data import ImageDataModule, StreetScenes
from semcomp_pl.measure import Row, measure, measure_model, webp_coder
from semcomp_pl.modules.base import CodecModule
from semcomp_pl.modules.loading import load
from semcomp_pl.modules.segmentation import Segmentation
from semcomp_pl.paths import resolve_config
from semcomp_pl.plots import Strip, draw_losses, draw_reconstructions
from semcomp_pl.training import main as training
from semcomp_pl.types import Batch

_RD, _SEGMENTER = "runs/rate_distortion/checkpoints/best.ckpt", "runs/pspnet/checkpoints/best.ckpt"
_WIDTH = ["--model.filters", "48"]
_GAN = [
    *_WIDTH,
    "--model.init_from",
    _RD,
    "--model.learning_rate",
    "3e-4",
    "--trainer.max_epochs",
    "5",
    "--ema_decay",
    "0.95",
]
STAGES: dict[str, tuple[str, list[str]]] = {
    "rate_distortion": ("RateDistortion", [*_WIDTH, "--trainer.max_epochs", "45", "--ema_decay", "0.99"]),
    "pspnet": ("PSPNet", ["--trainer.max_epochs", "25", "--ema_decay", "0.98"]),
    "plain_gan": ("PlainGAN", _GAN),
    "semantic_discriminator_gan": ("SemanticDiscriminatorGAN", _GAN),
    "conditional_gan": ("ConditionalGAN (oracle)", _GAN),
    "semantic_distortion_gan": ("SemanticDistortionGAN", [*_GAN, "--model.segmenter", _SEGMENTER]),
}
"""Run name -> row name and flags; the same commands as anybody would type, at sizes for two cores."""

_LEAST_WEBP = 0.03
_DATA = ["--data.train_size", "[192,384]", "--data.crop_scale", "[0.67,1.0]"]


def main(args: list[str]) -> None:
    """Run the demo; what an earlier one finished is reused.

    Raises:
        SemcompError: the output directory cannot be written.
    """
    parser = argparse.ArgumentParser("semcomp demo", description=__doc__)
    parser.add_argument("--output", default="demo", help="directory for runs, table and pictures (default: demo)")
    parser.add_argument("--scenes", type=int, default=192, help="training scenes (default: 192)")
    parser.add_argument("--epochs", type=int, help="epochs of every training, for a quick look")
    options = parser.parse_args(args)
    output = Path(options.output)
    make_output(output)
    console = Console()
    started = time.perf_counter()
    with chdir(output):
        for name in STAGES:
            _train(name, options.scenes, options.epochs, console)
        data = ImageDataModule(StreetScenes(root="streets", train=options.scenes), num_workers=0)
        data.setup("validate")
        batches: list[Batch] = list(data.val_dataloader())
        original = Strip("Original", batches[0]["image"][:3], [""] * 3)
        _write(_measure_all(batches, console), original, console)
    minutes = (time.perf_counter() - started) / 60
    console.print(f"Done in {minutes:.1f} min: {output}/results.csv, reconstructions.png, losses.png, runs/")


def _train(name: str, scenes: int, epochs: int | None, console: Console) -> None:
    """Fit one model with the command line's own code, unless its run is complete."""
    title, flags = STAGES[name]
    run = Path("runs") / name
    if (run / "done").exists():
        console.print(f"[bold]{title}[/]: reusing {run}")
        return
    shutil.rmtree(run, ignore_errors=True)  # a run that was interrupted
    configs = [f"configs/{c}.yaml" for c in ("trainer/cpu", "data/streets", f"model/{name}")]
    command = ["fit", *(part for config in configs for part in ("--config", config)), *_DATA, *flags]
    if epochs is not None:
        command += ["--trainer.max_epochs", str(epochs)]
    command += ["--entropy_steps", str(200 if epochs is None else 2)]
    rhythm = str(min(5, epochs or 5))
    command += ["--data.source.train", str(scenes)]
    command += ["--data.source.root", "streets", "--trainer.check_val_every_n_epoch", rhythm, "--name", name]
    console.print(f"[bold]{title}[/]: semcomp {' '.join(command)}", highlight=False, soft_wrap=True)
    training([resolve_config(part) for part in command])
    (run / "done").touch()


def _measure_all(batches: list[Batch], console: Console) -> list[Row]:
    """Every model, and WebP at the models' rate, over the validation scenes."""
    judge = Segmentation.from_file(_SEGMENTER)
    rows = []
    for name, (title, _) in STAGES.items():
        model = load(Path("runs") / name / "checkpoints/best.ckpt")
        if isinstance(model, CodecModule):
            console.print(f"Measuring {title}")
            rows.append(measure_model(title, model, batches, judge))
    # files of models that were hardly trained are smaller than any WebP can be
    target = max(float(rows[0].values["bpp"]), _LEAST_WEBP)
    console.print(f"Measuring WebP at its best at or below {target:.3f} bpp")
    return [*rows, measure("WebP", webp_coder(target), batches, judge)]


def _write(rows: list[Row], original: Strip, console: Console) -> None:
    """results.csv, the same as a table, and the two pictures."""
    rates = ["bpp_bound", "bpp_ideal", "bpp_payload", "bpp"]
    quality = [name for name in rows[0].values if name not in {"codec", *rates, "seconds"}]
    names = ["codec", *rates, *quality, "seconds"]
    table = Table(*names, title="Procedural street scenes, 256x128, validation split; seconds an image, both ways")
    with Path("results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for row in rows:
            writer.writerow(row.values)
            table.add_row(*(_cell(row.values.get(name, "")) for name in names))
    console.print(table)
    draw_reconstructions([original, *(row.strip for row in rows)], Path("reconstructions.png"))
    draw_losses({title: Path("runs") / name / "metrics.csv" for name, (title, _) in STAGES.items()}, Path("losses.png"))


def _cell(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.3f}"
