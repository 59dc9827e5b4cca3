"""Widgets and predictions on built pages opened from the disk, with scripts and without, and in converted notebooks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter, LatexExporter
from playwright.sync_api import Browser, Page, expect

from browser import PHONE, WIDER_THAN_WINDOW, violations
from minibook import MiniBook, cell
from notebooks import Book, TranslationError, Translator
from predictions import parts
from project import Project
from staging import settle

WIDGET = """```{code-cell} ipython3
---
tags: [hide-input]
mystnb:
  figure:
    caption: A race.
    name: fig-race
---
from optbias import widgets

widgets.Race(steps=30, name="race")
```
"""
PREDICTIONS = """:::{predict}
:shows: race {"landscape": "bowl"}

Which is $x^2$? See {numref}`fig-race`.

- [ ] the **first**
- [x] the second, whose
  text is long
- [ ] neither

Because of $y$.
:::

:::{predict}
How many?
:::
"""
pytestmark = pytest.mark.slow
in_browser = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A strictly built book with one page that has a widget and predictions, and one that has neither."""
    book = MiniBook(tmp_path_factory.mktemp("book"))
    book.page("moving", f"# Moving\n\nSee {{numref}}`fig-race`.\n\n{PREDICTIONS}\n{WIDGET}")
    book.page("still", "# Still\n\n" + cell("1 + 1"))
    built = book.build()
    assert built.code == 0, built.log[-4000:]
    return book.root / "_build" / "html"


def html(site: Path, name: str) -> str:
    return (site / "book" / f"{name}.html").read_text(encoding="utf-8")


# -- the files --------------------------------------------------------------------------------------------------------


def test_only_a_page_with_a_widget_loads_the_script(site: Path) -> None:
    assert re.search(r'<script defer="defer" src="[^"]*_static/optbias-widgets\.js\?v=\w+">', html(site, "moving"))
    assert re.search(r'href="[^"]*_static/optbias-widgets\.css\?v=\w+"', html(site, "moving"))
    assert "optbias-widgets" not in html(site, "still")
    for name in ("optbias-widgets.js", "optbias-widgets.css"):
        assert (site / "_static" / name).stat().st_size > 1000


def test_nothing_is_embedded_twice(site: Path) -> None:
    page = html(site, "moving")
    assert "widget-state+json" not in page
    assert "base64," not in page
    assert "export default" not in page
    assert len(page) < 60_000
    picture = re.search(r'src="\.\./(_images/widget-\w+\.png)"', page)
    assert picture
    assert (site / picture[1]).read_bytes().startswith(b"\x89PNG")


def test_the_widget_is_a_numbered_figure(site: Path) -> None:
    assert re.search(r'href="#fig-race"><span class="std std-numref">Figure 1', html(site, "moving"))


# -- in the browser ---------------------------------------------------------------------------------------------------


@pytest.fixture
def visit(chrome: Browser, site: Path) -> Iterator[Callable[..., Page]]:
    """Open the page from the disk; at the end no console may have anything in it and no other host been asked."""
    console: list[str] = []
    elsewhere: list[str] = []
    pages: list[Page] = []

    def open_page(name: str = "moving", fragment: str = "", **context: object) -> Page:
        page = chrome.new_context(**{"viewport": {"width": 1280, "height": 900}, **context}).new_page()  # type: ignore[arg-type]
        page.on("console", lambda m: m.type in ("error", "warning") and console.append(f"{m.type}: {m.text}"))
        page.on("pageerror", lambda error: console.append(f"error: {error}"))
        page.on("request", lambda r: r.url.startswith(("file:", "data:")) or elsewhere.append(r.url))
        page.goto((site / "book" / f"{name}.html").as_uri() + fragment)
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.context.close()
    assert console == []
    assert elsewhere == []


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
class TestThePage:
    def test_has_a_living_widget_and_does_not_fetch_its_picture(self, visit: Callable[..., Page]) -> None:
        asked: list[str] = []
        page = visit("still")
        page.on("request", lambda request: asked.append(request.url))
        page.goto(page.url.replace("still", "moving"))
        expect(page.locator(".ob-status")).to_contain_text("Step 30 of 30")
        assert not [url for url in asked if "widget-" in url]
        page.get_by_role("slider", name="steps shown").focus()
        page.keyboard.press("Home")
        expect(page.locator(".ob-status")).to_contain_text("Step 0 of 30")

    def test_shows_a_picture_and_folded_answers_without_scripts(self, visit: Callable[..., Page]) -> None:
        page = visit(java_script_enabled=False)
        picture = page.locator(".optbias-widget img")
        expect(picture).to_be_visible()
        assert "paths of 3 update rules" in (picture.get_attribute("alt") or "")
        expect(page.locator(".optbias-widget p")).to_contain_text("can be moved where scripts run")
        answer = page.locator("details.predict-answer")
        expect(answer.locator(".dropdown-body")).to_be_hidden()
        answer.locator("summary").click()
        expect(answer.locator(".dropdown-body")).to_be_visible()
        expect(page.locator(".predict-commit").first).to_be_hidden()

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_is_accessible_and_fits_a_phone(self, visit: Callable[..., Page], scheme: str) -> None:
        page = visit(color_scheme=scheme)
        page.wait_for_function(f"document.documentElement.dataset.theme === '{scheme}'")
        page.locator(".predict-choice").first.click()
        page.get_by_role("button", name="Commit").first.click()
        # The colours of code belong to tests/book; its style sheet may come after the page.
        page.evaluate("document.querySelectorAll('div.highlight').forEach((one) => one.remove())")
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert violations(page) == []
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        settle(page)
        assert page.evaluate(WIDER_THAN_WINDOW) == []

    def test_a_link_with_a_state_sets_the_widget_and_other_links_work(self, visit: Callable[..., Page]) -> None:
        page = visit(fragment="#widget=race:" + '{"shown":3}')
        expect(page.locator(".ob-status")).to_contain_text("Step 3 of 30")
        page.locator("a[href='#fig-race']").first.click()
        page.wait_for_function("location.hash === '#fig-race'")
        expect(page.locator(".ob-status")).to_contain_text("Step 3 of 30")
        page.evaluate("""location.hash = '#widget=race:{"shown":4}'""")
        expect(page.locator(".ob-status")).to_contain_text("Step 4 of 30")


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
class TestAPrediction:
    def test_is_made_by_keyboard_and_then_answered(self, visit: Callable[..., Page]) -> None:
        page = visit()
        box, answer = page.locator(".predict").first, page.locator("details.predict-answer")
        verdict = box.locator("[role=status]")
        expect(answer).to_be_hidden()
        commit = box.get_by_role("button", name="Commit")
        commit.focus()
        page.keyboard.press("Enter")
        expect(verdict).to_have_text("Choose one first.")
        expect(answer).to_be_hidden()
        box.get_by_role("radio").first.focus()
        page.keyboard.press("Space")
        page.keyboard.press("Enter")
        expect(verdict).to_have_text("The marked one is right.")
        expect(answer.locator(".dropdown-body")).to_be_visible()
        expect(box.locator(".predict-choice").nth(0)).to_contain_text("your prediction")
        expect(box.locator(".predict-choice").nth(1)).to_contain_text("right")
        expect(box.get_by_role("radio").first).to_be_disabled()
        expect(page.locator(".ob-select select").first).to_have_value("bowl")  # the widget shows it
        page.evaluate("scrollTo(0, 0)")
        box.get_by_role("button", name="Show it in the figure").click()
        expect(page.locator(".ob")).to_be_in_viewport()
        box.get_by_role("button", name="Ask me again").click()
        expect(answer).to_be_hidden()
        box.get_by_text("the second").click()
        commit.click()
        expect(verdict).to_have_text("That is right.")
        assert (
            page.evaluate("[localStorage, sessionStorage].some((kept) => /predict/.test(JSON.stringify(kept)))")
            is False
        )

    def test_may_be_written(self, visit: Callable[..., Page]) -> None:
        box = visit().locator(".predict").nth(1)
        box.get_by_label("Your prediction").fill("three")
        box.get_by_label("Your prediction").press("Enter")
        expect(box.locator("[role=status]")).to_have_text("Compare with the text below.")
        expect(box.get_by_label("Your prediction")).to_have_value("three")
        expect(box.get_by_label("Your prediction")).to_be_disabled()


# -- derived and converted notebooks ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def translator() -> Translator:
    return Translator(Book(Project()), "momentum")


def test_a_prediction_becomes_a_quotation_and_a_folded_answer(translator: Translator) -> None:
    text = translator.cell(
        PREDICTIONS.replace("See {numref}`fig-race`.", "").replace('race {"landscape": "bowl"}', "race")
    )
    assert text.startswith("> **Predict**\n>\n> Which is $x^2$?")
    assert "> - the **first**\n> - the second, whose text is long\n> - neither\n" in text
    folded = re.search(r"<details>\n<summary><b>Answer</b></summary>(.*?)</details>", text, re.S)
    assert folded
    assert folded[1].split() == ["**the", "second,", "whose", "text", "is", "long**", "Because", "of", "$y$."]
    assert text.count("<details>") == 1
    assert "[x]" not in text
    assert ":shows:" not in text


def test_choices_of_which_none_or_all_are_right_are_refused() -> None:
    for marks in ("xx", "  "):
        with pytest.raises(ValueError, match="at least one that is right"):
            parts(["Which?", "", *(f"- [{mark}] a" for mark in marks)])


def test_a_mistake_in_a_page_fails_its_notebook(translator: Translator) -> None:
    with pytest.raises((TranslationError, ValueError), match="at least one that is right"):
        translator.cell(":::{predict}\nWhich?\n\n- [ ] a\n- [ ] b\n:::")


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> nbformat.NotebookNode:
    """A notebook that nbclient ran, as nbconvert does."""
    code = "from optbias import widgets\nwidgets.Phase()"
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)], metadata=kernel)
    return NotebookClient(
        notebook, timeout=120, resources={"metadata": {"path": tmp_path_factory.mktemp("nb")}}
    ).execute()


def test_nbconvert_shows_the_picture_with_its_text(executed: nbformat.NotebookNode) -> None:
    page, _ = HTMLExporter().from_notebook_node(executed)
    picture = re.search(r'<img alt="(Phase diagram of momentum[^"]+)" [^>]*src="data:image/png;base64,', page)
    assert picture
    assert "oscillating" in picture[1]
    assert '<script type="application/vnd.jupyter.widget-view+json">' not in page


def test_a_pdf_has_the_picture(executed: nbformat.NotebookNode) -> None:
    tex, resources = LatexExporter().from_notebook_node(executed)
    assert r"\includegraphics" in tex or r"\adjustimage" in tex
    assert any(name.endswith(".png") and data.startswith(b"\x89PNG") for name, data in resources["outputs"].items())
