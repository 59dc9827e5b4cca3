"""The derived notebooks are exactly what is derived, hold no outputs, and read as plain Markdown."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nbformat
import pytest

from notebooks import ADDRESSES, Book, TranslationError, Translator, blocks, derive, readme
from project import Project

PROJECT = Project()
DERIVED = {path.stem: path.with_suffix(".ipynb") for path in PROJECT.pages.values() if PROJECT.is_notebook(path)}


def test_the_addresses_in_the_readme_are_derived() -> None:
    text = (PROJECT.root / "README.md").read_text(encoding="utf-8")
    assert readme(PROJECT) == text
    assert PROJECT.site in ADDRESSES.search(text)[0]


@pytest.fixture(scope="module")
def book() -> Book:
    return Book(PROJECT)


def markdown(name: str) -> str:
    cells = json.loads(DERIVED[name].read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


def test_committed_notebooks_are_the_derived_ones() -> None:
    wanted, errors = derive(PROJECT)
    assert not errors
    assert set(wanted) == set((PROJECT.root / "book").glob("*.ipynb"))
    for path, text in wanted.items():
        assert path.read_bytes() == text.encode(), f"{path.name} is not as derived: run make notebooks"


def test_deriving_twice_gives_the_same_bytes() -> None:
    assert derive(PROJECT) == derive(Project())


@pytest.mark.parametrize("name", DERIVED)
def test_notebook_is_valid_and_holds_no_output(name: str) -> None:
    notebook = nbformat.read(str(DERIVED[name]), as_version=4)
    nbformat.validate(notebook)
    ids = [cell["id"] for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.parametrize("name", DERIVED)
def test_first_cell_is_the_guarded_bootstrap(name: str) -> None:
    first = nbformat.read(str(DERIVED[name]), as_version=4).cells[0]
    assert 'if importlib.util.find_spec("optbias") is None:' in first.source
    assert f'    %pip install -q "{PROJECT.install_command}"' in first.source
    assert "torch" not in first.source
    assert "bootstrap" not in PROJECT.pages[name].read_text(encoding="utf-8")
    assert "%pip" not in PROJECT.pages[name].read_text(encoding="utf-8")


@pytest.mark.parametrize("name", DERIVED)
def test_no_myst_is_left(name: str) -> None:
    text = markdown(name)
    without_code = re.sub(r"```.*?```|(`+)(?!`).+?(?<!`)\1", "", text, flags=re.S)
    assert not re.findall(r"^\s*:::", without_code, re.M)
    assert not re.findall(r"\{[a-z]+(?::[a-z]+)?\}`", text)
    assert not re.findall(r"^```\{", text, re.M)
    assert not re.findall(r"^\([\w:.-]+\)=", without_code, re.M)
    assert not re.findall(r"\]\([\w-]+\.md", text)
    assert "\x00" not in text
    assert text.count("<details>") == text.count("</details>")


@pytest.mark.parametrize("name", DERIVED)
def test_code_is_the_pages_code(name: str, book: Book) -> None:
    own = [
        c.source
        for c in book.notebooks[name]
        if c.cell_type == "code" and "remove-cell" not in c.metadata.get("tags", [])
    ]
    cells = nbformat.read(str(DERIVED[name]), as_version=4).cells
    assert [c.source for c in cells if c.cell_type == "code"][1:] == own


CASES = {
    "an admonition": (":::{admonition} Look\n:class: tip\nHere.\n:::", "> **Look**\n>\n> Here."),
    "a note": (":::{note}\nHere.\n:::", "> **Note**\n>\n> Here."),
    "a dropdown": (
        ":::{dropdown} Hint 1\nUse $x$.\n:::",
        "<details>\n<summary><b>Hint 1</b></summary>\n\nUse $x$.\n\n</details>",
    ),
    "a proof that is folded": (
        ":::{prf:proof}\n:class: dropdown\nClear.\n:::",
        "<details>\n<summary><b>Proof</b></summary>\n\nClear.\n\n</details>",
    ),
    "nested directives": (
        "::::{admonition} Predict\n:class: predict\nWhich?\n\n:::{dropdown} Answer\nThis.\n:::\n::::",
        "> **Predict**\n>\n> Which?\n>\n> <details>\n> <summary><b>Answer</b></summary>\n>\n> This.\n>\n> </details>",
    ),
    "mathematics in lines": (
        "```{math}\na &= b \\\\\nc &= d\n```",
        "$$\n\\begin{aligned}\na &= b \\\\\nc &= d\n\\end{aligned}\n$$",
    ),
    "dollar mathematics": ("$$\nx = 1\n$$", "$$\nx = 1\n$$"),
    "code is left alone": ("```python\nx = '{ref}`a`'\n```", "```python\nx = '{ref}`a`'\n```"),
    "roles": ("A {term}`bowl <Bowl>`, {math}`x^2`, `{ref}`.", "A bowl, $x^2$, `{ref}`."),
    "a comment and a label": ("(here)=\n## Here\n% not shown\ntext", "## Here\ntext"),
    "a list table": (
        ":::{list-table}\n:header-rows: 1\n* - a\n  - b\n* - 1\n  - $|x|$\n:::",
        "| a | b |\n| --- | --- |\n| 1 | $|x|$ |",
    ),
    "an outer link": ("[there](https://example.org/a)", "[there](https://example.org/a)"),
}


@pytest.mark.parametrize("case", CASES)
def test_translation(case: str, book: Book) -> None:
    source, wanted = CASES[case]
    assert Translator(book, "intro").cell(source) == wanted


def test_links_to_pages_go_to_the_site(book: Book) -> None:
    translator = Translator(book, "intro")
    assert translator.cell("[notes](notation.md)") == f"[notes]({PROJECT.site}/book/notation.html)"
    assert translator.cell("{doc}`notation`") == f"[Notation]({PROJECT.site}/book/notation.html)"


@pytest.mark.parametrize(
    "source",
    [
        "```{nonsense}\n```",
        "{nonsense}`x`",
        "{ref}`nowhere`",
        "{cite:p}`nobody1900`",
        "[there](nowhere.md)",
        ":::{note}\nnot closed",
    ],
)
def test_what_has_no_translation_is_an_error(source: str, book: Book) -> None:
    with pytest.raises(TranslationError):
        Translator(book, "intro").cell(source)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("```{nonsense}\n```", "book/intro.md:7: the directive {nonsense}"),
        ("First {ref}`fine <here>`,\nthen {ref}`nowhere`", "book/intro.md:8: nothing is labelled 'nowhere'"),
        ("As {cite:p}`nobody1900` says", "book/intro.md:7: 'nobody1900' is not in the bibliography"),
        ("See {doc}`nothing`", "book/intro.md:7: there is no page nothing"),
        ("![](gone.png)", "book/intro.md:7: there is no file gone.png"),
        ("text\n\n:::{note}\nnot closed", "book/intro.md:9: a fence is not closed"),
    ],
)
def test_an_error_names_file_and_line(source: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "book").mkdir()
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: book/intro\n")
    (tmp_path / "_config.yml").write_text((PROJECT.root / "_config.yml").read_text())
    (tmp_path / "book" / "references.bib").touch()
    text = f"---\nkernelspec:\n  display_name: Python 3\n  name: python3\n---\n(here)=\n{source}\n"
    (tmp_path / "book" / "intro.md").write_text(text)
    made, errors = derive(Project(tmp_path))
    assert not made
    assert len(errors) == 1
    assert errors[0].startswith(says)


def test_options_in_yaml_and_in_colons_read_alike() -> None:
    short, long = (
        next(iter(blocks(text.splitlines())))
        for text in ("```{math}\n:label: eq-a\nx\n```", "```{math}\n---\nlabel: eq-a\n---\nx\n```")
    )
    assert (short.label, short.lines) == (long.label, long.lines) == ("eq-a", ["x"])


@pytest.mark.parametrize("name", DERIVED)
def test_solutions_are_folded(name: str) -> None:
    for cell in nbformat.read(str(DERIVED[name]), as_version=4).cells:
        if cell.cell_type == "markdown" and "#### Solution" in cell.source:
            assert cell.source.startswith("#### Solution")
            assert cell.metadata["jp-MarkdownHeadingCollapsed"] is True


def test_every_source_has_a_link(book: Book) -> None:
    assert [key for key, (_, _, link) in book.sources.items() if not link.startswith("https://")] == []
