"""Answers to the problem set on Adam: wrong ones as students write them, and right ones in other styles."""

from bank import wrong

STEP = ("first", "run", "epsilon", "edges")  # what a wrong step loses when the state is right
LATER = ("run", "epsilon", "edges")  # ... and the first step is right
WHOLE = ("first", "state", "run", "epsilon", "edges", "pure")

T = 't = state["t"] + 1'
M = 'm = hyper["beta1"] * state["m"] + (1 - hyper["beta1"]) * grads'
V = 'v = hyper["beta2"] * state["v"] + (1 - hyper["beta2"]) * grads**2'
M_HAT = 'm_hat = m / (1 - hyper["beta1"] ** t)'
V_HAT = 'v_hat = v / (1 - hyper["beta2"] ** t)'
BELOW = '(torch.sqrt(v_hat) + hyper["eps"])'
RETURN = 'return params - hyper["lr"] * step, {"t": t, "m": m, "v": v}'

WRONG = {
    "adam-step": {
        "no hat on v": wrong(*STEP, says="your v is not bias-corrected", change={V_HAT: "v_hat = v"}),
        "no hat on m": wrong(*STEP, says="your m is not bias-corrected", change={M_HAT: "m_hat = m"}),
        "no hats": wrong(
            *STEP, says="neither m nor v is bias-corrected", change={M_HAT: "m_hat = m", V_HAT: "v_hat = v"}
        ),
        "epsilon inside the root": wrong(
            "epsilon", says="epsilon stands under the root", change={BELOW: 'torch.sqrt(v_hat + hyper["eps"])'}
        ),
        "epsilon before the hat": wrong(
            "epsilon",
            says="epsilon is added before the hat",
            change={BELOW: '((torch.sqrt(v) + hyper["eps"]) / math.sqrt(1 - hyper["beta2"] ** t))'},
        ),
        "no epsilon": wrong("epsilon", "edges", says="epsilon is missing", change={BELOW: "torch.sqrt(v_hat)"}),
        "t is not kept": wrong(
            "state", *LATER, says="t is not kept in the state", change={'{"t": t,': '{"t": state["t"],'}
        ),
        "t frozen at 1": wrong("state", *LATER, says="t is 1 in every step", change={T: "t = 1"}),
        "the hats of the first step, always": wrong(
            *LATER,
            says="the bias correction uses t = 1 in every step",
            change={M_HAT: M_HAT.replace("** t", "** 1"), V_HAT: V_HAT.replace("** t", "** 1")},
        ),
        "t from 0": wrong(
            *STEP,
            "pure",
            says="t is one too small",
            change={M_HAT: M_HAT.replace("** t", '** state["t"]'), V_HAT: V_HAT.replace("** t", '** state["t"]')},
        ),
        "t from 2": wrong(
            *STEP, says="t is one too large", change={T: 't = state["t"] + 2', '{"t": t,': '{"t": t - 1,'}
        ),
        "betas swapped": wrong(
            "state",
            *LATER,
            says="beta1 and beta2 are swapped",
            change={M: M.replace("beta1", "beta2"), V: V.replace("beta2", "beta1")}
            | {M_HAT: M_HAT.replace("beta1", "beta2"), V_HAT: V_HAT.replace("beta2", "beta1")},
        ),
        "uphill": wrong(*STEP, says="the step goes uphill", change={"params - hyper": "params + hyper"}),
        "m is not kept": wrong("state", *LATER, says="m is not kept", change={'"m": m,': '"m": state["m"],'}),
        "v is not kept": wrong("state", *LATER, says="v is not kept", change={'"v": v}': '"v": state["v"]}'}),
        "the old state is returned": wrong(
            "state", *LATER, says="the state is returned as it came", change={'{"t": t, "m": m, "v": v}': "state"}
        ),
        "no root": wrong(*STEP, says="the root is missing", change={BELOW: '(v_hat + hyper["eps"])'}),
        "sizes, not squares": wrong("state", *STEP, says="v averages |g|", change={"grads**2": "grads.abs()"}),
        "m without 1 - beta1": wrong(
            "state", *STEP, says="m lacks the factor", change={'(1 - hyper["beta1"]) * grads\n': "grads\n"}
        ),
        "v without 1 - beta2": wrong(
            "state", *STEP, says="v lacks the factor", change={'(1 - hyper["beta2"]) * grads**2': "grads**2"}
        ),
        "the hats are kept": wrong(
            "state",
            *LATER,
            says="the state holds the hatted averages",
            change={'"m": m, "v": v}': '"m": m_hat, "v": v_hat}'},
        ),
        "both hats with beta1": wrong(
            *STEP, says="both hats use beta1", change={V_HAT: V_HAT.replace("beta2", "beta1")}
        ),
        "both hats with beta2": wrong(
            *STEP, says="both hats use beta2", change={M_HAT: M_HAT.replace("beta1", "beta2")}
        ),
        "the hat outside the root": wrong(
            *STEP,
            says="the hat of v stands outside the root",
            change={BELOW: '(torch.sqrt(v) / (1 - hyper["beta2"] ** t) + hyper["eps"])'},
        ),
        "params changed in place": wrong(
            "pure",
            says="changes params",
            change={RETURN: 'params -= hyper["lr"] * step\n    return params, {"t": t, "m": m, "v": v}'},
        ),
        "the moments changed in place": wrong(
            "pure",
            says="changes state",
            change={M: 'm = state["m"].mul_(hyper["beta1"]).add_((1 - hyper["beta1"]) * grads)'},
        ),
        "the state's dictionary changed in place": wrong(
            "pure", says="changes state", change={RETURN: 'state["t"], state["m"], state["v"] = t, m, v\n    ' + RETURN}
        ),
        "the gradient changed in place": wrong(
            "pure", says="changes grads", change={T: T + "\n    grads *= 1.0 + 1e-15"}
        ),
        "float32": wrong(
            "first",
            "state",
            "run",
            "epsilon",
            "edges",
            says="float32",
            change={T: T + "\n    params, grads = params.float(), grads.float()"},
        ),
        "for one number only": wrong(*WHOLE, says="adam_step raised", change={"torch.sqrt(v_hat)": "math.sqrt(v_hat)"}),
        "one v for the whole tensor": wrong(
            "state", *STEP, says="one number for the whole tensor", change={"grads**2": "(grads**2).mean() + 0 * grads"}
        ),
        "v around the mean": wrong(
            "state", *STEP, says="the squares of grads - m", change={"grads**2": "(grads - m) ** 2"}
        ),
        "the largest square instead of an average": wrong(
            "state",
            *LATER,
            says="keeps the largest square",
            change={V: 'v = torch.maximum(state["v"], (1 - hyper["beta2"]) * grads**2)'},
        ),
        "the defaults written in": wrong(
            "state",
            *LATER,
            says="are written in: take them from hyper",
            code="""
# exercise: adam-step
def adam_step(params, grads, state, hyper):
    t = state["t"] + 1
    m = 0.9 * state["m"] + 0.1 * grads
    v = 0.999 * state["v"] + 0.001 * grads**2
    step = (m / (1 - 0.9**t)) / (torch.sqrt(v / (1 - 0.999**t)) + hyper["eps"])
    return params - hyper["lr"] * step, {"t": t, "m": m, "v": v}
""",
        ),
        "the first step, always": wrong(
            *LATER,
            says="right for the first step only",
            change={"step = m_hat / " + BELOW: "step = torch.sign(grads)"},
        ),
        "a counter outside": wrong(
            "first",
            "state",
            "run",
            "epsilon",
            "edges",
            "pure",
            stateful=True,
            says="remembered between calls",
            code="""
# exercise: adam-step
calls = 0

def adam_step(params, grads, state, hyper):
    global calls
    calls += 1
    m = hyper["beta1"] * state["m"] + (1 - hyper["beta1"]) * grads
    v = hyper["beta2"] * state["v"] + (1 - hyper["beta2"]) * grads**2
    step = (m / (1 - hyper["beta1"] ** calls)) / (torch.sqrt(v / (1 - hyper["beta2"] ** calls)) + hyper["eps"])
    return params - hyper["lr"] * step, {"t": calls, "m": m, "v": v}
""",
        ),
        "the hats dropped after ten steps": wrong(
            "run",
            says="differs by up to",
            change={V_HAT: V_HAT + "\n    if t > 10:\n        m_hat, v_hat = m, v"},
        ),
        "v kept away from zero": wrong(
            "edges",
            says="gradients a million times",
            change={"torch.sqrt(v_hat)": "torch.sqrt(v_hat.clamp(min=1e-10))"},
        ),
        "for vectors only": wrong(
            "edges",
            says="a matrix, a number and an empty tensor",
            change={V_HAT: V_HAT + "\n    m_hat = torch.stack([m_hat[i] for i in range(len(params))])"},
        ),
        "an error for a gradient of zero": wrong(
            "edges",
            says="always zero: adam_step raised ValueError",
            change={T: T + '\n    if not grads.any() and grads.numel():\n        raise ValueError("no gradient")'},
        ),
        "params alone": wrong(
            *WHOLE, says="must return two things", change={RETURN: 'return params - hyper["lr"] * step'}
        ),
        "no return": wrong(*WHOLE, says="returned None", change={RETURN: 'params = params - hyper["lr"] * step'}),
        "other keys": wrong(
            *WHOLE[:-1], says="lacks 'm', 'v'", change={'"m": m, "v": v}': '"exp_avg": m, "exp_avg_sq": v}'}
        ),
        "torch's own optimizer": wrong(
            *WHOLE,
            says="uses torch.optim.Adam, which this task does not allow",
            code="""
# exercise: adam-step
def adam_step(params, grads, state, hyper):
    p = params.clone().requires_grad_()
    opt = torch.optim.Adam([p], lr=hyper["lr"], betas=(hyper["beta1"], hyper["beta2"]), eps=hyper["eps"])
    p.grad = grads.clone()
    opt.step()
    inner = opt.state[p]
    return p.detach(), {"t": state["t"] + 1, "m": inner["exp_avg"], "v": inner["exp_avg_sq"]}
""",
        ),
        "the course's own rule": wrong(
            *WHOLE,
            says="uses optbias.rules",
            code="""
# exercise: adam-step
from optbias import rules

def helper(hyper):
    return rules.Adam(lr=hyper["lr"], betas=(hyper["beta1"], hyper["beta2"]), eps=hyper["eps"])

def adam_step(params, grads, state, hyper):
    return helper(hyper).equations(params, grads, state)
""",
        ),
        "for ever": wrong(
            *WHOLE, slow=True, says="took longer than the 5 seconds", change={T: T + "\n    while True:\n        pass"}
        ),
    },
    "adam-uncorrected": {
        "upside down": wrong(
            "formula",
            "limits",
            says="upside down",
            code="""
# exercise: adam-uncorrected
def uncorrected_factor(beta1, beta2, t):
    return math.sqrt(1 - beta2**t) / (1 - beta1**t)
""",
        ),
        "no root": wrong(
            "formula", "limits", says="the root is missing", change={"math.sqrt(1 - beta2**t)": "(1 - beta2**t)"}
        ),
        "the hat of m alone": wrong(
            "formula", "limits", says="that is the hat of m alone", change={" / math.sqrt(1 - beta2**t)": ""}
        ),
        "the hat of v alone": wrong(
            "formula", "limits", says="that is the hat of v alone", change={"(1 - beta1**t)": "1"}
        ),
        "betas swapped": wrong(
            "formula",
            "limits",
            says="swapped",
            code="""
# exercise: adam-uncorrected
def uncorrected_factor(beta1, beta2, t):
    return (1 - beta2**t) / math.sqrt(1 - beta1**t)
""",
        ),
        "t + 1": wrong(
            "formula",
            "limits",
            says="one too large",
            change={"beta1**t": "beta1 ** (t + 1)", "beta2**t": "beta2 ** (t + 1)"},
        ),
        "the first step, always": wrong(
            "formula", "limits", says="it changes with t", change={"beta1**t": "beta1", "beta2**t": "beta2"}
        ),
        "for small t": wrong(
            "formula",
            "limits",
            says="approximation for small t",
            code="""
# exercise: adam-uncorrected
def uncorrected_factor(beta1, beta2, t):
    return math.sqrt(t) * (1 - beta1) / math.sqrt(1 - beta2)
""",
        ),
        "both under the root": wrong(
            "formula",
            "limits",
            says="both parts stand under the root",
            change={"(1 - beta1**t)": "math.sqrt(1 - beta1**t)"},
        ),
        "the example's numbers": wrong(
            "formula",
            "limits",
            says="differs by up to",
            code="""
# exercise: adam-uncorrected
def uncorrected_factor(beta1, beta2, t):
    return {1: 10**0.5, 12: 6.567}.get(t, 1.0)
""",
        ),
        "float32": wrong(
            "formula",
            "limits",
            says="float32",
            change={"1 - beta1**t": "1 - torch.tensor(beta1, dtype=torch.float32) ** t"},
        ),
        "the defaults written in": wrong(
            "formula", "limits", says="is written in as 0.9", change={"beta1**t": "0.9**t", "beta2**t": "0.999**t"}
        ),
        "fails for a beta of 0": wrong(
            "limits", says="raised ValueError", change={"1 - beta1**t": "1 - math.exp(t * math.log(beta1))"}
        ),
    },
    "adam-variance": {
        "the limit": wrong(
            "formula",
            "limits",
            says="that is the limit for many steps",
            change={" * (1 + beta**t)": "", " * (1 - beta**t)": ""},
        ),
        "of m, not of m_hat": wrong(
            "formula",
            "limits",
            says="the variance of m, not of m_hat",
            code="""
# exercise: adam-variance
def hat_variance(beta, t):
    return sum(((1 - beta) * beta ** (t - k)) ** 2 for k in range(1, t + 1))
""",
        ),
        "the hat not squared": wrong(
            "formula",
            "limits",
            says="the hat enters the variance squared",
            code="""
# exercise: adam-variance
def hat_variance(beta, t):
    return (1 - beta) * (1 - beta ** (2 * t)) / ((1 + beta) * (1 - beta**t))
""",
        ),
        "the plain mean": wrong(
            "formula",
            "limits",
            says="plain mean",
            code="""
# exercise: adam-variance
def hat_variance(beta, t):
    return 1 / t
""",
        ),
        "the standard deviation": wrong(
            "formula",
            "limits",
            says="standard deviation",
            code="""
# exercise: adam-variance
def hat_variance(beta, t):
    return math.sqrt((1 - beta) * (1 + beta**t) / ((1 + beta) * (1 - beta**t)))
""",
        ),
        "the sum of the weights": wrong(
            "formula",
            "limits",
            says="sum of the weights, not of their squares",
            code="""
# exercise: adam-variance
def hat_variance(beta, t):
    return sum((1 - beta) * beta ** (t - k) / (1 - beta**t) for k in range(1, t + 1))
""",
        ),
        "signs exchanged": wrong(
            "formula",
            "limits",
            says="signs of the powers",
            change={"(1 + beta**t)": "(1 - beta ** t)", "(1 - beta**t)": "(1 + beta ** t)"},
        ),
        "upside down": wrong(
            "formula",
            "limits",
            says="upside down",
            code="""
# exercise: adam-variance
def hat_variance(beta, t):
    return ((1 + beta) * (1 - beta**t)) / ((1 - beta) * (1 + beta**t))
""",
        ),
        "a weight too many": wrong(
            "formula",
            "limits",
            says="one weight too many",
            change={"1 + beta**t": "1 + beta ** (t + 1)", "1 - beta**t": "1 - beta ** (t + 1)"},
        ),
        "fails for many steps": wrong(
            "limits",
            says="raised",
            code="""
# exercise: adam-variance
def hat_variance(beta, t):
    if beta == 0:
        return 1.0
    large = (1 / beta) ** t
    return (1 - beta) * (large + 1) / ((1 + beta) * (large - 1))
""",
        ),
    },
    "adam-knee": {
        "inside as outside": wrong(
            "inside", says="for epsilon outside", change={"q * math.sqrt(eps / (1 - q**2))": "q * eps / (1 - q) + 0"}
        ),
        "outside as inside": wrong(
            "outside",
            says="for epsilon inside",
            change={"return q * eps / (1 - q)": "return q * math.sqrt(eps / (1 - q * q))"},
        ),
        "the places exchanged": wrong(
            "outside", "inside", says="for epsilon inside", change={"if inside": "if not inside"}
        ),
        "half a step only": wrong(
            "outside",
            "inside",
            says="for half a step",
            change={"q * math.sqrt(eps / (1 - q**2))": "math.sqrt(eps / 3)", "return q * eps / (1 - q)": "return eps"},
        ),
        "the root of epsilon": wrong(
            "inside", says="about the size of the knee", change={"q * math.sqrt(eps / (1 - q**2))": "math.sqrt(eps)"}
        ),
        "q not squared": wrong(
            "inside",
            says="q must be squared",
            change={"q * math.sqrt(eps / (1 - q**2))": "math.sqrt(q * eps / (1 - q))"},
        ),
        "the root forgotten": wrong(
            "inside", says="that is g**2", change={"q * math.sqrt(eps / (1 - q**2))": "q**2 * eps / (1 - q**2)"}
        ),
        "upside down": wrong("outside", says="upside down", change={"q * eps / (1 - q)": "(1 - q) * eps / q"}),
        "the factor q forgotten": wrong(
            "outside",
            "inside",
            says="factor q",
            change={"q * math.sqrt(eps": "math.sqrt(eps", "return q * eps": "return eps"},
        ),
        "1 - q**2 outside the root": wrong(
            "inside",
            says="stands under the root",
            change={"q * math.sqrt(eps / (1 - q**2))": "q * math.sqrt(eps) / (1 - q**2)"},
        ),
        "epsilon outside its root": wrong(
            "inside",
            says="the root belongs to epsilon",
            change={"q * math.sqrt(eps / (1 - q**2))": "q * eps / math.sqrt(1 - q**2)"},
        ),
        "the default epsilon written in": wrong(
            "outside",
            "inside",
            says="is written in as 1e-08",
            change={"(eps /": "(1e-8 /", "return q * eps": "return q * 1e-8"},
        ),
        "a number for inside": wrong(
            "inside", says="for epsilon outside", change={"if inside:": "if inside == 'yes':"}
        ),
    },
    "adam-long-step": {
        "a constant gradient": wrong(
            "slow",
            "fast",
            says="a constant gradient gives steps of exactly one",
            change={"(beta1 / beta2) ** ages": "torch.ones(1000)"},
        ),
        "one spike": wrong(
            "slow", "fast", says="the first step is always one", change={"(beta1 / beta2) ** ages": "torch.ones(1)"}
        ),
        "no quiet past": wrong("slow", says="Begin with a long quiet time", change={"999.0": "9.0"}),
        "always growing": wrong(
            "fast", says="m remembers longer than v", change={"(beta1 / beta2) ** ages": "0.9**ages"}
        ),
        "always shrinking": wrong(
            "slow",
            "fast",
            says="Let them grow",
            change={"(beta1 / beta2) ** ages": "1.6**ages"},
        ),
        "alternating signs": wrong(
            "slow",
            "fast",
            says="learning rates long; more than 1.3",
            change={"(beta1 / beta2) ** ages": "(-1.0) ** ages"},
        ),
        "noise": wrong(
            "slow",
            "fast",
            says="learning rates long; more than 1.3",
            change={"(beta1 / beta2) ** ages": "torch.from_numpy(np.random.default_rng(0).normal(size=1000))"},
        ),
        "all zero": wrong(
            "slow", "fast", says="all gradients are zero", change={"(beta1 / beta2) ** ages": "torch.zeros(5)"}
        ),
        "overflow": wrong(
            "slow", "fast", says="infinite or not a number", change={"(beta1 / beta2) ** ages": "100.0**ages"}
        ),
        "too many": wrong("slow", "fast", says="1 to 20000 numbers", change={"999.0": "29999.0"}),
        "one number": wrong(
            "slow", "fast", says="got the shape ()", change={"return (beta1 / beta2) ** ages": "return 7.27"}
        ),
        "betas exchanged": wrong(
            "slow",
            "fast",
            says="more than 1.3",
            change={"(beta1 / beta2) ** ages": "(max(beta1, 0.1) / beta2) ** (999 - ages)"},
        ),
    },
    "adam-bound": {
        "one spike": wrong("formula", "special", says="one spike", change={"(1 - beta2) * (1 - ratio)": "1 - beta2"}),
        "one": wrong(
            "formula",
            "special",
            says="1 holds for equal betas only",
            change={"(1 - beta1) / math.sqrt((1 - beta2) * (1 - ratio))": "1.0"},
        ),
        "the ratio not under the root": wrong(
            "formula",
            "special",
            says="missing its root",
            change={"math.sqrt((1 - beta2) * (1 - ratio))": "(math.sqrt(1 - beta2) * (1 - ratio))"},
        ),
        "beta1 / beta2": wrong(
            "formula",
            "special",
            says="the ratio in the sum is beta1**2 / beta2",
            change={"beta1**2 / beta2": "beta1 / beta2"},
        ),
        "the square": wrong(
            "formula",
            "special",
            says="the square of the bound",
            change={
                "(1 - beta1) / math.sqrt((1 - beta2) * (1 - ratio))": "(1 - beta1) ** 2 / ((1 - beta2) * (1 - ratio))"
            },
        ),
        "no factor of m": wrong(
            "formula", "special", says="the factor 1 - beta1 of m is missing", change={"(1 - beta1) /": "1 /"}
        ),
        "no factor of v": wrong(
            "formula",
            "special",
            says="the factor 1 - beta2 of v is missing",
            change={"(1 - beta2) * (1 - ratio)": "1 - ratio"},
        ),
        "no infinity": wrong(
            "none",
            says="there is none",
            change={"return math.inf": "return (1 - beta1) / math.sqrt(1 - beta2)"},
        ),
        "an error where there is no bound": wrong(
            "none", says="raised ValueError", change={"return math.inf": "raise ValueError('no bound')"}
        ),
        "equality counts as bounded": wrong(
            "none", says="raised ZeroDivisionError", change={"ratio >= 1": "ratio > 1"}
        ),
        "infinite wherever beta1 > beta2": wrong(
            "formula", says="infinite, but for these betas there is one", change={"ratio >= 1": "beta1 > beta2"}
        ),
        "the defaults written in": wrong(
            "formula",
            "special",
            says="differs by up to",
            change={"(1 - beta1) / math.sqrt((1 - beta2) * (1 - ratio))": "7.270288"},
        ),
        "no 1 for equal betas": wrong(
            "special",
            says="infinite, but for these betas there is one",
            change={"ratio >= 1": "ratio >= 1 or beta1 == beta2"},
        ),
    },
}

RIGHT = {
    "adam-step": {
        "the hats moved into the learning rate": """
# exercise: adam-step
def adam_step(params, grads, state, hyper):
    t, b1, b2 = state["t"] + 1, hyper["beta1"], hyper["beta2"]
    m = state["m"] + (1 - b1) * (grads - state["m"])
    v = state["v"] + (1 - b2) * (grads * grads - state["v"])
    root = math.sqrt(1 - b2**t)
    rate = hyper["lr"] * root / (1 - b1**t)
    return params - rate * m / (v**0.5 + hyper["eps"] * root), {"t": t, "m": m, "v": v}
""",
        "in place on copies": """
# exercise: adam-step
def adam_step(params, grads, state, hyper):
    new = {"t": state["t"] + 1, "m": state["m"].clone(), "v": state["v"].clone()}
    new["m"].mul_(hyper["beta1"]).add_(grads, alpha=1 - hyper["beta1"])
    new["v"].mul_(hyper["beta2"]).addcmul_(grads, grads, value=1 - hyper["beta2"])
    below = (new["v"] / (1 - hyper["beta2"] ** new["t"])).sqrt_().add_(hyper["eps"])
    out = params.clone().addcdiv_(new["m"] / (1 - hyper["beta1"] ** new["t"]), below, value=-hyper["lr"])
    return out, new
""",
        "numpy inside": """
# exercise: adam-step
def adam_step(params, grads, state, hyper):
    g = grads.numpy()
    t = state["t"] + 1
    m = hyper["beta1"] * state["m"].numpy() + (1 - hyper["beta1"]) * g
    v = hyper["beta2"] * state["v"].numpy() + (1 - hyper["beta2"]) * np.square(g)
    step = (m / (1 - hyper["beta1"] ** t)) / (np.sqrt(v / (1 - hyper["beta2"] ** t)) + hyper["eps"])
    tensors = (torch.as_tensor(x) for x in (params.numpy() - hyper["lr"] * step, m, v))
    params, m, v = tensors
    return params, {"t": t, "m": m, "v": v}
""",
        "noisy, with a helper": """
# exercise: adam-step
import sys
import warnings

def averaged(old, new, beta):
    return beta * old + (1 - beta) * new

def adam_step(params, grads, state, hyper):
    print("step", state["t"], file=sys.stderr)
    warnings.warn("this is only a warning", stacklevel=2)
    t = 1 + state["t"]
    m, v = averaged(state["m"], grads, hyper["beta1"]), averaged(state["v"], grads.pow(2), hyper["beta2"])
    m_hat, v_hat = m.div(1 - hyper["beta1"] ** t), v.div(1 - hyper["beta2"] ** t)
    return params - hyper["lr"] * m_hat.div(v_hat.sqrt() + hyper["eps"]), dict(t=t, m=m, v=v)
""",
        "entry by entry": """
# exercise: adam-step
def adam_step(params, grads, state, hyper):
    t, lr, b1, b2, eps = state["t"] + 1, hyper["lr"], hyper["beta1"], hyper["beta2"], hyper["eps"]
    p, m, v = [], [], []
    for x, g, a, b in zip(*(z.flatten().tolist() for z in (params, grads, state["m"], state["v"]))):
        a, b = b1 * a + (1 - b1) * g, b2 * b + (1 - b2) * g * g
        p.append(x - lr * (a / (1 - b1**t)) / ((b / (1 - b2**t)) ** 0.5 + eps))
        m.append(a)
        v.append(b)
    p, m, v = (torch.tensor(z, dtype=torch.float64).reshape(params.shape) for z in (p, m, v))
    return p, {"t": t, "m": m, "v": v}
""",
    },
    "adam-uncorrected": {
        "by running both": """
# exercise: adam-uncorrected
def uncorrected_factor(beta1, beta2, t):
    m = v = 0.0
    for _ in range(t):
        m, v = beta1 * m + (1 - beta1), beta2 * v + (1 - beta2)
    return m / v**0.5
""",
        "with tensors": """
# exercise: adam-uncorrected
def uncorrected_factor(beta1, beta2, t):
    one = torch.tensor(1.0, dtype=torch.float64)
    return (one - beta1**t) * (one - beta2**t).rsqrt()
""",
        "with sums of weights": """
# exercise: adam-uncorrected
def uncorrected_factor(beta1, beta2, t):
    ages = np.arange(t)
    return (1 - beta1) * np.sum(beta1**ages) / np.sqrt((1 - beta2) * np.sum(beta2**ages))
""",
    },
    "adam-variance": {
        "a sum over the weights": """
# exercise: adam-variance
def hat_variance(beta, t):
    w = (1 - beta) * beta ** np.arange(t) / (1 - beta**t)
    return np.sum(w**2)
""",
        "two geometric sums": """
# exercise: adam-variance
def hat_variance(beta, t):
    squares = (1 - beta ** (2 * t)) / (1 - beta**2)
    return (1 - beta) ** 2 * squares / (1 - beta**t) ** 2
""",
        "a loop": """
# exercise: adam-variance
def hat_variance(beta, t):
    total = 0.0
    for k in range(1, t + 1):
        total += ((1 - beta) * beta ** (t - k) / (1 - beta**t)) ** 2
    return total
""",
    },
    "adam-knee": {
        "in one line": """
# exercise: adam-knee
def knee(q, eps, inside):
    return eps**0.5 / math.sqrt(1 / q**2 - 1) if inside else eps / (1 / q - 1)
""",
        "by bisection": """
# exercise: adam-knee
def knee(q, eps, inside):
    low, high = 0.0, 1e6
    for _ in range(300):
        g = (low + high) / 2
        step = g / math.sqrt(g * g + eps) if inside else g / (g + eps)
        low, high = (g, high) if step < q else (low, g)
    return low
""",
        "with tensors": """
# exercise: adam-knee
def knee(q, eps, inside):
    q = torch.as_tensor(q, dtype=torch.float64)
    return torch.where(torch.tensor(inside), q * torch.sqrt(eps / (1 - q * q)), q * eps / (1 - q))
""",
    },
    "adam-long-step": {
        "a quiet time, then growth": """
# exercise: adam-long-step
def long_step(beta1, beta2):
    if beta1 > beta2:
        return [0.5**k for k in range(60)]
    return [0.0] * 8000 + [1.1**k for k in range(14)]
""",
        "a quiet time, then a spike": """
# exercise: adam-long-step
def long_step(beta1, beta2):
    if beta1 > beta2:
        return torch.tensor([1.0] + 200 * [0.0])
    return torch.cat([torch.zeros(9000), torch.ones(3)])
""",
        "negative gradients": """
# exercise: adam-long-step
def long_step(beta1, beta2):
    g = np.zeros(7000)
    if beta1 > beta2:
        g[0] = -1
        return g[:300]
    g[-1], g[-2], g[-3] = -3, -2, -2
    return g
""",
    },
    "adam-bound": {
        "the other form": """
# exercise: adam-bound
def largest_step(beta1, beta2):
    if beta1 * beta1 >= beta2:
        return float("inf")
    return (1 + (beta1 - beta2) ** 2 / ((1 - beta2) * (beta2 - beta1**2))) ** 0.5
""",
        "numpy's infinity": """
# exercise: adam-bound
def largest_step(beta1, beta2):
    q = beta1**2 / beta2
    return np.inf if q >= 1 else (1 - beta1) / np.sqrt(1 - beta2) / np.sqrt(1 - q)
""",
        "a tensor": """
# exercise: adam-bound
def largest_step(beta1, beta2):
    b1, b2 = torch.tensor(beta1), torch.tensor(beta2)
    room = torch.clamp(b2 - b1**2, min=0.0)
    return (1 - b1) * torch.sqrt(b2 / ((1 - b2) * room))
""",
    },
}

EQUIVALENT = {
    "adam-long-step": {
        "line 2: 999.0 -> 1000.0": "One gradient more at the quiet end; the task leaves the number of gradients open.",
    },
}
