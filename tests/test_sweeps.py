"""Every command of every sweep goes through the real parser, and is what W&B would run."""

import shlex
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from semcomp_pl.cli import main
from semcomp_pl.files.places import configs_root, released, snake_case
from tests.lab import CODECS, LABELLED

SWEEPS = sorted((Path(__file__).parents[1] / "sweeps").glob("*.yaml"))


def commands(sweep: dict[str, Any]) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """The grid's points, each with what follows `python -m semcomp_pl`, formatted by W&B's own functions."""
    macros = {"${env}": ["/usr/bin/env"], "${interpreter}": ["python"]}
    names = list(sweep["parameters"])
    for values in product(*(sweep["parameters"][name]["values"] for name in names)):
        point = dict(zip(names, values, strict=True))
        arguments = create_sweep_command_args({"args": {name: {"value": value} for name, value in point.items()}})
        filled = macros | {"${args}": arguments["args"]}
        words = [word for part in create_sweep_command(list(sweep["command"])) for word in filled.get(part, [part])]
        assert words[:4] == ["/usr/bin/env", "python", "-m", "semcomp_pl"]
        yield point, words[4:]


def parsed(command: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    """The configuration that the command line would train with."""
    with pytest.raises(SystemExit) as stop:
        main([*command, "--print_config"])
    assert stop.value.code == 0
    return yaml.safe_load(capsys.readouterr().out)


@pytest.mark.parametrize("file", SWEEPS, ids=lambda file: file.stem)
def test_points_of_the_grid_reach_the_configuration(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points = list(commands(yaml.safe_load(file.read_text())))
    assert len(points) >= 9
    for point, command in (points[0], points[len(points) // 2], points[-1]):
        config = parsed(command, capsys)
        model = point.pop("model", None)
        assert model is None or snake_case(config["model"]["class_path"]) == model
        assert config["seed_everything"] == point.pop("seed_everything", 0)
        for name, value in point.items():
            assert config["model"]["init_args"][name.removeprefix("model.")] == value
        assert config["trainer"]["logger"]["class_path"].endswith("WandbLogger")


@pytest.mark.parametrize("file", SWEEPS, ids=lambda file: file.stem)
def test_the_suite_runs_the_commands_that_an_agent_would_run(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All of them, after they went through the real parser."""
    assert main(["sweep", str(file), "--dry-run", "--wandb=true", "--trainer.max_epochs=7"]) == 0
    planned = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
    asked = [command for _, command in commands(yaml.safe_load(file.read_text()))]
    assert [[word for word in line[4:-3] if word != "--trainer.max_epochs=7"] for line in planned] == asked
    assert all("--trainer.max_epochs=7" in line for line in planned)


def test_a_study_gives_every_model_what_it_has_arguments_for(capsys: pytest.CaptureFixture[str]) -> None:
    points = commands(yaml.safe_load((SWEEPS[0].parent / "models.yaml").read_text()))
    configs = {point["model"]: parsed(command, capsys) for point, command in points if point["seed_everything"] == 0}
    # CoCliCo's flow starts from no other model, and learns for longer
    assert {*CODECS} & released().keys() - {"coclico"} <= configs.keys() <= {*CODECS}
    shared = yaml.safe_load((configs_root() / "study" / "camvid.yaml").read_text())
    for name, config in configs.items():
        given = config["model"]["init_args"]
        for key, value in shared["model"]["init_args"].items():
            assert given.get(key, value) == (None if (name, key) == ("layered_codec", "init_from") else value)
        assert ("segmenter" in given) == (name in {*LABELLED, "semantic_distortion_gan"})
        assert shared["trainer"].items() <= config["trainer"].items()
        assert shared["data"].items() <= config["data"].items()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data.flip", False),
        ("data.size", [64, 128]),
        ("data.source.init_args", {"seed": 3}),
        ("model.betas", [0.5, 0.9]),
    ],
    ids=["bool", "list", "dict", "tuple"],
)
def test_other_types_survive_the_text(name: str, value: Any, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = yaml.safe_load(SWEEPS[0].read_text()) | {"parameters": {name: {"values": [value]}}}
    ((_, command),) = commands(sweep)
    config = parsed(command, capsys)
    found = config["data"] if name.startswith("data") else config["model"]["init_args"]
    for key in name.split(".")[1:]:
        found = found[key]
    assert found == value if not isinstance(value, dict) else value.items() <= found.items()


@pytest.mark.parametrize("name", ["model.filters", "model.init_from"])
def test_null_is_refused_with_advice(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = yaml.safe_load(SWEEPS[0].read_text()) | {"parameters": {name: {"values": [None]}}}
    ((_, command),) = commands(sweep)
    assert main(command) == 2
    assert f"--{name}=None" in (error := capsys.readouterr().err)
    assert "give a number" in error
