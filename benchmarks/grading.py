"""Twenty submissions with torch: ``python -m optbias grade``, in its sandbox, against ``nbgrader autograde``."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NAME = "ps-adam"
STUDENTS = 20
TARGET = 3.0


def _course(folder: Path) -> None:
    """A course in which twenty students handed in the reference's answers."""
    for part in ("source", "release"):
        shutil.copytree(ROOT / "exercises" / part / NAME, folder / part / NAME)
    for part in ("rubrics", "templates"):
        shutil.copytree(ROOT / "exercises" / part, folder / part)
    shutil.copy(ROOT / "exercises" / "nbgrader_config.py", folder)
    notebook = json.loads((folder / "source" / NAME / f"{NAME}.ipynb").read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = [row for row in cell["source"] if "SOLUTION" not in row]
        if cell["metadata"].get("nbgrader", {}).get("grade") and cell["cell_type"] == "code":
            cell["source"] = cell["source"][:4]
    for number in range(STUDENTS):
        where = folder / "submitted" / f"student-{number:02d}" / NAME
        where.mkdir(parents=True)
        (where / f"{NAME}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")


def _run(folder: Path, *command: str) -> tuple[float, float]:
    """Seconds by the clock and CPU seconds (its children's, too) of a command. Raises if it fails."""
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "OPTBIAS_EXAM_SEED": "benchmark",
        "OMP_NUM_THREADS": "1",
    }
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-m", *command], cwd=folder, env=environment, check=True, capture_output=True)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def run(repeats: int) -> dict[str, Any]:
    """Grade the class both ways, ``repeats`` times at most twice in turn, and report the best of each."""
    from optbias.grading import sandbox

    if reason := sandbox.why_not():
        print(f"\ngrading: left out, {reason}")
        return {"left out": reason}
    times: dict[str, list[tuple[float, float]]] = {"nbgrader autograde": [], "python -m optbias grade": []}
    with tempfile.TemporaryDirectory() as name:
        for _ in range(min(repeats, 2)):
            for kind, found in times.items():
                folder = Path(name) / "course"
                folder.mkdir()
                _course(folder)
                _run(folder, "nbgrader", "generate_assignment", NAME, "--force")
                command = ["nbgrader", "autograde", NAME] if kind.startswith("nbgrader") else ["optbias", "grade", NAME]
                found.append(_run(folder, *command))
                shutil.rmtree(folder)
    best = {kind: (min(wall for wall, _ in found), min(cpu for _, cpu in found)) for kind, found in times.items()}
    stock, ours = best["nbgrader autograde"], best["python -m optbias grade"]
    print(f"\ngrading {STUDENTS} submissions of {NAME} ({os.cpu_count()} cores, sandbox on)")
    for kind, (wall, cpu) in best.items():
        clock = f"{wall:8.1f} s by the clock, {wall / STUDENTS:6.2f} a student"
        print(f"  {kind:<24} {clock}; {cpu:8.1f} CPU seconds of what was waited for")
    print(
        f"  {stock[0] / ours[0]:.1f} times as fast by the clock (target: at least {TARGET:g}), "
        f"{stock[1] / ours[1]:.1f} in CPU time"
    )
    return {
        "students": STUDENTS,
        "seconds": {kind: wall for kind, (wall, _) in best.items()},
        "cpu seconds": {kind: cpu for kind, (_, cpu) in best.items()},
        "ratio": stock[0] / ours[0],
        "ratio of CPU time": stock[1] / ours[1],
        "target": TARGET,
    }
