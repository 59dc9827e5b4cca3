"""A notebook that comes back damaged is rebuilt on the release, or it is said what is not certain."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import assignments
import bank
from optbias.grading import restore as module
from optbias.grading.restore import UnusableFile, main, restore

NAME = "ps-adam"
RELEASE = json.loads((assignments.EXERCISES / "release" / NAME / f"{NAME}.ipynb").read_text(encoding="utf-8"))
OF = bank.assignment(NAME)
ANSWERS = {name: bank.reference(cell) for name, cell in OF.of("answer").items()} | {
    name: f"**exercise: {name}**\n\nBecause of {name}." for name in OF.of("written")
}
CODE = list(OF.of("answer"))
WRITTEN = list(OF.of("written"))


def grade_id(cell):
    nbgrader = cell["metadata"].get("nbgrader", {}) if isinstance(cell.get("metadata"), dict) else {}
    return nbgrader.get("grade_id", "") if isinstance(nbgrader, dict) else ""


def solved(answers=ANSWERS):
    notebook = copy.deepcopy(RELEASE)
    for cell in notebook["cells"]:
        if grade_id(cell) in answers:
            cell["source"] = answers[grade_id(cell)].splitlines(keepends=True)
    return notebook


def at(notebook, name):
    return next(i for i, cell in enumerate(notebook["cells"]) if grade_id(cell) == name)


def code_cell(source, **extra):
    return {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": [], "source": source, **extra}


def text_of(cell):
    return "".join(cell["source"])


def answers_in(notebook):
    """The answers of a rebuilt notebook."""
    return {name: text_of(notebook["cells"][at(notebook, name)]) for name in ANSWERS}


def rest_of(notebook):
    """Everything but the answers and what was added."""
    return [c for c in notebook["cells"] if grade_id(c) not in ANSWERS and not c["id"].startswith("added-")]


# -- damage that loses nothing -----------------------------------------------------------------------------------


def no_cell_metadata(notebook):
    for cell in notebook["cells"]:
        cell["metadata"] = {}
    return notebook


def no_ids(notebook):
    for cell in notebook["cells"]:
        cell.pop("id", None)
    notebook["nbformat_minor"] = 0
    return notebook


def other_ids(notebook):
    for i, cell in enumerate(notebook["cells"]):
        cell["id"] = f"c{i:011d}"
    return notebook


def colab_extras(notebook):
    badge = (
        '<a href="https://colab.research.google.com/x"><img src="https://colab.research.google.com/assets/'
        'colab-badge.svg"/></a>'
    )
    notebook["cells"].insert(0, {"cell_type": "markdown", "metadata": {"id": "view-in-github"}, "source": [badge]})
    notebook["cells"].insert(2, code_cell(["%pip install -q einops\n", "!pip list"]))
    notebook["metadata"]["colab"] = {"provenance": []}
    return notebook


def each(change):
    def damage(notebook):
        for cell in notebook["cells"]:
            if grade_id(cell):
                change(cell["metadata"]["nbgrader"])
        return notebook

    return damage


def set_key(**values):
    return each(lambda nbgrader: nbgrader.update(values))


def drop_key(name):
    return each(lambda nbgrader: nbgrader.pop(name, None))


def without(*names):
    def damage(notebook):
        notebook["cells"] = [cell for cell in notebook["cells"] if grade_id(cell) not in names]
        return notebook

    return damage


def split(notebook):
    """Cut one answer in two, as JupyterLab does: both parts keep the metadata."""
    i = at(notebook, "adam-long-step")
    whole = notebook["cells"][i]
    whole["source"] = ["# exercise: adam-long-step\n", "late = 999.0\n", "\n", *whole["source"][1:]]
    second = copy.deepcopy(whole)
    whole["source"], second["source"] = whole["source"][:2], whole["source"][3:]
    second["id"] = "second-part"
    # the part with the function takes the anchor along; the other is a helper
    whole["source"], second["source"] = whole["source"][1:], whole["source"][:1] + second["source"]
    notebook["cells"].insert(i + 1, second)
    return notebook


def copied_tests(notebook):
    i = at(notebook, "adam-step-run")
    notebook["cells"].insert(i, copy.deepcopy(notebook["cells"][i]))
    return notebook


def copied_answer(notebook):
    i = at(notebook, "adam-step")
    notebook["cells"].insert(i, copy.deepcopy(notebook["cells"][i]))
    return notebook


def kept_stub(notebook):
    """The student answers in a copy and leaves the stub above."""
    i = at(notebook, "adam-step")
    notebook["cells"].insert(i, copy.deepcopy(RELEASE["cells"][at(RELEASE, "adam-step")]))
    return notebook


def edited_tests(notebook):
    for cell in notebook["cells"]:
        if grade_id(cell).startswith("adam-step-"):
            cell["source"] = ["answer = None\n"]
    return notebook


def markdown_tests(notebook):
    for cell in notebook["cells"]:
        if text_of(cell).startswith("# tests:"):
            cell["cell_type"] = "markdown"
    return notebook


def answer_as_markdown(notebook):
    notebook["cells"][at(notebook, "adam-knee")]["cell_type"] = "markdown"
    return notebook


def backwards(notebook):
    notebook["cells"].reverse()
    return notebook


def outputs(notebook):
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["x" * 10_000]}]
            cell["execution_count"] = 7
    return notebook


def joined_source(notebook):
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
    return notebook


def windows_lines(notebook):
    for cell in notebook["cells"]:
        cell["source"] = text_of(cell).replace("\r\n", "\n").replace("\n", "\r\n")
    return notebook


def duplicate_ids(notebook):
    for cell in notebook["cells"]:
        cell["id"] = "same"
    return notebook


def other_kernel(notebook):
    notebook["metadata"] = {"kernelspec": {"name": "ir", "display_name": "R", "language": "R"}, "nbgrader": "x"}
    return notebook


def rubbish_cells(notebook):
    notebook["cells"] += [None, 3, "cell", {"cell_type": "code"}, {"cell_type": "raw", "source": 5, "metadata": None}]
    return notebook


def metadata_lists(notebook):
    for cell in notebook["cells"]:
        cell["metadata"] = [] if not grade_id(cell) else {"nbgrader": ["grade_id"]}
    return notebook


DAMAGE = {
    "nothing": lambda notebook: notebook,
    "Colab, metadata kept": colab_extras,
    "Colab, metadata dropped": lambda notebook: colab_extras(no_cell_metadata(notebook)),
    "Colab, metadata and ids dropped": lambda notebook: no_ids(colab_extras(no_cell_metadata(notebook))),
    "Colab, metadata dropped, other ids": lambda notebook: other_ids(colab_extras(no_cell_metadata(notebook))),
    "no metadata": no_cell_metadata,
    "no ids": no_ids,
    "duplicate ids": lambda notebook: duplicate_ids(no_cell_metadata(notebook)),
    "a cell split": split,
    "tests copied": copied_tests,
    "an answer copied": copied_answer,
    "the stub kept beside the answer": kept_stub,
    "tests deleted": without("adam-step-run", "adam-bound-none"),
    "tests edited": edited_tests,
    "tests turned into Markdown": markdown_tests,
    "an answer turned into Markdown": answer_as_markdown,
    "the order reversed": backwards,
    "the order reversed without metadata": lambda notebook: no_ids(no_cell_metadata(backwards(notebook))),
    "schema_version 99": set_key(schema_version=99),
    "schema_version 1": set_key(schema_version=1),
    "no schema_version": drop_key("schema_version"),
    "no grade_id": drop_key("grade_id"),
    "grade_id renamed": set_key(grade_id="cell-123"),
    "grade_id a number": set_key(grade_id=5),
    "points 1000": set_key(points=1000),
    "points lots": set_key(points="lots"),
    "grade false": set_key(grade=False),
    "solution true": set_key(solution=True),
    "metadata a list": metadata_lists,
    "outputs": outputs,
    "source as one string": joined_source,
    "Windows line ends": windows_lines,
    "another kernel": other_kernel,
    "rubbish among the cells": rubbish_cells,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_every_answer_comes_back(damage):
    rebuilt, report = restore(DAMAGE[damage](solved()), RELEASE)
    assert report.certain, str(report)
    wanted = dict(ANSWERS)
    if damage == "a cell split":
        assert any(text_of(cell) == "late = 999.0\n" for cell in rebuilt["cells"])
    assert answers_in(rebuilt) == wanted
    assert rest_of(rebuilt) == [c for c in RELEASE["cells"] if grade_id(c) not in ANSWERS]


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_was_restored_is_restored_to_itself(damage):
    once, _ = restore(DAMAGE[damage](solved()), RELEASE)
    twice, report = restore(once, RELEASE)
    assert twice == once
    assert {finding.how for finding in report.findings} == {"grade id"}


def test_the_report_says_how_each_answer_was_found():
    hows = {}
    for damage in ("nothing", "no metadata", "Colab, metadata and ids dropped"):
        _, report = restore(DAMAGE[damage](solved()), RELEASE)
        hows[damage] = {finding.how for finding in report.findings}
    assert hows == {
        "nothing": {"grade id"},
        "no metadata": {"cell id"},
        "Colab, metadata and ids dropped": {"anchor"},
    }
    assert "left out: cell 1 (a badge), cell 3 (it installs packages)" in str(report)


def test_an_answer_without_its_anchor_is_found_by_its_function():
    notebook = no_ids(no_cell_metadata(solved()))
    for cell in notebook["cells"]:
        cell["source"] = [row for row in cell["source"] if not row.startswith("# exercise: ")]
    rebuilt, report = restore(notebook, RELEASE)
    assert {f.answer: f.how for f in report.findings} == dict.fromkeys(CODE, "name") | dict.fromkeys(WRITTEN, "anchor")
    assert all(ANSWERS[name].split("\n", 1)[1] == answers_in(rebuilt)[name] for name in CODE)


def test_an_answer_in_another_cell_than_its_own_is_found():
    notebook = solved({name: text for name, text in ANSWERS.items() if name != "adam-knee"})
    body = ANSWERS["adam-knee"].split("\n", 1)[1]
    notebook["cells"].append(code_cell([body]))
    rebuilt, report = restore(notebook, RELEASE)
    assert answers_in(rebuilt)["adam-knee"] == body
    assert next(f for f in report.findings if f.answer == "adam-knee").how == "name"


def test_the_empty_notebook_is_not_answered():
    rebuilt, report = restore(copy.deepcopy(RELEASE), RELEASE)
    assert rebuilt == RELEASE
    assert {finding.how for finding in report.findings} == {"not answered"}


def test_a_students_own_cells_stay_where_they_were_and_run_without_metadata():
    notebook = solved()
    i = at(notebook, "adam-step")
    helper = code_cell(["def mean(a, b, beta):\n", "    return beta * a + (1 - beta) * b"], id="mine")
    helper["metadata"] = {"nbgrader": {"grade_id": "mine", "points": 100, "grade": True}}
    helper["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["x"]}]
    notebook["cells"].insert(i, helper)
    rebuilt, report = restore(notebook, RELEASE)
    j = at(rebuilt, "adam-step")
    assert text_of(rebuilt["cells"][j - 1]) == "".join(helper["source"])
    assert rebuilt["cells"][j - 1]["metadata"] == {}
    assert rebuilt["cells"][j - 1]["outputs"] == []
    assert "1 added or changed cells are kept" in str(report)


# -- what is not certain -----------------------------------------------------------------------------------------


def finding(report, name):
    return next(f for f in report.findings if f.answer == name)


def test_two_different_copies_of_an_answer_are_left_open():
    notebook = copied_answer(solved())
    notebook["cells"][at(notebook, "adam-step")]["source"].append("\n# a later thought")
    rebuilt, report = restore(notebook, RELEASE)
    assert not report.certain
    assert re.search(r"several cells differ: cell \d+, cell \d+", finding(report, "adam-step").detail)
    assert answers_in(rebuilt)["adam-step"] == text_of(RELEASE["cells"][at(RELEASE, "adam-step")])
    assert not any("later thought" in text_of(cell) for cell in rebuilt["cells"])


def test_an_id_and_an_anchor_that_contradict_each_other_are_left_open():
    notebook = solved()
    notebook["cells"][at(notebook, "adam-knee")]["source"] = ANSWERS["adam-bound"].splitlines(keepends=True)
    _, report = restore(notebook, RELEASE)
    assert "the anchor of adam-bound" in finding(report, "adam-knee").detail


def test_a_written_answer_without_any_mark_is_left_open():
    notebook = no_ids(no_cell_metadata(solved()))
    for cell in notebook["cells"]:
        cell["source"] = [row for row in cell["source"] if not row.startswith("**exercise: adam-explain")]
    rebuilt, report = restore(notebook, RELEASE)
    assert finding(report, "adam-explain-epsilon").how == "uncertain"
    assert sum("Because of adam-explain" in text_of(cell) for cell in rebuilt["cells"]) == 1  # kept as an added cell
    assert "YOUR ANSWER HERE" in answers_in(rebuilt)["adam-explain-epsilon"]


def test_one_function_for_two_answers_is_left_open():
    notebook = no_ids(no_cell_metadata(solved()))
    both = ["# exercise: adam-knee\n", "# exercise: adam-bound\n", "def knee(q, eps, inside):\n", "    return 1\n"]
    notebook["cells"] = [
        cell
        for cell in notebook["cells"]
        if not any(f"exercise: {name}\n" in text_of(cell) for name in ("adam-knee", "adam-bound"))
    ]
    notebook["cells"].append(code_cell(both))
    _, report = restore(notebook, RELEASE)
    assert finding(report, "adam-knee").how == finding(report, "adam-bound").how == "uncertain"


UNREADABLE = ("rubbish among the cells", "metadata a list", "grade_id a number")


@settings(max_examples=30)
@given(
    chosen=st.lists(st.sampled_from([n for n in DAMAGE if n != "a cell split"]), min_size=2, max_size=4, unique=True),
    missing=st.sets(st.sampled_from(sorted(ANSWERS)), max_size=4),
)
def test_damage_upon_damage_loses_no_answer_and_invents_none(chosen, missing):
    given_answers = {name: text for name, text in ANSWERS.items() if name not in missing}
    notebook = solved(given_answers)
    for name in chosen:
        if name in UNREADABLE and name != chosen[-1]:
            continue  # the damages after it could not read the notebook any more
        try:
            notebook = DAMAGE[name](notebook)
        except StopIteration:  # a damage that needs metadata which are gone
            continue
    rebuilt, report = restore(notebook, RELEASE)
    for name, text in answers_in(rebuilt).items():
        stub = text_of(RELEASE["cells"][at(RELEASE, name)])
        assert text == (stub if name in missing else ANSWERS[name]), (chosen, str(report))
    assert report.certain, (chosen, str(report))


@settings(max_examples=30)
@given(data=st.data())
def test_whatever_is_cut_and_shuffled_an_answer_is_its_own_or_none(data):
    notebook = solved()
    cells = data.draw(st.permutations(notebook["cells"]))
    notebook["cells"] = cells[: data.draw(st.integers(1, len(cells)))]
    for cell in notebook["cells"]:
        if data.draw(st.booleans()):
            cell["metadata"] = {}
        if data.draw(st.booleans()):
            cell.pop("id", None)
    try:
        rebuilt, _ = restore(notebook, RELEASE)
    except UnusableFile:
        return
    for name, text in answers_in(rebuilt).items():
        assert text in (ANSWERS[name], text_of(RELEASE["cells"][at(RELEASE, name)]))
    assert rest_of(rebuilt) == [c for c in RELEASE["cells"] if grade_id(c) not in ANSWERS]


# -- files ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    release = tmp_path / "release.ipynb"
    release.write_text(json.dumps(RELEASE), encoding="utf-8")
    return tmp_path / "in.ipynb", release, tmp_path / "out" / "out.ipynb"


TEXT = json.dumps(solved(), indent=1)
OTHER = json.dumps(
    {"cells": [code_cell("# exercise: other-task\ndef f():\n    pass\n")], "metadata": {}, "nbformat": 4}
)
BAD = {
    "empty": (b" \n", "is empty"),
    "cut off": (TEXT[: len(TEXT) // 2].encode(), "cut off"),
    "merge markers": (TEXT.replace("\n", "\n<<<<<<< HEAD\n", 1).encode(), "merge markers"),
    "a web page": (b"<!DOCTYPE html><html></html>", "web page"),
    "a Python file": (b"import torch\n", "no JSON"),
    "a list": (b"[1, 2]", "no cells"),
    "cells that are no list": (b'{"cells": {}}', "not a list"),
    "format 3": (b'{"worksheets": []}', "format 3"),
    "another assignment": (OTHER.encode(), "this is not the assignment .*: it answers other-task"),
    "a notebook of something else": (b'{"cells": [], "metadata": {}}', "no cell has an id"),
    "nested without end": (b"[" * 100_000, "nested without end|cut off|no JSON"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_gives_a_clear_error_and_leaves_nothing(kind, files, capsys):
    given_file, release, out = files
    data, message = BAD[kind]
    given_file.write_bytes(data)
    assert main([str(given_file), "--release", str(release), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert re.search(message, error), error
    assert "Traceback" not in error
    assert not out.exists()


def test_a_missing_file_and_a_folder_give_clear_errors(files, tmp_path, capsys):
    given_file, release, out = files
    assert main([str(given_file), "--release", str(release), "--out", str(out)]) == 2
    assert "no such file" in capsys.readouterr().err
    assert main([str(tmp_path), "--release", str(release), "--out", str(out)]) == 2
    assert "is a folder" in capsys.readouterr().err


def test_numbers_and_cells_without_end_do_no_harm():
    text = json.dumps({"cells": [code_cell(["# " + "x" * module.LARGEST_CELL]), code_cell(["x = 1"])], "metadata": {}})
    data = text.replace('"metadata": {}', f'"metadata": {{"n": {"9" * 10_000}, "x": NaN}}', 1).encode()
    notebook, notes = module.parse(data, Path("ps-adam.ipynb"))
    assert notes == []
    long, short = module.given_cells(notebook)
    assert "nobody types so much" in long.source
    assert len(long.source) < 100
    assert short.source == "x = 1"


def test_a_release_that_is_none_is_refused(files, capsys):
    given_file, release, out = files
    given_file.write_text(TEXT, encoding="utf-8")
    release.write_text(OTHER, encoding="utf-8")
    assert main([str(given_file), "--release", str(release), "--out", str(out)]) == 2
    assert "is not a release" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (TEXT.encode("utf-8-sig"), ""),
        (TEXT.encode("utf-16"), "in UTF-16"),
        (TEXT.encode().replace(b"Because of", b"Caf\xe9 of"), "2 characters were not UTF-8"),
        (TEXT.replace("Because of", "Because \\ud800 of").encode(), ""),
    ],
    ids=["byte order mark", "UTF-16", "Latin-1", "a lone surrogate"],
)
def test_encodings_are_read(data, note, files, capsys):
    given_file, release, out = files
    given_file.write_bytes(data)
    assert main([str(given_file), "--release", str(release), "--out", str(out)]) == 0
    assert note in capsys.readouterr().out
    rebuilt = json.loads(out.read_text(encoding="utf-8"))
    assert answers_in(rebuilt)["adam-step"] == ANSWERS["adam-step"]


def test_the_command_says_what_it_did_and_asks_to_look(files, capsys, tmp_path):
    given_file, release, out = files
    notebook = copied_answer(solved())
    notebook["cells"][at(notebook, "adam-step")]["source"].append("\n# a later thought")
    given_file.write_text(json.dumps(notebook), encoding="utf-8")
    report = tmp_path / "report.json"
    assert main([str(given_file), "--release", str(release), "--out", str(out), "--json", str(report)]) == 1
    said = capsys.readouterr().out
    assert "adam-step: NOT CERTAIN, left open" in said
    assert "adam-knee: kept, found by its grade id" in said
    assert json.loads(report.read_text())["certain"] is False
    assert out.exists()


def test_it_starts_without_nbgrader_or_nbformat():
    lines = Path(module.__file__).read_text(encoding="utf-8").splitlines()
    names = {line.split()[1].split(".")[0] for line in lines if re.match(r"(import|from) ", line)}
    assert names <= {
        "__future__",
        "argparse",
        "ast",
        "json",
        "os",
        "re",
        "sys",
        "collections",
        "dataclasses",
        "pathlib",
        "typing",
    }
