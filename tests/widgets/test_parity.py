"""The JavaScript rules and landscapes compute what optbias computes, in Node and in Chromium."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from playwright.sync_api import Browser

import golden
from engines import in_chromium
from optbias import rules
from optbias.losses import landscapes
from optbias.widgets import bundle

ALLOWED = 1e-9

golden_once = pytest.mark.xdist_group("golden")
"""Where the golden trajectories are computed once for the tests that need them, and not by every worker."""

SIMULATE = """
const run = ({ rule, landscape: name, parameters, shape, start }) => {
  const { gradient } = landscape(name, parameters);
  return Array.from(simulate(rule, gradient, start, %d, { shape: shape ?? undefined }).path);
};
""" % (golden.STEPS)  # noqa: UP031
GROUNDS = """
const ground = ({ landscape: name, parameters, points }) => {
  const { value, gradient, domain, start, minimisers } = landscape(name, parameters);
  const slope = (x) => { const g = new Float64Array(x.length); gradient(x, g); return Array.from(g); };
  return { values: points.map((x) => value(x)), gradients: points.map(slope), domain, start, minimisers };
};
"""
IMPORT = 'import { landscape, simulate } from "./core.js";\nimport { readFileSync } from "node:fs";\n'


def questions() -> list[dict[str, Any]]:
    return [{k: v for k, v in case.items() if k != "path"} for case in golden.trajectories()]


def assert_same(paths: list[list[float]]) -> None:
    """Each path is the golden one; the message names the setting that deviates most."""
    cases = golden.trajectories()
    assert len(paths) == len(cases)
    worst, which = 0.0, None
    for case, path in zip(cases, paths, strict=True):
        dim = len(case["start"])
        ours, theirs = (torch.tensor(numbers).reshape(-1, dim) for numbers in (case["path"], path))
        found = float(golden.deviation(ours.unsqueeze(1), theirs.unsqueeze(1))[0])
        if not found <= worst:  # also true for NaN
            worst, which = found, {k: case[k] for k in ("rule", "landscape", "parameters")}
    assert worst <= ALLOWED, f"relative difference {worst:.2g} for {which}"


@golden_once
def test_the_cases_cover_every_rule_flag_and_landscape() -> None:
    cases = golden.trajectories()
    # The rules of a whole layer have no place on a landscape of two coordinates; Muon stands for the matrix rules.
    layers = {"LARS", "LAMB", "AdamMini", "Adafactor", "Shampoo", "SOAP"}
    public = {rule.__name__ for rule in rules.RULES} - layers
    assert all(rule().layerwise for rule in rules.RULES if rule.__name__ in layers)
    assert {case["rule"]["rule"] for case in cases} == public
    assert {case["landscape"] for case in cases} == set(landscapes.NAMES)
    for name in public:
        own = [case for case in cases if case["rule"]["rule"] == name]
        grounds = {case["landscape"] for case in own}
        assert len(own) >= 8, name
        # Muon has a landscape of its own; at a minimiser Rprop's step hangs on the sign of a rounding error.
        assert name in ("Muon", "Rprop") or grounds == set(landscapes.NAMES), name
        for key, value in own[0]["rule"].items():
            if isinstance(value, bool):
                assert {case["rule"][key] for case in own if key in case["rule"]} == {False, True}, (name, key)
    norms = {case["rule"].get("norm") for case in cases} - {None}
    assert norms == {"linf", "l2", "l1", "spectral", "nuclear"}
    # The condition that keeps a setting must not throw out more than a few.
    assert len(cases) > 250
    assert all(len(case["path"]) == (golden.STEPS + 1) * len(case["start"]) for case in cases)


@golden_once
def test_node_computes_the_golden_trajectories(node: Callable[[str], Any], tmp_path: Any) -> None:
    file = tmp_path / "questions.json"
    file.write_text(json.dumps(questions()))
    read = f"const cases = JSON.parse(readFileSync({json.dumps(str(file))}));\n"
    assert_same(node(IMPORT + SIMULATE + read + "process.stdout.write(JSON.stringify(cases.map(run)));"))


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_chromium_computes_the_golden_trajectories(chrome: Browser) -> None:
    page = chrome.new_page()
    page.evaluate(f"{bundle.scopes('core')} window.core = core;")
    code = "(cases) => { const { landscape, simulate } = window.core;" + SIMULATE + "return cases.map(run); }"
    assert_same(page.evaluate(code, questions()))


@golden_once
def test_the_comparison_notices_one_wrong_sign(node: Callable[[str], Any], tmp_path: Any) -> None:
    """A parity test is worth something only if it fails on wrong JavaScript."""
    right = (bundle.FOLDER / "core.js").read_text(encoding="utf-8")
    before, family = right.split("const adamFamily", 1)
    family = family.replace("(1 - beta1) * gradient;", "-(1 - beta1) * gradient;", 1)
    wrong = f"{before}const adamFamily{family}"
    assert wrong != right
    module, file = tmp_path / "wrong.js", tmp_path / "questions.json"
    module.write_text(wrong, encoding="utf-8")
    file.write_text(json.dumps(questions()))
    code = IMPORT.replace("./core.js", module.as_uri()) + SIMULATE
    read = f"const cases = JSON.parse(readFileSync({json.dumps(str(file))}));\n"
    with pytest.raises(AssertionError, match="relative difference .* 'Adam"):
        assert_same(node(code + read + "process.stdout.write(JSON.stringify(cases.map(run)));"))


def compare_grounds(run: Callable[[str], Any]) -> None:
    """Values, gradients and windows of the landscapes."""
    cases = golden.grounds()
    code = (
        'import { landscape } from "./core.js";\n'
        + GROUNDS
        + f"process.stdout.write(JSON.stringify({json.dumps(cases)}.map(ground)));"
    )
    for case, found in zip(cases, run(code), strict=True):
        for key in ("values", "gradients", "domain", "start", "minimisers"):
            wanted, got = (torch.tensor(numbers, dtype=torch.float64) for numbers in (case[key], found[key]))
            got = got.reshape(wanted.shape)  # an empty list has lost its second axis
            size = max(1.0, float(wanted.abs().max())) if wanted.numel() else 1.0
            close = torch.allclose(got, wanted, rtol=1e-12, atol=1e-13 * size)
            assert close, f"{case['landscape']}, {key}: {got.tolist()} instead of {wanted.tolist()}"


def test_the_landscapes_are_those_of_python_in_node(node: Callable[[str], Any]) -> None:
    compare_grounds(node)


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_the_landscapes_are_those_of_python_in_chromium(chrome: Browser) -> None:
    compare_grounds(in_chromium(chrome))


def test_defaults_are_those_of_python(node: Callable[[str], Any]) -> None:
    code = 'import { RULES, LANDSCAPES } from "./core.js";'
    code += "const defaults = Object.entries(RULES).map(([name, { defaults }]) => [name, defaults]);"
    code += "const parameters = Object.entries(LANDSCAPES).map(([name, { parameters }]) => [name, parameters]);"
    found = node(code + "process.stdout.write(JSON.stringify({ rules: defaults, landscapes: parameters }));")
    for name, defaults in found["rules"]:
        python = getattr(rules, name)().hyperparameters()
        left_out = {"dim", "orthogonalize", "ns_steps"}
        assert {k: list(v) if isinstance(v, tuple) else v for k, v in python.items() if k not in left_out} == defaults
    for name, parameters in found["landscapes"]:
        python = {k: v for k, v in landscapes.get(name).parameters().items() if name != "quadratic"}
        assert python == {k: v for k, v in parameters.items() if name != "quadratic"}
