"""Files that appear whole or not at all."""

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
    """A device, a pipe, an open file of a process: what is written through and not replaced."""
    within = path.is_absolute() and path.parts[1:2] in [("dev",), ("proc",)]
    return path.exists() and not path.is_dir() and (within or not path.is_file())


def write_file(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file whole or not at all: under a temporary name beside its own, which is then renamed.

    A symbolic link stays, and its target is written. What is no plain file (a device, a pipe) is written through.

    Raises:
        SemcompError: the directory is not there or cannot be written, or the disk is full; what `path` held stays.
    """
    try:
        if is_special(path):
            content = io.BytesIO()  # some writers seek
            write(content)
            with path.open("wb") as file:
                file.write(content.getbuffer())
            return
        target = path.resolve() if path.is_symlink() else path
        # a short name: the file's own may have all the length that the file system allows
        handle, name = tempfile.mkstemp(prefix=_PREFIX, suffix=_SUFFIX, dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            umask = os.umask(0)
            os.umask(umask)
            Path(name).chmod(0o666 & ~umask)  # mkstemp's own is private
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except (OSError, RuntimeError) as error:  # torch.save says RuntimeError where the disk is full
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise SemcompError(f"{path}: cannot write it ({reason}); choose another place") from None


def write_text(path: Path, text: str) -> None:
    """`write_file` of text, as UTF-8."""
    write_file(path, lambda file: file.write(text.encode()))


def make_output(directory: Path, option: str = "--output") -> None:
    """Make the directory that an option names, and those above it, where they are not there.

    Raises:
        SemcompError: it cannot be made.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SemcompError(
            f"{directory}: cannot make this directory ({error.strerror}); choose another {option}"
        ) from None


@contextlib.contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """A temporary directory that takes the place of `path`, and of what was there, when all went well."""
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
