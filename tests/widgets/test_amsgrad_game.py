"""The AMSGrad game: drift and play of optbias.theory.online in JavaScript, and a reader who crosses the break-even."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from playwright.sync_api import Browser, Page

from browser import PHONE
from driving import drag, drag_by_finger, knob, status, values, with_wrong
from engines import in_chromium
from optbias.rules import Adam, AMSGrad
from optbias.seeding import generator
from optbias.theory.online import break_even_beta2, drift_per_cycle, play_long, rare_spike_game, regret, three_step_game
from optbias.widgets import AMSGradGame

ALLOWED = 1e-9
IMPORT = 'import { breakEven, driftPerCycle, playGame, PRESETS } from "./amsgrad_game.js";\n'
POINT = "β₂ on the curve of the drift"


def games() -> list[dict[str, Any]]:
    """Random games and players, the widget's defaults, and the ends of the intervals."""
    u = torch.rand(24, 5, generator=generator(11), dtype=torch.float64).tolist()
    found = [
        {
            "C": 10 ** (3 * a),
            "cycle": 3 + int(60 * b),
            "beta2": 1 - 10 ** (-4 * c),
            "lr": 10 ** (3 * d - 2),
            "decaying": a < 0.7,
            "start": round(2 * e - 1, 3),
            "rounds": 700,
        }
        for a, b, c, d, e in u
    ]
    usual = AMSGradGame().state()
    return [*found, usual, usual | {"beta2": 0.0}, usual | {"beta2": 0.9999, "C": 2.0}, usual | {"cycle": 2, "C": 1.0}]


def close(found: Any, wanted: Any) -> float:
    """The largest difference, relative to the largest number."""
    found, wanted = (torch.as_tensor(x, dtype=torch.float64) for x in (found, wanted))
    assert torch.isfinite(found).all()
    return float((found - wanted).abs().max() / wanted.abs().max().clamp_min(1e-300))


def compare(run: Callable[[str], Any]) -> None:
    code = IMPORT + "const play = (game) => ['AMSGrad', 'Adam'].map((rule) => {\n"
    code += "  const { points, regret } = playGame(rule, game);\n"
    code += "  return [Array.from(points).slice(1), Array.from(regret).slice(1)];\n});\n"
    code += "const all = (g) => [driftPerCycle(g.C, g.beta2, g.cycle), breakEven(g.C, g.cycle), play(g)];\n"
    code += f"process.stdout.write(JSON.stringify({json.dumps(games())}.map(all)));"
    for game, (drift, turn, played) in zip(games(), run(code), strict=True):
        widget = AMSGradGame(**game)
        # A drift near the break-even is the small difference of steps of about this size.
        size = game["cycle"] ** 0.5 + 1
        assert abs(drift - widget.drift) <= ALLOWED * size, game
        assert (turn is None) == (widget.break_even is None)
        assert turn is None or close(turn, widget.break_even) <= ALLOWED
        for path, (points, average) in zip(widget.points().values(), played, strict=True):
            assert close(points, path[:-1]) <= ALLOWED, game
            assert close(average, regret(path, widget.game) / torch.arange(1, game["rounds"] + 1)) <= ALLOWED, game


def test_node_plays_as_python(node: Callable[[str], Any]) -> None:
    compare(node)


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_chromium_plays_as_python(chrome: Browser) -> None:
    compare(in_chromium(chrome))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("(j ? 1 : -C)", "(j ? 1 : C)"), ("paid + Math.abs(sum)", "paid - Math.abs(sum)")],
    ids=["drift", "regret"],
)
def test_the_comparison_notices_one_wrong_sign(
    node: Callable[[str], Any], tmp_path: Path, right: str, wrong: str
) -> None:
    with pytest.raises(AssertionError):
        compare(with_wrong("amsgrad_game.js", right, wrong, node, tmp_path))


def test_the_widget_is_the_librarys_game() -> None:
    game, rounds = AMSGradGame(), 3000
    assert torch.equal(game.game.slopes, three_step_game(3.0).slopes)
    rule = {"lr": lambda t: 0.85 / t**0.5, "betas": (0.0, 0.1), "eps": 0.0, "bias_correction": False}
    points = game.points()
    assert torch.equal(points["Adam"], play_long(Adam(**rule), three_step_game(3.0), rounds))
    assert torch.equal(points["AMSGrad"], play_long(AMSGrad(**rule), rare_spike_game(3.0, 3), rounds))
    assert game.drift == float(drift_per_cycle(3.0, 0.1))
    assert game.break_even == float(break_even_beta2(3.0)) == pytest.approx(0.472, abs=5e-4)
    assert f"it is +0.681 times the rate here, and it turns at beta2 = {game.break_even:.4g}" in game.describe()
    assert "has no break-even" in AMSGradGame(C=2.0).describe()


def test_presets_are_states_and_do_what_they_are_there_for(node: Callable[[str], Any]) -> None:
    presets = node(IMPORT + "process.stdout.write(JSON.stringify(PRESETS));")
    drifts = [AMSGradGame(**state).drift for state in presets.values()]
    wrong_way = [drift > 0 for drift in drifts]
    assert wrong_way == [True, True, False, True, True], dict(zip(presets, drifts, strict=True))
    theorem = presets["Theorem 1: C = 10, β₂ = 1/101"]
    assert theorem["beta2"] == 1 / (1 + theorem["C"] ** 2)
    assert theorem["lr"] < math.sqrt(1 - theorem["beta2"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("C", 0.0),
        ("C", math.nan),
        ("cycle", 1),
        ("cycle", 200),
        ("beta2", 1.0),
        ("lr", -1.0),
        ("start", 2.0),
        ("rounds", 0),
    ],
)
def test_bad_input_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"{name} must be in \[.*\]; got"):
        AMSGradGame(**{name: value})


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
class TestInTheBrowser:
    def test_the_words_hold_the_numbers_of_python(self, stage: Callable[..., Page]) -> None:
        game = AMSGradGame(C=10.0, cycle=10, beta2=0.9, rounds=500)
        text = status(stage(game)).replace("−", "-")
        assert f"drift per cycle is {game.drift:+.3g} η, the wrong way" in text
        assert f"break-even β₂ = {game.break_even:.3g}" in text
        late = {name: float(path[-11:-1].mean()) for name, path in game.points().items()}
        assert f"Adam is at {late['Adam']:+.3g} on average, AMSGrad at {late['AMSGrad']:+.3g}" in text

    def test_keys_take_beta2_over_the_break_even(self, stage: Callable[..., Page]) -> None:
        page = stage(AMSGradGame())
        point = knob(page, POINT)
        point.focus()
        assert "the wrong way" in status(page)
        before = values(point)
        while values(point)[0] < 0.472:
            page.keyboard.press("ArrowRight")
            after = values(point)
            assert after[0] > before[0]
            assert after[1] < before[1]
            before = after
        assert "the right way" in status(page)
        assert values(point)[1] == pytest.approx(float(drift_per_cycle(3.0, values(point)[0])), abs=2e-2)
        beta2 = values(point)
        page.keyboard.press("ArrowUp")  # the point moves along its curve only
        assert values(point) == beta2

    def test_the_mouse_drags_the_point(self, stage: Callable[..., Page]) -> None:
        page = stage(AMSGradGame())
        drag(page, knob(page, POINT), 0.5, 0.5)
        assert values(knob(page, POINT))[0] == pytest.approx(1 - 10**-2.1, abs=2e-4)
        assert "the right way" in status(page)

    def test_a_finger_drags_the_point_on_a_dark_phone(self, stage: Callable[..., Page]) -> None:
        page = stage(AMSGradGame(beta2=0.9), theme="dark", size=PHONE, has_touch=True, is_mobile=True)
        drag_by_finger(page, knob(page, POINT), 0.0, 0.9)
        assert values(knob(page, POINT)) == pytest.approx([0.0, 1.0])
        assert "the wrong way" in status(page)

    def test_sliders_change_the_game(self, stage: Callable[..., Page]) -> None:
        page = stage(AMSGradGame())
        spike = page.get_by_role("slider", name="spike C")
        spike.focus()
        for _ in range(3):
            page.keyboard.press("ArrowLeft")
        assert spike.get_attribute("aria-valuetext") == "1.5"
        assert "the best point is +1, and Adam finds it" in status(page)
        page.keyboard.press("ArrowRight")
        assert "all points are equally good" in status(page)
        page.get_by_label("Try").select_option("the default β₂ = 0.999")
        assert "the right way" in status(page)
        page.get_by_role("button", name="Reset").click()
        assert "+0.681 η, the wrong way" in status(page)
