"""Wrong answers to the problem set on momentum."""

ERRING = {
    "momentum-step": {
        "nesterov for heavy ball": (
            r"nesterov",
            {
                "return params": 'if hyper["form"] != "ema":\n        return params - hyper["lr"] * (hyper["beta"] * m + grads), {"t": state["t"] + 1, "m": m}\n    return params'
            },
        ),
        "beta written in": (r"0\.9\b|written in|beta", {'hyper["beta"]': "0.9"}),
        "lr written in": (r"written in|learning rate|lr", {'hyper["lr"]': "0.1"}),
        "m is the gradient": (r"memory|gradient descent", {'hyper["beta"] * state["m"] + share * grads': "grads"}),
        "forms exchanged": (r"average|heavy ball|form", {'== "ema"': '!= "ema"'}),
        "lr twice": (r"learning rate|lr", {"return params - hyper": 'return params - hyper["lr"] * hyper'}),
        "beta not on old m": (r"beta", {'hyper["beta"] * state["m"]': 'state["m"]'}),
        "hat on the state": (
            r"hat|correct",
            {
                "return params": 'm = m / (1 - hyper["beta"] ** (state["t"] + 1)) if hyper["form"] == "ema" else m\n    return params'
            },
        ),
        "gradient doubled": (r"2|twice|gradient", {"share * grads": "share * grads + share * grads"}),
        "old m and uphill": (r"old m|uphill", {'params - hyper["lr"] * m': 'params + hyper["lr"] * state["m"]'}),
        "velocity sign": (r"sign|uphill|subtract", {"+ share * grads": "- share * grads"}),
    },
    "momentum-switch": {
        "lr converted, m not": (
            r"memory|converted",
            "if given == 'ema' and wanted != 'ema':\n    return (1 - beta) * lr, m\nif given != 'ema' and wanted == 'ema':\n    return lr / (1 - beta), m\nreturn lr, m",
        ),
        "velocity with the new lr": (r"lr|velocity", {"m = m / lr": "m = m / lr**2"}),
        "velocity ignored": (r"velocity", {'given == "velocity"': "False", 'wanted == "velocity"': "False"}),
        "beta for 1 - beta": (r"beta", {"(1 - beta)": "beta"}),
        "one step of decay": (r"beta", {"return lr, m": "return lr, beta * m"}),
        "velocity negative": (r"sign", {"return lr, lr * m": "return lr, -lr * m"}),
        "swapped outputs": (r"order|swapped|exchanged|lr", {"return lr, m": "return m, lr"}),
        "lr of the velocity form": (r"velocity|lr", {"return lr, lr * m": "return 1.0, lr * m"}),
    },
    "slope-distance": {
        "one step too few": (r"step|off by one|one too", {"lag =": "steps = steps - 1\n    lag ="}),
        "lag without beta": (r"beta|sum", {"beta * (1 - beta**steps)": "(1 - beta**steps)"}),
        "lag with steps - 1": (r"steps - 1|one|step is missing|lag", {"beta**steps": "beta ** (steps - 1)"}),
        "dampened like ema with full first": (
            r"first gradient|dampen|surplus|average",
            {'if form == "dampened":\n        return lr * steps': 'if form == "dampened":\n        form = "ema"'},
        ),
        "ball without lag": (r"full speed", {"else average / (1 - beta)": "else lr * steps / (1 - beta)"}),
        "sum of m only in the end": (
            r"last step|add up",
            "m, total = 0.0, 0.0\nfor t in range(steps):\n    m = beta * m + (1.0 if form == 'heavy_ball' or (form == 'dampened' and t == 0) else 1 - beta)\nreturn lr * m",
        ),
        "lr forgotten": (r"learning rate|lr", {"average = lr *": "average ="}),
        "dampened half": (r"dampen|first gradient|1 - beta", {"return lr * steps": "return lr * steps * (1 - beta)"}),
        "1/(1-beta) squared": (r"1 - beta|square", {"else average / (1 - beta)": "else average / (1 - beta) ** 2"}),
        "plus lag": (r"sign|lag|\+", {"(steps - lag)": "(steps + lag)"}),
    },
    "momentum-motion": {
        "trace without beta": (r"1 \+ beta|sum of the roots", {"1 + beta - a": "1 - a"}),
        "4 forgotten": (r"4", {"4 * beta": "beta"}),
        "no half": (r"half|2", {"(abs(trace) + math.sqrt(discriminant)) / 2": "abs(trace) + math.sqrt(discriminant)"}),
        "beta for complex": (r"sqrt\(beta\)|root of beta", {"math.sqrt(beta)": "beta"}),
        "no abs": (r"other one|size|modulus|abs", {"(abs(trace) + math": "(trace + math"}),
        "ema factor beta": (r"1 - beta", {"(1 - beta) * lr_curvature": "beta * lr_curvature"}),
        "ema divides": (r"1 - beta|divide|multipl", {"(1 - beta) * lr_curvature": "lr_curvature / (1 - beta)"}),
        "alternating and monotone exchanged": (r"sign", {"trace < 0": "trace > 0"}),
        "never not convergent": (r"not convergent|unit circle|modulus", {"if rate >= 1": "if False"}),
        "plus in discriminant": (r"sign|discriminant|\+", {"trace**2 - 4": "trace**2 + 4"}),
        "root missing": (r"root|sqrt", {"math.sqrt(discriminant)": "discriminant"}),
        "nesterov's roots": (r"nesterov|1 \+ beta|gradient", {"trace = 1 + beta - a": "trace = (1 + beta) * (1 - a)"}),
    },
    "stable-rate": {
        "curvature multiplied": (r"curvature|divide", {"/ curvature": "* curvature"}),
        "root of curvature": (r"root|curvature", {"/ curvature": "/ math.sqrt(curvature)"}),
        "minus": (r"sign|more room|1 \+ beta|1 - beta", {"2 * (1 + beta)": "2 * (1 - beta)"}),
        "nesterov 1 + beta": (r"2 ?\*? ?beta|nesterov", {"(1 + 2 * beta)": "(1 + beta)"}),
        "ema multiplied": (r"divide|multipl", {"limit / (1 - beta)": "limit * (1 - beta)"}),
        "factor 4": (r"2|twice|double", {"2 * (1 + beta)": "4 * (1 + beta)"}),
        "nesterov as heavy ball over 3": (r"nesterov|beta|3", {"limit / (1 + 2 * beta)": "limit / 3"}),
        "beta squared": (r"beta\*\*2|square", {"2 * (1 + beta)": "2 * (1 + beta**2)"}),
        "root of beta": (r"root|sqrt", {"2 * (1 + beta)": "(1 + math.sqrt(beta)) ** 2"}),
    },
    "best-pair": {
        "root of the rate": (r"root|square", {"beta = rate**2": "beta = math.sqrt(rate)"}),
        "1 - beta missing for ema": (r"1 - beta", {'lr / (1 - beta) if form == "ema" else lr': "lr"}),
        "ema multiplied": (r"1 - beta|divide", {"lr / (1 - beta) if": "lr * (1 - beta) if"}),
        "mean of curvatures": (r"gradient descent", {"(2 / (low + high)) ** 2": "2 / (smallest + largest)"}),
        "four over sum": (r"root|sqrt|square", {"(2 / (low + high)) ** 2": "4 / (smallest + largest)"}),
        "order of outputs": (
            r"order|swapped|exchanged",
            {"else lr, beta, rate": "else lr, rate, beta"},
        ),
        "high - low upside down": (
            r"upside|sum|difference|\(high|root",
            {"(high - low) / (high + low)": "(high + low) / (high - low)"},
        ),
        "no roots": (r"root", {"math.sqrt(smallest), math.sqrt(largest)": "smallest, largest"}),
        "rate of the loss": (r"loss|beta", {"beta, rate": "beta, rate**2"}),
        "one over largest": (r"1 / |nesterov|largest", {"(2 / (low + high)) ** 2": "1 / largest"}),
    },
    "ema-deficit": {
        "no first beta": (r"beta|off by one", {"beta * (missing + g)": "beta * missing + g"}),
        "1 - beta": (r"1 - beta|beta", {"beta * (missing + g)": "beta * missing + (1 - beta) * g"}),
        "no lr": (r"learning rate|lr", {"lr * missing": "missing"}),
        "absolute values": (r"absolute|abs|sign|size", {"missing + g": "missing + abs(g)"}),
        "mean": (r"mean|sum|number of|per", {"lr * missing": "lr * missing / len(gradients)"}),
        "reverse order": (r"order|other way|reverse|wrong way", {"in gradients": "in reversed(gradients)"}),
        "last m only": (
            r"last",
            "m = 0.0\nfor g in gradients:\n    m = beta * m + (1 - beta) * g\nreturn lr * (gradients[-1] - m)",
        ),
        "limit beta/(1-beta)": (r"limit|endless|long run", "return lr * beta / (1 - beta) * sum(gradients)"),
        "negative": (r"sign|ahead", {"return lr": "return -lr"}),
        "first left out": (r"first", {"in gradients": "in gradients[1:]"}),
        "last left out": (r"last", {"in gradients": "in gradients[:-1]"}),
    },
}
