"""Making codecs from settings: their class or function is found, checked and called."""

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, wraps
from hashlib import sha256
from importlib import import_module, invalidate_caches
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from semcomp_pl.checkpoints.loading import load_segmenter
from semcomp_pl.codecs.base import Codec, facts_of
from semcomp_pl.errors import SemcompError

Maker = Callable[..., Codec]


@dataclass(frozen=True)
class Recipe:
    """Instructions for making a codec, in a form to send to other processes.

    Raises:
        SemcompError: from all methods, if the class or function does not exist or makes no codec of these arguments.
    """

    class_path: str
    init_args: Mapping[str, Any]
    paths: tuple[str, ...] = ()
    """Directories to search for Python files, besides what is installed."""
    segmenter: str | None = None
    """Segmenter that makes the label maps for a codec that sends them and has no segmenter."""
    imports: tuple[str, ...] = ()
    """Modules that define models from outside the suite."""

    def codec(self, device: str = "cpu", **more: Any) -> Codec:
        """A codec that is able to decode; `more` are further arguments."""
        for module in self.imports:
            imported(module, self.paths)
        make = locate(self.class_path, self.paths)
        arguments = {**self.init_args, **more}
        _check_arguments(self.class_path, make, arguments)
        try:
            codec = make(**arguments)
        except SemcompError:
            raise
        except Exception as error:
            raise SemcompError(f"{self.class_path} with {arguments}: {type(error).__name__}: {error}") from error
        lacking = [name for name in ("compress", "decompress") if not callable(getattr(codec, name, None))]
        if lacking:
            raise SemcompError(
                f"{self.class_path}: a {type(codec).__name__} without {' and '.join(lacking)} found, expected a codec: "
                "compress(image) -> bytes and decompress(bytes) -> image"
            )
        if device != "cpu" and hasattr(codec, "to"):
            codec.to(device)
        return codec

    def sender(self, device: str = "cpu", **more: Any) -> Codec:
        """A codec that is able to encode too: if it sends label maps, it has a segmenter."""
        codec = self.codec(device, **more)
        if self.segmenter is not None and lacks_segmenter(codec):
            cast(Any, codec).segmenter = load_segmenter(self.segmenter)
        return codec

    def of_quality(self, device: str) -> Maker:
        """A function that makes a sender of given `quality` and, if the codec takes it, `downscale`."""

        @wraps(locate(self.class_path, self.paths))  # with its signature
        def make(**more: Any) -> Codec:
            return self.sender(device, **more)

        return make

    def takes(self, name: str) -> bool:
        """Whether the class or function takes an argument of this name."""
        return name in _parameters(locate(self.class_path, self.paths))

    def provenance(self) -> dict[str, Any]:
        """What is called, and a checksum of its source if it is not part of the suite."""
        said: dict[str, Any] = {"class_path": self.class_path, "init_args": dict(self.init_args)}
        make = locate(self.class_path, self.paths)
        source = getattr(sys.modules.get(make.__module__), "__file__", None)
        if source is not None and make.__module__.partition(".")[0] != __package__.partition(".")[0]:
            said["source_sha256"] = sha256(Path(source).read_bytes()).hexdigest()
        return said


def lacks_segmenter(codec: Codec) -> bool:
    """Whether a codec sends label maps and has a `segmenter` attribute that is not set."""
    return facts_of(codec).sends_labels and getattr(codec, "segmenter", codec) is None


@cache
def locate(class_path: str, paths: tuple[str, ...] = ()) -> Maker:
    """The class or function at a dotted path, installed or in a Python file in one of the directories.

    Raises:
        SemcompError: it does not exist, or cannot be imported or called.
    """
    module, _, name = class_path.rpartition(".")
    if not module:
        raise SemcompError(f"class_path {class_path!r} found, expected a dotted path such as my_codec.{class_path}")
    within = imported(module, paths, class_path)
    found = getattr(within, name, None)
    if not callable(found):
        meant = _nearest(name, [known for known in dir(within) if callable(getattr(within, known, None))])
        raise SemcompError(f"{class_path}: no class or function {name} found in {within.__file__}{meant}")
    return cast(Maker, found)


def imported(module: str, paths: Sequence[str], asked: str | None = None) -> ModuleType:
    """A module, installed or in one of the directories.

    Args:
        module: Its dotted path.
        paths: Directories to search too.
        asked: What it is imported for, for the error message; the module itself if not given.

    Raises:
        SemcompError: it does not exist, or cannot be imported.
    """
    wrong, asked = ("class_path", asked) if asked else ("--import", module)
    sys.path.extend(path for path in paths if path not in sys.path)
    invalidate_caches()  # Python may have cached the directory before the file was written
    try:
        return import_module(module)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
            places = ", ".join(["what is installed", *paths])
            raise SemcompError(f"{asked}: no module {error.name} found in {places}; correct {wrong}") from None
        raise SemcompError(f"{asked}: {module} cannot be imported: {type(error).__name__}: {error}") from error


def _check_arguments(class_path: str, make: Maker, given: Mapping[str, Any]) -> None:
    """Refuse arguments that a callable does not take, and missing arguments."""
    known = _parameters(make)
    for name in given:
        if name not in known and not _takes_any(make):
            raise SemcompError(
                f"{class_path}: argument {name!r} found, expected some of {', '.join(known) or 'none'}"
                + _nearest(name, known)
            )
    try:
        inspect.signature(make).bind(**given)
    except TypeError as error:
        raise SemcompError(f"{class_path}: {error}; add it to init_args") from None


def _parameters(make: Maker) -> list[str]:
    """Names of the arguments in a callable's signature."""
    return [
        name
        for name, one in inspect.signature(make).parameters.items()
        if one.kind in {one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY}
    ]


def _takes_any(make: Maker) -> bool:
    return any(one.kind is one.VAR_KEYWORD for one in inspect.signature(make).parameters.values())


def _nearest(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""
