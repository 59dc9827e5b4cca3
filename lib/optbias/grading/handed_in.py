"""What a student handed in, as bytes: which file is the notebook, what lies beside it, when it came.

Nothing is followed and nothing is opened but ordinary files: a link in a submission may lead anywhere.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Any

from optbias.grading.assignment import Assignment, grade_id, metadata
from optbias.grading.restore import UnusableFile, functions, given_cells, parse

LARGEST_NOTEBOOK = 512 << 20
LARGEST_FILE = 8 << 20
LARGEST_TOGETHER = 32 << 20
MOST_FILES = 200
DEEPEST = 3


class Rejected(ValueError):
    """Nothing can be graded; the message can be sent to the student."""


@dataclass
class Handed:
    """A submission. ``files`` lie beside the notebook when it runs; ``repairs`` say what was already put right."""

    student: str
    name: str = ""
    notebook: bytes = b""
    files: dict[str, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)
    timestamp: str = ""
    fingerprint: str = ""


def collect(student: str, folder: Path, of: Assignment) -> Handed:
    """The submission in a folder. Raises :class:`Rejected` if there is no notebook in it."""
    handed = Handed(student)
    found = _files(folder, handed.notes)
    exact = f"{of.name}.ipynb"
    notebooks = [path for path in found if path.suffix == ".ipynb"]
    if not notebooks:
        held = ", ".join(sorted(path.name for path in found)[:5])
        odd = f"; {exact} is a folder or a link, not a file" if os.path.lexists(folder / exact) else ""
        raise Rejected(f"there is no notebook {exact} in what was handed in ({held or 'no file at all'}){odd}")
    chosen = _choose(notebooks, folder, of, handed)
    handed.name = chosen.name
    handed.notebook = _bytes(chosen, LARGEST_NOTEBOOK)
    if not handed.notebook and chosen.stat().st_size > LARGEST_NOTEBOOK:
        raise Rejected(
            f"{chosen.name} is larger than {LARGEST_NOTEBOOK >> 20} MiB: clear its outputs and hand in again"
        )
    together = 0
    for path in found:
        if path.suffix == ".ipynb" or path.parent != chosen.parent or path.name == "timestamp.txt":
            continue
        data = _bytes(path, LARGEST_FILE)
        if path.stat().st_size > LARGEST_FILE or together + len(data) > LARGEST_TOGETHER:
            handed.notes.append(f"{path.name} is too large and was left out")
        elif len(handed.files) < MOST_FILES:
            handed.files[path.name] = data
            together += len(data)
    if others := [path.name for path in notebooks if path != chosen]:
        handed.notes.append(f"other notebooks were left out: {', '.join(others[:5])}")
    handed.timestamp = _timestamp(folder, handed.notes)
    return handed


def _files(folder: Path, notes: list[str]) -> list[Path]:
    found: list[Path] = []
    waiting = [(folder, 0)]
    while waiting:
        here, depth = waiting.pop()
        try:
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError as error:
            notes.append(f"{here.name} cannot be read: {error.strerror}")
            continue
        for entry in entries:
            if entry.is_symlink():
                notes.append(f"{entry.name} is a link and was left out")
            elif entry.is_dir(follow_symlinks=False):
                if entry.name not in (".ipynb_checkpoints", "__pycache__", ".git") and depth < DEEPEST:
                    waiting.append((Path(entry.path), depth + 1))
            elif entry.is_file(follow_symlinks=False):
                if len(found) < 10 * MOST_FILES:
                    found.append(Path(entry.path))
            else:
                notes.append(f"{entry.name} is no ordinary file and was left out")
    return sorted(found, key=lambda path: (len(path.parts), path.name))


def _bytes(path: Path, most: int) -> bytes:
    """The bytes of an ordinary file that is not too large; opened so that a link in its place is refused."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode) or about.st_size > most:
            return b""
        return file.read(most)


def _choose(notebooks: list[Path], folder: Path, of: Assignment, handed: Handed) -> Path:
    exact = folder / f"{of.name}.ipynb"
    if exact in notebooks and (len(notebooks) == 1 or _fits(exact, of) > 0):
        return exact
    fitting = sorted(((_fits(path, of), -number, path) for number, path in enumerate(notebooks)), reverse=True)
    chosen = fitting[0][2]
    if fitting[0][0] == 0 and exact in notebooks:
        return exact
    if chosen != exact:
        handed.repairs.append(f"the notebook is {chosen.relative_to(folder)}, not {of.name}.ipynb")
    return chosen


def _fits(path: Path, of: Assignment) -> int:
    """How many answers of the assignment a file holds."""
    try:
        notebook, _ = parse(_bytes(path, LARGEST_NOTEBOOK), path)
    except (UnusableFile, OSError):
        return 0
    own = set(of.answers)
    names = {
        name
        for cell in of.release["cells"]
        if metadata(cell).get("solution") and cell["cell_type"] == "code"
        for name in functions("".join(cell["source"]))
    }
    count = 0
    for cell in given_cells(notebook):
        count += len(own & {cell.grade_id, cell.cell_id, *cell.anchors}) + len(names & cell.defines)
    return count


def _timestamp(folder: Path, notes: list[str]) -> str:
    """When it came, in UTC; '' if nobody says, or what is said cannot be read."""
    path = folder / "timestamp.txt"
    if path.is_symlink() or not path.is_file():
        return ""
    text = _bytes(path, 1000).decode("utf-8", "replace").strip()
    try:
        from dateutil.parser import parse as when

        moment = when(text)
    except (ImportError, ValueError, OverflowError, TypeError):
        notes.append(f"timestamp.txt cannot be read as a date ({text[:40]!r}): no time of hand-in, no late penalty")
        return ""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")
    except (OverflowError, ValueError):
        notes.append("timestamp.txt holds no date that a calendar has")
        return ""


def fingerprint(*parts: bytes) -> str:
    """A digest of a submission."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:24]


# -- answers in a Python file ------------------------------------------------------------------------------------------

_ANCHOR = re.compile(r"^# exercise: [a-z0-9-]+$", re.M)


def from_python(text: str, of: Assignment) -> dict[str, Any]:
    """A notebook made of a ``.py`` file: a cell for each ``# %%``, each anchor, or each function that is asked for."""
    own = {
        name
        for cell in of.release["cells"]
        if metadata(cell).get("solution") and cell["cell_type"] == "code"
        for name in functions("".join(cell["source"]))
    }
    pieces = re.split(r"(?m)^(?=# (?:%%|exercise: ))", text)
    cells = []
    for piece in pieces:
        if _ANCHOR.search(piece) or not functions(piece) & own:
            cells.append(piece)
        else:
            cells += _by_function(piece, own)
    return {
        "cells": [
            {
                "cell_type": "code",
                "execution_count": None,
                "id": f"piece-{number}",
                "metadata": {},
                "outputs": [],
                "source": re.sub(r"(?m)^# %%.*\n?", "", piece),
            }
            for number, piece in enumerate(cells)
            if piece.strip()
        ],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _by_function(piece: str, own: set[str]) -> list[str]:
    try:
        tree = ast.parse(piece)
    except SyntaxError:
        return [piece]
    rows = piece.splitlines(keepends=True)
    starts = [0]
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in own:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) - 1
            starts += [first, node.end_lineno or first + 1]
    return ["".join(rows[a:b]) for a, b in zip(sorted(set(starts)), [*sorted(set(starts))[1:], len(rows)], strict=True)]


def plain_file(path: Path, of: Assignment) -> Handed:
    """A submission that is one file, a notebook or a ``.py``. Raises :class:`Rejected`."""
    handed = Handed(path.stem, path.name)
    data = _bytes(path, LARGEST_NOTEBOOK)
    if path.suffix == ".py":
        data = json.dumps(from_python(data.decode("utf-8-sig", "replace"), of)).encode()
    handed.notebook = data
    return handed


def guess(data: bytes, path: Path, among: Mapping[str, Assignment]) -> str | None:
    """Which assignment a file answers: the one of which it holds the most answers; None if it holds none."""
    best, most = None, 0
    for name, of in among.items():
        if path.suffix == ".py":
            text = data.decode("utf-8-sig", "replace")
            own = {grade_id(cell) for cell in of.release["cells"] if metadata(cell).get("solution")}
            anchors = set(re.findall(r"(?m)^# exercise: ([a-z0-9-]+)$", text))
            names = {
                function
                for cell in of.release["cells"]
                if metadata(cell).get("solution") and cell["cell_type"] == "code"
                for function in functions("".join(cell["source"]))
            }
            count = len(own & anchors) + len(names & functions(text))
        else:
            count = _fits(path, of)
        if count > most:
            best, most = name, count
    return best
