"""The notebook of the documentation runs, in a directory like a clone's."""

from pathlib import Path

import pytest

from tests.documents import ROOT

NOTEBOOK = ROOT / "docs" / "examples" / "first_steps.ipynb"


@pytest.mark.slow
def test_every_cell_runs(tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient", reason="pip install '.[docs]'")
    nbformat = pytest.importorskip("nbformat")
    (tmp_path / "weights").symlink_to(ROOT / "weights")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert (tmp_path / "runs" / "first" / "checkpoints" / "best.ckpt").is_file()
    pictures = [
        out for cell in notebook.cells for out in cell.get("outputs", []) if "image/jpeg" in out.get("data", {})
    ]
    assert len(pictures) == 5
