"""The only writer of the gradebook: results go into nbgrader's own tables, graded notebooks where it looks for them.

So formgrader, ``nbgrader export`` and ``nbgrader generate_feedback`` go on as if ``nbgrader autograde`` had run.
A submission is written in one transaction, and writing it again changes nothing.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optbias.grading import plain
from optbias.grading.assignment import Assignment, AssignmentError, grade_id, metadata
from optbias.grading.session import Result

sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # a grammar of 1.7 seconds that nothing here needs


def default_url(course: Path) -> str:
    """The gradebook that ``exercises/nbgrader_config.py`` names."""
    return f"sqlite:///{course.resolve()}/gradebook.db?timeout=60"


def nbgrader(course: Path, url: str, *command: str) -> str:
    """Run a command of nbgrader's in the course's folder; what it said. Raises AssignmentError with its last lines."""
    beside = str(Path(sys.executable).parent)  # nbgrader calls `alembic` by name
    environment = {**os.environ, "PATH": os.pathsep.join([beside, os.environ.get("PATH", "")])}
    program = "import sys; sys.modules['rfc3987_syntax'] = None; from nbgrader.apps.nbgraderapp import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, *command, f"--CourseDirectory.db_url={url}"],
        cwd=course,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()
        raise AssignmentError(f"nbgrader {' '.join(command)} failed:\n  " + "\n  ".join(said[-12:]))
    return done.stdout + done.stderr


class Writer:
    """Writes results of one assignment. A context manager that holds the database open."""

    def __init__(self, of: Assignment, course: Path, url: str) -> None:
        from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError, SAWarning

        _require_alembic()
        # nbgrader 0.9.6 with SQLAlchemy 2: harmless, and three of them for every submission.
        warnings.filterwarnings("ignore", category=SAWarning)
        self.of, self.course, self.url = of, course, url
        try:
            from nbgrader.api import Gradebook

            self._gradebook = Gradebook(url, "optbias")
        except (ModuleNotFoundError, NoSuchModuleError, ArgumentError) as error:
            raise AssignmentError(
                f"the gradebook {_shown(url)} cannot be opened: {error}. For PostgreSQL: pip install psycopg2-binary, "
                "and --db postgresql+psycopg2://USER@HOST/DATABASE"
            ) from None
        except OperationalError as error:
            raise AssignmentError(f"the gradebook {_shown(url)} cannot be opened: {error.orig}") from None

    # -- what is there ---------------------------------------------------------------------------------------------

    def matches(self) -> str | None:
        """Why the gradebook's assignment is not the one that is graded; None if it is the same."""
        from nbgrader.api import MissingEntry

        self._gradebook.db.rollback()
        try:
            notebook = self._gradebook.find_notebook(self.of.name, self.of.name)
        except MissingEntry:
            return "the gradebook does not have it yet"
        points = {cell.name: float(cell.max_score) for cell in notebook.grade_cells}
        if points != dict(self.of.points):
            return "the gradebook has other questions or points"
        sources = {cell.name: cell.source.strip() for cell in notebook.source_cells}
        if any(sources.get(name) != text.strip() for name, text in self.of.tests.items()):
            return "the gradebook has other tests"
        return None

    def register(self) -> None:
        """Let ``nbgrader generate_assignment`` enter the assignment, if the gradebook's is not the same."""
        reason = self.matches()
        if reason is None:
            return
        print(f"{self.of.name}: {reason}: nbgrader generate_assignment {self.of.name} --force")
        nbgrader(self.course, self.url, "generate_assignment", self.of.name, "--force", "--create")
        if (reason := self.matches()) is not None:
            raise AssignmentError(
                f"{self.of.name}: {reason}, and generate_assignment did not change that. Is the instructor's notebook "
                "as derived? make exercises"
            )

    def scores(self) -> dict[str, dict[str, float | None]]:
        """The automatic points of every submission in the gradebook, by student and question."""
        from nbgrader.api import Assignment as Row
        from nbgrader.api import Grade, GradeCell, Notebook, SubmittedAssignment, SubmittedNotebook

        self._gradebook.db.rollback()
        query = (
            self._gradebook.db.query(SubmittedAssignment.student_id, GradeCell.name, Grade.auto_score)
            .join(SubmittedNotebook, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
            .join(Grade, Grade.notebook_id == SubmittedNotebook.id)
            .join(GradeCell, GradeCell.id == Grade.cell_id)
            .join(Notebook, Notebook.id == GradeCell.notebook_id)
            .join(Row, Row.id == SubmittedAssignment.assignment_id)
            .filter(Row.name == self.of.name)
        )
        found: dict[str, dict[str, float | None]] = {}
        for student, name, score in query.all():
            found.setdefault(student, {})[name] = score
        return found

    # -- writing -----------------------------------------------------------------------------------------------------

    def write(self, result: Result, changed: bool) -> None:
        """Enter a result and its notebook. ``changed``: what was handed in is not what a person may have graded."""
        from nbgrader.api import SubmittedAssignment

        self._notebook(result)
        gradebook = self._gradebook
        gradebook.update_or_create_student(result.student)
        # add_submission of nbgrader's commits an empty submission first; one that is cut off there is seen as not
        # written by `scores` and is written again.
        options: dict[str, Any] = {"timestamp": result.timestamp} if result.timestamp else {}
        submission: SubmittedAssignment = gradebook.update_or_create_submission(self.of.name, result.student, **options)
        try:
            for notebook in submission.notebooks:
                for grade in notebook.grades:
                    score = result.scores.get(grade.name, 0.0)
                    same = grade.auto_score == score and not changed
                    grade.auto_score = score
                    if grade.manual_score is not None:
                        grade.needs_manual_grade = grade.needs_manual_grade if same else True
                    else:
                        grade.needs_manual_grade = score is None
                for comment in notebook.comments:
                    comment.auto_comment = "No response." if self._unanswered(comment.name, result) else None
                notebook.late_submission_penalty = self._penalty(result.student, submission, notebook)
            gradebook.db.commit()
        except BaseException:
            gradebook.db.rollback()
            raise

    def _unanswered(self, name: str, result: Result) -> bool:
        frame = next((one for one in self.of.release["cells"] if grade_id(one) == name), None)
        own = next((one for one in result.notebook.get("cells", ()) if grade_id(one) == name), frame)
        if frame is None or own is None:
            return False
        return "".join(own["source"]).strip() in ("", "".join(frame["source"]).strip())

    def _penalty(self, student: str, submission: Any, notebook: Any) -> float | None:
        """What nbgrader's plugin takes off for lateness, with the course's own configuration."""
        if not submission.total_seconds_late > 0:
            return None
        from nbgrader.preprocessors import AssignLatePenalties

        step = AssignLatePenalties(config=self._config())
        step.init_plugin()
        penalty = step.plugin_inst.late_submission_penalty(student, notebook.score, submission.total_seconds_late)
        return None if penalty is None else step._check_late_penalty(notebook, penalty)

    def _config(self) -> Any:
        from traitlets.config import Config
        from traitlets.config.loader import PyFileConfigLoader

        if not (self.course / "nbgrader_config.py").is_file():
            return Config()
        return PyFileConfigLoader("nbgrader_config.py", path=str(self.course)).load_config()

    def _notebook(self, result: Result) -> None:
        """Put the graded notebook into ``autograded/``, whole or not at all, with nothing live in it."""
        from optbias.grading.preprocessors import rubrics

        notebook = copy.deepcopy(result.notebook) or rejected(self.of, result)
        path = self.course / "rubrics" / f"{self.of.name}.md"
        sections = rubrics(path.read_text(encoding="utf-8")) if path.is_file() else {}
        cells = []
        for cell in notebook["cells"]:
            name = grade_id(cell)
            if cell["cell_type"] == "markdown":
                cell.pop("attachments", None)
                cell["source"] = plain.markdown("".join(cell["source"])).splitlines(keepends=True)
            if name in sections and metadata(cell).get("solution"):
                shown = {"cell_type": "markdown", "id": f"rubric-{name}", "metadata": {"tags": ["rubric"]}}
                cells.append({**shown, "source": sections[name].splitlines(keepends=True)})
            cells.append(cell)
        notebook["cells"] = cells
        folder = self.course / "autograded" / result.student / self.of.name
        for place in (folder, folder.parent, folder.parent.parent):
            if place.is_symlink():
                raise AssignmentError(f"{place} is a link; graded notebooks are not written through links")
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{self.of.name}.ipynb"
        part = target.with_name(target.name + ".part")
        part.unlink(missing_ok=True)
        part.write_text(json.dumps(notebook, ensure_ascii=False, indent=1) + "\n", encoding="utf-8", errors="replace")
        os.replace(part, target)
        if result.timestamp:
            (folder / "timestamp.txt").write_text(result.timestamp + " UTC\n", encoding="utf-8")

    def close(self) -> None:
        """Let the database go."""
        self._gradebook.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def rejected(of: Assignment, result: Result) -> dict[str, Any]:
    """The release in place of a notebook that could not be read, with the reason on top and at every test."""
    notebook: dict[str, Any] = json.loads(json.dumps(dict(of.release)))
    reason = "; ".join(result.reasons) or "it could not be graded"
    note = f"**This submission could not be graded:** {plain.markdown(reason)}"
    first = {"cell_type": "markdown", "id": "why-rejected", "metadata": {}, "source": [note]}
    for cell in notebook["cells"]:
        name = grade_id(cell)
        if name in of.tests:
            cell["source"] = of.tests[name].splitlines(keepends=True)
            error = {"output_type": "error", "ename": "CheckFailed", "evalue": reason, "traceback": [reason]}
            cell["outputs"] = [error]
    return {**notebook, "cells": [first, *notebook["cells"]]}


def _require_alembic() -> None:
    """nbgrader asks a program named alembic for the version of a new database; it lies beside this Python."""
    beside = str(Path(sys.executable).parent)
    if beside not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([beside, os.environ.get("PATH", "")])


def _shown(url: str) -> str:
    """A database's address without its password."""
    head, mark, tail = url.rpartition("@")
    return f"{head.split('://')[0]}://...@{tail}" if mark else url


def differences(
    before: Mapping[str, Mapping[str, float | None]], results: Mapping[str, Result]
) -> list[tuple[str, str, float | None, float | None, str]]:
    """Whose points change and why: student, question, points before, points now, what the test says now."""
    found = []
    for student, result in sorted(results.items()):
        for name, score in result.scores.items():
            old = before.get(student, {}).get(name)
            if student in before and old != score:
                said = result.messages.get(name) or ("the test passes now" if score else "; ".join(result.reasons))
                found.append((student, name, old, score, said))
    return found
