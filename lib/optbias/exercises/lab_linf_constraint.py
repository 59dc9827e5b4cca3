"""Public checks of the lab on AdamW's box, and the slips that they and the hidden tests can name."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from optbias import norms
from optbias.exercises import Answer, CheckFailed, Step, labs, numbers, same, same_run, task
from optbias.exercises._compare import recorded_late
from optbias.exercises.ps_adam import SLIPS as ADAM_SLIPS
from optbias.exercises.ps_adam import fresh
from optbias.rules import Adam, AdamW

NAME = "linf-constraint"
SERIES = ("linf", "loss", "gap")
Hyper = dict[str, Any]
State = dict[str, Any]

__all__ = ["fresh"]


# -- AdamW -----------------------------------------------------------------------------------------------------


def adamw(params: Tensor, grads: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    """The right step: the library's rule."""
    rule = AdamW(hyper["lr"], (hyper["beta1"], hyper["beta2"]), hyper["eps"], hyper["weight_decay"])
    return rule.equations(params, grads, state)


def _coupled(params: Tensor, grads: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    rule = Adam(hyper["lr"], (hyper["beta1"], hyper["beta2"]), hyper["eps"], hyper["weight_decay"])
    return rule.equations(params, grads, state)


def _decayed(finish: Callable[[Tensor, Tensor, float, float], Tensor]) -> Step:
    """Adam without decay, ended by ``finish(old params, Adam's new params, lr, weight decay)``."""

    def step(params: Tensor, grads: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
        moved, new = Adam(hyper["lr"], (hyper["beta1"], hyper["beta2"]), hyper["eps"]).equations(params, grads, state)
        return finish(params, moved, hyper["lr"], hyper["weight_decay"]), new

    return step


def _beside(slip: Step) -> Step:
    """A slip in Adam's own part, with a decay that is right."""

    def step(params: Tensor, grads: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
        moved, new = slip(params, grads, state, hyper)
        return moved - hyper["lr"] * hyper["weight_decay"] * params, new

    return step


STEP_SLIPS: dict[str, Step] = {
    "the decay is missing": _decayed(lambda old, new, lr, lam: new),
    "the decay stands in the gradient, so it goes through m and v (Adam with L2); AdamW decays beside them": _coupled,
    "the decay is applied after the step; it multiplies the old params": _decayed(
        lambda old, new, lr, lam: (1 - lr * lam) * new
    ),
    "the decay is not multiplied by the learning rate": _decayed(lambda old, new, lr, lam: new - lam * old),
    "the decay has the wrong sign: the weights must shrink": _decayed(lambda old, new, lr, lam: new + lr * lam * old),
    "the decay has a factor 2 too many": _decayed(lambda old, new, lr, lam: new - 2 * lr * lam * old),
} | {sentence: _beside(slip) for sentence, slip in ADAM_SLIPS.items()}
"""What the checks can name: slips in the decay, and those of Adam beside a decay that is right."""

LIBRARY = (
    "torch.optim",
    "optbias.rules",
    "optbias.torch_optimizer",
    "optbias.training",
    "optbias.norms",
    "optbias.exercises._families",
    "optbias.exercises._formulas",
    "optbias.exercises.ps_adam",
    "optbias.exercises.ps_adamw",
    "optbias.exercises.lab_linf_constraint",
)
"""Where the answers stand already."""


@task("box-adamw", "adamw_step(params, grads, state, hyper)", forbids=LIBRARY)
def check_adamw(answer: Answer) -> None:
    """Small visible examples."""
    start = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    hyper = {"lr": 0.1, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.5}
    gradients = torch.tensor([[0.3, -4.0, 0.02], [0.1, -2.0, -0.05], [0.4, 1.0, 0.01]], dtype=torch.float64)
    with answer.checking("the first step"):
        same_run(answer, adamw, start, gradients[:1], hyper, state=fresh(start), slips=STEP_SLIPS, tol=1e-7)
    with answer.checking("three steps"):
        same_run(answer, adamw, start, gradients, hyper, state=fresh(start), slips=STEP_SLIPS)
    with answer.checking("epsilon 0 and no gradient: the decay alone"):
        zero = torch.zeros(3, dtype=torch.float64)
        same_run(answer, adamw, start, zero.unsqueeze(0), hyper | {"eps": 0.0}, state=fresh(start), slips=STEP_SLIPS)
    with answer.checking("the arguments are left as they are"):
        answer.pure(start, gradients[0], fresh(start), hyper)


# -- probes ----------------------------------------------------------------------------------------------------

PROBE_SLIPS: tuple[dict[str, Callable[[Tensor, float], float]], ...] = (
    {
        "the largest entry is taken without the absolute value": lambda x, r: x.max().item(),
        "that is the two-norm": lambda x, r: float(torch.linalg.vector_norm(x)),
        "that is the mean size; the largest is asked for": lambda x, r: x.abs().mean().item(),
        "that is in units of the radius; the weight itself is asked for": lambda x, r: x.abs().max().item() / r,
        "that is the smallest entry": lambda x, r: x.min().item(),
        "that is the sum of the sizes": lambda x, r: x.abs().sum().item(),
    },
    {
        "the wall is 0.99 whatever the radius": lambda x, r: (x.abs() >= 0.99).double().mean().item(),
        "the negative wall is missing": lambda x, r: (x >= 0.99 * r).double().mean().item(),
        "that is the number of weights; the share is asked for": lambda x, r: float((x.abs() >= 0.99 * r).sum()),
        "those that are exactly on the wall or outside; one per cent inside counts too": lambda x, r: (
            (x.abs() >= r).double().mean().item()
        ),
        "that is the share of those inside": lambda x, r: (x.abs() < 0.99 * r).double().mean().item(),
        "those outside of the wall count as well": lambda x, r: (
            ((x.abs() >= 0.99 * r) & (x.abs() <= 1.01 * r)).double().mean().item()
        ),
        "the wall is at the radius 1 / lam, not at its inverse": lambda x, r: (
            (x.abs() >= 0.99 / r).double().mean().item()
        ),
        "one per cent of the radius, not 0.01": lambda x, r: (x.abs() >= r - 0.01).double().mean().item(),
    },
)


@task("box-probes", "probes(theta, radius)", forbids=LIBRARY)
def check_probes(answer: Answer) -> None:
    """Four weights."""
    theta = torch.tensor([0.2, -0.5, 0.4975, 0.3], dtype=torch.float64)
    with answer.checking("the largest weight"):
        probes_are_right(answer, 0, theta, 0.5)
    with answer.checking("two of four lie on the wall of radius 0.5"):
        probes_are_right(answer, 1, theta, 0.5)


def probes_are_right(answer: Answer, which: int, theta: Tensor, radius: float) -> None:
    """Check one of the two probes: 0 the largest weight, 1 the share on the wall."""
    got = answer(theta, radius)
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        raise CheckFailed("expected two numbers: the largest weight, and the share on the wall")
    size = theta.abs()
    right = (size.max().item(), (size >= 0.99 * radius).double().mean().item())
    slips = {sentence: wrong(theta, radius) for sentence, wrong in PROBE_SLIPS[which].items()}
    same(got[which], right[which], ("the largest weight", "the share on the wall")[which], slips=slips)


# -- the KKT gap -----------------------------------------------------------------------------------------------


def gap(theta: Tensor, grads: Tensor, radius: float) -> float:
    """The relative KKT gap."""
    return norms.kkt_gap(theta, grads, radius, relative=True).item()


def _one(g: Tensor) -> float:
    return g.abs().sum().item()


GAP_SLIPS: dict[str, Callable[[Tensor, Tensor, float], float]] = {
    "that is the gap itself; divide it by the one-norm of the gradient": lambda x, g, r: (
        _one(g) + (x * g).sum().item() / r
    ),
    "the sign of the inner product: at a KKT point the weights point against the gradient": lambda x, g, r: (
        1 - (x * g).sum().item() / (r * _one(g))
    ),
    "the inner product must be divided by the radius": lambda x, g, r: 1 + (x * g).sum().item() / _one(g),
    "the inner product is divided by the radius, not multiplied": lambda x, g, r: (
        1 + r * (x * g).sum().item() / _one(g)
    ),
    "the 1 is missing: that is the inner product alone": lambda x, g, r: (x * g).sum().item() / (r * _one(g)),
    "that uses the two-norm of the gradient; the dual of the max norm is the one-norm": lambda x, g, r: (
        1 + (x * g).sum().item() / (r * float(torch.linalg.vector_norm(g)))
    ),
    "that uses the largest entry of the gradient; the dual of the max norm is the one-norm": lambda x, g, r: (
        1 + (x * g).sum().item() / (r * g.abs().max().item())
    ),
    "the products are taken without their signs": lambda x, g, r: 1 + (x * g).abs().sum().item() / (r * _one(g)),
    "a gap is not clipped at 0: outside the box it may be negative": lambda x, g, r: max(0.0, gap(x, g, r)),
    "that is the gap of the point after it was clipped into the box": lambda x, g, r: gap(x.clamp(-r, r), g, r),
    "that is the mean over coordinates without the weights |g|": lambda x, g, r: (1 + g.sign() * x / r).mean().item(),
}


@task("box-kkt-gap", "relative_gap(theta, grads, radius)", forbids=LIBRARY)
def check_gap(answer: Answer) -> None:
    """The middle, a corner, and a point between."""
    gradient = torch.tensor([1.0, -2.0], dtype=torch.float64)
    with answer.checking("in the middle it is 1"):
        gap_is_right(answer, torch.zeros(2, dtype=torch.float64), gradient, 0.5)
    with answer.checking("at the right corner it is 0"):
        gap_is_right(answer, torch.tensor([-0.5, 0.5], dtype=torch.float64), gradient, 0.5)
    with answer.checking("between"):
        gap_is_right(answer, torch.tensor([0.25, 0.5], dtype=torch.float64), gradient, 0.5)


def gap_is_right(answer: Answer, theta: Tensor, grads: Tensor, radius: float) -> None:
    """Check ``relative_gap`` at one point."""
    right = gap(theta, grads, radius)
    got = answer(theta, grads, radius)
    value = numbers(got, "the gap")
    if value.numel() == 1 and abs(value.item() - right) < 1e-12:  # a gap of 0 comes from terms that cancel
        return
    if (grads == 0).all():
        raise CheckFailed("the gap: where the gradient is zero every point of the box is a KKT point; 0 is asked for")
    slips = {sentence: _safely(wrong, theta, grads, radius) for sentence, wrong in GAP_SLIPS.items()}
    same(got, right, "the gap", slips=slips)


# -- the time to enter -----------------------------------------------------------------------------------------


def entry(w0: float, lr: float, lam: float) -> int:
    """The number of steps after which the bound says that the weight is inside, counted one by one."""
    w, steps = w0, 0
    while w > 1.01 / lam:
        w, steps = (1 - lr * lam) * w + lr, steps + 1
    return steps


def _logs(top: float, base: float) -> float:
    return math.log(top) / math.log(base)


ENTRY_SLIPS: dict[str, Callable[[float, float, float], float]] = {
    "that is when the decay alone has brought the weight to 1 / lam; the steps may push outwards": lambda w, lr, lam: (
        math.ceil(_logs(1 / (w * lam), 1 - lr * lam))
    ),
    "that is one step too few: round up": lambda w, lr, lam: entry(w, lr, lam) - 1,
    "that is one step too many": lambda w, lr, lam: entry(w, lr, lam) + 1,
    "that is not a whole number: round up": lambda w, lr, lam: _logs(0.01 / (w * lam - 1), 1 - lr * lam),
    "1 / (lr lam) is the time constant, not the time": lambda w, lr, lam: math.ceil(1 / (lr * lam)),
    "that takes exp(-lr lam) for 1 - lr lam: close, not exact": lambda w, lr, lam: math.ceil(
        math.log((w * lam - 1) / 0.01) / (lr * lam)
    ),
    "that is the time to within 0.01 of the wall; one per cent of 1 / lam is asked for": lambda w, lr, lam: math.ceil(
        _logs(0.01 / (w - 1 / lam), 1 - lr * lam)
    ),
    "the factor per step is 1 - lr lam; lam is missing": lambda w, lr, lam: math.ceil(
        _logs(0.01 / (w * lam - 1), 1 - lr)
    ),
}


@task("box-entry", "steps_to_enter(w0, lr, lam)", forbids=LIBRARY)
def check_entry(answer: Answer) -> None:
    """A weight at 4, two decays, and one inside."""
    with answer.checking("from 4 with lr = 0.01 and lam = 1"):
        entry_is_right(answer, 4.0, 0.01, 1.0)
    with answer.checking("from 4 with lr = 0.01 and lam = 2"):
        entry_is_right(answer, 4.0, 0.01, 2.0)
    with answer.checking("from inside: 0 steps"):
        entry_is_right(answer, 0.3, 0.01, 1.0)


def entry_is_right(answer: Answer, w0: float, lr: float, lam: float) -> None:
    """Check ``steps_to_enter`` at one point."""
    if entry(w0, lr, lam) == 0 and numbers(answer(w0, lr, lam), "the number of steps").tolist() not in (0, [0]):
        raise CheckFailed("the number of steps: this weight is inside already, |theta| <= 1.01 / lam; 0 is asked for")
    slips = {sentence: _safely(wrong, w0, lr, lam) for sentence, wrong in ENTRY_SLIPS.items()}
    same(answer(w0, lr, lam), float(entry(w0, lr, lam)), "the number of steps", slips=slips)


# -- the experiment --------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=256)
def _trained(
    beta1: float, beta2: float, eps: float, lam: float, steps: int, slip: str = ""
) -> dict[str, tuple[float, ...]]:
    """The reference's curves at the smallest size, or those of a slip by name."""
    p = labs.problem(NAME, "smoke")
    theta = p.start()
    step: Step = _coupled if slip == "coupled" else STEP_SLIPS.get(slip, adamw)
    state = fresh(theta)
    hyper = {"lr": p.lr, "beta1": beta1, "beta2": beta2, "eps": eps, "weight_decay": 0.0 if slip == "no decay" else lam}
    found: dict[str, list[float]] = {key: [] for key in SERIES}
    for t in range(steps + 1):
        parts = [p.gradient(theta, part) for part in range(1 if slip == "first part" else len(p.parts))]
        weights = [1 if slip == "unweighted" else n for *_, n in parts]
        total = 1 if slip == "summed" else sum(weights)
        loss = sum(w * part[0] for w, part in zip(weights, parts, strict=True)) / total
        grads = sum((w * part[1] for w, part in zip(weights, parts, strict=True)), torch.zeros_like(theta)) / total
        sizes = {"no absolute value": theta.max(), "mean size": theta.abs().mean()}
        found["linf"].append(sizes.get(slip, theta.abs().max()).item())
        found["loss"].append(loss)
        radii = {"radius": lam, "square of the decay": 1 / lam**2 if lam > 0 else math.inf, "no radius": 1.0}
        radius = radii.get(slip, 1 / lam) if lam > 0 else math.inf
        found["gap"].append(gap(theta, grads, radius) if lam > 0 else 0.0)
        if t < steps:
            theta, state = step(theta, grads, state, hyper)
    return {key: tuple(row) for key, row in found.items()}


TRAIN_SLIPS = {
    "no decay": "the weights do not decay",
    "coupled": "the decay stands in the gradient (Adam with L2)",
    "unweighted": "the parts have different sizes: weight their means by them",
    "first part": "only the first part of the data is used",
    "summed": "the gradients of the parts are added up; the full batch is their weighted mean",
    "radius": "the radius of the box is 1 / weight_decay",
    "square of the decay": "the radius of the box is 1 / weight_decay; here the decay enters squared",
    "no radius": "the inner product in the gap must be divided by the radius, 1 / weight_decay",
    "no absolute value": "the largest weight is taken without the absolute value",
    "mean size": "that is the mean size of the weights; the largest is asked for",
} | {sentence: sentence for sentence in STEP_SLIPS}
"""What the checks can name for the training, by the name of the slip in :func:`_trained`."""


@task("box-train", "train(preset, hyper, steps)", seconds=40, forbids=LIBRARY)
def check_train(answer: Answer) -> None:
    """Three steps."""
    with answer.checking("three steps at the smallest size"):
        training_is_right(answer, {"beta1": 0.9, "beta2": 0.9, "eps": 1e-10, "weight_decay": 1.0}, 3)


def training_is_right(answer: Answer, hyper: Hyper, steps: int) -> None:
    """Compare every number of a short training with the reference's."""
    got = answer("smoke", hyper, steps)
    curves = histories(got, steps)
    setting = (hyper["beta1"], hyper["beta2"], hyper["eps"], hyper["weight_decay"], steps)
    right = _trained(*setting)
    if all(_near(curves[key], right[key]) for key in SERIES):
        return
    for slip, sentence in TRAIN_SLIPS.items():
        wrong = _trained(*setting, slip=slip)
        differs = any(not _near(wrong[key], right[key]) for key in SERIES)
        if differs and all(_near(curves[key], wrong[key]) for key in SERIES):
            raise CheckFailed(sentence)
    recorded_late(curves, right, _near)
    for key, name in (("loss", "the loss"), ("gap", "the relative gap"), ("linf", "the largest weight")):
        for t, (a, b) in enumerate(zip(curves[key], right[key], strict=True)):
            if not _near((a,), (b,)):
                if key == "loss" and t == 0:
                    raise CheckFailed("the loss at the start is not the mean over all examples")
                raise CheckFailed(f"{name} differs from step {t} on")


def _near(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return all(abs(x - y) <= 1e-6 * (1 + abs(y)) for x, y in zip(a, b, strict=True))


def histories(got: Any, steps: int) -> dict[str, tuple[float, ...]]:
    """The three curves that a training returned; CheckFailed if it returned something else."""
    if got is None:
        raise CheckFailed("train returned None. Is a return missing?")
    if not isinstance(got, Mapping) or not set(SERIES) <= set(got):
        raise CheckFailed(f"train must return a dictionary with {', '.join(SERIES)}")
    found = {}
    for key in SERIES:
        row = numbers(got[key], key)
        if row.shape != (steps + 1,):
            raise CheckFailed(
                f"{key} must have {steps + 1} entries for {steps} steps, the start included; got {tuple(row.shape)}"
            )
        found[key] = tuple(row.tolist())
    return found


def stays_in_the_box(answer: Answer, lam: float, steps: int) -> None:
    """With equal betas the largest weight obeys its bound at every step, and the loss falls."""
    curves = histories(answer("smoke", {"beta1": 0.95, "beta2": 0.95, "eps": 1e-12, "weight_decay": lam}, steps), steps)
    lr = labs.problem(NAME, "smoke").lr
    for t in range(steps):
        bound = max(curves["linf"][t], 1 / lam) * (1 - lr * lam) + lr
        if curves["linf"][t + 1] > bound * (1 + 1e-9):
            raise CheckFailed(f"with equal betas a step led farther out than it can, at step {t + 1}")
    if not curves["loss"][-1] < 0.97 * curves["loss"][0]:
        raise CheckFailed("the loss hardly fell in so many steps: is the network trained at all?")


def record_is_right(record: Mapping[str, Any]) -> None:
    """A record of a larger run contradicts neither itself nor the bound on a step."""
    wrong = labs.inconsistencies(record, NAME, SERIES)
    if not wrong:
        lr = record.get("lr")
        for label, hyper in record["settings"].items():
            linf, lam = record["histories"][label]["linf"], hyper.get("weight_decay", 0.0)
            if hyper.get("beta1") != hyper.get("beta2") or not isinstance(lr, float) or lam <= 0:
                continue
            for t in range(len(linf) - 1):
                if linf[t + 1] > ((1 - lr * lam) * max(linf[t], 1 / lam) + lr) * (1 + 1e-4):
                    wrong.append(f"{label}: the largest weight moved farther in step {t + 1} than a step can be")
                    break
            else:
                inside = [t for t in range(len(linf)) if t >= entry(linf[0], lr, lam)]
                if any(linf[t] > 1.02 / lam for t in inside):
                    wrong.append(f"{label}: outside the box after the time by which it must be inside")
    if wrong:
        raise CheckFailed("; ".join(wrong[:3]))


# -- inside is not KKT -----------------------------------------------------------------------------------------


@task("box-no-evidence", "no_evidence(lam)", forbids=LIBRARY)
def check_no_evidence(answer: Answer) -> None:
    """The box of radius 1."""
    with answer.checking("lam = 1"):
        is_no_evidence(answer, 1.0)


def is_no_evidence(answer: Answer, lam: float) -> None:
    """Check that the weights lie inside, near the wall, and are far from a KKT point."""
    got = answer(lam)
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        raise CheckFailed("expected two vectors: the weights and the gradient")
    theta, grads = numbers(got[0], "the weights"), numbers(got[1], "the gradient")
    if theta.ndim != 1 or theta.shape != grads.shape or len(theta) < 2:
        raise CheckFailed("the weights and the gradient must be vectors of the same length, at least 2")
    if not (torch.isfinite(theta).all() and torch.isfinite(grads).all()):
        raise CheckFailed("a number is infinite or NaN")
    largest = lam * theta.abs().max().item()
    if largest >= 1:
        raise CheckFailed("the largest weight must lie inside the box, below 1 / lam")
    if largest <= 0.9:
        raise CheckFailed("the largest weight must be above 0.9 / lam")
    if (grads == 0).all():
        raise CheckFailed("without a gradient every point of the box is a KKT point: the gap is 0")
    if grads.abs().sum() < 1:
        raise CheckFailed(
            "the gradient's one-norm must be at least 1: with a tiny gradient the point is nearly a KKT point, "
            "whatever the relative gap says"
        )
    value = gap(theta, grads, 1 / lam)
    if value <= 0.9:
        raise CheckFailed(
            f"the relative gap is {value:.3g}; more than 0.9 is asked for. Which coordinates carry the gradient?"
        )


def _safely(wrong: Callable[..., float], *arguments: Any) -> float:
    """What a slip gives; NaN, which no answer matches, where it gives nothing."""
    try:
        return wrong(*arguments)
    except (ArithmeticError, ValueError):
        return math.nan
