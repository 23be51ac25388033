"""Turning the settings' entries into codecs with named points, checked against the judges."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from semcomp_pl.checkpoints.loading import known_segmenter
from semcomp_pl.codecs.base import Codec, CodecFacts, Kind, facts_of
from semcomp_pl.compare.config import CodecEntry, Settings
from semcomp_pl.compare.measure.coders import ANY_QUALITY, ORIGINAL, Candidate
from semcomp_pl.compare.measure.instruments import Instruments
from semcomp_pl.compare.measure.panel import Panel, kinship
from semcomp_pl.compare.measure.recipe import Recipe, lacks_segmenter
from semcomp_pl.compare.rows import ORACLE, SEED
from semcomp_pl.errors import SemcompError
from semcomp_pl.files.places import model_name
from semcomp_pl.nets.segmenter import Segmenter


@dataclass(frozen=True)
class Contestant:
    """A candidate, and the instance made to read its facts, which can also serve as sender."""

    candidate: Candidate
    sender: Codec

    @property
    def facts(self) -> CodecFacts:
        """The codec's facts about itself."""
        return facts_of(self.sender)

    @property
    def title(self) -> str:
        """Names of codec and first point."""
        return ", ".join(self.candidate.pairs[0])


def settle(settings: Settings, instruments: Instruments, classes: int, device: str) -> list[Contestant]:
    """The codecs of the settings, with unique names of codec and point.

    Args:
        settings: Settings of the comparison.
        instruments: Networks that measure.
        classes: Number of classes K of the data; 0 without labels.
        device: Device of the codecs.

    Raises:
        SemcompError: an entry makes no codec, its codec lacks label maps or may not be judged by these judges, or two
            points have the same name.
    """
    groups = [_contestants(entry, settings, device) for entry in settings.codecs]
    for entry, group in zip(settings.codecs, groups, strict=True):
        for one in group:
            _check_labels(one, entry, classes)
            if one.candidate.by_agreement and not instruments.panel.judges:
                raise SemcompError(f"{one.title}: best=agreement without a judge found; name --judge, or leave it out")
            _refuse_rival(one, instruments.panel)
    everyone = _told_apart(settings.codecs, groups)
    _refuse_own_discriminator(everyone, settings.realism_judge, instruments, classes)
    return everyone


def _contestants(entry: CodecEntry, settings: Settings, device: str) -> list[Contestant]:
    """The contestants of an entry: one per operating point, and one for all target rates together."""
    recipe = Recipe(
        entry.class_path,
        entry.init_args,
        tuple(settings.paths),
        settings.segmenter if entry.labels == "own" else None,
        tuple(settings.imports),
    )
    if entry.targets and not recipe.takes("quality"):
        raise SemcompError(
            f"{entry.class_path}: targets found, but no argument `quality` to search with; give it points instead"
        )
    fixed = entry.points or ([] if entry.targets else [{}])
    made = []
    for more in fixed:
        own = replace(recipe, init_args={**entry.init_args, **more})
        made.append((own, own.sender(device)))
    names = _point_names(entry, fixed, [_checked(facts_of(codec), entry) for _, codec in made])
    points: list[Mapping[str, float | None]] = [{name: None} for name in names]
    if entry.targets:
        made.append((recipe, recipe.sender(device, quality=ANY_QUALITY)))
        points.append({f"{target:g} bpp": target for target in entry.targets})
    return [Contestant(_named(entry, *one, known), one[1]) for one, known in zip(made, points, strict=True)]


def _named(entry: CodecEntry, recipe: Recipe, codec: Codec, points: Mapping[str, float | None]) -> Candidate:
    facts = _checked(facts_of(codec), entry)
    name = entry.codec or facts.label or type(codec).__name__
    oracle = entry.labels == "true"
    if oracle and not name.endswith(ORACLE):
        name += ORACLE
    return Candidate(name, facts.kind, points, recipe, oracle, by_agreement=entry.best == "agreement")


def _checked(facts: CodecFacts, entry: CodecEntry) -> CodecFacts:
    """Check facts from a foreign class, whose attributes may have the same names and another meaning."""
    if facts.kind not in get_args(Kind) or not isinstance(facts.fingerprint, bytes):
        raise SemcompError(
            f"{entry.class_path}: kind {facts.kind!r} and fingerprint {facts.fingerprint!r} found, expected one of "
            f"{get_args(Kind)} and bytes; codecs.base.CodecFacts says what these attributes mean"
        )
    return facts


def _point_names(entry: CodecEntry, points: Sequence[Mapping[str, Any]], facts: Sequence[CodecFacts]) -> list[str]:
    """The codec's own names of the points if these are distinct, else the arguments that differ."""
    said = [one.point for one in facts if one.point]
    if entry.point is not None:
        return [entry.point]
    if len({*said}) == len(points):
        return [str(name) for name in said]
    given = [more or entry.init_args for more in points]
    return [", ".join(f"{name}={value}" for name, value in arguments.items()) or "default" for arguments in given]


def _check_labels(one: Contestant, entry: CodecEntry, classes: int) -> None:
    """Refuse a codec that sends label maps but has none, or has label maps of other classes."""
    facts = one.facts
    if one.candidate.true_labels:
        if not facts.sends_labels:
            raise SemcompError(f"{one.title}: labels: 'true' found for a codec that sends no label map; leave it out")
        if classes != facts.num_classes:
            raise SemcompError(
                f"{one.title}: a model of {facts.num_classes} classes found, the data have {classes}; choose the data "
                "that it was trained on"
            )
    elif lacks_segmenter(one.sender):
        raise SemcompError(
            f"{one.title}: {entry.class_path} made a codec that sends a label map; name a --segmenter that makes it, "
            "or say `labels: 'true'` for the row of an oracle"
        )


def _refuse_rival(one: Contestant, panel: Panel) -> None:
    """Refuse a judge that was part of a codec's training or makes its label maps."""
    maker = _map_maker(one)
    for name, judge in panel.judges.items():
        own = judge.fingerprint()
        if maker is not None and maker.fingerprint() == own:
            part = "makes the label maps"
        elif own.hex() in one.facts.segmenters:
            part = "was part of the training"
        else:
            continue
        raise SemcompError(f"{name}: this segmenter {part} of {one.title} and may not judge it; name another --judge")


def _map_maker(one: Contestant) -> Segmenter | None:
    """The segmenter that makes a codec's label maps; None if it sends none, or the true ones."""
    maker: Segmenter | None = None if one.candidate.true_labels else getattr(one.sender, "segmenter", None)
    return maker


def relatives(contestants: Sequence[Contestant], panel: Panel) -> dict[str, dict[str, str]]:
    """For each judge, the codecs that a segmenter of its kind trained or makes label maps for, and what they share.

    `unknown` stands for what they share where nothing is known of a codec's segmenter but its fingerprint.
    """
    found: dict[str, dict[str, str]] = {name: {} for name in panel.judges}
    for one in contestants:
        maker = _map_maker(one)
        own = None if maker is None else maker.fingerprint().hex()
        trained = [known_segmenter(name) for name in one.facts.segmenters if panel.judges and name != own]
        for name, judge in panel.judges.items():
            kin = ["unknown" if other is None else kinship(judge, other) for other in trained]
            kin += [] if maker is None else [kinship(judge, maker)]
            shared = [said for said in kin if said]
            if shared:
                found[name][one.candidate.codec] = shared[0]
    return found


def _refuse_own_discriminator(
    contestants: Sequence[Contestant], realism_judge: str | None, instruments: Instruments, classes: int
) -> None:
    """Refuse a discriminator from a codec's own training, or one that sees other classes than the data have."""
    trained = instruments.discriminator
    if trained is None:
        return
    if trained.num_classes not in {0, classes}:
        raise SemcompError(
            f"{realism_judge}: a discriminator that sees {trained.num_classes} classes found, the data have {classes}; "
            "choose one of a PlainGAN, or of such data"
        )
    for one in contestants:
        if one.facts.fingerprint == trained.codec_fingerprint:
            raise SemcompError(
                f"{realism_judge}: the discriminator that {one.title} was trained against found, which may not judge "
                "it; name the checkpoint of another training"
            )


def _told_apart(entries: Sequence[CodecEntry], groups: Sequence[Sequence[Contestant]]) -> list[Contestant]:
    """All contestants; where names clash, the models' names are added to codecs that the settings do not name.

    Raises:
        SemcompError: two points have the same name.
    """
    groups = _with_seeds(groups)
    owners = defaultdict(set)
    for place, group in enumerate(groups):
        for pair in _pairs(group):
            owners[pair].add(place)
    everyone: list[Contestant] = []
    for place, (entry, group) in enumerate(zip(entries, groups, strict=True)):
        model = entry.init_args.get("model")
        if entry.codec is None and model is not None and any(owners[pair] != {place} for pair in _pairs(group)):
            group = [_renamed(one, f"{one.candidate.codec} ({model_name(str(model))})") for one in group]
        everyone += group
    for (codec, point), count in Counter([ORIGINAL, *_pairs(everyone)]).items():
        if count > 1:
            raise SemcompError(f"two codecs as {codec}, {point} found; give each a `codec` or `point` of its own")
    return everyone


def _with_seeds(groups: Sequence[Sequence[Contestant]]) -> list[list[Contestant]]:
    """The groups, with the seed in the points of trainings that differ in nothing else."""
    alike: dict[str, set[int]] = defaultdict(set)
    for one in (one for group in groups for one in group):
        alike[_training(one)].add(_seed(one))
    return [[_of_seed(one) if len(alike[_training(one)]) > 1 else one for one in group] for group in groups]


def _training(one: Contestant) -> str:
    """What seeds of one training have in common: names, and the facts without the seed and what a clock says."""
    facts = dict(one.facts.provenance().get("training", {}))
    same = {name: facts.get(name) for name in ("model", "steps", "batch", "size", "images", "warm_start", "schedule")}
    return json.dumps([one.candidate.pairs, same, one.candidate.true_labels, *([] if "seed" in facts else [id(one)])])


def _seed(one: Contestant) -> int:
    return int(one.facts.provenance().get("training", {}).get("seed", 0))


def _of_seed(one: Contestant) -> Contestant:
    seed = _seed(one)
    points = {f"{point}{SEED}{seed}": target for point, target in one.candidate.points.items()}
    return replace(one, candidate=replace(one.candidate, points=points, seed=seed))


def _pairs(contestants: Sequence[Contestant]) -> Iterator[tuple[str, str]]:
    return (pair for one in contestants for pair in one.candidate.pairs)


def _renamed(one: Contestant, codec: str) -> Contestant:
    return replace(one, candidate=replace(one.candidate, codec=codec))
