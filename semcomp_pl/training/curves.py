"""The pictures of a run: reconstructions side by side, and what the losses did."""

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

# Okabe and Ito's colours, told apart by colour-blind readers: https://jfly.uni-koeln.de/color
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


class Strip(NamedTuple):
    """A codec's reconstructions of the same few images."""

    title: str
    images: Tensor
    """Float (N, 3, H, W), range [0, 1]."""
    captions: list[str]
    """N of them."""


def draw_reconstructions(strips: list[Strip]) -> Figure:
    """One row a codec, one column an image, rate and PSNR under each picture."""
    columns = len(strips[0].images)
    height, width = strips[0].images.shape[-2:]
    cell = 3.6
    figure = Figure((cell * columns + 0.3, len(strips) * (cell * height / width + 0.5)), dpi=110, layout="constrained")
    for row, strip in enumerate(strips):
        for column, (image, caption) in enumerate(zip(strip.images, strip.captions, strict=True)):
            axes = figure.add_subplot(len(strips), columns, row * columns + column + 1)
            axes.imshow(image.permute(1, 2, 0).clamp(0, 1).numpy())
            axes.set_axis_off()
            title = strip.title if column == 0 else ""
            axes.set_title(title, loc="left", fontsize=9, fontweight="bold")
            axes.text(1, -0.02, caption, transform=axes.transAxes, fontsize=8, ha="right", va="top")
    return figure


def draw_losses(runs: dict[str, Path], file: Path) -> None:
    """One panel a model: every training term of its metrics.csv over epochs, on a logarithmic axis."""
    columns = 3
    rows = -(-len(runs) // columns)
    figure = Figure((4.2 * columns, 3.1 * rows), dpi=110, layout="constrained")
    for place, (title, metrics) in enumerate(runs.items()):
        axes = figure.add_subplot(rows, columns, place + 1)
        for (name, (epochs, values)), colour in zip(read_terms(metrics).items(), COLOURS, strict=False):
            axes.plot(epochs, values, label=name.replace("_", " "), color=colour, linewidth=1.4)
        axes.set(title=title, xlabel="epoch", ylabel="weighted loss term", yscale="log")
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize=7)
    figure.savefig(file)


def read_terms(metrics: Path) -> dict[str, tuple[list[float], list[float]]]:
    """Mean of each `train/` column of a metrics.csv in every epoch: name -> (epochs, values)."""
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
