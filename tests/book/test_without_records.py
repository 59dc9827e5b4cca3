"""Where only the library is installed, as on Colab, there are no recorded runs: the pages that use them do without."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

BOOK = Path(__file__).resolve().parents[2] / "book"
USES_RECORDS = re.compile(r"\b(results\.load|\w+\.recorded)\(")
PAGES = sorted(path.stem for path in BOOK.glob("*.md") if USES_RECORDS.search(path.read_text(encoding="utf-8")))


def test_the_pages_are_found() -> None:
    assert {"adam", "linf-networks", "one-norm-hill", "reproductions"} <= set(PAGES)


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_runs_without_the_records(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPTBIAS_DATA", raising=False)
    monkeypatch.setenv("OPTBIAS_CACHE", str(tmp_path))
    notebook = nbformat.read(str(BOOK / f"{name}.ipynb"), as_version=4)
    nothing = "from optbias.experiments import store\nstore.find = lambda experiment, file: None"
    notebook.cells.insert(0, nbformat.v4.new_code_cell(nothing))
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
