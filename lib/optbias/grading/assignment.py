"""What is to be graded: the student's release, the tests that stand behind it, and the points."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TASK = re.compile(r"^answer = exam\(\"([a-z0-9-]+)\"\)$", re.M)


class AssignmentError(ValueError):
    """The assignment cannot be graded; the message says why and what to do."""


@dataclass(frozen=True)
class Assignment:
    """An assignment as the grader needs it. ``tests`` holds the whole source of each test cell, hidden lines too."""

    name: str
    release: Mapping[str, Any]
    tests: Mapping[str, str]
    points: Mapping[str, float]
    written: tuple[str, ...]

    @property
    def version(self) -> str:
        """A digest of everything that decides on points."""
        text = json.dumps([self.name, self.release, dict(self.tests), dict(self.points)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def task(self, test: str) -> str:
        """The task that a test belongs to."""
        found = _TASK.search(self.tests[test])
        if found is None:
            raise AssignmentError(f"the test {test} of {self.name} does not say which answer it tests")
        return found[1]

    @property
    def tasks(self) -> dict[str, list[str]]:
        """The tests of each task, in the order of the notebook."""
        made: dict[str, list[str]] = {}
        for test in self.tests:
            made.setdefault(self.task(test), []).append(test)
        return made

    @property
    def about(self) -> dict[str, str]:
        """What each test looks at, as students read it."""
        rows = {test: source.splitlines()[0] for test, source in self.tests.items()}
        return {test: row.partition("): ")[2] or test for test, row in rows.items()}

    @property
    def answers(self) -> tuple[str, ...]:
        """The names of all answers."""
        return tuple(grade_id(cell) for cell in self.release["cells"] if metadata(cell).get("solution"))

    @property
    def setup(self) -> list[str]:
        """The release's own code before the first answer: imports, and how numbers are kept."""
        found = []
        for cell in self.release["cells"]:
            if metadata(cell).get("solution"):
                break
            if cell["cell_type"] == "code" and "colab-only" not in cell["metadata"].get("tags", ()):
                found.append("".join(cell["source"]))
        return found

    @property
    def imports(self) -> list[str]:
        """The modules that the release's code imports: a warm process imports them in advance."""
        found = {"numpy": None, "torch": None}
        for cell in self.release["cells"]:
            if cell["cell_type"] == "code" and "colab-only" not in cell["metadata"].get("tags", ()):
                found |= dict.fromkeys(imported("".join(cell["source"])))
        return [name for name in found if name]


def imported(source: str) -> list[str]:
    """The modules that a cell imports at its top level; none if it does not parse."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return []
    names = []
    for node in tree.body:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module)
    return names


def metadata(cell: Mapping[str, Any]) -> Mapping[str, Any]:
    """What nbgrader noted of a cell; nothing for ordinary ones."""
    return cell["metadata"].get("nbgrader", {})


def grade_id(cell: Mapping[str, Any]) -> str:
    """The grade id of a cell, or ''."""
    return metadata(cell).get("grade_id", "")


def from_notebooks(name: str, source: Path, release: Path) -> Assignment:
    """The assignment from the instructor's notebook, which holds the tests, and the student's."""
    for path, kind in ((source, "instructor's notebook"), (release, "release")):
        if not path.is_file():
            raise AssignmentError(
                f"there is no {kind} of {name!r} at {path}. Run this in the course's folder (exercises/), or name "
                "it with --course"
            )
    cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
    frame = json.loads(release.read_text(encoding="utf-8"))
    tests = {
        grade_id(cell): "".join(cell["source"])
        for cell in cells
        if cell["cell_type"] == "code" and metadata(cell).get("grade") and not metadata(cell).get("solution")
    }
    points = {grade_id(cell): float(metadata(cell)["points"]) for cell in cells if metadata(cell).get("grade")}
    written = tuple(name for name in points if name not in tests)
    return _checked(Assignment(name, frame, tests, points, written))


def _checked(of: Assignment) -> Assignment:
    released = {grade_id(cell) for cell in of.release["cells"]} - {""}
    missing = (set(of.points) | set(of.tests)) - released
    if missing:
        raise AssignmentError(
            f"the release of {of.name} lacks {', '.join(sorted(missing))}: run `nbgrader generate_assignment {of.name} "
            "--force`"
        )
    for test in of.tests:
        of.task(test)
    return of


def names(course: Path) -> list[str]:
    """The assignments of a course: those with an instructor's notebook and a release."""
    return sorted(
        path.stem
        for path in course.glob("source/*/*.ipynb")
        if path.stem == path.parent.name and (course / "release" / path.stem / path.name).is_file()
    )


def load(name: str, course: Path) -> Assignment:
    """The assignment ``name`` of a course. Raises AssignmentError."""
    there = names(course)
    if name not in there:
        raise AssignmentError(
            f"there is no assignment {name!r} in {course}; there are {', '.join(there) or 'none'}. "
            "Run this in the course's folder (exercises/), or name it with --course"
        )
    return from_notebooks(name, course / "source" / name / f"{name}.ipynb", course / "release" / name / f"{name}.ipynb")


def forbidden_by_all(tasks: Iterable[Any]) -> list[str]:
    """The modules that no task of an assignment may use: they can be hidden from all its answers."""
    sets = [set(task.forbids) for task in tasks]
    return sorted(set.intersection(*sets)) if sets else []
