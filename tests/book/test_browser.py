"""The built website in a browser: offline, mathematics, accessibility, phone, search, themes, folding."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from browser import DESKTOP, PHONE, Reader, Visit, launched, listed_pages, require_chromium, served, violations
from project import Project

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("browser")]

PAGES = listed_pages()
CHAPTER = "book/momentum.html"

# What the theme draws around our text and that cannot be mended from here: none.
KNOWN_OF_THE_THEME: dict[str, str] = {}


@pytest.fixture(scope="module")
def reader(request: pytest.FixtureRequest) -> Iterator[Reader]:
    program = require_chromium()  # before the site: without a browser there is no need to build it
    site: Path = request.getfixturevalue("site")
    with served(site) as base, launched(program) as browser:
        yield Reader(browser, base)


@pytest.fixture(scope="module")
def visited(reader: Reader) -> Callable[[str], Visit]:
    """What a page showed; each page is visited once for all tests."""
    visits: dict[str, Visit] = {}

    def visit(address: str) -> Visit:
        if address not in visits:
            visits[address] = reader.visit(address)
        return visits[address]

    return visit


@pytest.mark.parametrize("address", PAGES)
class TestEveryPage:
    def test_asks_no_other_host_and_finds_every_file(self, visited: Callable[[str], Visit], address: str) -> None:
        assert visited(address).requests_elsewhere == []
        assert visited(address).not_found == []

    def test_leaves_the_console_empty(self, visited: Callable[[str], Visit], address: str) -> None:
        assert visited(address).console == []

    def test_sets_all_mathematics(self, visited: Callable[[str], Visit], address: str) -> None:
        assert visited(address).raw_mathematics == []

    def test_is_accessible_in_both_themes(self, visited: Callable[[str], Visit], address: str) -> None:
        for theme, found in visited(address).violations.items():
            unexpected = [line for line in found if line.split(" ")[0] not in KNOWN_OF_THE_THEME]
            assert unexpected == [], theme

    def test_fits_a_phone(self, visited: Callable[[str], Visit], address: str) -> None:
        assert visited(address).wider_than_phone == []
        assert visited(address).cut_off == []

    def test_is_folded_at_first_and_has_no_id_twice(self, visited: Callable[[str], Visit], address: str) -> None:
        assert visited(address).open_at_load == []
        assert visited(address).repeated_ids == []


def test_the_visit_notices_what_is_wrong(reader: Reader) -> None:
    """The checks above are worth something only if they fail on a page with faults."""
    page = reader.open("search.html")
    page.route("**/mathematics.woff", lambda route: route.abort())
    page.evaluate(
        """() => {
          const article = document.querySelector('.bd-article') ?? document.body;
          article.classList.add('bd-article');
          article.innerHTML += `<span class="math"><code>x</code></span><math><mi>x</mi></math>
            <p id="twice">$$x$$ and \\\\beta</p><p id="twice" style="color:#aaa;background:#fff">pale</p>
            <div class="proof dropdown">open</div><img src="https://example.org/far.png">
            <pre style="width:3000px;overflow:visible">wide</pre>`;
          console.error('wrong');
        }"""
    )
    page.wait_for_function("document.images.length && [...document.images].every(image => image.complete)")
    import browser

    assert reader.seen.requests_elsewhere == ["https://example.org/far.png"]
    assert any("wrong" in line for line in reader.seen.console)
    page.evaluate("document.fonts.ready")
    page.unroute("**/mathematics.woff")
    assert page.evaluate(browser.RAW_MATHEMATICS) == [
        "not set: x",
        "the font of the formulas was not loaded",
        r"raw: $$x$$ and \beta",
    ]
    assert page.evaluate(browser.REPEATED_IDS) == ["twice: 2 times"]
    assert page.evaluate(browser.OPEN_DROPDOWNS)
    assert page.evaluate(browser.WIDER_THAN_WINDOW)
    assert page.evaluate(browser.CUT_OFF)
    found = browser.violations(page)
    assert any(line.startswith("color-contrast") for line in found)
    assert any(line.startswith("image-alt") for line in found)


def test_folded_proofs_and_solutions_open_by_click_and_by_key(reader: Reader) -> None:
    page = reader.open(CHAPTER)
    for kind in ("proof", "solution"):
        box = page.locator(f"details.{kind}.dropdown").first
        line = box.locator("> summary")
        content = box.locator("> .dropdown-body")
        expect(content).to_be_hidden()
        line.click()
        expect(content).to_be_visible()
        line.click()
        expect(content).to_be_hidden()
        line.focus()
        page.keyboard.press("Enter")
        expect(content).to_be_visible()
        page.keyboard.press("Space")
        expect(content).to_be_hidden()


def test_a_link_to_a_folded_solution_opens_it(reader: Reader) -> None:
    page = reader.open(CHAPTER)
    name = page.locator("details.solution.dropdown").first.get_attribute("id")
    page.evaluate("name => { location.hash = name }", name)
    expect(page.locator(f"details#{name} > .dropdown-body")).to_be_visible()


THEOREM = "book/linf-constraint.html"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_link_shows_the_theorem_beside_it_on_hover_and_on_focus(reader: Reader, theme: str) -> None:
    page = reader.open(THEOREM, theme)
    box = page.locator("#preview")
    link = page.locator("a.reference.internal[href='#thm-linf-constraint-adamw']:visible").first
    link.scroll_into_view_if_needed()
    expect(box).to_be_hidden()
    link.hover()
    expect(box).to_be_visible()
    for part in ("Limits of AdamW", "No bias correction.", "does not increase", "KKT point"):
        expect(box).to_contain_text(part)
    assert violations(page) == []
    box.hover()
    page.wait_for_timeout(400)
    expect(box).to_be_visible()  # the pointer may go into it
    page.keyboard.press("Escape")
    expect(box).to_be_hidden()
    page.mouse.move(0, 0)
    link.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    expect(box).to_be_visible()
    assert link.get_attribute("aria-describedby") == "preview"
    page.keyboard.press("Tab")
    expect(box).to_be_hidden()
    assert reader.seen.requests_elsewhere == []
    assert reader.seen.console == []


def test_the_first_tap_shows_the_theorem_and_the_second_goes_there(reader: Reader, site: Path) -> None:
    browser = reader.context.browser
    assert browser is not None
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True)  # type: ignore[arg-type]
    try:
        page = context.new_page()
        page.goto((site / THEOREM).as_uri())  # from a disk
        box = page.locator("#preview")
        link = page.locator("a.reference.internal[href='#thm-linf-constraint-adamw']:visible").first
        link.scroll_into_view_if_needed()
        link.tap()
        expect(box).to_contain_text("Tap the link again")
        place = box.bounding_box()
        assert place is not None
        assert place["x"] >= 0
        assert place["x"] + place["width"] <= PHONE["width"]
        assert "#" not in page.url
        link.tap()
        expect(box).to_be_hidden()
        assert page.url.endswith("#thm-linf-constraint-adamw")
    finally:
        context.close()


def test_equations_sources_and_words_have_previews_too(reader: Reader) -> None:
    page = reader.open("book/adam.html")
    shown = set(page.evaluate("[...document.querySelectorAll('template')].map(t => t.content.firstChild.className)"))
    assert {"preview-theorem", "preview-equation", "preview-source", "preview-term"} <= shown


def test_conditions_are_written_out_on_paper_only(reader: Reader) -> None:
    page = reader.open("book/adamw.html")
    spelled = page.locator(".thm-conditions").first
    expect(spelled).to_be_hidden()
    page.emulate_media(media="print")
    expect(spelled).to_be_visible()
    page.emulate_media(media="screen")


def test_everything_is_open_in_print(reader: Reader) -> None:
    page = reader.open(CHAPTER)
    folded = page.locator("details:not([open])")
    before = folded.count()
    assert before > 5
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(folded).to_have_count(0)
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    expect(folded).to_have_count(before)


def test_search_works_offline(reader: Reader) -> None:
    page = reader.open("book/intro.html")
    page.keyboard.press("Control+k")
    page.locator("#pst-search-dialog input").fill("preconditioning")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"search\.html\?q=preconditioning"))
    first = page.locator("#search-results ul.search li a")
    expect(first.first).to_be_visible()
    assert any("preconditioning.html" in (link.get_attribute("href") or "") for link in first.all())
    assert reader.seen.requests_elsewhere == []
    assert reader.seen.console == []


def test_the_theme_switch_changes_the_theme_and_is_remembered(reader: Reader) -> None:
    page = reader.open("book/intro.html")
    switch = page.locator("button.theme-switch-button:visible").first
    shown = []
    for _ in range(3):
        switch.click()
        shown.append(page.evaluate("document.documentElement.dataset.mode"))
    assert set(shown) == {"auto", "light", "dark"}
    while page.evaluate("document.documentElement.dataset.mode") != "dark":
        switch.click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page = reader.open("book/notation.html")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
    page.evaluate("localStorage.clear()")


@pytest.mark.parametrize("size", [{"width": 1280, "height": 900}, {"width": 390, "height": 844}], ids=["desk", "phone"])
def test_the_sidebar_opens_and_closes(reader: Reader, size: dict) -> None:
    page = reader.open("book/intro.html")
    page.set_viewport_size(size)
    link = page.locator(".bd-sidebar-primary a[href='running.html'], #pst-primary-sidebar-modal a[href='running.html']")

    def on_screen() -> bool:
        boxes = [box for box in (item.bounding_box() for item in link.all()) if box]
        return any(box["x"] >= 0 and item_visible(box) for box in boxes)

    def item_visible(box: dict) -> bool:
        return box["width"] > 0 and box["x"] + box["width"] <= size["width"]

    def wait_for(state: bool) -> None:
        for _ in range(50):
            if on_screen() == state:
                return
            page.wait_for_timeout(50)
        raise AssertionError(f"the sidebar is {'hidden' if state else 'shown'}")

    at_first = size["width"] > 992
    wait_for(at_first)
    page.locator("button.primary-toggle:visible").first.click()
    wait_for(not at_first)
    if at_first:
        page.locator("button.primary-toggle:visible").first.click()
    else:
        page.keyboard.press("Escape")
    wait_for(at_first)


def test_without_scripts_boxes_have_frames_and_no_button_is_dead(reader: Reader) -> None:
    context = reader.context.browser.new_context(java_script_enabled=False, viewport=DESKTOP)
    page = context.new_page()
    page.goto(f"{reader.base}/{CHAPTER}")
    # Playwright cannot ask a page without scripts for its computed styles; a picture of it shows them.
    box = page.locator(".admonition").first
    box.scroll_into_view_if_needed()
    picture = Image.open(io.BytesIO(box.screenshot())).convert("RGB")
    frame = [picture.getpixel((1, y)) for y in range(picture.height // 4, 3 * picture.height // 4)]
    assert min(max(pixel) - min(pixel) for pixel in frame) > 40, "the box has no coloured frame on its left"
    dead = page.locator(
        ".btn-fullscreen-button, .theme-switch-button, .search-button, .sidebar-toggle, #pst-back-to-top"
    )
    assert dead.count() >= 4
    assert [button.get_attribute("class") for button in dead.all() if button.is_visible()] == []
    launch = page.locator(".dropdown-launch-buttons")
    expect(launch.get_by_role("link", name="Colab")).to_be_hidden()
    launch.hover()
    expect(launch.get_by_role("link", name="Colab")).to_be_visible()
    context.close()


def test_every_page_is_described_for_search_engines(site: Path) -> None:
    for name in Project().pages:
        html = (site / "book" / f"{name}.html").read_text(encoding="utf-8")
        match = re.search(r'<meta content="([^"]*)" name="description" />', html)
        assert match, f"{name} has no description"
        assert 50 <= len(match[1]) <= 170, f"{name}: its description has {len(match[1])} characters"
