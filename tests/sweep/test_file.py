"""Parameters as W&B describes them, and the figure of a sweep."""

import math
from itertools import product
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from semcomp_pl.cli.sweep import data_arguments
from semcomp_pl.errors import SemcompError
from semcomp_pl.sweep.budget import Budget
from semcomp_pl.sweep.names import run_name
from semcomp_pl.sweep.pareto import front
from semcomp_pl.sweep.study import sampled
from tests.sweep.drive import a_sweep


def drawn(spec: dict[str, Any], count: int = 200) -> list[Any]:
    """What random search gives the runs."""
    sweep = a_sweep(method="random", parameters={"x": spec})
    return [sweep.values(point)["x"] for point in sampled(sweep, count, seed=0)]


@pytest.mark.parametrize(
    ("spec", "of_uniform"),
    [
        ({"min": 2.0, "max": 6.0}, lambda x: (x - 2) / 4),
        ({"min": math.log(1e-5), "max": 0.0, "distribution": "log_uniform"}, lambda x: math.log(x) / math.log(1e5) + 1),
        ({"min": 1e-5, "max": 1.0, "distribution": "log_uniform_values"}, lambda x: math.log(x) / math.log(1e5) + 1),
        ({"mu": 3.0, "sigma": 2.0, "distribution": "normal"}, NormalDist(3, 2).cdf),
        ({"mu": 1.0, "sigma": 0.5, "distribution": "log_normal"}, lambda x: NormalDist(1, 0.5).cdf(math.log(x))),
    ],
    ids=lambda value: value.get("distribution", "uniform") if isinstance(value, dict) else "",
)
def test_a_distribution_is_what_its_name_says(spec: dict[str, Any], of_uniform: Any) -> None:
    """Through its distribution function, values become uniform: 99.9 % of such samples pass (Kolmogorov-Smirnov)."""
    quantiles = np.sort([of_uniform(x) for x in drawn(spec)])
    assert np.abs(quantiles - (np.arange(200) + 0.5) / 200).max() < 1.95 / math.sqrt(200)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"min": 3, "max": 6}, {3, 4, 5, 6}),
        ({"min": 0.1, "max": 0.5, "q": 0.2, "distribution": "q_uniform"}, {0.2, 0.4}),
        ({"values": [True, "a", 2, 0.5, [1, 2], {"b": None}]}, {"True", "a", "2", "0.5", "[1, 2]", "{'b': None}"}),
        ({"value": 7}, {7}),
        ({"min": 1, "max": 9, "q": 4, "distribution": "q_log_uniform_values"}, {0, 4, 8}),
        ({"mu": 0, "sigma": 1, "q": 100, "distribution": "q_normal"}, {0}),
    ],
)
def test_discrete_values(spec: dict[str, Any], expected: set[Any]) -> None:
    found = drawn(spec)
    assert {type(next(iter(expected)))(x) for x in found} == expected
    if "log" not in str(spec.get("distribution")) and "normal" not in str(spec.get("distribution")):
        assert len(found) == len(expected)  # random search tries nothing twice


def test_a_grid_is_run_in_the_order_of_its_lists() -> None:
    sweep = a_sweep(parameters={"a": {"values": ["x", "y"]}, "b": {"min": 1, "max": 3}, "c": {"value": [0.5]}})
    expected = [{"a": a, "b": b, "c": [0.5]} for a, b in product(["x", "y"], [1, 2, 3])]
    assert [sweep.values(point) for point in sweep.grid()] == expected
    names = [run_name(number, sweep.varied(point)) for number, point in enumerate(sweep.grid())]
    assert names[3] == "003-a=y-b=1"
    assert (
        run_name(7, {"model": "a/b c", "seed_everything": 2, "model.learning_rate": 1e-4})
        == "007-a-b-c-seed=2-learning_rate=0.0001"
    )
    assert Path(run_name(7, {"model.x": "y" * 500})).name.startswith("007-x=yyy")


def test_variables_of_the_environment_are_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", "/data")
    sweep = a_sweep(command=["semcomp", "fit", "--root=${envvar:PLACE}/x", "${args}"])
    assert sweep.command({"quality": 1}).args == ["fit", "--root=/data/x", "--quality=1"]


@pytest.mark.parametrize("maximize", [True, False])
def test_the_front_is_what_nothing_dominates(maximize: bool) -> None:
    points = [(float(a), float(b)) for a, b in np.random.default_rng(0).integers(0, 12, (40, 2))]
    sign = 1 if maximize else -1
    kept = {
        (rate, value)
        for rate, value in points
        if not any((r <= rate and sign * v >= sign * value) and (r, v) != (rate, value) for r, v in points)
    }
    assert front(points, maximize) == sorted(kept)


def test_time_is_divided_equally_among_rounds() -> None:
    budget = Budget(minutes=30, reserve=60, workers=8, left=21, before=None)
    assert 520 <= budget.share <= 540  # three rounds of ten minutes
    given = [budget.next(waiting) for waiting in range(21, 0, -1)]
    assert len(set(given)) == 1
    budget.learn(seconds=budget.share + 90, given=budget.share)
    assert budget.next(21) is not None
    assert budget.next(21) < given[0]  # type: ignore[operator]
    assert Budget(30, 60, 8, 21, before=100).share == 100
    with pytest.raises(SemcompError, match="60 s in 3 rounds"):
        Budget(1, 60, 8, 21, before=None)
    assert Budget(2, 60, 8, 21, before=30).share == 30  # in three rounds there is no time to train, in one there is


def test_when_not_all_fit_any_more_some_get_what_those_before_them_got() -> None:
    budget = Budget(minutes=30, reserve=20, workers=1, left=21, before=None)
    first = budget.next(21)
    assert first is not None
    budget.learn(seconds=first.total_seconds() + 200, given=first.total_seconds())
    assert budget.next(20) == first  # 20 reserves of 200 s are more than 30 minutes
    budget.learn(seconds=first.total_seconds() + 1780, given=first.total_seconds())
    assert budget.next(20) is None


def test_the_comparison_of_a_sweep_names_the_data_of_its_trainings() -> None:
    words = ["fit", "--config", "configs/data/idd_lite.yaml", "--data.source.root=/somewhere/data/idd", "--name=x"]
    expected = ["--config", "configs/compare/idd_lite.yaml", "--data.source.root=/somewhere/data/idd"]
    found = data_arguments(words)
    assert found[0] == expected[0]
    assert Path(found[1]).samefile(expected[1])
    assert found[2:] == expected[2:]
    assert data_arguments(words[:1] + words[3:]) == expected[2:]
    apart = ["fit", "--data.source.root", "/somewhere/data/idd", "--data.resident", "--name", "x"]
    assert data_arguments(apart) == ["--data.source.root=/somewhere/data/idd", "--data.resident"]
