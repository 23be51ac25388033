"""A sweep's YAML: what it asks, and the commands that it stands for."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from semcomp_pl.errors import SemcompError
from semcomp_pl.files.places import without_imports
from semcomp_pl.sweep.parameters import Parameter, read_parameter

METHODS = ("grid", "random", "bayes")
Point = Mapping[str, Any]
"""A value of each parameter, as Optuna stores it."""
_ENVIRONMENT = re.compile(r"\$\{envvar:([A-Z0-9_]*)\}")


class Command(NamedTuple):
    """A command line."""

    launcher: list[str]
    """What starts the suite, and has it import `modules`."""
    args: list[str]
    """The arguments from `fit` on, without imports."""
    modules: list[str]
    """The user's own modules, which may define models."""


@dataclass(frozen=True)
class Sweep:
    """A sweep.

    Args:
        content: The whole YAML.
        parameters: The swept parameters by name, in the YAML's order.
    """

    content: dict[str, Any]
    parameters: dict[str, Parameter]

    @property
    def method(self) -> str:
        """`grid`, `random` or `bayes`."""
        return str(self.content["method"])

    @property
    def metric(self) -> str:
        """Name of the objective, a column of `metrics.csv`."""
        return str(self.content["metric"]["name"])

    @property
    def maximize(self) -> bool:
        """Whether a higher objective is better; W&B minimises if nothing is said."""
        return bool(self.content["metric"].get("goal", "minimize") == "maximize")

    def grid(self) -> list[dict[str, Any]]:
        """All points of the grid, the last parameter changing fastest.

        Raises:
            SemcompError: a parameter has no list of values.
        """
        for name, parameter in self.parameters.items():
            if parameter.grid is None:
                raise SemcompError(f"method grid: parameter {name} is continuous; give values, or q and q_uniform")
        lists = (parameter.grid or [] for parameter in self.parameters.values())
        return [dict(zip(self.parameters, values, strict=True)) for values in product(*lists)]

    def values(self, point: Point) -> dict[str, Any]:
        """The values that a run is given at a point."""
        return {name: parameter.value(point[name]) for name, parameter in self.parameters.items()}

    def varied(self, point: Point) -> dict[str, Any]:
        """The values of the parameters that have more than one."""
        several = [name for name, parameter in self.parameters.items() if not parameter.distribution.single()]
        return {name: value for name, value in self.values(point).items() if name in several}

    def command(self, point: Point, more: Sequence[str] = ()) -> Command:
        """The command of a point.

        Args:
            point: The point.
            more: Arguments that go before those of the point, and so override all others.

        Raises:
            SemcompError: the command is not one of `semcomp fit`, or has a macro that is not known.
        """
        flags = [f"--{name}={value}" for name, value in self.values(point).items()]
        macros = {
            "${env}": ["/usr/bin/env"],
            "${interpreter}": [sys.executable],
            "${program}": [str(self.content.get("program", ""))],
            "${args}": [*more, *flags],
        }
        given = self.content.get("command") or ["${env}", "${interpreter}", "${program}", "${args}"]
        words = [word for part in map(str, given) for word in macros.get(part, [_with_environment(part)])]
        if unknown := [word for word in words if word.startswith("${")]:
            raise SemcompError(f"command: macro {unknown[0]} found, expected one of {', '.join(macros)}")
        return _split(words)


def _with_environment(word: str) -> str:
    """The word with `${envvar:NAME}` replaced, as W&B does."""
    return _ENVIRONMENT.sub(lambda found: os.environ.get(found[1], found[1]), word)


def _split(words: list[str]) -> Command:
    for at, (word, following) in enumerate(pairwise(words), 1):
        if Path(word).name in {"semcomp", "semcomp_pl"} and following == "fit":
            args, modules = without_imports(words[at:])
            modules = [*dict.fromkeys(modules)]
            return Command([*words[:at], *(f"--import={name}" for name in modules)], args, modules)
    raise SemcompError(
        f"command: {' '.join(words[:6])} ... found, expected one that trains with this suite: "
        "${env} ${interpreter} -m semcomp_pl fit ... ${args}"
    )


def read_sweep(file: Path) -> Sweep:
    """Read a sweep.

    Raises:
        SemcompError: the file is unreadable, or lacks what a sweep needs.
    """
    try:
        content = yaml.safe_load(file.read_text())
    except OSError as error:
        raise SemcompError(f"{file}: cannot be read ({error.strerror}); give a sweep's YAML, as in sweeps/") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SemcompError(f"{file}: no YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict) or not isinstance(content.get("parameters"), dict):
        raise SemcompError(f"{file}: no `parameters` found, which a sweep has; sweeps/rate.yaml is an example")
    if content.get("method") not in METHODS:
        raise SemcompError(f"{file}: method {content.get('method')!r} found, expected one of {', '.join(METHODS)}")
    if not isinstance(content.get("metric"), dict) or "name" not in content["metric"]:
        raise SemcompError(f"{file}: no metric found; give its name and goal, such as val/psnr and maximize")
    stop = content.get("early_terminate")
    if stop is not None and (stop.get("type") != "hyperband" or not {"min_iter", "max_iter"} & stop.keys()):
        raise SemcompError(f"{file}: early_terminate {stop} found, expected type hyperband with min_iter or max_iter")
    return Sweep(content, {name: read_parameter(name, spec) for name, spec in content["parameters"].items()})
