"""The notebooks are exactly what is derived from the texts, and nothing in a release gives an answer away."""

from __future__ import annotations

import ast
import functools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import assignments
import bank
import course
import derive
import optbias
from project import Project

NAMES = bank.readable()
SAMPLE = "ps-adam"
FOLDER = assignments.EXERCISES
PROJECT = Project()


@functools.cache
def notebook(kind: str, name: str) -> dict:
    return json.loads((FOLDER / kind / name / f"{name}.ipynb").read_text(encoding="utf-8"))


def text_of(cell: dict) -> str:
    return "".join(cell["source"])


def whole(kind: str, name: str) -> str:
    return "\n".join(text_of(cell) for cell in notebook(kind, name)["cells"])


# -- derived, and nothing else ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_source_and_rubrics_are_the_derived_ones(name):
    made = derive.derive([name], release=False)
    assert len(made) == 2
    for path, text in made.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is not as derived: run make exercises"


@pytest.mark.slow
def test_releases_are_what_nbgrader_makes_of_the_sources():
    sources = {name: (FOLDER / "source" / name / f"{name}.ipynb").read_text(encoding="utf-8") for name in NAMES}
    for name, text in derive.releases(sources).items():
        committed = (FOLDER / "release" / name / f"{name}.ipynb").read_text(encoding="utf-8")
        assert committed == text, f"the release of {name} is not as derived: run make exercises"


def test_deriving_twice_gives_the_same_bytes():
    name = SAMPLE
    assert derive.source(assignments.read(name)) == derive.source(assignments.read(name))


def test_there_is_nothing_without_a_text():
    assert derive.orphans() == []
    assert {path.parent.name for path in FOLDER.glob("release/*/*.ipynb")} >= set(NAMES)


@pytest.mark.parametrize("kind", ["source", "release"])
@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_valid_notebook_without_outputs(kind, name):
    read = nbformat.from_dict(notebook(kind, name))
    nbformat.validate(read)
    ids = [cell.id for cell in read.cells]
    assert len(set(ids)) == len(ids)
    for cell in read.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.parametrize("name", NAMES)
def test_it_opens_on_colab_and_binder(name):
    first, second = notebook("release", name)["cells"][:2]
    assert 'if importlib.util.find_spec("optbias") is None:' in text_of(first)
    assert f'%pip install -q "{PROJECT.install_command}"' in text_of(first)
    owner = PROJECT.repository.split("github.com/")[1]
    path = f"exercises/release/{name}/{name}.ipynb"
    assert f"https://colab.research.google.com/github/{owner}/blob/{PROJECT.branch}/{path}" in text_of(second)
    assert f"https://mybinder.org/v2/gh/{owner}/{PROJECT.branch}?urlpath=lab%2Ftree%2F" in text_of(second)
    assert path.replace("/", "%2F") in text_of(second)


def test_the_address_stands_in_the_configuration_alone(tmp_path):
    """Another address in _config.yml is another address in the notebook."""
    shutil.copytree(PROJECT.root / "book", tmp_path / "book", ignore=shutil.ignore_patterns("*.ipynb", "_assets"))
    shutil.copy(PROJECT.root / "_toc.yml", tmp_path)
    config = (PROJECT.root / "_config.yml").read_text(encoding="utf-8")
    (tmp_path / "_config.yml").write_text(config.replace(PROJECT.repository, "https://github.com/someone/their-course"))
    text = derive.source(assignments.read(SAMPLE), tmp_path)
    assert "github/someone/their-course/blob" in text
    assert PROJECT.repository not in text


@pytest.mark.parametrize("name", NAMES)
def test_every_answer_has_its_anchor_and_every_test_its_points(name):
    of = bank.assignment(name)
    graded = {course.grade_id(cell): cell for cell in notebook("release", name)["cells"] if course.grade_id(cell)}
    assert set(graded) == {cell.name for cell in of.cells if cell.kind in ("answer", "tests", "written")}
    for cell in of.cells:
        if cell.kind == "answer":
            assert text_of(graded[cell.name]).startswith(f"# exercise: {cell.name}\n")
            assert graded[cell.name]["metadata"]["nbgrader"]["solution"] is True
        elif cell.kind == "tests":
            metadata = graded[cell.name]["metadata"]["nbgrader"]
            assert (metadata["points"], metadata["locked"], metadata["solution"]) == (cell.points, True, False)
            assert cell.about in text_of(graded[cell.name])
        elif cell.kind == "written":
            assert f"**exercise: {cell.name}**" in text_of(graded[cell.name])


@pytest.mark.parametrize("name", NAMES)
def test_points_and_time_limits_are_stated(name):
    text = whole("release", name)
    for task in bank.assignment(name).of("answer"):
        limit = f"{bank.task(task).seconds:g} seconds"
        assert re.search(rf"\*\*{task}\*\*: [\d.]+ points?, tested.*may take {limit} together", text), task


@pytest.mark.parametrize("name", NAMES)
def test_no_myst_is_left(name):
    text = "\n".join(text_of(c) for c in notebook("release", name)["cells"] if c["cell_type"] == "markdown")
    assert not re.findall(r"^\s*:::|^```\{|\{[a-z]+(?::[a-z]+)?\}`", text, re.M)
    assert text.count("<details>") == text.count("</details>") > 0


# -- nothing gives an answer away --------------------------------------------------------------------------------


def telling(block: str) -> set[str]:
    """The lines of a block that would tell something, were they read elsewhere."""
    rows = (row.strip() for row in block.splitlines())
    trivial = re.compile(r"(import |from |return$|else:|try:|pass$|#|\"\"\"|for \w+ in range\(\w+\):$)")
    return {row for row in rows if len(row) >= 12 and not trivial.match(row)}


def solution_lines(of: assignments.Assignment) -> set[str]:
    """The telling lines of solutions and model answers that the text does not itself show to students."""
    shown = "\n".join(cell.source for cell in of.cells if cell.kind in ("markdown", "code"))
    rows = set().union(*(telling(cell.solution) for cell in of.of("answer").values()))
    rows |= {row.strip() for cell in of.of("written").values() for row in cell.source.splitlines() if len(row) > 30}
    rows |= {row.strip() for cell in of.of("rubric").values() for row in cell.source.splitlines() if len(row) > 30}
    return {row for row in rows if row not in shown}


def hidden_lines(of: assignments.Assignment) -> set[str]:
    return set().union(*(telling(cell.hidden) for cell in of.cells if cell.kind == "tests"))


@pytest.mark.parametrize("name", NAMES)
def test_no_solution_and_no_hidden_test_is_in_the_release(name):
    of, text = bank.assignment(name), whole("release", name)
    raw = json.dumps(notebook("release", name), ensure_ascii=False)  # metadata, attachments, everything
    solutions, hidden = solution_lines(of), hidden_lines(of)
    assert len(solutions) > 5
    assert len(hidden) > 10
    rows = {row.strip() for row in text.splitlines()}
    assert not rows & (solutions | hidden)
    for row in solutions | hidden:
        if len(row) >= 25:
            assert json.dumps(row, ensure_ascii=False)[1:-1] not in raw, row
    for mark in ("BEGIN SOLUTION", "END SOLUTION", "BEGIN HIDDEN", "END HIDDEN", "MARK SCHEME"):
        assert mark not in raw


def test_the_audit_finds_a_leak():
    """The audit above is not blind: the source, which holds everything, fails it."""
    of = bank.assignment(SAMPLE)
    rows = {row.strip() for row in whole("source", SAMPLE).splitlines()}
    assert solution_lines(of) & rows
    assert hidden_lines(of) <= rows


def telling_numbers(row: str) -> set[str]:
    """The numbers in a line of code, the defaults of the whole field left out."""
    defaults = {"0", "1", "2", "0.0", "1.0", "2.0", "0.1", "0.5", "0.9", "0.99", "0.999"}
    return set(re.findall(r"(?<![\w.])\d[\w.]*", row)) - defaults


@pytest.mark.parametrize("name", NAMES)
def test_no_hidden_test_can_be_imported(name):
    # A call of a shared tool may stand in a public check, too, with defaults; the numbers of a hidden test may not.
    hidden = {row for row in hidden_lines(bank.assignment(name)) if len(row) >= 25 and telling_numbers(row)}
    assert hidden
    library = Path(optbias.__file__).parent
    for path in library.rglob("*"):
        if path.is_file() and path.suffix in (".py", ".json", ".ipynb", ".txt", ".md"):
            rows = {row.strip() for row in path.read_text(encoding="utf-8", errors="replace").splitlines()}
            assert not rows & hidden, path.name


def test_the_library_does_not_carry_the_texts():
    library = Path(optbias.__file__).parent
    assert not [path for path in library.rglob("*") if path.suffix == ".ipynb" or "HIDDEN TESTS" in path.name]
    for path in library.rglob("*.py"):
        if path.parent.name in ("exercises", "grading"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            strings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
            assert not [text for text in strings if isinstance(text, str) and "BEGIN SOLUTION" in text]


# -- the command -------------------------------------------------------------------------------------------------


def test_check_finds_a_difference_and_an_orphan(tmp_path, monkeypatch, capsys):
    root = tmp_path / "root"
    shutil.copytree(FOLDER, root / "exercises", ignore=shutil.ignore_patterns("__pycache__", "release"))
    for name in set(assignments.names()) - {SAMPLE}:
        (root / "exercises" / "text" / f"{name}.md").unlink()
    for folder in ("source", "rubrics"):
        for path in (root / "exercises" / folder).rglob("*"):
            if path.is_file() and path.stem != SAMPLE:
                path.unlink()
    monkeypatch.setattr(derive, "ROOT", root)
    monkeypatch.setattr(derive, "derive", functools.partial(_derive, root))
    monkeypatch.setattr(derive, "orphans", functools.partial(_orphans, root))
    assert derive.main(["--check", "--no-release"]) == 0
    changed = root / "exercises" / "source" / SAMPLE / f"{SAMPLE}.ipynb"
    changed.write_text(changed.read_text(encoding="utf-8").replace("seconds", "hours", 1), encoding="utf-8")
    (root / "exercises" / "rubrics" / "ps-gone.md").write_text("old")
    assert derive.main(["--check", "--no-release"]) == 1
    said = capsys.readouterr().out
    assert f"{SAMPLE}.ipynb is not as derived" in said
    assert "ps-gone.md is not as derived" in said
    assert derive.main(["--no-release"]) == 0
    assert derive.main(["--check", "--no-release"]) == 0
    assert not (root / "exercises" / "rubrics" / "ps-gone.md").exists()


def _derive(root, names, release=True):
    made = DERIVE(names, release=False)
    return {root / path.relative_to(PROJECT.root): text for path, text in made.items()}


def _orphans(root):
    return ORPHANS(root)


DERIVE, ORPHANS = derive.derive, derive.orphans


def test_an_unknown_assignment_is_an_error(capsys):
    assert derive.main(["ps-none"]) == 1
    assert "no text for ps-none" in capsys.readouterr().err


def test_the_command_runs_as_it_is_documented():
    done = subprocess.run(
        [sys.executable, str(FOLDER / "_tools" / "derive.py"), "--help"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0
    assert "--validate" in done.stdout
