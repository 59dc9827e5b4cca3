"""Theorems have one place: cards, references and previews are drawn from ``optbias.theory.theorems``."""

from __future__ import annotations

import ast
import re

import pytest

import theorem_cards
from course_site import previews
from notebooks import Book, TranslationError, Translator, blocks
from optbias.theory.theorems import KINDS, THEOREMS, get
from project import Project

PROJECT = Project()
TEXTS = {name: path.read_text(encoding="utf-8") for name, path in PROJECT.pages.items()}


@pytest.fixture(scope="module")
def book() -> Book:
    return Book(PROJECT)


def test_each_theorem_has_one_card_and_no_page_writes_one_by_hand() -> None:
    cards = [(key, name) for name, text in TEXTS.items() for key in re.findall(r"^:{3,}\{theorem\} (\S+)$", text, re.M)]
    by_hand = [
        f"{name}: {title.strip()}: move it to optbias.theory.theorems and write :::{{theorem}} KEY"
        for name, text in TEXTS.items()
        for title in re.findall(rf"^[:`]{{3,}}\{{prf:(?:{'|'.join(KINDS)})\}}(.*)$", text, re.M)
    ]
    assert not by_hand
    expected = [(theorem.key, theorem.page) for theorem in THEOREMS.values()]
    assert sorted(cards) == sorted(expected), f"no card, two, or on another page: {set(cards) ^ set(expected)}"


@pytest.mark.parametrize("key", THEOREMS)
def test_a_card_shows_every_condition_and_the_statement(key: str) -> None:
    theorem = get(key)
    kind, title, lines = theorem_cards.card(key, ["", "**Checked here by** a run."])
    text = "\n".join(lines)
    assert (kind, title) == (theorem.kind, theorem.name)
    place = -1
    for hypothesis in theorem.hypotheses:  # in their order
        place = text.index(hypothesis.text[1:], place + 1)
    assert text.index("**Then**") > place
    assert theorem.statement.strip() in text
    assert text.endswith("**Checked here by** a run.")


def test_a_page_names_an_unknown_theorem_and_is_refused(book: Book) -> None:
    with pytest.raises(TranslationError, match="there is no theorem 'thm-adam-stop'; near it: .*thm-adam-step"):
        list(blocks([":::{theorem} thm-adam-stop", ":::"]))
    translator = Translator(book, "adam")
    with pytest.raises(TranslationError, match="there is no theorem 'thm-adam-stop'"):
        translator.inline("{thm}`thm-adam-stop`")
    with pytest.raises(TranslationError, match="has the parts"):
        translator.inline("{thm}`thm-linf-constraint-adamw:maximiser`")


def test_in_a_notebook_a_reference_says_its_conditions(book: Book) -> None:
    number = book.targets["thm-linf-constraint-hardbox"].number
    written = Translator(book, "adam").inline("See {thm}`thm-linf-constraint-hardbox`.")
    assert written == (
        f"See [Theorem {number}]({PROJECT.site}/book/linf-constraint.html) (The hard box, if: AdamW, with "
        "$\\epsilon\\ge0$ in either place, with or without bias correction; $\\beta_1 = \\beta_2 \\in [0, 1)$; "
        "$\\lambda>0$; $0 \\le \\lambda\\eta_t \\le 1$)."
    )
    assert Translator(book, "adam").inline("{thm}`the bound <thm-adam-step>`").startswith("the bound (The sharp bound")
    minimiser = Translator(book, "adam").inline("{thm}`thm-linf-constraint-adamw:minimiser`")
    assert minimiser.endswith("; $f$ is convex)")


PAGE = """<article class="bd-article">
<p><a class="reference internal" href="#thm-a">Theorem 1</a>
<a class="reference internal" href="words.html#term-wall">wall</a>
<a class="reference internal" href="#equation-eq-a">(1)</a> <a class="reference internal" href="#part">a section</a>
<a class="reference internal" href="gone.html#thm-a">gone</a> <a class="reference internal" href="#thm-a">again</a></p>
<div class="proof theorem admonition" id="thm-a">
<p class="admonition-title">Theorem 1<a class="headerlink" href="#thm-a">#</a></p>
<div class="theorem-content" id="proof-content"><p>If <a class="reference" href="#part">so</a>, then so.</p></div></div>
<div class="math" id="equation-eq-a"><div><math><mi>x</mi></math></div><span class="eqno">(1)</span></div>
<section id="part"><p>long</p></section>
</article>"""
WORDS = """<dl><dt id="term-wall">wall</dt><dd><p>The end of a box.</p></dd></dl>"""


def test_a_page_carries_what_its_links_show_and_nothing_twice() -> None:
    read = {"page.html": PAGE, "words.html": WORDS}
    made = previews.with_previews(PAGE, "page.html", lambda file: read.get(file, ""))
    templates = dict(re.findall(r'<template data-for="([^"]+)">(.*?)</template>', made, re.DOTALL))
    assert list(templates) == ["page.html#thm-a", "words.html#term-wall", "page.html#equation-eq-a"]
    assert templates["page.html#thm-a"] == (
        '<div class="preview-theorem"><p class="admonition-title">Theorem 1</p>\n'
        '<div class="theorem-content"><p>If so, then so.</p></div></div>'
    )
    assert templates["words.html#term-wall"] == (
        '<div class="preview-term"><p><strong>wall</strong></p><p>The end of a box.</p></div>'
    )
    assert 'class="math"' in templates["page.html#equation-eq-a"]
    assert " id=" not in "".join(templates.values())
    assert made.endswith("</article>")
    assert previews.with_previews(made, "page.html", lambda file: read.get(file, "")) == made


def test_a_page_without_links_stays_as_it_is() -> None:
    assert previews.with_previews("<p>x</p>", "page.html", lambda file: "") == "<p>x</p>"


def test_a_claim_of_kind_theorem_names_its_theorem_and_run(book: Book) -> None:
    """The page would fail when it is built; this says so in a second."""
    bare = []
    for name, cells in book.notebooks.items():
        for cell in cells:
            if cell.cell_type != "code" or 'kind="theorem"' not in cell.source:
                continue
            for call in ast.walk(ast.parse(re.sub(r"^[%!].*$", "", cell.source, flags=re.M))):
                if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "claim":
                    given = {word.arg: ast.unparse(word.value) for word in call.keywords}
                    if given.get("kind") == "'theorem'" and not {"theorem", "run"} <= set(given):
                        bare.append(
                            f'{name}: {ast.unparse(call.args[0])}: add theorem= and run=, or say kind="measured"'
                        )
    assert not bare, "\n".join(bare)


# -- where a theorem is repeated ---------------------------------------------------------------------------------------

# Words with which a sentence claims more than one run can show. A summary bullet or a clinic entry that uses one must
# refer to its theorem with {thm}, which carries the conditions, or be answered in WITHOUT.
GENERAL = re.compile(
    r"\b(theorems?|lemma|proof|proved|convex|converges?|diverges?|limits?|KKT|minimis\w+|stationary|regret|unbiased|"
    r"stable|stability|at most|no larger|no more than|never|always|whatever|any|every|all gradients|if and only if|"
    r"only if|only from|exactly|invariant|unchanged|hard|bound(?:s|ed)?|ends? (?:at|on|up)|order of accuracy|"
    r"modified equation|least fraction|(?:inside|outside) the box)\b"
)
WITHOUT: dict[tuple[str, str], str] = {
    ("landscapes", "Saddles slow a run"): "the theorem is of another paper, cited with its conditions where it is used",
    ("landscapes", "A cliff throws the"): "norm clipping bounds the step by its definition",
    ("beyond", "Newton-Schulz replaces 1 by"): "says of a run that it misses the point of the theorem",
    ("misconceptions", "**A step is taken"): "a kind of mistake, no statement about a rule",
    ("misconceptions", "(mis-saddle-stuck)="): "the theorem is of another paper, cited here with its conditions",
    ("misconceptions", "(mis-eps-quotient)="): "arithmetic of the formula in the entry",
}


def repeated() -> dict[tuple[str, str], str]:
    """Each bullet of a summary and each entry of the clinic, without its code, by page and first words."""
    found = {}
    for name, text in TEXTS.items():
        if "\n## Summary" not in text:
            continue
        summary = text.split("\n## Summary")[1].split("\n## ")[0]
        bullets = re.split(r"^[-*] ", summary, flags=re.M)[1:]
        entries = []
        if name == "misconceptions":
            entries = re.findall(r"^(\(mis-[a-z0-9-]+\)=\n.*?)^```\{code-cell\}", text, re.M | re.S)
        for piece in [*bullets, *entries]:
            words = piece.split()
            start = words[0] if piece.startswith("(mis-") else " ".join(words[:4])
            found[name, start] = re.sub(r"\$[^$]*\$|\[[^\]]*\]\([^)]*\)", "", piece.strip())
    return found


def test_what_repeats_a_theorem_shows_its_conditions() -> None:
    pieces = repeated()
    bare = {key: text for key, text in pieces.items() if "{thm}`" not in text}
    talk = {key: GENERAL.findall(text) for key, text in bare.items()}
    wrong = [
        f"{key}: {sorted(set(words))}\n    {bare[key]}" for key, words in talk.items() if words and key not in WITHOUT
    ]
    assert not wrong, (
        "These repeat a theorem without its conditions. Refer to it, {thm}`KEY`, which shows them; or, where no "
        "theorem is repeated, say why in WITHOUT:\n" + "\n".join(wrong)
    )
    stale = [key for key in WITHOUT if not talk.get(key)]
    assert not stale, f"answered in WITHOUT, but there is nothing to answer: {stale}"
    assert all(len(reason.split()) >= 4 for reason in WITHOUT.values())
