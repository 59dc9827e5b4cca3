"""The registry of grade ids, ``exercises/grade-ids.txt``: an id is unique, stays, and is never used again.

A gradebook knows a student's points by grade id. An id that changes its meaning between two years, or between
a release and its correction, mixes grades up. So an id is written down once, with the assignment and the kind of
cell, and when it goes out of use its line stays, marked ``retired``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from assignments import EXERCISES, Assignment, TextError

FILE = "grade-ids.txt"
KINDS = ("answer", "tests", "written")


def entries(folder: Path = EXERCISES) -> dict[str, tuple[str, str, bool]]:
    """By grade id: its assignment, its kind, and whether it is retired."""
    found: dict[str, tuple[str, str, bool]] = {}
    path = folder / FILE
    rows = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for number, row in enumerate(rows, 1):
        words = row.split("#")[0].split()
        if not words:
            continue
        if len(words) not in (3, 4) or words[2] not in KINDS or words[3:] not in ([], ["retired"]):
            raise TextError(f"{FILE}, line {number}: expected 'id assignment kind [retired]'; got {row!r}")
        if words[0] in found:
            raise TextError(f"{FILE}, line {number}: {words[0]!r} stands twice; an id is never used again")
        found[words[0]] = (words[1], words[2], len(words) == 4)
    return found


def used(of: Assignment) -> dict[str, str]:
    """The grade ids of an assignment and the kinds of their cells."""
    return {cell.name: cell.kind for cell in of.cells if cell.kind in KINDS}


def check(read: Iterable[Assignment], folder: Path = EXERCISES) -> None:
    """TextError unless each id of these assignments is registered as what it is, and each registered one is used."""
    known = entries(folder)
    for of in read:
        ids = used(of)
        for name, kind in ids.items():
            if name not in known:
                raise TextError(f"{of.name}: the grade id {name!r} is not registered; run derive.py --register")
            if known[name] != (of.name, kind, False):
                was = f"{known[name][1]} of {known[name][0]}" + (", retired" if known[name][2] else "")
                raise TextError(f"{of.name}: the grade id {name!r} is taken ({was}); choose another")
        for name, (assignment, _, retired) in known.items():
            if assignment == of.name and not retired and name not in ids:
                raise TextError(f"{of.name}: {name!r} is registered and not used; mark its line in {FILE} 'retired'")


def register(read: Iterable[Assignment], folder: Path = EXERCISES) -> list[str]:
    """Add the ids that are new; returns them."""
    path, known = folder / FILE, entries(folder)
    new = [(of.name, name, kind) for of in read for name, kind in used(of).items() if name not in known]
    if new:
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        rows = "".join(f"{name:<40} {assignment:<22} {kind}\n" for assignment, name, kind in new)
        part = path.with_name(path.name + ".part")
        part.write_text(before + rows, encoding="utf-8")
        os.replace(part, path)
    return [name for _, name, _ in new]
