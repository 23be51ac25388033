"""The precision `auto`: what the processor computes in, and for a run that exists what it began with."""

import json
from pathlib import Path

import pytest

from semcomp_pl.errors import SemcompError
from semcomp_pl.training import precision
from semcomp_pl.training.precision import settled

CPUINFO = Path("/proc/cpuinfo")


@pytest.mark.skipif(not CPUINFO.is_file(), reason="needs /proc/cpuinfo")
def test_auto_is_bf16_on_processors_that_multiply_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    has_bf16 = not {"avx512_bf16", "amx_bf16"}.isdisjoint(CPUINFO.read_text().split())
    assert settled("auto", "cpu", tmp_path) == ("bf16-mixed" if has_bf16 else "32-true")
    monkeypatch.setattr(precision, "INSTRUCTIONS", ("none_that_exists",))
    assert settled("auto", "cpu", tmp_path) == "32-true"


@pytest.mark.parametrize("before", ["32-true", "bf16-mixed"])
def test_a_run_keeps_its_precision_on_any_machine(before: str, tmp_path: Path) -> None:
    (tmp_path / "training.json").write_text(json.dumps({"model": "PlainGAN", "precision": before}))
    assert settled("auto", "cpu", tmp_path) == before
    assert settled("32-true", "cpu", tmp_path) == "32-true", "unless another is asked for"


def test_other_precisions_are_refused(tmp_path: Path) -> None:
    assert settled(None, "cpu", tmp_path) is None
    with pytest.raises(SemcompError, match="precision=16-mixed found, expected 32-true, bf16-mixed or auto"):
        settled("16-mixed", "cpu", tmp_path)
