"""Claims: statements that a page checks before it shows them.

A page calls :func:`claim` for each number or inequality that its text states. The claim is checked
on the spot: if it fails, the cell raises :class:`ClaimError` and the book does not build. If it
holds, the reader sees what was checked, and the status page lists it.
"""

from __future__ import annotations

import html
import json
import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

MIME = "application/vnd.optbias.claim+json"
"""The mime type under which a claim's record travels with the page's output to the status page."""

KINDS = ("measured", "theorem", "reported")
"""What a claim checks: a number this page measured, a consequence of a theorem, or a number that a
source reports and this page reproduces."""


class ClaimError(AssertionError):
    """A claim did not hold."""


@dataclass(frozen=True)
class Claim:
    """The record of one checked claim."""

    statement: str
    measured: str
    allowed: str
    kind: str
    source: str

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        text = f"checked: {self.statement}; measured {self.measured}, allowed {self.allowed}"
        source = f" <span class='claim-source'>{html.escape(self.source)}</span>" if self.source else ""
        markup = (
            f"<div class='claim claim-{self.kind}'><span class='claim-mark'>checked</span> "
            f"{html.escape(self.statement)}{source} <span class='claim-numbers'>measured "
            f"<code>{html.escape(self.measured)}</code>, allowed <code>{html.escape(self.allowed)}</code></span></div>"
        )
        return {"text/plain": text, "text/html": markup, MIME: asdict(self)}


_ledger: list[Claim] = []


def ledger() -> tuple[Claim, ...]:
    """Every claim checked so far in this process, in order."""
    return tuple(_ledger)


def claim(
    statement: str,
    measured: Any,
    *,
    equals: Any = None,
    tol: float | None = None,
    rtol: float | None = None,
    below: float | None = None,
    above: float | None = None,
    increasing: bool = False,
    decreasing: bool = False,
    kind: str = "measured",
    source: str = "",
) -> Claim:
    """Check that ``measured`` is as ``statement`` says; show it and add it to the ledger.

    ``measured``: a number, a boolean, or an array of numbers (numpy, torch, list) of which every
    entry must satisfy the condition. Exactly the conditions that are given are checked:

    ``equals`` with ``tol`` (absolute) and/or ``rtol`` (relative to ``equals``; the larger allowance
    counts); ``below`` and ``above`` (strict); ``increasing`` or ``decreasing`` (strictly, along a
    sequence). A boolean must be True and takes no condition. ``kind`` is one of :data:`KINDS`;
    ``source`` names a theorem, paper or equation.

    Raises :class:`ClaimError` if it does not hold (NaN never does), and ValueError for a claim
    that could not fail: a number without a condition, or an empty array.
    """
    if not isinstance(statement, str) or not statement.strip():
        raise ValueError(f"statement must be a sentence; got {statement!r}")
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(map(repr, KINDS))}; got {kind!r}")
    conditions = _conditions(equals, tol, rtol, below, above, increasing, decreasing)
    if isinstance(measured, (bool, np.bool_)) or str(getattr(measured, "dtype", "")) in ("torch.bool", "bool"):
        if conditions:
            raise ValueError("a true-or-false claim takes no condition; got " + " and ".join(conditions))
        truths = np.asarray(measured)
        if truths.size == 0:
            raise ValueError("a claim about nothing: measured is empty")
        holds, shown, allowed = bool(truths.all()), str(bool(truths.all())), "True"
    else:
        values = _as_array(measured)
        if not conditions:
            raise ValueError("a claim needs a condition: equals=, below=, above=, increasing= or decreasing=")
        if values.size == 0:
            raise ValueError("a claim about nothing: measured is empty")
        holds = _holds(values, equals, tol, rtol, below, above, increasing, decreasing)
        shown, allowed = _show(values), " and ".join(conditions)
    if not holds:
        raise ClaimError(f"claim does not hold: {statement}\n  measured {shown}\n  allowed  {allowed}")
    record = Claim(statement, shown, allowed, kind, source)
    _ledger.append(record)
    _display(record)
    return record


def _as_array(measured: Any) -> np.ndarray:
    if hasattr(measured, "detach"):
        measured = measured.detach().cpu().numpy()
    elif isinstance(measured, (list, tuple)):
        measured = [float(x) for x in measured]
    return np.asarray(measured, dtype=float)


def _allowance(equals: np.ndarray, tol: float | None, rtol: float | None) -> np.ndarray:
    return np.maximum(tol or 0.0, (rtol or 0.0) * np.abs(equals))


def _conditions(
    equals: Any,
    tol: float | None,
    rtol: float | None,
    below: float | None,
    above: float | None,
    increasing: bool,
    decreasing: bool,
) -> list[str]:
    if (tol is not None or rtol is not None) and equals is None:
        raise ValueError("tol and rtol go with equals")
    for name, bound in {"tol": tol, "rtol": rtol, "below": below, "above": above}.items():
        if bound is not None and (math.isnan(bound) or (math.isinf(bound))):
            raise ValueError(f"{name} must be a finite number; got {bound}: such a claim could not fail")
    parts = []
    if equals is not None:
        text = _show(_as_array(equals))
        if tol:
            text += f" ± {tol:.3g}"
        if rtol:
            text += f" ± {100 * rtol:.3g} %"
        parts.append(text)
    if above is not None:
        parts.append(f"> {above:.6g}")
    if below is not None:
        parts.append(f"< {below:.6g}")
    if increasing:
        parts.append("increasing")
    if decreasing:
        parts.append("decreasing")
    return parts


def _holds(
    values: np.ndarray,
    equals: Any,
    tol: float | None,
    rtol: float | None,
    below: float | None,
    above: float | None,
    increasing: bool,
    decreasing: bool,
) -> bool:
    if np.isnan(values).any():
        return False
    checks = []
    if equals is not None:
        target = _as_array(equals)
        # Infinity minus infinity is NaN; equal values need no subtraction.
        same = values == target
        with np.errstate(invalid="ignore"):
            near = np.abs(values - target) <= _allowance(target, tol, rtol)
        checks.append((same | near).all())
    if below is not None:
        checks.append((values < below).all())
    if above is not None:
        checks.append((values > above).all())
    if increasing or decreasing:
        if values.ndim != 1 or values.size < 2:
            raise ValueError(f"increasing and decreasing need a sequence of two or more; got shape {values.shape}")
        steps = np.diff(values)
        checks.append((steps > 0).all() if increasing else (steps < 0).all())
        if increasing and decreasing:
            raise ValueError("a sequence cannot be both increasing and decreasing")
    return bool(np.all(checks))


def _show(values: np.ndarray) -> str:
    if values.ndim == 0:
        return f"{values.item():.6g}"
    if values.size <= 6:
        return "[" + ", ".join(f"{v:.6g}" for v in values.ravel()) + "]"
    return f"{values.size} values in [{values.min():.6g}, {values.max():.6g}]"


def _display(record: Claim) -> None:
    """Show the record where there is a notebook; elsewhere the ledger is enough."""
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        return
    if get_ipython() is not None:
        display(record)


def to_json(records: tuple[Claim, ...] | None = None) -> str:
    """The ledger (or ``records``) as JSON text, one object per claim."""
    return json.dumps([asdict(r) for r in (ledger() if records is None else records)], ensure_ascii=False, indent=1)
