"""Where models and runs are found, and where new runs go."""

from pathlib import Path

import pytest

from semcomp_pl.errors import SemcompError
from semcomp_pl.files.places import (
    claim_run,
    find_checkpoint,
    find_model,
    find_source,
    is_first_process,
    release_run,
    released,
    run_of_checkpoint,
    snake_case,
)


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is here."""
    monkeypatch.chdir(tmp_path)


def touch(name: str) -> Path:
    file = Path(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    return file


def test_the_nearest_of_one_name_is_found_first() -> None:
    clone = released().get("rate_distortion")
    if clone is not None:
        assert find_model("rate_distortion") == clone
    for file, found in (
        ("runs/rate_distortion/checkpoints/best.ckpt", "runs/rate_distortion/checkpoints/best.ckpt"),
        ("weights/rate_distortion/manifest.json", "weights/rate_distortion"),
        ("rate_distortion/checkpoints/best.ckpt", "rate_distortion/checkpoints/best.ckpt"),
    ):
        touch(file)
        assert find_model("rate_distortion") == Path(found)


def test_names_with_a_slash_are_paths_only() -> None:
    touch("runs/mine/checkpoints/best.ckpt")
    assert find_model("mine").is_file()
    with pytest.raises(SemcompError, match=r"\./mine: no such model; expected a checkpoint"):
        find_model("./mine")


def test_a_directory_that_is_no_model_does_not_hide_one() -> None:
    touch("data/x/notes.txt")
    touch("weights/x/manifest.json")
    Path("x").mkdir()
    assert find_model("x") == Path("weights/x")
    assert find_source("x") == Path("weights/x")


def test_directories_of_runs_need_no_checkpoint_yet() -> None:
    touch("runs/mine/config.yaml")
    assert find_source("mine") == find_source("runs/mine") == Path("runs/mine")
    with pytest.raises(SemcompError, match="mine: no such model"):
        find_model("mine")
    with pytest.raises(SemcompError, match="other: no such model"):
        find_source("other")


def test_a_misspelt_name_is_set_right() -> None:
    touch("runs/street_gan/config.yaml")
    touch("weights/street_codec/manifest.json")
    for given, meant in {
        "stret_gan": "street_gan",
        "runs/street_gam": "street_gan",
        "streetcodec": "street_codec",
    }.items():
        with pytest.raises(SemcompError, match=rf"{given}: no such model; .*; did you mean {meant}\?"):
            find_model(given)


def test_a_run_that_was_not_validated_yet_says_what_there_is() -> None:
    last = touch("runs/mine/checkpoints/last.ckpt")
    with pytest.raises(SemcompError, match=f"mine: a run without a validated checkpoint .* found; name {last}"):
        find_model("mine")


def test_checkpoints_of_a_run_by_their_role() -> None:
    run = Path("runs/mine")
    with pytest.raises(SemcompError, match=r"no checkpoint to resume or to load in runs/mine/checkpoints: last\.ckpt"):
        find_checkpoint("last", run)
    last = touch("runs/mine/checkpoints/last.ckpt")
    assert find_checkpoint("last", run) == last
    assert find_checkpoint(str(last), Path("runs/other")) == last
    assert run_of_checkpoint(str(last)) == run
    assert run_of_checkpoint("last.ckpt") is None


def test_runs_of_one_name_are_numbered_and_explicit_names_are_taken_once() -> None:
    names = []
    for _ in range(3):
        names.append(claim_run(Path("runs"), "gan", explicit=False).name)
        touch(f"runs/{names[-1]}/metrics.csv")
        release_run()
    assert names == ["gan", "gan-2", "gan-3"]
    with pytest.raises(SemcompError, match="this run exists; choose another --name"):
        claim_run(Path("runs"), "gan", explicit=True)


def test_a_run_without_any_training_gives_its_name_back() -> None:
    run = claim_run(Path("runs"), "gan", explicit=True)
    touch(str(run / "config.yaml"))
    release_run()
    assert not run.exists()
    assert claim_run(Path("runs"), "gan", explicit=True) == run
    release_run()


@pytest.mark.parametrize(
    ("variables", "first"),
    [
        ({}, True),
        ({"RANK": "0", "LOCAL_RANK": "0", "GROUP_RANK": "0"}, True),
        ({"RANK": "2", "LOCAL_RANK": "0", "GROUP_RANK": "1"}, False),
        ({"RANK": "0", "LOCAL_RANK": "0", "SLURM_PROCID": "1"}, True),  # torchrun numbers machines in its own way
        ({"SLURM_PROCID": "0", "SLURM_LOCALID": "0"}, True),
        ({"SLURM_PROCID": "4", "SLURM_LOCALID": "0"}, False),
        ({"LOCAL_RANK": "1", "NODE_RANK": "0"}, False),
        ({"NODE_RANK": "1"}, False),
    ],
)
def test_only_the_first_process_of_a_launcher_claims_a_run(
    variables: dict[str, str], first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert is_first_process() == first
    run = claim_run(Path("runs"), "gan", explicit=True)
    assert run == Path("runs/gan")
    assert run.is_dir() == first
    touch("runs/gan/config.yaml")
    with pytest.raises(SemcompError, match="this run exists; choose another --name"):
        claim_run(Path("runs"), "gan", explicit=True)
    release_run()
    assert run.is_dir() != first


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("semcomp_pl.modules.PlainGAN", "plain_gan"),
        ("SemanticDistortionGAN", "semantic_distortion_gan"),
        ("a.b.C", "c"),
    ],
)
def test_runs_are_named_after_their_models(path: str, name: str) -> None:
    assert snake_case(path) == name
