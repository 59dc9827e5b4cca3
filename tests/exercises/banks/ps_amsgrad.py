"""Answers to the problem set on AMSGrad: wrong ones as students write them, and right ones in other styles."""

from bank import wrong

WHOLE = ("first", "state", "run", "maximum", "epsilon", "edges", "pure")
STEP = ("first", "run", "maximum", "epsilon", "edges")  # what a wrong step loses when the state is right

M = 'm = hyper["beta1"] * state["m"] + (1 - hyper["beta1"]) * grads'
V = 'v = hyper["beta2"] * state["v"] + (1 - hyper["beta2"]) * grads**2'
V_MAX = 'v_max = torch.maximum(state["v_max"], v)'
BELOW = '(torch.sqrt(v_max) + hyper["eps"])'
STATE = '{"m": m, "v": v, "v_max": v_max}'
RETURN = 'return params - hyper["lr"] * step, ' + STATE

WRONG = {
    "amsgrad-step": {
        "Adam": wrong("maximum", says="this is Adam", change={BELOW: '(torch.sqrt(v) + hyper["eps"])'}),
        "no maximum": wrong("state", "maximum", says="v_max must be the largest", change={V_MAX: "v_max = v"}),
        "the maximum stored as v": wrong(
            "state", "maximum", says="v must go on forgetting", change={'"v": v,': '"v": v_max,'}
        ),
        "the maximum of the squares": wrong(
            "first",
            "state",
            "run",
            "maximum",
            "epsilon",
            "edges",
            says="maximum is taken of the squared gradients",
            change={V_MAX: 'v_max = torch.maximum(state["v_max"], grads**2)'},
        ),
        "the minimum": wrong(*STEP, "state", says="smallest v so far", change={"torch.maximum": "torch.minimum"}),
        "one maximum for all": wrong(
            *STEP,
            "state",
            says="each coordinate has its own",
            change={V_MAX: 'v_max = torch.maximum(state["v_max"], v).max() + torch.zeros_like(v)'},
        ),
        "the last two only": wrong(
            "state",
            "maximum",
            says="maximum of the last two v only",
            change={V_MAX: 'v_max = torch.maximum(state["v"], v)'},
        ),
        "with hats": wrong(
            *STEP,
            says="no bias correction",
            code="""
# exercise: amsgrad-step
def amsgrad_step(params, grads, state, hyper):
    t = state.get("t", 0) + 1
    m = hyper["beta1"] * state["m"] + (1 - hyper["beta1"]) * grads
    v = hyper["beta2"] * state["v"] + (1 - hyper["beta2"]) * grads**2
    v_max = torch.maximum(state["v_max"], v)
    step = (m / (1 - hyper["beta1"] ** t)) / (torch.sqrt(v_max / (1 - hyper["beta2"] ** t)) + hyper["eps"])
    return params - hyper["lr"] * step, {"t": t, "m": m, "v": v, "v_max": v_max}
""",
        ),
        "v_max is not kept": wrong(
            "state", "maximum", says="v_max is not kept", change={'"v_max": v_max}': '"v_max": state["v_max"]}'}
        ),
        "m is not kept": wrong("state", "run", "maximum", says="m is not kept", change={'"m": m,': '"m": state["m"],'}),
        "v is not kept": wrong("state", "run", "maximum", says="v is not kept", change={'"v": v,': '"v": state["v"],'}),
        "the old state is returned": wrong(
            "state", "run", "maximum", says="the state is returned as it came", change={STATE: "state"}
        ),
        "betas swapped": wrong(
            "first",
            "state",
            "run",
            "maximum",
            "epsilon",
            "edges",
            says="beta1 and beta2 are swapped",
            change={M: M.replace("beta1", "beta2"), V: V.replace("beta2", "beta1")},
        ),
        "epsilon inside the root": wrong(
            "epsilon", says="epsilon stands under the root", change={BELOW: 'torch.sqrt(v_max + hyper["eps"])'}
        ),
        "no epsilon": wrong("epsilon", "edges", says="epsilon is missing", change={BELOW: "torch.sqrt(v_max)"}),
        "no root": wrong(*STEP, says="the root is missing", change={BELOW: '(v_max + hyper["eps"])'}),
        "sizes, not squares": wrong("state", *STEP, says="v averages |g|", change={"grads**2": "grads.abs()"}),
        "m without 1 - beta1": wrong(
            "state", *STEP, says="m lacks the factor", change={'(1 - hyper["beta1"]) * grads\n': "grads\n"}
        ),
        "v without 1 - beta2": wrong(
            "state", *STEP, says="v lacks the factor", change={'(1 - hyper["beta2"]) * grads**2': "grads**2"}
        ),
        "uphill": wrong(*STEP, says="the step goes uphill", change={"params - hyper": "params + hyper"}),
        "params changed in place": wrong(
            "pure",
            says="changes params",
            change={RETURN: 'params -= hyper["lr"] * step\n    return params, ' + STATE},
        ),
        "the maximum changed in place": wrong(
            "pure",
            says="changes state",
            change={V_MAX: 'v_max = torch.maximum(state["v_max"], v, out=state["v_max"])'},
        ),
        "the gradient changed in place": wrong(
            "pure", says="changes grads", change={M: "grads *= 1.0 + 1e-15\n    " + M}
        ),
        "float32": wrong(*STEP, "state", says="float32", change={M: "grads = grads.float()\n    " + M}),
        "for one number only": wrong(
            *WHOLE, says="amsgrad_step raised", change={"torch.sqrt(v_max)": "math.sqrt(v_max)"}
        ),
        "Python's max": wrong(*WHOLE, says="amsgrad_step raised", change={V_MAX: 'v_max = max(state["v_max"], v)'}),
        "the defaults written in": wrong(
            *STEP,
            "state",
            says="`beta2` is written in as 0.999",
            change={V: 'v = 0.999 * state["v"] + 0.001 * grads**2'},
        ),
        "params alone": wrong(
            *WHOLE, says="must return two things", change={RETURN: 'return params - hyper["lr"] * step'}
        ),
        "no return": wrong(*WHOLE, says="returned None", change={RETURN: 'params = params - hyper["lr"] * step'}),
        "torch's own optimizer": wrong(
            *WHOLE,
            says="uses torch.optim.Adam, which this task does not allow",
            code="""
# exercise: amsgrad-step
def amsgrad_step(params, grads, state, hyper):
    p = params.clone().requires_grad_()
    opt = torch.optim.Adam([p], lr=hyper["lr"], betas=(hyper["beta1"], hyper["beta2"]), amsgrad=True)
    p.grad = grads.clone()
    opt.step()
    return p.detach(), state
""",
        ),
    },
    "amsgrad-drift": {
        "no normalisation": wrong(
            "formula", "limits", says="not divided by their sum", change={"(1 - beta2) / (1 - beta2**3)": "1.0"}
        ),
        "one cycle only": wrong(
            "formula", "limits", says="geometric sum over the earlier cycles", change={" / (1 - beta2**3)": ""}
        ),
        "the other sign": wrong(
            "formula",
            "limits",
            says="a positive slope moves the point to the left",
            change={"-C / math.sqrt(v1) + 1 / math.sqrt(v2) + 1": "C / math.sqrt(v1) - 1 / math.sqrt(v2) - 1"},
        ),
        "no roots": wrong(
            "formula",
            "limits",
            says="the roots are missing",
            change={"math.sqrt(v1)": "v1", "math.sqrt(v2)": "v2", "math.sqrt(v3)": "v3"},
        ),
        "the v before": wrong(
            "formula",
            "limits",
            says="each step divides by the v before it",
            change={
                "-C / math.sqrt(v1) + 1 / math.sqrt(v2) + 1 / math.sqrt(v3)": (
                    "-C / math.sqrt(v3) + 1 / math.sqrt(v1) + 1 / math.sqrt(v2)"
                )
            },
        ),
        "per round": wrong(
            "formula",
            "limits",
            says="a cycle has three",
            change={
                "return -C / math.sqrt(v1) + 1 / math.sqrt(v2) + 1 / math.sqrt(v3)": (
                    "return (-C / math.sqrt(v1) + 1 / math.sqrt(v2) + 1 / math.sqrt(v3)) / 3"
                )
            },
        ),
        "no division": wrong(
            "formula",
            "limits",
            says="without a division",
            code="""
# exercise: amsgrad-drift
def drift(C, beta2):
    return 2 - C
""",
        ),
        "the spike not squared": wrong(
            "formula",
            "limits",
            says="the spike enters as C**2",
            change={
                "(C**2 + beta2 + ": "(C + beta2 + ",
                "beta2 * C**2 + beta2**2": "beta2 * C + beta2**2",
                "beta2 + beta2**2 * C**2": "beta2 + beta2**2 * C",
            },
        ),
        "two rounds": wrong(
            "formula", "limits", says="one small slope is missing", change={" + 1 / math.sqrt(v3)": ""}
        ),
        "the last two the same": wrong(
            "formula", "limits", says="one round old, then two", change={"1 / math.sqrt(v3)": "1 / math.sqrt(v2)"}
        ),
        "the slide's answer": wrong(
            "formula",
            "limits",
            says="differs by up to",
            code="""
# exercise: amsgrad-drift
def drift(C, beta2):
    return 1.0
""",
        ),
        "a loop too short": wrong(
            "limits",
            says="the drift",
            code="""
# exercise: amsgrad-drift
def drift(C, beta2):
    v, moved = 0.0, 0.0
    for t in range(1200):
        g = C if t % 3 == 0 else -1.0
        v = beta2 * v + (1 - beta2) * g**2
        moved = (0.0 if t % 3 == 0 else moved) - g / math.sqrt(v)
    return moved
""",
        ),
    },
    "amsgrad-break-even": {
        "the proof's choice": wrong(
            "values",
            "ends",
            says="beta2 of the theorem's proof",
            code="""
# exercise: amsgrad-break-even
def break_even(C):
    return 1 / (1 + C**2)
""",
        ),
        "1 - beta2": wrong("values", "ends", says="that is 1 - beta2", change={"return low": "return 1 - low"}),
        "ten halvings": wrong("values", "ends", says="a few digits only", change={"range(60)": "range(10)"}),
        "rounded": wrong("values", "ends", says="a few digits only", change={"return low": "return round(low, 4)"}),
        "the wrong half": wrong(
            "values",
            "ends",
            says="an end of the interval",
            change={"if wrong_way(middle)": "if not wrong_way(middle)"},
        ),
        "the memory": wrong("values", "ends", says="in rounds", change={"return low": "return 1 / (1 - low)"}),
        "for large C": wrong(
            "values",
            "ends",
            says="the break-even",
            code="""
# exercise: amsgrad-break-even
def break_even(C):
    return 0.5698 / C
""",
        ),
        "the examples": wrong(
            "values",
            "ends",
            says="differs by up to",
            code="""
# exercise: amsgrad-break-even
def break_even(C):
    return {3.0: 0.47229577, 10.0: 0.09829898}.get(float(C), 0.5)
""",
        ),
        "the spike one round older": wrong(
            "values",
            "ends",
            says="differs by up to",
            change={"> C / math.sqrt(after[0])": "> C / math.sqrt(after[0] + 1)"},
        ),
        "a coarse grid": wrong(
            "values",
            "ends",
            says="a few digits only",
            code="""
# exercise: amsgrad-break-even
def break_even(C):
    grid = torch.linspace(0.0, 1.0, 20001)
    a = (C**2 + grid + grid**2, 1 + grid * C**2 + grid**2, 1 + grid + grid**2 * C**2)
    moved = -C / a[0].sqrt() + 1 / a[1].sqrt() + 1 / a[2].sqrt()
    return float(grid[moved.abs().argmin()])
""",
        ),
    },
    "amsgrad-regret": {
        "against the best of each round": wrong(
            "value",
            "special",
            says="one fixed point",
            change={"abs(sum(slopes))": "sum(abs(g) for g in slopes)"},
        ),
        "what was paid": wrong("value", "special", says="subtract what the best", change={" + abs(sum(slopes))": ""}),
        "minus": wrong("value", "special", says="whichever sign", change={"paid + abs": "paid - abs"}),
        "per round": wrong(
            "value",
            "special",
            says="per round",
            change={"return paid + abs(sum(slopes))": "return (paid + abs(sum(slopes))) / len(slopes)"},
        ),
        "against -1": wrong("value", says="whichever sign", change={"abs(sum(slopes))": "sum(slopes)"}),
        "against +1": wrong("value", "special", says="whichever sign", change={"+ abs(sum(slopes))": "- sum(slopes)"}),
        "minus the regret": wrong(
            "value", "special", says="minus the regret", change={"return paid + abs": "return -paid - abs"}
        ),
        "against the points played": wrong(
            "value",
            "special",
            says="among those played",
            change={"+ abs(sum(slopes))": "- min(sum(slopes) * x for x in points)"},
        ),
        "the last round is missing": wrong(
            "value",
            "special",
            says="the last round is missing",
            change={
                "zip(slopes, points)": "zip(slopes[:-1], points[:-1])",
                "abs(sum(slopes))": "abs(sum(slopes[:-1]))",
            },
        ),
        "the examples": wrong(
            "value",
            "special",
            says="differs by up to",
            code="""
# exercise: amsgrad-regret
def regret(slopes, points):
    return 1.0 if points[0] == 0.0 else 3.75
""",
        ),
        "for tensors only": wrong(
            "value",
            "special",
            says="regret raised",
            code="""
# exercise: amsgrad-regret
def regret(slopes, points):
    return ((slopes * points).sum() + slopes.sum().abs()).item()
""",
        ),
    },
    "amsgrad-game": {
        "the three-step game": wrong(
            "default",
            "others",
            says="three rounds is too short",
            code="""
# exercise: amsgrad-game
def game_against(beta2):
    return 3.0, 3
""",
        ),
        "a huge spike": wrong(
            "default",
            "others",
            says="a larger spike is remembered longer",
            change={"return float(N), N": "return 100.0 * N, N"},
        ),
        "four rounds": wrong(
            "default", "others", says="too short for this beta2", change={"4 / math.sqrt(1 - beta2)": "4"}
        ),
        "too short": wrong(
            "default",
            "others",
            says="too short",
            change={"math.ceil(4 / math.sqrt(1 - beta2))": "max(3, math.ceil(1 / math.sqrt(1 - beta2)))"},
        ),
        "C too small": wrong(
            "default", "others", says="C must be larger than N - 1", change={"return float(N), N": "return N - 1.5, N"}
        ),
        "the wrong order": wrong(
            "default",
            "others",
            says="in this order",
            change={"return float(N), N": "return N, N - 0.5"},
        ),
        "endless": wrong(
            "default", "others", says="N must lie between", change={"return float(N), N": "return 1e6, 1_000_000"}
        ),
        "C alone": wrong(
            "default", "others", says="expected two numbers", change={"return float(N), N": "return float(N)"}
        ),
        "for the default only": wrong(
            "others",
            says="too short",
            code="""
# exercise: amsgrad-game
def game_against(beta2):
    return (400.0, 400) if beta2 > 0.99 else (5.0, 5)
""",
        ),
        "fails without memory": wrong(
            "others",
            says="raised ZeroDivisionError",
            change={"4 / math.sqrt(1 - beta2)": "(1 + 3 / beta2) / math.sqrt(1 - beta2)"},
        ),
    },
    "amsgrad-two-cycle": {
        "m is (1 - beta1) g": wrong("formula", "special", says="m changes its sign", change={"(2 * (1 + beta1))": "2"}),
        "the jump": wrong(
            "formula", "special", says="length of the jump", change={"return max(a, 0.0)": "return max(2 * a, 0.0)"}
        ),
        "the step is a": wrong(
            "formula", "special", says="the step is 2a long", change={"(2 * (1 + beta1))": "(1 + beta1)"}
        ),
        "epsilon without c": wrong("formula", "special", says="divide it by c", change={"eps / c": "eps"}),
        "epsilon times c": wrong("formula", "special", says="it must be divided", change={"eps / c": "eps * c"}),
        "no epsilon": wrong("formula", "special", says="epsilon is missing", change={" - eps / c": ""}),
        "plus epsilon": wrong("formula", "special", says="smaller", change={"- eps / c": "+ eps / c"}),
        "upside down": wrong(
            "formula",
            "special",
            says="upside down",
            change={"(1 - beta1) / (2 * (1 + beta1))": "(1 + beta1) / (2 * (1 - beta1))"},
        ),
        "no momentum": wrong(
            "formula", "special", says="without momentum", change={"(1 - beta1) / (2 * (1 + beta1))": "1 / 2"}
        ),
        "negative": wrong("special", says="there is no orbit", change={"max(a, 0.0)": "a"}),
        "half an epsilon": wrong("formula", "special", says="not twice", change={"eps / c": "eps / (2 * c)"}),
        "the examples": wrong(
            "formula",
            "special",
            says="the amplitude",
            code="""
# exercise: amsgrad-two-cycle
def amplitude(lr, beta1, eps, c):
    return lr / 38
""",
        ),
    },
}

RIGHT = {
    "amsgrad-step": {
        "where instead of maximum": """
# exercise: amsgrad-step
def amsgrad_step(params, grads, state, hyper):
    b1, b2 = hyper["beta1"], hyper["beta2"]
    m = state["m"] + (1 - b1) * (grads - state["m"])
    v = state["v"] + (1 - b2) * (grads.square() - state["v"])
    largest = torch.where(v > state["v_max"], v, state["v_max"])
    return params - hyper["lr"] * m / (largest.sqrt() + hyper["eps"]), {"m": m, "v": v, "v_max": largest}
""",
        "in place on copies": """
# exercise: amsgrad-step
def amsgrad_step(params, grads, state, hyper):
    new = {key: value.clone() for key, value in state.items()}
    new["m"].mul_(hyper["beta1"]).add_(grads, alpha=1 - hyper["beta1"])
    new["v"].mul_(hyper["beta2"]).addcmul_(grads, grads, value=1 - hyper["beta2"])
    torch.maximum(new["v_max"], new["v"], out=new["v_max"])
    return params.clone().addcdiv_(new["m"], new["v_max"].sqrt().add_(hyper["eps"]), value=-hyper["lr"]), new
""",
        "numpy": """
# exercise: amsgrad-step
def amsgrad_step(params, grads, state, hyper):
    p, g = np.asarray(params), np.asarray(grads)
    m = hyper["beta1"] * np.asarray(state["m"]) + (1 - hyper["beta1"]) * g
    v = hyper["beta2"] * np.asarray(state["v"]) + (1 - hyper["beta2"]) * g * g
    v_max = np.maximum(np.asarray(state["v_max"]), v)
    p = p - hyper["lr"] * m / (np.sqrt(v_max) + hyper["eps"])
    return tuple([torch.as_tensor(p), {k: torch.as_tensor(x) for k, x in (("m", m), ("v", v), ("v_max", v_max))}])
""",
    },
    "amsgrad-drift": {
        "a long loop": """
# exercise: amsgrad-drift
def drift(C, beta2):
    v, moved = 0.0, 0.0
    for t in range(120_000 if beta2 > 0.99 else 3_000):
        g = C if t % 3 == 0 else -1.0
        v = beta2 * v + (1 - beta2) * g * g
        moved = (0.0 if t % 3 == 0 else moved) - g / math.sqrt(v)
    return moved
""",
        "linear equations": """
# exercise: amsgrad-drift
def drift(C, beta2):
    A = torch.eye(3) - beta2 * torch.tensor([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
    slopes = torch.tensor([C, -1.0, -1.0])
    v = torch.linalg.solve(A, (1 - beta2) * slopes**2)
    return -(slopes / v.sqrt()).sum()
""",
        "the other form of the sum": """
# exercise: amsgrad-drift
def drift(C, beta2):
    k = 1 / (1 + beta2 + beta2**2)
    v = [1 + (C * C - 1) * beta2**j * k for j in range(3)]
    return sum(np.array([-C, 1, 1]) / np.sqrt(v))
""",
    },
    "amsgrad-break-even": {
        "scipy": """
# exercise: amsgrad-break-even
from scipy.optimize import brentq

def break_even(C):
    def f(b):
        return (-C / np.sqrt(C**2 + b + b**2) + 1 / np.sqrt(1 + b * C**2 + b**2) + 1 / np.sqrt(1 + b + b**2 * C**2))
    return brentq(f, 0.0, 1.0, xtol=1e-14, rtol=1e-14)
""",
        "regula falsi by hand": """
# exercise: amsgrad-break-even
def break_even(C):
    def f(b):
        return -C / math.sqrt(C**2 + b + b**2) + 1 / math.sqrt(1 + b * C**2 + b**2) + 1 / math.sqrt(1 + b + b**2 * C**2)
    low, high = 0.0, 1.0
    while high - low > 1e-15:
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if f(middle) > 0 else (low, middle)
    return torch.tensor((low + high) / 2)
""",
        "halving on tensors": """
# exercise: amsgrad-break-even
def break_even(C):
    powers = torch.arange(3.0)
    slopes = torch.tensor([C, -1.0, -1.0])
    low, high = torch.tensor(0.0), torch.tensor(1.0)
    for _ in range(55):
        b = (low + high) / 2
        w = b**powers
        v = 1 + (C**2 - 1) * w / w.sum()
        if -(slopes / v.sqrt()).sum() > 0:
            low = b
        else:
            high = b
    return high
""",
    },
    "amsgrad-regret": {
        "tensors": """
# exercise: amsgrad-regret
def regret(slopes, points):
    g, x = torch.tensor(slopes), torch.tensor(points)
    return (g * x).sum() + g.sum().abs()
""",
        "both ends": """
# exercise: amsgrad-regret
def regret(slopes, points):
    paid = 0.0
    for g, x in zip(slopes, points):
        paid += g * x
    total = sum(slopes)
    return max(paid - total, paid + total)
""",
        "numpy": """
# exercise: amsgrad-regret
def regret(slopes, points):
    return np.dot(slopes, points) - min(np.sum(slopes) * np.array([-1.0, 1.0]))
""",
    },
    "amsgrad-game": {
        "by search": """
# exercise: amsgrad-game
def game_against(beta2):
    N = 3
    while True:
        C = N - 1 + 1e-3
        w = beta2 ** np.arange(N)
        v = 1 + (C**2 - 1) * w / w.sum()
        if -C / np.sqrt(v[0]) + (1 / np.sqrt(v[1:])).sum() > 0:
            return C, N
        N = math.ceil(1.1 * N) + 1
""",
        "very long cycles": """
# exercise: amsgrad-game
def game_against(beta2):
    N = max(10, math.ceil(5 / (1 - beta2)))
    return N - 0.5, N
""",
        "a tensor": """
# exercise: amsgrad-game
def game_against(beta2):
    N = 3 + int(6 * (1 - beta2) ** -0.5)
    return torch.tensor([N - 0.9, N])
""",
    },
    "amsgrad-two-cycle": {
        "step by step": """
# exercise: amsgrad-two-cycle
def amplitude(lr, beta1, eps, c):
    factor = (1 - beta1) / (1 + beta1)  # |m| / |g|
    # 2a = lr * factor * c a / (c a + eps)
    ca = lr * factor * c / 2 - eps
    return ca / c if ca > 0 else 0.0
""",
        "numpy": """
# exercise: amsgrad-two-cycle
def amplitude(lr, beta1, eps, c):
    return np.maximum(0.0, lr / 2 * (1 - beta1) / (1 + beta1) - eps / c)
""",
        "one fraction": """
# exercise: amsgrad-two-cycle
def amplitude(lr, beta1, eps, c):
    top = c * lr * (1 - beta1) - 2 * eps * (1 + beta1)
    return torch.tensor(top / (2 * c * (1 + beta1))).clamp(min=0)
""",
    },
}

EQUIVALENT = {
    "amsgrad-break-even": {
        "line 5: 1 / math.sqrt(after[1]) + 1 / math.sqrt(after[2]) > C / m... -> GtE": (
            "equality would have to be met exactly by a halving"
        ),
        "line 7: 1.0 -> 2.0": "another interval around the same root",
        "line 8: 60 -> 61": "one halving more: the last digit",
        "line 8: 60 -> 59": "one halving fewer: the last digit",
        "line 14: low -> high": "after sixty halvings both ends are the same number to sixteen digits",
    },
    "amsgrad-game": {
        "line 2: 4 -> 5": "a longer cycle breaks this beta2 too; any game that does is right",
        "line 2: 4 -> 3": "a shorter cycle, still long enough",
        "line 2: math.sqrt(1 - beta2) -> argument only": "a much longer cycle breaks this beta2 too",
        "line 3: float(N) -> argument only": "the same number",
    },
}
