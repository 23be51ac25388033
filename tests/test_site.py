"""The documentation as a site: every page is there, and loads nothing from elsewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import ROOT


@pytest.mark.slow
def test_the_site_is_whole_and_needs_no_network(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="pip install '.[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    sources = [page for page in (ROOT / "docs").rglob("*.md") if page.name != "README.md"]
    assert not [
        page for page in sources if not (tmp_path / page.relative_to(ROOT / "docs")).with_suffix(".html").is_file()
    ]
    pages = {page: page.read_text() for page in tmp_path.rglob("*.html")}
    loaded = r"<(?:script|img|iframe)[^>]+src=\"?(https?:[^\" >]+)|<link[^>]+href=\"?(https?:[^\" >]+)"
    assert not {page: found for page, text in pages.items() if (found := re.findall(loaded, text))}
    assert "samples/cat.png" in (tmp_path / "index.html").read_text()
    assert "structure_weight" in (tmp_path / "models.html").read_text()
    assert "miou_ratio" in (tmp_path / "metrics.html").read_text()
    api = (tmp_path / "api.html").read_text()
    for said in ("The complete file of an image", "Names of the mask values", "Weight v of the semantic distance"):
        assert said in api, said
