"""Formulas: every one is set, as it was meant, and the font that the site carries has all that they need."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils import nodes
from docutils.utils import new_document
from fontTools.ttLib import TTFont
from math_core import LatexError

from course_site import mathematics
from course_site.mathematics import characters, keep_together, mathml, write_font
from project import Project


@pytest.fixture(scope="module")
def font(tmp_path_factory: pytest.TempPathFactory) -> TTFont:
    path = tmp_path_factory.mktemp("font") / "font.woff"
    formulas = mathml(
        r"\sqrt{\hat\theta_t} \Bigl( \frac{g^2}{2} \Bigr)^2 \to \underbrace{h}_{\text{step}}", display=True
    )
    write_font(characters(formulas), path)
    return TTFont(path)


def test_formulas_in_the_line_and_on_their_own() -> None:
    assert mathml(r"\frac12", display=False) == "<math><mfrac><mn>1</mn><mn>2</mn></mfrac></math>"
    assert mathml(r"a < b", display=True).startswith('<math display="block"><mi>a</mi><mo>&lt;</mo>')


@pytest.mark.parametrize("latex", [r"\nonsense", r"\frac{1}{2", "a}", r"\left( a", r"\begin{cases} 1", "x^1^2"])
def test_what_cannot_be_set_is_refused(latex: str) -> None:
    with pytest.raises(LatexError):
        mathml(latex, display=False)


def test_environments_do_not_number_their_lines() -> None:
    for environment in ("align", "gather", "equation"):
        shown = mathml(rf"\begin{{{environment}}} a = b \end{{{environment}}}", display=True)
        assert re.sub(r"<[^>]*>", "", shown) == "a=b"


def test_a_large_bracket_with_an_exponent_stands_in_a_row() -> None:
    shown = mathml(r"\Bigl( x \Bigr)^2", display=True)
    assert re.search(r"<msup><mrow><mo [^>]*minsize[^>]*>\)</mo></mrow><mn>2</mn></msup>", shown)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a (|x|) b", ["(x)"]),
        ("|x|. Then |y|, and", ["x.", "y,"]),
        ("see |x|).", ["x)."]),
        ("|x||y|-norm", ["y-"]),
        ("if |x| holds", []),
        ("|x|", []),
    ],
)
def test_a_formula_keeps_the_punctuation_that_touches_it(text: str, kept: list[str]) -> None:
    document, paragraph = new_document("page"), nodes.paragraph()
    document += paragraph
    for place, part in enumerate(text.split("|")):
        if part:
            paragraph += nodes.math("", part) if place % 2 else nodes.Text(part)
    keep_together(SimpleNamespace(builder=SimpleNamespace(format="html")), document, "page")  # type: ignore[arg-type]
    assert paragraph.astext() == text.replace("|", "")
    assert [node.astext() for node in paragraph.findall(nodes.inline)] == kept
    assert sum(1 for _ in paragraph.findall(nodes.math)) == text.count("|") // 2


def test_the_characters_include_what_browsers_put_themselves() -> None:
    needed = characters("<p>&amp;</p>" + mathml(r"\sqrt{x} + \alpha < \text{if}", display=False))
    assert {"x", "𝑥", "α", "𝛼", "<", "√", "i", "f"} <= needed
    assert "&" not in needed
    assert characters("<p>words</p>") == set()


def test_the_font_has_tall_brackets_hardly_wider_than_low_ones(font: TTFont) -> None:
    variants, names = font["MATH"].table.MathVariants, font.getBestCmap()
    for character in "()√":
        low = names[ord(character)]
        construction = variants.VertGlyphConstruction[variants.VertGlyphCoverage.glyphs.index(low)]
        forms = [record.VariantGlyph for record in construction.MathGlyphVariantRecord]
        assert len(forms) > 3
        forms += [part.glyph for part in construction.GlyphAssembly.PartRecords]
        for name in forms:
            width, left = font["hmtx"][name]
            assert width <= font["hmtx"][low][0] + 100
            assert left == font["glyf"][name].xMin


def test_the_font_sets_indices_at_one_height_and_keeps_its_licence(font: TTFont) -> None:
    constants, names = font["MATH"].table.MathConstants, font.getBestCmap()
    depths = [-font["glyf"][names[ord(letter)]].yMin for letter in "𝑔𝜃"]
    drops = [max(constants.SubscriptShiftDown.Value, d + constants.SubscriptBaselineDropMin.Value) for d in depths]
    assert drops[0] == drops[1]
    assert "SIL Open Font License" in font["name"].getDebugName(13)


def test_the_same_formulas_give_the_same_font(tmp_path: Path) -> None:
    for name in "ab":
        write_font({"x", "√", "("}, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def is_formula(node: nodes.Node) -> bool:
    """Whether a page shows this node as a formula; an output's form for LaTeX is not shown."""
    return isinstance(node, nodes.math | nodes.math_block) and "text_latex" not in node["classes"]


@pytest.mark.slow
@pytest.mark.xdist_group("site")
def test_every_formula_of_every_page_is_set_and_its_characters_are_in_the_font(site: Path) -> None:
    total = 0
    in_font = {chr(code) for code in TTFont(site / "_static" / mathematics.FONT).getBestCmap()}
    for name in Project().pages:
        html = (site / "book" / f"{name}.html").read_text(encoding="utf-8")
        with (site.parent / ".doctrees" / "book" / f"{name}.doctree").open("rb") as file:
            formulas = list(pickle.load(file).findall(is_formula))
        missing = [
            node.astext() for node in formulas if mathml(node.astext(), isinstance(node, nodes.math_block)) not in html
        ]
        assert not missing, name
        assert html.count("<math") >= len(formulas)
        # The selector of variants has no picture of its own, and invisible operators are not shown.
        assert characters(html) - in_font <= set("\u2061\u2062\u2063\ufe00 "), name
        total += len(formulas)
    assert total > 3000
