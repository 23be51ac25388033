"""Flags that commands of the tests share."""

from pathlib import Path

from tests.lab import CLASSES, HEIGHT, WIDTH

TINY = ["--model.filters=8", "--model.blocks=1", "--entropy_steps=2"]
"""A codec that trains in a second."""
QUIET = ["--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--trainer.log_every_n_steps=1"]


def data_flags(root: Path | str) -> list[str]:
    """The lab's data set."""
    flags = ["--data.source=semcomp_pl.data.Folder", f"--data.source.root={root}", "--data.source.masks=annot"]
    flags += [f"--data.source.classes=[{','.join(CLASSES)}]", f"--data.size=[{HEIGHT},{WIDTH}]"]
    return [*flags, "--data.batch_size=4", "--data.eval_batch_size=2", "--data.num_workers=0"]
