"""A comparison by several processes: every image once, whatever an earlier run has left."""

import json
import sys
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from semcomp_pl.cli.compare import as_yaml
from semcomp_pl.compare.config import Settings
from semcomp_pl.compare.rows import read_results
from semcomp_pl.compare.run import compare
from semcomp_pl.errors import SemcompError
from tests.compare.conftest import TARGETS, Run, write_data
from tests.lab import Lab
from tests.processes import run_two


@pytest.mark.slow
def test_two_ranks_measure_every_image_once_and_merge(settings: Settings, run: Run, lab: Lab, tmp_path: Path) -> None:
    """At first a rank's image cannot be written; the second time the other rank has nothing to do and waits for it."""
    alone = run(settings)
    codecs = [as_yaml(entry) for entry in settings.codecs]
    data = write_data(lab, tmp_path / "all.yaml", codecs=codecs, targets=TARGETS, judge=settings.judge)
    command = [sys.executable, "-m", "semcomp_pl", "compare", "--config", str(data)]
    command += ["--workers=0", "--timed_images=0", "--draws=50", "--output", str(tmp_path / "ranks")]
    obstacle = tmp_path / "ranks" / "pictures" / "1"
    obstacle.parent.mkdir(parents=True)
    obstacle.touch()
    for status in (3, 0):
        for finished in run_two(command):
            assert finished.status == status, finished.err
            assert "Traceback" not in finished.err
        if status:
            obstacle.unlink()
    parts = sorted((tmp_path / "ranks" / "parts").glob("rows-*"))
    assert [part.name[:6] for part in parts] == ["rows-0", "rows-1", "rows-1"]
    images = [{json.loads(line)["image"] for line in part.read_text().splitlines()} for part in parts]
    assert images == [{"0", "2"}, {"1"}, {"1"}]
    assert_frame_equal(read_results(tmp_path / "ranks" / "results.parquet").rows, alone, rel_tol=1e-6)
    assert not json.loads((tmp_path / "ranks" / "summary.json").read_text())["points"][0]["failed"]


@pytest.mark.slow
def test_a_rank_that_dies_ends_the_others() -> None:
    code = (
        "import sys; from semcomp_pl.compare.measure.ranks import Share\nfrom semcomp_pl.errors import SemcompError\n"
        "share = Share.of_environment()\nwith share.together():\n"
        "  if share.rank: sys.exit(7)\n"
        "  try: share.once(lambda: 0)\n"
        "  except SemcompError as error: print(error); sys.exit(2)\n"
    )
    first, other = run_two([sys.executable, "-c", code])
    assert (first.status, other.status) == (2, 7)
    assert "another process of this comparison ended" in first.out


def test_processes_that_cannot_find_each_other_are_refused(
    settings: Settings, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(SemcompError, match="2 processes found, but no MASTER_ADDR and MASTER_PORT"):
        compare(settings, lab.data())
