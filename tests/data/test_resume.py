"""A run that goes on from any of its checkpoints sees the images that the uninterrupted one saw next, and no others."""

import hashlib
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from PIL import Image

from semcomp_pl.data import Folder, ImageDataModule, ImageSource
from semcomp_pl.data.order import EpochSampler, ShardSampler
from semcomp_pl.errors import SemcompError
from tests.lab import write_noise

pytestmark = pytest.mark.filterwarnings("ignore")
IMAGES, BATCH, EPOCHS = 14, 4, 3
Line = tuple[int, int, str, str]
"""Epoch, batch, names and a hash of the values of a training batch."""


def line(epoch: int, index: int, batch: dict[str, Any]) -> Line:
    values = hashlib.sha256(batch["image"].numpy().tobytes()).hexdigest()[:8]
    return epoch, index, " ".join(batch["name"]), values


class Witness(LightningModule):
    """Notes every training batch; draws from torch's global generator as models do."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.lines: list[Line] = []

    def training_step(self, batch: dict[str, Any], index: int) -> torch.Tensor:
        torch.rand(self.current_epoch + 3)
        self.lines.append(line(self.current_epoch, index, batch))
        loss: torch.Tensor = self.weight * batch["image"].mean()
        return loss

    def validation_step(self, batch: dict[str, Any], index: int) -> None:
        pass

    def on_train_end(self) -> None:
        root = Path(self.trainer.default_root_dir)
        (root / f"lines.{self.global_rank}.json").write_text(json.dumps(self.lines))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


class Early(Callback):
    """Notes the batches of the first two epochs before training begins, or goes on."""

    def __init__(self, batches: int) -> None:
        self.batches = batches
        self.lines: list[Line] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        self.lines = [line(*divmod(i, self.batches), batch) for i, batch in enumerate(data.first_epochs(2, "early"))]


class Saver(Callback):
    """Saves in every hook after which a run may end, by the hook and the number of batches seen."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def save(self, hook: str, trainer: Trainer) -> None:
        if not trainer.sanity_checking:
            model = trainer.lightning_module
            assert isinstance(model, Witness)
            trainer.save_checkpoint(self.directory / f"{hook}.{len(model.lines)}.ckpt")

    def on_train_start(self, trainer: Trainer, *_: Any) -> None:
        self.save("train_start", trainer)

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        self.save("batch_start", trainer)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        self.save("batch_end", trainer)

    def on_validation_end(self, trainer: Trainer, *_: Any) -> None:
        self.save("validation_end", trainer)

    def on_train_epoch_end(self, trainer: Trainer, *_: Any) -> None:
        self.save("epoch_end", trainer)

    def on_train_end(self, trainer: Trainer, *_: Any) -> None:
        self.save("train_end", trainer)


@pytest.fixture
def root(tmp_path: Path, rng: np.random.Generator) -> Path:
    return write_noise(tmp_path, {"train": IMAGES, "val": 2}, rng)


def run(
    root: Path,
    *callbacks: Callback,
    checkpoint: Path | None = None,
    trainer: dict[str, Any] | None = None,
    source: ImageSource | None = None,
    **data: Any,
) -> list[Line]:
    options = {"num_workers": 0, "batch_size": BATCH, "crop_scale": (0.5, 1.0), "colour_jitter": 0.1, **data}
    model = Witness()
    Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=root,
        callbacks=list(callbacks),
        **{"max_epochs": EPOCHS, **(trainer or {})},
    ).fit(model, ImageDataModule(source or Folder(str(root)), (16, 16), **options), ckpt_path=checkpoint)
    return model.lines


LOADERS: dict[str, dict[str, Any]] = {
    "0 workers": {},
    "2 workers": {"num_workers": 2},
    "resident": {"resident": True},
}
TRAINERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "validation within epochs": {"val_check_interval": 1 / 3},
    "limited": {"limit_train_batches": 2},
    "without validation": {"limit_val_batches": 0},
}


def saved(root: Path, **options: Any) -> tuple[list[Line], dict[Path, int]]:
    """What a whole run sees, and how much of it before each of its checkpoints."""
    (root / "saved").mkdir()
    whole = run(root, Saver(root / "saved"), **options)
    return whole, {path: int(path.name.split(".")[1]) for path in sorted((root / "saved").iterdir())}


@pytest.mark.parametrize(
    ("loader", "trainer"),
    [*(("0 workers", name) for name in TRAINERS), ("resident", "plain"), ("resident", "limited")],
)
def test_every_checkpoint_goes_on_with_the_next_batch(root: Path, loader: str, trainer: str) -> None:
    options = {"trainer": TRAINERS[trainer], **LOADERS[loader]}
    whole, checkpoints = saved(root, **options)
    batches = 2 if trainer == "limited" else IMAGES // BATCH
    assert [line[:2] for line in whole] == [(epoch, batch) for epoch in range(EPOCHS) for batch in range(batches)]
    assert len(checkpoints) > 2 * len(whole)
    for checkpoint, seen in checkpoints.items():
        assert run(root, checkpoint=checkpoint, **options) == whole[seen:], checkpoint.name


@pytest.mark.parametrize("trainer", ["plain", "without validation"])
def test_with_workers_too(root: Path, trainer: str) -> None:
    whole, checkpoints = saved(root, trainer=TRAINERS[trainer])
    for checkpoint, seen in checkpoints.items():
        if seen in {2, 3}:  # within and at the end of an epoch
            assert run(root, checkpoint=checkpoint, trainer=TRAINERS[trainer], num_workers=2) == whole[seen:]


@pytest.mark.parametrize(
    ("loader", "trainer"), [*((name, "plain") for name in LOADERS), ("2 workers", "limited"), ("resident", "limited")]
)
def test_the_first_epochs_can_be_read_before_any_step(root: Path, loader: str, trainer: str) -> None:
    options, batches = {"trainer": TRAINERS[trainer], **LOADERS[loader]}, 2 if trainer == "limited" else IMAGES // BATCH
    whole, checkpoints = saved(root, **options)
    middle = root / "saved" / f"batch_start.{batches + 1}.ckpt"
    for checkpoint, seen in ((None, 0), (middle, checkpoints[middle])):
        early = Early(batches)
        assert run(root, early, checkpoint=checkpoint, **options) == whole[seen:]
        assert early.lines == whole[: 2 * batches]


def test_batches_of_another_size_continue_the_order(root: Path) -> None:
    """A checkpoint after k batches of 4 goes on as a run in batches of 2 does after 2 k of them."""
    _, checkpoints = saved(root)
    small = run(root, batch_size=2)
    for checkpoint, seen in checkpoints.items():
        epochs, batches = divmod(seen, IMAGES // BATCH)
        done = epochs * (IMAGES // 2) + 2 * batches
        assert run(root, checkpoint=checkpoint, batch_size=2) == small[done:], checkpoint.name


def test_images_may_become_resident_in_mid_epoch(root: Path) -> None:
    whole, _ = saved(root)
    found = run(root, checkpoint=root / "saved" / "batch_end.2.ckpt", resident=True)
    assert [line[:3] for line in found] == [line[:3] for line in whole[2:]]


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "no whole batch": ({"batch_size": 5}, r"after 8 images of an epoch found, expected whole batches of 5 images"),
    "no batch left": ({"batch_size": 8}, r"after 8 images .* fewer than 1 of them"),
    "another order": ({"seed": 1}, r"'seed': 0.* found, expected .*'seed': 1"),
    "one batch only": ({"trainer": {"overfit_batches": 1}}, "overfit_batches"),
}


@pytest.mark.parametrize("change", REFUSALS)
def test_what_cannot_go_on_exactly_is_refused(root: Path, change: str) -> None:
    saved(root)
    options, message = REFUSALS[change]
    with pytest.raises(SemcompError, match=message):
        run(root, checkpoint=root / "saved" / "batch_end.2.ckpt", **options)


@pytest.mark.parametrize("resident", [False, True], ids=["loader", "resident"])
def test_shards_of_resident_images_belong_to_a_number_of_ranks(root: Path, resident: bool) -> None:
    sampler = (ShardSampler if resident else EpochSampler)(IMAGES, 2, world=2, rank=1)
    data = ImageDataModule(Folder(str(root)), (16, 16), resident=resident, num_workers=0, batch_size=BATCH)
    data.setup("fit")
    loader = data.train_dataloader()
    loader.trainer = Trainer(logger=False, accelerator="cpu")
    assert isinstance(loader.sampler, EpochSampler)
    state = {"epoch": 1, "seen": 8, "images": IMAGES, "seed": 0, "shards": sampler.shards}
    if resident:
        with pytest.raises(SemcompError, match="'shards': 2"):
            loader.load_state_dict(state)
    else:
        loader.load_state_dict(state)
        assert (loader.sampler.epoch, loader.sampler.first) == (1, 2)


def test_added_images_are_refused_within_an_epoch_alone(root: Path) -> None:
    saved(root)
    Image.new("RGB", (24, 24)).save(root / "train" / "new.png")
    with pytest.raises(SemcompError, match=r"'images': 14.* found, expected .*'images': 15"):
        run(root, checkpoint=root / "saved" / "batch_end.2.ckpt")
    assert len(run(root, checkpoint=root / "saved" / "epoch_end.3.ckpt")) == 2 * (15 // BATCH)


def test_overfitting_repeats_its_batches(root: Path) -> None:
    whole, _ = saved(root, trainer={"overfit_batches": 2})
    assert [line[1:] for line in whole] == [line[1:] for line in whole[:2]] * EPOCHS


def ranks(root: Path, *callbacks: Callback, **options: Any) -> list[str]:
    """The names that two processes are shown in each batch, in the common order."""
    run(root, *callbacks, batch_size=2, trainer={"devices": 2, "strategy": "ddp_fork"}, **options)
    own = [json.loads((root / f"lines.{rank}.json").read_text()) for rank in (0, 1)]
    pairs = zip(*([line[2].split() for line in lines] for lines in own), strict=True)
    return [" ".join(itertools.chain(*zip(*pair, strict=True))) for pair in pairs]


@pytest.mark.slow
def test_two_processes_share_the_order_of_one_and_continue_it(root: Path) -> None:
    whole, checkpoints = saved(root)
    (root / "shared").mkdir()
    assert ranks(root, Saver(root / "shared")) == [line[2] for line in whole]
    unfinished = {checkpoint: seen for checkpoint, seen in checkpoints.items() if seen < len(whole)}
    for checkpoint, seen in list(unfinished.items())[::5]:
        assert ranks(root, checkpoint=checkpoint) == [line[2] for line in whole[seen:]]
        assert run(root, checkpoint=root / "shared" / checkpoint.name) == whole[seen:]
