"""A theorem as data: its name, what it assumes, what it says; and how it is asked about a run."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from optbias.claims import ClaimError
from optbias.theory.theorems.run import Run

Answer = tuple[bool | None, str]
"""Whether a hypothesis holds for a run (None: the run does not say), and what was found."""

KINDS = ("theorem", "proposition", "lemma", "corollary", "remark")
"""What a statement of the book may be called."""


class OutsideTheorem(ClaimError):
    """A theorem was cited for a run that it does not cover.

    >>> from optbias.rules import AdamW
    >>> from optbias.theory.theorems import Run
    >>> try:
    ...     Run(AdamW(0.1)).under("thm-linf-constraint-hardbox")
    ... except OutsideTheorem as error:
    ...     print(str(error).splitlines()[0])
    The hard box (thm-linf-constraint-hardbox) does not cover this run:
    """


@dataclass(frozen=True)
class Hypothesis:
    """One condition: ``key``, ``text`` (Markdown, as the reader sees it), and ``ask``, which puts it to a run.

    >>> Hypothesis("small", "the rate is small").key
    'small'
    """

    key: str
    text: str
    ask: Callable[[Run], Answer] = lambda run: (None, "")

    def reading(self, text: str) -> Hypothesis:
        """The same condition in other words."""
        return Hypothesis(self.key, text, self.ask)


@dataclass(frozen=True)
class Ground:
    """What a claim about a run stands on: a theorem that covers it, and the conditions that the page vouches for.

    >>> from optbias.rules import AdamW
    >>> from optbias.theory.theorems import Run
    >>> str(Run(AdamW(0.1, (0.9, 0.9))).under("thm-linf-constraint-hardbox"))
    'The hard box'
    """

    theorem: Theorem
    assumed: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        given = "; ".join(f"{text}: {reason}" for text, reason in self.assumed)
        return self.theorem.name + (f". Taken as given: {given}" if given else "")


@dataclass(frozen=True)
class Theorem:
    """A numbered statement of the book.

    ``key`` is its label, ``page`` the page whose card shows it. ``setting`` introduces letters, ``hypotheses``
    are the conditions, ``statement`` the conclusion (both MyST, with the labels of its equations), ``also`` a
    further conclusion by name, with the conditions that it needs besides. ``source``: who proved it.

    >>> from optbias.theory.theorems import get
    >>> get("thm-linf-constraint-hardbox").name
    'The hard box'
    """

    key: str
    kind: str
    name: str
    page: str
    hypotheses: tuple[Hypothesis, ...]
    statement: str
    setting: str = ""
    source: str = ""
    also: tuple[tuple[str, tuple[Hypothesis, ...]], ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.key}: kind must be one of {', '.join(KINDS)}; got {self.kind!r}")
        keys = [h.key for h in self.hypotheses]
        if len(set(keys)) < len(keys):
            raise ValueError(f"{self.key}: two hypotheses have one key: {keys}")

    def conditions(self, part: str = "") -> tuple[Hypothesis, ...]:
        """The hypotheses of the theorem, or of a further conclusion of it."""
        if not part:
            return self.hypotheses
        further = dict(self.also)
        if part not in further:
            raise ValueError(f"{self.key} has the parts {sorted(further) or 'none'}; got {part!r}")
        return self.hypotheses + further[part]

    def covers(self, run: Run, part: str = "") -> Ground:
        """The ground for a claim about ``run``.

        Raises :class:`OutsideTheorem` if a hypothesis is violated, or can be neither derived from the run nor is
        assumed by it in words; ValueError if the run assumes what is no hypothesis here.
        """
        conditions = self.conditions(part)
        unknown = set(run.assume) - {h.key for h in conditions}
        if unknown:
            known = ", ".join(h.key for h in conditions) or "none"
            raise ValueError(f"{self.key} has the hypotheses {known}; the run assumes {', '.join(sorted(unknown))}")
        wrong, assumed = [], []
        for hypothesis in conditions:
            holds, found = hypothesis.ask(run)
            if holds is False:
                wrong.append(f"  {hypothesis.key}: needs {plain(hypothesis.text)}; the run has {found}")
            elif holds is None and hypothesis.key in run.assume:
                assumed.append((plain(hypothesis.text), run.assume[hypothesis.key]))
            elif holds is None:
                wrong.append(
                    f"  {hypothesis.key}: needs {plain(hypothesis.text)}; the run does not say. Give the object that "
                    f"decides it, or say in words why it holds: Run(..., assume={{{hypothesis.key!r}: '...'}})"
                )
        if wrong:
            raise OutsideTheorem(
                f"{self.name} ({self.key}) does not cover this run:\n"
                + "\n".join(wrong)
                + "\nA number that no theorem "
                'covers is still a result: claim it with kind="measured"'
            )
        return Ground(self, tuple(assumed))


def plain(markdown: str) -> str:
    r"""Markdown with LaTeX as plain text, for messages and records.

    >>> plain(r"$\beta_1 \le \beta_2 < 1$")
    'β_1 ≤ β_2 < 1'
    """
    text = re.sub(r"\{[\w:]+\}`([^`<]*?)(?:\s*<[^>]*>)?`", r"\1", markdown).replace("_*", "_⁎")
    for latex, sign in SIGNS:
        text = re.sub(latex, sign, text)
    text = re.sub(r"\\(?:mathbb|mathrm|operatorname|text)\s*\{?(\w+)\}?", r"\1", text)
    text = re.sub(r"\\[,;!: ]|\\[lr]?[Bb]igl?r?|\\left|\\right|[$*`]", " ", text)
    text = re.sub(r"_\{\\?(\w+)\}", r"_\1", text).replace("^ᵀ", "ᵀ")
    text = re.sub(r"([_^])\{([^{}]*)\}", r"\1(\2)", text)
    text = text.replace("{", "").replace("}", "").replace("\\", "")
    return re.sub(r"\s+([,;:.)])", r"\1", re.sub(r"\s+", " ", text)).strip()


WORDS = {
    "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "ne": "≠", "neq": "≠", "to": "→", "infty": "∞", "in": "∈", "sum": "Σ",
    "nabla": "∇", "sqrt": "√", "times": "×", "cdot": "·", "dots": "…", "ldots": "…", "langle": "⟨", "rangle": "⟩",
    "lVert": "‖", "rVert": "‖", "lvert": "|", "rvert": "|", "top": "ᵀ", "alpha": "α", "beta": "β", "gamma": "γ",
    "delta": "δ", "epsilon": "ε", "eta": "η", "theta": "θ", "kappa": "κ",
    "lambda": "λ", "mu": "μ", "nu": "ν", "rho": "ρ",
    "sigma": "σ", "tau": "τ", "varphi": "φ", "Delta": "Δ", "max": "max", "sign": "sign",
}  # fmt: skip
SIGNS = [
    (r"\\hat ([mv])", "\\1\u0302"),
    (r"\\bar (\w)", "\\1\u0304"),
    (r"\\tilde (\w)", "\\1\u0303"),
    (r"\\[dt]?frac\s*\{([^{}]+)\}\{([^{}]+)\}", r"\1/(\2)"),
    (r"\\[dt]?frac\s*(\w)\s*(\w)", r"\1/\2"),
    *[(rf"\\{name}(?![a-zA-Z])", letter) for name, letter in WORDS.items()],
]
