"""All that a comparison says in numbers, from its rows, as one typed structure that is plain JSON."""

import csv
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from semcomp_pl.files.atomic import write_file
from semcomp_pl.compare.rows import Kind

TARGETS = (0.03, 0.04, 0.06, 0.075, 0.1)
"""Bits per pixel at which codecs are compared."""
Standing = Literal["best", "tied", "behind"]
"""Tied: the interval of the paired difference to the best includes 0; not corrected for the number of comparisons."""


@dataclass(frozen=True)
class Estimate:
    """A finite value with its 95 % bootstrap interval over images; none where there is no per-image value."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Point:
    """One codec at one operating point over the data set."""

    codec: str
    point: str
    kind: Kind
    target: float | None
    """Bits per pixel that a reference was searched for."""
    images: int
    """Rows without an error; means are over these."""
    failed: int
    bpp: Estimate | None
    """None where no image succeeded."""
    sections: dict[str, float]
    """Mean bytes by section (`header`, `latent`, ...) and of the whole file (`total`)."""
    metrics: dict[str, Estimate]
    """By name; a name that is not there was not measured. Per-image metrics as means, `miou`, `miou_self`,
    `miou_ratio` (miou / ceiling's miou), `iou_CLASS` and `fid`, `kid` of the data set."""
    encode_seconds: float | None
    """Median an image, of the serial pass."""
    decode_seconds: float | None
    peak_memory: int | None
    """Largest, in bytes, of the serial pass."""


@dataclass(frozen=True)
class Entry:
    """A codec at a target rate."""

    codec: str
    point: str | None
    """Its point with the highest mean bpp at or below the target; a reference's point searched for that target."""
    reason: str | None
    """Why `point` is None."""
    standing: dict[str, Standing]
    """By metric. Metrics that rank nothing are absent; `best` and `behind` without an interval are by value."""
    to_best: dict[str, Estimate]
    """Paired difference to the best of each metric, this minus best, over the images that both have."""


@dataclass(frozen=True)
class Difference:
    """Paired differences of two codecs' points, `codec` minus `other`, over the images that both have."""

    codec: str
    other: str
    metrics: dict[str, Estimate]
    """By name, `iou_CLASS` and `bpp` among them, in each metric's own unit and direction."""


@dataclass(frozen=True)
class AtRate:
    """The codecs side by side at one target rate."""

    target: float
    entries: list[Entry]
    """One a codec, in the order of `Summary.codecs`."""
    differences: list[Difference]
    """One an unordered pair of codecs that both have a point here."""


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
    """The same of the metric's values, over which `rate` is integrated."""
    notes: list[str]
    """Why a value is None, and warnings such as ranges that barely overlap."""


@dataclass(frozen=True)
class Summary:
    """A comparison in numbers."""

    codecs: list[str]
    """Models, then references, each by name; the original is not among them. Colours follow this order."""
    images: list[str]
    classes: list[str]
    """Names in order of train id; empty without a judge."""
    metrics: list[str]
    """Those measured, in the order to show them, without `iou_CLASS`; see `names.describe`."""
    points: list[Point]
    """By codec as in `codecs`, then by rate."""
    ceiling: Point | None
    """The originals themselves, `kind` original."""
    at_rates: list[AtRate]
    bjontegaard: list[Bjontegaard]
    """Every ordered pair of codecs and every ranked metric."""
    warnings: list[str]
    draws: int
    level: float
    """Of the intervals, 0.95."""
    seed: int
    provenance: dict[str, Any]

    def point(self, codec: str, point: str) -> Point:
        """The point of that name.

        Raises:
            KeyError: there is none.
        """
        for one in self.points:
            if (one.codec, one.point) == (codec, point):
                return one
        raise KeyError((codec, point))

    def curve(self, codec: str) -> list[Point]:
        """A codec's points by rising rate, without those where no image succeeded."""
        return [one for one in self.points if one.codec == codec and one.bpp is not None]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON without NaN or infinity; what `summary.json` holds."""
        return asdict(self)

    def write(self, directory: Path) -> None:
        """`summary.json` and `summary.csv`, one row a point and the ceiling, each whole or not at all.

        Raises:
            SemcompError: they cannot be written.
        """
        text = json.dumps(self.to_json(), allow_nan=False) + "\n"  # indented, a large comparison's is a megabyte
        write_file(directory / "summary.json", lambda file: file.write(text.encode()))
        rows = [_csv_row(one) for one in ([] if self.ceiling is None else [self.ceiling]) + self.points]
        lines = io.StringIO(newline="")
        writer = csv.DictWriter(lines, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)
        write_file(directory / "summary.csv", lambda file: file.write(lines.getvalue().encode()))


def _csv_row(point: Point) -> dict[str, str | float | None]:
    fields: dict[str, str | float | None] = {
        name: getattr(point, name) for name in ("codec", "point", "kind", "target", "images", "failed")
    }
    fields |= {name: getattr(point, name) for name in ("encode_seconds", "decode_seconds", "peak_memory")}
    fields |= {f"bytes_{name}": value for name, value in point.sections.items()}
    rate = {} if point.bpp is None else {"bpp": point.bpp}
    for name, estimate in (rate | point.metrics).items():
        fields |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return fields
