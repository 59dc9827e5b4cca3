"""Minimum norms and maximum margins against optimality conditions; Wilson's construction exactly."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from optbias.margins import LogisticLoss, margin, max_margin, min_norm_solution, wilson_problem
from optbias.norms import norm
from optbias.rules import AdaGrad, Adam, GradientDescent, RMSProp
from optbias.seeding import generator
from optbias.simulate import trajectory

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
        end = trajectory(GradientDescent(lr=0.04), lambda w: 0.5 * (w @ a.T - b).square().sum(-1), start, 3000)[-1]
        assert torch.allclose(end, min_norm_solution(a, b, start), atol=1e-11)
    with pytest.raises(ValueError, match="no exact solution"):
        min_norm_solution(torch.ones(2, 1), torch.tensor([0.0, 1.0]))


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
    "rule", [AdaGrad(lr=0.05, eps=0.0), RMSProp(lr=1e-3, eps=0.0), Adam(lr=1e-3, betas=(0.9, 0.99), eps=0.0)]
)
def test_full_batch_adaptive_methods_stay_on_the_sign_line(rule):
    problem = wilson_problem(60, 0.6)
    end = trajectory(rule, problem, torch.zeros(problem.x.shape[1]), 3000)[-1]
    sign = torch.sign(problem.x.T @ problem.y)
    assert (end - end[0] * sign).abs().max() < 1e-12
    assert end[0].item() == pytest.approx(0.25, abs=2e-3)


@pytest.mark.slow
def test_adam_without_epsilon_goes_to_the_max_norm_margin_and_normalised_gradients_to_the_two_norm_one():
    from optbias.rules import NormalizedSteepestDescent

    def decay(t):
        return 0.1 / (t + 1) ** 0.5

    for seed in range(2):
        x, y = separable(seed)
        loss, zero = LogisticLoss(x, y), torch.zeros(10)
        best = {name: max_margin(x, y, name)[1] for name in ("l2", "linf")}
        adam = trajectory(Adam(lr=decay, betas=(0.9, 0.99), eps=0.0), loss, zero, 8000)[-1]
        ngd = trajectory(NormalizedSteepestDescent(lr=decay, norm="l2"), loss, zero, 8000)[-1]
        share = {
            (who, name): (margin(w, x, y, name) / best[name]).item()
            for who, w in (("adam", adam), ("ngd", ngd))
            for name in best
        }
        assert share["adam", "linf"] > max(0.93, share["ngd", "linf"])
        assert share["ngd", "l2"] > share["adam", "l2"]
        assert max(share.values()) <= 1 + 1e-9
    assert np.isfinite(list(share.values())).all()
