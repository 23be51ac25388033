"""What docs/codecs.md shows: its YAML is a comparison, and each codec of it codes."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from semcomp_pl.cli.compare import parse
from semcomp_pl.codecs import CommandCodec
from semcomp_pl.compare.measure.recipe import Recipe
from tests.codecs.test_pillow import scene

DOCS = Path(__file__).parents[2] / "docs"
ENTRIES: list[dict[str, Any]] = yaml.safe_load((DOCS / "examples" / "outside.yaml").read_text())["codecs"]


def test_the_example_is_a_comparison() -> None:
    settings, *_ = parse(["--config", str(DOCS / "examples" / "outside.yaml")])
    assert [entry.class_path for entry in settings.codecs] == [entry["class_path"] for entry in ENTRIES]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.get("codec", entry["class_path"]))
def test_each_codec_of_the_example_codes(entry: dict[str, Any]) -> None:
    arguments = entry.get("init_args", {})
    program = arguments.get("encode", "true").split()[0]
    if shutil.which(program) is None:
        pytest.skip(f"no {program}; apt-get install webp libavif-bin")
    recipe = Recipe(entry["class_path"], arguments, (str(DOCS / "examples"),))
    sizes = []
    for point in entry.get("points", [{"quality": 50}, {"quality": 0}]):
        data = recipe.codec(**point).compress(scene(193, 320))
        image = recipe.codec(**point).decompress(data)
        assert image.shape == (3, 193, 320)
        assert (image - scene(193, 320)).abs().mean() < 0.1
        assert torch.equal(image, image.clamp(0, 1))
        sizes.append(len(data))
    assert sizes == sorted(sizes, reverse=True)


def test_the_templates_of_the_document_are_complete() -> None:
    blocks = (DOCS / "codecs.md").read_text().split("```yaml\n")[1:]
    entries = [yaml.safe_load(block.partition("```")[0])[0] for block in blocks]
    assert [CommandCodec(**entry["init_args"]).label for entry in entries] == ["cwebp", "sh", "python"]
