"""Grades with a column for each question, as Canvas and Moodle read them."""

from __future__ import annotations

import csv
import sys

import pytest

sys.modules.setdefault("rfc3987_syntax", None)  # a grammar of 1.7 seconds that nbformat does without

from nbgrader.api import Gradebook  # noqa: E402

from optbias.grading import exporters  # noqa: E402
from optbias.grading.exporters import CanvasExport, MoodleExport, QuestionExport, columns, number, safe  # noqa: E402


@pytest.fixture(scope="module")
def gradebook(tmp_path_factory):
    """Two assignments; one student with everything, one who waits, one late, one with nothing, one odd name."""
    import os
    from pathlib import Path

    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # alembic
    with Gradebook(f"sqlite:///{tmp_path_factory.mktemp('book')}/gradebook.db") as book:
        for name in ("ps-a", "ps-b"):
            book.add_assignment(name)
            book.add_notebook(name, name)
            book.add_grade_cell(f"{name[-1]}-run", name, name, max_score=3, cell_type="code")
            book.add_grade_cell(f"{name[-1]}-why", name, name, max_score=2, cell_type="markdown")
        book.add_student("ada", first_name="Ada", last_name="L", email="ada@example.org")
        book.add_student("ben", first_name="=cmd()", last_name="B, C", email="ben@example.org")
        book.add_student("cem")
        book.add_student("dia")
        for student, run, why in (("ada", 3, 1.5), ("ben", 0, None), ("dia", 2, 0)):
            submission = book.add_submission("ps-a", student)
            for grade in submission.notebooks[0].grades:
                grade.auto_score = run if grade.name == "a-run" else None
                grade.manual_score = why if grade.name == "a-why" else None
                grade.needs_manual_grade = grade.name == "a-why" and why is None
            if student == "dia":
                submission.notebooks[0].late_submission_penalty = 5
            book.db.commit()
        yield book


def read(path):
    return list(csv.reader(path.open(encoding="utf-8", newline="")))


def test_totals_and_questions(gradebook):
    made, waiting = columns(gradebook, ["ps-a"])
    assert [(c.title, c.most) for c in made] == [("ps-a", 5), ("ps-a: a-run", 3), ("ps-a: a-why", 2)]
    total, run, why = made
    assert total.points == {"ada": 4.5, "ben": None, "dia": 0.0}  # dia: 2 points less a penalty of 5, not below 0
    assert run.points == {"ada": 3, "ben": 0, "dia": 2}
    assert why.points == {"ada": 1.5, "ben": None, "dia": 0}
    assert waiting == ["ben: ps-a still waits for grading by hand"]


def test_an_unknown_assignment_is_an_error(gradebook):
    with pytest.raises(ValueError, match="no assignment ps-c; there are ps-a, ps-b"):
        columns(gradebook, ["ps-c"])


def test_the_plain_file(gradebook, tmp_path):
    QuestionExport(to=str(tmp_path / "g.csv")).export(gradebook)
    rows = read(tmp_path / "g.csv")
    head = ["student_id", "last_name", "first_name", "email"]
    assert rows[0] == [*head, "ps-a", "ps-a: a-run", "ps-a: a-why", "ps-b", "ps-b: b-run", "ps-b: b-why"]
    assert rows[1] == ["ada", "L", "Ada", "ada@example.org", "4.5", "3", "1.5", "", "", ""]
    assert rows[2] == ["ben", "B, C", "'=cmd()", "ben@example.org", "", "0", "", "", "", ""]
    assert rows[3] == ["cem", "", "", "", "", "", "", "", "", ""]
    assert list(tmp_path.iterdir()) == [tmp_path / "g.csv"]


def test_the_file_for_canvas(gradebook, tmp_path):
    CanvasExport(to=str(tmp_path / "g.csv"), assignment=["ps-a"], section="S1").export(gradebook)
    rows = read(tmp_path / "g.csv")
    assert rows[0] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "ps-a", "ps-a: a-run", "ps-a: a-why"]
    assert rows[1] == ["    Points Possible", "", "", "", "", "5", "3", "2"]
    assert rows[2] == ["L, Ada", "", "", "ada", "S1", "4.5", "3", "1.5"]
    assert rows[4][:4] == ["cem", "", "", "cem"]


def test_the_file_for_moodle(gradebook, tmp_path):
    MoodleExport(to=str(tmp_path / "g.csv"), assignment=["ps-a"], student=["ada"]).export(gradebook)
    assert read(tmp_path / "g.csv") == [
        ["Username", "Email address", "ps-a", "ps-a: a-run", "ps-a: a-why"],
        ["ada", "ada@example.org", "4.5", "3", "1.5"],
    ]


def test_a_file_appears_whole_or_not_at_all(gradebook, tmp_path, monkeypatch):
    (tmp_path / "g.csv").write_text("before")
    monkeypatch.setattr(exporters.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        QuestionExport(to=str(tmp_path / "g.csv")).export(gradebook)
    assert (tmp_path / "g.csv").read_text() == "before"


@pytest.mark.parametrize(
    ("given", "wanted"), [("=1+1", "'=1+1"), ("+a", "'+a"), ("-a", "'-a"), ("@a", "'@a"), ("a-b", "a-b"), (None, "")]
)
def test_no_name_is_a_formula(given, wanted):
    assert safe(given) == wanted


def test_numbers_are_short():
    assert [number(x) for x in (None, 0.0, 3.0, 1.5, 1 / 3)] == ["", "0", "3", "1.5", "0.3333"]
