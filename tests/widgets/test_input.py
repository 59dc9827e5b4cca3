"""Every widget, light and dark, is moved by the mouse, by the keyboard and by a finger."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page

from browser import PHONE
from driving import drag, drag_by_finger, status
from optbias import widgets
from optbias.widgets.base import Widget
from staging import settle

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.parametrize("theme", ["light", "dark"]),
    pytest.mark.parametrize("cls", [getattr(widgets, name) for name in widgets.__all__], ids=lambda cls: cls.kind),
]


def points(page: Page) -> list[Locator]:
    """The movable points that are shown."""
    return [one for one in page.locator(".ob-handle").all() if one.is_visible()]


def slider(page: Page) -> Locator:
    """The first slider that is shown."""
    return page.locator(".ob-slider:visible input").first


def said(point: Locator) -> str | None:
    settle(point.page)
    return point.get_attribute("aria-label")


def value(one: Locator) -> str:
    settle(one.page)
    return one.input_value()


def thumb_and_goal(one: Locator) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where the slider's thumb is, and a place on its track that is far from it."""
    one.scroll_into_view_if_needed()
    box = one.bounding_box()
    assert box
    part = one.evaluate("(slider) => slider.value / slider.max")
    thumb = 16  # px, about
    at = box["x"] + thumb / 2 + part * (box["width"] - thumb)
    middle = box["y"] + box["height"] / 2
    return (at, middle), (box["x"] + box["width"] * (0.25 if part > 0.5 else 0.75), middle)


def test_by_mouse_and_keys(stage: Callable[..., Page], cls: type[Widget], theme: str) -> None:
    page = stage(cls(), theme=theme)
    for point in points(page):
        before = said(point)
        drag(page, point, 0.4, 0.6)
        dragged = said(point)
        assert dragged != before
        point.focus()
        page.keyboard.press("ArrowRight")
        assert said(point) != dragged

    one, spoken = slider(page), status(page)
    before = value(one)
    thumb, goal = thumb_and_goal(one)
    page.mouse.move(*thumb)
    page.mouse.down()
    page.mouse.move(*goal, steps=5)
    page.mouse.up()
    dragged = value(one)
    assert dragged != before
    assert status(page) != spoken
    one.focus()
    page.keyboard.press("ArrowLeft")
    assert int(value(one)) < int(dragged)


def test_every_slider_obeys_both_arrow_keys(stage: Callable[..., Page], cls: type[Widget], theme: str) -> None:
    page = stage(cls(), theme=theme)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    for one in page.locator(".ob-slider:visible input").all():
        name, last = one.evaluate("(slider) => [slider.closest('label').textContent, +slider.max]")
        one.focus()
        for key, way in (("ArrowLeft", -1), ("ArrowRight", 1), ("ArrowLeft", -1)):
            before = int(one.input_value())
            page.keyboard.press(key)
            assert (int(one.input_value()) - before) * way > 0 or before == max(0, way * last), f"{name}: {key}"


def test_by_finger(stage: Callable[..., Page], cls: type[Widget], theme: str) -> None:
    page = stage(cls(), theme=theme, size=PHONE, has_touch=True, is_mobile=True)
    for k, point in enumerate(points(page)):
        before = said(point)
        drag_by_finger(page, point, 0.4 + 0.2 * k, 0.6)  # elsewhere each time: some points move each other
        assert said(point) != before

    one = slider(page)
    before = value(one)
    thumb, goal = thumb_and_goal(one)
    touch = page.context.new_cdp_session(page)
    places = [{"x": thumb[0] + (goal[0] - thumb[0]) * k / 5, "y": thumb[1]} for k in range(6)]
    for kind, place in [("touchStart", places[0]), *(("touchMove", place) for place in places[1:]), ("touchEnd", None)]:
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [place] if place else []})
    assert value(one) != before
