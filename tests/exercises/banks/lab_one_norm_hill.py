"""Answers to the lab on the one-norm: wrong ones as students write them, and right ones in other styles."""

from bank import wrong

T = 't = state["t"] + 1'
M = 'm = hyper["beta"] * state["m"] + (1 - hyper["beta"]) * grads'
V = 'v = hyper["rho"] * state["v"] + (1 - hyper["rho"]) * grads**2'
M_HAT = 'm_hat = m / (1 - hyper["beta"] ** t)'
V_HAT = 'v_hat = v / (1 - hyper["rho"] ** t)'
BELOW = 'torch.sqrt(v_hat + hyper["eps"])'
RETURN = 'return params - hyper["lr"] * step, {"t": t, "m": m, "v": v}'
STEP = ("run", "epsilon", "edges")

NORM = "return sum((g.double() ** 2 + eps).sqrt().sum().item() for g in grads)"
MOST = ("value", "zero", "shapes", "digits")
FLAT = "flat = torch.cat([g.double().reshape(-1) for g in grads])\n    return "
WEIGHTED = "loss, grads, count = loss + n * part_loss, grads + n * part_grads, count + n"
EMPTY = "loss, grads, count = 0.0, torch.zeros_like(theta), 0"

WRONG = {
    "hill-adam": {
        "epsilon beside the root": wrong(
            "epsilon",
            "edges",
            says="epsilon stands beside the root",
            change={BELOW: '(torch.sqrt(v_hat) + hyper["eps"])'},
        ),
        "epsilon before the hat": wrong(
            "epsilon",
            "edges",
            says="epsilon is added before the hat",
            change={V_HAT: 'v_hat = (v + hyper["eps"]) / (1 - hyper["rho"] ** t)', BELOW: "torch.sqrt(v_hat)"},
        ),
        "epsilon squared": wrong(
            "epsilon", "edges", says="epsilon is squared", change={'hyper["eps"])': 'hyper["eps"] ** 2)'}
        ),
        "no epsilon": wrong("epsilon", "edges", says="epsilon is missing", change={BELOW: "torch.sqrt(v_hat)"}),
        "no hat on v": wrong(*STEP, says="your v is not bias-corrected", change={V_HAT: "v_hat = v"}),
        "no hat on m": wrong(*STEP, says="your m is not bias-corrected", change={M_HAT: "m_hat = m"}),
        "no hats": wrong(
            *STEP, says="neither m nor v is bias-corrected", change={M_HAT: "m_hat = m", V_HAT: "v_hat = v"}
        ),
        "t frozen": wrong(*STEP, says="t is 1 in every step", change={T: "t = 1"}),
        "exchanged": wrong(
            *STEP,
            says="beta and rho are exchanged",
            change={
                M: M.replace("beta", "rho"),
                V: V.replace("rho", "beta"),
                M_HAT: M_HAT.replace("beta", "rho"),
                V_HAT: V_HAT.replace("rho", "beta"),
            },
        ),
        "m is not kept": wrong(*STEP, says="m is not kept", change={'"m": m,': '"m": state["m"],'}),
        "v is not kept": wrong(*STEP, says="v is not kept", change={'"v": v}': '"v": state["v"]}'}),
        "no root": wrong(*STEP, says="the root is missing", change={BELOW: '(v_hat + hyper["eps"])'}),
        "uphill": wrong(*STEP, says="the step goes uphill", change={"params - hyper": "params + hyper"}),
        "in place": wrong(
            "edges",
            says="changes params",
            change={RETURN: 'params -= hyper["lr"] * step\n    return params, {"t": t, "m": m, "v": v}'},
        ),
        "the course's own rule": wrong(
            *STEP,
            says="uses optbias.rules",
            code="""
# exercise: hill-adam
from optbias.rules import Adam

def adam_inside(params, grads, state, hyper):
    rule = Adam(lr=hyper["lr"], betas=(hyper["beta"], hyper["rho"]), eps=hyper["eps"], eps_inside=True)
    return rule.equations(params, grads, state)
""",
        ),
    },
    "one-norm": {
        "no epsilon": wrong(
            "value", "zero", "shapes", says="epsilon is missing", change={" ** 2 + eps).sqrt()": ").abs()"}
        ),
        "epsilon outside": wrong(
            "value",
            "zero",
            "shapes",
            says="outside the root",
            change={"(g.double() ** 2 + eps).sqrt()": "(g.double().abs() + eps)"},
        ),
        "epsilon squared": wrong(
            "value", "zero", "shapes", says="epsilon is squared", change={"2 + eps).sqrt()": "2 + eps**2).sqrt()"}
        ),
        "the root of epsilon added": wrong(
            "value",
            "shapes",
            "digits",
            says="that is its value at g = 0",
            change={"(g.double() ** 2 + eps).sqrt()": "(g.double().abs() + eps**0.5)"},
        ),
        "a two-norm": wrong(
            *MOST, says="one root of the whole sum", change={NORM: FLAT + "(flat**2 + eps).sum().sqrt().item()"}
        ),
        "a root for each tensor": wrong(
            *MOST, says="one root", change={".sqrt().sum().item()": ".sum().sqrt().item()"}
        ),
        "epsilon once, in a two-norm": wrong(
            *MOST, says="belongs to each entry", change={NORM: FLAT + "((flat**2).sum() + eps).sqrt().item()"}
        ),
        "epsilon once": wrong(
            "value",
            "zero",
            "shapes",
            says="epsilon is added once",
            change={NORM: FLAT + "flat.abs().sum().item() + eps"},
        ),
        "no root": wrong(*MOST, says="the root is missing", change={".sqrt()": ""}),
        "no square": wrong(*MOST, says="the square is missing", change={"g.double() ** 2": "g.double().abs()"}),
        "no square, no absolute value": wrong(
            "value", "zero", "shapes", "digits", says="NaN", change={"g.double() ** 2": "g.double()"}
        ),
        "the mean": wrong(
            "value",
            "zero",
            "shapes",
            "digits",
            says="that is the mean",
            change={NORM: FLAT + "(flat**2 + eps).sqrt().mean().item()"},
        ),
        "the means added": wrong(
            "value",
            "zero",
            "shapes",
            "digits",
            says="every entry counts once",
            change={".sqrt().sum()": ".sqrt().nan_to_num().mean().nan_to_num()"},
        ),
        "the largest": wrong(*MOST, says="largest entry", change={NORM: FLAT + "(flat**2 + eps).sqrt().max().item()"}),
        "the first tensor": wrong(
            "value", "zero", says="only the first tensor", change={"for g in grads": "for g in grads[:1]"}
        ),
        "the last tensor": wrong(*MOST, says="only the last tensor", change={"for g in grads": "for g in grads[-1:]"}),
        "without the last": wrong(
            "value", "zero", "shapes", says="the norm", change={"for g in grads": "for g in grads[:-1]"}
        ),
        "matrices only": wrong(
            *MOST, says="vectors belong to the network too", change={"for g in grads": "for g in grads if g.ndim > 1"}
        ),
        "without the floor": wrong(
            *MOST, says="the floor", change={".sum().item()": ".sum().item() - g.numel() * eps**0.5"}
        ),
        "signs cancel": wrong(
            *MOST, says="signs cancel", change={NORM: FLAT + "(flat.sum() ** 2 + eps).sqrt().item()"}
        ),
        "signs cancel in each tensor": wrong(
            *MOST,
            says="signs cancel",
            change={"(g.double() ** 2 + eps).sqrt().sum()": "(g.double().sum() ** 2 + eps).sqrt()"},
        ),
        "epsilon subtracted": wrong(
            "value",
            "zero",
            "shapes",
            says="epsilon is subtracted",
            change={"** 2 + eps)": "** 2 - eps).clamp(min=0)"},
        ),
        "the square of it": wrong(
            *MOST,
            says="square of the norm",
            change={"return sum(": "return math.pow(sum(", "for g in grads)": "for g in grads), 2)"},
        ),
        "half": wrong(*MOST, says="half of it", change={"return sum(": "return 0.5 * sum("}),
        "float32 sums": wrong("digits", says="seven digits", change={"g.double() ** 2": "g ** 2"}),
        "float32 always": wrong(*MOST, says="seven digits", change={"g.double()": "g.float()"}),
        "stacked": wrong(
            "value",
            "shapes",
            "digits",
            "zero",
            says="perturbed_one_norm raised",
            change={NORM: "return (torch.stack(grads).double() ** 2 + eps).sqrt().sum().item()"},
        ),
        "in place": wrong(
            "shapes", says="changes grads", change={"(g.double() ** 2 + eps)": "(g.mul_(g).double() + eps)"}
        ),
        "rows need axes": wrong(
            "shapes", says="perturbed_one_norm raised", change={"for g in grads)": "for t in grads for g in t)"}
        ),
        "torch's norm": wrong(
            *MOST,
            says="torch.linalg",
            change={NORM: FLAT + "torch.linalg.vector_norm(torch.hypot(flat, torch.tensor(eps**0.5)), ord=1).item()"},
        ),
        "the library": wrong(
            *MOST,
            says="uses optbias.norms",
            code="""
# exercise: one-norm
def perturbed_one_norm(grads, eps):
    from optbias import norms
    return sum(float(norms.perturbed_one_norm(g.double(), eps)) for g in grads)
""",
        ),
        "the examples": wrong(
            *MOST,
            says="differs by up to",
            code="""
# exercise: one-norm
def perturbed_one_norm(grads, eps):
    return 19.0 if eps == 0 else 10.0
""",
        ),
    },
    "hill-accumulate": {
        "equal weights": wrong("sizes", says="same size", change={"n * g for": "g for", "sum(sizes)": "len(sizes)"}),
        "the means added": wrong(
            "sizes", says="the means are added up", change={"n * g for": "g for", " / sum(sizes)": ""}
        ),
        "not divided": wrong("sizes", "special", says="not divided", change={" / sum(sizes)": ""}),
        "divided by the number of batches": wrong(
            "sizes", "special", says="number of micro-batches", change={"sum(sizes)": "len(sizes)"}
        ),
        "means over examples": wrong(
            "sizes", "special", says="turn each mean into a sum", change={"n * g for": "g for"}
        ),
        "overwritten": wrong(
            "sizes", says="do not overwrite", change={"return total / sum(sizes)": "return means[-1]"}
        ),
        "the first": wrong("sizes", says="only the first", change={"return total / sum(sizes)": "return means[0]"}),
        "the largest size": wrong(
            "sizes", says="the last one is shorter", change={"sum(sizes)": "(max(sizes) * len(sizes))"}
        ),
        "without the last": wrong(
            "sizes",
            "special",
            says="the",
            change={"zip(means, sizes))": "zip(means[:-1], sizes[:-1]))", "sum(sizes)": "max(1, sum(sizes[:-1]))"},
        ),
        "the wrong way round": wrong(
            "sizes",
            says="wrong way round",
            change={"n * g for": "g / n for", "sum(sizes)": "sum(1 / n for n in sizes)"},
        ),
        "in place": wrong(
            "special",
            says="changes means",
            code="""
# exercise: hill-accumulate
def accumulate(means, sizes):
    total = means[0].mul_(sizes[0])
    for g, n in zip(means[1:], sizes[1:]):
        total += n * g
    return total / sum(sizes)
""",
        ),
    },
    "hill-at-loss": {
        "the last": wrong(
            "first",
            "ends",
            says="the first one counts",
            change={
                "return norm": "found = norm",
                "    return math.nan": "    return found",
                "for loss, norm": "found = math.nan\n    for loss, norm",
            },
        ),
        "the step before": wrong(
            "first",
            "ends",
            says="the step before",
            change={
                "return norm": "return before",
                "    return math.nan": "        before = norm\n    return math.nan",
                "for loss, norm": "before = norms[-1]\n    for loss, norm",
            },
        ),
        "the loss": wrong("first", "ends", says="that is the loss", change={"return norm": "return loss"}),
        "the step": wrong(
            "first", "ends", says="number of the step", change={"return norm": "return float(losses.index(loss))"}
        ),
        "a search by halves": wrong(
            "first",
            says="only falls",
            code="""
# exercise: hill-at-loss
def norm_at_loss(losses, norms, level):
    low, high = 0, len(losses)
    while low < high:
        middle = (low + high) // 2
        if losses[middle] < level:
            high = middle
        else:
            low = middle + 1
    return norms[low] if low < len(losses) else math.nan
""",
        ),
        "at most": wrong("ends", says="its loss is not below the level", change={"loss < level": "loss <= level"}),
        "the smallest": wrong(
            "first",
            "ends",
            says="that is the",
            code="""
# exercise: hill-at-loss
def norm_at_loss(losses, norms, level):
    below = [n for f, n in zip(losses, norms) if f < level]
    return min(below) if below else math.nan
""",
        ),
        "the mean": wrong(
            "first",
            "ends",
            says="mean of the norms",
            code="""
# exercise: hill-at-loss
def norm_at_loss(losses, norms, level):
    below = [n for f, n in zip(losses, norms) if f < level]
    return sum(below) / len(below) if below else math.nan
""",
        ),
        "the nearest": wrong(
            "first",
            "ends",
            says="nearest to the level",
            code="""
# exercise: hill-at-loss
def norm_at_loss(losses, norms, level):
    return norms[int(np.argmin([abs(f - level) for f in losses]))]
""",
        ),
        "for good": wrong(
            "first",
            says="a bump came between",
            code="""
# exercise: hill-at-loss
def norm_at_loss(losses, norms, level):
    if min(losses) >= level:
        return math.nan
    above = [t for t, f in enumerate(losses) if f >= level]
    return norms[above[-1] + 1 if above else 0]
""",
        ),
        "None": wrong("ends", says="returned None", change={"return math.nan": "return None"}),
        "fails without": wrong(
            "ends",
            says="raised IndexError",
            code="""
# exercise: hill-at-loss
def norm_at_loss(losses, norms, level):
    return [n for f, n in zip(losses, norms) if f < level][0]
""",
        ),
    },
    "hill-train": {
        "epsilon beside the root": wrong(
            "curves",
            says="epsilon stands beside the root",
            change={"torch.sqrt(v / (1 - r ** (t + 1)) + eps)": "(torch.sqrt(v / (1 - r ** (t + 1))) + eps)"},
        ),
        "unweighted": wrong(
            "curves",
            "start",
            says="different sizes",
            change={WEIGHTED: "loss, grads, count = loss + part_loss, grads + part_grads, count + 1"},
        ),
        "the first part": wrong(
            "curves", "start", says="first part of the data", change={"range(len(p.parts))": "range(1)"}
        ),
        "the parts themselves": wrong(
            "curves",
            "start",
            "record",
            says="part must be the number of a micro-batch",
            change={"range(len(p.parts))": "p.parts"},
        ),
        "the sum": wrong(
            "curves", "start", says="added up", change={"loss, grads = loss / count, grads / count": "pass"}
        ),
        "the plain one-norm": wrong(
            "curves",
            "start",
            says="the norm lacks epsilon",
            change={"(grads.double() ** 2 + eps).sqrt()": "grads.abs()"},
        ),
        "the two-norm": wrong(
            "curves",
            "start",
            says="the norm differs",
            change={"(grads.double() ** 2 + eps).sqrt().sum()": "grads.norm()"},
        ),
        "the mean of the norms": wrong(
            "curves",
            "start",
            says="mean of the parts' norms",
            change={
                EMPTY: EMPTY + "\n        size = 0.0",
                WEIGHTED: WEIGHTED + "\n            size = size + n * (part_grads**2 + eps).sqrt().sum().item()",
                "(grads.double() ** 2 + eps).sqrt().sum().item()": "size / count",
            },
        ),
        "without the start": wrong(
            "curves",
            "start",
            "record",
            says="the start included",
            change={"range(steps + 1)": "range(steps)", "if t < steps:": "if True:"},
        ),
        "exchanged": wrong(
            "curves",
            "start",
            says="beta and rho are exchanged",
            change={'hyper["beta"], hyper["rho"]': 'hyper["rho"], hyper["beta"]'},
        ),
        "uphill": wrong(
            "curves", "start", "record", says="the step goes uphill", change={"theta - p.lr": "theta + p.lr"}
        ),
        "the rate guessed": wrong("curves", "start", says="differs from step", change={"p.lr * m": "3e-3 * m"}),
        "no dictionary": wrong(
            "curves",
            "start",
            "record",
            says="must return a dictionary",
            change={"return history": 'return history["norm"]'},
        ),
        "torch's own": wrong(
            "curves",
            "start",
            "record",
            says="torch.optim",
            change={"theta = p.start()": "theta = p.start()\n    made = torch.optim.Adam"},
        ),
    },
    "hill-misleading": {
        "equal": wrong(
            "steps",
            "losses",
            says="larger norm at every step",
            change={"return slow, [0.8 * x for x in slow], fast, fast": "return slow, slow, slow, slow"},
        ),
        "one law for both": wrong(
            "losses", says="not the smaller one", change={"[0.8 * x for x in slow]": "[1.1 * x for x in slow]"}
        ),
        "A and B exchanged": wrong(
            "steps",
            "losses",
            says="larger norm",
            change={
                "return slow, [0.8 * x for x in slow], fast, fast": "return fast, fast, slow, [0.8 * x for x in slow]"
            },
        ),
        "different starts": wrong(
            "steps", "losses", says="same loss", change={"fast, fast": "[0.9 * x for x in fast], fast"}
        ),
        "losses that rise": wrong(
            "steps", "losses", says="fall strictly", change={"return slow,": "return slow[::-1],"}
        ),
        "too short": wrong(
            "steps",
            "losses",
            says="at least 20",
            change={
                "range(400)]\n    return": "range(5)]\n    return",
                "slow = [0.995**t for t in range(400)]": "slow = [0.995**t for t in range(5)]",
            },
        ),
        "not far enough": wrong(
            "steps",
            "losses",
            says="below 0.5 times",
            change={"slow = [0.995**t for t in range(400)]": "slow = [0.9999**t for t in range(400)]"},
        ),
        "three lists": wrong("steps", "losses", says="expected four lists", change={"fast, fast": "fast"}),
        "negative": wrong("steps", "losses", says="positive and finite", change={"0.8 * x for x": "-0.8 * x for x"}),
        "equally fast": wrong("steps", says="Make B faster", change={"0.9**t": "0.995**t"}),
    },
}

RIGHT = {
    "hill-adam": {
        "hypot": """
# exercise: hill-adam
def adam_inside(params, grads, state, hyper):
    t = 1 + state["t"]
    b, r = hyper["beta"], hyper["rho"]
    m = torch.lerp(grads, state["m"], b)
    v = r * state["v"] + (1 - r) * grads.square()
    c = 1 - r**t
    rate = hyper["lr"] * math.sqrt(c) / (1 - b**t)
    step = torch.nan_to_num(m / (v + c * hyper["eps"]).sqrt(), nan=0.0)
    return params - rate * step, dict(t=t, m=m, v=v)
""",
        "in place on copies": """
# exercise: hill-adam
def adam_inside(params, grads, state, hyper):
    t, m, v = state["t"] + 1, state["m"].clone(), state["v"].clone()
    m.mul_(hyper["beta"]).add_(grads, alpha=1 - hyper["beta"])
    v.mul_(hyper["rho"]).addcmul_(grads, grads, value=1 - hyper["rho"])
    below = (v / (1 - hyper["rho"] ** t)).add_(hyper["eps"]).sqrt_()
    return params - hyper["lr"] / (1 - hyper["beta"] ** t) * m / below, {"t": t, "m": m, "v": v}
""",
        "numpy": """
# exercise: hill-adam
def adam_inside(params, grads, state, hyper):
    g, t = np.asarray(grads), state["t"] + 1
    m = hyper["beta"] * np.asarray(state["m"]) + (1 - hyper["beta"]) * g
    v = hyper["rho"] * np.asarray(state["v"]) + (1 - hyper["rho"]) * g * g
    d = m / (1 - hyper["beta"] ** t) / np.sqrt(v / (1 - hyper["rho"] ** t) + hyper["eps"])
    new = {"t": t, "m": torch.as_tensor(m), "v": torch.as_tensor(v)}
    return torch.as_tensor(np.asarray(params) - hyper["lr"] * d), new
""",
    },
    "one-norm": {
        "hypot": """
# exercise: one-norm
def perturbed_one_norm(grads, eps):
    flat = torch.cat([g.reshape(-1).double() for g in grads])
    return torch.hypot(flat, torch.full_like(flat, math.sqrt(eps))).sum().item()
""",
        "numpy": """
# exercise: one-norm
def perturbed_one_norm(grads, eps):
    return float(sum(np.sqrt(np.asarray(g, dtype=np.float64) ** 2 + eps).sum() for g in grads))
""",
        "loops": """
# exercise: one-norm
def perturbed_one_norm(grads, eps):
    total = 0.0
    for g in grads:
        g = g.to(torch.float64)
        total += torch.sum(torch.pow(g.abs().square() + eps, 0.5)).item()
    return total
""",
    },
    "hill-accumulate": {
        "running": """
# exercise: hill-accumulate
def accumulate(means, sizes):
    mean, seen = torch.zeros_like(means[0]), 0
    for g, n in zip(means, sizes):
        seen += n
        mean = mean + (g - mean) * n / seen
    return mean
""",
        "matrix": """
# exercise: hill-accumulate
def accumulate(means, sizes):
    w = torch.tensor(sizes, dtype=torch.float64)
    return (w / w.sum()) @ torch.stack(means)
""",
        "numpy": """
# exercise: hill-accumulate
def accumulate(means, sizes):
    return np.average(np.stack([np.asarray(g) for g in means]), axis=0, weights=sizes)
""",
    },
    "hill-at-loss": {
        "next": """
# exercise: hill-at-loss
def norm_at_loss(losses, norms, level):
    return next((n for f, n in zip(losses, norms) if f < level), float("nan"))
""",
        "numpy": """
# exercise: hill-at-loss
def norm_at_loss(losses, norms, level):
    below = np.asarray(losses) < level
    return norms[int(below.argmax())] if below.any() else np.nan
""",
        "while": """
# exercise: hill-at-loss
def norm_at_loss(losses, norms, level):
    t = 0
    while t < len(losses) and not losses[t] < level:
        t += 1
    return torch.tensor(norms[t] if t < len(norms) else math.nan)
""",
    },
    "hill-train": {
        "functions": """
# exercise: hill-train
def train(preset, hyper, steps):
    p = problem("one-norm-hill", preset)
    total = sum(b - a for a, b in p.parts)

    def full(theta):
        pieces = [p.gradient(theta, k) for k in range(len(p.parts))]
        return sum(l * n for l, _, n in pieces) / total, sum(g * n for _, g, n in pieces) / total

    theta, m, v = p.start(), 0.0, 0.0
    losses, sizes = [], []
    for t in range(1, steps + 2):
        loss, g = full(theta)
        losses.append(loss)
        sizes.append(float(torch.sqrt(g * g + hyper["eps"]).sum()))
        m = hyper["beta"] * m + (1 - hyper["beta"]) * g
        v = hyper["rho"] * v + (1 - hyper["rho"]) * g * g
        theta = theta - p.lr * m / (1 - hyper["beta"] ** t) / (v / (1 - hyper["rho"] ** t) + hyper["eps"]).sqrt()
    return {"loss": losses, "norm": sizes}
""",
        "arrays": """
# exercise: hill-train
def train(preset, hyper, steps):
    p = problem("one-norm-hill", preset)
    sizes = np.array([b - a for a, b in p.parts], dtype=float)
    weights = sizes / sizes.sum()
    x = p.start()
    m, v = torch.zeros_like(x), torch.zeros_like(x)
    out = np.zeros((steps + 1, 2))
    for t in range(steps + 1):
        f, g = 0.0, 0.0
        for k, w in enumerate(weights):
            fk, gk, _ = p.gradient(x, k)
            f, g = f + w * fk, g + w * gk
        out[t] = f, (g**2 + hyper["eps"]).sqrt().sum().item()
        m.mul_(hyper["beta"]).add_((1 - hyper["beta"]) * g)
        v.mul_(hyper["rho"]).add_((1 - hyper["rho"]) * g**2)
        below = (v / (1 - hyper["rho"] ** (t + 1)) + hyper["eps"]).sqrt()
        x = x - p.lr / (1 - hyper["beta"] ** (t + 1)) * m / below
    return {"loss": out[:, 0], "norm": out[:, 1]}
""",
        "its own step": """
# exercise: hill-train
def own_step(x, g, s, h):
    t = s["t"] + 1
    m = h["beta"] * s["m"] + (1 - h["beta"]) * g
    v = h["rho"] * s["v"] + (1 - h["rho"]) * g**2
    d = m / (1 - h["beta"] ** t) / torch.sqrt(v / (1 - h["rho"] ** t) + h["eps"])
    return x - h["lr"] * d, {"t": t, "m": m, "v": v}

def train(preset, hyper, steps):
    p = problem("one-norm-hill", preset)
    h = dict(hyper, lr=p.lr)
    x = p.start()
    s = {"t": 0, "m": torch.zeros_like(x), "v": torch.zeros_like(x)}
    curves = {"loss": [], "norm": []}
    while True:
        found = [p.gradient(x, k) for k in range(len(p.parts))]
        n = sum(f[2] for f in found)
        g = sum(f[1] * (f[2] / n) for f in found)
        curves["loss"].append(sum(f[0] * f[2] for f in found) / n)
        curves["norm"].append((g * g + h["eps"]).sqrt().sum().item())
        if len(curves["loss"]) > steps:
            return curves
        x, s = own_step(x, g, s, h)
""",
    },
    "hill-misleading": {
        "powers": """
# exercise: hill-misleading
def misleading_runs():
    t = torch.arange(500.0)
    a, b = torch.exp(-t / 300), torch.exp(-t / 15)
    return a, 0.7 * a, b, 0.95 * b
""",
        "lists": """
# exercise: hill-misleading
def misleading_runs():
    a = [2.0 - 0.003 * t for t in range(400)]
    b = [2.0 / (1 + 0.1 * t) for t in range(400)]
    return a, [0.5 * x for x in a], b, [0.9 * x for x in b]
""",
        "numpy": """
# exercise: hill-misleading
def misleading_runs():
    a, b = np.geomspace(1, 0.3, 300), np.geomspace(1, 1e-12, 300)
    return [a, a**2 * 0.6, b, b]
""",
    },
}

EQUIVALENT = {
    "hill-train": {
        "line 15: t < steps -> LtE": "one step more after the last measurement; nobody sees it",
        "line 15: t -> b": "one step more after the last measurement; nobody sees it",
        "line 8: theta -> m": "zeros of the same shape",
    },
}
