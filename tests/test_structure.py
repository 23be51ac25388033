"""What may import what, and how long things may be."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "semcomp_pl"
FILES = sorted(PACKAGE.rglob("*.py"))
PARTS = ("nets", "losses", "coding", "codecs", "metrics", "data")


def name(file: Path) -> str:
    return str(file.relative_to(PACKAGE.parent))


def imports(file: Path) -> Iterator[str]:
    """Dotted names of all that a file imports, wherever in it; `from a import b` counts as a.b."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(file)}: relative import in line {node.lineno}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def of(*parts: str) -> list[Path]:
    return [file for file in FILES if file.relative_to(PACKAGE).parts[0] in parts]


@pytest.mark.parametrize("file", of(*PARTS), ids=name)
def test_parts_do_not_import_modules(file: Path) -> None:
    found = [target for target in imports(file) if target.startswith("semcomp_pl.modules")]
    assert found == []


@pytest.mark.parametrize("file", of("nets", "losses", "coding"), ids=name)
def test_networks_losses_and_coding_do_not_import_lightning(file: Path) -> None:
    assert [target for target in imports(file) if target.partition(".")[0] in {"lightning", "pytorch_lightning"}] == []


@pytest.mark.parametrize("file", of("coding"), ids=name)
def test_coding_does_not_import_torch(file: Path) -> None:
    assert [target for target in imports(file) if target.partition(".")[0] in {"torch", "torchvision"}] == []


@pytest.mark.parametrize("file", FILES, ids=name)
def test_sizes(file: Path) -> None:
    source = file.read_text()
    assert len(source.splitlines()) <= (150 if file.name == "adversarial.py" else 350)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < 60, f"{node.name} has more than 60 lines"


def test_rules_see_imports_inside_functions(tmp_path: Path) -> None:
    file = tmp_path / "late.py"
    file.write_text("import a.b\ndef f():\n    from semcomp_pl.modules import PlainGAN\n    from c import d as e\n")
    assert set(imports(file)) == {"a.b", "semcomp_pl.modules.PlainGAN", "c.d"}
