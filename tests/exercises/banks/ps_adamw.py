"""Answers to the problem set on AdamW: wrong ones as students write them, and right ones in other styles."""

from bank import wrong

MOVES = ("first", "run", "decay", "epsilon", "edges")  # what a wrong Adam loses; "state", "shrink" and "pure" may stay
ALL = ("first", "state", "run", "decay", "shrink", "epsilon", "edges", "pure")
L2_ALL = ("run", "state", "edges", "pure")
STRENGTH_ALL = ("descent", "momentum", "adaptive")
PROXIMAL_ALL = ("plain", "weighted", "linearised")
REST_ALL = ("positive", "negative", "small-eps")
SPOT_ALL = ("limit", "ridge", "distance")

SHRUNK = 'shrunk = (1 - hyper["lr"] * hyper["weight_decay"]) * params'
M = 'm = hyper["beta1"] * state["m"] + (1 - hyper["beta1"]) * grads'
V = 'v = hyper["beta2"] * state["v"] + (1 - hyper["beta2"]) * grads**2'
M_HAT = 'm_hat = m / (1 - hyper["beta1"] ** t)'
V_HAT = 'v_hat = v / (1 - hyper["beta2"] ** t)'
STEP = 'step = m_hat / (torch.sqrt(v_hat) + hyper["eps"])'
RETURN = 'return shrunk - hyper["lr"] * step, {"t": t, "m": m, "v": v}'
PENALISED = 'g = grads + hyper["weight_decay"] * params'
L2_RETURN = 'return params - hyper["lr"] * m_hat / (torch.sqrt(v_hat) + hyper["eps"]), {"t": t, "m": m, "v": v}'

WRONG = {
    "adamw-step": {
        # the decay
        "no decay": wrong(
            "decay", "shrink", says="there is no decay: this is Adam", change={SHRUNK: "shrunk = params"}
        ),
        "the decay is coupled": wrong(
            "decay",
            "shrink",
            says="your decay is coupled",
            change={
                'm = hyper["beta1"] * state': 'grads = grads + hyper["weight_decay"] * params\n'
                '    m = hyper["beta1"] * state',
                SHRUNK: "shrunk = params",
            },
        ),
        "coupled and decoupled": wrong(
            "decay",
            "shrink",
            says="there twice",
            change={M: 'grads = grads + hyper["weight_decay"] * params\n    ' + M},
        ),
        "the decay inside the fraction": wrong(
            "decay",
            "shrink",
            says="your decay is divided by the root",
            change={SHRUNK: "shrunk = params", "step = m_hat": 'step = (m_hat + hyper["weight_decay"] * params)'},
        ),
        "the decay goes into m": wrong(
            "decay",
            "shrink",
            says="your m holds the decay",
            change={SHRUNK: "shrunk = params", M: M[:-5] + '(grads + hyper["weight_decay"] * params)'},
        ),
        "the decay goes into v": wrong(
            "decay",
            "shrink",
            says="your v holds the decay",
            change={SHRUNK: "shrunk = params", V: V.replace("grads", '(grads + hyper["weight_decay"] * params)')},
        ),
        "the decay without the learning rate": wrong(
            "decay",
            "shrink",
            says="the decay lacks the learning rate",
            change={SHRUNK: 'shrunk = (1 - hyper["weight_decay"]) * params'},
        ),
        "the decay after the step": wrong(
            "decay",
            says="the params are shrunk after Adam's step",
            change={
                SHRUNK: 'shrink = 1 - hyper["lr"] * hyper["weight_decay"]',
                "return shrunk - " + 'hyper["lr"] * step,': 'return shrink * (params - hyper["lr"] * step),',
            },
        ),
        "the decay away from zero": wrong(
            "decay",
            "shrink",
            says="the decay pushes away from zero",
            change={"shrunk = (1 - hyper": "shrunk = (1 + hyper"},
        ),
        "twice the decay": wrong(
            "decay",
            "shrink",
            says="the decay is twice too strong",
            change={"shrunk = (1 - hyper": "shrunk = (1 - 2 * hyper"},
        ),
        "half the decay": wrong(
            "decay",
            "shrink",
            says="the decay is half of what it should be",
            change={'* hyper["weight_decay"]) * params': '* hyper["weight_decay"] / 2) * params'},
        ),
        "a proximal decay": wrong(
            "decay",
            "shrink",
            says="that is AdamProx",
            change={
                SHRUNK: 'shrunk = params - hyper["lr"] * step',
                RETURN: 'return shrunk / (1 + hyper["lr"] * hyper["weight_decay"]), {"t": t, "m": m, "v": v}',
            },
        ),
        "an exponential decay": wrong(
            "decay",
            "shrink",
            says="the decay factor is an exponential",
            change={SHRUNK: 'shrunk = math.exp(-hyper["lr"] * hyper["weight_decay"]) * params'},
        ),
        "the decay takes the corrected rate": wrong(
            "decay",
            "shrink",
            says="the decay uses the learning rate into which you moved the hats",
            code="""
# exercise: adamw-step
def adamw_step(params, grads, state, hyper):
    t, b1, b2 = state["t"] + 1, hyper["beta1"], hyper["beta2"]
    m = b1 * state["m"] + (1 - b1) * grads
    v = b2 * state["v"] + (1 - b2) * grads**2
    root = math.sqrt(1 - b2**t)
    rate = hyper["lr"] * root / (1 - b1**t)
    new = (1 - rate * hyper["weight_decay"]) * params - rate * m / (v.sqrt() + hyper["eps"] * root)
    return new, {"t": t, "m": m, "v": v}
""",
        ),
        "the decay only where there is a gradient": wrong(
            "shrink",
            says="there is no decay",
            change={SHRUNK: SHRUNK.replace("(1 - ", "(1 - (grads != 0) * ")},
        ),
        # Adam's part
        "no hat on v": wrong(*MOVES, says="your v is not bias-corrected", change={V_HAT: "v_hat = v"}),
        "no hat on m": wrong(*MOVES, says="your m is not bias-corrected", change={M_HAT: "m_hat = m"}),
        "no hats": wrong(
            *MOVES, says="neither m nor v is bias-corrected", change={M_HAT: "m_hat = m", V_HAT: "v_hat = v"}
        ),
        "t from zero": wrong(
            *MOVES,
            "shrink",
            "pure",
            says="NaN",
            change={"** t)\n    v_hat": '** state["t"])\n    v_hat', "** t)\n    step": '** state["t"])\n    step'},
        ),
        "t frozen": wrong(
            "state", "run", "decay", "epsilon", "edges", says="t is not kept", change={'{"t": t,': '{"t": state["t"],'}
        ),
        "the hats always use t = 1": wrong(
            "run",
            "decay",
            "epsilon",
            "edges",
            says="the bias correction uses t = 1 in every step",
            change={'"beta1"] ** t': '"beta1"]', '"beta2"] ** t': '"beta2"]'},
        ),
        "swapped betas": wrong(
            "state",
            "run",
            "decay",
            "epsilon",
            "edges",
            says="beta1 and beta2 are swapped",
            change={
                "t = state": 'hyper = hyper | {"beta1": hyper["beta2"], "beta2": hyper["beta1"]}\n    t = state',
            },
        ),
        "epsilon inside the root": wrong(
            "epsilon",
            says="epsilon stands under the root",
            change={'torch.sqrt(v_hat) + hyper["eps"]': 'torch.sqrt(v_hat + hyper["eps"])'},
        ),
        "epsilon missing": wrong(
            "epsilon", "shrink", "edges", says="epsilon is missing", change={' + hyper["eps"]': ""}
        ),
        "epsilon before the hat": wrong(
            "epsilon",
            says="epsilon is added before the hat",
            change={STEP: 'step = m_hat * math.sqrt(1 - hyper["beta2"] ** t) / (torch.sqrt(v) + hyper["eps"])'},
        ),
        "m not kept": wrong(
            "state", "run", "decay", "epsilon", "edges", says="m is not kept", change={'"m": m,': '"m": state["m"],'}
        ),
        "v not kept": wrong(
            "state", "run", "decay", "epsilon", "edges", says="v is not kept", change={'"v": v}': '"v": state["v"]}'}
        ),
        "the state as it came": wrong(
            "state",
            "run",
            "decay",
            "epsilon",
            "edges",
            says="the state is returned as it came",
            change={'{"t": t, "m": m, "v": v}': "state"},
        ),
        "the hats are stored": wrong(
            "state",
            "run",
            "decay",
            "epsilon",
            "edges",
            says="the state holds the hatted averages",
            change={'"m": m, "v": v}': '"m": m_hat, "v": v_hat}'},
        ),
        "uphill": wrong(*MOVES, says="the step goes uphill", change={"return shrunk - ": "return shrunk + "}),
        "no root": wrong(*MOVES, says="the root is missing", change={"torch.sqrt(v_hat)": "v_hat"}),
        "averages of |g|": wrong(*MOVES, "state", says="v averages |g|", change={"* grads**2": "* grads.abs()"}),
        # habits
        "params changed in place": wrong(
            "pure",
            says="changes params",
            change={SHRUNK: 'shrunk = params.mul_(1 - hyper["lr"] * hyper["weight_decay"])'},
        ),
        "the state changed in place": wrong(
            "pure",
            says="changes state",
            change={
                M: 'm = state["m"]\n    m *= hyper["beta1"]\n    m += (1 - hyper["beta1"]) * grads',
            },
        ),
        "the step counted in the given state": wrong(
            "pure", says="changes state", change={'t = state["t"] + 1': 'state["t"] += 1\n    t = state["t"]'}
        ),
        "float32": wrong(
            *MOVES,
            "state",
            "shrink",
            says="computed in float32",
            change={"t = state": "params, grads = params.float(), grads.float()\n    t = state"},
        ),
        "numbers only": wrong(
            *MOVES,
            "shrink",
            "state",
            "pure",
            says="adamw_step raised",
            change={"torch.sqrt(v_hat)": "math.sqrt(v_hat)"},
        ),
        "the visible numbers": wrong(
            *(name for name in ALL if name != "pure"),
            says="differs by",
            change={"t = state": 'hyper = hyper | {"lr": 0.1, "beta1": 0.9, "beta2": 0.999}\n    t = state'},
        ),
        "torch's own optimizer": wrong(
            *ALL,
            says="uses torch.optim.AdamW, which this task does not allow",
            code="""
# exercise: adamw-step
def adamw_step(params, grads, state, hyper):
    p = params.clone().requires_grad_()
    betas = (hyper["beta1"], hyper["beta2"])
    opt = torch.optim.AdamW([p], lr=hyper["lr"], betas=betas, eps=hyper["eps"], weight_decay=hyper["weight_decay"])
    p.grad = grads.clone()
    opt.step()
    inner = opt.state[p]
    return p.detach(), {"t": state["t"] + 1, "m": inner["exp_avg"], "v": inner["exp_avg_sq"]}
""",
        ),
        "the course's own rule": wrong(
            *ALL,
            says="uses optbias.rules.AdamW, which this task does not allow",
            code="""
# exercise: adamw-step
def adamw_step(params, grads, state, hyper):
    from optbias.rules import AdamW

    betas = (hyper["beta1"], hyper["beta2"])
    return AdamW(hyper["lr"], betas, hyper["eps"], hyper["weight_decay"]).update(params, grads, state)
""",
        ),
    },
    "adam-l2-step": {
        "AdamW again": wrong(
            "run",
            "state",
            "edges",
            says="this is AdamW",
            change={
                PENALISED: "g = grads",
                "return params - ": 'return (1 - hyper["lr"] * hyper["weight_decay"]) * params - ',
            },
        ),
        "no penalty": wrong("run", "state", "edges", says="the penalty is missing", change={PENALISED: "g = grads"}),
        "the slide formula": wrong(
            "run",
            "state",
            "edges",
            says="the formula of many slides",
            change={PENALISED: "g = grads", '"lr"] * m_hat / ': '"lr"] * (m_hat + hyper["weight_decay"] * params) / '},
        ),
        "the penalty in m only": wrong(
            "run",
            "state",
            "edges",
            says="m sees the penalty and v does not",
            change={'(1 - hyper["beta2"]) * g**2': '(1 - hyper["beta2"]) * grads**2'},
        ),
        "the penalty in v only": wrong(
            "run",
            "state",
            "edges",
            says="v sees the penalty and m does not",
            change={'(1 - hyper["beta1"]) * g\n': '(1 - hyper["beta1"]) * grads\n'},
        ),
        "a factor 2": wrong(
            "run",
            "state",
            "edges",
            says="the penalty's gradient has a 2 in it",
            change={PENALISED: 'g = grads + 2 * hyper["weight_decay"] * params'},
        ),
        "the penalty times the rate": wrong(
            "run",
            "state",
            "edges",
            says="is multiplied by lr",
            change={PENALISED: 'g = grads + hyper["lr"] * hyper["weight_decay"] * params'},
        ),
        "the penalty with the wrong sign": wrong(
            "run",
            "state",
            "edges",
            says="pushes away from zero",
            change={PENALISED: 'g = grads - hyper["weight_decay"] * params'},
        ),
        "no hat on v": wrong("run", "edges", says="your v is not bias-corrected", change={V_HAT: "v_hat = v"}),
        "the state as it came": wrong(
            "run",
            "state",
            "edges",
            says="the state is returned as it came",
            change={'{"t": t, "m": m, "v": v}': "state"},
        ),
        "epsilon inside the root": wrong(
            "run",
            says="epsilon stands under the root",
            change={'torch.sqrt(v_hat) + hyper["eps"]': 'torch.sqrt(v_hat + hyper["eps"])'},
        ),
        "the gradient changed in place": wrong(
            "pure",
            says="changes grads",
            change={PENALISED: 'g = grads.add_(params, alpha=hyper["weight_decay"])'},
        ),
        "float32": wrong(
            "run",
            "state",
            "edges",
            says="computed in float32",
            change={PENALISED: "params, grads = params.float(), grads.float()\n    " + PENALISED},
        ),
        "torch's own optimizer": wrong(
            *L2_ALL,
            says="uses torch.optim.Adam, which this task does not allow",
            code="""
# exercise: adam-l2-step
def adam_l2_step(params, grads, state, hyper):
    from torch.optim import Adam

    p = params.clone().requires_grad_()
    opt = Adam([p], lr=hyper["lr"], weight_decay=hyper["weight_decay"])
    p.grad = grads.clone()
    opt.step()
    return p.detach(), {"t": state["t"] + 1, "m": opt.state[p]["exp_avg"], "v": opt.state[p]["exp_avg_sq"]}
""",
        ),
    },
    "ridge-strength": {
        "the 2 of the full penalty is lost": wrong(
            "descent", says="this penalty has no half in it", change={"return 2 * c": "return c"}
        ),
        "the half taken for a half": wrong(
            "descent", says="is 2 c theta, not c theta / 2", change={"return 2 * c": "return c / 2"}
        ),
        "every penalty has a 2": wrong(
            "descent",
            says="this penalty has a half in it",
            change={'program == "gd full penalty"': 'program in ("gd penalty", "gd full penalty")'},
        ),
        "a decay is a decay": wrong(
            "descent", says="this decay lacks the learning rate", change={'return c / hyper["lr"]': "return c"}
        ),
        "times the rate": wrong(
            "descent",
            says="divide by lr, do not multiply",
            change={'return c / hyper["lr"]': 'return c * hyper["lr"]'},
        ),
        "the rate divides both decays": wrong(
            "descent",
            says="so lr cancels at rest",
            change={
                'program == "gd decay without rate"': 'program in ("gd decay", "gd decay without rate")',
            },
        ),
        "the heavy ball taken for an average": wrong(
            "momentum", says="m of the heavy ball is a sum", change={'return (1 - hyper["beta"]) * c': "return c"}
        ),
        "the factor of the heavy ball upside down": wrong(
            "momentum",
            says="the factor is upside down",
            change={'(1 - hyper["beta"]) * c': 'c / (1 - hyper["beta"])'},
        ),
        "beta instead of 1 - beta": wrong(
            "momentum", says="the factor is 1 - beta", change={'(1 - hyper["beta"]) * c': 'hyper["beta"] * c'}
        ),
        "the penalty of the heavy ball too": wrong(
            "momentum",
            says="the penalty and the gradient are summed up alike",
            change={'program == "heavy ball decay"': 'program.startswith("heavy ball")'},
        ),
        "every momentum with decay": wrong(
            "momentum",
            says="at rest m of the EMA is the gradient itself",
            change={'program == "heavy ball decay"': 'program in ("heavy ball decay", "ema decay")'},
        ),
        "AdamW solves the ridge problem": wrong(
            "adaptive", says="AdamW's decay stands beside a step", change={'return hyper["eps"] * c': "return c"}
        ),
        "AdamW has no strength": wrong(
            "adaptive", says="AdamW does decay inside the box", change={'return hyper["eps"] * c': "return 0.0"}
        ),
        "divided by epsilon": wrong(
            "adaptive", says="the other way round", change={'return hyper["eps"] * c': 'return c / hyper["eps"]'}
        ),
        "Adam with a penalty does not minimise it": wrong(
            "adaptive",
            says="Adam with a penalty is Adam on another loss",
            change={"    c = hyper": '    if program == "adam penalty":\n        return 0.0\n    c = hyper'},
        ),
        "the strength of a step": wrong(
            *STRENGTH_ALL,
            says="where the run ends does not depend on lr",
            change={'c = hyper["weight_decay"]': 'c = hyper["lr"] * hyper["weight_decay"]'},
        ),
    },
    "decay-reach": {
        "exponential": wrong(
            "kept",
            "reach",
            "edges",
            says="that is the limit for small rates",
            code="""
# exercise: decay-reach
def decay_reach(rates, weight_decay):
    kept = math.exp(-weight_decay * sum(rates))
    return kept, (1 - kept) / weight_decay if weight_decay else sum(rates)
""",
        ),
        "the first rate for all steps": wrong(
            "kept",
            "reach",
            "edges",
            says="each step has its own rate",
            change={"for lr in rates:": "for lr in [rates[0]] * len(rates):"},
        ),
        "no zero decay": wrong(
            "edges",
            says="raised ZeroDivisionError",
            code="""
# exercise: decay-reach
def decay_reach(rates, weight_decay):
    kept = math.prod(1 - lr * weight_decay for lr in rates)
    return kept, (1 - kept) / weight_decay
""",
        ),
        "the share that is lost": wrong(
            "kept",
            "edges",
            says="that is the share that is lost",
            change={"return kept, reach": "return 1 - kept, reach"},
        ),
        "reach and kept exchanged": wrong(
            "kept",
            "reach",
            "edges",
            says="exchanged: mind the order",
            change={"return kept, reach": "return reach, kept"},
        ),
        "the reach without decay": wrong(
            "reach",
            "edges",
            says="that is the distance without decay",
            change={"reach = (1 - lr * weight_decay) * reach + lr": "reach = reach + lr"},
        ),
        "the wall": wrong(
            "reach",
            "edges",
            says="that is the wall",
            change={"return kept, reach": "return kept, 1 / weight_decay if weight_decay else sum(rates)"},
        ),
        "the newest step shrinks too": wrong(
            "reach",
            "edges",
            says="the newest step is not shrunk in its own step",
            change={
                "reach = (1 - lr * weight_decay) * reach + lr": "reach = (1 - lr * weight_decay) * (reach + lr)",
            },
        ),
        "the decay without the rate": wrong(
            "kept",
            "reach",
            "edges",
            says="the decay of a step is lr * weight_decay",
            change={
                "kept = (1 - lr * weight_decay)": "kept = (1 - weight_decay)",
                "reach = (1 - lr * weight_decay)": "reach = (1 - weight_decay)",
            },
        ),
        "the factors added up": wrong(
            "kept",
            "edges",
            says="factors are multiplied, not added up",
            change={"return kept, reach": "return 1 - weight_decay * sum(rates), reach"},
        ),
        "divided by one plus": wrong(
            "kept",
            "edges",
            says="it does not divide by 1 + lr * weight_decay",
            change={"kept = (1 - lr * weight_decay) * kept": "kept = kept / (1 + lr * weight_decay)"},
        ),
        "all steps shrunk alike": wrong(
            "reach",
            "edges",
            says="the steps are not all shrunk equally",
            change={"return kept, reach": "return kept, kept * sum(rates)"},
        ),
        "one step too few": wrong(
            "kept",
            "reach",
            "edges",
            says="the first one is left out",
            change={"for lr in rates:": "for lr in rates[1:]:"},
        ),
        "the visible example": wrong(
            "kept", "reach", "edges", says="differs by", change={"return kept, reach": "return 0.72, 0.7"}
        ),
        "one number": wrong(
            "kept",
            "reach",
            "edges",
            says="must return two numbers, kept and reach",
            change={"return kept, reach": "return kept"},
        ),
    },
    "proximal-step": {
        "AdamW for all": wrong(
            "plain",
            "weighted",
            says="the penalty's gradient is taken at the old point theta",
            change={'if penalty == "plain":': "if False:", 'if penalty == "weighted":': "if False:"},
        ),
        "no decay": wrong(
            *PROXIMAL_ALL,
            says="there is no decay in it",
            change={"    if penalty ==" + ' "plain":': "    return y\n    if penalty ==" + ' "plain":'},
        ),
        "D upside down": wrong(
            *PROXIMAL_ALL,
            says="the metric is upside down",
            change={"y = theta": "d = 1 / d\n    y = theta"},
        ),
        "D forgotten in the plain case": wrong(
            "plain",
            says="the plain penalty is not measured in the metric",
            change={"return y / (1 + lr * weight_decay * d)": "return y / (1 + lr * weight_decay)"},
        ),
        "D below": wrong(
            "plain",
            says="d stands in the wrong place",
            change={"return y / (1 + lr * weight_decay * d)": "return y / (1 + lr * weight_decay / d)"},
        ),
        "the plain penalty explicitly": wrong(
            "plain",
            says="it belongs to the x that is sought",
            change={"return y / (1 + lr * weight_decay * d)": "return y - lr * weight_decay * d * theta"},
        ),
        "the weighted penalty with a D": wrong(
            "weighted",
            says="which cancels the d of the step",
            change={"return y / (1 + lr * weight_decay)\n": "return y / (1 + lr * weight_decay * d)\n"},
        ),
        "the weighted penalty to first order": wrong(
            "weighted",
            says="the equation for x is linear: solve it",
            change={"return y / (1 + lr * weight_decay)\n": "return y * (1 - lr * weight_decay)\n"},
        ),
        "a factor 2": wrong(
            "plain",
            "weighted",
            says="the penalty has a half in it",
            change={
                "(1 + lr * weight_decay * d)": "(1 + 2 * lr * weight_decay * d)",
                "(1 + lr * weight_decay)\n": "(1 + 2 * lr * weight_decay)\n",
            },
        ),
        "the linear penalty with a D": wrong(
            "linearised",
            says="the weights 1/d cancel the d of the step",
            change={"return y - lr * weight_decay * theta": "return y - lr * weight_decay * d * theta"},
        ),
        "the linear penalty at the new point": wrong(
            "linearised",
            says="the decay acts on theta, not on the point after Adam's step",
            change={"return y - lr * weight_decay * theta": "return (1 - lr * weight_decay) * y"},
        ),
        "the linear penalty solved for x": wrong(
            "linearised",
            says="the linear penalty's gradient is constant",
            change={"return y - lr * weight_decay * theta": "return y / (1 + lr * weight_decay)"},
        ),
        "theta changed in place": wrong(
            *PROXIMAL_ALL,
            says="changes theta",
            change={"y = theta - lr * d * m_hat": "y = theta.sub_(lr * d * m_hat)"},
        ),
        "uphill": wrong(*PROXIMAL_ALL, says="a sign: ", change={"y = theta - lr": "y = theta + lr"}),
        "the course's own": wrong(
            *PROXIMAL_ALL,
            says="uses optbias.theory.proximal, which this task does not allow",
            code="""
# exercise: proximal-step
def proximal_step(theta, m_hat, d, lr, weight_decay, penalty):
    from optbias.theory import proximal

    form = {"linearised": "weighted_linear"}.get(penalty, penalty)
    return proximal.minimiser(theta, m_hat, d, lr, weight_decay, form)
""",
        ),
    },
    "adamw-rest-point": {
        "the ridge solution": wrong(
            *REST_ALL,
            says="that is the ridge solution of strength weight_decay",
            change={"return 2 *": "return curvature * centre / (curvature + weight_decay)\n    return 2 *"},
        ),
        "the ridge solution of strength eps lambda": wrong(
            *REST_ALL,
            says="ridge solution of strength eps * weight_decay",
            change={"return 2 *": "return curvature * centre / (curvature + eps * weight_decay)\n    return 2 *"},
        ),
        "clipped": wrong(
            *REST_ALL,
            says="the point of the box next to the centre",
            change={"return 2 *": "return centre.clamp(-1 / weight_decay, 1 / weight_decay)\n    return 2 *"},
        ),
        "the larger root": wrong(
            *REST_ALL,
            says="the resting point is the one inside the box",
            change={
                "return 2 * curvature * centre / (b + root)": (
                    "return centre.sign() * (b + root) / (2 * curvature * weight_decay)"
                )
            },
        ),
        "for positive centres only": wrong(
            "negative",
            "small-eps",
            says="negative centres need the absolute value too",
            change={
                "centre.abs()": "centre",
                "return 2 * curvature * centre / (b + root)": "return (b - root) / (2 * curvature * weight_decay)",
            },
        ),
        "the sign is lost": wrong(
            "negative",
            "small-eps",
            says="the sign of the centre is lost",
            change={"2 * curvature * centre /": "2 * curvature * centre.abs() /"},
        ),
        "no curvature": wrong(
            "positive",
            "negative",
            "small-eps",
            says="the curvature is missing",
            change={"size = weight_decay": "curvature = 1.0\n    size = weight_decay"},
        ),
        "epsilon under the root": wrong(
            *REST_ALL,
            says="epsilon stands beside the root here",
            code="""
# exercise: adamw-rest-point
def adamw_rest_point(curvature, centre, weight_decay, eps):
    low, high = torch.zeros_like(centre), torch.full_like(centre, 1 / weight_decay)
    for _ in range(100):
        x = (low + high) / 2
        g = curvature * (x - centre.abs())
        below = weight_decay * x < -g / torch.sqrt(g**2 + eps)
        low, high = torch.where(below, x, low), torch.where(below, high, x)
    return centre.sign() * (low + high) / 2
""",
        ),
        "half-width lambda": wrong(
            *REST_ALL,
            says="the box has the half-width 1 / weight_decay",
            change={"size = weight_decay": "weight_decay = 1 / weight_decay\n    size = weight_decay"},
        ),
        "epsilon without lambda": wrong(
            "positive",
            "negative",
            "small-eps",
            says="epsilon enters as eps * weight_decay * theta",
            change={"+ eps * weight_decay": "+ eps"},
        ),
        "the minimiser of the loss": wrong(
            *REST_ALL,
            says="that is the minimiser of the loss itself",
            change={"return 2 *": "return centre\n    return 2 *"},
        ),
        "no half in the formula": wrong(
            *REST_ALL, says="the factor `2` is missing", change={"return 2 * curvature": "return curvature"}
        ),
        "numbers only": wrong(*REST_ALL, says="adamw_rest_point raised", change={"torch.sqrt(": "math.sqrt("}),
        "the centre changed in place": wrong(
            "positive",
            says="changes centre",
            change={
                "centre.abs()": "centre.clone().abs()",
                "return 2 * curvature * centre": "centre *= 2\n    return curvature * centre",
            },
        ),
        "float32": wrong(
            "positive",
            "negative",
            "small-eps",
            says="computed in float32",
            change={
                "size = weight_decay": "curvature, centre = curvature.float(), centre.float()\n    size = weight_decay"
            },
        ),
    },
    "ridge-counterexample": {
        "AdamW ends at the centre": wrong(
            "limit", says="that is the minimiser of f", change={"return centre, limit": "return centre, centre"}
        ),
        "the half-width is lambda": wrong(
            "limit",
            "distance",
            says="the box has the half-width 1 / weight_decay",
            change={
                "limit = 1 / weight_decay\n": "limit = weight_decay\n",
                "ridge = limit + distance": "ridge = 3 / weight_decay + distance",
            },
        ),
        "limit and ridge exchanged": wrong(
            "limit",
            "ridge",
            says="that is the ridge point",
            change={"return centre, limit, ridge": "return centre, ridge, limit"},
        ),
        "the other wall": wrong(
            "limit", says="it is the other wall", change={"return centre, limit": "return centre, -limit"}
        ),
        "a factor 2 in the penalty": wrong(
            "ridge",
            "distance",
            says="the penalty has a half in it",
            change={"(curvature + weight_decay)": "(curvature + 2 * weight_decay)"},
        ),
        "no curvature": wrong(
            "ridge",
            "distance",
            says="the curvature is missing",
            change={"(curvature + weight_decay) / curvature": "(1 + weight_decay)"},
        ),
        "curvature and decay swapped": wrong(
            "ridge",
            "distance",
            says="curvature and weight_decay are swapped",
            change={"/ curvature": "/ weight_decay"},
        ),
        "before the wall": wrong(
            "distance",
            says="lies before AdamW's limit",
            change={"ridge = limit + distance": "ridge = limit / (1 + weight_decay / (2 * curvature + weight_decay))"},
        ),
        "the distance from the centre": wrong(
            "distance",
            says="that is the centre's distance from the limit",
            change={
                "centre = ridge * (curvature + weight_decay) / curvature": (
                    "centre = limit + distance\n    ridge = curvature * centre / (curvature + weight_decay)"
                )
            },
        ),
        "the distance from zero": wrong(
            *SPOT_ALL,
            says="the centre has to lie outside the box",
            change={"ridge = limit + distance": "ridge = 0.01 * distance"},
        ),
        "a centre inside the box": wrong(
            *SPOT_ALL,
            says="the centre has to lie outside the box",
            change={"return centre, limit, ridge": "return limit / 2, limit / 2, ridge"},
        ),
        "only the centre": wrong(
            *SPOT_ALL,
            says="must return three numbers",
            change={"return centre, limit, ridge": "return centre"},
        ),
        "a dictionary": wrong(
            *SPOT_ALL,
            says="must return three numbers",
            change={"return centre, limit, ridge": 'return {"centre": centre, "limit": limit, "ridge": ridge}'},
        ),
        "the visible case": wrong(*SPOT_ALL, says="", change={"return centre, limit, ridge": "return 3.75, 2.0, 3.0"}),
    },
}

RIGHT = {
    "adamw-step": {
        "the hats moved into the learning rate": """
# exercise: adamw-step
def adamw_step(params, grads, state, hyper):
    t, b1, b2 = state["t"] + 1, hyper["beta1"], hyper["beta2"]
    m = state["m"] + (1 - b1) * (grads - state["m"])
    v = state["v"] + (1 - b2) * (grads * grads - state["v"])
    root = math.sqrt(1 - b2**t)
    rate = hyper["lr"] * root / (1 - b1**t)
    decayed = params - hyper["lr"] * hyper["weight_decay"] * params
    return decayed - rate * m / (v**0.5 + hyper["eps"] * root), {"t": t, "m": m, "v": v}
""",
        "numpy": """
# exercise: adamw-step
def adamw_step(params, grads, state, hyper):
    p, g = np.asarray(params), np.asarray(grads)
    t = state["t"] + 1
    m = hyper["beta1"] * np.asarray(state["m"]) + (1 - hyper["beta1"]) * g
    v = hyper["beta2"] * np.asarray(state["v"]) + (1 - hyper["beta2"]) * np.square(g)
    d = 1 / (np.sqrt(v / (1 - hyper["beta2"] ** t)) + hyper["eps"])
    delta = hyper["weight_decay"] * p + d * m / (1 - hyper["beta1"] ** t)
    return p - hyper["lr"] * delta, {"t": t, "m": m, "v": v}
""",
        "in place, on copies": """
# exercise: adamw-step
def adamw_step(params, grads, state, hyper):
    beta1, beta2, lr = hyper["beta1"], hyper["beta2"], hyper["lr"]
    state = {"t": state["t"] + 1, "m": state["m"].clone(), "v": state["v"].clone()}
    state["m"].mul_(beta1).add_(grads, alpha=1 - beta1)
    state["v"].mul_(beta2).addcmul_(grads, grads, value=1 - beta2)
    denominator = (state["v"] / (1 - beta2 ** state["t"])).sqrt_().add_(hyper["eps"])
    params = params.clone().mul_(1 - lr * hyper["weight_decay"])
    params.addcdiv_(state["m"], denominator, value=-lr / (1 - beta1 ** state["t"]))
    return params, state
""",
        "coordinate by coordinate": """
# exercise: adamw-step
def adamw_step(params, grads, state, hyper):
    t, new_p, new_m, new_v = state["t"] + 1, [], [], []
    flat = zip(params.flatten(), grads.flatten(), state["m"].flatten(), state["v"].flatten())
    for p, g, m, v in flat:
        m = hyper["beta1"] * m.item() + (1 - hyper["beta1"]) * g.item()
        v = hyper["beta2"] * v.item() + (1 - hyper["beta2"]) * g.item() ** 2
        size = math.sqrt(v / (1 - hyper["beta2"] ** t)) + hyper["eps"]
        step = m / (1 - hyper["beta1"] ** t) / size
        new_p.append((1 - hyper["lr"] * hyper["weight_decay"]) * p.item() - hyper["lr"] * step)
        new_m.append(m)
        new_v.append(v)
    like = lambda values: torch.tensor(values, dtype=params.dtype).reshape(params.shape)
    return like(new_p), {"t": t, "m": like(new_m), "v": like(new_v)}
""",
    },
    "adam-l2-step": {
        "the terms of the penalty written out": """
# exercise: adam-l2-step
def adam_l2_step(params, grads, state, hyper):
    t, b1, b2, lam = state["t"] + 1, hyper["beta1"], hyper["beta2"], hyper["weight_decay"]
    m = b1 * state["m"] + (1 - b1) * grads + (1 - b1) * lam * params
    v = b2 * state["v"] + (1 - b2) * (grads * grads + 2 * lam * grads * params + (lam * params) ** 2)
    d = 1 / ((v.clamp(min=0) / (1 - b2**t)) ** 0.5 + hyper["eps"])
    return params - hyper["lr"] / (1 - b1**t) * d * m, {"t": t, "m": m, "v": v}
""",
        "numpy": """
# exercise: adam-l2-step
def adam_l2_step(params, grads, state, hyper):
    p = np.asarray(params)
    g = np.asarray(grads) + hyper["weight_decay"] * p
    t = state["t"] + 1
    m = hyper["beta1"] * np.asarray(state["m"]) + (1 - hyper["beta1"]) * g
    v = hyper["beta2"] * np.asarray(state["v"]) + (1 - hyper["beta2"]) * g * g
    d = 1 / (np.sqrt(v / (1 - hyper["beta2"] ** t)) + hyper["eps"])
    return p - hyper["lr"] * d * m / (1 - hyper["beta1"] ** t), {"t": t, "m": m, "v": v}
""",
        "Adam on a loss": """
# exercise: adam-l2-step
def adam_l2_step(params, grads, state, hyper):
    def adam(g):
        t = state["t"] + 1
        m = torch.lerp(g, state["m"], hyper["beta1"])
        v = torch.lerp(g.square(), state["v"], hyper["beta2"])
        hats = m / (1 - hyper["beta1"] ** t), v / (1 - hyper["beta2"] ** t)
        return hats[0] / (hats[1].sqrt() + hyper["eps"]), {"t": t, "m": m, "v": v}

    theta = params.clone().requires_grad_()
    (hyper["weight_decay"] / 2 * (theta * theta).sum()).backward()
    step, state = adam(grads + theta.grad)
    return params - hyper["lr"] * step, state
""",
    },
    "ridge-strength": {
        "a table": """
# exercise: ridge-strength
def ridge_strength(program, hyper):
    table = {
        "gd full penalty": 2.0,
        "gd decay without rate": 1 / hyper["lr"],
        "heavy ball decay": 1 - hyper["beta"],
        "adamw inside": hyper["eps"],
    }
    return table.get(program, 1) * hyper["weight_decay"]
""",
        "balance of forces": """
# exercise: ridge-strength
def ridge_strength(program, hyper):
    c, lr, beta, eps = (hyper[key] for key in ("weight_decay", "lr", "beta", "eps"))
    pull, push = {
        "gd penalty": (lr * c, lr),
        "gd full penalty": (2 * lr * c, lr),
        "gd decay": (lr * c, lr),
        "gd decay without rate": (c, lr),
        "ema penalty": (lr * c, lr),
        "ema decay": (lr * c, lr),
        "heavy ball penalty": (lr * c / (1 - beta), lr / (1 - beta)),
        "heavy ball decay": (lr * c, lr / (1 - beta)),
        "adam penalty": (lr * c, lr),
        "adamw inside": (lr * c, lr / eps),
    }[program]
    return pull / push
""",
        "as a tensor": """
# exercise: ridge-strength
def ridge_strength(program, hyper):
    c = torch.tensor(hyper["weight_decay"])
    match program:
        case "gd full penalty":
            return c + c
        case "gd decay without rate":
            return c / hyper["lr"]
        case "heavy ball decay":
            return c - hyper["beta"] * c
        case "adamw inside":
            return hyper["eps"] * c
    return c
""",
    },
    "decay-reach": {
        "closed form": """
# exercise: decay-reach
def decay_reach(rates, weight_decay):
    kept = math.prod(1 - lr * weight_decay for lr in rates)
    reach = (1 - kept) / weight_decay if weight_decay > 0 else sum(rates)
    return kept, reach
""",
        "numpy": """
# exercise: decay-reach
def decay_reach(rates, weight_decay):
    rates = np.asarray(rates, dtype=float)
    factors = 1 - rates * weight_decay
    later = np.append(np.cumprod(factors[::-1])[::-1][1:], 1.0)[: len(rates)]
    return [np.prod(factors), np.sum(rates * later)]
""",
        "the distance to the wall": """
# exercise: decay-reach
def decay_reach(rates, weight_decay):
    if weight_decay == 0:
        return 1, math.fsum(rates)
    wall = 1 / weight_decay
    away = wall
    for lr in rates:
        away = away - lr * weight_decay * away
    return away / wall, wall - away
""",
        "recursion": """
# exercise: decay-reach
def decay_reach(rates, weight_decay):
    if not rates:
        return torch.tensor(1.0), torch.tensor(0.0)
    kept, reach = decay_reach(rates[:-1], weight_decay)
    factor = 1 - rates[-1] * weight_decay
    return factor * kept, factor * reach + rates[-1]
""",
    },
    "proximal-step": {
        "a table of decays": """
# exercise: proximal-step
def proximal_step(theta, m_hat, d, lr, weight_decay, penalty):
    adam = theta - lr * m_hat * d
    shrink = lr * weight_decay
    return {
        "plain": adam / (1 + shrink * d),
        "weighted": adam / (1 + shrink),
        "linearised": adam - shrink * theta,
    }[penalty]
""",
        "numpy": """
# exercise: proximal-step
def proximal_step(theta, m_hat, d, lr, weight_decay, penalty):
    theta, m_hat, d = np.asarray(theta), np.asarray(m_hat), np.asarray(d)
    if penalty == "linearised":
        return (1 - lr * weight_decay) * theta - lr * d * m_hat
    scale = 1.0 if penalty == "plain" else 1 / d
    return (theta / (lr * d) - m_hat) / (1 / (lr * d) + weight_decay * scale)
""",
        "one step of Newton's method on the objective": """
# exercise: proximal-step
def proximal_step(theta, m_hat, d, lr, weight_decay, penalty):
    at = torch.zeros_like(theta)
    weight = {"plain": torch.ones_like(d), "weighted": 1 / d, "linearised": torch.zeros_like(d)}[penalty]
    slope = m_hat + (at - theta) / (lr * d) + weight_decay * weight * at
    if penalty == "linearised":
        slope = slope + weight_decay * theta / d
    return at - slope / (1 / (lr * d) + weight_decay * weight)
""",
    },
    "adamw-rest-point": {
        "the difference of the root": """
# exercise: adamw-rest-point
def adamw_rest_point(curvature, centre, weight_decay, eps):
    a, c, lam = curvature, centre.abs(), weight_decay
    b = a + a * lam * c + eps * lam
    discriminant = (a * (1 - lam * c)) ** 2 + 2 * a * eps * lam * (1 + lam * c) + (eps * lam) ** 2
    return torch.sign(centre) * (b - discriminant**0.5) / (2 * a * lam)
""",
        "bisection": """
# exercise: adamw-rest-point
def adamw_rest_point(curvature, centre, weight_decay, eps):
    low, high = torch.zeros_like(centre), torch.full_like(centre, 1 / weight_decay)
    for _ in range(80):
        x = (low + high) / 2
        uphill = curvature * (x - centre.abs()) * (1 - weight_decay * x) + eps * weight_decay * x > 0
        low, high = torch.where(uphill, low, x), torch.where(uphill, x, high)
    return centre.sign() * low
""",
        "numpy, one coordinate at a time": """
# exercise: adamw-rest-point
def adamw_rest_point(curvature, centre, weight_decay, eps):
    found = []
    for a, c in zip(curvature.flatten().tolist(), centre.flatten().tolist()):
        size = abs(c)
        roots = np.roots([a * weight_decay, -(a * (1 + weight_decay * size) + eps * weight_decay), a * size])
        found.append(math.copysign(min(roots.real), c))
    return np.reshape(found, centre.shape)
""",
    },
    "ridge-counterexample": {
        "in one line": """
# exercise: ridge-counterexample
def ridge_counterexample(curvature, weight_decay, distance):
    wall = 1 / weight_decay
    return (1 + weight_decay / curvature) * (wall + distance), wall, wall + distance
""",
        "solved for the centre": """
# exercise: ridge-counterexample
def ridge_counterexample(curvature, weight_decay, distance):
    # curvature * (ridge - centre) + weight_decay * ridge = 0
    box = weight_decay**-1
    centre = box + distance + (1 + weight_decay * distance) / curvature
    return [centre, min(centre, box), curvature * centre / (curvature + weight_decay)]
""",
        "as tensors": """
# exercise: ridge-counterexample
def ridge_counterexample(curvature, weight_decay, distance):
    a, lam = torch.tensor(curvature), torch.tensor(weight_decay)
    ridge = 1 / lam + distance
    centre = ridge + lam * ridge / a
    return centre, centre.clamp(-1 / lam, 1 / lam), ridge
""",
    },
}

EQUIVALENT: dict[str, dict[str, str]] = {}
