"""What a run writes beside its metrics: its config, sample images, predictions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.loggers import WandbLogger
from torch import Tensor
from torchvision.transforms.v2.functional import to_pil_image
from torchvision.utils import make_grid, save_image

from semcomp_pl.modules.base import CodecModule
from semcomp_pl.types import Batch


class SaveRunConfig(SaveConfigCallback):
    """Writes `config.yaml` into the run's directory, never beside another run's."""


class SampleGrid(Callback):
    """Originals above reconstructions of the first validation images, as `samples.png` and to W&B.

    Args:
        images: How many.
    """

    def __init__(self, images: int = 4) -> None:
        self.images = images

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the grid from the first batch of the first process."""
        first = batch_idx == 0 and trainer.is_global_zero and not trainer.sanity_checking
        if not first or not isinstance(pl_module, CodecModule):
            return
        few: Any = {kind: values[: self.images] for kind, values in batch.items()}  # type: ignore[index]
        grid = make_grid(torch.cat([few["image"], pl_module.evaluate(few).reconstruction]), nrow=self.images)
        save_image(grid, Path(trainer.default_root_dir) / "samples.png")
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_image("val/samples", [to_pil_image(grid.float().cpu())])


class PredictionWriter(BasePredictionWriter):
    """Writes every reconstruction (or label map) of `predict` as a PNG of its image's name."""

    def __init__(self, directory: Path) -> None:
        super().__init__("batch")
        self.directory = directory

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Tensor,
        batch_indices: Sequence[int] | None,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Images as 8-bit RGB, label maps as 8-bit indices."""
        for name, values in zip(batch["name"], prediction, strict=True):
            pixels = (values * 255).round().byte() if values.is_floating_point() else values.byte()[None]
            file = self.directory / f"{name}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            to_pil_image(pixels.cpu()).save(file)
