"""Benchmarks of training: they run, their figures add up, and the loop that they compare with does the same."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer

from semcomp_pl.compare.summary import Estimate, Point, Summary
from semcomp_pl.files.places import released
from tests.lab import CODECS, CONFIGS, Lab
from tests.processes import environment

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.append(str(BENCHMARKS))

import coclico_page  # noqa: E402
from fits import Bench, Case, Data, Figures, run_together  # noqa: E402
from gpu import Row, _timed  # noqa: E402
from plain_loop import PlainLoop  # noqa: E402
from probe import PARTS, Clock, Parts  # noqa: E402
from tables import table  # noqa: E402
from training_report import MODELS, PLAIN_MODELS, write  # noqa: E402

TINY = ("--model.filters=8", "--model.blocks=1", "--model.discriminator_filters=4")


class Beside(Callback):
    """Lets the plain loop take every batch too."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.loop = PlainLoop(pl_module, bf16=False)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.loop.step(batch)


class Counting(Clock):
    """A clock that says how often it was asked."""

    def __init__(self) -> None:
        super().__init__(torch.device("cpu"))
        self.count = 0

    def now(self) -> int:
        self.count += 1
        return self.count


class Remembering(Bench):
    """Answers as if it had run the fits: 4 images/s, an older tree 2, where one model fails."""

    def __init__(self, directory: Path) -> None:
        super().__init__(Data(root="", segmenter=""), directory / "runs")

    def run(self, case: Case, tree: Path = BENCHMARKS.parent) -> Figures:
        old = tree.name == "older"
        if old and case.model == "pspnet":
            return Figures(error="no memory")
        plain = [1.6, 1.6] if case.plain else []
        parts = {"data": 0.5, "codec half": 1.5} if case.parts else {}
        steps = [4.0, 4.0] if old else [2.0, 2.0]
        chosen = case.precision or ("32-true" if old else "bf16-mixed")
        return Figures(batch=8, steps=steps, plain=plain, parts=parts, memory=900, precision=chosen)


@pytest.mark.parametrize("name", PLAIN_MODELS)
def test_the_plain_loop_takes_the_suites_steps(lab: Lab, name: str) -> None:
    beside = Beside()
    model = lab.model(name, schedule="constant")
    before = [value.detach().clone() for value in model.parameters()]
    lab.fit(model, epochs=2, callbacks=[beside])
    own = [
        p for network in (model.codec, getattr(model, "discriminator", None)) if network for p in network.parameters()
    ]
    plain = [p for network in (beside.loop.codec, beside.loop.discriminator) if network for p in network.parameters()]
    assert any(not torch.equal(p, value) for p, value in zip(model.parameters(), before, strict=True))
    torch.testing.assert_close(plain, own, rtol=1e-4, atol=1e-6)


def test_parts_are_told_apart() -> None:
    parts = Parts(Counting())
    parts.open()  # at 1
    with parts.profile("run_training_batch"):
        with parts.profile("[_TrainingEpochLoop].train_dataloader_next"):  # 2 to 3
            pass
        with parts.profile("[Strategy]SingleDeviceStrategy.training_step"):  # 4 to 9
            parts.within("discriminator half", lambda: None)()  # 5 to 6
            with parts.profile("optimizer_step"):  # 7 to 8
                pass
        parts.within("plain loop", parts.within("codec half", lambda: None))()  # 10 to 11
    with parts.profile("[Callback]EMAWeightAveraging.on_train_batch_end"):  # 12 to 13
        pass
    parts.mark()  # at 14
    expected = {"data": 1, "codec half": 3, "discriminator half": 1, "optimiser": 1, "EMA": 1, "rest": 5}
    assert parts.close() == expected
    assert (*expected,) == PARTS


def test_the_report_has_all_models(tmp_path: Path) -> None:
    assert {*CODECS} & released().keys() - {"coclico"} <= {*MODELS} <= CONFIGS.keys()  # a flow is no step of these
    report = write(Remembering(tmp_path), tmp_path / "older", "camvid ROOT")
    rows = [line.strip("| ").split(" | ") for line in report.splitlines() if line.startswith("| ")]
    faster = ["2.00", "4.00", "4.00", "2.00x", "2.00x"]
    assert [row[:6] for row in rows if row[0] in MODELS][: len(MODELS)] == [
        [model, *faster] if model != "pspnet" else [model, "no memory", "4.00", "4.00", "", ""] for model in MODELS
    ]
    assert f"as fast as before: {', '.join(model for model in MODELS if model != 'pspnet')}." in report
    assert "Chosen by `cpu.yaml`: before 32-true, after bf16-mixed." in report
    found = [row for row in rows if row[:2] == ["rate_distortion", "after"] and "+25.0%" in row]
    assert [row[3] for row in found] == ["2", "itself"]
    assert found[0][4:] == ["2.000", "0.500", "1.500", "1.600", "+25.0%", "-6.2%"]
    assert sum("--model.recompute=true" in row[2] for row in rows if len(row) > 2) == 2


def test_a_report_of_some_models(tmp_path: Path) -> None:
    report = write(Remembering(tmp_path), None, "camvid ROOT", ["pspnet"], ["ways"])
    assert "--only ways --models pspnet" in report
    assert "Memory" not in report


def test_tables() -> None:
    assert table([{"a": "1"}, {"b": "2"}]) == "| a | b |\n| --- | --- |\n| 1 |  |\n|  | 2 |\n"


def point(codec: str, name: str, size: float, metrics: dict[str, float]) -> Point:
    estimates = {metric: Estimate(value) for metric, value in metrics.items()}
    bpp = Estimate(8 * size / (128 * 256))
    return Point(codec, name, "model", None, 20, 0, 0, bpp, {"total": size}, estimates, None, None, None)


def test_tables_of_coclicos_page_are_renewed_in_place() -> None:
    metrics = dict(zip(coclico_page.METRICS, (0.5, 0.25, 1.0, 0.75, 20.125), strict=True))
    guided, unguided = (point(*key, 41.0, metrics) for key in (coclico_page.USUAL, coclico_page.UNGUIDED))
    others = [point("PlainGAN", f"d4C{c}L5", 34.0 * c, metrics | {"psnr": 22.0}) for c in (8, 3)]
    webp = point("smallest WebP", "q0", 5.0, {"psnr": 24.696})
    summary = Summary([], [], [], [], [webp, *others, unguided, guided], None, [], [], [], 1, 0.95, 0, {})
    page = coclico_page.PAGE.read_text()
    before = page.splitlines()
    codecs = coclico_page.codecs_table(summary)
    assert codecs[2:] == [
        "| **CoCliCo, vector + 8x4 colours**, the default | 41.0 | 0.0100 | 0.500 | 0.250 | 1.000 | 0.750 | 20.12 |",
        "| PlainGAN, C = 3 | 102.0 | 0.0249 | 0.500 | 0.250 | 1.000 | 0.750 | 22.00 |",
        "| PlainGAN, C = 8 | 272.0 | 0.0664 | 0.500 | 0.250 | 1.000 | 0.750 | 22.00 |",
        "| WebP, smallest file | 5.0 | 0.0012 |  |  |  |  | 24.70 |",
    ]
    guidance = coclico_page.guidance_table(summary, {0.0: ("9, 8, 7", "0.40"), 1.0: ("3, 2, 1", "0.80")})
    assert guidance[2:] == [
        "| guided | 0.500 | 0.250 | 1.000 | 20.12 | 3, 2, 1 | 0.80 |",
        "| not guided | 0.500 | 0.250 | 1.000 | 20.12 | 9, 8, 7 | 0.40 |",
    ]
    for lines in (codecs, guidance):
        page = coclico_page.renewed(page, lines)
    after = page.splitlines()
    assert "\n".join(codecs) in page
    assert "\n".join(guidance) in page
    kept = [line for line in before if not line.startswith("| ")]
    assert [line for line in after if not line.startswith("| ")] == kept
    with pytest.raises(ValueError, match="0 tables found"):
        coclico_page.renewed("", codecs)


def test_aims_relative_to_another_line() -> None:
    case = Case(model="plain_gan")
    rows = [Row("one", case, 3.0), Row("other", case, 0.5, "one"), Row("lost", case, 0.5, "other")]
    found = [Figures(batch=4, steps=[1.0, 1.0]), Figures(batch=1, steps=[1.0]), Figures(error="no memory")]
    one, other, lost = _timed(rows, found)
    assert (one["images/s"], one["aim"], one["met"]) == ("4", "3", "yes")
    assert (other["images/s"], other["aim"], other["met"]) == ("1", "2", "NO")
    assert lost == {"fit": "lost", "note": "no memory"}


@pytest.mark.slow
def test_figures_of_a_fit(tmp_path: Path) -> None:
    options = ["--models", "plain_gan", "--size", "32", "64", "--batch", "2", "--steps", "3", "--warmup", "1"]
    command = [sys.executable, str(BENCHMARKS / "training.py"), *options, "--images", "16", "--loading", "resident"]
    file = tmp_path / "figures.json"
    command += ["--json", str(file), "--", *TINY]
    finished = subprocess.run(command, env=environment(), cwd=tmp_path, capture_output=True, text=True, check=True)
    (row,) = json.loads(file.read_text())
    fit, detail = Figures(**row["fit"]), Figures(**row["detail"])
    assert not fit.error
    assert not detail.error
    assert (fit.batch, len(fit.steps), len(detail.plain)) == (2, 3, 3)
    assert 0 < fit.first_step < fit.first_step_done
    assert fit.memory > 100
    assert min(detail.parts[part] for part in ("codec half", "discriminator half", "optimiser", "EMA")) > 0
    assert sum(detail.parts.values()) == pytest.approx(sum(detail.steps) / 3, rel=0.2)
    assert f"{fit.rate:.1f}" in finished.stdout


@pytest.mark.slow
def test_a_fit_that_fails_leaves_the_others(lab: Lab, tmp_path: Path) -> None:
    source = ("--data.source.classes=[sky,wall,road,car]", "--data.train_size=null", f"--data.cache_dir={tmp_path}")
    data = Data(root=str(lab.root), segmenter=lab.segmenter, options=source)
    good = Case(model="plain_gan", size=(32, 64), batch=2, workers=0, warmup=1, steps=2, options=TINY)
    bad = Case(model="plain_gan", size=(32, 64), batch=2, workers=0, options=("--model.filters=-1",))
    runs = [tmp_path / name for name in ("one", "bad", "two")]
    one, failed, two = run_together([good, bad, good], data, runs, limit=120)
    assert "filters" in failed.error
    assert (len(one.steps), len(two.steps)) == (2, 2)
