"""The course is run with nbgrader's own commands: a term in small, with ten students."""

from __future__ import annotations

import csv
import html
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest

import assignments
import bank
import course
from browser import require_chromium
from optbias.grading import restore

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("nbgrader")]

# Two problem sets. A lab takes ten students half a minute each; name it here for a long run:
# OPTBIAS_PIPELINE="ps-adam lab-linf-constraint" pytest tests/exercises/test_pipeline.py
TWO = os.environ.get("OPTBIAS_PIPELINE", "ps-adam ps-momentum").split()


def scores(folder: Path) -> dict[tuple[str, str, str], tuple[float | None, float | None, bool]]:
    """From the gradebook itself: automatic points, manual points and whether it waits, by assignment, student, id."""
    query = """
        select a.name, sa.student_id, b.name, g.auto_score, g.manual_score, g.needs_manual_grade
        from grade g join submitted_notebook sn on g.notebook_id = sn.id
        join submitted_assignment sa on sn.assignment_id = sa.id
        join assignment a on sa.assignment_id = a.id join base_cell b on g.cell_id = b.id"""
    with closing(sqlite3.connect(folder / "gradebook.db")) as database:
        return {row[:3]: (row[3], row[4], bool(row[5])) for row in database.execute(query)}


@pytest.fixture(scope="module")
def term(tmp_path_factory):
    """A course after the assignments were generated, handed in by ten students, and graded."""
    folder = course.open_course(tmp_path_factory.mktemp("term") / "course")
    made = {}
    for name in TWO:
        course.nbgrader(folder, "generate_assignment", name, "--force")
        made[name] = (folder / "release" / name / f"{name}.ipynb").read_bytes()
        for student, way in course.ten_students(name).items():
            notebook = way.damage(course.fill(course.release(name), way.answers))
            path = course.hand_in(folder, student, name, notebook)
            if way.restored:
                report = restore.restore_file(path, folder / "release" / name / f"{name}.ipynb", path)
                assert report.certain, str(report)
        course.nbgrader(folder, "autograde", name)
    return folder, made


@pytest.mark.parametrize("name", TWO)
def test_the_committed_release_is_what_nbgrader_generates(name, term):
    committed = (assignments.EXERCISES / "release" / name / f"{name}.ipynb").read_bytes()
    assert term[1][name].rstrip(b"\n") == committed.rstrip(b"\n")


@pytest.mark.parametrize("name", TWO)
def test_every_student_gets_the_points_that_the_answers_are_worth(name, term):
    of, graded = bank.assignment(name), scores(term[0])
    for student, way in course.ten_students(name).items():
        lost = {
            cell.name
            for cell in of.cells
            if cell.kind == "tests" and graded[name, student, cell.name][0] != cell.points
        }
        assert lost == way.loses, student
        assert all(graded[name, student, test][0] == 0 for test in lost), student
        points = sum(auto or 0 for (a, s, _), (auto, _, _) in graded.items() if (a, s) == (name, student))
        assert points == way.points(of), student


@pytest.mark.parametrize("name", TWO)
def test_written_answers_wait_for_a_person_and_missing_ones_do_not(name, term):
    graded = scores(term[0])
    for answer in bank.assignment(name).of("written"):
        assert graded[name, "ada", answer] == (None, None, True)
        assert graded[name, "ben", answer] == (0, None, False)


def test_the_empty_notebook_gets_nothing_and_the_reference_everything(term):
    graded = scores(term[0])
    for name in TWO:
        of = bank.assignment(name)
        assert sum(auto for (a, s, _), (auto, _, _) in graded.items() if (a, s) == (name, "ben")) == 0
        assert (
            course.ten_students(name)["ada"].points(of) + sum(c.points for c in of.of("written").values()) == of.points
        )


@pytest.fixture(scope="module")
def finished(term):
    """The same course after grading by hand, feedback and export; and regrading of two students."""
    folder = term[0]
    by_hand(folder, "ada", 2.0)
    before = scores(folder)
    course.nbgrader(folder, "autograde", TWO[0], "--student", "cem", "--force")
    for name in TWO:
        course.nbgrader(folder, "autograde", name, "--student", "ada", "--force")
        course.nbgrader(folder, "generate_feedback", name)
    return folder, before, scores(folder)


def by_hand(folder: Path, student: str, points: float) -> None:
    """Grade the written answers of a student, as formgrader does."""
    sys.modules.setdefault("rfc3987_syntax", None)
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{folder}/gradebook.db?timeout=60") as gradebook:
        for name in TWO:
            for answer in bank.assignment(name).of("written"):
                grade = gradebook.find_grade(answer, name, name, student)
                grade.manual_score, grade.needs_manual_grade = points, False
                comment = gradebook.find_comment(answer, name, name, student)
                comment.manual_comment = "Good. <script>document.title = 'taken'</script>"
        gradebook.db.commit()


def test_grading_again_changes_no_points(finished):
    _, before, after = finished
    assert {key: value[:2] for key, value in after.items()} == {key: value[:2] for key, value in before.items()}


def page(folder: Path, student: str, name: str) -> str:
    return (folder / "feedback" / student / name / f"{name}.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", TWO)
def test_feedback_names_the_misconception(name, finished):
    for student, way in course.ten_students(name).items():
        text = re.sub(r"\s+", " ", page(finished[0], student, name)).replace("&#39;", "'").replace("&gt;", ">")
        for message in way.says:
            assert message in text, student


@pytest.mark.parametrize("name", TWO)
def test_feedback_says_which_points_still_wait(name, finished):
    waiting = f"{sum(cell.points for cell in bank.assignment(name).of('written').values()):g} points of written answers"
    dia, ben = page(finished[0], "dia", name), page(finished[0], "ben", name)
    assert "points so far</h1>" in dia
    assert f"{waiting} are not counted yet" in dia
    assert "so far" not in ben.split("</h1>")[0]
    assert waiting not in ben


@pytest.mark.parametrize("name", TWO)
def test_feedback_shows_no_hidden_test_and_no_rubric(name, finished):
    of = bank.assignment(name)
    hidden = {row.strip() for cell in of.cells if cell.kind == "tests" for row in cell.hidden.splitlines()}
    secret = [row for row in hidden if len(row) > 20]
    rubric = [row for cell in of.of("rubric").values() for row in cell.source.splitlines() if len(row) > 40]
    assert len(secret) > 20
    for student in course.ten_students(name):
        # what is highlighted is cut into spans; the text without them is what is read
        text = html.unescape(re.sub(r"<[^>]*>", "", page(finished[0], student, name)))
        # a line of a hidden test may stand in what was handed in, too, also as a part of a longer line
        handed = json.loads((finished[0] / "submitted" / student / name / f"{name}.ipynb").read_text(encoding="utf-8"))
        own = "\n".join("".join(cell["source"]) for cell in handed["cells"])
        assert not [row for row in secret if text.count(row) > own.count(row)], student
        assert not [row for row in rubric if row in text], student
        assert "Traceback (most recent call last)" not in text


@pytest.mark.parametrize("name", TWO)
def test_feedback_holds_nothing_live(name, finished):
    for student in course.ten_students(name):
        text = page(finished[0], student, name)
        assert "Content-Security-Policy" in text
        assert not re.search(r"<(script|iframe|object|embed|form|link|base|svg|style(?! ?>))\b", text, re.I), student
        assert not re.search(r"<[^>]*\son\w+\s*=", text), student
        assert not re.search(r'(src|href)="(?!#|data:image/|https?://)', text), student
        assert "javascript:" not in text


@pytest.mark.browser
def test_feedback_does_nothing_in_a_browser(finished):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=require_chromium())
        tab = browser.new_page(viewport={"width": 390, "height": 800})
        asked: list[str] = []
        tab.on("request", lambda request: asked.append(request.url))
        for student in ("ivo", "ada"):
            path = finished[0] / "feedback" / student / TWO[0] / f"{TWO[0]}.html"
            tab.goto(path.as_uri())
            assert tab.title() == f"{TWO[0]}: feedback"
            assert tab.evaluate("document.scripts.length") == 0
            assert tab.evaluate("document.documentElement.scrollWidth") <= 390
        assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
        browser.close()


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_export_has_a_column_for_each_question(finished):
    folder = finished[0]
    of = bank.assignment(TWO[0])
    for kind in ("Question", "Canvas", "Moodle"):
        exporter = f"--exporter=optbias.grading.exporters.{kind}Export"
        course.nbgrader(folder, "export", exporter, f"--to={kind}.csv", f"--assignment=['{TWO[0]}']")
    plain = {row["student_id"]: row for row in rows(folder / "Question.csv")}
    assert set(plain) == set(course.ten_students(TWO[0]))
    graded = [cell.name for cell in of.cells if cell.kind in ("tests", "written")]
    assert set(plain["ada"]) == {"student_id", "last_name", "first_name", "email", of.name} | {
        f"{of.name}: {name}" for name in graded
    }
    for student, way in course.ten_students(TWO[0]).items():
        for cell in of.cells:
            if cell.kind == "tests":
                wanted = 0.0 if cell.name in way.loses else cell.points
                assert float(plain[student][f"{of.name}: {cell.name}"]) == wanted
    assert float(plain["ben"][of.name]) == 0.0
    assert plain["cem"][of.name] == ""  # a written answer waits for a person
    canvas = rows(folder / "Canvas.csv")
    assert canvas[0]["Student"].strip() == "Points Possible"
    assert float(canvas[0][of.name]) == of.points
    assert {row["SIS Login ID"] for row in canvas[1:]} == set(plain)
    moodle = {row["Username"]: row for row in rows(folder / "Moodle.csv")}
    assert all(
        moodle[student][f"{of.name}: {graded[0]}"] == plain[student][f"{of.name}: {graded[0]}"] for student in plain
    )


def test_stock_export_works_too(finished):
    course.nbgrader(finished[0], "export", "--to=grades.csv")
    found = {(row["student_id"], row["assignment"]): row for row in rows(finished[0] / "grades.csv")}
    ben = found["ben", TWO[0]]
    assert (float(ben["score"]), float(ben["max_score"])) == (0.0, bank.assignment(TWO[0]).points)


def test_validation_passes_the_source_and_fails_the_release(term):
    name = TWO[0]
    assert "Success" in course.nbgrader(term[0], "validate", f"source/{name}/{name}.ipynb")
    said = course.nbgrader(term[0], "validate", f"release/{name}/{name}.ipynb", status=None)
    graded = sum(cell.points > 0 for cell in bank.assignment(name).cells)
    assert f"VALIDATION FAILED ON {graded} CELL(S)" in said
    assert "is not answered yet" in said


def test_the_instructor_sees_the_rubric_above_the_answer(term):
    for name in TWO:
        notebook = json.loads((term[0] / "autograded" / "ada" / name / f"{name}.ipynb").read_text(encoding="utf-8"))
        ids = [course.grade_id(cell) for cell in notebook["cells"]]
        for answer in bank.assignment(name).of("written"):
            above = notebook["cells"][ids.index(answer) - 1]
            assert above["metadata"]["tags"] == ["rubric"]
            assert "Full (" in "".join(above["source"])


@pytest.fixture
def server(term, tmp_path):
    """A Jupyter server with formgrader on the graded course."""
    port, token = 8899, "for-this-test"
    process = subprocess.Popen(
        [sys.executable, "-m", "jupyter", "server", "--allow-root", "--no-browser",
         f"--port={port}", "--port-retries=0", f"--IdentityProvider.token={token}", "--ServerApp.ip=127.0.0.1",
         "--ServerApp.jpserver_extensions={'nbgrader.server_extensions.formgrader': True}"],
        cwd=term[0],
        env=course.environment(term[0]),
        stdout=(tmp_path / "server.log").open("w"),
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{address}/api?token={token}", timeout=5).read()
                break
            except OSError:
                assert process.poll() is None, (tmp_path / "server.log").read_text()
                time.sleep(0.5)
        yield address, token
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.mark.browser
def test_formgrader_shows_the_course_in_a_browser(term, server):
    from playwright.sync_api import sync_playwright

    address, token = server
    name = TWO[0]
    with closing(sqlite3.connect(term[0] / "gradebook.db")) as database:
        query = """select sn.id from submitted_notebook sn join submitted_assignment sa on sn.assignment_id = sa.id
            join assignment a on sa.assignment_id = a.id where a.name = ? and sa.student_id = ?"""
        (ivo,) = database.execute(query, (name, "ivo")).fetchone()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=require_chromium())
        tab = browser.new_page()
        tab.goto(f"{address}/formgrader/manage_assignments?token={token}")
        tab.wait_for_selector(f"text={name}")
        tab.goto(f"{address}/formgrader/manage_submissions/{name}")
        tab.wait_for_selector("text=ada")
        tab.goto(f"{address}/formgrader/submissions/{ivo}/?index=0")
        tab.wait_for_selector("input.score")
        body = tab.inner_text("body")
        assert "Rubric for" in body
        written = next(iter(bank.assignment(name).of("written")))
        assert tab.locator(f"input.score#{written}").count() == 1
        assert "taken" not in tab.title()  # the answer's script did not run
        assert tab.locator("p[onclick]").count() == 0
        tab.fill(f"input.score#{written}", "1")
        tab.press(f"input.score#{written}", "Tab")
        tab.wait_for_timeout(1500)
        browser.close()
    assert scores(term[0])[name, "ivo", written][1] == 1.0
