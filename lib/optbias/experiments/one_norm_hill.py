"""The perturbed one-norm of the gradient while networks train: the second paper's experiments.

Cattaneo, Klusowski and Shigida (arXiv 2309.00079) derive that Adam follows, to second order, a flow that
descends the loss plus ``lr * (tau(beta) - tau(rho))`` times the perturbed one-norm of its gradient (for a small eps),
preconditioned by the gradient of the loss alone. That is not Adam's flow on the changed loss.
They train networks on CIFAR-10 by full-batch Adam and plot that norm, ``sum_i sqrt(g_i^2 + eps)``: it falls,
rises to a hill and falls again, and the hill is higher for larger ``rho`` and lower for larger ``beta``. This
experiment repeats it at four sizes. Its studies:

- ``order-rho``, ``order-beta``: digits; the norm where the loss first passes a level, over rho and over beta;
- ``grid``: a 5 x 5 grid of (beta, rho) at a small learning rate, against the theory's coefficient of the step;
- ``grid-large-lr``: the same grid at learning rates 6 and 20 times as large, where the order breaks;
- ``hill-rho``, ``hill-beta``: CIFAR-10 reduced to 8 x 8 pixels, a normalised residual network: the hill;
- ``no-hill``, ``no-fall``, ``other-hill``: networks that have no hill, one that rises without a first fall, and
  others that have a hill;
- ``minibatch-rho``, ``minibatch-beta``: digits in mini-batches; ``minibatch-hill``: CIFAR-10 in mini-batches.

Everything is Adam with eps under the root and bias correction, as the theory has it. CIFAR-10 is used where it
is at hand and never replaced: without it the studies of the hill are not run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from optbias.experiments import checks, full_size, hill_studies, measures, ode_network, runs, verdicts
from optbias.experiments.checks import Check
from optbias.experiments.preset import Experiment, Plan
from optbias.experiments.results import Results, over_seeds
from optbias.experiments.runs import Setting
from optbias.experiments.sweep import Outcome, Where, grid
from optbias.theory.modified_equations import mean_lag

LEVELS = (5.0, 4.5, 4.0, 3.0, 2.0, 1.5, 1.3, 1.2, 1.0, 0.7, 0.5, 0.3, 0.1)
"""The losses at which runs are compared."""

RHOS, BETAS = (0.9, 0.95, 0.98, 0.99, 0.999), (0.3, 0.6, 0.8, 0.9, 0.95)
"""The factors of the two orderings; the other one is 0.9 and 0.99."""

GRID_BETAS, GRID_RHOS = (0.0, 0.5, 0.8, 0.9, 0.95), (0.8, 0.9, 0.95, 0.99, 0.999)
"""The factors of the grid."""

GRID_LEVEL = 0.7
"""The loss at which the grid is compared."""

NEEDS = {
    "cifar100": "needs CIFAR-100, which is not at hand (--data DIR, OPTBIAS_DATA, or python -m optbias.data cifar100)",
    "cifar10-": "needs CIFAR-10, which is not at hand (--data DIR, OPTBIAS_DATA, or python -m optbias.data cifar10)",
    "fashion-mnist": "needs Fashion-MNIST, which is not at hand (--data DIR, or Debian's dataset-fashion-mnist)",
    "ptb": "needs the Penn Treebank, which is not at hand (--data DIR, or python -m optbias.data penn-treebank)",
}
"""The data that are never replaced, by the beginning of their name, and what to say where they are missing."""

_DIGITS = Setting(
    "order", "digits", "residual-mlp", lr=3e-4, eps_inside=True, width=32, depth=4, norm="layer", steps=400,
    evaluate_every=25,
)  # fmt: skip
_CIFAR = dataclasses.replace(_DIGITS, study="hill", data="cifar10-8", width=48, depth=6)


def plan(preset: str, folder: str | None) -> Plan:
    """The runs of a preset; without CIFAR-10 its studies are left out, and ``skipped`` says so."""
    settings = {"smoke": _smoke, "cpu": _cpu, "evening": _evening, "gpu": _gpu, "paper": _paper}[preset]()
    skipped: dict[str, str] = {}
    for prefix, reason in NEEDS.items():
        one = next((s.data for s in settings if s.data.startswith(prefix)), None)
        if one is not None and not runs.available(one, folder):
            skipped |= dict.fromkeys(sorted({s.study for s in settings if s.data.startswith(prefix)}), reason)
            settings = [s for s in settings if not s.data.startswith(prefix)]
    return Plan(settings, skipped)


def _sweep(base: Setting, study: str, *, rhos: Sequence[float] = (), betas: Sequence[float] = ()) -> list[Setting]:
    """``base`` over rho at beta = 0.9, or over beta at rho = 0.99."""
    base = dataclasses.replace(base, study=study)
    return [*grid(base, beta=(0.9,) if rhos else (), rho=rhos), *grid(base, beta=betas, rho=(0.99,) if betas else ())]


def _seeds(settings: Sequence[Setting], seeds: Sequence[int]) -> list[Setting]:
    return [dataclasses.replace(s, seed=seed) for s in settings for seed in seeds]


def _smoke() -> list[Setting]:
    base = dataclasses.replace(_DIGITS, train_size=200, width=16, depth=2, lr=1e-3, steps=100, evaluate_every=20)
    # A larger learning rate for fewer steps, yet small enough for the order to hold.
    small = dataclasses.replace(base, study="grid", lr=3e-4, steps=240, evaluate_every=0)
    batches = dataclasses.replace(base, batch_size=50, full_gradient_every=5)
    hill = dataclasses.replace(_CIFAR, width=24, depth=4, lr=1e-3, steps=220, evaluate_every=110)
    return [
        *_seeds(_sweep(base, "order-rho", rhos=RHOS[::2]), (0, 1, 2)),
        *_seeds(_sweep(base, "order-beta", betas=BETAS[::2]), (0, 1, 2)),
        *grid(small, beta=GRID_BETAS, rho=GRID_RHOS),
        *_seeds(_sweep(hill, "hill-rho", rhos=(0.9, 0.999)), (0, 1)),
        *_seeds(_sweep(hill, "hill-beta", betas=(0.5, 0.95)), (0, 1)),
        *_seeds(_sweep(batches, "minibatch-rho", rhos=(0.9, 0.999)), (0, 1, 2)),
    ]


def _cpu() -> list[Setting]:
    small = dataclasses.replace(_DIGITS, study="grid", lr=5e-5, steps=900, evaluate_every=0)
    large = dataclasses.replace(_DIGITS, study="grid-large-lr", steps=150, evaluate_every=0)
    larger = dataclasses.replace(large, lr=1e-3, steps=60)
    batches = dataclasses.replace(_DIGITS, batch_size=100, full_gradient_every=5, steps=250)
    noisy = dataclasses.replace(_CIFAR, batch_size=100, full_gradient_every=5, steps=600)
    tanh = dataclasses.replace(
        _DIGITS, model="mlp", depth=2, width=64, norm="none", activation="tanh", lr=1e-3, steps=250
    )
    deep = dataclasses.replace(tanh, depth=6, activation="gelu", steps=100)
    resnet = dataclasses.replace(
        _CIFAR, data="cifar10-16", model="resnet", norm="group", activation="silu", train_size=300, lr=1e-3, width=8,
        depth=3, steps=150,
    )  # fmt: skip
    three = (0, 1, 2)
    return [
        *_seeds(_sweep(_DIGITS, "order-rho", rhos=RHOS), three),
        *_seeds(_sweep(_DIGITS, "order-beta", betas=BETAS), three),
        *grid(small, beta=GRID_BETAS, rho=GRID_RHOS),
        *grid(large, beta=GRID_BETAS, rho=GRID_RHOS),
        *grid(larger, beta=GRID_BETAS, rho=GRID_RHOS),
        *_seeds(_sweep(_CIFAR, "hill-rho", rhos=(0.9, 0.98, 0.99, 0.999)), three),
        *_seeds(_sweep(_CIFAR, "hill-beta", betas=(0.5, 0.8, 0.9, 0.95)), three),
        *_sweep(tanh, "no-hill", rhos=(0.9, 0.99)),
        *_sweep(dataclasses.replace(tanh, data="cifar10-8", lr=3e-4, steps=600), "no-hill", rhos=(0.9, 0.99)),
        *_seeds(_sweep(deep, "no-fall", rhos=(0.9, 0.98, 0.999)), three),
        *_sweep(dataclasses.replace(_CIFAR, norm="none"), "other-hill", rhos=(0.9, 0.99)),
        *_sweep(resnet, "other-hill", rhos=(0.99,)),
        *_seeds(_sweep(batches, "minibatch-rho", rhos=RHOS), three),
        *_seeds(_sweep(batches, "minibatch-beta", betas=BETAS), three),
        *_seeds(_sweep(noisy, "minibatch-hill", rhos=(0.9, 0.999)), three),
    ]


def _evening() -> list[Setting]:
    return hill_studies.settings()


def _gpu() -> list[Setting]:
    return full_size.hill_gpu(
        [
            *_seeds(_sweep(_DIGITS, "order-rho", rhos=RHOS), full_size.SEEDS),
            *_seeds(_sweep(_DIGITS, "order-beta", betas=BETAS), full_size.SEEDS),
        ]
    )


def _paper() -> list[Setting]:
    return full_size.hill_paper()


def measure(setting: Setting, history: pd.DataFrame) -> dict[str, Any]:
    """The summary of a run: values at matched loss, the hill, held-out accuracy."""
    accuracy = history[["loss", "test_accuracy"]].dropna() if "test_accuracy" in history else history[[]]
    full = history.dropna(subset="loss")
    matched: dict[str, Any] = {}
    for column in ("test_accuracy", "test_loss"):
        if column in history and history[column].notna().any():
            matched[f"{column}_at_loss"] = measures.crossings(history, LEVELS, column, logarithmic=False)
    return {
        "at_loss": measures.crossings(history, LEVELS),
        "one_norm_at_loss": measures.crossings(history, LEVELS, "one_norm"),
        **matched,
        **_along(setting, history),
        "hill": measures.hill(history, window=15 if not setting.batch_size else 3),
        "spike": None if setting.batch_size else measures.spike(history),
        "loss": float(full["loss"].iloc[-1]),
        "accuracy": float(accuracy["test_accuracy"].iloc[-1]) if len(accuracy) else None,
    }


def _along(setting: Setting, history: pd.DataFrame) -> dict[str, Any]:
    """What the probes of single studies saw: spikes of the loss, sharpness and bias along the run."""
    found: dict[str, Any] = {}
    if setting.criterion == "squared-error":
        found["spikes"] = measures.spikes(history)
    if setting.sharpness_every and "sharpness" in history:
        seen = history[["step", "loss", "sharpness", "norm_slope", "one_norm_eps"]].dropna()
        # Adam's limit on a quadratic at a constant rate; Cohen et al., arXiv 2207.14484.
        limit = 2 * (1 + setting.beta) / ((1 - setting.beta) * setting.lr)
        ages = [coefficient(setting.beta, setting.rho, int(n)) for n in seen["step"]]
        found["along"] = {
            "step": seen["step"].tolist(),
            "loss": seen["loss"].tolist(),
            "sharpness_over_limit": (seen["sharpness"] / limit).tolist(),
            # The size of the bias term beside the gradient it stands next to, with its sign.
            "bias": (setting.lr * np.array(ages) * seen["norm_slope"] / seen["one_norm_eps"]).tolist(),
        }
    return found


def execute(group: tuple[Setting, ...], where: Where) -> list[Outcome]:
    """Train and measure a group of settings."""
    if group[0].kind == "ode":
        return [ode_network.execute(s, where) for s in group]
    return runs.execute(group, where, measure)


def coefficient(beta: float, rho: float, n: int | None = None) -> float:
    """The theory's ``tau_n(beta) - tau_n(rho)`` at step ``n`` (None: late), for ``eps`` much smaller than ``g^2``.

    Times the learning rate it is the weight with which Adam adds the one-norm of the gradient to the loss:
    :func:`optbias.theory.modified_equations.bias_coefficient` at ``s = 1``.
    """
    return float(mean_lag(beta, n) - mean_lag(rho, n))


def grid_points(results: Results, study: str = "grid", level: float = GRID_LEVEL) -> pd.DataFrame:
    """The runs of a grid where the loss passes ``level``; a run that never gets there has NaN.

    Columns: ``lr, beta, rho, seed, step, norm``, the theory's ``coefficient`` at that step, and ``late_coefficient``.
    """
    rows = []
    for s in results.select(study=study):
        found = results.value(s, f"at_loss/{level:g}")
        step = int(found["step"]) if found else None
        rows.append(
            {
                "lr": s.lr,
                "beta": s.beta,
                "rho": s.rho,
                "seed": s.seed,
                "step": step,
                "norm": found["value"] if found else np.nan,
                # The gradient at the crossing is that of update number step, so step + 1 gradients were averaged.
                "coefficient": coefficient(s.beta, s.rho, step) if found else np.nan,
                "late_coefficient": coefficient(s.beta, s.rho),
            }
        )
    return pd.DataFrame(rows)


def ordering(results: Results, study: str, level: float) -> pd.DataFrame:
    """Norm at matched loss over seeds, a row for each setting in order: ``beta, rho, values, mean``, and intervals.

    ``ratio`` is the mean over seeds of the value over that of the first row with the same seed, and ``low``,
    ``high`` its 95 % t-interval: seeds are networks with norms of their own, and only the ratio compares settings.
    A setting that does not reach the level is left out.
    """
    rows: list[dict[str, Any]] = []
    for s, values in over_seeds(results, results.select(study=study), f"at_loss/{level:g}/value").items():
        if any(v is None for v in values):
            continue
        ratios = [v / first for v, first in zip(values, rows[0]["values"] if rows else values, strict=True)]
        ratio, low, high = measures.mean_interval(ratios) if len(ratios) > 1 else (ratios[0], np.nan, np.nan)
        row = {"beta": s.beta, "rho": s.rho, "values": values, "mean": float(np.mean(values))}
        rows.append(row | {"ratio": ratio, "low": low, "high": high})
    return pd.DataFrame(rows)


def monotone(points: pd.DataFrame) -> tuple[int, int]:
    """Of one grid: how many rows (one beta) rise strictly with rho, and how many columns (one rho) fall with beta."""
    table = points.pivot(index="beta", columns="rho", values="norm").to_numpy()
    return int((np.diff(table, axis=1) > 0).all(1).sum()), int((np.diff(table, axis=0) < 0).all(0).sum())


def check(preset: str, results: Results) -> list[Check]:
    """What must be seen."""
    return [
        *_order(results, "order-rho", "order-beta", "", (1.0, 0.5, 0.3) if preset != "smoke" else (1.0, 0.7)),
        *_grid(results, preset),
        *_breaks(results),
        *_hill(results, preset),
        *_no_hill(results),
        *_order(results, "minibatch-rho", "minibatch-beta", " (mini-batches)", (1.0,)),
        *_accuracy(results),
    ]


def _order(results: Results, rho: str, beta: str, where: str, levels: Sequence[float]) -> list[Check]:
    """At matched loss the norm rises with rho and falls with beta, for every seed; with intervals."""
    found = []
    for study, varied, direction in ((rho, "rho", "increases"), (beta, "beta", "decreases")):
        symbol = {"rho": "ρ", "beta": "β"}[varied]
        for level in levels:
            name = f"{study} at {level:g}"
            statement = f"at loss {level:g} the perturbed one-norm {direction} in {symbol}{where}"
            table = ordering(results, study, level)
            if len(table) < 2:
                found.append(checks.not_run(name, statement, results.skipped.get(study, "this size has no such runs")))
                continue
            rows = np.array(table["values"].tolist()).T.tolist()
            shown = ", ".join(
                f"{symbol}={row[varied]:g}: {row['mean']:.2f} "
                f"(×{row['ratio']:.3f} [{row['low']:.3f}, {row['high']:.3f}])"
                for _, row in table.iterrows()
            )
            tested = checks.check(
                name,
                f"{statement}, for each of {len(rows)} seeds",
                rows,
                increasing=varied == "rho",
                decreasing=varied == "beta",
            )
            found.append(dataclasses.replace(tested, measured=shown))
            last = table.iloc[-1]
            clear = last["low"] if varied == "rho" else 1 / last["high"]
            found.append(
                checks.check(
                    f"{name}, interval",
                    f"… and between the two ends it does so by more than the 95 % interval over seeds{where}",
                    float(clear),
                    above=1.0,
                )
            )
    return found


def _grid(results: Results, preset: str) -> list[Check]:
    """The grid collapses on the step-dependent coefficient."""
    name = "collapse"
    statement = f"rank correlation of the norm at loss {GRID_LEVEL:g} with the step's coefficient, 5 x 5 pairs (β, ρ)"
    points = grid_points(results)
    if points.empty:
        return [checks.not_run(name, statement, "this size has no such runs")]
    by_seed = [g for _, g in points.groupby("seed")]
    correlations = [measures.rank_correlation(g["norm"], g["coefficient"]) for g in by_seed]
    late = [measures.rank_correlation(g["norm"], g["late_coefficient"]) for g in by_seed]
    spread = float(points["norm"].max() / points["norm"].min())
    found = [
        checks.check(name, statement, correlations, below=-0.95 if preset != "smoke" else -0.85),
        checks.report("collapse, late coefficient", "the same with the coefficient of late training", late),
        checks.report("collapse, range", "largest over smallest norm of the grid", spread),
    ]
    if preset != "smoke":
        rows, columns = monotone(by_seed[0])
        statement = "at the small learning rate every row of the grid rises with ρ, every column falls with β: out of 5"
        found.append(checks.check("grid, monotone", statement, [rows, columns], above=4.5))
    return found


def _breaks(results: Results) -> list[Check]:
    """Where the order breaks: large learning rates, first where beta is far above rho."""
    points = grid_points(results, "grid-large-lr")
    if points.empty:
        return [
            checks.not_run("order breaks", "at larger learning rates the order breaks", "this size has no such runs")
        ]
    found = []
    calm = grid_points(results)
    small = measures.rank_correlation(calm["norm"], calm["coefficient"])
    for lr, part in points.groupby("lr"):
        whole = measures.rank_correlation(part["norm"], part["coefficient"])
        rows, columns = monotone(part)
        statement = f"learning rate {lr:g}: the rank correlation is weaker than at the small rate, by"
        found.append(checks.check(f"order breaks, lr {lr:g}", statement, whole - small, above=0.02))
        text = f"rank correlation {whole:.3f}; {rows} of 5 rows rise with ρ, {columns} of 5 columns fall with β"
        found.append(
            checks.report(f"order breaks, lr {lr:g}, grid", f"learning rate {lr:g}: what is left of the order", text)
        )
        row = part[part["beta"] == max(GRID_BETAS)].set_index("rho")["norm"]
        far = f"β = {max(GRID_BETAS):g} far above ρ = {min(GRID_RHOS):g}"
        statement = f"learning rate {lr:g}: with {far} the norm is larger than with ρ = {GRID_RHOS[1]:g}: ratio"
        found.append(checks.check(f"beta far above rho, lr {lr:g}", statement, row.iloc[0] / row.iloc[1], above=1.0))
    return found


def _hill(results: Results, preset: str) -> list[Check]:
    """The norm falls, rises and falls; the hill is higher for larger rho and lower for larger beta."""
    found = []
    shape = "on CIFAR-10 with a normalised residual network the norm falls, rises to a hill and falls"
    tops: dict[str, dict[Setting, list[float]]] = {}
    for study in ("hill-rho", "hill-beta"):
        settings = results.select(study=study)
        if not settings:
            why = results.skipped.get(study, "this size has no such runs")
            found.append(checks.not_run(study, shape, why))
            continue
        tops[study] = over_seeds(results, settings, "hill/top")
        symbol = {"hill-rho": "ρ", "hill-beta": "β"}[study]
        for path, words, above in (
            ("first_fall", "falls first: start over foot", 1.5),
            ("rise", "rises: top over foot", 1.1),
            ("fall", "falls again: top over end", 3.0 if preset != "smoke" else 1.5),
        ):
            means = [float(np.mean(v)) for v in over_seeds(results, settings, f"hill/{path}").values()]
            found.append(
                checks.check(
                    f"{study}, {path}", f"{shape}; over {symbol} it {words} (mean of seeds)", means, above=above
                )
            )
        losses = [results.value(s, "hill/top_loss") / results.value(s, "hill/before_loss") for s in settings]
        statement = (
            f"the loss goes on falling while the norm rises (over {symbol}): loss at the top over loss at the foot"
        )
        found.append(checks.check(f"{study}, loss", statement, losses, below=1.0))
        jumps = [results.value(s, "spike/ratio") for s in settings]
        statement = f"single steps stick out: largest norm over its running median of 51 steps, runs over {symbol}"
        found.append(checks.report(f"{study}, spikes", statement, jumps))
    for study, symbol, order in (("hill-rho", "ρ", "increasing"), ("hill-beta", "β", "decreasing")):
        if study not in tops:
            continue
        direction = "higher" if order == "increasing" else "lower"
        means = [float(np.mean(v)) for v in tops[study].values()]
        count = min(len(v) for v in tops[study].values())
        statement = f"the hill is {direction} for larger {symbol}: top, mean of {count} seed{'s' if count > 1 else ''}"
        values = ", ".join(
            f"{symbol}={getattr(s, study[5:]):g}: {np.mean(v):.1f} ({', '.join(f'{x:.1f}' for x in v)})"
            for s, v in tops[study].items()
        )
        tested = checks.check(
            f"{study}, order", statement, means, increasing=order == "increasing", decreasing=order == "decreasing"
        )
        found.append(dataclasses.replace(tested, measured=values))
    return found


def _minibatch_hill(results: Results) -> list[Check]:
    """In mini-batches the norm falls and rises to a hill, too; its height over rho is reported."""
    statement = "in mini-batches on CIFAR-10 the norm falls and rises to a hill, in every run"
    settings = results.select(study="minibatch-hill")
    if not settings:
        why = results.skipped.get("minibatch-hill", "this size has no such runs")
        return [checks.not_run("minibatch-hill", statement, why)]
    found = []
    for path, words, above in (("first_fall", "start over foot", 1.5), ("rise", "top over foot", 2.0)):
        ratios = [results.value(s, f"hill/{path}") for s in settings]
        found.append(checks.check(f"minibatch-hill, {path}", f"{statement}: {words}", ratios, above=above))
    # No verdict on the order: runs that end before their tops show one, which is that of their speeds.
    tops = over_seeds(results, settings, "hill/top")
    text = "; ".join(f"ρ={s.rho:g}: {', '.join(f'{top:.1f}' for top in v)}" for s, v in tops.items())
    found.append(checks.report("minibatch-hill, order", "the tops of these hills over ρ, by seed", text))
    return found


def _no_hill(results: Results) -> list[Check]:
    """Networks and data without a hill, and others."""
    found = []
    rise = "largest rise after the first fall (1: none)"
    easy = results.values("hill/rise", study=("order-rho", "order-beta"))
    if easy:
        found.append(checks.check("no hill on digits", f"the norm only falls on digits: {rise}", easy, below=1.1))
    none = results.values("hill/rise", study="no-hill")
    if none:
        found.append(checks.check("no hill, shallow", f"nor has a plain tanh network a hill: {rise}", none, below=1.1))
    deep = results.select(study="no-fall")
    if deep:
        falls = [results.value(s, "hill/first_fall") for s in deep]
        statement = "a deep plain network has a rise without a fall before: first fall (1: none)"
        found.append(checks.check("no first fall", statement, falls, below=1.1))
        tops = over_seeds(results, deep, "hill/top")
        text = ", ".join(f"ρ={s.rho:g}: {np.mean(v):.1f}" for s, v in tops.items())
        found.append(checks.report("no first fall, order", "its tops over ρ, mean of seeds", text))
    found += _minibatch_hill(results)
    for study, words in (("other-hill", "other networks"), ("minibatch-hill", "CIFAR-10 in mini-batches")):
        for s in results.select(study=study):
            hill = results.value(s, "hill")
            text = f"first fall {hill['first_fall']:.2f}, rise {hill['rise']:.2f}, top {hill['top']:.1f}"
            label = f"{s.model} (norm: {s.norm}) on {s.data}, ρ = {s.rho:g}, seed {s.seed}"
            found.append(checks.report(f"{study}: {label}", f"{words}: {label}", text))
    return found


def _accuracy(results: Results) -> list[Check]:
    """Test accuracy at the end, with its seed noise, without a verdict."""
    found = []
    for study, symbol in (("order-rho", "ρ"), ("order-beta", "β"), ("hill-rho", "ρ"), ("hill-beta", "β")):
        groups = over_seeds(results, results.select(study=study), "accuracy")
        where = "CIFAR-10" if study.startswith("hill") else "digits"
        name = f"accuracy, {study}"
        statement = f"test accuracy at the end over {symbol} on {where}, mean (range over seeds)"
        if not groups:
            found.append(checks.not_run(name, statement, results.skipped.get(study, "this size has no such runs")))
            continue
        varied = "rho" if study.endswith("rho") else "beta"
        text = ", ".join(
            f"{symbol}={getattr(s, varied):g}: {np.mean(v):.4f} ({min(v):.4f} to {max(v):.4f})"
            for s, v in groups.items()
        )
        found.append(checks.report(name, statement, text))
    return found


EXPERIMENT = Experiment(
    name="one-norm-hill",
    title="the perturbed one-norm of the gradient while networks train",
    paper="Cattaneo, Klusowski and Shigida, arXiv 2309.00079",
    sizes={
        "smoke": "100 to 240 steps of networks of a few thousand weights: seconds",
        "cpu": "60 to 900 steps of networks of 11,000 and 39,000 weights, three seeds: under 3 minutes on two cores",
        "evening": "13 studies, each on many seeds: an hour on two cores",
        "gpu": "800 steps of a ResNet-18 on 5,000 images and others, 3 seeds: 3 hours on one GPU (estimate)",
        "paper": "2,000 steps of a ResNet-50 on all of CIFAR-10, and the authors' settings: 6 h a run on one GPU",
    },
    plan=plan,
    measure=measure,
    check=check,
    examine=verdicts.examine,
    questions=hill_studies.QUESTIONS | full_size.HILL_QUESTIONS,
    factor=hill_studies.factor,
)
