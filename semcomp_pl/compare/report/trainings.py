"""How the models of a comparison were trained, and whether alike: read from its provenance."""

from semcomp_pl.checkpoints.training_facts import TrainingFacts, training_facts
from semcomp_pl.compare.summary import Summary
from semcomp_pl.errors import SemcompError


def trainings(summary: Summary) -> dict[str, TrainingFacts]:
    """Facts of the trainings, by names of codec and point, of those codecs that state them."""
    found: dict[str, TrainingFacts] = {}
    for title, definition in summary.provenance.get("definitions", {}).items():
        said = definition.get("provenance", {}).get("training")
        try:
            found |= {title: training_facts(said, title)} if isinstance(said, dict) else {}
        except SemcompError:
            continue  # a codec from outside the suite may mean something else by this name
    return found


def budgets(summary: Summary) -> str:
    """A sentence on how many images the models saw in training; empty if none of them says."""
    seen = {title: facts.images for title, facts in trainings(summary).items() if facts.images is not None}
    if not seen:
        return ""
    least, most = min(seen.values()), max(seen.values())
    alike = f"Trainings are alike: {most:,} images seen" if len(seen) > 1 else f"Training: {most:,} images seen"
    text = alike if least == most else f"Trainings differ: {least:,} to {most:,} images seen"
    models = [f"{point.codec}, {point.point}" for point in summary.points if point.kind == "model"]
    silent = sum(model not in seen for model in models)
    return text + (f"; {silent} of {len(models)} models do not say" if silent else "")


def differ(summary: Summary) -> bool:
    """Whether models saw different numbers of images."""
    return len({facts.images for facts in trainings(summary).values()} - {None}) > 1


def duration(seconds: float | None) -> str:
    """A time to read: seconds, minutes or hours."""
    if seconds is None:
        return "–"  # noqa: RUF001
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
