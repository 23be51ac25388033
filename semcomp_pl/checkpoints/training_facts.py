"""What a training was: how long, on what, from what; kept with the weights that it made.

    RUN/training.json          written with each checkpoint, which has the same facts
    EXPORT/training.json       written by `semcomp export`
    EXPORT.training.json       put beside an export by hand

All are JSON objects. Besides the names of `TrainingFacts` the reader knows `class`, `wall_s`, `gpu`, `torch`, and a
name as `data`, as scripts outside the suite write them; whatever it does not know, it leaves out.
"""

import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from semcomp_pl.errors import SemcompError

FILE = "training.json"
_OTHER_NAMES = {"class": "model", "wall_s": "seconds", "gpu": "device"}
_ACCEPTED = {(float, int), (Mapping, dict)}
_EXPECTED = "the facts of a training as semcomp fit writes them; correct or remove it"
Built = TypeVar("Built")


@dataclass(frozen=True)
class WarmStart:
    """The model whose weights a training began with."""

    name: str
    """Name of its run, export or checkpoint."""
    model: str
    """Name of its class."""
    fingerprint: str
    """Identifies its weights and tables; hexadecimal."""


@dataclass(frozen=True)
class TrainingData:
    """The images of a training."""

    source: str
    """Class of the image source, or a name of the data."""
    images: int | None = None
    """Number of images of the training split."""
    fingerprint: str | None = None
    """Identifies names and statistics of these images."""
    seed: int | None = None
    """Seed of their order and augmentation."""


@dataclass(frozen=True)
class TrainingFacts:
    """Facts of a training, over all its resumptions; None for what is not known."""

    model: str
    """Name of the model's class."""
    seed: int | None = None
    """Seed of the initial weights and of what a step draws."""
    steps: int | None = None
    """Number of batches, as `--trainer.max_steps` counts them."""
    batch: int | None = None
    """Number of images in a batch, over all processes."""
    accumulate: int | None = None
    """Number of batches per optimiser step."""
    size: tuple[int, int] | None = None
    """Height and width of training images, in pixels."""
    images: int | None = None
    """Number of images seen, counted again in each epoch."""
    epochs: float | None = None
    seconds: float | None = None
    """Time from the first batch to the last, with validations in between."""
    precision: str | None = None
    processes: int | None = None
    device: str | None = None
    """Name of the device of each process."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Versions of semcomp_pl and torch."""
    data: TrainingData | None = None
    warm_start: WarmStart | None = None
    schedule: str | None = None
    """How learning rates fall."""
    finished: bool | None = None
    """Whether the schedule came to its end."""
    kept_at: int | None = None
    """Number of batches after which the weights were kept, if training went on from there."""

    def plain(self) -> dict[str, Any]:
        """What is known, as plain JSON."""
        return asdict(
            self, dict_factory=lambda pairs: {name: value for name, value in pairs if value not in (None, {})}
        )


def training_facts(content: Mapping[str, Any], source: object) -> TrainingFacts:
    """Facts from plain JSON.

    Args:
        content: Names and values.
        source: File that they come from, for the error message.

    Raises:
        SemcompError: the model's class is missing, or a value is of another type.
    """
    known = {_OTHER_NAMES.get(name, name): value for name, value in content.items()}
    if isinstance(known.get("data"), str):
        known["data"] = {"source": known["data"]}
    if "torch" in known:
        known = {"versions": {"torch": known["torch"]}, **known}
    return _built(TrainingFacts, known, str(source))


def _built(kind: type[Built], found: Mapping[str, Any], place: str) -> Built:
    """A dataclass from the values of its fields."""
    hints = get_type_hints(kind)
    if absent := [each.name for each in fields(cast(Any, kind)) if _is_required(each) and each.name not in found]:
        raise SemcompError(f"{place}: no {absent[0]} found, expected {_EXPECTED}")
    return kind(**{name: _value(hints[name], found[name], f"{place}: {name}") for name in hints.keys() & found.keys()})


def _is_required(each: "Field[Any]") -> bool:
    return each.default is MISSING and each.default_factory is MISSING


def _value(hint: Any, value: Any, place: str) -> Any:
    """A value of one of the types that a hint names."""
    for option in (hint, *get_args(hint)):
        origin = get_origin(option) or option
        if is_dataclass(option) and isinstance(value, Mapping):
            return _built(option, value, place)  # type: ignore[arg-type]  # instances are dataclasses too
        if origin is tuple and isinstance(value, list | tuple) and [*map(type, value)] == [*get_args(option)]:
            return tuple(value)
        if type(value) is origin or (origin, type(value)) in _ACCEPTED:
            return value
    raise SemcompError(f"{place}: {value!r} found, expected {_EXPECTED}")


def read_training(file: Path, content: bytes | None = None) -> TrainingFacts | None:
    """Facts from a file, or from its content if that was read already; None if there is no such file.

    Raises:
        SemcompError: as for `training_facts`, or it is no JSON object.
    """
    if content is None and not file.is_file():
        return None
    try:
        found = json.loads(file.read_bytes() if content is None else content)
    except ValueError as error:
        raise SemcompError(f"{file}: not JSON ({error}); repair or remove it") from None
    if not isinstance(found, dict):
        raise SemcompError(f"{file}: a {type(found).__name__} found, expected a JSON object; repair or remove it")
    return training_facts(found, file)


def of_whole(kept: TrainingFacts | None, whole: TrainingFacts | None) -> TrainingFacts | None:
    """Facts of weights that were kept in the course of a training.

    Args:
        kept: Facts of the training when they were kept.
        whole: Facts of all of it.
    """
    if kept is None or whole is None:
        return kept or whole
    return whole if kept.steps == whole.steps else replace(whole, kept_at=kept.steps)


def as_json(facts: TrainingFacts) -> str:
    """The text of a file of facts."""
    return json.dumps(facts.plain(), indent=2) + "\n"
