"""Short previews behind the links of a page: theorems with their conditions, equations, sources, words of the glossary.

After the pages are written, each gets a ``<template>`` for everything that its text links to, cut out of the page
that states it. ``course.js`` shows it beside the link on hover, focus or tap. Nothing is fetched, so it works from
a disk as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from html import unescape
from pathlib import Path
from urllib.parse import unquote

from sphinx.application import Sphinx

MARK = "<!-- previews -->"
OLD = re.compile(rf"{MARK}.*?{MARK}\n?", re.DOTALL)
ARTICLE_END = re.compile(r"</article>")
LINK = re.compile(r'<a class="reference internal" href="([^":#]*)#([^"]+)"')
NOT_SHOWN = re.compile(r'<a class="headerlink".*?</a>|<span class="backrefs">.*?</span>|<script.*?</script>', re.DOTALL)
IDS = re.compile(r'\s(?:id|role|aria-[a-z]+|tabindex)="[^"]*"')
ANCHOR = re.compile(r"<a\b[^>]*>|</a>")
KINDS = {"proof": "theorem", "math": "equation", "citation": "source"}
TOO_LONG = 20_000  # characters of HTML: no preview is a page


def element(html: str, name: str) -> tuple[str, str] | None:
    """The opening tag of the element with the id ``name``, and what is inside it; None if there is none."""
    opening = re.search(rf'<(?P<tag>\w+)\b[^>]*\sid="{re.escape(name)}"[^>]*>', html)
    if opening is None:
        return None
    depth = 1
    for tag in re.compile(rf"<(/?){opening['tag']}\b[^>]*>").finditer(html, opening.end()):
        depth += -1 if tag[1] else 1
        if depth == 0:
            return opening[0], html[opening.end() : tag.start()]
    return None


def preview(html: str, name: str) -> str | None:
    """What a link to the place ``name`` of a page shows; None where that is nothing to be shown in short."""
    found = element(html, name)
    if found is None:
        return None
    opening, inside = found
    if 'class="sig' in opening:  # an entry of the API reference is no short text
        return None
    if opening.startswith("<dt"):
        meaning = re.compile(r"\s*(?:<dt\b.*?</dt>\s*)*<dd>(.*?)</dd>", re.DOTALL)
        after = meaning.match(html, html.index(opening) + len(opening) + len(inside) + len("</dt>"))
        kind, inside = "term", f"<p><strong>{inside}</strong></p>{after[1] if after else ''}"
    else:
        classes = re.search(r'class="([^"]*)"', opening)
        kind = next((KINDS[word] for word in (classes[1] if classes else "").split() if word in KINDS), "")
        if not kind:
            return None
        if kind == "equation":
            inside = f'<div class="math">{inside}</div>'
    # A preview says, it does not lead on: that is what its link is for.
    shown = ANCHOR.sub("", IDS.sub("", NOT_SHOWN.sub("", inside))).strip()
    return f'<div class="preview-{kind}">{shown}</div>' if len(shown) < TOO_LONG else None


def with_previews(html: str, page: str, read: Callable[[str], str]) -> str:
    """The page with a template for each of its links that can be shown in short."""
    html = OLD.sub("", html)
    ends = list(ARTICLE_END.finditer(html))
    if not ends:
        return html
    made = {}
    for file, name in LINK.findall(html[: ends[-1].start()]):
        target, name = unescape(file) or page, unquote(unescape(name))
        if "/" in target or (target, name) in made:
            continue
        made[target, name] = preview(read(target), name)
    templates = [f'<template data-for="{file}#{name}">{text}</template>' for (file, name), text in made.items() if text]
    if not templates:
        return html
    block = MARK + "\n" + "\n".join(templates) + "\n" + MARK + "\n"
    return html[: ends[-1].start()] + block + html[ends[-1].start() :]


def finish(app: Sphinx, exception: Exception | None) -> None:
    if exception is not None or app.builder.format != "html":
        return
    for folder in sorted({(Path(app.outdir) / name).parent for name in app.env.found_docs}):

        @cache
        def read(file: str, folder: Path = folder) -> str:
            path = folder / file
            return OLD.sub("", path.read_text(encoding="utf-8")) if path.is_file() else ""

        for path in sorted(folder.glob("*.html")):
            html = path.read_text(encoding="utf-8")
            shown = with_previews(html, path.name, read)
            if shown != html:
                path.write_text(shown, encoding="utf-8")


def setup(app: Sphinx) -> None:
    # After the status page and the notebooks are in place, before what is unused is dropped (lightness, 950).
    app.connect("build-finished", finish, priority=905)
