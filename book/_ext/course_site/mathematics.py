"""Formulas are set while the book is built, as MathML, which browsers show by themselves: no script sets them.

The site carries one mathematical font, STIX Two Math, reduced to what its formulas need; without it they would look
different on every system, or lack their tall brackets. A formula that is not understood is a warning, so it fails
the build.
"""

from __future__ import annotations

import importlib.util
import re
import unicodedata
from html import unescape
from pathlib import Path

from docutils import nodes
from fontTools import subset
from fontTools.ttLib import TTFont
from math_core import LatexError, LatexToMathML
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

LOGGER = logging.getLogger(__name__)
CONVERTER = LatexToMathML(fancy_error=False)
# Environments that number their own lines: here Sphinx gives the number, if there is one.
NUMBERING = re.compile(r"(\\(?:begin|end)\{)(align|alignat|equation|gather|multline)\}")
# A large bracket that carries an exponent or an index: Chromium gives it its size only inside a row.
SIZED_BASE = re.compile(r"(<m(?:sub|sup|subsup|under|over|underover)>)(<mo [^>]*\bminsize=[^>]*>[^<]*</mo>)")

OPENING = re.compile(r"[(\[“‘]*$")
CLOSING = re.compile(r"[-–.,;:!?)\]”’%]*")

FONT = "mathematics.woff"
FORMULA = re.compile(r"<math\b.*?</math>", re.DOTALL)
TAG = re.compile(r"<[^>]*>")
# Variants of letters in indices, of i and j under accents, and of accents over capitals.
FEATURES = ["ssty", "dtls", "flac"]
# The mathematical italic of each letter that has one, by Unicode's own table. U+210E, Planck's h, is the italic h.
ITALIC = {
    chr(int(unicodedata.decomposition(chr(code)).split()[1], 16)): chr(code)
    for code in (0x210E, *range(0x1D434, 0x1D455), *range(0x1D456, 0x1D468), *range(0x1D6E2, 0x1D71C))
}
LICENCE = (13, 14)  # of the font's names: what its licence says, and where it stands
BRACKETS = set("()[]{}⟨⟩⌈⌉⌊⌋√")
# How far an index may stand below the foot, an exponent below the head of what it belongs to. Browsers apply this to
# single letters too, where TeX does not: with the font's own values the index of g, which has a tail, stands lower
# than that of m.
CONSTANTS = {"SubscriptBaselineDropMin": -20, "SuperscriptBaselineDropMax": 360}


# -- the formulas ------------------------------------------------------------------------------------------------


def mathml(latex: str, display: bool) -> str:
    """The formula as a ``<math>`` element. Raises ``math_core.LatexError`` for what cannot be set."""
    unnumbered = NUMBERING.sub(r"\1\2*}", latex.strip())
    element = CONVERTER.convert_with_local_state(unnumbered, displaystyle=display)
    return SIZED_BASE.sub(r"\1<mrow>\2</mrow>", element)


def _set(self: HTML5Translator, node: nodes.Element, display: bool) -> str:
    latex = node.astext()
    try:
        return mathml(latex, display)
    except LatexError as error:
        LOGGER.warning("this formula cannot be set: %s\n%s", error, latex, location=node)
        return f"<code>{self.encode(latex)}</code>"


def visit_math(self: HTML5Translator, node: nodes.math) -> None:
    self.body += [self.starttag(node, "span", "", CLASS="math"), _set(self, node, display=False), "</span>"]
    raise nodes.SkipNode


def visit_math_block(self: HTML5Translator, node: nodes.math_block) -> None:
    """A formula on a line of its own: in a box that scrolls sideways, with its number beside the box."""
    self.body += [self.starttag(node, "div", CLASS="math"), "<div>", _set(self, node, display=True), "</div>"]
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append("</div>\n")
    raise nodes.SkipNode


def keep_together(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Tie a formula in the line to the brackets and the punctuation that touch it: browsers would break there."""
    if app.builder.format != "html":
        return
    for formula in list(doctree.findall(nodes.math)):
        parent, place = formula.parent, formula.parent.index(formula)
        before, after = (_text(parent, place + step) for step in (-1, 1))
        opening, closing = OPENING.search(before)[0], CLOSING.match(after)[0]  # type: ignore[index]
        if opening or closing:
            tied = nodes.inline("", "", nodes.Text(opening), formula, nodes.Text(closing), classes=["nobreak"])
            around = (before[: len(before) - len(opening)], tied, after[len(closing) :])
            parent[place - bool(before) : place + 1 + bool(after)] = [
                nodes.Text(part) if isinstance(part, str) else part for part in around if part
            ]


def _text(parent: nodes.Element, place: int) -> str:
    """The text that stands at this place; empty if something else does, or nothing."""
    return str(parent[place]) if 0 <= place < len(parent) and isinstance(parent[place], nodes.Text) else ""


# -- their font --------------------------------------------------------------------------------------------------


def font_source() -> Path:
    """STIX Two Math, as the installed package ``ziamath`` carries it."""
    spec = importlib.util.find_spec("ziamath")
    if spec is None or spec.origin is None:
        raise RuntimeError("the package ziamath is not installed: pip install -r requirements.txt")
    return Path(spec.origin).parent / "fonts" / "STIXTwoMath-Regular.ttf"


def characters(html: str) -> set[str]:
    """The characters that a page's formulas need: what is written in them and what the browser puts itself."""
    written = {character for formula in FORMULA.findall(html) for character in unescape(TAG.sub("", formula))}
    return written | {ITALIC[character] for character in written & ITALIC.keys()} | set("√" if written else "")


def make_narrow(font: TTFont) -> None:
    """Make the tall forms of brackets and roots hardly wider than the low ones.

    Chromium reserves the width of the widest form for each of them, which leaves a gap after every root.
    """
    variants = font["MATH"].table.MathVariants
    names = font.getBestCmap()
    for code in sorted(map(ord, BRACKETS)):
        if code not in names:
            continue
        low = names[code]
        construction = variants.VertGlyphConstruction[variants.VertGlyphCoverage.glyphs.index(low)]
        tall = [record.VariantGlyph for record in construction.MathGlyphVariantRecord]
        tall += [part.glyph for part in construction.GlyphAssembly.PartRecords] if construction.GlyphAssembly else []
        allowed = font["hmtx"][low][0] + font["head"].unitsPerEm // 10
        for name in tall:
            width, glyph = font["hmtx"][name][0], font["glyf"][name]
            if width > allowed:
                glyph.coordinates.scale((allowed / width, 1))
                glyph.recalcBounds(font["glyf"])
                font["hmtx"][name] = (allowed, glyph.xMin)


def write_font(used: set[str], path: Path) -> None:
    """The mathematical font with what these characters need: their variants, sizes and parts."""
    options = subset.Options(flavor="woff", layout_features=FEATURES, notdef_outline=True, hinting=False)
    options.name_IDs = [*options.name_IDs, *LICENCE]
    font = subset.load_font(str(font_source()), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(text="".join(sorted(used)))
    subsetter.subset(font)
    make_narrow(font)
    for name, value in CONSTANTS.items():
        getattr(font["MATH"].table.MathConstants, name).Value = value
    path.parent.mkdir(parents=True, exist_ok=True)
    subset.save_font(font, str(path), options)


def load_font_early(
    app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document | None
) -> None:
    """Have the font fetched with the style sheets, so that the text does not move when it comes."""
    if "<math" in context.get("body", ""):
        address = context["pathto"](f"_static/{FONT}", resource=True)
        # Not from a disk: there a browser refuses to fetch ahead, and says so on the console.
        properties = f'rel:"preload",href:"{address}",as:"font",type:"font/woff",crossOrigin:"anonymous"'
        link = f'Object.assign(document.createElement("link"),{{{properties}}})'
        script = f"<script>if(location.protocol!=='file:')document.head.append({link})</script>"
        context["metatags"] = f"{context.get('metatags', '')}\n{script}"


def finish(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        out = Path(app.outdir)
        pages = [page.read_text(encoding="utf-8") for page in out.rglob("*.html")]
        if used := set().union(*map(characters, pages)):
            write_font(used, out / "_static" / FONT)


def setup(app: Sphinx) -> None:
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    app.connect("doctree-resolved", keep_together)
    app.connect("html-page-context", load_font_early)
    app.connect("build-finished", finish, priority=910)
