"""Wrong answers to the problem set on AdamW."""

ERRING = {
    "adamw-step": {
        "decay of the new params": (
            r"after Adam's step|before it|old params",
            {
                'return shrunk - hyper["lr"] * step': 'new = params - hyper["lr"] * step\n    return new - hyper["lr"] * hyper["weight_decay"] * new'
            },
        ),
        "decay with the root of lr": (
            r"lr|learning rate|root",
            {'hyper["lr"] * hyper["weight_decay"]': 'math.sqrt(hyper["lr"]) * hyper["weight_decay"]'},
        ),
        "decay written in": (r"0\.01|written in|weight_decay", {'hyper["weight_decay"]': "0.01"}),
        "lr squared": (r"lr|learning rate", {'(1 - hyper["lr"] * hyper': '(1 - hyper["lr"] ** 2 * hyper'}),
        "only sign of params": (
            r"sign|L1|l1",
            {
                'shrunk = (1 - hyper["lr"] * hyper["weight_decay"]) * params': 'shrunk = params - hyper["lr"] * hyper["weight_decay"] * params.sign()'
            },
        ),
        "decay times gradient": (
            r"params|grads|decay",
            {
                "* params\n": "* params + 0\n",
                "shrunk - hyper": 'params - hyper["lr"] * hyper["weight_decay"] * grads - hyper',
            },
        ),
        "nesterov": (
            r"nesterov|NAdam",
            {
                "step = m_hat /": 'step = (hyper["beta1"] * m_hat + (1 - hyper["beta1"]) * grads / (1 - hyper["beta1"] ** t)) /'
            },
        ),
        "coupled and no hat on v": (
            r"coupled.*bias|bias.*coupled|coupled.*hat|hat.*coupled",
            {
                'm = hyper["beta1"]': 'grads = grads + hyper["weight_decay"] * params\n    m = hyper["beta1"]',
                "shrunk - hyper": "params - hyper",
                'v_hat = v / (1 - hyper["beta2"] ** t)': "v_hat = v",
            },
        ),
        "beta1 in v": (
            r"beta1|beta2",
            {
                'v = hyper["beta2"] * state["v"] + (1 - hyper["beta2"])': 'v = hyper["beta1"] * state["v"] + (1 - hyper["beta1"])'
            },
        ),
        "beta2 written in": (r"0\.999|written in|beta2", {'hyper["beta2"]': "0.999"}),
        "eps inside and no decay": (
            r"(root|under).*decay|decay.*(root|under)",
            {
                '(torch.sqrt(v_hat) + hyper["eps"])': 'torch.sqrt(v_hat + hyper["eps"])',
                "shrunk - hyper": "params - hyper",
            },
        ),
        "lr scaled by decay": (
            r"decay|shrunk|step",
            {
                'return shrunk - hyper["lr"] * step': 'return shrunk - hyper["lr"] * (1 - hyper["lr"] * hyper["weight_decay"]) * step'
            },
        ),
    },
    "adam-l2-step": {
        "penalty in neither hat": (
            r"hat|bias",
            {
                'm_hat = m / (1 - hyper["beta1"] ** t)': "m_hat = m",
                'v_hat = v / (1 - hyper["beta2"] ** t)': "v_hat = v",
            },
        ),
        "penalty halved": (
            r"half|2|weight_decay",
            {'hyper["weight_decay"] * params': 'hyper["weight_decay"] / 2 * params'},
        ),
        "penalty of squares": (
            r"params|square|gradient of",
            {'hyper["weight_decay"] * params': 'hyper["weight_decay"] * params**2'},
        ),
        "lambda written in": (r"written in|0\.01|weight_decay", {'hyper["weight_decay"]': "0.01"}),
        "decoupled as well": (
            r"AdamW|twice|beside|decay",
            {"return params - hyper": 'return (1 - hyper["lr"] * hyper["weight_decay"]) * params - hyper'},
        ),
        "l1 penalty": (
            r"sign|l1|L1|params",
            {'hyper["weight_decay"] * params': 'hyper["weight_decay"] * params.sign()'},
        ),
        "penalty subtracted and no hats": (r"sign|pushes|away", {"grads + hyper": "grads - hyper"}),
        "v sees the plain square plus": (
            r"v sees|both|g\*\*2|square|penalty",
            {"* g**2": '* (grads**2 + (hyper["weight_decay"] * params)**2)'},
        ),
        "nesterov": (
            r"nesterov|NAdam",
            {'hyper["lr"] * m_hat': 'hyper["lr"] * (hyper["beta1"] * m_hat + (1 - hyper["beta1"]) * g)'},
        ),
        "t - 1": (r"\bt\b.*small|t is", {"** t)": "** max(t - 1, 1))"}),
        "penalty with lr": (
            r"lr|learning rate",
            {'hyper["weight_decay"] * params': 'hyper["lr"] * hyper["weight_decay"] * params'},
        ),
    },
    "ridge-strength": {
        "everything c": (r"half|rate|heavy|eps|AdamW", "return hyper['weight_decay']"),
        "decay divided by lr always": (
            r"lr",
            {
                'if program == "gd full penalty"': 'if program == "gd decay":\n        return c / hyper["lr"]\n    if program == "gd full penalty"'
            },
        ),
        "ema like heavy ball": (r"EMA|average", {'== "heavy ball decay"': 'in ("heavy ball decay", "ema decay")'}),
        "heavy ball beta": (r"1 - beta", {'(1 - hyper["beta"]) * c': 'hyper["beta"] * c'}),
        "adamw over eps": (r"eps", {'hyper["eps"] * c': 'c / hyper["eps"]'}),
        "adam penalty eps": (
            r"D scales|Adam|penalt",
            {'program == "adamw inside"': 'program in ("adamw inside", "adam penalty")'},
        ),
        "full penalty quarter": (r"2|half", {"2 * c": "4 * c"}),
        "without rate squared": (r"lr|rate", {'c / hyper["lr"]': 'c / hyper["lr"] ** 2'}),
        "heavy ball both": (
            r"cancel|alike",
            {'== "heavy ball decay"': 'in ("heavy ball decay", "heavy ball penalty")'},
        ),
        "adamw rooted eps": (r"root|eps", {'hyper["eps"] * c': 'math.sqrt(hyper["eps"]) * c'}),
        "adamw lr": (r"lr|rate", {'hyper["eps"] * c': 'hyper["lr"] * hyper["eps"] * c'}),
    },
    "decay-reach": {
        "reach from kept": (
            r"own rate|rate|decay|constant",
            "kept = 1.0\nfor lr in rates:\n    kept *= 1 - lr * weight_decay\nreturn kept, (1 - kept) * sum(rates)",
        ),
        "reach without decay of old": (r"without decay|sum of the rates", {"(1 - lr * weight_decay) * reach": "reach"}),
        "kept with mean rate": (
            r"mean|each step|own",
            "lr = sum(rates) / len(rates)\nkept = (1 - lr * weight_decay) ** len(rates)\nreach = 0.0\nfor r in rates:\n    reach = (1 - r * weight_decay) * reach + r\nreturn kept, reach",
        ),
        "order reversed": (r"order|reverse|last|first", {"in rates": "in reversed(rates)"}),
        "last rate left out": (r"last|missing|one", {"in rates": "in rates[:-1]"}),
        "swapped": (r"order|swapped|exchanged", {"return kept, reach": "return reach, kept"}),
        "plus": (r"sign|\+", {"(1 - lr * weight_decay) * kept": "(1 + lr * weight_decay) * kept"}),
        "lost": (r"lost|kept", {"return kept, reach": "return 1 - kept, reach"}),
        "push times decay": (r"newest|own step|before", {"* reach + lr": "* reach + lr * (1 - lr * weight_decay)"}),
        "reach minus": (r"sign", {"* reach + lr": "* reach - lr"}),
        "push of 1": (r"lr|rate", {"* reach + lr": "* reach + 1"}),
        "decay squared": (
            r"square|\*\*2|lr",
            {"(1 - lr * weight_decay) * kept": "(1 - lr * weight_decay) ** 2 * kept"},
        ),
    },
    "proximal-step": {
        "metric inverse in step only": (r"upside|metric|divide|d\b", {"lr * d * m_hat": "lr * m_hat / d"}),
        "no d": (r"\bd\b|metric", {"lr * d * m_hat": "lr * m_hat"}),
        "minus in denominator": (
            r"sign|1 \+|1 -",
            {
                "(1 + lr * weight_decay)": "(1 - lr * weight_decay)",
                "(1 + lr * weight_decay * d)": "(1 - lr * weight_decay * d)",
            },
        ),
        "plain and weighted exchanged": (
            r"plain|weighted|metric|1/d",
            {'"plain"': '"weighted"', '"weighted"': '"plain2"'},
        ),
        "linearised at y": (r"theta|after", {"- lr * weight_decay * theta": "- lr * weight_decay * y"}),
        "theta shrunk first": (
            r"whole|result|theta|divide",
            {"return y / (1 + lr * weight_decay)": "return theta / (1 + lr * weight_decay) - lr * d * m_hat"},
        ),
        "root of d": (r"root|\bd\b", {"weight_decay * d)": "weight_decay * d.sqrt())"}),
        "uphill": (r"uphill|sign", {"theta - lr * d": "theta + lr * d"}),
        "no lr in decay": (r"lr|learning rate", {"(1 + lr * weight_decay)": "(1 + weight_decay)"}),
        "d squared": (r"square|\bd\b", {"weight_decay * d)": "weight_decay * d**2)"}),
        "linearised with d": (r"cancel|\bd\b", {"- lr * weight_decay * theta": "- lr * weight_decay * d * theta"}),
        "soft threshold": (
            r"threshold|sign|l1|penalt",
            {
                "return y / (1 + lr * weight_decay * d)": "return y.sign() * (y.abs() - lr * weight_decay * d).clamp(min=0)"
            },
        ),
    },
    "adamw-rest-point": {
        "plus in the root": (r"sign|\+", {"b**2 - 4": "b**2 + 4"}),
        "other root": (r"two roots|other root|inside", {"b + root": "b - root"}),
        "no eps": (r"eps", {" + eps * weight_decay": ""}),
        "clamp": (r"box|eps = 0", "return centre.clamp(-1 / weight_decay, 1 / weight_decay)"),
        "no abs": (r"absolute|negative|sign", {"centre.abs()": "centre"}),
        "2 forgotten": (r"2", {"2 * curvature * centre": "curvature * centre"}),
        "eps over lambda": (r"eps", {"eps * weight_decay": "eps / weight_decay"}),
        "eps alone": (r"eps|weight_decay", {"+ eps * weight_decay": "+ eps"}),
        "a not squared": (r"square|curvature", {"4 * curvature**2": "4 * curvature"}),
        "ridge": (r"ridge", "return curvature * centre / (curvature + weight_decay)"),
        "ridge with eps": (r"ridge", "return curvature * centre / (curvature + eps * weight_decay)"),
        "sign gradient balance linear": (
            r"ridge|balance|eps|inside",
            "return curvature * centre / (curvature + weight_decay * (curvature * centre).abs() + eps * weight_decay)",
        ),
    },
    "ridge-counterexample": {
        "ridge with 2 lambda": (r"half|2", {"curvature + weight_decay": "curvature + 2 * weight_decay"}),
        "upside down": (
            r"upside|curvature",
            {"(curvature + weight_decay) / curvature": "curvature / (curvature + weight_decay)"},
        ),
        "limit at lambda": (r"1 / weight_decay", {"1 / weight_decay": "weight_decay"}),
        "centre as ridge": (
            r"centre|ridge",
            {"centre = ridge * (curvature + weight_decay) / curvature": "centre = ridge"},
        ),
        "distance before": (r"beyond|before|sign", {"limit + distance": "limit - distance"}),
        "order": (r"order|swapped|exchanged", {"return centre, limit, ridge": "return limit, ridge, centre"}),
        "ridge order": (
            r"order|swapped|exchanged|ridge",
            {"return centre, limit, ridge": "return centre, ridge, limit"},
        ),
        "divided by decay": (
            r"curvature|weight_decay",
            {"(curvature + weight_decay) / curvature": "(curvature + weight_decay) / weight_decay"},
        ),
        "limit is centre": (
            r"minimiser of f|outside|centre",
            {"return centre, limit, ridge": "return centre, centre, ridge"},
        ),
        "no curvature": (r"curvature", {"(curvature + weight_decay) / curvature": "(1 + weight_decay)"}),
        "relative distance": (r"distance|factor|beyond|relative", {"limit + distance": "limit * (1 + distance)"}),
    },
}
