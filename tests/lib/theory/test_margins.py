"""Minimum norms and maximum margins against optimality conditions; Wilson's construction exactly."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from optbias.norms import norm
from optbias.rules import (
    AdaGrad,
    Adam,
    AMSGrad,
    GradientDescent,
    Momentum,
    NormalizedSteepestDescent,
    RMSProp,
    SignGD,
)
from optbias.seeding import generator
from optbias.simulate import trajectory
from optbias.theory.margins import LeastSquares, LogisticLoss, margin, max_margin, min_norm_solution, wilson_problem

torch.set_default_dtype(torch.float64)


def separable(seed, n=30, d=10):
    rng = generator(seed)
    x, teacher = torch.randn(n, d, generator=rng), torch.randn(d, generator=rng)
    y = torch.sign(x @ teacher)
    return x + 0.5 * y[:, None] * teacher / teacher.norm(), y


def test_gradient_descent_ends_at_the_nearest_solution():
    rng = generator(0)
    a, b = torch.randn(6, 15, generator=rng), torch.randn(6, generator=rng)
    for start in (torch.zeros(15), torch.randn(15, generator=rng)):
        end = trajectory(GradientDescent(lr=0.04), LeastSquares(a, b), start, 3000)[-1]
        assert (end - min_norm_solution(a, b, start)).abs().max() < 1e-12
    assert (min_norm_solution(a, b, torch.ones(15)) - min_norm_solution(a, b)).abs().max() > 0.1
    with pytest.raises(ValueError, match="no exact solution"):
        min_norm_solution(torch.ones(2, 1), torch.tensor([0.0, 1.0]))
    with pytest.raises(ValueError, match="start must have the shape"):
        min_norm_solution(a, b, torch.zeros(14))


def test_momentum_ends_at_the_minimum_norm_and_adam_does_not():
    rng = generator(0)
    loss = LeastSquares(torch.randn(6, 15, generator=rng), torch.randn(6, generator=rng))
    shortest = min_norm_solution(loss.x, loss.y)
    rolling = trajectory(Momentum(lr=0.04, beta=0.9), loss, torch.zeros(15), 2000)[-1]
    assert (rolling - shortest).abs().max() < 1e-10
    adam = trajectory(Adam(lr=lambda t: 0.1 / t**0.5), loss, torch.zeros(15), 4000)[-1]
    assert loss(adam) < 1e-8
    assert adam.norm() > 1.1 * shortest.norm()


def test_least_squares_against_autograd():
    rng = generator(1)
    loss = LeastSquares(torch.randn(4, 3, generator=rng), torch.randn(4, generator=rng))
    w = torch.randn(5, 3, generator=rng).requires_grad_(True)
    (expected,) = torch.autograd.grad(loss(w).sum(), w)
    assert torch.allclose(loss.gradient(w.detach()), expected, atol=1e-13)
    with pytest.raises(ValueError, match="shapes"):
        LeastSquares(torch.zeros(3, 2), torch.zeros(2))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 100_000), n=st.integers(2, 12), d=st.integers(2, 6))
def test_no_direction_beats_the_largest_margin(seed, n, d):
    x, y = separable(seed, n, d)
    assume((y != 0).all())
    rng = generator(seed)
    for name in ("l2", "linf", "l1"):
        w, best = max_margin(x, y, name)
        assert norm(w, name).item() == pytest.approx(1.0, abs=1e-6)
        assert margin(w, x, y, name).item() == pytest.approx(best, rel=1e-6, abs=1e-9)
        others = torch.cat([torch.randn(200, d, generator=rng), w + 0.01 * torch.randn(200, d, generator=rng)])
        assert (margin(others, x, y, name) <= best + 1e-9).all()


def test_inseparable_data_are_refused():
    x, y = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([1.0, -1.0])
    for name in ("l2", "linf", "l1"):
        with pytest.raises(ValueError, match="separated"):
            max_margin(x, y, name)


def test_bad_input_is_named():
    x, y = separable(0)
    with pytest.raises(ValueError, match="norm must be one of"):
        max_margin(x, y, "l3")
    with pytest.raises(ValueError, match=r"\+1 and -1"):
        max_margin(x, y * 2)
    with pytest.raises(ValueError, match="shapes"):
        max_margin(x, y[:-1])
    for bad in (2, True, 3.0):
        with pytest.raises(ValueError, match="n must"):
            wilson_problem(bad)
    with pytest.raises(ValueError, match="p must"):
        wilson_problem(10, 0.5)


def test_logistic_gradient_against_autograd_and_far_away():
    x, y = separable(1)
    loss = LogisticLoss(x, y)
    w = torch.randn(4, 10, generator=generator(2)).requires_grad_(True)
    (expected,) = torch.autograd.grad(loss(w).sum(), w)
    assert torch.allclose(loss.gradient(w.detach()), expected, atol=1e-14)
    direction, _ = max_margin(x, y)
    far = loss.gradient(2000 * direction / margin(direction, x, y) / 10)
    assert (far != 0).any()
    assert torch.isfinite(far).all()


def test_logistic_loss_of_several_data_sets_is_that_of_each():
    sets = [separable(seed) for seed in range(3)]
    stacked = LogisticLoss(*(torch.stack(part)[:, None] for part in zip(*sets, strict=True)))
    w = torch.randn(3, 2, 10, generator=generator(4))
    for k, (x, y) in enumerate(sets):
        assert torch.allclose(stacked(w)[k], LogisticLoss(x, y)(w[k]), atol=1e-14)
        assert torch.allclose(stacked.gradient(w)[k], LogisticLoss(x, y).gradient(w[k]), atol=1e-14)
    with pytest.raises(ValueError, match="shapes"):
        LogisticLoss(torch.zeros(3, 2), torch.zeros(2))


@given(n=st.integers(3, 40), p=st.floats(0.51, 0.9), seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_wilson_construction_exactly(n, p, seed):
    problem = wilson_problem(n, p, seed)
    x, y = problem.x, problem.y
    assert x.shape == (n, 3 + 5 * n)
    assert torch.equal(x @ torch.sign(x.T @ y), 4 * y)
    plus, minus = problem.min_norm_weights()
    alpha = torch.where(y > 0, plus, minus)
    assert torch.allclose(x.T @ alpha, min_norm_solution(x, y), atol=1e-12)
    fresh = torch.tensor([1.0, -1.0])
    assert problem.test_error(min_norm_solution(x, y), fresh).item() == 0.0
    assert problem.test_error(problem.sign_solution(), fresh).item() == 0.5


@pytest.mark.parametrize(
    "rule",
    [
        AdaGrad(lr=0.05, eps=0.0),
        RMSProp(lr=1e-3, eps=0.0),
        Adam(lr=1e-3, eps=0.0),
        AMSGrad(lr=1e-3, eps=0.0),
    ],
)
def test_wilson_full_batch_adaptive_methods_err_on_every_negative(rule):
    problem = wilson_problem(60, 0.6)
    fresh = torch.where(torch.rand(1000, generator=generator(1)) < 0.6, 1.0, -1.0)
    end = trajectory(rule, problem, torch.zeros(problem.x.shape[1]), 2500)[-1]
    assert (end - end[0] * torch.sign(problem.x.T @ problem.y)).abs().max() < 1e-12
    assert (end - problem.sign_solution()).abs().max() < 1e-6
    assert problem.test_error(end, fresh).item() == pytest.approx((fresh < 0).double().mean().item(), abs=1e-15)


def test_wilson_gradient_descent_finds_the_closed_form_and_errs_nowhere():
    problem = wilson_problem(60, 0.6)
    end = trajectory(GradientDescent(lr=5e-3), problem, torch.zeros(problem.x.shape[1]), 3000)[-1]
    plus, minus = problem.min_norm_weights()
    assert (end - problem.x.T @ torch.where(problem.y > 0, plus, minus)).abs().max() < 1e-9
    assert problem.test_error(end, torch.tensor([1.0, -1.0])).item() == 0.0


def decay(t):
    return 0.1 / (t + 1) ** 0.5


@pytest.mark.slow
def test_adam_without_epsilon_goes_to_the_max_norm_margin_and_normalised_gradients_to_the_two_norm_one():
    sets = [separable(seed) for seed in range(3)]
    loss = LogisticLoss(*(torch.stack(part)[:, None] for part in zip(*sets, strict=True)))
    zero = torch.zeros(3, 1, 10)
    # epsilon = 0 and the default, in one run
    adam = trajectory(Adam(lr=decay, betas=(0.9, 0.99), eps=torch.tensor([[0.0], [1e-8]])), loss, zero, 20_000)[-1]
    ngd = trajectory(NormalizedSteepestDescent(lr=decay, norm="l2", dim=-1), loss, zero, 20_000)[-1]
    for k, (x, y) in enumerate(sets):
        best = {name: max_margin(x, y, name) for name in ("l2", "linf")}

        def share(w, name, x=x, y=y, best=best):
            return (margin(w, x, y, name) / best[name][1]).item()

        exact, default, normalised = adam[k, 0], adam[k, 1], ngd[k, 0]
        assert share(exact, "linf") > 0.95
        assert share(exact, "linf") > share(exact, "l2") + 0.03
        assert share(normalised, "l2") > 0.95
        assert share(normalised, "l2") > share(normalised, "linf") + 0.03
        for w, name in ((exact, "linf"), (normalised, "l2")):
            target = best[name][0]
            assert w @ target / (w.norm() * target.norm()) > 0.995
            assert share(w, name) <= 1 + 1e-9
        assert share(default, "linf") < share(exact, "linf")
        assert share(default, "l2") > share(exact, "l2")


def test_rotated_axes_leave_gradient_descent_alone_and_spoil_adam():
    class Quadratic:
        def __init__(self, h):
            self.h = h

        def __call__(self, w):
            return 0.5 * (w * self.gradient(w)).sum(-1)

        def gradient(self, w):
            return (self.h @ w[..., None]).squeeze(-1)

    q, _ = torch.linalg.qr(torch.randn(50, 50, generator=generator(0)))
    flip = torch.eye(50)[torch.randperm(50, generator=generator(1))] * torch.tensor([1.0, -1.0]).repeat(25)
    turns = torch.stack([torch.eye(50), q, flip])
    loss = Quadratic(turns.mT @ torch.diag(torch.logspace(0, 3, 50)) @ turns)
    start = turns.mT @ torch.ones(50)

    def losses(rule):
        return loss(trajectory(rule, loss, start, 500))

    for rule in (
        GradientDescent(lr=1e-3),
        Momentum(lr=1e-3, beta=0.9),
        NormalizedSteepestDescent(lr=decay, norm="l2", dim=-1),
    ):
        values = losses(rule)
        assert (values / values[:, :1] - 1).abs().max() < 1e-10
    adam = losses(Adam(lr=lambda t: 0.01 * (1 - (t - 1) / 2000), betas=(0.9, 0.99)))
    assert adam[-1, 1] / adam[-1, 0] > 1e3
    # A permutation with flips is seen by no rule that works coordinate by coordinate.
    assert (adam[:100, 2] / adam[:100, 0] - 1).abs().max() < 1e-6
    signs = losses(SignGD(lr=decay, weight_decay=0.0))
    assert (signs[:100, 2] / signs[:100, 0] - 1).abs().max() < 1e-6
    assert (signs[:100, 1] / signs[:100, 0] - 1).abs().max() > 0.1
