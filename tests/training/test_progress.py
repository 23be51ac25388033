"""The line of progress of a real training."""

import re
import warnings
from typing import Any

import pytest

from semcomp_pl.training.callbacks import Budget
from semcomp_pl.training.progress import ProgressLine
from semcomp_pl.training.quiet import ModelLine
from tests.lab import Lab

LINE = re.compile(r"epoch (\d)/2  (\d)/2  [\d.]+(?:/s| s each)  \d:\d\d left((?:  [a-z]+ [\d.e-]+){3})")


def test_a_gan_fits_one_line_with_three_figures(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    trainer = lab.trainer(
        2, [ProgressLine(0, 0), ModelLine(), Budget()], enable_progress_bar=True, enable_model_summary=True
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.filterwarnings("ignore", "The '.*_dataloader' does not have many workers|.*LeafSpec")
        trainer.fit(lab.model("plain_gan"), datamodule=lab.data())
    said = capsys.readouterr()
    (summary,) = [line for line in said.out.splitlines() if "parameters" in line]
    assert re.fullmatch(r"PlainGAN, parameters: codec [\d.]+ K, discriminator [\d.]+ K; on cpu in 32-true", summary)
    lines = [line for line in said.err.splitlines() if " left" in line]
    assert all(len(line) <= 80 for line in lines)
    found = [LINE.fullmatch(line) for line in lines]
    assert [match and (match[1], match[2]) for match in found] == [("1", "1"), ("1", "2"), ("2", "1"), ("2", "2")]
    figures = [match[3].split()[::2] for match in found if match]
    assert figures[0] == ["adv", "dist", "range"]
    assert figures[-1] == ["adv", "dist", "psnr"]
    logged = trainer.callback_metrics
    assert found[-1]
    assert float(found[-1][3].split()[1]) == pytest.approx(float(logged["train/adversarial"]), rel=0.01)
    assert any(line.startswith("epoch 1/2  validation  1/") for line in said.err.splitlines())


class Reads(ProgressLine):
    """Counts how often the figures are read."""

    count = 0

    def get_metrics(self, *args: Any) -> Any:
        """Count a reading."""
        self.count += 1
        return super().get_metrics(*args)


def test_the_line_does_not_read_the_losses_of_each_batch(lab: Lab) -> None:
    seldom, often = Reads(seconds=1e9), Reads(seconds=0)
    for line in (seldom, often):
        data = lab.data()
        data.batch_size = 1
        trainer = lab.trainer(2, [line, Budget()], enable_progress_bar=True)
        trainer.fit(lab.model("rate_distortion"), datamodule=data)
    assert (seldom.count, often.count) == (0, 2 * 8)
