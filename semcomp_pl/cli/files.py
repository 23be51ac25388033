"""Options, progress and error reporting that the commands working file by file share."""

import argparse
import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

from semcomp_pl.coding.container import MAX_PIXELS, MAX_SIDE
from semcomp_pl.errors import FileError, SemcompError
from semcomp_pl.files.atomic import write_file
from semcomp_pl.files.outputs import Job
from semcomp_pl.files.places import nearest

if TYPE_CHECKING:
    from semcomp_pl.codecs.neural import NeuralCodec

SUFFIX = ".smc"


class FilesParser(argparse.ArgumentParser):
    """An argument parser that reports bad usage in one sentence."""

    def __init__(self, command: str, description: str) -> None:
        super().__init__(f"semcomp {command}", description=description, allow_abbrev=False)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse as usual, but name a misspelt option before what is missing for lack of it.

        Raises:
            SemcompError: bad usage.
        """
        before = itertools.takewhile(lambda arg: arg != "--", args or ())
        flags = (arg.partition("=")[0] for arg in before if arg.startswith("--"))
        known = self._option_string_actions
        if unknown := next((flag for flag in flags if flag not in known), None):
            said = f"unrecognized argument {unknown}; {self.prog} --help shows the options"
            raise SemcompError(said + nearest(unknown, known))
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Raise the message as an error.

        Raises:
            SemcompError: always.
        """
        raise SemcompError(f"{message}; {self.prog} --help shows the options")

    def add_codec_options(self) -> None:
        """Add --model, --output and the other options that compress and decompress share."""
        self.add_argument("--model", required=True, help="checkpoint, export or run, or its name in weights/ or runs/")
        self.add_argument("--output", "-o", help="output file or existing directory/ (default: beside the input)")
        self.add_argument("--force", action="store_true", help="overwrite existing files")
        self.add_argument("--quiet", action="store_true", help="print no lines for files that succeed")
        self.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ... (default: cpu)")
        self.add_argument(
            "--tile",
            type=int,
            default=2048,
            help=f"process images in tiles of at most this side, in pixels (up to {MAX_SIDE}, default: 2048)",
        )
        self.add_argument(
            "--option",
            metavar="NAME=VALUE",
            type=_option,
            action="append",
            default=[],
            help="change an argument of the model that leaves its files readable, such as sends=vector of a CoCliCo",
        )


def _option(text: str) -> tuple[str, Any]:
    """A name and its value: JSON, or else text."""
    name, found, value = text.partition("=")
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} found, expected NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


class Progress:
    """A progress bar on a terminal, one line per file, and errors that do not stop the other files."""

    def __init__(self, total: int, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self.failed, self._quiet = 0, quiet
        console = Console(stderr=True)
        columns = (*Bar.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
        self.bar = Bar(TextColumn(""), *columns, console=console, transient=True)
        self.bar.disable = not console.is_terminal or total < 2
        self._task = self.bar.add_task("files", total=total)

    def done(self, line: str) -> None:
        """Print the line of a finished file."""
        self.bar.advance(self._task)
        if not self._quiet:
            print(line, flush=True)

    def fail(self, source: Path, error: SemcompError) -> None:
        """Print and count the error of a file."""
        self.failed += 1
        self.bar.advance(self._task)
        text = str(error)
        print(f"error: {text if str(source) in text else f'{source}: {text}'}", file=sys.stderr, flush=True)

    def write(self, job: Job, write: Callable[[IO[bytes]], object]) -> bool:
        """Write a job's file; returns whether that succeeded."""
        try:
            write_file(job.target, write)
        except SemcompError as error:
            self.fail(job.source, error)
            return False
        return True


def load_codec(options: argparse.Namespace) -> "NeuralCodec":
    """The codec that the options name."""
    from semcomp_pl.files.places import find_model

    path = find_model(options.model)  # before torch is imported, so that a misspelt name is reported at once
    from semcomp_pl.checkpoints.loading import load

    pixels = getattr(options, "max_pixels", MAX_PIXELS)
    given = dict(options.option)
    if getattr(options, "steps", None) is not None:
        given["steps"] = options.steps
    return load(path, device=options.device, tile=options.tile, max_pixels=pixels, options=given)


def read_bytes(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        FileError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileError(f"{path}: cannot read it ({error.strerror}); check the path") from None


def is_compressed(path: Path) -> bool:
    """Whether decompress and inspect take this file when given its directory."""
    return path.suffix == SUFFIX
