"""Answers to the problem set on momentum: wrong ones as students write them, and right ones in other styles."""

from bank import wrong

STEP_ALL = ("ema", "ball", "state", "edges", "pure")
SWITCH_ALL = ("rate", "memory")
SLOPE_ALL = ("ema", "ball", "dampened")
MOTION_ALL = ("real", "complex", "kind", "ema")
STABLE_ALL = ("ball", "ema", "nesterov")
PAIR_ALL = ("lr", "beta", "ema")
DEFICIT_ALL = ("slope", "varied", "plateau")

SHARE = 'share = 1 - hyper["beta"] if hyper["form"] == "ema" else 1.0'
M = 'm = hyper["beta"] * state["m"] + share * grads'
NEW = '{"t": state["t"] + 1, "m": m}'

WRONG = {
    "momentum-step": {
        "always the heavy ball": wrong(
            "ema", "state", "edges", says="the average lacks the factor 1 - beta", change={SHARE: "share = 1.0"}
        ),
        "always the average": wrong(
            "ball",
            "state",
            "edges",
            says="the heavy ball has no factor 1 - beta",
            change={SHARE: 'share = 1 - hyper["beta"]'},
        ),
        "the forms swapped": wrong(
            "ema", "ball", "state", "edges", says="the average lacks the factor", change={'== "ema"': '!= "ema"'}
        ),
        "beta and 1 - beta swapped": wrong(
            "ema",
            "ball",
            "state",
            "edges",
            says="beta and 1 - beta are swapped",
            change={SHARE: 'hyper = hyper | {"beta": 1 - hyper["beta"]}\n    ' + SHARE},
        ),
        "m not kept": wrong(
            "ema", "ball", "state", "edges", says="m is not kept in the state", change={'"m": m}': '"m": state["m"]}'}
        ),
        "t not kept": wrong(
            "state", says="t is not kept in the state", change={'"t": state["t"] + 1': '"t": state["t"]'}
        ),
        "the state as it came": wrong(
            "ema", "ball", "state", "edges", says="the state is returned as it came", change={NEW: "state"}
        ),
        "a step along the old m": wrong(
            "ema",
            "ball",
            "edges",
            "pure",
            says="the step uses the old m",
            change={'hyper["lr"] * m,': 'hyper["lr"] * state["m"],'},
        ),
        "Nesterov": wrong(
            "ema",
            "ball",
            "edges",
            says="this is Nesterov's form",
            change={'hyper["lr"] * m,': 'hyper["lr"] * (hyper["beta"] * m + share * grads),'},
        ),
        "a hat on the average": wrong(
            "ema",
            "edges",
            says="m is bias-corrected",
            code="""
# exercise: momentum-step
def momentum_step(params, grads, state, hyper):
    t, beta = state["t"] + 1, hyper["beta"]
    if hyper["form"] == "ema":
        m = beta * state["m"] + (1 - beta) * grads
        return params - hyper["lr"] * m / (1 - beta**t), {"t": t, "m": m}
    m = beta * state["m"] + grads
    return params - hyper["lr"] * m, {"t": t, "m": m}
""",
        ),
        "dampened as in torch": wrong(
            "ema",
            "state",
            "edges",
            says="the first gradient enters whole",
            change={'if hyper["form"] == "ema" else': 'if hyper["form"] == "ema" and state["t"] else'},
        ),
        "the learning rate inside the memory": wrong(
            "ema",
            "ball",
            "state",
            "edges",
            says="the learning rate is inside the memory",
            change={"share * grads": 'hyper["lr"] * share * grads', 'params - hyper["lr"] * m': "params - m"},
        ),
        "uphill": wrong("ema", "ball", "edges", says="the step goes uphill", change={"params - ": "params + "}),
        "1 - beta twice": wrong(
            "ema",
            "state",
            "edges",
            says="the factor 1 - beta stands there twice",
            change={"share * grads": "share**2 * grads"},
        ),
        "the rate divided by 1 - beta": wrong(
            "ema",
            "edges",
            says="the learning rate of the average is divided by 1 - beta",
            change={'hyper["lr"] * m,': 'hyper["lr"] * m / share,'},
        ),
        "no memory": wrong("ema", "ball", "state", "edges", says="this is gradient descent", change={M: "m = grads"}),
        "stands still without a gradient": wrong(
            "edges",
            says="the params stand still where the gradient is zero",
            change={"return params - ": "m = torch.where(grads == 0, torch.zeros_like(m), m)\n    return params - "},
        ),
        "params changed in place": wrong(
            "pure",
            says="changes params",
            change={'return params - hyper["lr"] * m,': 'params -= hyper["lr"] * m\n    return params,'},
        ),
        "m changed in place": wrong(
            "pure",
            says="changes state",
            change={M: 'm = state["m"]\n    m *= hyper["beta"]\n    m += share * grads'},
        ),
        "float32": wrong(
            "ema",
            "ball",
            "state",
            "edges",
            says="computed in float32",
            change={M: M + "\n    params, m = params.float(), m.float()"},
        ),
        "torch's own optimizer": wrong(
            *STEP_ALL,
            says="uses torch.optim.SGD, which this task does not allow",
            code="""
# exercise: momentum-step
def momentum_step(params, grads, state, hyper):
    lr = hyper["lr"] * (1 - hyper["beta"]) if hyper["form"] == "ema" else hyper["lr"]
    p = params.clone().requires_grad_()
    opt = torch.optim.SGD([p], lr=lr, momentum=hyper["beta"])
    p.grad = grads.clone()
    opt.step()
    return p.detach(), {"t": state["t"] + 1, "m": opt.state[p]["momentum_buffer"]}
""",
        ),
        "the visible numbers": wrong(
            "ema",
            "ball",
            "state",
            says="`beta` is written in as 0.9",
            change={"share = 1": 'hyper = hyper | {"lr": 0.1, "beta": 0.9}\n    share = 1'},
        ),
    },
    "momentum-switch": {
        "nothing changes": wrong(
            *SWITCH_ALL,
            says="the same number means steps of another length",
            change={'if given == "ema":\n': 'return lr, m\n    if given == "ema":\n'},
        ),
        "the memory stays": wrong(
            "memory",
            says="the memory has to be converted as well",
            change={
                "lr, m = (1 - beta) * lr, m / (1 - beta)": "lr = (1 - beta) * lr",
                "        m = m / lr\n": "        pass\n",
                "return lr / (1 - beta), (1 - beta) * m": "return lr / (1 - beta), m",
                "return lr, lr * m": "return lr, m",
            },
        ),
        "the rate stays": wrong(
            "rate",
            "memory",
            says="the same number means steps of another length",
            change={"lr, m = (1 - beta) * lr, m": "m = m", "return lr / (1 - beta), (1": "return lr, (1"},
        ),
        "the rate upside down": wrong(
            "rate",
            "memory",
            says="the factor 1 - beta is upside down: at the same lr",
            change={
                "lr, m = (1 - beta) * lr": "lr, m = lr / (1 - beta)",
                "return lr / (1 - beta)": "return lr * (1 - beta)",
            },
        ),
        "the memory upside down": wrong(
            "memory",
            says="the factor 1 - beta is upside down",
            change={"lr, m / (1 - beta)": "lr, m * (1 - beta)", "(1 - beta) * m": "m / (1 - beta)"},
        ),
        "starts again from zero": wrong(
            "memory",
            says="a memory of zero forgets the run",
            change={'if given == "ema":\n': 'm = 0 * m\n    if given == "ema":\n'},
        ),
        "beta for 1 - beta": wrong(
            "rate",
            "memory",
            says="the factor is 1 - beta, not beta",
            change={
                "lr, m = (1 - beta) * lr": "lr, m = beta * lr",
                "return lr / (1 - beta), (1": "return lr / beta, (1",
            },
        ),
        "the velocity without the rate": wrong(
            "memory",
            says="that is the heavy ball's m: the velocity is its lr times it",
            change={"        m = m / lr\n": "        pass\n", "return lr, lr * m": "return lr, m"},
        ),
        "the velocity upside down": wrong(
            "memory",
            says="the velocity is lr times the heavy ball's m, not m over lr",
            change={"m = m / lr": "m = m * lr", "return lr, lr * m": "return lr, m / lr"},
        ),
        "the velocity is an average": wrong(
            "rate",
            "memory",
            says="the same number means steps of another length",
            change={
                "        m = m / lr\n": "        lr, m = (1 - beta) * lr, m / lr\n",
                "return lr, lr * m": "return lr / (1 - beta), lr * m",
            },
        ),
        "one factor for all": wrong(
            "memory",
            says="1 - beta is there once too often",
            code="""
# exercise: momentum-switch
def momentum_switch(given, wanted, lr, beta, m):
    new_lr = lr
    if given == "ema" and wanted != "ema":
        new_lr = lr * (1 - beta)
    if given != "ema" and wanted == "ema":
        new_lr = lr / (1 - beta)
    if given == wanted:
        return lr, m
    if wanted == "velocity":
        return new_lr, new_lr * m
    if given == "velocity":
        return new_lr, m / new_lr
    return new_lr, m * lr / new_lr
""",
        ),
        "changed in place": wrong("memory", says="changes m", change={"        m = m / lr\n": "        m /= lr\n"}),
        "only to the heavy ball": wrong(
            *SWITCH_ALL,
            says="the same number means steps of another length",
            change={'if wanted == "ema"': 'if wanted == "EMA"', 'if wanted == "velocity"': "if False"},
        ),
        "one number": wrong(
            *SWITCH_ALL,
            says="must return 2 things, lr, m",
            change={
                "    return lr, m\n".rstrip("\n"): "    return lr",
                "return lr, lr * m": "return lr",
                "return lr / (1 - beta), (1 - beta) * m": "return lr / (1 - beta)",
            },
        ),
    },
    "slope-distance": {
        "all like gradient descent": wrong(
            "ema", "ball", says="that is gradient descent's distance", change={'if form == "dampened":': "if True:"}
        ),
        "the dampened one like the average": wrong(
            "dampened",
            says="the buffer starts with the first gradient undamped",
            change={
                '    if form == "dampened":\n        return lr * steps\n': "",
                'if form == "ema"': 'if form != "heavy_ball"',
            },
        ),
        "the dampened one like the heavy ball": wrong(
            "dampened",
            says="from the second step on the gradient is damped",
            change={'    if form == "dampened":\n        return lr * steps\n': ""},
        ),
        "the lag of the long run": wrong(
            "ema",
            "ball",
            says="that is the distance in the long run",
            change={"beta * (1 - beta**steps) / (1 - beta)": "beta / (1 - beta)"},
        ),
        "the sum from zero": wrong(
            "ema",
            "ball",
            says="the sum of beta^t runs from t = 1 to T",
            change={"lag = beta * (1": "lag = (1"},
        ),
        "the last speed times the time": wrong(
            "ema",
            "ball",
            says="that is T times the last step",
            change={"average = lr * (steps - lag)": "average = lr * steps * (1 - beta**steps)"},
        ),
        "the average like the heavy ball": wrong(
            "ema",
            says="that is the heavy ball's distance",
            change={'average if form == "ema" else average / (1 - beta)': "average / (1 - beta)"},
        ),
        "the heavy ball like the average": wrong(
            "ball",
            says="that is the average's distance",
            change={'average if form == "ema" else average / (1 - beta)': "average"},
        ),
        "the heavy ball at full speed": wrong(
            "ball",
            says="that is the distance at full speed",
            change={"else average / (1 - beta)": "else lr * steps / (1 - beta)"},
        ),
        "the heavy ball multiplied": wrong(
            "ball", says="multiply by 1 / (1 - beta)", change={"else average / (1 - beta)": "else average * (1 - beta)"}
        ),
        "one step too few": wrong(
            "ema",
            "ball",
            "dampened",
            says="Or is a step missing?",
            change={'if form == "dampened":': 'steps = steps - 1\n    if form == "dampened":'},
        ),
        "the last step": wrong(
            "ball",
            says="that is the last step",
            change={"else average / (1 - beta)": "else lr * (1 - beta**steps) / (1 - beta)"},
        ),
        "uphill": wrong(
            *SLOPE_ALL,
            says="turned everywhere",
            change={"return lr * steps": "return -lr * steps", "average = lr": "average = -lr"},
        ),
        "the visible numbers": wrong(
            *SLOPE_ALL,
            says="`lr` is written in as 0.1",
            change={'if form == "dampened":': 'lr, beta = 0.1, 0.9\n    if form == "dampened":'},
        ),
        "the surplus in the limit": wrong(
            "dampened",
            says="is beta + beta^2 + ... + beta^T, not its limit",
            code="""
# exercise: slope-distance
def slope_distance(form, lr, beta, steps):
    average = lr * (steps - beta * (1 - beta**steps) / (1 - beta))
    if form == "ema":
        return average
    if form == "heavy_ball":
        return average / (1 - beta)
    return average + lr * beta / (1 - beta)
""",
        ),
    },
    "momentum-motion": {
        "the average like the heavy ball": wrong(
            "ema",
            says="the average takes a = (1 - beta) * lr * h",
            change={'(1 - beta) * lr_curvature if form == "ema" else lr_curvature': "lr_curvature"},
        ),
        "the heavy ball like the average": wrong(
            "real",
            "kind",
            says="the factor 1 - beta belongs to the average",
            change={'(1 - beta) * lr_curvature if form == "ema" else lr_curvature': "(1 - beta) * lr_curvature"},
        ),
        "the smaller root": wrong(
            "real",
            "kind",
            "ema",
            says="that is the smaller root",
            change={"(abs(trace) + math": "(abs(trace) - math"},
        ),
        "always the root with a plus": wrong(
            "real",
            "kind",
            "ema",
            says="where the other one is larger in size",
            change={"(abs(trace) + math.sqrt(discriminant)) / 2": "abs(trace + math.sqrt(discriminant)) / 2"},
        ),
        "the modulus is beta": wrong(
            "complex", "ema", says="has the modulus sqrt(beta), not beta", change={"math.sqrt(beta)": "beta"}
        ),
        "the real part": wrong(
            "complex", "ema", says="that is the real part", change={"return math.sqrt(beta)": "return abs(trace) / 2"}
        ),
        "the sign of beta": wrong(
            *MOTION_ALL,
            says="the constant of the polynomial is +beta",
            change={"trace**2 - 4 * beta": "trace**2 + 4 * beta"},
        ),
        "the trace without beta": wrong(
            *MOTION_ALL,
            says="the sum of the roots is 1 + beta - a, not 1 - a",
            change={"trace = 1 + beta - a": "trace = 1 - a"},
        ),
        "gradient descent": wrong(
            *MOTION_ALL,
            says="that is gradient descent's rate",
            code="""
# exercise: momentum-motion
def momentum_motion(lr_curvature, beta, form):
    a = (1 - beta) * lr_curvature if form == "ema" else lr_curvature
    rate = abs(1 - a)
    return rate, "not convergent" if rate >= 1 else "alternating" if a > 1 else "monotone"
""",
        ),
        "alternating and monotone swapped": wrong(
            "kind",
            "ema",
            says="with real roots the sign of the larger one decides",
            change={"if trace < 0": "if trace > 0"},
        ),
        "divergence not seen": wrong(
            "kind", "ema", says="the larger root is not inside the unit circle", change={"if rate >= 1": "if False"}
        ),
        "a root below one taken for one inside": wrong(
            "kind",
            "ema",
            says="the larger root is not inside the unit circle",
            change={"if rate >= 1": "if (trace + math.sqrt(discriminant)) / 2 >= 1"},
        ),
        "a pair is never stable": wrong(
            "kind",
            "ema",
            says="both roots are inside the unit circle",
            change={'"oscillating"': '"not convergent"'},
        ),
        "every sign change oscillates": wrong(
            "kind", "ema", says="called oscillating, but the roots are real", change={'"alternating"': '"oscillating"'}
        ),
        "other words": wrong(
            "kind",
            "ema",
            says="must be one of",
            change={'"not convergent"': '"divergent"', '"monotone"': '"overdamped"'},
        ),
        "only the rate": wrong(
            *MOTION_ALL,
            says="must return 2 things",
            change={
                "return math.sqrt(beta), " + '"oscillating"': "return math.sqrt(beta)",
                "return rate, " + '"not convergent"': "return rate",
                "return rate, " + '"alternating" if trace < 0 else "monotone"': "return rate",
            },
        ),
        "the library": wrong(
            *MOTION_ALL,
            says="uses optbias.theory.quadratic_dynamics",
            code="""
# exercise: momentum-motion
from optbias.theory import quadratic_dynamics

def momentum_motion(lr_curvature, beta, form):
    kind = quadratic_dynamics.REGIMES[int(quadratic_dynamics.regime(lr_curvature, beta, form))]
    return quadratic_dynamics.rate(lr_curvature, beta, form), kind
""",
        ),
    },
    "stable-rate": {
        "gradient descent for all": wrong(
            *STABLE_ALL,
            says="that is gradient descent's limit",
            change={
                "2 * (1 + beta) / curvature": "2 / curvature",
                "limit / (1 - beta)": "limit",
                "limit / (1 + 2 * beta)": "limit",
            },
        ),
        "the curvature forgotten": wrong(*STABLE_ALL, says="divide by the curvature", change={" / curvature": ""}),
        "times the curvature": wrong(
            *STABLE_ALL, says="divide by the curvature, do not multiply", change={" / curvature": " * curvature"}
        ),
        "the average like the heavy ball": wrong(
            "ema",
            says="that is the heavy ball's limit: the average's steps",
            change={"return limit / (1 - beta)": "return limit"},
        ),
        "the average multiplied": wrong(
            "ema", says="divide by 1 - beta, do not multiply", change={"limit / (1 - beta)": "limit * (1 - beta)"}
        ),
        "the heavy ball like the average": wrong(
            "ball",
            says="that is the average's limit",
            change={'if form == "ema":': 'if form in ("ema", "heavy_ball"):'},
        ),
        "less room with momentum": wrong(
            "ball",
            "ema",
            says="more momentum gives the heavy ball more room",
            change={
                "2 * (1 + beta)": "2 * (1 - beta)",
                "limit / (1 + 2 * beta)": "limit * (1 + beta) / (1 - beta) / (1 + 2 * beta)",
            },
        ),
        "the 2 forgotten": wrong(*STABLE_ALL, says="there is a factor 2", change={"2 * (1 + beta)": "(1 + beta)"}),
        "the end of the wedge": wrong(
            "ball",
            "ema",
            says="that is where the roots become real again",
            change={
                "2 * (1 + beta) / curvature": "(1 + math.sqrt(beta)) ** 2 / curvature",
                "limit / (1 + 2 * beta)": "2 * (1 + beta) / curvature / (1 + 2 * beta)",
            },
        ),
        "Nesterov like the heavy ball": wrong(
            "nesterov", says="that is the heavy ball's limit: Nesterov's", change={"limit / (1 + 2 * beta)": "limit"}
        ),
        "Nesterov with the heavy ball's product": wrong(
            "nesterov",
            says="the product of Nesterov's roots",
            change={"limit / (1 + 2 * beta)": "limit / (1 + beta)"},
        ),
        "Nesterov as an average": wrong(
            "nesterov",
            says="without the factor 1 - beta",
            change={"limit / (1 + 2 * beta)": "limit / (1 + 2 * beta) / (1 - beta)"},
        ),
        "the first term only": wrong(
            "ema",
            says="the numerator is 2 (1 + beta), not 2",
            change={"return limit / (1 - beta)": "return 2 / (1 - beta) / curvature"},
        ),
        "the visible beta": wrong(
            *STABLE_ALL, says="differs by", change={"limit = 2": "beta, curvature = 0.5, 4.0\n    limit = 2"}
        ),
    },
    "best-pair": {
        "gradient descent's rate of learning": wrong(
            "lr",
            "ema",
            says="that is gradient descent's best rate",
            change={"lr = (2 / (low + high)) ** 2": "lr = 2 / (smallest + largest)"},
        ),
        "the square forgotten": wrong(
            "lr",
            "ema",
            says="square 2 / (sqrt(smallest) + sqrt(largest))",
            change={"lr = (2 / (low + high)) ** 2": "lr = 2 / (low + high)"},
        ),
        "one over the largest curvature": wrong(
            "lr",
            "ema",
            says="that is Nesterov's usual rate",
            change={"lr = (2 / (low + high)) ** 2": "lr = 1 / largest"},
        ),
        "the 2 not squared": wrong(
            "lr",
            "ema",
            says="the 2 has to be squared too",
            change={"lr = (2 / (low + high)) ** 2": "lr = 1 / (low + high) ** 2"},
        ),
        "beta is the rate": wrong(
            "beta", "ema", says="beta is the square of", change={"beta = rate**2": "beta = rate"}
        ),
        "kappa without its root": wrong(
            "lr",
            "beta",
            "ema",
            says="take the root of kappa",
            change={"low, high = math.sqrt(smallest), math.sqrt(largest)": "low, high = smallest, largest"},
        ),
        "only beta without the root": wrong(
            "beta",
            "ema",
            says="take the root of kappa",
            change={"rate = (high - low) / (high + low)": "rate = (largest - smallest) / (largest + smallest)"},
        ),
        "the rate is beta": wrong(
            "beta", says="the rate is sqrt(beta), not beta", change={"else lr, beta, rate": "else lr, beta, beta"}
        ),
        "gradient descent's rate": wrong(
            "beta",
            says="that is gradient descent's rate",
            change={"else lr, beta, rate": "else lr, beta, (largest - smallest) / (largest + smallest)"},
        ),
        "the same learning rate for both forms": wrong(
            "ema", says="that is the heavy ball's lr", change={'lr / (1 - beta) if form == "ema" else lr': "lr"}
        ),
        "the average multiplied": wrong("ema", says="do not multiply", change={"lr / (1 - beta)": "lr * (1 - beta)"}),
        "always the average": wrong(
            "lr",
            says="that is the average's lr",
            change={'lr / (1 - beta) if form == "ema" else lr': "lr / (1 - beta)"},
        ),
        "the ends exchanged": wrong("beta", says="exchanged", change={"(high - low)": "(low - high)"}),
        "another order": wrong(
            *PAIR_ALL,
            says="differs by",
            change={"return lr / (1 - beta)": "lr, beta = beta, lr\n    return lr / (1 - beta)"},
        ),
        "the pair alone": wrong(
            *PAIR_ALL, says="must return 3 things", change={"else lr, beta, rate": "else lr, beta"}
        ),
        "the default beta": wrong(
            "lr",
            "beta",
            "ema",
            says="differs by",
            change={"beta = rate**2": "beta = 0.9", "lr = (2 / (low + high)) ** 2": "lr = 2 * (1 + beta) / largest"},
        ),
    },
    "ema-deficit": {
        "the distance itself": wrong(
            *DEFICIT_ALL,
            says="that is the distance of the average itself",
            change={"return lr * missing": "return lr * (sum(gradients) - missing)"},
        ),
        "ahead": wrong(
            "slope",
            "varied",
            "plateau",
            says="the average stays behind, it is not ahead",
            change={"return lr * missing": "return -lr * missing"},
        ),
        "the heavy ball": wrong(
            *DEFICIT_ALL,
            says="that compares with the heavy ball",
            change={
                "return lr * missing": "plain = sum(gradients)\n"
                "    return lr * (plain - (plain - missing) / (1 - beta if beta else 0.5))"
            },
        ),
        "off by one": wrong(
            "slope",
            "varied",
            "plateau",
            says="off by one",
            change={"missing = beta * (missing + g)": "missing = beta * missing + g"},
        ),
        "the speeds": wrong(
            *DEFICIT_ALL,
            says="that compares the last steps, not the distances",
            code="""
# exercise: ema-deficit
def ema_deficit(gradients, lr, beta):
    m = 0.0
    for g in gradients:
        m = beta * m + (1 - beta) * g
    return lr * (gradients[-1] - m)
""",
        ),
        "the powers the wrong way": wrong(
            "varied",
            "plateau",
            says="the powers run the wrong way",
            change={"for g in gradients:": "for g in reversed(gradients):"},
        ),
        "no learning rate": wrong(
            "slope",
            "varied",
            "plateau",
            says="the learning rate is missing",
            change={"return lr * missing": "return missing"},
        ),
        "the endless slope": wrong(
            "slope",
            "varied",
            "plateau",
            says="that is the limit on an endless slope",
            change={"return lr * missing": "return lr * gradients[-1] * beta / (1 - beta)"},
        ),
        "only for equal gradients": wrong(
            "varied",
            "plateau",
            says="differs by",
            code="""
# exercise: ema-deficit
def ema_deficit(gradients, lr, beta):
    return lr * gradients[0] * beta * (1 - beta ** len(gradients)) / (1 - beta)
""",
        ),
        "never negative": wrong(
            "varied",
            says="without their signs",
            change={"for g in gradients:": "for g in map(abs, gradients):"},
        ),
        "the heavy ball's memory": wrong(
            *DEFICIT_ALL,
            says="differs by",
            code="""
# exercise: ema-deficit
def ema_deficit(gradients, lr, beta):
    m = ema = 0.0
    for g in gradients:
        m = beta * m + g
        ema += lr * m
    return ema
""",
        ),
        "no answer for zero beta": wrong(
            "varied",
            says="raised ZeroDivisionError",
            code="""
# exercise: ema-deficit
def ema_deficit(gradients, lr, beta):
    weights = [beta**k for k in range(len(gradients), 0, -1)]
    return lr * sum(w * g for w, g in zip(weights, gradients)) * (beta / beta)
""",
        ),
        "the visible numbers": wrong(
            *DEFICIT_ALL, says="differs by", change={"missing = 0.0": "missing, lr, beta = 0.0, 0.5, 0.8"}
        ),
    },
}

RIGHT = {
    "momentum-step": {
        "written as a pull towards the gradient": """
# exercise: momentum-step
def momentum_step(params, grads, state, hyper):
    beta, m = hyper["beta"], state["m"]
    if hyper["form"] == "ema":
        m = m + (1 - beta) * (grads - m)
    else:
        m = m * beta + grads
    return params - m * hyper["lr"], dict(state, t=state["t"] + 1, m=m)
""",
        "numpy": """
# exercise: momentum-step
def momentum_step(params, grads, state, hyper):
    p, g, m = (np.array(x) for x in (params, grads, state["m"]))
    m *= hyper["beta"]
    m += g * ((1 - hyper["beta"]) if hyper["form"] == "ema" else 1)
    return p - hyper["lr"] * m, {"t": state["t"] + 1, "m": m}
""",
        "in place, on copies": """
# exercise: momentum-step
def momentum_step(params, grads, state, hyper):
    m = state["m"].clone().mul_(hyper["beta"])
    m.add_(grads, alpha={"ema": 1 - hyper["beta"], "heavy_ball": 1.0}[hyper["form"]])
    return torch.add(params, m, alpha=-hyper["lr"]), {"m": m, "t": 1 + state["t"]}
""",
    },
    "momentum-switch": {
        "sizes of the memories": """
# exercise: momentum-switch
def momentum_switch(given, wanted, lr, beta, m):
    ball_lr = lr * (1 - beta) if given == "ema" else lr
    size = {"ema": 1 - beta, "heavy_ball": 1.0, "velocity": ball_lr}
    new_lr = ball_lr / (1 - beta) if wanted == "ema" else ball_lr
    return new_lr, m * (size[wanted] / size[given])
""",
        "through the next displacement": """
# exercise: momentum-switch
def momentum_switch(given, wanted, lr, beta, m):
    jump = m if given == "velocity" else lr * m
    kick = (1 - beta) * lr if given == "ema" else lr
    lr = kick / (1 - beta) if wanted == "ema" else kick
    return [lr, jump if wanted == "velocity" else jump / lr]
""",
        "a table": """
# exercise: momentum-switch
def momentum_switch(given, wanted, lr, beta, m):
    q = 1 - beta
    table = {
        ("ema", "heavy_ball"): (q, 1 / q),
        ("ema", "velocity"): (q, lr),
        ("heavy_ball", "ema"): (1 / q, q),
        ("heavy_ball", "velocity"): (1.0, lr),
        ("velocity", "ema"): (1 / q, q / lr),
        ("velocity", "heavy_ball"): (1.0, 1 / lr),
    }
    a, b = table.get((given, wanted), (1.0, 1.0))
    return a * lr, b * m
""",
    },
    "slope-distance": {
        "step by step": """
# exercise: slope-distance
def slope_distance(form, lr, beta, steps):
    m = place = 0.0
    for t in range(steps):
        damping = 1.0 if form == "heavy_ball" or (form == "dampened" and t == 0) else 1 - beta
        m = beta * m + damping
        place += lr * m
    return place
""",
        "summed weights": """
# exercise: slope-distance
def slope_distance(form, lr, beta, steps):
    powers = beta ** np.arange(1, steps + 1)
    speed = {
        "ema": 1 - powers,
        "heavy_ball": (1 - powers) / (1 - beta),
        "dampened": np.ones(steps),
    }[form]
    return lr * speed.sum()
""",
        "the surplus added": """
# exercise: slope-distance
def slope_distance(form, lr, beta, steps):
    surplus = sum(beta**k for k in range(1, steps + 1))
    average = steps - surplus
    if form == "dampened":
        average += surplus
    return torch.tensor(lr) * average / (1 - beta if form == "heavy_ball" else 1)
""",
    },
    "momentum-motion": {
        "complex numbers": """
# exercise: momentum-motion
def momentum_motion(lr_curvature, beta, form):
    a = lr_curvature * ((1 - beta) if form == "ema" else 1)
    s = 1 + beta - a
    root = complex(s * s - 4 * beta) ** 0.5
    z = max((s + root) / 2, (s - root) / 2, key=abs)
    if abs(z) >= 1:
        kind = "not convergent"
    elif s * s < 4 * beta:
        kind = "oscillating"
    else:
        kind = "monotone" if z.real >= 0 else "alternating"
    return abs(z), kind
""",
        "eigenvalues of the matrix": """
# exercise: momentum-motion
def momentum_motion(lr_curvature, beta, form):
    a = (1 - beta) * lr_curvature if form == "ema" else lr_curvature
    z = np.linalg.eigvals(np.array([[1 + beta - a, -beta], [1.0, 0.0]]))
    z = z[np.argmax(np.abs(z))]
    if abs(z) >= 1:
        return abs(z), "not convergent"
    if abs(z.imag) > 0:
        return abs(z), "oscillating"
    return abs(z), "alternating" if z.real < 0 else "monotone"
""",
        "by the wedge": """
# exercise: momentum-motion
def momentum_motion(lr_curvature, beta, form):
    a = (1 - beta) * lr_curvature if form == "ema" else lr_curvature
    low, high = (1 - beta**0.5) ** 2, (1 + beta**0.5) ** 2
    if low < a < high:
        return beta**0.5, "oscillating"
    half = (1 + beta - a) / 2
    rate = abs(half) + ((a - low) * (a - high)) ** 0.5 / 2
    if not 0 < a < 2 * (1 + beta):
        return rate, "not convergent"
    return rate, "monotone" if a <= low else "alternating"
""",
    },
    "stable-rate": {
        "a table": """
# exercise: stable-rate
def stable_rate(beta, curvature, form):
    a = {"heavy_ball": 2 + 2 * beta, "ema": 2 + 2 * beta, "nesterov": 1 + 1 / (1 + 2 * beta)}[form]
    return a / (curvature * (1 - beta) if form == "ema" else curvature)
""",
        "match": """
# exercise: stable-rate
def stable_rate(beta, curvature, form):
    match form:
        case "heavy_ball":
            return 2 * (1 + beta) / curvature
        case "ema":
            return 2 * (1 + beta) / (1 - beta) / curvature
        case "nesterov":
            return 2 * (1 + beta) / (1 + 2 * beta) / curvature
""",
        "bisection of the roots": """
# exercise: stable-rate
def stable_rate(beta, curvature, form):
    def stable(lr):
        a = lr * curvature * ((1 - beta) if form == "ema" else 1)
        s, q = ((1 + beta) * (1 - a), beta * (1 - a)) if form == "nesterov" else (1 + beta - a, beta)
        return abs(q) < 1 and abs(s) < 1 + q

    low, high = 0.0, 5 / (1 - beta) / curvature
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if stable(middle) or middle == 0 else (low, middle)
    return low
""",
    },
    "best-pair": {
        "with kappa": """
# exercise: best-pair
def best_pair(smallest, largest, form):
    root = (largest / smallest) ** 0.5
    r = (root - 1) / (root + 1)
    lr = (1 - r) ** 2 / smallest
    if form == "ema":
        lr /= 1 - r * r
    return lr, r * r, r
""",
        "from the other end": """
# exercise: best-pair
def best_pair(smallest, largest, form):
    r = 1 - 2 / (math.sqrt(largest / smallest) + 1)
    ball = (1 + r) ** 2 / largest
    return [ball if form == "heavy_ball" else ball / ((1 - r) * (1 + r)), r**2, r]
""",
        "numpy": """
# exercise: best-pair
def best_pair(smallest, largest, form):
    low, high = np.sqrt([smallest, largest])
    beta = np.square((high - low) / (high + low))
    lr = 4 / (low + high) ** 2
    factor = {"ema": 1 / (1 - beta), "heavy_ball": 1.0}[form]
    return lr * factor, beta, np.sqrt(beta)
""",
    },
    "ema-deficit": {
        "two runs": """
# exercise: ema-deficit
def ema_deficit(gradients, lr, beta):
    m = average = plain = 0.0
    for g in gradients:
        m = beta * m + (1 - beta) * g
        average += lr * m
        plain += lr * g
    return plain - average
""",
        "summed powers": """
# exercise: ema-deficit
def ema_deficit(gradients, lr, beta):
    T = len(gradients)
    return lr * sum(g * beta ** (T - k) for k, g in enumerate(gradients))
""",
        "from the last memory": """
# exercise: ema-deficit
def ema_deficit(gradients, lr, beta):
    m = 0.0
    for g in gradients:
        m = beta * m + (1 - beta) * g
    return lr * m * beta / (1 - beta)
""",
        "numpy": """
# exercise: ema-deficit
def ema_deficit(gradients, lr, beta):
    g = np.asarray(gradients, dtype=float)
    return lr * np.dot(g[::-1], beta ** np.arange(1, len(g) + 1))
""",
    },
}

EQUIVALENT = {
    "momentum-motion": {
        "line 8: rate >= 1 -> Gt": "differs at a rate of exactly 1; there rounding decides, and the text leaves it out",
    }
}
