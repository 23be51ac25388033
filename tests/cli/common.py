"""What tests of commands share: flags, models that are there already, and pictures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GOLDEN = Path(__file__).parents[1] / "golden" / "v1"
FILES = GOLDEN / "files"
PLAIN, CONDITIONAL = str(GOLDEN / "rate_distortion"), str(GOLDEN / "conditional_gan")
Run = Callable[..., tuple[int, str, str]]
"""Runs a command; its status, output and errors."""

TINY = ["--model.filters=8", "--model.blocks=1", "--entropy_steps=2"]
"""A codec that trains in a second."""
QUIET = ["--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--trainer.log_every_n_steps=1"]
GAN = [*TINY, *QUIET, "--model.discriminator_filters=4", "--trainer.max_epochs=2"]


def data_flags(root: Path | str) -> list[str]:
    """The lab's data set."""
    from tests.lab import CLASSES, HEIGHT, WIDTH

    flags = ["--data.source=semcomp_pl.data.Folder", f"--data.source.root={root}", "--data.source.masks=annot"]
    flags += [f"--data.source.classes=[{','.join(CLASSES)}]", f"--data.size=[{HEIGHT},{WIDTH}]"]
    return [*flags, "--data.batch_size=4", "--data.eval_batch_size=2", "--data.num_workers=0"]


def picture(path: Path, height: int = 40, width: int = 60, mode: str = "RGB", **options: Any) -> Path:
    """An image file of colour gradients."""
    y, x = np.mgrid[:height, :width]
    pixels: NDArray[np.uint8] = np.stack([255 * y // height, 255 * x // width, 128 + 0 * x], -1).astype(np.uint8)
    Image.fromarray(pixels).convert(mode).save(path, **options)
    return path
