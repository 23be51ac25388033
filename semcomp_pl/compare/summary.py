"""All numbers of a comparison, computed from its rows: a typed structure that is stored as plain JSON."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from semcomp_pl.compare.rows import Kind
from semcomp_pl.errors import SemcompError
from semcomp_pl.files.atomic import write_file

TARGETS = (0.03, 0.04, 0.06, 0.075, 0.1)
"""Default rates, in bits per pixel, at which codecs are compared."""
Standing = Literal["best", "tied", "behind"]
"""`tied`: the interval of the paired difference to the best includes 0, uncorrected for the number of comparisons."""
Problem = Literal["no_ceiling", "unfinished", "incomplete", "no_file", "failed", "one_image"]
"""In this order: no original was judged; images are still to be measured, for all codecs or for one point; at a point,
some images have no file at or below the target, or failed; a single image gives no intervals."""


@dataclass(frozen=True)
class Estimate:
    """A finite value, with a 95 % bootstrap interval over images if single images have values."""

    value: float
    low: float | None = None
    high: float | None = None
    spread: float | None = None
    """Standard deviation over seeds of the training, for a value that rests on several."""


@dataclass(frozen=True)
class Point:
    """One codec at one operating point over the data set."""

    codec: str
    point: str
    kind: Kind
    target: float | None
    """Target rate in bits per pixel, for a point that was searched for one."""
    images: int
    """Number of images with a file; means are over these."""
    no_file: int
    """Number of images for which the codec has no file at or below the target."""
    failed: int
    """Number of images at which the codec or a metric failed."""
    bpp: Estimate | None
    """Mean rate; None if no image has a file."""
    sections: dict[str, float]
    """Mean bytes by section (`header`, `latent`, ...) and of the whole file (`total`)."""
    metrics: dict[str, Estimate]
    """Metrics by name, without those not measured: means of the metrics of single images; `miou`, `miou_agreement`,
    `miou_ratio` (`miou` as a share of the ceiling's), `iou_CLASS`, `fid` and `kid` of the data set."""
    encode_seconds: float | None
    """Median time per image in the serial pass."""
    decode_seconds: float | None
    peak_memory: int | None
    """Largest memory use in the serial pass, in bytes."""
    seeds: int = 1
    """Number of trainings, which differ in their seed alone, whose results are pooled here."""

    @property
    def lacking(self) -> int:
        """Number of images without a file, for either reason."""
        return self.no_file + self.failed


@dataclass(frozen=True)
class Entry:
    """A codec at a target rate."""

    codec: str
    status: Literal["ok", "no_point", "no_file", "failed"]
    """Whether it has a point here, or why not: all points are above the rate, or the nearest one lacks files."""
    point: str | None
    """The point searched for this target, else the one of highest mean bpp at or below it; None unless `ok`."""
    tried: str | None
    """If the status is `no_file` or `failed`, the point that would be used here if all its images had files."""
    standing: dict[str, Standing]
    """Standing by metric, without metrics that rank nothing and values that are shown as zero; if there is no interval,
    by value alone. Empty for an oracle."""
    to_best: dict[str, Estimate]
    """Paired difference to the best codec by metric, this minus best, over the images that both have."""
    agreed: list[str] = field(default_factory=list)
    """Metrics whose difference to the best codec is agreed, see `Difference.agreed`."""


@dataclass(frozen=True)
class Difference:
    """Paired differences of two codecs' points, `codec` minus `other`, over the images that both have."""

    codec: str
    other: str
    metrics: dict[str, Estimate]
    """Differences by metric, including `iou_CLASS` and `bpp`, in each metric's own unit and direction."""
    agreed: list[str] = field(default_factory=list)
    """Those of `miou`, `miou_agreement` and `miou_ratio` of which the intervals of all of several judges lie on the
    same side of zero."""


@dataclass(frozen=True)
class Judge:
    """One of a comparison's judges."""

    name: str
    architecture: str
    encoder: str
    relatives: dict[str, str]
    """Codecs that a segmenter of its kind had a part in, and what the two share: `architecture ...`, `encoders of the
    family ...`, or `unknown`."""


def headline(judges: Sequence[Judge]) -> list[str]:
    """Names of the judges whose means are the headline: strangers to all codecs, or all judges if none is one."""
    return [one.name for one in judges if not one.relatives] or [one.name for one in judges]


@dataclass(frozen=True)
class Order:
    """How far several judges agree on the order of the codecs at a rate, by the mIoU under each."""

    tau: Estimate
    """Kendall's tau of two judges' orders, -1 to 1, averaged over all pairs of judges."""
    pairs: int
    """Number of pairs of codecs."""
    alike: int
    """Number of pairs that all judges order alike."""
    agreed: int
    """Number of pairs for which all judges' intervals of the difference lie on the same side of zero."""


@dataclass(frozen=True)
class Gain:
    """What a codec gains in mIoU / ceiling over another that no segmenter had a part in, by who judges."""

    codec: str
    over: str
    relatives: Estimate
    """Mean over the judges that are relatives of its segmenter."""
    strangers: Estimate
    """Mean over the judges that are strangers to all codecs."""


@dataclass(frozen=True)
class AtRate:
    """The codecs side by side at one target rate."""

    target: float
    entries: list[Entry]
    """One per codec, in the order of `Summary.codecs`."""
    differences: list[Difference]
    """One per unordered pair of codecs that both have a point here."""
    order: Order | None = None
    """None unless several judges saw two codecs or more."""
    gains: list[Gain] = field(default_factory=list)
    """One per codec to which some judge is a relative, over the best codec without a segmenter, if there are strangers
    too."""


@dataclass(frozen=True)
class Bjontegaard:
    """Average distance between the curves of two codecs, `test` against `anchor`."""

    anchor: str
    test: str
    metric: str
    rate: Estimate | None
    """BD-rate in percent; negative where the test needs fewer bits for the same quality."""
    quality: Estimate | None
    """BD-metric in the metric's own unit and direction, test minus anchor at the same rate."""
    rate_overlap: float | None
    """Share of the rates' joint range that both curves cover, 0..1 (log scale); `quality` is integrated over it."""
    quality_overlap: float | None
    """The same for the metric's values, over which `rate` is integrated."""
    notes: list[str]
    """Why a value is None, and warnings such as ranges that barely overlap."""


@dataclass(frozen=True)
class Caution:
    """Something to know before trusting the numbers."""

    problem: Problem
    images: int = 0
    """Number of images concerned."""
    of: int = 0
    """Total number of images."""
    codec: str | None = None
    """Codec concerned, together with `point`; None if the whole comparison is."""
    point: str | None = None


@dataclass(frozen=True)
class Summary:
    """A comparison in numbers."""

    codecs: list[str]
    """Models, then references, each sorted by name; the original is not among them. Colours follow this order."""
    images: list[str]
    classes: list[str]
    """Names of the classes in order of train id; empty without a judge."""
    metrics: list[str]
    """Metrics measured, in display order, without `iou_CLASS`; see `semcomp_pl.metrics.catalogue.describe`."""
    points: list[Point]
    """All points, in the order of `codecs`, then by rate."""
    ceiling: Point | None
    """The originals themselves, `kind` original."""
    at_rates: list[AtRate]
    bjontegaard: list[Bjontegaard]
    """One per ordered pair of codecs and ranked metric."""
    warnings: list[Caution]
    draws: int
    """Number of bootstrap resamplings."""
    level: float
    """Level of the intervals: 0.95."""
    seed: int
    provenance: dict[str, Any]
    judges: list[Judge] = field(default_factory=list)
    """In the order in which they were named."""

    @property
    def strangers(self) -> list[str]:
        """Names of the judges that are strangers to all codecs; all judges, if none is a stranger."""
        return headline(self.judges)

    def point(self, codec: str, point: str) -> Point:
        """The point of this name.

        Raises:
            KeyError: there is no such point.
        """
        for one in self.points:
            if (one.codec, one.point) == (codec, point):
                return one
        raise KeyError((codec, point))

    def curve(self, codec: str) -> list[Point]:
        """A codec's points in order of rate, without those at which no image has a file."""
        return [one for one in self.points if one.codec == codec and one.bpp is not None]

    def to_json(self) -> dict[str, Any]:
        """The content of `summary.json`: plain JSON without NaN or infinity."""
        return asdict(self)

    def write(self, directory: Path) -> None:
        """Write `summary.json` and `summary.csv`, which has one row per point; each file whole or not at all.

        Raises:
            SemcompError: they cannot be written.
        """
        text = json.dumps(self.to_json(), allow_nan=False) + "\n"  # indented, it may grow to megabytes
        write_file(directory / "summary.json", lambda file: file.write(text.encode()))
        rows = [_csv_row(one) for one in ([] if self.ceiling is None else [self.ceiling]) + self.points]
        lines = io.StringIO(newline="")
        writer = csv.DictWriter(lines, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)
        write_file(directory / "summary.csv", lambda file: file.write(lines.getvalue().encode()))


def read_summary(path: Path) -> Summary:
    """What `Summary.write` wrote.

    Raises:
        SemcompError: the file does not exist, or is no summary of this version.
    """
    try:
        return TypeAdapter(Summary).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise SemcompError(
            f"{path}: no summary of a comparison found ({type(error).__name__}), expected a summary.json of this "
            "version; run semcomp report on the directory that semcomp compare wrote"
        ) from None


def _csv_row(point: Point) -> dict[str, str | float | None]:
    fields: dict[str, str | float | None] = {
        name: getattr(point, name) for name in ("codec", "point", "kind", "target", "images", "no_file", "failed")
    }
    fields |= {name: getattr(point, name) for name in ("encode_seconds", "decode_seconds", "peak_memory")}
    fields |= {f"bytes_{name}": value for name, value in point.sections.items()}
    rate = {} if point.bpp is None else {"bpp": point.bpp}
    for name, estimate in (rate | point.metrics).items():
        fields |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return fields
