"""Moving the points of a plot as a reader does, and reading what the widget says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page

from optbias.widgets import bundle
from staging import settle


def status(page: Page) -> str:
    """The state in words, once it has been drawn."""
    settle(page)
    return page.locator(".ob-status").text_content() or ""


def knob(page: Page, name: str) -> Locator:
    """The movable point whose label begins with ``name``."""
    return page.locator(f'.ob-handle[aria-label^="{name}"]')


def values(knob: Locator) -> list[float]:
    """The numbers that the point's label says, minus signs of either kind."""
    settle(knob.page)
    label = knob.get_attribute("aria-label") or ""
    words = label.split(": ", 1)[1].split(". Arrow")[0].replace("−", "-").replace(",", " ").split()
    found = []
    for word in words:
        try:
            found.append(float(word))
        except ValueError:
            continue
    return found


def place(knob: Locator, right: float, up: float) -> tuple[float, float]:
    """The window's coordinates of the point at these parts of the frame in which ``knob`` moves."""
    box = knob.locator("xpath=..").bounding_box()
    assert box
    return box["x"] + right * box["width"], box["y"] + (1 - up) * box["height"]


def middle(knob: Locator) -> tuple[float, float]:
    """The window's coordinates of a movable point."""
    box = knob.bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag(page: Page, knob: Locator, right: float, up: float) -> None:
    """Take the point with the mouse and put it at these parts of its frame."""
    knob.scroll_into_view_if_needed()
    page.mouse.move(*middle(knob))
    page.mouse.down()
    page.mouse.move(*place(knob, right, up), steps=5)
    page.mouse.up()
    settle(page)


def drag_by_finger(page: Page, knob: Locator, right: float, up: float) -> None:
    """The same with a finger."""
    knob.scroll_into_view_if_needed()
    touch, start, goal = page.context.new_cdp_session(page), middle(knob), place(knob, right, up)

    def send(kind: str, part: float | None = None) -> None:
        at = [] if part is None else [{k: a + (b - a) * part for k, a, b in zip("xy", start, goal, strict=True)}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})

    send("touchStart", 0.0)
    for step in range(1, 6):
        send("touchMove", step / 5)
    send("touchEnd")
    settle(page)


def with_wrong(name: str, right: str, wrong: str, node: Callable[[str], Any], folder: Path) -> Callable[[str], Any]:
    """A ``node`` for which ``wrong`` stands in place of ``right`` in the JavaScript file ``name``."""
    for path in bundle.FOLDER.glob("*.js"):
        (folder / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "package.json").write_text('{"type": "module"}')
    text = (folder / name).read_text(encoding="utf-8")
    assert text.count(right) == 1, f"{right!r} stands {text.count(right)} times in {name}"
    (folder / name).write_text(text.replace(right, wrong), encoding="utf-8")
    return lambda code: node(code.replace('from "./', f'from "{folder.as_uri()}/'))
