"""Wrong answers to the problem set on AMSGrad."""

ERRING = {
    "amsgrad-step": {
        "maximum after the hat": (
            r"hat|bias",
            {
                'v_max = torch.maximum(state["v_max"], v)': 'v_max = torch.maximum(state["v_max"], v / (1 - hyper["beta2"]))'
            },
        ),
        "maximum of roots": (
            r"root",
            {'v_max = torch.maximum(state["v_max"], v)': 'v_max = torch.maximum(state["v_max"], torch.sqrt(v))'},
        ),
        "maximum feeds the average": (r"v must|v_max|stored|forget", {'* state["v"]': '* state["v_max"]'}),
        "maximum of m": (r"maximum|\bm\b|v_max", {"step = m /": "step = torch.maximum(state['m'], m) /"}),
        "old maximum used": (r"old|v_max|new", {"torch.sqrt(v_max)": 'torch.sqrt(state["v_max"])'}),
        "minimum": (r"smallest", {"torch.maximum": "torch.minimum"}),
        "average of the two": (
            r"mean|average|maximum|largest",
            {'torch.maximum(state["v_max"], v)': '(state["v_max"] + v) / 2'},
        ),
        "one maximum": (
            r"each coordinate|one maximum",
            {'torch.maximum(state["v_max"], v)': 'torch.maximum(state["v_max"], v).max() * torch.ones_like(v)'},
        ),
        "beta2 written in": (r"written in|beta2", {'hyper["beta2"]': "0.999"}),
        "m hatted": (r"hat|correct", {"step = m /": 'step = m / (1 - hyper["beta1"]) /'}),
        "v_max kept as v": (r"stored|forget|v must", {'"v": v,': '"v": v_max,'}),
        "adamax": (
            r"AdaMax|\|g\||square|infinity|maximum",
            {'torch.maximum(state["v_max"], v)': 'torch.maximum(hyper["beta2"] * state["v_max"], grads**2)'},
        ),
    },
    "amsgrad-drift": {
        "one cycle only": (
            r"geometric|earlier cycles|1 - beta2",
            {"share = (1 - beta2) / (1 - beta2**3)": "share = 1 - beta2"},
        ),
        "power of the spike wrong": (
            r"round old|power|beta2",
            {"1 + beta2 * C**2 + beta2**2": "1 + beta2**2 * C**2 + beta2"},
        ),
        "C not squared in one": (r"C\*\*2|square", {"v1 = share * (C**2": "v1 = share * (C"}),
        "plus": (r"sign|positive slope|left", {"return -C": "return C"}),
        "per round": (
            r"per round",
            {
                "return -C / math.sqrt(v1) + 1 / math.sqrt(v2) + 1 / math.sqrt(v3)": "return (-C / math.sqrt(v1) + 1 / math.sqrt(v2) + 1 / math.sqrt(v3)) / 3"
            },
        ),
        "no roots": (r"root", {"math.sqrt": ""}),
        "small slopes as 2": (r"missing|two|2", {"1 / math.sqrt(v2) + 1 / math.sqrt(v3)": "2 / math.sqrt(v2 + v3)"}),
        "beta2 cubed missing": (r"beta2\*\*3|power|cycle|three", {"1 - beta2**3": "1 - beta2**2"}),
        "share upside down": (
            r"upside|divide|share|sum",
            {"(1 - beta2) / (1 - beta2**3)": "(1 - beta2**3) / (1 - beta2)"},
        ),
        "sorted the other way round": (
            r"round old|before|order|v before",
            {
                "1 / math.sqrt(v2) + 1 / math.sqrt(v3)": "1 / math.sqrt(v1) + 1 / math.sqrt(v2)",
                "-C / math.sqrt(v1)": "-C / math.sqrt(v3)",
            },
        ),
        "mean v": (r"mean|each|average|round", "v = (C**2 + 2) / 3\nreturn (2 - C) / math.sqrt(v)"),
    },
    "amsgrad-break-even": {
        "few halvings": (r"few digits|eight", {"range(60)": "range(12)"}),
        "high": (
            r"end of the interval|half",
            {"low = middle": "high = middle2", "high = middle\n": "low = middle\n"}
            if False
            else {"> C / math": "< C / math"},
        ),
        "proof": (r"proof", "return 1 / (1 + C**2)"),
        "no squares": (r"square|C\*\*2", {"C**2": "C"}),
        "no roots": (r"root", {"math.sqrt": ""}),
        "without momentum of the second": (
            r"two|missing|small slope",
            {"1 / math.sqrt(after[1]) + 1 / math.sqrt(after[2])": "2 / math.sqrt(after[2])"},
        ),
        "one small slope": (
            r"one small|two|missing",
            {"1 / math.sqrt(after[1]) + 1 / math.sqrt(after[2])": "1 / math.sqrt(after[1])"},
        ),
        "powers of the spike": (
            r"power|round|old",
            {"1 + b * C**2 + b**2, 1 + b + b**2 * C**2": "1 + b**2 * C**2 + b, 1 + b + b * C**2"},
        ),
        "one minus": (r"1 - beta2", {"return low": "return 1 - low"}),
        "C on the wrong side": (r"C\b", {"> C / math": "> 1 / math"}),
        "large C": (r"approximation|large C", "return 0.5698 / C"),
    },
    "amsgrad-regret": {
        "minus instead of plus": (r"-\|S\||whichever|subtract", {"paid + abs(sum(slopes))": "paid - abs(sum(slopes))"}),
        "no absolute": (r"whichever|absolute|\|S\|", {"abs(sum(slopes))": "sum(slopes)"}),
        "each round's best": (r"each round", {"abs(sum(slopes))": "sum(abs(s) for s in slopes)"}),
        "best point played": (r"played", {"abs(sum(slopes))": "max(-sum(slopes) * x for x in points)"}),
        "paid in absolute": (r"absolute|sign", {"g * x": "abs(g * x)"}),
        "squared": (r"square", {"g * x": "(g * x) ** 2"}),
        "average": (
            r"per round|number of rounds|sum",
            {"return paid + abs(sum(slopes))": "return (paid + abs(sum(slopes))) / len(slopes)"},
        ),
        "interval of length 2": (r"2|twice|interval", {"abs(sum(slopes))": "2 * abs(sum(slopes))"}),
        "points shifted": (r"shift|previous|last|first|round", {"zip(slopes, points)": "zip(slopes[1:], points)"}),
        "best is zero": (r"subtract|best", {" + abs(sum(slopes))": ""}),
        "always +1": (r"whichever|sign|\|S\|", {"abs(sum(slopes))": "-sum(slopes)"}),
        "last loss": (r"last|all rounds", "return slopes[-1] * points[-1] + abs(sum(slopes))"),
    },
    "amsgrad-game": {
        "three": (r"too short", "return 3.0, 3"),
        "C too large": (r"larger spike|far larger", "N = math.ceil(4 / math.sqrt(1 - beta2))\nreturn 10.0 * N, N"),
        "C too small": (r"larger than N - 1", "N = math.ceil(4 / math.sqrt(1 - beta2))\nreturn N / 2, N"),
        "order": (r"order|C must|whole", "N = math.ceil(4 / math.sqrt(1 - beta2))\nreturn N, N - 0.5"),
        "fraction": (r"whole", "return 100.5, 100.5"),
        "memory length": (
            r"between 3 and|too short|fast|N",
            "N = math.ceil(1 / (1 - beta2)) // 20 + 3\nreturn float(N), N",
        ),
        "only C": (r"two numbers", "return 50.0"),
    },
    "amsgrad-two-cycle": {
        "no half": (r"2a|half|step is", {"(2 * (1 + beta1))": "(1 + beta1)"}),
        "eps not over c": (r"epsilon.*c|divide", {"eps / c": "eps"}),
        "eps times c": (r"epsilon|multipl|divide", {"eps / c": "eps * c"}),
        "beta1 on top": (r"1 - beta1|beta1", {"lr * (1 - beta1)": "lr * beta1"}),
        "plus above": (
            r"sign|upside|1 - beta1|1 \+ beta1",
            {"lr * (1 - beta1)": "lr * (1 + beta1)", "(1 + beta1))": "(1 - beta1))"},
        ),
        "negative allowed": (r"negative|no orbit", {"max(a, 0.0)": "a"}),
        "absolute value": (r"negative|no orbit|absolute", {"max(a, 0.0)": "abs(a)"}),
        "no momentum": (r"momentum", {"lr * (1 - beta1) / (2 * (1 + beta1))": "lr / 2"}),
        "plus eps": (r"shorten|smaller|sign", {"- eps / c": "+ eps / c"}),
        "squares": (r"square", {"(1 - beta1)": "(1 - beta1) ** 2"}),
        "lr over c": (r"\bc\b", {"- eps / c": "/ c - eps / c"}),
        "eps over 2c": (r"epsilon|twice|half", {"eps / c": "eps / (2 * c)"}),
    },
}
