"""AdamW in its box: Lemma 4.2, the limits, the epsilon-barrier, and the way out.

Acceptance lines 17 to 20 of the course's list.
"""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from optbias import norms
from optbias.rules import Adam, AdamW
from optbias.seeding import generator
from optbias.simulate import trajectory
from optbias.theory import box, constrained

PAIRS = [(0.9, 0.9), (0.9, 0.99), (0.9, 0.999), (0.5, 0.9), (0.99, 0.999), (0.0, 0.5)]


def moments(gradients, betas):
    """Uncorrected Delta_t and v_t along given gradients."""
    m = v = torch.zeros_like(gradients[0])
    deltas, squares = [], []
    for g in gradients:
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        deltas.append(m / v.sqrt())
        squares.append(v)
    return torch.stack(deltas), torch.stack(squares)


def sequences(betas, steps, draw):
    """Sixty sequences: heavy-tailed noise, steady growth and decay, bursts of growth."""
    growth = min(betas[1] / max(betas[0], 0.3), 1.6)
    t = torch.arange(1.0, steps + 1)[:, None]
    noise = torch.randn(steps, 20, generator=draw) * torch.exp(2 * torch.randn(steps, 20, generator=draw))
    return torch.cat([noise, growth ** (t * torch.linspace(-1, 1, 20)), growth ** (t % torch.arange(4, 24))], dim=1)


# --- Lemma 4.2 -----------------------------------------------------------------------------------


@pytest.mark.parametrize("betas", PAIRS)
def test_line_17_lemma_4_2(betas):
    draw = generator(17)
    deltas, v = moments(sequences(betas, 200, draw), betas)
    assert (deltas**2 <= box.squared_update_bound(v, betas) + 1e-9).all()
    for rates in (None, torch.rand(200, generator=draw) + 1e-6, 1 / torch.arange(1, 201.0)):
        weights = torch.ones(200) if rates is None else rates
        mean = (weights[:, None] * deltas).cumsum(0) / weights.cumsum(0)[:, None]
        assert (mean**2 <= box.average_update_bound(v, betas, rates) + 1e-9).all()


def test_pointwise_bound_is_the_formula():
    """The recursion of the code against the double sum of the lemma."""
    betas, v = (0.6, 0.95), torch.rand(25, generator=generator(0)) + 0.1
    logs, bound = v.log(), box.squared_update_bound(v, betas)
    for t in range(1, 26):
        inner = sum(betas[0] ** (j - 1) * (logs[t - 1] - logs[t - j - 1]) for j in range(1, t))
        expected = 1 + (0.95 - 0.6) / 0.05 * (0.6 ** (t - 1) + 0.4 * inner)
        assert bound[t - 1] == pytest.approx(float(expected), rel=1e-12)


def test_equal_betas_give_one():
    v = torch.rand(50, 3, generator=generator(0)) + 0.1
    assert torch.equal(box.squared_update_bound(v, (0.9, 0.9)), torch.ones(50, 3))


def test_average_can_be_far_above_one_for_a_while():
    deltas, _ = moments((0.999 / 0.9) ** torch.arange(300.0)[:, None], (0.9, 0.999))
    assert deltas.mean() > 6.5


def test_average_stays_above_one_for_beta1_above_beta2():
    deltas, _ = moments(0.995 ** torch.arange(4000.0)[:, None], (0.99, 0.9))
    assert deltas.mean().item() == pytest.approx(1.804, abs=2e-3)


# --- line 18: the box ----------------------------------------------------------------------------


def problem(seed):
    draw = generator(seed)
    m = torch.randn(10, 10, generator=draw)
    return m @ m.T / 10 + 0.1 * torch.eye(10), 2 * torch.randn(10, generator=draw)


def test_line_18_adamw_goes_to_the_box_minimiser():
    betas = torch.tensor([[0.9, 0.9], [0.9, 0.95], [0.99, 0.99]]).T[:, :, None]
    for seed in (1, 2):
        hessian, centre = problem(seed)
        best = constrained.minimise_quadratic(hessian, centre, 1.0)
        rule = AdamW(lambda t: 0.05 / t**0.5, (betas[0], betas[1]), 0.0, 1.0)
        path = trajectory(rule, None, torch.zeros(10), 20_000, gradient=lambda x, t, A=hessian, c=centre: (x - c) @ A)
        assert (path[-1, :2] - best).abs().max() < 1e-3
        assert (path[-1, 2] - best).abs().max() < 1e-2  # a longer memory chatters more widely
        gap = norms.kkt_gap(path[-1], (path[-1] - centre) @ hessian, 1.0, dim=-1, relative=True)
        assert gap[:2].max() < 1e-3
        assert gap[2] < 1e-2
        assert path[:, [0, 2]].abs().max() <= 1 + 1e-9


def test_line_18_adam_with_l2_goes_to_the_ridge_solution():
    hessian, centre = problem(1)
    ridge = torch.linalg.solve(hessian + torch.eye(10), hessian @ centre)
    rule = Adam(lambda t: 0.05 / t**0.5, (0.9, 0.999), 0.0, 1.0)
    end = trajectory(rule, None, torch.zeros(10), 20_000, gradient=lambda x, t: (x - centre) @ hessian)[-1]
    assert (end - ridge).abs().max() < 1e-5
    assert (end - constrained.minimise_quadratic(hessian, centre, 1.0)).abs().max() > 0.3


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    beta=st.floats(0.0, 0.999),
    decay=st.floats(0.1, 5.0),
    start=st.floats(0.0, 10.0),
    eps=st.sampled_from([0.0, 1e-8, 0.1]),
    corrected=st.booleans(),
    eps_inside=st.booleans(),
)
def test_equal_betas_make_a_hard_box(seed, beta, decay, start, eps, corrected, eps_inside):
    draw = generator(seed)
    g = torch.randn(80, 20, generator=draw) * torch.exp(3 * torch.randn(80, 20, generator=draw))
    rates = torch.rand(80, generator=draw) / decay
    rule = AdamW(lambda t: rates[t - 1], (beta, beta), eps, decay, eps_inside=eps_inside, bias_correction=corrected)
    path = trajectory(rule, None, torch.full((20,), start), 80, gradient=lambda x, t: g[t - 1])
    assert path.abs().max() <= max(start, 1 / decay) * (1 + 1e-12)


# --- line 19: epsilon ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("eps_inside", "expected"),
    [
        (False, [0.71922359, 0.2267072, -0.8074176, 0.62372648]),
        (True, [0.8515387, 0.22019171, -0.94424257, 0.68087781]),
    ],
)
def test_line_19_adamw_ends_at_the_barrier_minimiser(eps_inside, expected):
    curvature, centre = torch.tensor([1.0, 2.0, 0.5, 3.0]), torch.tensor([2.0, 0.3, -5.0, 0.9])
    best = box.eps_minimiser(curvature, centre, 1.0, 0.5, eps_inside)
    torch.testing.assert_close(best, torch.tensor(expected), rtol=0, atol=1e-8)
    rule = AdamW(0.01, (0.9, 0.99), 0.5, 1.0, eps_inside=eps_inside)
    end = trajectory(rule, None, torch.zeros(4), 4000, gradient=lambda x, t: curvature * (x - centre))[-1]
    torch.testing.assert_close(end, best, rtol=0, atol=1e-8)


@given(
    a=st.floats(0.01, 100.0),
    c=st.floats(-10.0, 10.0),
    decay=st.floats(0.1, 5.0),
    eps=st.floats(1e-6, 100.0),
    inside=st.booleans(),
)
def test_eps_minimiser_is_a_minimum_inside_the_box(a, c, decay, eps, inside):
    assume(abs(c) > 1e-6)
    curvature, centre = torch.tensor([a]), torch.tensor([c])
    x = box.eps_minimiser(curvature, centre, decay, eps, inside)
    assert x.abs() < 1 / decay * (1 + 1e-12)
    nearby = torch.linspace(-1, 1, 41)[:, None] / decay
    total = 0.5 * a * (nearby - c).square().sum(-1) + box.eps_penalty(nearby, decay, eps, inside)
    here = 0.5 * a * (x - c).square().sum() + box.eps_penalty(x, decay, eps, inside)
    assert here <= total.min() + 1e-9 * (1 + abs(float(here)))


@pytest.mark.parametrize("inside", [False, True])
def test_penalty_slope_is_its_gradient(inside):
    theta = torch.linspace(-0.9, 0.9, 7).requires_grad_(True)
    (grad,) = torch.autograd.grad(box.eps_penalty(theta[:, None], 1.0, 0.3, inside).sum(), theta)
    torch.testing.assert_close(grad, box.eps_penalty_slope(theta.detach(), 1.0, 0.3, inside))


def test_penalty_limits():
    far = torch.tensor([1.5])
    assert box.eps_penalty(far, 1.0, 0.1) == math.inf
    assert box.eps_penalty(far, 1.0, 0.1, eps_inside=True) == math.inf
    assert box.eps_penalty(torch.tensor([1.0]), 1.0, 0.1) == math.inf
    assert box.eps_penalty(torch.tensor([1.0]), 1.0, 0.1, eps_inside=True) == 0
    small = torch.tensor([1e-3])
    assert box.eps_penalty(small, 2.0, 0.5).item() == pytest.approx(0.5 * 2.0 * 1e-6 / 2, rel=2e-3)
    clipped = box.eps_minimiser(torch.ones(2), torch.tensor([3.0, 0.2]), 1.0, 0.0)
    assert torch.equal(clipped, torch.tensor([1.0, 0.2]))


# --- line 20: beta1 > beta2 ----------------------------------------------------------------------


def test_line_20_torch_adamw_ends_outside_the_box():
    loss = box.EscapeLoss()
    orbit = trajectory(loss.rule, loss, torch.ones(1), 3000)
    assert torch.equal(orbit, loss.orbit)
    assert orbit[-1].item() == pytest.approx(-1.897622, abs=2e-6)
    assert (orbit[-1] - loss.minimiser).abs() < 1e-4
    x = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.AdamW([x], lr=0.005, betas=(0.99, 0.9), eps=0.0, weight_decay=1.0)
    for _ in range(3000):
        x.grad = loss.gradient(x.detach())
        optimizer.step()
    assert abs(x.item() - orbit[-1].item()) < 1e-9
    assert abs(x.item()) > 1.89


def test_line_20_ordered_betas_stay_in_the_box_on_the_same_loss():
    loss = box.EscapeLoss()
    betas = torch.tensor([[0.9, 0.9], [0.9, 0.99], [0.9, 0.999]]).T[:, :, None]
    path = trajectory(AdamW(0.005, (betas[0], betas[1]), 0.0, 1.0), loss, torch.ones(1), 6000)
    assert path.abs().max() <= 1 + 1e-9
    torch.testing.assert_close(path[-1, :2], -torch.ones(2, 1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("corrected", [True, False])
def test_escape_loss_without_bias_correction_and_other_betas(corrected):
    loss = box.EscapeLoss((0.9, 0.5), 0.96, 0.04, 2.0, steps=250, bias_correction=corrected)
    end = trajectory(loss.rule, loss, torch.ones(1), 250)[-1]
    assert (end - loss.minimiser).abs() < 1e-3
    assert end.abs() > 1.5 / 2


def test_escape_loss_is_convex_smooth_and_has_its_minimum_where_it_says():
    loss = box.EscapeLoss()
    x = torch.linspace(-4, 3, 7001)[:, None].requires_grad_(True)
    values = loss(x)
    (grad,) = torch.autograd.grad(values.sum(), x)
    torch.testing.assert_close(grad, loss.gradient(x.detach()))
    assert (loss.gradient(x.detach()).diff(dim=0) >= -1e-15).all()
    assert (values >= loss(loss.minimiser)).all()
    assert loss.gradient(loss.minimiser).item() == 0
    # Continuous: neighbouring values differ by what the slope allows.
    assert values.detach().diff().abs().max() < 1.1e-3 * loss.gradient(x.detach()).abs().max()


def test_escape_ratio():
    assert box.escape_ratio(1.0, (0.99, 0.9)).item() == 1
    assert box.escape_ratio(0.995, (0.99, 0.9)).item() == pytest.approx(1.897630, abs=1e-6)
    for beta1, beta2 in ((0.9, 0.89), (0.9, 0.85), (0.9, 0.82)):
        top = box.escape_ratio(beta2 / beta1, (beta1, beta2)).item()
        assert top == pytest.approx((1 - beta1) / math.sqrt((1 - beta2) * (1 - beta1**2 / beta2)), rel=1e-12)
    r = torch.linspace(0.96, 1.0, 50)
    assert (box.escape_ratio(r, (0.9, 0.9)) <= 1 + 1e-12).all()
    # The formula against the recursion it is the limit of.
    deltas, _ = moments(0.97 ** torch.arange(1500.0), (0.95, 0.6))
    assert deltas[-1].item() == pytest.approx(float(box.escape_ratio(0.97, (0.95, 0.6))), rel=1e-9)


@given(seed=st.integers(0, 10_000), count=st.integers(2, 30))
def test_prescribed_loss_has_its_slopes_at_its_nodes(seed, count):
    draw = generator(seed)
    nodes = torch.randperm(200, generator=draw)[:count].double() / 10
    slopes = torch.randn(count, generator=draw)
    loss = box.PrescribedLoss(nodes, slopes)
    assert torch.equal(loss.gradient(nodes[:, None])[:, 0], slopes)
    assert loss(nodes.min().reshape(1)).item() == pytest.approx(0, abs=1e-12)


def test_rates_that_rise_can_leave_the_box_with_ordered_betas():
    """Theorem 1.1 needs rates that do not increase: a wave-like loss for which they do."""
    slopes, rates = [], []
    for k in range(40):
        up = [(0.9 / 0.5) ** (j - 11) for j in range(12)]
        slopes += [0.85**k * s for s in [1e-6 * (1 + j / 80) for j in range(40)] + up]
        rates += [r / (k + 1) ** 0.5 for r in [1e-3] * 50 + [0.3] * 2]
    slopes = torch.tensor(slopes)
    rule = AdamW(lambda t: rates[t - 1], (0.5, 0.9), 0.0, 1.0, bias_correction=False)
    orbit = box.prescribed_path(rule, slopes, start=1.0)
    loss = box.PrescribedLoss(orbit[:-1, 0], slopes)
    end = trajectory(rule, loss, torch.ones(1), len(slopes))[-1]
    assert end.abs() > 1.6
    falling = sorted(rates, reverse=True)
    decreasing = rule.replace(lr=lambda t: falling[t - 1])
    assert box.prescribed_path(decreasing, slopes, start=1.0)[-1].abs() < 1


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: box.squared_update_bound(torch.ones(3), (0.99, 0.9)), "beta1 <= beta2"),
        (lambda: box.squared_update_bound(torch.zeros(3), (0.9, 0.9)), "positive"),
        (lambda: box.average_update_bound(torch.ones(3), (0.9, 0.9), torch.ones(2)), "shape"),
        (lambda: box.average_update_bound(torch.ones(2), (0.9, 0.9), torch.tensor([1.0, -1.0])), "rates"),
        (lambda: box.eps_penalty(torch.ones(2), 0.0, 0.1), "weight_decay"),
        (lambda: box.eps_penalty(torch.ones(2), 1.0, -0.1), "eps"),
        (lambda: box.eps_minimiser(torch.ones(2), torch.ones(3), 1.0, 0.1), "one length"),
        (lambda: box.escape_ratio(0.99, (0.99, 0.9)), "larger than beta1"),
        (lambda: box.escape_ratio(1.1, (0.99, 0.9)), "r must"),
        (lambda: box.EscapeLoss((0.9, 0.99), 0.999), "stays in its box"),
        (lambda: box.EscapeLoss(steps=20_000), "nodes|fall"),
        (lambda: box.PrescribedLoss(torch.ones(3), torch.ones(3)), "distinct"),
        (lambda: box.PrescribedLoss(torch.ones(1), torch.ones(1)), "two or more"),
    ],
)
def test_bad_input_says_what_is_wrong(call, text):
    with pytest.raises(ValueError, match=text):
        call()
