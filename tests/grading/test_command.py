"""``python -m optbias grade``: killed and resumed, regraded, refused, without nbgrader, on PostgreSQL, on a cluster."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
import strangers

import assignments
import course
from optbias.__main__ import main
from optbias.grading import sandbox

NAME = strangers.NAME
FULL = 24.0
here = pytest.mark.skipif(sandbox.why_not() is not None, reason=str(sandbox.why_not()))
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("grading"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def registered(tmp_path_factory):
    """A course whose gradebook has the assignment: made once, copied for each test."""
    folder = course.open_course(tmp_path_factory.mktemp("registered") / "course")
    course.nbgrader(folder, "generate_assignment", NAME, "--force")
    return folder


@pytest.fixture
def term(registered, tmp_path, monkeypatch):
    """A course of its own, and four students: two good ones, one damaged, one with one wrong answer."""
    monkeypatch.setenv("OPTBIAS_EXAM_SEED", "a-seed")
    folder = tmp_path / "course"
    shutil.copytree(registered, folder)
    for who in ("ada", "ben"):
        strangers.put(folder / "submitted" / who / NAME, strangers.solved())
    strangers.DAMAGE["name (1).ipynb"].build(folder / "submitted" / "cem" / NAME)
    wrong = strangers.KNEE.replace("q * eps / (1 - q)", "eps / (1 - q)")
    strangers.put(folder / "submitted" / "dia" / NAME, strangers.solved(adam_knee=wrong))
    return folder


def points(folder: Path) -> dict[str, float]:
    """The automatic points in the gradebook."""
    query = """select sa.student_id, sum(g.auto_score) from grade g join submitted_notebook sn on g.notebook_id = sn.id
        join submitted_assignment sa on sn.assignment_id = sa.id group by sa.student_id"""
    with closing(sqlite3.connect(folder / "gradebook.db")) as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
        return dict(database.execute(query))


def grade(folder: Path, *options: str) -> int:
    return main(["grade", NAME, "--course", str(folder), *options])


@here
def test_a_class_is_graded_and_a_second_run_has_nothing_to_do(term, capsys):
    assert grade(term, "--workers", "2", "--feedback") == 0
    said = capsys.readouterr().out
    assert "4 submissions: 3 graded, 1 repaired" in said
    assert "cem: repaired: the notebook is ps-adam (1).ipynb" in said
    assert points(term) == {"ada": FULL, "ben": FULL, "cem": FULL, "dia": FULL - 1}
    data = json.loads((term / "grading" / NAME / "report.json").read_text())
    assert data["whole_tasks_right"]["adam-knee"] == 3
    assert data["misconceptions"][0] == {
        "task": "adam-knee",
        "words": "the gradient: solve g / (g + eps) = q for g: the factor q is missing",
        "students": 1,
    }
    page = (term / "feedback" / "dia" / NAME / f"{NAME}.html").read_text()
    assert "the factor q is missing" in page
    hidden = [row for cell in assignments.read(NAME).cells if cell.kind == "tests" for row in cell.hidden.splitlines()]
    assert not [row for row in hidden if len(row) > 30 and row in page]
    canvas = (term / "grading" / NAME / "canvas.csv").read_text().splitlines()
    assert canvas[1].split(",")[0].strip() == "Points Possible"
    assert sum("adam-knee-outside" in column for column in canvas[0].split(",")) == 1
    assert {row.split(",")[3] for row in canvas[2:]} == {"ada", "ben", "cem", "dia"}
    assert (term / "grading" / NAME / "moodle.csv").is_file()
    report = (term / "grading" / NAME / "report.html").read_text()
    assert "http" not in report.replace("http-equiv", "")
    before = {path: path.stat().st_mtime_ns for path in (term / "autograded").rglob("*.ipynb")}
    assert grade(term) == 0
    assert "4 of 4 have a result already; 0 to do" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in (term / "autograded").rglob("*.ipynb")}
    shutil.rmtree(term / "autograded" / "ada")  # what is lost comes back from the results, without grading
    (term / "gradebook.db").unlink()
    assert grade(term) == 0
    assert len(list((term / "autograded").rglob("*.ipynb"))) == 4
    assert points(term) == {"ada": FULL, "ben": FULL, "cem": FULL, "dia": FULL - 1}


@here
def test_killed_in_the_middle_it_goes_on_and_the_gradebook_is_whole(term):
    for number in range(8):
        strangers.put(term / "submitted" / f"x{number}" / NAME, strangers.solved())
    command = [sys.executable, "-m", "optbias", "grade", NAME, "--course", str(term), "--workers", "2"]
    results = term / "grading" / NAME / "results"
    for _ in range(2):  # killed twice, each time after some more results
        had = len(list(results.glob("*.json")))
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        while len(list(results.glob("*.json"))) < had + 2 and process.poll() is None:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        points(term)
    kept = {path: path.stat().st_mtime_ns for path in results.glob("*.json")}
    assert len(kept) >= 4
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "have a result already" in done.stdout
    assert points(term) == {f"x{n}": FULL for n in range(8)} | {"ada": FULL, "ben": FULL, "cem": FULL, "dia": FULL - 1}
    assert kept == {path: path.stat().st_mtime_ns for path in kept}
    for _ in range(100):  # what ran in the sandboxes of the killed runs ends with them
        left = subprocess.run(
            ["pgrep", "-f", f"optbias grade {NAME} --course {term}"], capture_output=True, text=True, check=False
        )
        if not left.stdout:
            break
        time.sleep(0.1)
    assert not left.stdout


@here
def test_regrading_shows_whose_points_change_before_it_writes(term, capsys):
    assert grade(term) == 0
    path = term / "source" / NAME / f"{NAME}.ipynb"
    notebook = json.loads(path.read_text())
    for cell in notebook["cells"]:
        if course.grade_id(cell) == "adam-knee-outside":  # asks for the other place of epsilon now
            cell["source"] = [row.replace("eps, False)", "eps, True)") for row in cell["source"]]
    path.write_text(json.dumps(notebook))
    capsys.readouterr()
    assert grade(term) == 0
    assert "4 of them were graded with other tests or another seed" in capsys.readouterr().out
    by_hand(term, "ada")
    before = points(term)
    assert grade(term, "--regrade") == 0
    said = capsys.readouterr().out
    assert "4 graded again; 1 of them get other points" in said
    assert "dia: adam-knee-outside: 0 -> 1: the test passes now" in said
    assert "Nothing was written" in said
    assert points(term) == before
    assert grade(term, "--regrade", "--yes") == 0
    assert "written" in capsys.readouterr().out
    with closing(sqlite3.connect(term / "gradebook.db")) as database:
        assert database.execute("select max(manual_score) from grade").fetchone() == (4.0,)


def by_hand(folder: Path, student: str) -> None:
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{folder}/gradebook.db") as gradebook:
        grade_row = gradebook.find_grade("adam-explain-epsilon", NAME, NAME, student)
        grade_row.manual_score, grade_row.needs_manual_grade = 4.0, False
        gradebook.db.commit()


@here
def test_a_rejected_file_does_not_stay_in_the_way(term, capsys):
    where = term / "submitted" / "eli" / NAME
    strangers.put(where, b"")
    assert grade(term) == 0
    assert "eli: rejected: ps-adam.ipynb is empty" in capsys.readouterr().out
    assert points(term)["eli"] == 0
    assert "could not be graded" in (term / "autograded" / "eli" / NAME / f"{NAME}.ipynb").read_text()
    strangers.put(where, strangers.solved())
    assert grade(term) == 0
    assert points(term)["eli"] == FULL


def test_without_bubblewrap_it_refuses_and_explains(term, monkeypatch, capsys):
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    assert grade(term) == 2
    error = capsys.readouterr().err
    assert "bubblewrap is not installed" in error
    assert "nothing was graded" in error
    assert "--no-sandbox" in error
    assert points(term) == {}
    assert not (term / "grading" / NAME / "results").exists()


def test_without_a_sandbox_the_points_are_the_same_and_the_warning_is_loud(term, capsys):
    assert grade(term, "--no-sandbox", "--workers", "2") == 0
    assert "WITHOUT A SANDBOX the code of students runs on this machine as you" in capsys.readouterr().err
    assert points(term) == {"ada": FULL, "ben": FULL, "cem": FULL, "dia": FULL - 1}
    assert "without a sandbox" in (term / "grading" / NAME / "report.html").read_text()


@here
def test_a_missing_seed_is_said_loudly(term, monkeypatch, capsys):
    monkeypatch.delenv("OPTBIAS_EXAM_SEED")
    assert grade(term, "--student", "ada") == 0
    assert "WARNING: OPTBIAS_EXAM_SEED is not set" in capsys.readouterr().err
    assert "exam seed was not set" in (term / "grading" / NAME / "report.html").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["grade"], "say which assignment"),
        (["grade", "ps-nothing"], "there is no assignment 'ps-nothing'"),
        (["grade", NAME, "--student", "nobody"], "no submission of nobody"),
        (["grade", "--folder", "."], "--report FILE"),
        (["grade", "--folder", ".", "--report", "x.html", "--regrade"], "there is none with --folder"),
        (["grade", "--folder", "/nowhere", "--report", "x.html"], "is no folder"),
    ],
)
def test_wrong_use_gives_a_clear_error(options, message, term, capsys):
    assert main([*options, "--course", str(term)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    "options", [["--workers", "0"], ["--timeout", "-1"], ["--memory", "10"], ["--cell-timeout", "x"]]
)
def test_numbers_out_of_range_are_refused(options, term, capsys):
    with pytest.raises(SystemExit):
        grade(term, *options)
    assert "expected; got" in capsys.readouterr().err


@here
def test_a_folder_without_nbgrader(term, tmp_path, capsys):
    folder = tmp_path / "handed in"
    code = [strangers.damaged.ANSWERS[name] for name in strangers.damaged.CODE]
    strangers.put(folder / "team-a", strangers.solved(), "homework.ipynb")
    head = "import math\nimport torch\nimport numpy as np\ntorch.set_default_dtype(torch.float64)\n\n"
    strangers.put(folder, head + "\n\n".join(code), "anchors.py")
    without = [row for text in code for row in text.splitlines() if not row.startswith("# exercise:")]
    strangers.put(folder, head + "\n".join(without), "functions.py")
    strangers.put(folder, "print('not an answer')\n", "other.py")
    report = tmp_path / "out" / "report.html"
    assert main(["grade", "--folder", str(folder), "--report", str(report), "--course", str(term)]) == 0
    data = json.loads(report.with_suffix(".json").read_text())["submissions"]
    assert {name: entry["points"] for name, entry in data.items()} == {
        "anchors": FULL,
        "functions": FULL,
        "team-a/homework": FULL,
    }
    assert "other.py: left out" in capsys.readouterr().out
    assert "All checks passed." in report.read_text()


def test_the_workflow_for_github_classroom_uses_what_there_is():
    import argparse
    import shlex

    import yaml

    from optbias.grading import command

    workflow = yaml.safe_load((assignments.EXERCISES / "templates" / "classroom.yml").read_text())
    steps = workflow["jobs"]["grade"]["steps"]
    words = shlex.split(next(step["run"] for step in steps if step.get("name") == "grade"))
    parser = argparse.ArgumentParser()
    command.configure(parser)
    options = parser.parse_args(words[words.index("grade") + 1 :])
    assert options.folder is not None
    assert options.report is not None
    with_secret = [step.get("name") for step in steps if "secrets." in json.dumps(step)]
    assert with_secret == ["fetch what was handed in", "grade"]
    assert "CLASSROOM_TOKEN" not in json.dumps(next(step for step in steps if step.get("name") == "grade"))


# -- a database server, a cluster ------------------------------------------------------------------------------------

POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


def missing_server() -> str | None:
    try:
        import psycopg2  # noqa: F401
    except ImportError:
        return "psycopg2 is not installed (pip install psycopg2-binary)"
    return None if POSTGRES else "PostgreSQL is not installed (apt-get install postgresql)"


@pytest.fixture
def server(tmp_path_factory):
    """A PostgreSQL server in a temporary folder; its address. Root may not run one, so another user does."""
    if reason := missing_server():
        assert not os.environ.get("CI"), reason
        pytest.skip(reason)
    binaries = POSTGRES[-1].parent
    folder = Path(
        subprocess.run(
            ["mktemp", "-d", "/tmp/optbias-pg-XXXXXX"], capture_output=True, text=True, check=True
        ).stdout.strip()
    )
    user: dict[str, object] = {}
    if os.geteuid() == 0:
        import pwd

        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"

    def run(*command: str) -> None:
        subprocess.run(command, check=True, cwd=folder, capture_output=True, **user)  # type: ignore[call-overload]

    run(str(binaries / "initdb"), "-D", str(folder / "data"), "-U", "nbgrader", "--auth=trust")
    run(str(binaries / "pg_ctl"), "-D", str(folder / "data"), "-l", str(folder / "log"), "-w", "-o", options, "start")
    try:
        run(str(binaries / "createdb"), "-h", str(folder), "-U", "nbgrader", "gradebook")
        yield f"postgresql+psycopg2://nbgrader@/gradebook?host={folder}"
    finally:
        run(str(binaries / "pg_ctl"), "-D", str(folder / "data"), "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@here
def test_the_gradebook_may_be_a_postgresql_server(term, server, capsys):
    assert grade(term, "--db", server, "--workers", "2") == 0
    assert "4 submissions" in capsys.readouterr().out
    from nbgrader.api import Gradebook

    with Gradebook(server) as gradebook:
        found = {
            s.student_id: s.auto_score if hasattr(s, "auto_score") else s.score
            for s in gradebook.assignment_submissions(NAME)
        }
    assert found == {"ada": FULL, "ben": FULL, "cem": FULL, "dia": FULL - 1}
    assert grade(term, "--db", server) == 0
    assert "4 of 4 have a result already" in capsys.readouterr().out


def test_a_database_that_is_not_there_gives_a_clear_error(term, capsys):
    assert grade(term, "--db", "sqlite:////nowhere/at/all.db") == 2
    assert "cannot be opened" in capsys.readouterr().err


@here
def test_a_cluster_grades_and_a_dead_worker_loses_nothing(term, capsys):
    import threading

    from distributed import LocalCluster

    for number in range(8):
        strangers.put(term / "submitted" / f"x{number}" / NAME, strangers.solved())
    results = term / "grading" / NAME / "results"
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:

        def kill_one() -> None:
            while len(list(results.glob("*.json"))) < 2:
                time.sleep(0.05)
            os.kill(
                cluster.workers[0].pid if hasattr(cluster.workers[0], "pid") else cluster.workers[0].process.pid,
                signal.SIGKILL,
            )

        thread = threading.Thread(target=kill_one, daemon=True)
        thread.start()
        assert grade(term, "--scheduler", cluster.scheduler_address) == 0
        thread.join(timeout=5)
        assert not thread.is_alive()
    assert "12 submissions: 11 graded, 1 repaired" in capsys.readouterr().out
    assert points(term) == {f"x{n}": FULL for n in range(8)} | {"ada": FULL, "ben": FULL, "cem": FULL, "dia": FULL - 1}
