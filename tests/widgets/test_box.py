"""The box: KKT points, ridge solutions and the escape loss in JavaScript, and the points that the reader moves."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from playwright.sync_api import Browser, Page, expect

from browser import PHONE
from driving import drag, drag_by_finger, knob, status, values, with_wrong
from engines import in_chromium
from optbias import norms
from optbias.rules import AdamW
from optbias.seeding import generator
from optbias.simulate import trajectory
from optbias.theory import box
from optbias.widgets import Box

ALLOWED = 1e-9
IMPORT = """
import { ESCAPE, PRESETS, boxMinimiser, escapeLoss, matrix, relativeGap, ridge } from "./box.js";
import { landscape, simulate } from "./core.js";
"""
MINIMISER, START = "Minimiser of the quadratic", "Start point"
ESCAPES = "β₁ > β₂ on a loss made for it"


def problems() -> list[dict[str, Any]]:
    """Random quadratics, some with a minimiser in the box, some on its border, round ones and narrow ones."""
    u = torch.rand(60, 7, generator=generator(12), dtype=torch.float64).tolist()
    found = []
    for k, (a, b, c, d, e, f, g) in enumerate(u):
        minimiser = [5 * d - 2.5, 5 * e - 2.5]
        found.append(
            {
                "curvatures": [10 ** (4 * a - 2), 10 ** (4 * b - 2)],
                "angle": 180 * c - 90,
                "minimiser": minimiser,
                "weight_decay": 1 / max(map(abs, minimiser)) if k % 10 == 0 else 10 ** (2 * f - 1),
                "theta": [4 * g - 2, 4 * a - 2],
            }
        )
    return found


def widget(problem: dict[str, Any]) -> Box:
    made = Box(minimiser=problem["minimiser"], weight_decay=problem["weight_decay"])
    made.curvatures, made.angle = problem["curvatures"], problem["angle"]
    return made


def tensor(numbers: Any) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def compare(run: Callable[[str], Any]) -> None:
    code = IMPORT + f"const problems = {json.dumps(problems())};\n"
    code += """
    const answer = ({ curvatures, angle, minimiser, weight_decay, theta }) => {
      const H = matrix(curvatures, angle), g = [0, 0];
      landscape("quadratic", { H, minimiser }).gradient(theta, g);
      return [H, boxMinimiser(H, minimiser, 1 / weight_decay), ridge(H, minimiser, weight_decay),
        relativeGap(theta, g, weight_decay)];
    };
    process.stdout.write(JSON.stringify(problems.map(answer)));"""
    for problem, (hessian, kkt, ridge, gap) in zip(problems(), run(code), strict=True):
        made = widget(problem)
        assert made.kkt_point is not None
        assert torch.allclose(tensor(hessian), made.hessian, rtol=1e-12, atol=1e-14)
        assert torch.allclose(tensor(kkt), made.kkt_point, rtol=0, atol=ALLOWED), problem
        assert torch.allclose(tensor(ridge), made.ridge(), rtol=0, atol=ALLOWED), problem
        assert gap == pytest.approx(float(made.gap(tensor(problem["theta"]))), rel=ALLOWED, abs=ALLOWED)
        # Independently of both: the gap vanishes at the point.
        gradient = made.chosen_loss().gradient(tensor(kkt))
        bound = float(norms.kkt_gap(tensor(kkt), gradient, 1 / problem["weight_decay"]))
        assert abs(bound) <= 1e-9 * max(problem["curvatures"])


def test_node_finds_the_points_of_python(node: Callable[[str], Any]) -> None:
    compare(node)


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_chromium_finds_the_points_of_python(chrome: Browser) -> None:
    compare(in_chromium(chrome))


def test_the_comparison_notices_one_wrong_sign(node: Callable[[str], Any], tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        compare(with_wrong("box.js", "(wall - centre[i])", "(wall + centre[i])", node, tmp_path))


def compare_escape(run: Callable[[str], Any]) -> None:
    """Its derivative between, on and beyond the nodes, and the run that it leads out of the box."""
    loss = box.EscapeLoss()
    nodes = loss.nodes[torch.randint(0, len(loss.nodes), (200,), generator=generator(5))]
    anywhere = -2.5 + 4 * torch.rand(300, generator=generator(6), dtype=torch.float64)
    points = torch.cat([nodes, anywhere, tensor([-2.5, 1.5, 1.0, float(loss.minimiser)])])
    code = IMPORT + f"const points = {json.dumps(points.tolist())};\n"
    code += """
    const { gradient, minimiser } = escapeLoss(), out = [0];
    const slopes = points.map((x) => (gradient([x], out), out[0]));
    const { betas, lr, weight_decay } = ESCAPE;
    const run = (b) => Array.from(
      simulate({ rule: "AdamW", lr, betas: b, eps: 0, weight_decay }, gradient, [1], 3000).path);
    process.stdout.write(JSON.stringify([ESCAPE, minimiser, slopes, run(betas), run([0.9, 0.99])]));"""
    made_for, minimiser, slopes, out, inside = run(code)
    assert made_for == {"betas": [0.99, 0.9], "r": 0.995, "lr": 0.005, "weight_decay": 1, "steps": 3000}
    assert minimiser == pytest.approx(float(loss.minimiser), rel=1e-12)
    assert torch.allclose(tensor(slopes), loss.gradient(points[:, None])[:, 0], rtol=0, atol=ALLOWED)
    assert torch.allclose(tensor(out), loss.orbit[:, 0], rtol=0, atol=ALLOWED)
    assert out[-1] == pytest.approx(-1.897622, abs=1e-6)
    kept = trajectory(AdamW(0.005, (0.9, 0.99), 0.0, 1.0), loss, torch.ones(1), 3000)[:, 0]
    assert torch.allclose(tensor(inside), kept, rtol=0, atol=ALLOWED)
    assert max(map(abs, inside)) <= 1 + 1e-9


def test_the_escape_loss_is_that_of_python_in_node(node: Callable[[str], Any]) -> None:
    compare_escape(node)


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_the_escape_loss_is_that_of_python_in_chromium(chrome: Browser) -> None:
    compare_escape(in_chromium(chrome))


def test_the_hessian_survives_the_way_to_the_browser() -> None:
    made = Box(tensor([[2.0, 0.9], [0.9, 1.0]]), tensor([1.7, 0.2]))
    assert made.state() == Box().state()
    assert torch.allclose(made.hessian, tensor([[2.0, 0.9], [0.9, 1.0]]), rtol=0, atol=1e-14)
    assert made.kkt_point is not None
    assert torch.allclose(made.kkt_point, tensor([1.0, 0.83]), atol=1e-12)
    assert "KKT point is (1, 0.83)" in made.describe()
    assert Box(loss="escape").kkt_point == -1
    flat = Box(weight_decay=0.0, steps=100)
    assert flat.kkt_point is None
    assert "without a box" in flat.describe()
    for each in (flat, Box(loss="escape", steps=50)):
        assert each.picture().startswith(b"\x89PNG")


def test_the_paths_follow_every_change_of_the_state() -> None:
    made = Box(steps=50)
    first = made.trajectories()["AdamW"]
    assert made.trajectories()["AdamW"] is first
    made.betas = [0.9, 0.999]
    assert not torch.equal(made.trajectories()["AdamW"], first)


def test_presets_are_states(node: Callable[[str], Any]) -> None:
    presets = node(IMPORT + "process.stdout.write(JSON.stringify(PRESETS));")
    for name, state in presets.items():
        made = Box()
        made.set_state(state)
        assert made.state() == state, name
    usual = presets["a minimiser outside the box"]
    assert {k: usual[k] for k in ("minimiser", "start", "betas", "steps")} == {
        k: Box().state()[k] for k in ("minimiser", "start", "betas", "steps")
    }
    crossing = Box()
    crossing.set_state(presets["β₁ > β₂ on a quadratic"])
    sizes = crossing.trajectories()["AdamW"].abs().amax(-1)
    assert float(sizes.max()) > 1.5, "it swings through the wall"
    assert float(sizes[-1]) < 1.01, "and comes back"
    late = Box()
    late.set_state(presets["default betas, from outside"])
    assert float(late.trajectories()["AdamW"][-1].abs().amax()) > 1.02, "still outside after 1500 steps"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"hessian": [[1.0, 2.0], [0.0, 1.0]]}, ValueError, "symmetric 2 x 2"),
        ({"hessian": [[1.0, 2.0], [2.0, 1.0]]}, ValueError, "curvatures must be two numbers in"),
        ({"minimiser": (1.0,)}, ValueError, "minimiser must be 2 finite numbers"),
        ({"minimiser": (1.0, math.inf)}, ValueError, "minimiser must be 2 finite numbers"),
        ({"start": (9.0, 0.0)}, ValueError, "start must be two numbers in"),
        ({"betas": (1.0, 0.9)}, ValueError, "betas must be two numbers in"),
        ({"weight_decay": -1.0}, ValueError, "weight_decay must be in"),
        ({"lr": math.nan}, ValueError, "lr must be in"),
        ({"steps": 0}, ValueError, "steps must be in"),
        ({"loss": "hill"}, ValueError, "loss must be 'quadratic' or 'escape'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_bad_input_is_refused(arguments: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Box(**arguments)


def kkt_point(page: Page) -> list[float]:
    words = status(page).split("KKT point is (")[1].split(")")[0]
    return [float(word) for word in words.split(",")]


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
class TestInTheBrowser:
    def test_the_words_hold_the_numbers_of_python(self, stage: Callable[..., Page]) -> None:
        made = Box(steps=200, betas=(0.5, 0.95))
        text = status(stage(made))
        for name, path in made.trajectories().items():
            end = ", ".join(f"{x:.3g}" for x in path[-1].tolist())
            assert f"{name} at ({end}) with gap {float(made.gap(path)[-1]):.3g}" in text

    def test_the_mouse_drags_the_minimiser(self, stage: Callable[..., Page]) -> None:
        page, made = stage(Box()), Box()
        drag(page, knob(page, MINIMISER), 0.1, 0.3)
        assert values(knob(page, MINIMISER)) == pytest.approx([-2.0, -1.0], abs=0.02)
        made.minimiser = values(knob(page, MINIMISER))
        assert made.kkt_point is not None
        assert kkt_point(page) == pytest.approx(made.kkt_point.tolist(), abs=6e-3)
        assert values(knob(page, START)) == [-1.6, 1.8]

    def test_the_two_points_move_by_themselves(self, stage: Callable[..., Page]) -> None:
        page = stage(Box())
        drag(page, knob(page, START), 0.5, 0.5)
        assert values(knob(page, START)) == pytest.approx([0.0, 0.0], abs=0.02)
        assert values(knob(page, MINIMISER)) == [1.7, 0.2]
        knob(page, START).focus()
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Shift+ArrowRight")
        assert values(knob(page, START)) == pytest.approx([0.025, 0.125], abs=0.02)
        frame = page.locator(".ob-frame").bounding_box()
        assert frame
        page.mouse.click(frame["x"] + 0.25 * frame["width"], frame["y"] + 0.25 * frame["height"])
        settled = values(knob(page, MINIMISER))
        assert settled == pytest.approx([-1.25, 1.25], abs=0.02), "a click beside the points moves the minimiser"

    def test_a_finger_drags_the_minimiser_on_a_dark_phone(self, stage: Callable[..., Page]) -> None:
        page = stage(Box(), theme="dark", size=PHONE, has_touch=True, is_mobile=True)
        drag_by_finger(page, knob(page, MINIMISER), 0.6, 0.4)
        assert values(knob(page, MINIMISER)) == pytest.approx([0.5, -0.5], abs=0.02)
        assert "its KKT point is the minimiser (0.5, -0.5)" in status(page)
        assert values(knob(page, START)) == [-1.6, 1.8]

    def test_without_decay_there_is_no_box(self, stage: Callable[..., Page]) -> None:
        page = stage(Box())
        decay = page.get_by_role("slider", name="weight decay")
        decay.focus()
        page.keyboard.press("Home")
        assert decay.get_attribute("aria-valuetext") == "0"
        assert status(page).startswith("λ = 0: there is no box, and all three look for the minimiser (1.7, 0.2).")
        assert "gap" not in status(page)
        page.keyboard.press("End")
        assert status(page).startswith("The box has half-width 0.1;")

    def test_adamw_leaves_the_box_only_if_beta1_is_the_larger(self, stage: Callable[..., Page]) -> None:
        page = stage(Box())
        page.get_by_label("Try").select_option(ESCAPES)
        assert "AdamW at -1.9, outside the box" in status(page)
        expect(page.locator(".ob-handle")).to_have_count(2)
        assert not page.locator(".ob-handle").first.is_visible()
        page.get_by_role("slider", name="β₁").focus()
        page.keyboard.press("Home")
        assert "AdamW at -1 with gap" in status(page)
        frame = page.locator(".ob-frame").bounding_box()
        assert frame
        page.mouse.click(frame["x"] + 9, frame["y"] + 9)
        page.get_by_label("Try").select_option("a minimiser outside the box")
        assert kkt_point(page) == [1, 0.83]
        assert page.locator(".ob-handle").first.is_visible()
