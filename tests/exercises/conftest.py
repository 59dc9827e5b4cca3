"""The tools of the exercises, importable in their tests."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT / "exercises" / "_tools", ROOT / "tests" / "exercises"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
