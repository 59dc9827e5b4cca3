"""Wrong answers to the problem set on preconditioning."""

ERRING = {
    "condition-number": {
        "absolute eigenvalues": (r"absolute|positive definite", {").real": ").real.abs()"}),
        "no positivity test": (r"positive definite", {"values.min() <= 1e-10 * values.abs().max()": "False"}),
        "right multiplication by P": (
            r"multiply|P H|divide",
            {"torch.linalg.solve(preconditioner, hessian)": "preconditioner @ hessian"},
        ),
        "H^-1 P": (r"other way|H\^-1|singular|P", {"solve(preconditioner, hessian)": "solve(hessian, preconditioner)"}),
        "difference": (
            r"difference|divide|ratio|minus",
            {"values.max() / values.min()": "values.max() - values.min()"},
        ),
        "trace over determinant": (
            r"trace|eigenvalue|mean|determinant",
            {"values.max() / values.min()": "values.sum() / values.min()"},
        ),
        "squared": (r"square", {"values.max() / values.min()": "(values.max() / values.min()) ** 2"}),
        "rows scaled by the diagonal of P": (
            r"diagonal",
            {"torch.linalg.solve(preconditioner, hessian)": "hessian / preconditioner.diagonal()[:, None]"},
        ),
        "frobenius": (
            r"frobenius|norm|eigenvalue",
            {"values.max() / values.min()": "hessian.norm() * torch.linalg.inv(hessian).norm()"},
        ),
        "zero for none": (r"NaN|nan", {"return math.nan": "return 0.0"}),
        "inf for none": (r"NaN|nan", {"return math.nan": "return math.inf"}),
        "mean below": (
            r"mean|smallest",
            {"values.max() / values.min()": "values.max() / values.mean()"},
        ),
    },
    "newton-step": {
        "transposed eigenvectors": (
            r"transpos|eigenvector",
            {"vectors @ torch.diag(values.abs()) @ vectors.T": "vectors.T @ torch.diag(values.abs()) @ vectors"},
        ),
        "abs of entries": (
            r"entries|eigenvalue",
            {"hessian = vectors @ torch.diag(values.abs()) @ vectors.T": "hessian = hessian.abs()"},
        ),
        "no lr": (r"lr", {"lr * ": ""}),
        "lr squared": (r"lr", {"lr * ": "lr**2 * "}),
        "root of the curvature": (
            r"root|sqrt",
            {
                "torch.linalg.solve(hessian, grads)": "(torch.linalg.pinv(hessian) @ grads).sign() * (torch.linalg.pinv(hessian) @ grads).abs().sqrt()"
            },
        ),
        "square of H": (
            r"square|twice|H",
            {"torch.linalg.solve(hessian, grads)": "torch.linalg.solve(hessian @ hessian, grads)"},
        ),
        "row sums": (r"row|sum|diagonal", {"hessian.diagonal()": "hessian.sum(-1)"}),
        "abs diagonal": (r"sign", {"hessian.diagonal()": "hessian.diagonal().abs()"}),
        "multiplied by diagonal": (r"multipl|divide", {"grads / hessian.diagonal()": "grads * hessian.diagonal()"}),
        "uphill": (r"uphill|sign", {"params - lr": "params + lr"}),
        "all divided by largest": (
            r"largest|eigenvalue|curvature",
            {"torch.linalg.solve(hessian, grads)": "grads / torch.linalg.eigvalsh(hessian)[-1]"},
        ),
        "transposed hessian slip: clamp": (
            r"cut off|clamp|below zero|small",
            {"values.abs()": "values.clamp(min=1e-3)"},
        ),
    },
    "line-search-step": {
        "share not squared": (
            r"root|distance|square",
            {
                "(new @ hessian @ new) / (params @ hessian @ params)": "((new @ hessian @ new) / (params @ hessian @ params)).sqrt()"
            },
        ),
        "share of distance": (
            r"distance|curvature|hessian|loss",
            {"(new @ hessian @ new) / (params @ hessian @ params)": "(new @ new) / (params @ params)"},
        ),
        "one minus": (
            r"gone|1 -|lost",
            {
                "(new @ hessian @ new) / (params @ hessian @ params)": "1 - (new @ hessian @ new) / (params @ hessian @ params)"
            },
        ),
        "loss itself": (
            r"loss itself|divide",
            {"(new @ hessian @ new) / (params @ hessian @ params)": "(new @ hessian @ new) / 2"},
        ),
        "upside down share": (
            r"upside|other way|before",
            {
                "(new @ hessian @ new) / (params @ hessian @ params)": "(params @ hessian @ params) / (new @ hessian @ new)"
            },
        ),
        "g.g over p.Hp": (r"g\.Hg|theta|params", {"(g @ hessian @ g)": "(params @ hessian @ params)"}),
        "norm not squared": (r"square|norm|root|g\.g", {"(g @ g)": "(g @ g).sqrt()"}),
        "half g": (
            r"half|2",
            {"g = hessian @ params": "g = hessian @ params / 2\n    g = 2 * g if False else g", "* g\n": "* g\n"},
        ),
        "doubled step": (r"2 too many|twice|double", {"params - (g @ g)": "params - 2 * (g @ g)"}),
        "share for kantorovich": (
            r"worst|bound|kappa|share",
            {
                "(new @ hessian @ new) / (params @ hessian @ params)": "((torch.linalg.cond(hessian) - 1) / (torch.linalg.cond(hessian) + 1)) ** 2"
            },
        ),
        "uphill": (r"uphill|sign", {"params - (g @ g)": "params + (g @ g)"}),
        "gradient of the old share": (
            r"params|step|old|new|stands where",
            {"(new @ hessian @ new)": "(g @ hessian @ g)"},
        ),
    },
    "adagrad-step": {
        "decaying memory": (
            r"RMSProp|average|sum|forget",
            {'state["s"] + grads**2': '0.9 * state["s"] + 0.1 * grads**2'},
        ),
        "eps written in": (r"eps|1e-8|written in", {'hyper["eps"]': "1e-8"}),
        "sum of sizes squared after": (r"\|g\||square", {"grads**2": "grads.abs()"}),
        "s of the root": (r"root", {'"s": s}': '"s": torch.sqrt(s)}'}),
        "eps in s": (r"eps", {'state["s"] + grads**2': 'state["s"] + grads**2 + hyper["eps"]'}),
        "lr twice": (r"lr|learning rate", {"return params - hyper": 'return params - hyper["lr"] * hyper'}),
        "t starts at 2": (r"\bt\b", {'state["t"] + 1': 'state["t"] + 2'}),
        "old s and no root": (r"old s|root", {"torch.sqrt(s)": 'state["s"]'}),
        "gradient squared above": (r"square|numerator|gradient", {"step = grads /": "step = grads * grads.abs() /"}),
        "subtracts": (r"sign|subtract", {'state["s"] + grads**2': 'state["s"] - grads**2'}),
        "lr / t": (r"\bt\b|learning rate", {'hyper["lr"] * step': 'hyper["lr"] / (state["t"] + 1) * step'}),
    },
    "rmsprop-step": {
        "rho written in 0.9": (r"rho|written in|0\.9", {'hyper["rho"]': "0.9"}),
        "rho 0.99 as in torch": (r"rho|written in|0\.99", {'hyper["rho"]': "0.99"}),
        "rho on both": (r"1 - rho", {'(1 - hyper["rho"]) * grads**2': 'hyper["rho"] * grads**2'}),
        "old v": (r"old v", {"torch.sqrt(v)": 'torch.sqrt(state["v"])'}),
        "eps under the root and hat": (r"eps", {'(torch.sqrt(v) + hyper["eps"])': 'torch.sqrt(v + hyper["eps"]**2)'}),
        "momentum": (
            r"momentum|grads|average",
            {"step = grads /": 'step = (hyper["rho"] * state["v"].sqrt() + (1 - hyper["rho"]) * grads) /'},
        ),
        "centred": (r"centred|mean|square", {"grads**2": "(grads - grads.mean())**2"}),
        "root of v kept": (r"root", {'"v": v}': '"v": torch.sqrt(v)}'}),
        "no rho on old": (r"rho|sum", {'hyper["rho"] * state["v"]': 'state["v"]'}),
        "uphill and no eps": (r"uphill|eps", {"params - hyper": "params + hyper", ' + hyper["eps"])': ")"}),
        "lr in v": (r"lr|learning rate", {"grads**2": '(hyper["lr"] * grads)**2'}),
    },
    "slope-length": {
        "rmsprop upside down": (
            r"upside|too long|too short",
            {"lr / math.sqrt(1 - rho**t)": "lr * math.sqrt(1 - rho**t)"},
        ),
        "adagrad t": (r"root", {"lr / math.sqrt(t)": "lr / t"}),
        "corrected as rmsprop": (
            r"correct",
            {
                'if rule == "corrected"': "if False",
                "return lr * abs(gradient)": 'return lr * abs(gradient) if rule != "corrected" else lr / math.sqrt(1 - rho**t)',
            },
        ),
        "sign of gradient": (r"negative|abs|sign", {"abs(gradient)": "gradient"}),
        "adagrad t + 1": (r"off by one|t \+ 1|one too", {"math.sqrt(t)": "math.sqrt(t + 1)"}),
        "rho^(t-1)": (r"off by one|t - 1|one too", {"rho**t": "rho**(t - 1) if t > 1 else 0.0"}),
        "adagrad gradient": (r"cancel", {"return lr / math.sqrt(t)": "return lr * abs(gradient) / math.sqrt(t)"}),
        "total adagrad": (r"distance|sum", {"return lr / math.sqrt(t)": "return 2 * lr * math.sqrt(t)"}),
        "1 - rho": (r"first step|t\b|1 - rho", {"1 - rho**t": "1 - rho"}),
        "rho t times": (r"power|rho", {"1 - rho**t": "(1 - rho) * t"}),
        "squared": (r"root|square", {"lr / math.sqrt(1 - rho**t)": "lr / (1 - rho**t)"}),
        "gd with t": (r"distance|one step", {"lr * abs(gradient)": "lr * abs(gradient) * t"}),
    },
    "jacobi-condition": {
        "degrees": (
            r"radians|degree",
            {"math.cos(angle), math.sin(angle)": "math.cos(math.radians(angle)), math.sin(math.radians(angle))"},
        ),
        "kappa + 1": (r"kappa - 1|kappa", {"(kappa - 1)": "(kappa + 1)"}),
        "double angle": (r"angle|2", {"math.cos(angle), math.sin(angle)": "math.cos(2 * angle), math.sin(2 * angle)"}),
        "no abs": (r"abs|sign|smaller|other way|larger over", {"abs(sin * cos)": "sin * cos"}),
        "no root": (r"root", {"math.sqrt((cos**2": "((cos**2"}),
        "cos and sin without squares": (r"square", {"cos**2": "cos", "sin**2": "sin"}),
        "product of other entries": (
            r"diagonal|entries|H|cos",
            {"(sin**2 + kappa * cos**2)": "(cos**2 + kappa * sin**2)"},
        ),
        "1 + c only": (r"1 - c|ratio", {"(1 + c) / (1 - c)": "1 + c"}),
        "c squared": (r"square", {"(1 + c) / (1 - c)": "(1 + c**2) / (1 - c**2)"}),
        "upside": (r"larger over|upside|other way", {"(1 + c) / (1 - c)": "(1 - c) / (1 + c)"}),
        "kappa rooted": (r"root|kappa", {"beside = (kappa - 1)": "kappa = math.sqrt(kappa)\n    beside = (kappa - 1)"}),
    },
    "curvature-counterexample": {
        "mean for root mean square": (
            r"length|norm|root|cosine",
            {"point.square().mean().sqrt()": "point.abs().max()"},
        ),
        "no root": (r"root|square|length", {"point.square().mean().sqrt()": "point.square().mean()"}),
        "sum for mean": (r"sqrt\(d\)|length|mean|sum", {"point.mean() /": "point.sum() /"}),
        "divides by root of curvature": (r"root|curvature", {"wanted / curvature": "wanted / curvature.sqrt()"}),
        "squared curvature": (r"square|curvature", {"wanted / curvature": "wanted / curvature**2"}),
        "angle in degrees": (
            r"angle",
            {
                "point.mean() / point.square().mean().sqrt()": "torch.rad2deg(torch.arccos(point.mean() / point.square().mean().sqrt()))"
            },
        ),
        "normalised point": (r"length|norm|scal", {"return point, ": "return point / point.norm(), "}),
        "cosine of gradient and newton": (
            r"gradient",
            {"point.mean() / point.square().mean().sqrt()": "(wanted @ point) / (wanted.norm() * point.norm())"},
        ),
        "negative": (r"sign|mirror|same way|positive", {"point = wanted / curvature": "point = -wanted / curvature"}),
        "mean only": (r"length|norm|divide", {" / point.square().mean().sqrt()": ""}),
    },
}
