"""Every chapter has the anatomy that readers rely on, and every drawing says what is to be seen."""

from __future__ import annotations

import ast
import re
from collections import Counter

import jupytext
import pytest
import yaml

from notebooks import Block, blocks
from project import Project

PROJECT = Project()
PAGES = PROJECT.pages
CHAPTERS = [name for name in PAGES if name in PROJECT.chapter_numbers]
DRAWS = re.compile(r"\b(subplots|plt\.figure|imshow|figures\.(contours|path)|\.plot\(|\.hist\(|\.bar\(|\.scatter\()")


def text_of(name: str) -> str:
    return PAGES[name].read_text(encoding="utf-8")


def cells_of(name: str) -> list:
    return jupytext.reads(text_of(name), fmt="md:myst").cells


def prose_of(name: str) -> str:
    """The page without its code cells."""
    return "\n\n".join(cell.source for cell in cells_of(name) if cell.cell_type == "markdown")


def all_blocks(lines: list[str]) -> list[Block]:
    """Every block of a page, those inside directives included, in order."""
    found: list[Block] = []
    for block in blocks(lines):
        found.append(block)
        if block.kind not in ("text", "code", "math", "code-block", "raw", "glossary"):
            found += all_blocks(block.lines)
    return found


def test_every_page_file_is_listed() -> None:
    assert {path.stem for path in (PROJECT.root / "book").glob("*.md")} == set(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_description_says_what_the_page_teaches(name: str) -> None:
    front = yaml.safe_load(text_of(name).split("---\n")[1])
    description = front["myst"]["html_meta"]["description"]
    assert 70 <= len(description) <= 155, f"{len(description)} characters: {description}"


def test_descriptions_differ() -> None:
    found = [yaml.safe_load(text_of(name).split("---\n")[1])["myst"]["html_meta"]["description"] for name in PAGES]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("name", PAGES)
def test_one_title_and_no_dollar_in_a_heading(name: str) -> None:
    outside_fences = "\n".join(
        line for block in all_blocks(prose_of(name).splitlines()) if block.kind == "text" for line in block.lines
    )
    headings = re.findall(r"^(#+) (.+)$", outside_fences, re.M)
    assert [level for level, _ in headings].count("#") == 1
    assert not [title for _, title in headings if "$" in title]


@pytest.mark.parametrize("name", PAGES)
def test_every_drawing_has_alt_text(name: str) -> None:
    for cell in cells_of(name):
        if cell.cell_type != "code" or "remove-cell" in cell.metadata.get("tags", []):
            continue
        if DRAWS.search(re.sub(r"^\s*(def |return ).*$", "", cell.source, flags=re.M)) and _shows(cell.source):
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt) >= 40, f"a cell that draws has no alt text (or too little):\n{cell.source[:400]}"


def _shows(source: str) -> bool:
    """Whether a cell draws when it runs, and not only inside a function that it defines."""
    top = "\n".join(line for line in source.splitlines() if re.match(r"(?!def |class |@|import |from )\S", line))
    return bool(re.search(r"\b(subplots|plt\.figure|figures\.\w*\(.*ax|draw\w*\(|plot\w*\()", top))


@pytest.mark.parametrize("name", PAGES)
def test_images_in_the_text_have_alt_text(name: str) -> None:
    assert not re.findall(r"!\[\]\(", prose_of(name))
    for block in all_blocks(prose_of(name).splitlines()):
        if block.kind in ("figure", "image"):
            assert block.options.get("alt"), block.argument


@pytest.mark.parametrize("name", CHAPTERS)
def test_chapter_opens_with_at_a_glance(name: str) -> None:
    after_title = prose_of(name).split("\n# ", 1)[-1] if not prose_of(name).startswith("# ") else prose_of(name)
    first = next(block for block in blocks(after_title.splitlines()[1:]) if block.kind not in ("text",))
    assert (first.kind, first.argument) == ("admonition", "At a glance")
    assert "at-a-glance" in first.classes
    inside = "\n".join(first.lines)
    for lead in ("**After this page you can**", "**Time**", "**Needs**"):
        assert lead in inside, f"{lead} is missing"
    goals = inside.split("**Time**")[0].count("\n* ") + inside.split("**Time**")[0].count("\n- ")
    assert goals == 0 or 3 <= goals <= 6, f"{goals} goals"
    assert "CPU" in inside


@pytest.mark.parametrize("name", CHAPTERS)
def test_chapter_asks_for_predictions(name: str) -> None:
    predictions = [b for b in all_blocks(prose_of(name).splitlines()) if b.kind == "predict" or "predict" in b.classes]
    assert len(predictions) >= 2


@pytest.mark.parametrize("name", CHAPTERS)
def test_chapter_ends_with_limits_summary_exercises(name: str) -> None:
    sections = re.findall(r"^## (.+?)\s*$", prose_of(name), re.M)
    assert sections[-3:] == ["What this does not show", "Summary", "Exercises"]


@pytest.mark.parametrize("name", CHAPTERS)
def test_exercises_have_hints_and_solutions(name: str) -> None:
    text = prose_of(name)
    exercises = text[text.rindex("\n## Exercises") :]
    found = all_blocks(exercises.splitlines())
    labels = [b.label for b in found if b.kind in ("exercise", "exercise-start")]
    solved = [b.argument for b in found if b.kind in ("solution", "solution-start")]
    assert 4 <= len(labels) <= 7, f"{len(labels)} exercises"
    assert len(set(labels)) == len(labels)
    assert sorted(solved) == sorted(labels)
    for block in found:
        if block.kind in ("solution", "solution-start"):
            assert "dropdown" in block.classes, f"the solution of {block.argument} is not hidden"
    hints = [b.argument for b in found if b.kind == "dropdown" and b.argument.startswith("Hint")]
    assert hints.count("Hint 1") + hints.count("Hint") >= len(labels), "an exercise has no hint"
    assert "Hint 2" in hints, "hints are not layered"


@pytest.mark.parametrize("name", CHAPTERS)
def test_chapter_checks_claims(name: str) -> None:
    assert re.search(
        r"^claim\(|[^\w]claim\(", "\n".join(c.source for c in cells_of(name) if c.cell_type == "code"), re.M
    )


@pytest.mark.parametrize("name", PAGES)
def test_a_visible_cell_runs_and_a_folded_one_checks(name: str) -> None:
    """A reader sees the run; its claims stand in a cell of their own, whose code is one click away."""
    shouting = [
        cell.source[:200]
        for cell in cells_of(name)
        if cell.cell_type == "code"
        and not {"hide-input", "hide-cell", "remove-input", "remove-cell"} & set(cell.metadata.get("tags", []))
        and any(
            isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "claim"
            for node in ast.walk(ast.parse(cell.source))
        )
    ]
    assert not shouting, (
        "move the claims of this cell into a cell of their own, with `:tags: [hide-input]`:\n"
        + "\n...\n".join(shouting)
    )


@pytest.mark.parametrize("name", PAGES)
def test_code_is_narrow_enough_to_read_on_the_page(name: str) -> None:
    long = [line for c in cells_of(name) if c.cell_type == "code" for line in c.source.splitlines() if len(line) > 100]
    assert not long, long


def test_labels_are_unique_in_the_whole_book() -> None:
    labels: Counter[str] = Counter()
    for name in PAGES:
        for block in all_blocks(prose_of(name).splitlines()):
            if block.label:
                labels[block.label] += 1
            if block.kind == "text":
                labels.update(re.findall(r"^\(([\w:.-]+)\)=$", "\n".join(block.lines), re.M))
        for cell in cells_of(name):
            figure = cell.metadata.get("mystnb", {}).get("figure", {}) if cell.cell_type == "code" else {}
            labels.update([figure["name"]] if figure.get("name") else [])
    assert not {label: count for label, count in labels.items() if count > 1}


@pytest.mark.parametrize("name", PAGES)
def test_no_cell_may_fail_silently(name: str) -> None:
    text = text_of(name)
    assert "raises-exception" not in text
    assert "allow_errors" not in text
    assert "skip-execution" not in text


def test_every_cited_source_is_in_the_bibliography() -> None:
    from pybtex.database import parse_file

    known = set(parse_file(str(PROJECT.root / "book" / "references.bib")).entries)
    cited = {
        key.strip()
        for name in PAGES
        for keys in re.findall(r"\{cite(?::[pt])?\}`([^`]+)`", text_of(name))
        for key in keys.split(",")
    }
    assert cited <= known, cited - known
