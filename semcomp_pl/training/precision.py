"""The precision of training: float32, or bf16 where the processor computes in it."""

from pathlib import Path
from typing import Any

import torch
from lightning import Trainer

from semcomp_pl.checkpoints.training_facts import FILE, read_training
from semcomp_pl.errors import SemcompError

INSTRUCTIONS = ("avx512_bf16", "amx_bf16")
"""Instructions for products in bf16, as torch names them; processors without them emulate bf16, slower than float32."""


class PreciseTrainer(Trainer):
    """Lightning's trainer, with the precisions of the suite.

    Args:
        precision: `32-true`, also if not given; `bf16-mixed`, which has activations in bfloat16 and weights in float32;
            or `auto`, which is bf16-mixed on processors with AVX512_BF16 or AMX, and 32-true on everything else. A run
            keeps what `auto` chose when it started. Validation and test are in float32 always.
        kwargs: See `lightning.Trainer`.
    """

    def __init__(self, *, precision: str | int | None = None, **kwargs: Any) -> None:
        super().__init__(precision=precision, **kwargs)  # type: ignore[arg-type]  # checked by `settled`


def settled(precision: str | int | None, accelerator: object, run: Path) -> str | int | None:
    """A precision as `PreciseTrainer` takes it, with `auto` decided: as the run did, or else for this machine.

    Args:
        precision: What was asked for.
        accelerator: The trainer's accelerator.
        run: Directory of the run.

    Raises:
        SemcompError: a precision in which the suite does not train, or the run's facts are damaged.
    """
    if precision == "auto":
        if (before := read_training(run / FILE)) and before.precision:
            return before.precision
        on_cpu = accelerator == "cpu" or not torch.accelerator.is_available()
        found = torch.cpu.get_capabilities()
        return "bf16-mixed" if on_cpu and any(found.get(name) for name in INSTRUCTIONS) else "32-true"
    if precision not in (None, "32", "32-true", 32, "bf16", "bf16-mixed"):
        raise SemcompError(
            f"precision={precision} found, expected 32-true, bf16-mixed or auto: float16, whose gradients must be "
            "scaled, is not supported"
        )
    return precision
