"""Functions that find and pair the files of a data set, with errors that say what is missing."""

from collections.abc import Mapping
from pathlib import Path

from semcomp_pl.errors import SemcompError
from semcomp_pl.files.images import is_image
from semcomp_pl.files.places import printable


def find(directory: Path, ending: str = "", pattern: str = "*") -> dict[str, Path]:
    """Files below `directory`, by name without `ending`, sorted; without an ending, all images by stem.

    Raises:
        SemcompError: the directory does not exist, holds no such file, or holds two files of the same name.
    """
    if not directory.is_dir():
        raise SemcompError(f"{directory}: no such directory, expected images in it; check --data.source.root")
    files = sorted(directory.glob(pattern + ending))
    if not ending:
        files = [path for path in files if is_image(path)]
    # file managers leave hidden files beside real ones, and links may be dangling
    files = [path for path in files if path.is_file() and not path.name.startswith(".")]
    if not files:
        what = pattern + ending if ending else "image (PNG, JPEG, ...)"
        raise SemcompError(f"{directory}: no {what} found, expected at least one; check --data.source.root")
    found = {printable(path.name.removesuffix(ending or path.suffix)): path for path in files}
    if len(found) < len(files):
        twice = sorted(path.name for path in set(files) - set(found.values()))
        raise SemcompError(
            f"{directory}: {some(twice)} share their names with other images; keep one file of each name"
        )
    return found


def check_pairs(images: Mapping[str, Path], maps: Mapping[str, Path], where: Path, kind: str = "mask") -> None:
    """Raise SemcompError unless images and maps have the same names."""
    alone, orphans = sorted(images.keys() - maps.keys()), sorted(maps.keys() - images.keys())
    if alone or orphans:
        raise SemcompError(
            f"{where}: {some(alone)} images without {kind} and {some(orphans)} {kind}s without image, "
            "expected pairs of equal names; complete the data set or remove those files"
        )


def some(names: list[str]) -> str:
    """The number of names, and the first five of them."""
    return f"{len(names)} ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})" if names else "0"
