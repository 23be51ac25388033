"""What docs/data.md shows: every command parses with the files beside it, and all keys of its YAML are real ones."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from semcomp_pl.cli import main
from semcomp_pl.files.places import configs_root

TEXT = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
BLOCKS: list[tuple[str, str]] = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
FILES = {text.split()[1]: text for kind, text in BLOCKS if kind == "yaml" and text.startswith("# ")}
LINES = [line for kind, text in BLOCKS if kind == "sh" for line in text.replace("\\\n", "").splitlines()]
COMMANDS = [line for line in LINES if ".help" not in line]


@pytest.fixture
def parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], dict[str, Any]]:
    """What a command parses to, in a directory with the page's files."""
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        Path(name).write_text(text)

    def run(line: str) -> dict[str, Any]:
        program, *words = shlex.split(line)
        assert program == "semcomp"
        with pytest.raises(SystemExit) as stop:
            main([*words, "--print_config"])
        assert stop.value.code == 0
        found: dict[str, Any] = yaml.safe_load(capsys.readouterr().out)
        return found

    return run


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_parse(line: str, parsed: Callable[[str], dict[str, Any]]) -> None:
    assert parsed(line)["data"]["source"]["class_path"].startswith("semcomp_pl.data.")


def test_help_shows_the_arguments_of_a_source(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = set(LINES) - set(COMMANDS)
    with pytest.raises(SystemExit):
        main(shlex.split(line)[1:])
    said = capsys.readouterr().out
    for text in BLOCKS[0][1], next(text for name, text in FILES.items() if name == "labelled.yaml"):
        shown = yaml.safe_load(text)["data"]["source"]["init_args"]
        assert all(f"--data.source.{name} " in said for name in shown)


def test_flags_change_one_source(parsed: Callable[[str], dict[str, Any]]) -> None:
    (roots,) = (line for line in COMMANDS if "sources.mine.root" in line)
    found = parsed(roots)["data"]["source"]["init_args"]
    assert {name: source["init_args"]["root"] for name, source in found["sources"].items()} == {
        "streets": "data/idd_lite",
        "mine": str(Path("~/photos").expanduser()),
    }
    assert found["shares"] == {"streets": 3, "mine": 2}


def test_the_mapping_is_part_of_the_shipped_one() -> None:
    (text,) = [text for kind, text in BLOCKS if kind == "yaml" and not text.startswith("# ")]
    shown = yaml.safe_load(text)
    shipped = yaml.safe_load((configs_root() / "data" / "streets7.yaml").read_text())["data"]["source"]["init_args"]
    assert shown["classes"] == shipped["classes"]
    assert shown["mapping"]["camvid"].items() <= shipped["mapping"]["camvid"].items()
