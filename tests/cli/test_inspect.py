"""What a file is made of, without any model."""

import json
from pathlib import Path

import pytest

from semcomp_pl.coding.container import parse
from tests.cli.common import FILES, Run

CODERS = {"latent": ["uniform", "static", "context"], "labels": ["uniform", "mixed"]}


def test_inspect_shows_every_part_and_vouches_for_structure_only(run: Run) -> None:
    file = FILES / "conditional_gan_whole.smc"
    status, said, _ = run("inspect", str(file))
    assert status == 0
    assert "Structure only" in said
    lines = {line.split()[0]: line.split() for line in said.splitlines()[1:]}
    for section in parse(file.read_bytes()).sections:
        name = section.kind.name.lower()
        assert int(lines[name][1]) == len(section.data)
        assert lines[name][-1] == CODERS[name][section.coder]
    status, said, _ = run("inspect", str(file), "--json")
    found = json.loads(said)
    assert found["bytes"] == file.stat().st_size == sum(part["bytes"] for part in found["parts"].values())
    assert found["bpp"] == pytest.approx(8 * file.stat().st_size / (64 * 96))
    assert found["parts"].keys() == {"header", "labels", "latent"}
    assert found["model"] == parse(file.read_bytes()).model.hex()
    assert len(run("inspect", str(FILES), "--json")[1].splitlines()) == len(list(FILES.glob("*.smc")))


@pytest.mark.parametrize("data", [b"", b"text", b"\x8dS\x1f", b"\x8dS\x2f" + bytes(30)])
def test_inspect_refuses_what_is_no_file_of_ours(run: Run, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.smc").write_bytes(data)
    status, said, errors = run("inspect", "a.smc", "--json")
    assert (status, said) == (3, "")
    assert errors.startswith("error: a.smc: ")
