"""Public checks of the problem set on momentum, and the slips that they and the hidden tests can name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from optbias.exercises import Answer, CheckFailed, Step, numbers, same, same_run, task
from optbias.rules import Momentum
from optbias.theory import quadratic_dynamics as dynamics

Hyper = dict[str, Any]
State = dict[str, Any]

RULES = ("torch.optim", "optbias.rules", "optbias.torch_optimizer", "optbias.simulate", "optbias.exercises")
"""What the answers that write a rule may not use: rules written by others."""
DYNAMICS = ("optbias.theory.quadratic_dynamics", "optbias.exercises")
"""What the answers about roots may not use."""

FORMS = ("ema", "heavy_ball")
"""The two forms of momentum, as in :class:`optbias.rules.Momentum`."""


def several(answer: Answer, value: Any, names: Sequence[str]) -> tuple[Any, ...]:
    """What an answer returned for these names, a tuple; CheckFailed if it is not as many things."""
    asked = f"{len(names)} things, {', '.join(names)}"
    if value is None:
        raise CheckFailed(f"{answer.shown_as} returned None. Is a return missing?")
    if not isinstance(value, (tuple, list)) or len(value) != len(names):
        raise CheckFailed(f"{answer.shown_as} must return {asked}; got {type(value).__name__}")
    return tuple(value)


# -- The step --------------------------------------------------------------------------------------


def fresh(params: Tensor) -> State:
    """The state before the first step."""
    return {"t": 0, "m": torch.zeros_like(params)}


def momentum(params: Tensor, grads: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    """The right step: the library's rule."""
    return Momentum(hyper["lr"], hyper["beta"], hyper["form"]).equations(params, grads, state)


def slipped(
    *,
    form: str | None = None,
    weight: Callable[[float, int], float] | None = None,
    old_m: bool = False,
    nesterov: bool = False,
    hat: bool = False,
    swapped: bool = False,
    keep: tuple[str, ...] = ("t", "m"),
    rate_inside: bool = False,
    coasts: bool = True,
    sign: float = 1.0,
    rate: Callable[[float, float], float] = lambda lr, beta: lr,
) -> Step:
    """Momentum with a slip: what someone with a misconception would write. ``weight(beta, t)`` is the gradient's."""

    def step(params: Tensor, grads: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
        beta, t = hyper["beta"], state["t"] + 1
        beta = 1 - beta if swapped else beta
        average = (form or hyper["form"]) == "ema"
        share = weight(beta, t) if weight is not None and average else 1 - beta if average else 1.0
        lr = rate(hyper["lr"], hyper["beta"]) if average else hyper["lr"]
        m = beta * state["m"] + (lr if rate_inside else 1.0) * share * grads
        m = m if coasts else torch.where(grads == 0, torch.zeros_like(m), m)
        direction = state["m"] if old_m else beta * m + share * grads if nesterov else m
        if hat and average:
            direction = direction / (1 - beta**t)
        new = {"t": t, "m": m}
        moved = params - sign * (1.0 if rate_inside else lr) * direction
        return moved, {key: new[key] if key in keep else state[key] for key in new}

    return step


STEP_SLIPS: dict[str, Step] = {
    "the average lacks the factor 1 - beta before the gradient: this is the heavy ball": slipped(form="heavy_ball"),
    "the heavy ball has no factor 1 - beta before the gradient: this is the average": slipped(form="ema"),
    "m is not kept in the state: the next step must find it": slipped(keep=("t",)),
    "t is not kept in the state: it must grow by 1 in every step": slipped(keep=("m",)),
    "the state is returned as it came: t and m must be the new ones": slipped(keep=()),
    "the step uses the old m: compute the new one first, then step along it": slipped(old_m=True),
    "beta and 1 - beta are swapped: beta is the share of the old m that stays": slipped(swapped=True),
    "this is Nesterov's form: here the step is the new m itself": slipped(nesterov=True),
    "m is bias-corrected: this average starts from zero and stays as it is": slipped(hat=True),
    "the first gradient enters whole, as with torch's dampening; here 1 - beta weighs it as well": slipped(
        weight=lambda beta, t: 1.0 if t == 1 else 1 - beta
    ),
    "the learning rate is inside the memory; m holds gradients only, and lr multiplies the step": slipped(
        rate_inside=True
    ),
    "the step goes uphill: subtract it": slipped(sign=-1.0),
    "the factor 1 - beta stands there twice": slipped(weight=lambda beta, t: (1 - beta) ** 2),
    "the learning rate of the average is divided by 1 - beta: use lr as it is": slipped(
        rate=lambda lr, beta: lr / (1 - beta)
    ),
    "the params stand still where the gradient is zero: m has to go on, and shrink by beta": slipped(coasts=False),
    "there is no memory in it: this is gradient descent": lambda params, grads, state, hyper: (
        params - hyper["lr"] * grads,
        {"t": state["t"] + 1, "m": grads},
    ),
}
"""What the checks of the step can name."""


@task("momentum-step", "momentum_step(params, grads, state, hyper)", forbids=RULES)
def check_momentum_step(answer: Answer) -> None:
    """Small visible examples of each thing that the tests look at."""
    start = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    gradients = torch.tensor([[0.5, -4.0, 0.0], [0.25, -2.0, -1.0], [1.0, 1.0, 0.5]], dtype=torch.float64)
    for form in FORMS:
        hyper = {"lr": 0.1, "beta": 0.9, "form": form}
        with answer.checking(f"three steps of the form {form!r}"):
            same_run(answer, momentum, start, gradients, hyper, state=fresh(start), slips=STEP_SLIPS)
        with answer.checking(f"what the state of the form {form!r} holds"):
            same_run(answer, momentum, start, gradients, hyper, state=fresh(start), watch=("t", "m"), slips=STEP_SLIPS)
    with answer.checking("a gradient of zero: m shrinks by beta, and the params still move"):
        coasting = {"t": 4, "m": gradients[0]}
        zero = torch.zeros(2, 3, dtype=torch.float64)
        watch = ("params", "m")
        same_run(answer, momentum, start, zero, hyper, state=coasting, watch=watch, slips=STEP_SLIPS)
    with answer.checking("the arguments are left as they are"):
        answer.pure(start, gradients[0], fresh(start), hyper)


# -- Three conventions -----------------------------------------------------------------------------

CONVENTIONS = ("ema", "heavy_ball", "velocity")
"""The conventions of the task on switching."""


def positions(convention: str, lr: float, beta: float, m: float, gradients: Sequence[float]) -> list[float]:
    """Where a run from 0 gets that finds the memory ``m``: its positions after each of the gradients."""
    place, found = 0.0, []
    for g in gradients:
        m = beta * m + {"ema": (1 - beta) * g, "heavy_ball": g, "velocity": lr * g}[convention]
        place -= m if convention == "velocity" else lr * m
        found.append(place)
    return found


def rate_slips(given: str, wanted: str, lr: float, beta: float) -> dict[str, float]:
    """Wrong learning rates after a switch."""
    upside_down = lr / (1 - beta) if given == "ema" else lr * (1 - beta)
    return {
        "the same number means steps of another length in the other form": lr,
        "the factor is 1 - beta, not beta": lr * beta,
        "the factor 1 - beta is upside down: at the same lr the heavy ball takes the longer steps": upside_down,
        "the velocity form and the heavy ball have the same lr": (
            lr * (1 - beta) if wanted == "velocity" else lr / (1 - beta)
        ),
    }


def memory_slips(given: str, wanted: str, lr: float, beta: float, m: float) -> dict[str, float]:
    """Wrong memories after a switch."""
    unchanged = "the memory has to be converted as well: the three forms keep three different things"
    slips = {
        ("ema", "heavy_ball"): {
            "the factor 1 - beta is upside down: a sum is larger than an average": m * (1 - beta),
        },
        ("heavy_ball", "ema"): {
            "the factor 1 - beta is upside down: an average is smaller than a sum": m / (1 - beta),
        },
        ("heavy_ball", "velocity"): {"the velocity is lr times the heavy ball's m, not m over lr": m / lr},
        ("velocity", "heavy_ball"): {"the heavy ball's m is the velocity over lr, not times lr": m * lr},
        ("ema", "velocity"): {
            "1 - beta is there once too often: the step of the average, lr * m, is the velocity": lr * (1 - beta) * m,
            "that is the heavy ball's m: the velocity is its lr times it": m / (1 - beta),
            "the velocity is lr times the heavy ball's m, not m over lr": m / (lr * (1 - beta) ** 2),
            "the step of the average, lr * m, is the velocity: there is no 1 / (1 - beta)": lr * m / (1 - beta),
        },
        ("velocity", "ema"): {
            "that is the heavy ball's m: the average has a factor 1 - beta": m / lr,
            "1 - beta is upside down: an average is smaller than a sum": m / lr / (1 - beta),
        },
    }
    return {unchanged: m, "a memory of zero forgets the run so far": 0.0} | slips.get((given, wanted), {})


@task("momentum-switch", "momentum_switch(given, wanted, lr, beta, m)", forbids=RULES)
def check_momentum_switch(answer: Answer) -> None:
    """Whether the run goes on as if nothing had been switched."""
    gradients = [0.0, 1.0, -2.0, 0.5]
    for given in CONVENTIONS:
        for wanted in CONVENTIONS:
            with answer.checking(f"from {given} to {wanted}, lr = 0.2, beta = 0.75, m = 3: the next four positions"):
                lr, m = several(answer, answer(given, wanted, 0.2, 0.75, 3.0), ("lr", "m"))
                new_lr, new_m = numbers(lr, "lr"), numbers(m, "m")
                if new_lr.numel() != 1 or new_m.numel() != 1:
                    raise CheckFailed("lr and m must be one number each")
                stay = positions(given, 0.2, 0.75, 3.0, gradients)
                switched = positions(wanted, new_lr.item(), 0.75, new_m.item(), gradients)
                same(switched, stay, "positions after the switch")


# -- A steady slope --------------------------------------------------------------------------------


def slope_slips(form: str, lr: float, beta: float, steps: int) -> dict[str, float]:
    """Wrong distances on a slope with gradient 1."""
    b, T = beta, steps
    ema = lr * (T - b * (1 - b**T) / (1 - b))
    slips = {
        "ema": {
            "that is gradient descent's distance: the average starts from zero, and is late": lr * T,
            "that is the distance in the long run: after a finite number of steps the lag is beta (1 - beta^T) / "
            "(1 - beta)": lr * (T - b / (1 - b)),
            "the sum of beta^t runs from t = 1 to T: it is beta (1 - beta^T) / (1 - beta). Or is a step missing?": lr
            * (T - (1 - b**T) / (1 - b)),
            "that is T times the last step; the earlier steps were shorter": lr * T * (1 - b**T),
            "that is the heavy ball's distance: the average has a factor 1 - beta": ema / (1 - b),
        },
        "heavy_ball": {
            "that is the average's distance: the heavy ball's steps are 1 / (1 - beta) times as long": ema,
            "that is the distance at full speed: the ball has to build up its speed first": lr * T / (1 - b),
            "that is gradient descent's distance": lr * T,
            "multiply by 1 / (1 - beta), not by 1 - beta": ema * (1 - b),
            "that is the last step: add up all of them": lr * (1 - b**T) / (1 - b),
        },
        "dampened": {
            "that is the average's distance: the buffer starts with the first gradient undamped": ema,
            "that is the heavy ball's distance: from the second step on the gradient is damped": ema / (1 - b),
            "the surplus of the first gradient is beta + beta^2 + ... + beta^T, not its limit": ema + lr * b / (1 - b),
            "the surplus of the first gradient is beta, not 1": ema + lr * (1 - b**T) / (1 - b),
        },
    }
    return slips[form]


def slope_run(form: str, lr: float, beta: float, steps: int) -> float:
    """The distance on a slope with gradient 1, step by step."""
    place = m = 0.0
    for t in range(1, steps + 1):
        share = 1.0 if form == "heavy_ball" or (form == "dampened" and t == 1) else 1 - beta
        m = beta * m + share
        place += lr * m
    return place


@task("slope-distance", "slope_distance(form, lr, beta, steps)", forbids=RULES)
def check_slope_distance(answer: Answer) -> None:
    """Against a run, step by step."""
    for form in ("ema", "heavy_ball", "dampened"):
        with answer.checking(f"{form}: lr = 0.1, beta = 0.9, 1, 5 and 100 steps"):
            for steps in (1, 5, 100):
                right = slope_run(form, 0.1, 0.9, steps)
                same(
                    answer(form, 0.1, 0.9, steps),
                    right,
                    f"distance after {steps}",
                    slips=slope_slips(form, 0.1, 0.9, steps),
                )


# -- The two roots ---------------------------------------------------------------------------------


def motion_slips(lr_curvature: float, beta: float, form: str) -> dict[str, float]:
    """Wrong rates."""
    x, b = lr_curvature, beta
    a = (1 - b) * x if form == "ema" else x

    def larger(trace: float, det: float) -> float:
        discriminant = complex(trace**2 - 4 * det) ** 0.5
        return max(abs(trace + discriminant), abs(trace - discriminant)) / 2

    discriminant = complex((1 + b - a) ** 2 - 4 * b) ** 0.5
    slips = {
        "the average takes a = (1 - beta) * lr * h": larger(1 + b - x, b) if form == "ema" else math.nan,
        "the heavy ball takes a = lr * h: the factor 1 - beta belongs to the average": (
            larger(1 + b - (1 - b) * x, b) if form != "ema" else math.nan
        ),
        "that is one root; where the other one is larger in size, the other one decides": abs(1 + b - a + discriminant)
        / 2,
        "that is the smaller root: the larger modulus decides": min(
            abs(1 + b - a + discriminant), abs(1 + b - a - discriminant)
        )
        / 2,
        "the product of the roots is beta: a conjugate pair has the modulus sqrt(beta), not beta": b,
        "that is the real part: the modulus of a complex root is asked": abs(1 + b - a) / 2,
        "the constant of the polynomial is +beta: p(z) = z^2 - (1 + beta - a) z + beta": larger(1 + b - a, -b),
        "the sum of the roots is 1 + beta - a, not 1 - a": larger(1 - a, b),
        "that is gradient descent's rate |1 - a|": abs(1 - a),
    }
    return slips


def same_motion(answer: Answer, x: float, beta: float, form: str, kind: bool = True) -> None:
    """Require the rate that the library finds, and (``kind``) the name of the motion."""
    rate, name = several(answer, answer(x, beta, form), ("rate", "the kind of motion"))
    if not kind:
        right = dynamics.rate(x, beta, form).item()
        same(rate, right, "rate", slips=motion_slips(x, beta, form), tol=1e-8)
        return
    wanted = dynamics.REGIMES[int(dynamics.regime(x, beta, form))]
    if not isinstance(name, str):
        raise CheckFailed(f"the kind of motion must be one of {dynamics.REGIMES}; got {type(name).__name__}")
    if name not in dynamics.REGIMES:
        raise CheckFailed(f"the kind of motion must be one of {dynamics.REGIMES}; got {name!r}")
    if name != wanted:
        raise CheckFailed(_wrong_motion(name, wanted))


def _wrong_motion(name: str, wanted: str) -> str:
    if wanted == "not convergent":
        return f"called {name}, but the larger root is not inside the unit circle: look at the modulus first"
    if name == "not convergent":
        return "called not convergent, but both roots are inside the unit circle: |z| < 1, and not z < 1, decides"
    if wanted == "oscillating":
        return f"called {name}, but the roots are a complex pair: look at the sign of the discriminant"
    if name == "oscillating":
        return "called oscillating, but the roots are real: look at the sign of the discriminant"
    return f"called {name}: with real roots the sign of the larger one decides, and the sum of the roots has its sign"


@task("momentum-motion", "momentum_motion(lr_curvature, beta, form)", forbids=DYNAMICS)
def check_momentum_motion(answer: Answer) -> None:
    """The four points of the chapter's phase diagram, and the same in the other form."""
    for x, beta, name in ((0.15, 0.25, "monotone"), (0.5, 0.75, "oscillating"), (2.25, 0.2, "alternating")):
        with answer.checking(f"heavy ball, lr * h = {x}, beta = {beta}: the rate"):
            same_motion(answer, x, beta, "heavy_ball", kind=False)
        with answer.checking(f"the same: {name}"):
            same_motion(answer, x, beta, "heavy_ball")
        with answer.checking(f"the average with lr * h = {x}/(1 - beta) moves alike"):
            same_motion(answer, x / (1 - beta), beta, "ema", kind=False)
            same_motion(answer, x / (1 - beta), beta, "ema")
    with answer.checking("heavy ball, lr * h = 2.85, beta = 0.4: not convergent"):
        same_motion(answer, 2.85, 0.4, "heavy_ball")


# -- Stability -------------------------------------------------------------------------------------


def limit_slips(beta: float, curvature: float, form: str) -> dict[str, float]:
    """Wrong limits of the learning rate."""
    b, h = beta, curvature
    on_curvature = {"heavy_ball": 2 * (1 + b), "ema": 2 * (1 + b) / (1 - b), "nesterov": 2 * (1 + b) / (1 + 2 * b)}
    wedge = (1 + math.sqrt(b)) ** 2
    own = {
        "heavy_ball": {
            "that is gradient descent's limit: momentum changes it": 2 / h,
            "that is the average's limit: the heavy ball's steps are longer by 1 / (1 - beta)": on_curvature["ema"] / h,
            "more momentum gives the heavy ball more room, not less: p(-1) > 0": 2 * (1 - b) / h,
            "p(-1) = 2 (1 + beta) - a: there is a factor 2": (1 + b) / h,
            "that is where the roots become real again; they stay inside the unit circle for a while": wedge / h,
        },
        "ema": {
            "that is gradient descent's limit: momentum changes it": 2 / h,
            "that is the heavy ball's limit: the average's steps are shorter by 1 - beta": 2 * (1 + b) / h,
            "divide by 1 - beta, do not multiply: the average's steps are shorter": 2 * (1 + b) * (1 - b) / h,
            "p(-1) = 2 (1 + beta) - a: the numerator is 2 (1 + beta), not 2": 2 / (1 - b) / h,
            "p(-1) = 2 (1 + beta) - a: there is a factor 2": (1 + b) / (1 - b) / h,
            "that is where the roots become real again; they stay inside the unit circle for a while": wedge
            / (1 - b)
            / h,
        },
        "nesterov": {
            "that is gradient descent's limit: the product of Nesterov's roots is beta (1 - a), and not beta": 2 / h,
            "that is the heavy ball's limit: Nesterov's gradient is taken elsewhere": 2 * (1 + b) / h,
            "Nesterov's form is a heavy ball here, without the factor 1 - beta": on_curvature["nesterov"] / (1 - b) / h,
            "-s < 1 + q reads (1 + 2 beta)(a - 1) < 1: there is a factor 2": (1 + b) / (1 + 2 * b) / h,
        },
    }
    return {"the limit is on lr * h: divide by the curvature": on_curvature[form]} | own[form]


@task("stable-rate", "stable_rate(beta, curvature, form)", forbids=DYNAMICS)
def check_stable_rate(answer: Answer) -> None:
    """Three factors for each form, one of them 0."""
    for form in ("heavy_ball", "ema", "nesterov"):
        shape = "ema" if form == "ema" else "heavy_ball"
        for beta in (0.0, 0.5, 0.9):
            with answer.checking(f"{form}, beta = {beta}, curvature 4: the limit"):
                limit = numbers(answer(beta, 4.0, form), "limit")
                if limit.numel() != 1:
                    raise CheckFailed(f"one number is asked; got shape {tuple(limit.shape)}")
                right = dynamics.stability_limit(beta, shape, nesterov=form == "nesterov") / 4.0
                same(limit, right, "limit", slips=limit_slips(beta, 4.0, form))


# -- The best pair ---------------------------------------------------------------------------------


def pair_slips(smallest: float, largest: float) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """Wrong learning rates (heavy-ball form), wrong betas, wrong rates."""
    low, high = smallest, largest
    kappa, root = high / low, math.sqrt(high / low)
    r = (root - 1) / (root + 1)
    descent = (kappa - 1) / (kappa + 1)
    lr = (2 / (math.sqrt(low) + math.sqrt(high))) ** 2
    beta_of = {
        "beta is the square of (sqrt(kappa) - 1) / (sqrt(kappa) + 1): sqrt(beta) is the rate": r,
        "take the root of kappa: momentum turns kappa into sqrt(kappa)": descent**2,
        "that is gradient descent's rate": descent,
        "kappa is largest / smallest: the other way round the sign is wrong, and squared it is not seen": -r,
    }
    lr_of = {
        "that is gradient descent's best rate: momentum has room for a larger one": 2 / (low + high),
        "square 2 / (sqrt(smallest) + sqrt(largest)): lr * h must be a pure number": math.sqrt(lr),
        "that is Nesterov's usual rate": 1 / high,
        "that is the average's lr; asked is the heavy ball's: multiply by 1 - beta": lr / (1 - r**2),
        "the 2 has to be squared too": lr / 4,
    }
    rate_of = {
        "the rate is sqrt(beta), not beta": r**2,
        "that is gradient descent's rate": descent,
        "take the root of kappa": descent,
        "the rate of the loss is the square of this; asked is the rate of the distance": r**2,
    }
    return lr_of, beta_of, rate_of


PAIR = ("lr", "beta", "rate")


@task("best-pair", "best_pair(smallest, largest, form)", forbids=(*DYNAMICS, "scipy"))
def check_best_pair(answer: Answer) -> None:
    """The ravine of the chapter, and whether a neighbour is better."""
    right = dynamics.best_heavy_ball(2.0, 10.0)
    lr_of, beta_of, rate_of = pair_slips(2.0, 10.0)
    for name, wanted, slips in zip(PAIR, right, (lr_of, beta_of, rate_of), strict=True):
        with answer.checking(f"heavy ball, curvatures from 2 to 10: {name}"):
            found = dict(zip(PAIR, several(answer, answer(2.0, 10.0, "heavy_ball"), PAIR), strict=True))
            same(found[name], wanted, name, slips=slips)
    with answer.checking("heavy ball: the rate is the larger root at both ends, and no neighbour does better"):
        lr, beta, rate = (
            numbers(each, name).reshape(-1)
            for each, name in zip(several(answer, answer(2.0, 10.0, "heavy_ball"), PAIR), PAIR, strict=True)
        )
        if not (len(lr) == len(beta) == len(rate) == 1 and 0 <= beta.item() < 0.97 and 0 < lr.item() < 100):
            raise CheckFailed("lr, beta and rate must be one number each, lr > 0 and 0 <= beta < 1")
        ends = lr.item() * torch.tensor([2.0, 10.0], dtype=torch.float64)
        same(dynamics.rate(ends, beta.item()).max(), rate, "the larger root", tol=1e-6)
        for by, more in ((0.97, 0.0), (1.03, 0.0), (1.0, 0.02), (1.0, -0.02)):
            near = min(max(beta.item() + more, 0.0), 0.99)
            if dynamics.rate(by * ends, near).max() < rate.item() - 1e-9:
                raise CheckFailed("a pair close by has a smaller rate: this is not the best one")
    with answer.checking("the average: the same beta and rate, and an lr that gives the same iterates"):
        lr, beta, rate = several(answer, answer(2.0, 10.0, "ema"), PAIR)
        wrong = {"that is the heavy ball's lr: divide it by 1 - beta": right.lr}
        same(lr, right.lr / (1 - right.beta), "lr", slips=wrong)
        same([beta, rate], right[1:], "beta and rate")


# -- Spot the error --------------------------------------------------------------------------------


def deficit_slips(gradients: Sequence[float], lr: float, beta: float) -> dict[str, float]:
    """Wrong answers to how far the average stays behind."""
    m = ema = ball = last = 0.0
    for g in gradients:
        m = beta * m + (1 - beta) * g
        ema += lr * m
        last = g
    ball = ema / (1 - beta)
    plain = lr * sum(gradients)
    count = len(gradients)
    return {
        "that is the distance of the average itself; asked is what it lacks": ema,
        "the average stays behind, it is not ahead: check the sign": ema - plain,
        "that compares with the heavy ball; asked is the average": plain - ball,
        "off by one: the newest gradient has already lost the share beta": (plain - ema) / beta if beta else plain,
        "that compares the last steps, not the distances": lr * (last - m),
        "the powers run the wrong way: the oldest gradient has been made up for almost wholly": lr
        * sum(g * beta ** (k + 1) for k, g in enumerate(gradients)),
        "the learning rate is missing": sum(g * beta ** (count - k) for k, g in enumerate(gradients)),
        "that is the limit on an endless slope with the last gradient": lr * last * beta / (1 - beta),
    }


@task("ema-deficit", "ema_deficit(gradients, lr, beta)", forbids=RULES)
def check_ema_deficit(answer: Answer) -> None:
    """Against runs: one gradient, a slope, a slope that ends."""
    cases = {
        "one gradient of 1": [1.0],
        "five gradients of 1": [1.0] * 5,
        "a slope that becomes flat": [2.0, 1.0, 0.5, 0.0, 0.0, 0.0],
    }
    for name, gradients in cases.items():
        with answer.checking(f"{name}, lr = 0.5, beta = 0.8"):
            ema = -positions("ema", 0.5, 0.8, 0.0, gradients)[-1]
            right = 0.5 * sum(gradients) - ema
            same(answer(gradients, 0.5, 0.8), right, "deficit", slips=deficit_slips(gradients, 0.5, 0.8))
