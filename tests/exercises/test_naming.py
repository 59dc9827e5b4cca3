"""Feedback names the misconception: measured on wrong answers that were written without a look at the slips.

:mod:`measure` prints the same by task. A third of the wrong answers, chosen by a hash of their names, is held out:
whoever adds slips looks at the others only.
"""

from __future__ import annotations

import re

import pytest
import torch

import bank
import measure
from optbias.exercises import _answers, _families
from optbias.exercises._families import sqrt

NAMES = bank.readable()
TASKS = [(name, task) for name in NAMES for task in bank.assignment(name).of("answer")]
WITH_FAMILY = [(name, task) for name, task in TASKS if _families.of(task) is not None]
SHARE = 0.92


def reference(name, task):
    return bank.reference(bank.assignment(name).of("answer")[task])


def asked(name, task, source, monkeypatch):
    """The outcome of the tests, and the answers with the calls that were made."""
    made = []
    real = _answers.Answer.__init__

    def noted(self, *arguments, **options):
        real(self, *arguments, **options)
        made.append(self)

    monkeypatch.setattr(_answers.Answer, "__init__", noted)
    return bank.grade(bank.assignment(name), task, source), made


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_most_wrong_answers_are_told_which_misconception_it_was(name, record_property):
    found = [(case, measure.named(case, said)) for case, said in measure.cases(name)]
    apart = [right for case, right in found if case.held_out]
    record_property("exercises", {"task": name, "erring": len(found), "named": sum(right for _, right in found)})
    unnamed = [f"{case.task}: {case.name}" for case, right in found if not right and not case.held_out]
    assert len(found) >= 50
    assert sum(right for _, right in found) >= SHARE * len(found), unnamed
    assert sum(apart) >= (SHARE - 0.08) * len(apart), f"of {len(apart)} held out {sum(apart)} are named"


def test_there_are_wrong_answers_for_every_task():
    written = [
        case for name, task in TASKS for case in measure.by_hand(name, task, reference(name, task)) if case.names
    ]
    assert len(written) >= 440
    assert 0.25 < sum(case.held_out for case in written) / len(written) < 0.42
    for name, task in TASKS:
        assert len([case for case in written if case.task == task]) >= 4, (name, task)


@pytest.mark.parametrize("name", ["ps-adam", "ps-momentum"])
def test_a_sample_of_them_is_named(name):
    cases = [
        case
        for task, cell in bank.assignment(name).of("answer").items()
        for case in measure.by_hand(name, task, bank.reference(cell))
        if measure.hashed(case.name) % 6 == 1
    ]
    missed = [case.name for case in cases if not measure.named(case, measure.messages(case))]
    assert len(cases) >= 8
    assert len(missed) <= 0.15 * len(cases), missed


@pytest.mark.parametrize(("name", "task"), WITH_FAMILY)
def test_the_formula_of_a_family_is_right(name, task, monkeypatch):
    """On every call that the hidden tests make it gives what the reference gives."""
    outcome, made = asked(name, task, reference(name, task), monkeypatch)
    assert not any(outcome.values())
    family = _families.of(task)
    compared = 0
    for answer in made:
        for arguments, returned in answer._calls:
            for given, got in _families._scalars(family, arguments, returned):
                try:
                    value = family.value(given)
                except ArithmeticError:
                    continue
                wanted = _families._numbers(value)
                if not any(one != one for one in wanted):
                    compared += 1
                    assert _families._equal(_families._numbers(got, like=value), wanted, given), given
    assert compared >= 3
    sentences = [change.sentence for change in family.taken[1]]
    assert len(sentences) >= 20
    assert all(re.search(r"[a-z]", sentence) for sentence in sentences)


SCRAMBLED = """
import math as _math
import torch as _torch

_right = {function}


def _scrambled(value):
    if isinstance(value, _torch.Tensor):
        return value + 0.1 + 0.07 * _torch.sin(37.0 * value + 1.0)
    if isinstance(value, (tuple, list)):
        return type(value)(_scrambled(one) for one in value)
    if isinstance(value, dict):
        return {{key: one if key == "t" else _scrambled(one) for key, one in value.items()}}
    if isinstance(value, (int, float)) and _math.isfinite(value):
        return value + 0.1 + 0.07 * _math.sin(37.0 * value + 1.0)
    return value


def {function}(*arguments):
    return _scrambled(_right(*arguments))
"""


@pytest.mark.parametrize(("name", "task"), WITH_FAMILY)
def test_numbers_that_no_misconception_gives_are_not_named(name, task):
    """A false accusation sends a student the wrong way."""
    source = reference(name, task) + SCRAMBLED.format(function=bank.task(task).function)
    said = [message for message in bank.grade(bank.assignment(name), task, source).values() if message]
    assert said
    accused = [text for text in said if not re.search(measure.GENERIC, text) and not re.search(HONEST, text)]
    assert not accused


HONEST = (
    r"changes \w+, which it was given|returns lacks|the larger root is not inside|called |must be|must lie"
    r"|nothing moved"
    r"|not positive definite|does not depend|no orbit|there is none|math\.inf|math\.nan is asked"
    r"|right to a few digits|seven digits|should be larger|is inside already|0 is asked for"
)
"""What is said of a property that is seen to be broken; it accuses of nothing."""


def test_a_family_explains_one_slip_and_two():
    family = _families.Family("test", _product)
    calls = [((a, b), 0.0) for a, b in ((0.3, 0.7), (1.7, 0.2), (2.1, 0.9))]

    def explained(function):
        return _families.explain(family, [(given, function(*given)) for given, _ in calls])

    assert explained(_product) is None
    assert "a sign" in explained(lambda a, b: (1 + b) * math_sqrt(a))
    assert "the root is missing over `a`" in explained(lambda a, b: (1 - b) * a)
    both = explained(lambda a, b: (1 + b) * a)
    assert "two things together" in both
    assert "a sign" in both
    assert "root" in both
    assert "exchanged" in explained(lambda a, b: (1 - a) * math_sqrt(b))
    assert explained(lambda a, b: a + b + 0.123) is None
    assert explained(lambda a, b: 0.0) is None  # 0 comes out of a hundred slips


def test_what_remembers_earlier_calls_is_told():
    code = reference("ps-adam", "adam-bound").replace(
        "    ratio =",
        "    largest_step.calls = getattr(largest_step, 'calls', 0) + 1\n    ratio = largest_step.calls *",
    )
    said = bank.grade(bank.assignment("ps-adam"), "adam-bound", code)
    assert any("remembered between calls" in (text or "") for text in said.values()), said


def math_sqrt(x):
    return float(torch.tensor(x, dtype=torch.float64).sqrt())


def _product(a, b):
    return (1 - b) * sqrt(a)
