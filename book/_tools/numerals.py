"""Every number in the text of a page has a hand behind it: this finds the numbers and the hands.

    python book/_tools/numerals.py             check every page; fail if a number is unexplained
    python book/_tools/numerals.py --record    write book/checked.json anew, from the built book
    python book/_tools/numerals.py --list adam say for each number of a page what explains it

A number in the text must be one of these (docs/contributing.md has the same list for authors):

- a *setting*: a constant in the code of the page, or one of Adam's defaults;
- *checked*: a value that a claim of the page vouches for, within the digits that the text prints;
- *linked*: one of the two, on another page that the same paragraph links or refers to;
- *quoted*: in a paragraph that cites its source, or links to it;
- *computed*: an expression in a mark gives it, for instance ``% number: 0.707 = 1/sqrt(2)``;
- *marked*: with a reason, for instance ``% number: 60 -- frames a second, a property of screens``.

A mark stands in the same section, in any line of its own; readers do not see it. Not read as numbers: whole
numbers up to 10 (unless a unit says that something was measured: 7 %, 3 times), subscripts and exponents,
what is part of a name (ResNet-50, CIFAR-10, Theorem 3.5, Figure 2), years, the times at the head of a page, and the
wrong answers of a question.

``checked.json`` holds the values of the claims, so that the check needs no built book; a slow test compares the
text with the values of the build itself.
"""

from __future__ import annotations

import argparse
import ast
import json
import math
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from project import Project

MIME = "application/vnd.optbias.claim+json"
RECORD = "checked.json"

SMALL = 10
"""Whole numbers up to this one count things or are exponents and indices; they are not read."""

DEFAULTS = (1e-3, 0.9, 0.999, 1e-8, 0.01)
"""Adam's and AdamW's default settings: every page may name them."""

HANDS = ("setting", "checked", "linked", "quoted", "computed", "marked")
"""What can be behind a number, in the order in which it is looked for."""


@dataclass(frozen=True)
class Number:
    """A number in the text: where, as it is printed, its value, and half a unit of its last digit."""

    line: int
    text: str
    value: float
    half: float
    percent: bool = False

    def is_near(self, value: float) -> bool:
        """Whether ``value``, rounded to the digits that are printed, is this number."""
        return self._near(value) or (self.percent and self._near(100 * value))

    def _near(self, value: float) -> bool:
        # A sign is often in the words ("falls by 0.3"), so only the size is compared.
        return abs(abs(value) - abs(self.value)) <= self.half * (1 + 1e-9)

    def equals(self, value: float) -> bool:
        """Whether ``value`` is this number exactly; 7 % is 0.07, never a 7 of the code."""
        return math.isclose(abs(self.value), abs(value) * (100 if self.percent else 1), rel_tol=1e-12)


@dataclass
class Mark:
    """A line ``% number: ...`` of a section: the number and the expression or the reason."""

    line: int
    number: Number
    expression: str
    reason: str
    section: int
    used: bool = False


@dataclass
class Paragraph:
    """Lines that belong together, in the section ``section``: (number of the line, text)."""

    section: int
    lines: list[tuple[int, str]] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "\n".join(text for _, text in self.lines)


# -- reading a page ------------------------------------------------------------------------------------------------

_FENCE = re.compile(
    r"^(?P<indent>\s*)(?P<ticks>`{3,}|:{3,}|~{3,})(?:\{(?P<name>[\w:.+-]+)\}|(?P<language>\w+))?(?P<rest>.*)$"
)
_OPTION = re.compile(r"^\s*:[\w-]+:")
_MARK = re.compile(r"^\s*% number:\s*(?P<body>.+)$")
_HEADING = re.compile(r"^#+ ")
_ITEM = re.compile(r"^\s*(?:[-*]|\d+\.|\(\w\))\s")
_ROLE = re.compile(r"\{(?P<role>[\w:+.-]+)\}`(?P<body>[^`]*)`")
_CITES = re.compile(r"\{cite(?::\w+)?\}`|\]\(https?://")
_REFERS = re.compile(r"\{(?:numref|ref|eq|prf:ref|doc)\}`(?:[^`<]*<)?(?P<label>[\w:.-]+)>?`")
_LABELLED = re.compile(r"^\s*(?::(?:label|name):|name:)\s*(?P<option>[\w:.-]+)\s*$|^\((?P<target>[\w:.-]+)\)=", re.M)
_WRONG = re.compile(r"^\s*[-*] \[ \] ")
_LINKS = re.compile(r"\]\((?P<page>[\w-]+)\.md(?:#[\w:-]+)?\)")
_READS = ("caption:", "alt:")
_LITERAL = ("code-cell", "raw", "code-block")


def paragraphs(text: str) -> tuple[list[Paragraph], list[Mark]]:
    """The prose of a page in paragraphs, and its marks."""
    found: list[Paragraph] = []
    marks: list[Mark] = []
    section = 0
    current = Paragraph(section)

    def close() -> None:
        nonlocal current
        if current.lines:
            found.append(current)
        current = Paragraph(section)

    lines = text.split("\n")
    i = 0
    if lines and lines[0] == "---":
        i = lines.index("---", 1) + 1
    options = False  # whether the options of a directive may follow
    opened: list[str] = []  # the fences of the directives that the line lies in
    while i < len(lines):
        line, number = lines[i], i + 1
        fence = _FENCE.match(line)
        if fence and not fence["name"] and not fence["rest"].strip() and fence["ticks"] in opened:
            close()
            del opened[opened.index(fence["ticks"]) :]
            i, options = i + 1, False
            continue
        if fence and fence["ticks"][0] in "`~" and (not fence["name"] or fence["name"] in _LITERAL):
            close()
            end = next(
                (j for j in range(i + 1, len(lines)) if lines[j].strip().startswith(fence["ticks"])), len(lines) - 1
            )
            if fence["name"] == "code-cell":
                current.lines += _captions(lines, i + 1, end)
                close()
            i, options = end + 1, False
            continue
        if fence:
            close()
            title = fence["rest"].strip()
            # What a directive is given is a title (of a theorem, of a box) or a label; labels have no spaces.
            if fence["name"] and " " in title:
                current.lines.append((number, title))
            opened += [fence["ticks"]] if fence["name"] else []
            options = bool(fence["name"])
        elif mark := _MARK.match(line):
            marks += _mark(number, mark["body"], section)
        elif line.startswith("% ") or _WRONG.match(line) or (options and _OPTION.match(line)):
            pass
        elif not line.strip():
            close()
            options = False
        else:
            options = False
            if _HEADING.match(line):
                close()
                section = number
                current = Paragraph(section)
            elif _ITEM.match(line):
                close()
            current.lines.append((number, line))
            if _HEADING.match(line):
                close()
        i += 1
    close()
    return found, marks


def _captions(lines: list[str], start: int, end: int) -> list[tuple[int, str]]:
    """The captions and descriptions among the options of a code cell: they are text."""
    kept: list[tuple[int, str]] = []
    if start < end and lines[start].strip() == "---":
        reading, indent = False, 0
        for j in range(start + 1, end):
            if lines[j].strip() == "---":
                break
            depth = len(lines[j]) - len(lines[j].lstrip())
            if lines[j].strip().startswith(_READS):
                reading, indent = True, depth
                kept.append((j + 1, lines[j].strip().split(":", 1)[1]))
            elif reading and depth > indent:
                kept.append((j + 1, lines[j]))
            else:
                reading = False
    return kept


def _mark(line: int, body: str, section: int) -> list[Mark]:
    """The marks of one line: ``0.707 = 1/sqrt(2)``, or ``30, 60 -- reason``."""
    given, dash, reason = body.partition(" -- ")
    expression = ""
    if not dash:
        given, _, expression = body.partition("=")
    numbers = [number for text in re.split(r",\s+", given) for number in read(line, text, everything=True)]
    if not numbers or not (expression.strip() or len(reason.split()) >= 2):
        raise ValueError(f"line {line}: a mark is '% number: N -- reason' or '% number: N = expression'; got {body!r}")
    return [Mark(line, number, expression.strip(), reason.strip(), section) for number in numbers]


# -- reading numbers -----------------------------------------------------------------------------------------------

_DIGITS = r"\d{1,3}(?:(?:,|\{,\}|\\,)\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_NUMBER = re.compile(
    rf"(?:(?P<mantissa>{_DIGITS})\s*(?:\\cdot|\\times|·|×)\s*|(?<![\w.]))"
    rf"10(?:\^\{{?(?P<power>-?\d+)\}}?|(?P<super>[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+))"
    rf"|(?P<plain>{_DIGITS})(?:e(?P<exponent>[+-]?\d+))?"
)
_SUPERSCRIPT = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
_UNIT = re.compile(r"^\s*(?P<percent>\\?%|per cent|percent)|^(?P<times>\s*times\b|\s*-?fold\b|\s+×)")
_LABELS = (
    r"(?:[Ss]ections?|Theorems?|Lemmas?|Corollar(?:y|ies)|Propositions?|Sect\.|§|[Ee]quations?|Eqs?\.|Figures?|Fig\.|Tables?|Appendix|"
    r"Algorithms?|Chapters?|Parts?|Definitions?|Assumptions?|Exercises?|Remark|Conjecture|Step|Case|Mechanism|lines?|pages?|volume|version|Python|torch|PyTorch|Slide|slide|B\.|C\.|A\.|"
    r"case|lemma|theorem|part|Hint|Problem|seed)"
)
_LABEL = re.compile(rf"{_LABELS}\s*\(?(?:\d+(?:\.\d+)*(?:,| and| or| to|–)\s*)*$")
_YEAR = re.compile(r"^(?:19[5-9]\d|20[0-3]\d)$")
_NAMED = re.compile(r"[^\W\d_][-‑]?$|_$|[_^]\{?-?$|\.$")


def _masked(text: str) -> str:
    """``text`` with what is not read blanked out, in place, so that positions stay."""

    def blank(match: re.Match) -> str:
        return re.sub(r"[^\n]", " ", match[0])

    for pattern in (
        r"\{[\w:+.-]+\}`[^`]*`",
        r"`+[^`]*`+",
        r"\]\([^()\s]*\)",
        r"https?://\S+",
        r"arXiv[: ]\s*\d{4}\.\d{4,5}",
        r"\\(?:begin|end|label|tag|ref|eqref|hspace|vspace)\{[^{}]*\}",
        r"\\(?:quad|qquad|[,;!: ])",
        r"\{#[\w-]+\}",
        r"CPU only[^\n]*",
        r"\*\*Time\*\*[^\n]*(?:\n(?!\s*\n|\*\*|\*)[^\n]*)*",
    ):
        text = re.sub(pattern, blank, text)
    # Subscripts and exponents are indices, unless the base is 10.
    text = re.sub(r"_(?:\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}|[^\s{])", blank, text)
    text = re.sub(r"(?<!10)\^(?:\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}|[^\s{\\])", blank, text)
    return re.sub(r"\\[td]?frac(\d)(\d)", lambda m: f"{' ' * (len(m[0]) - 3)}{m[1]}/{m[2]}", text)


def read(line: int, text: str, everything: bool = False) -> list[Number]:
    """The numbers of a text that starts at ``line``; ``everything`` includes those that need no hand."""
    masked = text if everything else _masked(text)
    found = []
    for match in _NUMBER.finditer(masked):
        before, after = masked[max(0, match.start() - 60) : match.start()], masked[match.end() : match.end() + 12]
        number = _value(match)
        unit = _UNIT.match(after)
        whole = number == int(number) and "." not in match[0] if math.isfinite(number) else False
        if not everything:
            if re.match(r"\.\d", after) or _NAMED.search(before) and not before.endswith(("$-", " -", "(-", "=-")):
                continue
            letter = re.match(r"[^\W\d_]", after) and not re.match(r"(?:ms|s|x|h|d)\b", after)
            if letter and match["plain"] and not before.endswith("\\"):
                continue
            if _LABEL.search(before.rstrip("$ ") + " " if before else before) or _LABEL.search(before):
                continue
            if whole and match["plain"] and number <= SMALL and not unit:
                continue
            if whole and _YEAR.match(match[0]) and number != 2000:
                continue
        at = line + masked.count("\n", 0, match.start())
        half = _half(match, number)
        found.append(Number(at, match[0].strip(), number, half, bool(unit and unit["percent"])))
    return found


def _value(match: re.Match) -> float:
    if match["plain"]:
        return float(_clean(match["plain"])) * 10.0 ** int(match["exponent"] or 0)
    power = int(match["power"] or match["super"].translate(_SUPERSCRIPT))
    return float(_clean(match["mantissa"] or "1")) * 10.0**power


def _half(match: re.Match, value: float) -> float:
    """Half a unit of the last digit that is printed; round thousands count as rounded if two digits remain."""
    digits = _clean(match["plain"] or match["mantissa"] or "1")
    power = (
        int(match["exponent"] or 0) if match["plain"] else int(match["power"] or match["super"].translate(_SUPERSCRIPT))
    )
    decimals = len(digits.partition(".")[2])
    if not decimals and match["plain"]:
        zeros = len(digits) - len(digits.rstrip("0"))
        if zeros and len(digits) - zeros >= 2:
            return 0.5 * 10.0 ** (zeros + power)
    return 0.5 * 10.0 ** (power - decimals)


def _clean(digits: str) -> str:
    return digits.replace("{,}", "").replace("\\,", "").replace(",", "")


# -- hands ---------------------------------------------------------------------------------------------------------

_CODE_CELL = re.compile(r"^(?P<fence>`{3,}|~{3,})\{code-cell\}.*?\n(?P<body>.*?)^(?P=fence)\s*$", re.M | re.S)
_DRAWS = {"ax", "axes", "fig", "plt", "left", "right", "figures", "legend"}


def settings(text: str) -> set[float]:
    """The constants in the code of a page: plain numbers, and sums, products and powers of them.

    What only places things in a drawing (``figsize``, the position of a label) is no setting, nor is what a claim
    compares with: its bounds are among the checked values once the claim has held.
    """
    found: set[float] = set()
    for match in _CODE_CELL.finditer(text):
        body = match["body"]
        if body.startswith("---\n"):
            body = body.split("---\n", 2)[-1]
        code = "\n".join("" if re.match(r"\s*[%!]|:[\w-]+:", row) else row for row in body.split("\n"))
        try:
            tree = ast.parse(code)
        except SyntaxError:
            continue
        _constants(tree, found)
    return found


def _constants(node: ast.AST, found: set[float]) -> None:
    if isinstance(node, ast.Call):
        root: ast.AST = node.func
        while isinstance(root, (ast.Attribute, ast.Subscript, ast.Call)):
            root = root.func if isinstance(root, ast.Call) else root.value
        if isinstance(root, ast.Name) and root.id in _DRAWS:
            return
        if isinstance(root, ast.Name) and root.id == "claim":
            for measured in node.args[1:]:
                _constants(measured, found)
            return
    value = _fold(node)
    if value is not None:
        found.add(value)
    for child in ast.iter_child_nodes(node):
        _constants(child, found)


def _fold(node: ast.AST) -> float | None:
    """The value of an expression of constants, if ``node`` is one."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
            return float(node.value)
        return None
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _fold(node.operand)
        return None if inner is None else -inner
    if isinstance(node, ast.BinOp):
        left, right = _fold(node.left), _fold(node.right)
        if left is None or right is None:
            return None
        try:
            match node.op:
                case ast.Add():
                    return left + right
                case ast.Sub():
                    return left - right
                case ast.Mult():
                    return left * right
                case ast.Div():
                    return left / right
                case ast.Pow():
                    return float(left**right)
        except (ArithmeticError, TypeError):
            return None
    return None


_ALLOWED = "sqrt exp log log10 log2 erf cos sin tan tanh atan atan2 acos degrees radians ceil floor comb factorial"
_FUNCTIONS = {name: getattr(math, name) for name in _ALLOWED.split()}
_NAMES = {"pi": math.pi, "e": math.e}


def evaluate(expression: str) -> float:
    """The value of an arithmetic expression of numbers, + - * / **, pi, e and some functions of ``math``."""
    tree = ast.parse(expression.replace("^", "**"), mode="eval")

    def value(node: ast.AST) -> float:
        match node:
            case ast.Expression():
                return value(node.body)
            case ast.Call(func=ast.Name(id=name)) if name in _FUNCTIONS and not node.keywords:
                arguments: list[Any] = [value(argument) for argument in node.args]
                if name in ("comb", "factorial"):
                    arguments = [int(argument) for argument in arguments]
                return float(_FUNCTIONS[name](*arguments))
            case ast.Name(id=name) if name in _NAMES:
                return _NAMES[name]
            case ast.BinOp(left=left, op=op, right=right):
                a, b = value(left), value(right)
                match op:
                    case ast.Add():
                        return a + b
                    case ast.Sub():
                        return a - b
                    case ast.Mult():
                        return a * b
                    case ast.Div():
                        return a / b
                    case ast.Pow():
                        return float(a**b)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -value(operand)
            case ast.Constant(value=int() | float() as constant) if not isinstance(constant, bool):
                return float(constant)
        raise ValueError(f"cannot compute {expression!r}: numbers, + - * / **, pi, e, {', '.join(sorted(_FUNCTIONS))}")

    return value(tree)


@dataclass
class Finding:
    """A number of a page and what is behind it; ``hand`` is empty where nothing is."""

    page: str
    number: Number
    hand: str
    context: str


class Checker:
    """The pages of the book and the values that their claims vouch for, by page."""

    def __init__(self, pages: dict[str, Path], values: dict[str, list[float]]):
        self.texts = {name: path.read_text(encoding="utf-8") for name, path in pages.items()}
        self.values = values
        self.settings = {name: settings(text) for name, text in self.texts.items()}
        self.labels = {
            match["option"] or match["target"]: name
            for name, text in self.texts.items()
            for match in _LABELLED.finditer(text)
        }

    def page(self, name: str) -> tuple[list[Finding], list[str]]:
        """Every number of a page with its hand, and what is wrong with the page's marks."""
        found, marks = paragraphs(self.texts[name])
        faults = []
        for mark in marks:
            if mark.expression:
                try:
                    value = evaluate(mark.expression)
                except (ValueError, SyntaxError, ArithmeticError, TypeError) as error:
                    faults.append(f"{mark.line}: {error}")
                    continue
                if not mark.number.is_near(value):
                    faults.append(f"{mark.line}: {mark.expression} is {value:.8g}, not {mark.number.text}")
        findings = [
            Finding(name, number, self._hand(name, number, paragraph, marks), paragraph.text)
            for paragraph in found
            for number in self._read(paragraph)
        ]
        faults += [f"{m.line}: the mark for {m.number.text} is not needed; remove it" for m in marks if not m.used]
        return findings, faults

    @staticmethod
    def _read(paragraph: Paragraph) -> Iterator[Number]:
        for number in read(0, paragraph.text):
            yield Number(paragraph.lines[number.line][0], number.text, number.value, number.half, number.percent)

    def _hand(self, name: str, number: Number, paragraph: Paragraph, marks: Iterable[Mark]) -> str:
        if any(number.equals(value) for value in (*self.settings[name], *DEFAULTS)):
            return "setting"
        if any(number.is_near(value) for value in self.values.get(name, ())):
            return "checked"
        linked = {match["page"] for match in _LINKS.finditer(paragraph.text)} & set(self.texts)
        linked |= {self.labels.get(match["label"], name) for match in _REFERS.finditer(paragraph.text)}
        for page in sorted(linked - {name}):
            if any(number.equals(value) for value in self.settings[page]) or any(
                number.is_near(value) for value in self.values.get(page, ())
            ):
                return "linked"
        if _CITES.search(paragraph.text):
            return "quoted"
        for mark in marks:
            if mark.section == paragraph.section and math.isclose(mark.number.value, number.value, rel_tol=1e-12):
                mark.used = True
                return "computed" if mark.expression else "marked"
        return ""


# -- the record ----------------------------------------------------------------------------------------------------


def load(project: Project) -> dict[str, list[float]]:
    """The values that the claims of each page vouch for, as they were recorded."""
    path = project.root / "book" / RECORD
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def of_notebook(notebook: Any) -> list[float]:
    """The values that the claims of an executed notebook vouch for."""
    return [
        value
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
        for output in cell.get("outputs", [])
        for value in output.get("data", {}).get(MIME, {}).get("values", [])
    ]


def built(project: Project) -> dict[str, list[float]]:
    """The same from the cache of the last build."""
    from jupyter_cache import get_cache

    cache = get_cache(str(project.root / "_build" / ".jupyter_cache"))
    newest: dict[str, Any] = {}
    for record in cache.list_cache_records():
        name = Path(record.uri).stem
        if name in project.pages and (name not in newest or record.created > newest[name].created):
            newest[name] = record
    return {name: of_notebook(cache.get_cache_bundle(record.pk).nb) for name, record in newest.items()}


def write(project: Project, values: dict[str, list[float]]) -> Path:
    """Write the record: for each page its values, sorted, each once, with the digits that a text can need."""
    path = project.root / "book" / RECORD
    rounded = {
        name: sorted({float(f"{value:.7g}") for value in values[name] if math.isfinite(value)})
        for name in project.pages
        if values.get(name)
    }
    rows = ",\n".join(f" {json.dumps(name)}: {json.dumps(numbers)}" for name, numbers in rounded.items())
    part = path.with_name(path.name + ".part")
    part.write_text("{\n" + rows + "\n}\n", encoding="utf-8", newline="\n")
    part.replace(path)
    return path


def counts(findings: Iterable[Finding]) -> dict[str, int]:
    """How many numbers each hand explains; "" for those that nothing explains."""
    return dict(Counter(finding.hand for finding in findings))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--record", action="store_true", help="write book/checked.json from the built book")
    parser.add_argument("--list", metavar="PAGE", help="say for each number of a page what explains it")
    options = parser.parse_args(arguments)
    project = Project()
    if options.record:
        print(f"written: {write(project, load(project) | built(project)).relative_to(project.root)}")
    checker = Checker(project.pages, load(project))
    if options.list:
        for finding in checker.page(options.list)[0]:
            print(f"{finding.number.line}: {finding.number.text}: {finding.hand or 'UNEXPLAINED'}")
        return 0
    wrong = 0
    for name in project.pages:
        findings, faults = checker.page(name)
        for finding in findings:
            if not finding.hand:
                wrong += 1
                print(unexplained(finding), file=sys.stderr)
        for fault in faults:
            wrong += 1
            print(f"book/{name}.md:{fault}", file=sys.stderr)
    return 1 if wrong else 0


def unexplained(finding: Finding) -> str:
    """What is wrong with a number, and what to do."""
    number = finding.number
    return (
        f"book/{finding.page}.md:{number.line}: nothing is behind the number {number.text}: no setting of the page's "
        "code, no checked value, no citation beside it. Correct it, check it with claim(...), cite its source, or "
        "mark it in its section: '% number: N = expression' or '% number: N -- reason'"
    )


if __name__ == "__main__":
    sys.exit(main())
