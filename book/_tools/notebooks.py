"""Derive from each page ``book/NAME.md`` the notebook ``book/NAME.ipynb`` that Colab, Binder and downloads open.

The notebooks hold no outputs and are the same bytes whenever they are derived. Neither Colab nor a
plain JupyterLab knows MyST, so directives and roles become plain Markdown: an admonition a quotation
with a bold title, a dropdown ``<details>``, a theorem a titled quotation, references links to the
published page. Something that has no translation is an error that names it. The first cell installs
the library where it is missing; it exists only here, so the book does not show it.

    python book/_tools/notebooks.py            write what changed
    python book/_tools/notebooks.py --check    write nothing, fail if something would change
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

import jupytext
import yaml

from project import ROOT, Project

sys.path.append(str(ROOT / "book" / "_ext"))

import predictions  # noqa: E402
import theorem_cards  # noqa: E402

ADMONITIONS = {
    name: name.capitalize()
    for name in ("note", "tip", "hint", "warning", "important", "caution", "attention", "danger", "error")
} | {"seealso": "See also"}
PROOF_KINDS = (
    "theorem", "lemma", "definition", "proposition", "corollary", "remark", "example", "proof",
    "axiom", "criterion", "observation", "assumption", "property", "algorithm", "conjecture",
)  # fmt: skip


class TranslationError(ValueError):
    """A page uses something that has no plain Markdown form here; ``sought`` is what stands at the place."""

    def __init__(self, what: str, sought: str = ""):
        super().__init__(what)
        self.sought = sought

    def at(self, path: Path, root: Path) -> TranslationError:
        """The same, with file and line in front."""
        text = path.read_text(encoding="utf-8")
        found = self.sought != "" and self.sought in text
        line = f":{text[: text.index(self.sought)].count(chr(10)) + 1}" if found else ""
        return TranslationError(f"{path.relative_to(root).as_posix()}{line}: {self}")


# -- reading MyST --------------------------------------------------------------------------------------------


@dataclass
class Block:
    """A piece of a page: ``text``, ``code`` (a literal fence), ``math``, or a directive by its name."""

    kind: str
    lines: list[str]
    argument: str = ""
    options: dict[str, str] = field(default_factory=dict)
    indent: str = ""

    @property
    def label(self) -> str:
        return self.options.get("label") or self.options.get("name") or ""

    @property
    def classes(self) -> list[str]:
        return self.options.get("class", "").split()


_FENCE = re.compile(r"^(\s*)(:{3,}|`{3,}|~{3,})(?:\{([\w:.+-]+)\})?[ ]*(.*)$")
_DOLLARS = re.compile(r"^\s*\$\$(.*)$")
_DOLLARS_END = re.compile(r"^(.*?)\$\$\s*(?:\(([\w:.-]+)\))?\s*$")
_TARGET = re.compile(r"^\(([\w:. -]+)\)=\s*$")


def blocks(lines: list[str]) -> Iterator[Block]:
    """Split lines of MyST into blocks; what is inside a directive stays as its lines."""
    text: list[str] = []
    i = 0
    while i < len(lines):
        line = lines[i]
        fence, dollars = _FENCE.match(line), _DOLLARS.match(line)
        if fence and (fence[3] or fence[2][0] != ":"):
            if text:
                yield Block("text", text)
                text = []
            indent, ticks, name, argument = fence.groups()
            close = re.compile(rf"^\s*{re.escape(ticks[0])}{{{len(ticks)},}}\s*$")
            end = next((j for j in range(i + 1, len(lines)) if close.match(lines[j])), None)
            if end is None:
                raise TranslationError(f"a fence is not closed: {line}", line)
            body = [row[len(indent) :] if row.startswith(indent) else row for row in lines[i + 1 : end]]
            if name == "theorem":
                statement, title, body = _card(argument.strip(), body)
                yield Block(f"prf:{statement}", body, title, {"label": argument.strip()}, indent)
            elif name:
                options, body = _options(body)
                yield Block(name, body, argument.strip(), options, indent)
            else:
                yield Block("code", [line.strip(), *body, ticks], indent=indent)
            i = end + 1
        elif dollars:
            if text:
                yield Block("text", text)
                text = []
            first, rest = dollars[1], i + 1
            closing = _DOLLARS_END.match(first)
            body = []
            if not closing:
                body = [first] if first.strip() else []
                while rest < len(lines) and not (closing := _DOLLARS_END.match(lines[rest])):
                    body.append(lines[rest])
                    rest += 1
                rest += 1
            if not closing:
                raise TranslationError(f"displayed mathematics is not closed: {line}", line)
            body += [closing[1]] if closing[1].strip() else []
            yield Block("math", body, options={"label": closing[2]} if closing[2] else {})
            i = rest
        else:
            text.append(line)
            i += 1
    if text:
        yield Block("text", text)


def _card(key: str, body: list[str]) -> tuple[str, str, list[str]]:
    """The block of a theorem's card, as if the page had written it out."""
    try:
        return theorem_cards.card(key, body)
    except ValueError as error:
        raise TranslationError(str(error), f"{{theorem}} {key}") from error


def _options(body: list[str]) -> tuple[dict[str, str], list[str]]:
    if body and body[0].strip() == "---":
        end = next((i for i, row in enumerate(body[1:], 1) if row.strip() == "---"), 0)
        loaded = yaml.safe_load("\n".join(body[1:end])) or {}
        return {key: "" if value is None else str(value) for key, value in loaded.items()}, body[end + 1 :]
    options: dict[str, str] = {}
    count = 0
    for row in body:
        match = re.match(r"^\s*:([\w-]+):\s*(.*)$", row)
        if not match:
            break
        options[match[1]] = match[2].strip()
        count += 1
    return options, body[count:]


# -- numbers and titles of what can be referred to -----------------------------------------------------------


@dataclass(frozen=True)
class Target:
    page: str
    kind: str  # equation, figure, table, exercise, a proof kind, section
    number: str
    title: str


class Book:
    """All pages, with the labels that they define, numbered as the website numbers them."""

    def __init__(self, project: Project):
        self.project = project
        self.targets: dict[str, Target] = {}
        self.titles: dict[str, str] = {}
        self.notebooks: dict[str, list] = {}
        self.numbers: Counter[tuple[str, str]] = Counter()
        for name, path in project.pages.items():
            text = path.read_text(encoding="utf-8")
            heading = re.search(r"^# (.+)$", text, re.M)
            self.titles[name] = heading[1].strip() if heading else name
            cells = jupytext.reads(text, fmt="md:myst").cells
            self.notebooks[name] = cells
            for cell in cells:
                if cell.cell_type == "markdown":
                    try:
                        self._scan(name, cell.source.splitlines())
                    except TranslationError as error:
                        raise error.at(path, project.root) from None
                else:
                    figure = cell.metadata.get("mystnb", {}).get("figure", {})
                    if figure.get("name"):
                        self._add(name, figure["name"], "figure", figure.get("caption", ""))

    def _add(self, page: str, label: str, kind: str, title: str, numbered: bool = True) -> None:
        number = ""
        if numbered:
            chapter = self.project.chapter_numbers.get(page)
            prefix = f"{chapter}." if chapter else ""
            self.numbers[kind, prefix] += 1
            number = f"{prefix}{self.numbers[kind, prefix]}"
        if label:
            self.targets[label] = Target(page, kind, number, title)

    def _scan(self, page: str, lines: list[str]) -> None:
        for block in blocks(lines):
            if block.kind == "text":
                for i, line in enumerate(block.lines):
                    if target := _TARGET.match(line):
                        after = next((row for row in block.lines[i + 1 :] if row.strip()), "")
                        title = after.lstrip("# ").strip() if after.startswith("#") else target[1]
                        self._add(page, target[1], "section", title, numbered=False)
            elif block.kind == "math":
                if block.label:
                    self._add(page, block.label, "equation", "")
            elif block.kind in ("figure", "table", "list-table"):
                kind = "figure" if block.kind == "figure" else "table"
                caption = block.argument if kind == "table" else " ".join(block.lines).strip()
                if block.label:
                    self._add(page, block.label, kind, caption)
            elif block.kind in ("exercise", "exercise-start"):
                self._add(page, block.label, "exercise", block.argument, "nonumber" not in block.options)
            elif block.kind.startswith("prf:") and block.kind != "prf:proof":
                self._add(page, block.label, block.kind[4:], block.argument, "nonumber" not in block.options)
            if block.kind not in ("text", "code", "math", "code-block", "raw", "glossary"):
                self._scan(page, block.lines)

    @cached_property
    def sources(self) -> dict[str, tuple[str, str, str]]:
        """Authors, year and link of every entry of the bibliography, by key."""
        from pybtex.database import parse_file

        found: dict[str, tuple[str, str, str]] = {}
        for name in self.project.config.get("bibtex_bibfiles", ()):
            for key, entry in parse_file(str(self.project.root / name)).entries.items():
                people = entry.persons.get("author") or entry.persons.get("editor") or []
                names = [(*person.rich_prelast_names, *person.rich_last_names) for person in people]
                last = [" ".join(str(part) for part in name) for name in names]
                fields = entry.fields
                who = f"{last[0]} et al." if len(last) > 2 else " and ".join(last) or fields.get("title", key)
                arxiv = re.search(r"arXiv[: ]*(\d{4}\.\d{4,5}|[a-z-]+/\d{7})", " ".join(fields.values()), re.I)
                if "doi" in fields:
                    link = f"https://doi.org/{fields['doi']}"
                elif "url" in fields:
                    link = fields["url"]
                elif "eprint" in fields or arxiv:
                    link = f"https://arxiv.org/abs/{fields.get('eprint') or (arxiv and arxiv[1])}"
                else:
                    link = f"{self.project.site}/book/references.html"
                found[key] = (who, fields.get("year", "n.d."), link)
        return found


# -- writing plain Markdown ----------------------------------------------------------------------------------

_CODE_OR_MATH = re.compile(r"(\{[\w:+.-]+\})?(`+)(.+?)(?<!`)\2(?!`)|(?<!\\)\$(?!\s)([^$]+?)(?<![\s\\])\$", re.S)
_LINK = re.compile(r"(!?)\[([^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*)\]\(<?([^()\s<>]+)>?\)")
_HELD = re.compile(r"\x00(\d+)\x00")


class Translator:
    """Turns the Markdown cells of one page into plain Markdown."""

    def __init__(self, book: Book, page: str):
        self.book, self.page, self.project = book, page, book.project

    def cell(self, source: str) -> str:
        return re.sub(r"\n{3,}", "\n\n", self.lines(source.splitlines())).strip("\n")

    def lines(self, lines: list[str]) -> str:
        parts = []
        for block in blocks(lines):
            text = self.block(block)
            if block.indent:
                text = "\n".join(block.indent + row if row else row for row in text.splitlines())
            parts.append(text)
        return "\n".join(parts)

    def block(self, block: Block) -> str:
        kind = block.kind
        if kind == "text":
            kept = [row for row in block.lines if not _TARGET.match(row) and not row.startswith("% ")]
            return self.inline("\n".join(kept))
        if kind == "code":
            return "\n".join(block.lines)
        if kind == "math":
            return self.math(block)
        if kind in ("code-block", "code", "sourcecode", "literalinclude"):
            return "\n".join([f"```{block.argument}", *block.lines, "```"])
        if kind in ADMONITIONS or kind == "admonition":
            own = self.inline(block.argument) if kind == "admonition" else ADMONITIONS[kind]
            body = block.lines if kind == "admonition" or not block.argument else [block.argument, *block.lines]
            return self.titled(own, body, folded="dropdown" in block.classes)
        if kind == "predict":
            return self.prediction(block)
        if kind == "dropdown":
            return self.folded(self.inline(block.argument), self.lines(block.lines))
        if kind in ("exercise", "exercise-start"):
            return f"\n#### {self.numbered_title('Exercise', block)}\n\n{self.lines(block.lines).strip()}\n"
        if kind == "solution":
            return self.folded(self.solution_title(block), self.lines(block.lines))
        if kind == "solution-start":
            return f"\n#### {self.solution_title(block)}\n\n{self.lines(block.lines).strip()}\n"
        if kind in ("exercise-end", "solution-end"):
            return ""
        if kind.startswith("prf:") and kind[4:] in PROOF_KINDS:
            return self.statement(block)
        if kind in ("table", "figure", "list-table"):
            return self.captioned(block)
        if kind == "image":
            return f"\n![{block.options.get('alt', '')}]({self.file(block.argument)})\n"
        if kind == "tab-set":
            return self.lines(block.lines)
        if kind == "tab-item":
            return f"\n**{self.inline(block.argument)}**\n\n{self.lines(block.lines).strip()}\n"
        if kind == "glossary":
            return self.glossary(block.lines)
        if kind == "bibliography":
            return f"\nThe list of sources is on [the website]({self.project.site}/book/{self.page}.html).\n"
        raise TranslationError(f"the directive {{{kind}}} has no plain Markdown form", f"{{{kind}}}")

    # blocks

    def math(self, block: Block) -> str:
        body = "\n".join(([block.argument] if block.argument else []) + block.lines).strip()
        if "\\\\" in body and "\\begin{" not in body:
            body = f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"
        tag = f"\n\\tag{{{self.target(block.label).number}}}" if block.label else ""
        return f"\n$$\n{body}{tag}\n$$\n"

    def titled(self, title: str, body: list[str], folded: bool = False) -> str:
        inside = re.sub(r"\n{3,}", "\n\n", self.lines(body).strip())
        return self.folded(title, inside) if folded else f"\n{quote(f'**{title}**')}\n>\n{quote(inside)}\n"

    def prediction(self, block: Block) -> str:
        question, choices, answer = predictions.parts(block.lines)
        asked = self.lines([block.lines[i] for i in question]).strip()
        asked += "".join(
            f"\n- {self.inline(text)}" if i else f"\n\n- {self.inline(text)}" for i, (_, text, _) in enumerate(choices)
        )
        right = ", ".join(f"**{self.inline(text)}**" for is_right, text, _ in choices if is_right)
        reason = self.lines([block.lines[i] for i in answer]).strip()
        text = "\n\n".join(filter(None, (right, reason)))
        return f"\n{quote('**Predict**')}\n>\n{quote(asked)}\n" + (self.folded("Answer", text) if text else "")

    def folded(self, title: str, inside: str) -> str:
        return f"\n<details>\n<summary><b>{html_title(title)}</b></summary>\n\n{inside.strip()}\n\n</details>\n"

    def numbered_title(self, word: str, block: Block) -> str:
        number = self.target(block.label).number if block.label else ""
        name = f"{word} {number}".strip()
        return f"{name}: {self.inline(block.argument)}" if block.argument else name

    def solution_title(self, block: Block) -> str:
        exercise = self.target(block.argument)
        return f"Solution of exercise {exercise.number}".strip() if exercise.number else f"Solution: {exercise.title}"

    def statement(self, block: Block) -> str:
        kind = block.kind[4:]
        if kind == "proof":
            title = f"Proof ({self.inline(block.argument)})" if block.argument else "Proof"
        else:
            title = self.numbered_title(kind.capitalize(), block)
        return self.titled(title, block.lines, folded="dropdown" in block.classes)

    def captioned(self, block: Block) -> str:
        word = "Figure" if block.kind == "figure" else "Table"
        number = self.target(block.label).number if block.label else ""
        if block.kind == "figure":
            caption, content = self.lines(block.lines).strip(), ""
            content = f"![{block.options.get('alt', '')}]({self.file(block.argument)})"
        else:
            caption = self.inline(block.argument)
            content = self.list_table(block) if block.kind == "list-table" else self.lines(block.lines).strip()
        head = f"**{f'{word} {number}'.strip()}.** {caption}".strip() if caption else ""
        first, second = (content, head) if block.kind == "figure" else (head, content)
        return f"\n{first}\n\n{second}\n" if head else f"\n{content}\n"

    def list_table(self, block: Block) -> str:
        rows: list[list[str]] = []
        for line in block.lines:
            if match := re.match(r"^\* - ?(.*)$", line):
                rows.append([match[1]])
            elif match := re.match(r"^\s+- ?(.*)$", line):
                rows[-1].append(match[1])
            elif line.strip():
                rows[-1][-1] += " " + line.strip()
        cells = [[self.inline(cell.strip()) for cell in row] for row in rows]
        head = cells.pop(0) if int(block.options.get("header-rows", 0) or 0) else [""] * len(cells[0])
        return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *cells])

    def glossary(self, lines: list[str]) -> str:
        made: list[str] = []
        for line in lines:
            if line.strip() and not line[0].isspace():
                made += ["", f"**{self.inline(line.strip())}**  "]
            else:
                made.append(self.inline(line.strip()))
        return "\n".join(made) + "\n"

    # inside a line

    def inline(self, text: str) -> str:
        """Translate roles and links; leave code and mathematics as they are."""
        held: list[str] = []

        def hold(value: str) -> str:
            held.append(value)
            return f"\x00{len(held) - 1}\x00"

        def visit(match: re.Match[str]) -> str:
            role = match[1]
            return hold(self.role(role[1:-1], match[3]) if role else match[0])

        text = _CODE_OR_MATH.sub(visit, text)
        text = _LINK.sub(lambda m: self.link(m[1], m[2], m[3]), text)
        while _HELD.search(text):
            text = _HELD.sub(lambda m: held[int(m[1])], text)
        return text

    def role(self, name: str, content: str) -> str:
        shown, given = content, ""
        if match := re.match(r"^(.*?)\s*<([^<>]+)>$", content, re.S):
            shown, given = match[2], match[1]
        if name in ("cite:p", "cite:t", "cite"):
            return self.citation(name, content)
        if name == "math":
            return f"${content}$"
        if name == "term":
            return given or shown
        if name == "doc":
            page = Path(shown).name
            if page not in self.book.titles:
                raise TranslationError(f"there is no page {shown}", shown)
            return f"[{given or self.book.titles[page]}]({self.address(page)})"
        if name in ("eq", "ref", "numref", "prf:ref"):
            target = self.target(shown)
            return self.reference(name, target, given)
        if name == "thm":
            return self.theorem(content)
        if name in ("sub", "sup", "kbd"):
            return f"<{name}>{content}</{name}>"
        if name == "abbr":
            return given or content
        raise TranslationError(f"the role {{{name}}} has no plain Markdown form", f"{{{name}}}")

    def reference(self, role: str, target: Target, given: str) -> str:
        named = f"{target.kind.capitalize()} {target.number}".strip() if target.kind != "section" else target.title
        if target.kind == "equation":
            named = f"({target.number})"
        if given:
            title = self.inline(target.title)
            named = given.replace("%s", target.number).replace("{number}", target.number).replace("{name}", title)
        elif role == "ref" and target.kind in ("figure", "table") and target.title:
            named = self.inline(target.title)
        return named if target.page == self.page else f"[{named}]({self.address(target.page)})"

    def theorem(self, content: str) -> str:
        """A reference to a theorem with its conditions written out, as on paper."""
        try:
            words, theorem, part = theorem_cards.reference(content)
        except ValueError as error:
            raise TranslationError(str(error), f"{{thm}}`{content}`") from error
        link = self.reference("prf:ref", self.target(theorem.key), words)
        # A bar would end the cell of a table.
        written = theorem_cards.conditions(theorem, part).replace("|", r"\vert ")
        name, conditions = self.inline(theorem.name), self.inline(written)
        return f"{link} ({name}, if: {conditions})"

    def citation(self, role: str, keys: str) -> str:
        made = []
        for key in keys.split(","):
            if key.strip() not in self.book.sources:
                raise TranslationError(f"{key.strip()!r} is not in the bibliography", key.strip())
            who, year, link = self.book.sources[key.strip()]
            text = f"{who} ({year})" if role == "cite:t" else f"{who}, {year}"
            made.append(f"[{text}]({link})")
        return ", ".join(made) if role == "cite:t" else f"({'; '.join(made)})"

    def link(self, image: str, text: str, where: str) -> str:
        if image:
            return f"![{text}]({self.file(where)})"
        if re.match(r"^[a-z][a-z0-9+.-]*:", where):
            return f"[{text}]({where})"
        path, _, anchor = where.partition("#")
        if not anchor and path in self.book.targets:  # [text](label)
            path, anchor = "", path
        if not path:
            target = self.book.targets.get(anchor)
            page = target.page if target else self.page
            text = text or (target.title if target else anchor)
            return text if page == self.page else f"[{text}]({self.address(page)}#{anchor})"
        name = Path(path).stem
        if Path(path).suffix == ".md" and name in self.book.titles:
            return f"[{text or self.book.titles[name]}]({self.address(name)}{'#' + anchor if anchor else ''})"
        return f"[{text or path}]({self.file(path)})"

    def address(self, page: str) -> str:
        return f"{self.project.site}/book/{page}.html"

    def file(self, path: str) -> str:
        """The address of a file that a page names relative to itself."""
        if re.match(r"^[a-z]+:", path):
            return path
        full = (self.project.root / "book" / path).resolve()
        if not full.is_file():
            raise TranslationError(f"there is no file {path}", path)
        return f"{self.project.raw}/{full.relative_to(self.project.root.resolve()).as_posix()}"

    def target(self, label: str) -> Target:
        if label not in self.book.targets:
            raise TranslationError(f"nothing is labelled {label!r}", label)
        return self.book.targets[label]


def quote(text: str) -> str:
    return "\n".join(f"> {line}" if line else ">" for line in text.splitlines())


def html_title(text: str) -> str:
    """A title inside ``<summary>``: HTML, where Markdown's own marks would stay visible."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    return re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text)


# -- writing notebooks ---------------------------------------------------------------------------------------

BOOTSTRAP = """\
# Installs the course's library where it is missing (on Colab, say) and leaves everything else as it is.
import importlib.metadata
import importlib.util
import sys

if importlib.util.find_spec("optbias") is None:
    %pip install -q "{install}"
    importlib.invalidate_caches()
if "google.colab" in sys.modules:
    from google.colab import output

    output.enable_custom_widget_manager()
print("Ready: optbias", importlib.metadata.version("optbias"))
"""


_EXERCISE_HEADING = re.compile(r"^(?=#### (?:Exercise|Solution))", re.M)
FOLDED = {"heading_collapsed": True, "jp-MarkdownHeadingCollapsed": True}


def notebook(book: Book, page: str) -> str:
    """The text of the derived notebook of ``page``."""
    project, translator = book.project, Translator(book, page)
    pages = f"{project.site}/book"
    origin = (
        f"This notebook is the page [{book.titles[page]}]({pages}/{page}.html) of the course "
        f"[{project.config['title']}]({project.site}/). It is derived from `book/{page}.md`; "
        "edit that file, not this one."
    )
    cells: list[tuple[str, str, dict]] = [
        ("code", BOOTSTRAP.format(install=project.install_command).rstrip(), {"tags": ["colab-only"]}),
        ("markdown", origin, {}),
    ]
    for cell in book.notebooks[page]:
        metadata: dict
        tags = cell.metadata.get("tags", [])
        if "remove-cell" in tags:
            continue
        if cell.cell_type == "markdown":
            for text in _EXERCISE_HEADING.split(translator.cell(cell.source)):
                # A solution that runs over several cells is folded with its heading.
                metadata = dict(FOLDED) if text.startswith("#### Solution") else {}
                if text.strip():
                    cells.append(("markdown", text.strip("\n"), metadata))
            continue
        metadata = {"tags": tags} if tags else {}
        if {"hide-input", "hide-cell"} & set(tags):
            metadata["jupyter"] = {"source_hidden": True}
        cells.append(("code", cell.source, metadata))
        figure = cell.metadata.get("mystnb", {}).get("figure", {})
        if figure.get("caption"):
            number = f" {book.targets[figure['name']].number}" if figure.get("name") else ""
            cells.append(("markdown", f"**Figure{number}.** {translator.inline(figure['caption'])}", {}))
    content = {
        "cells": [_cell(index, *cell) for index, cell in enumerate(cells)],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def _cell(index: int, kind: str, source: str, metadata: dict) -> dict:
    name = hashlib.sha256(f"{index}\0{source}".encode()).hexdigest()[:12]
    cell = {"cell_type": kind, "id": name, "metadata": metadata, "source": source.splitlines(keepends=True)}
    return cell if kind == "markdown" else {**cell, "execution_count": None, "outputs": []}


ADDRESSES = re.compile(r"(<!-- addresses: [^\n]*-->\n).*?(?=<!-- end of addresses -->)", re.S)


def readme(project: Project) -> str:
    """The README with the addresses that its table derives from the repository's."""
    page, colab = f"{project.site}/book/linf-constraint.html", project.config["launch_buttons"]["colab_url"]
    place = urlsplit(project.repository).path
    rows = (
        ("read it", f"the website: <{project.site}>"),
        ("move one figure, now", f"[the box]({page}) on the website; the figures answer without a kernel"),
        (
            "run one chapter, now",
            f"[momentum in Colab]({colab}/github{place}/blob/{project.branch}/book/momentum.ipynb), free, with a "
            "Google account",
        ),
        ("ask, or report a fault", f"[the issues]({project.repository}/issues): say what you ran and what it printed"),
    )
    table = "".join(f"| {wish} | {way} |\n" for wish, way in rows)
    return ADDRESSES.sub(lambda match: match[1] + table, (project.root / "README.md").read_text(encoding="utf-8"))


def derive(project: Project) -> tuple[dict[Path, str], list[str]]:
    """Path and text of every derived notebook, and what could not be translated."""
    made: dict[Path, str] = {}
    errors: list[str] = []
    try:
        book = Book(project)
    except TranslationError as error:
        return made, [str(error)]
    for name, path in project.pages.items():
        if project.is_notebook(path):
            try:
                made[path.with_suffix(".ipynb")] = notebook(book, name)
            except TranslationError as error:
                errors.append(str(error.at(path, project.root)))
    return made, errors


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if something would change")
    options = parser.parse_args(arguments)
    project = Project()
    wanted, errors = derive(project)
    wanted[project.root / "README.md"] = readme(project)
    for error in errors:
        print(f"notebooks: {error}", file=sys.stderr)
    changed = [path for path, text in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    pages = {path.with_suffix(".ipynb") for path in project.pages.values() if project.is_notebook(path)}
    if errors and len(wanted) == 1:  # the whole book could not be read
        return 1
    orphans = sorted(set((project.root / "book").glob("*.ipynb")) - pages)
    if options.check:
        for path in [*changed, *orphans]:
            print(f"not as derived: {path.relative_to(project.root)}; run make notebooks", file=sys.stderr)
        return 1 if changed or orphans or errors else 0
    for path in changed:
        part = path.with_name(path.name + ".part")
        part.write_text(wanted[path], encoding="utf-8", newline="\n")
        part.replace(path)
        print(f"derived {path.relative_to(project.root)}")
    for path in orphans:
        path.unlink()
        print(f"removed {path.relative_to(project.root)}: it has no page")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
