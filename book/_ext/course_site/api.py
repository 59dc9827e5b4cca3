"""The API reference: the directive that fills its pages, and the links to it from the code of the other pages.

``:::{api} MODULE`` shows a module's docstring and each of its public names (:mod:`api_reference`). On the other
pages the first use of a name in a cell becomes a link, after they are written: a cell imports it from a public
module, so what it means is known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import api_reference

CELL = re.compile(r'<div class="cell_input docutils container">.*?</pre>', re.DOTALL)
TAG = re.compile(r"<[^>]+>")
IMPORT = re.compile(r"^from (optbias[\w.]*) import (\([^)]*\)|[^\n(]+)", re.MULTILINE)
KEYWORD = '<span class="kn">import</span>'
LINKED = '<a class="api-link" href="'
SIGNATURE = re.compile(r'<dt class="sig .*?</dt>', re.DOTALL)


class ApiDirective(SphinxDirective):
    """``:::{api} MODULE``: the module's docstring, and its public names."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        module = self.arguments[0]
        try:
            names = api_reference.public_names(module)
            own = api_reference.page_of(module)
        except (ImportError, ValueError) as error:
            raise self.error(str(error)) from error
        if not self.env.docname.endswith(own):
            raise self.error(f"{module} belongs on the page {own}")
        lines = ["```{eval-rst}", f".. automodule:: {module}", "   :no-members:", ""]
        lines += (
            [", ".join(f":py:obj:`{name} <{module}.{name}>`" for name in names) + ".", ""] if len(names) > 1 else []
        )
        for name in names:
            lines += api_reference.entry(module, name)
        source, _ = self.get_source_info()
        made = nodes.Element()
        made.document = self.state.document
        self.state.nested_parse(StringList([*lines, "```"], source), self.content_offset, made)
        return made.children


def imported(code: str) -> Iterator[tuple[str, str]]:
    """The names that a page's code imports from the library, and what each stands for: a module, or MODULE#NAME."""
    for module, names in IMPORT.findall(code):
        for part in names.strip("()").replace("\n", " ").split(","):
            name, _, alias = part.strip().partition(" as ")
            if name:
                inside = f"{module}.{name}"
                yield alias.strip() or name, inside if inside in api_reference.MODULES else f"{module}#{name}"


def with_links(html: str, pages: Collection[str] = tuple(api_reference.PAGES)) -> str:
    """The page with the first use of each public name in its cells linked to the reference, as far as ``pages`` go."""
    cells = CELL.findall(html)
    code = re.sub(r"&(gt|lt|amp|quot|#39);", " ", TAG.sub("", "\n".join(cells)))
    targets: dict[str, tuple[str, str]] = {}  # what stands in the HTML: the text to link, the address
    for name, meaning in imported(code):
        module, _, own = meaning.partition("#")
        if module not in api_reference.MODULES or api_reference.page_of(module) not in pages:
            continue
        address = f"{api_reference.page_of(module)}.html#{module}"
        if own in api_reference.public_names(module):
            targets[f'<span class="n">{name}</span>'] = (name, f"{address}.{own}")
        elif not own:
            dot = f'<span class="n">{name}</span><span class="o">.</span><span class="n">'
            for public in api_reference.public_names(module):
                targets[f"{dot}{public}</span>"] = (public, f"{address}.{public}")

    def linked(start: Callable[[str], int]) -> Callable[[re.Match[str]], str]:
        """Links what a cell uses from ``start`` on."""

        def cell(found: re.Match[str]) -> str:
            text = found[0]
            for form, (name, address) in list(targets.items()):
                place = text.find(form, start(text))
                if place >= 0:
                    link = f'{form.removesuffix(f"{name}</span>")}{LINKED}{address}">{name}</a></span>'
                    text = text[:place] + link + text[place + len(form) :]
                    del targets[form]
            return text

        return cell

    # What is only imported (a type, say) is linked there.
    return html if LINKED in html else CELL.sub(linked(lambda text: 0), CELL.sub(linked(_after_imports), html))


def _after_imports(text: str) -> int:
    """Where the last import of a cell ends."""
    keyword = text.rfind(KEYWORD)
    if keyword < 0:
        return 0
    names = text[keyword + len(KEYWORD) :].lstrip(" ")
    closing = '<span class="p">)</span>' if names.startswith('<span class="p">(</span>') else "\n"
    end = text.find(closing, keyword)
    return len(text) if end < 0 else end


def finish(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    folder = Path(app.outdir) / "book"
    pages = [page for page in api_reference.PAGES if (folder / f"{page}.html").is_file()]
    for path in sorted(folder.glob("*.html")):
        before = path.read_text(encoding="utf-8")
        after = with_links(with_lines(before), pages)
        if after != before:
            path.write_text(after, encoding="utf-8")


def with_lines(html: str) -> str:
    """The page with the arguments of a long signature as lines: Sphinx makes them a list without any terms."""
    lines = {
        "<dl>": '<span class="sig-lines">',
        "</dl>": "</span>",
        "<dd>": '<span class="sig-line">',
        "</dd>": "</span>",
    }

    def lined(match: re.Match[str]) -> str:
        return re.sub(r"</?d[ld]>", lambda tag: lines[tag[0]], match[0])

    return SIGNATURE.sub(lined, html)


def readable(
    app: Sphinx, what: str, name: str, thing: object, options: object, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """A signature in which a default that is a function has its name ("..." if it has none)."""
    if signature:
        signature = signature.replace("<factory>", "...")
        signature = re.sub(r"<function (?:\w+\.)*<lambda>(?: at \w+)?>", "...", signature)
        signature = re.sub(r"<function ([\w.]+)(?: at \w+)?>", r"\1", signature)
    return signature, returns


def setup(app: Sphinx) -> None:
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-signature", readable)
    app.add_directive("api", ApiDirective)
    app.connect("build-finished", finish, priority=910)  # after the previews, which cut out of the pages
