"""What a notebook finds on Colab: ``google.colab`` in the kernel, and requests that do not say which cell they are."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from project import Project

pytestmark = pytest.mark.slow

VIEW = "application/vnd.jupyter.widget-view+json"
# What of Colab's module is used, by the first cell and by anywidget, which reads where the widget manager comes from.
OUTPUT = """
from types import SimpleNamespace
calls, _widgets = [], SimpleNamespace(_installed_url=None)

def enable_custom_widget_manager(version="b3e629b1971e1542"):
    calls.append(version)
    _widgets._installed_url = f"https://widgets.example/{version}"
"""
SEEN = """import sys
print(len(sys.modules["google.colab.output"].calls) if "google.colab" in sys.modules else "elsewhere")"""
WIDGET = "from optbias import widgets\nwidgets.Phase()"


def run(folder: Path, colab: bool) -> tuple[str, dict]:
    """Run the first cell of a derived notebook; what was asked of Colab, and the output of a widget."""
    if colab:
        package, startup = folder / "google" / "colab", folder / "ipython" / "profile_default" / "startup"
        for made in (package, startup):
            made.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "output.py").write_text(OUTPUT)
        (startup / "00.py").write_text("import google.colab\n")  # there before the first cell, as on Colab
    page = nbformat.read(Project().root / "book" / "landscapes.ipynb", as_version=4)
    first = next(cell.source for cell in page.cells if cell.cell_type == "code")
    cells = [nbformat.v4.new_code_cell(source) for source in (first, SEEN, WIDGET)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    paths = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    env = {**os.environ, "IPYTHONDIR": str(folder / "ipython"), "PYTHONPATH": paths}
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute(env=env)
    (asked,) = [output["text"].strip() for output in notebook.cells[1].outputs]
    (shown,) = [output["data"] for output in notebook.cells[2].outputs]
    return asked, shown


def test_on_colab_the_first_cell_asks_for_widgets_and_they_come(tmp_path: Path) -> None:
    asked, shown = run(tmp_path, colab=True)
    assert asked == "1"
    assert shown[VIEW]["model_id"]
    assert shown["image/png"]


def test_elsewhere_it_asks_for_nothing(tmp_path: Path) -> None:
    asked, shown = run(tmp_path, colab=False)
    assert asked == "elsewhere"
    assert VIEW not in shown
    assert shown["image/png"]
