"""The metrics.csv of a run, which resumed training continues."""

import csv
import io
from itertools import takewhile
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from semcomp_pl.errors import SemcompError
from semcomp_pl.files.atomic import write_text

Row = dict[str, str]


class RunHistory(CSVLogger):
    """Logs to `DIRECTORY/metrics.csv`, keeping what an existing file says about the training before a checkpoint.

    Lightning's CSVLogger would delete an existing file, and lose it if killed while it writes a new header.

    Args:
        directory: Directory of the run.
        epochs: Number of epochs done before.
        rows: Number of rows written before; None keeps those of the epochs.
    """

    def __init__(self, directory: Path, epochs: int = 0, rows: int | None = None) -> None:
        super().__init__(directory.parent, directory.name, version="")
        self.epochs, self.kept = epochs, rows

    @property
    def rows(self) -> int:
        """Number of rows that were logged, or kept; 0 in all processes but the first."""
        return 0 if self._experiment is None else self.experiment.rows

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer of the file."""
        if self._experiment is None:
            self._experiment = _Writer(self.log_dir, self.epochs, self.kept)
        return self._experiment


class _Writer(ExperimentWriter):
    def __init__(self, log_dir: str, epochs: int, rows: int | None) -> None:
        super().__init__(log_dir)
        self.file = Path(self.metrics_file_path)
        found = _read(self.file)
        before = takewhile(lambda row: int(row["epoch"]) < epochs, found)
        kept = [*before] if rows is None else found[:rows]
        self.rows = len(kept)
        if kept:
            self.metrics_keys = list(kept[0])
            self._replace(kept)
        else:
            self.file.unlink(missing_ok=True)

    def log_metrics(self, metrics_dict: dict[str, float], step: int | None = None) -> None:
        """Record a row."""
        super().log_metrics(metrics_dict, step)
        self.rows += 1

    def save(self) -> None:
        """Append the recorded rows to the file, or rewrite it if they have new columns.

        Raises:
            SemcompError: the file cannot be written.
        """
        if not self.metrics:
            return
        if self._record_new_keys():
            self._replace(_read(self.file))
        text = io.StringIO()
        csv.DictWriter(text, self.metrics_keys).writerows(self.metrics)
        try:
            with self.file.open("a", newline="") as lines:
                lines.write(text.getvalue())
        except OSError as error:
            raise SemcompError(
                f"{self.file}: cannot write it ({error.strerror}); resume the run when there is space"
            ) from None
        self.metrics = []

    def _replace(self, rows: list[Row]) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, self.metrics_keys)
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.file, text.getvalue())

    def _check_log_dir_exists(self) -> None:
        """Do nothing: Lightning would warn of files that are deleted, and here none are."""


def _read(file: Path) -> list[Row]:
    """The rows of a file, none if it does not exist; a killed process may have left the last row incomplete."""
    if not file.is_file():
        return []
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))
