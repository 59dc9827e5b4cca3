"""The public checks help: they pass what is right, notice most of what is wrong, and need no nbgrader."""

from __future__ import annotations

import ast
import warnings
from pathlib import Path

import pytest
import torch

import bank
from optbias import exercises
from optbias.exercises import _answers, _tasks, labs, ps_adam
from optbias.exercises._compare import close, numbers, run
from optbias.theory import step_size

NAMES = bank.readable()
TASKS = [
    pytest.param(name, task, marks=pytest.mark.slow) if task in bank.TRAINING else pytest.param(name, task)
    for name in NAMES
    for task in bank.assignment(name).of("answer")
]


def said(name: str, task: str, source: str) -> list[tuple[str, str]]:
    """What the public checks of a task say to an answer's cell."""
    lines: list[tuple[str, str]] = []
    space = bank.notebook(bank.alone(bank.assignment(name), task), {task: source})
    with warnings.catch_warnings():  # in a notebook a warning is shown; here it would be an error
        warnings.simplefilter("ignore")
        _tasks.report(task, space, lambda mark, text: lines.append((mark, text)))
    return lines


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_right_answers_pass_every_public_check(name, task, capsys):
    reference = bank.reference(bank.assignment(name).of("answer")[task])
    for source in (reference, *bank.load(name).RIGHT.get(task, {}).values()):
        lines = said(name, task, source.strip("\n"))
        assert lines
        assert {mark for mark, _ in lines} == {"ok"}, lines
    assert f"{task}:" in capsys.readouterr().out.splitlines()


def test_the_labs_problems_need_no_module_in_which_answers_stand():
    """They are there while a notebook is graded; the rest of the exercises is hidden then."""
    source = Path(labs.__file__).read_text(encoding="utf-8")
    imported = [node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert not [ast.unparse(node) for node in imported if "exercises" in ast.unparse(node)]


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_most_wrong_answers_are_noticed(name, task, capsys, monkeypatch):
    monkeypatch.setattr(_answers, "explains", False)  # whether it is noticed matters here, not how it is explained
    reference = bank.reference(bank.assignment(name).of("answer")[task])
    wrong = {slip: way.source(reference) for slip, way in bank.load(name).WRONG.get(task, {}).items() if not way.slow}
    noticed = [slip for slip, source in wrong.items() if any(mark == "no" for mark, _ in said(name, task, source))]
    assert len(noticed) >= 0.5 * len(wrong), f"only {noticed}"


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_the_stub_is_told_that_it_is_not_answered(name, task, capsys):
    ((mark, text),) = said(name, task, bank.stub(bank.assignment(name).of("answer")[task]))
    assert mark == "no"
    assert "is not answered yet" in text


def test_the_checks_need_neither_nbgrader_nor_a_notebook():
    for path in Path(exercises.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        used = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        used |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not {name.split(".")[0] for name in used} & {"nbgrader", "nbformat", "IPython", "jupytext"}, path.name


# -- the tools of ps-adam ------------------------------------------------------------------------------------------

HYPER = {"lr": 0.1, "beta1": 0.7, "beta2": 0.9, "eps": 0.05}
GRADIENTS = torch.tensor([[0.3, -4.0], [0.1, -2.0], [0.4, 1.0], [-0.2, 0.5]])


def trace(step):
    made = run(step, torch.ones(2), GRADIENTS, HYPER, ps_adam.fresh(torch.ones(2)))
    return torch.stack([torch.cat([s["params"], s["m"], s["v"], torch.tensor([float(s["t"])])]) for s in made])


def test_the_slipped_step_without_a_slip_is_adam():
    assert close(trace(ps_adam.slipped()), trace(ps_adam.adam), 1e-14)


def test_the_slips_differ_from_the_rule_and_from_each_other():
    traces = {sentence: trace(step) for sentence, step in ps_adam.SLIPS.items()} | {"right": trace(ps_adam.adam)}
    for one in traces:
        for other in traces:
            assert one == other or not close(traces[one], traces[other], 1e-9, equal_nan=True), (one, other)


def test_the_last_step_is_that_of_the_rule():
    gradients = torch.tensor([0.1, 0.5, -2.0, 3.0, 0.25])
    for betas in ((0.9, 0.999), (0.0, 0.5), (0.95, 0.6)):
        wanted = step_size.adam_steps(gradients.unsqueeze(1), betas)[-1].abs().item()
        assert ps_adam.last_step(gradients, *betas) == pytest.approx(wanted, rel=1e-12)


def test_the_variance_is_that_of_the_average():
    """Against the rule itself: the variance of its m_hat is the sum of the squared responses to unit gradients."""
    for beta, t in ((0.9, 1), (0.5, 4), (0.0, 3)):
        responses = []
        for k in range(t):
            spikes = torch.zeros(t, 1)
            spikes[k] = 1.0
            last = run(ps_adam.adam, torch.ones(1), spikes, HYPER | {"beta1": beta}, ps_adam.fresh(torch.ones(1)))[-1]
            responses.append(last["m"].item() / (1 - beta**t))
        assert ps_adam.variance(beta, t) == pytest.approx(sum(r**2 for r in responses), rel=1e-12)


@pytest.mark.parametrize("inside", [False, True])
def test_the_knee_is_where_the_step_has_that_length(inside):
    for q, eps in ((0.5, 1e-8), (0.1, 0.3), (0.9, 2.0)):
        g = ps_adam.knee(q, eps, inside)
        step = g / (g**2 + eps) ** 0.5 if inside else g / (g + eps)
        assert step == pytest.approx(q, rel=1e-12)


def test_numbers_of_a_tensor_of_one_kind_are_float64():
    assert numbers(torch.ones(2, dtype=torch.bfloat16), "x").dtype == torch.float64
