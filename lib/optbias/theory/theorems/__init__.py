"""Each theorem of the book once: what it assumes, what it says, and whether it covers a run.

The pages draw their cards from here, the previews and the printed conditions too, and a claim that
cites a theorem is checked against it::

    claim("...", value, below=1.0, kind="theorem", theorem="thm-linf-constraint-hardbox", run=Run(rule))

A hypothesis is asked of the run's own objects (:mod:`.hypotheses`). What they cannot decide the page
has to assert in words, ``Run(..., assume={"converges": "the last 1,000 steps move by 1e-12"})``, and the
reader sees it. A run that a hypothesis excludes makes the claim fail: ``kind="measured"`` is then the truth.
"""

from __future__ import annotations

from optbias.theory.theorems import part_family, part_one, part_two
from optbias.theory.theorems.run import Run
from optbias.theory.theorems.statement import KINDS, Ground, Hypothesis, OutsideTheorem, Theorem, plain

__all__ = ["KINDS", "THEOREMS", "Ground", "Hypothesis", "OutsideTheorem", "Run", "Theorem", "get", "plain"]

THEOREMS: dict[str, Theorem] = {
    theorem.key: theorem for theorem in part_one.STATEMENTS + part_two.STATEMENTS + part_family.STATEMENTS
}
"""Every theorem, proposition, lemma and corollary by its label."""


def get(key: str) -> Theorem:
    """The theorem labelled ``key``. Raises ValueError for a label that no theorem has.

    >>> get("thm-adam-step").name
    'The sharp bound on a step'
    """
    if key not in THEOREMS:
        near = [known for known in THEOREMS if key.partition("-")[2].split("-")[0] in known]
        raise ValueError(f"there is no theorem {key!r}; near it: {', '.join(near) or ', '.join(THEOREMS)}")
    return THEOREMS[key]
