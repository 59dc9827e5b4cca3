"""What every assignment's text has, and what a wrong text is told."""

from __future__ import annotations

import re

import pytest

import assignments
import registry
from assignments import TextError, parse
from optbias.exercises import tasks

NAMES = assignments.names()


class Texts(dict):
    """The assignments by name, read when they are asked for."""

    def __missing__(self, name):
        self[name] = assignments.read(name)
        return self[name]


@pytest.fixture(scope="module")
def texts():
    return Texts()


def prose(of: assignments.Assignment) -> str:
    return "\n\n".join(cell.source for cell in of.cells if cell.kind == "markdown")


@pytest.mark.parametrize("name", NAMES)
def test_it_opens_with_objectives_time_and_needs(name, texts):
    cell = texts[name].cells[0]
    assert cell.source.startswith(f"# {texts[name].title}\n")
    box = re.search(r":::\{admonition\} At a glance\n:class: at-a-glance\n(.*?)\n:::", cell.source, re.S)
    assert box
    assert len(re.findall(r"^\* \w+", box[1], re.M)) >= 3, "name at least three objectives"
    assert re.search(r"^\*\*Time\*\* \d+ minutes", box[1], re.M)
    assert re.search(r"^\*\*Needs\*\* .*\]\([\w-]+\.md\)", box[1], re.M)


@pytest.mark.parametrize("name", NAMES)
def test_it_has_four_to_eight_tasks_in_order(name, texts):
    numbers = [int(n) for n in re.findall(r"^## Task (\d+)\. ", prose(texts[name]), re.M)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert 4 <= len(numbers) <= 8


@pytest.mark.parametrize("name", NAMES)
def test_one_task_is_to_spot_an_error_and_one_to_explain(name, texts):
    assert re.search(r"^## Task \d+\. Spot the error: ", prose(texts[name]), re.M)
    assert texts[name].of("written")


@pytest.mark.parametrize("name", NAMES)
def test_every_task_has_two_hints_or_more(name, texts):
    for part in re.split(r"^(?=## Task \d+\. )", prose(texts[name]), flags=re.M)[1:]:
        hints = [int(n) for n in re.findall(r"^:::+\{dropdown\} Hint (\d+)", part, re.M)]
        assert hints == list(range(1, len(hints) + 1)), part.splitlines()[0]
        assert len(hints) >= 2, part.splitlines()[0]


@pytest.mark.parametrize("name", NAMES)
def test_every_answer_has_public_checks_that_the_notebook_runs(name, texts):
    cells = texts[name].cells
    for i, cell in enumerate(cells):
        if cell.kind == "answer":
            assert cells[i + 1].kind == "code"
            assert cells[i + 1].source == f'check("{cell.name}")'
            assert re.search(rf"^def {tasks()[cell.name].function}\(", cell.source, re.M)


@pytest.mark.parametrize("name", NAMES)
def test_points_are_of_a_sensible_size(name, texts):
    assert 15 <= texts[name].points <= 40


@pytest.mark.parametrize("name", NAMES)
def test_every_public_task_of_the_module_is_in_the_text(name, texts):
    module = f"optbias.exercises.{name.replace('-', '_')}"
    assert {t.name for t in tasks().values() if t.public.__module__ == module} == set(texts[name].of("answer"))


def test_every_task_of_the_library_belongs_to_a_text():
    modules = {f"optbias.exercises.{name.replace('-', '_')}" for name in NAMES}
    assert {t.public.__module__ for t in tasks().values()} <= modules


def test_grade_ids_are_registered_and_unique(texts):
    read = [texts[name] for name in NAMES]
    registry.check(read)
    ids = [name for of in read for name in registry.used(of)]
    assert len(ids) == len(set(ids))
    known = registry.entries()
    assert {assignment for assignment, _, retired in known.values() if not retired} == set(NAMES)


# -- what a wrong text is told ---------------------------------------------------------------------------------

TEXT = """---
assignment: ps-x
title: "X"
---

# X

```{code-cell} ipython3
:answer: x-step

# exercise: x-step
def x_step(a):
    ### BEGIN SOLUTION
    return a
    ### END SOLUTION
```

```{code-cell} ipython3
:tests: x-step-run
:points: 2
:about: numbers

### BEGIN HIDDEN TESTS
with answer.checking("a number"):
    assert answer(1) == 1
### END HIDDEN TESTS
```

+++ {"written": "x-why", "points": 3}

Because.

+++ {"rubric": "x-why"}

| points | for |
| --- | --- |
| 1 | a word |
| 2 | a reason |

#### Full (3 points)
Because of this.
#### Partial (1 point)
Because.
#### Weak (0 points)
No.

+++
"""

MISTAKES = {
    "another name": ("assignment: ps-x", "assignment: ps-y", "assignment: ps-x"),
    "no title": ('title: "X"\n', "", "needs a title"),
    "no anchor": ("# exercise: x-step\n", "", "anchor"),
    "another anchor": ("# exercise: x-step\n", "# exercise: y-step\n", "anchor"),
    "no solution": ("    ### BEGIN SOLUTION\n", "", "BEGIN SOLUTION"),
    "an empty solution": ("    return a\n", "", "solution is empty"),
    "a test of 0 points": (":points: 2", ":points: 0", "above 0; got 0"),
    "a test without points": (":points: 2\n", "", "above 0; got None"),
    "a test that says nothing": (":about: numbers\n", "", ":about:"),
    "an unknown option": (":about: numbers", ":about: numbers\n:seconds: 3", "unknown options seconds"),
    "a name that is not kebab-case": (":tests: x-step-run", ":tests: x-step-Run", "kebab-case"),
    "a test named after another answer": (":tests: x-step-run", ":tests: y-step-run", "begin their name"),
    "a test that ends in an expression": ("    assert answer(1) == 1\n", "    pass\n1.0\n", "end in an expression"),
    "a test with a visible line": ("### END HIDDEN TESTS\n", "### END HIDDEN TESTS\nx = 1\n", "tests begin with"),
    "a name used twice": ('{"written": "x-why"', '{"written": "x-step"', "stands twice"),
    "no rubric": ('+++ {"rubric": "x-why"}', "+++", "has no rubric"),
    "criteria that do not add up": ("| 2 | a reason |", "| 3 | a reason |", "add up to 4"),
    "no partial sample": ("#### Partial (1 point)", "#### Some (1 point)", "Partial"),
    "samples of equal worth": ("#### Partial (1 point)", "#### Partial (3 points)", "partial one fewer"),
}


def test_the_example_of_a_text_is_right():
    of = parse(TEXT, "ps-x")
    assert [cell.kind for cell in of.cells] == ["markdown", "answer", "tests", "written", "rubric"]
    assert of.points == 5
    assert of.of("answer")["x-step"].solution == "    return a"


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_text_is_told_what_is_wrong(mistake):
    old, new, message = MISTAKES[mistake]
    assert TEXT.count(old) >= 1
    with pytest.raises(TextError, match=re.escape(message)):
        parse(TEXT.replace(old, new, 1), "ps-x")


def test_an_answer_without_tests_is_refused():
    start, end = TEXT.index("```{code-cell} ipython3\n:tests"), TEXT.index('+++ {"written"')
    with pytest.raises(TextError, match="'x-step' has no tests"):
        parse(TEXT[:start] + TEXT[end:], "ps-x")


# -- the registry ----------------------------------------------------------------------------------------------


def folder(tmp_path, rows):
    (tmp_path / registry.FILE).write_text("# id assignment kind\n" + rows)
    return tmp_path


GOOD = "x-step ps-x answer\nx-step-run ps-x tests\nx-why ps-x written\n"


def test_registering_adds_what_is_new_once(tmp_path):
    here, of = folder(tmp_path, "x-step ps-x answer\n"), parse(TEXT, "ps-x")
    assert registry.register([of], here) == ["x-step-run", "x-why"]
    assert registry.register([of], here) == []
    registry.check([of], here)
    assert (here / registry.FILE).read_text().startswith("# id assignment kind\nx-step ps-x answer\n")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (GOOD.replace("x-why ps-x written\n", ""), "'x-why' is not registered"),
        (GOOD + "x-old ps-x tests\n", "'x-old' is registered and not used"),
        (GOOD.replace("x-why ps-x", "x-why ps-w"), "taken"),
        (GOOD.replace("x-why ps-x written", "x-why ps-x answer"), "taken"),
        (GOOD.replace("x-why ps-x written", "x-why ps-x written retired"), "retired"),
        (GOOD + "x-why ps-x written\n", "stands twice"),
        (GOOD + "x-why\n", "line 5"),
    ],
)
def test_the_registry_refuses(tmp_path, rows, message):
    with pytest.raises(TextError, match=message):
        registry.check([parse(TEXT, "ps-x")], folder(tmp_path, rows))


def test_a_retired_id_may_rest(tmp_path):
    registry.check([parse(TEXT, "ps-x")], folder(tmp_path, GOOD + "x-old ps-x tests retired\n"))
