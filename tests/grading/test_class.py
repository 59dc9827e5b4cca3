"""A class with one hostile submission in ten, killed in the middle and resumed: the others get what each gets alone.

The suite grades a small class. A whole one: ``OPTBIAS_CLASS=100 pytest tests/grading/test_class.py -s``.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest
import strangers

import bank
import course
from optbias.grading import assignment, handed_in, sandbox
from optbias.grading.command import Journal
from optbias.grading.sandbox import Limits
from optbias.grading.session import Examiner

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("grading"),
    pytest.mark.timeout(3000),
    pytest.mark.skipif(sandbox.why_not() is not None, reason=str(sandbox.why_not())),
]
SIZE = int(os.environ.get("OPTBIAS_CLASS", "20"))
LIMITS = Limits(cell_seconds=4.0, total_seconds=60.0, memory_mib=2048)
HOSTILE = {**strangers.CHEATS, **{name: strangers.DAMAGE[name] for name in ("6 GB", "300 processes", "a segfault")}}


def students() -> dict[str, str]:
    """Who is in the class: hostile ones by the name of their trick, the others by what is wrong with their answers."""
    tricks = list(HOSTILE)
    return {f"s{n:03d}": tricks[7 * n // 10 % len(tricks)] if n % 10 == 5 else "" for n in range(SIZE)}


def ordinary(number: int) -> dict[str, object]:
    """A notebook as students hand it in: right, or wrong in one task or two, sometimes damaged."""
    slips = [
        (task, slip)
        for task, found in bank.load(strangers.NAME).WRONG.items()
        for slip in found.values()
        if not slip.slow and not slip.stateful
    ]
    answers = dict(strangers.damaged.ANSWERS)
    for step in range(number % 3):
        task, slip = slips[(17 * number + 5 * step) % len(slips)]
        answers[task] = slip.source(strangers.damaged.ANSWERS[task])
    notebook = strangers.damaged.solved(answers)
    return strangers.damaged.colab_extras(strangers.damaged.no_cell_metadata(notebook)) if number % 4 == 1 else notebook


def test_the_others_get_what_each_gets_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OPTBIAS_EXAM_SEED", "a-seed")
    folder = course.open_course(tmp_path / "course")
    for number, (who, trick) in enumerate(students().items()):
        here = folder / "submitted" / who / strangers.NAME
        here.mkdir(parents=True)
        if trick:
            HOSTILE[trick].build(here)
        else:
            strangers.put(here, ordinary(number))
    command = [sys.executable, "-m", "optbias", "grade", strangers.NAME, "--course", str(folder), "--workers", "2",
               "--cell-timeout", "4", "--timeout", "60", "--memory", "2048"]  # fmt: skip
    results = folder / "grading" / strangers.NAME / "results"
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    while len(list(results.glob("*.json"))) < SIZE // 3 and process.poll() is None:
        time.sleep(0.05)
    assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    had = len(list(results.glob("*.json")))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - started
    assert done.returncode == 0, done.stderr
    assert f"{had} of {SIZE} have a result already" in done.stdout or had < SIZE
    found = {who: result for who, (result, _, _) in Journal(results).load().items()}
    assert set(found) == set(students())
    with closing(sqlite3.connect(folder / "gradebook.db")) as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
        entered = dict(
            database.execute(
                """select sa.student_id, sum(g.auto_score) from grade g join submitted_notebook sn on g.notebook_id =
                sn.id join submitted_assignment sa on sn.assignment_id = sa.id group by sa.student_id"""
            )
        )
    assert entered == {who: result.points for who, result in found.items()}

    of = assignment.load(strangers.NAME, folder)
    alone = Examiner(of, LIMITS, "a-seed")  # a sandbox that never sees a hostile submission
    differ, worth = [], []
    for who, trick in students().items():
        if trick:
            worth.append(found[who].points)
            continue
        result = alone.grade(handed_in.collect(who, folder / "submitted" / who / strangers.NAME, of))
        if (result.scores, result.messages, result.state) != (found[who].scores, found[who].messages, found[who].state):
            differ.append((who, result.scores, found[who].scores))
    alone.close()
    with capsys.disabled():
        ordinary_ones = SIZE - len(worth)
        print(f"\nclass of {SIZE}: killed after {had}, resumed; {ordinary_ones - len(differ)} of {ordinary_ones} as alone; "
              f"{seconds / SIZE:.2f} s a student; the hostile ones got {sorted(worth)}")  # fmt: skip
    assert not differ
