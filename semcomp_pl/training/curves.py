"""Pictures of training losses."""

import csv
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from semcomp_pl.palette import COLOURS


def draw_losses(runs: dict[str, Path], file: Path) -> None:
    """Draw one panel per run: all training terms in its metrics.csv over epochs, on a logarithmic axis.

    Args:
        runs: The metrics.csv of each run, by title of its panel.
        file: Picture to write, in any format that matplotlib supports.
    """
    columns = 3
    rows = -(-len(runs) // columns)
    figure = Figure((4.2 * columns, 3.1 * rows), dpi=110, layout="constrained")
    for place, (title, metrics) in enumerate(runs.items()):
        axes = figure.add_subplot(rows, columns, place + 1)
        for (name, (epochs, values)), colour in zip(read_terms(metrics).items(), (*COLOURS, "black"), strict=False):
            axes.plot(epochs, values, label=name.replace("_", " "), color=colour, linewidth=1.4)
        axes.set(title=title, xlabel="epoch", ylabel="weighted loss term", yscale="log")
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize=7)
    figure.savefig(file)


def read_terms(metrics: Path) -> dict[str, tuple[list[float], list[float]]]:
    """Mean of each `train/` column of a metrics.csv per epoch: name without `train/` -> (epochs from 1, values)."""
    with metrics.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    terms = [name for name in rows[0] if name.startswith("train/")]
    found = {}
    for term in terms:
        filled = [(int(row["epoch"]), float(row[term])) for row in rows if row[term]]
        epochs = sorted({epoch for epoch, _ in filled})
        means = [float(np.mean([v for e, v in filled if e == epoch])) for epoch in epochs]
        found[term.removeprefix("train/")] = ([epoch + 1.0 for epoch in epochs], means)
    return found
