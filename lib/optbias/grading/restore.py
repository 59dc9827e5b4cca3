"""Rebuild a notebook that was handed in on the release, so that nbgrader can grade it.

A notebook that was in Colab, or whose cells were split, copied, moved or deleted, may come back without the
metadata by which nbgrader finds answers and tests. Then nbgrader gives 0 points, or stops the whole class. ::

    python -m optbias.grading.restore SUBMITTED.ipynb --release RELEASE.ipynb --out FILE

takes everything from the release and only the answers, and the cells that the student added, from what was
handed in. An answer is found by its grade id, else by its cell id, else by its anchor line (``# exercise: NAME``),
else by the name of the function that it defines. What is not certain is reported and left open, never guessed.

Exit status: 0 every answer is certain, 1 the file is written but somebody has to look, 2 nothing is written.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STUB = "raise NotImplementedError"
WRITTEN_STUB = "YOUR ANSWER HERE"

_ANCHOR = re.compile(r"^\s*(?:#\s*|\*\*)exercise:\s*([a-z0-9-]+?)(?:\*\*)?\s*$", re.M)
_MERGE = re.compile(r"^(<{7} |={7}$|>{7} )", re.M)
_INSTALL = re.compile(r"^\s*[%!]\s*(pip|conda|mamba|apt|apt-get)\b")


LARGEST_CELL = 2**20
"""Characters of one cell; text that a student typed is a hundredth of that."""


class UnusableFile(ValueError):
    """A file from which nothing can be restored; the message says why, and what to do."""


@dataclass(frozen=True)
class Finding:
    """What became of one answer. ``how``: grade id, cell id, anchor, name, not answered, uncertain."""

    answer: str
    how: str
    detail: str = ""

    @property
    def certain(self) -> bool:
        """Whether nobody has to look."""
        return self.how != "uncertain"

    def __str__(self) -> str:
        shown = {
            "grade id": "kept, found by its grade id",
            "cell id": "restored, found by its cell id",
            "anchor": "restored, found by its anchor line",
            "name": "restored, found by the function that it defines",
            "not answered": "not answered",
            "uncertain": "NOT CERTAIN, left open",
        }[self.how]
        return f"{self.answer}: {shown}" + (f" ({self.detail})" if self.detail else "")


@dataclass
class Report:
    """What was done: a finding for each answer, and notes on the rest."""

    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def certain(self) -> bool:
        """Whether every answer is."""
        return all(finding.certain for finding in self.findings)

    def __str__(self) -> str:
        return "\n".join([*map(str, self.findings), *self.notes])

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "certain": self.certain,
            "answers": [{"answer": f.answer, "how": f.how, "detail": f.detail} for f in self.findings],
            "notes": self.notes,
        }


@dataclass
class Given:
    """A cell that was handed in, as far as it can be read."""

    index: int
    kind: str
    source: str
    cell_id: str
    grade_id: str

    @property
    def number(self) -> str:
        """How a person finds it."""
        return f"cell {self.index + 1}"

    @property
    def anchors(self) -> list[str]:
        """The answers whose anchor lines it holds."""
        return list(dict.fromkeys(_ANCHOR.findall(self.source)))

    @property
    def defines(self) -> set[str]:
        """The functions that it defines."""
        return functions(self.source) if self.kind == "code" else set()


# -- reading -------------------------------------------------------------------------------------------------


def read(path: Path) -> tuple[dict[str, Any], list[str]]:
    """The notebook in a file and what had to be overlooked; UnusableFile says why it cannot be read."""
    if not path.exists():
        raise UnusableFile(f"{path}: there is no such file")
    if path.is_dir():
        raise UnusableFile(f"{path} is a folder; a notebook is expected")
    return parse(path.read_bytes(), path)


def parse(data: bytes, path: Path) -> tuple[dict[str, Any], list[str]]:
    """The notebook in the bytes of a file, as :func:`read`; ``path`` is for messages."""
    if not data.strip():
        raise UnusableFile(f"{path} is empty: ask for the file again")
    notes = []
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = data.decode("utf-16", errors="replace")
        notes.append("the file was in UTF-16")
    else:
        text = data.decode("utf-8-sig", errors="replace")
        if lost := text.count("\N{REPLACEMENT CHARACTER}") - data.count("\N{REPLACEMENT CHARACTER}".encode()):
            notes.append(f"{lost} characters were not UTF-8 and cannot be read")
    if _MERGE.search(text):
        merged = _both_sides(text)
        if merged is None:
            raise UnusableFile(f"{path} holds Git's merge markers (<<<<<<<): resolve the conflict, then hand in again")
        return merged, [*notes, "the file held Git's merge markers: both sides were read"]
    try:
        notebook = json.loads(text, parse_int=_integer)
    except json.JSONDecodeError as error:
        if text.lstrip()[:1] == "{" and text.rstrip()[-1:] != "}":
            raise UnusableFile(f"{path} is cut off in the middle: ask for the file again") from None
        if text.lstrip()[:1] == "<":
            raise UnusableFile(f"{path} is a web page, not a notebook: download the .ipynb itself") from None
        raise UnusableFile(f"{path} is not a notebook (no JSON: {error.msg} in line {error.lineno})") from None
    except RecursionError:
        raise UnusableFile(f"{path} is not a notebook (nested without end)") from None
    if not isinstance(notebook, dict) or "cells" not in notebook:
        if isinstance(notebook, dict) and "worksheets" in notebook:
            raise UnusableFile(f"{path} is in the notebook format 3 of before 2015: open it and save it again")
        raise UnusableFile(f"{path} is JSON, but not a notebook: it has no cells")
    if not isinstance(notebook["cells"], list):
        raise UnusableFile(f"{path} is JSON, but not a notebook: its cells are not a list")
    return notebook, notes


def _integer(text: str) -> int:
    """A whole number of JSON; 0 for one with more digits than Python reads (a notebook needs none)."""
    return int(text) if len(text) < 1000 else 0


def _both_sides(text: str) -> dict[str, Any] | None:
    """A notebook with the cells of both sides of a merge, equal ones once; None if a side is no notebook.

    Answers that differ between the sides are then found twice, and left open like any two copies that differ.
    """
    sides: tuple[list[str], list[str]] = ([], [])
    into: tuple[int, ...] = (0, 1)
    for row in text.splitlines(keepends=True):
        if row.startswith("<<<<<<< "):
            into = (0,)
        elif row.startswith("||||||| "):
            into = ()
        elif row.rstrip("\r\n") == "=======":
            into = (1,)
        elif row.startswith(">>>>>>> "):
            into = (0, 1)
        else:
            for side in into:
                sides[side].append(row)
    try:
        ours, theirs = (json.loads("".join(side), parse_int=_integer) for side in sides)
        both = [*ours["cells"]]
        seen = {json.dumps(cell.get("source"), sort_keys=True) for cell in both}
        both += [cell for cell in theirs["cells"] if json.dumps(cell.get("source"), sort_keys=True) not in seen]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return {**ours, "cells": both}


def given_cells(notebook: dict[str, Any]) -> list[Given]:
    """The cells of a notebook, whatever is wrong with their metadata."""
    found = []
    for index, cell in enumerate(notebook["cells"]):
        if not isinstance(cell, dict):
            continue
        source = cell.get("source", "")
        text = "".join(map(str, source)) if isinstance(source, list) else source if isinstance(source, str) else ""
        if len(text) > LARGEST_CELL:
            text = f"# This cell held {len(text):,} characters. It was left out: nobody types so much.\n"
        metadata = cell.get("metadata")
        nbgrader = metadata.get("nbgrader") if isinstance(metadata, dict) else None
        grade_id = nbgrader.get("grade_id") if isinstance(nbgrader, dict) else None
        found.append(
            Given(
                index,
                str(cell.get("cell_type", "code")),
                text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode("utf-8"),
                cell["id"] if isinstance(cell.get("id"), str) else "",
                grade_id if isinstance(grade_id, str) else "",
            )
        )
    return found


def functions(source: str) -> set[str]:
    """The names of the functions that a piece of code defines at its top level; by their lines if it does not parse."""
    rows = ["" if row.lstrip().startswith(("%", "!")) else row for row in source.splitlines()]
    try:
        tree = ast.parse("\n".join(rows))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set(re.findall(r"^def (\w+)\s*\(", source, re.M))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


# -- matching ------------------------------------------------------------------------------------------------


def same_text(a: str, b: str) -> bool:
    """Whether two cells read the same, blanks at line ends and around aside."""
    return [row.rstrip() for row in a.strip().splitlines()] == [row.rstrip() for row in b.strip().splitlines()]


def unanswered(cell: Given, stub: str) -> bool:
    """Whether an answer's cell still holds the stub, or nothing."""
    without = _ANCHOR.sub("", cell.source).strip()
    return not without or same_text(cell.source, stub) or same_text(without, _ANCHOR.sub("", stub))


def find(name: str, stub: str, kind: str, cells: Sequence[Given]) -> tuple[Given | None, Finding]:
    """The cell that holds the answer ``name``, and how it was found; no cell if it is not certain."""
    empty: Given | None = None
    for how, candidates in (
        ("grade id", [c for c in cells if c.grade_id == name]),
        ("cell id", [c for c in cells if c.cell_id == name]),
        ("anchor", [c for c in cells if name in c.anchors]),
        ("name", [c for c in cells if c.kind == "code" and functions(stub) & c.defines] if kind == "code" else []),
    ):
        answered = [cell for cell in candidates if not unanswered(cell, stub)]
        if not answered:
            empty = empty or (candidates[0] if candidates else None)
            continue
        # A cell that was split keeps its metadata twice; the anchor stays in one of the parts.
        anchored = [cell for cell in answered if name in cell.anchors]
        if len(answered) > 1 and len(anchored) == 1:
            answered = anchored
        if any(not same_text(cell.source, answered[0].source) for cell in answered[1:]):
            where = ", ".join(cell.number for cell in answered)
            return None, Finding(name, "uncertain", f"several cells differ: {where}")
        chosen = answered[0]
        if others := [other for other in chosen.anchors if other != name]:
            return None, Finding(
                name, "uncertain", f"{chosen.number} has the {how} of this answer and the anchor of {', '.join(others)}"
            )
        if how == "name" and chosen.grade_id and chosen.grade_id != name:
            return None, Finding(name, "uncertain", f"{chosen.number} belongs to {chosen.grade_id}")
        return chosen, Finding(name, how, note_on(chosen, kind))
    if empty is not None:
        return empty, Finding(name, "not answered")
    return None, Finding(name, "uncertain", "no cell of what was handed in can be told to be this answer")


def note_on(cell: Given, kind: str) -> str:
    """What a person may want to know of a cell that was found."""
    return cell.number if cell.kind == kind else f"{cell.number}; it was a {cell.kind} cell"


# -- rebuilding ----------------------------------------------------------------------------------------------


def restore(submitted: dict[str, Any], release: dict[str, Any]) -> tuple[dict[str, Any], Report]:
    """The release with the answers, and the added cells, of what was handed in; and what was done.

    Raises UnusableFile if the notebook belongs to another assignment.
    """
    cells, report = given_cells(submitted), Report()
    frame = release["cells"]
    names = [grade_id(cell) for cell in frame]
    answers = {name: i for i, name in enumerate(names) if name and frame[i]["metadata"]["nbgrader"].get("solution")}
    _require_own(cells, answers, frame)

    chosen: dict[int, Given] = {}  # position in the release -> the cell that was handed in
    for name, position in answers.items():
        cell, finding = find(name, text_of(frame[position]), frame[position]["cell_type"], cells)
        report.findings.append(finding)
        if cell is not None:
            chosen[position] = cell
    taken = [cell.index for cell in chosen.values()]
    for name, position in answers.items():
        if position in chosen and taken.count(chosen[position].index) > 1:
            cell = chosen[position]
            number = [f.answer for f in report.findings].index(name)
            report.findings[number] = Finding(name, "uncertain", f"{cell.number} was found for several answers")
    open_ = {finding.answer for finding in report.findings if not finding.certain}
    chosen = {position: cell for position, cell in chosen.items() if names[position] not in open_}

    added = _added(cells, frame, chosen, set(answers), report)
    rebuilt: list[dict[str, Any]] = [*added.get(-1, [])]
    for position, cell in enumerate(frame):
        new = json.loads(json.dumps(cell))
        if position in chosen:
            new["source"] = chosen[position].source.splitlines(keepends=True)
        rebuilt += [new, *added.get(position, [])]
    return {**json.loads(json.dumps(release)), "cells": rebuilt}, report


def grade_id(cell: dict[str, Any]) -> str:
    """The grade id of a cell of a release, or ''."""
    return cell["metadata"].get("nbgrader", {}).get("grade_id", "")


def text_of(cell: dict[str, Any]) -> str:
    """The text of a cell of a release."""
    return "".join(cell["source"])


def _require_own(cells: Sequence[Given], answers: dict[str, int], frame: list[dict[str, Any]]) -> None:
    own = {functions_name for position in answers.values() for functions_name in functions(text_of(frame[position]))}
    seen = {name for cell in cells for name in (cell.grade_id, cell.cell_id, *cell.anchors)}
    if seen & set(answers) or any(cell.defines & own for cell in cells):
        return
    others = sorted({name for cell in cells for name in cell.anchors})
    what = f"it answers {', '.join(others)}" if others else "no cell has an id, an anchor or a function of it"
    raise UnusableFile(f"this is not the assignment with {', '.join(sorted(answers))}: {what}")


def _added(
    cells: Sequence[Given],
    frame: list[dict[str, Any]],
    chosen: dict[int, Given],
    answers: set[str],
    report: Report,
) -> dict[int, list[dict[str, Any]]]:
    """The student's own cells, by the position in the release after which they stand (-1: before everything)."""
    at = {cell.index: position for position, cell in chosen.items()}
    texts = {text_of(cell).strip(): position for position, cell in reversed(list(enumerate(frame)))}
    locked = {grade_id(cell) for cell in frame} - answers - {""}
    uncertain = {finding.answer for finding in report.findings if not finding.certain}
    place = -1
    added: dict[int, list[dict[str, Any]]] = {}
    left_out: list[str] = []
    for cell in cells:
        if cell.index in at:
            place = at[cell.index]
            continue
        if cell.source.strip() in texts:
            place = max(place, texts[cell.source.strip()])
            continue
        if not cell.source.strip() or cell.grade_id in locked or cell.source.startswith("# tests: "):
            continue  # empty, or a test: tests come from the release
        if set(cell.anchors) & answers or cell.grade_id in uncertain:
            # A copy of an answer, or a candidate for one that is open: not run, or it would count as the answer.
            if cell.grade_id in answers and not cell.anchors and cell.grade_id not in uncertain:
                pass  # the second part of a cell that was split
            else:
                left_out.append(f"{cell.number} (another cell of an answer)")
                continue
        if is_badge(cell) or is_install(cell):
            left_out.append(f"{cell.number} ({'a badge' if is_badge(cell) else 'it installs packages'})")
            continue
        if cell.kind not in ("code", "markdown"):
            left_out.append(f"{cell.number} (a {cell.kind} cell)")
            continue
        count = sum(map(len, added.values())) + 1
        added.setdefault(place, []).append(_own_cell(cell, count))
    if count := sum(map(len, added.values())):
        report.notes.append(f"{count} added or changed cells are kept in their places")
    if left_out:
        report.notes.append("left out: " + ", ".join(left_out))
    return added


def is_badge(cell: Given) -> bool:
    """Whether it is the line with a button that Colab puts on top."""
    return cell.kind == "markdown" and "colab-badge" in cell.source and len(cell.source) < 1000


def is_install(cell: Given) -> bool:
    """Whether a cell does nothing but install packages."""
    rows = [row for row in cell.source.splitlines() if row.strip() and not row.lstrip().startswith("#")]
    return cell.kind == "code" and bool(rows) and all(_INSTALL.match(row) for row in rows)


def _own_cell(cell: Given, count: int) -> dict[str, Any]:
    new: dict[str, Any] = {
        "cell_type": cell.kind,
        "id": f"added-{count}",
        "metadata": {},
        "source": cell.source.splitlines(keepends=True),
    }
    return new if cell.kind == "markdown" else {**new, "execution_count": None, "outputs": []}


# -- the command ---------------------------------------------------------------------------------------------


def restore_file(submitted: Path, release: Path, out: Path) -> Report:
    """Restore one file; ``out`` appears whole or not at all. Raises UnusableFile."""
    frame, _ = read(release)
    if not any(isinstance(cell, dict) and cell.get("metadata", {}).get("nbgrader") for cell in frame["cells"]):
        raise UnusableFile(f"{release} is not a release: it has no cells of nbgrader's")
    notebook, notes = read(submitted)
    try:
        rebuilt, report = restore(notebook, frame)
    except UnusableFile as error:
        raise UnusableFile(f"{submitted}: {error}") from None
    report.notes = notes + report.notes
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(out.name + ".part")
    part.write_text(json.dumps(rebuilt, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(part, out)
    return report


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("submitted", type=Path, metavar="SUBMITTED.ipynb", help="what was handed in")
    parser.add_argument("--release", type=Path, required=True, metavar="RELEASE.ipynb", help="the student's version")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the restored notebook goes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there, too, as JSON")


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    try:
        report = restore_file(options.submitted, options.release, options.out)
    except UnusableFile as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(report)
    if options.json:
        options.json.write_text(json.dumps(report.as_dict(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return 0 if report.certain else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m optbias.grading.restore``."""
    parser = argparse.ArgumentParser(description="Rebuild a notebook that was handed in on the release.")
    configure(parser)
    return run(parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
