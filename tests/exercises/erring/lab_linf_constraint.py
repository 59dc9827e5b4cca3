"""Wrong answers to the lab on AdamW's box."""

ERRING = {
    "box-adamw": {
        "decay written in": (r"written in|weight_decay|0\.01", {'hyper["weight_decay"]': "0.01"}),
        "nesterov": (
            r"nesterov|NAdam",
            {
                "step = torch.where(m_hat == 0, 0.0, m_hat / below)": 'top = hyper["beta1"] * m_hat + (1 - hyper["beta1"]) * grads\n    step = torch.where(top == 0, 0.0, top / below)'
            },
        ),
        "coupled and beside": (
            r"twice|in the gradient",
            {'m = hyper["beta1"]': 'grads = grads + hyper["weight_decay"] * params\n    m = hyper["beta1"]'},
        ),
        "no guard": (r"NaN|zero", {"torch.where(m_hat == 0, 0.0, m_hat / below)": "m_hat / below"}),
        "exponential": (
            r"exponential",
            {'(1 - hyper["lr"] * hyper["weight_decay"])': 'math.exp(-hyper["lr"] * hyper["weight_decay"])'},
        ),
        "decay divided by root": (
            r"divided by the root|inside",
            {
                'kept = (1 - hyper["lr"] * hyper["weight_decay"]) * params': 'kept = params - hyper["lr"] * hyper["weight_decay"] * params / below'
            },
        ),
        "beta1 for both": (r"beta1|beta2", {'hyper["beta2"]': 'hyper["beta1"]'}),
        "half decay": (r"half", {'hyper["weight_decay"]) *': 'hyper["weight_decay"] / 2) *'}),
        "prox": (
            r"AdamProx|divided|1 \+ lr",
            {
                'return kept - hyper["lr"] * step': 'return (params - hyper["lr"] * step) / (1 + hyper["lr"] * hyper["weight_decay"])'
            },
        ),
        "decay to the new": (
            r"after",
            {
                'return kept - hyper["lr"] * step': 'return (1 - hyper["lr"] * hyper["weight_decay"]) * (params - hyper["lr"] * step)'
            },
        ),
        "eps in root and no hat": (
            r"root.*bias|bias.*root|under.*bias|root",
            {'torch.sqrt(v / (1 - hyper["beta2"] ** t)) + hyper["eps"]': 'torch.sqrt(v + hyper["eps"])'},
        ),
    },
    "box-probes": {
        "no abs": (r"absolute", {"theta.abs()": "theta"}),
        "count": (r"number|share", {".double().mean()": ".double().sum()"}),
        "strict and exact wall": (r"exactly|one per cent|0\.99", {"0.99 * radius": "radius"}),
        "0.9": (r"0\.99|0\.9|per cent", {"0.99 * radius": "0.9 * radius"}),
        "1/radius": (r"inverse|1 / |radius", {"0.99 * radius": "0.99 / radius"}),
        "order": (
            r"order|swapped|exchanged",
            {
                "return size.max().item(), (size >= 0.99 * radius).double().mean().item()": "return (size >= 0.99 * radius).double().mean().item(), size.max().item()"
            },
        ),
        "max over radius": (r"units of the radius|divide", {"size.max().item(),": "size.max().item() / radius,"}),
        "percent": (r"per cent|100|share", {".mean().item()": ".mean().item() * 100"}),
        "clipped": (r"clip|outside|radius", {"size.max().item(),": "min(size.max().item(), radius),"}),
        "share inside": (r"inside", {"size >= 0.99": "size < 0.99"}),
        "mean": (r"mean", {"size.max().item(),": "size.mean().item(),"}),
        "rms": (r"root mean square|two-norm|largest", {"size.max().item(),": "size.square().mean().sqrt().item(),"}),
    },
    "box-kkt-gap": {
        "minus": (r"sign", {"(1 + (theta": "(1 - (theta"}),
        "no radius": (r"radius", {"(radius * size)": "size"}),
        "times radius": (r"radius", {" / (radius * size)": " * radius / size"}),
        "not relative": (
            r"one-norm|itself",
            {"(1 + (theta * grads).sum() / (radius * size))": "(size + (theta * grads).sum() / radius)"},
        ),
        "l2": (r"two-norm", {"grads.abs().sum()": "grads.norm()"}),
        "max": (r"largest", {"grads.abs().sum()": "grads.abs().max()"}),
        "abs products": (r"sign", {"(theta * grads).sum()": "(theta * grads).abs().sum()"}),
        "mean": (r"mean|sum", {"(theta * grads).sum()": "(theta * grads).mean()"}),
        "clamped": (
            r"clip",
            {".item()": ".clamp(min=0).item()"}
            if False
            else {"return (1 +": "return max(0.0, (1 +", ".item()": ".item())"},
        ),
        "one for zero": (r"zero|0", {"return 0.0": "return 1.0"}),
        "no guard": (r"NaN|zero", {"if size == 0": "if False"}),
        "half": (
            r"half|2",
            {
                "return (1 + (theta * grads).sum() / (radius * size)).item()": "return (1 + (theta * grads).sum() / (radius * size)).item() / 2"
            },
        ),
        "sign of theta": (r"sign", {"(theta * grads).sum()": "(theta.sign() * grads).sum()"}),
    },
    "box-entry": {
        "floor": (r"too few|round up", {"math.ceil": "math.floor"}),
        "decay only": (r"decay alone", {"excess = w0 * lam - 1": "excess = w0 * lam"}),
        "0.01 absolute": (r"0\.01|one per cent", {"0.01 / excess": "0.01 / (w0 - 1 / lam)"}),
        "exp": (r"exp", {"math.log(1 - lr * lam)": "(-lr * lam)"}),
        "no lam": (r"lam", {"1 - lr * lam)": "1 - lr)"}),
        "extra step": (
            r"too many",
            {
                "return math.ceil(math.log(0.01 / excess) / math.log(1 - lr * lam))": "return math.ceil(math.log(0.01 / excess) / math.log(1 - lr * lam)) + 1"
            },
        ),
        "inside negative": (r"inside|0 steps|negative|raised", {"if excess <= 0.01": "if excess <= 0"}),
        "log10 mix": (r"log", {"math.log(0.01 / excess)": "math.log10(0.01 / excess)"}),
        "1.01 wall": (r"1\.01|1 per cent|one per cent|wall", {"0.01 / excess": "1.01 / excess"}),
        "not rounded": (
            r"whole",
            {
                "math.ceil(math.log(0.01 / excess) / math.log(1 - lr * lam))": "math.log(0.01 / excess) / math.log(1 - lr * lam)"
            },
        ),
        "time constant": (r"time constant", "return math.ceil(1 / (lr * lam))"),
        "rounded": (r"round", {"math.ceil": "round"}),
    },
    "box-train": {
        "unweighted": (
            r"different sizes|weight",
            {
                "loss + n * part_loss, grads + n * part_grads, count + n": "loss + part_loss, grads + part_grads, count + 1"
            },
        ),
        "no hat": (r"bias|hat", {" / (1 - b1 ** (t + 1))": ""}),
        "gap with lam squared": (r"radius|weight_decay", {"1 + lam * ": "1 + lam**2 * "}),
        "linf no abs": (r"absolute|largest", {"theta.abs().max()": "theta.max()"}),
    },
    "box-no-evidence": {
        "at the wall": (r"below 1 / lam|inside", "return torch.tensor([1 / lam, 0.0]), torch.tensor([0.0, 1.0])"),
        "middle": (r"above 0\.9", "return torch.tensor([0.0, 0.0]), torch.tensor([0.0, 1.0])"),
        "pressed outwards": (r"gap", "return torch.tensor([0.95 / lam, 0.0]), torch.tensor([-1.0, 0.1])"),
        "no gradient": (r"without a gradient", "return torch.tensor([0.95 / lam, 0.0]), torch.tensor([0.0, 0.0])"),
        "tiny": (r"one-norm", "return torch.tensor([0.95 / lam, 0.0]), torch.tensor([0.0, 1e-3])"),
        "lam instead": (r"below|above|1 / lam", "return torch.tensor([0.95 * lam, 0.0]), torch.tensor([0.0, 1.0])"),
        "equal": (r"gap", "return torch.tensor([0.95 / lam, -0.95 / lam]), torch.tensor([-1.0, 1.0])"),
    },
}
