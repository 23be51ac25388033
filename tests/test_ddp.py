"""Two gloo processes on the CPU: one model between them, and the figures of one process."""

import csv
import os
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor
from torch.optim import Optimizer

from semcomp_pl.files.places import configs_root
from tests.lab import ADVERSARIAL, CODECS, Lab, write_images
from tests.launchers import alike, by_lightning, by_srun, fit_arguments
from tests.processes import call_two
from tests.runs import differing

pytestmark = pytest.mark.slow


def logged(run: Path) -> dict[str, float]:
    """The figures of the last validation."""
    with (run / "metrics.csv").open(newline="") as lines:
        rows = [{k: float(v) for k, v in row.items() if k.startswith("val/") and v} for row in csv.DictReader(lines)]
    return [row for row in rows if row][-1]


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_two_processes_train_one_model_and_count_every_image_once(name: str, tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    write_images(root, {"train": 8, "val": 7})
    lab, flags = Lab(root), []
    if name == "semantic_distortion_gan":
        segmenter = lab.checkpoint(lab.model("pspnet"), tmp_path / "segmenter.ckpt")
        flags = [f"--model.segmenter={segmenter}"]
    (done,) = by_lightning(fit_arguments(name, "--entropy_steps=2", "--name=run", *flags), tmp_path)
    assert done.status == 0, done.err[-3000:]
    assert alike(tmp_path)
    names = [(tmp_path / f"names-{rank}").read_text().split() for rank in range(2)]
    assert sorted(names[0] + names[1]) == [str(i) for i in range(7)]
    assert abs(len(names[0]) - len(names[1])) == 1
    two = logged(tmp_path / "runs" / "run")
    last = tmp_path / "runs" / "run" / "checkpoints" / "last.ckpt"
    model = type(lab.model(name)).load_from_checkpoint(last, weights_only=True)
    trainer: Trainer = lab.trainer()
    (one,) = trainer.validate(model, lab.data(), verbose=False)
    assert {"val/psnr", "val/bpp_bound"} < two.keys()
    assert two == pytest.approx(dict(one), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("counts", "found"), [((8, 1), "1 val images for 2 processes"), ((3, 7), "3 training images found")]
)
def test_fewer_images_than_processes_need_are_refused(counts: tuple[int, int], found: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write_images(tmp_path / "data", {"train": counts[0], "val": counts[1]})
    (done,) = by_lightning(fit_arguments("plain_gan"), tmp_path)
    assert done.status == 2
    assert f"error: data: {found}" in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "averaged-0").exists()


class Gradients(Callback):
    """The averaged gradients of each optimiser's first step, which all start from the same weights."""

    def __init__(self) -> None:
        self.found: list[list[Tensor]] = []

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        if len(self.found) < len(trainer.optimizers):
            own = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
            self.found.append([gradient.clone() for gradient in own])


def trained(lab: Lab, name: str, batch_size: int, **options: Any) -> tuple[list[list[Tensor]], dict[str, Tensor]]:
    """First gradients, and the weights after six steps."""
    drawn = {"replay": 2} if name == "coclico" else {}
    model, data, gradients = lab.model(name, **drawn), lab.data(), Gradients()
    data.batch_size = batch_size
    lab.trainer(3, [gradients], limit_val_batches=0, **options).fit(model, datamodule=data)
    return gradients.found, model.state_dict()


EQUAL = [name for name in CODECS if name not in {"selective_gan", "coclico"}]
"""Codecs whose losses are means over images, all of one weight, and which draw nothing for each rank."""


def shared(rank: int) -> dict[str, Any]:
    """What one of two ranks makes of all codecs, under the shipped configuration."""
    os.environ["LOCAL_RANK"] = str(rank)
    lab = Lab(Path(os.environ["LAB"]), os.environ["LAB_SEGMENTER"])
    config = yaml.safe_load((configs_root() / "trainer" / "ddp.yaml").read_text())["trainer"]["strategy"]
    names = [*EQUAL, "coclico"]
    return {name: trained(lab, name, 2, devices=2, strategy=DDPStrategy(**config["init_args"])) for name in names}


@pytest.fixture(scope="module")
def ranks(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What `shared` returns in each of two processes."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("LAB", str(lab.root))
        environment.setenv("LAB_SEGMENTER", lab.segmenter)
        return call_two(shared, tmp_path_factory.mktemp("ranks"))


def test_two_ranks_train_one_flow_from_the_rotation_that_one_process_fits(
    lab: Lab, ranks: list[dict[str, Any]]
) -> None:
    assert differing(ranks[0]["coclico"], ranks[1]["coclico"]) == []
    weights, (_, alone) = ranks[0]["coclico"][1], trained(lab, "coclico", 4)
    fitted = [name for name in alone if not name.startswith("codec.generator.")]
    assert {"codec.encoder.weight", "codec.encoder.bias", "codec.latent_mean", "codec.colour_weight"} < set(fitted)
    assert weights["codec.encoder.weight"].any()
    assert differing({name: weights[name] for name in fitted}, {name: alone[name] for name in fitted}) == []


def test_two_ranks_train_as_one_process_with_batches_of_twice_the_size(lab: Lab, ranks: list[dict[str, Any]]) -> None:
    for name in EQUAL:
        gradients, weights = trained(lab, name, 4)
        for shared_gradients, shared_weights in (ranks[0][name], ranks[1][name]):
            torch.testing.assert_close(shared_gradients, gradients, rtol=1e-3, atol=1e-6)
            # Adam turns gradients that are 0 but for rounding, such as biases before a norm, into whole steps
            tolerance = 1e-5 if name == "rate_distortion" else 3e-4
            torch.testing.assert_close(shared_weights, weights, rtol=0, atol=tolerance)


def test_training_goes_on_with_another_number_of_processes(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write_images(tmp_path / "data", {"train": 16, "val": 3})
    common = ["--trainer.max_epochs=3", "--trainer.log_every_n_steps=1"]
    alone = ["--trainer.devices=1", "--trainer.strategy=auto", "--data.batch_size=4"]
    two = ["--trainer.devices=2", "--trainer.strategy=ddp", "--data.batch_size=2"]
    by_srun(fit_arguments("rate_distortion", "--name=run", *common), tmp_path, STOP="SIGUSR1 0 1")
    (stopped,) = by_lightning(["fit", "runs/run", *alone], tmp_path, STOP="SIGTERM 1 2")
    assert "stopped by SIGTERM before batch 3 of epoch 1" in stopped.err
    finished = by_srun(["fit", "runs/run", *two], tmp_path)
    finished += by_lightning(fit_arguments("rate_distortion", "--name=whole", *common, *alone), tmp_path)
    assert [ended.status for ended in finished] == [0, 0, 0], finished
    one, whole = (
        torch.load(tmp_path / "runs" / run / "checkpoints" / "last.ckpt", weights_only=True) for run in ("run", "whole")
    )
    assert one["epoch"] == whole["epoch"] == 2
    for weights in ("state_dict", "current_model_state"):
        torch.testing.assert_close(one[weights], whole[weights], rtol=0, atol=3e-5)
