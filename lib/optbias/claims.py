"""Claims: statements that a page checks before it shows them.

A page calls :func:`claim` for each number or inequality that its text states. The claim is checked
on the spot: if it fails, the cell raises :class:`ClaimError` and the book does not build. If it
holds, the reader sees what was checked, and the status page lists it.
"""

from __future__ import annotations

import html
import json
import math
import re
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

MIME = "application/vnd.optbias.claim+json"
"""The mime type under which a claim's record travels with the page's output to the status page."""

KINDS = ("measured", "theorem", "reported")
"""What a claim checks: a number this page measured, a consequence of a theorem, or a number that a
source reports and this page reproduces."""

FACTOR = 10.0
"""How far a bound may lie from the measured value, as a ratio, without a reason (``loose=``)."""

ROUNDING = 1e-9
"""A bound no farther from 0 than this says "zero up to rounding": it has no sharper version worth a number."""

LEVEL = 0.05
"""The level at which an order over seeds is tested."""

ORDERS = ("interval", "sign")
"""How an order over seeds is tested: a t interval for the mean of the paired differences, or a sign test."""

FEWEST = 6
"""The fewest seeds that a sign test at 5 % (two-sided) can decide with: 2 / 2^6 = 3 %, but 2 / 2^5 = 6 %."""

AGAIN = re.compile(
    r"\b(seeds?|(each|every|all|the) data sets?|data sets|rotations|searches|(each|every) search|chains|"
    r"of ([\d,]+|two|three|four|five|ten|twenty) (\w+ )?(runs|networks))\b",
    re.IGNORECASE,
)
"""The words with which a statement says that chance was drawn more than once."""

KEPT = 24
"""The values of an array that its record keeps one by one; of a longer array it keeps the smallest and the largest."""


class ClaimError(AssertionError):
    """A claim did not hold, or holds with so much room that it says less than the finding.

    >>> try:
    ...     claim("Two is three", 2, equals=3)
    ... except ClaimError as error:
    ...     print(str(error).splitlines()[0])
    claim does not hold: Two is three
    """


@dataclass(frozen=True)
class Claim:
    """The record of one checked claim.

    ``seeds`` is 0 where chance plays no part; ``loose`` is the reason for a bound that is far from the value;
    ``values`` are the numbers behind ``measured`` and ``equals`` (of a long array its two ends), with which the
    numbers in the text are compared.

    >>> Claim("One is one", "1", "1", "measured", "").statement
    'One is one'
    """

    statement: str
    measured: str
    allowed: str
    kind: str
    source: str
    theorem: str = ""
    ground: str = ""
    seeds: int = 0
    loose: str = ""
    values: tuple[float, ...] = ()

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
    """Every claim checked so far in this process, in order.

    >>> isinstance(ledger(), tuple)
    True
    """
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
    order: str = "",
    seeds: int = 0,
    loose: str = "",
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

    A bound that is more than :data:`FACTOR` times off the value (or on the other side of 0) says less than was
    found and is refused; ``loose`` gives the reason where it must be so, and the status page shows it. Bounds of 0
    (a sign) and below :data:`ROUNDING` (zero up to rounding) need none.

    An order over random runs: ``measured`` is one paired difference for each seed, ``above`` or ``below`` the bound
    (mostly 0), and ``order`` the test at 5 %: ``"interval"`` asks that the 95 % t interval of the mean difference
    lies beyond the bound, ``"sign"`` that a two-sided sign test of the differences against the bound decides so.
    Fewer than :data:`FEWEST` seeds are refused. A statement that only describes the seeds at hand ("each of the
    three ends above 0.9") gives their number with ``seeds=3``. A statement that speaks of seeds, or of other things
    that are drawn again (:data:`AGAIN`), needs one of the two, and ``order`` where it is about a sign: with a bound of
    0 (of a difference) or 1 (of a ratio), ``increasing``, ``decreasing``, or a boolean. A theorem holds for every seed
    and needs neither.

    Raises :class:`ClaimError` if it does not hold (NaN never does), is too loose, or the theorem does not cover
    the run, TypeError if ``measured`` is neither numbers nor booleans, and ValueError for a claim that could not
    fail (a number without a condition, an empty array, an infinite bound), that could not hold, or an order that
    too few seeds cannot decide.

    >>> claim("The last step is short", 2e-4, below=1e-3)
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
    _seeds_are_told(statement, kind, condition, values, order, seeds)
    if order:
        holds, shown, allowed = _order(values, condition, order)
        seeds = values.size
    elif values.dtype == bool:
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
    _is_sharp(statement, _room(values, condition, order), shown, allowed, loose)
    record = Claim(
        statement,
        shown,
        allowed,
        kind,
        source,
        theorem,
        ground,
        int(seeds),
        loose,
        _numbers(values, condition, bool(order)),
    )
    _ledger.append(record)
    _display(record)


def _ground(kind: str, theorem: str, run: Any) -> str:
    """What a claim of kind "theorem" stands on, in words; "" for the other kinds."""
    if bool(theorem) != (run is not None):
        raise ValueError("theorem= and run= go together: the theorem's label, and the run that it must cover")
    if kind == "theorem" and not theorem:
        raise ValueError(
            'kind="theorem" needs theorem= and run=: the label of the theorem, and an optbias.theory.theorems.Run '
            'that it must cover. A number that no theorem covers is claimed with kind="measured"'
        )
    if theorem and kind != "theorem":
        raise ValueError(f'theorem= needs kind="theorem"; got kind={kind!r}')
    if run is not None and not hasattr(run, "under"):
        raise TypeError(f"run must be an optbias.theory.theorems.Run; got {type(run).__name__}")
    return str(run.under(theorem)) if theorem else ""


def _seeds_are_told(
    statement: str, kind: str, condition: _Condition, values: np.ndarray, order: str, seeds: int
) -> None:
    """Refuse a statement about seeds without their number or a test, and an order that the seeds cannot decide."""
    if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 0:
        raise ValueError(f"seeds must be a number of seeds; got {seeds!r}")
    if order:
        if order not in ORDERS:
            raise ValueError(f"order must be one of {', '.join(map(repr, ORDERS))}; got {order!r}")
        if values.ndim != 1 or values.dtype == bool:
            raise ValueError(f"order= needs one paired difference a seed, in a sequence; got shape {values.shape}")
        if values.size < FEWEST:
            raise ValueError(
                f"{values.size} seeds cannot decide an order: with {values.size} of {values.size} alike a sign test "
                f"gives p = {min(1.0, 2.0 ** (1 - values.size)):.3g}. Take at least {FEWEST} (20 is the custom "
                "here), or say only what these runs did, with seeds= and a bound other than 0 and 1"
            )
        if (condition.above is None) == (condition.below is None) or condition.equals is not None:
            raise ValueError("order= takes one bound, above= or below=, and nothing else")
    elif kind != "theorem" and (word := AGAIN.search(statement)):
        monotone = condition.increasing or condition.decreasing
        if values.dtype == bool or monotone or {0, 1} & {condition.above, condition.below}:
            raise ValueError(
                f'a statement about many draws of chance ("{word[0]}") and only a sign: {statement}. Give one paired '
                f"difference a seed, a bound, and order= ({' or '.join(map(repr, ORDERS))}), or say only what these "
                "runs did, with seeds= and a bound other than 0 and 1"
            )
        if not seeds:
            raise ValueError(
                f'a statement about many draws of chance ("{word[0]}") gives their number, seeds=3: {statement}'
            )


def _order(values: np.ndarray, condition: _Condition, order: str) -> tuple[bool, str, str]:
    """Whether the paired differences lie beyond the bound at :data:`LEVEL`; the finding and the demand in words."""
    upward = condition.above is not None
    bound = float((condition.above if upward else condition.below) or 0.0)
    count, side = values.size, " and ".join(condition.parts())
    if not np.isfinite(values).all():
        return False, f"{(~np.isfinite(values)).sum()} of {count} differences are not finite", side
    if order == "sign":
        beyond = int((values > bound).sum() if upward else (values < bound).sum())
        untied = int((values != bound).sum())  # a tie decides nothing
        p = stats.binomtest(beyond, untied).pvalue if untied else 1.0
        shown = f"{beyond} of {count} seeds, sign test p = {p:.2g}"
        return bool(p < LEVEL and 2 * beyond > untied), shown, f"{side} in most seeds, p < {LEVEL:g}"
    mean, low, high = _interval(values)
    shown = f"{mean:.4g}, 95 % interval [{low:.4g}, {high:.4g}], {count} seeds"
    return bool(low > bound if upward else high < bound), shown, f"interval {side}"


def _interval(values: np.ndarray) -> tuple[float, float, float]:
    """The mean of the differences and the two ends of its t interval."""
    half = stats.t.ppf(1 - LEVEL / 2, values.size - 1) * values.std(ddof=1) / math.sqrt(values.size)
    mean = float(values.mean())
    return mean, mean - float(half), mean + float(half)


def _room(values: np.ndarray, condition: _Condition, order: str) -> float:
    """How many times the bounds are off what was found; 1 for a boolean."""
    if values.dtype == bool:
        return 1.0
    if order:
        _, low, high = _interval(values)
        return condition.room(np.array(high if condition.above is None else low)) if order == "interval" else 1.0
    return condition.room(values)


def _is_sharp(statement: str, room: float, shown: str, allowed: str, loose: str) -> None:
    """Refuse a bound that is far from the value without a reason, and a reason where the bound is near."""
    if not isinstance(loose, str) or (loose and len(loose.split()) < 3):
        raise ValueError(f"loose must say in words why the bound cannot be sharper; got {loose!r}")
    if room > FACTOR and not loose:
        how = "on the other side of 0" if math.isinf(room) else f"{room:.3g} times off"
        raise ClaimError(
            f"claim says less than was found: {statement}\n  measured {shown}\n  allowed  {allowed} ({how})\n"
            f'  Bring the bound within a factor {FACTOR:g} of the value, or say why that cannot be: loose="..."'
        )
    # Between the two thresholds either is right: a value may differ a little from machine to machine.
    if loose and room < FACTOR / 3:
        raise ClaimError(
            f"claim gives a reason for a loose bound that is not loose: {statement}\n  measured {shown}\n"
            f"  allowed  {allowed} ({room:.3g} times off)\n  Remove loose="
        )


def _numbers(values: np.ndarray, condition: _Condition, order: bool) -> tuple[float, ...]:
    """The numbers that a claim vouches for: what was measured, and what it was compared with."""
    if values.dtype == bool:
        return ()
    found = values.ravel().tolist() if values.size <= KEPT else [float(values.min()), float(values.max())]
    target = [] if condition.equals is None else _as_array("equals", condition.equals).astype(float).ravel().tolist()
    bounds = [float(bound) for bound in (condition.above, condition.below) if bound is not None]
    ordered = [*_interval(values), float(values.size)] if order else []
    return tuple(found + (target if len(target) <= KEPT else []) + bounds + ordered)


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

    def room(self, values: np.ndarray) -> float:
        """How many times the bounds are off ``values``, at the entry that is nearest to them; inf across 0."""
        above, below = self.above, self.below
        rooms = [1.0]
        if above is not None and below is not None and above < 0 < below:
            rooms.append(_times(min(-above, below), float(np.abs(values).max())))
        elif above is None or below is None or above * below <= 0 or below > FACTOR * above:
            # Two bounds within a factor of each other hold the value between them.
            rooms += [_times(above, float(values.min()))] if above is not None else []
            rooms += [_times(below, float(values.max()))] if below is not None else []
        if self.equals is not None:
            target = np.broadcast_to(_as_array("equals", self.equals).astype(float), values.shape)
            finite = np.isfinite(target) & np.isfinite(values)
            if finite.any():
                allowance = np.maximum(self.tol or 0.0, (self.rtol or 0.0) * np.abs(target))[finite]
                # Within 5 % the tolerance is that of a number in the text (and rounding must not decide).
                wide = allowance > 0.0500001 * np.abs(target[finite])
                off = float(np.abs(values - target)[finite].max())
                rooms += [_times(float(allowance[wide].max()), off)] if wide.any() else []
        return max(rooms)

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


def _times(bound: float, value: float) -> float:
    """How many times ``bound`` and ``value`` differ; 1 for a bound of 0 or at the size of rounding."""
    if abs(bound) <= ROUNDING:
        return 1.0
    if not math.isfinite(value) or value * bound <= 0:
        return math.inf
    return max(value / bound, bound / value)


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
    """The ledger (or ``records``) as JSON text, one object per claim.

    >>> import json
    >>> json.loads(to_json((Claim("One is one", "1", "1", "measured", ""),)))[0]["statement"]
    'One is one'
    """
    return json.dumps([asdict(r) for r in (ledger() if records is None else records)], ensure_ascii=False, indent=1)
