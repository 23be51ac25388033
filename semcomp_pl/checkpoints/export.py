"""Exporting a checkpoint in a form to share."""

import csv
import json
from pathlib import Path
from typing import Any

from semcomp_pl.checkpoints.bundle import write_bundle
from semcomp_pl.checkpoints.checkpoint import read_checkpoint
from semcomp_pl.files.places import find_model, run_of_checkpoint


def export(model: str, directory: str) -> Path:
    """Export a trained model, with any results of `semcomp test` for its run; returns the directory.

    Args:
        model: Checkpoint or run, or the name of a run.
        directory: Directory to write to; new or empty.

    Raises:
        SemcompError: the checkpoint is unreadable, or the directory is not empty.
    """
    target, checkpoint = Path(directory), find_model(model)
    write_bundle(read_checkpoint(checkpoint), _figures(checkpoint), target)
    return target


def _figures(checkpoint: Path) -> dict[str, Any]:
    """The results of `semcomp test` for the checkpoint's run, and what they were measured with."""
    run = run_of_checkpoint(str(checkpoint))
    file = None if run is None else run / "test" / "metrics.csv"
    if file is None or not file.is_file():
        return {}
    with file.open(newline="") as lines:
        *_, last = csv.DictReader(lines)
    figures = {name: float(value) for name, value in last.items() if name.startswith("test/") and value}
    means = file.with_name("provenance.json")
    return figures | ({"provenance": json.loads(means.read_text())} if means.is_file() else {})
