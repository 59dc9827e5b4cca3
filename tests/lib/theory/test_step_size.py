"""The closed forms of step_size against the library's Adam, and the laws of the step cap."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from optbias.rules import Adam
from optbias.seeding import generator
from optbias.theory.step_size import (
    adam_step_supremum,
    adam_steps,
    nsr_prediction,
    uncorrected_step_factor,
    worst_case_gradients,
)

DEFAULT = (0.9, 0.999)

betas_strategy = st.tuples(st.floats(0.05, 0.99), st.floats(0.05, 0.999))
gradients_strategy = st.lists(
    st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: 0.0 if abs(x) < 1e-6 else x), min_size=1, max_size=40
)


@pytest.mark.parametrize(
    ("betas", "value"),
    [
        ((0.9, 0.999), 7.27029),
        ((0.9, 0.99), 2.34521),
        ((0.9, 0.95), 1.16496),
        ((0.9, 0.9), 1.0),
        ((0.95, 0.95), 1.0),
        ((0.0, 0.999), 31.62278),
    ],
)
def test_supremum_values(betas, value):
    assert adam_step_supremum(betas) == pytest.approx(value, abs=1e-5)


def test_supremum_is_infinite_from_beta1_squared_on():
    assert adam_step_supremum((0.99, 0.9)) == math.inf
    assert adam_step_supremum((0.9, 0.81)) == math.inf
    assert adam_step_supremum((0.5, 0.0)) == math.inf
    assert math.isfinite(adam_step_supremum((0.9, 0.8101)))


def test_step_cap_at_the_defaults():
    # Acceptance 6: 7.2703 to 1e-4, reached by 400 growing gradients.
    steps = adam_steps(worst_case_gradients(DEFAULT, 400), DEFAULT, bias_correction=False)
    assert steps[-1].item() == pytest.approx(7.2703, abs=1e-4)
    assert steps.max() <= adam_step_supremum(DEFAULT) + 1e-9


def test_step_cap_is_one_for_equal_betas():
    # Acceptance 6: 200 heavy-tailed sequences; a normal over a power of a uniform has tail index 1.2.
    source = generator(0)
    normal = torch.randn(300, 200, dtype=torch.float64, generator=source)
    heavy = normal / torch.rand(300, 200, dtype=torch.float64, generator=source).pow(1 / 1.2)
    for beta in (0.5, 0.9, 0.99, 0.999):
        for corrected in (True, False):
            assert adam_steps(heavy, (beta, beta), corrected).abs().max() <= 1 + 1e-12


@settings(max_examples=60, deadline=None)
@given(gradients=gradients_strategy, betas=betas_strategy, corrected=st.booleans())
def test_no_sequence_exceeds_the_supremum(gradients, betas, corrected):
    steps = adam_steps(torch.tensor(gradients, dtype=torch.float64), betas, corrected).abs()
    for t, step in enumerate(steps.tolist(), start=1):
        assert step <= adam_step_supremum(betas, t, corrected) * (1 + 1e-9)
    assert steps.max().item() <= adam_step_supremum(betas) * (1 + 1e-9)


@settings(max_examples=60, deadline=None)
@given(gradients=gradients_strategy, beta=st.floats(0.0, 0.999), corrected=st.booleans())
def test_equal_betas_never_exceed_one(gradients, beta, corrected):
    assert adam_steps(torch.tensor(gradients, dtype=torch.float64), (beta, beta), corrected).abs().max() <= 1 + 1e-9


@settings(max_examples=60, deadline=None)
@given(betas=betas_strategy, t=st.integers(1, 60), corrected=st.booleans())
def test_worst_case_attains_the_supremum_of_its_step(betas, t, corrected):
    step = adam_steps(worst_case_gradients(betas, t), betas, corrected)[-1].item()
    assert step == pytest.approx(adam_step_supremum(betas, t, corrected), rel=1e-9)


@settings(max_examples=100, deadline=None)
@given(betas=betas_strategy, t=st.integers(1, 10_000), corrected=st.booleans())
def test_supremum_of_one_step_is_below_that_of_all(betas, t, corrected):
    assert adam_step_supremum(betas, t, corrected) <= adam_step_supremum(betas) * (1 + 1e-9)


def test_supremum_tends_to_its_limit_and_the_first_step_is_one():
    assert adam_step_supremum(DEFAULT, 1) == pytest.approx(1.0)
    assert adam_step_supremum(DEFAULT, 50_000) == pytest.approx(adam_step_supremum(DEFAULT), rel=1e-9)
    assert adam_step_supremum((0.99, 0.5), 10_000) == math.inf  # beyond float64


def test_uncorrected_factor_is_the_ratio_of_the_two_rules():
    g = torch.randn(50, 7, dtype=torch.float64, generator=generator(1))
    ratio = adam_steps(g, DEFAULT, False) / adam_steps(g, DEFAULT, True)
    factor = uncorrected_step_factor(DEFAULT, torch.arange(1, 51)).unsqueeze(1).expand_as(ratio)
    torch.testing.assert_close(ratio, factor, rtol=1e-10, atol=0)
    assert uncorrected_step_factor(DEFAULT, 3) == pytest.approx(factor[2, 0].item())


def test_uncorrected_steps_are_larger_at_the_defaults():
    factor = uncorrected_step_factor(DEFAULT, torch.arange(1, 1001))
    assert factor[0].item() == pytest.approx(10**0.5, rel=1e-12)
    assert factor.argmax().item() + 1 == 12
    assert factor.max().item() == pytest.approx(6.5685, abs=1e-4)
    assert factor[-1].item() == pytest.approx(1.2576, abs=1e-4)
    assert factor.min() > 1
    small = uncorrected_step_factor((0.9, 0.95), torch.arange(1, 6))
    assert small.max() < 0.87


def test_eps_placement():
    # Acceptance 7 (A16).
    for inside, expected in ((False, 1 / 1.01), (True, 1e-6 / math.sqrt(1e-12 + 1e-8))):
        rule = Adam(lr=1.0, eps=1e-8, eps_inside=inside)
        theta = torch.zeros(1, dtype=torch.float64)
        state = rule.init(theta)
        for _ in range(20):
            before = theta
            theta, state = rule.update(theta, torch.full_like(theta, 1e-6), state)
        assert (before - theta).item() == pytest.approx(expected, rel=1e-9)


def test_noise_to_signal_ratio():
    # Acceptance 8 (A17), to 2 %, for beta2 near 1.
    g = torch.randn(8_000, 400, dtype=torch.float64, generator=generator(2))
    for nsr, mean in ((0.1, 0.9949), (1.0, 0.708), (5.0, 0.1968)):
        steps = adam_steps(1 + nsr * g, DEFAULT)[2_000:]
        predicted_mean, predicted_rms = nsr_prediction(nsr)
        assert steps.mean().item() == pytest.approx(predicted_mean, rel=0.02)
        assert steps.mean().item() == pytest.approx(mean, rel=0.02)
        assert steps.square().mean().sqrt().item() == pytest.approx(predicted_rms, rel=0.02)
    pure = adam_steps(g, DEFAULT)[2_000:]
    assert pure.square().mean().sqrt().item() == pytest.approx(nsr_prediction(math.inf)[1], rel=0.02)
    assert nsr_prediction(math.inf)[1] == pytest.approx(0.2294, abs=1e-4)
    assert nsr_prediction(0.0) == (1.0, 1.0)


def test_bias_correction():
    # Acceptance 9: exact weights, and the Monte-Carlo means within 3 standard errors.
    t = 7
    chains = 200_000
    mu, nu = 0.5, 0.25 + 1.0
    for beta in (0.5, 0.9, 0.999):
        weights = (1 - beta) * beta ** torch.arange(t - 1, -1, -1, dtype=torch.float64)
        assert weights.sum().item() / (1 - beta**t) == pytest.approx(1.0, rel=1e-12)
    rule = Adam()
    theta = torch.zeros(chains, dtype=torch.float64)
    source, state = generator(3), rule.init(theta)
    noise = torch.randn(chains, dtype=torch.float64, generator=source)
    for _ in range(t):
        # Correlated in time on purpose: independence is not needed.
        noise = 0.8 * noise + 0.6 * torch.randn(chains, dtype=torch.float64, generator=source)
        _, state = rule.update(theta, mu + noise, state)
    for moment, beta, target in (("m", 0.9, mu), ("v", 0.999, nu)):
        corrected = state[moment] / (1 - beta**t)
        assert abs(corrected.mean().item() - target) < 3 * corrected.std().item() / chains**0.5


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: adam_step_supremum((0.9, 1.0)), ValueError, r"betas\[1\] must be a number in \[0, 1\)"),
        (lambda: adam_step_supremum(0.9), TypeError, "betas must be a pair"),
        (lambda: adam_step_supremum(DEFAULT, 0), ValueError, "t must be an integer >= 1; got 0"),
        (lambda: adam_step_supremum(DEFAULT, 1.5), TypeError, "t must be an integer >= 1; got 1.5"),
        (lambda: adam_step_supremum((torch.tensor([0.1, 0.2]), 0.9)), ValueError, "must be one number"),
        (lambda: worst_case_gradients((0.0, 0.9), 3), ValueError, r"both lie in \(0, 1\)"),
        (lambda: worst_case_gradients(DEFAULT, 0), ValueError, "steps must be an integer >= 1"),
        (lambda: adam_steps(torch.tensor(1.0), DEFAULT), ValueError, "time as first axis"),
        (lambda: uncorrected_step_factor(DEFAULT, torch.tensor([0, 1])), ValueError, "counts steps from 1"),
        (lambda: nsr_prediction(-1.0), ValueError, "nsr must be a number >= 0"),
        (lambda: nsr_prediction("1"), TypeError, "nsr must be a number >= 0"),
        (lambda: nsr_prediction(float("nan")), ValueError, "nsr must be a number >= 0"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
