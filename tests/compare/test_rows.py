"""The table of rows: what it takes, what it refuses, and that a file keeps all of it."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from semcomp_pl.compare.rows import (
    Results,
    check,
    merge,
    metric_names,
    read_results,
    section_names,
    table,
    write_results,
)
from semcomp_pl.errors import SemcompError
from tests.compare.rows import street_results

ROW: dict[str, Any] = {"codec": "A", "point": "p", "kind": "model", "image": "i", "status": "ok"} | {
    "height": 8,
    "width": 8,
    "bytes": 10,
    "bpp": 1.25,
}


def test_file_keeps_rows_provenance_and_set_metrics(tmp_path: Path) -> None:
    results = street_results(2)
    write_results(results, tmp_path / "results.parquet")
    again = read_results(tmp_path / "results.parquet")
    assert again.rows.equals(results.rows)
    assert (again.provenance, again.set_metrics) == (results.provenance, results.set_metrics)
    assert [file.name for file in tmp_path.iterdir()] == ["results.parquet"]


def test_what_a_row_lacks_is_null() -> None:
    rows = table([ROW | {"bytes_latent": 4, "psnr": 30}, ROW | {"image": "j", "status": "failed", "error": "no"}])
    assert rows["psnr"].to_list() == [30.0, None]
    assert rows["target"].to_list() == [None, None]
    assert rows["confusion"].to_list() == [None, None]
    assert metric_names(rows) == ["psnr"]
    assert section_names(rows) == ["latent"]
    assert rows.schema["bytes_latent"] == pl.Int64


def test_parts_with_other_metrics_merge() -> None:
    rows = merge([table([ROW | {"psnr": 30.0}]), table([ROW | {"codec": "B", "lpips": 0.3}])])
    assert rows.select("codec", "psnr", "lpips").rows() == [("A", 30.0, None), ("B", None, 0.3)]
    assert merge([]).is_empty()


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (pl.DataFrame([ROW]), "column seed"),
        (table([ROW]).with_columns(pl.col("bytes").cast(pl.Float64)), "column bytes of type Float64"),
        (table([ROW]).with_columns(note=pl.lit("text")), "column note of type String"),
        (table([ROW]).with_columns(bpp=pl.lit(1.2)), "1.2 bpp of 10 bytes"),
        (table([ROW]).with_columns(bpp=pl.lit(None, pl.Float64)), "None bpp of 10 bytes"),
        (table([ROW]).with_columns(kind=pl.lit("other")), "kind .*other.* found"),
        (table([ROW]).with_columns(status=pl.lit("lost")), "status .*lost.* found"),
        (table([ROW]).with_columns(status=pl.lit("failed")), "status failed with error None"),
        (table([ROW]).with_columns(error=pl.lit("no")), "status ok with error 'no'"),
        (pl.concat([table([ROW]), table([ROW])]), "two rows of codec A, point p, image i"),
    ],
)
def test_other_tables_are_refused(rows: pl.DataFrame, says: str) -> None:
    with pytest.raises(SemcompError, match=says):
        check(rows)


def test_other_files_are_refused(tmp_path: Path) -> None:
    plain, text = tmp_path / "plain.parquet", tmp_path / "text.parquet"
    table([ROW]).write_parquet(plain)
    text.write_text("no parquet")
    for path in (plain, text, tmp_path / "absent.parquet"):
        with pytest.raises(SemcompError, match="no results of a comparison"):
            read_results(path)
    with pytest.raises(SemcompError, match="cannot write"):
        write_results(Results(table([ROW]), {}), tmp_path / "absent" / "results.parquet")
