"""Hand in a solved ps-adam, as a student does: python tests/docs/hand_in.py STUDENT [damaged], in the course's folder.

``damaged``: it was in Colab, which took the cells' marks away, and one answer stands twice, in two versions.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for folder in ("tests/exercises", "exercises/_tools", "book/_tools"):
    sys.path.append(str(ROOT / folder))

import bank  # noqa: E402
import course  # noqa: E402


def main(student: str, how: str = "") -> None:
    name, ways = "ps-adam", course.ten_students("ps-adam")
    notebook = course.fill(course.release(name), ways["ada"].answers)
    if how == "damaged":
        notebook = ways["eli"].damage(notebook)
        knee = next(cell for cell in notebook["cells"] if "# exercise: adam-knee" in "".join(cell["source"]))
        notebook["cells"].append(
            knee | {"source": ["# exercise: adam-knee\n", "def adam_knee(*args):\n", "    return 1"]}
        )
    assert bank.assignment(name).points > 0
    course.hand_in(Path.cwd(), student, name, notebook)


if __name__ == "__main__":
    main(*sys.argv[1:])
