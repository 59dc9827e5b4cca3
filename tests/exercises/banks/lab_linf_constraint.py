"""Answers to the lab on AdamW's box: wrong ones as students write them, and right ones in other styles."""

from bank import wrong

T = 't = state["t"] + 1'
M = 'm = hyper["beta1"] * state["m"] + (1 - hyper["beta1"]) * grads'
V = 'v = hyper["beta2"] * state["v"] + (1 - hyper["beta2"]) * grads**2'
BELOW = 'below = torch.sqrt(v / (1 - hyper["beta2"] ** t)) + hyper["eps"]'
KEPT = 'kept = (1 - hyper["lr"] * hyper["weight_decay"]) * params'
RETURN = 'return kept - hyper["lr"] * step, {"t": t, "m": m, "v": v}'
STEP = ("run", "epsilon", "edges")

SHARE = "(size >= 0.99 * radius).double().mean().item()"
GAP = "return (1 + (theta * grads).sum() / (radius * size)).item()"
WEIGHTED = "loss, grads, count = loss + n * part_loss, grads + n * part_grads, count + n"
CURVES = ("curves", "adam")

WRONG = {
    "box-adamw": {
        "no decay": wrong(*STEP, says="the decay is missing", change={KEPT: "kept = params"}),
        "L2 in the gradient": wrong(
            *STEP,
            says="Adam with L2",
            change={T: T + '\n    grads = grads + hyper["weight_decay"] * params', KEPT: "kept = params"},
        ),
        "decay after the step": wrong(
            *STEP,
            says="applied after the step",
            change={
                KEPT: 'kept = 1 - hyper["lr"] * hyper["weight_decay"]',
                RETURN: 'return kept * (params - hyper["lr"] * step), {"t": t, "m": m, "v": v}',
            },
        ),
        "decay without the rate": wrong(
            *STEP,
            says="not multiplied by the learning rate",
            change={'hyper["lr"] * hyper["weight_decay"]': 'hyper["weight_decay"]'},
        ),
        "growth": wrong(*STEP, says="must shrink", change={'(1 - hyper["lr"]': '(1 + hyper["lr"]'}),
        "factor 2": wrong(
            *STEP, says="factor 2 too many", change={'1 - hyper["lr"] * hyper': '1 - 2 * hyper["lr"] * hyper'}
        ),
        "no hat on v": wrong(*STEP, says="your v is not bias-corrected", change={'v / (1 - hyper["beta2"] ** t)': "v"}),
        "no hat on m": wrong(*STEP, says="your m is not bias-corrected", change={'m / (1 - hyper["beta1"] ** t)': "m"}),
        "betas swapped": wrong(
            *STEP,
            says="beta1 and beta2 are swapped",
            change={
                M: M.replace("beta1", "beta2"),
                V: V.replace("beta2", "beta1"),
                'hyper["beta1"] ** t': 'hyper["beta2"] ** t',
                '(1 - hyper["beta2"] ** t))': '(1 - hyper["beta1"] ** t))',
            },
        ),
        "t frozen": wrong(*STEP, says="t is 1 in every step", change={T: "t = 1"}),
        "epsilon inside": wrong(
            "epsilon",
            "edges",
            says="epsilon stands under the root",
            change={BELOW: 'below = torch.sqrt(v / (1 - hyper["beta2"] ** t) + hyper["eps"])'},
        ),
        "0 / 0": wrong("epsilon", says="NaN", change={"torch.where(m_hat == 0, 0.0, m_hat / below)": "m_hat / below"}),
        "float64 always": wrong(
            "edges", says="another dtype", change={T: T + "\n    params, grads = params.double(), grads.double()"}
        ),
        "in place": wrong(
            "edges",
            says="changes params",
            change={RETURN: 'params.copy_(kept - hyper["lr"] * step)\n    return params, {"t": t, "m": m, "v": v}'},
        ),
        "torch's own optimizer": wrong(
            *STEP,
            says="torch.optim.AdamW, which this task does not allow",
            code="""
# exercise: box-adamw
def adamw_step(params, grads, state, hyper):
    p = params.clone().requires_grad_()
    opt = torch.optim.AdamW([p], lr=hyper["lr"], weight_decay=hyper["weight_decay"])
    p.grad = grads.clone()
    opt.step()
    return p.detach(), state
""",
        ),
    },
    "box-probes": {
        "no absolute value": wrong("largest", says="without the absolute value", change={"size.max()": "theta.max()"}),
        "the two-norm": wrong("largest", says="two-norm", change={"size.max()": "theta.norm()"}),
        "the mean": wrong("largest", says="mean size", change={"size.max()": "size.mean()"}),
        "in radii": wrong(
            "largest", says="units of the radius", change={"size.max().item()": "size.max().item() / radius"}
        ),
        "one wall": wrong("share", says="negative wall", change={"(size >= 0.99": "(theta >= 0.99"}),
        "a number": wrong("share", says="number of weights", change={SHARE: "(size >= 0.99 * radius).sum().item()"}),
        "inside": wrong("share", says="share of those inside", change={"size >= 0.99": "size < 0.99"}),
        "not outside": wrong(
            "share",
            says="those outside of the wall",
            change={SHARE: "((size >= 0.99 * radius) & (size <= 1.01 * radius)).double().mean().item()"},
        ),
        "radius forgotten": wrong("share", says="whatever the radius", change={"0.99 * radius": "0.99"}),
        "an integer mean": wrong(
            "largest",
            "share",
            says="probes raised",
            change={"(size >= 0.99 * radius).double()": "(size >= 0.99 * radius)"},
        ),
        "one number": wrong("largest", "share", says="expected two numbers", change={", " + SHARE: ""}),
    },
    "box-kkt-gap": {
        "not relative": wrong(
            "value",
            "special",
            says="divide it by the one-norm",
            change={GAP: "return (size + (theta * grads).sum() / radius).item()"},
        ),
        "minus": wrong("value", "special", says="point against the gradient", change={"(1 + (theta": "(1 - (theta"}),
        "no radius": wrong("value", "special", says="divided by the radius", change={"(radius * size)": "size"}),
        "times the radius": wrong(
            "value", "special", says="not multiplied", change={"/ (radius * size)": "* radius / size"}
        ),
        "no 1": wrong("value", "special", says="the 1 is missing", change={"(1 + (theta": "((theta"}),
        "the two-norm": wrong(
            "value", "special", says="two-norm of the gradient", change={"grads.abs().sum()": "grads.norm()"}
        ),
        "the largest": wrong(
            "value", "special", says="largest entry of the gradient", change={"grads.abs().sum()": "grads.abs().max()"}
        ),
        "no signs": wrong(
            "value",
            "special",
            says="without their signs",
            change={"(theta * grads).sum()": "(theta * grads).abs().sum()"},
        ),
        "clipped": wrong(
            "value",
            says="clipped into the box",
            change={"size = grads": "theta = theta.clamp(-radius, radius)\n    size = grads"},
        ),
        "unweighted": wrong(
            "value",
            says="without the weights",
            change={GAP: "return (1 + torch.sign(grads) * theta / radius).mean().item()"},
        ),
        "never negative": wrong(
            "value",
            says="it may be negative",
            change={GAP: "return max(0.0, (1 + (theta * grads).sum() / (radius * size)).item())"},
        ),
        "0 / 0": wrong(
            "special", says="where the gradient is zero", change={"if size == 0:\n        return 0.0\n    ": ""}
        ),
        "the library": wrong(
            "value",
            "special",
            says="uses optbias.norms",
            code="""
# exercise: box-kkt-gap
def relative_gap(theta, grads, radius):
    from optbias.norms import kkt_gap
    return kkt_gap(theta, grads, radius, relative=True).item()
""",
        ),
    },
    "box-entry": {
        "the decay alone": wrong(
            "outside",
            "inside",
            says="the decay alone",
            change={"math.log(0.01 / excess)": "math.log(1 / (w0 * lam))"},
        ),
        "rounded down": wrong("outside", "inside", says="one step too few", change={"math.ceil": "math.floor"}),
        "one too many": wrong(
            "outside", "inside", says="one step too many", change={"return math.ceil": "return 1 + math.ceil"}
        ),
        "not whole": wrong("outside", "inside", says="not a whole number", change={"math.ceil": ""}),
        "the time constant": wrong(
            "outside",
            "inside",
            says="time constant",
            change={"math.ceil(math.log(0.01 / excess) / math.log(1 - lr * lam))": "math.ceil(1 / (lr * lam))"},
        ),
        "exponential": wrong("outside", says="close, not exact", change={"math.log(1 - lr * lam)": "(-lr * lam)"}),
        "an absolute hundredth": wrong(
            "outside", says="one per cent of 1 / lam", change={"0.01 / excess)": "0.01 * lam / excess)"}
        ),
        "no lam in the factor": wrong("outside", says="lam is missing", change={"1 - lr * lam)": "1 - lr)"}),
        "inside forgotten": wrong(
            "inside", says="raised ValueError", change={"if excess <= 0.01:\n        return 0\n    ": ""}
        ),
        "never": wrong(
            "outside",
            "inside",
            says="the number of steps",
            code="""
# exercise: box-entry
def steps_to_enter(w0, lr, lam):
    return math.inf if w0 * lam > 1 else 1
""",
        ),
    },
    "box-train": {
        "no decay": wrong("curves", "record", says="do not decay", change={"(1 - p.lr * lam) * theta": "theta"}),
        "unweighted": wrong(
            *CURVES,
            says="different sizes",
            change={WEIGHTED: "loss, grads, count = loss + part_loss, grads + part_grads, count + 1"},
        ),
        "the first part": wrong(*CURVES, says="first part of the data", change={"range(len(p.parts))": "range(1)"}),
        "the parts themselves": wrong(
            *CURVES,
            "record",
            says="part must be the number of a micro-batch",
            change={"range(len(p.parts))": "p.parts"},
        ),
        "the sum": wrong(*CURVES, says="added up", change={"loss, grads = loss / count, grads / count": "pass"}),
        "L2": wrong(
            "curves",
            "record",
            says="Adam with L2",
            change={
                "if t < steps:": "if t < steps:\n            grads = grads + lam * theta",
                "(1 - p.lr * lam) * theta": "theta",
            },
        ),
        "radius lam": wrong(
            "curves",
            says="1 / weight_decay",
            change={"1 + lam * (theta": "1 + (1 / lam) * (theta"},
        ),
        "without the start": wrong(
            *CURVES,
            "record",
            says="the start included",
            change={
                "range(steps + 1)": "range(1, steps + 1)",
                "if t < steps:": "if True:",
                "b2 ** (t + 1)": "b2**t",
                "b1 ** (t + 1)": "b1**t",
            },
        ),
        "measured after the step": wrong(
            *CURVES,
            "record",
            says="the start included",
            change={"range(steps + 1)": "range(steps)", "if t < steps:": "if True:"},
        ),
        "t from 0": wrong(
            "curves", "adam", "record", says="differs from step", change={"b1 ** (t + 1)": "max(b1**t, 0.5)"}
        ),
        "the moments not kept": wrong(
            "curves",
            "adam",
            says="differs from step",
            change={"if t < steps:": "if t < steps:\n            m = v = torch.zeros_like(theta)"},
        ),
        "no dictionary": wrong(
            *CURVES, "record", says="must return a dictionary", change={"return history": 'return history["linf"]'}
        ),
        "torch's own": wrong(
            *CURVES,
            "record",
            says="torch.optim",
            change={"m = v = torch.zeros_like(theta)": "m = v = torch.zeros_like(theta)\n    made = torch.optim.AdamW"},
        ),
    },
    "box-no-evidence": {
        "a KKT point": wrong(
            "wide",
            "narrow",
            says="the relative gap is",
            change={"torch.tensor([0.0, 1.0])": "torch.tensor([-1.0, 0.0])"},
        ),
        "outside": wrong("wide", "narrow", says="must lie inside", change={"0.95 / lam": "1.2 / lam"}),
        "far inside": wrong("wide", "narrow", says="above 0.9 / lam", change={"0.95 / lam": "0.5 / lam"}),
        "a tiny gradient": wrong(
            "wide",
            "narrow",
            says="one-norm must be at least 1",
            change={"torch.tensor([0.0, 1.0])": "torch.tensor([0.0, 0.01])"},
        ),
        "for lam = 1": wrong("wide", "narrow", says="/ lam", change={"0.95 / lam": "0.95"}),
        "times lam": wrong("wide", "narrow", says="/ lam", change={"0.95 / lam": "0.95 * lam"}),
        "no gradient": wrong(
            "wide", "narrow", says="without a gradient", change={"torch.tensor([0.0, 1.0])": "torch.zeros(2)"}
        ),
        "other lengths": wrong(
            "wide", "narrow", says="same length", change={"torch.tensor([0.0, 1.0])": "torch.tensor([1.0])"}
        ),
        "one vector": wrong("wide", "narrow", says="expected two vectors", change={", torch.tensor([0.0, 1.0])": ""}),
        "infinite": wrong(
            "wide",
            "narrow",
            says="infinite or NaN",
            change={"torch.tensor([0.0, 1.0])": "torch.tensor([0.0, math.inf])"},
        ),
    },
}

RIGHT = {
    "box-adamw": {
        "one formula": """
# exercise: box-adamw
def adamw_step(params, grads, state, hyper):
    b1, b2, lr, t = hyper["beta1"], hyper["beta2"], hyper["lr"], state["t"] + 1
    m = torch.lerp(grads, state["m"], b1)
    v = b2 * state["v"] + (1 - b2) * grads.square()
    rate = lr * math.sqrt(1 - b2**t) / (1 - b1**t)
    below = v.sqrt() + hyper["eps"] * math.sqrt(1 - b2**t)
    step = torch.nan_to_num(m / below, nan=0.0)
    return params - lr * hyper["weight_decay"] * params - rate * step, dict(t=t, m=m, v=v)
""",
        "in place on copies": """
# exercise: box-adamw
def adamw_step(params, grads, state, hyper):
    t, m, v = state["t"] + 1, state["m"].clone(), state["v"].clone()
    m.mul_(hyper["beta1"]).add_(grads, alpha=1 - hyper["beta1"])
    v.mul_(hyper["beta2"]).addcmul_(grads, grads, value=1 - hyper["beta2"])
    below = (v / (1 - hyper["beta2"] ** t)).sqrt_().add_(hyper["eps"])
    below = below + (below == 0)
    new = params * (1 - hyper["lr"] * hyper["weight_decay"])
    return new.addcdiv_(m, below, value=-hyper["lr"] / (1 - hyper["beta1"] ** t)), {"t": t, "m": m, "v": v}
""",
        "masks": """
# exercise: box-adamw
def adamw_step(params, grads, state, hyper):
    t = 1 + state["t"]
    m = hyper["beta1"] * state["m"] + grads - hyper["beta1"] * grads
    v = hyper["beta2"] * state["v"] + grads * grads - hyper["beta2"] * grads * grads
    v_hat, m_hat = v / (1 - hyper["beta2"] ** t), m / (1 - hyper["beta1"] ** t)
    safe = (v_hat.sqrt() + hyper["eps"]).masked_fill(m_hat == 0, 1.0)
    step = m_hat / safe + hyper["weight_decay"] * params
    return params - hyper["lr"] * step, {"m": m, "v": v, "t": t}
""",
    },
    "box-probes": {
        "max and min": """
# exercise: box-probes
def probes(theta, radius):
    largest = max(theta.max().item(), -theta.min().item())
    count = int((theta >= 0.99 * radius).sum() + (theta <= -0.99 * radius).sum())
    return largest, count / theta.numel()
""",
        "numpy": """
# exercise: box-probes
def probes(theta, radius):
    x = np.abs(np.asarray(theta))
    return [float(x.max()), float(np.mean(x >= 0.99 * radius))]
""",
        "a loop": """
# exercise: box-probes
def probes(theta, radius):
    largest, on_wall = 0.0, 0
    for x in theta.tolist():
        largest = max(largest, abs(x))
        on_wall += abs(x) >= 0.99 * radius
    return largest, on_wall / len(theta)
""",
    },
    "box-kkt-gap": {
        "by coordinates": """
# exercise: box-kkt-gap
def relative_gap(theta, grads, radius):
    terms = grads.abs() * (1 + grads.sign() * theta / radius)
    total = grads.abs().sum()
    return float(terms.sum() / total) if total > 0 else 0.0
""",
        "numpy": """
# exercise: box-kkt-gap
def relative_gap(theta, grads, radius):
    x, g = np.asarray(theta), np.asarray(grads)
    one = np.abs(g).sum()
    return 0.0 if one == 0 else (one + x @ g / radius) / one
""",
        "an average": """
# exercise: box-kkt-gap
def relative_gap(theta, grads, radius):
    if not grads.any():
        return torch.tensor(0.0)
    weights = grads.abs() / grads.abs().sum()
    return (weights * (1 + torch.sign(grads) * theta / radius)).sum()
""",
    },
    "box-entry": {
        "counting": """
# exercise: box-entry
def steps_to_enter(w0, lr, lam):
    steps = 0
    while w0 > 1.01 / lam:
        w0 = (1 - lr * lam) * w0 + lr
        steps += 1
    return steps
""",
        "counting the excess": """
# exercise: box-entry
def steps_to_enter(w0, lr, lam):
    excess, t = w0 - 1 / lam, 0
    while excess > 0.01 / lam:
        excess, t = excess * (1 - lr * lam), t + 1
    return float(t)
""",
        "log1p": """
# exercise: box-entry
def steps_to_enter(w0, lr, lam):
    if w0 * lam <= 1.01:
        return 0
    return int(np.ceil(np.log((w0 * lam - 1) * 100) / -np.log1p(-lr * lam)))
""",
    },
    "box-train": {
        "functions": """
# exercise: box-train
def train(preset, hyper, steps):
    p = problem("linf-constraint", preset)
    total = sum(b - a for a, b in p.parts)

    def full(theta):
        pieces = [p.gradient(theta, k) for k in range(len(p.parts))]
        return sum(l * n for l, _, n in pieces) / total, sum(g * n for _, g, n in pieces) / total

    theta, m, v = p.start(), 0.0, 0.0
    linf, losses, gaps = [], [], []
    for t in range(1, steps + 2):
        loss, g = full(theta)
        linf.append(float(theta.abs().max()))
        losses.append(loss)
        lam = hyper["weight_decay"]
        gaps.append(float((g.abs() + lam * theta * g).sum() / g.abs().sum()) if lam else 0.0)
        m = hyper["beta1"] * m + (1 - hyper["beta1"]) * g
        v = hyper["beta2"] * v + (1 - hyper["beta2"]) * g * g
        step = m / (1 - hyper["beta1"] ** t) / ((v / (1 - hyper["beta2"] ** t)).sqrt() + hyper["eps"])
        theta = theta - p.lr * (step + lam * theta)
    return {"linf": linf, "loss": losses, "gap": gaps}
""",
        "arrays": """
# exercise: box-train
def train(preset, hyper, steps):
    p = problem("linf-constraint", preset)
    sizes = np.array([b - a for a, b in p.parts], dtype=float)
    weights = sizes / sizes.sum()
    x = p.start()
    m, v = torch.zeros_like(x), torch.zeros_like(x)
    out = np.zeros((steps + 1, 3))
    for t in range(steps + 1):
        f, g = 0.0, 0.0
        for k, w in enumerate(weights):
            fk, gk, _ = p.gradient(x, k)
            f, g = f + w * fk, g + w * gk
        lam = hyper["weight_decay"]
        gap = 1 + lam * float(x @ g) / float(g.abs().sum()) if lam > 0 else 0.0
        out[t] = x.abs().max(), f, gap
        m.mul_(hyper["beta1"]).add_((1 - hyper["beta1"]) * g)
        v.mul_(hyper["beta2"]).add_((1 - hyper["beta2"]) * g**2)
        below = (v / (1 - hyper["beta2"] ** (t + 1))).sqrt() + hyper["eps"]
        x = (1 - p.lr * lam) * x - p.lr / (1 - hyper["beta1"] ** (t + 1)) * m / below
    return {"linf": out[:, 0], "loss": out[:, 1], "gap": out[:, 2]}
""",
        "its own step": """
# exercise: box-train
def own_step(x, g, s, h):
    t = s["t"] + 1
    m = h["beta1"] * s["m"] + (1 - h["beta1"]) * g
    v = h["beta2"] * s["v"] + (1 - h["beta2"]) * g**2
    d = m / (1 - h["beta1"] ** t) / (torch.sqrt(v / (1 - h["beta2"] ** t)) + h["eps"])
    return (1 - h["lr"] * h["weight_decay"]) * x - h["lr"] * d, {"t": t, "m": m, "v": v}

def train(preset, hyper, steps):
    p = problem("linf-constraint", preset)
    h = dict(hyper, lr=p.lr)
    x = p.start()
    s = {"t": 0, "m": torch.zeros_like(x), "v": torch.zeros_like(x)}
    curves = {"linf": [], "loss": [], "gap": []}
    while True:
        found = [p.gradient(x, k) for k in range(len(p.parts))]
        n = sum(f[2] for f in found)
        g = sum(f[1] * (f[2] / n) for f in found)
        curves["loss"].append(sum(f[0] * f[2] for f in found) / n)
        curves["linf"].append(x.abs().max().item())
        r = math.inf if h["weight_decay"] == 0 else 1 / h["weight_decay"]
        curves["gap"].append(0.0 if math.isinf(r) else ((g.abs() + x * g / r).sum() / g.abs().sum()).item())
        if len(curves["loss"]) > steps:
            return curves
        x, s = own_step(x, g, s, h)
""",
    },
    "box-no-evidence": {
        "many weights": """
# exercise: box-no-evidence
def no_evidence(lam):
    theta = torch.zeros(100)
    theta[0] = -0.99 / lam
    return theta, torch.ones(100)
""",
        "lists": """
# exercise: box-no-evidence
def no_evidence(lam):
    return [0.92 / lam, 0.1 / lam, -0.3 / lam], [0.01, 2.0, -1.0]
""",
        "against the wall": """
# exercise: box-no-evidence
def no_evidence(lam):
    x = np.array([0.95, 0.95]) / lam
    return x, np.array([1.0, 2.0])
""",
    },
}

EQUIVALENT = {
    "box-adamw": {
        "line 7: m_hat -> v": "where v is 0, so is m; where m alone is 0, the quotient is 0 anyway",
        "line 7: m_hat -> below": "the denominator is 0 only where v is 0 and epsilon is 0, and there m is 0",
    },
    "box-entry": {"line 3: excess <= 0.01 -> Lt": "at equality the logarithm is 0, and so is the number of steps"},
    "box-train": {
        "line 17: t < steps -> LtE": "one step more after the last measurement; nobody sees it",
        "line 8: theta -> m": "zeros of the same shape",
        "line 17: t -> b1": "one step more after the last measurement; nobody sees it",
    },
    "box-no-evidence": {
        "line 2: torch.tensor([0.95 / lam, 0.0]) -> argument only": "a list instead of a tensor",
        "line 2: torch.tensor([0.0, 1.0]) -> argument only": "a list instead of a tensor",
        "line 2: 0.0 -> 1.0 (6)": "another gradient that is no evidence either",
        "line 2: 1.0 -> 2.0": "another gradient that is no evidence either",
    },
}
