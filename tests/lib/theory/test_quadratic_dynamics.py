"""quadratic_dynamics against the rules themselves, numpy's roots, and the closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from optbias.rules import Momentum
from optbias.simulate import trajectory
from optbias.theory import quadratic_dynamics as qd

FORMS = [("ema", False), ("heavy_ball", False), ("ema", True), ("heavy_ball", True)]
betas = st.floats(0.0, 0.99)
quick = settings(deadline=None, max_examples=60)


def run(x: float, beta: float, form: str, nesterov: bool, steps: int) -> torch.Tensor:
    """Momentum with lr * curvature = x, from theta = 1."""
    sign = -1.0 if x < 0 else 1.0
    rule = Momentum(lr=abs(x), beta=beta, form=form, nesterov=nesterov)
    return trajectory(rule, lambda th: sign * 0.5 * th.square().sum(-1), torch.ones(1, dtype=torch.float64), steps)[
        :, 0
    ]


@pytest.mark.parametrize(("form", "nesterov"), FORMS)
@pytest.mark.parametrize(("x", "beta"), [(0.03, 0.9), (0.7, 0.5), (1.1, 0.2), (0.2, 0.0)])
def test_the_matrix_is_the_rule(form: str, nesterov: bool, x: float, beta: float) -> None:
    path = run(x, beta, form, nesterov, 40)
    matrix = qd.iteration_matrix(x, beta, form, nesterov)
    state = torch.stack([path[1], path[0]])
    for t in range(1, 40):
        state = matrix @ state
        assert abs(state[0] - path[t + 1]) < 1e-12


@quick
@given(x=st.floats(-3.0, 6.0), beta=betas, form=st.sampled_from(["ema", "heavy_ball"]), nesterov=st.booleans())
def test_roots_solve_the_characteristic_polynomial(x: float, beta: float, form: str, nesterov: bool) -> None:
    pair = qd.roots(x, beta, form, nesterov)
    matrix = qd.iteration_matrix(x, beta, form, nesterov)
    trace, det = matrix.trace(), torch.linalg.det(matrix)
    assert torch.allclose(pair.sum().real, trace, atol=1e-10)
    assert torch.allclose(pair.prod().real, det, atol=1e-10)
    assert pair[0].abs() >= pair[1].abs() - 1e-12
    expected = np.roots([1.0, -trace.item(), det.item()])
    assert abs(qd.rate(x, beta, form, nesterov).item() - np.abs(expected).max()) < 1e-6


@quick
@given(beta=betas, form=st.sampled_from(["ema", "heavy_ball"]), nesterov=st.booleans())
def test_the_stability_limit_is_sharp(beta: float, form: str, nesterov: bool) -> None:
    limit = qd.stability_limit(beta, form, nesterov).item()
    assert qd.rate(limit * (1 - 1e-6), beta, form, nesterov) < 1
    assert qd.rate(limit * (1 + 1e-6), beta, form, nesterov) > 1
    inside = torch.linspace(1e-3, 1 - 1e-3, 200, dtype=torch.float64) * limit
    assert (qd.rate(inside, beta, form, nesterov) < 1).all()


@quick
@given(beta=st.floats(0.01, 0.99), form=st.sampled_from(["ema", "heavy_ball"]), nesterov=st.booleans())
def test_the_oscillation_window_is_sharp(beta: float, form: str, nesterov: bool) -> None:
    low, high = (v.item() for v in qd.oscillation_window(beta, form, nesterov))
    width = high - low
    inside = torch.tensor([low + 1e-6 * width, (low + high) / 2, high - 1e-6 * width], dtype=torch.float64)
    outside = torch.tensor([low - 1e-6 * width, high + 1e-6 * width], dtype=torch.float64)
    assert (qd.roots(inside, beta, form, nesterov).imag[:, 0] > 0).all()
    assert (qd.roots(outside, beta, form, nesterov).imag == 0).all()


def test_inside_the_window_the_heavy_ball_rate_is_the_root_of_beta() -> None:
    x = torch.linspace(0.2, 3.5, 50, dtype=torch.float64)
    assert torch.allclose(qd.rate(x, 0.81), torch.full_like(x, 0.9), atol=1e-12)


@pytest.mark.parametrize(
    ("x", "beta", "name"),
    [
        (0.1, 0.2, "monotone"),
        (1.0, 0.5, "oscillating"),
        (2.2, 0.2, "alternating"),
        (2.5, 0.2, "not convergent"),
        (0.0, 0.9, "not convergent"),
        (-0.1, 0.9, "not convergent"),
    ],
)
def test_regimes_are_what_the_iterates_do(x: float, beta: float, name: str) -> None:
    code = qd.regime(x, beta)
    assert qd.REGIMES[code] == name
    path = run(x, beta, "heavy_ball", False, 400)
    signs = path[50:90].sign()
    if name == "monotone":
        assert (signs == signs[0]).all()
        assert (path[1:].abs() <= path[:-1].abs()).all()
    elif name == "alternating":
        assert (signs[1:] == -signs[:-1]).all()
        assert path[-1].abs() < 1e-6
    elif name == "oscillating":
        assert 2 < (signs[1:] != signs[:-1]).sum() < 38
        assert path[-1].abs() < 1e-6
    else:
        assert path[-1].abs() >= 1  # at x = 0 it stays where it is


def test_regime_broadcasts() -> None:
    x, b = torch.linspace(0.1, 5, 7, dtype=torch.float64), torch.tensor([[0.0], [0.5]], dtype=torch.float64)
    assert qd.regime(x, b).shape == qd.rate(x, b).shape == (2, 7)
    assert qd.iteration_matrix(x, b).shape == (2, 7, 2, 2)


@pytest.mark.parametrize("kappa", [1.0, 5.0, 100.0, 1e4])
def test_best_settings_reach_their_rate_on_the_whole_interval(kappa: float) -> None:
    curvatures = torch.logspace(0, np.log10(kappa), 101, dtype=torch.float64) * 2
    for tune, nesterov in ((qd.best_gradient_descent, False), (qd.best_heavy_ball, False), (qd.best_nesterov, True)):
        lr, beta, promised = tune(2.0, 2.0 * kappa)
        worst = qd.rate(lr * curvatures, beta, nesterov=nesterov).max().item()
        # A double root moves by the square root of a rounding error.
        assert abs(worst - promised) < 1e-6


def test_the_best_pair_of_the_book() -> None:
    lr, beta, r = qd.best_heavy_ball(2.0, 10.0)
    assert (round(lr, 6), round(beta, 6), round(r, 6)) == (0.190983, 0.145898, 0.381966)


@pytest.mark.parametrize(("nesterov", "tune"), [(False, qd.best_heavy_ball), (True, qd.best_nesterov)])
def test_no_pair_on_a_grid_beats_the_best(nesterov: bool, tune: object) -> None:
    promised = tune(1.0, 25.0).rate  # type: ignore[operator]
    lr = torch.linspace(0.01, 0.3, 300, dtype=torch.float64)[:, None]
    beta = torch.linspace(0.0, 0.98, 300, dtype=torch.float64)[None, :]
    worst = torch.maximum(qd.rate(lr, beta, nesterov=nesterov), qd.rate(25 * lr, beta, nesterov=nesterov))
    assert worst.min() >= promised - 1e-9


@pytest.mark.parametrize(
    "call",
    [
        lambda: qd.roots(0.1, 1.0),
        lambda: qd.roots(0.1, -0.1),
        lambda: qd.rate(float("nan"), 0.5),
        lambda: qd.stability_limit(1.5),
        lambda: qd.oscillation_window(0.5, form="polyak"),
        lambda: qd.rate(0.1, 0.5, form="polyak"),
        lambda: qd.best_heavy_ball(0.0, 1.0),
        lambda: qd.best_nesterov(2.0, 1.0),
        lambda: qd.best_gradient_descent(-1.0, 1.0),
    ],
)
def test_bad_input_is_named(call: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        call()  # type: ignore[operator]


@pytest.mark.parametrize("call", [lambda: qd.roots("0.1", 0.5), lambda: qd.rate(0.1, 0.5, nesterov=1)])
def test_wrong_types_are_named(call: object) -> None:
    with pytest.raises(TypeError, match="must be"):
        call()  # type: ignore[operator]
