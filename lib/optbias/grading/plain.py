"""Plain text out of what students hand in: nothing that runs, nothing that loads, nothing endless.

The instructor's page shows submissions on the address of its own interface, and feedback opens in other
students' browsers: markup from a submission must not become markup there.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any

LONGEST_OUTPUT = 20_000
"""Characters of text that are kept of one output. nbgrader's own limit counts lines, not their length."""

LARGEST_PICTURE = 2_000_000
"""Characters (base64) of a picture that are kept."""

HARMLESS_TAGS = ("details", "summary", "b", "i", "em", "strong", "sub", "sup", "br", "code")
"""Tags that may stand in Markdown, bare, without attributes. Hints fold with the first two."""

PICTURES = ("image/png", "image/jpeg")

_TAG = re.compile(rf"<(?=[A-Za-z/!?])(?!/?(?:{'|'.join(HARMLESS_TAGS)})>)")
_SCRIPT = re.compile(r"(?i)(j\s*a\s*v\s*a\s*s\s*c\s*r\s*i\s*p\s*t|vbscript)\s*(:|&colon;|&#0*58;|&#x0*3a;)")
_REMOTE_PICTURE = re.compile(r"!(?=\[[^\]]*\](\(|\[|$))")
_SURROGATE = re.compile("[\ud800-\udfff]")


def markdown(text: str) -> str:
    """Markdown in which no tag is left but the harmless ones, no script address, and no picture to load.

    A blank after ``<`` makes a tag plain text; in a formula, ``a< b`` is still the same formula.
    """
    text = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
    return _REMOTE_PICTURE.sub("", _SCRIPT.sub(r"\1 \2", _TAG.sub("< ", text)))


def shortened(text: str, longest: int = LONGEST_OUTPUT) -> str:
    """``text``, cut after ``longest`` characters with a word about it."""
    text = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
    return text if len(text) <= longest else f"{text[:longest]}\n... cut: {len(text):,} characters ..."


def on_terminal(text: str, longest: int = 300) -> str:
    """``text`` for a terminal: what moves its cursor, sets its title or turns the direction is spelled out."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text[:longest])


def output(given: MutableMapping[str, Any]) -> dict[str, Any] | None:
    """An output of a cell as text and pictures only; None if nothing of it may stay."""
    kind = given.get("output_type")
    if kind == "stream":
        return {**given, "text": shortened(_joined(given.get("text", "")))}
    if kind == "error":
        rows = [shortened(str(row)) for row in given.get("traceback", [])]
        return {
            **given,
            "ename": shortened(str(given.get("ename", "")), 200),
            "evalue": shortened(str(given.get("evalue", ""))),
            "traceback": [shortened("\n".join(rows))] if rows else [],
        }
    if kind in ("display_data", "execute_result"):
        data = given.get("data", {})
        kept: dict[str, Any] = {
            mime: data[mime] for mime in PICTURES if mime in data and len(_joined(data[mime])) <= LARGEST_PICTURE
        }
        if "text/plain" in data:
            kept["text/plain"] = shortened(_joined(data["text/plain"]))
        return {**given, "data": kept, "metadata": {}} if kept else None
    return None


def _joined(text: Any) -> str:
    return "".join(map(str, text)) if isinstance(text, (list, tuple)) else str(text)
