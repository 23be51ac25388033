"""Atomic writing: files appear complete or not at all."""

import contextlib
import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from semcomp_pl.errors import SemcompError

_PREFIX, _SUFFIX = ".semcomp-", ".part"


def is_special(path: Path) -> bool:
    """Whether a path is a device, a pipe or a process's open file, which is written to and not replaced."""
    within = path.is_absolute() and path.parts[1:2] in [("dev",), ("proc",)]
    return path.exists() and not path.is_dir() and (within or not path.is_file())


def write_file(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file completely or not at all, by renaming a temporary file beside it.

    A symbolic link is kept, and its target is written. Devices and pipes are written to directly.

    Raises:
        SemcompError: the directory is missing or not writable, or the disk is full; an existing file is unchanged.
    """
    try:
        if is_special(path):
            content = io.BytesIO()  # because some writers seek
            write(content)
            with path.open("wb") as file:
                file.write(content.getbuffer())
            return
        target = path.resolve() if path.is_symlink() else path
        # a short name, as the file's own name may have the maximum length that the file system allows
        handle, name = tempfile.mkstemp(prefix=_PREFIX, suffix=_SUFFIX, dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            umask = os.umask(0)
            os.umask(umask)
            Path(name).chmod(0o666 & ~umask)  # mkstemp makes private files
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except (OSError, RuntimeError) as error:
        # torch.save raises a RuntimeError of its own while it handles that of a full disk
        cause = error if isinstance(error, OSError) else error.__context__
        reason = (isinstance(cause, OSError) and cause.strerror) or error
        raise SemcompError(f"{path}: cannot write it ({reason}); choose another place") from None


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8 with `write_file`."""
    write_file(path, lambda file: file.write(text.encode()))


def remove_parts(directory: Path) -> None:
    """Remove what killed processes had begun to write into a directory; no other process may be writing there."""
    for part in directory.glob(f"{_PREFIX}*{_SUFFIX}"):
        part.unlink(missing_ok=True)


def make_output(directory: Path, option: str = "--output") -> None:
    """Create the directory that an option names, with its parents, if it does not exist.

    Raises:
        SemcompError: it cannot be created.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SemcompError(
            f"{directory}: cannot make this directory ({error.strerror}); choose another {option}"
        ) from None


@contextlib.contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """A temporary directory that replaces `path` and its content if no error occurs."""
    path = path.absolute()
    part = Path(tempfile.mkdtemp(prefix=_PREFIX, suffix=_SUFFIX, dir=path.parent))
    try:
        yield part
        part.chmod(0o755)
        if path.exists():
            old = part.with_suffix(".old")
            path.rename(old)
            part.rename(path)
            shutil.rmtree(old)
        else:
            part.rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)
