"""How the content of a ``{predict}`` directive is read, for the website and for the derived notebooks."""

from __future__ import annotations

import re

CHOICE = re.compile(r"^[-*] \[([ xX])\] +(.*)$")


def parts(lines: list[str]) -> tuple[range, list[tuple[bool, str, int]], range]:
    """Question, choices (right, text, line) and answer of a directive's content, as ranges of lines.

    Raises ValueError for a list of choices of which none, or each, is right.
    """
    starts = [i for i, line in enumerate(lines) if CHOICE.match(line)]
    if not starts:
        return range(len(lines)), [], range(0)
    choices: list[tuple[bool, str, int]] = []
    i = starts[0]
    while i < len(lines):
        match = CHOICE.match(lines[i])
        if match:
            choices.append((match[1] != " ", match[2].strip(), i))
        elif lines[i].startswith("  ") and lines[i].strip():
            right, text, at = choices[-1]
            choices[-1] = (right, f"{text} {lines[i].strip()}", at)
        elif lines[i].strip():
            break
        i += 1
    if {right for right, _, _ in choices} != {True, False}:
        raise ValueError("the choices of a prediction need at least one that is right, [x], and one that is not, [ ]")
    return range(starts[0]), choices, range(i, len(lines))
