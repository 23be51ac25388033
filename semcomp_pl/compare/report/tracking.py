"""A comparison in W&B, beside the runs of training and sweeps."""

from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.loggers import WandbLogger
from PIL import Image

from semcomp_pl.compare.measure.pictures import picture_path
from semcomp_pl.compare.report.figures import standing_at
from semcomp_pl.compare.summary import Summary
from semcomp_pl.metrics import describe


def track(summary: Summary, directory: Path, logger: WandbLogger) -> None:
    """Send summary, curves and pictures to the logger's run, and finish the run.

    Args:
        summary: of the comparison.
        directory: of the results, with `pictures/`.
        logger: its run is created here, unless one is active.
    """
    run: Any = logger.experiment
    run.config.update({"comparison": summary.provenance}, allow_val_change=True)
    for one in summary.at_rates:
        for point in standing_at(summary, one.target):
            run.summary.update(
                {f"{name}@{one.target:g}/{point.codec}": value.value for name, value in point.metrics.items()}
            )
    logged: dict[str, Any] = {f"curves/{metric}": _curves(summary, metric) for metric in summary.metrics}
    logged |= {"points": _points(summary), "pictures": _pictures(summary, directory)}
    run.log(logged)
    run.finish()


def _curves(summary: Summary, metric: str) -> Any:
    rates, values, codecs = [], [], []
    for codec in summary.codecs:
        points = [one for one in summary.curve(codec) if one.bpp and metric in one.metrics]
        if points:
            codecs.append(codec)
            rates.append([one.bpp.value for one in points if one.bpp])
            values.append([one.metrics[metric].value for one in points])
    return wandb.plot.line_series(rates, values, codecs, describe(metric).axis, "bits per pixel")


def _points(summary: Summary) -> Any:
    table = wandb.Table(["codec", "point", "images", "no_file", "failed", "bpp", *summary.metrics])
    for one in [*([summary.ceiling] if summary.ceiling else []), *summary.points]:
        values = [one.metrics[name].value if name in one.metrics else None for name in summary.metrics]
        counts = (one.images, one.no_file, one.failed)
        table.add_data(one.codec, one.point, *counts, one.bpp.value if one.bpp else None, *values)
    return table


def _pictures(summary: Summary, directory: Path) -> Any:
    """One row per image, one column per codec and point."""
    points = [*([summary.ceiling] if summary.ceiling else []), *summary.points]
    table = wandb.Table(["image", *(f"{one.codec} {one.point}" for one in points)])
    for image in summary.images:
        files = [picture_path(directory, image, one.codec, one.point) for one in points]
        if any(file.is_file() for file in files):
            table.add_data(image, *(wandb.Image(Image.open(file)) if file.is_file() else None for file in files))
    return table
