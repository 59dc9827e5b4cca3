"""The variants that torch lacks, against independent NumPy versions of their papers' equations, and by hand."""

import numpy as np
import pytest
import torch

from optbias.losses import landscapes
from optbias.models import MLP
from optbias.rules import (
    ADOPT,
    ASGD,
    LAMB,
    LARS,
    RULES,
    SOAP,
    AdaBelief,
    Adafactor,
    Adam,
    AdamMini,
    AdEMAMix,
    CautiousAdamW,
    GradientDescent,
    LaProp,
    Momentum,
    ScheduleFreeAdamW,
    ScheduleFreeSGD,
    Shampoo,
    Signum,
    Yogi,
    rectifier,
)
from optbias.rules.matrix import inverse_power
from optbias.seeding import generator
from optbias.simulate import trajectory
from optbias.torch_optimizer import as_torch

STEPS = 60
LR, B1, B2, EPS, WD = 0.02, 0.8, 0.95, 1e-3, 0.1


def ema(values, beta, start=0.0):
    """The average as a sum over the whole past, not as a recursion."""
    weights = (1 - beta) * beta ** np.arange(len(values))[::-1]
    return np.tensordot(weights, np.array(values), 1) + beta ** len(values) * start


# Each takes all gradients so far (the last belongs to this step), theta and a place for notes; returns the new theta.


def signum(g, x, _):
    return x - LR * WD * x - LR * np.sign(ema(g, B1))


def adabelief(g, x, note):
    note.setdefault("surprise", []).append((g[-1] - ema(g, B1)) ** 2 + EPS / (1 - B2))
    t = len(g)
    m, s = ema(g, B1) / (1 - B1**t), ema(note["surprise"], B2) / (1 - B2**t)
    return x - LR * WD * x - LR * m / (np.sqrt(s) + EPS)


def yogi(g, x, note):
    t, square = len(g), g[-1] ** 2
    before = note.get("v", np.full_like(x, 1e-6))
    note["v"] = np.where(before > square, before - (1 - B2) * square, before + (1 - B2) * square)
    m = ema(g, B1, start=1e-6)
    return x - LR * WD * x - LR * m / (1 - B1**t) / (np.sqrt(note["v"] / (1 - B2**t)) + EPS)


def laprop(g, x, note):
    t = len(g)
    root = np.sqrt(ema([h**2 for h in g], B2) / (1 - B2**t))
    note.setdefault("normal", []).append(g[-1] / (root + EPS))
    return x - LR * WD * x - LR * ema(note["normal"], B1) / (1 - B1**t)


def adopt(g, x, note):
    if len(g) == 1:
        note["v"] = g[0] ** 2
        return x
    bound = (len(g) - 1) ** 0.25
    note.setdefault("normal", []).append(np.clip(g[-1] / np.maximum(np.sqrt(note["v"]), EPS), -bound, bound))
    note["v"] = B2 * note["v"] + (1 - B2) * g[-1] ** 2
    return x - LR * WD * x - LR * ema(note["normal"], B1)


def ademamix(g, x, _):
    t = len(g)
    m, s, v = ema(g, B1) / (1 - B1**t), ema(g, 0.99), ema([h**2 for h in g], B2) / (1 - B2**t)
    return x - LR * ((m + 2.0 * s) / (np.sqrt(v) + EPS) + WD * x)


def cautious(g, x, _):
    t = len(g)
    m, v = ema(g, B1), ema([h**2 for h in g], B2)
    u = m / (1 - B1**t) / (np.sqrt(v / (1 - B2**t)) + EPS)
    agree = u * g[-1] > 0
    return x - LR * WD * x - LR * np.where(agree, u, 0) / max(agree.sum() / agree.size, 1e-3)


def lars(g, x, note):
    size, slope = np.sqrt((x**2).sum()), np.sqrt((g[-1] ** 2).sum())
    rate = 0.5 * size / (slope + WD * size) if slope else 1.0
    note["m"] = B1 * note.get("m", 0) + LR * rate * (g[-1] + WD * x)
    return x - note["m"]


def lamb(g, x, _):
    t = len(g)
    u = ema(g, B1) / (1 - B1**t) / (np.sqrt(ema([h**2 for h in g], B2) / (1 - B2**t)) + EPS) + WD * x
    return x - LR * np.linalg.norm(x) / np.linalg.norm(u) * u


def adam_mini(g, x, _):
    t = len(g)
    v = ema([(h**2).mean(1) if h.ndim == 2 else (h**2).mean() for h in g], B2) / (1 - B2**t)
    root = np.sqrt(v)[:, None] if x.ndim == 2 else np.sqrt(v)
    return x - LR * WD * x - LR * ema(g, B1) / (1 - B1**t) / (root + EPS)


def power(a, p):
    """By singular values of the symmetric matrix, not by its eigenvalues."""
    u, s, _ = np.linalg.svd(a)
    return u @ np.diag(s**p) @ u.T


def shampoo(g, x, _):
    left = sum(h @ h.T for h in g) + EPS * np.eye(x.shape[0])
    right = sum(h.T @ h for h in g) + EPS * np.eye(x.shape[1])
    return x - LR * WD * x - LR * power(left, -0.25) @ g[-1] @ power(right, -0.25)


def soap(g, x, note):
    t = len(g) - 1
    if t == 0:
        note["q"] = [np.linalg.eigh(a)[1][:, ::-1] for a in (g[0] @ g[0].T, g[0].T @ g[0])]
        note["v"] = 0.0
        return x
    ql, qr = note["q"]
    note["v"] = B2 * note["v"] + (1 - B2) * np.einsum("ai,ab,bj->ij", ql, g[-1], qr) ** 2
    m = np.einsum("ai,ab,bj->ij", ql, ema(g[1:], B1), qr) / (1 - B1**t)
    step = np.einsum("ai,ij,bj->ab", ql, m / (np.sqrt(note["v"] / (1 - B2**t)) + EPS), qr)
    if t % 3 == 0:
        moments = (ema([h @ h.T for h in g], B2), ema([h.T @ h for h in g], B2))
        note["q"] = [np.linalg.qr(a @ q)[0] for a, q in zip(moments, note["q"], strict=True)]
    return x - LR * WD * x - LR * step


def schedule_free_sgd(g, y, note):
    """x as the mean of all z, which it is for a constant rate."""
    z = note.setdefault("z", [y])[-1]
    note["z"].append(z - LR * (g[-1] + WD * y))
    return (1 - B1) * note["z"][-1] + B1 * np.mean(note["z"][1:], 0)


def schedule_free_adamw(g, y, note):
    z = note.setdefault("z", [y])[-1]
    v = ema([h**2 for h in g], B2) / (1 - B2 ** len(g))
    note["z"].append(z - LR * (g[-1] / (np.sqrt(v) + EPS) + WD * y))
    return (1 - B1) * note["z"][-1] + B1 * np.mean(note["z"][1:], 0)


COMMON = {"lr": LR, "betas": (B1, B2), "eps": EPS, "weight_decay": WD}
REFERENCES = [
    (Signum(LR, B1, WD), signum),
    (AdaBelief(**COMMON), adabelief),
    (Yogi(**COMMON), yogi),
    (LaProp(**COMMON), laprop),
    (ADOPT(**COMMON), adopt),
    (AdEMAMix(**COMMON | {"betas": (B1, B2, 0.99)}, alpha=2.0), ademamix),
    (CautiousAdamW(**COMMON), cautious),
    (LARS(LR, B1, WD, trust=0.5), lars),
    (LAMB(**COMMON), lamb),
    (AdamMini(**COMMON), adam_mini),
    (Shampoo(LR, eps=EPS, weight_decay=WD), shampoo),
    (SOAP(**COMMON, frequency=3), soap),
    (ScheduleFreeSGD(LR, B1, WD), schedule_free_sgd),
    (ScheduleFreeAdamW(**COMMON), schedule_free_adamw),
]


@pytest.mark.parametrize(("rule", "reference"), REFERENCES, ids=lambda x: getattr(x, "__name__", None))
@pytest.mark.parametrize("shape", [(5,), (4, 3)], ids=str)
def test_agrees_with_numpy(rule, reference, shape):
    if len(shape) == 1 and isinstance(rule, Shampoo | SOAP):
        with pytest.raises(ValueError, match=f"{type(rule).__name__} needs a matrix"):
            rule.init(torch.zeros(shape))
        return
    random = generator(3)
    grads = torch.randn(STEPS, *shape, generator=random) * 10 ** (
        0.5 * torch.randn(STEPS, *[1] * len(shape), generator=random)
    )
    theta = torch.randn(shape, generator=random)
    x, past, note = theta.numpy(), [], {}
    state = rule.init(theta)
    for t, grad in enumerate(grads):
        past.append(grad.numpy() + 0.1 * x)
        theta, state = rule.update(theta, grad + 0.1 * theta, state)
        x = reference(past, x, note)
        assert np.abs(theta.numpy() - x).max() <= 1e-12 * max(1, np.abs(x).max()), t


# ---- what each does that Adam does not


def run(rule, grads, theta=None):
    theta = torch.zeros(grads.shape[1:]) if theta is None else theta
    state, path = rule.init(theta), []
    for grad in grads:
        theta, state = rule.update(theta, grad, state)
        path.append(theta)
    return torch.stack(path), state


def some(*shape, seed=0):
    return torch.randn(shape, generator=generator(seed))


def test_equal_betas_make_adam_a_signal_to_noise_ratio():
    beta, g = 0.9, some(300, 4) ** 3
    m, v, spread = torch.zeros(4), torch.zeros(4), torch.zeros(4)
    for grad in g:
        spread = beta * spread + (1 - beta) * (m - grad) ** 2
        m, v = beta * m + (1 - beta) * grad, beta * v + (1 - beta) * grad**2
        torch.testing.assert_close(v, m**2 + beta * spread, rtol=1e-12, atol=0)


def test_at_equal_betas_adabelief_divides_by_the_root_of_that_noise():
    # (g - m_t) = beta (g - m_{t-1}), so its s is beta^2 times the average surprise.
    beta, g = 0.9, some(300, 4)
    m, spread = torch.zeros(4), torch.zeros(4)
    for grad in g:
        spread, m = beta * spread + (1 - beta) * (m - grad) ** 2, beta * m + (1 - beta) * grad
    _, state = run(AdaBelief(betas=(beta, beta), eps=0.0), g)
    torch.testing.assert_close(state["s"], beta**2 * spread, rtol=1e-12, atol=0)


def test_shampoo_of_power_one_half_is_adafactor_in_the_eigenbasis():
    # 2409.11321: with L = E[GG'], R = E[G'G]: L^(-1/2) G R^(-1/2) sqrt(trace L) is Adafactor's step on G' = QL' G QR.
    g = some(40, 4, 3)
    left, right = (g @ g.mT).mean(0), (g.mT @ g).mean(0)
    ql, qr = (torch.linalg.eigh(a).eigenvectors for a in (left, right))
    rotated = ql.mT @ g @ qr
    rows, columns = (rotated**2).mean(0).sum(1, keepdim=True), (rotated**2).mean(0).sum(0, keepdim=True)
    there = rotated[-1] / (rows * columns / rows.sum()).sqrt()
    shampoo = inverse_power(left, 0.5, 0.0) @ g[-1] @ inverse_power(right, 0.5, 0.0) * left.trace().sqrt()
    torch.testing.assert_close(ql @ there @ qr.mT, shampoo, rtol=1e-11, atol=1e-12)


def test_soap_with_its_basis_fixed_is_adam_in_the_rotated_coordinates():
    g, theta = some(30, 4, 3), some(4, 3, seed=1)
    rule = SOAP(0.1, (0.8, 0.9), frequency=1000)
    path, state = run(rule, g, theta)
    ql, qr = state["q_left"], state["q_right"]
    adam, _ = run(Adam(0.1, (0.8, 0.9)), ql.mT @ g[1:] @ qr, ql.mT @ theta @ qr)
    torch.testing.assert_close(path[1:], ql @ adam @ qr.mT, rtol=1e-11, atol=1e-12)


def test_soap_and_shampoo_turn_with_the_coordinates_and_adam_does_not():
    g = some(20, 4, 3)
    q = torch.linalg.qr(some(4, 4, seed=5)).Q
    for rule, turns in [(SOAP(0.1, frequency=2), True), (Shampoo(0.1), True), (Adam(0.1), False), (Adafactor(), False)]:
        path, _ = run(rule, g, some(4, 3, seed=1))
        turned, _ = run(rule, q @ g, q @ some(4, 3, seed=1))
        assert torch.allclose(turned, q @ path, rtol=1e-9, atol=1e-10) is turns, rule


def test_shampoo_of_one_column_without_memory_of_the_right_is_full_matrix_adagrad():
    g = some(10, 3, 1)
    path, _ = run(Shampoo(1.0, power=0.5, eps=0.0), g)
    total = sum((h @ h.T for h in g), torch.zeros(3, 3))
    right = sum((h.T @ h for h in g), torch.zeros(1, 1))
    step = inverse_power(total, 0.5, 0.0) @ g[-1] / right.sqrt()
    torch.testing.assert_close(path[-2] - path[-1], step, rtol=1e-10, atol=1e-12)


def test_schedule_free_returns_the_weighted_mean_of_z():
    rates = [0.05 * min(1, t / 10) for t in range(1, 61)]
    rule = ScheduleFreeSGD(lr=lambda t: rates[t - 1])
    theta = torch.tensor([1.0, -2.0])
    state, seen = rule.init(theta), []
    for _ in rates:
        theta, state = rule.update(theta, torch.tensor([1.0, 10.0]) * theta, state)
        seen.append(state["z"])
    weights = torch.tensor(rates).square()
    mean = (weights[:, None] * torch.stack(seen)).sum(0) / weights.sum()
    torch.testing.assert_close(state["x"], mean, rtol=1e-13, atol=1e-14)


def test_radams_rectifier_is_a_warm_up_of_known_length():
    first = {b: next(t for t in range(1, 100) if rectifier(b, t) > 0) for b in (0.9, 0.99, 0.999)}
    assert first == {0.9: 6, 0.99: 6, 0.999: 6}
    factors = [rectifier(0.999, t) for t in range(1, 20_000)]
    assert all(b >= a for a, b in zip(factors, factors[1:], strict=False))
    assert factors[-1] == pytest.approx(1, abs=1e-5)
    assert rectifier(torch.tensor([0.5, 0.999]), 50).tolist() == pytest.approx([0.0, rectifier(0.999, 50)])


def test_ademamix_begins_with_one_average_and_ends_with_two():
    rule = AdEMAMix(betas=(0.9, 0.999, 0.9999), alpha=5.0, warmup=1000)
    assert rule.slow(1000) == (5.0, 0.9999)
    alpha, beta3 = rule.slow(500)
    assert alpha == 2.5
    # The half-life grows in proportion: halfway it is the mean of the two.
    assert np.log(0.5) / np.log(beta3) == pytest.approx(0.5 * np.log(0.5) * (1 / np.log(0.9) + 1 / np.log(0.9999)))


def test_lamb_and_lars_move_a_layer_by_a_share_of_its_own_length():
    g, theta = some(1, 4, 3), some(4, 3, seed=1)
    for rule in (LAMB(0.1), LARS(0.1, momentum=0.0, trust=1.0)):
        step = (run(rule, g, theta)[0][0] - theta).norm() / theta.norm()
        assert step.item() == pytest.approx(0.1, rel=1e-12)
        larger = run(rule, g, 1000 * theta)[0][0] - 1000 * theta
        assert (larger.norm() / theta.norm()).item() == pytest.approx(100, rel=1e-12)
        moved = run(rule, g, torch.zeros(4, 3))[0][0]
        assert torch.isfinite(moved).all()
        assert moved.abs().max() > 0  # a layer of zeros moves too


def test_the_moments_take_the_memory_that_they_should():
    theta = torch.zeros(40, 30)
    sizes = {rule: sum(m.numel() for n, m in rule.init(theta).items() if n != "t" and n not in rule.numbers) for rule in
             (Signum(), Adam(), AdEMAMix(), AdamMini(), Adafactor(), Shampoo(), SOAP())}  # fmt: skip
    assert list(sizes.values()) == [1200, 2400, 3600, 1240, 70, 2500, 7400]


# ---- every rule everywhere


@pytest.mark.parametrize("kind", RULES, ids=lambda kind: kind.__name__)
def test_every_rule_runs_as_a_trajectory_as_an_optimizer_and_in_training(kind):
    options = {"dim": -1} if "dim" in kind.__dataclass_fields__ else {"batch": 1} if kind is AdamMini else {}
    rule = kind(**options)
    matrices = rule.layerwise and kind.__name__ in ("Muon", "Shampoo", "SOAP")
    if matrices:
        loss, starts = (lambda w: (w**2).sum((-2, -1))), some(3, 4, 2)
        rule = rule.replace(orthogonalize="svd") if kind.__name__ == "Muon" else rule
    elif kind in (ASGD, ScheduleFreeSGD, GradientDescent, Momentum):
        loss, starts, rule = landscapes.get("rosenbrock"), some(3, 2), kind(1e-3)
    else:
        loss, starts = landscapes.get("rosenbrock"), some(3, 2)
    together = trajectory(rule, loss, starts, 12)
    alone = torch.stack(
        [trajectory(rule.replace(**({"batch": 0} if kind is AdamMini else {})), loss, s, 12) for s in starts], 1
    )
    assert torch.isfinite(together).all()
    torch.testing.assert_close(together, alone, rtol=1e-9, atol=1e-11)
    assert not torch.equal(together[-1], starts)

    from optbias.data import Split
    from optbias.training import train

    model = MLP((5, 6, 3), seed=0)
    for layer in model.layers:
        if matrices:
            layer.bias.requires_grad_(False)
    inputs, labels = some(20, 5), torch.arange(20) % 3
    rule = kind()
    run = train(model, Split("small", 3, inputs, labels, inputs[:1], labels[:1]), rule, 6, dtype=torch.float64)
    model = MLP((5, 6, 3), seed=0, dtype=torch.float64)
    params = [p for p in model.parameters() if p.ndim == 2 or not matrices]
    optimizer = as_torch(rule, params)
    for _ in range(6):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
    theirs = torch.cat([p.detach().reshape(-1) for p in params])
    if rule.elementwise or rule.layerwise:
        torch.testing.assert_close(run.theta, theirs, rtol=1e-6 if kind.__name__ == "Muon" else 1e-10, atol=1e-11)


def test_a_grid_of_settings_is_one_call_for_every_elementwise_rule():
    rates = torch.tensor([[1e-4], [3e-4]])
    for kind in RULES:
        rule = kind()
        if not rule.elementwise:
            continue
        grid = trajectory(rule.replace(lr=rates), landscapes.get("rosenbrock"), some(2), 20)
        for k, rate in enumerate(rates):
            alone = trajectory(rule.replace(lr=rate.item()), landscapes.get("rosenbrock"), some(2), 20)
            torch.testing.assert_close(grid[:, k], alone, rtol=1e-9, atol=1e-11, msg=kind.__name__)


def test_the_equations_are_short_enough_to_read():
    import inspect

    for kind in RULES:
        lines = [line for line in inspect.getsource(kind.equations).splitlines() if line.strip()]
        # One more line for the signature; what Black breaks in two counts twice.
        assert len(lines) <= 21, (kind, len(lines))


def test_bad_numbers_of_the_variants():
    for make, message in [
        (lambda: AdEMAMix(betas=(0.9, 0.99)), "betas must be 3 numbers"),
        (lambda: AdEMAMix(warmup=-1), "warmup must be an integer >= 0; got -1"),
        (lambda: AdamMini(batch=-1), "batch must be an integer >= 0; got -1"),
        (lambda: AdamMini(rows=1), "rows must be True or False; got 1"),
        (lambda: LAMB(dim="all"), "dim must be an integer, a tuple of them or None; got 'all'"),
        (lambda: Adafactor(d=0.5), r"d must be a number in \[1, inf\); got 0.5"),
        (lambda: SOAP(frequency=0), "frequency must be a positive integer; got 0"),
        (lambda: Shampoo(beta=1.5), r"beta must be a number in \[0, 1\]; got 1.5"),
        (lambda: Yogi(initial=-1.0), r"initial must be a number in \[0, inf\); got -1.0"),
    ]:
        with pytest.raises((ValueError, TypeError), match=message):
            make()
    with pytest.raises(ValueError, match="finite numbers"):
        Shampoo().update(torch.ones(2, 2), torch.full((2, 2), torch.inf), Shampoo().init(torch.ones(2, 2)))
