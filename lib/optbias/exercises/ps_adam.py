"""Public checks of the problem set on Adam, and the slips that they and the hidden tests can name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from optbias.exercises import Answer, CheckFailed, Step, numbers, same, same_run, task
from optbias.rules import Adam
from optbias.theory import step_size

Hyper = dict[str, Any]
State = dict[str, Any]


def fresh(params: Tensor) -> State:
    """The state before the first step."""
    return {"t": 0, "m": torch.zeros_like(params), "v": torch.zeros_like(params)}


def adam(params: Tensor, grads: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    """The right step: the library's rule."""
    rule = Adam(lr=hyper["lr"], betas=(hyper["beta1"], hyper["beta2"]), eps=hyper["eps"])
    return rule.equations(params, grads, state)


def slipped(
    *,
    hat_m: bool = True,
    hat_v: bool = True,
    t_shift: int = 0,
    t_frozen: bool = False,
    t_stuck: bool = False,
    swapped: bool = False,
    eps: str = "outside",
    root: bool = True,
    square: bool = True,
    one_v: bool = False,
    centred: bool = False,
    largest: str = "",
    sign_only: bool = False,
    weight_m: bool = True,
    weight_v: bool = True,
    keep: tuple[str, ...] = ("t", "m", "v"),
    store_hats: bool = False,
    root_hat_only: bool = False,
    sign: float = 1.0,
    beta2_for_both_hats: bool = False,
    beta1_for_both_hats: bool = False,
) -> Step:
    """Adam with a slip (none by default): what someone with a misconception would write."""

    def step(params: Tensor, grads: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
        beta1, beta2 = hyper["beta1"], hyper["beta2"]
        if swapped:
            beta1, beta2 = beta2, beta1
        t = 1 if t_stuck else state["t"] + 1
        m = beta1 * state["m"] + ((1 - beta1) if weight_m else 1.0) * grads
        seen = (grads - m) ** 2 if centred else grads**2 if square else grads.abs()
        if one_v:
            seen = seen.mean() + 0 * seen
        v = beta2 * state["v"] + ((1 - beta2) if weight_v else 1.0) * seen
        if largest:
            v = torch.maximum(state["v"], v if largest == "average" else (1 - beta2) * seen)
        power = 1 if t_frozen else t + t_shift
        b1 = beta2 if beta2_for_both_hats else beta1
        b2 = beta1 if beta1_for_both_hats else beta2
        m_hat = m / (1 - b1**power) if hat_m else m
        v_hat = v / (1 - b2**power) if hat_v else v
        if not root:
            below = v_hat + hyper["eps"]
        elif eps == "inside":
            below = (v_hat + hyper["eps"]).sqrt()
        elif eps == "beside v":
            below = ((v.sqrt() + hyper["eps"]) / (1 - beta2**power) ** 0.5) if hat_v else v.sqrt() + hyper["eps"]
        elif eps == "none":
            below = v_hat.sqrt()
        else:
            below = v_hat.sqrt() + hyper["eps"]
        if root_hat_only:
            below = v.sqrt() / (1 - beta2**power) + hyper["eps"]
        new = {"t": t, "m": m_hat if store_hats else m, "v": v_hat if store_hats else v}
        new = {key: new[key] if key in keep else state[key] for key in new}
        return params - sign * hyper["lr"] * (grads.sign() if sign_only else m_hat / below), new

    return step


SLIPS: dict[str, Step] = {
    "your v is not bias-corrected: divide it by 1 - beta2**t before the root": slipped(hat_v=False),
    "your m is not bias-corrected: divide it by 1 - beta1**t": slipped(hat_m=False),
    "neither m nor v is bias-corrected: both averages started from zero": slipped(hat_m=False, hat_v=False),
    "t is one too small in the bias correction: the first step has t = 1": slipped(t_shift=-1),
    "t is one too large in the bias correction: the first step has t = 1": slipped(t_shift=1),
    "the bias correction uses t = 1 in every step: t must grow": slipped(t_frozen=True),
    "t is 1 in every step: take it from the state and add 1": slipped(t_stuck=True),
    "t is not kept in the state: it must grow by 1 in every step": slipped(keep=("m", "v")),
    "m is not kept in the state: the next step must find it": slipped(keep=("t", "v")),
    "v is not kept in the state: the next step must find it": slipped(keep=("t", "m")),
    "the state is returned as it came: t, m and v must be the new ones": slipped(keep=()),
    "beta1 and beta2 are swapped: m uses beta1, v uses beta2": slipped(swapped=True),
    "epsilon stands under the root; here it stands beside it": slipped(eps="inside"),
    "epsilon is added before the hat: add it to the root of v_hat": slipped(eps="beside v"),
    "epsilon is missing": slipped(eps="none"),
    "the root is missing: divide by the root of v_hat": slipped(root=False),
    "v averages |g|; it must average the squares of the gradients": slipped(square=False),
    "v is one number for the whole tensor; every entry has its own": slipped(one_v=True),
    "v averages the squares of grads - m; it must average the squares of the gradients themselves": slipped(
        centred=True
    ),
    "v keeps the largest square; it must average": slipped(largest="square"),
    "v never falls: that is AMSGrad; Adam's v forgets": slipped(largest="average"),
    "that is lr * sign(grads), which is right for the first step only; later ones need m_hat and v_hat": slipped(
        sign_only=True
    ),
    "the betas 0.9 and 0.999 are written in: take them from hyper": lambda params, grads, state, hyper: adam(
        params, grads, state, {**hyper, "beta1": 0.9, "beta2": 0.999}
    ),
    "m lacks the factor 1 - beta1 before the gradient": slipped(weight_m=False),
    "v lacks the factor 1 - beta2 before the squared gradient": slipped(weight_v=False),
    "the state holds the hatted averages; keep the plain m and v, the hats are for this step only": slipped(
        store_hats=True
    ),
    "the hat of v stands outside the root: divide v by 1 - beta2**t first, then take the root": slipped(
        root_hat_only=True
    ),
    "the step goes uphill: subtract it": slipped(sign=-1.0),
    "both hats use beta2: m belongs to beta1": slipped(beta2_for_both_hats=True),
    "both hats use beta1: v belongs to beta2": slipped(beta1_for_both_hats=True),
}
"""What the checks can name. Where several fit (the first step forgives much), they are shown together."""


LIBRARY = ("torch.optim", "optbias.rules", "optbias.torch_optimizer", "optbias.exercises", "optbias.theory.step_size")
"""Where the answers stand already."""


@task("adam-step", "adam_step(params, grads, state, hyper)", forbids=LIBRARY)
def check_adam_step(answer: Answer) -> None:
    """Small visible examples of each thing that the tests look at."""
    start = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    hyper = {"lr": 0.1, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
    gradients = torch.tensor([[0.3, -4.0, 0.02], [0.1, -2.0, -0.05], [0.4, 1.0, 0.01]], dtype=torch.float64)
    with answer.checking("the first step is one learning rate against the sign of the gradient"):
        same_run(answer, adam, start, gradients[:1], hyper, state=fresh(start), slips=SLIPS, tol=1e-7)
    with answer.checking("three steps"):
        same_run(answer, adam, start, gradients, hyper, state=fresh(start), slips=SLIPS)
    with answer.checking("what the state holds"):
        same_run(answer, adam, start, gradients, hyper, state=fresh(start), watch=("t", "m", "v"), slips=SLIPS)
    with answer.checking("a large epsilon"):
        large = hyper | {"eps": 0.5}
        same_run(answer, adam, start, gradients, large, state=fresh(start), slips=SLIPS)
    with answer.checking("a gradient of zero moves nothing"):
        zero = torch.zeros(3, dtype=torch.float64)
        same(answer(start, zero, fresh(start), hyper)[0], start, "params")
    with answer.checking("the arguments are left as they are"):
        answer.pure(start, gradients[0], fresh(start), hyper)


# -- the factor without bias correction ------------------------------------------------------------------------


def uncorrected(beta1: float, beta2: float, t: int) -> float:
    """How much longer step t is without the two hats."""
    return float(step_size.uncorrected_step_factor((beta1, beta2), torch.tensor(t)))


UNCORRECTED_SLIPS: dict[str, Callable[[float, float, int], float]] = {
    "upside down: what is asked is the step without hats over the step with them": lambda b1, b2, t: (
        math.sqrt(1 - b2**t) / (1 - b1**t)
    ),
    "the root is missing: v stands under a root, and so does its hat": lambda b1, b2, t: (1 - b1**t) / (1 - b2**t),
    "that is the hat of m alone; dropping the hat of v matters too, and more": lambda b1, b2, t: 1 - b1**t,
    "that is the hat of v alone; the hat of m is dropped too": lambda b1, b2, t: 1 / math.sqrt(1 - b2**t),
    "beta1 and beta2 are swapped": lambda b1, b2, t: (1 - b2**t) / math.sqrt(1 - b1**t),
    "the exponent is one too large: the first step has t = 1": lambda b1, b2, t: (
        (1 - b1 ** (t + 1)) / math.sqrt(1 - b2 ** (t + 1))
    ),
    "that is the factor of the first step; it changes with t": lambda b1, b2, t: (1 - b1) / math.sqrt(1 - b2),
    "that is the approximation for small t; the exact factor is asked for": lambda b1, b2, t: (
        math.sqrt(t) * (1 - b1) / math.sqrt(1 - b2)
    ),
    "both parts stand under the root; only v does": lambda b1, b2, t: math.sqrt((1 - b1**t) / (1 - b2**t)),
}


@task("adam-uncorrected", "uncorrected_factor(beta1, beta2, t)", forbids=LIBRARY)
def check_uncorrected(answer: Answer) -> None:
    """The first step at the defaults, and the twelfth."""
    for t, name in ((1, "the first step at the defaults is about 3.16 times as long"), (12, "the twelfth step")):
        with answer.checking(name):
            factor_is_right(answer, 0.9, 0.999, t)


def factor_is_right(answer: Answer, beta1: float, beta2: float, t: int) -> None:
    """Check ``uncorrected_factor`` at one point."""
    slips = {sentence: _safely(wrong, beta1, beta2, t) for sentence, wrong in UNCORRECTED_SLIPS.items()}
    same(answer(beta1, beta2, t), uncorrected(beta1, beta2, t), f"the factor of step {t}", slips=slips)


# -- the variance of the corrected average ---------------------------------------------------------------------


def variance(beta: float, t: int) -> float:
    """The sum of the squared weights of the corrected average of t numbers."""
    weights = (1 - beta) * torch.tensor(beta, dtype=torch.float64) ** torch.arange(t - 1, -1, -1) / (1 - beta**t)
    return float((weights**2).sum())


VARIANCE_SLIPS: dict[str, Callable[[float, int], float]] = {
    "that is the limit for many steps; at step t the powers of beta still count": lambda b, t: (1 - b) / (1 + b),
    "that is the variance of m, not of m_hat: the weights must add up to 1": lambda b, t: (
        (1 - b) * (1 - b ** (2 * t)) / (1 + b)
    ),
    "the hat enters the variance squared": lambda b, t: (1 - b) * (1 - b ** (2 * t)) / ((1 + b) * (1 - b**t)),
    "that would be the plain mean of t numbers; the weights are not equal": lambda b, t: 1 / t,
    "that is the standard deviation; the variance is asked for": lambda b, t: math.sqrt(variance(b, t)),
    "that is the sum of the weights, not of their squares": lambda b, t: 1.0,
    "the signs of the powers are exchanged": lambda b, t: (1 - b) * (1 - b**t) / ((1 + b) * (1 + b**t)),
    "upside down": lambda b, t: 1 / variance(b, t),
    "one weight too many or too few: g_1 enters with the power t - 1": lambda b, t: variance(b, t + 1),
}


@task("adam-variance", "hat_variance(beta, t)", forbids=LIBRARY)
def check_variance(answer: Answer) -> None:
    """One number, two numbers, many."""
    with answer.checking("one gradient: m_hat is that gradient"):
        variance_is_right(answer, 0.9, 1)
    with answer.checking("two gradients"):
        variance_is_right(answer, 0.5, 2)
    with answer.checking("many gradients"):
        variance_is_right(answer, 0.9, 30)


def variance_is_right(answer: Answer, beta: float, t: int) -> None:
    """Check ``hat_variance`` at one point."""
    slips = {sentence: _safely(wrong, beta, t) for sentence, wrong in VARIANCE_SLIPS.items()}
    same(answer(beta, t), variance(beta, t), f"the variance at t = {t}", slips=slips)


# -- where epsilon takes over ----------------------------------------------------------------------------------


def knee(q: float, eps: float, inside: bool) -> float:
    """The constant gradient on which an Adam step is q learning rates long."""
    return q * math.sqrt(eps / (1 - q**2)) if inside else q * eps / (1 - q)


KNEE_SLIPS: dict[bool, dict[str, Callable[[float, float], float]]] = {
    False: {
        "that is the gradient for epsilon inside the root": lambda q, eps: knee(q, eps, True),
        "that is the gradient for half a step; q may be any fraction": lambda q, eps: eps,
        "the fraction is upside down: for a small q the gradient is small": lambda q, eps: (1 - q) * eps / q,
        "with epsilon outside there is no root to undo": lambda q, eps: math.sqrt(q * eps / (1 - q)),
        "solve g / (g + eps) = q for g: the q in the denominator is missing": lambda q, eps: q * eps,
        "solve g / (g + eps) = q for g: the factor q is missing": lambda q, eps: eps / (1 - q),
    },
    True: {
        "that is the gradient for epsilon outside the root": lambda q, eps: knee(q, eps, False),
        "that is the gradient for half a step; q may be any fraction": lambda q, eps: math.sqrt(eps / 3),
        "about the size of the knee, but not the exact solution of g / sqrt(g**2 + eps) = q": lambda q, eps: math.sqrt(
            eps
        ),
        "q must be squared together with the root: g**2 = q**2 (g**2 + eps)": lambda q, eps: math.sqrt(
            q * eps / (1 - q)
        ),
        "that is g**2; take the root": lambda q, eps: q**2 * eps / (1 - q**2),
        "the factor q before the root is missing": lambda q, eps: math.sqrt(eps / (1 - q**2)),
        "the root belongs to epsilon as well": lambda q, eps: q * eps / math.sqrt(1 - q**2),
        "1 - q**2 stands under the root": lambda q, eps: q * math.sqrt(eps) / (1 - q**2),
    },
}


@task("adam-knee", "knee(q, eps, inside)", forbids=LIBRARY)
def check_knee(answer: Answer) -> None:
    """Half a step and a tenth of one, for both places of epsilon."""
    for inside, place in ((False, "outside"), (True, "inside")):
        for q in (0.5, 0.1):
            with answer.checking(f"epsilon {place} the root, q = {q:g}"):
                knee_is_right(answer, q, 1e-8, inside)


def knee_is_right(answer: Answer, q: float, eps: float, inside: bool) -> None:
    """Check ``knee`` at one point."""
    slips = {sentence: _safely(wrong, q, eps) for sentence, wrong in KNEE_SLIPS[inside].items()}
    same(answer(q, eps, inside), knee(q, eps, inside), "the gradient", slips=slips)


# -- steps longer than the learning rate -----------------------------------------------------------------------

MOST_GRADIENTS = 20_000


@task("adam-long-step", "long_step(beta1, beta2)", forbids=LIBRARY)
def check_long_step(answer: Answer) -> None:
    """The defaults."""
    with answer.checking("at the defaults the last step is longer than 1.3 learning rates"):
        last_step_is_long(answer, 0.9, 0.999)


def last_step_is_long(answer: Answer, beta1: float, beta2: float) -> None:
    """Feed the gradients that the answer gives to Adam and measure the last step."""
    gradients = numbers(answer(beta1, beta2), "the gradients")
    if gradients.ndim != 1 or not 1 <= len(gradients) <= MOST_GRADIENTS:
        raise CheckFailed(f"expected a list of 1 to {MOST_GRADIENTS} numbers; got the shape {tuple(gradients.shape)}")
    if not torch.isfinite(gradients).all():
        raise CheckFailed("a gradient is infinite or not a number")
    # Steps do not depend on the scale of all gradients; this one keeps the squares representable.
    largest = gradients.abs().max()
    if largest == 0:
        raise CheckFailed("all gradients are zero: nothing moves")
    length = last_step(gradients / largest, beta1, beta2)
    if length > 1.3:
        return
    if len(gradients) == 1:
        raise CheckFailed("the first step is always one learning rate long: both hats see one gradient")
    if (gradients == gradients[0]).all():
        raise CheckFailed("a constant gradient gives steps of exactly one learning rate, whatever the betas")
    if (gradients[1:] * gradients[:-1] < 0).double().mean() > 0.3:
        hint = "the gradients change their sign again and again, and in m they cancel; v adds up their squares"
    elif beta1 < beta2 and (gradients.abs().diff() < 0).double().mean() > 0.9:
        hint = "the gradients fall, so v still remembers the large ones when m does not. Let them grow"
    elif len(gradients) < 0.5 / (1 - beta2):
        hint = "v_hat is corrected too, so a short run of gradients is all that it knows. Begin with a long quiet time"
    elif beta1 > beta2:
        hint = "here m remembers longer than v: let v forget what m still knows"
    else:
        hint = "m must have seen the large gradients already, and v not yet. How would you let them grow?"
    raise CheckFailed(f"the last step is {length:.3g} learning rates long; more than 1.3 is asked for. {hint}")


def last_step(gradients: Tensor, beta1: float, beta2: float) -> float:
    """The length of Adam's last step on these gradients in learning rates (epsilon 0, with hats)."""
    ages = torch.arange(len(gradients) - 1, -1, -1, dtype=torch.float64)
    w1 = (1 - beta1) * torch.tensor(beta1, dtype=torch.float64) ** ages / (1 - beta1 ** len(gradients))
    w2 = (1 - beta2) * torch.tensor(beta2, dtype=torch.float64) ** ages / (1 - beta2 ** len(gradients))
    m_hat, v_hat = (w1 * gradients).sum(), (w2 * gradients**2).sum()
    return abs(m_hat.item()) / math.sqrt(v_hat.item()) if v_hat > 0 else 0.0


# -- the sharp bound -------------------------------------------------------------------------------------------

BOUND_SLIPS: dict[str, Callable[[float, float], float]] = {
    "that is one spike after a long quiet time; growing gradients do more": lambda b1, b2: (1 - b1) / math.sqrt(1 - b2),
    "1 holds for equal betas only": lambda b1, b2: 1.0,
    "the sum over beta1**2 / beta2 is missing its root": lambda b1, b2: (
        (1 - b1) / (math.sqrt(1 - b2) * (1 - b1**2 / b2))
    ),
    "the root of 1 - beta2 is missing": lambda b1, b2: (1 - b1) / ((1 - b2) * math.sqrt(1 - b1**2 / b2)),
    "the ratio in the sum is beta1**2 / beta2: Cauchy-Schwarz squares the weights of m": lambda b1, b2: (
        (1 - b1) / math.sqrt((1 - b2) * (1 - b1 / b2))
    ),
    "that is the square of the bound": lambda b1, b2: (1 - b1) ** 2 / ((1 - b2) * (1 - b1**2 / b2)),
    "beta1 and beta2 are swapped": lambda b1, b2: (1 - b2) / math.sqrt((1 - b1) * (1 - b2**2 / b1)),
    "the factor 1 - beta1 of m is missing": lambda b1, b2: 1 / math.sqrt((1 - b2) * (1 - b1**2 / b2)),
    "the factor 1 - beta2 of v is missing": lambda b1, b2: (1 - b1) / math.sqrt(1 - b1**2 / b2),
}


@task("adam-bound", "largest_step(beta1, beta2)", forbids=LIBRARY)
def check_bound(answer: Answer) -> None:
    """The defaults, equal betas, and a pair without a bound."""
    with answer.checking("at the defaults it is about 7.27"):
        bound_is_right(answer, 0.9, 0.999)
    with answer.checking("equal betas"):
        bound_is_right(answer, 0.9, 0.9)
    with answer.checking("a pair without a bound"):
        bound_is_right(answer, 0.99, 0.9)


def bound_is_right(answer: Answer, beta1: float, beta2: float) -> None:
    """Check ``largest_step`` at one point."""
    right = step_size.adam_step_supremum((beta1, beta2))
    got = answer(beta1, beta2)
    value = numbers(got, "the bound")
    if math.isinf(right) and value.numel() == 1 and not torch.isinf(value).all():
        raise CheckFailed("the bound: for these betas there is none. When does the geometric sum diverge?")
    if not math.isinf(right) and value.numel() == 1 and torch.isinf(value).all():
        raise CheckFailed(
            "the bound: infinite, but for these betas there is one: the sum converges where its ratio is below 1. "
            "Is the ratio upside down, or are the betas compared instead of it?"
        )
    slips = {sentence: _safely(wrong, beta1, beta2) for sentence, wrong in BOUND_SLIPS.items()}
    same(got, right, "the bound", slips=slips)


def _safely(wrong: Callable[..., float], *arguments: Any) -> float:
    """What a slip gives; NaN, which no answer matches, where it gives nothing."""
    try:
        return wrong(*arguments)
    except (ArithmeticError, ValueError):
        return math.nan
