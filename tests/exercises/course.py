"""A course in a temporary folder, its students, and nbgrader's own commands in it."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import assignments
import bank

Notebook = dict[str, Any]


def environment(folder: Path) -> dict[str, str]:
    """Nothing of the user's Jupyter, one thread, and the programs beside this Python (nbgrader calls alembic)."""
    own = {name: str(folder / ".jupyter" / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")}
    beside = str(Path(sys.executable).parent)
    path = os.pathsep.join([beside, os.environ.get("PATH", "")])
    # Half of the time that a command of nbgrader's takes to start goes into a grammar that nothing here needs.
    quick = folder / ".quick"
    quick.mkdir(exist_ok=True)
    (quick / "rfc3987_syntax.py").write_text("raise ImportError\n")
    return {**os.environ, **own, "PATH": path, "PYTHONPATH": str(quick), "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}


def open_course(folder: Path) -> Path:
    """A copy of ``exercises/`` as an instructor has it at the start of a term."""
    folder.mkdir(parents=True)
    for part in ("source", "release", "rubrics", "templates"):
        shutil.copytree(assignments.EXERCISES / part, folder / part)
    shutil.copy(assignments.EXERCISES / "nbgrader_config.py", folder)
    return folder


def nbgrader(folder: Path, *command: str, status: int | None = 0, **variables: str) -> str:
    """Run ``nbgrader COMMAND`` in the course's folder; what it says. Fails on another exit status than ``status``."""
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *command],
        cwd=folder,
        env=environment(folder) | variables,
        capture_output=True,
        text=True,
        timeout=600,
    )
    said = done.stdout + done.stderr
    assert status is None or done.returncode == status, f"nbgrader {' '.join(command)}: {done.returncode}\n{said}"
    return said


def release(name: str, folder: Path = assignments.EXERCISES) -> Notebook:
    """The student's notebook."""
    return json.loads((folder / "release" / name / f"{name}.ipynb").read_text(encoding="utf-8"))


def grade_id(cell: Mapping[str, Any]) -> str:
    """The grade id of a cell, or ''."""
    return cell["metadata"].get("nbgrader", {}).get("grade_id", "")


def fill(notebook: Notebook, answers: Mapping[str, str]) -> Notebook:
    """The notebook with these answers typed in."""
    filled = copy.deepcopy(notebook)
    for cell in filled["cells"]:
        if grade_id(cell) in answers:
            cell["source"] = answers[grade_id(cell)].splitlines(keepends=True)
    return filled


@dataclass
class Student:
    """Somebody's way through an assignment: what is typed in, what happens to the file, what it should be worth."""

    answers: dict[str, str]
    loses: set[str] = field(default_factory=set)
    damage: Callable[[Notebook], Notebook] = lambda notebook: notebook
    restored: bool = False
    says: tuple[str, ...] = ()

    def points(self, of: assignments.Assignment) -> float:
        """The points of the tests that are not lost; written answers wait for a person."""
        return sum(cell.points for cell in of.cells if cell.kind == "tests" and cell.name not in self.loses)


def written(of: assignments.Assignment, text: str) -> dict[str, str]:
    """The same text in every written answer."""
    return {name: f"**exercise: {name}**\n\n{text}" for name in of.of("written")}


def ten_students(name: str) -> dict[str, Student]:
    """Ten students of an assignment, each with another way to do or to miss it. Built from its bank."""
    of, answers = bank.assignment(name), bank.load(name)
    code = {task: bank.reference(cell) for task, cell in of.of("answer").items()}
    tests = {task: {cell.name for cell in cells} for task, cells in of.tests_of.items()}
    first, last = next(iter(code)), list(code)[-1]
    slips = [
        (task, slip) for task in code for slip in answers.WRONG.get(task, {}).values() if not slip.slow and slip.change
    ]

    def slipped(number: int) -> Student:
        task, slip = slips[number * len(slips) // 4]
        return Student(
            code | {task: slip.source(code[task])} | written(of, "A partial answer."),
            {f"{task}-{part}" for part in slip.loses},
            says=(slip.says,),
        )

    def styled() -> dict[str, str]:
        return {task: next(iter(styles.values())).strip("\n") for task, styles in answers.RIGHT.items()}

    def run_ids(notebook: Notebook) -> Notebook:
        for cell in notebook["cells"]:
            cell["metadata"] = {}
            cell.pop("id", None)
        badge = {"cell_type": "markdown", "metadata": {}, "source": ["[![Open in Colab](x/colab-badge.svg)](y)"]}
        install = {"cell_type": "code", "metadata": {}, "source": ["%pip install x"], "outputs": []}
        notebook["cells"] = [badge, install | {"execution_count": None}, *notebook["cells"]]
        return notebook

    noise = (
        "\nimport os\nimport sys\nimport warnings\n\nwarnings.warn('a warning')\nprint('a line', file=sys.stderr)\n"
        "os.write(2, b'to the file descriptor')\n1000"
    )
    live = (
        '<script>document.title = "taken"</script> <img src=x onerror="document.title=\'taken\'"> '
        "[click](javascript:document.title='taken') $a<b$ ![far](https://example.org/x.png)"
    )
    shown = (
        "\nfrom IPython.display import HTML, display\n"
        'display(HTML(\'<script>document.title = "taken"</script><p onclick="x()">html</p>\'))'
    )
    loop = f"# exercise: {last}\nimport time\n\n" + (
        f"def {bank.task(last).function}(*args):\n    while True:\n        time.sleep(0.05)\n"
    )
    return {
        "ada": Student(code | written(of, "A whole answer, in sentences.")),
        "ben": Student({}, set().union(*tests.values()), says=("is not answered yet",)),
        "cem": slipped(0),
        "dia": slipped(2),
        "eli": Student(code, damage=run_ids, restored=True),
        "fay": Student(code | {first: code[first] + "\n    return ("}, set(tests[first]), says=("there is no",)),
        "gus": Student(code | {last: loop}, set(tests[last]), says=("took longer than the",)),
        "hua": Student(
            {task: text for task, text in code.items() if task != first}, set(tests[first]), says=("not answered yet",)
        ),
        "ivo": Student(code | {first: code[first] + shown} | written(of, live)),
        "joy": Student({**code, **styled(), last: code[last] + noise}),
    }


def hand_in(folder: Path, student: str, name: str, notebook: Notebook) -> Path:
    """Put a notebook where ``nbgrader autograde`` looks for it."""
    path = folder / "submitted" / student / name / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path
