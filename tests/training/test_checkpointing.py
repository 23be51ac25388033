"""Which checkpoints training goes on from within an epoch, and what stays the best one."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import LightningModule
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor
from torch.utils.data import DataLoader

from semcomp_pl.data import ImageDataModule
from semcomp_pl.data.datamodule import ImageDataset
from semcomp_pl.errors import SemcompError
from semcomp_pl.files.atomic import write_file
from semcomp_pl.training.checkpointing import AtomicCheckpointIO, LastCheckpoint, RunCheckpoint, read_progress
from tests.lab import Lab, tampered


class Forgetful(ImageDataModule):
    """Data whose training loader cannot say which images it has given out."""

    def train_dataloader(self) -> Any:
        """A plain loader."""
        return DataLoader(ImageDataset(self.stores["train"]), self.batch_size)


class Foreign(LightningModule):
    """A model that is not of the suite."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(3, 1, 1))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Learn the mean colour."""
        loss: Tensor = (self.weight - batch["image"]).square().mean()
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Nothing."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Gradient descent."""
        return torch.optim.SGD(self.parameters(), 0.1)


def forgetful(lab: Lab) -> ImageDataModule:
    """The lab's data, forgetful."""
    data = lab.data()
    data.__class__ = Forgetful
    return data


def fit(model: Any, data: ImageDataModule, directory: Path, start: Path | None = None, share: float = 0.5) -> Any:
    """Train for two epochs of four batches, and keep the checkpoints after each of this share of them."""
    data.batch_size = 2
    every = ModelCheckpoint(directory / "all", "{epoch}-{step}", save_top_k=-1)
    options: dict[str, Any] = {"val_check_interval": share, "plugins": [AtomicCheckpointIO()]}
    trainer = Lab(Path()).trainer(2, [every, LastCheckpoint(directory, minutes=0)], **options)
    trainer.fit(model, datamodule=data, ckpt_path=start, weights_only=True)
    return trainer


def test_what_knows_its_place_goes_on_within_an_epoch(lab: Lab, tmp_path: Path) -> None:
    fit(lab.model("rate_distortion"), lab.data(), tmp_path / "whole")
    middle = tmp_path / "whole" / "all" / "epoch=1-step=6.ckpt"
    assert read_progress(middle)[:2] == (1, 6)
    fit(lab.model("rate_distortion"), lab.data(), tmp_path / "rest", middle)
    found, expected = (
        torch.load(tmp_path / name / "last.ckpt", weights_only=True)["state_dict"] for name in ("rest", "whole")
    )
    assert all(torch.equal(found[key], value) for key, value in expected.items())


@pytest.mark.parametrize(
    ("model", "before", "after", "reason"),
    [
        ("suite's", "forgetful", "forgetful", "DataLoader, the training loader, has no state_dict to say which images"),
        ("suite's", "forgetful", "suite's", "it does not say which images of this epoch were seen"),
        ("foreign", "suite's", "suite's", "Foreign is no ScheduledModule"),
    ],
)
def test_what_does_not_is_refused_there_but_not_at_an_epochs_end(
    model: str, before: str, after: str, reason: str, lab: Lab, tmp_path: Path
) -> None:
    def start(directory: str, kind: str, checkpoint: Path | None = None) -> Any:
        data = forgetful(lab) if kind == "forgetful" else lab.data()
        return fit(
            Foreign() if model == "foreign" else lab.model("rate_distortion"), data, tmp_path / directory, checkpoint
        )

    start("begun", before)
    files = {read_progress(file).batches: file for file in (tmp_path / "begun" / "all").iterdir()}
    with pytest.raises(SemcompError, match=f"a checkpoint within epoch 0 found, expected one at .* because {reason}"):
        start("refused", after, files[2])
    assert start("resumed", after, files[4]).current_epoch == 2


def test_nobody_goes_on_from_a_checkpoint_without_the_gradients_of_its_last_batches(lab: Lab, tmp_path: Path) -> None:
    def start(directory: str, checkpoint: Path | None = None) -> None:
        fit(lab.model("rate_distortion", accumulate=2), lab.data(), tmp_path / directory, checkpoint, share=0.75)

    start("begun")
    first = tmp_path / "begun" / "all" / "epoch=0-step=1.ckpt"
    assert read_progress(first).batches == 3
    assert not (tmp_path / "begun" / "last.ckpt").exists()
    with pytest.raises(SemcompError, match="because it lacks the gradients of its last batches"):
        start("refused", first)


def test_the_best_checkpoint_stays_the_best_where_it_is_moved(lab: Lab, tmp_path: Path) -> None:
    def train(directory: Path, epochs: int, start: Path | None = None) -> RunCheckpoint:
        best = RunCheckpoint(directory, "best", "val/psnr")
        trainer = lab.trainer(epochs, [best, LastCheckpoint(directory, 0)])
        trainer.fit(lab.model("rate_distortion"), datamodule=lab.data(), ckpt_path=start, weights_only=True)
        return best

    state = train(tmp_path / "here", 1).state_dict()
    content = torch.load(tmp_path / "here" / "last.ckpt", weights_only=True)
    (key,) = (key for key in content["callbacks"] if "val/psnr" in key)
    unbeaten = dict.fromkeys(state["best_k_models"], torch.tensor(99.0))
    content["callbacks"][key] |= {"best_k_models": unbeaten, "best_model_score": torch.tensor(99.0)}
    there = (tmp_path / "here").rename(tmp_path / "there")
    last = tampered(there / "last.ckpt", there / "last.ckpt", callbacks=content["callbacks"])
    before = (there / "best.ckpt").read_bytes()
    best = train(there, 2, last)
    assert best.best_model_score == 99
    assert best.best_model_path == str(there / "best.ckpt")
    assert (there / "best.ckpt").read_bytes() == before


def test_a_disk_that_fills_up_is_named(tmp_path: Path) -> None:
    """Not by torch's error that its file has another length than it should."""

    def full(stream: Any) -> None:
        with Path("/dev/full").open("wb") as file:
            torch.save({"values": torch.rand(10_000)}, file)

    (tmp_path / "a.ckpt").write_bytes(b"old")
    with pytest.raises(SemcompError, match=r"a\.ckpt: cannot write it \(No space left on device\)"):
        write_file(tmp_path / "a.ckpt", full)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("a.ckpt", b"old")]
