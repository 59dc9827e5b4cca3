"""The clinic's form: every entry has a label, a statement, a link to its chapter and a run that decides."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "book" / "misconceptions.md").read_text(encoding="utf-8")
BODY = PAGE.split("## What this does not show")[0]
GROUPS = ["Landscapes", "Momentum", "Adaptive scaling", "Adam", "AMSGrad", "AdamW and weight decay", "Implicit bias"]
CHAPTERS = {
    "landscapes", "momentum", "preconditioning", "adam", "amsgrad", "adamw",
    "linf-constraint", "linf-networks", "backward-error", "one-norm-hill", "generalization", "beyond",
}  # fmt: skip
PARTS = re.split(r"^\(mis-([a-z0-9-]+)\)=$", BODY, flags=re.MULTILINE)
ENTRIES = dict(zip(PARTS[1::2], PARTS[2::2], strict=True))


def test_number_and_groups() -> None:
    assert len(ENTRIES) == len(PARTS[1::2]) >= 20
    assert re.findall(r"^## (.+)$", BODY, flags=re.MULTILINE) == GROUPS
    words = {42: "Forty-two"}
    assert f"{words[len(ENTRIES)]} wrong statements" in PAGE, "the page's description says how many there are"


@pytest.mark.parametrize("name", ENTRIES)
def test_entry(name: str) -> None:
    text = ENTRIES[name]
    assert re.match(r"\n### \".+\"\n\n\*[A-Z`]", text), "a quoted statement, then where it circulates, in italics"
    links = set(re.findall(r"\]\(([a-z-]+)\.md\)", text))
    assert links, "a link to the chapter that teaches it"
    assert links <= CHAPTERS
    cells = re.findall(r"```\{code-cell\}.*?\n```", text, flags=re.DOTALL)
    assert any("claim(" in cell for cell in cells), "a run with a claim"
