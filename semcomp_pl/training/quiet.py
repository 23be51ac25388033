"""What a healthy training says: one line about its model, and no warning that users can do nothing about."""

import logging
import warnings

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelSummary
from lightning.pytorch.utilities.model_summary.model_summary import get_human_readable_count

_SILENT = (
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # raised by Lightning's use of torch
    r"Be aware that when using `ckpt_path`, callbacks",  # weight averaging and checkpointing concern fitting only
    r"Checkpoint directory .* exists and is not empty",  # when a run is resumed
    r"The '\w+_dataloader' does not have many workers",  # validation reads from the cache
    r"The number of training batches \(\d+\) is smaller than the logging interval",  # each epoch's last batch is logged
    # metrics are sums over all processes already
    r"It is recommended to use `self.log\('(val|test)/.*', \.\.\., sync_dist=True\)`",
)
_SAID = (
    "Tip:",
    "TPU available:",
    "Using bfloat16 Automatic Mixed Precision",  # `ModelLine`
    "Found current_model_state in the checkpoint",  # as every checkpoint of a moving average has it
    "Restoring states from the checkpoint path",  # another line says that they were
    "Trainer already configured with model summary callbacks",  # `ModelLine`
    "`Trainer.fit` stopped: `max_epochs=",  # the end of `fit` says how many
)


def silence() -> None:
    """Suppress warnings and notes of libraries that users can do nothing about."""
    for message in _SILENT:
        warnings.filterwarnings("ignore", message)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_is_wanted)


def _is_wanted(record: logging.LogRecord) -> bool:
    return not any(said in record.getMessage() for said in _SAID)


class ModelLine(ModelSummary):
    """Says in one line what is trained, where, and in which precision.

    Lightning's table counts no operations before a first batch, so that it ends with 0 FLOPs, and counts modules, which
    nobody trains by.
    """

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Name the model, the parameters of its parts, the device and the precision."""
        counts = {name: sum(p.numel() for p in part.parameters()) for name, part in pl_module.named_children()}
        parts = ", ".join(f"{name} {get_human_readable_count(n).strip()}" for name, n in counts.items() if n)
        if trainer.is_global_zero:
            where = f"on {trainer.strategy.root_device} in {trainer.precision}"
            print(f"{type(pl_module).__name__}, parameters: {parts}; {where}", flush=True)
