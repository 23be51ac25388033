"""Settings of a comparison: shipped files, and what is refused."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from semcomp_pl.compare.config import Reference, parse
from semcomp_pl.compare.measure.coders import ReferenceCoder
from semcomp_pl.errors import SemcompError
from semcomp_pl.files.places import configs_root, find_model

SHIPPED = sorted((configs_root() / "compare").glob("*.yaml"))


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_comparisons_name_models_that_are_there(file: Path) -> None:
    settings, data, logger, _ = parse(["--config", str(file)])
    assert all(find_model(one.model) for one in settings.codecs)
    whole = {"WebP", "AVIF", "JPEG", "JPEG 2000"}
    references = {one.codec or one.format for one in settings.references}
    assert whole <= references or file.stem in {"meaning", "comma10k"}, "which ask one question only"
    assert all(set(settings.targets) <= set(one.targets) for one in settings.references)
    assert logger is None
    name = "camvid.yaml" if file.stem == "meaning" else file.name
    shared = yaml.safe_load((configs_root() / "data" / name).read_text())["data"]["source"]
    assert yaml.safe_load(file.read_text())["data"]["source"] == shared
    assert data.source.__class__.__name__ == shared["class_path"].rpartition(".")[2]


def test_flags_files_and_the_logger_of_training_are_merged(tmp_path: Path) -> None:
    flags = ["--data", "configs/data/kodak.yaml", "--config", "configs/logger/wandb.yaml", "--wandb.project", "x"]
    settings, data, logger, text = parse(["a.ckpt", "b.ckpt", *flags, "-o", "there", "--data.size", "[64, 64]"])
    assert [one.model for one in settings.codecs] == ["a.ckpt", "b.ckpt"]
    assert (settings.output, settings.wandb.project, data.size) == ("there", "x", (64, 64))
    assert len(settings.references) == 4
    assert type(logger).__name__ == "WandbLogger"
    (tmp_path / "again.yaml").write_text(text)
    again, *_ = parse(["--config", str(tmp_path / "again.yaml")])
    assert again == settings


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
        (["--references", "[{format: WebP}]"], "without targets or points"),
        (["--references", "[{format: WebP, quality: 3}]"], "quality"),
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
    given = Reference(kind, targets=[0.3, 1.0, 8.0], points=[(2.5, 30)])
    sender, receiver = ReferenceCoder(given), ReferenceCoder(given)
    sizes = []
    for point in sender.points:
        with suppress(SemcompError):  # no file is as small
            data = sender.encoder(point, image, None)()
            sizes.append(len(data))
            assert torch.equal(receiver.decode(point, data), sender.decode(point, data))
    assert len(sizes) >= 2
