"""`semcomp compare`: parsing of its command line and YAML."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from jsonargparse.typing import register_type
from lightning.pytorch.loggers import WandbLogger
from pydantic import TypeAdapter, ValidationError

from semcomp_pl.cli.help import arrange_comparison
from semcomp_pl.cli.parser import Parser
from semcomp_pl.compare.config import LOAD, CodecEntry, Settings, check, sensible_references
from semcomp_pl.compare.report.tracking import GROUP
from semcomp_pl.compare.run import compare
from semcomp_pl.data import ImageDataModule
from semcomp_pl.errors import SemcompError
from semcomp_pl.files.places import with_configs

_FLAGS = {"--data": "--config", "-o": "--output"}  # a data set's YAML names its own key
_ENTRY = TypeAdapter(CodecEntry)


def main(args: list[str]) -> int:
    """Run `semcomp compare`; returns 3 if a pair of codec and image failed.

    Raises:
        SemcompError: bad settings, unusable codecs or data, a judge that is not allowed for one of the codecs, or an
            output directory that belongs to another comparison.
    """
    settings, data, logger, config = parse(args)
    return compare(settings, data, logger, config, f"semcomp compare {shlex.join(args)}")


def parse(args: Sequence[str]) -> tuple[Settings, ImageDataModule, WandbLogger | None, str]:
    """Settings and data of `semcomp compare`, the logger if one was configured, and the whole configuration as YAML.

    Raises:
        SemcompError: unknown or missing settings, or numbers out of range.
    """
    parts = (arg.partition("=") for arg in with_configs(args))
    args = [_FLAGS.get(flag, flag) + equals + value for flag, equals, value in parts]
    parser = _parser()
    config = parser.parse_args(args)
    if config.codecs is None:  # an empty list says that models alone are compared
        config.codecs = sensible_references() if config.models else []
    config.codecs = [*(CodecEntry(LOAD, {"model": model}) for model in config.models), *config.codecs]
    config.models = []
    beside = [str(Path(str(file)).resolve().parent) for file in config.config or []]
    # the saved config must work from any directory, but should name no directory that it does not need
    config.paths = [*dict.fromkeys([*config.paths, *(path for path in beside if _holds_any(path, config.codecs))])]
    if config.trainer.logger is not None:
        given = config.trainer.logger.init_args
        for name, value in GROUP.items():
            given[name] = given[name] or value
    built = parser.instantiate(config)
    settings = Settings(**{name: built[name] for name in Settings.__dataclass_fields__})
    check(settings)
    here = [str(Path.cwd())] if settings.imports else []
    settings = replace(settings, paths=[*dict.fromkeys([*settings.paths, *beside, *here])])
    return settings, built.data, built.trainer.logger, str(parser.dump(config))


def as_yaml(entry: CodecEntry) -> dict[str, Any]:
    """An entry as plain values for YAML, without those left at their defaults."""
    said: dict[str, Any] = _ENTRY.dump_python(entry, exclude_defaults=True)
    return said


def _parser() -> Parser:
    # jsonargparse must not take an entry's class_path for a subclass of CodecEntry
    register_type(CodecEntry, as_yaml, _entry, deserializer_exceptions=ValueError, fail_already_registered=False)
    parser = Parser(
        prog="semcomp compare",
        usage="semcomp compare [MODEL ...] [--data NAME | --config FILE | --OPTION=VALUE] ...",
        description="Measure codecs on the same images and write a report. For example: semcomp compare runs/a runs/b "
        "--data streets --output DIR, or semcomp compare --config configs/compare/streets.yaml. Files are merged from "
        "left to right, and options come after all of them.",
    )
    parser.add_argument(
        "models",
        nargs="*",
        type=str,
        default=[],
        help="Models to compare, by path or name, added to the codecs of the configs; if nothing says which codecs, "
        "WebP, AVIF, JPEG and JPEG 2000 are compared too (--codecs [] compares the models alone).",
    )
    parser.add_argument("--config", action="config", help="YAML file: a comparison, a data set or the W&B logger.")
    parser.add_class_arguments(ImageDataModule, "data")
    parser.add_class_arguments(Settings, None)
    parser.set_defaults(codecs=None)
    parser.add_argument(
        "--trainer.logger", type=WandbLogger | None, default=None, help="W&B logger, as for semcomp fit."
    )
    arrange_comparison(parser)
    return parser


def _entry(value: Any) -> CodecEntry:
    """A codec entry from its YAML value.

    Raises:
        SemcompError: unknown, missing or wrong keys.
    """
    try:
        return _ENTRY.validate_python(value)
    except ValidationError as error:
        known = CodecEntry.__dataclass_fields__
        said = []
        for one in error.errors():
            key = ".".join(map(str, one["loc"]))
            near = [] if key in known else get_close_matches(key, known, 1)
            said.append(f"{key}: {one['msg']}" + (f"; did you mean {near[0]}?" if near else ""))
        raise SemcompError("; ".join(said)) from None


def _holds_any(path: str, entries: Sequence[CodecEntry]) -> bool:
    """Whether a directory contains the Python module of one of the codecs."""
    modules = {entry.class_path.partition(".")[0] for entry in entries}
    return any(Path(path, f"{name}.py").is_file() or Path(path, name, "__init__.py").is_file() for name in modules)
