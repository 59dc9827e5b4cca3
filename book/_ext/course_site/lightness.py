"""What makes the pages quick to load, and small repairs of the theme's and Sphinx's HTML.

* Scripts no longer hold up the first paint (``defer``), except on the search page, whose own scripts want the
  others to be there already.
* The theme's style sheet keeps only the rules that can match: a rule whose selector names a class, id or attribute
  that occurs in no page and no script of the site is dropped.
* The theme's FontAwesome script is left out: the web font in its style sheet shows the same icons. Of that font
  the site carries the icons that the style sheets name.
* Without scripts the page is the light one, boxes have their frames, menus open where the pointer or the focus is, and
  buttons that only a script could serve are not shown.
* Pictures say their size and are fetched as they come near the window.
"""

from __future__ import annotations

import hashlib
import logging
import re
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tinycss2
from docutils import nodes
from fontTools import subset
from sphinx.application import Sphinx

STYLE_SHEETS = ("_static/styles/pydata-sphinx-theme.css", "_static/styles/sphinx-book-theme.css")
WORD = re.compile(r"[\w-]+")
FONTAWESOME_SCRIPT = re.compile(r'\s*<script src="[^"]*_static/scripts/fontawesome\.js[^"]*"></script>')
ICON = re.compile(r"\\([0-9a-f]{2,5})")
PICTURE = re.compile(r'<img [^>]*src="(?P<src>[^":]*_images/[^"]+\.png)"[^>]*>')
REPAIRS = {
    # docutils puts items of a role that a list must not have into the list of the bibliography.
    'role="doc-biblioentry"': 'role="listitem"',
    # The line that unfolds hidden code has a visible text, which must be its name.
    '<summary aria-label="Toggle hidden content">': "<summary>",
}

# The theme's colours hang on this attribute, which its script sets; until then, or for ever, it named no colours.
UNTHEMED = re.compile(r'(<html\b[^>]* data-theme=)"(?:auto)?"')
WITHOUT_SCRIPTS = (
    "<noscript><style>"
    ".btn-fullscreen-button,.sidebar-toggle,#pst-back-to-top{display:none!important}"
    ".dropdown:hover>.dropdown-menu,.dropdown:focus-within>.dropdown-menu{display:block;right:0}"
    "</style></noscript>"
)


def mend(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document | None) -> None:
    """Defer the scripts of a page and correct roles in its text."""
    if pagename != "search":
        context["script_files"] = [_deferred(script) for script in context.get("script_files", ())]
    context["metatags"] = context.get("metatags", "") + WITHOUT_SCRIPTS
    if context.get("body"):
        for wrong, right in REPAIRS.items():
            context["body"] = context["body"].replace(wrong, right)


def _deferred(script: Any) -> Any:
    """A copy of the script that waits (pages share the originals); inline scripts run where they stand."""
    filename = str(getattr(script, "filename", None) or "")
    if not filename or filename.endswith("documentation_options.js"):  # an inline script changes these options
        return script
    return type(script)(script.filename, priority=script.priority, **{"defer": "defer", **script.attributes})


# -- the style sheet ---------------------------------------------------------------------------------------------


def names_in_use(files: Iterable[Path]) -> set[str]:
    """Every word of the pages and scripts: whatever a class or an id can be called."""
    return {word for path in files for word in WORD.findall(path.read_text(encoding="utf-8", errors="ignore"))}


def _selectors(prelude: list) -> list[list]:
    parts: list[list] = [[]]
    for token in prelude:
        if token.type == "literal" and token.value == ",":
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _can_match(selector: list, used: set[str]) -> bool:
    """Whether every class, id and attribute that the selector demands occurs; ``:not()`` and the like are free."""
    before = None
    for token in selector:
        if token.type == "hash" and token.value not in used:
            return False
        if token.type == "ident" and before == "." and token.value not in used:
            return False
        if token.type == "[] block":
            for part in token.content:
                if part.type == "ident" and part.value not in used:
                    return False
        before = token.value if token.type == "literal" else None
    return True


def reduced(css: str, used: set[str]) -> str:
    """The style sheet without the rules that can match nothing."""

    def keep(rules: list) -> str:
        out = []
        for rule in rules:
            if rule.type == "qualified-rule":
                live = [part for part in _selectors(rule.prelude) if _can_match(part, used)]
                if live:
                    prelude = ",".join(tinycss2.serialize(part).strip() for part in live)
                    out.append(f"{prelude}{{{tinycss2.serialize(rule.content)}}}")
            elif rule.type == "at-rule" and rule.lower_at_keyword in ("media", "supports") and rule.content is not None:
                inner = keep(tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True))
                if inner:
                    out.append(f"@{rule.at_keyword}{tinycss2.serialize(rule.prelude)}{{{inner}}}")
            else:
                out.append(rule.serialize())
        return "".join(out)

    return keep(tinycss2.parse_stylesheet(css, skip_comments=True, skip_whitespace=True))


# -- icons and pictures ------------------------------------------------------------------------------------------


def subset_icons(static: Path, sheets: Iterable[Path]) -> None:
    """Replace FontAwesome's fonts by ones that hold only the icons that the style sheets name."""
    texts = {path: path.read_text(encoding="utf-8") for path in sheets}
    everything = "".join(texts.values())  # the sheets name an icon by its code or hold the character itself
    icons = sorted({int(code, 16) for code in ICON.findall(everything)} | {ord(character) for character in everything})
    digest = hashlib.sha256(repr(icons).encode()).hexdigest()[:12]
    for font in sorted((static / "vendor" / "fontawesome" / "webfonts").glob("*.ttf")):
        small = font.with_name(f"{font.stem}.{digest}.woff")
        if not small.exists():
            options = subset.Options(flavor="woff", notdef_outline=True, layout_features=[])
            loaded = subset.load_font(str(font), options)
            subsetter = subset.Subsetter(options)
            subsetter.populate(unicodes=icons)
            subsetter.subset(loaded)
            subset.save_font(loaded, str(small), options)
        source = re.compile(
            rf'url\(([^)]*){font.stem}\.woff2\)\s*format\("woff2"\),\s*url\([^)]*\)\s*format\("truetype"\)'
        )
        for path, text in texts.items():
            texts[path] = source.sub(rf'url(\g<1>{small.name}) format("woff")', text)
    for path, text in texts.items():
        if text != path.read_text(encoding="utf-8"):
            path.write_text(text, encoding="utf-8")


def _png_size(path: Path) -> tuple[int, int] | None:
    head = path.read_bytes()[:24] if path.is_file() else b""
    return struct.unpack(">II", head[16:24]) if head.startswith(b"\x89PNG\r\n\x1a\n") else None


def with_sizes(html: str, folder: Path) -> str:
    """The page with the size of each PNG written down; all but the first are fetched only when they come near."""
    count = 0

    def sized(match: re.Match[str]) -> str:
        nonlocal count
        tag = match[0]
        size = None if " width=" in tag else _png_size(folder / match["src"])
        if size is None:
            return tag
        count += 1
        lazy = ' loading="lazy"' if count > 1 else ""
        return f'{tag[:4]} width="{size[0]}" height="{size[1]}"{lazy}{tag[4:]}'

    return PICTURE.sub(sized, html)


def finish(app: Sphinx, exception: Exception | None) -> None:
    if exception is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    for page in out.rglob("*.html"):
        html = page.read_text(encoding="utf-8")
        lighter = with_sizes(UNTHEMED.sub(r'\1"light"', FONTAWESOME_SCRIPT.sub("", html)), page.parent)
        if lighter != html:
            page.write_text(lighter, encoding="utf-8")
    scripts = [path for path in (out / "_static").rglob("*.js") if "vendor" not in path.parts]
    used = names_in_use([*out.rglob("*.html"), *scripts])
    for name in STYLE_SHEETS:
        path = out / name
        if path.is_file():
            path.write_text(reduced(path.read_text(encoding="utf-8"), used), encoding="utf-8")
    subset_icons(out / "_static", [path for path in (out / "_static").rglob("*.css") if "vendor" not in path.parts])


def setup(app: Sphinx) -> None:
    # Else it lists every table that it leaves out of a font, here and in course_site.mathematics.
    logging.getLogger("fontTools.subset").setLevel(logging.WARNING)
    app.connect("html-page-context", mend, priority=900)
    app.connect("build-finished", finish, priority=950)
