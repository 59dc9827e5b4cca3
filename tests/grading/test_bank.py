"""Strangers' submissions in one class, each between two good neighbours: `python -m optbias grade` on all of them.

The class is graded by the command itself, with its workers, its sandbox and its gradebook. One table says what
became of each case. OPTBIAS_BANK="merge|segfault" grades only the cases whose names match.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
import strangers
from strangers import CHEATS, DAMAGE, REJECTED, Case

import course
from optbias.__main__ import main
from optbias.exercises import _answers
from optbias.grading import assignment, sandbox

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("grading"),
    pytest.mark.timeout(1500),
    pytest.mark.skipif(sandbox.why_not() is not None, reason=str(sandbox.why_not())),
]
CASES: dict[str, Case] = {
    name: case
    for name, case in {**DAMAGE, **REJECTED, **CHEATS}.items()
    if re.search(os.environ.get("OPTBIAS_BANK", ""), name)
}
SEED = "only-the-grader-knows-this"


def student(number: int) -> str:
    return f"s{number:03d}"


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """The class after grading: by student what the report says, the points in the gradebook, the folder."""
    folder = course.open_course(tmp_path_factory.mktemp("bank") / "course")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPTBIAS_EXAM_SEED", SEED)
        patch.setenv("MY_TOKEN", "a-token-of-the-graders")
        patch.setattr(_answers, "time_factor", 0.3)  # an endless loop costs its time in every test of the answer
        for number, case in enumerate(CASES.values()):
            strangers.put(folder / "submitted" / student(2 * number) / strangers.NAME, strangers.solved())
            here = folder / "submitted" / student(2 * number + 1) / strangers.NAME
            here.mkdir(parents=True)
            case.build(here)
        strangers.put(folder / "submitted" / student(2 * len(CASES)) / strangers.NAME, strangers.solved())
        base = folder / "submitted" / "base" / strangers.NAME
        strangers.put(base, strangers.damaged.solved({"adam-step": strangers.WRONG}))
        before = _processes()
        status = main(["grade", strangers.NAME, "--course", str(folder), "--workers", "2", "--cell-timeout", "4",
                       "--timeout", "60", "--memory", "2048"])  # fmt: skip
        end = time.monotonic() + 30  # on a busy machine the last of them takes its time to go
        while (left := _processes() - before) and time.monotonic() < end:
            time.sleep(0.5)
    data = json.loads((folder / "grading" / strangers.NAME / "report.json").read_text())
    query = """select sa.student_id, sum(g.auto_score), max(g.manual_score) from grade g
        join submitted_notebook sn on g.notebook_id = sn.id join submitted_assignment sa on sn.assignment_id = sa.id
        group by sa.student_id"""
    with closing(sqlite3.connect(folder / "gradebook.db")) as database:
        points = {row[0]: (row[1], row[2]) for row in database.execute(query)}
    return folder, data["submissions"], points, status, left


def _processes() -> set[str]:
    rows = subprocess.run(["ps", "-eo", "pid,uid,args"], capture_output=True, text=True, check=True).stdout.splitlines()
    return {row for row in rows if "optbias.grading.inside" in row and sys.executable in row}


def expected(case: Case, full: float, base: float, of: assignment.Assignment) -> float:
    if case.points == "all":
        return full
    if case.points == "none":
        return base
    if case.points == "zero":
        return 0.0
    return full - sum(of.points[test] for test in of.tests if test.startswith(tuple(case.points)))


def test_every_case_gets_its_points_and_no_neighbour_loses_any(graded, capsys):
    folder, submissions, points, status, left = graded
    of = assignment.load(strangers.NAME, folder)
    full, base = sum(of.points[test] for test in of.tests), submissions["base"]["points"]
    assert base == 0
    rows, wrong = [], []
    for number, (name, case) in enumerate(CASES.items()):
        got = submissions[student(2 * number + 1)]
        beside = [submissions[student(2 * number)]["points"], submissions[student(2 * number + 2)]["points"]]
        want = expected(case, full, base, of)
        kind = "damage" if name in DAMAGE else "reject" if name in REJECTED else "trick"
        reason = "; ".join([*got["reasons"], *got["notes"], *got["suspicious"]])[:90]
        rows.append(
            f"{kind:6} {name:45} {got['state']:9} {got['points']:4g} of {want:4g}  "
            f"{beside[0]:g} {beside[1]:g}  {reason}"
        )
        said = json.dumps(got)
        if got["points"] != want or beside != [full, full] or (case.state and got["state"] != case.state):
            wrong.append(rows[-1])
        elif case.says not in said:
            wrong.append(f"{rows[-1]}: {case.says!r} is not said: {got['messages']}")
        elif points[student(2 * number + 1)] != (want, None):
            wrong.append(f"{rows[-1]}: in the gradebook {points[student(2 * number + 1)]}")
    with capsys.disabled():
        print("\n" + "\n".join(rows))
        print(
            f"{len(DAMAGE)} kinds of damage, {len(REJECTED)} rejected, {len(CHEATS)} tricks; "
            f"{len(wrong)} not as they should be"
        )
    assert not wrong, "\n".join(wrong)
    assert status == 0
    assert set(submissions) == set(points)
    assert not left


def test_nothing_secret_comes_back_and_nothing_live(graded):
    folder = graded[0]
    tests = "\n".join(assignment.load(strangers.NAME, folder).tests.values())
    hidden = {row.strip() for row in tests.splitlines() if len(row.strip()) > 40 and not row.startswith("#")}
    for path in sorted((folder / "grading" / strangers.NAME / "results").glob("*.json")):
        notebook = json.loads(path.read_text())["result"]["notebook"]
        shown = json.dumps([
            cell.get("outputs", []) for cell in notebook.get("cells", ())
            if not cell["metadata"].get("nbgrader", {}).get("grade")
        ])  # fmt: skip
        assert SEED not in shown
        assert "a-token-of-the-graders" not in shown
        assert "text/html" not in shown
        assert "javascript" not in shown
        assert not [row for row in hidden if json.dumps(row)[1:-1] in shown], path.name
    report = (folder / "grading" / strangers.NAME / "report.html").read_text()
    assert not re.search(r"<(script|iframe|object|embed|form|link|img)\b", report, re.I)


def test_there_are_enough_cases():
    assert len(DAMAGE) >= 35
    assert len(CHEATS) >= 20
    assert len(REJECTED) >= 5


def test_files_of_neighbours_are_what_they_handed_in(graded):
    folder: Path = graded[0]
    good = json.dumps(strangers.solved())
    for number in range(0, 2 * len(CASES) + 1, 2):
        path = folder / "submitted" / student(number) / strangers.NAME / strangers.FILE
        assert path.read_text() == good
