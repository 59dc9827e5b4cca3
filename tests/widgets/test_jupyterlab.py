"""A widget in a real JupyterLab: the reader moves a slider, Python reads it; Python sets it, the reader sees it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import nbformat
import pytest
from playwright.sync_api import Browser, Page, expect

from lab import jupyterlab
from staging import MEAN_INK

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("browser")]

CELLS = (
    "from optbias.rules import GradientDescent\nfrom optbias.widgets import Race\n"
    'race = Race("bowl", [GradientDescent(0.1)], steps=50)\nrace',
    "print('shown', race.shown, 'rate', race.rules[0]['lr'], 'start', race.start)",
    "race.shown = 7",
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a JupyterLab that serves one notebook, with settings of its own and no password."""
    folder = tmp_path_factory.mktemp("lab")
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "race.ipynb")
    with jupyterlab(folder, folder) as address:
        yield address


@pytest.fixture(scope="module")
def notebook(chrome: Browser, lab: str) -> Iterator[Page]:
    """The notebook, open, with its first cell run."""
    page = chrome.new_context(viewport={"width": 1300, "height": 1400}).new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{lab}/lab/tree/race.ipynb")
    expect(page.locator(".jp-CodeCell")).to_have_count(len(CELLS))
    page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for()
    run(page, 0)
    page.locator(".ob-status").wait_for()  # the kernel starts and loads torch
    expect(page.locator(".ob-status")).to_contain_text("Step 50 of 50")
    yield page
    page.context.close()


def run(page: Page, index: int) -> None:
    page.locator(".jp-CodeCell").nth(index).locator(".jp-InputArea-editor").click()
    page.keyboard.press("Control+Enter")


def printed(page: Page) -> str:
    """What the second cell prints when it runs now."""
    cell = page.locator(".jp-CodeCell").nth(1)
    before = cell.locator(".jp-InputPrompt").text_content()
    run(page, 1)
    expect(cell.locator(".jp-InputPrompt")).not_to_have_text(re.compile(rf"{re.escape(before or '')}|\*"))
    return cell.locator(".jp-OutputArea-output").inner_text()


def test_python_reads_what_the_reader_set(notebook: Page) -> None:
    assert printed(notebook).startswith("shown 50 rate 0.1 start [1.0, 1.0]")
    slider = notebook.get_by_role("slider", name="steps shown")
    slider.focus()
    notebook.keyboard.press("Home")
    expect(notebook.locator(".ob-status")).to_contain_text("Step 0 of 50")
    notebook.locator(".ob-lane summary").click()
    notebook.get_by_role("slider", name="learning rate").focus()
    notebook.keyboard.press("ArrowRight")
    notebook.wait_for_timeout(400)  # changes are sent at most every 100 ms
    assert printed(notebook).startswith("shown 0 rate 0.112 start [1.0, 1.0]")


def test_the_arrow_keys_move_the_start_and_not_the_notebook(notebook: Page) -> None:
    knob = notebook.locator(".ob-handle")
    knob.focus()
    for _ in range(4):
        notebook.keyboard.press("ArrowDown")
    notebook.keyboard.press("d")
    notebook.keyboard.press("d")  # in JupyterLab this would delete a cell
    expect(knob).to_be_focused()
    expect(notebook.locator(".jp-CodeCell")).to_have_count(len(CELLS))
    notebook.wait_for_timeout(400)
    assert "start [1.0, 0.7]" in printed(notebook)


def test_the_reader_sees_what_python_sets(notebook: Page) -> None:
    run(notebook, 2)
    expect(notebook.locator(".ob-status")).to_contain_text("Step 7 of 50")
    expect(notebook.get_by_role("slider", name="steps shown")).to_have_attribute("aria-valuetext", "7")


def test_light_and_dark_follow_jupyterlab(notebook: Page) -> None:
    assert notebook.evaluate(MEAN_INK) < 110
    notebook.evaluate("jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Dark' })")
    notebook.wait_for_function("document.body.dataset.jpThemeLight === 'false'")
    notebook.wait_for_timeout(500)
    assert notebook.evaluate(MEAN_INK) > 150
