"""The metrics.csv of a run, which resumed training continues."""

import csv
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter


class RunHistory(CSVLogger):
    """Logs to `DIRECTORY/metrics.csv`, keeping the first `epochs` epochs of an existing file.

    Lightning's CSVLogger would delete an existing file.

    Args:
        directory: Directory of the run.
        epochs: Number of epochs done before.
    """

    def __init__(self, directory: Path, epochs: int = 0) -> None:
        super().__init__(directory.parent, directory.name, version="")
        self.epochs = epochs

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer of the file."""
        if self._experiment is None:
            self._experiment = _Writer(self.log_dir, self.epochs)
        return self._experiment


class _Writer(ExperimentWriter):
    def __init__(self, log_dir: str, epochs: int) -> None:
        super().__init__(log_dir)
        file = Path(self.metrics_file_path)
        if not epochs or not file.is_file():
            file.unlink(missing_ok=True)
            return
        with file.open(newline="") as lines:
            reader = csv.DictReader(lines)
            kept = [row for row in reader if int(row["epoch"]) < epochs]
            self.metrics_keys = list(reader.fieldnames or [])
        with file.open("w", newline="") as lines:
            writer = csv.DictWriter(lines, self.metrics_keys)
            writer.writeheader()
            writer.writerows(kept)

    def _check_log_dir_exists(self) -> None:
        """Do nothing: Lightning would warn of files that are deleted, and here none are."""
