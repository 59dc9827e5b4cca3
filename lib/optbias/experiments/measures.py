"""Numbers about a whole run, read off its history: the box, values at matched loss, the hill.

Each function takes the history of one run with every step in it (a table with columns ``step``, ``loss`` and
probes) and returns plain numbers. They are computed before the history is thinned for the record.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from optbias import _checks


def crossing(
    history: pd.DataFrame, level: float, column: str = "one_norm_eps", *, logarithmic: bool = True
) -> dict[str, float] | None:
    """The value of ``column`` where the loss first falls below ``level``: ``{"step", "value"}``, or None.

    Between the last step above and the first step below, ``column`` is interpolated on a logarithmic scale in
    both the loss and the value (``logarithmic=False``: in the loss alone, for accuracies, which may be 0); ``step``
    is the first step below. Rows that lack one of them (mini-batches) are
    passed over. Comparing runs at the same loss, not at the
    same step, keeps a slow run from looking like a run with another bias.
    """
    _checks.number("level", level, low=0.0, open_low=True)
    measured = history[["step", "loss", column]].dropna()
    step, loss, value = measured.to_numpy(float).T
    below = np.flatnonzero(loss < level)
    if not len(below):
        return None
    i = int(below[0])
    if i == 0:
        return {"step": float(step[0]), "value": float(value[0])}
    share = np.log(loss[i - 1] / level) / np.log(loss[i - 1] / loss[i])
    ends = value[i - 1 : i + 1]
    between = float(np.array([1 - share, share]) @ (np.log(ends) if logarithmic else ends))
    return {"step": float(step[i]), "value": float(np.exp(between)) if logarithmic else between}


def crossings(
    history: pd.DataFrame, levels: Sequence[float], column: str = "one_norm_eps", *, logarithmic: bool = True
) -> dict[str, Any]:
    """:func:`crossing` at each level, by the level as text."""
    return {f"{level:g}": crossing(history, level, column, logarithmic=logarithmic) for level in levels}


def hill(
    history: pd.DataFrame, column: str = "one_norm_eps", *, window: int = 15, until: float = 0.2
) -> dict[str, Any]:
    """The shape "falls, rises to a hill, falls again" of ``column``, after a running median over ``window`` steps.

    The top is sought while the loss is above ``until``: late in training single spikes would pass for hills.
    Returns ``start``, the first value; ``before``, the smallest value ahead of the top; ``top``; ``end``, the
    last value of the run; their steps; ``first_fall = start / before``, ``rise = top / before``, ``fall = top / end``.

    The top is the largest value behind the first fall, which ends where the curve is lowest before it rises
    by a tenth for the first time (or at the end of the window, where it never does: then ``rise`` is 1).
    """
    history = history[["step", "loss", column]].dropna()
    smooth = history[column].rolling(window, center=True, min_periods=1).median().to_numpy(float)
    step = history["step"].to_numpy()
    late = np.flatnonzero(history["loss"].to_numpy(float) < until)
    inside = smooth[: int(late[0]) + 1] if len(late) else smooth
    lowest = np.minimum.accumulate(inside)
    risen = np.flatnonzero(inside > 1.1 * lowest)
    # The first fall: up to the lowest point before the curve has risen by a tenth.
    low = int(np.argmin(inside[: int(risen[0]) + 1])) if len(risen) else len(inside) - 1
    top = low + int(np.argmax(inside[low:]))
    return {
        "start": float(smooth[0]),
        "before": float(smooth[low]),
        "before_step": int(step[low]),
        "before_loss": float(history["loss"].iloc[low]),
        "top": float(smooth[top]),
        "top_step": int(step[top]),
        "top_loss": float(history["loss"].iloc[top]),
        "end": float(smooth[-1]),
        "first_fall": float(smooth[0] / smooth[low]),
        "rise": float(smooth[top] / smooth[low]),
        "fall": float(smooth[top] / smooth[-1]),
    }


def spike(history: pd.DataFrame, column: str = "one_norm_eps", *, window: int = 51) -> dict[str, float]:
    """The largest value of ``column`` over its running median: ``{"ratio", "step", "loss"}``."""
    history = history[["step", "loss", column]].dropna()
    median = history[column].rolling(window, center=True, min_periods=min(window // 2, len(history))).median()
    ratio = history[column] / median
    i = int(ratio.argmax())
    return {
        "ratio": float(ratio.iloc[i]),
        "step": int(history["step"].iloc[i]),
        "loss": float(history["loss"].iloc[i]),
    }


def spikes(history: pd.DataFrame, *, factor: float = 10.0, window: int = 51, after: int = 500) -> int:
    """How many times the loss jumps above ``factor`` times its running median, counted from step ``after`` on.

    The median is over the ``window`` steps up to the one looked at; neighbouring steps above it count once.
    """
    full = history[["step", "loss"]].dropna()
    high = full["loss"] > factor * full["loss"].rolling(window, min_periods=1).median()
    high = (high & (full["step"] > after)).to_numpy()
    return int((high[1:] & ~high[:-1]).sum())


def envelope(linf: np.ndarray, radius: float, rates: np.ndarray) -> np.ndarray:
    """What decoupled decay allows ``linf`` to be after each step if no step is longer than its learning rate.

    ``radius + max(0, linf[0] - radius) * prod (1 - rate_s / radius)``, the contraction of the excess over the box;
    ``rates`` are the learning rates of the steps between the entries of ``linf``, one fewer.
    """
    left = np.concatenate([[1.0], np.cumprod(1 - rates / radius)])
    return radius + max(0.0, linf[0] - radius) * left


def box(history: pd.DataFrame, radius: float) -> dict[str, Any]:
    """How the largest weight ``linf`` stands to the box of half-width ``radius`` over the run.

    ``bound_ratio`` is the largest ``linf / max(linf at the start, radius)`` over all steps: at most 1 where the
    invariant holds. ``entered`` is the first step inside the box (None: never), ``after`` the largest
    ``linf / radius`` from then on. ``largest``, ``late`` (last tenth) and ``end`` are ``linf / radius`` at its
    largest, and ``peak_step`` says where. ``overshoot`` is the largest from the lowest point of the run on. It is a
    maximum that includes the end, so its ratio to ``end`` says nothing about a return; ``quarters``, the means of
    ``linf / radius`` over the quarters of the run (none for fewer than four rows), and ``trend``, its slope over the
    last half per 1,000 steps, do.
    """
    linf = history["linf"].to_numpy(float)
    step = history["step"].to_numpy()
    inside = np.flatnonzero(linf <= radius)
    tail, half = linf[-max(1, len(linf) // 10) :], len(linf) // 2
    return {
        "start": float(linf[0] / radius),
        "bound_ratio": float((linf / max(linf[0], radius)).max()),
        "largest": float(linf.max() / radius),
        "peak_step": int(step[linf.argmax()]),
        "entered": int(step[inside[0]]) if len(inside) else None,
        "after": float(linf[inside[0] :].max() / radius) if len(inside) else None,
        "overshoot": float(linf[int(linf.argmin()) :].max() / radius),
        "late": float(tail.max() / radius),
        "end": float(linf[-1] / radius),
        "quarters": [float(part.mean() / radius) for part in np.array_split(linf, 4) if len(linf) >= 4],
        "trend": float(1000 * np.polyfit(step[half:], linf[half:] / radius, 1)[0]) if len(step) - half > 1 else 0.0,
    }


def thinned(history: pd.DataFrame, rows: int, keep: Sequence[int] = ()) -> pd.DataFrame:
    """About ``rows`` rows of the history: every early step, then evenly spaced ones, the last, and ``keep``."""
    n = len(history)
    if n <= rows:
        return history
    early = np.arange(min(n, rows // 8))
    even = np.linspace(0, n - 1, rows - len(early)).round().astype(int)
    steps = history["step"].to_numpy()
    wanted = np.flatnonzero(np.isin(steps, np.asarray(keep, dtype=steps.dtype))) if len(keep) else early[:0]
    if "test_loss" in history:
        # Evaluations are rare and dear: none is thrown away.
        wanted = np.union1d(wanted, np.flatnonzero(history["test_loss"].notna().to_numpy()))
    return history.iloc[np.union1d(np.union1d(early, even), wanted)].reset_index(drop=True)


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Spearman's rank correlation."""
    import scipy.stats

    return float(scipy.stats.spearmanr(a, b).statistic)


def mean_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """Mean and t-interval ``(mean, low, high)`` over seeds. Raises ValueError for fewer than two values."""
    import scipy.stats

    if len(values) < 2:
        raise ValueError(f"an interval needs at least two values; got {len(values)}")
    sample = np.asarray(values, dtype=float)
    half = scipy.stats.t.ppf((1 + level) / 2, len(sample) - 1) * sample.std(ddof=1) / len(sample) ** 0.5
    return float(sample.mean()), float(sample.mean() - half), float(sample.mean() + half)


def steps_up(values: Sequence[float]) -> float:
    """The smallest ratio of neighbours, ``min values[i + 1] / values[i]``: above 1 where the list increases."""
    return min(b / a for a, b in itertools.pairwise(values))
