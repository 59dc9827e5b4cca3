"""Wrong answers to the lab on the gradient's one-norm."""

ERRING = {
    "hill-adam": {
        "eps squared and outside": (
            r"eps",
            {'torch.sqrt(v_hat + hyper["eps"])': '(torch.sqrt(v_hat) + hyper["eps"] ** 2)'},
        ),
        "root of eps outside": (
            r"eps",
            {'torch.sqrt(v_hat + hyper["eps"])': '(torch.sqrt(v_hat) + math.sqrt(hyper["eps"]))'},
        ),
        "eps added into v": (r"eps", {"* grads**2": '* (grads**2 + hyper["eps"])'}),
        "eps before the hat": (
            r"before the hat",
            {
                'v_hat = v / (1 - hyper["rho"] ** t)': 'v_hat = (v + hyper["eps"]) / (1 - hyper["rho"] ** t) - hyper["eps"]'
            },
        ),
        "rho for beta": (r"beta|rho", {'hyper["beta"]': 'hyper["rho"]'}),
        "nesterov": (
            r"nesterov|NAdam",
            {"step = m_hat /": 'step = (hyper["beta"] * m_hat + (1 - hyper["beta"]) * grads) /'},
        ),
        "no momentum": (r"m_hat|momentum|RMSProp", {"step = m_hat /": "step = grads /"}),
        "beta written in": (r"written in|beta", {'hyper["beta"]': "0.9"}),
        "hats kept": (r"hat", {'"m": m, "v": v}': '"m": m_hat, "v": v_hat}'}),
        "t two": (
            r"t is one too (large|many)|\bt\b",
            {'hyper["rho"] ** t': 'hyper["rho"] ** (t + 1)', 'hyper["beta"] ** t': 'hyper["beta"] ** (t + 1)'},
        ),
        "no lr": (r"learning rate|lr", {'hyper["lr"] * step': "step"}),
        "m without weight": (r"factor|1 - beta", {'(1 - hyper["beta"]) * grads': "grads"}),
    },
    "one-norm": {
        "sum of roots of squares": (r"epsilon is missing|one-norm", {" + eps": ""}),
        "mean per tensor": (r"mean", {".sum().item()": ".mean().item()"}),
        "eps squared": (r"squared", {"+ eps)": "+ eps**2)"}),
        "root of the total": (r"root", "return math.sqrt(sum((g.double() ** 2 + eps).sum().item() for g in grads))"),
        "float32": (r"float32|seven digits", {".double()": ""}),
        "only first": (r"first", {"for g in grads": "for g in grads[:1]"}),
        "eps once": (r"once", "return sum(g.double().abs().sum().item() for g in grads) + math.sqrt(eps)"),
        "square": (r"square", "return sum((g.double() ** 2 + eps).sqrt().sum().item() for g in grads) ** 2"),
        "fourth power": (r"power|square|\*\* ?2", {"** 2": "** 4"}),
        "no root": (r"root", {".sqrt()": ""}),
        "half of epsilon": (r"half|2", {"** 2 + eps": "** 2 + eps / 2"}),
        "largest": (r"largest|max", {".sum().item()": ".max().item() if g.numel() else 0.0"}),
        "per number of entries": (
            r"mean",
            "n = sum(g.numel() for g in grads)\nreturn sum((g.double() ** 2 + eps).sqrt().sum().item() for g in grads) / n",
        ),
    },
    "hill-accumulate": {
        "plain mean": (r"same size", "return sum(means) / len(means)"),
        "no division": (r"not divided|divide", {"total / sum(sizes)": "total"}),
        "by count": (r"number of micro", {"total / sum(sizes)": "total / len(sizes)"}),
        "sizes squared": (r"square|twice|size", {"sum(n * g for": "sum(n * n * g for"}),
        "roots of sizes": (r"root|size", {"sum(n * g for": "sum(n**0.5 * g for"}),
        "last left out": (r"last", {"zip(means, sizes)": "zip(means[:-1], sizes[:-1])"}),
        "max size": (r"largest size|shorter", {"sum(sizes)": "(max(sizes) * len(sizes))"}),
        "in place": (
            r"changes",
            "total = means[0]\ntotal *= sizes[0]\nfor g, n in zip(means[1:], sizes[1:]):\n    total += n * g\nreturn total / sum(sizes)",
        ),
        "divided by n": (r"wrong way|larger micro|divide", {"n * g": "g / n"}),
        "first size for all": (r"same size|size", {"n * g": "sizes[0] * g"}),
        "sum of means": (r"added up", "return sum(means)"),
        "minus one": (r"- 1|one too|number of examples", {"sum(sizes)": "(sum(sizes) - 1)"}),
    },
    "hill-at-loss": {
        "at most": (r"below|equal", {"loss < level": "loss <= level"}),
        "above": (r"below|above", {"loss < level": "loss > level"}),
        "last": (
            r"last",
            "found = math.nan\nfor loss, norm in zip(losses, norms):\n    if loss < level:\n        found = norm\nreturn found",
        ),
        "loss": (r"loss", {"return norm": "return loss"}),
        "index": (
            r"number of the step",
            "for t, loss in enumerate(losses):\n    if loss < level:\n        return t\nreturn math.nan",
        ),
        "none": (r"None|nan", {"return math.nan": "return None"}),
        "zero": (r"nan", {"return math.nan": "return 0.0"}),
        "interpolated": (
            r"interpol|between|before",
            "for t in range(len(losses)):\n    if losses[t] < level:\n        if t == 0:\n            return norms[0]\n        s = (losses[t - 1] - level) / (losses[t - 1] - losses[t])\n        return norms[t - 1] + s * (norms[t] - norms[t - 1])\nreturn math.nan",
        ),
        "minimum loss": (
            r"smallest loss|lowest|minimum",
            "if min(losses) >= level:\n    return math.nan\nreturn norms[losses.index(min(losses))]",
        ),
        "largest norm": (
            r"largest norm|max",
            "good = [n for l, n in zip(losses, norms) if l < level]\nreturn max(good) if good else math.nan",
        ),
        "nearest": (
            r"nearest",
            "t = min(range(len(losses)), key=lambda i: abs(losses[i] - level))\nreturn norms[t] if min(losses) < level else math.nan",
        ),
        "starts at step 1": (
            r"first|start",
            "for loss, norm in list(zip(losses, norms))[1:]:\n    if loss < level:\n        return norm\nreturn math.nan",
        ),
    },
    "hill-train": {
        "unweighted": (
            r"different sizes|weight",
            {
                "loss + n * part_loss, grads + n * part_grads, count + n": "loss + part_loss, grads + part_grads, count + 1"
            },
        ),
        "no hat": (r"bias|hat", {" / (1 - b ** (t + 1))": ""}),
        "outside": (
            r"beside|inside",
            {"torch.sqrt(v / (1 - r ** (t + 1)) + eps)": "(torch.sqrt(v / (1 - r ** (t + 1))) + eps)"},
        ),
        "norm after the step": (
            r"step|before|after|start",
            {
                'history["norm"].append((grads.double() ** 2 + eps).sqrt().sum().item())': 'history["norm"].append(((grads / 2).double() ** 2 + eps).sqrt().sum().item())'
            },
        ),
    },
    "hill-misleading": {
        "same curves": (r"faster|larger", "x = [0.9**t for t in range(50)]\nreturn x, x, x, x"),
        "too short": (r"at least 20", "x = [0.9**t for t in range(10)]\nreturn x, x, x, x"),
        "runs exchanged": (
            r"larger norm|faster",
            "slow = [0.995**t for t in range(400)]\nfast = [0.9**t for t in range(400)]\nreturn fast, fast, slow, [0.8 * x for x in slow]",
        ),
        "not falling far": (
            r"0\.5",
            "slow = [0.999**t for t in range(100)]\nfast = [0.9**t for t in range(100)]\nreturn slow, slow, fast, fast",
        ),
        "norm not smaller": (
            r"not the smaller|A's",
            "slow = [0.995**t for t in range(400)]\nfast = [0.9**t for t in range(400)]\nreturn slow, [1.5 * x for x in slow], fast, fast",
        ),
        "other starts": (
            r"same loss",
            "slow = [2 * 0.995**t for t in range(400)]\nfast = [0.9**t for t in range(400)]\nreturn slow, slow, fast, fast",
        ),
    },
}
