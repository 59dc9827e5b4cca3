"""Which modules of the library a page depends on."""

from __future__ import annotations

from pathlib import Path

import pytest

from course_site.freshness import ModuleGraph, fingerprint, imported_names, page_code, page_modules
from minibook import cell


@pytest.fixture
def library(tmp_path: Path) -> Path:
    package = tmp_path / "lib" / "optbias"
    (package / "rules").mkdir(parents=True)
    (package / "widgets").mkdir()
    files = {
        "__init__.py": "",
        "norms.py": "",
        "claims.py": "",
        "rules/__init__.py": "from .adam import Adam\n",
        "rules/adam.py": "from .base import Rule\nfrom ..norms import linf\n",
        "rules/base.py": "",
        "simulate.py": "def f():\n    from optbias import rules\n",
        "widgets/__init__.py": "",
        "widgets/ball.js": "// one",
    }
    for name, text in files.items():
        (package / name).write_text(text)
    return tmp_path / "lib"


def modules(library: Path, code: str) -> set[str]:
    return {name.removeprefix("optbias").lstrip(".") for name in page_modules(cell(code), ModuleGraph(library))} - {""}


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("import torch", set()),
        ("from optbias import norms", {"norms"}),
        ("from optbias.norms import linf", {"norms"}),
        ("from optbias.rules import Adam", {"rules", "rules.adam", "rules.base", "norms"}),
        ("import optbias.rules.base as b", {"rules", "rules.adam", "rules.base", "norms"}),
        ("import optbias\noptbias.claims.claim(1)", {"claims"}),
        ("def late():\n    from optbias import simulate", {"simulate", "rules", "rules.adam", "rules.base", "norms"}),
        ("%matplotlib inline\n!ls\nfrom optbias import norms", {"norms"}),
        ("x = = 1\nfrom optbias.norms import linf", {"norms"}),
    ],
)
def test_modules_of_a_page(library: Path, code: str, wanted: set[str]) -> None:
    assert modules(library, code) == wanted


def test_options_of_a_cell_are_not_code() -> None:
    text = "```{code-cell} ipython3\n---\nmystnb:\n  image:\n    alt: from optbias import x\n---\na = 1\n```\n"
    text += "```{code-cell}\n:tags: [hide-input]\n\nb = 2\n```\n"
    assert page_code(text).split() == ["a", "=", "1", "b", "=", "2"]


def test_relative_imports_are_resolved() -> None:
    assert imported_names("from ..norms import linf", "optbias.rules") == {"optbias.norms", "optbias.norms.linf"}
    assert imported_names("from . import base", "optbias.rules") == {"optbias.rules", "optbias.rules.base"}


def test_fingerprint_changes_with_what_matters_only(library: Path) -> None:
    page = cell("from optbias.widgets import Ball")

    def now(versions: str = "a") -> str:
        return fingerprint(page, ModuleGraph(library), versions)

    before = now()
    (library / "optbias" / "norms.py").write_text("x = 1\n")
    assert now() == before
    assert now("b") != before
    (library / "optbias" / "widgets" / "ball.js").write_text("// two")
    assert now() != before
    assert fingerprint("# Words only\n", ModuleGraph(library), "a") == fingerprint(
        "# Other words\n", ModuleGraph(library), "b"
    )


def test_recorded_results_count_for_the_pages_that_read_them(library: Path) -> None:
    results = library.parent / "results"
    results.mkdir()
    (results / "run.json").write_text("1")
    reads, other = cell("open('../results/run.json')"), cell("print(1)")
    before = [fingerprint(page, ModuleGraph(library), "a") for page in (reads, other)]
    (results / "run.json").write_text("2")
    after = [fingerprint(page, ModuleGraph(library), "a") for page in (reads, other)]
    assert after[0] != before[0]
    assert after[1] == before[1]
