"""metrics.csv over several processes of one run."""

from itertools import combinations_with_replacement
from pathlib import Path

import pytest
from torch import Tensor

from semcomp_pl.errors import SemcompError
from semcomp_pl.training.history import RunHistory

STEPS: list[dict[str, Tensor | float]] = [
    {"epoch": 0, "train/loss": 3.0},
    {"epoch": 0, "val/psnr": 20.5},
    {"epoch": 1, "train/loss": 2.0},
    {"epoch": 1, "val/psnr": 21.0, "val/miou": 0.25},
    {"epoch": 2, "train/loss": 1.0},
]


def log(history: RunHistory, first: int = 0) -> None:
    """Log the steps from one on, writing each."""
    for step, values in [*enumerate(STEPS)][first:]:
        history.log_metrics(values, step)
        history.save()


def whole(directory: Path) -> bytes:
    """What a run that goes through writes."""
    log(RunHistory(directory))
    return (directory / "metrics.csv").read_bytes()


@pytest.mark.parametrize(("rows", "written"), [*combinations_with_replacement(range(len(STEPS) + 1), 2)])
def test_a_resumed_history_is_that_of_one_run(rows: int, written: int, tmp_path: Path) -> None:
    """From a checkpoint after `rows` rows, however many were written when the process was killed."""
    expected = whole(tmp_path / "whole")
    (tmp_path / "run").mkdir()
    lines = expected.splitlines(keepends=True)[: 1 + written]
    (tmp_path / "run" / "metrics.csv").write_bytes(b"".join(lines)[:-3] if written > rows else b"".join(lines))
    history = RunHistory(tmp_path / "run", rows=rows)
    assert history.experiment.rows == rows
    log(history, rows)
    assert (tmp_path / "run" / "metrics.csv").read_bytes() == expected
    assert history.rows == len(STEPS)


def test_checkpoints_without_a_number_of_rows_keep_whole_epochs(tmp_path: Path) -> None:
    expected = whole(tmp_path)
    log(RunHistory(tmp_path, epochs=1), first=2)
    assert (tmp_path / "metrics.csv").read_bytes() == expected


def test_a_new_history_replaces_an_old_one(tmp_path: Path) -> None:
    expected = whole(tmp_path)
    assert whole(tmp_path) == expected


def test_a_history_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    history = RunHistory(tmp_path)
    log(history)
    (tmp_path / "metrics.csv").unlink()
    (tmp_path / "metrics.csv").symlink_to("/dev/full")
    with pytest.raises(SemcompError, match=r"metrics\.csv: cannot write it \(No space left on device\)"):
        log(history, len(STEPS) - 1)
