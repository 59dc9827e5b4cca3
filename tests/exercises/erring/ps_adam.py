"""Wrong answers to the problem set on Adam."""

ERRING = {
    "adam-step": {
        "nesterov in the numerator": (
            r"nesterov|looks? ahead|NAdam",
            {"step = m_hat /": 'step = (hyper["beta1"] * m_hat + (1 - hyper["beta1"]) * grads) /'},
        ),
        "the gradient in the numerator": (r"RMSProp|m_hat|momentum", {"step = m_hat /": "step = grads /"}),
        "m is the gradient": (
            r"m (is|holds|averages)|memory|\bm\b.*grads",
            {'m = hyper["beta1"] * state["m"] + (1 - hyper["beta1"]) * grads': "m = grads"},
        ),
        "beta2 written in": (r"0\.999|written in|beta2.*hyper", {'hyper["beta2"]': "0.999"}),
        "beta1 written in": (r"0\.9\b|written in|beta1.*hyper", {'hyper["beta1"]': "0.9"}),
        "lr written in": (r"0\.001|written in|learning rate|lr", {'hyper["lr"]': "1e-3"}),
        "eps written in": (r"1e-0?8|written in|eps", {'hyper["eps"]': "1e-8"}),
        "v of the average": (r"square.*m\b|of m|m\*\*2", {"* grads**2": "* m**2"}),
        "hats kept for v only": (r"hat", {'"v": v}': '"v": v_hat}'}),
        "no lr": (r"learning rate|lr", {'hyper["lr"] * step': "step"}),
        "decaying rate": (
            r"root of t|sqrt\(t\)|learning rate|lr",
            {'hyper["lr"] * step': 'hyper["lr"] / math.sqrt(t) * step'},
        ),
        "amsgrad and no hat": (
            r"AMSGrad",
            {
                'v = hyper["beta2"] * state["v"] + (1 - hyper["beta2"]) * grads**2': 'v = torch.maximum(state["v"], hyper["beta2"] * state["v"] + (1 - hyper["beta2"]) * grads**2)'
            },
        ),
        "cube root style power": (r"root|power", {"torch.sqrt(v_hat)": "v_hat ** 0.25"}),
    },
    "adam-uncorrected": {
        "1 minus beta to the power": (
            r"power|1 - beta|\bt\b",
            {"(1 - beta1**t)": "(1 - beta1)**t", "(1 - beta2**t)": "((1 - beta2)**t)"},
        ),
        "t - 1": (r"exponent|one too|off by one|t - 1", {"**t": "**(t - 1) if t > 1 else 0.0"}),
        "the root on the wrong hat": (r"root", "return math.sqrt(1 - beta1**t) / (1 - beta2**t)"),
        "product": (r"divide|multipl", {" / math": " * math"}),
        "square of the factor": (r"square", "return (1 - beta1**t) ** 2 / (1 - beta2**t)"),
        "plus": (r"sign|\+", {"1 - beta2**t": "1 + beta2**t"}),
        "sum of t factors": (
            r"sum|cumul|one step|all steps|product",
            "return sum((1 - beta1**k) / math.sqrt(1 - beta2**k) for k in range(1, t + 1))",
        ),
        "beta1 in both": (r"beta1|beta2", {"beta2": "beta1"}),
        "upside down with no root": (r"upside down.*|root", "return (1 - beta2**t) / (1 - beta1**t)"),
    },
    "adam-variance": {
        "squared sum of weights missing square in the limit": (r"limit", "return (1 - beta) ** 2 / (1 - beta**2)"),
        "sum of squares not normalised twice": (
            r"hat|squared|1 - beta\*\*t",
            "return (1 - beta) ** 2 * (1 - beta ** (2 * t)) / (1 - beta**2) / (1 - beta**t)",
        ),
        "t for 2t": (
            r"2 ?\* ?t|2t|power|square|factor .2.",
            "return (1 - beta) ** 2 * (1 - beta**t) / (1 - beta**2) / (1 - beta**t) ** 2",
        ),
        "one factor not squared": (
            r"square|1 - beta",
            "return (1 - beta) * (1 - beta ** (2 * t)) / (1 - beta**2) / (1 - beta**t) ** 2",
        ),
        "t - 1 in the loop": (
            r"one (weight )?too|off by one|t - 1|missing",
            "w = [(1 - beta) * beta ** (t - k) / (1 - beta**t) for k in range(1, t)]\nreturn sum(x * x for x in w)",
        ),
        "weights from beta^1": (
            r"power|beta|weight",
            "w = [(1 - beta) * beta**k / (1 - beta**t) for k in range(1, t + 1)]\nreturn sum(x * x for x in w)",
        ),
        "hat forgotten in a loop": (
            r"hat|m_hat|add up to 1",
            "return sum(((1 - beta) * beta**k) ** 2 for k in range(t))",
        ),
        "one minus variance": (
            r"1 -|1 minus|complement|one minus",
            "return 1 - (1 - beta) * (1 + beta**t) / ((1 + beta) * (1 - beta**t))",
        ),
    },
    "adam-knee": {
        "fraction upside down inside": (
            r"upside down|1 - q|q",
            {"q * math.sqrt(eps / (1 - q**2))": "math.sqrt(eps * (1 - q**2)) / q"},
        ),
        "knee at q/(1-q)": (r"eps", {"q * eps / (1 - q)": "q / (1 - q)"}),
        "plus instead of minus outside": (r"sign|1 \+ q|1 - q", {"(1 - q)": "(1 + q)"}),
        "plus instead of minus inside": (r"sign|1 \+ q|1 - q", {"(1 - q**2)": "(1 + q**2)"}),
        "eps squared inside": (r"eps", {"math.sqrt(eps / (1 - q**2))": "eps / math.sqrt(1 - q**2)"}),
        "branches exchanged": (r"outside|inside", {"if inside": "if not inside"}),
        "always outside": (r"outside", {"if inside": "if False"}),
        "q for 1 - q": (r"1 - q|share|lost|upside", {"q * eps / (1 - q)": "(1 - q) * eps / q"}),
        "no square of q": (r"squared|q\*\*2|square", {"1 - q**2": "1 - q"}),
        "root of q": (r"root|sqrt", {"q * eps / (1 - q)": "math.sqrt(q) * eps / (1 - q)"}),
    },
    "adam-long-step": {
        "growing the wrong way": (
            r"quiet|grow|already|large gradients",
            "ages = torch.arange(999.0, -1.0, -1.0)\nreturn (beta2 / beta1) ** ages",
        ),
        "a spike first": (
            r"quiet|grow|already|end|last",
            "return torch.cat([torch.tensor([1000.0]), torch.zeros(999)])",
        ),
        "alternating": (r"sign|cancel|alternat", "return torch.tensor([1.0, -1.0] * 500)"),
        "all ones": (r"constant", "return torch.ones(500)"),
        "too short": (r"short|quiet|longer", "return (beta1 / beta2) ** torch.arange(9.0, -1.0, -1.0)"),
        "one number": (r"one learning rate|first step|list", "return [1.0]"),
        "random": (r"noise|random|grow|quiet", "return torch.randn(1000, generator=torch.Generator().manual_seed(1))"),
    },
    "adam-bound": {
        "sum instead of product": (
            r"beta1\*\*2|1 - ratio|root|multipl|\+",
            "if beta1**2 >= beta2:\n    return math.inf\nreturn (1 - beta1) / math.sqrt((1 - beta2) + (1 - beta1**2 / beta2))",
        ),
        "ratio upside down": (r"upside|beta2 / beta1|ratio", {"beta1**2 / beta2": "beta2 / beta1**2"}),
        "beta2 squared": (r"squared|beta2\*\*2|beta2", {"beta1**2 / beta2": "beta1**2 / beta2**2"}),
        "no test for divergence": (
            r"none|diverge|there is none|negative",
            "return (1 - beta1) / math.sqrt(abs((1 - beta2) * (1 - beta1**2 / beta2)))",
        ),
        "threshold beta1 >= beta2": (r"beta1\*\*2|when does|finite|converge", {"if ratio >= 1": "if beta1 >= beta2"}),
        "root of 1 - beta1": (r"root|1 - beta1", {"return (1 - beta1)": "return math.sqrt(1 - beta1)"}),
        "bound of kingma": (
            r"spike",
            "if beta1**2 >= beta2:\n    return math.inf\nreturn max(1.0, (1 - beta1) / math.sqrt(1 - beta2))",
        ),
        "beta1 times beta2": (r"beta1 \* beta2|divide|ratio|product", {"beta1**2 / beta2": "beta1**2 * beta2"}),
    },
}
