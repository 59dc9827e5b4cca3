"""Norm balls: projections, certified minimisers, Theorem 3.5 and the methods it covers.

Acceptance lines 15, 16 and 35 of the course's list.
"""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from optbias import norms
from optbias.rules import Lion, Muon, NormalizedSteepestDescent, SignGD
from optbias.seeding import generator
from optbias.simulate import trajectory
from optbias.theory import constrained

VECTOR_NORMS = ("l1", "l2", "linf")


def quadratic(seed: int, d: int, condition: float = 100.0) -> tuple[torch.Tensor, torch.Tensor]:
    """A random Hessian with the given condition number, and a random centre."""
    draw = generator(seed)
    q, _ = torch.linalg.qr(torch.randn(d, d, generator=draw))
    hessian = (q * torch.logspace(0, -math.log10(condition), d)) @ q.T
    return (hessian + hessian.T) / 2, 2 * torch.randn(d, generator=draw)


def value(hessian: torch.Tensor, centre: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return 0.5 * ((x - centre) @ hessian * (x - centre)).sum(-1)


def frank_wolfe_run(hessian, centre, theta0, radius, norm, steps):
    rule = NormalizedSteepestDescent(constrained.frank_wolfe_rate(1 / radius), norm, 1 / radius)
    return trajectory(rule, None, theta0, steps, gradient=lambda x, t: (x - centre) @ hessian)


# --- projections ---------------------------------------------------------------------------------


@given(seed=st.integers(0, 10_000), radius=st.floats(0.05, 5.0), norm=st.sampled_from(norms.NORMS))
def test_projection_is_the_nearest_point_of_the_ball(seed, radius, norm):
    draw = generator(seed)
    shape = (4, 3) if norm in ("spectral", "nuclear") else (6,)
    x, other = 2 * torch.randn(shape, generator=draw), torch.randn(shape, generator=draw)
    p = constrained.project(x, radius, norm)
    assert norms.norm(p, norm) <= radius * (1 + 1e-12)
    # p is nearest iff <x - p, s - p> <= 0 on the ball, and the largest <x - p, s> is the dual norm.
    assert norms.dual_norm(x - p, norm) * radius <= ((x - p) * p).sum() + 1e-10
    inside = other * radius / norms.norm(other, norm)
    assert (x - p).square().sum() <= (x - inside).square().sum() + 1e-12
    torch.testing.assert_close(constrained.project(p, radius, norm), p, rtol=0, atol=1e-12)


@pytest.mark.parametrize("norm", norms.NORMS)
def test_projection_of_a_batch_is_that_of_each(norm):
    x = 2 * torch.randn(5, 4, 3, generator=generator(0))
    together = constrained.project(x, 0.7, norm)
    if norm in ("spectral", "nuclear"):
        each = torch.stack([constrained.project(m, 0.7, norm) for m in x])
    else:
        each = torch.stack([torch.stack([constrained.project(v, 0.7, norm) for v in m]) for m in x])
    torch.testing.assert_close(together, each, rtol=0, atol=1e-14)


def test_a_point_inside_is_not_moved():
    x = torch.tensor([0.1, -0.2, 0.05])
    for norm in VECTOR_NORMS:
        assert torch.equal(constrained.project(x, 1.0, norm), x)


# --- minimisers and smoothness -------------------------------------------------------------------


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    d=st.integers(1, 8),
    radius=st.floats(0.05, 3.0),
    norm=st.sampled_from(VECTOR_NORMS),
)
def test_minimiser_of_a_quadratic_is_certified_and_agrees_with_projected_gradient(seed, d, radius, norm):
    hessian, centre = quadratic(seed, d)
    best = constrained.minimise_quadratic(hessian, centre, radius, norm)
    assert norms.norm(best, norm) <= radius * (1 + 1e-9)
    assert norms.kkt_gap(best, hessian @ (best - centre), radius, norm).abs() <= 1e-8 * (1 + 1 / radius)
    other = constrained.projected_gradient(
        lambda x: hessian @ (x - centre), torch.zeros(d), radius, norm, lr=1.0, tol=1e-11
    )
    assert abs(value(hessian, centre, best) - value(hessian, centre, other)) <= 1e-9


def test_box_minimiser_agrees_with_lbfgsb():
    hessian, centre = quadratic(3, 10)
    best = constrained.minimise_quadratic(hessian, centre, 0.8)
    fit = minimize(
        lambda x: value(hessian, centre, torch.as_tensor(x)).item(),
        torch.zeros(10).numpy(),
        jac=lambda x: (hessian @ (torch.as_tensor(x) - centre)).numpy(),
        bounds=[(-0.8, 0.8)] * 10,
        method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-10},
    )
    torch.testing.assert_close(best, torch.as_tensor(fit.x), rtol=0, atol=1e-6)


def test_flat_directions_are_allowed():
    hessian = torch.diag(torch.tensor([1.0, 0.0, 2.0]))
    centre = torch.tensor([2.0, 5.0, 0.1])
    for norm in VECTOR_NORMS:
        best = constrained.minimise_quadratic(hessian, centre, 1.0, norm)
        assert norms.kkt_gap(best, hessian @ (best - centre), 1.0, norm).abs() < 1e-8


@given(seed=st.integers(0, 10_000), d=st.integers(1, 6), norm=st.sampled_from(VECTOR_NORMS))
def test_smoothness_is_the_maximum_over_the_ball(seed, d, norm):
    hessian, _ = quadratic(seed, d)
    L = constrained.smoothness(hessian, norm)
    x = torch.randn(200, d, generator=generator(seed + 1))
    ratio = norms.dual_norm(x @ hessian, norm, -1) / norms.norm(x, norm, -1)
    assert ratio.max() <= L * (1 + 1e-9)
    ratio = (x @ hessian * x).sum(-1) / norms.norm(x, norm, -1).square()
    assert ratio.max() <= L * (1 + 1e-9)


def test_smoothness_values():
    hessian = torch.diag(torch.arange(1.0, 6.0))
    assert constrained.smoothness(hessian, "l2") == pytest.approx(5, rel=1e-12)
    assert constrained.smoothness(hessian, "l1") == 5
    assert constrained.smoothness(hessian, "linf") == pytest.approx(15, rel=1e-12)
    wide = torch.diag(torch.ones(constrained.EXACT_LINF_DIMENSION + 1))
    assert constrained.smoothness(wide, "linf") == constrained.EXACT_LINF_DIMENSION + 1
    # Off the diagonal signs can cancel: the sum of |H_ij| would be 2 larger.
    mixed = torch.tensor([[2.0, 1, 1], [1, 2, -1], [1, -1, 2]])
    assert constrained.smoothness(mixed, "linf") == pytest.approx(8, rel=1e-12)
    assert mixed.abs().sum() == 12


# --- Frank-Wolfe, Theorem 3.5 --------------------------------------------------------------------


@pytest.mark.parametrize("norm", norms.NORMS)
def test_decayed_steepest_descent_is_frank_wolfe(norm):
    matrix = norm in ("spectral", "nuclear")
    hessian, centre = quadratic(0, 10)
    target = 6 * torch.randn(4, 3, generator=generator(3))

    def gradient(x, t=0):
        return x - target if matrix else (x - centre) @ hessian

    decay, theta = 0.8, torch.zeros(4, 3) if matrix else torch.zeros(10)
    rule = NormalizedSteepestDescent(lambda t: 0.5 / t**0.5, norm, decay)
    path = trajectory(rule, None, theta, 200, gradient=gradient)
    for t in range(1, 201):
        gamma = decay * 0.5 / t**0.5
        theta = (1 - gamma) * theta + gamma * norms.lmo(gradient(theta), 1 / decay, norm)
        assert (path[t] - theta).abs().max() < 1e-14


@given(
    seed=st.integers(0, 10_000),
    norm=st.sampled_from(VECTOR_NORMS),
    size=st.floats(0.0, 50.0),
    decay=st.floats(0.05, 5.0),
)
def test_the_ball_attracts(seed, norm, size, decay):
    draw = generator(seed)
    rates = torch.rand(60, generator=draw) / decay
    theta0 = torch.randn(5, generator=draw)
    theta0 = size * theta0 / norms.norm(theta0, norm)
    noise = torch.randn(60, 5, generator=draw)
    rule = NormalizedSteepestDescent(lambda t: rates[t - 1], norm, decay)
    path = trajectory(rule, None, theta0, 60, gradient=lambda x, t: noise[t - 1])
    excess = norms.norm(path, norm, -1) - 1 / decay
    shrink = torch.cat([torch.ones(1), (1 - decay * rates).cumprod(0)])
    assert (excess <= shrink * excess[0] + 1e-12 * (1 + size + 1 / decay)).all()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    d=st.integers(1, 8),
    condition=st.floats(1.0, 1e4),
    radius=st.floats(0.1, 10.0),
    start=st.floats(0.0, 20.0),
    norm=st.sampled_from(VECTOR_NORMS),
)
def test_theorem_3_5_and_the_gap_to_zero(seed, d, condition, radius, start, norm):
    """For random convex quadratics, radii, starts (also outside) and norms."""
    hessian, centre = quadratic(seed, d, condition)
    theta0 = torch.randn(d, generator=generator(seed + 7))
    theta0 = start * theta0 / norms.norm(theta0, norm)
    steps = 400
    path = frank_wolfe_run(hessian, centre, theta0, radius, norm, steps)
    L = constrained.smoothness(hessian, norm)
    B = max(start, radius) * (1 + 1e-12)
    best = value(hessian, centre, constrained.minimise_quadratic(hessian, centre, radius, norm))
    t = torch.arange(1, steps + 1)
    above = value(hessian, centre, path[1:]) - best
    bound = constrained.frank_wolfe_bound(t, L, 1 / radius, B)
    assert (above <= bound + 1e-9).all()
    assert (norms.norm(path[1:], norm, -1) <= radius * (1 + 1e-12)).all()
    gap = norms.kkt_gap(path, (path - centre) @ hessian, radius, norm, dim=-1)
    assert (gap[1:] >= -1e-10).all()
    # The best gap of each stretch [K, 2K) is below a bound that falls like 1/K: the gap goes to 0.
    bounds = []
    for first in (25, 50, 100, 200):
        bounds.append(constrained.best_gap_bound(first, 2 * first, L, 1 / radius, B))
        assert gap[first : 2 * first].min() <= bounds[-1] + 1e-12
    assert bounds[-1] < 0.16 * bounds[0]


def test_bound_in_the_ball_is_8L():
    assert constrained.frank_wolfe_bound(8, 3.0, 2.0, 0.5).item() == pytest.approx(8 * 3 / (10 * 4), rel=1e-15)


def test_line_16_max_norm_wins_on_the_ill_scaled_quadratic():
    d, last = 100, {}
    hessian = torch.diag(2 / torch.arange(1, d + 1.0) ** 2)
    for seed in range(3):
        star = 2 * torch.rand(d, generator=generator(seed)) - 1
        for norm in ("l2", "linf"):
            radius = float(norms.norm(star, norm))
            path = frank_wolfe_run(hessian, star, torch.zeros(d), radius, norm, 1000)
            last[norm] = value(hessian, star, path[-1])
            L = constrained.smoothness(hessian, norm)
            assert last[norm] < constrained.frank_wolfe_bound(1000, L, 1 / radius, radius)
        assert last["l2"] > 100 * last["linf"]


# --- line 35: the family -------------------------------------------------------------------------


def test_lion_ends_at_the_clipped_minimiser():
    b = 2 * torch.randn(10, generator=generator(0))
    rule = Lion(lambda t: 0.1 / t**0.5, (0.9, 0.99), 1.0)
    path = trajectory(rule, None, torch.zeros(10), 8000, gradient=lambda x, t: x - b)
    assert (path[-1] - b.clamp(-1, 1)).abs().max() < 2e-3
    assert path.abs().max() <= 1 + 1e-12


@pytest.mark.parametrize("nesterov", [True, False])
def test_exact_muon_ends_at_the_spectral_projection(nesterov):
    target = 2 * torch.randn(6, 4, generator=generator(1))
    rule = Muon(lambda t: 0.1 / t**0.5, 0.95, 1.0, nesterov=nesterov, orthogonalize="svd", adjust_lr=False)
    path = trajectory(rule, None, torch.zeros(6, 4), 3000, gradient=lambda x, t: x - target)
    assert (path[-1] - constrained.project(target, 1.0, "spectral")).abs().max() < 2e-3
    assert torch.linalg.svdvals(path).max() <= 1 + 1e-12


def test_spectral_frank_wolfe_is_exact_after_ten_steps():
    target = 2 * torch.randn(6, 4, generator=generator(1))  # all singular values above 1
    rule = NormalizedSteepestDescent(constrained.frank_wolfe_rate(1.0), "spectral", 1.0)
    end = trajectory(rule, None, torch.zeros(6, 4), 10, gradient=lambda x, t: x - target)[-1]
    best = constrained.project(target, 1.0, "spectral")
    assert 0.5 * ((end - target).square().sum() - (best - target).square().sum()) < 1e-13


@pytest.mark.parametrize("norm", norms.NORMS)
def test_every_norm_reaches_its_projected_optimum(norm):
    matrix = norm in ("spectral", "nuclear")
    hessian, centre = quadratic(5, 8, condition=10)
    target = 2 * torch.randn(6, 4, generator=generator(1))
    theta0, lr = (torch.zeros(6, 4), 1.0) if matrix else (torch.zeros(8), 1.0)

    def gradient(x, t=0):
        return x - target if matrix else (x - centre) @ hessian

    def loss(x):
        return 0.5 * (x - target).square().sum() if matrix else value(hessian, centre, x)

    best = constrained.projected_gradient(gradient, theta0, 1.0, norm, lr, tol=1e-11)
    rule = NormalizedSteepestDescent(constrained.frank_wolfe_rate(1.0), norm, 1.0)
    end = trajectory(rule, None, theta0, 4000, gradient=gradient)[-1]
    assert -1e-10 <= loss(end) - loss(best) < 2e-5


def test_sign_descent_without_decay_has_no_ball():
    path = trajectory(SignGD(0.1, 0.0), None, torch.zeros(1), 200, gradient=lambda x, t: torch.ones(1))
    assert path.abs().max() > 19


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: constrained.project(torch.ones(2), 0.0), "radius"),
        (lambda: constrained.project(torch.ones(2), 1.0, "l3"), "norm"),
        (lambda: constrained.minimise_quadratic(torch.eye(2), torch.ones(3), 1.0), "centre"),
        (lambda: constrained.minimise_quadratic(torch.ones(2, 3), torch.ones(2), 1.0), "square"),
        (lambda: constrained.minimise_quadratic(-torch.eye(2), torch.ones(2), 1.0), "semi-definite"),
        (lambda: constrained.minimise_quadratic(torch.tensor([[1.0, 1], [0, 1]]), torch.ones(2), 1.0), "symmetric"),
        (lambda: constrained.minimise_quadratic(torch.eye(2), torch.ones(2), 1.0, "spectral"), "norm"),
        (lambda: constrained.smoothness(torch.eye(2), "nuclear"), "norm"),
        (lambda: constrained.frank_wolfe_rate(0.0), "weight_decay"),
        (lambda: constrained.frank_wolfe_bound(0, 1.0, 1.0, 1.0), "t must"),
        (lambda: constrained.frank_wolfe_bound(1, 1.0, 1.0, 0.5), "B must"),
        (lambda: constrained.best_gap_bound(5, 5, 1.0, 1.0, 1.0), "stop"),
    ],
)
def test_bad_input_says_what_is_wrong(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_an_oracle_that_did_not_converge_says_so():
    with pytest.raises(RuntimeError, match="Frank-Wolfe gap"):
        constrained.projected_gradient(lambda x: x - 5, torch.zeros(3), 1.0, "l2", 1e-3, max_steps=3)
