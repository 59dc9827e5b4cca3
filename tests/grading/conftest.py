"""The tools of the exercises' tests, importable here, too."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for folder in ("exercises/_tools", "tests/exercises", "tests/grading"):
    if str(ROOT / folder) not in sys.path:
        sys.path.insert(0, str(ROOT / folder))
