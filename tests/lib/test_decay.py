"""Weight decay: L2 against decoupled decay, with gradient descent, momentum and Adam; the proximal view.

Acceptance lines 13 and 14 of the course's list: what each form does, and what each form is not.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from optbias.rules import Adam, AdamW, GradientDescent, Momentum
from optbias.seeding import generator
from optbias.simulate import trajectory
from optbias.theory import proximal

CURVATURE = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)


def bowl(theta: torch.Tensor, t: int = 0) -> torch.Tensor:
    """Gradient of 1/2 (x^2 + 2 y^2 + 5 z^2)."""
    return CURVATURE * theta


def run(rule, theta0, steps, gradient):
    return trajectory(rule, lambda x: x.sum(-1), theta0, steps, gradient=gradient)


# --- plain gradient descent --------------------------------------------------------------------


@given(lr=st.floats(1e-3, 0.2), lam=st.floats(0.0, 1.0))
def test_gradient_descent_penalty_half_lambda_is_decay(lr, lam):
    theta0 = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    coupled = run(GradientDescent(lr=lr, weight_decay=lam), theta0, 50, bowl)
    decoupled = run(GradientDescent(lr=lr, weight_decay=lam, decoupled=True), theta0, 50, bowl)
    assert (coupled - decoupled).abs().max() < 1e-14


def test_gradient_descent_full_penalty_needs_twice_the_decay():
    theta0, lr, lam = torch.ones(3), 0.05, 0.3

    def penalised(theta, t):  # the gradient of f + lambda |theta|^2
        return bowl(theta) + 2 * lam * theta

    full = run(GradientDescent(lr=lr), theta0, 50, penalised)
    twice = run(GradientDescent(lr=lr, weight_decay=2 * lam, decoupled=True), theta0, 50, bowl)
    once = run(GradientDescent(lr=lr, weight_decay=lam, decoupled=True), theta0, 50, bowl)
    assert (full - twice).abs().max() < 1e-14
    assert (full - once).abs().max() > 1e-2


# --- momentum ----------------------------------------------------------------------------------


def test_momentum_l2_is_not_decay():
    rule = Momentum(lr=0.05, beta=0.9, form="heavy_ball", weight_decay=0.1)
    coupled = run(rule, torch.ones(3), 20, bowl)[-1]
    decoupled = run(rule.replace(decoupled=True), torch.ones(3), 20, bowl)[-1]
    assert (coupled - decoupled).abs().max().item() == pytest.approx(6.945e-2, rel=1e-3)


@pytest.mark.parametrize(("form", "factor"), [("ema", 1.0), ("heavy_ball", 0.1)])
def test_momentum_decoupled_decay_ends_at_another_ridge_strength(form, factor):
    target, lam, beta = torch.tensor([1.0, -1.0, 2.0]), 0.5, 0.9

    def grad(theta, t):
        return CURVATURE * (theta - target)

    rule = Momentum(lr=0.05, beta=beta, form=form, weight_decay=lam)
    coupled = run(rule, torch.zeros(3), 4000, grad)[-1]
    decoupled = run(rule.replace(decoupled=True), torch.zeros(3), 4000, grad)[-1]
    strength = lam * factor
    assert torch.allclose(coupled, CURVATURE * target / (CURVATURE + lam), atol=1e-12)
    assert torch.allclose(decoupled, CURVATURE * target / (CURVATURE + strength), atol=1e-12)


# --- Adam --------------------------------------------------------------------------------------


def two_dim(theta: torch.Tensor, t: int = 0) -> torch.Tensor:
    """Gradient of x^2 + 5 (y - 1)^2."""
    return torch.stack([2 * theta[..., 0], 10 * (theta[..., 1] - 1)], dim=-1)


@pytest.mark.parametrize("decoupled", [False, True])
def test_torch_adam_and_adamw_are_the_formulas(decoupled):
    """A21, A22: written out in numpy, independently of the library."""
    lr, b1, b2, eps, lam = 0.05, 0.9, 0.999, 1e-8, 0.5
    theta = np.array([1.0, -1.0])
    m, v = np.zeros(2), np.zeros(2)
    param = torch.nn.Parameter(torch.tensor(theta))
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    optimizer = kind([param], lr=lr, betas=(b1, b2), eps=eps, weight_decay=lam)
    for t in range(1, 31):
        g = np.array([2 * theta[0], 10 * (theta[1] - 1)])
        if not decoupled:
            g = g + lam * theta
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        step = (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
        theta = (1 - lr * lam * decoupled) * theta - lr * step
        param.grad = two_dim(param.detach())
        optimizer.step()
        assert np.abs(theta - param.detach().numpy()).max() < 1e-13


def naive_l2(theta, grad, lr, betas, eps, lam, steps):
    """theta - lr D (m_hat + lambda theta), with moments of the plain gradient only."""
    b1, b2 = betas
    m, v = torch.zeros_like(theta), torch.zeros_like(theta)
    for t in range(1, steps + 1):
        g = grad(theta, t)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        d = proximal.scaling(v / (1 - b2**t), eps)
        theta = theta - lr * d * (m / (1 - b1**t) + lam * theta)
    return theta


def test_naive_formula_is_neither_adam_l2_nor_adamw():
    theta0 = torch.tensor([1.0, -1.0])
    setting = {"lr": 0.05, "betas": (0.9, 0.999), "eps": 1e-8}
    naive = naive_l2(theta0, two_dim, **setting, lam=0.5, steps=30)
    for rule in (Adam(**setting, weight_decay=0.5), AdamW(**setting, weight_decay=0.5)):
        assert (run(rule, theta0, 30, two_dim)[-1] - naive).abs().max() > 1e-2


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_adam_l2_minimises_the_ridge_objective_and_adamw_does_not(seed):
    source = generator(seed)
    root = torch.randn(10, 10, generator=source)
    a, target = root @ root.T / 10 + 0.1 * torch.eye(10), 2 * torch.randn(10, generator=source)

    def grad(theta, t):
        return (theta - target) @ a

    ridge = torch.linalg.solve(a + torch.eye(10), a @ target)
    setting = {"lr": lambda t: 0.05 * 0.998**t, "betas": (0.9, 0.9), "weight_decay": 1.0}
    l2 = run(Adam(**setting), torch.zeros(10), 4000, grad)
    decay = run(AdamW(**setting), torch.zeros(10), 4000, grad)
    assert (l2[-1] - ridge).abs().max() < 1e-5
    assert (decay[-1] - ridge).abs().max() > 0.1
    assert decay.abs().max() <= 1 + 1e-12


@pytest.mark.parametrize("eps_inside", [False, True])
def test_adamw_with_eps_minimises_a_barrier(eps_inside):
    """The fixed points of AdamW with eps > 0 are stationary points of f plus a barrier of the box."""
    curvature = torch.tensor([1.0, 2.0, 0.5, 3.0])
    target = torch.tensor([2.0, 0.3, -5.0, 0.9])
    eps, lam = 0.5, 1.0

    def grad(theta, t):
        return curvature * (theta - target)

    rule = AdamW(lr=1e-2, betas=(0.9, 0.99), eps=eps, weight_decay=lam, eps_inside=eps_inside)
    end = run(rule, torch.zeros(4), 5000, grad)[-1]
    if eps_inside:
        barrier = math.sqrt(eps) * lam * end / torch.sqrt(1 - (lam * end) ** 2)
        expected = [0.8515387, 0.22019171, -0.94424257, 0.68087781]
    else:
        barrier = eps * lam * end / (1 - lam * end.abs())
        expected = [0.71922359, 0.2267072, -0.8074176, 0.62372648]
    assert (grad(end, 0) + barrier).abs().max() < 1e-10
    assert torch.allclose(end, torch.tensor(expected), atol=1e-7)


# --- the proximal view -------------------------------------------------------------------------


def instance(seed: int, size: int = 6) -> dict[str, torch.Tensor]:
    source = generator(seed)
    return {
        "theta": torch.randn(size, generator=source),
        "m_hat": torch.randn(size, generator=source),
        "d": proximal.scaling(torch.rand(size, generator=source) + 0.05, 1e-8),
    }


@pytest.mark.parametrize("form", proximal.FORMS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_closed_form_is_the_numerical_minimiser(form, seed):
    problem = instance(seed) | {"lr": 0.1, "weight_decay": 0.7, "form": form}

    def value(x: np.ndarray) -> tuple[float, np.ndarray]:
        point = torch.tensor(x, requires_grad=True)
        loss = proximal.objective(point, **problem)
        loss.backward()
        return loss.item(), point.grad.numpy()

    found = minimize(value, np.zeros(6), jac=True, method="BFGS", options={"gtol": 1e-10})
    assert np.abs(found.x - proximal.minimiser(**problem).numpy()).max() < 1e-6


def test_linearised_weighted_penalty_is_adamw():
    theta, grad = torch.randn(5, generator=generator(3)), torch.randn(5, generator=generator(4))
    rule = AdamW(lr=0.1, betas=(0.9, 0.99), weight_decay=0.4)
    state = rule.init(theta)
    for _ in range(3):
        before = theta
        theta, state = rule.update(before, grad, state)
        m_hat = state["m"] / (1 - 0.9 ** state["t"])
        d = proximal.scaling(state["v"] / (1 - 0.99 ** state["t"]), 1e-8)
        assert torch.allclose(proximal.minimiser(before, m_hat, d, 0.1, 0.4, "weighted_linear"), theta, atol=1e-15)


def test_weighted_penalty_differs_from_adamw_to_second_order():
    rates = torch.tensor([0.1, 0.05, 0.025, 0.0125])
    problem = instance(0)
    gaps = [
        (proximal.minimiser(**problem, lr=r, weight_decay=0.7, form="weighted")
         - proximal.minimiser(**problem, lr=r, weight_decay=0.7, form="weighted_linear")).abs().max().item()
        for r in rates.tolist()
    ]  # fmt: skip
    slope = np.polyfit(np.log(rates.numpy()), np.log(gaps), 1)[0]
    assert slope == pytest.approx(2.0, abs=0.1)


def test_penalty_at_the_old_point_decays_nothing():
    problem = instance(1) | {"lr": 0.1, "form": "constant"}
    with_penalty = proximal.minimiser(**problem, weight_decay=0.7)
    without = proximal.minimiser(**problem, weight_decay=0.0)
    assert torch.equal(with_penalty, without)


def test_plain_penalty_scales_the_decay_by_d():
    problem = instance(2) | {"lr": 0.1, "weight_decay": 0.7} | {"m_hat": torch.zeros(6)}
    kept = proximal.minimiser(**problem, form="plain") / problem["theta"]
    assert torch.allclose(kept, 1 / (1 + 0.07 * problem["d"]), atol=1e-15)
    assert kept.max() - kept.min() > 1e-2


def test_scaling_has_both_places_of_eps():
    v = torch.tensor([0.0, 1e-12, 4.0])
    assert torch.allclose(proximal.scaling(v, 1e-8), 1 / torch.tensor([1e-8, 1.01e-6, 2.0 + 1e-8]))
    assert torch.allclose(proximal.scaling(v, 1e-8, eps_inside=True), 1 / (v + 1e-8).sqrt())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"form": "ridge"}, "form must be one of"),
        ({"lr": 0.0}, "lr must be"),
        ({"weight_decay": -1.0}, "weight_decay must be"),
        ({"d": torch.tensor([1.0, 0.0])}, "d must be"),
    ],
)
def test_bad_input(change, message):
    problem = {"theta": torch.ones(2), "m_hat": torch.ones(2), "d": torch.ones(2), "lr": 0.1, "weight_decay": 0.1}
    problem = problem | {"form": "plain"} | change
    for call in (proximal.minimiser, lambda **kw: proximal.objective(torch.zeros(2), **kw)):
        with pytest.raises(ValueError, match=message):
            call(**problem)


def test_bad_scaling():
    with pytest.raises(ValueError, match="both be 0"):
        proximal.scaling(torch.tensor([0.0, 1.0]), eps=0.0)
    with pytest.raises(ValueError, match="v_hat must be"):
        proximal.scaling(torch.tensor([-1.0]))
    with pytest.raises(TypeError, match="x must be"):
        proximal.objective([0.0], torch.ones(1), torch.ones(1), torch.ones(1), 0.1, 0.1, "plain")
