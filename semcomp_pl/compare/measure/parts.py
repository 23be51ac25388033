"""The files that a comparison writes while it runs, and how they are merged.

comparison.json     what is compared and with what; a run with other settings is refused in this directory
config.yaml         the settings, to repeat the comparison
parts/rows-*.jsonl  one file per process, with one line per pair, appended as pairs are measured
parts/times.jsonl   results of the serial pass
features/           for metrics that compare sets of images, one file per pair
results.parquet     all rows, once merged
"""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from semcomp_pl.compare.measure.sets import compare_sets
from semcomp_pl.compare.rows import FIXED, PAIR, SECTION, Results, column_type, merge, read_results, write_results
from semcomp_pl.errors import SemcompError
from semcomp_pl.files.atomic import write_file

_MAY_DIFFER = ("command", "seeds", "settings")
_FINISHED = pl.col("status") != "failed"
_TIMES = ("encode_seconds", "decode_seconds", "peak_memory")


def claim(directory: Path, provenance: Mapping[str, Any], config: str) -> None:
    """Record what is compared in this directory, or check that it matches what was begun there.

    Raises:
        SemcompError: another comparison was begun there, or the directory cannot be written.
    """
    file = directory / "comparison.json"
    provenance = json.loads(json.dumps(provenance, default=str))  # in the form in which it is read back
    if file.is_file():
        begun = json.loads(file.read_text())
        differ = [name for name in provenance if name not in _MAY_DIFFER and begun.get(name) != provenance[name]]
        if differ:
            raise SemcompError(
                f"{directory}: a comparison of other {', '.join(differ)} was begun here; go on with the settings in "
                "its config.yaml, or choose another --output"
            )
    write_file(directory / "config.yaml", lambda part: part.write(config.encode()))
    write_file(file, lambda part: part.write((json.dumps(provenance, indent=1) + "\n").encode()))


def append(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append lines, so that a process that dies loses at most the line it is writing."""
    plain = [{name: None if value != value else value for name, value in row.items()} for row in rows]  # NaN
    lines = "".join(json.dumps(row, allow_nan=False) + "\n" for row in plain)
    with file.open("ab+") as stream:
        if stream.seek(0, io.SEEK_END):
            stream.seek(-1, io.SEEK_END)
            lines = lines if stream.read(1) == b"\n" else "\n" + lines  # the last line was cut short
        stream.write(lines.encode())


def finished(directory: Path) -> set[tuple[str, str, str]]:
    """Pairs (codec, point, image) that need not be measured again; failed pairs are not among them."""
    frames = [frame.filter(_FINISHED).select(PAIR) for frame in _frames(directory)]
    return {pair for frame in frames for pair in frame.iter_rows()}


def faults(rows: pl.DataFrame) -> int:
    """Number of rows that failed, not counting rates that a format cannot reach."""
    return rows.filter(~_FINISHED).height


def times(directory: Path) -> pl.DataFrame:
    """Times and memory of each pair in the serial pass."""
    file = directory / "parts" / "times.jsonl"
    schema = {name: FIXED[name] for name in (*PAIR, *_TIMES)}
    found = _read(file, schema) if file.is_file() else None
    return pl.DataFrame(schema=schema) if found is None else found.select(list(schema))


def collect(directory: Path) -> Results:
    """The results so far, for the images measured with all codecs; also rewrites the parquet file.

    Raises:
        SemcompError: no comparison was begun here, or no image has been measured with all codecs yet.
    """
    file = directory / "comparison.json"
    if not file.is_file():
        return read_results(directory / "results.parquet")
    provenance = json.loads(file.read_text())
    frames = [frame.drop(_TIMES, strict=False) for frame in _frames(directory)]
    if not frames:
        raise SemcompError(f"{directory}: no image was measured yet; wait, or go on with semcomp compare")
    rows = pl.concat(frames, how="diagonal")
    # a pair that failed and was tried again has two rows
    rows = rows.sort(_FINISHED, descending=True, maintain_order=True).unique(PAIR, keep="first")
    # codecs are compared on the same images, so incomplete images are left out
    rows = rows.filter(pl.len().over("image") == len(provenance["points"]))
    if rows.is_empty():
        raise SemcompError(
            f"{directory}: no image was measured by every codec yet; wait, or go on with semcomp compare"
        )
    order = {name: pl.Enum(list(dict.fromkeys(provenance[name]))) for name in ("codecs", "images")}
    rows = rows.sort(pl.col("codec").cast(order["codecs"]), "target", "point", pl.col("image").cast(order["images"]))
    others = [name for name in rows.columns if name not in FIXED]
    others.sort(key=lambda name: (not name.startswith(SECTION), name))  # independent of the order of the parts
    rows = rows.select(*(name for name in FIXED if name not in _TIMES), *others)
    rows = merge([rows.join(times(directory), on=PAIR, how="left")])
    results = Results(rows, provenance, compare_sets(directory, rows, [*provenance["metrics"]]))
    write_results(results, directory / "results.parquet")
    return results


def _frames(directory: Path) -> Iterator[pl.DataFrame]:
    """The tables of the row files, newest file first.

    Raises:
        SemcompError: another version wrote them.
    """
    files = (directory / "parts").glob("rows-*.jsonl")
    for file in sorted(files, key=lambda file: (-file.stat().st_mtime_ns, file.name)):
        frame = _read(file, FIXED)
        if frame is not None:
            if not FIXED.keys() <= {*frame.columns}:
                raise SemcompError(
                    f"{file}: rows of another version of semcomp_pl found; finish them with that, or choose another "
                    "directory"
                )
            others = [name for name in frame.columns if name not in FIXED]
            yield frame.cast({name: column_type(name) for name in others})


def _read(file: Path, known: Mapping[str, Any]) -> pl.DataFrame | None:
    """The rows of a part without lines cut short, which are measured again; None if there are none."""
    content = file.read_bytes()
    for lines in (content, b"\n".join(line for line in content.splitlines() if _whole(line))):
        try:
            return pl.read_ndjson(io.BytesIO(lines), schema_overrides=known, infer_schema_length=None)
        except pl.exceptions.ComputeError:
            continue
    return None


def _whole(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
