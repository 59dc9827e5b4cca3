"""Running answers, right and wrong, against an assignment's tests, in this process.

A bank, ``banks/ps_adam.py``, holds for each task

* ``WRONG[task][name] = Wrong(...)``: a realistic wrong answer, the tests it must lose, what they must say;
* ``RIGHT[task][name] = code``: right answers in other styles, which must get all points;
* ``EQUIVALENT[task][mutant] = reason``: mutants of the reference that no test can kill, and why.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import types
from collections.abc import Mapping
from dataclasses import dataclass

import assignments
from assignments import Assignment, Cell
from optbias.exercises import get as task

__all__ = [
    "Wrong",
    "alone",
    "assignment",
    "fails_somewhere",
    "grade",
    "load",
    "notebook",
    "readable",
    "reference",
    "stub",
    "task",
    "test",
    "wrong",
]

TRAINING = ("box-train", "hill-train")
"""Tasks that train a network: seconds for an answer."""

VISIBLE = "from optbias.exercises import exam\n\nanswer = exam({task!r})\n"


@dataclass(frozen=True)
class Wrong:
    """A wrong answer: ``code`` in full, or ``change``, pairs of text replaced in the reference (each occurs once)."""

    loses: tuple[str, ...]
    says: str
    code: str = ""
    change: tuple[tuple[str, str], ...] = ()
    slow: bool = False
    stateful: bool = False

    def source(self, reference: str) -> str:
        """The whole answer cell."""
        if bool(self.code) == bool(self.change):
            raise ValueError("give either code or change")
        text = self.code or reference
        for old, new in self.change:
            if text.count(old) != 1:
                raise ValueError(f"{old!r} occurs {text.count(old)} times in the reference")
            text = text.replace(old, new)
        return text


def wrong(
    *loses: str,
    says: str,
    code: str = "",
    change: Mapping[str, str] | None = None,
    slow: bool = False,
    stateful: bool = False,
) -> Wrong:
    """A :class:`Wrong` that loses the tests whose names end in ``loses`` (``"run"`` for ``adam-step-run``).

    ``slow`` marks one that runs into the time limit: it is then shortened, so that nobody waits for it.
    ``stateful`` marks one that remembers earlier calls, so that what it loses depends on the order of the tests.
    """
    return Wrong(tuple(loses), says, code.strip("\n"), tuple((change or {}).items()), slow, stateful)


@functools.cache
def assignment(name: str) -> Assignment:
    return assignments.read(name)


def load(name: str) -> types.ModuleType:
    """The bank of an assignment; an empty one if there is none yet."""
    module = f"banks.{name.replace('-', '_')}"
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
    empty = types.ModuleType(module)
    empty.WRONG, empty.RIGHT, empty.EQUIVALENT = {}, {}, {}  # type: ignore[attr-defined]
    return empty


def readable() -> list[str]:
    """The assignments whose texts can be read; test_texts.py says what is wrong with the others."""
    found = []
    for name in assignments.names():
        with contextlib.suppress(assignments.TextError):
            assignment(name)
            found.append(name)
    return found


def reference(answer: Cell) -> str:
    """The answer cell with its solution, marks left out, so that bank and mutants read like a student's cell."""
    marks = (assignments.BEGIN_SOLUTION, assignments.END_SOLUTION)
    return "\n".join(row for row in answer.source.splitlines() if row.strip() not in marks)


def stub(answer: Cell) -> str:
    """The answer cell as the release has it."""
    rows, inside = [], False
    for row in answer.source.splitlines():
        if row.strip() == assignments.BEGIN_SOLUTION:
            indent, inside = row[: len(row) - len(row.lstrip())], True
            rows += [indent + line for line in assignments.STUB.splitlines()]
        elif row.strip() == assignments.END_SOLUTION:
            inside = False
        elif not inside:
            rows.append(row)
    return "\n".join(rows)


@functools.cache
def _compiled(source: str, name: str) -> types.CodeType:
    return compile(source, f"<{name}>", "exec")


def is_setup(of: Assignment, cell: Cell) -> bool:
    """Whether a code cell is set-up: it stands before every answer, or carries the tag ``setup``."""
    if "setup" in cell.tags:
        return True
    first = next((other for other in of.cells if other.kind == "answer"), None)
    return first is None or of.cells.index(cell) < of.cells.index(first)


def notebook(of: Assignment, answers: Mapping[str, str]) -> dict[str, object]:
    """The namespace after the notebook's set-up and the given answers (the reference for those not given).

    A cell that raises leaves the next ones to run, as nbgrader does it.
    """
    space: dict[str, object] = {"__name__": "__main__", "In": [""]}
    for cell in of.cells:
        if cell.kind == "answer":
            source = answers.get(cell.name, reference(cell))
        elif cell.kind == "code" and is_setup(of, cell):
            source = cell.source
        else:
            continue
        space["In"].append(source)  # type: ignore[attr-defined]
        try:
            exec(_compiled(source, cell.name or "notebook"), space)
        except Exception as error:
            space.setdefault("errors", []).append(error)  # type: ignore[attr-defined]
    return space


def test(cell: Cell, space: dict[str, object]) -> str | None:
    """Run one test cell in a notebook's namespace: None if it passes, else the message that a student gets."""
    try:
        exec(_compiled(VISIBLE.format(task=cell.task) + cell.hidden, cell.name), space)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def grade(of: Assignment, name: str, source: str) -> dict[str, str | None]:
    """The outcome of each test of the task ``name`` when its answer cell is ``source``."""
    space = notebook(alone(of, name), {name: source})
    return {cell.name: test(cell, dict(space)) for cell in of.tests_of[name]}


def fails_somewhere(of: Assignment, name: str, source: str) -> bool:
    """Whether at least one test of the task fails; stops at the first that does."""
    space = notebook(alone(of, name), {name: source})
    return any(test(cell, dict(space)) is not None for cell in of.tests_of[name])


def alone(of: Assignment, name: str) -> Assignment:
    """The assignment with its set-up and one answer: no task may need the answer of another."""
    own = [
        cell
        for cell in of.cells
        if (cell.kind == "code" and is_setup(of, cell)) or (cell.kind, cell.name) == ("answer", name)
    ]
    return Assignment(of.name, of.title, tuple(own))
