"""The parameters of a W&B sweep as Optuna's distributions.

Format: https://docs.wandb.ai/models/sweeps/sweep-config-keys
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from semcomp_pl.errors import SemcompError

Spec = Mapping[str, Any]
_TINY = 1e-9
"""What a normal distribution's quantiles keep from 0 and 1, where values are infinite."""


@dataclass(frozen=True)
class Parameter:
    """A swept parameter.

    Args:
        distribution: What Optuna draws from.
        value: The value that a run is given, from what Optuna drew.
        grid: All that Optuna may draw, if it can be listed.
    """

    distribution: BaseDistribution
    value: Callable[[Any], Any]
    grid: list[Any] | None = None


def read_parameter(name: str, spec: Any) -> Parameter:
    """A parameter as a sweep's YAML describes it.

    Raises:
        SemcompError: keys or a distribution that are not known.
    """
    if not isinstance(spec, dict):
        raise SemcompError(f"parameter {name}: {spec!r} found, expected value, values, or min and max")
    if "parameters" in spec:
        raise SemcompError(f"parameter {name}: nested parameters found; name each by its flag, such as {name}.NAME")
    kind = spec.get("distribution") or _usual(spec)
    if kind not in _KINDS:
        raise SemcompError(f"parameter {name}: distribution {kind!r} found, expected one of {', '.join(_KINDS)}")
    try:
        return _KINDS[kind](spec)
    except KeyError as error:
        raise SemcompError(f"parameter {name}: {kind} needs {error.args[0]}") from None
    except (ValueError, TypeError) as error:
        raise SemcompError(f"parameter {name}: {error}") from None


def _usual(spec: Spec) -> str:
    """The distribution that W&B takes if none is named."""
    if "value" in spec:
        return "constant"
    if "values" in spec:
        return "categorical"
    return "int_uniform" if all(isinstance(spec.get(end), int) for end in ("min", "max")) else "uniform"


def _choice(values: Iterable[Any]) -> Parameter:
    """One of some values of any type; Optuna stores only plain ones, so others are stored as JSON."""
    by_stored = {one if isinstance(one, (str, int, float)) else json.dumps(one): one for one in values}
    return Parameter(CategoricalDistribution([*by_stored]), by_stored.__getitem__, [*by_stored])


def _whole(spec: Spec) -> Parameter:
    low, high = spec["min"], spec["max"]
    return Parameter(IntDistribution(low, high), int, [*range(low, high + 1)])


def _steps(spec: Spec) -> Parameter:
    """Multiples of q between the ends."""
    step = spec.get("q", 1)
    low, high = math.ceil(spec["min"] / step), math.floor(spec["max"] / step)
    return Parameter(IntDistribution(low, high), lambda n: n * step, [*range(low, high + 1)])


def _rounded(spec: Spec, value: Callable[[float], float]) -> Callable[[float], float]:
    """The value, rounded to a multiple of q if the distribution has one."""
    step = spec.get("q", 1) if str(spec["distribution"]).startswith("q_") else None
    return value if step is None else lambda drawn: round(value(drawn) / step) * step


def _uniform(spec: Spec) -> Parameter:
    return Parameter(FloatDistribution(spec["min"], spec["max"]), float)


def _log(spec: Spec) -> Parameter:
    return Parameter(FloatDistribution(spec["min"], spec["max"], log=True), _rounded(spec, float))


def _log_of_exponents(spec: Spec) -> Parameter:
    """The ends are natural logarithms of the values."""
    return Parameter(FloatDistribution(spec["min"], spec["max"]), _rounded(spec, math.exp))


def _normal(spec: Spec) -> Parameter:
    """Optuna draws the quantile."""
    normal = NormalDist(spec.get("mu", 0.0), spec.get("sigma", 1.0))
    return Parameter(FloatDistribution(_TINY, 1 - _TINY), _rounded(spec, normal.inv_cdf))


def _log_normal(spec: Spec) -> Parameter:
    normal = NormalDist(spec.get("mu", 0.0), spec.get("sigma", 1.0))
    return Parameter(FloatDistribution(_TINY, 1 - _TINY), _rounded(spec, lambda at: math.exp(normal.inv_cdf(at))))


_KINDS: dict[str, Callable[[Spec], Parameter]] = {
    "constant": lambda spec: _choice([spec["value"]]),
    "categorical": lambda spec: _choice(spec["values"]),
    "int_uniform": _whole,
    "uniform": _uniform,
    "q_uniform": _steps,
    "log_uniform_values": _log,
    "q_log_uniform_values": _log,
    "log_uniform": _log_of_exponents,
    "q_log_uniform": _log_of_exponents,
    "normal": _normal,
    "q_normal": _normal,
    "log_normal": _log_normal,
    "q_log_normal": _log_normal,
}
