"""Steps that the course adds to nbgrader's autograding and feedback (``exercises/nbgrader_config.py``)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from nbformat.notebooknode import NotebookNode, from_dict
from nbformat.v4 import new_markdown_cell, new_output
from nbgrader import utils
from nbgrader.preprocessors import GetGrades, NbGraderPreprocessor
from nbgrader.preprocessors import OverwriteCells as StockOverwriteCells
from traitlets import List, Unicode

from optbias.grading import plain

RUBRIC = "rubric"
"""The tag of the cells that show a rubric to a grader."""

WAITING = "Not graded yet."
PASSED = "All checks of this test passed."


def is_test(cell: NotebookNode) -> bool:
    """Whether a cell holds tests: it gives points, and students do not write into it."""
    return cell.cell_type == "code" and bool(utils.is_grade(cell)) and not utils.is_solution(cell)


class Step(NbGraderPreprocessor):
    """What our steps share: the option that nbconvert gives to every step of an HTML export."""

    display_data_priority = List(["image/png", "image/jpeg", "text/plain"]).tag(config=True)


class OverwriteCells(StockOverwriteCells):
    """nbgrader's OverwriteCells, which warns of a locked cell only if the student changed it.

    A release holds the tests without their hidden lines and the gradebook holds them with these, so nbgrader finds
    "checksum has changed" at every test of every student, and a real change cannot be seen among them.
    """

    _untouched = False

    def preprocess_cell(self, cell: NotebookNode, resources: Any, cell_index: int) -> tuple[NotebookNode, Any]:
        """See whether the cell is as it was released, then overwrite it."""
        own = cell.metadata.get("nbgrader", {})
        self._untouched = bool(own.get("checksum")) and own["checksum"] == utils.compute_checksum(cell)
        return super().preprocess_cell(cell, resources, cell_index)

    def report_change(self, name: str, attr: str, old: Any, new: Any) -> None:
        """Warn of what the student changed."""
        if attr != "checksum":
            super().report_change(name, attr, old, new)
        elif not self._untouched:
            self.log.warning("The locked cell %s was changed by the student; the release's is graded", name)


class WantSeed(Step):
    """Say loudly that the exam seed is missing, when a notebook is graded without it."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        """Look at the environment; the notebook stays as it is."""
        if not os.environ.get("OPTBIAS_EXAM_SEED"):
            self.log.error(
                "OPTBIAS_EXAM_SEED is not set: the hidden tests use the numbers of every public copy of the course. "
                "Set the seed of your course, and grade again with --force"
            )
        return nb, resources


class CountErrorsOnly(Step):
    """Let a test lose its points by an error alone.

    nbgrader takes all points for anything on standard error (a warning, a progress bar), and reads the value of
    a cell's last expression as points. Both are shown as ordinary output instead. Stands before SaveAutoGrades.
    """

    def preprocess_cell(self, cell: NotebookNode, resources: Any, index: int) -> tuple[NotebookNode, Any]:
        """Relabel the outputs of a test cell."""
        if is_test(cell):
            for output in cell.outputs:
                if output.output_type == "stream":
                    output.name = "stdout"
                elif output.output_type == "execute_result":
                    output.output_type = "display_data"
                    output.pop("execution_count", None)
        return cell, resources


class PlainSubmission(Step):
    """Leave text and pictures of a submission, nothing that runs in the browser of who looks at it."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        """Do so for every cell; widgets' state goes, too."""
        nb.metadata.pop("widgets", None)
        for cell in nb.cells:
            cell.pop("attachments", None)
            if cell.cell_type == "markdown":
                cell.source = plain.markdown(cell.source)
            elif cell.cell_type == "raw":
                cell.cell_type = "markdown"
                cell.source = plain.markdown(cell.source)
            else:
                kept = (plain.output(output) for output in cell.outputs)
                cell.outputs = [from_dict(output) for output in kept if output is not None]
        return nb, resources


class ShowRubrics(Step):
    """Put the rubric of each written answer above it, where the grader sees it and students do not."""

    folder = Unicode("rubrics", help="Where the rubrics are, ASSIGNMENT.md each.").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        """Insert the rubrics of this assignment."""
        path = Path(self.folder) / f"{resources['nbgrader']['assignment']}.md"
        sections = rubrics(path.read_text(encoding="utf-8")) if path.exists() else {}
        cells = []
        for cell in nb.cells:
            if RUBRIC in cell.metadata.get("tags", ()):
                continue
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            if name in sections and utils.is_solution(cell):
                shown = new_markdown_cell(sections[name], metadata={"tags": [RUBRIC]})
                shown.id = f"rubric-{name}"
                cells.append(shown)
            cells.append(cell)
        nb.cells = cells
        return nb, resources


def rubrics(text: str) -> dict[str, str]:
    """The sections of a rubric page by the name of the answer."""
    parts = re.split(r"^## ([a-z0-9-]+)(?= \()", text, flags=re.M)
    return {name: f"**Rubric for {name}**{body}".rstrip() for name, body in zip(parts[1::2], parts[2::2], strict=True)}


class Grades(GetGrades):
    """nbgrader's GetGrades, which also says of an answer that it still waits for a person."""

    def _get_score(self, cell: NotebookNode, resources: Any) -> None:
        super()._get_score(cell, resources)
        grade = self.gradebook.find_grade(
            cell.metadata.nbgrader["grade_id"], self.notebook_id, self.assignment_id, self.student_id
        )
        if grade.needs_manual_grade:
            cell.metadata.nbgrader["message"] = WAITING
            cell.metadata.nbgrader["waits"] = True


class StudentsView(Step):
    """What a student sees of a graded notebook: of tests only what they look at, and what they say.

    Stands after Grades in the feedback's preprocessors. No line of a hidden test passes, and no rubric.
    """

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        """Reduce the tests, drop the rubrics, and leave plain content."""
        nb.cells = [cell for cell in nb.cells if not {RUBRIC, "colab-only"} & set(cell.metadata.get("tags", ()))]
        nb, resources = PlainSubmission(parent=self).preprocess(nb, resources)
        for cell in nb.cells:
            if is_test(cell):
                reduce_test(cell)
            elif cell.cell_type == "code":
                for output in cell.outputs:
                    if output.output_type == "error":  # a traceback may quote a test that called the answer
                        output.traceback = [f"{output.ename}: {output.evalue}"]
        return nb, resources


def reduce_test(cell: NotebookNode) -> None:
    """Leave of a test cell its first line, what it looks at, and one message."""
    first = cell.source.splitlines()[0] if cell.source else ""
    cell.source = first if first.startswith("# tests: ") else f"# tests: {cell.metadata.nbgrader.grade_id}"
    error = next((output for output in cell.outputs if output.output_type == "error"), None)
    text = PASSED if error is None else message(error.ename, error.evalue)
    cell.outputs = [new_output("stream", name="stdout", text=text)]
    cell.metadata.nbgrader["message"] = text


def message(name: str, value: str) -> str:
    """What a student is told of an error in a test cell."""
    if name == "CheckFailed":
        return value
    if name in ("CellTimeoutError", "TimeoutError", "KeyboardInterrupt"):
        return "The test was stopped: it took longer than a cell may take."
    if name == "DeadKernelError":
        return "The notebook's process ended in this test."
    # An error that no check foresaw: its text may quote the test, its name does not.
    return f"The test stopped with {name}. Ask your instructor if you do not see why."
