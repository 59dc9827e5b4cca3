"""The autograder is tested: wrong answers lose what they should and are told why, right ones lose nothing."""

from __future__ import annotations

import os
import random
import time

import pytest

import assignments
import bank
import mutants
from optbias.exercises import _answers

NAMES = bank.readable()
TASKS = [(name, task) for name in NAMES for task in bank.assignment(name).of("answer")]
WRONG = [(name, task, slip) for name, task in TASKS for slip in bank.load(name).WRONG.get(task, {})]
RIGHT = [(name, task, style) for name, task in TASKS for style in bank.load(name).RIGHT.get(task, {})]

# How many wrong answers a task needs at least; where the course has its deepest subject, more.
FEWEST = 8
DEEP = {"adam-step": 25, "adamw-step": 25, "one-norm": 25}


def cell(name: str, task: str) -> assignments.Cell:
    return bank.assignment(name).of("answer")[task]


DAILY = "ps-adam"
"""The assignment on which daily work tries what takes long; the others are for the long suite."""


def marked(cases, of_task, daily=None):
    """Parameters; those that train a network, and those of other assignments than ``daily``, are for the long suite."""
    return [
        pytest.param(*case, marks=pytest.mark.slow)
        if set(of_task(case)) & set(bank.TRAINING) or daily not in (None, case[0])
        else pytest.param(*case)
        for case in cases
    ]


def hurry(monkeypatch, name, task):
    """Mutants need no explanation, and one that runs for ever need not do so for long: see what the reference takes."""
    monkeypatch.setattr(_answers, "explains", False)
    started = time.perf_counter()
    assert not bank.fails_somewhere(bank.assignment(name), task, bank.reference(cell(name, task)))
    enough = 0.2 + 6 * (time.perf_counter() - started)
    monkeypatch.setattr(_answers, "time_factor", min(1.0, enough / bank.task(task).seconds))


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_a_task_has_enough_answers_of_both_kinds(name, task):
    answers = bank.load(name)
    assert len(answers.WRONG.get(task, {})) >= DEEP.get(task, FEWEST)
    assert len(answers.RIGHT.get(task, {})) >= 3


@pytest.mark.parametrize("name", NAMES)
def test_a_bank_names_only_tasks_and_tests_that_exist(name):
    of, answers = bank.assignment(name), bank.load(name)
    for table in (answers.WRONG, answers.RIGHT, answers.EQUIVALENT):
        assert set(table) <= set(of.of("answer"))
    for task, slips in answers.WRONG.items():
        known = {test.name.removeprefix(task + "-") for test in of.tests_of[task]}
        for slip, wrong in slips.items():
            assert wrong.loses, f"{slip} loses nothing"
            assert set(wrong.loses) <= known, f"{slip}: the tests of {task} are {sorted(known)}"


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_the_reference_gets_everything_and_the_stub_nothing(name, task):
    reference = bank.grade(bank.assignment(name), task, bank.reference(cell(name, task)))
    assert reference == dict.fromkeys(reference)
    empty = bank.grade(bank.assignment(name), task, bank.stub(cell(name, task)))
    assert all("is not answered yet" in (message or "") for message in empty.values())


@pytest.mark.parametrize(("name", "task"), TASKS)
@pytest.mark.parametrize("value", ["None", "0.0", "args[0] if args else 1.0", "args"])
def test_every_test_fails_when_the_answer_is_a_dummy(name, task, value):
    function = bank.task(task).function
    code = f"# exercise: {task}\ndef {function}(*args):\n    return {value}\n"
    for test, message in bank.grade(bank.assignment(name), task, code).items():
        assert message is not None, f"{test} is passed by a function that returns {value}"
        assert message.startswith("CheckFailed"), f"{test}: {message}"


@pytest.mark.parametrize(("name", "task", "slip"), marked(WRONG, lambda case: [case[1]]))
def test_a_wrong_answer_loses_what_it_should_and_is_told_why(name, task, slip, record_property, monkeypatch):
    wrong = bank.load(name).WRONG[task][slip]
    monkeypatch.setattr(_answers, "time_factor", 0.02 if wrong.slow else 1.0)
    outcome = bank.grade(bank.assignment(name), task, wrong.source(bank.reference(cell(name, task))))
    lost = {test.removeprefix(task + "-"): message for test, message in outcome.items() if message}
    record_property("exercises", {"task": task, "wrong": 1, "caught": int(set(lost) == set(wrong.loses))})
    assert set(lost) == set(wrong.loses), lost
    assert all(message.startswith("CheckFailed: ") for message in lost.values()), lost
    assert any(wrong.says in message for message in lost.values()), lost


@pytest.mark.parametrize(("name", "task", "style"), marked(RIGHT, lambda case: [case[1]]))
def test_a_right_answer_in_another_style_loses_nothing(name, task, style, record_property):
    outcome = bank.grade(bank.assignment(name), task, bank.load(name).RIGHT[task][style].strip("\n"))
    record_property("exercises", {"task": task, "right": 1, "false_fails": int(any(outcome.values()))})
    assert not any(outcome.values()), outcome


@pytest.mark.parametrize(("name", "task"), marked(TASKS, lambda case: [case[1]], daily=DAILY))
def test_mutants_of_the_reference_are_killed(name, task, monkeypatch, record_property):
    hurry(monkeypatch, name, task)
    made = mutants.mutants(bank.reference(cell(name, task)))
    survivors = [label for label, code in made.items() if not bank.fails_somewhere(bank.assignment(name), task, code)]
    excused = bank.load(name).EQUIVALENT.get(task, {})
    record_property("exercises", {"task": task, "mutants": len(made), "killed": len(made) - len(survivors)})
    unexplained = [label for label in survivors if label not in excused]
    assert not unexplained, f"{len(unexplained)} of {len(made)} mutants pass every test"
    assert not [label for label in excused if label not in survivors], "listed as equivalent, yet killed"
    assert len(unexplained) <= 0.02 * len(made)


# -- order, parts and seeds change nothing -----------------------------------------------------------------------

# `OPTBIAS_REPETITIONS=200` looks longer; docs/instructors.md records such a run.
REPETITIONS = int(os.environ.get("OPTBIAS_REPETITIONS", "3"))


def all_outcomes(of, answers, rng):
    """Every test of a notebook with these answers, in one namespace, in a random order."""
    space = bank.notebook(of, answers)
    cells = [test for tests in of.tests_of.values() for test in tests]
    rng.shuffle(cells)
    return {test.name: bank.test(test, space) for test in cells}


@pytest.mark.parametrize(
    "name", marked([(name,) for name in NAMES], lambda case: bank.assignment(case[0]).of("answer"), daily=DAILY)
)
def test_order_parts_and_seeds_change_nothing(name, monkeypatch, record_property):
    of, answers = bank.assignment(name), bank.load(name)
    everything = {task: bank.reference(c) for task, c in of.of("answer").items()}
    slips = [
        (task, slip)
        for task in everything
        for slip in answers.WRONG.get(task, {}).values()
        if not (slip.slow or slip.stateful)
    ]
    flakes = []
    for seed in range(REPETITIONS):
        monkeypatch.setenv(_answers.SEED_VARIABLE, f"term-{seed}")
        rng = random.Random(seed)
        task, slip = slips[(7 * seed) % len(slips)]
        left_out = rng.choice(list(everything))
        style = {t: rng.choice(list(styles.values())).strip("\n") for t, styles in answers.RIGHT.items()}
        ways = {
            "the reference": (everything, set()),
            "other styles": (everything | style, set()),
            "one wrong": (
                everything | {task: slip.source(everything[task])},
                {f"{task}-{part}" for part in slip.loses},
            ),
            "one left out": (
                everything | {left_out: bank.stub(of.of("answer")[left_out])},
                {test.name for test in of.tests_of[left_out]},
            ),
        }
        for way, (given, wanted) in ways.items():
            outcome = all_outcomes(of, given, rng)
            lost = {test for test, message in outcome.items() if message}
            if lost != wanted:
                flakes.append((seed, way, task if way == "one wrong" else left_out, lost ^ wanted, outcome))
    record_property("exercises", {"task": name, "gradings": 4 * REPETITIONS, "flakes": len(flakes)})
    assert not flakes, f"{len(flakes)} of {4 * REPETITIONS} gradings differ; the first: {flakes[0]}"
