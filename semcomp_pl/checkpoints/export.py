"""Exporting a checkpoint in a form to share."""

import csv
import json
from pathlib import Path
from typing import Any

from semcomp_pl.checkpoints.bundle import figures_of, write_bundle
from semcomp_pl.checkpoints.checkpoint import read_saved
from semcomp_pl.checkpoints.models import CODECS, SEGMENTATION
from semcomp_pl.errors import SemcompError
from semcomp_pl.files.places import find_model, run_of_checkpoint


def export(model: str, directory: str) -> Path:
    """Export a trained model, with any results of `semcomp test` for its run; returns the directory.

    An export is exported anew, with what stands beside it about its training (`EXPORT.training.json`).

    Args:
        model: Checkpoint, run or export, or its name.
        directory: Directory to write to; new or empty.

    Raises:
        SemcompError: the checkpoint is unreadable, its model is not one of the suite's, or the directory is not empty.
    """
    target, source = Path(directory), find_model(model)
    figures = figures_of(source) if source.is_dir() else _figures(source)
    saved = read_saved(source)
    if saved.model not in {*CODECS, SEGMENTATION}:
        raise SemcompError(
            f"{source}: a {saved.model} from outside the suite found, which no export can name, as exports run no code "
            "of others; share the checkpoint and the module"
        )
    write_bundle(saved, figures, target)
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
