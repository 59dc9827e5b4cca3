"""The box of AdamW on real networks: the first paper's experiment, and what it leaves open.

Xie and Li (arXiv 2404.04454) train a two-layer transformer on the Penn Treebank, full batch, constant learning
rate, without dropout, and plot the largest weight: with AdamW it ends below ``1/lambda``. Their code is not
public. This experiment repeats it at four sizes and asks more of it. Its studies:

- ``box``: words, full batch, LSTM; every optimizer and pair of betas. With equal betas the largest weight obeys
  ``|theta_t|_inf <= max(|theta_0|_inf, 1/lambda)`` at every step: each ``|m_hat| <= sqrt(v_hat)`` by the
  inequality of Cauchy and Schwarz, so a step moves a weight towards a point of the box;
- ``inside``: the same with initial weights clipped to half of the box;
- ``networks``: transformers with and without normalisation layers; ``characters``: text by its characters;
- ``minibatch``: mini-batches, where the invariant holds as well (it needs nothing of the gradients), and the
  held-out losses of AdamW, Adam and Adam+L2 side by side;
- ``kkt``: a learning rate that decays like ``1/sqrt(t)``; the relative KKT gap falls and weights gather on the
  boundary.

Text: the Penn Treebank and Tiny Shakespeare where they are at hand, else the course's generated text.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from optbias.experiments import against_l2, box_studies, checks, full_size, measures, runs, verdicts
from optbias.experiments.checks import Check
from optbias.experiments.preset import Experiment, Plan
from optbias.experiments.results import Results
from optbias.experiments.runs import Setting
from optbias.experiments.sweep import Outcome, Where, grid
from optbias.rules.base import at_step

ROUNDING = 1e-4
"""Allowed relative excess over the box. The theorem has none. In float32 the two moments of a gradient that hardly
changes carry errors of about ``6e-8 / (1 - beta)`` each, and rounding the weights adds ``6e-8 / (lr lambda)``."""

COEFFICIENTS = (1e-3, 1e-2)
"""The coefficients of the L2 term. Larger ones ruin the loss (1 makes the network constant)."""


def plan(preset: str, folder: str | None) -> Plan:
    """The runs of a preset; text that is not at hand is replaced by the generated one, and ``skipped`` says so.

    Images are replaced by nothing: without CIFAR-10 the networks for them are left out.
    """
    words, characters, skipped = "ptb-words", "shakespeare-characters", {}
    if not runs.available(words, folder):
        words, skipped["penn-treebank"] = "generated-words", "not at hand; the course's generated text instead"
    if not runs.available(characters, folder):
        characters = "generated-characters"
        skipped["tiny-shakespeare"] = "not at hand; the course's generated text instead"
    settings = {"smoke": _smoke, "cpu": _cpu, "evening": _evening, "gpu": _gpu, "paper": _paper}[preset](
        words, characters
    )
    for name in sorted({s.data for s in settings if s.data.startswith("cifar")}):
        if not runs.available(name, folder):
            for study in dict.fromkeys(s.study for s in settings if s.data == name):
                skipped[study] = "without its networks for CIFAR-10, which is not at hand (--data DIR, OPTBIAS_DATA)"
            settings = [s for s in settings if s.data != name]
    return Plan(settings, skipped)


def _optimizers(
    base: Setting, box: float, *, decays: Sequence[float], l2: Sequence[float] = COEFFICIENTS[:1]
) -> list[Setting]:
    """AdamW at the given decays, Adam and Adam+L2 beside it, measured against the box of half-width ``box``."""
    base = dataclasses.replace(base, box=box)
    return [
        *grid(dataclasses.replace(base, optimizer="AdamW"), weight_decay=decays),
        dataclasses.replace(base, optimizer="Adam"),
        *grid(dataclasses.replace(base, optimizer="Adam+L2"), weight_decay=l2),
    ]


def _seeds(settings: Sequence[Setting], seeds: Sequence[int]) -> list[Setting]:
    return [dataclasses.replace(s, seed=seed) for s in settings for seed in seeds]


def _studies(words: Setting, characters: Setting, minibatch: Setting, kkt: Setting) -> list[Setting]:
    """The studies with one seed, from the set-up of each."""
    adamw = dataclasses.replace(words, optimizer="AdamW", weight_decay=1.0)
    pairs = [(0.9, 0.9), (0.9, 0.99), (0.9, 0.999), (0.99, 0.9)]
    network = dataclasses.replace(words, study="networks", model="transformer", norm="pre", steps=words.steps * 9 // 16)
    plain = dataclasses.replace(network, norm="none")
    return [
        *_optimizers(words, 1.0, decays=(1.0, 2.0), l2=COEFFICIENTS),
        # Those with beta1 < beta2 run twice as long: their overshoot takes its time.
        *(dataclasses.replace(adamw, beta=b, rho=r, steps=words.steps * (2 if b < r else 1)) for b, r in pairs),
        *(
            dataclasses.replace(adamw, study="inside", weight_decay=decay, start=0.5 / decay, steps=words.steps // 2)
            for decay in (1.0, 2.0)
        ),
        *_optimizers(network, 0.5, decays=(1.0, 2.0)),
        dataclasses.replace(plain, optimizer="AdamW", weight_decay=2.0),
        dataclasses.replace(plain, box=0.5),
        dataclasses.replace(characters, optimizer="AdamW", weight_decay=2.0),
        dataclasses.replace(characters, box=0.5),
        *_optimizers(minibatch, 0.5, decays=(1.0, 2.0)),
        *grid(dataclasses.replace(kkt, optimizer="AdamW"), weight_decay=(4.0, 8.0)),
    ]


_WORDS = Setting("box", "ptb-words", "lstm", beta=0.99, rho=0.99, lr=1e-2, train_size=32, context=16, width=32, depth=2)


def _smoke(words: str, characters: str) -> list[Setting]:
    # Steps 1.5 times as long as below and fewer of them: lr * steps says how far a weight can go.
    base = dataclasses.replace(_WORDS, data=words, lr=2e-2, steps=240, width=16, train_size=16, evaluate_every=60)
    chars = dataclasses.replace(base, study="characters", data=characters, train_size=64)
    small = dataclasses.replace(chars, study="minibatch", batch_size=16, full_gradient_every=60)
    kkt = dataclasses.replace(base, study="kkt", decay_steps=25, steps=600)
    return _studies(base, chars, small, kkt)


def _cpu(words: str, characters: str) -> list[Setting]:
    base = dataclasses.replace(_WORDS, data=words, steps=800, evaluate_every=100)
    chars = dataclasses.replace(base, study="characters", data=characters, context=32, steps=500)
    small = dataclasses.replace(
        chars, study="minibatch", train_size=512, batch_size=16, full_gradient_every=100, steps=1000
    )
    kkt = dataclasses.replace(base, study="kkt", decay_steps=20, steps=2500, evaluate_every=500)
    return _seeds(_studies(base, chars, small, kkt), (0, 1, 2))


def _evening(words: str, characters: str) -> list[Setting]:
    names = {"ptb-words": words, "shakespeare-characters": characters}
    return [dataclasses.replace(s, data=names.get(s.data, s.data)) for s in box_studies.settings()]


def _gpu(words: str, characters: str) -> list[Setting]:
    # One thirty-second of the Penn Treebank: 29,056 words.
    base = dataclasses.replace(
        _WORDS, data=words, train_size=454, context=64, width=128, lr=5e-3, steps=2500, evaluate_every=250
    )
    chars = dataclasses.replace(base, study="characters", data=characters, steps=1250)
    small = dataclasses.replace(chars, study="minibatch", batch_size=64, full_gradient_every=250, steps=2500)
    kkt = dataclasses.replace(base, study="kkt", decay_steps=100, steps=6000)
    return _seeds(_studies(base, chars, small, kkt), full_size.SEEDS)


def _paper(words: str, characters: str) -> list[Setting]:
    return full_size.box_paper(words, COEFFICIENTS)


def measure(setting: Setting, history: pd.DataFrame) -> dict[str, Any]:
    """The summary of a run: the box, the course of the KKT gap, training and held-out loss."""
    full = history[["step", "loss", "kkt_gap", "one_norm", "share_on_box", "share_outside"]].dropna(subset="loss")
    gap = full["kkt_gap"] * full["one_norm"]
    held_out = history["test_loss"].dropna()
    marks = np.unique(np.linspace(0, len(full), 21).astype(int))
    pieces = [full.iloc[a:b] for a, b in itertools.pairwise(marks)]
    box = measures.box(history, setting.radius)
    if setting.optimizer == "AdamW":
        linf = history["linf"].to_numpy(float)
        rates = np.array([at_step(setting.rate, t) for t in range(1, len(linf))])
        box["envelope_ratio"] = float((linf / measures.envelope(linf, setting.radius, rates)).max())

    def before(step: int) -> dict[str, float]:
        """Means over the last twentieth of the run up to ``step``."""
        part = full["step"].between(0.95 * step, step)
        rows = full[part].assign(gap=gap[part])
        return {name: float(rows[name].mean()) for name in ("gap", "one_norm", "kkt_gap", "share_on_box", "loss")}

    first = full["step"] <= max(50, int(full["step"].iloc[-1]) // 20)
    return {
        "radius": setting.radius,
        "absolute_gap": {
            "start": float(gap[first].mean()),
            "one_norm_start": float(full.loc[first, "one_norm"].mean()),
            **{str(m): before(m) for m in sorted({800, 2500, setting.steps}) if m <= full["step"].iloc[-1]},
        },
        "share_outside": [float(piece["share_outside"].mean()) for piece in pieces],
        "box": box,
        "loss": float(full["loss"].iloc[-1]),
        # Means over twentieths of the run: a constant learning rate makes the gap chatter.
        "kkt_gap": [float(piece["kkt_gap"].mean()) for piece in pieces],
        "share_on_box": [float(piece["share_on_box"].mean()) for piece in pieces],
        "held_out": {"end": float(held_out.iloc[-1]), "best": float(held_out.min())} if len(held_out) else None,
    }


def execute(group: tuple[Setting, ...], where: Where) -> list[Outcome]:
    """Train and measure a group of settings."""
    if group[0].kind == "tuning":
        return [against_l2.execute(s, where) for s in group]
    return runs.execute(group, where, measure)


def check(preset: str, results: Results) -> list[Check]:
    """What must be seen. Every statement is tested on all the runs of this preset that it speaks of, all seeds."""
    make = _Statements(preset, results)
    return [
        *make.invariant(),
        make.ends_on_the_box(),
        *make.unequal(),
        *make.others(),
        *make.kkt(),
        make.held_out(),
    ]


class _Statements:
    """The statements, each a method on the results of one preset."""

    def __init__(self, preset: str, results: Results) -> None:
        self.results, self.exact = results, preset != "smoke"
        self.long = preset != "smoke"

    def values(self, path: str, **fields: Any) -> list[Any]:
        """A number of every run with these fields."""
        return self.results.values(path, **fields)

    def invariant(self) -> list[Check]:
        """``|theta_t|_inf <= max(|theta_0|_inf, 1/lambda)`` with equal betas, for every network and text."""
        found = []
        equal = [s for s in self.results.select(optimizer="AdamW") if s.beta == s.rho]
        kinds = {
            "started outside, words, full batch, LSTM": lambda s: s.study == "box",
            "started inside": lambda s: s.study == "inside",
            "transformer with normalisation layers": lambda s: s.model == "transformer" and s.norm == "pre",
            "transformer without normalisation layers": lambda s: s.model == "transformer" and s.norm == "none",
            "characters": lambda s: s.study == "characters",
            "mini-batches": lambda s: s.batch_size > 0,
            "decaying learning rate": lambda s: s.decay_steps > 0,
        }
        for kind, chosen in kinds.items():
            name = "invariant: " + kind
            statement = f"AdamW with equal betas never leaves max(|θ_0|∞, 1/λ), at any step ({kind})"
            those = [s for s in equal if chosen(s)]
            if not those:
                found.append(checks.not_run(name, statement, "this size has no such runs"))
                continue
            ratios = [self.results.value(s, "box/bound_ratio") for s in those]
            found.append(checks.check(name, f"{statement}: ratio", ratios, below=1 + ROUNDING))
        statement = "… and its excess over 1/λ shrinks by 1 - ηλ at every step; what is inside stays inside: ratio"
        ratios = [self.results.value(s, "box/envelope_ratio") for s in equal]
        found.append(checks.check("contraction", statement, ratios, below=1 + ROUNDING))
        return found

    def ends_on_the_box(self) -> Check:
        """Where the constraint is active, the largest weight ends on it."""
        name, statement = "ends on 1/lambda", "where the box holds weights back (decaying rate), λ|θ|∞ ends at 1"
        ends = self.values("box/end", study="kkt")
        if not ends:
            return checks.not_run(name, statement, "this size has no such runs")
        return checks.check(name, statement, ends, above=0.995 if self.long else 0.98, below=1 + ROUNDING)

    def unequal(self) -> list[Check]:
        """The two ways to have unequal betas."""
        found = []
        studies = ("box", "paper")
        statement = "AdamW with β1 < β2 goes beyond 1/λ after its first fall"
        below = [s for s in self.results.select(optimizer="AdamW", study=studies) if s.beta < s.rho]
        if below:
            # The largest includes the end, so that only a slope can speak of a return.
            text = "times 1/λ, largest after the first fall, at the end, slope per 1,000 steps of the last half: "
            text += "; ".join(
                f"β=({s.beta:g}, {s.rho:g}), λ={s.weight_decay:g}, seed {s.seed}: "
                f"{self.results.value(s, 'box/overshoot'):.3f}, {self.results.value(s, 'box/end'):.3f}, "
                f"{self._trend(s):+.2f}"
                for s in below
            )
            found.append(checks.report("beta1 < beta2", f"{statement}, and then", text))
            over = [self.results.value(s, "box/overshoot") for s in below]
            found.append(checks.check("beta1 < beta2 overshoots", f"{statement}: largest λ|θ|∞", over, above=1.02))
        name, statement = "beta1 > beta2", "AdamW with β1 > β2 leaves the box by more than a factor of ten: λ|θ|∞"
        above = [s for s in self.results.select(optimizer="AdamW", study=studies) if s.beta > s.rho]
        if above:
            largest = [self.results.value(s, "box/largest") for s in above]
            found.append(checks.check(name, statement, largest, above=10.0))
        return found

    def _trend(self, setting: Setting) -> float:
        """The slope of ``λ|θ|∞`` over the second half of the steps, per 1,000 steps."""
        history = self.results.history(setting)[["step", "linf"]].dropna()
        late = history[history["step"] > history["step"].iloc[-1] / 2]
        return float(1000 * np.polyfit(late["step"], late["linf"] / setting.radius, 1)[0])

    def others(self) -> list[Check]:
        """Adam and Adam+L2 do not respect a box."""
        found = []
        for kind, study in {
            "words, LSTM": ("box", "paper", "against-l2"),
            "transformer": "networks",
            "characters": "characters",
            "mini-batches": "minibatch",
        }.items():
            ends = self.values("box/end", optimizer="Adam", study=study)
            if ends:
                statement = f"Adam without decay stays far outside the box ({kind}): λ|θ|∞ at the end, for AdamW's λ"
                found.append(checks.check(f"Adam: {kind}", statement, ends, above=3.0))
            weak = self.values("box/end", optimizer="Adam+L2", weight_decay=COEFFICIENTS[0], study=study)
            if weak:
                statement = (
                    f"Adam+L2 with the coefficient {COEFFICIENTS[0]:g} does not either ({kind}): λ|θ|∞ at the end"
                )
                found.append(checks.check(f"Adam+L2: {kind}", statement, weak, above=1.3))
        strong = self.values("loss", optimizer="Adam+L2", weight_decay=COEFFICIENTS[1], study="box")
        if strong:
            weights = self.values("box/end", optimizer="Adam+L2", weight_decay=COEFFICIENTS[1], study="box")
            adamw = self.values("loss", optimizer="AdamW", beta=0.99, rho=0.99, weight_decay=1.0, study="box")
            found.append(
                checks.report(
                    "Adam+L2, strong",
                    f"a coefficient of {COEFFICIENTS[1]:g} makes the weights small and ruins the loss",
                    f"λ|θ|∞ {checks.show(weights)}, loss {checks.show(strong)}; AdamW with λ = 1: {checks.show(adamw)}",
                )
            )
        return found

    def kkt(self) -> list[Check]:
        """The gap falls and weights gather on the boundary where the learning rate decays."""
        found = []
        for decay in (4.0, 8.0):
            gaps = self.values("kkt_gap", study="kkt", weight_decay=decay)
            if not gaps:
                continue
            ends = [gap[-1] for gap in gaps]
            share = [s[-1] for s in self.values("share_on_box", study="kkt", weight_decay=decay)]
            # Against the first twentieth: before that nothing is aligned, and the gap is 1.
            falls = [gap[-1] / gap[0] for gap in gaps]
            name = f"KKT gap, lambda = {decay:g}"
            found.append(
                checks.check(
                    name,
                    f"the relative KKT gap falls with a decaying rate, λ = {decay:g}: last twentieth over first",
                    falls,
                    below=0.5 if self.long else 0.8,
                )
            )
            found.append(checks.report(f"{name}, end", f"relative KKT gap at the end, λ = {decay:g}", ends))
            found.append(
                checks.check(
                    f"boundary, lambda = {decay:g}",
                    f"a share of the weights lies on the boundary at the end, λ = {decay:g}",
                    share,
                    above=0.15 if self.long else 0.01,
                )
            )
        return found

    def held_out(self) -> Check:
        """Held-out losses side by side, without a verdict: the networks are small, the order depends on the length."""
        statement = "held-out loss at the end (best of the run), mean over seeds, mini-batches"
        lines = []
        for s, ends in _by_optimizer(self.results, "minibatch", "held_out/end").items():
            best = _by_optimizer(self.results, "minibatch", "held_out/best")[s]
            lines.append(f"{s} {np.mean(ends):.3f} ({np.mean(best):.3f})")
        if not lines:
            return checks.not_run("held-out loss", statement, "this size has no such runs")
        return checks.report("held-out loss", statement, "; ".join(lines))


def _by_optimizer(results: Results, study: str, path: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for s in results.select(study=study):
        decay = f" {s.weight_decay:g}" if s.weight_decay else ""
        found.setdefault(s.optimizer + decay, []).append(results.value(s, path))
    return found


EXPERIMENT = Experiment(
    name="linf-constraint",
    title="the box of AdamW on real networks",
    paper="Xie and Li, arXiv 2404.04454",
    sizes={
        "smoke": "120 to 600 steps of networks of 10,000 weights, one seed: seconds",
        "cpu": "400 to 2,500 steps of networks of 33,000 weights, three seeds: under 3 minutes on two cores",
        "evening": "7 studies, the longest at the paper's own rate and length: an hour and a half on two cores",
        "gpu": "2,500 to 6,000 steps, 1.5 million weights, 29,000 words, 3 seeds: an hour on one GPU (estimate)",
        "paper": "12,800 steps of a two-layer transformer, all of the Penn Treebank: 2 hours a run on a GPU (estimate)",
    },
    plan=plan,
    measure=measure,
    check=check,
    examine=verdicts.examine,
    questions=box_studies.QUESTIONS,
    factor=box_studies.factor,
)
