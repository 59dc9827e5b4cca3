"""Laws that the rules obey for every gradient sequence, tried on sequences that hypothesis makes up."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from optbias import norms, simulate
from optbias.rules import (
    AdaGrad,
    Adam,
    AdamW,
    AMSGrad,
    GradientDescent,
    Lion,
    Momentum,
    Muon,
    NormalizedSteepestDescent,
    RMSProp,
    SignGD,
)

# Every coordinate is 0 or of a size that spans 12 orders of magnitude.
entries = st.one_of(
    st.just(0.0),
    st.builds(lambda e, s: s * 10.0**e, st.floats(-6, 6), st.sampled_from([-1.0, 1.0])),
)
rates = st.floats(1e-3, 0.5)
decays = st.floats(0.0, 0.999)


def sequences(dim=3, max_steps=12):
    return st.lists(st.lists(entries, min_size=dim, max_size=dim), min_size=1, max_size=max_steps).map(torch.tensor)


def run(rule, grads, theta0=None):
    theta = torch.zeros(grads.shape[1:]) if theta0 is None else theta0
    state, path = rule.init(theta), [theta]
    for grad in grads:
        theta, state = rule.update(theta, grad, state)
        path.append(theta)
    return torch.stack(path)


SCALE_FREE = [
    Adam(0.1, eps=0.0),
    Adam(0.1, eps=0.0, bias_correction=False),
    AMSGrad(0.1, eps=0.0),
    AdamW(0.1, eps=0.0),
    RMSProp(0.1, eps=0.0),
    AdaGrad(0.1, eps=0.0),
    SignGD(0.1),
    Lion(0.1, weight_decay=0.1),
    NormalizedSteepestDescent(0.1, "l1"),
    NormalizedSteepestDescent(0.1, "l2"),
    NormalizedSteepestDescent(0.1, "linf"),
]
ELEMENTWISE = [
    *SCALE_FREE[:8],
    GradientDescent(0.1),
    Momentum(0.1),
    Momentum(0.1, form="heavy_ball", nesterov=True),
    Adam(0.1, eps=1e-3, weight_decay=0.1),
    AdamW(0.1, eps=1e-3, eps_inside=True),
]
ODD = [*SCALE_FREE, *ELEMENTWISE[8:]]


@pytest.mark.parametrize("rule", SCALE_FREE, ids=repr)
@given(grads=sequences(), power=st.integers(-40, 40))
def test_scale_invariance_without_eps(rule, grads, power):
    # Powers of two scale without rounding, so that the law holds bit for bit.
    assert torch.equal(run(rule, grads), run(rule, 2.0**power * grads))


@given(grads=sequences(), scale=st.floats(1e-3, 1e3))
def test_scale_invariance_for_any_scale_up_to_rounding(grads, scale):
    for rule in (Adam(0.1, eps=0.0), NormalizedSteepestDescent(0.1, "l2")):
        torch.testing.assert_close(run(rule, grads), run(rule, scale * grads), rtol=1e-10, atol=1e-12)


def test_eps_breaks_scale_invariance():
    grads = torch.full((1, 1), 1e-6)
    assert run(Adam(1.0), grads)[-1].item() == pytest.approx(-1 / 1.01, rel=1e-12)
    assert run(Adam(1.0, eps_inside=True), grads)[-1].item() == pytest.approx(-1e-6 / (1e-12 + 1e-8) ** 0.5, rel=1e-12)


@pytest.mark.parametrize("rule", ODD, ids=repr)
@given(grads=sequences())
def test_sign_symmetry(rule, grads):
    start = torch.tensor([1.0, -0.5, 0.25])
    assert torch.equal(run(rule, -grads, -start), -run(rule, grads, start))


@pytest.mark.parametrize("rule", ELEMENTWISE, ids=repr)
@given(grads=sequences(), order=st.permutations(range(3)))
def test_permutation_equivariance_of_elementwise_rules(rule, grads, order):
    start = torch.tensor([1.0, -0.5, 0.25])
    assert torch.equal(run(rule, grads[:, order], start[order]), run(rule, grads, start)[:, order])


@given(grads=sequences(), signs=st.lists(st.sampled_from([-1.0, 1.0]), min_size=3, max_size=3))
def test_elementwise_rules_commute_with_reflections(grads, signs):
    flip, start = torch.tensor(signs), torch.tensor([1.0, -0.5, 0.25])
    for rule in ELEMENTWISE:
        assert torch.equal(run(rule, flip * grads, flip * start), flip * run(rule, grads, start))


@given(grads=sequences(dim=4), angle=st.floats(0.1, 3.0))
def test_gradient_descent_and_normalised_descent_in_l2_commute_with_rotations(grads, angle):
    turn = torch.eye(4)
    turn[:2, :2] = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    for rule in (GradientDescent(1e-6), Momentum(1e-6), NormalizedSteepestDescent(0.1, "l2")):
        torch.testing.assert_close(run(rule, grads @ turn.T), run(rule, grads) @ turn.T, rtol=1e-9, atol=1e-9)


# ---- caps on the step


@given(grads=sequences(max_steps=30), beta=decays, lr=rates, corrected=st.booleans(), inside=st.booleans())
def test_the_step_of_adam_is_at_most_lr_when_the_betas_agree(grads, beta, lr, corrected, inside):
    rule = Adam(lr, (beta, beta), eps=0.0, bias_correction=corrected, eps_inside=inside)
    path = run(rule, grads)
    assert (path[1:] - path[:-1]).abs().max() <= lr * (1 + 1e-12)


def test_the_worst_case_step_at_the_defaults():
    # Gradients that grow by beta2 / beta1 at each step attain the supremum (results A.3).
    b1, b2 = 0.9, 0.999
    grads = ((b2 / b1) ** torch.arange(400.0))[:, None]
    path = run(Adam(1.0, (b1, b2), eps=0.0), grads)
    supremum = (1 - b1) / math.sqrt((1 - b2) * (1 - b1**2 / b2))
    assert supremum == pytest.approx(7.27029, abs=1e-5)
    # Without the hats the cap itself is reached, and not passed.
    raw = run(Adam(1.0, (b1, b2), eps=0.0, bias_correction=False), grads)
    steps = (raw[:-1] - raw[1:]).abs()
    assert supremum * (1 - 1e-4) < steps.max().item() <= supremum * (1 + 1e-12)
    assert (path[:-1] - path[1:]).abs().max().item() > 1.0


@given(grads=sequences(), lr=rates)
def test_adagrad_and_rmsprop_cap_their_steps(grads, lr):
    for rule, cap in ((AdaGrad(lr, eps=0.0), lr), (RMSProp(lr, 0.9, eps=0.0), lr / math.sqrt(0.1))):
        path = run(rule, grads)
        assert (path[1:] - path[:-1]).abs().max() <= cap * (1 + 1e-12)


# ---- balls that decoupled decay keeps


@given(
    grads=sequences(max_steps=30),
    start=st.lists(st.floats(-5, 5), min_size=3, max_size=3).map(torch.tensor),
    beta=decays,
    lr=rates,
    decay=st.floats(0.1, 1.9),
)
def test_the_box_is_never_left(grads, start, beta, lr, decay):
    start = start.double()
    bound = max(start.abs().max().item(), 1 / decay) * (1 + 1e-12)
    for rule in (
        AdamW(lr, (beta, beta), eps=0.0, weight_decay=decay),
        AdamW(lr, (beta, beta), eps=1e-8, weight_decay=decay, bias_correction=False),
        SignGD(lr, decay),
        Lion(lr, (beta, 0.99), decay),
        NormalizedSteepestDescent(lr, "linf", decay),
    ):
        assert run(rule, grads, start).abs().max() <= bound, rule


def test_betas_that_disagree_leave_the_box():
    grads = (0.995 ** torch.arange(3000.0))[:, None]
    rule = AdamW(0.005, (0.99, 0.9), eps=0.0, weight_decay=1.0, bias_correction=False)
    assert run(rule, grads)[-1].abs().item() > 1.5


@given(
    grads=sequences(dim=6, max_steps=10),
    start=st.lists(st.floats(-5, 5), min_size=6, max_size=6),
    lr=rates,
    decay=st.floats(0.1, 1.9),
)
def test_normalised_descent_stays_in_the_ball_of_its_own_norm(grads, start, lr, decay):
    grads, theta = grads.reshape(-1, 2, 3), torch.tensor(start).reshape(2, 3)
    for name in norms.NORMS:
        path = run(NormalizedSteepestDescent(lr, name, decay), grads, theta)
        bound = max(norms.norm(theta, name).item(), 1 / decay)
        assert max(norms.norm(x, name).item() for x in path) <= bound * (1 + 1e-10), name
    path = run(Muon(lr, 0.9, decay, orthogonalize="svd", adjust_lr=False), grads, theta)
    bound = max(norms.norm(theta, "spectral").item(), 1 / decay)
    assert max(norms.norm(x, "spectral").item() for x in path) <= bound * (1 + 1e-10)


@given(grads=sequences(dim=4), lr=rates, decay=st.floats(0.1, 1.9))
def test_normalised_descent_with_decay_is_frank_wolfe(grads, lr, decay):
    for name in ("l1", "l2", "linf"):
        x = torch.tensor([0.3, -0.2, 0.1, 0.0])
        path = run(NormalizedSteepestDescent(lr, name, decay), grads, x)
        for grad, iterate in zip(grads, path[1:], strict=True):
            x = (1 - decay * lr) * x + decay * lr * norms.lmo(grad, 1 / decay, name)
            torch.testing.assert_close(x, iterate, rtol=1e-12, atol=1e-13)


# ---- identities between rules


@given(grads=sequences())
def test_rules_that_are_others_in_disguise(grads):
    start = torch.tensor([1.0, -0.5, 0.25])
    for one, other in [
        (Adam(0.1, (0.0, 0.0), eps=0.0), SignGD(0.1)),
        (SignGD(0.1, 0.2), NormalizedSteepestDescent(0.1, "linf", 0.2)),
        (AdamW(0.1, weight_decay=0.0), Adam(0.1)),
        (Adam(0.1, (0.0, 0.9), bias_correction=False), RMSProp(0.1, 0.9)),
        (Lion(0.1, (0.0, 0.9)), SignGD(0.1)),
        (Momentum(1e-3, 0.0), GradientDescent(1e-3)),
        (Momentum(1e-3, 0.9, form="heavy_ball"), Momentum(1e-2, 0.9)),
        (GradientDescent(1e-3, 0.5), GradientDescent(1e-3, 0.5, decoupled=True)),
    ]:
        torch.testing.assert_close(run(one, grads, start), run(other, grads, start), rtol=1e-10, atol=1e-9)


def test_amsgrad_never_raises_its_rate_and_adam_does():
    grads = torch.tensor([[10.0], *[[0.1]] * 50])
    ams = run(AMSGrad(0.1, (0.0, 0.5), bias_correction=False), grads).diff(dim=0).abs()
    adam = run(Adam(0.1, (0.0, 0.5), bias_correction=False), grads).diff(dim=0).abs()
    assert (ams[2:] <= ams[1:-1] * (1 + 1e-12)).all()
    assert adam[-1] > 50 * ams[-1]


# ---- broadcasting


@pytest.mark.parametrize(
    ("rule", "grid"),
    [
        (GradientDescent(), {"lr": [0.01, 0.05], "weight_decay": [0.0, 0.3]}),
        (Momentum(), {"lr": [0.01, 0.05], "beta": [0.0, 0.9]}),
        (Momentum(bias_correction=True), {"beta": [0.5, 0.9]}),
        (AdaGrad(), {"lr": [0.1, 0.5], "eps": [0.0, 1e-3]}),
        (RMSProp(), {"lr": [0.01, 0.05], "rho": [0.5, 0.99], "eps": [0.0, 1e-3]}),
        (Adam(), {"lr": [0.01, 0.05], "betas": [(0.9, 0.999), (0.0, 0.5)], "eps": [0.0, 1e-3]}),
        (Adam(), {"lr": [0.01, 0.05], "weight_decay": [0.0, 0.1]}),
        (AMSGrad(), {"lr": [0.01, 0.05], "betas": [(0.9, 0.999), (0.0, 0.5)]}),
        (AdamW(), {"betas": [(0.9, 0.999), (0.0, 0.5)], "weight_decay": [0.0, 0.1]}),
        (SignGD(), {"lr": [0.01, 0.05], "weight_decay": [0.0, 0.1]}),
        (Lion(), {"lr": [0.01, 0.05], "betas": [(0.9, 0.99), (0.0, 0.5)]}),
        (NormalizedSteepestDescent(norm="l2", dim=-1), {"lr": [0.01, 0.05], "weight_decay": [0.0, 0.1]}),
        (NormalizedSteepestDescent(norm="l1", dim=-1), {"lr": [0.01, 0.05], "weight_decay": [0.0, 0.1]}),
    ],
    ids=lambda x: repr(x) if not isinstance(x, dict) else "",
)
def test_a_grid_of_settings_is_one_run_each(rule, grid):
    def loss(theta):
        return 0.5 * (torch.tensor([1.0, 10.0]) * theta**2).sum(-1)

    def column(values):
        if isinstance(values[0], tuple):
            return tuple(column(v) for v in zip(*values, strict=True))
        return torch.tensor(values).to(torch.float64)[:, None]

    start = torch.tensor([1.0, 0.5])
    together = simulate.trajectory(
        rule.replace(**{name: column(values) for name, values in grid.items()}), loss, start, 60
    )
    count = len(next(iter(grid.values())))
    assert together.shape == (61, count, 2)
    for k in range(count):
        alone = simulate.trajectory(rule.replace(**{name: values[k] for name, values in grid.items()}), loss, start, 60)
        torch.testing.assert_close(together[:, k], alone, rtol=1e-13, atol=1e-14)
