"""The derived notebooks away from the repository: valid, and they run wherever a notebook is run.

Each is run from a folder of its own, so that one that reads a file beside the page would fail. In the suite two are
run; `OPTBIAS_NOTEBOOKS=all pytest tests/book/test_elsewhere.py` runs every one (minutes).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import expect

from browser import launched, require_chromium
from lab import jupyterlab
from project import ROOT, Project

PROJECT = Project()
DERIVED = {path.stem: path.with_suffix(".ipynb") for path in PROJECT.pages.values() if PROJECT.is_notebook(path)}
EXERCISES = sorted((ROOT / "exercises").glob("*/*/*.ipynb"))
asked = os.environ.get("OPTBIAS_NOTEBOOKS", "intro running").split()
RUN = sorted(DERIVED) if asked == ["all"] else asked


@pytest.mark.parametrize("path", [*DERIVED.values(), *EXERCISES], ids=lambda path: path.stem)
def test_a_notebook_is_valid_without_a_warning(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
        nbformat.validate(notebook)
    ids = [cell.id for cell in notebook.cells]
    assert len(ids) == len(set(ids))
    assert notebook.metadata.kernelspec.name == "python3"


def outputs(path: Path) -> list[nbformat.NotebookNode]:
    """All outputs of an executed notebook, which has run to its end without an error."""
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    found = [output for cell in cells for output in cell.outputs]
    assert not [output for output in found if output.output_type == "error" or output.get("name") == "stderr"]
    return found


def run(folder: Path, *command: str) -> None:
    env = {"OMP_NUM_THREADS": "1", **os.environ, "JUPYTER_CONFIG_DIR": str(folder / "config")}
    done = subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("name", RUN)
def test_papermill_runs_a_notebook_from_an_empty_folder(name: str, tmp_path: Path) -> None:
    run(tmp_path, "papermill", str(DERIVED[name]), "out.ipynb", "--no-progress-bar", "-k", "python3")
    assert len(outputs(tmp_path / "out.ipynb")) > 1
    assert {path.name for path in tmp_path.iterdir()} <= {"out.ipynb", "config"}


@pytest.mark.slow
@pytest.mark.parametrize("name", RUN[-1:])
def test_jupyter_execute_runs_a_downloaded_notebook(name: str, tmp_path: Path) -> None:
    shutil.copy(DERIVED[name], tmp_path / "download.ipynb")
    run(tmp_path, "jupyter", "execute", "download.ipynb", "--output", "out.ipynb")
    assert len(outputs(tmp_path / "out.ipynb")) > 1


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_jupyterlab_runs_a_downloaded_notebook(tmp_path: Path) -> None:
    """Opened, "Run All" chosen from the menu, saved: as a reader does it."""
    program = require_chromium()
    (tmp_path / "work").mkdir()
    shutil.copy(DERIVED["running"], tmp_path / "work" / "running.ipynb")
    with jupyterlab(tmp_path / "work", tmp_path) as address, launched(program) as browser:
        page = browser.new_context(viewport={"width": 1300, "height": 1400}).new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{address}/lab/tree/running.ipynb")
        page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for()
        page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
        expect(page.locator(".jp-OutputArea-output").last).to_contain_text("a torch optimizer: True", timeout=120_000)
        page.evaluate("jupyterapp.commands.execute('docmanager:save')")
        page.wait_for_timeout(1000)
    assert "Ready: optbias" in outputs(tmp_path / "work" / "running.ipynb")[0].text
