"""From a checkpoint to an export that others can use."""

import csv
import json
from pathlib import Path
from typing import Any

from semcomp_pl.checkpoints.bundle import write_bundle
from semcomp_pl.checkpoints.checkpoint import read_checkpoint
from semcomp_pl.files.places import find_model, run_of_checkpoint


def export(model: str, directory: str) -> Path:
    """Write a trained model as a bundle, with what `semcomp test` measured of its run; returns its directory.

    Args:
        model: Checkpoint or run, or the name of a run.
        directory: New or empty.

    Raises:
        SemcompError: unreadable checkpoint, or the directory holds something already.
    """
    target, checkpoint = Path(directory), find_model(model)
    write_bundle(read_checkpoint(checkpoint), _figures(checkpoint), target)
    return target


def _figures(checkpoint: Path) -> dict[str, Any]:
    """What `semcomp test` measured for the run that the checkpoint belongs to, and with what."""
    run = run_of_checkpoint(str(checkpoint))
    file = None if run is None else run / "test" / "metrics.csv"
    if file is None or not file.is_file():
        return {}
    with file.open(newline="") as lines:
        *_, last = csv.DictReader(lines)
    figures = {name: float(value) for name, value in last.items() if name.startswith("test/") and value}
    means = file.with_name("provenance.json")
    return figures | ({"provenance": json.loads(means.read_text())} if means.is_file() else {})
