"""What makes the pages quick to load, and small repairs of the theme's and Sphinx's HTML.

* Scripts no longer hold up the first paint (``defer``), except on the search page, whose own scripts want the
  others to be there already.
* The theme's style sheet keeps only the rules that can match: a rule whose selector names a class, id or attribute
  that occurs in no page and no script of the site is dropped.
* The theme's FontAwesome script is left out: the web font in its style sheet shows the same icons.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tinycss2
from docutils import nodes
from sphinx.application import Sphinx

STYLE_SHEETS = ("_static/styles/pydata-sphinx-theme.css", "_static/styles/sphinx-book-theme.css")
WORD = re.compile(r"[\w-]+")
FONTAWESOME_SCRIPT = re.compile(r'\s*<script src="[^"]*_static/scripts/fontawesome\.js[^"]*"></script>')
REPAIRS = {
    # docutils puts items of a role that a list must not have into the list of the bibliography.
    'role="doc-biblioentry"': 'role="listitem"',
    # The line that unfolds hidden code has a visible text, which must be its name.
    '<summary aria-label="Toggle hidden content">': "<summary>",
}


def mend(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document | None) -> None:
    """Defer the scripts of a page and correct roles in its text."""
    if pagename != "search":
        context["script_files"] = [_deferred(script) for script in context.get("script_files", ())]
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
    """Whether every class, id and attribute that the selector demands occurs; what stands in ``:not()`` etc. is free."""
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


def finish(app: Sphinx, exception: Exception | None) -> None:
    if exception is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    for page in out.rglob("*.html"):
        html = page.read_text(encoding="utf-8")
        lighter = FONTAWESOME_SCRIPT.sub("", html)
        if lighter != html:
            page.write_text(lighter, encoding="utf-8")
    scripts = [path for path in (out / "_static").rglob("*.js") if "vendor" not in path.parts]
    used = names_in_use([*out.rglob("*.html"), *scripts])
    for name in STYLE_SHEETS:
        path = out / name
        if path.is_file():
            path.write_text(reduced(path.read_text(encoding="utf-8"), used), encoding="utf-8")


def setup(app: Sphinx) -> None:
    app.connect("html-page-context", mend, priority=900)
    app.connect("build-finished", finish, priority=950)
