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
    theorem: str = ""
    ground: str = ""

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        text = f"checked: {self.statement}; measured {self.measured}, allowed {self.allowed}"
        backed = "; ".join(filter(None, (self.source, self.ground)))
        source = f" <span class='claim-source'>{html.escape(backed)}</span>" if backed else ""
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
    theorem: str = "",
    run: Any = None,
) -> None:
    """Check that ``measured`` is as ``statement`` says; show it and add it to the :func:`ledger`.

    ``measured``: a number, a boolean, or an array of numbers or booleans (numpy, torch, list) of
    which every entry must satisfy the condition. Exactly the conditions that are given are checked:

    ``equals`` (a number, or an array of the shape of ``measured``) with ``tol`` (absolute) and/or
    ``rtol`` (relative to ``equals``; the larger allowance counts; without either the two must be
    the same); ``below`` and ``above`` (strict); ``increasing`` or ``decreasing`` (strictly, along a
    sequence). A boolean must be True and takes no condition. ``kind`` is one of :data:`KINDS`;
    ``source`` names a paper or an equation. A claim of kind ``"theorem"`` names the ``theorem`` (its
    label) and the ``run`` (an :class:`optbias.theory.theorems.Run`) that it is about; the theorem must
    cover it, and what the page vouches for is shown.

    Raises :class:`ClaimError` if it does not hold (NaN never does) or the theorem does not cover the
    run, TypeError if ``measured`` is neither numbers nor booleans, and ValueError for a claim that
    could not fail (a number without a condition, an empty array, an infinite bound) or that could
    not hold.
    """
    if not isinstance(statement, str) or not statement.strip():
        raise ValueError(f"statement must be a sentence; got {statement!r}")
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(map(repr, KINDS))}; got {kind!r}")
    ground = _ground(kind, theorem, run)
    values = _as_array("measured", measured)
    if values.size == 0:
        raise ValueError("a claim about nothing: measured is empty")
    condition = _Condition(equals, tol, rtol, below, above, increasing, decreasing)
    if values.dtype == bool:
        if condition.parts():
            raise ValueError(f"a true-or-false claim takes no condition; got {' and '.join(condition.parts())}")
        holds, allowed, shown = bool(values.all()), "True", str(bool(values.all()))
    else:
        if not condition.parts():
            raise ValueError("a claim needs a condition: equals=, below=, above=, increasing= or decreasing=")
        holds, allowed, shown = condition.holds(values), " and ".join(condition.parts()), _show(values)
    if not holds:
        exact = "" if values.dtype == bool or values.size > 6 else f" (exactly {values.tolist()})"
        raise ClaimError(f"claim does not hold: {statement}\n  measured {shown}{exact}\n  allowed  {allowed}")
    record = Claim(statement, shown, allowed, kind, source, theorem, ground)
    _ledger.append(record)
    _display(record)


def _ground(kind: str, theorem: str, run: Any) -> str:
    """What a claim of kind "theorem" stands on, in words; "" for the other kinds."""
    if bool(theorem) != (run is not None):
        raise ValueError("theorem= and run= go together: the theorem's label, and the run that it must cover")
    if theorem and kind != "theorem":
        raise ValueError(f'theorem= needs kind="theorem"; got kind={kind!r}')
    if run is not None and not hasattr(run, "under"):
        raise TypeError(f"run must be an optbias.theory.theorems.Run; got {type(run).__name__}")
    return str(run.under(theorem)) if theorem else ""


@dataclass(frozen=True)
class _Condition:
    """What a claim allows. Refuses a condition that every number, or none, would satisfy."""

    equals: Any
    tol: float | None
    rtol: float | None
    below: float | None
    above: float | None
    increasing: bool
    decreasing: bool

    def __post_init__(self) -> None:
        if self.equals is None and (self.tol is not None or self.rtol is not None):
            raise ValueError("tol and rtol go with equals")
        for name in ("tol", "rtol", "below", "above"):
            bound = getattr(self, name)
            if bound is not None and not math.isfinite(bound):
                raise ValueError(f"{name} must be a finite number; got {bound}: no number or every number would do")
            if bound is not None and name in ("tol", "rtol") and bound < 0:
                raise ValueError(f"{name} must be at least 0; got {bound}")
        if self.below is not None and self.above is not None and self.below <= self.above:
            raise ValueError(f"nothing is above {self.above} and below {self.below}")
        if self.increasing and self.decreasing:
            raise ValueError("a sequence cannot be both increasing and decreasing")

    def parts(self) -> list[str]:
        """The conditions in words."""
        parts = []
        if self.equals is not None:
            text = _show(_as_array("equals", self.equals))
            text += f" ± {self.tol:.3g}" if self.tol else ""
            text += f" ± {100 * self.rtol:.3g} %" if self.rtol else ""
            parts.append(text)
        if self.above is not None:
            parts.append(f"> {self.above:.6g}")
        if self.below is not None:
            parts.append(f"< {self.below:.6g}")
        if self.increasing:
            parts.append("increasing")
        if self.decreasing:
            parts.append("decreasing")
        return parts

    def holds(self, values: np.ndarray) -> bool:
        """Whether every entry of ``values`` satisfies every condition."""
        # Each test asks whether something is so, never whether it is not: with a NaN nothing is.
        checks = []
        if self.equals is not None:
            target = _as_array("equals", self.equals).astype(float)
            if target.ndim and target.shape != values.shape:
                raise ValueError(f"equals must be a number or have the shape {values.shape}; got {target.shape}")
            # An infinite target allows nothing but itself; infinity minus infinity would be NaN.
            with np.errstate(invalid="ignore"):
                allowance = np.maximum(self.tol or 0.0, (self.rtol or 0.0) * np.abs(target))
                near = np.isfinite(target) & (np.abs(values - target) <= allowance)
            checks.append(((values == target) | near).all())
        if self.below is not None:
            checks.append((values < self.below).all())
        if self.above is not None:
            checks.append((values > self.above).all())
        if self.increasing or self.decreasing:
            if values.ndim != 1 or values.size < 2:
                raise ValueError(f"increasing and decreasing need a sequence of two or more; got shape {values.shape}")
            rises = np.diff(values) if self.increasing else -np.diff(values)
            checks.append((rises > 0).all())
        return bool(np.all(checks))


def _as_array(name: str, values: Any) -> np.ndarray:
    """``values`` as an array of booleans or of float64 numbers."""
    if isinstance(values, (list, tuple)):
        return np.array([_as_array(name, entry) for entry in values]) if len(values) else np.empty(0)
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        # numpy has no bfloat16
        values = (values.double() if values.is_floating_point() else values).numpy()
    array = np.asarray(values)
    if array.dtype == bool:
        return array
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} must be a number, a boolean, or an array of them; got {values!r}")
    return array.astype(float)


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
