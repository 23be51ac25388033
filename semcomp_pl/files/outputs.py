"""The files that a command reads and writes, determined before any work is done."""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from semcomp_pl.errors import SemcompError
from semcomp_pl.files.atomic import is_special


class Job(NamedTuple):
    """One file to make from another."""

    source: Path
    target: Path


def expand(given: Sequence[str], is_input: Callable[[Path], bool]) -> list[Path]:
    """Given files, input files in given directories, and files that match patterns with * ? [ ], in order.

    Raises:
        SemcompError: a directory or a pattern yields no file.
    """
    found: list[Path] = []
    for name in given:
        if name == "-":
            raise SemcompError("- found, expected a file: standard input is not read; write it to a file first")
        path = Path(name)
        if path.is_dir():
            inside = sorted(file for file in path.iterdir() if _is_visible(file) and is_input(file))
            if not inside:
                raise SemcompError(f"{path}: no input found in this directory, expected at least one; check the path")
            found += inside
        elif not path.exists() and any(c in name for c in "*?["):
            anchor = Path(path.anchor)
            matched = sorted(file for file in anchor.glob(str(path.relative_to(anchor))) if _is_visible(file))
            if not matched:
                raise SemcompError(f"{name}: no file matches; check the pattern")
            found += matched
        else:
            found.append(path)
    return list(dict.fromkeys(found))


def _is_visible(path: Path) -> bool:
    """Whether a path is a file that is not hidden: file managers leave hidden files beside others."""
    return path.is_file() and not path.name.startswith(".")


def plan(sources: Sequence[Path], output: str | None, suffix: str, *, force: bool) -> list[Job]:
    """Decide where each source's output goes: beside it, to `-o FILE`, or below `-o DIR/`.

    Raises:
        SemcompError: a directory is missing or not writable, an output exists already (unless `force`), two sources
            have the same output, or a source would be overwritten.
    """
    if output == "-":
        raise SemcompError("-o - found, expected a file or directory/: nothing is written to standard output")
    into = output is not None and (output.endswith(("/", os.sep)) or Path(output).is_dir())
    if output is not None and not into and len(sources) > 1:
        raise SemcompError(f"{len(sources)} inputs found for the one output {output}; name a directory: -o {output}/")
    jobs = []
    for source in sources:
        name = source.with_suffix(suffix).name
        target = source.with_name(name) if output is None else Path(output) / name if into else Path(output)
        jobs.append(Job(source, target))
    _check_directories({job.target.parent for job in jobs if not is_special(job.target)})
    targets: dict[Path, Path] = {}
    inputs = {source.resolve() for source in sources}
    for source, target in jobs:
        if target in targets:
            raise SemcompError(f"{targets[target]} and {source} would both become {target}; rename one")
        if target.resolve() in inputs:
            raise SemcompError(f"{target}: an input, which would be overwritten; choose another -o")
        if target.exists() and not is_special(target) and not force:
            raise SemcompError(f"{target}: exists; choose another -o, or overwrite it with --force")
        targets[target] = source
    return jobs


def _check_directories(directories: Iterable[Path]) -> None:
    for directory in directories:
        if not directory.is_dir():
            raise SemcompError(f"{directory}: no such directory; make it first (mkdir -p {directory})")
        if not os.access(directory, os.W_OK):
            raise SemcompError(f"{directory}: this directory cannot be written; choose another -o")
