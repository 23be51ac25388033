"""One training of a sweep: a process, its directory, its log, and how it ended, also if nobody was there to see it."""

import csv
import fcntl
import math
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from semcomp_pl.files.atomic import make_output
from semcomp_pl.sweep.file import Command
from semcomp_pl.training.stopping import TO_BE_CONTINUED

_SHELL = 'sh -c \'echo $$ >"$0"; exec "$@"\' "$0.pid" "$@"; status=$?; echo $status >"$0"; exit $status'
"""Starts a command so that its process id and its exit status are in files, whether its parent lives or not."""
_INTERRUPTED = {None, TO_BE_CONTINUED, *(128 + number for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1))}
"""Exit statuses of trainings that were stopped; None if the machine was, or all processes were killed."""

_PATIENCE = 20.0
"""Seconds between two requests to end: the first may come before a training listens."""


class Run:
    """A training below a sweep's directory.

    While the training lives, it holds the lock, which is inherited: so a sweep that is resumed after having been
    killed waits for trainings that have outlived it.

    Args:
        sweep: Directory of the sweep.
        name: Name of the run.
    """

    def __init__(self, sweep: Path, name: str) -> None:
        self.directory, self.name = sweep / name, name
        self.log = sweep / "logs" / f"{name}.log"
        self._status, self._pid = self.log.with_suffix(".status"), self.log.with_suffix(".status.pid")
        self._lock = -1
        self._process: subprocess.Popen[bytes] | None = None
        self._asked = -math.inf

    @property
    def resumable(self) -> bool:
        """Whether there is a checkpoint to go on from."""
        return (self.directory / "checkpoints" / "last.ckpt").is_file()

    @property
    def known_here(self) -> bool:
        """Whether the run was started on this machine, or on one that shares the directory."""
        return self.log.exists()

    def claim(self) -> bool:
        """Take the run's lock, unless another process has it."""
        make_output(self.log.parent, "--runs")
        lock = os.open(self.log, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._lock = lock
        return True

    def release(self) -> None:
        """Give the lock back; a training that lives keeps it."""
        os.close(self._lock)
        self._lock = -1

    def start(self, command: Command, flags: Sequence[str], more: Mapping[str, str]) -> None:
        """Start the training, or go on with it from its last checkpoint.

        Args:
            command: The command of the run's point.
            flags: Arguments that only a new run needs, beside its name.
            more: What goes into the environment.
        """
        args = arguments(command, self.directory.parent, self.name, flags)
        if self.resumable:
            args = ["fit", str(self.directory)]
        else:
            shutil.rmtree(self.directory, ignore_errors=True)  # of an attempt without a checkpoint
        self._status.unlink(missing_ok=True)
        self._pid.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _SHELL, str(self._status), *command.launcher, *args],
            stdin=subprocess.DEVNULL,
            stdout=self._lock,
            stderr=self._lock,
            env={**os.environ, **more},
            start_new_session=True,  # Ctrl-C is for the sweep, which stops its trainings between two steps
        )

    @property
    def alive(self) -> bool:
        """Whether the training that this process started has not ended."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Ask the training to end, for which it writes a checkpoint; called often, it asks again after some seconds."""
        ready = self.alive and self._pid.is_file() and time.monotonic() - self._asked > _PATIENCE
        if ready and (number := self._pid.read_text().strip()):
            self._asked = time.monotonic()
            os.kill(int(number), signal.SIGTERM)

    @property
    def status(self) -> int | None:
        """The exit status; None if nobody could write it down."""
        text = self._status.read_text().strip() if self._status.is_file() else ""
        return int(text) if text else None

    @property
    def interrupted(self) -> bool:
        """Whether the training was stopped and can go on."""
        return self.status in _INTERRUPTED

    @property
    def done(self) -> bool:
        """Whether the training came to its end."""
        # killed after its last checkpoint, and then told to go on
        return self.status == 0 or (self.status == 2 and ": finished, " in self.last_line)

    @property
    def last_line(self) -> str:
        """The last line of the log that says something."""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - 5000))
            lines = log.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def history(self, metric: str) -> list[float]:
        """All values of a metric, in the order of validations."""
        return _column(self.directory / "metrics.csv", metric)

    def rate(self, kind: str) -> float | None:
        """Bits per pixel: `test/bpp` is that of files, as `semcomp test` finds it; `val/bpp_bound` is a bound."""
        directory = self.directory / "test" if kind.startswith("test/") else self.directory
        values = _column(directory / "metrics.csv", kind)
        return values[-1] if values else None


def arguments(command: Command, sweep: Path, name: str, flags: Sequence[str]) -> list[str]:
    """The arguments of a new run, from `fit` on."""
    return [*command.args, f"--runs={sweep}", f"--name={name}", *flags]


def as_flag(limit: timedelta) -> str:
    """A time as `--trainer.max_time` takes it."""
    seconds = math.floor(limit.total_seconds())
    days, rest = divmod(seconds, 86_400)
    return f"{days:02}:{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"


def _column(file: Path, name: str) -> list[float]:
    """The numbers of a column, without the empty ones; a row may be half written."""
    if not file.is_file():
        return []
    lines = file.read_text().splitlines()  # at once, as it grows meanwhile
    texts = [row.get(name) for row in csv.DictReader(lines)]
    values = []
    for text in texts:
        with suppress(ValueError):
            values += [float(text)] if text else []
    return values
