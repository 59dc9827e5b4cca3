"""The bias map: the weight, Adam and its two equations in JavaScript, and the points that the reader moves."""

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
from optbias.seeding import generator
from optbias.theory.modified_equations import bias_coefficient, mean_lag
from optbias.widgets import BiasMap

ALLOWED = 1e-9
IMPORT = 'import { adam, bias, equation, meanLag } from "./bias_map.js";\n'
FACTORS, START = "Adam's β and ρ", "Start on the toy"


def runs() -> list[dict[str, Any]]:
    """Random settings of the toy that stay on the slope, the defaults, and a huge epsilon."""
    u = torch.rand(16, 5, generator=generator(13), dtype=torch.float64).tolist()
    found = [
        {
            "beta": 1 - 10 ** (-2 * a),
            "rho": 1 - 10 ** (-3 * b),
            "lr": 10 ** (-1 - 1.2 * c),
            "eps": 10 ** (4 * d - 4),
            "time": 0.8,
            "start": [1.8 + e, 2.8 + a],
        }
        for a, b, c, d, e in u
    ]
    usual = {name: value for name, value in BiasMap().state().items() if name != "ratio"}
    return [*found, usual, usual | {"eps": 1e4, "lr": 0.3, "time": 10.0}, usual | {"beta": 0.0, "rho": 0.0}]


def compare(engine: Callable[[str], Any]) -> None:
    """The three paths of each setting; the equations' paths may stop early only where they have no meaning."""
    cases = [run | {"steps": BiasMap(**run).steps} for run in runs()]
    code = IMPORT + f"const cases = {json.dumps(cases)};\n"
    code += """
    const plain = ({ path, done }) => [done, Array.from(path.slice(0, 2 * done + 2))];
    const all = (run) => [adam(run, run.start, run.steps), equation(1, run, run.start, run.steps),
      equation(2, run, run.start, run.steps)].map(plain);
    process.stdout.write(JSON.stringify(cases.map(all)));"""
    for run, found in zip(runs(), engine(code), strict=True):
        made = BiasMap(**run)
        for (name, path), (done, numbers) in zip(made.paths().items(), found, strict=True):
            assert done == made.steps, (name, run)
            ours = torch.tensor(numbers, dtype=torch.float64).reshape(-1, 2)
            worst = float(((ours - path).abs().amax(-1) / path.abs().amax(-1)).max())
            assert worst <= ALLOWED, f"{name}: relative difference {worst:.2g} for {run}"


def test_node_follows_the_paths_of_python(node: Callable[[str], Any]) -> None:
    compare(node)


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_chromium_follows_the_paths_of_python(chrome: Browser) -> None:
    compare(in_chromium(chrome))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("(own - other * g[i]", "(own + other * g[i]"),
        ("const off = 8 * x[0] * x[1] - 3;", "const off = 8 * x[0] * x[1] + 3;"),
    ],
    ids=["bracket", "hessian"],
)
def test_the_comparison_notices_one_wrong_sign(
    node: Callable[[str], Any], tmp_path: Path, right: str, wrong: str
) -> None:
    with pytest.raises(AssertionError, match="corrected equation"):
        compare(with_wrong("bias_map.js", right, wrong, node, tmp_path))


def compare_weights(engine: Callable[[str], Any]) -> None:
    factors = [0.0, 0.3, 0.9, 0.95, 0.99, 0.999, 0.9999]
    points = [
        (b, r, ratio, n) for b in factors for r in factors for ratio in (0.0, 1e-6, 1.0, 1e3) for n in (None, 0, 7)
    ]
    code = IMPORT + f"const points = {json.dumps(points)};\n"
    code += (
        "const all = points.map(([b, r, ratio, n]) => [bias(b, r, ratio, n ?? undefined), meanLag(b, n ?? undefined)]);"
    )
    for (b, r, ratio, n), (weight, lag) in zip(
        points, engine(code + "process.stdout.write(JSON.stringify(all));"), strict=True
    ):
        wanted = float(bias_coefficient(torch.ones(1, dtype=torch.float64), (b, r), ratio, n=n))
        size = float(mean_lag(b, n)) + float(mean_lag(r, n)) + 1  # of which the weight may be the small difference
        assert abs(weight - wanted) <= ALLOWED * size
        assert lag == pytest.approx(float(mean_lag(b, n)), rel=ALLOWED, abs=1e-12)


def test_the_weight_is_that_of_python_in_node(node: Callable[[str], Any]) -> None:
    compare_weights(node)


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_the_weight_is_that_of_python_in_chromium(chrome: Browser) -> None:
    compare_weights(in_chromium(chrome))


def test_an_equation_stops_where_it_has_no_meaning(node: Callable[[str], Any]) -> None:
    wild = {"beta": 0.99, "rho": 0.5, "lr": 0.3, "eps": 1e-8}
    code = IMPORT + f"const wild = {json.dumps(wild)};\n"
    code += """
    const { path, done } = equation(2, wild, [2.8, 3.5], 50);
    const none = equation(1, { ...wild, eps: 0 }, [0, 0], 5);
    const [kept, rest] = [path.slice(0, 2 * done + 2), path.slice(2 * done + 2)];
    process.stdout.write(JSON.stringify([done, kept.every(Number.isFinite), rest.every(Number.isNaN), none.done]));"""
    done, before, after, none = node(code)
    assert 0 < done < 50
    assert before
    assert after
    assert none == 0, "without epsilon the direction at a critical point is 0 / 0"


def test_the_widget_is_the_librarys_weight() -> None:
    made = BiasMap()
    assert made.coefficient == pytest.approx(-10, abs=1e-2)
    assert BiasMap(rho=0.999).coefficient == pytest.approx(-990, rel=1e-2)
    assert BiasMap(ratio=1e6).coefficient == pytest.approx(9.5, abs=1e-2)
    assert "it is -10, the reverse of a penalty" in made.describe()
    paths = made.paths()
    apart = {name: float(path[-1, 1] - path[-1, 0]) for name, path in paths.items()}
    assert apart["first-order equation"] == pytest.approx(0.7, abs=1e-3), "the sign flow keeps the difference"
    assert apart["Adam"] > 0.72
    assert apart["corrected equation"] > 0.72
    assert BiasMap(eps=0.0, start=(0.0, 0.0)).picture().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"beta": 1.0}, r"beta must be in \[0, 0.9999\]; got 1.0"),
        ({"rho": math.nan}, "rho must be in"),
        ({"ratio": -1.0}, "ratio must be in"),
        ({"eps": -1.0}, "eps must be in"),
        ({"lr": 0.0}, "lr must be in"),
        ({"time": 99.0}, "time must be in"),
        ({"start": [1.0]}, "start must be 2 finite numbers"),
        ({"start": [1.0, 5.0]}, r"start must be two numbers in \[0, 4\]"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_bad_input_is_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BiasMap(**arguments)


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
class TestInTheBrowser:
    def test_the_words_hold_the_numbers_of_python(self, stage: Callable[..., Page]) -> None:
        made = BiasMap(beta=0.5, rho=0.9, lr=0.02, time=1.5)
        text, paths = status(stage(made)).replace("−", "-"), made.paths()
        end = ", ".join(f"{x:.3g}" for x in paths["Adam"][-1].tolist())
        assert f"weight c = {made.coefficient:.3g}, the reverse of a penalty" in text
        assert f"Adam is at ({end}) after step 75" in text
        for name in ("first-order equation", "corrected equation"):
            away = float((paths[name][-1] - paths["Adam"][-1]).abs().max())
            assert f"the {name} is {away:.3g} away from it" in text

    def test_the_mouse_crosses_the_line_of_no_bias(self, stage: Callable[..., Page]) -> None:
        page = stage(BiasMap())
        point = knob(page, FACTORS)
        drag(page, point, 0.75, 0.25)
        beta, rho = values(point)
        assert beta == pytest.approx(1 - 10 ** (-0.75 * 3.3), abs=2e-4)
        assert rho == pytest.approx(1 - 10 ** (-0.25 * 3.3), abs=5e-3)
        assert "the one-norm is penalised" in status(page)
        assert page.get_by_role("slider", name="β").get_attribute("aria-valuetext") == str(beta)

    def test_keys_move_the_point_and_epsilon_moves_the_line(self, stage: Callable[..., Page]) -> None:
        page = stage(BiasMap(beta=0.9, rho=0.9))
        assert "the reverse" not in status(page)
        knob(page, FACTORS).focus()
        page.keyboard.press("ArrowUp")
        assert "the reverse of a penalty" in status(page)
        page.get_by_role("slider", name="ε / g²").focus()
        page.keyboard.press("End")
        assert "the one-norm is penalised" in status(page)
        page.keyboard.press("Home")
        assert "ε/g² = 0: weight c = −" in status(page)

    def test_a_finger_moves_the_start_on_a_dark_phone(self, stage: Callable[..., Page]) -> None:
        page = stage(BiasMap(), theme="dark", size=PHONE, has_touch=True, is_mobile=True)
        before = status(page)
        drag_by_finger(page, knob(page, START), 0.5, 0.75)
        assert values(knob(page, START)) == pytest.approx([2.0, 3.0], abs=0.03)
        assert status(page) != before
        assert "θ₂ − θ₁ went from 1 to" in status(page)

    def test_it_says_where_the_equation_has_no_meaning(self, stage: Callable[..., Page]) -> None:
        page = stage(BiasMap(beta=0.99, rho=0.5, lr=0.3, eps=1e-8, time=10.0))
        assert "the corrected equation stops at step" in status(page)
        page.get_by_role("slider", name="time").focus()
        page.keyboard.press("Home")
        assert "stops" not in status(page)
