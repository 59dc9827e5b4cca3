"""The formulas of the tasks, as families: what an answer that no listed slip explains is compared with."""

from __future__ import annotations

# They are read, taken apart and run elsewhere: types would only stand in the way of reading.
# mypy: disable-error-code="no-untyped-def"
from typing import Any

from optbias.exercises._families import (
    at_largest,
    ceil,
    clamp,
    cos,
    diagonal,
    eigenvalues,
    eigh,
    exp,
    family,
    identity,
    larger,
    largest,
    length,
    log,
    mean,
    sign,
    sin,
    size,
    slip,
    smaller,
    smallest,
    solve,
    sqrt,
    total,
    transposed,
)

inf = float("inf")
nan = float("nan")
ADAM = (
    ("beta1", "beta2"),
    ("m", "m_hat", "grads"),
    ("v", "v_hat"),
    ("m", "v"),
    ("old m", "old v"),
    ("old m", "m"),
    ("old v", "v"),
    ("m_hat", "v_hat"),
)


# -- Adam --------------------------------------------------------------------------------------------------------


@family("adam-step", groups=ADAM, elementwise=True)
def adam_step(params: Any, grads: Any, state: Any, hyper: Any) -> Any:
    """The formula of ``adam-step``."""
    t = state["t"] + 1
    m = slip(
        hyper["beta1"] * state["m"] + (1 - hyper["beta1"]) * grads,
        "m is the gradient itself: there is no memory in it",
        grads,
    )
    v = slip(
        hyper["beta2"] * state["v"] + (1 - hyper["beta2"]) * grads**2,
        "v averages the squares of m; it must average the squares of grads",
        hyper["beta2"] * state["v"] + (1 - hyper["beta2"]) * m**2,
        "v never falls: that is AMSGrad; Adam's v forgets",
        larger(state["v"], hyper["beta2"] * state["v"] + (1 - hyper["beta2"]) * grads**2),
        "v is the squared gradient itself: there is no memory in it",
        grads**2,
    )
    m_hat = slip(m / (1 - hyper["beta1"] ** t), "your m is not bias-corrected: divide it by 1 - beta1**t", m)
    v_hat = slip(v / (1 - hyper["beta2"] ** t), "your v is not bias-corrected: divide it by 1 - beta2**t", v)
    top = slip(
        m_hat,
        "Nesterov's form: the numerator looks ahead, beta1 * m_hat + (1 - beta1) * grads. Adam's is m_hat",
        hyper["beta1"] * m_hat + (1 - hyper["beta1"]) * grads,
        "Nesterov's form: the numerator looks ahead (NAdam). Adam's is m_hat",
        hyper["beta1"] * m_hat + (1 - hyper["beta1"]) * grads / (1 - hyper["beta1"] ** t),
        "the numerator is grads, not m_hat: that is RMSProp, without momentum",
        grads,
        "the old m stands in the numerator; the step uses the new one",
        state["m"],
    )
    below = slip(
        sqrt(v_hat) + hyper["eps"],
        "epsilon stands under the root; here it stands beside it",
        sqrt(v_hat + hyper["eps"]),
        "epsilon is missing",
        sqrt(v_hat),
        "the fourth root of v_hat is taken: the power is 1/2",
        sqrt(sqrt(v_hat)) + hyper["eps"],
    )
    rate = slip(
        hyper["lr"],
        "the learning rate is divided by the root of t",
        hyper["lr"] / sqrt(t),
        "the learning rate is divided by t",
        hyper["lr"] / t,
    )
    return params - rate * (top / below), {"t": t, "m": m, "v": v}


@family("adam-uncorrected", groups=(("beta1", "beta2"),))
def uncorrected_factor(beta1: Any, beta2: Any, t: Any) -> Any:
    """The formula of ``adam-uncorrected``."""
    return slip(
        (1 - beta1**t) / sqrt(1 - beta2**t),
        "that is the hat of m alone",
        1 - beta1**t,
        "that is the step with hats over the step without: upside down",
        sqrt(1 - beta2**t) / (1 - beta1**t),
        "the root stands over the hat of m; it belongs to that of v alone",
        sqrt(1 - beta1**t) / (1 - beta2**t),
        "one root over both hats: it belongs to that of v alone",
        sqrt((1 - beta1**t) / (1 - beta2**t)),
    )


@family("adam-variance")
def hat_variance(beta: Any, t: Any) -> Any:
    """The formula of ``adam-variance``."""
    n = slip(
        t, "one weight is missing: the sum has t of them", t - 1, "one weight too many: the sum has t of them", t + 1
    )
    squares = (1 - beta) ** 2 * (1 - beta ** (2 * n)) / (1 - beta**2)
    return slip(
        squares / (1 - beta**t) ** 2,
        "the weights begin with beta to the power 1; the newest gradient has the power 0",
        beta**2 * squares / (1 - beta**t) ** 2,
        "the hat enters the variance squared",
        squares / (1 - beta**t),
        "that is the variance of m, not of m_hat: the weights must add up to 1",
        squares,
    )


@family("adam-knee")
def knee(q: Any, eps: Any, inside: Any) -> Any:
    """The formula of ``adam-knee``."""
    if inside:
        return slip(q * sqrt(eps / (1 - q**2)), "that is the gradient for epsilon outside the root", q * eps / (1 - q))
    return slip(
        q * eps / (1 - q),
        "that is the gradient for epsilon inside the root",
        q * sqrt(eps / (1 - q**2)),
        "the fraction is upside down: `1 - q` stands where `q` belongs",
        (1 - q) * eps / q,
    )


@family("adam-bound", groups=(("beta1", "beta2"),))
def largest_step(beta1: Any, beta2: Any) -> Any:
    """The formula of ``adam-bound``."""
    ratio = beta1**2 / beta2
    if ratio >= 1:
        return inf
    return (1 - beta1) / sqrt((1 - beta2) * (1 - ratio))


# -- AdamW -------------------------------------------------------------------------------------------------------


@family("adamw-step", groups=ADAM, elementwise=True)
def adamw_step(params: Any, grads: Any, state: Any, hyper: Any) -> Any:
    """The formula of ``adamw-step``."""
    t = state["t"] + 1
    coupled = slip(0.0, "your decay is coupled: it went into the gradient, and from there into m and v", 1.0)
    g = slip(
        grads + coupled * hyper["weight_decay"] * params,
        "the decay is there twice, in the gradient and beside the step",
        grads + hyper["weight_decay"] * params,
    )
    m = slip(
        hyper["beta1"] * state["m"] + (1 - hyper["beta1"]) * g, "m is the gradient itself: there is no memory in it", g
    )
    v = hyper["beta2"] * state["v"] + (1 - hyper["beta2"]) * g**2
    m_hat = slip(m / (1 - hyper["beta1"] ** t), "your m is not bias-corrected: divide it by 1 - beta1**t", m)
    v_hat = slip(v / (1 - hyper["beta2"] ** t), "your v is not bias-corrected: divide it by 1 - beta2**t", v)
    top = slip(
        m_hat,
        "Nesterov's form: the numerator looks ahead, beta1 * m_hat + (1 - beta1) * grads. Adam's is m_hat",
        hyper["beta1"] * m_hat + (1 - hyper["beta1"]) * g,
        "Nesterov's form: the numerator looks ahead (NAdam). Adam's is m_hat",
        hyper["beta1"] * m_hat + (1 - hyper["beta1"]) * g / (1 - hyper["beta1"] ** t),
        "the numerator is grads, not m_hat: that is RMSProp, without momentum",
        g,
    )
    below = slip(
        sqrt(v_hat) + hyper["eps"],
        "epsilon stands under the root; here it stands beside it",
        sqrt(v_hat + hyper["eps"]),
        "epsilon is missing",
        sqrt(v_hat),
    )
    kept = slip(
        1 - (1 - coupled) * hyper["lr"] * hyper["weight_decay"],
        "there is no decay beside the step",
        1,
        "the decay lacks the learning rate: the factor is 1 - lr * weight_decay",
        1 - hyper["weight_decay"],
        "the decay has the square of the learning rate: the factor is 1 - lr * weight_decay",
        1 - hyper["lr"] ** 2 * hyper["weight_decay"],
        "the decay factor is an exponential; AdamW's is 1 - lr * weight_decay",
        exp(-hyper["lr"] * hyper["weight_decay"]),
    )
    shrunk = slip(
        kept * params,
        "the decay takes the sign of the params (an L1 decay); it takes the params themselves",
        params - hyper["lr"] * hyper["weight_decay"] * sign(params),
        "the decay takes grads; it must take the params",
        params - hyper["lr"] * hyper["weight_decay"] * grads,
    )
    step = slip(
        top / below,
        "Adam's step is shrunk as well, that is, the decay acts after it: it belongs to the old params alone",
        kept * (top / below),
    )
    return shrunk - hyper["lr"] * step, {"t": t, "m": m, "v": v}


@family("box-adamw", groups=ADAM, elementwise=True)
def box_adamw(params: Any, grads: Any, state: Any, hyper: Any) -> Any:
    """The formula of ``box-adamw``."""
    t = state["t"] + 1
    coupled = slip(0.0, "your decay is coupled: it went into the gradient, and from there into m and v", 1.0)
    g = slip(
        grads + coupled * hyper["weight_decay"] * params,
        "the decay is there twice, in the gradient and beside the step",
        grads + hyper["weight_decay"] * params,
    )
    m = slip(
        hyper["beta1"] * state["m"] + (1 - hyper["beta1"]) * g, "m is the gradient itself: there is no memory in it", g
    )
    v = hyper["beta2"] * state["v"] + (1 - hyper["beta2"]) * g**2
    m_hat = slip(m / (1 - hyper["beta1"] ** t), "your m is not bias-corrected: divide it by 1 - beta1**t", m)
    v_hat = slip(v / (1 - hyper["beta2"] ** t), "your v is not bias-corrected: divide it by 1 - beta2**t", v)
    top = slip(
        m_hat,
        "Nesterov's form: the numerator looks ahead, beta1 * m_hat + (1 - beta1) * grads. Adam's is m_hat",
        hyper["beta1"] * m_hat + (1 - hyper["beta1"]) * g,
        "Nesterov's form: the numerator looks ahead (NAdam). Adam's is m_hat",
        hyper["beta1"] * m_hat + (1 - hyper["beta1"]) * g / (1 - hyper["beta1"] ** t),
        "the numerator is grads, not m_hat: that is RMSProp, without momentum",
        g,
    )
    below = slip(
        sqrt(v_hat) + hyper["eps"],
        "epsilon stands under the root; here it stands beside it",
        sqrt(v_hat + hyper["eps"]),
        "epsilon is missing",
        sqrt(v_hat),
    )
    kept = slip(
        1 - (1 - coupled) * hyper["lr"] * hyper["weight_decay"],
        "there is no decay beside the step",
        1,
        "the decay lacks the learning rate: the factor is 1 - lr * weight_decay",
        1 - hyper["weight_decay"],
        "the decay is half of what it should be",
        1 - hyper["lr"] * hyper["weight_decay"] / 2,
        "the decay factor is an exponential; AdamW's is 1 - lr * weight_decay",
        exp(-hyper["lr"] * hyper["weight_decay"]),
        "the decay is divided by the root: it stands beside Adam's step, not inside it",
        1 - hyper["lr"] * hyper["weight_decay"] / below,
    )
    whole = kept * params - hyper["lr"] * (top / below)
    moved = slip(
        whole,
        "the whole result is divided by 1 + lr * weight_decay: that is AdamProx",
        (params - hyper["lr"] * (top / below)) / (1 + hyper["lr"] * hyper["weight_decay"]),
        "the decay is applied after Adam's step; it multiplies the old params",
        kept * (params - hyper["lr"] * (top / below)),
    )
    return moved, {"t": t, "m": m, "v": v}


@family("adam-l2-step", groups=ADAM, elementwise=True)
def adam_l2_step(params: Any, grads: Any, state: Any, hyper: Any) -> Any:
    """The formula of ``adam-l2-step``."""
    t = state["t"] + 1
    g = slip(
        grads + hyper["weight_decay"] * params,
        "the penalty's gradient takes the sign of the params (an L1 penalty); it takes the params",
        grads + hyper["weight_decay"] * sign(params),
        "the penalty itself is added, with the square of the params; its gradient belongs there",
        grads + hyper["weight_decay"] * params**2,
        "half of the penalty's square is added; its gradient belongs there",
        grads + hyper["weight_decay"] / 2 * params**2,
        "the penalty is missing in the gradient",
        grads,
        "the penalty's gradient is multiplied by lr: it is weight_decay * params",
        grads + hyper["lr"] * hyper["weight_decay"] * params,
    )
    m = slip(
        hyper["beta1"] * state["m"] + (1 - hyper["beta1"]) * g, "m is the gradient itself: there is no memory in it", g
    )
    seen = slip(
        g**2,
        "v sees the squares of grads and of the penalty one by one; it must see the square of their sum",
        grads**2 + (hyper["weight_decay"] * params) ** 2,
        "v does not see the penalty: it has to go through both",
        grads**2,
    )
    v = hyper["beta2"] * state["v"] + (1 - hyper["beta2"]) * seen
    m_hat = slip(m / (1 - hyper["beta1"] ** t), "your m is not bias-corrected: divide it by 1 - beta1**t", m)
    v_hat = slip(v / (1 - hyper["beta2"] ** t), "your v is not bias-corrected: divide it by 1 - beta2**t", v)
    top = slip(
        m_hat,
        "Nesterov's form: the numerator looks ahead, beta1 * m_hat + (1 - beta1) * grads. Adam's is m_hat",
        hyper["beta1"] * m_hat + (1 - hyper["beta1"]) * g,
        "the numerator is the gradient, not m_hat: that is RMSProp, without momentum",
        g,
    )
    below = slip(
        sqrt(v_hat) + hyper["eps"],
        "epsilon stands under the root; here it stands beside it",
        sqrt(v_hat + hyper["eps"]),
        "epsilon is missing",
        sqrt(v_hat),
    )
    kept = slip(
        params,
        "the params decay beside the step as well, as in AdamW: the penalty is then there twice",
        (1 - hyper["lr"] * hyper["weight_decay"]) * params,
    )
    return kept - hyper["lr"] * top / below, {"t": t, "m": m, "v": v}


PROGRAMS: tuple[str, ...] = (
    "gd penalty",
    "gd full penalty",
    "gd decay",
    "gd decay without rate",
    "ema penalty",
    "ema decay",
)
PROGRAMS += ("heavy ball penalty", "heavy ball decay", "adam penalty", "adamw inside")


@family("ridge-strength", groups=(("lr", "beta", "eps", "weight_decay"),), choices={"program": PROGRAMS})
def ridge_strength(program: Any, hyper: Any) -> Any:
    """The formula of ``ridge-strength``."""
    if program == "gd full penalty":
        return 2 * hyper["weight_decay"]
    if program == "gd decay without rate":
        return hyper["weight_decay"] / hyper["lr"]
    if program == "heavy ball decay":
        return (1 - hyper["beta"]) * hyper["weight_decay"]
    if program == "adamw inside":
        return slip(
            hyper["eps"] * hyper["weight_decay"],
            "the root of epsilon is taken; epsilon stands beside the root, and is not under it",
            sqrt(hyper["eps"]) * hyper["weight_decay"],
            "where the run ends does not depend on lr: that is multiplied by the learning rate",
            hyper["lr"] * hyper["eps"] * hyper["weight_decay"],
        )
    return hyper["weight_decay"]


@family("decay-reach")
def decay_reach(rates: Any, weight_decay: Any) -> Any:
    """The formula of ``decay-reach``."""
    kept = 1.0
    reach = 0.0
    count = 0
    summed = 0.0
    for lr in rates:
        kept = (1 - lr * weight_decay) * kept
        reach = slip(
            (1 - lr * weight_decay) * reach + lr,
            "the newest step is shrunk in its own step; the decay acts on the params before it",
            (1 - lr * weight_decay) * (reach + lr),
            "each push is 1; it is the learning rate of its step",
            (1 - lr * weight_decay) * reach + 1,
            "earlier pushes do not decay: that is the distance without decay",
            reach + lr,
        )
        count = count + 1
        summed = summed + lr
    share = slip(
        kept,
        "the mean of the rates is used in every step; each step has its own rate, and so its own factor",
        (1 - summed / count * weight_decay) ** count,
    )
    far = slip(
        reach,
        "the sum of the rates times what is lost: each push meets the decay of the later steps only",
        (1 - kept) * summed,
    )
    return share, far


@family("proximal-step", choices={"penalty": ("plain", "weighted", "linearised")}, elementwise=True)
def proximal_step(theta: Any, m_hat: Any, d: Any, lr: Any, weight_decay: Any, penalty: Any) -> Any:
    """The formula of ``proximal-step``."""
    y = theta - lr * d * m_hat
    if penalty == "plain":
        return slip(
            y / (1 + lr * weight_decay * d),
            "that is soft thresholding, for an l1 penalty; this one is a square",
            sign(y) * larger(size(y) - lr * weight_decay * d, 0.0),
            "theta alone is divided; the whole result is",
            theta / (1 + lr * weight_decay * d) - lr * d * m_hat,
        )
    if penalty == "weighted":
        return slip(
            y / (1 + lr * weight_decay),
            "theta alone is divided; the whole result is",
            theta / (1 + lr * weight_decay) - lr * d * m_hat,
        )
    return slip(
        y - lr * weight_decay * theta,
        "the decay acts on theta, not on the point after Adam's step",
        y - lr * weight_decay * y,
    )


@family("adamw-rest-point", elementwise=True)
def adamw_rest_point(curvature: Any, centre: Any, weight_decay: Any, eps: Any) -> Any:
    """The formula of ``adamw-rest-point``."""
    wide = weight_decay * size(centre)
    b = slip(
        curvature * (1 + wide) + eps * weight_decay,
        "epsilon enters as eps * weight_decay",
        curvature * (1 + wide) + eps,
    )
    root = sqrt(b**2 - 4 * curvature**2 * wide)
    return slip(
        2 * curvature * centre / (b + root),
        "that is the ridge solution of strength weight_decay: AdamW does not minimise the penalised loss",
        curvature * centre / (curvature + weight_decay),
        "that is the ridge solution of strength eps * weight_decay, which holds deep inside the box only",
        curvature * centre / (curvature + eps * weight_decay),
        "that is a ridge solution with the gradient at 0; at rest it is the gradient at the resting point that counts",
        curvature * centre / (curvature + weight_decay * size(curvature * centre) + eps * weight_decay),
    )


@family("ridge-counterexample", groups=(("curvature", "weight_decay"),))
def ridge_counterexample(curvature: Any, weight_decay: Any, distance: Any) -> Any:
    """The formula of ``ridge-counterexample``."""
    limit = 1 / weight_decay
    ridge = slip(
        limit + distance,
        "the distance is taken as a factor; asked is a difference: ridge point minus limit",
        limit * (1 + distance),
    )
    centre = slip(
        ridge * (curvature + weight_decay) / curvature,
        "the centre is not the ridge point: the penalty pulls it in",
        ridge,
    )
    return centre, limit, ridge


# -- AMSGrad -----------------------------------------------------------------------------------------------------


@family("amsgrad-step", groups=(*ADAM, ("v", "v_max", "old v_max"), ("old v", "old v_max")), elementwise=True)
def amsgrad_step(params: Any, grads: Any, state: Any, hyper: Any) -> Any:
    """The formula of ``amsgrad-step``."""
    m = slip(
        hyper["beta1"] * state["m"] + (1 - hyper["beta1"]) * grads,
        "m is the gradient itself: there is no memory in it",
        grads,
    )
    v = slip(
        hyper["beta2"] * state["v"] + (1 - hyper["beta2"]) * grads**2,
        "the maximum feeds the average: v must go on from the old v, and v_max is kept beside it",
        hyper["beta2"] * state["v_max"] + (1 - hyper["beta2"]) * grads**2,
    )
    v_max = slip(
        larger(state["v_max"], v),
        "this is Adam: v_max must be the largest v so far",
        v,
        "the maximum is taken of the hatted v; this form has no bias correction",
        larger(state["v_max"], v / (1 - hyper["beta2"])),
        "the maximum is taken of the root of v: v_max holds v itself, and the root comes after",
        larger(state["v_max"], sqrt(v)),
        "the mean of the old v_max and v is taken; the larger one is wanted",
        (state["v_max"] + v) / 2,
        "the maximum is taken of the squared gradients, and the old one decays: that is AdaMax",
        larger(hyper["beta2"] * state["v_max"], grads**2),
    )
    top = slip(
        m,
        "m is bias-corrected: this form has no hats",
        m / (1 - hyper["beta1"]),
        "the maximum is taken of m; it belongs to v alone",
        larger(state["m"], m),
        "the numerator is grads, not m: there is no momentum",
        grads,
    )
    below = slip(
        sqrt(v_max) + hyper["eps"],
        "the step divides by the old v_max: the v of this step belongs to it",
        sqrt(state["v_max"]) + hyper["eps"],
        "epsilon stands under the root; here it stands beside it",
        sqrt(v_max + hyper["eps"]),
        "epsilon is missing",
        sqrt(v_max),
    )
    return params - hyper["lr"] * (top / below), {"m": m, "v": v, "v_max": v_max}


@family("amsgrad-drift", groups=(("v1", "v2", "v3"),))
def drift(C: Any, beta2: Any) -> Any:
    """The formula of ``amsgrad-drift``."""
    share = slip(
        (1 - beta2) / (1 - beta2**3),
        "the geometric sum over the earlier cycles is missing: the factor 1 / (1 - beta2**3)",
        1 - beta2,
    )
    one = beta2
    two = beta2**2
    v1 = share * (C**2 + one + two)
    v2 = slip(
        share * (1 + one * C**2 + two),
        "the powers of beta2 are exchanged: after the first small slope the spike is one round old",
        share * (1 + two * C**2 + one),
    )
    v3 = share * (1 + one + two * C**2)
    return slip(
        -C / sqrt(v1) + 1 / sqrt(v2) + 1 / sqrt(v3),
        "each step divides by the v before it; in round t the slope enters v first",
        -C / sqrt(v3) + 1 / sqrt(v1) + 1 / sqrt(v2),
        "one average v for all rounds of the cycle: each round has its own",
        (2 - C) / sqrt((C**2 + 2) / 3),
        "the two small slopes are put together under one root: each step has its own v",
        -C / sqrt(v1) + 2 / sqrt(v2 + v3),
    )


@family("amsgrad-break-even", pairs=False, by_hand=True)
def break_even(C: Any) -> Any:
    """The formula of ``amsgrad-break-even``."""
    low = 0.0
    high = 1.0
    for _ in range(50):
        b = (low + high) / 2
        c2 = slip(C**2, "the spike enters v as its square, C**2: the square is missing", C)
        one = slip(b, "the powers of beta2 are exchanged: the spike is one round old, then two", b**2)
        power = slip(0.5, "the roots are missing: a step divides by the root of v", 1.0)
        v1 = c2 + b + b**2
        v2 = 1 + one * c2 + b + b**2 - one
        v3 = 1 + one + (b + b**2 - one) * c2
        left = slip(
            1 / v2**power + 1 / v3**power,
            "one small slope is missing: after the spike there are two",
            1 / v2**power,
            "both small slopes get the same v: the spike is one round old, then two",
            2 / v3**power,
            "both small slopes get the same v, that of the first: the spike is one round old, then two",
            2 / v2**power,
        )
        right = slip(
            C / v1**power, "the spike's step has the slope C in its numerator: C is missing there", 1 / v1**power
        )
        if left > right:
            low = b
        else:
            high = b
    return low


@family("amsgrad-regret")
def regret(slopes: Any, points: Any) -> Any:
    """The formula of ``amsgrad-regret``."""
    paid = 0.0
    slope = 0.0
    last = 0.0
    worst = 0.0
    for g, x in zip(slopes, points, strict=True):
        paid = paid + slip(
            g * x,
            "what is paid in a round is taken without its sign: gains count too",
            size(g * x),
            "what is paid is squared; losses are linear",
            (g * x) ** 2,
        )
        slope = slope + g
        last = g * x
        worst = worst + size(g)
    shifted = 0.0
    for g, x in zip(slopes[1:], points, strict=False):
        shifted = shifted + g * x
    all_paid = slip(
        paid,
        "the points are shifted by one round: slope t belongs to point t",
        shifted,
        "only the last round is counted; all rounds are paid",
        last,
    )
    best = slip(
        size(slope),
        "with S the sum of the slopes the best fixed point pays -|S|, whichever sign S has",
        slope,
        "the best fixed point pays -|S|, whichever sign S has: +1 is not always the best",
        -slope,
        "that compares with the best point of each round; the comparison is with one fixed point",
        worst,
        "the interval is [-1, 1]: the best fixed point pays -|S|, not -2 |S|",
        2 * size(slope),
        "the best fixed point is not subtracted",
        0.0,
    )
    return all_paid + best


@family("amsgrad-two-cycle")
def amplitude(lr: Any, beta1: Any, eps: Any, c: Any) -> Any:
    """The formula of ``amsgrad-two-cycle``."""
    jump = lr * (1 - beta1) / (1 + beta1)
    a = jump / 2 - eps / c
    return slip(
        larger(a, 0.0),
        "a negative number: there is no orbit for such an epsilon, and 0.0 is asked for",
        a,
        "the absolute value is taken: where the number is negative there is no orbit, and 0.0 is asked for",
        size(a),
    )


# -- implicit bias -----------------------------------------------------------------------------------------------


@family("bias-steepest", choices={"norm": ("linf", "l2", "l1")}, groups=(("lr", "weight_decay"),))
def steepest_step(params: Any, grads: Any, hyper: Any) -> Any:
    """The formula of ``bias-steepest``."""
    if hyper["norm"] == "linf":
        along = slip(
            sign(grads),
            "the direction is scaled by the gradient's one-norm: it must have length 1 in its norm",
            sign(grads) * total(size(grads)),
            "the gradient is divided by its largest entry; the direction has all entries at 1 or -1",
            grads / largest(size(grads)),
        )
    elif hyper["norm"] == "l2":
        along = slip(
            grads / length(grads),
            "the direction is scaled by the gradient's one-norm: it must have length 1 in its norm",
            grads / length(grads) * total(size(grads)),
            "the gradient is divided by its root mean square: the two-norm has no mean in it",
            grads / sqrt(mean(grads**2)),
            "a small number (1e-3) is added to the length: the length is exact",
            grads / (length(grads) + 1e-3),
            "a small number (1e-8) is added to the length: the length is exact",
            grads / (length(grads) + 1e-8),
        )
    else:
        along = slip(
            sign(at_largest(grads, size(grads))),
            "the direction is scaled by the gradient's one-norm: it must have length 1 in its norm",
            sign(at_largest(grads, size(grads))) * total(size(grads)),
            "all entries move, by sign over their number; the best direction has one entry only",
            sign(grads) / len(grads),
            "the largest coordinate keeps its size; its entry must be 1 or -1",
            at_largest(grads, size(grads)),
            "the largest entry is taken without the absolute value",
            sign(at_largest(grads, grads)),
        )
    kept = (1 - hyper["lr"] * hyper["weight_decay"]) * params
    return kept - hyper["lr"] * along


@family("bias-limits", groups=(("a", "b"),))
def limits(a: Any, b: Any, lam: Any) -> Any:
    """The formula of ``bias-limits``."""
    radius = 1 / lam
    box = slip(
        clamp(b, -radius, radius),
        "the box depends on the curvature a here; AdamW's has the half-width 1 / lam for all",
        clamp(b, -radius / a, radius / a),
        "a * b is clipped; the minimiser of the loss is b, whatever the curvature a",
        clamp(a * b, -radius, radius),
        "the wall is at 1 - lam; it is at 1 / lam",
        clamp(b, lam - 1, 1 - lam),
    )
    ridge = a * b / (a + lam)
    return box, ridge


@family("bias-least-squares")
def descent_limit(A: Any, b: Any, w0: Any) -> Any:
    """The formula of ``bias-least-squares``."""
    start = w0
    residual = b - A @ w0
    across = transposed(A)
    return slip(
        start + across @ solve(A @ across, residual),
        "w0 enters twice: the part of w0 in the row space is kept, the other part is dropped",
        across @ solve(A @ across, b + A @ w0),
    )


@family("bias-bracket", groups=(("beta", "rho"),))
def bracket(beta: Any, rho: Any, eps: Any, g: Any) -> Any:
    """The formula of ``bias-bracket``."""
    share = slip(
        g**2 / (g**2 + eps),
        "the share is that of epsilon outside the root",
        size(g) / (size(g) + eps),
        "the share is not under a root",
        size(g) / sqrt(g**2 + eps),
        "the share is that of epsilon; it must be that of g**2",
        eps / (g**2 + eps),
        "the share is squared: it enters once",
        (g**2 / (g**2 + eps)) ** 2,
    )
    first = slip((1 + beta) / (1 - beta), "the lag alone: it is (1 + beta) / (1 - beta)", beta / (1 - beta))
    second = slip((1 + rho) / (1 - rho), "the lag alone: it is (1 + rho) / (1 - rho)", rho / (1 - rho))
    return slip(
        first - second * share,
        "the lags alone: each has (1 + beta) / (1 - beta), not beta / (1 - beta)",
        beta / (1 - beta) - rho / (1 - rho) * share,
        "both fractions are upside down: `1 + beta` belongs over `1 - beta`",
        (1 - beta) / (1 + beta) - (1 - rho) / (1 + rho) * share,
        "the numerators are missing: 1 + beta over 1 - beta",
        1 / (1 - beta) - 1 / (1 - rho) * share,
    )


@family("bias-threshold", groups=(("beta", "rho"),))
def threshold(beta: Any, rho: Any, eps: Any) -> Any:
    """The formula of ``bias-threshold``."""
    share = slip(
        ((1 + beta) / (1 - beta)) / ((1 + rho) / (1 - rho)),
        "the lags alone: each has (1 + beta) / (1 - beta), not beta / (1 - beta)",
        (beta / (1 - beta)) / (rho / (1 - rho)),
        "the numerators are missing: 1 + beta over 1 - beta",
        (1 - rho) / (1 - beta),
        "the share is beta / rho here; each lag has (1 + beta) / (1 - beta)",
        beta / rho,
    )
    if share >= 1:
        return inf
    return slip(
        sqrt(eps * share / (1 - share)),
        "the root of epsilon is missing: epsilon stands under the root with the rest",
        eps * sqrt(share / (1 - share)),
        "the fourth root is taken",
        sqrt(sqrt(eps * share / (1 - share))),
    )


# -- momentum ----------------------------------------------------------------------------------------------------


@family("momentum-step", choices={"form": ("ema", "heavy_ball")}, groups=(("m", "old m", "grads"),), elementwise=True)
def momentum_step(params: Any, grads: Any, state: Any, hyper: Any) -> Any:
    """The formula of ``momentum-step``."""
    t = state["t"] + 1
    share = 1.0
    if hyper["form"] == "ema":
        share = 1 - hyper["beta"]
    m = slip(
        hyper["beta"] * state["m"] + share * grads,
        "there is no memory in it: m is the gradient",
        grads,
        "the old m is not multiplied by beta",
        state["m"] + share * grads,
        "m is bias-corrected in the state: this average starts from zero and stays as it is",
        (hyper["beta"] * state["m"] + share * grads) / (1 - hyper["beta"] ** t),
        "the sign of the gradient in m is turned",
        hyper["beta"] * state["m"] - share * grads,
        "the gradient enters twice",
        hyper["beta"] * state["m"] + 2 * share * grads,
    )
    if hyper["form"] == "ema":
        along = slip(
            m,
            "the average is Nesterov's: the step is the new m itself",
            hyper["beta"] * m + share * grads,
            "m is bias-corrected: this average starts from zero and stays as it is",
            m / (1 - hyper["beta"] ** t),
            "m is bias-corrected in the state: this average starts from zero and stays as it is",
            m,
        )
    else:
        along = slip(
            m,
            "the heavy ball is Nesterov's: here the step is the new m itself",
            hyper["beta"] * m + grads,
            "m is bias-corrected: a heavy ball has no hat",
            m / (1 - hyper["beta"] ** t),
        )
    return params - hyper["lr"] * along, {"t": t, "m": m}


CONVENTIONS = ("ema", "heavy_ball", "velocity")


@family("momentum-switch", choices={"given": CONVENTIONS, "wanted": CONVENTIONS})
def momentum_switch(given: Any, wanted: Any, lr: Any, beta: Any, m: Any) -> Any:
    """The formula of ``momentum-switch``."""
    if given == "ema":
        rate = (1 - beta) * lr
        memory = slip(
            m / (1 - beta), "the memory has to be converted as well: the three forms keep three different things", m
        )
    elif given == "velocity":
        rate = lr
        memory = slip(
            m / lr,
            "the velocity form keeps lr inside its memory: divide by lr once",
            m / lr**2,
            "the velocity has to be converted as well: it holds lr",
            m,
        )
    else:
        rate = lr
        memory = m
    if wanted == "ema":
        return rate / (1 - beta), slip(
            (1 - beta) * memory,
            "the memory has to be converted as well: the three forms keep three different things",
            memory,
        )
    if wanted == "velocity":
        return slip(rate, "the velocity form has a learning rate too, the heavy ball's; it is not 1", 1.0), slip(
            rate * memory,
            "the sign of the velocity is turned",
            -rate * memory,
            "the velocity is lr times m: lr is missing",
            memory,
        )
    return rate, slip(memory, "m is multiplied by beta: the switch itself is no step", beta * memory)


@family("slope-distance", choices={"form": ("ema", "heavy_ball", "dampened")})
def slope_distance(form: Any, lr: Any, beta: Any, steps: Any) -> Any:
    """The formula of ``slope-distance``."""
    lag = slip(
        beta * (1 - beta**steps) / (1 - beta),
        "the sum of beta^t runs from t = 1 to T: a factor beta is missing in the lag",
        (1 - beta**steps) / (1 - beta),
        "the lag is that of an endless slope: after a finite number of steps it is beta (1 - beta^T) / (1 - beta)",
        beta / (1 - beta),
    )
    if form == "dampened":
        return slip(
            lr * steps,
            "that is the average's distance: the buffer starts with the first gradient undamped",
            lr * (steps - lag),
            "with its first gradient whole the dampened form has full speed from the first step on: no 1 - beta",
            lr * steps * (1 - beta),
            "that is the last step: add up all of them",
            lr,
        )
    average = slip(
        lr * (steps - lag),
        "that is the last step: add up all of them",
        lr * (1 - beta**steps),
        "that is T times the last step; the earlier steps were shorter",
        lr * steps * (1 - beta**steps),
    )
    if form == "ema":
        return average
    return slip(
        average / (1 - beta),
        "that is the distance at full speed: the ball has to build up its speed first",
        lr * steps / (1 - beta),
    )


@family("momentum-motion", choices={"form": ("ema", "heavy_ball")})
def momentum_motion(lr_curvature: Any, beta: Any, form: Any) -> Any:
    """The formula of ``momentum-motion``."""
    a = lr_curvature
    if form == "ema":
        a = slip(
            (1 - beta) * lr_curvature,
            "the average takes a = (1 - beta) * lr * h: divided where it must be multiplied",
            lr_curvature / (1 - beta),
            "the average takes a = (1 - beta) * lr * h, not beta times it",
            beta * lr_curvature,
        )
    trace = slip(
        1 + beta - a,
        "the sum of the roots is 1 + beta - a, not (1 + beta)(1 - a): those are Nesterov's",
        (1 + beta) * (1 - a),
        "the sum of the roots is 1 + beta - a, not 1 - a",
        1 - a,
    )
    discriminant = trace**2 - 4 * beta
    if discriminant < 0:
        return slip(sqrt(beta), "a conjugate pair has the modulus sqrt(beta), not beta", beta), "oscillating"
    rate = slip(
        (size(trace) + sqrt(discriminant)) / 2,
        "that is one root; where the other one is larger in size, the other one decides",
        (trace + sqrt(discriminant)) / 2,
        "that is the smaller root: the larger modulus decides",
        (size(trace) - sqrt(discriminant)) / 2,
        "the root of the discriminant is missing",
        (size(trace) + discriminant) / 2,
        "the half of the sum is missing: the roots are (trace +- root) / 2",
        size(trace) + sqrt(discriminant),
    )
    if rate >= 1:
        return rate, "not convergent"
    if trace < 0:
        return rate, "alternating"
    return rate, "monotone"


@family("stable-rate", choices={"form": ("heavy_ball", "ema", "nesterov")})
def stable_rate(beta: Any, curvature: Any, form: Any) -> Any:
    """The formula of ``stable-rate``."""
    limit = slip(
        2 * (1 + beta) / curvature,
        "that is where the roots become real again, (1 + sqrt(beta))**2; they stay inside the unit circle for a while",
        (1 + sqrt(beta)) ** 2 / curvature,
        "beta is squared in the limit: p(-1) = 2 (1 + beta) - a",
        2 * (1 + beta**2) / curvature,
        "the root of the curvature is taken: the limit is on lr * h",
        2 * (1 + beta) / sqrt(curvature),
        "the limit is on lr * h: divide by the curvature, do not multiply",
        2 * (1 + beta) * curvature,
    )
    if form == "ema":
        return limit / (1 - beta)
    if form == "nesterov":
        return slip(
            limit / (1 + 2 * beta),
            "Nesterov's limit has 1 + 2 beta below; the 2 is missing",
            limit / (1 + beta),
            "Nesterov's limit depends on beta below: 1 + 2 beta, not its limit 3",
            limit / 3,
        )
    return limit


@family(
    "best-pair",
    groups=(("smallest", "largest"), ("low", "high"), ("rate", "beta")),
    choices={"form": ("heavy_ball", "ema")},
)
def best_pair(smallest: Any, largest: Any, form: Any) -> Any:
    """The formula of ``best-pair``."""
    low = sqrt(smallest)
    high = sqrt(largest)
    rate = slip(
        (high - low) / (high + low),
        "take the root of kappa: that is gradient descent's rate",
        (largest - smallest) / (largest + smallest),
    )
    beta = slip(rate**2, "beta is the square of the rate, not its root", sqrt(rate))
    lr = slip(
        (2 / (low + high)) ** 2,
        "that is gradient descent's best rate: momentum has room for a larger one",
        2 / (smallest + largest),
        "the roots are missing: square 2 / (sqrt(smallest) + sqrt(largest))",
        4 / (smallest + largest),
        "the roots are missing: square 2 / (sqrt(smallest) + sqrt(largest)), with the roots",
        (2 / (smallest + largest)) ** 2,
        "that is Nesterov's usual rate, 1 / largest",
        1 / largest,
    )
    speed = slip(
        rate,
        "the rate of the loss is the square of this; asked is the rate of the distance: sqrt(beta), not beta",
        rate**2,
    )
    if form == "ema":
        return lr / (1 - beta), beta, speed
    return lr, beta, speed


@family("ema-deficit")
def ema_deficit(gradients: Any, lr: Any, beta: Any) -> Any:
    """The formula of ``ema-deficit``."""
    missing = 0.0
    m = 0.0
    plain = 0.0
    count = 0
    for g in gradients:
        missing = slip(
            beta * (missing + g),
            "off by one: the newest gradient has already lost the share beta",
            beta * missing + g,
            "gradients are taken without their signs",
            beta * (missing + size(g)),
            "1 - beta stands there: what is missing of a gradient is the share beta",
            beta * missing + (1 - beta) * g,
        )
        m = beta * m + (1 - beta) * g
        plain = plain + g
        count = count + 1
    return slip(
        lr * missing,
        "that is per gradient: the mean, where the sum is asked",
        lr * missing / count,
        "that compares the last steps, not the distances",
        lr * (g - m),
        "that is the limit on an endless slope, beta / (1 - beta); the newest gradients lack less",
        lr * beta / (1 - beta) * plain,
        "the learning rate is missing",
        missing,
    )


# -- preconditioning ---------------------------------------------------------------------------------------------


@family("condition-number", groups=(("hessian", "preconditioner"),))
def condition_number(hessian: Any, preconditioner: Any) -> Any:
    """The formula of ``condition-number``."""
    divided = slip(
        solve(preconditioner, hessian),
        "that is the condition number of P H: divide by P, do not multiply",
        preconditioner @ hessian,
        "the preconditioner is not used",
        hessian,
        "divided by the diagonal of P only: P has other entries too",
        hessian / diagonal(preconditioner)[:, None],
        "P and H are exchanged: that is H^-1 P",
        solve(hessian, preconditioner),
    )
    values = eigenvalues(divided)
    if smallest(values) <= 1e-10 * largest(size(values)):
        return nan
    return slip(
        largest(values) / smallest(values),
        "the difference of the eigenvalues is taken; their ratio is asked",
        largest(values) - smallest(values),
        "the trace, the sum of the eigenvalues, stands where the largest one belongs",
        total(values) / smallest(values),
        "Frobenius norms are multiplied; the ratio of the eigenvalues is asked",
        length(hessian) * length(solve(hessian, identity(hessian))),
        "Frobenius norms are multiplied: the ratio of the eigenvalues is asked",
        length(divided) * length(solve(divided, identity(divided))),
    )


@family("newton-step", choices={"divide_by": ("hessian", "absolute", "diagonal")}, groups=(("params", "grads"),))
def newton_step(params: Any, grads: Any, hessian: Any, lr: Any, divide_by: Any) -> Any:
    """The formula of ``newton-step``."""
    if divide_by == "diagonal":
        along = slip(
            grads / diagonal(hessian),
            "the rows are summed; the diagonal is asked",
            grads / hessian.sum(-1),
            "the diagonal's signs are lost: divide by the diagonal as it is",
            grads / size(diagonal(hessian)),
        )
    elif divide_by == "absolute":
        values, vectors = eigh(hessian)
        sizes = slip(
            size(values),
            "eigenvalues below zero are cut off (clamped), and not made positive",
            larger(values, 1e-3),
            "eigenvalues below zero are cut off (clamped) at a small number, and not made positive",
            larger(values, 1e-8),
        )
        along = slip(
            vectors @ ((transposed(vectors) @ grads) / sizes),
            "the eigenvectors are transposed: H is V diag V^T, with the vectors in the columns of V",
            transposed(vectors) @ ((vectors @ grads) / sizes),
            "these are the absolute values of the entries; take those of the eigenvalues",
            solve(size(hessian), grads),
            "all is divided by the largest curvature: each direction has its own",
            grads / largest(values),
        )
    else:
        along = slip(
            solve(hessian, grads),
            "divided by the Hessian twice",
            solve(hessian, solve(hessian, grads)),
            "the root of the step is taken: divide by the Hessian itself",
            sign(solve(hessian, grads)) * sqrt(size(solve(hessian, grads))),
            "all is divided by the largest eigenvalue: each direction has its own curvature",
            grads / largest(eigenvalues(hessian)),
        )
    return params - lr * along


@family("line-search-step", groups=(("g", "params"), ("new", "params"), ("new", "g")))
def line_search_step(params: Any, hessian: Any) -> Any:
    """The formula of ``line-search-step``."""
    g = hessian @ params
    top = g @ g
    below = g @ (hessian @ g)
    rate = slip(
        top / below,
        "the length of g is not squared: the numerator is g.g",
        sqrt(top) / below,
        "the learning rate was computed from theta, not from g",
        (params @ params) / (params @ (hessian @ params)),
        "the denominator is theta.H theta; it is g.Hg",
        top / (params @ (hessian @ params)),
    )
    new = params - rate * g
    left = new @ (hessian @ new)
    had = params @ (hessian @ params)
    share = slip(
        left / had,
        "that is the root of the share: the loss is asked, not the distance",
        sqrt(left / had),
        "that is the share that is gone",
        1 - left / had,
        "that is the share of the squared distance; the loss has the Hessian in it",
        (new @ new) / (params @ params),
        "that is the loss itself: divide by the loss before the step",
        left / 2,
        "that is the loss itself, twice: divide by the loss before the step",
        left,
        "that is the bound for the worst start, ((kappa - 1) / (kappa + 1))**2; the share at this start is asked",
        (
            (largest(eigenvalues(hessian)) - smallest(eigenvalues(hessian)))
            / (largest(eigenvalues(hessian)) + smallest(eigenvalues(hessian)))
        )
        ** 2,
    )
    return new, share


@family("adagrad-step", groups=(("s", "old s"), ("s", "grads")), elementwise=True)
def adagrad_step(params: Any, grads: Any, state: Any, hyper: Any) -> Any:
    """The formula of ``adagrad-step``."""
    t = state["t"] + 1
    s = slip(
        state["s"] + grads**2,
        "s is an average that forgets: that is RMSProp; AdaGrad's s is a sum",
        0.9 * state["s"] + 0.1 * grads**2,
        "s is an average that forgets: that is RMSProp; AdaGrad's s is a plain sum",
        0.99 * state["s"] + 0.01 * grads**2,
        "epsilon went into s: it stands beside the root",
        state["s"] + grads**2 + hyper["eps"],
        "the square is subtracted: check the sign",
        state["s"] - grads**2,
    )
    top = slip(grads, "the numerator is the squared gradient (with its sign); it is the gradient", grads * size(grads))
    below = slip(
        sqrt(s) + hyper["eps"],
        "epsilon stands under the root; here it stands beside it",
        sqrt(s + hyper["eps"]),
        "epsilon is missing",
        sqrt(s),
        "the step divides by the old s: the gradient of this step belongs to it",
        sqrt(state["s"]) + hyper["eps"],
        "the root is missing: divide by the root of s",
        s + hyper["eps"],
    )
    rate = slip(
        hyper["lr"],
        "the learning rate is divided by t",
        hyper["lr"] / t,
        "the learning rate is divided by the root of t as well: s does that already",
        hyper["lr"] / sqrt(t),
    )
    kept = slip(s, "the root of s is kept in the state; keep s itself", sqrt(s))
    return params - rate * (top / below), {"t": t, "s": kept}


@family("rmsprop-step", groups=(("v", "old v"), ("v", "grads")), elementwise=True)
def rmsprop_step(params: Any, grads: Any, state: Any, hyper: Any) -> Any:
    """The formula of ``rmsprop-step``."""
    t = state["t"] + 1
    v = slip(
        hyper["rho"] * state["v"] + (1 - hyper["rho"]) * grads**2,
        "v is a sum: that is AdaGrad",
        state["v"] + grads**2,
        "rho is not multiplied into the old v",
        state["v"] + (1 - hyper["rho"]) * grads**2,
        "rho stands before the square; 1 - rho belongs there",
        hyper["rho"] * state["v"] + hyper["rho"] * grads**2,
        "the learning rate went into v: v holds squares of gradients only",
        hyper["rho"] * state["v"] + (1 - hyper["rho"]) * (hyper["lr"] * grads) ** 2,
    )
    top = slip(
        grads,
        "the numerator is an average: RMSProp has no momentum, and its numerator is grads",
        (hyper["rho"] * sqrt(state["v"]) + (1 - hyper["rho"])) * grads,
    )
    below = slip(
        sqrt(v) + hyper["eps"],
        "epsilon stands under the root; here it stands beside it",
        sqrt(v + hyper["eps"]),
        "epsilon is squared and stands under the root; here it stands beside it",
        sqrt(v + hyper["eps"] ** 2),
        "epsilon is missing",
        sqrt(v),
        "the step divides by the old v: the gradient of this step belongs to it",
        sqrt(state["v"]) + hyper["eps"],
        "the root is missing: divide by the root of v",
        v + hyper["eps"],
        "v is bias-corrected: RMSProp, as asked here and as in torch, is not",
        sqrt(v / (1 - hyper["rho"] ** t)) + hyper["eps"],
    )
    kept = slip(v, "the root of v is kept in the state; keep v itself", sqrt(v))
    return params - hyper["lr"] * (top / below), {"t": t, "v": kept}


@family("slope-length", choices={"rule": ("adagrad", "rmsprop", "corrected", "gradient descent")})
def slope_length(rule: Any, t: Any, gradient: Any, lr: Any, rho: Any) -> Any:
    """The formula of ``slope-length``."""
    if rule == "adagrad":
        return slip(
            lr / sqrt(t),
            "s is t times g^2, and its root grows like the root of t, not like t",
            lr / t,
            "that is about the distance up to here, the sum of the lengths: one step is asked",
            2 * lr * sqrt(t),
            "the gradient cancels: the step is g over the root of t g^2",
            lr * size(gradient) / sqrt(t),
        )
    if rule == "rmsprop":
        return slip(
            lr / sqrt(1 - rho**t),
            "the factor is upside down: v is too small at first, so the steps are too long",
            lr * sqrt(1 - rho**t),
            "that is the first step's length: v grows",
            lr / sqrt(1 - rho),
            "the power is missing: 1 - rho^t, not (1 - rho) t",
            lr / sqrt((1 - rho) * t),
        )
    if rule == "corrected":
        return lr
    return slip(
        lr * size(gradient),
        "a length is not negative",
        lr * gradient,
        "that is the distance up to here: one step is asked",
        lr * size(gradient) * t,
    )


@family("jacobi-condition")
def jacobi_condition(kappa: Any, angle: Any) -> Any:
    """The formula of ``jacobi-condition``."""
    c1 = cos(angle)
    s1 = sin(angle)
    beside = slip(
        (kappa - 1) * size(s1 * c1),
        "the sign of H12 counts here: the ratio is the larger over the smaller, so take the absolute value",
        (kappa - 1) * s1 * c1,
    )
    first = slip(c1**2 + kappa * s1**2, "the squares are missing: H11 is cos^2 + kappa sin^2", c1 + kappa * s1)
    second = slip(
        s1**2 + kappa * c1**2,
        "H22 is sin^2 + kappa cos^2: the same entry of the diagonal is taken twice",
        c1**2 + kappa * s1**2,
    )
    c = beside / sqrt(first * second)
    return slip(
        (1 + c) / (1 - c),
        "that is the larger eigenvalue alone; asked is its ratio to the smaller, (1 + c) / (1 - c)",
        1 + c,
        "c is squared: the eigenvalues are 1 + c and 1 - c",
        (1 + c**2) / (1 - c**2),
        "the squares are missing in both entries of the diagonal: H11 is cos^2 + kappa sin^2",
        (1 + beside / sqrt((c1 + kappa * s1) * (s1 + kappa * c1)))
        / (1 - beside / sqrt((c1 + kappa * s1) * (s1 + kappa * c1))),
        "the angle is taken twice: H12 is (kappa - 1) sin cos of the angle itself",
        turned(kappa, 2 * angle),
        "the angle is in radians already",
        turned(kappa, angle * 0.017453292519943295),
        "the angle is in radians: it was converted to degrees",
        turned(kappa, angle * 57.29577951308232),
    )


def turned(kappa: float, angle: float) -> float:
    """The answer to ``jacobi-condition`` for another angle."""
    s1, c1 = sin(angle), cos(angle)
    c = (kappa - 1) * abs(s1 * c1) / sqrt((c1**2 + kappa * s1**2) * (s1**2 + kappa * c1**2))
    return (1 + c) / (1 - c)


@family("curvature-counterexample", groups=(("curvature", "wanted"),))
def curvature_counterexample(curvature: Any, wanted: Any) -> Any:
    """The formula of ``curvature-counterexample``."""
    point = slip(
        wanted / curvature,
        "the root of the curvature is taken: the gradient is curvature * theta",
        wanted / sqrt(curvature),
        "the point is scaled to length 1: its gradient is then not what is wanted",
        wanted / curvature / length(wanted / curvature),
    )
    right = wanted / curvature
    cosine = slip(
        mean(right) / sqrt(mean(right**2)),
        "the largest entry stands where the length (root mean square) belongs",
        mean(right) / largest(size(right)),
        "the root is missing in the length",
        mean(right) / mean(right**2),
        "AdaGrad's direction has the length sqrt(d): the sum is taken where the mean belongs",
        total(right) / sqrt(mean(right**2)),
        "the lengths are missing: divide the inner product by both norms",
        mean(right),
    )
    return point, cosine


# -- the labs ----------------------------------------------------------------------------------------------------


@family("hill-adam", groups=(*ADAM, ("beta", "rho")), elementwise=True)
def adam_inside(params: Any, grads: Any, state: Any, hyper: Any) -> Any:
    """The formula of ``hill-adam``."""
    t = state["t"] + 1
    m = slip(
        hyper["beta"] * state["m"] + (1 - hyper["beta"]) * grads,
        "m is the gradient itself: there is no memory in it",
        grads,
        "m lacks the factor 1 - beta before the gradient",
        hyper["beta"] * state["m"] + grads,
    )
    v = slip(
        hyper["rho"] * state["v"] + (1 - hyper["rho"]) * grads**2,
        "epsilon went into v; it is added to v_hat, for this step only",
        hyper["rho"] * state["v"] + (1 - hyper["rho"]) * (grads**2 + hyper["eps"]),
    )
    m_hat = slip(m / (1 - hyper["beta"] ** t), "your m is not bias-corrected: divide it by 1 - beta**t", m)
    v_hat = slip(v / (1 - hyper["rho"] ** t), "your v is not bias-corrected: divide it by 1 - rho**t", v)
    top = slip(
        m_hat,
        "Nesterov's form: the numerator looks ahead, beta * m_hat + (1 - beta) * grads. Adam's is m_hat",
        hyper["beta"] * m_hat + (1 - hyper["beta"]) * grads,
        "the numerator is grads, not m_hat: that is RMSProp, without momentum",
        grads,
    )
    below = slip(
        sqrt(v_hat + hyper["eps"]),
        "epsilon stands beside the root; here it stands inside",
        sqrt(v_hat) + hyper["eps"],
        "the root of epsilon is added beside the root; here epsilon stands inside",
        sqrt(v_hat) + sqrt(hyper["eps"]),
        "epsilon is squared, and stands beside the root; here it stands inside as it is",
        sqrt(v_hat) + hyper["eps"] ** 2,
        "epsilon is missing",
        sqrt(v_hat),
        "epsilon is added before the hat: add it to v_hat",
        sqrt((v + hyper["eps"]) / (1 - hyper["rho"] ** t)),
    )
    return params - hyper["lr"] * (top / below), {"t": t, "m": m, "v": v}


@family("one-norm")
def perturbed_one_norm(grads: Any, eps: Any) -> Any:
    """The formula of ``one-norm``."""
    summed = 0.0
    once = 0.0
    count = 0
    for g in grads:
        each = sqrt(g.double() ** 2 + eps)
        summed = summed + total(each)  # type: ignore[assignment]
        once = once + total(size(g.double()))  # type: ignore[assignment]
        count = count + g.numel()
    return slip(
        summed,
        "the root of epsilon is added once; epsilon belongs to each entry, inside its root",
        once + sqrt(eps),
        "that is the mean over all entries; the sum is asked for",
        summed / count,
    )


@family("hill-accumulate")
def accumulate(means: Any, sizes: Any) -> Any:
    """The formula of ``hill-accumulate``."""
    summed = 0.0
    count = 0
    parts = 0
    plain = 0.0
    for g, n in zip(means, sizes, strict=True):
        weight = slip(
            n,
            "the root of each size is its weight; the size itself is",
            n**0.5,
            "the square of each size is its weight; the size itself is",
            n**2,
        )
        summed = summed + weight * g
        count = count + n
        parts = parts + 1
        plain = plain + g
    return slip(
        summed / count,
        "the means are averaged as if all micro-batches had the same size",
        plain / parts,
        "the size of the first micro-batch is taken for all: they differ",
        plain * sizes[0] / count,
        "one example too few is counted: divide by the number of examples",
        summed / (count - 1),
    )


@family("box-probes")
def probes(theta: Any, radius: Any) -> Any:
    """The formula of ``box-probes``."""
    sizes = size(theta)
    on = sizes >= 0.99 * radius
    most = slip(
        largest(sizes),
        "that is the root mean square; the largest is asked for",
        sqrt(mean(theta**2)),
        "the largest weight is clipped at the radius: it may lie outside",
        smaller(largest(sizes), radius),
    )
    share = slip(
        mean(on.double()),
        "the wall begins at 0.9 of the radius; within one per cent (0.99) is asked",
        mean((sizes >= 0.9 * radius).double()),
        "the wall begins at 0.999 of the radius; within one per cent (0.99) is asked",
        mean((sizes >= 0.999 * radius).double()),
        "that is in per cent; the share is a number from 0 to 1",
        100 * mean(on.double()),
    )
    return most, share


@family("box-kkt-gap")
def relative_gap(theta: Any, grads: Any, radius: Any) -> Any:
    """The formula of ``box-kkt-gap``."""
    dual = total(size(grads))
    inner = total(theta * grads)
    return slip(
        1 + inner / (radius * dual),
        "a gap is not clipped at 0: outside the box it may be negative",
        larger(1 + inner / (radius * dual), 0.0),
    )


@family("box-entry")
def steps_to_enter(w0: Any, lr: Any, lam: Any) -> Any:
    """The formula of ``box-entry``."""
    excess = slip(
        w0 * lam - 1,
        "the decay alone is counted; what shrinks is the excess w0 * lam - 1, since the steps may push outwards",
        w0 * lam,
    )
    if excess <= 0.01:
        return 0
    return slip(
        ceil(log(0.01 / excess) / log(1 - lr * lam)),
        "the wall is at 1 / lam: what is above it has to shrink to 0.01 of it, not to 1.01",
        ceil(log(1.01 / excess) / log(1 - lr * lam)),
        "1 / (lr lam) is the time constant, not the time",
        ceil(1 / (lr * lam)),
        "that takes exp(-lr lam) for 1 - lr lam: close, not exact",
        ceil(log(0.01 / excess) / (-lr * lam)),
    )
