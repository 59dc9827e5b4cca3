"""Grades as CSV with a column for each question: for Canvas, for Moodle, and plain.

Used by nbgrader's own command, in the course's folder::

    nbgrader export --exporter=optbias.grading.exporters.CanvasExport --to=canvas.csv
    nbgrader export --exporter=optbias.grading.exporters.MoodleExport --to=moodle.csv --assignment='["ps-adam"]'

One row for each student. A student who handed nothing in, and a question that still waits for a person, have
an empty field, not a zero: what becomes of it is decided in the gradebook of the university, not here.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook, MissingEntry
from nbgrader.plugins import ExportPlugin
from traitlets import Unicode


@dataclass
class Column:
    """A column of grades: its title, the most points, and the points by student (None: nothing to say yet)."""

    title: str
    most: float
    points: dict[str, float | None] = field(default_factory=dict)


def columns(gradebook: Gradebook, wanted: Iterable[str] = ()) -> tuple[list[Column], list[str]]:
    """For each assignment its total and its questions; and the warnings that go with them."""
    chosen, made, waiting = set(wanted), [], []
    names = {assignment.name for assignment in gradebook.assignments}
    if unknown := chosen - names:
        raise ValueError(f"no assignment {', '.join(sorted(unknown))}; there are {', '.join(sorted(names)) or 'none'}")
    for assignment in sorted(gradebook.assignments, key=lambda entry: entry.name):
        if chosen and assignment.name not in chosen:
            continue
        total = Column(assignment.name, assignment.max_score)
        graded = sorted(
            (cell.name, cell.max_score) for notebook in assignment.notebooks for cell in notebook.grade_cells
        )
        questions = {name: Column(f"{assignment.name}: {name}", most) for name, most in graded}
        for student in gradebook.students:
            try:
                submission = gradebook.find_submission(assignment.name, student.id)
            except MissingEntry:
                continue
            grades = [grade for notebook in submission.notebooks for grade in notebook.grades]
            for grade in grades:
                questions[grade.name].points[student.id] = None if grade.needs_manual_grade else grade.score
            if any(grade.needs_manual_grade for grade in grades):
                waiting.append(f"{student.id}: {assignment.name} still waits for grading by hand")
                total.points[student.id] = None
            else:
                total.points[student.id] = max(0.0, submission.score - (submission.late_submission_penalty or 0.0))
        made += [total, *questions.values()]
    return made, waiting


def safe(text: Any) -> str:
    """A name as text that no spreadsheet takes for a formula."""
    shown = "" if text is None else str(text)
    return "'" + shown if shown[:1] in ("=", "+", "-", "@", "\t", "\r") else shown


def number(points: float | None) -> str:
    """Points with a decimal point, no more digits than needed; empty for none."""
    return "" if points is None else f"{round(points, 4):g}"


class QuestionExport(ExportPlugin):
    """Students' ids, names and e-mail addresses, and a column for each total and each question."""

    def head(self, made: list[Column]) -> list[list[str]]:
        """The rows above the students'."""
        return [["student_id", "last_name", "first_name", "email", *(column.title for column in made)]]

    def who(self, student: Any) -> list[str]:
        """The fields that say who a row belongs to."""
        return [safe(value) for value in (student.id, student.last_name, student.first_name, student.email)]

    def export(self, gradebook: Gradebook) -> None:
        """Write the file; the whole of it or nothing."""
        made, waiting = columns(gradebook, self.assignment)
        for warning in waiting:
            self.log.warning(warning)
        chosen = set(map(str, self.student))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerows(self.head(made))
        for student in sorted(gradebook.students, key=lambda entry: entry.id):
            if not chosen or student.id in chosen:
                writer.writerow([*self.who(student), *(number(column.points.get(student.id)) for column in made)])
        path = Path(self.to or "grades.csv")
        part = path.with_name(path.name + ".part")
        part.write_text(text.getvalue(), encoding="utf-8", newline="")
        os.replace(part, path)
        self.log.info("Wrote %s", path)


class CanvasExport(QuestionExport):
    """The file that Canvas imports under Grades > Import: its five columns, and a row with the points possible."""

    section = Unicode("", help="What stands in the column Section.").tag(config=True)

    def head(self, made: list[Column]) -> list[list[str]]:
        """Canvas's titles, then the points possible."""
        return [
            ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", *(column.title for column in made)],
            ["    Points Possible", "", "", "", "", *(number(column.most) for column in made)],
        ]

    def who(self, student: Any) -> list[str]:
        """Canvas finds a student by the login when its own number is not given."""
        name = ", ".join(filter(None, (student.last_name, student.first_name))) or student.id
        return [safe(name), "", "", safe(student.id), safe(self.section)]


class MoodleExport(QuestionExport):
    """The file that Moodle imports under Grades > Import > CSV file (UTF-8, comma): map by Username."""

    def head(self, made: list[Column]) -> list[list[str]]:
        """Moodle's own titles for who it is, and the names of the grade items."""
        return [["Username", "Email address", *(column.title for column in made)]]

    def who(self, student: Any) -> list[str]:
        """The fields by which Moodle can find a student."""
        return [safe(student.id), safe(student.email)]
