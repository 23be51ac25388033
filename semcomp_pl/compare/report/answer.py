"""The answer of a comparison in words: the best codec at each rate, by how much, and how many judges agree.

An oracle, which is sent the true label map, cannot be used: it is named apart.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from semcomp_pl.compare.rows import ORACLE
from semcomp_pl.compare.statistics.delta import negative
from semcomp_pl.compare.summary import AtRate, Difference, Estimate, Point, Summary
from semcomp_pl.metrics import describe, perceptual
from semcomp_pl.metrics.catalogue import by_judge

MEANING = ("miou_ratio", "miou", "miou_agreement")
"""Metrics of meaning, most telling first."""


@dataclass(frozen=True)
class Answer:
    """What a comparison says at one target rate."""

    target: float
    """Bits per pixel."""
    metric: str
    best: Point
    rival: Point | None
    """The best format, if the best codec is a model, and the other way round; else the next best codec, if any."""
    lead: Estimate | None
    """Difference of the metric, best minus rival, over the images that both have."""
    agreeing: int
    """Number of judges that see this lead too, each with its own interval."""
    tied: tuple[str, ...]
    """Other codecs whose difference to the best may be zero."""

    @property
    def sure(self) -> bool:
        """Whether the lead is not zero."""
        return self.lead is not None and not _may_be_zero(self.lead)


def leading(metrics: Iterable[str]) -> list[str]:
    """The metrics in the order in which a report shows them: meaning before all else, then perception."""
    names = [*metrics]
    order = [*MEANING, *perceptual(names)]
    return sorted(names, key=lambda name: order.index(name) if name in order else len(order))


def answers(summary: Summary) -> list[Answer]:
    """One answer per target rate at which a codec stands, in order of rate."""
    measured = {name for one in summary.points for name in one.metrics}
    ranked = (name for name in leading(summary.metrics) if describe(name).higher_is_better is not None)
    metric = next((name for name in ranked if name in measured), None)
    at_rates = sorted(summary.at_rates, key=lambda one: one.target)
    found = [_answer(summary, at, metric) for at in at_rates] if metric else []
    return [one for one in found if one is not None]


def main_rate(summary: Summary) -> AtRate | None:
    """The lowest of the target rates that the largest number of codecs reaches; None if no codec reaches any."""
    rates = sorted(summary.at_rates, key=lambda one: one.target)
    reached = {one.target: sum(entry.point is not None for entry in one.entries) for one in rates}
    best = max(rates, key=lambda one: reached[one.target], default=None)
    return best if best is not None and reached[best.target] else None


def headline(summary: Summary) -> str:
    """The answer in one sentence: at the main rate, and at those beside it of which the same is true."""
    said, so_far = next(iter(_sentences(summary)), "No codec stands at a target rate."), _so_far(summary)
    return so_far + said[0].lower() + said[1:] if so_far else said


def remarks(summary: Summary) -> list[str]:
    """Sentences on the other rates, and on what limits the answers: codecs that are as good, and oracles."""
    found, said = answers(summary), _sentences(summary)[1:]
    alike: dict[tuple[str, tuple[float, ...]], list[str]] = {}
    for codec in summary.codecs:
        for best in dict.fromkeys(one.best.codec for one in found if codec in one.tied):
            rates = tuple(one.target for one in found if codec in one.tied and one.best.codec == best)
            alike.setdefault((best, rates), []).append(codec)
    for (best, rates), codecs in alike.items():
        where = f" at {_listed(f'{rate:g}' for rate in rates)} bpp" if len(rates) < len(found) else ""
        said.append(f"{_listed(codecs)} cannot be told apart from {best}{where}.")
    for codec in summary.codecs:
        values = [
            summary.point(codec, entry.point).metrics[one.metric].value
            for one in found
            for at in summary.at_rates
            for entry in at.entries
            if at.target == one.target and entry.codec == codec and entry.point is not None
        ]
        if codec.endswith(ORACLE) and values:
            said.append(f"{codec} is sent the true label map, and reaches {_span(values, found[0].metric)}.")
    return said


def _sentences(summary: Summary) -> list[str]:
    """One for each range of rates with an answer of its own: that of the main rate, then the others by rate."""
    groups = [list(group) for _, group in groupby(answers(summary), key=_same)]
    main = main_rate(summary)
    groups.sort(key=lambda group: all(main is None or one.target != main.target for one in group))
    return [_sentence(group, len(summary.judges)) for group in groups]


def _answer(summary: Summary, at: AtRate, metric: str) -> Answer | None:
    points = [summary.point(one.codec, one.point) for one in at.entries if one.point is not None]
    able = [one for one in points if metric in one.metrics and not one.codec.endswith(ORACLE)]
    if not able:
        return None
    sign = 1 if describe(metric).higher_is_better else -1
    able.sort(key=lambda one: -sign * one.metrics[metric].value)
    best, *others = able
    rival = next((one for one in others if one.kind != best.kind), others[0] if others else None)
    gaps = {one.codec: _differences(at.differences, best.codec, one.codec) for one in others}
    lead = gaps[rival.codec](metric) if rival else None
    seen = [gaps[rival.codec](by_judge(metric, judge.name)) for judge in summary.judges] if rival else []
    agreeing = sum(one is not None and not _may_be_zero(one) and sign * one.value > 0 for one in seen)
    tied = [one for one in others if one is not rival and _may_be_zero(gaps[one.codec](metric))]
    return Answer(at.target, metric, best, rival, lead, agreeing, tuple(one.codec for one in tied))


def _differences(known: Sequence[Difference], codec: str, other: str) -> Callable[[str], Estimate | None]:
    """The differences of two codecs by metric, the first minus the second."""
    for one in known:
        if (one.codec, one.other) == (codec, other):
            return one.metrics.get
        if (one.codec, one.other) == (other, codec):
            turned = {metric: negative(gap) for metric, gap in one.metrics.items()}
            return turned.get
    return lambda _: None


def _may_be_zero(gap: Estimate | None) -> bool:
    if gap is None or gap.low is None or gap.high is None:
        return gap is None or gap.value == 0
    return gap.low <= 0 <= gap.high


def _same(one: Answer) -> tuple[str, str | None, bool, int]:
    """What answers must share to be told in one sentence."""
    return one.best.codec, one.rival.kind if one.rival else None, one.sure, one.agreeing


def _sentence(group: list[Answer], judges: int) -> str:
    first = group[0]
    values = _span([one.best.metrics[first.metric].value for one in group], first.metric)
    seeds = f", mean of {first.best.seeds} trainings" if first.best.seeds > 1 else ""
    label = describe(first.metric).label
    what = f"keeps the most meaning ({label} {values}{seeds})"
    if first.metric not in MEANING:
        inside = label[0].lower() + label[1:] if label[1:2].islower() else label
        what = f"has the best {inside} ({values}{seeds})"
    if first.rival is None:
        what = f"stands alone ({label} {values}{seeds})"
    over = f": {_over(group, judges)}" if first.rival else ""
    return f"At {_rates([one.target for one in group])}, {first.best.codec} {what}{over}."


def _over(group: list[Answer], judges: int) -> str:
    """The lead over the rivals, and who agrees."""
    first = group[0]
    rivals = {one.rival.codec: one.rival.kind for one in group if one.rival}
    kind = {"reference": "format", "model": "model"}.get(next(iter({*rivals.values()} - {first.best.kind}), ""), "")
    which = f"the best {kind}{'s' if len(rivals) > 1 else ''}" if kind else "the next best"
    rival = f"{which} ({', '.join(rivals)})"
    if not first.sure:
        return f"not told apart from {rival}"
    leads = [one.lead.value for one in group if one.lead]
    side = "above" if leads[0] > 0 else "below"
    text = f"{_span([abs(lead) for lead in leads], first.metric)} {side} {rival}"
    if judges < 2:
        return text
    if first.agreeing == judges:
        return f"{text}; {'both' if judges == 2 else f'all {judges}'} judges agree"
    return f"{text}; {first.agreeing or 'none'} of {judges} judges agree"


def _so_far(summary: Summary) -> str:
    left = [one for one in summary.warnings if one.problem == "unfinished"]
    return f"So far, over {left[0].images} of {left[0].of} images: " if left else ""


def _rates(targets: Sequence[float]) -> str:
    texts = [f"{target:g}" for target in targets]
    return f"{_listed(texts) if len(texts) < 3 else f'{texts[0]} to {texts[-1]}'} bpp"


def _span(values: Sequence[float], metric: str) -> str:
    """Values of a metric with its unit: one if all look the same, two, or the range of more."""
    facts = describe(metric)
    texts = list(dict.fromkeys(f"{value:.{facts.digits}f}" for value in values))
    ends = f"{min(values):.{facts.digits}f} to {max(values):.{facts.digits}f}"
    return f"{_listed(texts) if len(texts) < 3 else ends} {facts.unit}".strip()


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
