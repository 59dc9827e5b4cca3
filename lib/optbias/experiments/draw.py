"""Figures of the evening's studies, for the pages and for a run's report: each takes results and draws into axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from optbias import figures
from optbias.experiments.results import Results
from optbias.experiments.verdicts import Level, Verdict, by_seed

INKS = [(figures.COLORS[c], d) for c, d in zip(figures.COLORS, figures.DASHES, strict=True)]
"""Colour and dash of the curves of a figure, in order."""


OFF = 20.0
"""An interval that reaches so many times as far as the others is off the axis of a picture."""


def reach(levels: Sequence[Level]) -> float:
    """How far from 0 an axis goes: the nearer half of the intervals, and each next one within :data:`OFF` times it."""
    far = sorted(max(abs(v.low), abs(v.high)) for v in levels if math.isfinite(v.low) and math.isfinite(v.high))
    goes = far[(len(far) - 1) // 2] if far else math.inf
    for one in far:
        goes = max(goes, one) if one <= OFF * goes else goes
    return goes


def forest(ax: Axes, verdict: Verdict | Sequence[Level], predicted: float | None = None) -> None:
    """The levels of a verdict, one a line: mean and 95 % interval, in its unit; a vertical line where nothing happens.

    Filled dots are resolved after Holm, open ones are not. ``predicted`` draws a second line at a number. An interval
    beyond :func:`reach` would leave nothing to see of the others: it stands in words.
    """
    levels = verdict.levels if isinstance(verdict, Verdict) else tuple(verdict)
    ratio = bool(levels) and levels[0].unit == "ratio"
    scale = 100.0 if levels and levels[0].unit == "points" else 1.0

    def shown(value: float) -> float:
        return math.exp(value) if ratio else scale * value

    ax.axvline(1.0 if ratio else 0.0, color=figures.INK, lw=1)
    if predicted is not None:
        ax.axvline(predicted, color=figures.COLORS["red"], lw=1.2, ls="--")
    farthest = reach(levels)
    for y, level in enumerate(levels):
        if not level.values:
            continue
        if math.isfinite(level.high) and max(abs(level.low), abs(level.high)) > farthest:
            across = ax.get_yaxis_transform()
            said = level.text().partition("]")[0] + "]"
            ax.text(0.98, y, said, transform=across, ha="right", va="center", fontsize=7, color=figures.INK)
            continue
        face = figures.COLORS["blue"] if level.resolved else "none"
        ends = [v for v in (level.low, level.high) if math.isfinite(v)]
        if len(ends) == 2:
            ax.plot([shown(v) for v in ends], [y, y], color=figures.COLORS["blue"], ls="-", lw=1.6)
        ax.plot(shown(level.mean), y, "o", color=figures.COLORS["blue"], mfc=face, ms=6)
    ax.set_yticks(range(len(levels)), [level.label for level in levels])
    ax.set_ylim(len(levels) - 0.5, -0.5)
    ax.grid(axis="y", visible=False)
    if ratio:
        ax.set_xscale("log")
        low, high = ax.get_xlim()
        fine = (0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.4, 1.7)
        coarse = (0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
        ticks = [t for t in (fine if high < 2.5 * low else coarse) if low <= t <= high]
        ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
        ax.minorticks_off()


def course(results: Results, column: str, **fields: Any) -> tuple[np.ndarray, np.ndarray]:
    """Steps, and ``column`` of the histories of all seeds, ``(seeds, points)``, on the steps of the longest run."""
    histories = [results.history(s)[["step", column]].dropna() for s in results.select(**fields)]
    steps = max((h["step"].to_numpy() for h in histories), key=len)
    rows = [np.interp(steps, h["step"], h[column].to_numpy(float), right=math.nan) for h in histories]
    return steps, np.stack(rows)


def hills(ax: Axes, results: Results, varied: str, column: str = "one_norm_eps") -> None:
    """The norm against the step, a curve for each value of ``varied``: the median over seeds and the middle half."""
    values = sorted({getattr(s, varied) for s in results.outcomes})
    symbol = {"rho": r"$\rho$", "beta": r"$\beta$"}[varied]
    for value, (color, dash) in zip(values, INKS, strict=False):
        steps, y = course(results, column, **{varied: value})
        smooth = pd.DataFrame(y.T).rolling(9, center=True, min_periods=1).median().to_numpy()
        kept = np.isfinite(smooth).sum(1) > smooth.shape[1] / 2
        low, middle, high = np.nanquantile(smooth[kept], [0.25, 0.5, 0.75], axis=1)
        ax.plot(steps[kept], middle, color=color, ls=dash, label=f"{symbol} = {value:g}")
        ax.fill_between(steps[kept], low, high, color=color, alpha=0.18, lw=0)
    ax.set(xlabel="step", yscale="log")
    ax.legend(fontsize=9)


def dose_curves(ax: Axes, norms: dict[str, list[tuple[float, Level]]]) -> None:
    """Norm over that of the plain run at the target, against the dose: a curve with intervals for each loss."""
    ax.axhline(1.0, color=figures.INK, lw=1)
    for k, ((label, points), (color, dash)) in enumerate(zip(norms.items(), INKS, strict=False)):
        x = [dose + 0.02 * (k - 1.5) for dose, _ in points]
        y = np.exp([[v.mean, v.low, v.high] for _, v in points]).T
        ax.errorbar(x, y[0], [y[0] - y[1], y[2] - y[0]], color=color, ls=dash, marker="o", ms=4, capsize=3, label=label)
    ax.set(xlabel="dose $k$")
    ax.legend(fontsize=9)


def quarters(ax: Axes, results: Results, path: str = "box/quarters", **fields: Any) -> None:
    """The mean of the largest weight over each quarter of the run, a line for each seed."""
    for values in by_seed(results, path, **fields).values():
        if values:
            ax.plot(range(1, 5), values, color=figures.COLORS["blue"], lw=1, marker="o", ms=3)
    ax.axhline(1.0, color=figures.COLORS["red"], lw=1.2)
