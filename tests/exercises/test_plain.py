"""What students hand in is text and pictures to whoever looks at it, and tests lose points by errors alone."""

from __future__ import annotations

import re
import sys

import pytest

sys.modules.setdefault("rfc3987_syntax", None)  # a grammar of 1.7 seconds that nbformat does without

from nbconvert.filters import markdown2html  # noqa: E402
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell  # noqa: E402
from nbgrader.utils import determine_grade  # noqa: E402

from optbias.grading import plain, preprocessors  # noqa: E402

HOSTILE = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//x.y></SCRIPT>",
    "<img src=x onerror=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<svg/onload=alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<style>@import '//x.y'</style>",
    "<link rel=stylesheet href=//x.y>",
    "<base href=//x.y>",
    "<form action=//x.y><input name=a>",
    "<!--><script>alert(1)</script>-->",
    "<?php echo 1 ?>",
    "</section><script>alert(1)</script>",
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt:alert(1))",
    "[a](java\tscript:alert(1))",
    "[a](javascript&colon;alert(1))",
    "[a]: javascript:alert(1)\n\n[a]",
    "<javascript:alert(1)>",
    "![a](https://x.y/z.png)",
    "![a][b]\n\n[b]: https://x.y/z.png",
    "$\\href{javascript:alert(1)}{x}$",
    "a\n: <b onclick=alert(1)>x</b>",
    "`<script>` and ```\n<script>alert(1)</script>\n```",
    "<b/onmouseover=alert(1)>x</b>",
    "<b\n>x",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_becomes_harmless(text):
    html = markdown2html(plain.markdown(text))
    assert not re.search(r"<(script|img|svg|iframe|style|link|base|form|input|object|embed)", html, re.I), html
    assert not re.search(r"<[^>]*\son\w+\s*=", html, re.I), html
    assert not re.search(r"<[^>]*(href|src)\s*=\s*[\"']?\s*(javascript|vbscript|data)", html, re.I), html
    assert not re.search(r"javascript:", html, re.I), html


@pytest.mark.parametrize(
    "text",
    ["**bold** and $a_1 = 2$", "a < b and b > a", "- one\n- two", "`x < y`", "[site](https://example.org/a)",
     "<details>\n<summary><b>Hint 1</b></summary>\n\nThink.\n\n</details>", "$\\{x : x < 1\\}$", "10 data: 3"],
)  # fmt: skip
def test_ordinary_markdown_stays_as_it_is(text):
    assert plain.markdown(text) == text


def test_a_formula_without_blanks_keeps_its_meaning():
    assert plain.markdown("$a<b$") == "$a< b$"


def test_a_terminal_is_not_moved_by_what_a_student_wrote():
    said = plain.on_terminal("\x1b]0;owned\x07\x1b[2J\u202egnp.txt\n\ud800 caf\xe9")
    assert said == "\\x1b]0;owned\\x07\\x1b[2J\\u202egnp.txt\\n\\ud800 caf\xe9"
    assert len(plain.on_terminal("x" * 1000)) == 300


def test_outputs_keep_text_and_pictures_only():
    given = {
        "output_type": "display_data",
        "metadata": {"isolated": True},
        "data": {"text/html": "<b>", "text/plain": "b", "image/png": "aa", "image/svg+xml": "<svg/>",
                 "application/javascript": "x", "application/vnd.jupyter.widget-view+json": {}, "text/latex": "x",
                 "text/markdown": "<script>"},
    }  # fmt: skip
    assert plain.output(given) == {
        "output_type": "display_data",
        "metadata": {},
        "data": {"image/png": "aa", "text/plain": "b"},
    }
    assert plain.output({"output_type": "display_data", "data": {"text/html": "<b>"}}) is None
    assert plain.output({"output_type": "update_display_data"}) is None


def test_outputs_are_cut_by_their_length():
    longest = plain.LONGEST_OUTPUT
    stream = plain.output({"output_type": "stream", "name": "stdout", "text": ["x" * 5_000_000, "y"]})
    assert len(stream["text"]) < longest + 100
    assert "5,000,001 characters" in stream["text"]
    error = plain.output({"output_type": "error", "ename": "E", "evalue": "x" * 10**6, "traceback": ["x" * 10**6] * 9})
    assert len(error["evalue"]) < longest + 100
    assert len("".join(error["traceback"])) < longest + 100
    picture = plain.output({"output_type": "display_data", "data": {"image/png": "x" * 10**7, "text/plain": "p"}})
    assert picture["data"] == {"text/plain": "p"}


def test_text_that_cannot_be_written_is_replaced():
    assert plain.shortened("a\ud800b") == "a\N{REPLACEMENT CHARACTER}b"
    assert plain.markdown("a\ud800b") == "a\N{REPLACEMENT CHARACTER}b"


def cell_of_tests(source="# tests: x-run (2 points): numbers\nsecret = 1", outputs=(), **metadata):
    nbgrader = {"grade": True, "solution": False, "grade_id": "x-run", "points": 2, "locked": True} | metadata
    return new_code_cell(source, outputs=list(outputs), metadata={"nbgrader": nbgrader})


def graded(*outputs):
    cell = cell_of_tests(outputs=outputs)
    preprocessors.CountErrorsOnly().preprocess(new_notebook(cells=[cell]), {})
    return determine_grade(cell)[0]


@pytest.mark.parametrize(
    "output",
    [
        new_output("stream", name="stderr", text="a warning"),
        new_output("stream", name="stdout", text="a line"),
        new_output("execute_result", data={"text/plain": "0.5"}),
        new_output("execute_result", data={"text/plain": "1000"}),
        new_output("execute_result", data={"text/plain": "-1"}),
        new_output("display_data", data={"text/plain": "x"}),
    ],
    ids=["stderr", "stdout", "half", "thousand", "negative", "display"],
)
def test_only_an_error_takes_points(output):
    assert graded(output) == 2
    error = new_output("error", ename="CheckFailed", evalue="no", traceback=["no"])
    assert graded(output, error) == 0


def test_a_written_answer_is_not_touched_by_that():
    cell = new_code_cell("x", outputs=[new_output("stream", name="stderr", text="w")])
    preprocessors.CountErrorsOnly().preprocess(new_notebook(cells=[cell]), {})
    assert cell.outputs[0].name == "stderr"


def test_a_submission_is_made_plain():
    notebook = new_notebook(
        cells=[
            new_markdown_cell("<script>", attachments={"a.png": {"image/png": "x"}}),
            new_raw_cell("<script>"),
            new_code_cell("1", outputs=[new_output("display_data", data={"text/html": "<script>"})]),
        ],
        metadata={"widgets": {"application/vnd.jupyter.widget-state+json": {}}},
    )
    made, _ = preprocessors.PlainSubmission().preprocess(notebook, {})
    assert [cell.cell_type for cell in made.cells] == ["markdown", "markdown", "code"]
    assert [cell.source for cell in made.cells] == ["< script>", "< script>", "1"]
    assert made.cells[2].outputs == []
    assert "widgets" not in made.metadata
    assert "attachments" not in made.cells[0]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (None, preprocessors.PASSED),
        (("CheckFailed", "ten steps: your v is not bias-corrected"), "ten steps: your v is not bias-corrected"),
        (("AssertionError", "secret = 1"), "The test stopped with AssertionError."),
        (("CellTimeoutError", ""), "it took longer than a cell may take"),
        (("DeadKernelError", ""), "process ended"),
    ],
)
def test_of_a_test_a_student_sees_its_first_line_and_one_message(error, message):
    outputs = [new_output("stream", name="stdout", text="secret = 1")]
    if error:
        outputs.append(new_output("error", ename=error[0], evalue=error[1], traceback=["secret = 1"]))
    notebook = new_notebook(cells=[cell_of_tests(outputs=outputs)])
    made, _ = preprocessors.StudentsView().preprocess(notebook, {})
    (cell,) = made.cells
    assert cell.source == "# tests: x-run (2 points): numbers"
    assert message in cell.outputs[0].text
    assert "secret" not in str(made)


def test_a_traceback_in_an_answer_quotes_nothing():
    error = new_output("error", ename="ValueError", evalue="x", traceback=["secret = 1"])
    notebook = new_notebook(cells=[new_code_cell("answer", outputs=[error])])
    made, _ = preprocessors.StudentsView().preprocess(notebook, {})
    assert made.cells[0].outputs[0].traceback == ["ValueError: x"]


def test_rubrics_stand_above_their_answers_and_not_in_the_feedback(tmp_path):
    (tmp_path / "ps-x.md").write_text(
        "# X: rubrics\n\n## x-why (3 points)\n\nCriteria.\n\n## x-how (1 point)\n\nMore.\n"
    )
    answer = new_markdown_cell("y", metadata={"nbgrader": {"grade": True, "solution": True, "grade_id": "x-why"}})
    step = preprocessors.ShowRubrics(folder=str(tmp_path))
    resources = {"nbgrader": {"assignment": "ps-x"}}
    made, _ = step.preprocess(new_notebook(cells=[answer]), resources)
    made, _ = step.preprocess(made, resources)  # grading again adds no second one
    assert [cell.source for cell in made.cells] == ["**Rubric for x-why** (3 points)\n\nCriteria.", "y"]
    seen, _ = preprocessors.StudentsView().preprocess(made, {})
    assert [cell.source for cell in seen.cells] == ["y"]
    made, _ = step.preprocess(new_notebook(cells=[answer]), {"nbgrader": {"assignment": "none"}})
    assert len(made.cells) == 1
