"""Derive the nbgrader notebooks of every assignment from its text, ``exercises/text/NAME.md``.

    python exercises/_tools/derive.py [NAME ...]       write source, rubric and release of all (or the named) ones
        --check         write nothing; fail if something would change
        --register      add new grade ids to exercises/grade-ids.txt first
        --no-release    leave the releases alone (they need nbgrader, and seconds)
        --validate      afterwards run both notebooks through nbgrader's validation

``exercises/source/NAME/NAME.ipynb`` is the instructor's notebook in nbgrader's own markup.
``exercises/release/NAME/NAME.ipynb`` is what ``nbgrader generate_assignment`` makes of it: the student's.
``exercises/rubrics/NAME.md`` holds the rubrics with their sample answers, for those who grade.
The same texts give the same bytes.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

ROOT = Path(__file__).resolve().parents[2]
for _folder in ("book/_tools", "exercises/_tools"):
    if str(ROOT / _folder) not in sys.path:
        sys.path.append(str(ROOT / _folder))

import assignments  # noqa: E402
import registry  # noqa: E402
from assignments import Assignment, Cell, TextError  # noqa: E402
from notebooks import BOOTSTRAP, Book, TranslationError, Translator  # noqa: E402
from optbias.exercises import get as task  # noqa: E402
from project import Project  # noqa: E402

WRITTEN_ANCHOR = "**exercise: {name}**"


# -- the instructor's notebook -------------------------------------------------------------------------------


@functools.cache
def book(root: Path) -> Book:
    """The book, for links from an assignment into it."""
    return Book(Project(root))


def source(of: Assignment, root: Path = ROOT) -> str:
    """The text of the instructor's notebook."""
    project = Project(root)
    translator = Translator(book(root), of.name)
    cells: list[dict] = [
        _cell("code", BOOTSTRAP.format(install=project.install_command).rstrip(), {"tags": ["colab-only"]}),
        _cell("markdown", buttons(of.name, project)),
    ]
    for cell in of.cells:
        if cell.kind == "markdown":
            cells.append(_cell("markdown", translator.cell(cell.source)))
        elif cell.kind == "code":
            cells.append(_cell("code", cell.source, {"tags": cell.tags} if cell.tags else {}))
        elif cell.kind == "answer":
            cells.append(_cell("markdown", worth(of, cell)))
            cells.append(_graded("code", cell.name, cell.source, solution=True))
        elif cell.kind == "tests":
            cells.append(_graded("code", cell.name, visible_part(cell) + cell.source, points=cell.points))
        elif cell.kind == "written":
            cells.append(_cell("markdown", f"> **{cell.name}**: {points(cell.points)}, graded by a person."))
            text = "\n".join(
                [
                    WRITTEN_ANCHOR.format(name=cell.name),
                    "",
                    assignments.BEGIN_SOLUTION,
                    translator.cell(cell.source),
                    assignments.END_SOLUTION,
                ]
            )
            cells.append(_graded("markdown", cell.name, text, points=cell.points, solution=True))
    content = {
        "cells": _named(of.name, cells),
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def visible_part(tests: Cell) -> str:
    """What students see of a test cell: what it looks at, and that it wants an answer."""
    return (
        f"# tests: {tests.name} ({points(tests.points)}): {tests.about}\n"
        "from optbias.exercises import exam\n"
        "\n"
        f'answer = exam("{tests.task}")\n'
    )


def worth(of: Assignment, answer: Cell) -> str:
    """The box above an answer: its points, test by test, and its time limit."""
    tests = of.tests_of[answer.name]
    total = points(sum(test.points for test in tests))
    limit = f"{task(answer.name).seconds:g} seconds"
    rows = [f"> | {points(test.points)} | {test.about} |" for test in tests]
    return "\n".join(
        [
            f"> **{answer.name}**: {total}, tested with numbers that you do not see. "
            f"The calls of one test may take {limit} together.",
            ">",
            "> | worth | what is tested |",
            "> | --- | --- |",
            *rows,
        ]
    )


def points(number: float) -> str:
    """``"1 point"``, ``"2.5 points"``."""
    return f"{number:g} point" + ("" if number == 1 else "s")


def buttons(name: str, project: Project) -> str:
    """The line that opens the release on Colab and Binder. The addresses come from _config.yml."""
    owner_and_name = urlsplit(project.repository).path.strip("/")
    path = f"exercises/release/{name}/{name}.ipynb"
    launch = project.config["launch_buttons"]
    colab = f"{launch['colab_url']}/github/{owner_and_name}/blob/{project.branch}/{path}"
    lab = quote(f"lab/tree/{path}", safe="")
    binder = f"{launch['binderhub_url']}/v2/gh/{owner_and_name}/{project.branch}?urlpath={lab}"
    return (
        f"[**Open in Colab**]({colab}) · [**Open in Binder**]({binder}) · "
        f"an assignment of the course [{project.config['title']}]({project.site}/)\n\n"
        "Write your answers into the cells that begin with `# exercise: ...` and keep that line: an answer is found "
        "by it. Run `check(...)` as often as you like. Add cells where you need them."
    )


def _cell(kind: str, text: str, metadata: dict | None = None) -> dict:
    cell = {"cell_type": kind, "metadata": metadata or {}, "source": text.splitlines(keepends=True)}
    return cell if kind == "markdown" else {**cell, "execution_count": None, "outputs": []}


def _graded(kind: str, name: str, text: str, points: float = 0.0, solution: bool = False) -> dict:
    """A cell in nbgrader's markup, schema 3: an answer, tests (locked), or a written answer (both)."""
    nbgrader = {
        "cell_type": kind,
        "grade": points > 0,
        "grade_id": name,
        "locked": not solution,
        "schema_version": 3,
        "solution": solution,
        "task": False,
    }
    if points > 0:
        nbgrader["points"] = int(points) if points == int(points) else points
    return _cell(kind, text, {"nbgrader": nbgrader} | ({} if solution else {"deletable": False, "editable": False}))


def _named(assignment: str, cells: list[dict]) -> list[dict]:
    """Cell ids that stay as they are when cells are added elsewhere: the grade id, or a digest of the text."""
    taken: set[str] = set()
    for cell in cells:
        name = cell["metadata"].get("nbgrader", {}).get("grade_id")
        count = 0
        while name is None or name in taken:
            text = "".join(cell["source"])
            name = hashlib.sha256(f"{assignment}\0{count}\0{text}".encode()).hexdigest()[:12]
            count += 1
        taken.add(name)
        cell["id"] = name
    return cells


def rubric(of: Assignment, root: Path = ROOT) -> str:
    """The page with the rubrics, for those who grade by hand; empty if nothing is graded by hand."""
    translator = Translator(book(root), of.name)
    parts = [f"# {of.title}: rubrics\n\nFor those who grade. Derived from `exercises/text/{of.name}.md`.\n"]
    written = of.of("written")
    for cell in of.cells:
        if cell.kind == "rubric":
            parts.append(f"## {cell.name} ({points(written[cell.name].points)})\n")
            parts.append(f"### Model answer\n\n{translator.cell(written[cell.name].source)}\n")
            parts.append(f"### Rubric and sample answers\n\n{translator.cell(cell.source)}\n")
    return "\n".join(parts) if len(parts) > 1 else ""


# -- the student's notebook, by nbgrader ---------------------------------------------------------------------


@contextlib.contextmanager
def course(sources: dict[str, str], root: Path = ROOT) -> Iterator[Path]:
    """A course in a temporary folder, with these instructor's notebooks and an empty gradebook."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        shutil.copy(root / "exercises" / "nbgrader_config.py", here)
        for name, text in sources.items():
            (here / "source" / name).mkdir(parents=True)
            (here / "source" / name / f"{name}.ipynb").write_text(text, encoding="utf-8", newline="\n")
        yield here


def application(folder: Path) -> object:
    """nbgrader's own programming interface, for the course in ``folder``."""
    # jsonschema tries to load this grammar of 1.7 seconds, and does without it.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    # nbgrader calls `alembic` by name to learn the version of its database: it lies beside this Python.
    beside = str(Path(sys.executable).parent)
    if beside not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([beside, os.environ.get("PATH", "")])
    from nbgrader.apps import NbGraderAPI
    from traitlets.config.loader import PyFileConfigLoader

    config = PyFileConfigLoader("nbgrader_config.py", path=str(folder)).load_config()
    config.CourseDirectory.root = str(folder)
    config.CourseDirectory.db_url = f"sqlite:///{folder}/gradebook.db?timeout=60"
    logging.getLogger("traitlets").setLevel(logging.ERROR)
    return NbGraderAPI(config=config)


def releases(sources: dict[str, str], root: Path = ROOT) -> dict[str, str]:
    """The student's notebooks that ``nbgrader generate_assignment`` makes of the instructor's."""
    made = {}
    with course(sources, root) as here:
        api = application(here)
        for name in sources:
            result = api.generate_assignment(name)  # type: ignore[attr-defined]
            if not result["success"]:
                raise TextError(
                    f"{name}: nbgrader generate_assignment failed\n{result.get('log', '')}\n{result.get('error', '')}"
                )
            text = (here / "release" / name / f"{name}.ipynb").read_text(encoding="utf-8")
            made[name] = text if text.endswith("\n") else text + "\n"
    return made


def validate(folder: Path, name: str) -> list[str]:
    """What nbgrader's validation finds wrong: the source must pass every test, the release fail every one."""
    problems = []
    of = assignments.read(name, folder)
    tests = [cell for cell in of.cells if cell.kind == "tests"]
    api = application(folder)
    from nbgrader.validator import Validator

    validator = Validator(parent=api.coursedir)  # type: ignore[attr-defined]
    validator.ignore_checksums = True
    found = {kind: validator.validate(str(folder / kind / name / f"{name}.ipynb")) for kind in ("source", "release")}
    problems += [
        f"{name}: the reference fails nbgrader's validation\n{failed['source'].splitlines()[0]}\n{failed['raw_error']}"
        for failed in found["source"].get("failed", [])
    ]
    failing = {failed["source"].splitlines()[0] for failed in found["release"].get("failed", [])}
    for cell in tests:
        if visible_part(cell).splitlines()[0] not in failing:
            problems.append(f"{name}: the empty notebook passes {cell.name}")
    return problems


# -- writing ---------------------------------------------------------------------------------------------------


def derive(names: list[str], root: Path = ROOT, release: bool = True) -> dict[Path, str]:
    """Path and text of everything that is derived from the texts of ``names``."""
    folder = root / "exercises"
    read = {name: assignments.read(name, folder) for name in names}
    registry.check(read.values(), folder)
    sources = {}
    for name, of in read.items():
        try:
            sources[name] = source(of, root)
        except TranslationError as error:
            raise error.at(root / "exercises" / "text" / f"{name}.md", root) from None
    made = {folder / "source" / name / f"{name}.ipynb": text for name, text in sources.items()}
    made |= {folder / "rubrics" / f"{name}.md": text for name, of in read.items() if (text := rubric(of, root))}
    if release:
        for name, text in releases(sources, root).items():
            made[folder / "release" / name / f"{name}.ipynb"] = text
    return made


def orphans(root: Path = ROOT) -> list[Path]:
    """Derived files without a text."""
    folder, known = root / "exercises", set(assignments.names(root / "exercises"))
    there = [*folder.glob("source/*/*.ipynb"), *folder.glob("release/*/*.ipynb"), *folder.glob("rubrics/*.md")]
    return sorted(path for path in there if path.stem not in known)


def write(made: dict[Path, str]) -> list[Path]:
    """Write what differs, each file whole or not at all; the paths written."""
    changed = [p for p, text in made.items() if not p.exists() or p.read_text(encoding="utf-8") != text]
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        part.write_text(made[path], encoding="utf-8", newline="\n")
        os.replace(part, path)
    return changed


def main(arguments: list[str] | None = None) -> int:
    """The command; 0 if all is well."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="assignments (all)")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if something would change")
    parser.add_argument("--register", action="store_true", help="add new grade ids to the registry first")
    parser.add_argument("--no-release", action="store_true", help="leave the releases alone")
    parser.add_argument("--validate", action="store_true", help="then run nbgrader's validation")
    options = parser.parse_args(arguments)
    folder = ROOT / "exercises"
    try:
        names = options.names or assignments.names(folder)
        if unknown := set(names) - set(assignments.names(folder)):
            raise TextError(f"no text for {', '.join(sorted(unknown))} in {folder / 'text'}")
        if options.register:
            for name in registry.register([assignments.read(name, folder) for name in names], folder):
                print(f"registered {name}")
        made = derive(names, release=not options.no_release)
        if options.check:
            different = [p for p, text in made.items() if not p.exists() or p.read_text(encoding="utf-8") != text]
            for path in (*different, *orphans()):
                print(f"{path.relative_to(ROOT)} is not as derived: run make exercises")
            return 1 if different or orphans() else 0
        for path in write(made):
            print(f"derived {path.relative_to(ROOT)}")
        for path in orphans():
            path.unlink()
            print(f"removed {path.relative_to(ROOT)}: it has no text")
        problems = [problem for name in names for problem in validate(folder, name)] if options.validate else []
    except (TextError, TranslationError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    if options.validate and not problems:
        print(f"validated {len(names)}: the references pass every test, the empty notebooks fail every one")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
