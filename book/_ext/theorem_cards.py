"""How a theorem of ``optbias.theory.theorems`` is written out, for the website and for the derived notebooks."""

from __future__ import annotations

from pathlib import Path

from optbias.theory import theorems
from optbias.theory.theorems import Theorem

FILES = sorted(Path(theorems.__file__).parent.glob("*.py"))
"""What a card is made from: a page that shows one is out of date when one of these changes."""


def card(key: str, more: list[str] | None = None) -> tuple[str, str, list[str]]:
    """Kind, title and lines (MyST) of the card of the theorem ``key``; ``more`` are the page's own lines below it.

    Raises ValueError for a key that no theorem has.
    """
    theorem = theorems.get(key)
    lines = [*theorem.setting.splitlines(), ""] if theorem.setting else []
    texts = [hypothesis.text for hypothesis in theorem.hypotheses]
    if len(texts) == 1:
        lines += [f"**Assumption.** {sentence(texts[0])}", ""]
    else:
        lines += ["**Assumptions.**", "", *(f"{i}. {sentence(text)}" for i, text in enumerate(texts, 1)), ""]
    first, *rest = theorem.statement.splitlines()
    lines += [f"**Then** {first}".rstrip(), *rest]
    if theorem.source:
        lines += ["", f"**Source** {theorem.source}."]
    rest = list(more or [])
    while rest and not rest[0].strip():
        rest.pop(0)
    return theorem.kind, theorem.name, lines + (["", *rest] if rest else [])


def sentence(text: str) -> str:
    """A condition as a sentence of its own."""
    return (text[0].upper() + text[1:] if text[0].islower() else text) + "."


def conditions(theorem: Theorem, part: str = "") -> str:
    """All conditions in one line (MyST), as they stand beside a reference on paper."""
    return "; ".join(hypothesis.text for hypothesis in theorem.conditions(part))


def reference(content: str) -> tuple[str, Theorem, str]:
    """What the role ``{thm}`` refers to: its own words ("" for none), the theorem, the part of it.

    The content is a key, ``key:part``, or ``words <key>``. Raises ValueError for an unknown key or part.
    """
    words, bracket, target = content.rpartition("<")
    target = target.removesuffix(">") if bracket else content
    key, _, part = target.strip().partition(":")
    theorem = theorems.get(key)
    theorem.conditions(part)
    return words.strip(), theorem, part
