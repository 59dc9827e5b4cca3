"""The phase diagram: the mathematics of quadratic_dynamics in JavaScript, and the point that the reader moves."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from playwright.sync_api import Page, expect

from optbias.seeding import generator
from optbias.theory import quadratic_dynamics as dynamics
from optbias.widgets import Phase
from staging import settle


def points() -> list[list[float]]:
    """Random points, and points on and beside every border: real to complex roots, the limit, beta = 0, x = 0."""
    random = torch.rand(200, 2, generator=generator(3), dtype=torch.float64)
    found = [[5 * x, 0.999 * beta] for x, beta in random.tolist()]
    for beta in (0.0, 0.25, 0.5, 0.81, 0.99):
        root = beta**0.5
        for x in ((1 - root) ** 2, (1 + root) ** 2, 2 * (1 + beta), 2 * (1 + beta) / (1 + 2 * beta), 0.0, 1.0):
            for value in (x, x / (1 - beta)):
                found += [[value, beta], [value * (1 - 1e-9), beta], [value * (1 + 1e-9), beta]]
    return found


@pytest.mark.parametrize("form", ["heavy_ball", "ema"])
@pytest.mark.parametrize("nesterov", [False, True])
def test_roots_limits_and_regimes_are_those_of_python(node: Callable[[str], Any], form: str, nesterov: bool) -> None:
    given = points()
    code = 'import { REGIMES, regime, roots, stabilityLimit } from "./phase.js";\n'
    arguments = f"x, beta, {json.dumps(form)}, {json.dumps(nesterov)}"
    limit = f"beta, {json.dumps(form)}, {json.dumps(nesterov)}"
    code += f"const of = ([x, beta]) => [regime({arguments}), roots({arguments}).flat(), stabilityLimit({limit})];\n"
    code += f"process.stdout.write(JSON.stringify([REGIMES, {json.dumps(given)}.map(of)]));"
    names, found = node(code)
    assert tuple(names) == dynamics.REGIMES
    x, beta = torch.tensor(given, dtype=torch.float64).unbind(-1)
    assert [code for code, _, _ in found] == dynamics.regime(x, beta, form, nesterov).tolist()
    ours = torch.view_as_real(dynamics.roots(x, beta, form, nesterov)).flatten(1)
    theirs = torch.tensor([pair for _, pair, _ in found], dtype=torch.float64)
    assert float((ours - theirs).abs().max()) <= 1e-12 * float(ours.abs().max())
    limits = dynamics.stability_limit(beta, form, nesterov)
    assert torch.allclose(limits, torch.tensor([one for _, _, one in found], dtype=torch.float64), rtol=1e-14)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"form": "polyak"}, "form must be 'heavy_ball' or 'ema'"),
        ({"beta": 1.0}, r"beta must be in \[0, 0.999\]; got 1.0"),
        ({"beta": float("nan")}, "beta must be in"),
        ({"lr_curvature": -1.0}, "lr_curvature must be in"),
        ({"steps": 0}, "steps must be in"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_bad_input_is_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Phase(**arguments)


def test_the_trajectory_shrinks_at_the_rate_that_the_description_gives() -> None:
    phase = Phase(lr_curvature=1.0, beta=0.8, steps=200)
    rate = float(dynamics.rate(1.0, 0.8))
    assert f"multiplies the error by {rate:.3g}" in phase.describe()
    late = phase.trajectory()[150:].abs().amax() / phase.trajectory()[100:150].abs().amax()
    assert float(late) == pytest.approx(rate**50, rel=0.5)  # the windows hold other parts of a swing


def status(page: Page) -> str:
    settle(page)
    return page.locator(".ob-status").text_content() or ""


def chosen(page: Page) -> tuple[float, ...]:
    match = re.search(r"ηh = ([\d.]+), β = ([\d.]+):", status(page))
    assert match
    return tuple(map(float, match.groups()))


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
class TestInTheBrowser:
    def test_a_click_chooses_a_point_and_the_keys_move_it(self, stage: Callable[..., Page]) -> None:
        page = stage(Phase())
        frame = page.locator(".ob-frame").bounding_box()
        assert frame
        page.mouse.click(frame["x"] + frame["width"] * 0.95, frame["y"] + frame["height"] * 0.9)
        assert "not convergent (the limit is" in status(page)
        page.mouse.click(frame["x"] + frame["width"] * 0.5, frame["y"] + frame["height"] * 0.05)
        assert "oscillating. Roots" in status(page)
        before = status(page)
        page.keyboard.press("ArrowLeft")
        assert status(page) != before
        for _ in range(45):
            page.keyboard.press("ArrowDown")
        for _ in range(45):
            page.keyboard.press("Shift+ArrowLeft")
        assert "β = 0:" in status(page)

    def test_on_the_logarithmic_axis_keys_and_clicks_go_where_they_point(self, stage: Callable[..., Page]) -> None:
        page = stage(Phase(form="ema"))
        frame = page.locator(".ob-frame").bounding_box()
        assert frame
        page.mouse.click(frame["x"] + frame["width"] * 0.75, frame["y"] + frame["height"] / 2)
        x, beta = chosen(page)
        assert (x, beta) == pytest.approx((10, 0.495), rel=0.02)
        page.keyboard.press("ArrowRight")
        assert chosen(page) == pytest.approx((x * 10 ** (4 / 40), beta), rel=5e-3)

    @pytest.mark.parametrize("form", ["heavy_ball", "ema"])
    def test_the_words_are_those_of_python(self, stage: Callable[..., Page], form: str) -> None:
        for x, beta in ((0.05, 0.3), (1.0, 0.8), (1.9, 0.02), (4.1, 0.5)):
            phase = Phase(form=form, lr_curvature=x, beta=beta)
            text = status(stage(phase))
            name = dynamics.REGIMES[int(dynamics.regime(x, beta, form))]
            assert name in text
            assert f"multiplies the error by {float(dynamics.rate(x, beta, form)):.3g}." in text

    def test_forms_are_switched_and_reset(self, stage: Callable[..., Page]) -> None:
        page = stage(Phase(lr_curvature=3.0, beta=0.2))
        assert "not convergent" in status(page)
        page.get_by_label("form").select_option("ema")
        assert "EMA at ηh = 3, β = 0.2: not convergent" in status(page) or "limit is ηh = 3" in status(page)
        page.get_by_label("Nesterov").check()
        assert status(page).startswith("Nesterov, EMA")
        page.get_by_role("button", name="Reset").click()
        assert status(page).startswith("heavy ball at ηh = 3")
        expect(page.get_by_label("Nesterov")).not_to_be_checked()
