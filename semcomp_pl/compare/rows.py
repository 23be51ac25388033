"""The table that a comparison measures: one row per codec, operating point and image, in `results.parquet`.

| column | type | what |
| --- | --- | --- |
| codec | str | display name, shared by all points of one curve |
| point | str | operating point, such as `q10 x2` or `d4C8`; unique within its codec |
| kind | str | `model`, `reference` or `original` |
| seed | int | of the training, if several trainings that differ in it alone are compared; null otherwise |
| target | float | bits per pixel that the point was searched for; null otherwise |
| image | str | name, unique within the data set |
| status | str | `ok`; `no_file` where the codec has no file at or below `target`; `failed` for any other error |
| height, width | int | of the original |
| bytes | int | of the whole file |
| bytes_SECTION | int | of these, bytes of the header, latent, labels, ...; null if the file has no such section |
| bpp | float | 8 * bytes / (height * width) |
| psnr, ms_ssim_4, lpips, ... | float | one column per metric of single images, see `semcomp_pl.metrics`; may be null |
| confusion | list[int] | K * K counts of pixels: row = true class, column = the judge's prediction after coding |
| confusion_agreement | list[int] | the same with the judge's prediction of the original in place of the truth |
| confusion@JUDGE, accuracy@JUDGE, ... | | the same of each judge, if there are several |
| encode_seconds, decode_seconds | float | measured in the serial pass; null for images not in it |
| peak_memory | int | bytes, measured likewise |
| error | str | why there is no file; null exactly where `status` is `ok`. Such a row has no bytes, bpp or metrics |

Every column that is neither in `FIXED` nor `bytes_SECTION` is a metric.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import polars as pl

from semcomp_pl.errors import SemcompError
from semcomp_pl.files.atomic import write_file
from semcomp_pl.metrics.catalogue import of_judge

Kind = Literal["model", "reference", "original"]
Status = Literal["ok", "no_file", "failed"]

FIXED: dict[str, type[pl.DataType] | pl.DataType] = {
    "codec": pl.String,
    "point": pl.String,
    "kind": pl.String,
    "seed": pl.Int64,
    "target": pl.Float64,
    "image": pl.String,
    "status": pl.String,
    "height": pl.Int64,
    "width": pl.Int64,
    "bytes": pl.Int64,
    "bpp": pl.Float64,
    "confusion": pl.List(pl.Int64),
    "confusion_agreement": pl.List(pl.Int64),
    "encode_seconds": pl.Float64,
    "decode_seconds": pl.Float64,
    "peak_memory": pl.Int64,
    "error": pl.String,
}
SECTION = "bytes_"
SEED = ", seed "
"""What stands between the point's own name and the seed in the point of a row that has a seed."""
ORACLE = " (oracle)"
"""End of the name of a codec that is sent the true label map."""
PAIR = ("codec", "point", "image")
"""Columns that together identify a row."""


@dataclass(frozen=True)
class Results:
    """The rows of a comparison, and what they were measured with."""

    rows: pl.DataFrame
    provenance: Mapping[str, Any]
    """Plain JSON: `versions`, `seeds`, `checkpoints` (fingerprint by codec), `data` (name, split, fingerprint),
    `judge` (fingerprint, architecture, input size), `classes` (names in order of train id), `command`, and more."""
    set_metrics: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    """Metrics of whole data sets (`fid`, `kid`), as codec -> point -> name -> value."""


def table(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """The table of rows given as dictionaries; missing values are null.

    Raises:
        SemcompError: as for `check`.
    """
    names = list(dict.fromkeys([*FIXED, *(name for row in rows for name in row)]))
    return check(
        pl.DataFrame([{**row} for row in rows], schema={name: column_type(name) for name in names}, strict=False)
    )


def merge(parts: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """The rows of several tables; columns missing from some tables are null in their rows.

    Raises:
        SemcompError: as for `check`.
    """
    return check(pl.concat([table([]), *parts], how="diagonal"))


def check(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the same table if it is as described in this module.

    Raises:
        SemcompError: a column is missing or of another type, a kind or status is unknown, a status contradicts the
            error, a rate is not that of the bytes, or a pair occurs twice.
    """
    for name in dict.fromkeys([*FIXED, *rows.columns]):
        if rows.schema.get(name) != column_type(name):
            raise SemcompError(
                f"column {name} of type {rows.schema.get(name)} found, expected {column_type(name)}; "
                "make the table with rows.table"
            )
    for name, known in (("kind", get_args(Kind)), ("status", get_args(Status))):
        unknown = set(rows[name].unique()) - set(known)
        if unknown:
            raise SemcompError(f"{name} {sorted(map(str, unknown))} found, expected one of {known} in each row")
    fine = pl.col("status") == "ok"
    wrong = rows.filter(fine != pl.col("error").is_null())
    if len(wrong):
        one = wrong.row(0, named=True)
        raise SemcompError(
            f"status {one['status']} with error {one['error']!r} found at codec {one['codec']}, image {one['image']}, "
            "expected an error exactly where the status is not ok; say both"
        )
    rate = 8 * pl.col("bytes") / (pl.col("height") * pl.col("width"))
    wrong = rows.filter(fine, ((pl.col("bpp") - rate).abs() < 1e-9).fill_null(False).not_())
    if len(wrong):
        one = wrong.row(0, named=True)
        raise SemcompError(
            f"{one['bpp']} bpp of {one['bytes']} bytes found at codec {one['codec']}, image {one['image']} of "
            f"{one['height']}x{one['width']}, expected 8 * bytes / pixels; count the whole file, or say the error"
        )
    pairs = rows.select(PAIR)
    if pairs.is_duplicated().any():
        twice = pairs.filter(pairs.is_duplicated()).row(0)
        raise SemcompError(
            f"two rows of codec {twice[0]}, point {twice[1]}, image {twice[2]} found, expected one per pair; "
            "give each point of a codec a name of its own, and merge each part once"
        )
    return rows


def section_names(rows: pl.DataFrame) -> list[str]:
    """Names of the files' sections, in the order of the columns."""
    return [name.removeprefix(SECTION) for name in rows.columns if name.startswith(SECTION)]


def metric_names(rows: pl.DataFrame) -> list[str]:
    """Names of the metrics of single images, in the order of the columns."""
    others = [name for name in rows.columns if name not in FIXED and not name.startswith(SECTION)]
    return [name for name in others if name not in confusion_names(rows)]


def confusion_names(rows: pl.DataFrame) -> list[str]:
    """Names of the columns of confusion counts, in the order of the columns."""
    return [name for name in rows.columns if of_judge(name)[0] in ("confusion", "confusion_agreement")]


def write_results(results: Results, path: Path) -> None:
    """Write `results.parquet`, whole or not at all.

    Raises:
        SemcompError: the rows fail `check`, or the file cannot be written.
    """
    metadata = {"provenance": json.dumps(results.provenance), "set_metrics": json.dumps(results.set_metrics)}
    check(results.rows)
    write_file(path, lambda file: results.rows.write_parquet(file, metadata=metadata))


def read_results(path: Path) -> Results:
    """What `write_results` wrote.

    Raises:
        SemcompError: the file does not exist, or holds no results.
    """
    try:
        metadata = pl.read_parquet_metadata(path)
        rows = pl.read_parquet(path)
        provenance, set_metrics = json.loads(metadata["provenance"]), json.loads(metadata["set_metrics"])
    except (OSError, pl.exceptions.PolarsError, KeyError, json.JSONDecodeError) as error:
        raise SemcompError(
            f"{path}: no results of a comparison found ({type(error).__name__}), expected a results.parquet; "
            "name the directory that semcomp compare wrote"
        ) from None
    return Results(check(rows), provenance, set_metrics)


def column_type(name: str) -> type[pl.DataType] | pl.DataType:
    """Type of the column of this name."""
    return FIXED.get(of_judge(name)[0], pl.Int64 if name.startswith(SECTION) else pl.Float64)
