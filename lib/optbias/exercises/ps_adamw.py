"""Public checks of the problem set on AdamW, and the slips that they and the hidden tests can name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from optbias.exercises import Answer, CheckFailed, Step, numbers, same, same_run, task
from optbias.exercises.ps_adam import SLIPS as ADAM_SLIPS
from optbias.exercises.ps_adam import Hyper, State, adam, fresh
from optbias.losses.landscapes import get
from optbias.rules import Adam, AdamW, Momentum
from optbias.simulate import trajectory
from optbias.theory import box, proximal

RULES = ("torch.optim", "optbias.rules", "optbias.torch_optimizer", "optbias.exercises")
"""What the answers that write a rule may not use: rules written by others."""

# -- AdamW -----------------------------------------------------------------------------------------


def adamw(params: Tensor, grads: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    """The right step: the library's rule."""
    betas = (hyper["beta1"], hyper["beta2"])
    return AdamW(hyper["lr"], betas, hyper["eps"], hyper["weight_decay"]).equations(params, grads, state)


def adam_l2(params: Tensor, grads: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    """Adam with a coupled penalty: the library's rule. Right in one task of the set, a slip in another."""
    betas = (hyper["beta1"], hyper["beta2"])
    return Adam(hyper["lr"], betas, hyper["eps"], hyper["weight_decay"]).equations(params, grads, state)


def _after_adam(finish: Callable[[Tensor, Tensor, float, float], Tensor]) -> Step:
    """A step that computes Adam's without decay and ends in ``finish(params, adam's params, lr, weight_decay)``."""

    def step(params: Tensor, grads: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
        there, new = adam(params, grads, state, hyper)
        return finish(params, there, hyper["lr"], hyper["weight_decay"]), new

    return step


def _beside_decay(slipped_adam: Step) -> Step:
    """A slip in Adam's own part, beside a decay that is right."""

    def step(params: Tensor, grads: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
        there, new = slipped_adam(params, grads, state, hyper)
        return there - hyper["lr"] * hyper["weight_decay"] * params, new

    return step


def _under_penalty(slipped_adam: Step) -> Step:
    """A slip in Adam's own part, fed with the penalised gradient."""

    def step(params: Tensor, grads: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
        return slipped_adam(params, grads + hyper["weight_decay"] * params, state, hyper)

    return step


def scaled_decay(params: Tensor, grads: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    """A formula of slides: the moments see the plain gradient, the decay is divided by the root."""
    there, new = adam(params, grads, state, hyper)
    root = (new["v"] / (1 - hyper["beta2"] ** new["t"])).sqrt() + hyper["eps"]
    return there - hyper["lr"] * hyper["weight_decay"] * params / root, new


def penalty_in_m_only(params: Tensor, grads: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    """The penalty goes through m, and v does not see it."""
    m = adam_l2(params, grads, state, hyper)[1]["m"]
    v = adam(params, grads, state, hyper)[1]["v"]
    return _stepped(params, {"t": state["t"] + 1, "m": m, "v": v}, hyper)


def penalty_in_v_only(params: Tensor, grads: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    """The penalty goes through v, and m does not see it."""
    m = adam(params, grads, state, hyper)[1]["m"]
    v = adam_l2(params, grads, state, hyper)[1]["v"]
    return _stepped(params, {"t": state["t"] + 1, "m": m, "v": v}, hyper)


def effective_rate_decay(params: Tensor, grads: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
    """The decay takes the learning rate into which the hats were moved."""
    there, new = adam(params, grads, state, hyper)
    rate = hyper["lr"] * (1 - hyper["beta2"] ** new["t"]) ** 0.5 / (1 - hyper["beta1"] ** new["t"])
    return there - rate * hyper["weight_decay"] * params, new


def _stepped(params: Tensor, new: State, hyper: Hyper) -> tuple[Tensor, State]:
    m_hat = new["m"] / (1 - hyper["beta1"] ** new["t"])
    v_hat = new["v"] / (1 - hyper["beta2"] ** new["t"])
    return params - hyper["lr"] * m_hat / (v_hat.sqrt() + hyper["eps"]), new


ADAMW_SLIPS: dict[str, Step] = {
    "there is no decay: this is Adam": adam,
    "your decay is coupled: weight_decay * params went into the gradient, and from there into m and v. "
    "Let the moments see grads alone, and shrink the params beside the step": adam_l2,
    "the decay is there twice, in the gradient and beside the step: the moments must see grads alone": _beside_decay(
        adam_l2
    ),
    "your decay is divided by the root: it has to stand beside Adam's step, not inside it": scaled_decay,
    "your m holds the decay: let m see grads alone, and shrink the params beside the step": penalty_in_m_only,
    "your v holds the decay: let v see grads alone": penalty_in_v_only,
    "the decay lacks the learning rate: the factor is 1 - lr * weight_decay": _after_adam(
        lambda params, there, lr, decay: there - decay * params
    ),
    "the params are shrunk after Adam's step; the factor 1 - lr * weight_decay belongs to the params as they "
    "were before it": _after_adam(lambda params, there, lr, decay: (1 - lr * decay) * there),
    "the decay pushes away from zero: check its sign": _after_adam(
        lambda params, there, lr, decay: there + lr * decay * params
    ),
    "the decay is twice too strong: the factor is 1 - lr * weight_decay, without a 2": _after_adam(
        lambda params, there, lr, decay: there - 2 * lr * decay * params
    ),
    "the decay is half of what it should be: the factor is 1 - lr * weight_decay": _after_adam(
        lambda params, there, lr, decay: there - lr * decay * params / 2
    ),
    "the whole result is divided by 1 + lr * weight_decay: that is AdamProx. AdamW multiplies the old params "
    "by 1 - lr * weight_decay": _after_adam(lambda params, there, lr, decay: there / (1 + lr * decay)),
    "the decay factor is an exponential; AdamW's is 1 - lr * weight_decay": _after_adam(
        lambda params, there, lr, decay: there - params + math.exp(-lr * decay) * params
    ),
    "the decay uses the learning rate into which you moved the hats; it takes the plain lr": effective_rate_decay,
} | {sentence: _beside_decay(step) for sentence, step in ADAM_SLIPS.items()}
"""What the checks of AdamW's step can name: slips of the decay, then slips of Adam."""


@task("adamw-step", "adamw_step(params, grads, state, hyper)", forbids=RULES)
def check_adamw_step(answer: Answer) -> None:
    """Small visible examples of each thing that the tests look at."""
    start = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    hyper = {"lr": 0.1, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}
    gradients = torch.tensor([[0.3, -4.0, 0.02], [0.1, -2.0, -0.05], [0.4, 1.0, 0.01]], dtype=torch.float64)
    with answer.checking("three steps without decay are Adam's"):
        same_run(answer, adamw, start, gradients, hyper, state=fresh(start), slips=ADAMW_SLIPS)
    with answer.checking("the first step with weight_decay = 0.5"):
        decayed = hyper | {"weight_decay": 0.5}
        same_run(answer, adamw, start, gradients[:1], decayed, state=fresh(start), slips=ADAMW_SLIPS)
    with answer.checking("three steps with weight_decay = 0.5"):
        same_run(answer, adamw, start, gradients, decayed, state=fresh(start), slips=ADAMW_SLIPS)
    with answer.checking("what the state holds"):
        watch = ("t", "m", "v")
        same_run(answer, adamw, start, gradients, decayed, state=fresh(start), watch=watch, slips=ADAMW_SLIPS)
    with answer.checking("a gradient of zero leaves the decay alone at work"):
        zero = torch.zeros(2, 3, dtype=torch.float64)
        same_run(answer, adamw, start, zero, decayed, state=fresh(start), slips=ADAMW_SLIPS)
    with answer.checking("the arguments are left as they are"):
        answer.pure(start, gradients[0], fresh(start), decayed)


# -- Adam + L2 -------------------------------------------------------------------------------------

L2_SLIPS: dict[str, Step] = {
    "the penalty is missing: this is Adam": adam,
    "this is AdamW: the params shrink beside the step. Here the penalty's gradient, weight_decay * params, "
    "has to be added to grads before m and v are computed": adamw,
    "the penalty is added to the step and divided by the root: the formula of many slides. It has to go through "
    "m and v": scaled_decay,
    "m sees the penalty and v does not: it has to go through both": penalty_in_m_only,
    "v sees the penalty and m does not: it has to go through both": penalty_in_v_only,
    "the penalty's gradient has a 2 in it: the penalty is weight_decay / 2 times the squared norm": (
        lambda params, grads, state, hyper: adam(params, grads + 2 * hyper["weight_decay"] * params, state, hyper)
    ),
    "the penalty's gradient is multiplied by lr: it is weight_decay * params": (
        lambda params, grads, state, hyper: adam(
            params, grads + hyper["lr"] * hyper["weight_decay"] * params, state, hyper
        )
    ),
    "the penalty pushes away from zero: add its gradient": (
        lambda params, grads, state, hyper: adam(params, grads - hyper["weight_decay"] * params, state, hyper)
    ),
} | {sentence: _under_penalty(step) for sentence, step in ADAM_SLIPS.items()}
"""What the checks of Adam with a penalty can name."""


@task("adam-l2-step", "adam_l2_step(params, grads, state, hyper)", forbids=RULES)
def check_adam_l2_step(answer: Answer) -> None:
    """Small visible examples of each thing that the tests look at."""
    start = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    hyper = {"lr": 0.1, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.5}
    gradients = torch.tensor([[0.3, -4.0, 0.02], [0.1, -2.0, -0.05], [0.4, 1.0, 0.01]], dtype=torch.float64)
    with answer.checking("three steps without penalty are Adam's"):
        plain = hyper | {"weight_decay": 0.0}
        same_run(answer, adam_l2, start, gradients, plain, state=fresh(start), slips=L2_SLIPS)
    with answer.checking("three steps with weight_decay = 0.5"):
        same_run(answer, adam_l2, start, gradients, hyper, state=fresh(start), slips=L2_SLIPS)
    with answer.checking("what the state holds"):
        watch = ("t", "m", "v")
        same_run(answer, adam_l2, start, gradients, hyper, state=fresh(start), watch=watch, slips=L2_SLIPS)
    with answer.checking("a gradient of zero leaves the penalty alone at work"):
        zero = torch.zeros(2, 3, dtype=torch.float64)
        same_run(answer, adam_l2, start, zero, hyper, state=fresh(start), slips=L2_SLIPS)
    with answer.checking("the arguments are left as they are"):
        answer.pure(start, gradients[0], fresh(start), hyper)


# -- The strength of the ridge ---------------------------------------------------------------------

GRADIENT_DESCENT = ("gd penalty", "gd full penalty", "gd decay", "gd decay without rate")
MOMENTUM = ("ema penalty", "ema decay", "heavy ball penalty", "heavy ball decay")
ADAPTIVE = ("adam penalty", "adamw inside")
PROGRAMS = GRADIENT_DESCENT + MOMENTUM + ADAPTIVE
"""The programs of the task on the strength, by name; the text of the problem set says what each is."""


def strength_slips(program: str, hyper: Hyper) -> dict[str, float]:
    """Wrong strengths that someone may find for this program."""
    c, lr, beta, eps = hyper["weight_decay"], hyper["lr"], hyper["beta"], hyper["eps"]
    slips = {
        "gd penalty": {
            "this penalty has a half in it, which cancels the 2 of the derivative": 2 * c,
            "where the run ends does not depend on lr": lr * c,
        },
        "gd full penalty": {
            "this penalty has no half in it: its gradient has a factor 2": c,
            "the gradient of c * |theta|^2 is 2 c theta, not c theta / 2": c / 2,
            "where the run ends does not depend on lr": 2 * lr * c,
        },
        "gd decay": {
            "the decay and the step are both multiplied by lr, so that lr cancels at rest": lr * c,
            "the decay and the step are both multiplied by lr, so lr cancels at rest": c / lr,
            "the decay (1 - lr c) theta belongs to a penalty with a half in front": 2 * c,
        },
        "gd decay without rate": {
            "this decay lacks the learning rate that the gradient's step has: at rest c theta = -lr g": c,
            "divide by lr, do not multiply: at rest c theta = -lr g": lr * c,
            "the decay acts once a step, not twice: at rest c theta = -lr g": 2 * c / lr,
        },
        "ema penalty": {
            "a penalty inside the average comes out of it as it went in": (1 - beta) * c,
            "a penalty inside the average comes out of it as it went in: there is no 1 / (1 - beta)": c / (1 - beta),
            "where the run ends does not depend on lr": lr * c,
        },
        "ema decay": {
            "at rest m of the EMA is the gradient itself: the factor 1 - beta belongs to the heavy ball": (
                (1 - beta) * c
            ),
            "at rest m of the EMA is the gradient itself, and not the gradient over 1 - beta": c / (1 - beta),
            "where the run ends does not depend on lr": lr * c,
        },
        "heavy ball penalty": {
            "the penalty and the gradient are summed up alike: the factor cancels": (1 - beta) * c,
            "the penalty and the gradient are summed up alike: 1 / (1 - beta) cancels": c / (1 - beta),
            "where the run ends does not depend on lr": lr * c,
        },
        "heavy ball decay": {
            "m of the heavy ball is a sum: at rest it is g / (1 - beta), while the decay acts once": c,
            "the factor is upside down: at rest c theta = -g / (1 - beta)": c / (1 - beta),
            "the factor is 1 - beta: sum the geometric series 1 + beta + beta^2 + ...": beta * c,
        },
        "adam penalty": {
            "D scales gradient and penalty alike: it changes how fast, and not where the run ends": eps * c,
            "where the run ends does not depend on lr": lr * c,
            "Adam with a penalty is Adam on another loss. It ends where that loss is stationary": 0.0,
        },
        "adamw inside": {
            "AdamW's decay stands beside a step that is divided by |g| + eps. At rest, "
            "weight_decay * theta = -g / (|g| + eps)": c,
            "AdamW does decay inside the box, if next to nothing: solve for g where |g| is much smaller than eps": 0.0,
            "the other way round: at rest c theta = -g / eps where |g| is much smaller than eps": c / eps,
            "at rest c theta = -g / eps: c belongs to it too": eps,
        },
    }
    return slips[program]


def _strength_of_a_run(program: str, hyper: Hyper) -> float:
    """The strength with which a real run of a program on (x - 1)^2 / 2 ends up."""
    lr, beta, c = hyper["lr"], hyper["beta"], hyper["weight_decay"]
    form = "heavy_ball" if program.startswith("heavy") else "ema"
    beta = 0.0 if program.startswith("gd") else beta
    rule = Momentum(lr, beta, form, weight_decay=c, decoupled=program.endswith("decay"))
    one = torch.ones(1, dtype=torch.float64)
    loss = get("quadratic", H=one.reshape(1, 1), minimiser=one)
    end = trajectory(rule, loss, 0 * one, 400)[-1].item()
    return (1 - end) / end


@task("ridge-strength", "ridge_strength(program, hyper)")
def check_ridge_strength(answer: Answer) -> None:
    """Against runs, where runs are short; and by hand."""
    hyper = {"lr": 0.2, "beta": 0.75, "eps": 1e-3, "weight_decay": 0.5}
    for program in ("gd penalty", "gd decay", "ema penalty", "ema decay", "heavy ball penalty", "heavy ball decay"):
        with answer.checking(f"{program}, against a run of 400 steps on (x - 1)^2 / 2"):
            wanted = _strength_of_a_run(program, hyper)
            same(answer(program, hyper), wanted, "strength", slips=strength_slips(program, hyper), tol=1e-8)
    with answer.checking("no program depends on things that it does not use"):
        other = {"lr": 0.2, "beta": 0.1, "eps": 0.7, "weight_decay": 0.5}
        for program in GRADIENT_DESCENT:
            same(answer(program, other), numbers(answer(program, hyper), program), f"{program} with another beta")


# -- Decay and reach -------------------------------------------------------------------------------


def kept_slips(rates: list[float], weight_decay: float) -> dict[str, float]:
    """Wrong shares that are kept."""
    product = math.prod(1 - lr * weight_decay for lr in rates)
    return {
        "that is the limit for small rates: multiply the factors 1 - lr * weight_decay": math.exp(
            -weight_decay * sum(rates)
        ),
        "each step has its own rate, and so its own factor": (1 - rates[0] * weight_decay) ** len(rates),
        "that is the share that is lost; asked is the share that is kept": 1 - product,
        "the decay of a step is lr * weight_decay, not weight_decay": (1 - weight_decay) ** len(rates),
        "factors are multiplied, not added up": 1 - weight_decay * sum(rates),
        "AdamW multiplies by 1 - lr * weight_decay; it does not divide by 1 + lr * weight_decay": 1
        / math.prod(1 + lr * weight_decay for lr in rates),
        "there is a 2 too many: the factor is 1 - lr * weight_decay": math.prod(
            1 - 2 * lr * weight_decay for lr in rates
        ),
    }


def reach_slips(rates: list[float], weight_decay: float) -> dict[str, float]:
    """Wrong distances; ``weight_decay`` must not be 0."""
    lam, total = weight_decay, sum(rates)
    late = forgetful = 0.0
    for lr in rates:
        late = (1 - lr * lam) * (late + lr)
        forgetful = (1 - lam) * forgetful + lr
    return {
        "that is the distance without decay, the sum of the rates": total,
        "that is the wall, 1 / weight_decay, which is reached after infinitely many steps only": 1 / lam,
        "the newest step is not shrunk in its own step: the decay acts on the params before it": late,
        "that is the limit for small rates: multiply the factors 1 - lr * weight_decay": (1 - math.exp(-lam * total))
        / lam,
        "each step has its own rate, and so its own factor": (1 - (1 - rates[0] * lam) ** len(rates)) / lam,
        "the steps are not all shrunk equally: the first one meets the decay of all later steps, the last one meets "
        "none": total * math.prod(1 - lr * lam for lr in rates),
        "the decay of a step is lr * weight_decay, not weight_decay": forgetful,
    }


def pair_of_numbers(answer: Answer, value: Any, what: str) -> tuple[Any, Any]:
    """Two numbers that an answer returned; CheckFailed if it returned something else."""
    if value is None:
        raise CheckFailed(f"{answer.shown_as} returned None. Is a return missing?")
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise CheckFailed(f"{answer.shown_as} must return two numbers, {what}; got {type(value).__name__}")
    return value[0], value[1]


@task("decay-reach", "decay_reach(rates, weight_decay)")
def check_decay_reach(answer: Answer) -> None:
    """Two steps by hand, and the two ends."""
    rates = [0.5, 0.25]
    with answer.checking("kept, for the rates 0.5 and 0.25 and weight_decay = 0.4: 0.8 * 0.9"):
        kept, _ = pair_of_numbers(answer, answer(rates, 0.4), "kept and reach")
        same(kept, 0.8 * 0.9, "kept", slips=kept_slips(rates, 0.4))
    with answer.checking("reach, for the same: 0.9 * 0.5 + 0.25"):
        _, reach = pair_of_numbers(answer, answer(rates, 0.4), "kept and reach")
        same(reach, 0.9 * 0.5 + 0.25, "reach", slips=reach_slips(rates, 0.4))
    with answer.checking("without decay everything is kept, and the reach is the sum of the rates"):
        kept, reach = pair_of_numbers(answer, answer(rates, 0.0), "kept and reach")
        same([kept, reach], [1.0, 0.75], "kept and reach")


# -- The proximal view -----------------------------------------------------------------------------

PENALTIES = {"plain": "plain", "weighted": "weighted", "linearised": "weighted_linear"}
"""The penalties of the task, and their names in :data:`optbias.theory.proximal.FORMS`."""


def proximal_right(theta: Tensor, m_hat: Tensor, d: Tensor, lr: float, weight_decay: float, penalty: str) -> Tensor:
    """The right minimiser: the library's closed form."""
    return proximal.minimiser(theta, m_hat, d, lr, weight_decay, PENALTIES[penalty])


def proximal_slips(
    theta: Tensor, m_hat: Tensor, d: Tensor, lr: float, weight_decay: float, penalty: str
) -> dict[str, Tensor]:
    """Wrong minimisers for this penalty."""
    y, shrink = theta - lr * d * m_hat, lr * weight_decay
    upside_down = theta - lr * m_hat / d
    slips = {
        "there is no decay in it: the penalty depends on x, so its gradient enters": y,
        "the metric is upside down: the squared distance is divided by d, so the step is multiplied by it": {
            "plain": upside_down / (1 + shrink / d),
            "weighted": upside_down / (1 + shrink),
            "linearised": upside_down - shrink * theta,
        }[penalty],
    }
    if penalty == "plain":
        slips |= {
            "the plain penalty is not measured in the metric of 1/d: multiply its gradient by lr * d": y / (1 + shrink),
            "d stands in the wrong place: multiply the stationarity condition by lr * d": y / (1 + shrink / d),
            "the penalty's gradient is taken at the old point theta; it belongs to the x that is sought": (
                y - shrink * d * theta
            ),
            "the penalty has a half in it: its gradient is weight_decay * x": y / (1 + 2 * shrink * d),
        }
    elif penalty == "weighted":
        slips |= {
            "the penalty is weighted by 1/d, which cancels the d of the step": y / (1 + shrink * d),
            "the penalty's gradient is taken at the old point theta (that is AdamW); it belongs to the x that is "
            "sought": y - shrink * theta,
            "the equation for x is linear: solve it, and divide by 1 + lr * weight_decay": (1 - shrink) * y,
            "the penalty has a half in it: its gradient is weight_decay * x / d": y / (1 + 2 * shrink),
        }
    else:
        slips |= {
            "the linear penalty's gradient is constant: it is taken at theta, and not at the x that is sought": (
                y / (1 + shrink)
            ),
            "the weights 1/d cancel the d of the step: the decay of AdamW is not scaled": y - shrink * d * theta,
            "the decay acts on theta, not on the point after Adam's step": (1 - shrink) * y,
        }
    return slips


@task(
    "proximal-step",
    "proximal_step(theta, m_hat, d, lr, weight_decay, penalty)",
    forbids=("optbias.theory.proximal", "optbias.exercises"),
)
def check_proximal_step(answer: Answer) -> None:
    """One small problem, and whether the result is a minimum at all."""
    theta = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    m_hat = torch.tensor([0.5, 1.0, -1.0], dtype=torch.float64)
    d = torch.tensor([2.0, 0.5, 1.0], dtype=torch.float64)
    for penalty, form in PENALTIES.items():
        given = (theta, m_hat, d, 0.2, 0.5, penalty)
        with answer.checking(f"penalty {penalty!r}: theta = (1, -2, 0.5), lr = 0.2, weight_decay = 0.5"):
            same(answer(*given), proximal_right(*given), "x", slips=proximal_slips(*given))
        with answer.checking(f"penalty {penalty!r}: no small move in any direction makes the objective smaller"):
            here = numbers(answer(*given), "x")
            if here.shape != theta.shape:
                raise CheckFailed(f"x must have the shape of theta, {tuple(theta.shape)}; got {tuple(here.shape)}")
            moves = 1e-3 * torch.cat([torch.eye(3, dtype=torch.float64), -torch.eye(3, dtype=torch.float64)])
            values = proximal.objective(torch.stack([here, *(here + moves)]), *given[:5], form)
            if not values[0] <= values[1:].min():
                raise CheckFailed("it does: this x is not the minimiser")


# -- Where AdamW rests -----------------------------------------------------------------------------


def rest_slips(curvature: Tensor, centre: Tensor, weight_decay: float, eps: float) -> dict[str, Any]:
    """Wrong resting points; where one coincides with the right point, it explains nothing."""
    a, c, lam, radius = curvature, centre, weight_decay, 1 / weight_decay
    size = c.abs()
    b = a * (1 + lam * size) + eps * lam

    def larger_root() -> Tensor:
        return c.sign() * (b + (b**2 - 4 * a**2 * lam * size).sqrt()) / (2 * a * lam)

    def without_abs() -> Tensor:
        b = a * (1 + lam * c) + eps * lam
        return (b - (b**2 - 4 * a**2 * lam * c).sqrt()) / (2 * a * lam)

    return {
        "that is the ridge solution of strength weight_decay: AdamW does not minimise the penalised loss": (
            a * c / (a + lam)
        ),
        "that is the ridge solution of strength eps * weight_decay, which holds deep inside the box only": (
            a * c / (a + eps * lam)
        ),
        "that is the point of the box next to the centre: right for eps = 0 only": c.clamp(-radius, radius),
        "the quadratic has two roots; the resting point is the one inside the box, |theta| < 1 / weight_decay": (
            larger_root
        ),
        "this holds where theta is positive; the step has |g| in it, so negative centres need the absolute "
        "value too": without_abs,
        "the sign of the centre is lost": lambda: box.eps_minimiser(a, size, lam, eps),
        "the curvature is missing: g = curvature * (theta - centre)": (
            lambda: box.eps_minimiser(torch.ones_like(a), c, lam, eps)
        ),
        "epsilon stands beside the root here, not under it": lambda: box.eps_minimiser(a, c, lam, eps, eps_inside=True),
        "the box has the half-width 1 / weight_decay, not weight_decay": lambda: box.eps_minimiser(a, c, 1 / lam, eps),
        "epsilon enters as eps * weight_decay * theta / (1 - weight_decay * |theta|)": (
            lambda: box.eps_minimiser(a, c, lam, eps / lam)
        ),
        "that is the minimiser of the loss itself: the decay is left out": c,
    }


@task(
    "adamw-rest-point",
    "adamw_rest_point(curvature, centre, weight_decay, eps)",
    forbids=("optbias.theory.box", "optbias.exercises"),
)
def check_adamw_rest_point(answer: Answer) -> None:
    """Against a run of AdamW, and the balance of forces."""
    curvature = torch.tensor([1.0, 2.0, 0.5, 3.0], dtype=torch.float64)
    centre = torch.tensor([2.0, 0.3, -5.0, 0.9], dtype=torch.float64)
    slips = rest_slips(curvature, centre, 1.0, 0.5)
    with answer.checking("against a run of AdamW: eps = 0.5, weight_decay = 1, 1500 steps at lr = 0.02"):
        rule = AdamW(0.02, (0.9, 0.9), 0.5, 1.0)
        loss = get("quadratic", H=torch.diag(curvature), minimiser=centre)
        end = trajectory(rule, loss, torch.zeros_like(centre), 1500)[-1]
        same(answer(curvature, centre, 1.0, 0.5), end, "theta", slips=slips, tol=1e-6)
    with answer.checking("at rest weight_decay * theta = -g / (|g| + eps)"):
        theta = numbers(answer(curvature, centre, 2.0, 0.1), "theta")
        if theta.shape != centre.shape:
            raise CheckFailed(f"theta must have the shape of centre, {tuple(centre.shape)}; got {tuple(theta.shape)}")
        g = curvature * (theta - centre)
        same(2.0 * theta, -g / (g.abs() + 0.1), "weight_decay * theta", tol=1e-7)


# -- Spot the error --------------------------------------------------------------------------------


@task("ridge-counterexample", "ridge_counterexample(curvature, weight_decay, distance)")
def check_ridge_counterexample(answer: Answer) -> None:
    """What the three numbers have to be, for one case."""
    given = (2.0, 0.5, 1.0)
    with answer.checking("the centre lies outside the box, |theta| <= 2"):
        centre, _, _ = three_numbers(answer, answer(*given))
        if not centre > 2:
            raise CheckFailed(f"the centre should be larger than 2; got {centre:g}")
    with answer.checking("AdamW's limit lies in the box"):
        _, limit, _ = three_numbers(answer, answer(*given))
        if not abs(limit) <= 2 * (1 + 1e-12):
            raise CheckFailed(f"AdamW cannot rest outside |theta| <= 2; got {limit:g}")
    with answer.checking("f + weight_decay / 2 * theta^2 has the derivative zero at the ridge point"):
        centre, _, ridge = three_numbers(answer, answer(*given))
        same(2.0 * (ridge - centre) + 0.5 * ridge + 1.0, 1.0, "1 + the derivative")
    with answer.checking("the ridge point lies 1 beyond AdamW's limit"):
        _, limit, ridge = three_numbers(answer, answer(*given))
        same(ridge - limit, 1.0, "ridge - limit")


def limit_slips(centre: float, weight_decay: float, ridge: float) -> dict[str, float]:
    """Wrong limits of AdamW, for a centre outside the box."""
    return {
        "that is the minimiser of f: it lies outside the box, and AdamW cannot get there": centre,
        "the box has the half-width 1 / weight_decay, not weight_decay": weight_decay,
        "that is the ridge point: the box stops AdamW before it": ridge,
        "it is the other wall: the loss falls towards its centre": -1 / weight_decay,
    }


def ridge_slips(centre: float, curvature: float, weight_decay: float) -> dict[str, float]:
    """Wrong minimisers of the penalised loss."""
    a, lam, c = curvature, weight_decay, centre
    return {
        "the penalty has a half in it: its derivative is weight_decay * theta": a * c / (a + 2 * lam),
        "the curvature is missing: the derivative of f is curvature * (theta - centre)": c / (1 + lam),
        "curvature and weight_decay are swapped": lam * c / (a + lam),
        "that is AdamW's limit: the ridge point knows no wall": 1 / lam,
        "the penalty pulls towards zero: check the sign of its derivative": a * c / (a - lam) if a != lam else math.inf,
    }


def three_numbers(answer: Answer, value: Any) -> tuple[float, float, float]:
    """Centre, limit and ridge point that an answer returned; CheckFailed if it returned something else."""
    if value is None:
        raise CheckFailed(f"{answer.shown_as} returned None. Is a return missing?")
    if not isinstance(value, (tuple, list)) or len(value) != 3:
        raise CheckFailed(
            f"{answer.shown_as} must return three numbers, centre, limit and ridge point; got {type(value).__name__}"
        )
    found = []
    for what, each in zip(("the centre", "AdamW's limit", "the ridge point"), value, strict=True):
        number = numbers(each, what)
        if number.numel() != 1:
            raise CheckFailed(f"{what} must be one number; got shape {tuple(number.shape)}")
        found.append(number.item())
    return found[0], found[1], found[2]
