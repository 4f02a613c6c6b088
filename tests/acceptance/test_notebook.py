"""docs/notebook.ipynb runs from its first cell to its last, and shows what it says."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"


def shown(cell) -> str:
    return "".join(
        output["data"].get("text/html", output["data"].get("text/plain", ""))
        for output in cell.outputs
        if "data" in output
    )


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_notebook(tlsearch, monkeypatch, tmp_path):
    monkeypatch.setenv("TLSEARCH_STORAGE", tlsearch.storage_url)
    monkeypatch.setenv("TLSEARCH_ARTIFACTS", str(tmp_path))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=1200, kernel_name="python3").execute()
    text = [shown(cell) for cell in notebook.cells if cell.cell_type == "code"]
    tables = [each for each in text if "<table>" in each]
    assert any("4 of 4 trials done" in each for each in tables)
    assert any("finalists. recommended" in each for each in tables)
    assert any("1000 test images, looked at once" in each for each in tables)
    assert any("Ankle boot" in each for each in tables)
    assert "index.html" in text[-1]


def test_it_is_committed_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.outputs for cell in notebook.cells if cell.cell_type == "code")
