"""Public checks of the problem set on implicit bias, and the slips that they and the hidden tests can name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from optbias.exercises import Answer, CheckFailed, Unexplained, numbers, same, task
from optbias.rules import NormalizedSteepestDescent
from optbias.theory import margins, modified_equations

LIBRARY = (
    "torch.optim",
    "optbias.rules",
    "optbias.torch_optimizer",
    "optbias.exercises",
    "optbias.norms",
    "optbias.theory.constrained",
    "optbias.theory.margins",
    "optbias.theory.modified_equations",
    "optbias.theory.box",
)
"""Where the answers stand already."""


# -- normalised steepest descent -------------------------------------------------------------------------------


def steepest(params: Tensor, grads: Tensor, hyper: dict[str, Any]) -> Tensor:
    """The right step: the library's rule."""
    rule = NormalizedSteepestDescent(lr=hyper["lr"], norm=hyper["norm"], weight_decay=hyper["weight_decay"])
    return rule.equations(params, grads, rule.init(params))[0]


def _with(direction: Callable[[Tensor], Tensor], decay: str = "beside", sign: float = 1.0) -> Callable[..., Tensor]:
    """A step along ``direction``, with a decay of the given kind."""

    def step(params: Tensor, grads: Tensor, hyper: dict[str, Any]) -> Tensor:
        lr, lam = hyper["lr"], hyper["weight_decay"]
        moved = -sign * lr * direction(grads + lam * params if decay == "coupled" else grads)
        if decay == "beside":
            return (1 - lr * lam) * params + moved
        if decay == "after":
            return (1 - lr * lam) * (params + moved)
        if decay == "without rate":
            return (1 - lam) * params + moved
        if decay == "added":
            return (1 + lr * lam) * params + moved
        return params + moved

    return step


def _one(g: Tensor, pick: Tensor) -> Tensor:
    return torch.zeros_like(g).index_fill(0, pick.reshape(1), 1.0) * g.sign()


DIRECTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linf": torch.sign,
    "l2": lambda g: g / torch.linalg.vector_norm(g),
    "l1": lambda g: _one(g, g.abs().argmax()),
}


def step_slips(norm: str) -> dict[str, Callable[..., Tensor]]:
    """What the checks can name for a step in this norm."""
    right = DIRECTIONS[norm]
    slips = {
        "the decay is missing": _with(right, "none"),
        "the decay stands in the gradient; here it stands beside the step": _with(right, "coupled"),
        "the decay is applied after the step; it is applied to the old params": _with(right, "after"),
        "the decay is not multiplied by the learning rate": _with(right, "without rate"),
        "the decay has the wrong sign: the weights must shrink": _with(right, "added"),
        "the step goes uphill: subtract it": _with(right, sign=-1.0),
        "that is the gradient itself; the direction must have length 1 in the norm": _with(lambda g: g),
    }
    for other, direction in DIRECTIONS.items():
        if other != norm:
            slips[f"that is the direction of the norm {other!r}"] = _with(direction)
    extra: dict[str, dict[str, Callable[[Tensor], Tensor]]] = {
        "linf": {
            "the gradient is divided by its largest entry; the direction has all entries at 1 or -1": (
                lambda g: g / g.abs().max()
            )
        },
        "l2": {
            "the gradient is divided by the square of its length": lambda g: g / (g @ g),
            "the gradient is divided by its one-norm": lambda g: g / g.abs().sum(),
        },
        "l1": {
            "the largest coordinate keeps its size; its entry must be 1 or -1": lambda g: (
                _one(g, g.abs().argmax()) * g.abs()
            ),
            "the largest entry is taken without the absolute value": lambda g: _one(g, g.argmax()),
            "the gradient is divided by its one-norm; the best direction has one entry only": lambda g: (
                g / g.abs().sum()
            ),
            "the smallest coordinate is moved; the largest one gains most": lambda g: _one(g, g.abs().argmin()),
        },
    }
    return slips | {sentence: _with(direction) for sentence, direction in extra[norm].items()}


@task("bias-steepest", "steepest_step(params, grads, hyper)", forbids=LIBRARY)
def check_steepest(answer: Answer) -> None:
    """One small vector in each norm."""
    start = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    gradient = torch.tensor([0.5, -3.0, 0.1], dtype=torch.float64)
    for norm, name in (("linf", "the max norm"), ("l2", "the two-norm"), ("l1", "the one-norm")):
        hyper = {"lr": 0.1, "weight_decay": 0.5, "norm": norm}
        with answer.checking(name):
            step_is_right(answer, start, gradient, hyper)
        with answer.checking(f"{name}: a gradient of zero"):
            step_is_right(answer, start, torch.zeros(3, dtype=torch.float64), hyper)
    with answer.checking("the arguments are left as they are"):
        answer.pure(start, gradient, {"lr": 0.1, "weight_decay": 0.5, "norm": "linf"})


def step_is_right(answer: Answer, params: Tensor, grads: Tensor, hyper: dict[str, Any]) -> None:
    """Check ``steepest_step`` at one point."""
    slips = {text: step(params, grads, hyper) for text, step in step_slips(hyper["norm"]).items()}
    same(answer(params, grads, hyper), steepest(params, grads, hyper), "the new params", slips=slips)


# -- where AdamW and Adam with a penalty end -------------------------------------------------------------------


def _ridge(a: Tensor, b: Tensor, lam: float) -> Tensor:
    return a * b / (a + lam)


LIMIT_SLIPS: tuple[dict[str, Callable[[Tensor, Tensor, float], Tensor]], ...] = (
    {
        "that is where Adam with the penalty ends": _ridge,
        "that is the minimiser without any decay; AdamW stays in a box": lambda a, b, lam: b,
        "the half-width of the box is 1 / lam, not lam": lambda a, b, lam: b.clamp(-lam, lam),
        "every weight is put on the wall; those whose minimiser lies inside stay there": lambda a, b, lam: (
            b.sign() / lam
        ),
        "that is soft thresholding, the limit of an l1 penalty": lambda a, b, lam: (
            b.sign() * (b.abs() - lam / a).clamp(min=0)
        ),
        "the negative side of the box is missing": lambda a, b, lam: b.clamp(max=1 / lam),
        "the whole vector is shrunk into the box; each coordinate is clipped by itself": lambda a, b, lam: (
            b / (b.abs().max() * lam).clamp(min=1)
        ),
        "the ridge solution is clipped; AdamW's decay is no penalty": lambda a, b, lam: _ridge(a, b, lam).clamp(
            -1 / lam, 1 / lam
        ),
        "the box is that of the two-norm": lambda a, b, lam: b / (torch.linalg.vector_norm(b) * lam).clamp(min=1),
    },
    {
        "that is where AdamW ends": lambda a, b, lam: b.clamp(-1 / lam, 1 / lam),
        "that is the minimiser without the penalty": lambda a, b, lam: b,
        "the curvatures are missing: a weight with a large a shrinks less": lambda a, b, lam: b / (1 + lam),
        "the penalty is lam / 2 times the square; its gradient is lam x": lambda a, b, lam: _ridge(a, b, 2 * lam),
        "half of the penalty is missing: the gradient of lam / 2 x**2 is lam x": lambda a, b, lam: _ridge(
            a, b, lam / 2
        ),
        "the gradient of the loss is a (x - b): the a is missing in the numerator": lambda a, b, lam: b / (a + lam),
        "the roots of the curvatures do not enter: Adam's scaling multiplies a zero": lambda a, b, lam: (
            a.sqrt() * b / (a.sqrt() + lam)
        ),
        "that is soft thresholding, the limit of an l1 penalty": lambda a, b, lam: (
            b.sign() * (b.abs() - lam / a).clamp(min=0)
        ),
        "the sign: the penalty pulls towards zero": lambda a, b, lam: a * b / (a - lam),
    },
)


@task("bias-limits", "limits(a, b, lam)", forbids=LIBRARY)
def check_limits(answer: Answer) -> None:
    """Three coordinates, lam = 1."""
    a = torch.tensor([1.0, 4.0, 0.5], dtype=torch.float64)
    b = torch.tensor([3.0, -0.5, -2.0], dtype=torch.float64)
    for which, name in enumerate(("the limit of AdamW", "the limit of Adam with the penalty")):
        with answer.checking(name):
            limit_is_right(answer, which, a, b, 1.0)
    with answer.checking("the limit of AdamW for lam = 2"):
        limit_is_right(answer, 0, a, b, 2.0)


def limit_is_right(answer: Answer, which: int, a: Tensor, b: Tensor, lam: float) -> None:
    """Check one of the two limits: 0 for AdamW, 1 for Adam with the penalty."""
    got = answer(a, b, lam)
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        raise CheckFailed("expected two tensors: the limit of AdamW and that of Adam with the penalty")
    right = (b.clamp(-1 / lam, 1 / lam), _ridge(a, b, lam))
    slips = {sentence: wrong(a, b, lam) for sentence, wrong in LIMIT_SLIPS[which].items()}
    same(got[which], right[which], ("the limit of AdamW", "the limit of Adam with the penalty")[which], slips=slips)


# -- least squares ---------------------------------------------------------------------------------------------


DESCENT_SLIPS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "that is the limit from zero; the part of w0 outside the row space is never touched": lambda A, b, w: (
        torch.linalg.pinv(A) @ b
    ),
    "w0 is added to the smallest solution; then A w is not b": lambda A, b, w: w + torch.linalg.pinv(A) @ b,
    "that is the part of w0 outside the row space alone": lambda A, b, w: w - torch.linalg.pinv(A) @ (A @ w),
    "the residual has the wrong sign": lambda A, b, w: w - torch.linalg.pinv(A) @ (b - A @ w),
    "that is the start: gradient descent moves": lambda A, b, w: w,
    "that is one gradient step of rate 1; the limit is asked for": lambda A, b, w: w + A.T @ (b - A @ w),
    "the part of w0 in the row space is kept, the other part is dropped": lambda A, b, w: (
        torch.linalg.pinv(A) @ (A @ w + b)
    ),
}


@task("bias-least-squares", "descent_limit(A, b, w0)", forbids=LIBRARY)
def check_descent(answer: Answer) -> None:
    """One equation in two unknowns."""
    A, b = torch.tensor([[1.0, 1.0]], dtype=torch.float64), torch.tensor([2.0], dtype=torch.float64)
    with answer.checking("x + y = 2 from (0, 0)"):
        descent_is_right(answer, A, b, torch.zeros(2, dtype=torch.float64))
    with answer.checking("x + y = 2 from (3, 1)"):
        descent_is_right(answer, A, b, torch.tensor([3.0, 1.0], dtype=torch.float64))


def descent_is_right(answer: Answer, A: Tensor, b: Tensor, w0: Tensor) -> None:
    """Check ``descent_limit`` at one problem."""
    right = margins.min_norm_solution(A, b, w0)
    got = answer(A, b, w0)
    given = numbers(got, "the limit")
    slips = {sentence: wrong(A, b, w0) for sentence, wrong in DESCENT_SLIPS.items()}
    known = any(
        value.shape == given.shape and torch.allclose(given, value, rtol=1e-7, atol=1e-9) for value in slips.values()
    )
    if given.shape == right.shape and not known and (A @ given - b).abs().max() > 1e-6 * (1 + b.abs().max()):
        raise Unexplained("the limit", "it must solve A w = b, and this does not")
    same(got, right, "the limit", slips=slips, tol=1e-8)


# -- the bracket and its sign ----------------------------------------------------------------------------------


def bracket(beta: float, rho: float, eps: float, g: float) -> float:
    """The bracket of the one-norm term, with epsilon inside the root."""
    at = torch.tensor([g], dtype=torch.float64)
    return 2 * float(modified_equations.bias_coefficient(at, (beta, rho), eps))


def _lag(b: float) -> float:
    return (1 + b) / (1 - b)


def _share(eps: float, g: float) -> float:
    return g**2 / (g**2 + eps)


BRACKET_SLIPS: dict[str, Callable[[float, float, float, float], float]] = {
    "that is the bracket for epsilon 0; multiply the part of rho by the share g**2 / (g**2 + eps)": lambda b, r, e, g: (
        _lag(b) - _lag(r)
    ),
    "the sign: the memory of m penalises, that of v does the opposite": lambda b, r, e, g: -bracket(b, r, e, g),
    "beta and rho are exchanged": lambda b, r, e, g: bracket(r, b, e, g),
    "half of it: the term is (eta / 2) times the bracket": lambda b, r, e, g: bracket(b, r, e, g) / 2,
    "the lags alone: the learning rate adds one half to each, which gives (1 + beta) / (1 - beta)": lambda b, r, e, g: (
        2 * (b / (1 - b) - r / (1 - r) * _share(e, g))
    ),
    "both parts are multiplied by the share; only that of rho is": lambda b, r, e, g: (
        (_lag(b) - _lag(r)) * _share(e, g)
    ),
    "the share is that of epsilon; it must be that of g**2": lambda b, r, e, g: _lag(b) - _lag(r) * (1 - _share(e, g)),
    "the share is that of epsilon outside the root": lambda b, r, e, g: _lag(b) - _lag(r) * abs(g) / (abs(g) + e),
    "epsilon stands inside the root, beside g**2; it is not squared": lambda b, r, e, g: (
        _lag(b) - _lag(r) * g**2 / (g**2 + e**2)
    ),
    "the share is not under a root": lambda b, r, e, g: _lag(b) - _lag(r) * math.sqrt(_share(e, g)),
    "the share belongs to the part of rho": lambda b, r, e, g: _lag(b) * _share(e, g) - _lag(r),
    "the numerators are missing: 1 + beta over 1 - beta": lambda b, r, e, g: 1 / (1 - b) - 1 / (1 - r) * _share(e, g),
}


@task("bias-bracket", "bracket(beta, rho, eps, g)", forbids=LIBRARY)
def check_bracket(answer: Answer) -> None:
    """The defaults without epsilon, and a case with one."""
    with answer.checking("(0.9, 0.999) without epsilon: 19 - 1999"):
        bracket_is_right(answer, 0.9, 0.999, 0.0, 1.0)
    with answer.checking("a huge epsilon leaves (1 + beta) / (1 - beta)"):
        bracket_is_right(answer, 0.9, 0.999, 1e12, 1.0)
    with answer.checking("epsilon of the size of g**2"):
        bracket_is_right(answer, 0.5, 0.8, 0.25, -0.5)


def bracket_is_right(answer: Answer, beta: float, rho: float, eps: float, g: float) -> None:
    """Check ``bracket`` at one point."""
    slips = {sentence: _safely(wrong, beta, rho, eps, g) for sentence, wrong in BRACKET_SLIPS.items()}
    same(answer(beta, rho, eps, g), bracket(beta, rho, eps, g), "the bracket", slips=slips)


def threshold(beta: float, rho: float, eps: float) -> float:
    """The largest gradient at which the bracket is not negative."""
    return math.sqrt(float(modified_equations.sign_threshold((beta, rho))) * eps)


def _critical(b: float, r: float) -> float:
    return _lag(b) / _lag(r)


def _share_at_change(b: float, r: float, eps: float) -> float:
    return _critical(b, r)


THRESHOLD_SLIPS: dict[str, Callable[[float, float, float], float]] = {
    "that is g**2 (or the place for epsilon outside the root); take the root": lambda b, r, e: (
        e * _critical(b, r) / (1 - _critical(b, r))
    ),
    "solve g**2 / (g**2 + eps) = s for g**2: the denominator 1 - s is missing": lambda b, r, e: math.sqrt(
        e * _critical(b, r)
    ),
    "upside down: g**2 = eps s / (1 - s)": lambda b, r, e: math.sqrt(e * (1 - _critical(b, r)) / _critical(b, r)),
    "that is the share of g**2 at the change, not the gradient": _share_at_change,
    "the lags alone: each has (1 + beta) / (1 - beta), not beta / (1 - beta)": lambda b, r, e: math.sqrt(
        e * (b / (1 - b)) / (r / (1 - r) - b / (1 - b))
    ),
    "the numerators are missing: 1 + beta over 1 - beta": lambda b, r, e: math.sqrt(e * (1 - r) / (r - b)),
    "that is the root of epsilon, its size; the exact place of the change is asked for": lambda b, r, e: math.sqrt(e),
    "beta and rho are exchanged": lambda b, r, e: math.sqrt(e * _critical(r, b) / (_critical(r, b) - 1)),
}


@task("bias-threshold", "threshold(beta, rho, eps)", forbids=LIBRARY)
def check_threshold(answer: Answer) -> None:
    """The defaults, a closer pair, and a pair whose bracket is never negative."""
    with answer.checking("the defaults with epsilon 1e-16: about 9.8e-10"):
        threshold_is_right(answer, 0.9, 0.999, 1e-16)
    with answer.checking("(0.9, 0.95): about 0.974 times the root of epsilon"):
        threshold_is_right(answer, 0.9, 0.95, 4.0)
    with answer.checking("beta above rho: never negative"):
        threshold_is_right(answer, 0.95, 0.9, 1.0)


def threshold_is_right(answer: Answer, beta: float, rho: float, eps: float) -> None:
    """Check ``threshold`` at one point."""
    right = threshold(beta, rho, eps)
    got = answer(beta, rho, eps)
    value = numbers(got, "the threshold")
    if math.isinf(right) and value.numel() == 1 and not torch.isinf(value).all():
        raise CheckFailed("the threshold: for these betas the bracket is never negative; math.inf is asked for")
    if not math.isinf(right) and value.numel() == 1 and torch.isinf(value).all():
        raise CheckFailed(
            "the threshold: infinite, but here the bracket becomes negative: the lag of rho is the larger one. "
            "Is the comparison, or the share, the other way round?"
        )
    slips = {sentence: _safely(wrong, beta, rho, eps) for sentence, wrong in THRESHOLD_SLIPS.items()}
    same(got, right, "the threshold", slips=slips)


# -- out of the box --------------------------------------------------------------------------------------------

MOST_GRADIENTS = 5_000
LARGEST = 1e300
RATE = 0.01


@task("bias-leave-box", "leave_the_box(beta1, beta2, lam)", forbids=LIBRARY)
def check_leave_box(answer: Answer) -> None:
    """The defaults with lam = 1."""
    with answer.checking("the default betas, lam = 1"):
        box_is_left(answer, 0.9, 0.999, 1.0)


def box_is_left(answer: Answer, beta1: float, beta2: float, lam: float) -> None:
    """Feed the gradients that the answer gives to AdamW and see how far out the weight gets."""
    gradients = numbers(answer(beta1, beta2, lam), "the gradients")
    if gradients.ndim != 1 or not 1 <= len(gradients) <= MOST_GRADIENTS:
        raise CheckFailed(f"expected a list of 1 to {MOST_GRADIENTS:,} numbers; got the shape {tuple(gradients.shape)}")
    if not torch.isfinite(gradients).all() or gradients.abs().max() > LARGEST:
        raise CheckFailed("a gradient is infinite, not a number, or larger than 1e300")
    if (gradients == 0).all():
        raise CheckFailed("all gradients are zero: nothing moves")
    farthest = lam * reach(gradients.tolist(), beta1, beta2, lam)
    if farthest > 1.05:
        return
    if (gradients == gradients[0]).all():
        hint = (
            "a constant gradient gives steps of at most one learning rate in the long run, and the wall is their limit"
        )
    elif (gradients[1:] * gradients[:-1] < 0).double().mean() > 0.3:
        hint = (
            "the gradients change their sign again and again: in m they cancel, and steps of one sign do not stay long"
        )
    elif (gradients.abs().diff() < 0).double().mean() > 0.9:
        hint = "the gradients fall: m forgets them sooner than v does, so the steps do not stay long. Let them grow"
    elif (gradients != 0).sum() <= 0.1 * len(gradients):
        hint = "after a spike the step is long a few times only: the steps have to stay long"
    elif len(gradients) < 0.5 / (RATE * lam):
        hint = "the run is too short: the weight needs a few times 1 / (lr lam) steps to get there"
    else:
        hint = "the steps are not longer than the learning rate for long enough. For which gradients do they stay long?"
    raise CheckFailed(f"the weight gets {farthest:.3g} half-widths far; more than 1.05 is asked for. {hint}")


def reach(gradients: list[float], beta1: float, beta2: float, lam: float) -> float:
    """How far from 0 AdamW gets (bias-corrected, epsilon 0, rate 0.01), in plain numbers."""
    x = m = farthest = 0.0
    root = 0.0  # the root of v: the squares of gradients near 1e300 would overflow
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        root = math.hypot(math.sqrt(beta2) * root, math.sqrt(1 - beta2) * g)
        step = m / (1 - beta1**t) / (root / math.sqrt(1 - beta2**t)) if root > 0 else 0.0
        x = (1 - RATE * lam) * x - RATE * step
        farthest = max(farthest, abs(x))
    return farthest


def _safely(wrong: Callable[..., float], *arguments: Any) -> float:
    """What a slip gives; NaN, which no answer matches, where it gives nothing."""
    try:
        return wrong(*arguments)
    except (ArithmeticError, ValueError):
        return math.nan
