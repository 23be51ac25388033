"""The wheel: what is inside, and that it works away from the clone."""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]
PAGES = "semcomp_pl/compare/report/pages"


@pytest.mark.slow
def test_an_installed_wheel_finds_its_configs(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", tmp_path, ROOT], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    inside = set(ZipFile(wheel).namelist())
    shipped = {f"semcomp_pl/{file.relative_to(ROOT)}" for file in (ROOT / "configs").rglob("*.yaml")}
    assert len(shipped) >= 15
    assert shipped <= inside
    pages = {str(file.relative_to(ROOT)) for file in (ROOT / PAGES).rglob("*") if file.is_file()}
    assert {f"{PAGES}/report.html", f"{PAGES}/vendor/LICENSES.txt"} <= pages <= inside
    assert "semcomp_pl/py.typed" in inside
    assert not [name for name in inside if name.startswith(("tests/", "weights/", "runs/"))]
    subprocess.run([*pip, "install", "--no-deps", "--target", tmp_path / "site", wheel], check=True)
    code = (
        "from semcomp_pl.files import places\n"
        "print(places.__file__)\nprint(places.resolve_config('configs/trainer/cpu.yaml'))\nprint(places.released())"
    )
    environment = {"PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    module, config, released = done.stdout.splitlines()
    assert Path(module).is_relative_to(tmp_path)
    assert Path(config).read_text() == (ROOT / "configs/trainer/cpu.yaml").read_text()
    assert released == "{}"
