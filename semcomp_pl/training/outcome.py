"""What a training or a measurement came to, in the lines that commands end with."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from lightning import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from semcomp_pl.codecs.neural import NeuralCodec
from semcomp_pl.data import ImageDataModule
from semcomp_pl.data.datamodule import ImageDataset
from semcomp_pl.metrics import describe, is_detail, ordered
from semcomp_pl.progress import duration
from semcomp_pl.training.callbacks import TimeLimit

_COLUMN = 8


def outcome(run: Path, trainer: Trainer, rates: Sequence[float], sends: bool) -> str:
    """The run's path and time, its best value, the rate of its files, and the next commands.

    Args:
        run: Directory of the run, with a `best.ckpt`.
        trainer: Trainer of the run, which has ended.
        rates: Bits per pixel of files of `best.ckpt`, see `file_rates`; none if it has no fitted tables.
        sends: Whether the model is a codec.
    """
    clocks = [one for one in cast(Any, trainer).callbacks if isinstance(one, TimeLimit)]
    took = "".join(f" in {duration(clock.time_elapsed())}" for clock in clocks)
    batches: Any = trainer.fit_loop.epoch_loop.batch_progress.total
    rows = [("best", _best(trainer)), *([("files", _rate(trainer, rates))] if sends else [])]
    place = shlex.quote(str(run))
    then = [f"semcomp test {place}", *([f"semcomp compress IMAGE --model {place}"] if rates else [])]
    if sends and not rates:
        then.append(f"semcomp fit-entropy {place} --config DATA.yaml")
    rows += zip(["next", *[""] * len(then)], then, strict=False)
    lines = (f"  {name:{_COLUMN}}{text}" for name, text in rows)
    done = f"{_count(trainer.current_epoch, 'epoch')}, {_count(batches.processed, 'batch', 'es')}"
    return "\n".join([f"{run}: {done}{took}", *lines])


def figures(directory: Path, split: str, metrics: Mapping[str, Any]) -> str:
    """The metrics of a measurement, but for those of single classes and channels, and where all of them are.

    Args:
        directory: Where they were written.
        split: Split that was measured.
        metrics: Values by their names in `metrics.csv`.
    """
    values = {name.partition("/")[2]: float(value) for name, value in metrics.items()}
    shown = {name: describe(name) for name in ordered(values) if not is_detail(name)}
    width = max((len(facts.label) for facts in shown.values()), default=0)
    lines = []
    for name, facts in shown.items():
        value = f"{values[name]:.{4 if name.startswith('bpp') else facts.digits}f}"
        lines.append(f"  {facts.label:{width}}  {value:>8} {facts.unit}".rstrip())
    left = len(values) - len(shown)
    more = f", with {left} more of single classes and channels" if left else ""
    return "\n".join([f"{directory.parent}, split {split}", *lines, f"All in {directory / 'metrics.csv'}{more}"])


def file_rates(codec: NeuralCodec, data: ImageDataModule, images: int = 8) -> list[float]:
    """Bits per pixel of the files of the first validation images, with their true label maps if it sends any."""
    store = ImageDataset(data.store("val"))
    rates = []
    for sample in (store[index] for index in range(min(images, len(store)))):
        file = codec.compress(sample["image"], sample.get("label") if codec.sends_labels else None)
        rates.append(8 * len(file) / sample["image"][0].numel())
    return rates


def _count(number: int, name: str, plural: str = "s") -> str:
    return f"{number} {name}{'' if number == 1 else plural}"


def _best(trainer: Trainer) -> str:
    """The value of the checkpoint that was kept; without a metric to choose it by, that of the latest validation."""
    callbacks = cast(list[ModelCheckpoint], trainer.checkpoint_callbacks)
    for one in callbacks:
        if one.monitor and one.best_model_score is not None:
            return f"{_value(one.monitor, float(one.best_model_score))}: checkpoints/best.ckpt"
    latest = [(name, float(value)) for name, value in trainer.callback_metrics.items() if name.startswith("val/")]
    known = f": {_value(*latest[0])}" if latest else ""
    return f"the latest, as no --monitor chose{known}"


def _value(column: str, value: float) -> str:
    facts = describe(column.partition("/")[2])
    unit = f" {facts.unit}" if facts.unit else ""
    return f"{facts.label} {value:.{facts.digits}f}{unit} in validation"


def _rate(trainer: Trainer, rates: Sequence[float]) -> str:
    bound = trainer.callback_metrics.get("val/bpp_bound")
    limit = "" if bound is None else f"{float(bound):.4f} with no entropy model"
    if not rates:
        return f"not measured, as no tables are fitted; {limit}".removesuffix("; ")
    few = "; ".join(filter(None, [f"mean of {len(rates)} validation images", limit]))
    return f"{sum(rates) / len(rates):.4f} bpp ({few})"
