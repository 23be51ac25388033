"""fit, validate, test and predict from outside: what they refuse, and what they leave in a run's directory."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import wandb
import yaml
from PIL import Image

from semcomp_pl.checkpoints.loading import load, load_segmenter
from semcomp_pl.cli import main
from semcomp_pl.errors import SemcompWarning
from semcomp_pl.files.places import configs_root
from tests.cli.common import GAN, data_flags
from tests.lab import HEIGHT, SEGMENTERS, WIDTH
from tests.offline import read_offline

CONFIGS = {
    kind: sorted(f"configs/{kind}/{file.name}" for file in (configs_root() / kind).glob("*.yaml"))
    for kind in ("data", "logger", "model", "size", "trainer")
}
CODECS = [file for file in CONFIGS["model"] if Path(file).stem not in SEGMENTERS]
MODELS = ", ".join(Path(file).stem for file in CONFIGS["model"][:2])
"""How a list of all models starts."""
STREETS, PLAIN = "configs/data/streets.yaml", "configs/model/plain_gan.yaml"


def fit(*configs: str) -> list[str]:
    return ["fit", *(word for config in configs for word in ("--config", config))]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[[list[str]], str]:
    """Run a command that must fail for its usage; the message."""

    def run(args: list[str]) -> str:
        assert main(args) == 2
        *_, message = capsys.readouterr().err.splitlines()
        assert message.startswith("error: ")
        return message

    return run


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Callable[[list[str]], str]:
    """What `--print_config` makes of a command."""

    def run(args: list[str]) -> str:
        with pytest.raises(SystemExit) as stop:
            main([*args, "--print_config"])
        assert stop.value.code == 0
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--model.filtres=3"], "'filtres' is not accepted; did you mean filters?"),
        (["--trainer.max_epoch=3"], "--trainer.max_epoch=3; did you mean trainer.max_epochs?"),
        (["--data.source.rot=x"], "'rot' is not accepted; did you mean root?"),
        (["--model.filters=many"], "key \"filters\": Expected a <class 'int'>. Got value: many"),
        (["--model.class_path=semcomp_pl.modules.PlainGan"], "no attribute 'PlainGan'; did you mean PlainGAN?"),
        (["--model.class_path=semcomp_pl.modules.PlainGan"], "error: --model: Problem with given class_path"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (["--model=PlainGan"], f"--model PlainGan: no such name, expected one of {MODELS}, "),
        (["--model=PlainGan"], "did you mean PlainGAN?"),
        (["--model=plain_gam"], "did you mean plain_gan?"),
        (["--model=plain-gan"], "did you mean plain_gan?"),
        (["--model=Mine"], "semantic_distortion_gan; a model of your own needs --import MODULE"),
        (["--model=my.Mine"], "error: my.Mine: no module my is installed; name your own with --import"),
        (["--model.help=plain_gan"], "plain_gan: no such class, expected one of CoCliCo, "),
        (["--data.source.help", "folder"], "StreetScenes; did you mean Folder?"),
        (["--model.levels=1"], "levels=1 found"),
        (["--data.batch_size=0"], "data.batch_size=0 found, expected 1 or more; set --data.batch_size"),
        (["--data.num_workers=-1"], "data.num_workers=-1 found, expected 0 or more"),
        (["--data.size=[0,64]"], "data.size=(0, 64) found, expected 1 or more"),
        (["--trainer.precision=16-mixed"], "precision=16-mixed found, expected 32-true, bf16-mixed or auto"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_a_wrong_flag_is_named(
    args: list[str], message: str, refused: Callable[[list[str]], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in refused([*fit(STREETS, PLAIN), *args])
    assert list((tmp_path / "runs").glob("*")) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trainer: {max_epoch: 3}", "does not accept option 'trainer.max_epoch'; did you mean trainer.max_epochs?"),
        ("model: {init_args: {filtres: 3}}", "'filtres' is not accepted; did you mean filters?"),
        ("data: {sizes: [64, 64]}", "'data.sizes'; did you mean data.size?"),
        ("trainer: {max_epochs: [3", "Problems parsing config"),
    ],
    ids=["trainer", "model", "data", "not YAML"],
)
def test_a_wrong_key_in_a_file_is_named(
    text: str, message: str, refused: Callable[[list[str]], str], tmp_path: Path
) -> None:
    (tmp_path / "wrong.yaml").write_text(text)
    assert message in refused(fit(STREETS, PLAIN, str(tmp_path / "wrong.yaml")))


def test_what_is_missing_is_named(refused: Callable[[list[str]], str]) -> None:
    message = refused(fit("configs/trainer/cpu.yaml"))
    assert f"no model given; name one with --model ({MODELS}, " in message
    assert "no data given; name one with --data (camvid, " in message
    assert "--data streetz: no such name, expected" in refused(["compare", "rate_distortion", "--data=streetz"])
    assert refused(["compare", "rate_distortion"]).startswith("error: no data given; name one with --data (camvid, ")


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("flag", ["--trainer=gpu", "--trainer.accelerator=cuda"])
def test_without_a_gpu_the_way_to_train_is_named(
    flag: str, refused: Callable[[list[str]], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "but no GPU that torch can use; train on the CPU with --trainer=cpu" in refused([*fit(STREETS, PLAIN), flag])
    assert not list(tmp_path.iterdir())


RUN = ["--name NAME", "--data.source.help CLASS", "--data.batch_size", "--model.help CLASS", "--trainer.devices"]
COMPARISON = ["--config CONFIG", "--output OUTPUT", "--data.source.help CLASS", "--data.batch_size", "--wandb.project"]


@pytest.mark.parametrize(("command", "marks"), [("fit", RUN), ("test", RUN), ("compare", COMPARISON)])
def test_help_leads_with_the_suite_and_points_to_more(
    command: str, marks: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    said = capsys.readouterr().out
    places = [said.index(mark) for mark in [f"usage: semcomp {command}", *marks]]
    assert places == sorted(places)
    assert "weights_only" not in said


@pytest.mark.parametrize(
    "configs",
    [
        *((trainer, STREETS, PLAIN) for trainer in CONFIGS["trainer"]),
        *((data, PLAIN) for data in CONFIGS["data"]),
        *((STREETS, model) for model in CONFIGS["model"]),
        *((STREETS, model, size) for model in CODECS for size in CONFIGS["size"]),
        *((STREETS, PLAIN, logger) for logger in CONFIGS["logger"]),
    ],
    ids=lambda configs: "+".join(Path(config).stem for config in configs),
)
def test_every_config_prints_what_it_parses_to(
    configs: tuple[str, ...], printed: Callable[[list[str]], str], tmp_path: Path
) -> None:
    once = printed(fit(*configs))
    (tmp_path / "full.yaml").write_text(once)
    assert printed(fit(str(tmp_path / "full.yaml"))) == once
    whole = yaml.safe_load(once)
    for config in configs:
        assert contains(whole, yaml.safe_load((configs_root().parent / config).read_text()), configs[-1] == config)


def contains(whole: Any, part: Any, last: bool) -> bool:
    """Whether every key of `part` is in `whole`, with its value where no later file may have changed it."""
    if isinstance(part, dict):
        return all(key in whole and contains(whole[key], value, last) for key, value in part.items())
    return bool(whole == part) or not last


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_a_run_holds_all_that_test_needs(inside: Path) -> None:
    there = {file.name for file in (inside / "runs/run").iterdir()}
    assert {"config.yaml", "metrics.csv", "samples.png", "checkpoints"} <= there
    figures = []
    for _ in range(2):
        assert main(["test", "runs/run"]) == 0
        figures += rows(inside / "runs/run/test/metrics.csv")
    assert figures[0] == figures[1]
    validated = [row for row in rows(inside / "runs/run/metrics.csv") if row["val/psnr"]][-1]
    assert float(figures[0]["test/psnr"]) == pytest.approx(
        float(validated["val/psnr"]), abs=0.05
    )  # files are coded with half precision


def test_predict_writes_every_reconstruction(inside: Path) -> None:
    assert main(["predict", "runs/run"]) == 0
    assert sorted(file.stem for file in (inside / "runs/run/predict").glob("*.png")) == ["0", "1", "2"]


def test_an_export_is_tested_without_its_run(inside: Path) -> None:
    assert main(["export", "runs/run/checkpoints/best.ckpt", "exported"]) == 0
    assert main(["test", "exported", *data_flags("data")]) == 0
    (figures,) = rows(inside / "runs/exported/test/metrics.csv")
    validated = [row for row in rows(inside / "runs/run/metrics.csv") if row["val/psnr"]][-1]
    assert float(figures["test/psnr"]) == pytest.approx(float(validated["val/psnr"]), abs=0.05)  # half precision


def test_a_judge_of_other_classes_is_refused_before_any_work(inside: Path, refused: Callable[[list[str]], str]) -> None:
    message = refused(["test", "runs/run", "--model.judge=streets_linknet"])
    assert "streets_linknet: a judge of 19 classes found, the data have 4; name one" in message


def test_flags_come_before_what_a_checkpoint_says(inside: Path, refused: Callable[[list[str]], str]) -> None:
    assert "nowhere.ckpt: no such model" in refused(["test", "runs/run", "--model.judge=nowhere.ckpt"])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["fit", "--ckpt_path=last", "--name=none"], "no checkpoint to resume or to load in runs/none/checkpoints"),
        (["fit", "--ckpt_path=data"], "data: no such model; expected a checkpoint (.ckpt)"),
        (["fit", "--ckpt_path=runs/run/checkpoints/last.ckpt", "--model.filters=16"], "tensors do not fit PlainGAN"),
        (["test", "--ckpt_path=runs/run/checkpoints/last.ckpt", "--config", "configs/model/rate_distortion.yaml"], ""),
        (["fit", "--ckpt_path=last", "--name=run"], "finished, 2 epochs done with max_epochs=2"),
        (["test"], "no checkpoint to test"),
        (["fit", "--name=run"], "this run exists"),
    ],
    ids=["last with none", "directory", "other numbers", "other model", "finished", "no checkpoint", "name taken"],
)
def test_a_checkpoint_that_cannot_be_used(
    args: list[str], message: str, inside: Path, refused: Callable[[list[str]], str]
) -> None:
    tiny = [flag for flag in GAN if "discriminator" not in flag or "configs/model/rate_distortion.yaml" not in args]
    command = [args[0], "--config", PLAIN, *data_flags("data"), *tiny, *args[1:]]
    assert (message or "a PlainGAN found, expected a RateDistortion") in refused(command)


def test_a_resumed_run_goes_on_with_its_history(inside: Path) -> None:
    assert main([*fit(PLAIN), *data_flags("data"), *GAN, "--name=longer"]) == 0
    before = rows(inside / "runs/longer/metrics.csv")
    before_settings = yaml.safe_load((inside / "runs/longer/config.yaml").read_text())
    assert main(["fit", "runs/longer", "--trainer.max_epochs=3"]) == 0
    settings = yaml.safe_load((inside / "runs/longer/config.yaml").read_text())
    assert (settings["runs"], settings["name"]) == (before_settings["runs"], before_settings["name"])
    after = rows(inside / "runs/longer/metrics.csv")
    assert after[: len(before)] == before
    assert [row["epoch"] for row in after if row["val/psnr"]] == ["0", "1", "2"]


def test_a_run_that_never_trained_leaves_its_name_free(inside: Path, refused: Callable[[list[str]], str]) -> None:
    command = [*fit(PLAIN), *data_flags("data"), *GAN, "--name=free", "--model.init_from=nowhere.ckpt"]
    assert "nowhere.ckpt" in refused(command)
    assert not (inside / "runs/free").exists()


def test_runs_of_one_process_get_directories_of_their_own(inside: Path) -> None:
    command = [*fit(PLAIN), *data_flags("data"), *GAN, "--trainer.max_epochs=1"]
    assert main(command) == main(command) == 0
    one, other = (inside / "runs" / name / "checkpoints" / "last.ckpt" for name in ("plain_gan", "plain_gan-2"))
    times = [file.stat().st_mtime_ns for file in (one, other)]
    assert times == sorted(set(times)), "the second left the first alone"


def test_figures_travel_with_an_export(inside: Path) -> None:
    assert main(["test", "runs/run"]) == 0
    assert main(["export", "runs/run/checkpoints/best.ckpt", "figured"]) == 0
    (tested,) = rows(inside / "runs/run/test/metrics.csv")
    figures = json.loads((inside / "figured/figures.json").read_text())
    assert figures["test/psnr"] == float(tested["test/psnr"])
    assert figures["provenance"] == {}


@pytest.mark.slow
def test_figures_name_what_they_were_measured_with(inside: Path) -> None:
    segmenter = [*fit("configs/model/pspnet.yaml"), *data_flags("data"), "--trainer.max_epochs=1", "--name=judge"]
    assert main([flag for flag in segmenter if not flag.startswith("--entropy")]) == 0
    judge = "runs/judge/checkpoints/best.ckpt"
    flags = [f"--model.judge={judge}", f"--model.realism_judge={'runs/run/checkpoints/best.ckpt'}"]
    with pytest.warns(
        SemcompWarning, match="lpips is left out: .*alexnet-owt-7be5be79.pth: no such weights; fetch http"
    ):
        assert main(["test", "runs/run", *flags, "--model.metrics=[feature_distance,lpips]"]) == 0
    (tested,) = rows(inside / "runs/run/test/metrics.csv")
    named = {"miou", "miou_agreement", "accuracy", "miou_ceiling", "miou_ratio", "feature_distance", "discriminator_fm"}
    assert {f"test/{name}" for name in named} < {name for name, value in tested.items() if value}
    assert "test/lpips" not in tested
    found = json.loads((inside / "runs/run/test/provenance.json").read_text())
    assert found.keys() == {"judge", "discriminator_fm", "feature_distance"}
    assert found["judge"]["fingerprint"] == load_segmenter(judge).fingerprint().hex()
    assert found["judge"]["input_size"] == [HEIGHT, WIDTH]
    assert found["feature_distance"]["resolutions"] == [f"{WIDTH}x{HEIGHT}"]


def test_an_unknown_metric_is_named(refused: Callable[[list[str]], str]) -> None:
    assert "metrics" in refused([*fit(STREETS, PLAIN), "--model.metrics=[fidd]"])


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """W&B without a network; its service takes relative paths from where it was started, so no test may inherit one."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    wandb.teardown()
    yield
    wandb.teardown()


@pytest.mark.slow
@pytest.mark.usefixtures("offline")
def test_one_run_in_wandb_holds_settings_training_files_and_test(inside: Path) -> None:
    flags = [*data_flags("data"), *GAN, "--name=tracked", "--monitor=val/psnr", "--model.learning_rate=2e-3"]
    assert main([*fit(PLAIN, "configs/logger/wandb.yaml"), *flags]) == 0
    assert main(["test", "runs/tracked"]) == 0
    history, (tested,) = rows(inside / "runs/tracked/metrics.csv"), rows(inside / "runs/tracked/test/metrics.csv")
    fitted, measured = read_offline(inside / "runs/tracked")
    assert fitted.id == measured.id == (inside / "runs/tracked/wandb_id").read_text()
    assert fitted.job_type == measured.job_type == "fit"
    settings = yaml.safe_load((inside / "runs/tracked/config.yaml").read_text())
    assert {name: fitted.config[name] for name in settings} == json.loads(json.dumps(settings))
    assert settings["model"]["class_path"] == "semcomp_pl.modules.PlainGAN"
    rates = [row["learning_rate"] for row in fitted.history if "learning_rate" in row]
    assert rates == [float(row["learning_rate"]) for row in history if row["learning_rate"]]
    assert max(rates) <= 2e-3
    best = max(float(row["val/psnr"]) for row in history if row["val/psnr"])
    assert fitted.summary["best/psnr"] == pytest.approx(best)
    sizes = [8 * len(load("runs/tracked").compress(image)) / (HEIGHT * WIDTH) for image in _images(inside / "data/val")]
    assert fitted.summary["best/bpp"] == pytest.approx(sum(sizes) / len(sizes))
    assert {"val/samples filenames", "val/psnr"} < fitted.summary.keys()
    figures = {name: float(value) for name, value in tested.items() if name.startswith("test/")}
    assert {name: measured.summary[name] for name in figures} == pytest.approx(figures)


def test_without_an_account_the_ways_to_go_on_are_named(
    inside: Path, refused: Callable[[list[str]], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(inside / "nothing"))
    message = refused([*fit(PLAIN, "configs/logger/wandb.yaml"), *data_flags("data"), *GAN, "--name=nobody"])
    assert "W&B: No API key configured." in message
    assert "WANDB_MODE=offline needs no account, --trainer.logger=false leaves it out" in message
    assert not (inside / "runs/nobody").exists()


def _images(directory: Path) -> list[torch.Tensor]:
    """The images of a directory, which have the size that they are trained at."""
    files = sorted(directory.glob("*.png"))
    return [torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) / 255 for file in files]
