"""Wrong answers to the problem set on implicit bias."""

ERRING = {
    "bias-steepest": {
        "norms exchanged": (r"linf|l1|norm", {'== "linf"': '== "l1"'}),
        "l2 per mean": (r"length|root|norm|mean", {"torch.linalg.vector_norm(grads)": "grads.square().mean().sqrt()"}),
        "l2 squared": (r"square", {"torch.linalg.vector_norm(grads)": "grads.square().sum()"}),
        "l1 argmax no abs": (r"absolute", {"torch.argmax(grads.abs())": "torch.argmax(grads)"}),
        "l1 keeps size": (
            r"size|1 or -1",
            {"direction[largest] = torch.sign(grads[largest])": "direction[largest] = grads[largest]"},
        ),
        "no decay": (r"decay", {'(1 - hyper["lr"] * hyper["weight_decay"]) * params': "params"}),
        "dual length": (
            r"gradient itself|length 1|one-norm|scaled|dual",
            {"return (1 -": "direction = direction * grads.abs().sum()\n    return (1 -"},
        ),
        "decay after": (
            r"after|old params",
            {
                'return (1 - hyper["lr"] * hyper["weight_decay"]) * params - hyper["lr"] * direction': 'return (1 - hyper["lr"] * hyper["weight_decay"]) * (params - hyper["lr"] * direction)'
            },
        ),
        "uphill": (r"uphill", {'- hyper["lr"] * direction': '+ hyper["lr"] * direction'}),
        "decay without lr": (
            r"learning rate",
            {'(1 - hyper["lr"] * hyper["weight_decay"])': '(1 - hyper["weight_decay"])'},
        ),
        "no lr": (r"learning rate|lr", {'- hyper["lr"] * direction': "- direction"}),
        "eps in the length": (
            r"close|epsilon|length|digits|exact",
            {"torch.linalg.vector_norm(grads)": "torch.linalg.vector_norm(grads) + 1e-3"},
        ),
        "l1 sign of grads / d": (
            r"one entry|sign|entries",
            {"direction[largest] = torch.sign(grads[largest])": "direction = torch.sign(grads) / grads.numel()"},
        ),
    },
    "bias-limits": {
        "half-width lam": (r"1 / lam", {"b.clamp(-1 / lam, 1 / lam)": "b.clamp(-lam, lam)"}),
        "only above": (r"negative", {"b.clamp(-1 / lam, 1 / lam)": "b.clamp(max=1 / lam)"}),
        "lam b": (r"numerator|a\b", {"a * b / (a + lam)": "lam * b / (a + lam)"}),
        "order": (
            r"order|Adam with|AdamW ends|exchanged|swapped",
            {"b.clamp(-1 / lam, 1 / lam), a * b / (a + lam)": "a * b / (a + lam), b.clamp(-1 / lam, 1 / lam)"},
        ),
        "box scaled by a": (
            r"\ba\b|curvature",
            {"b.clamp(-1 / lam, 1 / lam)": "torch.minimum(torch.maximum(b, -1 / (a * lam)), 1 / (a * lam))"},
        ),
        "a b clipped": (r"\ba\b|minimiser|clip", {"b.clamp(-1 / lam, 1 / lam)": "(a * b).clamp(-1 / lam, 1 / lam)"}),
        "a squared": (r"square|\ba\b", {"a * b / (a + lam)": "a**2 * b / (a**2 + lam)"}),
        "root": (r"root", {"a * b / (a + lam)": "a.sqrt() * b / (a.sqrt() + lam)"}),
        "ridge in both": (r"Adam with the penalty|ridge", {"b.clamp(-1 / lam, 1 / lam)": "a * b / (a + lam)"}),
        "shrunk": (r"factor|shr|1 \+ lam|curvatures", {"a * b / (a + lam)": "b / (1 + lam)"}),
        "2 lam": (r"lam / 2|half|2", {"(a + lam)": "(a + 2 * lam)"}),
        "1 - lam": (r"1 / lam|wall|box", {"b.clamp(-1 / lam, 1 / lam)": "b.clamp(-1 + lam, 1 - lam)"}),
    },
    "bias-least-squares": {
        "from zero": (r"from zero", {"w0 + A.T": "A.T", "b - A @ w0": "b"}),
        "added": (r"added|A w is not b", {"b - A @ w0": "b"}),
        "normal equations": (
            r"row space|singular|raised|solve|A\.T @ A",
            {
                "A.T @ torch.linalg.solve(A @ A.T, b - A @ w0)": "torch.linalg.pinv(A.T @ A + 1e-3 * torch.eye(A.shape[1])) @ A.T @ (b - A @ w0)"
            },
        ),
        "sign": (r"sign", {"w0 + A.T": "w0 - A.T"}),
        "residual sign": (r"sign", {"b - A @ w0": "A @ w0 - b"}),
        "no inverse": (r"one gradient step", {"torch.linalg.solve(A @ A.T, b - A @ w0)": "(b - A @ w0)"}),
        "projection only": (r"outside the row space", {"b - A @ w0": "-A @ w0"}),
        "pinv from zero plus half": (r"w0|half", {"w0 + A.T": "w0 / 2 + A.T"}),
        "outer part dropped": (r"dropped|row space", "return A.T @ torch.linalg.solve(A @ A.T, b + A @ w0)"),
        "lstsq of residual twice": (r"2|twice", {"b - A @ w0": "2 * (b - A @ w0)"}),
        "transposed gram": (r"transpos|raised|A\.T|shape", {"A @ A.T": "A.T @ A"}),
    },
    "bias-bracket": {
        "no share": (r"epsilon 0|share", {" * share": ""}),
        "share of eps": (r"share", {"share = g**2 / (g**2 + eps)": "share = eps / (g**2 + eps)"}),
        "sign between": (r"sign|\+", {"(1 - beta) - (1 + rho)": "(1 - beta) + (1 + rho)"}),
        "eps outside": (r"outside", {"g**2 / (g**2 + eps)": "abs(g) / (abs(g) + eps)"}),
        "lag only": (
            r"lags alone|one half",
            {"(1 + beta) / (1 - beta)": "2 * beta / (1 - beta)", "(1 + rho) / (1 - rho)": "2 * rho / (1 - rho)"},
        ),
        "half lag": (
            r"lag|2|numerator",
            {"(1 + beta) / (1 - beta)": "beta / (1 - beta)", "(1 + rho) / (1 - rho)": "rho / (1 - rho)"},
        ),
        "share rooted": (r"root", {"g**2 / (g**2 + eps)": "abs(g) / math.sqrt(g**2 + eps)"}),
        "share squared": (r"square", {"* share": "* share**2"}),
        "plus minus exchanged": (
            r"upside|1 \+ beta|1 - beta|numerator",
            {"(1 + beta) / (1 - beta)": "(1 - beta) / (1 + beta)", "(1 + rho) / (1 - rho)": "(1 - rho) / (1 + rho)"},
        ),
        "beta rho": (
            r"exchanged",
            {
                "(1 + beta) / (1 - beta) - (1 + rho) / (1 - rho) * share": "(1 + rho) / (1 - rho) - (1 + beta) / (1 - beta) * share"
            },
        ),
        "g not squared": (r"square|g\*\*2|outside", {"g**2": "g"}),
        "absolute value": (
            r"sign|absolute|negative",
            {"return (1 + beta)": "return abs((1 + beta)", "* share": "* share)"},
        ),
    },
    "bias-threshold": {
        "no root": (r"root", {"math.sqrt(eps * share / (1 - share))": "eps * share / (1 - share)"}),
        "no denominator": (r"1 - s|denominator", {" / (1 - share)": ""}),
        "upside down share": (
            r"upside|exchanged",
            {
                "((1 + beta) / (1 - beta)) / ((1 + rho) / (1 - rho))": "((1 + rho) / (1 - rho)) / ((1 + beta) / (1 - beta))"
            },
        ),
        "plus": (r"sign|1 \+", {"(1 - share)": "(1 + share)"}),
        "eps outside root": (
            r"root|eps",
            {"math.sqrt(eps * share / (1 - share))": "eps * math.sqrt(share / (1 - share))"},
        ),
        "zero for never": (r"never negative|inf", {"return math.inf": "return 0.0"}),
        "only denominators": (
            r"numerator",
            {"((1 + beta) / (1 - beta)) / ((1 + rho) / (1 - rho))": "(1 - rho) / (1 - beta)"},
        ),
        "beta over rho": (
            r"numerator|lag|1 \+ beta",
            {"((1 + beta) / (1 - beta)) / ((1 + rho) / (1 - rho))": "beta / rho"},
        ),
        "lag": (
            r"lag",
            {"((1 + beta) / (1 - beta)) / ((1 + rho) / (1 - rho))": "(beta / (1 - beta)) / (rho / (1 - rho))"},
        ),
        "share squared": (r"square|share", {"eps * share /": "eps * share**2 /"}),
        "fourth root": (r"root", {"math.sqrt(eps * share / (1 - share))": "(eps * share / (1 - share)) ** 0.25"}),
        "complement": (r"upside|1 - s|share", {"share / (1 - share)": "(1 - share) / share"}),
    },
    "bias-leave-box": {
        "constant": (r"constant", "return torch.ones(600)"),
        "falling": (r"stay long|longer|grow", "return (beta1 / beta2) ** torch.arange(600.0)"),
        "short": (r"short", "return (beta2 / beta1) ** torch.arange(30.0)"),
        "alternating": (r"sign|alternat|cancel", "return (-1.0) ** torch.arange(600.0)"),
        "spike": (r"stay long|longer|spike|one", "g = torch.zeros(600)\ng[300] = 1.0\nreturn g"),
        "overflow": (r"infinite|1e300", "return 10.0 ** torch.arange(600.0)"),
        "too many": (r"5,000|list of", "return torch.ones(6000)"),
    },
}
