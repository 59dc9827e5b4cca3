"""What a run asserts about itself: statements with the measured numbers, in its record and on the screen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Check:
    """One statement about a run.

    ``holds`` is True or False for a statement that was tested, and None for one that was not: then ``reason``
    says why (a data set that is not there, a size that has no such runs), or that the numbers are ``reported``
    without a verdict.
    """

    name: str
    statement: str
    measured: str = ""
    allowed: str = ""
    holds: bool | None = None
    reason: str = ""

    @property
    def verdict(self) -> str:
        """``holds``, ``FAILS``, ``reported`` or ``not run``."""
        if self.holds is None:
            return "reported" if self.reason == REPORTED else "not run"
        return "holds" if self.holds else "FAILS"


REPORTED = "reported without a verdict"
"""The reason of a check that only states numbers."""


def check(
    name: str,
    statement: str,
    measured: Any,
    *,
    below: float | None = None,
    above: float | None = None,
    increasing: bool = False,
    decreasing: bool = False,
) -> Check:
    """Test ``measured``, a number or a list of them: every one must lie strictly between the bounds.

    ``increasing`` and ``decreasing``: strictly, along the list (or along each row of a list of lists). NaN and
    None satisfy nothing. Raises ValueError for a check that could not fail: no numbers or no condition.
    """
    values = np.asarray([math.nan if v is None else v for v in _flat(measured)], dtype=float)
    if values.size == 0:
        raise ValueError(f"the check {name!r} has no numbers to test")
    if below is None and above is None and not increasing and not decreasing:
        raise ValueError(f"the check {name!r} has no condition")
    conditions: list[bool] = []
    allowed = []
    if above is not None:
        conditions.append(bool((values > above).all()))
        allowed.append(f"> {above:.6g}")
    if below is not None:
        conditions.append(bool((values < below).all()))
        allowed.append(f"< {below:.6g}")
    if increasing or decreasing:
        sign = 1 if increasing else -1
        rows = measured if isinstance(measured[0], (list, tuple, np.ndarray)) else [measured]
        if any(len(row) < 2 for row in rows):
            raise ValueError(f"the check {name!r} needs rows of two numbers or more")
        conditions.append(all(bool((sign * np.diff(np.asarray(row, dtype=float)) > 0).all()) for row in rows))
        allowed.append("increasing" if increasing else "decreasing")
    return Check(name, statement, show(measured), " and ".join(allowed), all(conditions))


def report(name: str, statement: str, measured: Any) -> Check:
    """Numbers that are stated without a verdict."""
    return Check(name, statement, measured if isinstance(measured, str) else show(measured), reason=REPORTED)


def not_run(name: str, statement: str, reason: str) -> Check:
    """A statement that this run could not test."""
    return Check(name, statement, reason=reason)


def failed(checks: Iterable[Check]) -> list[Check]:
    """Those that were tested and do not hold."""
    return [c for c in checks if c.holds is False]


def to_records(checks: Iterable[Check]) -> list[dict[str, Any]]:
    """The checks as they stand in a record."""
    return [asdict(c) for c in checks]


def from_records(records: Iterable[dict[str, Any]]) -> list[Check]:
    """The inverse of :func:`to_records`."""
    return [Check(**r) for r in records]


def text(checks: Sequence[Check]) -> str:
    """A table for the screen: verdict, statement, and the numbers below it."""
    lines = []
    for c in checks:
        lines.append(f"{c.verdict:>8}  {c.statement}")
        if c.holds is None and c.reason != REPORTED:
            lines.append(f"{'':8}    {c.reason}")
        else:
            lines.append(f"{'':8}    measured {c.measured}" + (f"; allowed {c.allowed}" if c.allowed else ""))
    counts = [f"{sum(c.verdict == v for c in checks)} {v}" for v in ("holds", "FAILS", "reported", "not run")]
    return "\n".join([*lines, "", ", ".join(counts)])


def show(values: Any) -> str:
    """Numbers as text, at most eight; more are given as a range."""
    if isinstance(values, (list, tuple, np.ndarray)):
        flat = _flat(values)
        if len(flat) > 8:
            finite = [v for v in flat if v is not None and math.isfinite(v)]
            other = f", {len(flat) - len(finite)} not finite" if len(finite) < len(flat) else ""
            return f"{len(flat)} values in [{min(finite):.4g}, {max(finite):.4g}]{other}" if finite else "none finite"
        return "[" + ", ".join(show(v) for v in values) + "]"
    return "nan" if values is None else f"{values:.4g}"


def _flat(values: Any) -> list[Any]:
    if isinstance(values, (list, tuple, np.ndarray)):
        return [v for row in values for v in _flat(row)]
    return [values]
