"""The API reference is complete, and the code of the pages leads to it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import api_reference
from course_site.api import imported, with_links
from project import Project

PROJECT = Project()


def test_each_public_module_stands_on_its_page() -> None:
    for page, modules in api_reference.PAGES.items():
        shown = re.findall(r"^:::\{api\} (\S+)$", PROJECT.pages[page].read_text(encoding="utf-8"), re.M)
        assert tuple(shown) == modules
    toc = (PROJECT.root / "_toc.yml").read_text(encoding="utf-8")
    assert all(f"book/{page}" in toc for page in (*api_reference.PAGES, "api"))


@pytest.mark.slow
@pytest.mark.xdist_group("site")
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", api_reference.PAGES)
def test_every_public_name_is_on_the_built_page(page: str, site: Path) -> None:
    html = (site / "book" / f"{page}.html").read_text(encoding="utf-8")
    missing = [
        f"{module}.{name}"
        for module in api_reference.PAGES[page]
        for name in api_reference.public_names(module)
        if f'id="{module}.{name}"' not in html
    ]
    assert not missing
    assert "0x7f" not in html, "an address of memory stands in a signature"


CELL = '<div class="cell_input docutils container"><div class="highlight"><pre>{}</pre></div></div>'
FROM = '<span class="kn">from</span><span class="w"> </span><span class="nn">{}</span><span class="w"> </span>'
IMPORT = '<span class="kn">import</span> '


def n(name: str) -> str:
    return f'<span class="n">{name}</span>'


def test_the_first_use_of_a_name_leads_to_the_reference() -> None:
    first = FROM.format("optbias.rules") + IMPORT + n("Adam") + "\n"
    first += FROM.format("optbias.theory") + IMPORT + n("online") + "\n"
    first += FROM.format("torch.optim") + IMPORT + n("SGD")
    use = f'{n("Adam")}(<span>0.1</span>) {n("Adam")} {n("SGD")} {n("online")}<span class="o">.</span>{n("play")}'
    html = with_links(CELL.format(first) + "<p>Adam</p>" + CELL.format(use))
    links = re.findall(r'href="([^"]+)">(\w+)</a>', html)
    assert html.index("api-link") > html.index("<p>"), "the import is no use"
    assert links == [
        ("api-rules.html#optbias.rules.Adam", "Adam"),
        ("api-theory.html#optbias.theory.online.play", "play"),
    ]
    assert with_links(html) == html
    assert re.sub(r"</?a\b[^>]*>", "", html) == CELL.format(first) + "<p>Adam</p>" + CELL.format(use)


def test_imports_are_read_as_python_reads_them() -> None:
    code = "from optbias.rules import (\n    Adam,\n    AdamW as W,\n)\nfrom optbias.theory import box\nimport torch\n"
    assert list(imported(code)) == [
        ("Adam", "optbias.rules#Adam"),
        ("W", "optbias.rules#AdamW"),
        ("box", "optbias.theory.box"),
    ]


def test_a_module_that_no_page_shows_is_named() -> None:
    with pytest.raises(ValueError, match="module must be one of optbias.rules"):
        api_reference.page_of("optbias.grading")
