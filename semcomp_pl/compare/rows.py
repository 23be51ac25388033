"""The table that a comparison measures: one row a codec point and image, in `results.parquet`.

| column | type | what |
| --- | --- | --- |
| codec | str | display name; all points of one curve share it |
| point | str | operating point, such as `q10 x2` or `d4C8`; unique within its codec |
| kind | str | `model`, `reference` or `original` |
| target | float | bits per pixel that the point was searched for; null otherwise |
| image | str | name, unique within the data set |
| height, width | int | of the original |
| bytes | int | of the whole file |
| bytes_SECTION | int | of them in the header, latent, labels, ...; null where the codec has no such section |
| bpp | float | 8 * bytes / (height * width) |
| psnr, ms_ssim_4, lpips, ... | float | one column a per-image metric, by the names of `names.py`; null where not measured |
| confusion | list[int] | K * K counts of pixels: row = true class, column = the judge's reading of the reconstruction |
| confusion_self | list[int] | the same with the judge's reading of the original as the truth |
| encode_seconds, decode_seconds | float | of the serial pass; null elsewhere |
| peak_memory | int | bytes, of the serial pass; null elsewhere |
| error | str | why the pair failed; null when it did not. A failed row has no bytes, bpp nor metrics |

Every column that is neither in `FIXED` nor `bytes_SECTION` is a metric.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, get_args

import polars as pl

from semcomp_pl.atomic import write_file
from semcomp_pl.errors import SemcompError

Kind = Literal["model", "reference", "original"]

FIXED: dict[str, Any] = {
    "codec": pl.String,
    "point": pl.String,
    "kind": pl.String,
    "target": pl.Float64,
    "image": pl.String,
    "height": pl.Int64,
    "width": pl.Int64,
    "bytes": pl.Int64,
    "bpp": pl.Float64,
    "confusion": pl.List(pl.Int64),
    "confusion_self": pl.List(pl.Int64),
    "encode_seconds": pl.Float64,
    "decode_seconds": pl.Float64,
    "peak_memory": pl.Int64,
    "error": pl.String,
}
SECTION = "bytes_"


@dataclass(frozen=True)
class Results:
    """The rows and what they were made with."""

    rows: pl.DataFrame
    provenance: Mapping[str, Any]
    """Plain JSON: `versions`, `seeds`, `checkpoints` (fingerprint by codec), `data` (name, split, fingerprint),
    `judge` (fingerprint, architecture, input size), `classes` (names in order of train id), `command`; more is kept."""
    set_metrics: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    """Metrics that only a whole data set has (`fid`, `kid`): codec -> point -> name -> value."""
