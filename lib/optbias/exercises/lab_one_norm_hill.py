"""Public checks of the lab on the gradient's one-norm, and the slips that they and the hidden tests can name."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from optbias import norms
from optbias.exercises import Answer, CheckFailed, Step, labs, numbers, same, same_run, task
from optbias.exercises._compare import recorded_late
from optbias.exercises.ps_adam import fresh, slipped
from optbias.rules import Adam

NAME = "one-norm-hill"
SERIES = ("loss", "norm")
Hyper = dict[str, Any]
State = dict[str, Any]

__all__ = ["fresh"]


# -- Adam with epsilon inside ----------------------------------------------------------------------------------


def adam(params: Tensor, grads: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    """The right step: the library's rule."""
    rule = Adam(lr=hyper["lr"], betas=(hyper["beta"], hyper["rho"]), eps=hyper["eps"], eps_inside=True)
    return rule.equations(params, grads, state)


def _in_letters(step: Step) -> Step:
    """A step that reads beta1 and beta2, called with the paper's letters."""

    def renamed(params: Tensor, grads: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
        return step(params, grads, state, {**hyper, "beta1": hyper["beta"], "beta2": hyper["rho"]})

    return renamed


def _inside_before_the_hat(params: Tensor, grads: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    new = adam(params, grads, state, hyper)[1]
    m_hat = new["m"] / (1 - hyper["beta"] ** new["t"])
    below = ((new["v"] + hyper["eps"]) / (1 - hyper["rho"] ** new["t"])).sqrt()
    return params - hyper["lr"] * m_hat / below, new


_HAT_AND_STATE: dict[str, dict[str, Any]] = {
    "your v is not bias-corrected: divide it by 1 - rho**t before epsilon is added": {"hat_v": False},
    "your m is not bias-corrected: divide it by 1 - beta**t": {"hat_m": False},
    "neither m nor v is bias-corrected: both averages started from zero": {"hat_m": False, "hat_v": False},
    "t is one too small in the bias correction: the first step has t = 1": {"t_shift": -1},
    "t is 1 in every step: take it from the state and add 1": {"t_stuck": True},
    "t is not kept in the state: it must grow by 1 in every step": {"keep": ("m", "v")},
    "m is not kept in the state: the next step must find it": {"keep": ("t", "v")},
    "v is not kept in the state: the next step must find it": {"keep": ("t", "m")},
    "beta and rho are exchanged: m uses beta, v uses rho": {"swapped": True},
    "the root is missing: divide by the root of v_hat + eps": {"root": False},
    "v averages |g|; it must average the squares of the gradients": {"square": False},
    "the step goes uphill: subtract it": {"sign": -1.0},
}

STEP_SLIPS: dict[str, Step] = {
    "epsilon stands beside the root; here it stands inside": _in_letters(slipped()),
    "epsilon is added before the hat: add it to v_hat": _inside_before_the_hat,
    "epsilon is squared; it stands inside as it is": lambda p, g, s, h: adam(p, g, s, {**h, "eps": h["eps"] ** 2}),
    **{sentence: _in_letters(slipped(eps="inside", **slip)) for sentence, slip in _HAT_AND_STATE.items()},
    "epsilon is missing": _in_letters(slipped(eps="none")),
}
"""What the checks can name."""

LIBRARY = (
    "torch.optim",
    "optbias.rules",
    "optbias.torch_optimizer",
    "optbias.training",
    "optbias.norms",
    "optbias.exercises._families",
    "optbias.exercises._formulas",
    "optbias.exercises.ps_adam",
    "optbias.exercises.lab_one_norm_hill",
)
"""Where the answers stand already."""


@task("hill-adam", "adam_inside(params, grads, state, hyper)", forbids=LIBRARY)
def check_adam(answer: Answer) -> None:
    """Small visible examples."""
    start = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    hyper = {"lr": 0.1, "beta": 0.9, "rho": 0.999, "eps": 1e-8}
    gradients = torch.tensor([[0.3, -4.0, 0.02], [0.1, -2.0, -0.05], [0.4, 1.0, 0.01]], dtype=torch.float64)
    with answer.checking("three steps"):
        same_run(answer, adam, start, gradients, hyper, state=fresh(start), slips=STEP_SLIPS)
    with answer.checking("a large epsilon"):
        same_run(answer, adam, start, gradients, hyper | {"eps": 0.5}, state=fresh(start), slips=STEP_SLIPS)
    with answer.checking("the arguments are left as they are"):
        answer.pure(start, gradients[0], fresh(start), hyper)


# -- the perturbed one-norm ------------------------------------------------------------------------------------


def one_norm(grads: Sequence[Tensor], eps: float) -> float:
    """The perturbed one-norm over all tensors, in float64."""
    return float(sum(norms.perturbed_one_norm(g.double(), eps) for g in grads))


def _flat(grads: Sequence[Tensor]) -> Tensor:
    return torch.cat([g.double().reshape(-1) for g in grads])


NORM_SLIPS: dict[str, Callable[[Sequence[Tensor], float], float]] = {
    "epsilon is missing: that is the one-norm": lambda g, e: _flat(g).abs().sum().item(),
    "epsilon stands outside the root: it is added to g**2, before the root": lambda g, e: (
        (_flat(g).abs() + e).sum().item()
    ),
    "epsilon is squared; it is added to g**2 as it is": lambda g, e: (_flat(g) ** 2 + e**2).sqrt().sum().item(),
    "the root of epsilon is added; that is its value at g = 0, not elsewhere": lambda g, e: (
        (_flat(g).abs() + math.sqrt(e)).sum().item()
    ),
    "one root of the whole sum: that is a two-norm; take the root of each entry": lambda g, e: math.sqrt(
        (_flat(g) ** 2 + e).sum().item()
    ),
    "one root for each tensor; take the root of each entry": lambda g, e: sum(
        (t.double() ** 2 + e).sum().sqrt().item() for t in g
    ),
    "epsilon is added once; it belongs to each entry": lambda g, e: math.sqrt((_flat(g) ** 2).sum().item() + e),
    "epsilon is added once to the one-norm; it belongs to each entry, inside its root": lambda g, e: (
        _flat(g).abs().sum().item() + e
    ),
    "the root is missing": lambda g, e: (_flat(g) ** 2 + e).sum().item(),
    "the square is missing: under the root stands g**2": lambda g, e: (_flat(g).abs() + e).sqrt().sum().item(),
    "that is the mean; the sum is asked for": lambda g, e: (_flat(g) ** 2 + e).sqrt().mean().item(),
    "that adds up the means of the tensors; every entry counts once": lambda g, e: sum(
        (t.double() ** 2 + e).sqrt().mean().item() for t in g if t.numel()
    ),
    "that is the largest entry; the sum is asked for": lambda g, e: (_flat(g) ** 2 + e).sqrt().max().item(),
    "only the first tensor is counted": lambda g, e: one_norm(g[:1], e),
    "only the last tensor is counted": lambda g, e: one_norm(g[-1:], e),
    "the last tensor is missing": lambda g, e: one_norm(g[:-1], e) if len(g) > 1 else math.nan,
    "only matrices and larger tensors are counted; vectors belong to the network too": lambda g, e: one_norm(
        [t for t in g if t.ndim > 1], e
    ),
    "the floor sqrt(eps) of each entry is subtracted; it belongs to the norm": lambda g, e: (
        one_norm(g, e) - _flat(g).numel() * math.sqrt(e)
    ),
    "the entries are added before the absolute value is taken: signs cancel": lambda g, e: math.sqrt(
        _flat(g).sum().item() ** 2 + e
    ),
    "the tensors are added up first: signs cancel": lambda g, e: sum(
        math.sqrt(t.double().sum().item() ** 2 + e) for t in g
    ),
    "epsilon is subtracted": lambda g, e: (_flat(g) ** 2 - e).clamp(min=0).sqrt().sum().item(),
    "that is the square of the norm": lambda g, e: one_norm(g, e) ** 2,
    "half of it": lambda g, e: one_norm(g, e) / 2,
}


@task("one-norm", "perturbed_one_norm(grads, eps)", forbids=(*LIBRARY, "torch.linalg", "torch.norm", "numpy.linalg"))
def check_one_norm(answer: Answer) -> None:
    """Numbers that can be computed by hand."""
    first = torch.tensor([[3.0, -4.0], [0.0, 12.0]], dtype=torch.float64)
    with answer.checking("without epsilon it is the one-norm, 3 + 4 + 0 + 12"):
        norm_is_right(answer, [first], 0.0)
    with answer.checking("without gradients it is the number of entries times the root of epsilon"):
        norm_is_right(answer, [torch.zeros(5, dtype=torch.float64)], 4.0)
    with answer.checking("two tensors"):
        norm_is_right(answer, [first, torch.tensor([1.0, 2.0], dtype=torch.float64)], 16.0)
    with answer.checking("float32"):
        norm_is_right(answer, [torch.linspace(0.1, 1.0, 1000, dtype=torch.float32)], 1e-4)


def norm_is_right(answer: Answer, grads: list[Tensor], eps: float) -> None:
    """Check ``perturbed_one_norm`` on one list of tensors."""
    slips = {sentence: _safely(wrong, grads, eps) for sentence, wrong in NORM_SLIPS.items()}
    same(answer(grads, eps), one_norm(grads, eps), "the norm", slips=slips)


# -- accumulation ----------------------------------------------------------------------------------------------


def total_mean(means: Sequence[Tensor], sizes: Sequence[int]) -> Tensor:
    """The mean over all examples."""
    return sum((n * g for g, n in zip(means, sizes, strict=True)), torch.zeros_like(means[0])) / sum(sizes)


SUM_SLIPS: dict[str, Callable[[Sequence[Tensor], Sequence[int]], Tensor]] = {
    "the means are averaged as if all micro-batches had the same size": lambda g, n: torch.stack(list(g)).mean(0),
    "the means are added up; divide by the number of examples": lambda g, n: torch.stack(list(g)).sum(0),
    "the sums are added up, but not divided by the number of examples": lambda g, n: total_mean(g, n) * sum(n),
    "divided by the number of micro-batches instead of that of examples": lambda g, n: (
        total_mean(g, n) * sum(n) / len(n)
    ),
    "the means are added up and divided by the number of examples: turn each mean into a sum first": lambda g, n: (
        torch.stack(list(g)).sum(0) / sum(n)
    ),
    "only the last micro-batch is left: add, do not overwrite": lambda g, n: g[-1],
    "only the first micro-batch counts": lambda g, n: g[0],
    "divided by the largest size times the number of micro-batches: the last one is shorter": lambda g, n: (
        total_mean(g, n) * sum(n) / (max(n) * len(n))
    ),
    "the last micro-batch is left out": lambda g, n: total_mean(g[:-1], n[:-1]) if len(n) > 1 else g[0] * math.nan,
    "the last micro-batch is left out of the sum, but its examples are counted": lambda g, n: (
        total_mean(g[:-1], n[:-1]) * sum(n[:-1]) / sum(n) if len(n) > 1 else g[0] * math.nan
    ),
    "weighted the wrong way round: a larger micro-batch counts more": lambda g, n: (
        sum((t / k for t, k in zip(g, n, strict=True)), torch.zeros_like(g[0])) / sum(1 / k for k in n)
    ),
}


@task("hill-accumulate", "accumulate(means, sizes)", forbids=LIBRARY)
def check_accumulate(answer: Answer) -> None:
    """Two micro-batches of one number each."""
    ones, zeros = torch.tensor([1.0], dtype=torch.float64), torch.tensor([0.0], dtype=torch.float64)
    with answer.checking("mean 1 over three examples and mean 0 over one: 0.75"):
        sum_is_right(answer, [ones, zeros], [3, 1])
    with answer.checking("equal sizes: the plain mean"):
        sum_is_right(answer, [ones, zeros], [2, 2])


def sum_is_right(answer: Answer, means: list[Tensor], sizes: list[int]) -> None:
    """Check ``accumulate`` on one list of micro-batches."""
    slips = {sentence: wrong(means, sizes) for sentence, wrong in SUM_SLIPS.items()}
    same(answer(means, sizes), total_mean(means, sizes), "the mean gradient", slips=slips)


# -- at equal loss ---------------------------------------------------------------------------------------------


def at_loss(losses: Sequence[float], values: Sequence[float], level: float) -> float:
    """The value at the first step whose loss is below the level."""
    return next((v for loss, v in zip(losses, values, strict=True) if loss < level), math.nan)


def _positions(losses: Sequence[float], level: float) -> list[int]:
    return [t for t, loss in enumerate(losses) if loss < level]


def _by_halves(losses: Sequence[float], values: Sequence[float], level: float) -> float:
    low, high = 0, len(losses)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if losses[middle] < level else (middle + 1, high)
    return values[low] if low < len(losses) else math.nan


def _between(losses: Sequence[float], values: Sequence[float], level: float) -> float:
    t = _positions(losses, level)[0]
    share = (losses[t - 1] - level) / (losses[t - 1] - losses[t]) if t else 1.0
    return values[t] if t == 0 else values[t - 1] + share * (values[t] - values[t - 1])


LEVEL_SLIPS: dict[str, Callable[[Sequence[float], Sequence[float], float], float]] = {
    "a loss equal to the level counts here; below the level means smaller": lambda f, n, c: n[
        next(t for t in range(len(f)) if f[t] <= c)
    ],
    "that is the first step whose loss is above the level; below is asked": lambda f, n, c: n[
        next(t for t in range(len(f)) if f[t] > c)
    ],
    "the norm is interpolated between two steps; that of the first step below is asked": _between,
    "that is the norm at the smallest loss; the first step below the level is asked": lambda f, n, c: n[
        f.index(min(f))
    ],
    "that is the largest norm below the level; the first one is asked": lambda f, n, c: max(
        n[t] for t in _positions(f, c)
    ),
    "the first entry of the run is not looked at; it may be below the level already": lambda f, n, c: n[
        next(t for t in range(1, len(f)) if f[t] < c)
    ],
    "a search by halves presumes a loss that only falls; a loss may rise again: look from the start": _by_halves,
    "that is the last step below the level; the first one counts": lambda f, n, c: n[_positions(f, c)[-1]],
    "that is the step before: its loss is not below the level": lambda f, n, c: n[_positions(f, c)[0] - 1],
    "that is the step after the first one below": lambda f, n, c: n[_positions(f, c)[0] + 1],
    "that is the loss; the norm at that step is asked for": lambda f, n, c: f[_positions(f, c)[0]],
    "that is the number of the step; the norm there is asked for": lambda f, n, c: float(_positions(f, c)[0]),
    "that is the smallest norm below the level": lambda f, n, c: min(n[t] for t in _positions(f, c)),
    "that is the mean of the norms below the level": lambda f, n, c: (
        sum(n[t] for t in _positions(f, c)) / len(_positions(f, c))
    ),
    "that is the step whose loss is nearest to the level; it need not be below": lambda f, n, c: n[
        min(range(len(f)), key=lambda t: abs(f[t] - c))
    ],
    "the last step below after the last one above: a bump came between": lambda f, n, c: n[
        max((t for t in range(len(f)) if f[t] >= c), default=-1) + 1
    ],
    "that is the last norm of the run": lambda f, n, c: n[-1],
    "that is the first norm of the run": lambda f, n, c: n[0],
}


@task("hill-at-loss", "norm_at_loss(losses, norms, level)", forbids=LIBRARY)
def check_at_loss(answer: Answer) -> None:
    """Four steps."""
    losses, values = [2.0, 1.2, 0.8, 0.4], [9.0, 7.0, 5.0, 3.0]
    with answer.checking("the level 1"):
        level_is_right(answer, losses, values, 1.0)
    with answer.checking("a level that is never reached"):
        level_is_right(answer, losses, values, 0.1)


def level_is_right(answer: Answer, losses: list[float], values: list[float], level: float) -> None:
    """Check ``norm_at_loss`` on one run."""
    right = at_loss(losses, values, level)
    got = answer(losses, values, level)
    if got is None:
        raise CheckFailed("norm_at_loss returned None: math.nan is asked for where the loss never gets below the level")
    value = numbers(got, "the norm")
    if math.isnan(right):
        if value.numel() != 1 or not torch.isnan(value).all():
            raise CheckFailed("the loss never gets below the level: math.nan is asked for")
        return
    if value.numel() == 1 and torch.isnan(value).all():
        halved = math.isnan(_by_halves(losses, values, level))
        hint = ". Does it presume a loss that only falls? A loss may rise again: look from the start" if halved else ""
        if len(_positions(losses, level)) > 0 and min(losses[1:], default=math.inf) >= level:
            hint = ": its first entry is below already, and is not looked at"
        raise CheckFailed(f"NaN, although the loss gets below the level{hint}")
    slips = {sentence: _safely(wrong, losses, values, level) for sentence, wrong in LEVEL_SLIPS.items()}
    same(got, right, "the norm", slips=slips)


# -- the experiment --------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=256)
def _trained(beta: float, rho: float, eps: float, steps: int, slip: str = "") -> dict[str, tuple[float, ...]]:
    """The reference's curves at the smallest size, or those of a slip by name."""
    p = labs.problem(NAME, "smoke")
    theta = p.start()
    step: Step = _in_letters(slipped()) if slip == "outside" else STEP_SLIPS.get(slip, adam)
    state = fresh(theta)
    hyper = {"lr": p.lr, "beta": beta, "rho": rho, "eps": eps}
    found: dict[str, list[float]] = {key: [] for key in SERIES}
    for t in range(steps + 1):
        parts = [p.gradient(theta, part) for part in range(1 if slip == "first part" else len(p.parts))]
        weights = [1 if slip == "unweighted" else n for *_, n in parts]
        total = 1 if slip == "summed" else sum(weights)
        loss = sum(w * part[0] for w, part in zip(weights, parts, strict=True)) / total
        grads = sum((w * part[1] for w, part in zip(weights, parts, strict=True)), torch.zeros_like(theta)) / total
        found["loss"].append(loss)
        if slip == "mean of norms":
            sizes = [one_norm([part[1]], eps) for part in parts]
            found["norm"].append(sum(w * s for w, s in zip(weights, sizes, strict=True)) / total)
        else:
            floors = {"plain norm": 0.0, "epsilon squared": eps**2}
            found["norm"].append(one_norm([grads], floors.get(slip, eps)) / (len(theta) if slip == "mean norm" else 1))
        if t < steps:
            theta, state = step(theta, grads, state, hyper)
    return {key: tuple(row) for key, row in found.items()}


TRAIN_SLIPS = {
    "outside": "epsilon stands beside the root in the step; here it stands inside",
    "unweighted": "the parts have different sizes: weight their means by them",
    "first part": "only the first part of the data is used",
    "summed": "the gradients of the parts are added up; the full batch is their weighted mean",
    "mean of norms": "that is the mean of the parts' norms; take the norm of the mean gradient",
    "plain norm": "the norm lacks epsilon",
    "epsilon squared": "epsilon is squared in the norm; it is added to g**2 as it is",
    "mean norm": "that is the mean over the weights; the norm is a sum",
} | {sentence: sentence for sentence in STEP_SLIPS}
"""What the checks can name for the training, by the name of the slip in :func:`_trained`."""


@task("hill-train", "train(preset, hyper, steps)", seconds=40, forbids=LIBRARY)
def check_train(answer: Answer) -> None:
    """Three steps."""
    with answer.checking("three steps at the smallest size"):
        training_is_right(answer, {"beta": 0.9, "rho": 0.95, "eps": 1e-3}, 3)


def training_is_right(answer: Answer, hyper: Hyper, steps: int) -> None:
    """Compare every number of a short training with the reference's."""
    curves = histories(answer("smoke", hyper, steps), steps)
    setting = (hyper["beta"], hyper["rho"], hyper["eps"], steps)
    right = _trained(*setting)
    if all(_near(curves[key], right[key]) for key in SERIES):
        return
    for slip, sentence in TRAIN_SLIPS.items():
        wrong = _trained(*setting, slip=slip)
        differs = any(not _near(wrong[key], right[key]) for key in SERIES)
        if differs and all(_near(curves[key], wrong[key]) for key in SERIES):
            raise CheckFailed(sentence)
    recorded_late(curves, right, _near)
    for key, name in (("loss", "the loss"), ("norm", "the norm")):
        for t, (a, b) in enumerate(zip(curves[key], right[key], strict=True)):
            if not _near((a,), (b,)):
                raise CheckFailed(f"{name} differs from step {t} on")


def _near(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return all(abs(x - y) <= 1e-7 * (1 + abs(y)) for x, y in zip(a, b, strict=True))


def histories(got: Any, steps: int) -> dict[str, tuple[float, ...]]:
    """The two curves that a training returned; CheckFailed if it returned something else."""
    if got is None:
        raise CheckFailed("train returned None. Is a return missing?")
    if not isinstance(got, Mapping) or not set(SERIES) <= set(got):
        raise CheckFailed(f"train must return a dictionary with {' and '.join(SERIES)}")
    found = {}
    for key in SERIES:
        row = numbers(got[key], key)
        if row.shape != (steps + 1,):
            raise CheckFailed(
                f"{key} must have {steps + 1} entries for {steps} steps, the start included; got {tuple(row.shape)}"
            )
        found[key] = tuple(row.tolist())
    return found


def trains(answer: Answer, hyper: Hyper, steps: int) -> None:
    """The loss falls by half in a short run."""
    curves = histories(answer("smoke", hyper, steps), steps)
    if not curves["loss"][-1] < 0.7 * curves["loss"][0]:
        raise CheckFailed("the loss hardly fell in so many steps: is the network trained at all?")


def record_is_right(record: Mapping[str, Any]) -> None:
    """A record of a larger run does not contradict itself."""
    wrong = labs.inconsistencies(record, NAME, SERIES)
    if not wrong:
        weights = record.get("weights")
        for label, hyper in record["settings"].items():
            curve, eps = record["histories"][label]["norm"], hyper.get("eps")
            if not isinstance(weights, int) or not isinstance(eps, float):
                wrong.append(f"{label}: the number of weights or epsilon is missing")
            elif min(curve) < weights * math.sqrt(eps) * (1 - 1e-4):
                wrong.append(f"{label}: a norm lies below weights times sqrt(eps), which is impossible")
            if not record["histories"][label]["loss"][-1] < record["histories"][label]["loss"][0]:
                wrong.append(f"{label}: the loss did not fall")
    if wrong:
        raise CheckFailed("; ".join(wrong[:3]))


# -- equal steps, equal losses ---------------------------------------------------------------------------------


@task("hill-misleading", "misleading_runs()", forbids=LIBRARY)
def check_misleading(answer: Answer) -> None:
    """Both halves, at three levels."""
    with answer.checking("larger at every step"):
        larger_at_equal_steps(answer)
    with answer.checking("smaller at every loss"):
        smaller_at_equal_losses(answer, [0.9, 0.7, 0.55])


def _two_runs(answer: Answer) -> list[Tensor]:
    got = answer()
    if not isinstance(got, (tuple, list)) or len(got) != 4:
        raise CheckFailed("expected four lists: losses and norms of A, losses and norms of B")
    rows = [numbers(row, name) for row, name in zip(got, ("losses A", "norms A", "losses B", "norms B"), strict=True)]
    if any(row.ndim != 1 or row.shape != rows[0].shape for row in rows) or len(rows[0]) < 20:
        raise CheckFailed("the four lists must have the same length, at least 20")
    if not all(bool((torch.isfinite(row) & (row > 0)).all()) for row in rows):
        raise CheckFailed("all numbers must be positive and finite")
    for losses in (rows[0], rows[2]):
        if not (losses.diff() < 0).all():
            raise CheckFailed("the losses must fall strictly")
        if not losses[-1] < 0.5 * losses[0]:
            raise CheckFailed("both losses must end below 0.5 times the first")
    if rows[0][0] != rows[2][0]:
        raise CheckFailed("both runs must start from the same loss")
    return rows


def larger_at_equal_steps(answer: Answer) -> None:
    """From the tenth entry on, A has the larger norm."""
    _, a, _, b = _two_runs(answer)
    if not (a[9:] > b[9:]).all():
        raise CheckFailed("A must have the larger norm at every step from the tenth entry on. Make B faster")


def smaller_at_equal_losses(answer: Answer, fractions: Sequence[float]) -> None:
    """At every level, A has the smaller norm."""
    losses_a, a, losses_b, b = (row.tolist() for row in _two_runs(answer))
    for fraction in fractions:
        level = fraction * losses_a[0]
        norm_a, norm_b = at_loss(losses_a, a, level), at_loss(losses_b, b, level)
        if not norm_a < norm_b:
            raise CheckFailed(
                f"at the loss {level:.4g} A's norm is {norm_a:.4g} and B's is {norm_b:.4g}: A's is not the smaller one "
                "(each is measured at the run's first loss below the level; a long step lands far below it)"
            )


def _safely(wrong: Callable[..., float], *arguments: Any) -> float:
    """What a slip gives; NaN, which no answer matches, where it gives nothing."""
    try:
        return wrong(*arguments)
    except (ArithmeticError, ValueError, IndexError, RuntimeError, StopIteration):
        return math.nan
