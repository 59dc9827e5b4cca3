"""Answers to the problem set on preconditioning: wrong ones as students write them, and right ones in other styles."""

from bank import wrong

CONDITION_ALL = ("plain", "preconditioned", "none")
NEWTON_ALL = ("newton", "absolute", "diagonal")
SEARCH_ALL = ("params", "share")
RULE_ALL = ("run", "state", "edges", "pure")
LENGTH_ALL = ("adagrad", "rmsprop", "others")
JACOBI_ALL = ("first", "all", "limits")
SPOT_ALL = ("point", "cosine")

VALUES = "values = torch.linalg.eigvals(torch.linalg.solve(preconditioner, hessian)).real"
STEP = 'step = grads / (torch.sqrt({}) + hyper["eps"])'
NEW = '{{"t": state["t"] + 1, "{0}": {0}}}'


def rule_slips(memory: str, update: str) -> dict:
    """Wrong answers that AdaGrad (``memory`` is ``"s"``) and RMSProp (``"v"``) share."""
    return {
        "the memory is not kept": wrong(
            "run",
            "state",
            "edges",
            says=f"{memory} is not kept in the state",
            change={f'"{memory}": {memory}' + "}": f'"{memory}": state["{memory}"]' + "}"},
        ),
        "t not kept": wrong(
            "state", says="t is not kept in the state", change={'"t": state["t"] + 1': '"t": state["t"]'}
        ),
        "the state as it came": wrong(
            "run", "state", "edges", says="the state is returned as it came", change={NEW.format(memory): "state"}
        ),
        "divided by the old memory": wrong(
            "run",
            "edges",
            says=f"the step divides by the old {memory}",
            change={f"torch.sqrt({memory})": f'torch.sqrt(state["{memory}"])'},
        ),
        "no root": wrong("run", "edges", says="the root is missing", change={f"torch.sqrt({memory})": memory}),
        "absolute values": wrong(
            "run",
            "state",
            "edges",
            says=f"{memory} holds |g|",
            change={"grads**2": "grads.abs()"},
        ),
        "epsilon inside the root": wrong(
            "edges",
            says="epsilon stands under the root",
            change={f'torch.sqrt({memory}) + hyper["eps"]': f'torch.sqrt({memory} + hyper["eps"])'},
        ),
        "no epsilon": wrong("edges", says="epsilon is missing", change={' + hyper["eps"]': ""}),
        "uphill": wrong("run", "edges", says="the step goes uphill", change={"return params - ": "return params + "}),
        "the sign of the gradient": wrong(
            "run",
            "edges",
            says="the sign of the gradient is divided",
            change={"step = grads /": "step = grads.sign() /"},
        ),
        "one number for all coordinates": wrong(
            "run",
            "state",
            "edges",
            says="one number for all coordinates",
            change={update: update.replace("grads**2", "(grads**2).sum()")},
        ),
        "params changed in place": wrong(
            "pure",
            says="changes params",
            change={'return params - hyper["lr"] * step,': 'params -= hyper["lr"] * step\n    return params,'},
        ),
        "the memory changed in place": wrong(
            "pure",
            says="changes state",
            change={
                update: 's = state["s"].add_(grads**2)'
                if memory == "s"
                else 'v = state["v"].mul_(hyper["rho"]).add_((1 - hyper["rho"]) * grads**2)'
            },
        ),
        "float32": wrong(
            "run",
            "state",
            "edges",
            says="computed in float32",
            change={update: update + f"\n    params, {memory} = params.float(), {memory}.float()"},
        ),
        "numbers only": wrong(*RULE_ALL, says="_step raised", change={f"torch.sqrt({memory})": f"math.sqrt({memory})"}),
    }


COSINE = "point.mean() / point.square().mean().sqrt()"
ADAGRAD = 's = state["s"] + grads**2'
RMSPROP = 'v = hyper["rho"] * state["v"] + (1 - hyper["rho"]) * grads**2'

WRONG = {
    "condition-number": {
        "no preconditioner": wrong(
            "preconditioned",
            says="the preconditioner is not used",
            change={"torch.linalg.solve(preconditioner, hessian)": "hessian"},
        ),
        "multiplied": wrong(
            "preconditioned",
            says="divide by P, do not multiply",
            change={"torch.linalg.solve(preconditioner, hessian)": "preconditioner @ hessian"},
        ),
        "the ratio of two condition numbers": wrong(
            "preconditioned",
            says="need not have the same eigenvectors",
            code="""
# exercise: condition-number
def condition_number(hessian, preconditioner):
    h, p = torch.linalg.eigvalsh(hessian), torch.linalg.eigvalsh(preconditioner)
    if h[0] <= 1e-10 * h.abs().max():
        return math.nan
    return (h[-1] / h[0]) / (p[-1] / p[0])
""",
        ),
        "cond": wrong(
            "preconditioned",
            "none",
            says="these are singular values",
            code="""
# exercise: condition-number
def condition_number(hessian, preconditioner):
    return torch.linalg.cond(torch.linalg.solve(preconditioner, hessian))
""",
        ),
        "absolute values": wrong(
            "none", says="Are your numbers singular values, or absolute values?", change={VALUES: VALUES + ".abs()"}
        ),
        "eigvalsh of a matrix that is not symmetric": wrong(
            "preconditioned",
            says="differs by",
            code="""
# exercise: condition-number
def condition_number(hessian, preconditioner):
    own = torch.linalg.eigvalsh(hessian)
    if own[0] <= 1e-10 * own.abs().max():
        return math.nan
    values = torch.linalg.eigvalsh(torch.linalg.solve(preconditioner, hessian))
    return values[-1] / values[0]
""",
        ),
        "the smallest over the largest": wrong(
            "plain",
            "preconditioned",
            says="the other way round",
            change={"return values.max() / values.min()": "return values.min() / values.max()"},
        ),
        "the root": wrong(
            "plain",
            "preconditioned",
            says="that is the root of it",
            change={"return values.max() / values.min()": "return (values.max() / values.min()).sqrt()"},
        ),
        "the factor": wrong(
            "plain",
            "preconditioned",
            says="that is the factor of gradient descent",
            change={
                "return values.max() / values.min()": (
                    "return (values.max() - values.min()) / (values.max() + values.min())"
                )
            },
        ),
        "the diagonal": wrong(
            *CONDITION_ALL,
            says="that is the diagonal only",
            change={VALUES: "values = hessian.diagonal()"},
        ),
        "no check": wrong(
            "none",
            says="this matrix is not positive definite",
            change={"if values.min() <= 1e-10 * values.abs().max():": "if False:"},
        ),
        "exactly zero only": wrong(
            "none",
            says="this matrix is not positive definite",
            change={"<= 1e-10 * values.abs().max()": "== 0"},
        ),
        "an infinite number for flat directions": wrong(
            "none", says="return math.nan", change={"return math.nan": "return math.inf"}
        ),
        "float32": wrong(
            "plain",
            "preconditioned",
            says="computed in float32",
            change={
                "return values.max() / values.min()": (
                    "values = torch.linalg.eigvals(torch.linalg.solve(preconditioner.float(), hessian.float())).real\n"
                    "    return values.max() / values.min()"
                )
            },
        ),
    },
    "newton-step": {
        "gradient descent": wrong(
            *NEWTON_ALL,
            says="that is gradient descent",
            change={
                "if divide_by == " + '"diagonal"': "return params - lr * grads\n    if divide_by == " + '"diagonal"'
            },
        ),
        "multiplied": wrong(
            *NEWTON_ALL,
            says="the gradient is multiplied by the matrix",
            change={
                "torch.linalg.solve(hessian, grads)": "hessian @ grads",
                "grads / hessian.diagonal()": "grads * hessian.diagonal()",
            },
        ),
        "no learning rate": wrong(
            *NEWTON_ALL,
            says="lr is not used",
            change={"params - lr * grads": "params - grads", "params - lr * torch": "params - torch"},
        ),
        "uphill": wrong(
            *NEWTON_ALL,
            says="the step goes uphill",
            change={"params - lr * grads": "params + lr * grads", "params - lr * torch": "params + lr * torch"},
        ),
        "always Newton": wrong(
            "absolute",
            "diagonal",
            says="where an eigenvalue is negative, it goes uphill",
            change={'"diagonal":': '"":', '"absolute":': '"":'},
        ),
        "always the absolute value": wrong(
            "newton", says="that divides by |H|", change={'if divide_by == "absolute":': "if True:"}
        ),
        "always the diagonal": wrong(
            "newton",
            "absolute",
            says="that divides by the diagonal only",
            change={'if divide_by == "diagonal":': "if True:"},
        ),
        "absolute values of the entries": wrong(
            "absolute",
            says="these are the absolute values of the entries",
            change={"hessian = vectors @ torch.diag(values.abs()) @ vectors.T": "hessian = hessian.abs()"},
        ),
        "negative eigenvalues cut off": wrong(
            "absolute",
            says="eigenvalues below zero are cut off",
            code="""
# exercise: newton-step
def newton_step(params, grads, hessian, lr, divide_by):
    if divide_by == "diagonal":
        return params - lr * grads / hessian.diagonal()
    if divide_by == "absolute":
        values, vectors = torch.linalg.eigh(hessian)
        keep = values > 0
        return params - lr * vectors[:, keep] @ ((vectors[:, keep].T @ grads) / values[keep])
    return params - lr * torch.linalg.solve(hessian, grads)
""",
        ),
        "the eigenvectors the wrong way round": wrong(
            "absolute",
            says="the eigenvectors are transposed",
            change={"vectors @ torch.diag(values.abs()) @ vectors.T": "vectors.T @ torch.diag(values.abs()) @ vectors"},
        ),
        "the absolute diagonal": wrong(
            "diagonal",
            says="the diagonal's signs are lost",
            change={"grads / hessian.diagonal()": "grads / hessian.diagonal().abs()"},
        ),
        "eigenvalues for the diagonal": wrong(
            "diagonal",
            says="those are the eigenvalues",
            change={"grads / hessian.diagonal()": "grads / torch.linalg.eigvalsh(hessian)"},
        ),
        "divided entry by entry": wrong(
            "newton",
            "absolute",
            says="each entry is divided by itself",
            change={"torch.linalg.solve(hessian, grads)": "(grads / hessian).sum(-1)"},
        ),
        "params changed in place": wrong(
            *NEWTON_ALL,
            says="changes params",
            change={
                'if divide_by == "diagonal"': 'params += lr * grads\n    if divide_by == "diagonal"',
            },
        ),
        "the hessian changed in place": wrong(
            "diagonal",
            says="changes hessian",
            change={"grads / hessian.diagonal()": "grads / hessian.fill_diagonal_(1.0).diagonal()"},
        ),
    },
    "line-search-step": {
        "Newton": wrong(
            *SEARCH_ALL,
            says="that is the minimum, and so Newton's step",
            change={"new = params - (g @ g) / (g @ hessian @ g) * g": "new = params - torch.linalg.solve(hessian, g)"},
        ),
        "the rate upside down": wrong(
            *SEARCH_ALL,
            says="the learning rate is upside down",
            change={"(g @ g) / (g @ hessian @ g) * g": "(g @ hessian @ g) / (g @ g) * g"},
        ),
        "twice the rate": wrong(
            *SEARCH_ALL, says="there is a 2 too many", change={"params - (g @ g)": "params - 2 * (g @ g)"}
        ),
        "half the rate": wrong(
            *SEARCH_ALL, says="there is a half too many", change={"params - (g @ g)": "params - 0.5 * (g @ g)"}
        ),
        "the best constant rate": wrong(
            *SEARCH_ALL,
            says="that is the best constant learning rate",
            change={
                "(g @ g) / (g @ hessian @ g) * g": "2 / (h[0] + h[-1]) * g",
                "g = hessian @ params": "g, h = hessian @ params, torch.linalg.eigvalsh(hessian)",
            },
        ),
        "one over the largest curvature": wrong(
            *SEARCH_ALL,
            says="that is 1 / (largest curvature)",
            change={"(g @ g) / (g @ hessian @ g) * g": "g / torch.linalg.eigvalsh(hessian)[-1]"},
        ),
        "theta for the gradient": wrong(
            *SEARCH_ALL,
            says="here theta itself was used",
            change={"g = hessian @ params": "g = params"},
        ),
        "the rate from theta": wrong(
            *SEARCH_ALL,
            says="the learning rate was computed from theta",
            change={"(g @ g) / (g @ hessian @ g) * g": "(params @ params) / (params @ hessian @ params) * g"},
        ),
        "uphill": wrong(*SEARCH_ALL, says="the step goes uphill", change={"new = params - ": "new = params + "}),
        "the root of the share": wrong(
            "share",
            says="that is the root of the share",
            change={
                "return new, (new @ hessian @ new) / (params @ hessian @ params)": (
                    "return new, torch.sqrt((new @ hessian @ new) / (params @ hessian @ params))"
                )
            },
        ),
        "the share that is gone": wrong(
            "share",
            says="that is the share that is gone",
            change={"return new, (new": "return new, 1 - (new"},
        ),
        "the loss": wrong(
            "share",
            says="that is the loss itself",
            change={"(new @ hessian @ new) / (params @ hessian @ params)": "(new @ hessian @ new) / 2"},
        ),
        "twice the loss": wrong(
            "share",
            says="that is twice the loss",
            change={"(new @ hessian @ new) / (params @ hessian @ params)": "new @ hessian @ new"},
        ),
        "old over new": wrong(
            "share",
            says="upside down: new over old",
            change={
                "(new @ hessian @ new) / (params @ hessian @ params)": (
                    "(params @ hessian @ params) / (new @ hessian @ new)"
                )
            },
        ),
        "the visible example": wrong(
            *SEARCH_ALL,
            says="differs by",
            change={"(g @ g) / (g @ hessian @ g) * g": "2 / 11 * g"},
        ),
        "params alone": wrong(
            *SEARCH_ALL,
            says="must return 2 things",
            change={"return new, (new @ hessian @ new) / (params @ hessian @ params)": "return new"},
        ),
        "params changed in place": wrong(
            "params",
            says="changes params",
            code="""
# exercise: line-search-step
def line_search_step(params, hessian):
    g = hessian @ params
    before = params @ hessian @ params
    params -= (g @ g) / (g @ hessian @ g) * g
    return params, (params @ hessian @ params) / before
""",
        ),
    },
    "adagrad-step": rule_slips("s", ADAGRAD)
    | {
        "no memory": wrong("run", "state", "edges", says="there is no memory in it", change={ADAGRAD: "s = grads**2"}),
        "a mean": wrong(
            "run",
            "state",
            "edges",
            says="s is a mean",
            change={ADAGRAD: 's = (state["t"] * state["s"] + grads**2) / (state["t"] + 1)'},
        ),
        "the rate falls twice": wrong(
            "run",
            "edges",
            says="the learning rate is divided by the root of t as well",
            change={'- hyper["lr"] * step': '- hyper["lr"] / math.sqrt(state["t"] + 1) * step'},
        ),
        "torch's own optimizer": wrong(
            *RULE_ALL,
            says="uses torch.optim.Adagrad, which this task does not allow",
            code="""
# exercise: adagrad-step
def adagrad_step(params, grads, state, hyper):
    p = params.clone().requires_grad_()
    opt = torch.optim.Adagrad([p], lr=hyper["lr"], eps=hyper["eps"])
    opt.state[p]["sum"].copy_(state["s"])
    p.grad = grads.clone()
    opt.step()
    return p.detach(), {"t": state["t"] + 1, "s": opt.state[p]["sum"]}
""",
        ),
    },
    "rmsprop-step": rule_slips("v", RMSPROP)
    | {
        "no memory": wrong("run", "state", "edges", says="there is no memory in it", change={RMSPROP: "v = grads**2"}),
        "a hat": wrong(
            "run",
            "edges",
            says="v is bias-corrected",
            change={"torch.sqrt(v)": 'torch.sqrt(v / (1 - hyper["rho"] ** (state["t"] + 1)))'},
        ),
        "rho and 1 - rho swapped": wrong(
            "run",
            "state",
            "edges",
            says="rho and 1 - rho are swapped",
            change={RMSPROP: 'v = (1 - hyper["rho"]) * state["v"] + hyper["rho"] * grads**2'},
        ),
        "a sum": wrong(
            "run", "state", "edges", says="v is a sum: that is AdaGrad", change={RMSPROP: 'v = state["v"] + grads**2'}
        ),
        "no factor": wrong(
            "run",
            "state",
            "edges",
            says="v lacks the factor 1 - rho",
            change={RMSPROP: 'v = hyper["rho"] * state["v"] + grads**2'},
        ),
        "torch's own optimizer": wrong(
            *RULE_ALL,
            says="uses torch.optim.RMSprop, which this task does not allow",
            code="""
# exercise: rmsprop-step
def rmsprop_step(params, grads, state, hyper):
    p = params.clone().requires_grad_()
    opt = torch.optim.RMSprop([p], lr=hyper["lr"], alpha=hyper["rho"], eps=hyper["eps"])
    p.grad = grads.clone()
    opt.step()
    return p.detach(), {"t": state["t"] + 1, "v": opt.state[p]["square_avg"]}
""",
        ),
    },
    "slope-length": {
        "AdaGrad without memory": wrong(
            "adagrad", says="that is the first step's length: s grows", change={"return lr / math.sqrt(t)": "return lr"}
        ),
        "AdaGrad without the root": wrong(
            "adagrad", says="its root grows like the root of t", change={"lr / math.sqrt(t)": "lr / t"}
        ),
        "AdaGrad with the gradient": wrong(
            "adagrad",
            says="the gradient cancels: the step is g over the root of t g^2",
            change={"lr / math.sqrt(t)": "lr * abs(gradient) / math.sqrt(t)"},
        ),
        "AdaGrad off by one": wrong("adagrad", says="off by one", change={"math.sqrt(t)": "math.sqrt(t + 1)"}),
        "AdaGrad's whole way": wrong(
            "adagrad",
            says="that is the distance up to here",
            change={"return lr / math.sqrt(t)": "return sum(lr / math.sqrt(k) for k in range(1, t + 1))"},
        ),
        "RMSProp in the long run": wrong(
            "rmsprop", says="that is the length in the long run", change={"lr / math.sqrt(1 - rho**t)": "lr"}
        ),
        "RMSProp's first step": wrong(
            "rmsprop",
            says="that is the first step's length: v grows",
            change={"math.sqrt(1 - rho**t)": "math.sqrt(1 - rho)"},
        ),
        "RMSProp without the root": wrong(
            "rmsprop", says="the root is missing", change={"math.sqrt(1 - rho**t)": "(1 - rho**t)"}
        ),
        "RMSProp upside down": wrong(
            "rmsprop",
            says="the factor is upside down",
            change={"lr / math.sqrt(1 - rho**t)": "lr * math.sqrt(1 - rho**t)"},
        ),
        "RMSProp off by one": wrong("rmsprop", says="off by one", change={"rho**t": "rho ** (t + 1)"}),
        "corrected is not corrected": wrong(
            "others",
            says="the correction removes the factor",
            change={'if rule == "rmsprop":': 'if rule in ("rmsprop", "corrected"):'},
        ),
        "corrected, with the gradient": wrong(
            "others",
            says="the gradient cancels: the step is g over |g|",
            change={"        return lr\n": "        return lr * abs(gradient)\n"},
        ),
        "gradient descent divides": wrong(
            "others", says="gradient descent does not divide", change={"return lr * abs(gradient)": "return lr"}
        ),
        "a negative length": wrong(
            "others", says="a length is not negative", change={"return lr * abs(gradient)": "return lr * gradient"}
        ),
        "the way of gradient descent": wrong(
            "others", says="one step is asked", change={"return lr * abs(gradient)": "return lr * abs(gradient) * t"}
        ),
        "the visible numbers": wrong(
            *LENGTH_ALL,
            says="`lr` is written in as 0.1",
            change={'if rule == "adagrad":': 'lr, rho = 0.1, 0.9\n    if rule == "adagrad":'},
        ),
    },
    "jacobi-condition": {
        "nothing changes": wrong(
            *JACOBI_ALL, says="that is kappa itself", change={"return (1 + c) / (1 - c)": "return kappa"}
        ),
        "upside down": wrong(
            *JACOBI_ALL,
            says="asked is their ratio, the larger over the smaller",
            change={"return (1 + c) / (1 - c)": "return (1 - c) / (1 + c)"},
        ),
        "no absolute value": wrong(
            "all",
            "limits",
            says="asked is their ratio, the larger over the smaller",
            change={"abs(sin * cos)": "sin * cos"},
        ),
        "degrees": wrong(
            "first",
            "all",
            "limits",
            says="the angle is in radians",
            change={"cos, sin = ": "angle = math.radians(angle)\n    cos, sin = "},
        ),
        "no root": wrong(
            *JACOBI_ALL,
            says="the root is missing in the scaled entry",
            change={
                "beside / math.sqrt((cos**2 + kappa * sin**2) * (sin**2 + kappa * cos**2))": (
                    "beside / ((cos**2 + kappa * sin**2) * (sin**2 + kappa * cos**2))"
                )
            },
        ),
        "the entry": wrong(
            *JACOBI_ALL, says="that is the scaled entry c", change={"return (1 + c) / (1 - c)": "return c"}
        ),
        "cond of a matrix that is not symmetric": wrong(
            "first",
            "all",
            says="these are singular values",
            code="""
# exercise: jacobi-condition
def jacobi_condition(kappa, angle):
    c, s = math.cos(angle), math.sin(angle)
    turn = np.array([[c, -s], [s, c]])
    hessian = turn @ np.diag([1.0, kappa]) @ turn.T
    return np.linalg.cond(hessian / np.diag(hessian)[:, None])
""",
        ),
        "scaled twice": wrong(
            *JACOBI_ALL,
            says="or the diagonal is divided by twice",
            code="""
# exercise: jacobi-condition
def jacobi_condition(kappa, angle):
    c, s = math.cos(angle), math.sin(angle)
    turn = np.array([[c, -s], [s, c]])
    hessian = turn @ np.diag([1.0, kappa]) @ turn.T
    d = np.diag(1 / np.diag(hessian))
    return np.linalg.cond(d @ hessian @ d)
""",
        ),
        "the diagonal's ratio": wrong(
            *JACOBI_ALL,
            says="that is the ratio of the diagonal's entries",
            change={
                "return (1 + c) / (1 - c)": (
                    "d = cos**2 + kappa * sin**2, sin**2 + kappa * cos**2\n    return max(d) / min(d)"
                )
            },
        ),
        "kappa for kappa - 1": wrong(
            "first",
            "all",
            "limits",
            says="not kappa sin cos",
            change={"(kappa - 1) * abs": "kappa * abs"},
        ),
        "the perfect scaling": wrong(
            "first", "all", "limits", says="differs by", change={"return (1 + c) / (1 - c)": "return 1.0"}
        ),
        "the visible kappa": wrong(
            *JACOBI_ALL, says="differs by", change={"cos, sin = ": "kappa = 100.0\n    cos, sin = "}
        ),
        "one axis only": wrong(
            "first",
            "all",
            says="the same entry of the diagonal is taken twice",
            change={"(sin**2 + kappa * cos**2)": "(cos**2 + kappa * sin**2)"},
        ),
    },
    "curvature-counterexample": {
        "multiplied": wrong(
            *SPOT_ALL,
            says="the gradient is curvature * theta",
            change={"point = wanted / curvature": "point = wanted * curvature"},
        ),
        "the gradient itself": wrong(
            *SPOT_ALL,
            says="that is what is wanted of the gradient",
            change={"point = wanted / curvature": "point = wanted"},
        ),
        "a root too many": wrong(
            *SPOT_ALL,
            says="the root of the square of g is |g|",
            change={"point = wanted / curvature": "point = (wanted / curvature).sqrt()"},
        ),
        "the square taken for g": wrong(
            *SPOT_ALL,
            says="the square of g is asked to be wanted^2",
            change={"point = wanted / curvature": "point = wanted.sqrt() / curvature"},
        ),
        "the inverse curvature": wrong(
            *SPOT_ALL,
            says="that is the inverse of the curvature",
            change={"point = wanted / curvature": "point = 1 / curvature"},
        ),
        "upside down": wrong(
            *SPOT_ALL, says="upside down: divide", change={"point = wanted / curvature": "point = curvature / wanted"}
        ),
        "the mirror image": wrong(
            "point",
            "cosine",
            says="that is the gradient's mirror image",
            change={"point = wanted / curvature": "point = -wanted / curvature"},
        ),
        "the gradient's direction for AdaGrad's": wrong(
            "cosine",
            says="AdaGrad's first step is the sign of g",
            change={COSINE: "point @ wanted / (wanted.norm() * point.norm())"},
        ),
        "the gradient's direction for Newton's": wrong(
            "cosine",
            says="asked is Newton's direction",
            change={COSINE: ("wanted.sum() / (math.sqrt(len(wanted)) * wanted.norm())")},
        ),
        "the angle": wrong(
            "cosine",
            says="that is the angle; asked is its cosine",
            change={COSINE: (f"torch.arccos({COSINE})")},
        ),
        "the inner product": wrong(
            "cosine",
            says="divide the inner product by both norms",
            change={COSINE: "point.sum()"},
        ),
        "one norm": wrong(
            "cosine",
            says="one of the two lengths is missing",
            change={COSINE: "point.sum() / point.norm()"},
        ),
        "the length d": wrong(
            "cosine", says="has the length sqrt(d), not d", change={COSINE: "point.sum() / (len(point) * point.norm())"}
        ),
        "the visible example": wrong(
            *SPOT_ALL,
            says="",
            change={"return point, ": "point = torch.tensor([1.0, 10.0])\n    return point, "},
        ),
        "the point alone": wrong(
            *SPOT_ALL,
            says="must return 2 things",
            change={"return point, " + COSINE: "return point"},
        ),
        "in place": wrong(
            "point", says="changes wanted", change={"point = wanted / curvature": "point = wanted.div_(curvature)"}
        ),
    },
}

RIGHT = {
    "condition-number": {
        "a symmetric similar matrix": """
# exercise: condition-number
def condition_number(hessian, preconditioner):
    low = torch.linalg.cholesky(preconditioner)
    half = torch.linalg.solve_triangular(low, hessian, upper=False)
    values = torch.linalg.eigvalsh(torch.linalg.solve_triangular(low, half.T, upper=False))
    small, large = values[0].item(), values[-1].item()
    return large / small if small > 1e-10 * max(abs(small), abs(large)) else float("nan")
""",
        "scipy's generalised eigenvalues": """
# exercise: condition-number
def condition_number(hessian, preconditioner):
    from scipy.linalg import eigh

    values = eigh(np.asarray(hessian), np.asarray(preconditioner), eigvals_only=True)
    if min(values) <= 1e-10 * max(abs(values)):
        return np.nan
    return values[-1] / values[0]
""",
        "numpy": """
# exercise: condition-number
def condition_number(hessian, preconditioner):
    values = np.sort(np.linalg.eigvals(np.linalg.inv(preconditioner.numpy()) @ hessian.numpy()).real)
    definite = values[0] > 1e-10 * np.abs(values).max()
    return torch.tensor(values[-1] / values[0] if definite else math.nan)
""",
    },
    "newton-step": {
        "everything from the eigenvectors": """
# exercise: newton-step
def newton_step(params, grads, hessian, lr, divide_by):
    if divide_by == "diagonal":
        return params - lr * torch.diag(1 / torch.diag(hessian)) @ grads
    h, V = torch.linalg.eigh(hessian)
    h = h.abs() if divide_by == "absolute" else h
    return params - lr * V @ (V.T @ grads / h)
""",
        "numpy": """
# exercise: newton-step
def newton_step(params, grads, hessian, lr, divide_by):
    H = hessian.numpy()
    if divide_by == "hessian":
        P = H
    elif divide_by == "diagonal":
        P = np.diag(np.diag(H))
    else:
        u, s, vt = np.linalg.svd(H)
        P = vt.T @ np.diag(s) @ vt
    return params.numpy() - lr * np.linalg.solve(P, grads.numpy())
""",
        "the root of the square": """
# exercise: newton-step
def newton_step(params, grads, hessian, lr, divide_by):
    from scipy.linalg import sqrtm

    matrix = {
        "hessian": lambda: hessian,
        "diagonal": lambda: torch.diag(hessian.diagonal()),
        "absolute": lambda: torch.tensor(sqrtm((hessian @ hessian).numpy()).real),
    }[divide_by]()
    return params - torch.linalg.solve(matrix, lr * grads)
""",
    },
    "line-search-step": {
        "from the loss": """
# exercise: line-search-step
def line_search_step(params, hessian):
    def f(x):
        return x @ hessian @ x / 2

    g = hessian @ params
    rate = g.dot(g) / g.dot(hessian @ g)
    new = params - rate * g
    return new, f(new) / f(params)
""",
        "the share by its formula": """
# exercise: line-search-step
def line_search_step(params, hessian):
    g = hessian @ params
    gg, gHg = (g * g).sum(), (g * (hessian @ g)).sum()
    return params - gg / gHg * g, 1 - gg**2 / (gHg * (g * params).sum())
""",
        "numpy, through the parabola": """
# exercise: line-search-step
def line_search_step(params, hessian):
    x, H = params.numpy(), hessian.numpy()
    g = H @ x
    slope, bend = -(g @ g), g @ H @ g
    eta = -slope / bend
    old = x @ H @ x / 2
    return x - eta * g, (old + eta * slope + eta**2 * bend / 2) / old
""",
    },
    "adagrad-step": {
        "rsqrt": """
# exercise: adagrad-step
def adagrad_step(params, grads, state, hyper):
    s = torch.addcmul(state["s"], grads, grads)
    return params - hyper["lr"] * grads / (s**0.5 + hyper["eps"]), {"s": s, "t": 1 + state["t"]}
""",
        "numpy": """
# exercise: adagrad-step
def adagrad_step(params, grads, state, hyper):
    g = np.asarray(grads)
    s = np.asarray(state["s"]) + np.square(g)
    return np.asarray(params) - hyper["lr"] * g / (np.sqrt(s) + hyper["eps"]), {"t": state["t"] + 1, "s": s}
""",
        "in place, on copies": """
# exercise: adagrad-step
def adagrad_step(params, grads, state, hyper):
    state = {"t": state["t"] + 1, "s": state["s"].clone()}
    state["s"] += grads.square()
    params = params.clone()
    params.addcdiv_(grads, state["s"].sqrt() + hyper["eps"], value=-hyper["lr"])
    return params, state
""",
    },
    "rmsprop-step": {
        "written as a pull": """
# exercise: rmsprop-step
def rmsprop_step(params, grads, state, hyper):
    v = state["v"] + (1 - hyper["rho"]) * (grads * grads - state["v"])
    return params - hyper["lr"] / (v.clamp(min=0).sqrt() + hyper["eps"]) * grads, {"t": state["t"] + 1, "v": v}
""",
        "numpy": """
# exercise: rmsprop-step
def rmsprop_step(params, grads, state, hyper):
    g = np.asarray(grads)
    v = np.average([np.asarray(state["v"]), g * g], axis=0, weights=[hyper["rho"], 1 - hyper["rho"]])
    return np.asarray(params) - hyper["lr"] * g / (v**0.5 + hyper["eps"]), {"t": state["t"] + 1, "v": v}
""",
        "in place, on copies": """
# exercise: rmsprop-step
def rmsprop_step(params, grads, state, hyper):
    v = state["v"].clone().mul_(hyper["rho"]).addcmul_(grads, grads, value=1 - hyper["rho"])
    new = params.clone().addcdiv_(grads, v.sqrt().add_(hyper["eps"]), value=-hyper["lr"])
    return new, {**state, "t": state["t"] + 1, "v": v}
""",
    },
    "slope-length": {
        "by running": """
# exercise: slope-length
def slope_length(rule, t, gradient, lr, rho):
    s = v = step = 0.0
    for k in range(1, t + 1):
        s += gradient**2
        v = rho * v + (1 - rho) * gradient**2
        below = {"adagrad": s, "rmsprop": v, "corrected": v / (1 - rho**k), "gradient descent": 1.0}[rule]
        step = lr * gradient / below**0.5
    return abs(step)
""",
        "a table": """
# exercise: slope-length
def slope_length(rule, t, gradient, lr, rho):
    factors = {"adagrad": t**-0.5, "rmsprop": (1 - rho**t) ** -0.5, "corrected": 1, "gradient descent": abs(gradient)}
    return factors[rule] * lr
""",
        "numpy": """
# exercise: slope-length
def slope_length(rule, t, gradient, lr, rho):
    squares = np.full(t, float(gradient) ** 2)
    weights = (1 - rho) * rho ** np.arange(t)
    below = dict(
        adagrad=np.sqrt(squares.sum()),
        rmsprop=np.sqrt(weights @ squares),
        corrected=np.sqrt(weights @ squares / weights.sum()),
    ).get(rule, 1.0)
    return lr * np.abs(gradient) / below
""",
    },
    "jacobi-condition": {
        "eigenvalues": """
# exercise: jacobi-condition
def jacobi_condition(kappa, angle):
    c, s = math.cos(angle), math.sin(angle)
    turn = np.array([[c, -s], [s, c]])
    hessian = turn @ np.diag([1.0, kappa]) @ turn.T
    d = np.diag(hessian) ** -0.5
    values = np.linalg.eigvalsh(hessian * np.outer(d, d))
    return values[1] / values[0]
""",
        "eigenvalues of the product": """
# exercise: jacobi-condition
def jacobi_condition(kappa, angle):
    a = torch.tensor(float(angle))
    u, w = torch.stack([a.cos(), a.sin()]), torch.stack([-a.sin(), a.cos()])
    hessian = torch.outer(u, u) + kappa * torch.outer(w, w)
    values = torch.linalg.eigvals(hessian / hessian.diagonal()[:, None]).real
    return values.max() / values.min()
""",
        "the double angle": """
# exercise: jacobi-condition
def jacobi_condition(kappa, angle):
    mean, half = (kappa + 1) / 2, (kappa - 1) / 2
    c = half * abs(math.sin(2 * angle)) / math.sqrt(mean**2 - (half * math.cos(2 * angle)) ** 2)
    return (1 + c) / (1 - c)
""",
    },
    "curvature-counterexample": {
        "torch's cosine": """
# exercise: curvature-counterexample
def curvature_counterexample(curvature, wanted):
    theta = wanted / curvature
    g = curvature * theta
    adagrad = g / torch.sqrt(g**2)
    newton = torch.linalg.solve(torch.diag(curvature), g)
    return theta, torch.cosine_similarity(adagrad, newton, dim=0)
""",
        "numpy": """
# exercise: curvature-counterexample
def curvature_counterexample(curvature, wanted):
    point = wanted.numpy() / curvature.numpy()
    return [point, np.mean(point) / np.sqrt(np.mean(point**2))]
""",
        "loops": """
# exercise: curvature-counterexample
def curvature_counterexample(curvature, wanted):
    point = [w.item() / h.item() for w, h in zip(wanted, curvature)]
    length = math.sqrt(sum(x * x for x in point))
    return point, sum(point) / length / len(point) ** 0.5
""",
    },
}

EQUIVALENT = {
    "condition-number": {
        "line 3: values.min() <= 1e-10 * values.abs().max() -> Lt": "differs only where the two sides are equal to the "
        "last bit, or for the zero matrix, whose quotient 0/0 is NaN as well",
    },
    "line-search-step": {
        "line 4: new -> params (55)": "the new gradient is orthogonal to the old one, so that params.H new = new.H new",
        "line 4: new -> params (62)": "the new gradient is orthogonal to the old one, so that new.H params = new.H new",
    },
}
