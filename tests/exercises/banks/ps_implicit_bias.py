"""Answers to the problem set on implicit bias: wrong ones as students write them, and right ones in other styles."""

from bank import wrong

ALL = ("linf", "l2", "l1", "edges")
FIRST = 'if hyper["norm"] == "linf":'
SOLVED = "return w0 + A.T @ torch.linalg.solve(A @ A.T, b - A @ w0)"
RETURN = 'return (1 - hyper["lr"] * hyper["weight_decay"]) * params - hyper["lr"] * direction'
LENGTH = "direction = grads / length if length > 0 else torch.zeros_like(grads)"
LARGEST = "largest = torch.argmax(grads.abs())"
SHARE = "share = ((1 + beta) / (1 - beta)) / ((1 + rho) / (1 - rho))"
BRACKET = "return (1 + beta) / (1 - beta) - (1 + rho) / (1 - rho) * share"

WRONG = {
    "bias-steepest": {
        "no decay": wrong(
            *ALL, says="the decay is missing", change={RETURN: 'return params - hyper["lr"] * direction'}
        ),
        "decay in the gradient": wrong(
            *ALL,
            says="the decay stands in the gradient",
            change={
                FIRST: 'grads = grads + hyper["weight_decay"] * params\n    ' + FIRST,
                RETURN: 'return params - hyper["lr"] * direction',
            },
        ),
        "decay after the step": wrong(
            "linf",
            "l2",
            "l1",
            "edges",
            says="the decay is applied after the step",
            change={RETURN: 'return (1 - hyper["lr"] * hyper["weight_decay"]) * (params - hyper["lr"] * direction)'},
        ),
        "decay without the rate": wrong(
            *ALL,
            says="not multiplied by the learning rate",
            change={'hyper["lr"] * hyper["weight_decay"]': 'hyper["weight_decay"]'},
        ),
        "growth": wrong(*ALL, says="must shrink", change={"(1 - hyper": "(1 + hyper"}),
        "uphill": wrong(*ALL, says="the step goes uphill", change={"params - hyper": "params + hyper"}),
        "max norm not normalised": wrong(
            "linf",
            "edges",
            says="that is the gradient itself",
            change={"direction = torch.sign(grads)": "direction = grads"},
        ),
        "divided by the largest": wrong(
            "linf",
            "edges",
            says="divided by its largest entry",
            change={"direction = torch.sign(grads)": "direction = grads / grads.abs().max()"},
        ),
        "the square of the length": wrong(
            "l2", "edges", says="square of its length", change={"grads / length if": "grads / length**2 if"}
        ),
        "0 / 0 in the two-norm": wrong("edges", says="NaN", change={LENGTH: "direction = grads / length"}),
        "the largest, not its size": wrong(
            "l1", "edges", says="without the absolute value", change={LARGEST: "largest = torch.argmax(grads)"}
        ),
        "the size kept": wrong(
            "l1", "edges", says="keeps its size", change={"torch.sign(grads[largest])": "grads[largest]"}
        ),
        "both of two that tie": wrong(
            "l1",
            "edges",
            says="differs by up to",
            code="""
# exercise: bias-steepest
def steepest_step(params, grads, hyper):
    if hyper["norm"] == "linf":
        direction = torch.sign(grads)
    elif hyper["norm"] == "l2":
        direction = grads / torch.clamp(torch.linalg.vector_norm(grads), min=1e-300)
    else:
        direction = torch.where(grads.abs() == grads.abs().max(), 1.0, 0.0)
        direction = direction * torch.sign(grads + 1e-300)
    return (1 - hyper["lr"] * hyper["weight_decay"]) * params - hyper["lr"] * direction
""",
        ),
        "norms exchanged": wrong(
            "linf",
            "l1",
            "edges",
            says="that is the direction of the norm",
            change={'hyper["norm"] == "linf"': 'hyper["norm"] == "l1"'},
        ),
        "epsilon in the denominator": wrong(
            "edges",
            says="differs by up to",
            change={LENGTH: "direction = grads / (length + 1e-12)"},
        ),
        "in place": wrong(
            "edges",
            says="changes params",
            change={
                RETURN: 'params *= 1 - hyper["lr"] * hyper["weight_decay"]\n    return params - hyper["lr"] * direction'
            },
        ),
        "the course's own norms": wrong(
            *ALL,
            says="uses optbias.norms",
            code="""
# exercise: bias-steepest
from optbias import norms

def steepest_step(params, grads, hyper):
    direction = norms.steepest_direction(grads, hyper["norm"])
    return (1 - hyper["lr"] * hyper["weight_decay"]) * params - hyper["lr"] * direction
""",
        ),
    },
    "bias-limits": {
        "exchanged": wrong(
            "box",
            "ridge",
            says="that is where",
            change={"b.clamp(-1 / lam, 1 / lam), a * b / (a + lam)": "a * b / (a + lam), b.clamp(-1 / lam, 1 / lam)"},
        ),
        "AdamW minimises the penalised loss": wrong(
            "box", says="where Adam with the penalty ends", change={"b.clamp(-1 / lam, 1 / lam)": "a * b / (a + lam)"}
        ),
        "no box": wrong("box", says="without any decay", change={"b.clamp(-1 / lam, 1 / lam)": "b"}),
        "half-width lam": wrong("box", says="not lam", change={"b.clamp(-1 / lam, 1 / lam)": "b.clamp(-lam, lam)"}),
        "all on the wall": wrong(
            "box", says="put on the wall", change={"b.clamp(-1 / lam, 1 / lam)": "torch.sign(b) / lam"}
        ),
        "one side": wrong("box", says="negative side", change={"b.clamp(-1 / lam, 1 / lam)": "b.clamp(max=1 / lam)"}),
        "the vector shrunk": wrong(
            "box",
            says="clipped by itself",
            change={"b.clamp(-1 / lam, 1 / lam)": "b / max(1.0, lam * b.abs().max().item())"},
        ),
        "clipped ridge": wrong(
            "box", says="ridge solution is clipped", change={"b.clamp": "(a * b / (a + lam)).clamp"}
        ),
        "Adam clipped too": wrong(
            "ridge", says="where AdamW ends", change={"a * b / (a + lam)": "b.clamp(-1 / lam, 1 / lam)"}
        ),
        "no penalty": wrong("ridge", says="without the penalty", change={", a * b / (a + lam)": ", b"}),
        "no curvature": wrong("ridge", says="curvatures are missing", change={"a * b / (a + lam)": "b / (1 + lam)"}),
        "factor two": wrong("ridge", says="its gradient is lam x", change={"(a + lam)": "(a + 2 * lam)"}),
        "no a in the numerator": wrong("ridge", says="the a is missing", change={"a * b / (a": "b / (a"}),
        "Adam's scaling": wrong(
            "ridge", says="roots of the curvatures", change={"a * b / (a + lam)": "a.sqrt() * b / (a.sqrt() + lam)"}
        ),
        "one tensor": wrong("box", "ridge", says="expected two tensors", change={", a * b / (a + lam)": ""}),
    },
    "bias-least-squares": {
        "the smallest solution": wrong(
            "start",
            "special",
            says="the limit from zero",
            change={"return w0 + A.T @ torch.linalg.solve(A @ A.T, b - A @ w0)": "return torch.linalg.pinv(A) @ b"},
        ),
        "w0 added": wrong("start", "special", says="A w is not b", change={"b - A @ w0": "b"}),
        "the kernel part": wrong(
            "start",
            "special",
            says="alone",
            change={"b - A @ w0": "-A @ w0"},
        ),
        "the sign": wrong("start", "special", says="wrong sign", change={"return w0 + A.T": "return w0 - A.T"}),
        "the start": wrong(
            "start",
            "special",
            says="gradient descent moves",
            code="""
# exercise: bias-least-squares
def descent_limit(A, b, w0):
    return w0
""",
        ),
        "one step": wrong(
            "start",
            "special",
            says="one gradient step",
            change={"torch.linalg.solve(A @ A.T, b - A @ w0)": "(b - A @ w0)"},
        ),
        "fifty steps": wrong(
            "start",
            "special",
            says="must solve A w = b",
            code="""
# exercise: bias-least-squares
def descent_limit(A, b, w0):
    w = w0.clone()
    for _ in range(50):
        w = w - 0.001 * A.T @ (A @ w - b)
    return w
""",
        ),
        "the row space part of w0": wrong(
            "start",
            "special",
            says="other part is dropped",
            change={SOLVED: "return torch.linalg.pinv(A) @ (A @ w0 + b)"},
        ),
        "the normal equations": wrong(
            "start",
            "special",
            says="descent_limit raised",
            change={
                "return w0 + A.T @ torch.linalg.solve(A @ A.T, b - A @ w0)": (
                    "G = A.T @ A\n    if torch.linalg.matrix_rank(G) < len(G):\n"
                    "        raise ZeroDivisionError('singular')\n    return torch.linalg.solve(G, A.T @ b)"
                )
            },
        ),
        "for two equations": wrong(
            "start",
            "special",
            says="descent_limit raised",
            change={
                "torch.linalg.solve(A @ A.T, b - A @ w0)": "torch.linalg.solve((A @ A.T)[:2, :2], (b - A @ w0)[:2])"
            },
        ),
    },
    "bias-bracket": {
        "without epsilon": wrong("formula", "limits", says="for epsilon 0", change={" * share": ""}),
        "the sign": wrong(
            "formula",
            "limits",
            says="the memory of m penalises",
            change={BRACKET: "return (1 + rho) / (1 - rho) * share - (1 + beta) / (1 - beta)"},
        ),
        "exchanged": wrong(
            "formula",
            "limits",
            says="exchanged",
            change={BRACKET: "return (1 + rho) / (1 - rho) - (1 + beta) / (1 - beta) * share"},
        ),
        "half": wrong(
            "formula", "limits", says="half of it", change={BRACKET: BRACKET.replace("return ", "return 0.5 * (") + ")"}
        ),
        "the lags alone": wrong(
            "formula",
            "limits",
            says="the lags alone",
            change={BRACKET: "return 2 * (beta / (1 - beta) - rho / (1 - rho) * share)"},
        ),
        "both shared": wrong(
            "formula",
            "limits",
            says="only that of rho is",
            change={BRACKET: "return ((1 + beta) / (1 - beta) - (1 + rho) / (1 - rho)) * share"},
        ),
        "the other share": wrong(
            "formula", "limits", says="share is that of epsilon", change={"share = g**2": "share = eps"}
        ),
        "epsilon outside": wrong(
            "formula", "limits", says="outside the root", change={"g**2 / (g**2 + eps)": "abs(g) / (abs(g) + eps)"}
        ),
        "epsilon squared": wrong("formula", "limits", says="not squared", change={"(g**2 + eps)": "(g**2 + eps**2)"}),
        "a root": wrong(
            "formula",
            "limits",
            says="not under a root",
            change={"g**2 / (g**2 + eps)": "math.sqrt(g**2 / (g**2 + eps))"},
        ),
        "the share on m": wrong(
            "formula",
            "limits",
            says="belongs to the part of rho",
            change={BRACKET: "return (1 + beta) / (1 - beta) * share - (1 + rho) / (1 - rho)"},
        ),
        "no numerators": wrong(
            "formula",
            "limits",
            says="numerators are missing",
            change={BRACKET: "return 1 / (1 - beta) - 1 / (1 - rho) * share"},
        ),
        "the examples": wrong(
            "formula",
            "limits",
            says="is written in as 0.9",
            code="""
# exercise: bias-bracket
def bracket(beta, rho, eps, g):
    return 19.0 - 1999.0 * g**2 / (g**2 + eps)
""",
        ),
    },
    "bias-threshold": {
        "no root": wrong(
            "formula",
            says="take the root",
            change={"math.sqrt(eps * share / (1 - share))": "eps * share / (1 - share)"},
        ),
        "no denominator": wrong("formula", says="1 - s is missing", change={" / (1 - share))": ")"}),
        "upside down": wrong("formula", says="upside down", change={"share / (1 - share)": "(1 - share) / share"}),
        "the share": wrong(
            "formula", says="share of g**2 at the change", change={"math.sqrt(eps * share / (1 - share))": "share"}
        ),
        "the lags": wrong(
            "formula",
            says="the lags alone",
            change={SHARE: "share = (beta / (1 - beta)) / (rho / (1 - rho))"},
        ),
        "no numerators": wrong(
            "formula", says="numerators are missing", change={SHARE: "share = (1 - rho) / (1 - beta)"}
        ),
        "the root of epsilon": wrong(
            "formula", says="root of epsilon", change={"math.sqrt(eps * share / (1 - share))": "math.sqrt(eps)"}
        ),
        "exchanged": wrong(
            "formula",
            "never",
            says="exchanged",
            code="""
# exercise: bias-threshold
def threshold(beta, rho, eps):
    share = ((1 + rho) / (1 - rho)) / ((1 + beta) / (1 - beta))
    return math.sqrt(eps * share / (share - 1)) if share > 1 else 0.0
""",
        ),
        "never infinite": wrong(
            "never",
            says="never negative",
            change={"return math.inf": "return 0.0"},
        ),
        "always infinite": wrong(
            "formula",
            says="infinite, but here the bracket becomes negative",
            code="""
# exercise: bias-threshold
def threshold(beta, rho, eps):
    return math.inf
""",
        ),
        "equal betas forgotten": wrong("never", says="raised ZeroDivisionError", change={"share >= 1": "share > 1"}),
        "the examples": wrong(
            "formula",
            says="differs by up to",
            code="""
# exercise: bias-threshold
def threshold(beta, rho, eps):
    return math.inf if beta >= rho else 0.974 * math.sqrt(eps)
""",
        ),
    },
    "bias-leave-box": {
        "constant": wrong(
            "default",
            "others",
            says="a constant gradient",
            code="""
# exercise: bias-leave-box
def leave_the_box(beta1, beta2, lam):
    return [-1.0] * 5000
""",
        ),
        "too short": wrong("default", "others", says="too short", change={"torch.arange(600.0)": "torch.arange(10.0)"}),
        "decay": wrong(
            "default", "others", says="stay long", change={"(beta2 / beta1) ** torch": "(beta1 / beta2) ** torch"}
        ),
        "one spike": wrong(
            "default",
            "others",
            says="stay long",
            code="""
# exercise: bias-leave-box
def leave_the_box(beta1, beta2, lam):
    g = torch.full((3000,), 1e-6)
    g[2000] = 1.0
    return g
""",
        ),
        "noise": wrong(
            "default",
            "others",
            says="stay long",
            code="""
# exercise: bias-leave-box
def leave_the_box(beta1, beta2, lam):
    return torch.randn(3000, generator=torch.Generator().manual_seed(0))
""",
        ),
        "overflow": wrong(
            "default", "others", says="larger than 1e300", change={"return (beta2": "return 1e299 * (beta2"}
        ),
        "too many": wrong(
            "default",
            "others",
            says="1 to 5,000 numbers",
            change={"(beta2 / beta1) ** torch.arange(600.0)": "1.0001 ** torch.arange(20000.0)"},
        ),
        "zeros": wrong(
            "default", "others", says="all gradients are zero", change={"return (beta2": "return 0 * (beta2"}
        ),
        "one gradient": wrong(
            "default",
            "others",
            says="1 to 5,000 numbers",
            change={"(beta2 / beta1) ** torch.arange(600.0)": "1.05 / lam"},
        ),
        "linear growth": wrong(
            "others",
            "default",
            says="half-widths",
            code="""
# exercise: bias-leave-box
def leave_the_box(beta1, beta2, lam):
    return 1e6 + torch.arange(1.0, 2000.0)
""",
        ),
    },
}

RIGHT = {
    "bias-steepest": {
        "numpy": """
# exercise: bias-steepest
def steepest_step(params, grads, hyper):
    p, g = np.asarray(params), np.asarray(grads)
    d = np.zeros_like(g)
    if hyper["norm"] == "linf":
        d = np.sign(g)
    elif hyper["norm"] == "l2":
        n = np.sqrt((g * g).sum())
        d = g / n if n > 0 else d
    elif g.any():
        i = int(np.argmax(np.abs(g)))
        d[i] = 1.0 if g[i] > 0 else -1.0
    return p - hyper["lr"] * (hyper["weight_decay"] * p + d)
""",
        "loops": """
# exercise: bias-steepest
def steepest_step(params, grads, hyper):
    g = [float(x) for x in grads]
    sign = lambda x: (x > 0) - (x < 0)
    if hyper["norm"] == "linf":
        d = [sign(x) for x in g]
    elif hyper["norm"] == "l2":
        n = math.hypot(*g)
        d = [x / n if n else 0.0 for x in g]
    else:
        k = max(range(len(g)), key=lambda i: (abs(g[i]), -i))
        d = [sign(x) if i == k else 0 for i, x in enumerate(g)]
    keep = 1 - hyper["lr"] * hyper["weight_decay"]
    return [keep * float(p) - hyper["lr"] * x for p, x in zip(params, d)]
""",
        "a table of directions": """
# exercise: bias-steepest
def steepest_step(params, grads, hyper):
    size = grads.abs().max()
    unit = grads / torch.where(size > 0, size, 1.0)
    first = (torch.cumsum((unit.abs() == 1).double(), 0) == 1) & (unit.abs() == 1)
    directions = {
        "linf": unit.sign(),
        "l2": unit / unit.norm().clamp(min=1e-30),
        "l1": first * unit.sign(),
    }
    return params * (1 - hyper["lr"] * hyper["weight_decay"]) - hyper["lr"] * directions[hyper["norm"]]
""",
    },
    "bias-limits": {
        "min and max": """
# exercise: bias-limits
def limits(a, b, lam):
    r = torch.tensor(1.0 / lam)
    return torch.maximum(torch.minimum(b, r), -r), b / (1 + lam / a)
""",
        "numpy": """
# exercise: bias-limits
def limits(a, b, lam):
    return [np.clip(np.asarray(b), -1 / lam, 1 / lam), np.asarray(a * b) / np.asarray(a + lam)]
""",
        "linear equations": """
# exercise: bias-limits
def limits(a, b, lam):
    box = torch.where(b.abs() * lam > 1, b.sign() / lam, b)
    return box, torch.linalg.solve(torch.diag(a) + lam * torch.eye(len(a)), a * b)
""",
    },
    "bias-least-squares": {
        "the pseudo-inverse": """
# exercise: bias-least-squares
def descent_limit(A, b, w0):
    return w0 + torch.linalg.pinv(A) @ (b - A @ w0)
""",
        "smallest solution plus kernel": """
# exercise: bias-least-squares
def descent_limit(A, b, w0):
    P = torch.linalg.pinv(A)
    return P @ b + (torch.eye(A.shape[1]) - P @ A) @ w0
""",
        "least squares by numpy": """
# exercise: bias-least-squares
def descent_limit(A, b, w0):
    move, *_ = np.linalg.lstsq(np.asarray(A), np.asarray(b - A @ w0), rcond=None)
    return np.asarray(w0) + move
""",
    },
    "bias-bracket": {
        "lags and halves": """
# exercise: bias-bracket
def bracket(beta, rho, eps, g):
    lag = lambda x: x / (1 - x) + 0.5
    return 2 * lag(beta) - 2 * lag(rho) / (1 + eps / g**2) if g else 2 * lag(beta)
""",
        "the paper's three terms": """
# exercise: bias-bracket
def bracket(beta, rho, eps, g):
    r = (1 + rho) / (1 - rho)
    return (1 + beta) / (1 - beta) - r + r * eps / (g * g + eps)
""",
        "tensors": """
# exercise: bias-bracket
def bracket(beta, rho, eps, g):
    b, r, g2 = torch.tensor(beta), torch.tensor(rho), torch.tensor(g).square()
    return (2 / (1 - b) - 1) - (2 / (1 - r) - 1) * g2 / (g2 + eps)
""",
    },
    "bias-threshold": {
        "differences": """
# exercise: bias-threshold
def threshold(beta, rho, eps):
    m, v = (1 + beta) / (1 - beta), (1 + rho) / (1 - rho)
    return math.sqrt(eps * m / (v - m)) if v > m else float("inf")
""",
        "a closed form": """
# exercise: bias-threshold
def threshold(beta, rho, eps):
    if beta >= rho:
        return np.inf
    return np.sqrt(eps * (1 + beta) * (1 - rho) / (2 * (rho - beta)))
""",
        "tensors": """
# exercise: bias-threshold
def threshold(beta, rho, eps):
    s = torch.tensor((1 + beta) * (1 - rho) / ((1 - beta) * (1 + rho)))
    return (eps * s / (1 - s)).sqrt() if beta < rho else torch.tensor(math.inf)
""",
    },
    "bias-leave-box": {
        "a list, downwards": """
# exercise: bias-leave-box
def leave_the_box(beta1, beta2, lam):
    factor = math.sqrt(beta2 / beta1)
    steps = min(4000, int(600 / math.log(factor)))
    return [-1e-290 * factor**t for t in range(steps)]
""",
        "steps of growth": """
# exercise: bias-leave-box
def leave_the_box(beta1, beta2, lam):
    return torch.exp(torch.linspace(-600, 600, 3000) * min(1.0, 3000 / 1200 * math.log(beta2 / beta1)))
""",
        "numpy": """
# exercise: bias-leave-box
def leave_the_box(beta1, beta2, lam):
    return np.power(min(beta2 / beta1, 1.3), np.arange(-900.0, 900.0))
""",
    },
}

EQUIVALENT = {
    "bias-leave-box": {"line 2: 600.0 -> 601.0": "one gradient more leaves the box too; any list that does is right"},
    "bias-steepest": {
        "line 6: torch.zeros_like(grads) -> argument only": "used where the length is zero, so grads is zero there",
        "line 9: grads -> params": "zeros of the same shape",
        "line 6: grads -> params (48)": "zeros of the same shape",
    },
}
