"""LightningCLI's parser with one-line errors that name the key."""

import itertools
import re
from collections.abc import Sequence
from pydoc import locate
from typing import Any, NoReturn

from jsonargparse import ArgumentParser
from lightning.pytorch.cli import LightningArgumentParser

from semcomp_pl.errors import SemcompError
from semcomp_pl.files.places import config_names, expand_home, nearest, unknown_config

# Lines of jsonargparse's messages that are about its own machinery and not about the reason.
_MACHINERY = ("Does not validate against", "Subtypes:", "Errors:", "- Expected a <class 'NoneType'>", "Given value")
_TRIED = re.compile(
    r"Expected a path but \S+ either not accessible or invalid "
    r"(?:Does not validate against any of the Union subtypes )?(?=Problem|Expected)"
)
_KEY = re.compile(r'^Parser key "([\w.]+)":')
_OPTION = re.compile(r"class_path '([\w.]+)':\s+Option '(\w+)'")
_CLASS = re.compile(r"module '([\w.]+)' has no attribute '(\w+)'")
_MODEL = re.compile(r'key "model":[\s-]*Expected a path but ([\w-]+) either')
_HELP = re.compile(r"--(model|data)(?:\.source)?\.help: Expected a dot import path string: (\S+)")
_MODULE = re.compile(r"class_path '([\w.]+)':\s+No module named '([\w.]+)'")
_MISSING = re.compile(r"arguments are required: (.+)")
_FLAG = re.compile(r"(?:accept option '|unrecognized arguments: --)([\w.]+)")


class Parser(LightningArgumentParser):
    """Raises errors of one line instead of printing the usage; refuses abbreviations, which hide typing errors."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, **kwargs)

    def parse_args(self, *args: Any, **kwargs: Any) -> Any:
        """Parse as jsonargparse does, with `~` expanded in all values, of files and flags alike."""
        if args and args[0] is not None:
            args = (_configs_first(args[0]), *args[1:])
        config = super().parse_args(*args, **kwargs)
        for name, value in list(config.items()):
            if isinstance(value, str) and value.startswith("~"):
                config[name] = expand_home(value)
        return config

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise what was wrong, with the nearest known name for a misspelt one.

        Raises:
            SemcompError: always, except in the parsers that jsonargparse makes itself to try a type.
        """
        if not self.exit_on_error:
            super().error(message, ex)
        if found := _MISSING.search(message):
            raise SemcompError(" and ".join(map(_how_to_give, found[1].split(", ")))) from None
        if found := _MODEL.search(message):
            said = unknown_config("model", found[1], _classes("model"))
            own = "" if said.endswith("?") else "; a model of your own needs --import MODULE"
            raise SemcompError(f"--model {found[1]}: {said}{own}") from None
        if found := _MODULE.search(message):
            raise SemcompError(f"{found[1]}: no module {found[2]} is installed; name your own with --import") from None
        if found := _HELP.search(message):
            names = _classes(found[1])
            said = f"no such class, expected one of {', '.join(names)}{nearest(found[2], names)}"
            raise SemcompError(f"{found[2]}: {said}") from None
        lines = [line.strip() for line in message.splitlines()]
        reason = " ".join(line.removeprefix("- ") for line in lines if line and not line.startswith(_MACHINERY))
        reason = _KEY.sub(r"--\1:", _TRIED.sub("", reason))
        raise SemcompError(reason + self._nearest(message)) from None

    def _nearest(self, message: str) -> str:
        """A suggestion for the unknown name in `message`: the known name most like it."""
        unknown, known = "", []
        if found := _OPTION.search(message):
            of_class: type = locate(found[1])  # type: ignore[assignment]  # jsonargparse has imported it
            unknown, known = found[2], ArgumentParser().add_class_arguments(of_class)
        elif found := _CLASS.search(message):
            unknown, known = found[2], dir(locate(found[1]))
        elif found := _FLAG.search(message):
            commands = [parser for action in self._actions for parser in _parsers(action)]
            unknown, known = found[1], [action.dest for parser in (self, *commands) for action in parser._actions]
        return nearest(unknown, known)


def _how_to_give(missing: str) -> str:
    """A sentence about a missing argument."""
    kind = re.sub(r"^\w+\.(?=model|data)", "", missing).partition(".")[0]
    if kind not in {"model", "data"}:
        return f"no {missing} given; --help shows the options"
    more = "" if kind == "model" else ", or your own with --data.source=Folder --data.source.root=DIR"
    return f"no {kind} given; name one with --{kind} ({', '.join(config_names(kind))}) or a file with --config{more}"


def _classes(kind: str) -> list[str]:
    """Names of the suite's models or data sets, which the parser has imported."""
    from semcomp_pl import data, modules

    if kind == "model":
        return list(modules.__all__)
    found = {name: getattr(data, name) for name in data.__all__}
    return [name for name, one in found.items() if issubclass(one, data.ImageSource) and one is not data.ImageSource]


def _configs_first(args: Sequence[str]) -> list[str]:
    """Arguments with config files moved before all flags, so that flags always override them.

    A class of models comes next, for its own flags mean nothing before it is known.
    """
    command = [*itertools.takewhile(lambda arg: not arg.startswith("-"), args)]
    configs: list[str] = []
    classes: list[str] = []
    others: list[str] = []
    rest = iter(args[len(command) :])
    for arg in rest:
        flag, equals, _ = arg.partition("=")
        place = {"-c": configs, "--config": configs, "--model": classes}.get(flag, others)
        place += [arg] if equals or place is others else [arg, *itertools.islice(rest, 1)]
    return [*command, *configs, *classes, *others]


def _parsers(action: Any) -> list[ArgumentParser]:
    """The parsers of the subcommands if `action` chooses among subcommands."""
    return list((getattr(action, "_name_parser_map", None) or {}).values())
