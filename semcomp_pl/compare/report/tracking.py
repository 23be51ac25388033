"""A comparison in W&B, beside the runs of training and sweeps."""

from pathlib import Path
from typing import Any, cast

import wandb
from lightning.pytorch.loggers import WandbLogger
from PIL import Image

from semcomp_pl.compare.measure.pictures import picture_path
from semcomp_pl.compare.report.answer import leading
from semcomp_pl.compare.report.figures import standing_at
from semcomp_pl.compare.rows import ORACLE
from semcomp_pl.compare.summary import Summary
from semcomp_pl.metrics import describe
from semcomp_pl.training.tracking import refusals, without_anonymity

GROUP: dict[str, Any] = {"group": "comparisons", "job_type": "compare"}
"""Tells comparisons apart from trainings in a project."""
_RATES, _CURVES = 5, 10  # W&B shows a column for each key of a summary: at most 30 in all


def track(summary: Summary, directory: Path, logger: WandbLogger) -> None:
    """Send a comparison to the logger's run, and finish the run.

    The run's summary says which codec is best, and which format, by one metric at up to five target rates. All points,
    the curves of up to ten metrics and the pictures are logged as tables and charts; report and summary go into an
    artifact.

    Args:
        summary: of the comparison.
        directory: of the results, with `pictures/` and `report.html`.
        logger: its run is created here, unless one is active.
    """
    with refusals():
        run: Any = cast(WandbLogger, without_anonymity(logger)).experiment
    run.config.update({"comparison": summary.provenance}, allow_val_change=True)
    run.summary.update({"codecs": len(summary.codecs), "images": len(summary.images), **_best(summary)})
    curves = [name for name in summary.metrics if not describe(name).detail][:_CURVES]
    logged: dict[str, Any] = {f"curves/{metric}": _curves(summary, metric) for metric in curves}
    run.log({**logged, "points": _points(summary), "pictures": _pictures(summary, directory)})
    report = wandb.Artifact(f"comparison-{run.id}", type="comparison", description=directory.resolve().name)
    for name in ("report.html", "report.md", "summary.json", "summary.csv"):
        if (directory / name).is_file():
            report.add_file(str(directory / name))
    run.log_artifact(report)
    run.finish()


def _best(summary: Summary) -> dict[str, Any]:
    """The best codec at target rates, its value, and that of the best format, by the metric shown first."""
    ranked = (name for name in leading(summary.metrics) if describe(name).higher_is_better is not None)
    metric = next(ranked, None)
    found: dict[str, Any] = {}
    for one in summary.at_rates[:_RATES]:
        points = [point for point in standing_at(summary, one.target) if metric in point.metrics]
        for name, kinds in {"": {"model", "reference"}, "format/": {"reference"}}.items():
            able = [point for point in points if point.kind in kinds and not point.codec.endswith(ORACLE)]
            if metric is None or not able:
                continue
            sign = 1 if describe(metric).higher_is_better else -1
            best = max(able, key=lambda point: sign * point.metrics[metric].value)
            found[f"{name}{metric}@{one.target:g}"] = best.metrics[metric].value
            found |= {} if name else {f"best@{one.target:g}": best.codec}
    return found


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
