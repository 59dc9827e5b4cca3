"""Adam's 2-cycle on a quadratic, and what noise does to Adam at constant and decaying rates."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from optbias.rules import Adam, RMSProp
from optbias.seeding import generator
from optbias.simulate import trajectory
from optbias.theory.limit_cycles import two_cycle_amplitude, two_cycle_spectral_radius, two_cycle_state

f64 = torch.float64


def quadratic(x: torch.Tensor) -> torch.Tensor:
    return (x**2).sum(-1) / 2


@settings(deadline=None)
@given(
    lr=st.floats(1e-4, 10.0),
    beta1=st.floats(0.0, 0.99),
    beta2=st.floats(0.0, 0.9999),
    share=st.floats(0.0, 0.9),
    c=st.floats(0.01, 100.0),
)
def test_two_steps_of_adam_return_to_the_start(lr, beta1, beta2, share, c):
    eps = share * c * lr * (1 - beta1) / (2 * (1 + beta1))
    x, m, v = two_cycle_state(lr, (beta1, beta2), eps, c)
    rule = Adam(lr=lr, betas=(beta1, beta2), eps=eps, bias_correction=False)
    half, state = rule.update(x, c * x, {"t": 0, "m": m, "v": v})
    whole, state = rule.update(half, c * half, state)
    close = {"rtol": 1e-10, "atol": 1e-12 * lr}
    torch.testing.assert_close(half, -x, **close)
    torch.testing.assert_close(whole, x, **close)
    torch.testing.assert_close(state["m"], m, rtol=1e-10, atol=0)
    torch.testing.assert_close(state["v"], v, rtol=1e-10, atol=0)


def test_amplitude_values():
    assert two_cycle_amplitude(1e-3, 0.9).item() == pytest.approx(1e-3 * 0.1 / 3.8, abs=1e-12)
    assert two_cycle_amplitude(1e-3, 0.9).item() == pytest.approx(2.6316e-5, rel=1e-4)
    assert two_cycle_amplitude(0.1, 0.0, eps=0.01, curvature=2.0).item() == pytest.approx(0.045)
    grid = two_cycle_amplitude(torch.tensor([0.1, 0.2]), torch.tensor([[0.0], [0.5]]))
    assert grid.shape == (2, 2)
    assert grid.dtype == f64


def test_spectral_radius_values():
    beta2 = torch.tensor([0.05, 0.1, 0.25, 0.5, 0.9, 0.999], dtype=f64)
    # Without momentum the half-step has the characteristic polynomial z^2 - (3 b - 1) z + b.
    real = (1 - 3 * beta2 + ((1 - 9 * beta2) * (1 - beta2)).clamp(min=0).sqrt()) / 2
    exact = torch.where(beta2 < 1 / 9, real**2, beta2)
    torch.testing.assert_close(two_cycle_spectral_radius(0.0, beta2), exact, rtol=0, atol=1e-9)
    for (b1, b2), value in {
        (0.2, 0.1): 0.695,
        (0.2, 0.7): 0.997,
        (0.2, 0.9): 1.014,
        (0.5, 0.999): 1.007,
        (0.9, 0.1): 2.70,
        (0.9, 0.999): 1.1013,
    }.items():
        assert two_cycle_spectral_radius(b1, b2).item() == pytest.approx(value, abs=6e-3)
    assert (two_cycle_spectral_radius(torch.linspace(0.5, 0.95, 8), beta2[:, None]) > 1).all()


@pytest.mark.parametrize(("betas", "stable"), [((0.1, 0.9), True), ((0.2, 0.5), True), ((0.5, 0.5), False)])
def test_the_radius_says_whether_a_small_push_grows(betas, stable):
    x, m, v = two_cycle_state(1.0, betas)
    rule = Adam(lr=1.0, betas=betas, eps=0.0, bias_correction=False)
    theta, state = x * (1 + 1e-6), {"t": 0, "m": m, "v": v}
    for _ in range(200):
        theta, state = rule.equations(theta, theta, state)
    assert (two_cycle_spectral_radius(*betas) < 1) == stable
    assert ((theta - x).abs().item() < 1e-6 * x.item()) == stable


@pytest.mark.parametrize("beta2", [0.5, 0.9])
def test_rmsprop_settles_on_the_cycle_of_half_the_rate(beta2):
    rule = RMSProp(lr=0.01, rho=beta2, eps=0.0)
    path = trajectory(rule, quadratic, torch.ones(1, dtype=f64), 2000, gradient=lambda x, t: x)
    assert path[-100:].abs().flatten().tolist() == pytest.approx([0.005] * 100, abs=1e-8)


def test_adam_does_not_come_to_rest_at_a_constant_rate():
    betas = torch.tensor([[0.5, 0.5], [0.9, 0.9], [0.9, 0.99]], dtype=f64)
    rule = Adam(lr=1e-2, betas=(betas[:, :1], betas[:, 1:]))
    path = trajectory(rule, quadratic, torch.ones(3, 1, dtype=f64), 6000, gradient=lambda x, t: x)
    late = path[-2000:].abs().amax(0).flatten() / 1e-2
    assert (late > 1e-2).all()
    assert late[0].item() == pytest.approx(0.383, abs=0.01)


def test_noise_keeps_adam_moving_unless_the_rate_vanishes():
    steps, seeds, chains = 10_000, (0, 1), 100
    base = torch.tensor([[1e-2], [1.0]], dtype=f64)
    power = torch.tensor([[0.0], [1.0]], dtype=f64)
    noise = torch.cat([torch.randint(0, 2, (steps, 1, chains), generator=generator(s)) for s in seeds], 2) * 2.0 - 1.0
    rule = Adam(lr=lambda t: base / t**power)
    start = torch.zeros(2, len(seeds) * chains, dtype=f64)
    path = trajectory(rule, quadratic, start, steps, gradient=lambda x, t: x - noise[t - 1])
    path = path.reshape(steps + 1, 2, len(seeds), chains)
    assert (path[-1, 0].std(-1) > 0.03).all()
    assert (path[-3000:, 1].std(0).mean(-1) < 0.003).all()


def test_lopsided_noise_leads_to_a_wrong_point():
    steps, seeds, chains = 10_000, (0, 1), 100
    beta1, beta2 = torch.tensor([[0.0], [0.9]], dtype=f64), torch.tensor([[0.5], [0.999]], dtype=f64)
    uniform = torch.cat([torch.rand(steps, 1, chains, generator=generator(s), dtype=f64) for s in seeds], 2)
    draws = torch.where(uniform < 0.1, 9.0, -1.0).to(f64)
    rule = Adam(lr=lambda t: 0.1 / t**0.5, betas=(beta1, beta2))
    start = torch.zeros(2, len(seeds) * chains, dtype=f64)
    path = trajectory(rule, quadratic, start, steps, gradient=lambda x, t: x - draws[t - 1])
    wrong, right = path.reshape(steps + 1, 2, len(seeds), chains)[-3000:].mean((0, 3))
    assert (wrong < -0.9).all()
    assert (right.abs() < 0.02).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: two_cycle_amplitude(0.0, 0.5), "lr must be"),
        (lambda: two_cycle_amplitude(0.1, 1.0), "beta1 must be"),
        (lambda: two_cycle_amplitude(0.1, 0.5, eps=-1.0), "eps must be"),
        (lambda: two_cycle_amplitude(0.1, 0.5, curvature=0.0), "curvature must be"),
        (lambda: two_cycle_amplitude(0.01, 0.0, eps=0.005), "there is a 2-cycle only for eps <"),
        (lambda: two_cycle_state(0.1, (0.5, 1.0)), "betas"),
        (lambda: two_cycle_spectral_radius(0.5, 0.0), "beta2 must be"),
        (lambda: two_cycle_spectral_radius(1.0, 0.5), "betas"),
    ],
)
def test_bad_input_says_what_is_allowed(call, words):
    with pytest.raises(ValueError, match=words):
        call()
