"""The race: what Python holds, what the browser shows, and that both are one."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable

import pytest
import torch
from playwright.sync_api import Page, expect

from browser import PHONE
from optbias.losses import landscapes
from optbias.rules import Adam, AdamW, GradientDescent, Lion, Momentum, Muon, NormalizedSteepestDescent, SignGD
from optbias.simulate import trajectory
from optbias.widgets import Race
from staging import settle

# -- Python -----------------------------------------------------------------------------------------------------------


def test_rules_and_landscape_survive_the_way_to_the_browser_and_back() -> None:
    rules = [
        GradientDescent(0.1),
        Momentum(0.2, 0.5, form="heavy_ball", nesterov=True),
        AdamW(0.3, (0.8, 0.95), eps_inside=True),
        NormalizedSteepestDescent(0.1, "l1"),
        Lion(0.02),
        Muon(0.02, orthogonalize="svd", nesterov=False),
    ]
    race = Race(landscapes.get("cliff", steep=20.0), rules, start=(-1, 0.5), steps=30)
    race.set_state(json.loads(json.dumps(race.state())))
    assert race.chosen_rules() == rules
    assert race.loss.name == "cliff"
    assert race.loss.parameters()["steep"] == 20.0
    assert race.start == [-1.0, 0.5]


def test_trajectories_are_those_of_the_library() -> None:
    race = Race("ravine", [Adam(0.1), Muon(0.05, orthogonalize="svd")], steps=20)
    plain, matrix = race.trajectories()
    assert torch.equal(plain, trajectory(Adam(0.1), landscapes.get("ravine"), torch.ones(2), 20))
    assert matrix.shape == (21, 2)
    # On a matrix of one column Muon's step has length lr times sqrt(rows), beside the decay.
    step = matrix[1] - (1 - 0.05 * 0.1) * matrix[0]
    assert float(step.norm()) == pytest.approx(0.05 * math.sqrt(2), rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"landscape": "hill"}, ValueError, "name must be one of"),
        ({"landscape": 3}, TypeError, "landscape must be a name or a landscape"),
        ({"landscape": landscapes.get("quadratic", H=torch.eye(4))}, ValueError, "needs a landscape of 2 or 3"),
        ({"start": (1, 2, 3)}, ValueError, "start must be 2 finite numbers"),
        ({"start": (1, math.nan)}, ValueError, "start must be 2 finite numbers"),
        ({"start": "ab"}, TypeError, "start must be numbers"),
        ({"steps": 0}, ValueError, r"steps must be an integer in \[1, 2000\]; got 0"),
        ({"steps": 3000}, ValueError, r"steps must be an integer in \[1, 2000\]; got 3000"),
        ({"shown": -1}, ValueError, r"shown must be an integer in \[0, 2000\]"),
        ({"rules": [SignGD()] * 8}, ValueError, "at most 7 rules; got 8"),
        ({"rules": ["Adam"]}, TypeError, "rules must be rules from"),
        ({"rules": [{"rule": "Rule", "lr": 1}]}, ValueError, "a rule must be named as in optbias.rules"),
        ({"rules": [{"rule": "Adam", "lr": -1}]}, ValueError, "lr must be"),
        ({"rules": [Adam(lambda t: 1 / t)]}, ValueError, "plain numbers, not schedules"),
        ({"rules": [Adam(torch.tensor([0.1]))]}, ValueError, "plain numbers, not schedules"),
        ({"rules": [Muon()]}, ValueError, "orthogonalize='svd'"),
        ({"rules": [NormalizedSteepestDescent(norm="spectral")]}, ValueError, "norms 'linf', 'l2' and 'l1'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_bad_input_is_refused(arguments: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Race(**arguments)


def test_the_description_tells_how_it_ends() -> None:
    text = Race("bowl", [GradientDescent(0.25), GradientDescent(1e200)], steps=10).describe()
    end = float(landscapes.get("bowl")(torch.full((2,), 0.5**10)))
    assert f"GradientDescent (lr=0.25) {end:.3g}; GradientDescent (lr=1e+200) diverged" in text


@pytest.mark.parametrize("name", landscapes.NAMES)
def test_every_landscape_can_be_drawn(name: str) -> None:
    assert Race(name, steps=5).picture().startswith(b"\x89PNG")


# -- the browser ------------------------------------------------------------------------------------------------------


def status(page: Page) -> str:
    settle(page)
    return page.locator(".ob-status").text_content() or ""


def start_of(page: Page) -> list[float]:
    settle(page)
    label = page.locator(".ob-handle").get_attribute("aria-label") or ""
    return [float(part) for part in label.removeprefix("Start point: ").partition(". Arrow")[0].split(",")]


@pytest.mark.parametrize("name", landscapes.NAMES)
@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_the_browser_says_the_losses_that_python_computes(stage: Callable[..., Page], name: str) -> None:
    race = Race(name, [GradientDescent(0.001), Adam(0.05), Muon(0.01, orthogonalize="svd")], steps=50)
    shown = status(stage(race))
    for path in race.trajectories():
        value = float(race.loss(path[-1]))
        numbers = [float(number) for number in re.findall(r" (-?[\d.]+(?:e-?\d+)?)[;.]", shown)]
        assert min(abs(value - number) for number in numbers) <= 6e-3 * abs(value), (value, shown)


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
class TestTheStartPoint:
    def test_is_dragged_with_the_mouse(self, stage: Callable[..., Page]) -> None:
        page = stage(Race())
        before = status(page)
        frame = page.locator(".ob-frame").bounding_box()
        knob = page.locator(".ob-handle").bounding_box()
        assert frame
        assert knob
        page.mouse.move(knob["x"] + 14, knob["y"] + 14)
        page.mouse.down()
        page.mouse.move(frame["x"] + frame["width"] / 4, frame["y"] + frame["height"] / 2, steps=5)
        page.mouse.up()
        assert start_of(page) == pytest.approx([-0.75, 0.0], abs=0.02)
        assert status(page) != before
        page.mouse.move(frame["x"] + 5, frame["y"] + 5)
        assert start_of(page) == pytest.approx([-0.75, 0.0], abs=0.02), "it follows only while the button is held"

    def test_jumps_to_a_click_and_moves_by_keys(self, stage: Callable[..., Page]) -> None:
        page = stage(Race())
        frame = page.locator(".ob-frame").bounding_box()
        assert frame
        page.mouse.click(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 4)
        assert start_of(page) == pytest.approx([0.0, 0.625], abs=0.02)
        expect(page.locator(".ob-handle")).to_be_focused()
        x, y = start_of(page)
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
        assert start_of(page) == pytest.approx([x + 3 / 40, y - 2.5 / 40], abs=1e-3)
        page.keyboard.press("Shift+ArrowLeft")
        assert start_of(page)[0] == pytest.approx(x + 3 / 40 - 3 / 200, abs=1e-3)
        for _ in range(60):
            page.keyboard.press("ArrowUp")
        assert start_of(page)[1] == 1.25, "it stays inside the map"

    def test_is_dragged_by_a_finger_and_lets_the_page_scroll(self, stage: Callable[..., Page]) -> None:
        page = stage(Race(), size=PHONE, has_touch=True, is_mobile=True)
        frame = page.locator(".ob-frame").bounding_box()
        assert frame
        # The tap comes first: Chromium takes a tap right after a drag for the end of a fling.
        page.touchscreen.tap(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 4)
        assert start_of(page) == pytest.approx([0.0, 0.625], abs=0.02)
        touch = page.context.new_cdp_session(page)

        def send(kind: str, *points: tuple[float, float]) -> None:
            touches = [{"x": x, "y": y} for x, y in points]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

        x, y = frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 4
        send("touchStart", (x, y))
        for k in range(1, 6):
            send("touchMove", (x - frame["width"] / 4 * k / 5, y + frame["height"] / 4 * k / 5))
        send("touchEnd")
        assert start_of(page) == pytest.approx([-0.75, 0.0], abs=0.02)
        assert page.evaluate("scrollY") == 0
        assert page.locator(".ob-frame").evaluate("(one) => getComputedStyle(one).touchAction") == "pan-y"


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
class TestTheControls:
    def test_a_slider_is_moved_by_keys_and_says_its_value(self, stage: Callable[..., Page]) -> None:
        page = stage(Race("bowl", [GradientDescent(0.1)], steps=10))
        page.locator(".ob-lane summary").click()
        slider = page.get_by_role("slider", name="learning rate")
        slider.focus()
        page.keyboard.press("ArrowRight")
        settle(page)
        rate = float(slider.get_attribute("aria-valuetext") or "")
        assert rate == 0.112  # 20 values a decade
        end = float(landscapes.get("bowl")(torch.full((2,), (1 - 2 * rate) ** 10)))
        assert float(status(page).rstrip(".").split()[-1]) == pytest.approx(end, rel=6e-3)
        expect(page.locator(".ob-lane summary")).to_contain_text("η 0.112")

    def test_rules_are_added_changed_and_removed(self, stage: Callable[..., Page]) -> None:
        page = stage(Race(rules=[GradientDescent(0.1)]))
        lanes = page.locator(".ob-lane")
        for count, name in enumerate(("Lion", "SignGD", "AMSGrad", "Muon", "AdaGrad", "RMSProp", "Adam"), 2):
            page.get_by_label("Add a rule").select_option(name)
            expect(lanes).to_have_count(min(7, count))  # as many as there are colours
        assert "Lion" in status(page)
        lanes.nth(1).locator("summary").click()
        page.get_by_role("button", name="Remove this rule").click()
        expect(lanes).to_have_count(6)
        assert "Lion" not in status(page)
        page.get_by_role("button", name="Reset").click()
        expect(lanes).to_have_count(1)

    def test_without_rules_it_says_what_to_do(self, stage: Callable[..., Page]) -> None:
        assert status(stage(Race(rules=[]))) == "No rule is chosen: add one."

    def test_steps_are_shown_one_by_one(self, stage: Callable[..., Page]) -> None:
        page = stage(Race("bowl", [GradientDescent(0.25)], steps=100))
        page.get_by_role("button", name="To the start").click()
        assert status(page).startswith("Step 0 of 100, loss: gradient descent 2.")
        page.get_by_role("button", name="Step", exact=True).click()
        assert status(page).startswith("Step 1 of 100, loss: gradient descent 0.5.")

    @pytest.mark.parametrize("steps", [30, 100, 150, 2000])
    def test_each_key_moves_the_steps_shown(self, stage: Callable[..., Page], steps: int) -> None:
        page = stage(Race("bowl", [GradientDescent(0.25)], steps=steps, shown=steps // 2))
        slider = page.get_by_role("slider", name="steps shown")
        slider.focus()
        for key, way in (("ArrowLeft", -1), ("ArrowRight", 1)):
            for _ in range(3):
                before = int(slider.get_attribute("aria-valuetext") or "")
                page.keyboard.press(key)
                assert (int(slider.get_attribute("aria-valuetext") or "") - before) * way > 0

    def test_play_moves_pause_stops(self, stage: Callable[..., Page]) -> None:
        page = stage(Race(steps=100))
        page.get_by_role("button", name="Play").click()
        page.wait_for_function(r"/^Step [1-9]\d? of/.test(document.querySelector('.ob-status').textContent)")
        page.get_by_role("button", name="Pause").click()
        paused = status(page)
        page.wait_for_timeout(200)
        assert status(page) == paused
        assert 1 <= int(paused.split()[1]) < 100

    def test_play_does_not_move_for_who_prefers_no_motion(self, stage: Callable[..., Page]) -> None:
        page = stage(Race(steps=100, shown=3), reduced_motion="reduce")
        page.get_by_role("button", name="Play").click()
        assert status(page).startswith("Step 100 of 100")

    def test_a_run_that_diverges_is_named_and_the_others_go_on(self, stage: Callable[..., Page]) -> None:
        page = stage(Race("rosenbrock", [GradientDescent(0.1), Adam(0.1, eps=0.0)], steps=200))
        text = status(page)
        assert "gradient descent left the range of numbers at step" in text
        assert "Adam 0." in text or "Adam 1." in text or "e-" in text

    def test_choosing_a_landscape_starts_where_it_is_sensible(self, stage: Callable[..., Page]) -> None:
        page = stage(Race("ravine"))
        for name in landscapes.NAMES:
            page.get_by_label("shape").select_option(name)
            settle(page)
            assert start_of(page) == pytest.approx(landscapes.get(name).start[:2].tolist(), rel=1e-2)

    def test_a_rotated_quadratic_is_set_by_its_curvatures(self, stage: Callable[..., Page]) -> None:
        page = stage(Race(landscapes.get("quadratic", H=[[2.0, 1.0], [1.0, 2.0]]), [GradientDescent(0.1)], steps=5))
        assert page.get_by_role("slider", name="one curvature").get_attribute("aria-valuetext") == "1"
        assert page.get_by_role("slider", name="other curvature").get_attribute("aria-valuetext") == "3"
        assert page.get_by_role("slider", name="angle").get_attribute("aria-valuetext") == "45°"
        before = status(page)
        page.get_by_role("slider", name="angle").focus()
        page.keyboard.press("Home")
        assert page.get_by_role("slider", name="angle").get_attribute("aria-valuetext") == "-90°"
        assert status(page) != before
