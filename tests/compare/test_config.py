"""Settings of a comparison: shipped files, and what is refused."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from semcomp_pl.cli.compare import parse
from semcomp_pl.codecs import best_at
from semcomp_pl.compare.config import LOAD, CodecEntry, sensible_references
from semcomp_pl.compare.measure.coders import Candidate, NoFileError
from semcomp_pl.compare.measure.panel import Panel
from semcomp_pl.compare.measure.recipe import Recipe, locate
from semcomp_pl.errors import SemcompError
from semcomp_pl.files.places import configs_root, find_model

SHIPPED = sorted((configs_root() / "compare").glob("*.yaml"))


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_comparisons_name_models_that_are_there(file: Path) -> None:
    settings, data, logger, _ = parse(["--config", str(file)])
    models = [one for one in settings.codecs if one.class_path == LOAD]
    assert all(find_model(one.init_args["model"]) for one in models)
    searched = [one for one in settings.codecs if one not in models]
    names = {one.codec or locate(one.class_path).__name__ for one in searched}
    whole = {"WebP", "AVIF", "JPEG", "JPEG 2000"}
    assert whole <= names or file.stem in {"meaning", "comma10k", "judges", "samples", "coclico"}, (
        "which ask one question only"
    )
    assert all(set(settings.targets) <= set(one.targets) for one in searched if one.best == "psnr" and not one.points)
    assert logger is None
    if file.stem == "samples":  # which `semcomp samples` writes, and nobody trains on
        return
    street = dict.fromkeys(("meaning", "judges", "coclico"), "camvid.yaml")
    name = {**street, "natural": "photos.yaml"}.get(file.stem, file.name)
    shared = yaml.safe_load((configs_root() / "data" / name).read_text())["data"]["source"]
    assert yaml.safe_load(file.read_text())["data"]["source"] == shared
    assert data.source.__class__.__name__ == shared["class_path"].rpartition(".")[2]


def test_comparisons_in_the_documents_can_be_made_again() -> None:
    recorded = sorted((configs_root().parent / "docs" / "results").glob("*/config.yaml"))
    assert recorded
    for file in recorded:
        settings, *_ = parse(["--config", str(file)])
        shipped, *_ = parse(["--config", str(configs_root() / "compare" / f"{file.parent.name}.yaml")])
        assert settings.codecs == shipped.codecs


@pytest.mark.parametrize(
    "given", ["--data=kodak", "--data kodak", "--data configs/data/kodak.yaml", "--config=configs/data/kodak.yaml"]
)
def test_shipped_data_are_found_from_anywhere(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings, data, *_ = parse(["a.ckpt", *given.split()])
    shipped = yaml.safe_load((configs_root() / "data" / "kodak.yaml").read_text())["data"]["source"]["init_args"]
    assert str(data.source.root) == shipped["root"]
    assert settings.codecs[0] == CodecEntry(LOAD, {"model": "a.ckpt"})


def test_flags_files_and_the_logger_of_training_are_merged(tmp_path: Path) -> None:
    flags = ["--data", "configs/data/kodak.yaml", "--config", "configs/logger/wandb.yaml", "--wandb.project", "x"]
    settings, data, logger, text = parse(["a.ckpt", "b.ckpt", *flags, "-o", "there", "--data.size", "[64, 64]"])
    models = [CodecEntry(LOAD, {"model": name}) for name in ("a.ckpt", "b.ckpt")]
    assert settings.codecs == [*models, *sensible_references()]
    assert (settings.output, settings.wandb.project, data.size) == ("there", "x", (64, 64))
    assert type(logger).__name__ == "WandbLogger"
    (tmp_path / "again.yaml").write_text(text)
    again, *_ = parse(["--config", str(tmp_path / "again.yaml")])
    assert replace(again, paths=settings.paths) == settings
    assert yaml.safe_load(text)["paths"] == []


def test_models_on_the_command_line_join_the_codecs_of_a_config(tmp_path: Path) -> None:
    own = [{"class_path": "semcomp_pl.codecs.JPEG", "points": [{"quality": 10}]}]
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"codecs": own}))
    settings, *_ = parse(["a.ckpt", "--data", "configs/data/kodak.yaml", "--config", str(tmp_path / "own.yaml")])
    assert [one.class_path for one in settings.codecs] == [LOAD, "semcomp_pl.codecs.JPEG"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "no codec found to compare"),
        (["m", "--workers", "-1"], "workers=-1 found"),
        (["m", "--targets", "[0]"], "expected some bits per pixel above 0"),
        (["m", "--targets", "[]"], "expected some bits per pixel above 0"),
        (["m", "--seed", "-1"], "seed=-1 found"),
        (["m", "--device", "cuda"], "expected workers=0"),
        (["m", "--metrics", "[beauty]"], "beauty"),
        (["m", "--jugde", "x"], "did you mean judge"),
        (["--codecs", "[{class_path: a.B, targets: [0]}]"], "expected some bits per pixel above 0"),
        (["--codecs", "[{class_path: a.B, targets: [1], labels: 'true'}]"], "targets found for an oracle"),
        (["--codecs", "[{class_path: a.B, quality: 3}]"], "quality: Unexpected keyword argument"),
        (["--codecs", "[{model: a.ckpt}]"], "class_path: Field required"),
        (["--codecs", "[{class_path: a.B, labels: mine}]"], "labels: Input should be 'own' or 'true'"),
        (["m", "--references", "[{format: WebP}]"], "references"),
    ],
)
def test_bad_settings_are_one_clear_error(flags: list[str], said: str) -> None:
    with pytest.raises(SemcompError, match=said):
        parse([*flags, "--data", "configs/data/kodak.yaml"])


@pytest.mark.parametrize("kind", ["WebP", "AVIF", "OptimizedJPEG", "JPEG2000"])
def test_a_searched_file_is_decoded_from_its_bytes_alone(kind: Any, rng: Any) -> None:
    """By another instance, which was not told the downscale that the search chose."""
    pixels = torch.from_numpy(rng.integers(0, 256, (3, 12, 16))).repeat_interleave(8, 1).repeat_interleave(8, 2)
    image = pixels.float() / 255
    targets = {"0.3 bpp": 0.3, "1 bpp": 1.0, "8 bpp": 8.0}
    given = Candidate(kind, "reference", targets, Recipe(f"semcomp_pl.codecs.{kind}", {}))
    sender, receiver = given.coder("cpu", Panel([], "cpu")), given.coder("cpu", Panel([], "cpu"))
    sizes = []
    for point, target in targets.items():
        with suppress(NoFileError):
            data = sender.encoder(point, image, None)()
            sizes.append(len(data))
            assert 8 * len(data) <= target * 96 * 128
            expected = best_at(image, target, locate(f"semcomp_pl.codecs.{kind}"))
            assert expected is not None
            assert torch.equal(receiver.decode(data), expected.reconstruction)
    assert len(sizes) >= 2
