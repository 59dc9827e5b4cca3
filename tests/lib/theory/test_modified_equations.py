"""The modified equations: closed forms, orders of accuracy, and controls that must fail."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from optbias.losses import landscapes
from optbias.norms import perturbed_one_norm
from optbias.rules import Adam, AdamW, AMSGrad, GradientDescent, Lion, Momentum, RMSProp
from optbias.simulate import trajectory
from optbias.theory.modified_equations import (
    bias_coefficient,
    flow,
    mean_lag,
    modified_field,
    order_of_accuracy,
    sign_threshold,
)

torch.set_default_dtype(torch.float64)

START = torch.tensor([1.5, 2.0, 1.5], dtype=torch.float64)
INSIDE = {"eps_inside": True}


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


@given(beta=st.floats(0.0, 0.99), n=st.integers(0, 60))
def test_mean_lag_is_the_weighted_mean_age(beta, n):
    k = np.arange(n + 1)
    weights = (1 - beta) * beta**k / (1 - beta ** (n + 1))
    assert mean_lag(beta, n) == pytest.approx(float(weights @ k), abs=1e-9)


def test_mean_lag_tends_to_its_limit():
    assert mean_lag(0.9) == pytest.approx(9.0)
    assert mean_lag(0.9, 500) == pytest.approx(9.0, abs=1e-9)


@pytest.mark.parametrize(
    ("betas", "expected"),
    [
        ((0.9, 0.999), -990),
        ((0.9, 0.95), -10),
        ((0.99, 0.999), -900),
        ((0.99, 0.9), 90),
        ((0.95, 0.95), 0),
        ((0.0, 0.9), -9),
        ((0.0, 0.99), -99),
    ],
)
def test_bracket_for_small_epsilon(betas, expected):
    assert bias_coefficient(torch.ones(1), betas, 1e-15).item() == pytest.approx(expected, abs=1e-6)


def test_bracket_for_large_epsilon():
    assert bias_coefficient(torch.ones(1), (0.9, 0.999), 1e15).item() == pytest.approx(9.5)
    assert bias_coefficient(torch.ones(1), (0.0, 0.999), 1e15).item() == pytest.approx(0.5)


def test_the_sign_flips_at_the_stated_values():
    # s* = [(1 + beta)/(1 - beta)] / [(1 + rho)/(1 - rho)], threshold s*/(1 - s*)
    assert sign_threshold((0.9, 0.999)) == pytest.approx(19 / 1980, rel=1e-9)
    assert sign_threshold((0.9, 0.95)) == pytest.approx(0.95, rel=1e-9)


@given(beta=st.floats(0.0, 0.98), gap=st.floats(1e-3, 0.5))
def test_the_sign_flips_exactly_at_the_threshold(beta, gap):
    rho = beta + gap * (0.999 - beta)
    threshold = sign_threshold((beta, rho))
    below, above = (
        bias_coefficient(torch.tensor([math.sqrt(threshold * f)]), (beta, rho), 1.0) for f in (0.999, 1.001)
    )
    assert below.item() > 0 > above.item()


def test_no_threshold_where_beta_is_not_below_rho():
    assert sign_threshold((0.9, 0.9)) == math.inf
    assert sign_threshold((0.99, 0.9)) == math.inf
    both = sign_threshold((torch.tensor([0.9, 0.99]), torch.tensor([0.95, 0.9])))
    assert both[0].item() == pytest.approx(0.95)
    assert both[1].item() == math.inf


def test_hessian_times_direction_is_the_gradient_of_the_perturbed_one_norm():
    loss, eps = landscapes.get("generic"), 0.05
    theta = START.clone().requires_grad_(True)
    g = torch.autograd.grad(loss(theta), theta, create_graph=True)[0]
    (by_autograd,) = torch.autograd.grad(perturbed_one_norm(g, eps), theta)
    g = g.detach()
    assert torch.allclose(loss.hessian(START) @ (g / (g**2 + eps).sqrt()), by_autograd, atol=1e-12)


def test_field_by_automatic_differentiation_equals_the_analytic_one():
    loss = landscapes.get("generic")
    rule = AdamW(lr=0.01, betas=(0.5, 0.8), eps=0.01, weight_decay=0.3, eps_inside=True)
    analytic = modified_field(rule, loss)(START, 3)
    automatic = modified_field(rule, lambda theta: loss(theta))(START, 3)
    assert torch.allclose(analytic, automatic, atol=1e-12)


def test_gradient_descent_on_a_quadratic_in_closed_form():
    # On a x^2 / 2 the corrected flow has the rate a + lr a^2 / 2.
    loss = landscapes.get("quadratic", H=torch.eye(1) * 2.0)
    path = flow(GradientDescent(lr=0.01), loss, torch.ones(1), 50, substeps=4)
    assert path[-1].item() == pytest.approx(math.exp(-(2 + 0.01 * 2) * 0.5), abs=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("gradient descent", GradientDescent()),
        ("momentum", Momentum(beta=0.5, bias_correction=True)),
        ("RMSProp", RMSProp(rho=0.8, eps=1e-2, eps_inside=True, bias_correction=True)),
        ("Adam", Adam(betas=(column(0.5, 0.8), column(0.8, 0.5)), eps=1e-2, **INSIDE)),
        ("Adam, epsilon outside", Adam(betas=(0.5, 0.8), eps=0.1)),
        ("AdamW", AdamW(betas=(0.5, 0.8), eps=1e-2, weight_decay=0.5, **INSIDE)),
    ],
)
def test_orders_of_accuracy(name, rule):
    result = order_of_accuracy(rule, landscapes.get("generic"), START, 0.5, (128, 256, 512, 1024))
    assert ((result.slope("first", 3) > 0.9) & (result.slope("first", 3) < 1.1)).all(), name
    assert ((result.slope("second", 3) > 1.85) & (result.slope("second", 3) < 2.1)).all(), name


@pytest.mark.slow
def test_controls_lose_the_order():
    one, loss, n = Adam(betas=(0.5, 0.8), eps=1e-2, **INSIDE), landscapes.get("generic"), (128, 256, 512)
    uncorrected = order_of_accuracy(one.replace(bias_correction=False), loss, START, 0.5, n, exact=False)
    assert uncorrected.slope("second", 3) < 1.2
    outside = order_of_accuracy(one.replace(eps_inside=False), loss, START, 0.5, n, flow_of=one)
    assert outside.slope("second", 3) < 0.2
    ball = order_of_accuracy(Momentum(beta=0.5, form="heavy_ball"), loss, START, 0.5, n, exact=False)
    assert ball.slope("second", 3) < 1.2


@pytest.mark.slow
def test_the_heavy_ball_follows_its_equation_from_a_moved_start():
    loss, beta, counts = landscapes.get("generic"), 0.5, (128, 256, 512)
    errors = []
    for n in counts:
        rule = Momentum(lr=0.5 / n, beta=beta, form="heavy_ball")
        run = trajectory(rule, loss, START, n)
        moved = START + rule.lr / (1 - beta) * mean_lag(beta) * loss.gradient(START)
        errors.append((run - flow(rule, loss, moved, n, exact=False))[n // 2 :].abs().max().item())
    assert np.polyfit(np.log(counts), np.log(errors), 1)[0] == pytest.approx(-2.0, abs=0.15)


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), beta=st.sampled_from([0.0, 0.3, 0.5]), rho=st.sampled_from([0.3, 0.5, 0.7]))
def test_order_two_for_random_smooth_losses(seed, beta, rho):
    draw = torch.Generator().manual_seed(seed)
    a, w = torch.randn(2, 2, generator=draw), torch.randn(4, 2, generator=draw)
    bias = torch.randn(4, generator=draw)

    def loss(theta):
        # A bowl plus smooth waves, tilted so that gradients stay away from 0 near the start.
        bowl = 0.1 * ((theta @ a) ** 2).sum(-1)
        return bowl + 0.3 * torch.sin(theta @ w.T + bias).sum(-1) + theta.sum(-1)

    rule = Adam(betas=(beta, rho), eps=0.5, **INSIDE)
    result = order_of_accuracy(rule, loss, torch.zeros(2), 0.4, (64, 128, 256))
    assert result.second[-1] < 1e-9 or result.slope("second", 3) > 1.8


def end_sum(lr, beta, rho, steps=16_000, eps=1e-4):
    rule = Adam(lr=column(*lr), betas=(column(*beta), column(*rho)), eps=eps, eps_inside=True)
    loss = landscapes.get("bilinear")
    end = trajectory(rule, loss, torch.tensor([2.8, 3.5]), steps)[-1]
    assert (loss(end) < 1e-20).all()
    return end.abs().sum(-1)


@pytest.mark.slow
def test_the_bilinear_toy_follows_every_trend():
    lr = [1e-3] * 10 + [3e-4, 1e-3, 3e-3, 1e-2] * 2
    beta = [0.5, 0.9, 0.95, 0.99] + [0.9] * 6 + [0.95] * 4 + [0.9] * 4
    rho = [0.95] * 4 + [0.5, 0.9, 0.95, 0.99, 0.999, 0.9] + [0.9] * 4 + [0.95] * 4
    s = end_sum(lr, beta, rho)
    assert (s[:4].diff() < 0).all()
    assert (s[4:9].diff() > 0).all()
    assert (s[10:14].diff() < 0).all()
    assert (s[14:18].diff() > 0).all()
    assert s[9].item() == pytest.approx(math.sqrt(3.49), abs=1e-3)
    # The size of the push on delta = theta_2 - theta_1: d(ln delta) = -lr c I, roughly, for small lr.
    a = (math.sqrt(3.49) - 0.7) / 2
    integral = math.log(2.8 * (a + 0.7) / (3.5 * a)) / 0.7
    for row, c in ((10, 10.0), (14, -10.0)):
        delta = (s[row : row + 2] ** 2 - 3).sqrt()
        ratio = torch.log(delta / 0.7) / (-torch.tensor([3e-4, 1e-3]) * c * integral)
        assert ((ratio > 0.6) & (ratio < 1.6)).all()


@pytest.mark.slow
def test_with_a_large_epsilon_the_toy_is_in_the_two_norm_regime():
    s = end_sum([0.02, 0.1, 0.3], [0.9] * 3, [0.95] * 3, steps=10_000, eps=1e4)
    assert (s.diff() < 0).all()


@pytest.mark.slow
def test_regimes_late_in_training():
    pairs = [(0.9, 0.999), (0.9, 0.9), (0.99, 0.99), (0.99, 0.9)]
    beta, rho = (column(*x) for x in zip(*pairs, strict=True))
    loss = landscapes.get("quadratic", H=torch.diag(torch.tensor([1.0, 10.0, 100.0])))
    rule = Adam(lr=1e-2, betas=(beta, rho), eps=1e-16, eps_inside=True)
    tail = loss(trajectory(rule, loss, torch.ones(3), 20_000))[10_000:]
    median = tail.median(dim=0).values
    spike = torch.log10(tail.max(dim=0).values / median)
    assert spike[0] > 5
    assert spike[1] < 1
    assert spike[2] < 1
    assert torch.log10(median[3] / median[2]) > 3


def test_reshuffled_epochs_follow_the_flow_with_the_minibatch_penalty():
    loss = landscapes.get("generic")
    shifts = torch.tensor([[0.3, -0.2, 0.1], [-0.4, 0.1, 0.2], [0.1, 0.3, -0.3]])
    orders = torch.tensor(list(itertools.permutations(range(3))))

    def mean_end(lr):
        def gradient(theta, t):
            return loss.gradient(theta - shifts[orders[:, t - 1]])

        return trajectory(GradientDescent(lr=lr), loss, START.expand(6, 3), 3, gradient=gradient)[-1].mean(0)

    def flow_end(lr, penalty, n=24):
        def field(theta):
            parts = theta - shifts
            g = loss.gradient(parts)
            return -(g + penalty * lr / 2 * (loss.hessian(parts) @ g[..., None]).squeeze(-1)).mean(0)

        theta, dt = START, 3 * lr / n
        for _ in range(n):
            k1 = field(theta)
            k2 = field(theta + dt / 2 * k1)
            k3 = field(theta + dt / 2 * k2)
            theta = theta + dt / 6 * (k1 + 2 * k2 + 2 * k3 + field(theta + dt * k3))
        return theta

    rates = np.array([0.004, 0.002, 0.001, 0.0005])
    for penalty, order in ((0.0, 2), (1.0, 3)):
        error = [float((mean_end(h) - flow_end(h, penalty)).abs().max()) for h in rates]
        assert np.polyfit(np.log(rates), np.log(error), 1)[0] == pytest.approx(order, abs=0.1)


@pytest.mark.parametrize("rule", [Lion(), AMSGrad(), Momentum(nesterov=True), Adam(lr=lambda t: 0.1)])
def test_rules_without_a_known_equation_are_refused(rule):
    with pytest.raises(TypeError):
        modified_field(rule, landscapes.get("bowl"))


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="coupled"):
        modified_field(Adam(weight_decay=0.1), landscapes.get("bowl"))
    with pytest.raises(ValueError, match="order"):
        modified_field(Adam(), landscapes.get("bowl"), order=3)
    with pytest.raises(ValueError, match="beta"):
        mean_lag(1.0)
    with pytest.raises(ValueError, match="n must"):
        mean_lag(0.9, -1)
    with pytest.raises(ValueError, match="substeps must"):
        flow(GradientDescent(), landscapes.get("bowl"), torch.ones(2), 3, substeps=0)
    with pytest.raises(ValueError, match="time"):
        order_of_accuracy(GradientDescent(), landscapes.get("bowl"), torch.ones(2), 0.0)
    with pytest.raises(ValueError, match="increasing"):
        order_of_accuracy(GradientDescent(), landscapes.get("bowl"), torch.ones(2), 1.0, (64, 32))
