"""What all widgets share: bundle, notebook output, the website's script, themes, screen readers, bad addresses."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from browser import PHONE, WIDER_THAN_WINDOW, violations
from optbias import figures, widgets
from optbias.widgets import bundle
from optbias.widgets.base import Widget
from staging import MEAN_INK, settle

ALL = [getattr(widgets, name) for name in widgets.__all__]
in_browser = pytest.mark.usefixtures("chrome")


def kinds(classes: list[type[Widget]], slow: list[type[Widget]] | None = None) -> Any:
    """Each class by its kind; those that are ``slow`` to draw are for the long suite."""
    params = [
        pytest.param(cls, id=cls.kind, marks=[pytest.mark.slow] if cls in (slow or []) else []) for cls in classes
    ]
    return pytest.mark.parametrize("cls", params)


# -- the bundle -------------------------------------------------------------------------------------------------------


def test_every_widget_is_bundled_and_has_its_files() -> None:
    assert {cls.kind for cls in ALL} == set(bundle.WIDGETS)
    for name in bundle.WIDGETS:
        assert (bundle.FOLDER / f"{name}.js").is_file()
        assert "export function mount(el, model)" in (bundle.FOLDER / f"{name}.js").read_text(encoding="utf-8")


def test_all_code_together_is_small() -> None:
    size = len(gzip.compress((bundle.page_script() + bundle.style()).encode(), 9))
    assert size <= 60_000, f"{size} bytes, compressed"


def test_the_bundle_of_each_widget_runs_as_a_module(node: Callable[[str], Any], tmp_path: Path) -> None:
    for name in bundle.WIDGETS:
        file = tmp_path / f"{name}.mjs"
        file.write_text(bundle.module(name), encoding="utf-8")
        code = f"const made = await import({json.dumps(file.as_uri())});"
        assert node(code + "process.stdout.write(JSON.stringify(typeof made.default.render));") == "function"


def test_the_bundler_refuses_what_it_does_not_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "FOLDER", tmp_path)
    (tmp_path / "a.js").write_text('import { f } from "./b.js";\nexport const g = f;\n')
    (tmp_path / "b.js").write_text('import { g } from "./a.js";\nexport const f = g;\n')
    with pytest.raises(ValueError, match="circle: a -> b -> a"):
        bundle.scopes("a")
    (tmp_path / "b.js").write_text("export default 3;\n")
    with pytest.raises(ValueError, match=r"b\.js has an import or export .*export default 3"):
        bundle.scopes("a")
    (tmp_path / "b.js").write_text("export const b = 3;\n")
    (tmp_path / "a.js").write_text('import { b } from "./b.js";\n')
    with pytest.raises(ValueError, match=r"a\.js imports a name that is its file's own: b"):
        bundle.scopes("a")
    with pytest.raises(ValueError, match="name must be that of a JavaScript file"):
        bundle.scopes("nowhere")


def test_files_with_equal_names_inside_do_not_collide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, node: Callable[[str], Any]
) -> None:
    monkeypatch.setattr(bundle, "FOLDER", tmp_path)
    (tmp_path / "a.js").write_text("const secret = 1;\nexport function read() {\n  return secret;\n}\n")
    (tmp_path / "b.js").write_text('import { read as other } from "./a.js";\nconst secret = 2;\n')
    with (tmp_path / "b.js").open("a") as file:
        file.write("export const both = () => [other(), secret];\n")
    code = bundle.scopes("b") + "process.stdout.write(JSON.stringify(b.both()));"
    assert node(code) == [1, 2]
    assert code.count("const secret = 1") == 1


def test_colours_and_dashes_are_those_of_the_figures(node: Callable[[str], Any]) -> None:
    code = 'import { COLORS, DASHES, MARKERS } from "./ink.js";'
    colors, dashes, markers = node(code + "process.stdout.write(JSON.stringify([COLORS, DASHES, MARKERS]));")
    assert colors == list(figures.COLORS.values())
    assert len(set(map(str, dashes))) == len(set(markers)) == len(colors), "each line differs by more than its colour"


# -- in a notebook ----------------------------------------------------------------------------------------------------


class Parts(HTMLParser):
    """The attributes of the first element of each name."""

    def __init__(self, text: str):
        super().__init__()
        self.first: dict[str, dict[str, str | None]] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.first.setdefault(tag, dict(attrs))


@kinds(ALL, slow=[widgets.BiasMap])
def test_the_output_is_a_widget_a_page_part_a_picture_and_a_text(cls: type[Widget]) -> None:
    widget = cls()
    bundled = widget._repr_mimebundle_()
    assert bundled is not None
    data, _ = bundled
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == widget.model_id
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert picture.width >= 760
    assert len(base64.b64decode(data["image/png"])) < 80_000
    assert widget.describe() in data["text/plain"]
    parts = Parts(data["text/html"]).first
    assert parts["div"]["data-widget"] == cls.kind
    assert json.loads(parts["div"]["data-state"] or "") == json.loads(json.dumps(widget.state()))
    assert parts["img"]["alt"] == widget.describe()
    assert len(widget.describe()) >= 80
    assert (parts["img"]["src"] or "").endswith(data["image/png"])


@kinds(ALL, slow=[cls for cls in ALL if cls.kind != "phase"])  # three pictures each
def test_the_page_part_is_the_same_whenever_it_is_made(cls: type[Widget]) -> None:
    page, mine = cls().html(), cls(name="mine").html()
    assert cls().html() == page
    assert mine != page
    assert 'data-name="mine"' in mine
    with pytest.raises(ValueError, match="name must be made of letters"):
        cls(name="a:b")


@kinds(ALL)
def test_the_state_is_what_the_script_listens_to(cls: type[Widget]) -> None:
    source = (bundle.FOLDER / f"{cls.kind}.js").read_text(encoding="utf-8")
    listed = re.search(r"const traits = (\[[^\]]*\]);", source)
    assert listed, "the script names its traits in one place: const traits = [...]"
    assert set(json.loads(listed[1])) == set(cls().state())


# -- in the browser ---------------------------------------------------------------------------------------------------


@in_browser
@pytest.mark.browser
@pytest.mark.xdist_group("browser")
@kinds(ALL)
class TestEveryWidget:
    @pytest.mark.parametrize("theme", ["light", "dark"])
    def test_is_accessible(self, stage: Callable[..., Page], cls: type[Widget], theme: str) -> None:
        page = stage(cls(), theme=theme)
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert violations(page) == []

    def test_names_every_control_and_says_its_value(self, stage: Callable[..., Page], cls: type[Widget]) -> None:
        page = stage(cls())
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert page.evaluate(NAMELESS) == []
        status = page.locator(".ob-status").text_content()
        assert status
        expect(page.locator(".ob [role=status]")).to_have_text(status)

    def test_names_its_controls_before_it_is_seen(self, stage: Callable[..., Page], cls: type[Widget]) -> None:
        page = stage(cls(), before='<div style="height: 9000px"></div>')
        assert page.locator(".ob-status").text_content() == "", "it does nothing far below the window"
        assert [one for one in page.evaluate(NAMELESS) if "canvas" not in one] == []
        before = page.locator(".ob-plots").bounding_box()
        page.evaluate("document.querySelector('.ob').scrollIntoView()")
        expect(page.locator(".ob-status")).not_to_be_empty()
        after = page.locator(".ob-plots").bounding_box()
        assert before
        assert after
        assert abs(after["height"] - before["height"]) <= 3, "its place was taken before it was drawn"

    def test_fits_a_phone(self, stage: Callable[..., Page], cls: type[Widget]) -> None:
        page = stage(cls(), size=PHONE)
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert page.evaluate(WIDER_THAN_WINDOW) == []
        assert page.evaluate(OUTSIDE) == []

    def test_controls_are_large_enough_for_a_finger(self, stage: Callable[..., Page], cls: type[Widget]) -> None:
        page = stage(cls(), size=PHONE)
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert page.evaluate(SMALL) == []

    def test_draws_lines_in_the_ink_of_its_host(self, stage: Callable[..., Page], cls: type[Widget]) -> None:
        shades = {}
        for theme in ("light", "dark"):
            shades[theme] = stage(cls(), theme=theme).evaluate(MEAN_INK)
        assert shades["light"] < 110, "axes are dark on a light page"
        assert shades["dark"] > 150, "axes are light on a dark page"

    def test_follows_a_change_of_theme(self, stage: Callable[..., Page], cls: type[Widget]) -> None:
        page = stage(cls())
        page.evaluate("document.documentElement.dataset.theme = 'dark'")
        settle(page)
        settle(page)
        assert page.evaluate(MEAN_INK) > 150

    def test_survives_nonsense_in_the_address(self, stage: Callable[..., Page], cls: type[Widget]) -> None:
        page = stage(cls(name="mine"), fragment="#widget=%")
        before = page.locator(".ob-status").text_content()
        assert before
        for fragment in (
            "#widget=",
            "#widget=mine:",
            "#widget=mine:[1",
            "#widget=mine:null",
            "#widget=mine:3",
            "#there",
        ):
            page.evaluate("(fragment) => { location.hash = fragment; }", fragment)
            settle(page)
            assert page.locator(".ob-status").text_content() == before

    def test_survives_a_state_of_nonsense(self, stage: Callable[..., Page], cls: type[Widget]) -> None:
        """Right kinds of values, wrong values: what an address made by hand can hold."""
        initial = cls().state()
        states = [{name: _nonsense(value, number) for name, value in initial.items()} for number in NUMBERS]
        fragments = ["#widget=" + quote("mine:" + json.dumps(state)) for state in states]
        page = stage(cls(name="mine"), fragment=fragments[0])
        for fragment in fragments:
            page.evaluate("(fragment) => { location.hash = fragment; }", fragment)
            settle(page)
            expect(page.locator(".ob-status")).not_to_be_empty()
            assert page.query_selector("[data-error]") is None, page.locator("[data-error]").get_attribute("data-error")

    def test_survives_every_control_at_every_end(self, stage: Callable[..., Page], cls: type[Widget]) -> None:
        """Each control, from the first to the last position; the stage asserts that nothing complained."""
        page = stage(cls())
        moves = page.evaluate(FUZZ, 20261122)
        assert moves >= 150
        expect(page.locator(".ob-status")).not_to_be_empty()

    def test_can_be_mounted_twice_and_taken_down(self, stage: Callable[..., Page], cls: type[Widget]) -> None:
        page = stage(cls(), cls())
        expect(page.locator(".ob")).to_have_count(2)
        page.evaluate(f"{bundle.scopes(cls.kind)} window.mount = {cls.kind}.mount; void 0;")
        left = page.evaluate(MOUNT_AND_LEAVE, cls().state())
        assert left == {"elements": 0, "listeners": 0}

    def test_shares_its_state_in_the_address(self, stage: Callable[..., Page], cls: type[Widget]) -> None:
        page = stage(cls(name="mine"))
        slider = page.locator(".ob-slider:visible input").last
        before = slider.input_value()
        slider.focus()
        page.keyboard.press("Home")
        assert page.evaluate("location.hash") == "", "the address changes only when the reader asks for a link"
        page.get_by_role("button", name="Link to this state").click()
        page.wait_for_function("location.hash.startsWith('#widget=mine')")
        address, after = page.evaluate("location.hash"), slider.input_value()
        assert after != before
        other = stage(cls(name="mine"), fragment=address)
        assert other.locator(".ob-slider:visible input").last.input_value() == after


NUMBERS = (0, -1, 1e300, 1e-300, 0.5, 7)


def _nonsense(value: Any, number: float) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return number
    if isinstance(value, str):
        return "constructor"
    if isinstance(value, list):
        return [_nonsense(entry, number) for entry in value] + [None, [], "x", {"rule": "__proto__"}]
    if isinstance(value, dict):
        return {key: _nonsense(entry, number) for key, entry in value.items()} | {"rule": "Adam", "lr": "x", "betas": 3}
    return value


# Controls without a name, sliders that do not say their value, plots without a description.
NAMELESS = """() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const name = (one) => one.getAttribute("aria-label") ?? one.closest("label")?.textContent ?? one.textContent;
  return [
    ...all(".ob :is(input, select, button)").filter((one) => !name(one).trim()),
    ...all(".ob input[type=range]").filter((one) => !one.getAttribute("aria-valuetext")),
    ...all(".ob-plot canvas").filter((one) => (one.getAttribute("aria-label") ?? "").length < 30),
  ].map((one) => one.outerHTML);
}"""

# Below 24 x 24 pixels, the least that WCAG 2.2 asks for; of a checkbox the label can be hit, too.
SMALL = """() => [...document.querySelectorAll(".ob :is(button, select, input[type=range], .ob-check)")]
  .filter((one) => one.querySelector("input") || !one.matches(".ob-check"))
  .filter((one) => Math.min(one.getBoundingClientRect().width, one.getBoundingClientRect().height) < 24)
  .map((one) => one.outerHTML.slice(0, 200))"""

OUTSIDE = """() => [...document.querySelectorAll(".ob :is(button, select, input)")]
  .filter((one) => one.getBoundingClientRect().right > innerWidth).map((one) => one.outerHTML)"""

# Every control to both ends, then random positions, with frames between so that each is drawn. Repeatable.
FUZZ = """async (seed) => {
  const random = () => ((seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32);
  const frame = () => new Promise(requestAnimationFrame);
  let moves = 0;
  const act = async (control, part) => {
    if (!control.isConnected) return;
    moves += 1;
    if (control.type === "range") {
      control.value = Math.round(part * control.max);
      control.dispatchEvent(new Event("input", { bubbles: true }));
    } else if (control.tagName === "SELECT") {
      control.selectedIndex = Math.min(control.options.length - 1, Math.floor(part * control.options.length));
      control.dispatchEvent(new Event("change", { bubbles: true }));
    } else if (control.matches(".ob-handle")) {
      for (const key of ["ArrowUp", "ArrowLeft", "ArrowDown", "ArrowRight"])
        if (random() < 0.6) control.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    } else if (!/Link/.test(control.textContent)) control.click();
    if (moves % 4 === 0) await frame();
  };
  const controls = () => [...document.querySelectorAll(".ob :is(input, select, button)")];
  for (const part of [0, 1])
    for (const control of controls()) if (!/Remove/.test(control.textContent)) await act(control, part);
  for (let k = 0; k < 150; k++) {
    const all = controls();
    await act(all[Math.floor(random() * all.length)], random());
  }
  await frame();
  return moves;
}"""

MOUNT_AND_LEAVE = """async (state) => {
  const element = document.body.appendChild(document.createElement("div"));
  let listeners = 0;
  const model = {
    get: (name) => state[name], set: (name, value) => { state[name] = value; }, save_changes: () => {},
    on: () => { listeners += 1; }, off: () => { listeners -= 1; },
  };
  const leave = window.mount(element, model);
  await new Promise(requestAnimationFrame);
  leave();
  return { elements: element.children.length, listeners };
}"""
