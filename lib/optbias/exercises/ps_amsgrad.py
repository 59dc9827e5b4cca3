"""Public checks of the problem set on AMSGrad, and the slips that they and the hidden tests can name."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from optbias.exercises import Answer, CheckFailed, Step, numbers, same, same_run, task
from optbias.rules import AMSGrad
from optbias.theory import limit_cycles, online

Hyper = dict[str, Any]
State = dict[str, Any]


def fresh(params: Tensor) -> State:
    """The state before the first step."""
    return {"m": torch.zeros_like(params), "v": torch.zeros_like(params), "v_max": torch.zeros_like(params)}


def amsgrad(params: Tensor, grads: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    """The right step: the library's rule, without bias correction."""
    betas = (hyper["beta1"], hyper["beta2"])
    rule = AMSGrad(lr=hyper["lr"], betas=betas, eps=hyper["eps"], bias_correction=False)
    params, new = rule.equations(params, grads, {"t": 0, **state})
    return params, {key: new[key] for key in ("m", "v", "v_max")}


def slipped(
    *,
    maximum: str = "of v",
    hats: bool = False,
    swapped: bool = False,
    eps: str = "outside",
    root: bool = True,
    square: bool = True,
    weight_m: bool = True,
    weight_v: bool = True,
    keep: tuple[str, ...] = ("m", "v", "v_max"),
    sign: float = 1.0,
) -> Step:
    """AMSGrad with a slip (none by default): what someone with a misconception would write."""

    def step(params: Tensor, grads: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
        beta1, beta2 = hyper["beta1"], hyper["beta2"]
        if swapped:
            beta1, beta2 = beta2, beta1
        m = beta1 * state["m"] + ((1 - beta1) if weight_m else 1.0) * grads
        g2 = grads**2 if square else grads.abs()
        v = beta2 * state["v"] + ((1 - beta2) if weight_v else 1.0) * g2
        if maximum == "stored as v":
            v = torch.maximum(state["v"], v)
        choices = {
            "of v": lambda: torch.maximum(state["v_max"], v),
            "stored as v": lambda: v,
            "none": lambda: v,
            "of the squares": lambda: torch.maximum(state["v_max"], g2),
            "minimum": lambda: torch.minimum(state["v_max"], v),
            "over coordinates": lambda: torch.maximum(state["v_max"], v).max() + torch.zeros_like(v),
            "kept beside, not used": lambda: torch.maximum(state["v_max"], v),
            "of two": lambda: torch.maximum(state["v"], v),
        }
        v_max = choices[maximum]()
        used = v if maximum == "kept beside, not used" else v_max
        # Only the first step can be told here, which has t = 1: the state holds no count.
        m_used, used = (m / (1 - beta1), used / (1 - beta2)) if hats else (m, used)
        if not root:
            below = used + hyper["eps"]
        elif eps == "inside":
            below = (used + hyper["eps"]).sqrt()
        elif eps == "none":
            below = used.sqrt()
        else:
            below = used.sqrt() + hyper["eps"]
        new = {"m": m, "v": v, "v_max": v_max}
        new = {key: new[key] if key in keep else state[key] for key in new}
        return params - sign * hyper["lr"] * m_used / below, new

    return step


SLIPS: dict[str, Step] = {
    "this is Adam: the step must divide by the root of the largest v so far": slipped(maximum="kept beside, not used"),
    "this is Adam: v_max must be the largest v so far": slipped(maximum="none"),
    "the maximum is stored as v: v must go on forgetting, and v_max is kept beside it": slipped(maximum="stored as v"),
    "the maximum is taken of the squared gradients; it must be taken of their average v": slipped(
        maximum="of the squares"
    ),
    "that is the smallest v so far; the largest is wanted": slipped(maximum="minimum"),
    "one maximum for all coordinates: each coordinate has its own": slipped(maximum="over coordinates"),
    "the maximum of the last two v only: compare with the v_max of the state": slipped(maximum="of two"),
    "this form has no bias correction: leave the hats out": slipped(hats=True),
    "v_max is not kept in the state: the next step must find it": slipped(keep=("m", "v")),
    "m is not kept in the state: the next step must find it": slipped(keep=("v", "v_max")),
    "v is not kept in the state: the next step must find it": slipped(keep=("m", "v_max")),
    "the state is returned as it came: m, v and v_max must be the new ones": slipped(keep=()),
    "beta1 and beta2 are swapped: m uses beta1, v uses beta2": slipped(swapped=True),
    "epsilon stands under the root; here it stands beside it": slipped(eps="inside"),
    "epsilon is missing": slipped(eps="none"),
    "the root is missing: divide by the root of v_max": slipped(root=False),
    "v averages |g|; it must average the squares of the gradients": slipped(square=False),
    "m lacks the factor 1 - beta1 before the gradient": slipped(weight_m=False),
    "v lacks the factor 1 - beta2 before the squared gradient": slipped(weight_v=False),
    "the step goes uphill: subtract it": slipped(sign=-1.0),
}
"""What the checks can name. Where several fit, the first is shown."""

LIBRARY = (
    "torch.optim",
    "optbias.rules",
    "optbias.torch_optimizer",
    "optbias.exercises",
    "optbias.theory.online",
    "optbias.theory.limit_cycles",
)
"""Where the answers stand already."""


@task("amsgrad-step", "amsgrad_step(params, grads, state, hyper)", forbids=LIBRARY)
def check_amsgrad_step(answer: Answer) -> None:
    """Small visible examples of each thing that the tests look at."""
    start = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    hyper = {"lr": 0.1, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
    gradients = torch.tensor([[0.3, -4.0, 0.02], [3.0, -2.0, -0.05], [0.1, 0.1, 0.01]], dtype=torch.float64)
    with answer.checking("the first step"):
        same_run(answer, amsgrad, start, gradients[:1], hyper, state=fresh(start), slips=SLIPS, tol=1e-7)
    with answer.checking("three steps, the last gradient small"):
        forgetful = hyper | {"beta2": 0.2}
        same_run(answer, amsgrad, start, gradients, forgetful, state=fresh(start), slips=SLIPS)
    with answer.checking("what the state holds"):
        watched = ("m", "v", "v_max")
        same_run(answer, amsgrad, start, gradients, forgetful, state=fresh(start), watch=watched, slips=SLIPS)
    with answer.checking("a large epsilon"):
        large = hyper | {"eps": 0.5}
        same_run(answer, amsgrad, start, gradients[:1], large, state=fresh(start), slips=SLIPS)
    with answer.checking("a gradient of zero moves nothing"):
        zero = torch.zeros(3, dtype=torch.float64)
        same(answer(start, zero, fresh(start), hyper)[0], start, "params")
    with answer.checking("the arguments are left as they are"):
        answer.pure(start, gradients[0], fresh(start), hyper)


# -- the drift on the three-step game --------------------------------------------------------------------------


def drift(C: float, beta2: float) -> float:
    """Adam's movement per cycle of the slopes C, -1, -1, in learning rates."""
    return float(online.drift_per_cycle(C, beta2))


def _averages(C: float, b: float) -> tuple[float, float, float]:
    return C**2 + b + b**2, 1 + b * C**2 + b**2, 1 + b + b**2 * C**2


def _movement(C: float, averages: Sequence[float]) -> float:
    first, second, third = (math.sqrt(v) for v in averages)
    return -C / first + 1 / second + 1 / third


DRIFT_SLIPS: dict[str, Callable[[float, float], float]] = {
    "the weights of v are not divided by their sum 1 + beta2 + beta2**2": lambda C, b: _movement(C, _averages(C, b)),
    "the factor 1 - beta2 is there, but not the geometric sum over the earlier cycles, 1 / (1 - beta2**3)": (
        lambda C, b: _movement(C, [(1 - b) * v for v in _averages(C, b)])
    ),
    "the sign: a positive slope moves the point to the left": lambda C, b: -drift(C, b),
    "the roots are missing: a step divides by the root of v": lambda C, b: (
        -C * (1 + b + b**2) / _averages(C, b)[0]
        + (1 + b + b**2) / _averages(C, b)[1]
        + (1 + b + b**2) / _averages(C, b)[2]
    ),
    "each step divides by the v before it; in round t the slope enters v first": lambda C, b: _movement(
        C, [v / (1 + b + b**2) for v in (_averages(C, b)[2], *_averages(C, b)[:2])]
    ),
    "that is the movement per round; a cycle has three": lambda C, b: drift(C, b) / 3,
    "that is the movement without a division; Adam divides by the root of v": lambda C, b: 2 - C,
    "the two averages after the small slopes are not the same: the spike is one round old, then two": lambda C, b: (
        _movement(C, [v / (1 + b + b**2) for v in (*_averages(C, b)[:2], _averages(C, b)[1])])
    ),
    "v averages the squares of the slopes: the spike enters as C**2": lambda C, b: _movement(
        C, [v / (1 + b + b**2) for v in (C + b + b**2, 1 + b * C + b**2, 1 + b + b**2 * C)]
    ),
    "one small slope is missing: after the spike there are two": lambda C, b: (
        -C / math.sqrt(_averages(C, b)[0] / (1 + b + b**2)) + 1 / math.sqrt(_averages(C, b)[1] / (1 + b + b**2))
    ),
}


@task("amsgrad-drift", "drift(C, beta2)", forbids=LIBRARY)
def check_drift(answer: Answer) -> None:
    """No memory, the proof's choice of beta2, and a long memory."""
    with answer.checking("without memory all three steps are one learning rate long"):
        drift_is_right(answer, 3.0, 0.0)
    with answer.checking("C = 3 and beta2 = 0.1: about +0.681"):
        drift_is_right(answer, 3.0, 0.1)
    with answer.checking("C = 3 and beta2 = 0.999 is negative"):
        drift_is_right(answer, 3.0, 0.999)


def drift_is_right(answer: Answer, C: float, beta2: float) -> None:
    """Check ``drift`` at one point."""
    slips = {sentence: _safely(wrong, C, beta2) for sentence, wrong in DRIFT_SLIPS.items()}
    same(answer(C, beta2), drift(C, beta2), "the drift", slips=slips)


# -- the break-even --------------------------------------------------------------------------------------------

EIGHT_DIGITS = 1e-8


@functools.lru_cache(maxsize=64)
def _break_even(C: float) -> float:
    return float(online.break_even_beta2(C))


BREAK_EVEN_SLIPS: dict[str, Callable[[float], float]] = {
    "that is the beta2 of the theorem's proof, well below the break-even": lambda C: 1 / (1 + C**2),
    "that is 1 - beta2": lambda C: 1 - _break_even(C),
    "that is the approximation for large C": lambda C: 0.5698 / C,
    "right to a few digits only; eight are asked for": lambda C: round(_break_even(C), 4),
    "that is the memory 1 / (1 - beta2) in rounds": lambda C: 1 / (1 - _break_even(C)),
}


@task("amsgrad-break-even", "break_even(C)", forbids=LIBRARY)
def check_break_even(answer: Answer) -> None:
    """Two spikes that the chapter has, too."""
    with answer.checking("C = 3: about 0.4723"):
        break_even_is_right(answer, 3.0)
    with answer.checking("C = 10: about 0.0983"):
        break_even_is_right(answer, 10.0)


def break_even_is_right(answer: Answer, C: float) -> None:
    """Check ``break_even`` at one point, to eight digits."""
    right = _break_even(C)
    got = numbers(answer(C), "the break-even")
    slips = {sentence: _safely(wrong, C) for sentence, wrong in BREAK_EVEN_SLIPS.items()}
    if got.numel() == 1 and EIGHT_DIGITS * right < abs(got.item() - right) < 2e-3 * right:
        raise CheckFailed(
            "the break-even: right to a few digits only; eight are asked for. Halve the interval more often"
        )
    if got.numel() == 1 and got.item() in (0.0, 1.0):
        raise CheckFailed(
            "the break-even: that is an end of the interval; keep the half in which the sign changes. "
            "If it never changes: are there two small slopes against one spike, with C in its numerator, each over "
            "its own root?"
        )
    same(got, right, "the break-even", slips=slips, tol=EIGHT_DIGITS)


# -- regret ----------------------------------------------------------------------------------------------------


def regret(slopes: Sequence[float], points: Sequence[float]) -> float:
    """The regret on linear losses over [-1, 1]."""
    return _paid(slopes, points) + abs(sum(slopes))


def _paid(slopes: Sequence[float], points: Sequence[float]) -> float:
    return math.fsum(g * x for g, x in zip(slopes, points, strict=True))


REGRET_SLIPS: dict[str, Callable[[Sequence[float], Sequence[float]], float]] = {
    "that compares with the best point of each round; the comparison is with one fixed point": lambda g, x: (
        _paid(g, x) + sum(abs(s) for s in g)
    ),
    "that is what the player paid; subtract what the best fixed point would have paid": _paid,
    "with S the sum of the slopes the best fixed point pays -|S|, whichever sign S has; that is subtracted": (
        lambda g, x: _paid(g, x) - abs(sum(g))
    ),
    "that is the regret per round; the sum is asked for": lambda g, x: regret(g, x) / len(g),
    "that is minus the regret": lambda g, x: -regret(g, x),
    "that compares with the best point among those played; every point of the interval counts": lambda g, x: (
        _paid(g, x) - min(sum(g) * p for p in x)
    ),
    "the last round is missing": lambda g, x: regret(g[:-1], x[:-1]),
    "the first round is missing": lambda g, x: regret(g[1:], x[1:]),
}


@task("amsgrad-regret", "regret(slopes, points)", forbids=LIBRARY)
def check_regret(answer: Answer) -> None:
    """A game of three rounds."""
    with answer.checking("three rounds at 0 pay nothing; -1 would have earned 1"):
        regret_is_right(answer, [3.0, -1.0, -1.0], [0.0, 0.0, 0.0])
    with answer.checking("three rounds in motion"):
        regret_is_right(answer, [3.0, -1.0, -1.0], [1.0, 0.5, -0.25])
    with answer.checking("slopes with a negative sum"):
        regret_is_right(answer, [1.0, -2.0], [0.5, 0.0])


def regret_is_right(answer: Answer, slopes: list[float], points: list[float]) -> None:
    """Check ``regret`` on one game."""
    slips = {sentence: _safely(wrong, slopes, points) for sentence, wrong in REGRET_SLIPS.items()}
    # Sums of opposite signs cancel: the tolerance is that of the terms.
    got = numbers(answer(slopes, points), "the regret")
    right = regret(slopes, points)
    if got.numel() == 1 and abs(got.item() - right) <= 1e-9 * (1 + sum(abs(s) for s in slopes)):
        return
    same(got, right, "the regret", slips=slips)


# -- a game against a given beta2 ------------------------------------------------------------------------------

LONGEST_CYCLE = 100_000


@task("amsgrad-game", "game_against(beta2)", forbids=LIBRARY)
def check_game(answer: Answer) -> None:
    """The default."""
    with answer.checking("a game that breaks beta2 = 0.999"):
        game_breaks(answer, 0.999)
    with answer.checking("a game that breaks beta2 = 0.5"):
        game_breaks(answer, 0.5)


def game_breaks(answer: Answer, beta2: float) -> None:
    """Check that the game which the answer gives is allowed, and that Adam goes to its wrong end."""
    given = numbers(answer(beta2), "the game").reshape(-1)
    if given.numel() != 2:
        raise CheckFailed(f"expected two numbers, C and N; got {given.numel()}")
    C, N = given.tolist()
    if not (math.isfinite(C) and math.isfinite(N)) or N % 1 != 0:
        raise CheckFailed("C must be a finite number and N a whole one, in this order")
    if not 3 <= N <= LONGEST_CYCLE:
        raise CheckFailed(f"N must lie between 3 and {LONGEST_CYCLE:,}; got {N:g}")
    if not C > N - 1:
        raise CheckFailed(
            "C must be larger than N - 1: otherwise +1 is the best fixed point, and Adam is right to go there"
        )
    if float(online.drift_per_cycle(C, beta2, int(N))) > 0:
        return
    if N == 3:
        hint = "A cycle of three rounds is too short: v has not forgotten the spike. Make the spike rarer"
    elif C > 1.5 * N:
        hint = "C is far larger than N - 1, and a larger spike is remembered longer"
    else:
        hint = "The cycle is too short for this beta2: v remembers the spike through all of it"
    raise CheckFailed(f"Adam drifts to the right end, -1, on this game. {hint}")


# -- the two-cycle ---------------------------------------------------------------------------------------------


def amplitude(lr: float, beta1: float, eps: float, c: float) -> float:
    """The amplitude of Adam's orbit on ``c x**2 / 2``, 0 if there is none."""
    try:
        return float(limit_cycles.two_cycle_amplitude(lr, beta1, eps, c))
    except ValueError:
        return 0.0


AMPLITUDE_SLIPS: dict[str, Callable[[float, float, float, float], float]] = {
    "m changes its sign at every step, so m = -(1 - beta1) / (1 + beta1) g, not (1 - beta1) g": lambda lr, b, e, c: max(
        lr * (1 - b) / 2 - e / c, 0.0
    ),
    "that is the length of the jump, 2a": lambda lr, b, e, c: 2 * amplitude(lr, b, e, c),
    "the step is 2a long, not a": lambda lr, b, e, c: max(lr * (1 - b) / (1 + b) - e / c, 0.0),
    "epsilon must be compared with the gradient c a: divide it by c": lambda lr, b, e, c: max(
        lr * (1 - b) / (2 * (1 + b)) - e, 0.0
    ),
    "epsilon is multiplied by c; it must be divided": lambda lr, b, e, c: max(
        lr * (1 - b) / (2 * (1 + b)) - e * c, 0.0
    ),
    "epsilon is missing": lambda lr, b, e, c: lr * (1 - b) / (2 * (1 + b)),
    "that is the orbit without momentum": lambda lr, b, e, c: max(lr / 2 - e / c, 0.0),
    "epsilon shortens the step, so it makes the orbit smaller": lambda lr, b, e, c: (
        lr * (1 - b) / (2 * (1 + b)) + e / c
    ),
    "upside down: momentum makes the orbit smaller": lambda lr, b, e, c: max(lr * (1 + b) / (2 * (1 - b)) - e / c, 0.0),
    "epsilon is added once to a, not twice to the jump": lambda lr, b, e, c: max(
        lr * (1 - b) / (2 * (1 + b)) - e / (2 * c), 0.0
    ),
    "a negative number: there is no orbit for such an epsilon, and 0.0 is asked for": lambda lr, b, e, c: (
        lr * (1 - b) / (2 * (1 + b)) - e / c
    ),
}


@task("amsgrad-two-cycle", "amplitude(lr, beta1, eps, c)", forbids=LIBRARY)
def check_amplitude(answer: Answer) -> None:
    """The default rate, no momentum, and a large epsilon."""
    with answer.checking("the defaults without epsilon: lr / 38"):
        amplitude_is_right(answer, 1e-3, 0.9, 0.0, 1.0)
    with answer.checking("without momentum half a learning rate"):
        amplitude_is_right(answer, 0.1, 0.0, 0.0, 4.0)
    with answer.checking("an epsilon that counts"):
        amplitude_is_right(answer, 1.0, 0.5, 0.1, 2.0)
    with answer.checking("an epsilon that leaves no orbit"):
        amplitude_is_right(answer, 0.1, 0.5, 1.0, 1.0)


def amplitude_is_right(answer: Answer, lr: float, beta1: float, eps: float, c: float) -> None:
    """Check ``amplitude`` at one point."""
    slips = {sentence: _safely(wrong, lr, beta1, eps, c) for sentence, wrong in AMPLITUDE_SLIPS.items()}
    same(answer(lr, beta1, eps, c), amplitude(lr, beta1, eps, c), "the amplitude", slips=slips)


def _safely(wrong: Callable[..., float], *arguments: Any) -> float:
    """What a slip gives; NaN, which no answer matches, where it gives nothing."""
    try:
        return wrong(*arguments)
    except (ArithmeticError, ValueError):
        return math.nan
