"""Reading an assignment's text, ``exercises/text/NAME.md``: what its cells are, checked, with clear errors.

The text is a MyST notebook. Options of its cells say what they are (docs/instructors.md shows one whole task):

* a code cell with ``:answer: NAME`` is an answer; it holds the anchor line ``# exercise: NAME`` and the solution
  between ``### BEGIN SOLUTION`` and ``### END SOLUTION``;
* a code cell with ``:tests: NAME``, ``:points: N`` and ``:about: ...`` holds hidden tests of the answer before it;
* a Markdown cell after ``+++ {"written": "NAME", "points": N}`` is a written answer: its text is the solution;
* a Markdown cell after ``+++ {"rubric": "NAME"}`` is the rubric of a written answer, with sample answers;
* ``+++`` ends such a cell. Everything else is shown to students as it is.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import jupytext

EXERCISES = Path(__file__).resolve().parents[1]
BEGIN_SOLUTION, END_SOLUTION = "### BEGIN SOLUTION", "### END SOLUTION"
BEGIN_HIDDEN, END_HIDDEN = "### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS"
STUB = "# YOUR CODE HERE\nraise NotImplementedError()"
LEVELS = ("Full", "Partial", "Weak")
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


class TextError(ValueError):
    """A text is not as an assignment's text has to be."""


@dataclass
class Cell:
    """One cell of a text. ``kind``: markdown, code, answer, tests, written, rubric; ``name``: its grade id or ''."""

    kind: str
    source: str
    name: str = ""
    points: float = 0.0
    about: str = ""
    tags: list[str] = field(default_factory=list)
    task: str = ""  # of tests: the answer that they test

    @property
    def solution(self) -> str:
        """The lines between the solution's marks, marks left out."""
        return _between(self.source, BEGIN_SOLUTION, END_SOLUTION)

    @property
    def hidden(self) -> str:
        """The lines between the marks of hidden tests."""
        return _between(self.source, BEGIN_HIDDEN, END_HIDDEN)


@dataclass(frozen=True)
class Assignment:
    """A checked text."""

    name: str
    title: str
    cells: tuple[Cell, ...]

    def of(self, kind: str) -> dict[str, Cell]:
        """The cells of a kind, by name, in order."""
        return {cell.name: cell for cell in self.cells if cell.kind == kind}

    @cached_property
    def tests_of(self) -> dict[str, list[Cell]]:
        """The test cells of each answer."""
        return {name: [c for c in self.cells if c.kind == "tests" and c.task == name] for name in self.of("answer")}

    @property
    def points(self) -> float:
        """What the whole assignment is worth."""
        return sum(cell.points for cell in self.cells)


def names(root: Path = EXERCISES) -> list[str]:
    """The assignments that have a text."""
    return sorted(path.stem for path in (root / "text").glob("*.md"))


def read(name: str, root: Path = EXERCISES) -> Assignment:
    """The assignment ``name``; TextError says what is wrong with its text."""
    return parse((root / "text" / f"{name}.md").read_text(encoding="utf-8"), name)


def parse(text: str, name: str) -> Assignment:
    """The assignment that ``text`` describes."""
    notebook = jupytext.reads(text, fmt="md:myst")
    if notebook.metadata.get("assignment") != name:
        raise TextError(f"{name}: the front matter must say 'assignment: {name}'")
    if not notebook.metadata.get("title"):
        raise TextError(f"{name}: the front matter needs a title")
    cells = []
    for raw in notebook.cells:
        try:
            cells.append(_cell(raw))
        except TextError as error:
            raise TextError(f"{name}: {error}") from None
    _connect(name, cells)
    return Assignment(name, notebook.metadata["title"], tuple(cells))


def _cell(raw: dict) -> Cell:
    metadata, source = dict(raw["metadata"]), raw["source"].strip("\n")
    kinds = {"code": ("answer", "tests"), "markdown": ("written", "rubric")}[raw["cell_type"]]
    kind = next((k for k in kinds if k in metadata), raw["cell_type"])
    name = str(metadata.pop(kind, ""))
    cell = Cell(kind, source, name, tags=list(metadata.pop("tags", [])))
    if kind in ("tests", "written"):
        cell.points = _points(name, metadata.pop("points", None))
    if kind == "tests":
        cell.about = str(metadata.pop("about", "")).strip()
        if not cell.about:
            raise TextError(f"{name}: say in ':about:' what these tests look at; students see it")
    if metadata:
        raise TextError(f"{name or source[:40]!r}: unknown options {', '.join(sorted(metadata))}")
    if kind not in ("code", "markdown") and not _NAME.fullmatch(name):
        raise TextError(f"{name!r} must be kebab-case: lower-case words and numbers joined by hyphens")
    {"answer": _check_answer, "tests": _check_tests}.get(kind, lambda cell: None)(cell)
    return cell


def _points(name: str, given: object) -> float:
    # A cell of 0 points cannot be failed, so it tells nobody anything.
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 < given < 1000:
        raise TextError(f"{name}: points must be a number above 0; got {given!r}")
    return float(given)


def _check_answer(cell: Cell) -> None:
    rows = cell.source.splitlines()
    if not rows or rows[0] != f"# exercise: {cell.name}":
        raise TextError(f"{cell.name}: the first line must be the anchor '# exercise: {cell.name}'")
    if cell.source.count(BEGIN_SOLUTION) != 1 or cell.source.count(END_SOLUTION) != 1:
        raise TextError(f"{cell.name}: needs one '{BEGIN_SOLUTION}' and one '{END_SOLUTION}'")
    if not cell.solution.strip():
        raise TextError(f"{cell.name}: the solution is empty")


def _check_tests(cell: Cell) -> None:
    rows = cell.source.splitlines()
    if not rows or rows[0] != BEGIN_HIDDEN or rows[-1] != END_HIDDEN or cell.source.count(BEGIN_HIDDEN) != 1:
        raise TextError(f"{cell.name}: tests begin with '{BEGIN_HIDDEN}' and end with '{END_HIDDEN}', once each")
    body = ast.parse(cell.hidden).body
    # nbgrader takes the value of a cell's last expression for points.
    if not body or isinstance(body[-1], ast.Expr):
        raise TextError(f"{cell.name}: tests may not end in an expression (its value would count as points)")


def _connect(name: str, cells: list[Cell]) -> None:
    """Tests belong to the answer before them, rubrics to the written answer before them; names are unique."""
    seen: set[str] = set()
    answer: Cell | None = None
    written: Cell | None = None
    for cell in cells:
        if cell.kind in ("answer", "tests", "written"):
            if cell.name in seen:
                raise TextError(f"{name}: the name {cell.name!r} stands twice")
            seen.add(cell.name)
        if cell.kind == "answer":
            answer = cell
        elif cell.kind == "tests":
            if answer is None or not cell.name.startswith(answer.name + "-"):
                before = answer.name if answer else "no answer"
                raise TextError(f"{name}: the tests {cell.name!r} stand after {before!r}; begin their name with it")
            cell.task = answer.name
        elif cell.kind == "written":
            written = cell
        elif cell.kind == "rubric":
            if written is None or cell.name != written.name:
                raise TextError(f"{name}: the rubric {cell.name!r} must follow the written answer of that name")
            _check_rubric(f"{name}: the rubric {cell.name!r}", cell.source, written.points)
    tested = {cell.task for cell in cells if cell.kind == "tests"}
    rubrics = {cell.name for cell in cells if cell.kind == "rubric"}
    for cell in cells:
        if cell.kind == "answer" and cell.name not in tested:
            raise TextError(f"{name}: the answer {cell.name!r} has no tests")
        if cell.kind == "written" and cell.name not in rubrics:
            raise TextError(f"{name}: the written answer {cell.name!r} has no rubric")


def _check_rubric(what: str, source: str, points: float) -> None:
    """A table of criteria worth all points together, then three sample answers with the points that each gets."""
    criteria = [float(worth) for worth in re.findall(r"^\| *([0-9.]+) *\|", source, re.M)]
    if sum(criteria) != points:
        raise TextError(f"{what}: the criteria '| points | ... |' add up to {sum(criteria):g}, not to {points:g}")
    samples = re.findall(r"^#### (\w+) \(([0-9.]+) points?\)$", source, re.M)
    if tuple(level for level, _ in samples) != LEVELS:
        raise TextError(f"{what} needs sample answers '#### Full (4 points)', then Partial, then Weak")
    full, partial, weak = (float(worth) for _, worth in samples)
    if not (full == points and points > partial > weak >= 0):
        raise TextError(f"{what}: the full answer gets {points:g} points, the partial one fewer, the weak one fewest")


def _between(source: str, begin: str, end: str) -> str:
    rows = source.splitlines()
    marks = [i for i, row in enumerate(rows) if row.strip() in (begin, end)]
    return "\n".join(rows[marks[0] + 1 : marks[1]]) if len(marks) == 2 else ""
