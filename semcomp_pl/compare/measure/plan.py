"""The plan of a comparison, complete before the first row, in a form to send to other processes."""

import platform
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from semcomp_pl.codecs.base import Codec
from semcomp_pl.compare.config import Metric, Settings
from semcomp_pl.compare.measure.coders import ORIGINAL, Candidate, Coder, original
from semcomp_pl.compare.measure.instruments import Instruments
from semcomp_pl.compare.measure.ranks import Share
from semcomp_pl.compare.measure.settle import Contestant, relatives, settle
from semcomp_pl.data import ImageDataModule
from semcomp_pl.data.cache import Store
from semcomp_pl.errors import SemcompError
from semcomp_pl.version import __version__


@dataclass(frozen=True)
class Plan:
    """The work of a comparison."""

    directory: Path
    """Directory of the results."""
    store: Store
    names: Sequence[str]
    """Names of the images to compare, the first ones of the store."""
    pictured: Set[str]
    """Names of the images whose reconstructions are kept."""
    candidates: Sequence[Candidate]
    judges: Sequence[str]
    realism_judge: str | None
    metrics: Sequence[Metric]
    device: str

    def points(self) -> list[tuple[str, str]]:
        """Pairs of codec and point of all rows, in order."""
        return [ORIGINAL, *(pair for one in self.candidates for pair in one.pairs)]

    def load(self) -> "Loaded":
        """Load what a process needs to measure."""
        instruments = Instruments(self.judges, self.realism_judge, self.metrics, self.device)
        return Loaded(instruments, [None] * len(self.candidates))

    def coders(self, loaded: "Loaded") -> list[Coder]:
        """The coders of the original and of all candidates, reusing the senders that exist already."""
        panel, senders = loaded.instruments.panel, loaded.senders
        pairs = zip(self.candidates, senders, strict=True)
        return [original(), *(one.coder(self.device, panel, sender) for one, sender in pairs)]


class Loaded(NamedTuple):
    """Networks and codecs that a process has loaded, so that nothing is loaded twice."""

    instruments: Instruments
    senders: Sequence[Codec | None]
    """Senders in the order of the candidates; None for one not made yet."""


class Prepared(NamedTuple):
    """A comparison that is ready to measure."""

    plan: Plan
    provenance: dict[str, Any]
    """What is compared and with what, as plain JSON."""
    loaded: Loaded | None
    """What this process has loaded, if it measures itself."""


def prepare(settings: Settings, data: ImageDataModule, share: Share, command: str = "") -> Prepared:
    """Check the settings and make the plan.

    Raises:
        SemcompError: codecs are unusable, or a judge is not allowed for one of them or has other classes.
    """
    store = data.store(settings.split)
    names = store.names[: settings.images]
    device = f"{settings.device}:{share.local}" if settings.device == "cuda" and share.world > 1 else settings.device
    instruments = Instruments(settings.judges, settings.realism_judge, settings.metrics, device)
    panel = instruments.panel
    if panel.judges and data.num_classes not in {0, panel.num_classes}:
        raise SemcompError(
            f"{', '.join(panel.judges)}: a judge of {panel.num_classes} classes found, the data have "
            f"{data.num_classes}; choose one that was trained on such data"
        )
    contestants = settle(settings, instruments, data.num_classes, device)
    plan = Plan(
        directory=Path(settings.output),
        store=store,
        names=names,
        pictured=frozenset(names[i] for i in spread(len(names), settings.pictures)),
        candidates=[one.candidate for one in contestants],
        judges=settings.judges,
        realism_judge=settings.realism_judge,
        metrics=instruments.metrics,
        device=device,
    )
    names_of = [[*(judge.class_names or map(str, range(judge.num_classes)))] for judge in panel.judges.values()]
    known = next(iter(names_of), [])
    provenance = {
        "codecs": [codec for codec, _ in plan.points()],
        "points": [f"{codec}, {point}" for codec, point in plan.points()],
        "definitions": {one.title: _definition(one) for one in contestants},
        "images": list(names),
        "checkpoints": _fingerprints(contestants),
        "data": {
            "source": type(data.source).__name__,
            "split": settings.split,
            "fingerprint": _fingerprint(store, names),
        },
        "judges": panel.provenance(),
        "relatives": relatives(contestants, panel),
        "segmenters": _segmenters(contestants),
        "classes": known and (list(data.classes) or known),
        "metrics": instruments.provenance(),
        "device": torch.cuda.get_device_name() if settings.device.startswith("cuda") else "cpu",
        "versions": _versions(),
        "seeds": {"bootstrap": settings.seed},
        "settings": {name: getattr(settings, name) for name in ("draws", "seed", "targets", "pictures")},
        "command": command,
    }
    loaded = Loaded(instruments, [one.sender for one in contestants]) if settings.workers == 0 else None
    return Prepared(plan, provenance, loaded)


def spread(total: int, count: int) -> list[int]:
    """`count` indices evenly spread over 0..total-1; all of them if there are fewer."""
    return sorted({int(place) for place in np.linspace(0, total - 1, min(count, total)).round()})


def _definition(one: Contestant) -> dict[str, Any]:
    said = dict(one.facts.provenance())
    return one.candidate.recipe.provenance() | ({"provenance": said} if said else {})


def _fingerprints(contestants: Sequence[Contestant]) -> dict[str, dict[str, str]]:
    """Fingerprints of weights and tables, by codec and point."""
    found: dict[str, dict[str, str]] = {}
    for one in contestants:
        if one.facts.fingerprint:
            for codec, point in one.candidate.pairs:
                found.setdefault(codec, {})[point] = one.facts.fingerprint.hex()
    return found


def _segmenters(contestants: Sequence[Contestant]) -> dict[str, Mapping[str, Any]]:
    """Provenance of the segmenters that make the label maps, by codec and point."""
    makers = {one.title: getattr(one.sender, "segmenter", None) for one in contestants if one.facts.sends_labels}
    oracles = {one.title for one in contestants if one.candidate.true_labels}
    return {title: maker.provenance() for title, maker in makers.items() if maker is not None and title not in oracles}


def _fingerprint(store: Store, names: Sequence[str]) -> str:
    """SHA-256 of the names and prepared pixels of images and label maps."""
    digest = sha256()
    for index, name in enumerate(names):
        digest.update(name.encode())
        for kind, pixels in sorted(store[index].items()):
            digest.update(f" {kind} {pixels.dtype} {pixels.shape} ".encode())
            digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def _versions() -> dict[str, str]:
    packages = ("torch", "torchvision", "torchmetrics", "numpy", "pillow", "polars", "bjontegaard")
    return {"semcomp_pl": __version__, "python": platform.python_version()} | {name: version(name) for name in packages}
