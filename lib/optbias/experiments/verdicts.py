"""One word for each question of the evening's studies, computed from their records.

``docs/protocol.md`` fixes question, primary outcome and rule before the runs. Here the rule is code: :func:`verdicts`
reads the records and returns a :class:`Verdict` for every question; pages, scorecard and summary print what it says. A
question whose record is missing is *not run*, with the command that runs it.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.stats

from optbias import _checks
from optbias.experiments import box_studies, checks, hill_studies
from optbias.experiments.checks import Check
from optbias.experiments.results import Record, Results, load
from optbias.experiments.runs import Setting
from optbias.theory.modified_equations import mean_lag

WORDS = ("reproduced", "partly", "not resolved", "reversed", "resolved", "not run")
"""The words that a verdict may be."""

FEWEST = 3
"""Pairs below which a level counts as not resolved."""

WIDEST = 0.5
"""The widest interval that may agree with a predicted number."""

MARGIN = 0.05
"""How far, in the logarithm, an interval may reach where no effect is predicted."""

ROOM = 1e-3
"""What "at or below" allows: rounding, and the largest weight of a network that sits on the wall."""


@dataclass(frozen=True)
class Level:
    """One test of a study's primary outcome: the values by seed, their mean and 95 % t-interval.

    ``p`` is that of the two-sided t-test of 0, ``adjusted`` the same by Holm over the levels of the study.
    ``unit`` says how the values are to be shown: ``ratio`` (of logarithms), ``number``, ``points`` (of per cent).
    """

    label: str
    values: tuple[float, ...]
    mean: float
    low: float
    high: float
    p: float
    missing: int = 0
    unit: str = "ratio"
    adjusted: float = math.nan

    @property
    def resolved(self) -> int:
        """+1 or -1, the sign of an effect that is resolved after Holm; else 0."""
        if len(self.values) < FEWEST or not self.adjusted < 0.05:
            return 0
        return 1 if self.mean > 0 else -1

    def text(self) -> str:
        """``×1.043 [1.039, 1.046], 20 seeds``."""
        if not self.values:
            return "no pair of runs reached it"
        if self.unit == "ratio":
            mean, low, high = (_ratio(math.exp(v)) for v in (self.mean, self.low, self.high))
            shown = f"×{mean} [{low}, {high}]"
        elif self.unit == "points":
            shown = f"{100 * self.mean:+.2f} [{100 * self.low:+.2f}, {100 * self.high:+.2f}] points"
        else:
            shown = f"{self.mean:.3g} [{self.low:.3g}, {self.high:.3g}]"
        left = f", {self.missing} without a pair" if self.missing else ""
        return f"{shown}, {len(self.values)} seeds{left}"


def _ratio(value: float) -> str:
    """Three decimals near 1, so that 1.002 is not shown as 1."""
    return f"{value:.3f}" if 0.1 < value < 10 else f"{value:.3g}"


@dataclass(frozen=True)
class Verdict:
    """The answer to one question. ``said`` says in words what was resolved; ``command`` runs the study."""

    name: str
    study: str
    question: str
    predicted: str
    word: str
    levels: tuple[Level, ...] = ()
    said: str = ""
    command: str = ""

    def __post_init__(self) -> None:
        _checks.one_of("word", self.word, WORDS)

    def markdown(self) -> str:
        """The verdict as a short paragraph of a page."""
        if self.word == "not run":
            return f"**not run.** {self.question} `{self.command}`"
        return f"**{self.word}.** {self.said}"


def interval(values: Iterable[float | None], label: str, unit: str = "ratio", total: int | None = None) -> Level:
    """The level of one sample; None and NaN are left out and counted."""
    given = list(values)
    kept = tuple(float(v) for v in given if v is not None and math.isfinite(v))
    missing = (len(given) if total is None else total) - len(kept)
    if len(kept) < 2:
        mean = kept[0] if kept else math.nan
        return Level(label, kept, mean, -math.inf, math.inf, 1.0, missing, unit)
    mean, spread = float(np.mean(kept)), float(np.std(kept, ddof=1))
    if spread == 0:
        return Level(label, kept, mean, mean, mean, 1.0 if mean == 0 else 0.0, missing, unit)
    low, high = scipy.stats.t.interval(0.95, len(kept) - 1, mean, spread / len(kept) ** 0.5)
    p = float(scipy.stats.ttest_1samp(kept, 0.0).pvalue)
    return Level(label, kept, mean, float(low), float(high), p, missing, unit)


def holm(levels: Sequence[Level]) -> tuple[Level, ...]:
    """The levels with p-values adjusted by Holm's step-down method."""
    order = sorted(range(len(levels)), key=lambda i: levels[i].p)
    adjusted, largest = [1.0] * len(levels), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(levels) - rank) * levels[i].p))
        adjusted[i] = largest
    return tuple(dataclasses.replace(level, adjusted=a) for level, a in zip(levels, adjusted, strict=True))


Rule = Callable[[Sequence[Level]], tuple[str, str]]


def _named(levels: Sequence[Level]) -> str:
    return "; ".join(f"{level.label}: {level.text()}" for level in levels)


def _parts(groups: Sequence[tuple[str, Sequence[Level]]]) -> str:
    return " ".join(f"{words} at {_named(levels)}." for words, levels in groups if levels)


def direction(sign: int) -> Rule:
    """The rule for a predicted sign: +1 or -1."""

    def rule(levels: Sequence[Level]) -> tuple[str, str]:
        yes = [v for v in levels if v.resolved == sign]
        no = [v for v in levels if v.resolved == -sign]
        open_ = [v for v in levels if v.resolved == 0]
        said = _parts([("As predicted", yes), ("Reversed", no), ("Not resolved", open_)])
        if len(yes) == len(levels):
            return "reproduced", said
        return ("partly" if yes else "reversed" if no else "not resolved"), said

    return rule


def number(value: float = 1.0) -> Rule:
    """The rule for a predicted number, against 0, which would be no effect."""

    def rule(levels: Sequence[Level]) -> tuple[str, str]:
        def agrees(v: Level) -> bool:
            return v.resolved == 1 and v.low <= value <= v.high and v.high - v.low <= WIDEST

        yes = [v for v in levels if agrees(v)]
        side = [v for v in levels if v.resolved == 1 and not agrees(v)]
        no = [v for v in levels if v.resolved == -1]
        open_ = [v for v in levels if v.resolved == 0]
        said = _parts(
            [
                (f"The interval holds {value:g}", yes),
                (f"The sign is right, the number is not {value:g} or too uncertain,", side),
                ("Reversed", no),
                ("Not resolved", open_),
            ]
        )
        if len(yes) == len(levels):
            return "reproduced", said
        return ("partly" if yes or side else "reversed" if no else "not resolved"), said

    return rule


def nothing(levels: Sequence[Level]) -> tuple[str, str]:
    """The rule for "no effect": the whole interval within ±MARGIN."""
    within = [v for v in levels if v.low >= -MARGIN and v.high <= MARGIN and len(v.values) >= FEWEST]
    beyond = [v for v in levels if v not in within and v.low * v.high > 0]
    open_ = [v for v in levels if v not in within and v not in beyond]
    percent = f"{100 * MARGIN:g} %"
    said = _parts(
        [
            (f"Within {percent} of no effect", within),
            (f"An effect, beyond {percent},", beyond),
            ("Not resolved", open_),
        ]
    )
    if len(within) == len(levels):
        return "reproduced", said
    return ("partly" if within else "reversed" if beyond else "not resolved"), said


def at_most(levels: Sequence[Level]) -> tuple[str, str]:
    """The rule for "at or below 0": one-sided, by the interval, with :data:`ROOM`."""
    below = [v for v in levels if v.high <= ROOM and len(v.values) >= FEWEST]
    above = [v for v in levels if v.low > ROOM and len(v.values) >= FEWEST]
    open_ = [v for v in levels if v not in below and v not in above]
    said = _parts([("Inside", below), ("Outside", above), ("Not resolved", open_)])
    if len(below) == len(levels):
        return "reproduced", said
    return ("partly" if below else "reversed" if above else "not resolved"), said


def open_question(levels: Sequence[Level]) -> tuple[str, str]:
    """The rule for a question without a prediction: is the sign of any effect known?"""
    known = [v for v in levels if v.resolved]
    unknown = [v for v in levels if not v.resolved]
    said = _parts([("Resolved", known), ("Not resolved", unknown)])
    return ("resolved" if known else "not resolved"), said


# -- outcomes -----------------------------------------------------------------------------------------------------


def by_seed(results: Results, path: str, **fields: Any) -> dict[int, float | None]:
    """A number of the summary for each seed of the one setting that has these fields. Raises ValueError if several."""
    found: dict[int, float | None] = {}
    for s in results.select(**fields):
        if s.seed in found:
            raise ValueError(f"several settings have {fields}")
        found[s.seed] = results.value(s, path)
    return found


def log_ratio(
    results: Results, path: str, over: dict[str, Any], under: dict[str, Any], label: str, **both: Any
) -> Level:
    """The level of ``log(over / under)``, seed by seed."""
    a, b = (by_seed(results, path, **both, **one) for one in (over, under))
    seeds = sorted(set(a) & set(b))
    pairs = [(a[s], b[s]) for s in seeds]
    return interval([math.log(x / y) if x and y else None for x, y in pairs], label)


def difference(results: Results, path: str, a: dict[str, Any], b: dict[str, Any], label: str, unit: str) -> Level:
    """The level of ``a - b``, seed by seed."""
    x, y = by_seed(results, path, **a), by_seed(results, path, **b)
    seeds = sorted(set(x) & set(y))
    pairs = [(x[s], y[s]) for s in seeds]
    return interval([p - q if p is not None and q is not None else None for p, q in pairs], label, unit)


def _hill(varied: str, last: float, first: float) -> Callable[[Results], list[Level]]:
    def outcome(r: Results) -> list[Level]:
        return [
            log_ratio(r, f"at_loss/{level}/value", {varied: last}, {varied: first}, f"loss {level}")
            for level in ("1", "0.7", "0.5", "0.3", "0.1")
        ]

    return outcome


def _accuracy(varied: str, last: float, first: float) -> Callable[[Results], list[Level]]:
    def outcome(r: Results) -> list[Level]:
        return [
            difference(
                r, f"test_accuracy_at_loss/{level}/value", {varied: last}, {varied: first}, f"loss {level}", "points"
            )
            for level in ("0.5", "0.3", "0.1")
        ]

    return outcome


def controls(r: Results) -> list[Level]:
    """Pairs with beta = rho, and epsilon 1."""
    found = []
    for level in ("1.5", "1"):
        over, under = {"beta": 0.95, "rho": 0.95}, {"beta": 0.5, "rho": 0.5}
        path = f"at_loss/{level}/value"
        found.append(log_ratio(r, path, over, under, f"(0.95, 0.95) over (0.5, 0.5), loss {level}", eps=1e-8))
        path = f"one_norm_at_loss/{level}/value"
        found.append(
            log_ratio(r, path, {"rho": 0.999}, {"rho": 0.9}, f"ε = 1, ρ 0.999 over 0.9, loss {level}", eps=1.0)
        )
    return found


GRID_LEVELS = {"digits": "0.7", "cifar10-8": "1.2"}
"""The losses at which the grids are compared."""


def age_along(beta: float, n: int) -> float:
    """The mean of ``tau_k(beta)`` over the updates ``k = 0 ... n``."""
    return float(np.mean([mean_lag(beta, k) for k in range(n + 1)]))


def weights_of_ages(
    r: Results, data: str, *, most: float = 0.95, age: str = "crossing"
) -> dict[int, tuple[float, float]]:
    """The fitted weights of ``tau(beta)`` and ``tau(rho)`` in the log norm at matched loss, by seed.

    A least-squares plane over the pairs with both factors at most ``most``; ``age`` is that at the ``crossing``, the
    ``late`` one, or the mean ``along`` the path.
    """
    _checks.one_of("age", age, ("crossing", "late", "along"))
    rows: dict[int, list[tuple[float, float, float]]] = {}
    for s in r.select(data=data):
        found = r.value(s, f"at_loss/{GRID_LEVELS[data]}")
        if max(s.beta, s.rho) > most or not found:
            continue
        n = int(found["step"])
        beta, rho = (
            age_along(x, n) if age == "along" else float(mean_lag(x, n if age == "crossing" else None))
            for x in (s.beta, s.rho)
        )
        rows.setdefault(s.seed, []).append((beta, rho, math.log(found["value"])))
    fitted = {}
    for seed, points in sorted(rows.items()):
        table = np.array(points)
        design = np.column_stack([np.ones(len(table)), table[:, 0], table[:, 1]])
        _, beta, rho = np.linalg.lstsq(design, table[:, 2], rcond=None)[0]
        fitted[seed] = float(beta), float(rho)
    return fitted


def grid(r: Results) -> list[Level]:
    """The weight of tau(beta) over that of tau(rho), sign turned: the theory says 1."""
    return [
        interval([-b / w if w else None for b, w in weights_of_ages(r, data).values()], label, "number")
        for data, label in (("digits", "digits"), ("cifar10-8", "CIFAR-10"))
        if r.select(data=data)
    ]


def doses(
    r: Results, level: str, start: dict[str, Any], target: dict[str, Any], **both: Any
) -> dict[int, dict[str, Any]]:
    """For each seed the log norm over the dose at matched loss, and that of the plain run at the target."""
    path = f"at_loss/{level}/value"
    found: dict[int, dict[str, Any]] = {}
    for seed, value in by_seed(r, path, **target, dose=0.0, **both).items():
        found[seed] = {"target": math.log(value) if value else math.nan, "norm": {}}
    for dose in sorted({s.dose for s in r.select(**start, **both)}):
        for seed, value in by_seed(r, path, **start, dose=dose, **both).items():
            if seed in found:
                found[seed]["norm"][dose] = math.log(value) if value else math.nan
    return found


def share_undone(one: dict[str, Any]) -> float:
    """What dose 1 does of the way from the start's log norm to the target's."""
    norm, target = one["norm"], one["target"]
    return (norm[1.0] - norm[0.0]) / (target - norm[0.0]) if 1.0 in norm and target != norm[0.0] else math.nan


def dose_of(one: dict[str, Any]) -> float:
    """The dose k* at which log norm, linear between the doses, passes the target's; NaN outside of the doses."""
    doses_, norms = np.array(sorted(one["norm"].items())).T
    gap = norms - one["target"]
    for i in range(len(gap) - 1):
        if np.isfinite(gap[i : i + 2]).all() and gap[i] * gap[i + 1] <= 0 and gap[i] != gap[i + 1]:
            return float(doses_[i] + (doses_[i + 1] - doses_[i]) * gap[i] / (gap[i] - gap[i + 1]))
    return math.nan


PENALTY_LEVELS = ("1", "0.7", "0.5", "0.3")
"""The losses of the penalty's primary outcome on digits."""

FROM_RHO = ({"beta": 0.9, "rho": 0.99}, {"beta": 0.9, "rho": 0.9})
FROM_BETA = ({"beta": 0.5, "rho": 0.99}, {"beta": 0.9, "rho": 0.99})


def _penalty(ends: tuple[dict[str, Any], dict[str, Any]]) -> Callable[[Results], list[Level]]:
    def outcome(r: Results) -> list[Level]:
        return [
            interval(map(share_undone, doses(r, level, *ends).values()), f"loss {level}", "number")
            for level in PENALTY_LEVELS
        ]

    return outcome


def best_doses(r: Results, ends: tuple[dict[str, Any], dict[str, Any]]) -> list[Level]:
    """k* at each loss."""
    return [
        interval(map(dose_of, doses(r, level, *ends).values()), f"loss {level}", "number") for level in PENALTY_LEVELS
    ]


def penalty_cancel(r: Results) -> list[Level]:
    """The spread of log norm over the pairs, cancelled over plain."""
    found = []
    for level in PENALTY_LEVELS:
        spread: dict[float, dict[int, float]] = {0.0: {}, 1.0: {}}
        for dose, of in spread.items():
            each = [by_seed(r, f"at_loss/{level}/value", beta=b, rho=rho, dose=dose) for b, rho in hill_studies.PAIRS]
            for seed in set.intersection(*map(set, each)):
                values = [one[seed] for one in each]
                if all(values):
                    of[seed] = float(np.std(np.log(np.array(values, dtype=float)), ddof=1))
        seeds = sorted(set(spread[0.0]) & set(spread[1.0]))
        found.append(interval([math.log(spread[1.0][s] / spread[0.0][s]) for s in seeds], f"loss {level}"))
    return found


NETWORK_LEVELS = {
    "CIFAR-10, residual MLP": ("2", "1.5"),
    "digits, no normalisation": ("1", "0.5"),
    "CIFAR-10, convolutions": ("2",),
    "words, LSTM": ("5",),
}
"""The losses at which the other networks are compared: those that a run with dose 1 reaches."""


def kind_of(setting: Setting) -> dict[str, Any]:
    """What tells the networks of a study apart."""
    return {name: getattr(setting, name) for name in ("model", "norm", "train_size", "width")}


def penalty_networks(r: Results) -> list[Level]:
    """What dose 1 undoes on other networks."""
    found = []
    for name, base in hill_studies.NETWORKS.items():
        for level in NETWORK_LEVELS[name]:
            each = doses(r, level, *FROM_RHO, **kind_of(base))
            if each:
                found.append(interval(map(share_undone, each.values()), f"{name}, loss {level}", "number"))
    return found


def network_effects(r: Results) -> list[tuple[Level, Level]]:
    """What :func:`penalty_networks` divides: the norm at rho 0.9 over 0.99 without the term, and dose 1 over dose 0.

    Where rho itself moves the norm by little, their quotient divides by nearly 0 and says nothing; these two do.
    """
    found = []
    for name, base in hill_studies.NETWORKS.items():
        for level in NETWORK_LEVELS[name]:
            each = doses(r, level, *FROM_RHO, **kind_of(base)).values()
            if each:
                of_rho = [one["target"] - one["norm"][0.0] for one in each]
                of_term = [one["norm"].get(1.0, math.nan) - one["norm"][0.0] for one in each]
                label = f"{name}, loss {level}"
                found.append((interval(of_rho, label), interval(of_term, label)))
    return found


def sharpest_before_top(r: Results, setting: Setting) -> float:
    """The largest sharpness over its limit up to the top of the hill."""
    along, top = r.value(setting, "along"), r.value(setting, "hill/top_step")
    before = [v for step, v in zip(along["step"], along["sharpness_over_limit"], strict=True) if step <= top]
    return max(before, default=math.nan)


def burst(r: Results) -> list[Level]:
    """Sharpness over its limit before the top, where the burst is largest."""
    those = r.select(beta=0.9, rho=0.999, lr=3e-4)
    return [interval([math.log(sharpest_before_top(r, s)) for s in those], "(0.9, 0.999), η = 3e-4")]


def regime_map(r: Results) -> list[Level]:
    """Spikes of the loss, rho 0.999 less rho 0.9."""
    a, b = ({"beta": 0.9, "rho": rho, "lr": 1e-2} for rho in (0.999, 0.9))
    return [difference(r, "spikes", a, b, "β = 0.9, η = 1e-2", "number")]


def ode_network(r: Results) -> list[Level]:
    """The order of the corrected equation on a network, for each pair."""
    pairs = sorted({(s.beta, s.rho) for s in r.select()})
    return [
        interval(by_seed(r, "slope/corrected", beta=b, rho=rho).values(), f"({b:g}, {rho:g})", "number")
        for b, rho in pairs
    ]


def minibatch(r: Results) -> list[Level]:
    """The order in rho in mini-batches, digits at loss 1, CIFAR-10 at 1.5."""
    return [
        log_ratio(
            r,
            f"at_loss/{level}/value",
            {"rho": 0.999},
            {"rho": 0.9},
            f"{name}, batch {size}",
            beta=0.9,
            data=data,
            batch_size=size,
        )
        for data, name, level in (("digits", "digits", "1"), ("cifar10-8", "CIFAR-10", "1.5"))
        for size in (20, 100, 500)
        if r.select(data=data)
    ]


def architectures(r: Results) -> list[Level]:
    """The order in rho on other networks."""
    found = []
    for data, model in dict.fromkeys((s.data, s.model) for s in r.select()):
        level = "3" if model == "lstm" else "1"
        label = f"{model} on {data}, loss {level}"
        found.append(
            log_ratio(r, f"at_loss/{level}/value", {"rho": 0.999}, {"rho": 0.9}, label, data=data, model=model)
        )
    return found


def _horizon(chosen: Callable[[float, float], bool]) -> Callable[[Results], list[Level]]:
    def outcome(r: Results) -> list[Level]:
        found = []
        for beta, rho in box_studies.PAIRS:
            for decay in (1.0, 2.0):
                values = by_seed(r, "box/quarters", beta=beta, rho=rho, weight_decay=decay).values()
                if chosen(beta, rho):
                    label = f"β = ({beta:g}, {rho:g}), λ = {decay:g}"
                    found.append(interval([v[-1] - 1 if v else None for v in values], label, "number"))  # type: ignore[index]
        return found

    return outcome


def cross(r: Results) -> list[Level]:
    """The absolute gap at the end, decaying over constant rate."""
    return [
        log_ratio(
            r, "absolute_gap/2500/gap", {"decay_steps": 200}, {"decay_steps": 0}, f"λ = {decay:g}", weight_decay=decay
        )
        for decay in (1.0, 2.0, 4.0, 8.0)
    ]


def box_minibatch(r: Results) -> list[Level]:
    """The largest weight in mini-batches with equal betas."""
    found = []
    for size in (1, 4, 16, 64, 0):
        values = by_seed(r, "box/quarters", beta=0.9, rho=0.9, batch_size=size).values()
        label = f"batch {size}" if size else "full batch"
        found.append(interval([v[-1] - 1 if v else None for v in values], label, "number"))  # type: ignore[index]
    return found


def against_l2(r: Results) -> list[Level]:
    """Held-out loss of AdamW less that of Adam with an L2 term, by evaluation seed."""
    found = []
    for s in r.select():
        a, b = (r.value(s, f"rules/{name}/evaluation/test_loss") for name in ("AdamW", "Adam + L2"))
        values = [x - y if x is not None and y is not None else None for x, y in zip(a, b, strict=True)]
        found.append(interval(values, f"{_task(s)}, search {s.seed}", "number"))
    return found


def _task(s: Setting) -> str:
    return "digits" if s.data == "digits" else "text"


FACTORS = {
    "normalisation": ("norm", "pre", "none"),
    "skip": ("skip", True, False),
    "attention": ("attention", True, False),
}
"""The factors of the ablation: field, on, off."""


def main_effect(r: Results, factor: str, path: str, **fields: Any) -> dict[int, float]:
    """The mean over the other factors of "on" less "off", by seed."""
    name, on, off = FACTORS[factor]
    found = {}
    for seed in sorted({s.seed for s in r.select(**fields)}):
        means = []
        for value in (on, off):
            those = r.select(seed=seed, **{name: value}, **fields)
            numbers = [r.value(s, path) for s in those]
            numbers = [v[-1] if isinstance(v, list) else v for v in numbers]
            means.append(float(np.mean(numbers)) if numbers and None not in numbers else math.nan)
        found[seed] = means[0] - means[1]
    return found


def ablation(r: Results) -> list[Level]:
    """What each part does to the share of weights on the wall."""
    return [
        interval(main_effect(r, factor, "share_on_box", optimizer="AdamW").values(), factor, "points")
        for factor in FACTORS
    ]


def images(r: Results) -> list[Level]:
    """The largest weight of networks for images."""
    found = []
    for base in box_studies.IMAGES:
        values = by_seed(r, "box/quarters", model=base.model, data=base.data, optimizer="AdamW").values()
        if values:
            label = f"{base.model} on {base.data}"
            found.append(interval([v[-1] - 1 if v else None for v in values], label, "number"))  # type: ignore[index]
    return found


@dataclass(frozen=True)
class Question:
    """A row of the scorecard: which study answers it, how its primary outcome is read and judged."""

    name: str
    experiment: str
    study: str
    question: str
    predicted: str
    outcome: Callable[[Results], list[Level]]
    rule: Rule


HILL, BOX = "one-norm-hill", "linf-constraint"

_ALL: tuple[Question, ...] = (
    Question("hill-rho", HILL, "hill-rho", "Is the norm larger for a larger ρ at matched loss, through and after the "
             "hill?", "ρ 0.999 over 0.9: above 1", _hill("rho", 0.999, 0.9), direction(1)),
    Question("hill-beta", HILL, "hill-beta", "Is it smaller for a larger β?", "β 0.95 over 0.5: below 1",
             _hill("beta", 0.95, 0.5), direction(-1)),
    Question("controls", HILL, "controls", "Does the effect go away where the theory's term does?", "ratio 1", controls,
             nothing),
    Question("accuracy-rho", HILL, "hill-rho", "Is held-out accuracy lower for a larger ρ at matched loss?",
             "ρ 0.999 less 0.9: below 0", _accuracy("rho", 0.999, 0.9), direction(-1)),
    Question("accuracy-beta", HILL, "hill-beta", "Is held-out accuracy higher for a larger β at matched loss?",
             "β 0.95 less 0.5: above 0", _accuracy("beta", 0.95, 0.5), direction(1)),
    Question("penalty", HILL, "penalty", "Does the theory's own term, added to the gradient, undo what ρ does?",
             "dose 1 undoes all of it: share 1", _penalty(FROM_RHO), number(1.0)),
    Question("penalty-beta", HILL, "penalty-beta", "Does the term do what β does?", "share 1", _penalty(FROM_BETA),
             number(1.0)),
    Question("penalty-cancel", HILL, "penalty-cancel", "Do pairs agree once the bias is cancelled?",
             "spread over the pairs, cancelled over plain: below 1", penalty_cancel, direction(-1)),
    Question("penalty-networks", HILL, "penalty-networks", "Does the term undo what ρ does on other networks?",
             "share 1", penalty_networks, number(1.0)),
    Question("grid", HILL, "grid", "Is the weight of τ(β) against τ(ρ) the theory's?", "1", grid, number(1.0)),
    Question("ode-network", HILL, "ode-network", "Is the corrected equation of second order on a network?", "slope 2",
             ode_network, number(2.0)),
    Question("burst", HILL, "burst", "Does the preconditioned sharpness pass its stability limit before the burst?",
             "largest sharpness over its limit: above 1", burst, direction(1)),
    Question("regime-map", HILL, "regime-map", "Are there more spikes of the loss for ρ far above β?",
             "ρ 0.999 less 0.9: above 0", regime_map, direction(1)),
    Question("minibatch", HILL, "minibatch", "Does the order in ρ survive mini-batches?", "ρ 0.999 over 0.9: above 1",
             minibatch, direction(1)),
    Question("architectures", HILL, "architectures", "Is the norm ordered in ρ in other networks and data?",
             "ρ 0.999 over 0.9: above 1", architectures, direction(1)),
    *(
        Question(f"{kind}-{model}", BOX, f"horizon-{model}", f"{question} ({model})", predicted, _horizon(chosen), rule)
        for model in ("lstm", "transformer")
        for kind, question, predicted, chosen, rule in (
            ("equal", "Does the largest weight end below 1/λ where β1 = β2?", "mean of the last quarter, less 1: at "
             "most 0", lambda b, r: b == r, at_most),
            ("less", "Does it where β1 < β2?", "at most 0", lambda b, r: b < r, at_most),
            ("greater", "Does it leave the box where β1 > β2?", "above 0", lambda b, r: b > r, direction(1)),
        )
    ),
    Question("cross", BOX, "cross", "Does a decaying rate make the absolute KKT gap smaller, at each λ?",
             "gap at the end, decaying over constant: below 1", cross, direction(-1)),
    Question("box-minibatch", BOX, "box-minibatch", "Does the box hold in mini-batches where β1 = β2?", "at most 0",
             box_minibatch, at_most),
    Question("against-l2", BOX, "against-l2", "Is the held-out loss of AdamW lower than that of Adam with an L2 term?",
             "difference below 0", against_l2, direction(-1)),
    Question("ablation", BOX, "ablation", "What do normalisation, skip connections and attention do to the share of "
             "weights on the wall?", "no prediction", ablation, open_question),
    Question("images", BOX, "images", "Does the box show with images?", "at most 0", images, at_most),
)  # fmt: skip

QUESTIONS: dict[str, Question] = {q.name: q for q in _ALL}
"""All questions by name, in the order of the protocol."""


def command(question: Question) -> str:
    """What a reader types to run the study."""
    return f"python -m optbias reproduce {question.experiment} --preset evening --study {question.study} --data DIR"


def judge(question: Question, results: Results | None) -> Verdict:
    """The verdict on one question from the results of its study; *not run* for None, or where no run belongs to it."""
    about = (question.name, question.study, question.question, question.predicted)
    levels = holm(question.outcome(results)) if results is not None else ()
    if not levels:
        return Verdict(*about, "not run", command=command(question))
    word, said = question.rule(levels)
    return Verdict(*about, word, levels, said, command(question))


def record_of(question: Question, folder: str | os.PathLike[str] | None = None) -> Record | None:
    """The record of a question's study: of the checkout, or below ``folder``, ``EXPERIMENT/evening/STUDY.json``."""
    if folder is None:
        return _recorded(question.experiment, question.study)
    return load(question.experiment, "evening", os.path.join(folder, question.experiment), study=question.study)


@functools.lru_cache(maxsize=64)
def _recorded(experiment: str, study: str) -> Record | None:
    return load(experiment, "evening", study=study)


def verdict(name: str, folder: str | os.PathLike[str] | None = None) -> Verdict:
    """The verdict on the question called ``name``. Raises ValueError for a name that there is not."""
    _checks.one_of("name", name, QUESTIONS)
    record = record_of(QUESTIONS[name], folder)
    return judge(QUESTIONS[name], None if record is None else record.results)


def verdicts(folder: str | os.PathLike[str] | None = None, names: Iterable[str] | None = None) -> dict[str, Verdict]:
    """The verdicts on all questions, or on those named."""
    return {name: verdict(name, folder) for name in (QUESTIONS if names is None else names)}


def examine(preset: str, study: str, results: Results) -> list[Check]:
    """What a study that was just run says on the screen and in its record: its questions and their verdicts."""
    found = []
    for q in QUESTIONS.values():
        if q.study == study:
            v = judge(q, results)
            found.append(checks.report(q.name, f"{q.question} {v.word.upper()} (predicted: {q.predicted})", v.said))
    return found


def table(names: Iterable[str], folder: str | os.PathLike[str] | None = None) -> str:
    """A Markdown table of questions and verdicts: question, what was predicted, verdict, what was found."""
    lines = ["| question | predicted | verdict | found |", "|---|---|---|---|"]
    for v in verdicts(folder, names).values():
        found = v.said if v.word != "not run" else f"`{v.command}`"
        lines.append(f"| {v.question} | {v.predicted} | **{v.word}** | {found} |")
    return "\n".join(lines)
