"""The built website: its links, its buttons, its numbers, its status page, and no other host."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup

from notebooks import Book
from project import ROOT, Project

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("site"), pytest.mark.timeout(1800)]

PROJECT = Project()
PAGES = list(PROJECT.pages)
NOTEBOOKS = [name for name, path in PROJECT.pages.items() if PROJECT.is_notebook(path)]


@cache
def soup(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def page(site: Path, name: str) -> BeautifulSoup:
    return soup(site / "book" / f"{name}.html")


def test_root_leads_to_the_first_page(site: Path) -> None:
    assert "book/intro.html" in (site / "index.html").read_text()


@pytest.mark.parametrize("name", PAGES)
def test_internal_links_and_anchors_resolve(site: Path, name: str) -> None:
    here = site / "book" / f"{name}.html"
    dead = []
    for element, attribute in (("a", "href"), ("link", "href"), ("script", "src"), ("img", "src"), ("source", "src")):
        for found in page(site, name).find_all(element):
            address = found.get(attribute)
            if not address or address == "#" or re.match(r"^(https?|mailto|data|javascript):", address):
                continue
            parts = urlsplit(address)
            target = (here.parent / unquote(parts.path)).resolve() if parts.path else here
            if not target.is_file():
                dead.append(address)
            elif parts.fragment and target.suffix == ".html":
                anchor = unquote(parts.fragment)
                if not (soup(target).find(id=anchor) or soup(target).find(attrs={"name": anchor})):
                    dead.append(address)
    assert not dead


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_loaded_from_another_host(site: Path, name: str) -> None:
    loaded = [
        found.get(attribute)
        for element, attribute in (("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"))
        for found in page(site, name).find_all(element)
    ]
    for found in page(site, name).find_all("link"):
        if set(found.get("rel", [])) & {"stylesheet", "preload", "icon", "modulepreload", "prefetch", "preconnect"}:
            loaded.append(found.get("href"))
    assert not [address for address in loaded if address and re.match(r"^(https?:)?//", address)]
    inline = " ".join(script.get_text() for script in page(site, name).find_all("script", src=False))
    assert not re.findall(r"(?:import\s*\(?|from\s*|fetch\(|src\s*=\s*)['\"]https?://[^'\"]+", inline)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_buttons_open_the_derived_notebook(site: Path, name: str) -> None:
    owner_and_name = urlsplit(PROJECT.repository).path.strip("/")
    links = {a["href"] for a in page(site, name).find_all("a", href=True)}
    colab = [link for link in links if "colab.research.google.com" in link]
    binder = [link for link in links if "mybinder.org" in link]
    assert [link.split(f"/github/{owner_and_name}/blob/{PROJECT.branch}/")[1] for link in colab] == [
        f"book/{name}.ipynb"
    ]
    assert [link.split(f"/v2/gh/{owner_and_name}/{PROJECT.branch}?urlpath=lab/tree/")[1] for link in binder] == [
        f"book/{name}.ipynb"
    ]
    assert (ROOT / "book" / f"{name}.ipynb").is_file()
    downloads = [link for link in links if link.endswith(f"_sources/book/{name}.ipynb")]
    assert len(downloads) == 1
    offered = (site / "book" / downloads[0]).resolve()
    assert offered.read_bytes() == (ROOT / "book" / f"{name}.ipynb").read_bytes()


@pytest.mark.parametrize("name", PAGES)
def test_links_into_the_repository_name_files_that_exist(site: Path, name: str) -> None:
    for found in page(site, name).find_all("a", href=True):
        if match := re.match(
            rf"{re.escape(PROJECT.repository)}/(?:edit|blob|raw|tree)/{PROJECT.branch}/([^?#]+)", found["href"]
        ):
            assert (ROOT / unquote(match[1])).exists(), found["href"]


@pytest.mark.parametrize("name", PAGES)
def test_every_picture_says_what_is_to_be_seen(site: Path, name: str) -> None:
    for image in page(site, name).find("article").find_all("img"):
        alt = image.get("alt", "")
        assert len(alt) >= 20, image
        assert not re.search(r"\.(png|svg|jpe?g)$", alt), image


@pytest.mark.parametrize("name", PAGES)
def test_description_icon_and_title(site: Path, name: str) -> None:
    head = page(site, name)
    assert len(head.find("meta", attrs={"name": "description"})["content"]) >= 70
    assert head.find("link", rel="icon")
    assert head.find("h1").get_text()


@pytest.mark.parametrize("name", PAGES)
def test_no_cell_shows_an_error_or_a_bare_representation(site: Path, name: str) -> None:
    text = page(site, name).find("article")
    assert not text.select(".output.traceback, .output.stderr")
    for output in text.select(".cell_output .output.text_plain"):
        assert not re.match(r"^\s*(Text\(|<matplotlib|<Figure|\[<matplotlib|Claim\()", output.get_text()), output


def test_notebooks_number_things_as_the_site_does(site: Path) -> None:
    """An exercise, equation, figure or theorem has one number, on the site and in the derived notebook."""
    wrong = []
    for label, target in Book(PROJECT).targets.items():
        found = page(site, target.page).find(id=re.compile(rf"^(equation-)?{re.escape(label.lower())}$"))
        if target.kind == "section" or not target.number or found is None:
            continue
        title = found.select_one(".eqno, .caption-number, .admonition-title .caption-number, .admonition-title")
        shown = re.search(r"\d+(?:\.\d+)*", title.get_text() if title else "")
        if not shown or shown[0] != target.number:
            wrong.append((label, target.number, shown and shown[0]))
    assert not wrong


def test_status_page_lists_what_the_pages_checked(site: Path) -> None:
    status = page(site, "status").find("article")
    text = re.sub(r"\s+", " ", status.get_text(" "))
    shown = [
        (name, " ".join("".join(claim.find_all(string=True, recursive=False)).split()))
        for name in NOTEBOOKS
        for claim in page(site, name).select(".claim")
    ]
    missing = [(name, statement) for name, statement in shown if statement not in text]
    assert not missing
    total = len(shown)
    assert total > 100
    assert f"checked {total} claims" in text
    rows = len(status.select("section#claims table tbody tr"))
    assert rows == total
    assert "torch" in text
    assert not re.search(r"/(root|home|tmp|work|Users)/", text)


@pytest.mark.parametrize("name", PAGES)
def test_no_path_of_the_building_machine_is_published(site: Path, name: str) -> None:
    assert str(ROOT) not in (site / "book" / f"{name}.html").read_text(encoding="utf-8")
