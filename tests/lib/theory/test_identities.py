"""The identities of the page on the family: on more settings than the page shows, and the edges where they end."""

from __future__ import annotations

import math

import pytest
import torch

from optbias.rules import (
    ADOPT,
    SOAP,
    AdaBelief,
    Adam,
    Adamax,
    AMSGrad,
    RAdam,
    ScheduleFreeAdamW,
    Shampoo,
    Signum,
    rectifier,
)
from optbias.seeding import generator
from optbias.theory import family, online
from optbias.theory.theorems import OutsideTheorem, Run

BETAS = (0.05, 0.5, 0.9, 0.999)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64) ** 3


def last_state(rule, grads):
    theta = torch.zeros_like(grads[0])
    state = rule.init(theta)
    for g in grads:
        theta, state = rule.update(theta, g, state)
    return state


@pytest.mark.parametrize("beta", BETAS)
def test_equal_betas(beta):
    grads, noise, m = draw(80, 6), torch.zeros(6), torch.zeros(6)
    for g in grads:
        noise = beta * noise + (1 - beta) * (m - g) ** 2
        m = beta * m + (1 - beta) * g
    adam = last_state(Adam(0.1, (beta, beta), 0.0), grads)
    belief = last_state(AdaBelief(0.1, (beta, beta), 0.0), grads)
    torch.testing.assert_close(adam["v"], m**2 + beta * noise, rtol=1e-11, atol=0)
    torch.testing.assert_close(belief["s"], beta**2 * noise, rtol=1e-11, atol=0)
    c = 1 - beta**80
    r, q = m / c / (adam["v"] / c).sqrt(), m / c / (belief["s"] / c).sqrt()
    torch.testing.assert_close(1 / r**2, c + 1 / (beta * q**2), rtol=1e-10, atol=0)
    constant = last_state(AdaBelief(0.1, (beta, beta), 0.0), torch.ones(12, 1, dtype=torch.float64))
    c = 1 - beta**12
    found = float(constant["m"] / c / (constant["s"] / c).sqrt())
    assert found == pytest.approx(beta ** -(13 / 2), rel=1e-9)


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.9), (0.0, 0.5), (0.9, 0.9), (0.9, 0.8)])
def test_adamax_reaches_its_bound_and_no_gradients_pass_it(betas):
    beta1, beta2 = betas
    rule = Adamax(1.0, betas, eps=0.0)
    bound = [(1 - beta1) / (1 - beta1**t) * sum((beta1 / beta2) ** k for k in range(t)) for t in range(1, 41)]
    powers = beta2 ** torch.arange(1.0, 41, dtype=torch.float64)
    for grads, sharp in (
        (powers[:, None], True),
        (draw(40, 200), False),
        (powers[:, None] * draw(40, 200, seed=1), False),
    ):
        theta = torch.zeros(grads.shape[1], dtype=torch.float64)
        state = rule.init(theta)
        for most, g in zip(bound, grads, strict=True):
            new, state = rule.update(theta, g, state)
            step = float((new - theta).abs().max())
            assert step <= most * (1 + 1e-9)
            assert not sharp or step == pytest.approx(most, rel=1e-9)
            theta = new


def test_radam_has_its_warm_up():
    for beta in (0.84, 0.9, 0.99, 0.999):
        last = (1 + beta) / (1 - beta)
        for t in (1, 2, 5, 6, 7, 30, 400):
            weights = [beta**k for k in range(t)]
            rho = 1 + 2 * sum(k * w for k, w in enumerate(weights)) / sum(weights)
            assert rho <= t + 1e-9

            def f(x):
                return x - 6 + 8 / x

            wanted = math.sqrt(f(rho) / f(last)) if rho > 5 else 0.0
            assert float(rectifier(beta, t)) == pytest.approx(wanted, rel=1e-9, abs=1e-12)
        assert [float(rectifier(beta, t)) > 0 for t in range(1, 8)] == [False] * 5 + [True] * 2
    assert float(rectifier(0.8397, 6)) == 0
    for tau, r in ((0.5502, 0.5), (2.7335, 0.9)):
        assert float(rectifier(1 - 1e-6, round(tau * 1e6))) == pytest.approx(r, abs=1e-4)
    assert all(float(rectifier(0.66, t)) == 0 for t in range(1, 200))


def test_soap_with_one_basis_can_step_as_far_as_the_side_of_the_matrix_and_then_farther():
    q = torch.linalg.qr(torch.cat([torch.ones(3, 1), torch.eye(3)[:, :2]], 1).double()).Q.T
    first = q @ torch.diag(torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64)) @ q.T
    rule = SOAP(1.0, (0.9, 0.9), eps=0.0, frequency=10)
    theta = torch.zeros(3, 3, dtype=torch.float64)
    theta, state = rule.update(theta, first, rule.init(theta))
    signs = state["q_left"][0].sign(), state["q_right"][0].sign()
    basis = state["q_left"] * signs[0], state["q_right"] * signs[1]
    # The second gradient has every entry 1 in the basis, up to the signs of its axes.
    second = basis[0] @ torch.ones(3, 3, dtype=torch.float64) @ basis[1].T
    moved = rule.update(theta, second, state)[0] - theta
    assert float(moved.abs().max()) == pytest.approx(3.0, rel=1e-9)
    Run(rule, steps=11).under("prop-family-soap")
    assert family.soap_after_a_spike(1e4) > 5 * family.soap_after_a_spike(1e3) > 100
    assert family.soap_after_a_spike(1e4, frequency=100) <= 2 + 1e-9


def test_schedule_free_adamw_returns_the_weighted_mean_too():
    rule = ScheduleFreeAdamW(lambda t: 0.0 if t < 3 else 0.1 / t)
    y = torch.tensor([1.0, -2.0], dtype=torch.float64)
    state, total, weight = rule.init(y), torch.zeros(2), 0.0
    for t in range(1, 30):
        y, state = rule.update(y, draw(2, seed=t), state)
        total, weight = total + rule.lr(t) ** 2 * state["z"], weight + rule.lr(t) ** 2
        if weight:
            torch.testing.assert_close(state["x"], total / weight, rtol=1e-12, atol=1e-14)


def test_adopt_plays_a_grid_of_its_second_beta():
    """Its first step uses no beta2, so the shape of a grid cannot be read from it."""
    grid = ADOPT(0.01, (0.0, torch.tensor([0.1, 0.9], dtype=torch.float64)), 0.0, clip=False)
    game = online.three_step_game(3.0)
    both = online.play(grid, game, 30)
    for column, beta2 in zip(both.T, (0.1, 0.9), strict=True):
        torch.testing.assert_close(column, online.play(grid.replace(betas=(0.0, beta2)), game, 30), rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("theorem", "run", "key"),
    [
        ("thm-family-snr", Run(Adam(0.1, (0.9, 0.999), 0.0)), "betas-equal"),
        ("thm-family-snr", Run(Adam(0.1, (0.9, 0.9))), "eps-zero"),
        ("thm-family-snr", Run(AMSGrad(0.1, (0.9, 0.9), 0.0)), "rule"),
        ("cor-family-adabelief", Run(AdaBelief(0.1)), "eps-zero"),
        ("prop-family-adafactor", Run(Shampoo(eps=0.0), assume={"weights": "the same weights"}), "power"),
        ("prop-family-soap", Run(SOAP(frequency=10), steps=12), "one-basis"),
        ("prop-family-soap", Run(SOAP(frequency=10)), "one-basis"),
        ("cor-family-signum", Run(Signum(0.5, weight_decay=3.0)), "rates-damped"),
        ("cor-family-signum", Run(Signum(0.5)), "decay"),
        ("thm-family-adopt", Run(ADOPT(), assume={"game": "the spike game"}), "no-clip"),
        ("prop-family-adopt-clip", Run(ADOPT(), assume={"game": "the spike game"}), "betas-zero"),
        ("prop-family-radam", Run(RAdam(0.1, (0.9, 0.6), 0.0)), "betas"),
    ],
)
def test_a_run_outside_is_refused(theorem, run, key):
    with pytest.raises(OutsideTheorem, match=rf"\n  {key}: needs "):
        run.under(theorem)
