"""What a page knows of a run, so that a theorem can be asked whether it covers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from optbias.theory.theorems.statement import Ground

HORIZON = tuple(10**k for k in range(4, 13))
"""The steps, beyond those of the run, at which a schedule is asked how fast it falls."""


@dataclass(frozen=True)
class Run:
    """A run as far as the page knows it. What the objects say is read from them, never typed.

    ``rule``: the update rule; its type, epsilon, betas, decay and learning rate answer for themselves.
    ``loss``: what the rule ran on. ``gradient``: what replaced its gradient, if anything did
    (``trajectory(..., gradient=)``): then the page has to say what kind of gradients these were.
    ``hessian``: the matrix of a quadratic loss, where the loss is not an object that has one.
    ``start``: theta_0. ``steps``: how many. ``assume``: hypotheses that no object can answer, by
    their key, each with the reason in words; the reader sees them beside the claim.

    Hyper-parameters may be tensors (a grid of runs): a hypothesis holds if it holds for each entry.
    Raises ValueError for an assumption without a reason.

    >>> from optbias.rules import AdamW
    >>> Run(AdamW(0.1), steps=100).number("weight_decay").item()
    0.01
    """

    rule: Any = None
    loss: Any = None
    gradient: Any = None
    hessian: Any = None
    start: Any = None
    steps: int | None = None
    assume: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key, reason in self.assume.items():
            if not isinstance(reason, str) or len(reason.split()) < 2:
                raise ValueError(f"assume[{key!r}] must give the reason in words; got {reason!r}")

    def under(self, theorem: str) -> Ground:
        """The theorem, and what is taken as given, if it covers this run. Raises ``OutsideTheorem`` if not.

        ``theorem`` is a key, or ``key:part`` for a further conclusion, such as ``thm-linf-constraint-adamw:minimiser``.
        """
        from optbias.theory.theorems import get

        key, _, part = theorem.partition(":")
        return get(key).covers(self, part)

    # -- what the objects say ----------------------------------------------------------------------------------------

    def is_a(self, *names: str) -> bool | None:
        """Whether the rule is exactly one of the classes named; None without a rule."""
        return None if self.rule is None else type(self.rule).__name__ in names

    def number(self, name: str, index: int | None = None) -> np.ndarray | None:
        """A hyper-parameter as an array; ``index`` picks one of a pair. None if the rule has none of that name."""
        value = getattr(self.rule, name, None)
        if value is None or callable(value):
            return None
        return as_array(value[index] if index is not None else value)

    def flag(self, name: str) -> bool | None:
        """A yes-or-no setting of the rule; None if it has none of that name."""
        value = getattr(self.rule, name, None)
        return value if isinstance(value, bool) else None

    def rates(self, steps: tuple[int, ...] | range) -> np.ndarray | None:
        """The learning rate at each of ``steps``, one row a step; None if the rule cannot be asked there."""
        lr = getattr(self.rule, "lr", None)
        if lr is None:
            return None
        if not callable(lr):
            return np.stack([as_array(lr)] * len(steps)).reshape(len(steps), -1)
        try:
            return np.stack([as_array(lr(t)) for t in steps]).reshape(len(steps), -1)
        except (IndexError, KeyError, OverflowError):  # a table of rates that ends
            return None

    @property
    def matrix(self) -> np.ndarray | None:
        """The Hessian of a quadratic loss; None if the loss is not known to be quadratic."""
        if self.hessian is not None:
            matrix = as_array(self.hessian)
            return np.diag(matrix) if matrix.ndim == 1 else np.atleast_2d(matrix)
        known = {cls.__name__ for cls in type(self.loss).__mro__}
        if known & {"Quadratic", "_Diagonal"} and hasattr(self.loss, "hessian"):
            import torch

            return as_array(self.loss.hessian(torch.zeros(self.loss.dim, dtype=torch.float64)))
        return None


def as_array(value: Any) -> np.ndarray:
    """A number or a tensor of them as float64."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().double().numpy()
    return np.asarray(value, dtype=float)


def show(values: np.ndarray | None) -> str:
    """Numbers as a reader wants them: one, a few, or a range."""
    if values is None:
        return "nothing"
    different = np.unique(values)
    if different.size <= 4:
        return ", ".join(f"{value:.6g}" for value in different)
    return f"values from {different[0]:.6g} to {different[-1]:.6g}"
