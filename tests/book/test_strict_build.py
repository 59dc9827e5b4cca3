"""The build is strict, and does exactly what is needed again: tried on miniature books."""

from __future__ import annotations

import json
import re

import pytest

from minibook import FRONT_MATTER, MiniBook, cell

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

FAULTS = {
    "a cell that raises": (cell("raise RuntimeError('planned')"), "planned"),
    "a claim that does not hold": (
        cell("from optbias.claims import claim\nclaim('two is one', 2.0, equals=1.0, tol=0.1)"),
        "claim does not hold: two is one",
    ),
    "a warning from a cell": (cell("import warnings\nwarnings.warn('planned')"), "stderr was found"),
    "a formula with an unknown command": ("Let $\\nonsense{x}$ be small.\n", "this formula cannot be set"),
    "a formula that does not end": ("$$\n\\frac{1}{2\n$$\n", "this formula cannot be set"),
    "an unresolved reference": ("See {ref}`nowhere`.\n", "undefined label: 'nowhere'"),
    "an unresolved equation": ("See {eq}`nowhere`.\n", "equation not found: nowhere"),
    "a dead link to a page": ("See [there](nowhere.md).\n", "nowhere.md"),
    "an unknown source": ("As {cite:p}`nobody1900` says.\n", "could not find bibtex key"),
    "a duplicate label": ("(twice)=\n## One\n\ntext\n\n(twice)=\n## Two\n\ntext\n", "Duplicate explicit target name"),
    "a duplicate equation": (
        "```{math}\n:label: eq-twice\na\n```\n\n```{math}\n:label: eq-twice\nb\n```\n",
        "duplicate label of equation",
    ),
    "a Sphinx warning": ("### Deep\n\nA heading that skips a level.\n", "Non-consecutive header level"),
    "an unknown directive": ("```{nonsense}\n```\n", "Unknown directive type"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_fails_the_build(mini_book: MiniBook, fault: str) -> None:
    text, message = FAULTS[fault]
    mini_book.page("faulty", f"# A page with {fault}\n\n{text}", notebook="code-cell" in text)
    built = mini_book.build()
    assert built.code != 0, built.log
    assert message in built.log


def test_labels_that_two_pages_share_fail_the_build(mini_book: MiniBook) -> None:
    for name in ("one", "two"):
        mini_book.page(name, "# Page\n\n(shared)=\n## Section\n\ntext\n", notebook=False)
    built = mini_book.build()
    assert built.code != 0, built.log
    assert "duplicate label shared" in built.log


def test_a_warning_is_not_forgotten_by_the_next_build(mini_book: MiniBook) -> None:
    """Sphinx does not read an unchanged page again, so by itself it would pass the second time."""
    mini_book.page("faulty", "# Page\n\n### Deep\n\nA heading that skips a level.\n", notebook=False)
    assert mini_book.build().code != 0
    again = mini_book.build()
    assert again.code != 0, again.log
    assert "Non-consecutive header level" in again.log


def test_a_repaired_page_builds(mini_book: MiniBook) -> None:
    mini_book.page("page", "# Page\n\n" + cell("raise RuntimeError('planned')"))
    assert mini_book.build().code != 0
    mini_book.page("page", "# Page\n\n" + cell("print('repaired')"))
    built = mini_book.build()
    assert built.code == 0, built.log
    assert "repaired" in mini_book.html("page")


def test_a_page_that_fails_does_not_cost_the_outputs_of_the_others(mini_book: MiniBook) -> None:
    mini_book.page("good", "# Good\n\n" + cell("print(1)"))
    mini_book.page("bad", "# Bad\n\n" + cell("1 / 0"))
    assert mini_book.build().code != 0
    mini_book.page("bad", "# Bad\n\n" + cell("print(2)"))
    repaired = mini_book.build()
    assert repaired.code == 0, repaired.log
    assert repaired.executed == ["bad"]


def test_hidden_folders_and_derived_notebooks_are_not_pages(mini_book: MiniBook) -> None:
    raising = {"cell_type": "code", "source": "1/0", "metadata": {}, "outputs": [], "execution_count": None}
    notebook = json.dumps({"cells": [raising], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    for name in (".venv/lib/trap", ".hidden/deep/.er/trap", "book/.ipynb_checkpoints/trap", "book/page"):
        path = mini_book.root / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(notebook)
    (mini_book.root / ".venv" / "README.md").write_text(FRONT_MATTER + "# Trap\n\n" + cell("1/0"))
    mini_book.page("page", "# Page\n\n" + cell("print('from the page')"))
    built = mini_book.build()
    assert built.code == 0, built.log
    assert built.executed == ["page"]
    assert "from the page" in mini_book.html("page")
    assert not [path for path in (mini_book.root / "_build" / "html").rglob("*.html") if "trap" in path.stem.lower()]


def library_page(import_line: str, expression: str) -> str:
    # The miniature's own lib/ goes first, so that these pages import it and not the installed library.
    own_library = cell("import sys\nsys.path.insert(0, '../lib')")
    return f"# Page\n\n{own_library}\n" + cell(f"{import_line}\nprint('value', {expression})")


def test_exactly_what_depends_on_a_change_is_executed_again(mini_book: MiniBook) -> None:
    library = mini_book.root / "lib" / "optbias"
    library.mkdir(parents=True)
    (library / "__init__.py").write_text("")
    (library / "ground.py").write_text("value = 1\n")
    (library / "upper.py").write_text("from .ground import value\n")
    (library / "other.py").write_text("value = 10\n")
    mini_book.page("direct", library_page("from optbias import ground", "ground.value"))
    mini_book.page("indirect", library_page("import optbias.upper", "optbias.upper.value"))
    mini_book.page("unrelated", library_page("from optbias.other import value", "value"))
    mini_book.page("words", "# Words\n\nNo code here.\n", notebook=False)
    mini_book.page("status", "# Status\n\n```{execution-table}\n```\n\n```{claims-ledger}\n```\n", notebook=False)

    first = mini_book.build()
    assert first.code == 0, first.log
    assert first.executed == ["direct", "indirect", "unrelated"]

    again = mini_book.build()
    assert again.code == 0
    assert again.executed == []
    assert "up to date" in again.log

    forced = mini_book.build("--force")
    assert forced.code == 0, forced.log
    assert forced.executed == []

    (library / "ground.py").write_text("value = 2\n")
    changed = mini_book.build()
    assert changed.code == 0, changed.log
    assert changed.executed == ["direct", "indirect"]
    assert "value 2" in mini_book.html("direct")
    assert "value 2" in mini_book.html("indirect")

    # Status is written anew in an incremental build, with a claim that was not there before.
    mini_book.page(
        "checked",
        "# Checked\n\n" + cell("from optbias.claims import claim\nclaim('one is one', 1.0, equals=1.0, tol=0.03);"),
    )
    added = mini_book.build()
    assert added.code == 0, added.log
    assert added.executed == ["checked"]
    status = re.sub(r"<[^>]+>", "", mini_book.html("status"))
    assert "one is one" in status
    assert "1 ± 0.03" in status

    again = mini_book.build("--force")  # with outputs from the cache, the claims are still known
    assert again.executed == []
    assert "one is one" in mini_book.html("status")

    # A page that leaves the table of contents leaves the site, and its claims leave the status page.
    mini_book.pages.remove("checked")
    mini_book.page("status", (mini_book.root / "book" / "status.md").read_text(), notebook=False)
    removed = mini_book.build()
    assert removed.code == 0, removed.log
    assert removed.executed == []
    assert "one is one" not in mini_book.html("status")
    assert not (mini_book.root / "_build" / "html" / "book" / "checked.html").exists()


def test_a_build_that_was_cut_off_does_not_count(mini_book: MiniBook) -> None:
    mini_book.page("page", "# Page\n\nwords\n", notebook=False)
    assert mini_book.build().code == 0
    (mini_book.root / "_build" / "unfinished").touch()
    (mini_book.root / "_build" / "course-book.json").unlink()
    built = mini_book.build()
    assert built.code == 0
    assert "0 added, 2 changed" in built.log
    assert not (mini_book.root / "_build" / "unfinished").exists()
