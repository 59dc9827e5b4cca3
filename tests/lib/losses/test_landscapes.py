"""Every landscape against automatic differentiation, and the laws that all of them keep."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from optbias.losses import landscapes
from optbias.seeding import generator

SMALL = {
    "ravine": {"flat": 0.3, "steep": 7.0},
    "saddle": {"up": 2.0, "down": 0.5},
    "plateau": {"width": 0.7},
    "cliff": {"gentle": 2.0, "steep": 9.0, "width": 0.3, "curvature": 1.5},
    "rosenbrock": {"a": -0.5, "b": 3.0},
    "bilinear": {"target": 0.8, "factor": 1.7},
    "quadratic": {"H": [[2.0, 0.5, 0.0], [0.5, 1.0, -0.3], [0.0, -0.3, 4.0]], "minimiser": [1.0, -2.0, 0.5]},
}
CASES = [(name, {}) for name in landscapes.NAMES] + list(SMALL.items())
IDS = [f"{name}-{'given' if p else 'default'}" for name, p in CASES]
every_landscape = pytest.mark.parametrize("landscape", [landscapes.get(n, **p) for n, p in CASES], ids=IDS)
points = st.integers(0, 2**31 - 1)


def batch(landscape, seed, *leading):
    return 1.5 * torch.randn(*leading, landscape.dim, generator=generator(seed), dtype=torch.float64)


@every_landscape
@given(seed=points)
@settings(max_examples=20, deadline=None)
def test_gradient_and_hessian_are_the_derivatives(landscape, seed):
    theta = batch(landscape, seed)
    gradient = torch.func.grad(landscape.__call__)(theta)
    hessian = torch.func.hessian(landscape.__call__)(theta)
    torch.testing.assert_close(landscape.gradient(theta), gradient, rtol=1e-10, atol=1e-11)
    torch.testing.assert_close(landscape.hessian(theta), hessian, rtol=1e-9, atol=1e-10)


@every_landscape
def test_batch_equals_one_point_at_a_time(landscape):
    theta = batch(landscape, 1, 3, 4)
    d = landscape.dim
    for method, extra in ((landscape, ()), (landscape.gradient, (d,)), (landscape.hessian, (d, d))):
        together = method(theta)
        assert together.shape == (3, 4, *extra)
        alone = torch.stack([method(t) for t in theta.reshape(-1, landscape.dim)])
        torch.testing.assert_close(together.reshape(alone.shape), alone, rtol=1e-13, atol=1e-14)


@every_landscape
def test_minimisers_are_stationary_and_lowest(landscape):
    if not len(landscape.minimisers):
        assert landscape.minimiser is None
        return
    assert landscape.gradient(landscape.minimisers).abs().max() < 1e-12
    assert torch.linalg.eigvalsh(landscape.hessian(landscape.minimisers)).min() > -1e-12
    torch.testing.assert_close(
        landscape(landscape.minimisers), torch.full((len(landscape.minimisers),), landscape.minimum).double(),
        rtol=0.0, atol=1e-12,
    )  # fmt: skip
    assert (landscape(batch(landscape, 2, 1000)) >= landscape.minimum).all()
    if landscape.minimiser is not None:
        torch.testing.assert_close(landscape.minimiser, landscape.minimisers[0])


@pytest.mark.parametrize(
    "landscape",
    [
        landscapes.get("rosenbrock", a=-7.0),
        landscapes.get("bilinear", target=200.0),
        landscapes.get("cliff", width=3.0, steep=900.0),
        landscapes.get("plateau", width=30.0),
    ],
)
def test_domain_follows_the_parameters(landscape):
    assert_window_holds_what_matters(landscape)


@every_landscape
def test_start_and_minimisers_lie_in_the_domain(landscape):
    assert_window_holds_what_matters(landscape)


def assert_window_holds_what_matters(landscape):
    low, high = torch.tensor(landscape.domain, dtype=torch.float64).unbind(-1)
    assert len(low) == landscape.dim
    for point in (landscape.start, *landscape.minimisers):
        assert point.shape == (landscape.dim,)
        assert ((low <= point) & (point <= high)).all()


@every_landscape
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_results_have_the_dtype_of_theta(landscape, dtype):
    theta = landscape.start.to(dtype)
    assert landscape(theta).dtype == landscape.gradient(theta).dtype == landscape.hessian(theta).dtype == dtype


@every_landscape
def test_theta_is_checked(landscape):
    for method in (landscape, landscape.gradient, landscape.hessian):
        with pytest.raises(ValueError, match=rf"\(\.\.\., {landscape.dim}\).*got \(7,\)"):
            method(torch.zeros(7))
        with pytest.raises(ValueError, match=r"got \(\)"):
            method(torch.tensor(1.0))
        with pytest.raises(TypeError, match="floating-point"):
            method(torch.zeros(landscape.dim, dtype=torch.int64))
        with pytest.raises(TypeError, match="list"):
            method([0.0] * landscape.dim)


@every_landscape
def test_parameters_rebuild_the_landscape(landscape):
    again = landscapes.get(landscape.name, **landscape.parameters())
    theta = batch(landscape, 3, 5)
    assert torch.equal(again(theta), landscape(theta))
    assert again.parameters().keys() == landscape.parameters().keys()


@every_landscape
def test_evaluation_changes_nothing(landscape):
    theta = batch(landscape, 4, 2)
    before, hessian = theta.clone(), landscape.hessian(theta)
    landscape.gradient(theta).add_(1.0)
    hessian.zero_()
    assert torch.equal(theta, before)
    assert landscape.hessian(theta).abs().max() > 0


def test_every_class_is_found_by_its_name_and_documented():
    for name in landscapes.NAMES:
        landscape = landscapes.get(name)
        assert landscape.name == name
        assert "f = " in type(landscape).__doc__ or "``f =" in type(landscape).__doc__
        assert f"``{name}``" in landscapes.__doc__


@pytest.mark.parametrize("name", ["bowll", "", 3, None])
def test_unknown_name_lists_the_names(name):
    with pytest.raises(ValueError, match="'bowl', 'ravine', .*'quadratic'; got"):
        landscapes.get(name)


def test_unknown_parameter_lists_the_parameters():
    with pytest.raises(TypeError, match="'ravine' has no parameter 'kappa'; its parameters: 'flat', 'steep'"):
        landscapes.get("ravine", kappa=5.0)
    with pytest.raises(TypeError, match="its parameters: none"):
        landscapes.get("bowl", steep=5.0)


@pytest.mark.parametrize(
    ("name", "parameter"),
    [(n, p) for n, names in {
        "ravine": ("flat", "steep"), "saddle": ("up", "down"), "plateau": ("width",), "rosenbrock": ("b",),
        "cliff": ("gentle", "steep", "width", "curvature"), "bilinear": ("target", "factor"),
    }.items() for p in names],
)  # fmt: skip
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_numbers_must_be_positive_and_finite(name, parameter, value):
    with pytest.raises(ValueError, match=parameter):
        landscapes.get(name, **{parameter: value})


def test_wrong_types_are_refused():
    for value in ("5", None, True, torch.ones(2)):
        with pytest.raises(TypeError, match="steep must be a number"):
            landscapes.get("ravine", steep=value)
    with pytest.raises(ValueError, match="a must be a number"):
        landscapes.get("rosenbrock", a=math.inf)


@pytest.mark.parametrize(
    ("H", "minimiser", "error", "message"),
    [
        ([[1.0, 2.0]], None, ValueError, r"square matrix; got shape \(1, 2\)"),
        ([1.0, 2.0], None, ValueError, "square matrix"),
        (torch.zeros(0, 0), None, ValueError, "square matrix"),
        ([[1.0, 2.0], [0.0, 1.0]], None, ValueError, "symmetric"),
        ([[math.nan]], None, ValueError, "finite"),
        ("H", None, TypeError, "real numbers"),
        ([[1.0]], [1.0, 2.0], ValueError, r"shape \(1,\) to fit H; got \(2,\)"),
    ],
)
def test_quadratic_checks_its_matrix(H, minimiser, error, message):
    with pytest.raises(error, match=message):
        landscapes.get("quadratic", H=H, minimiser=minimiser)


def test_quadratic_knows_when_it_has_a_minimiser():
    definite = landscapes.get("quadratic", H=[[2.0, 0.0], [0.0, 1.0]], minimiser=[1.0, 2.0])
    assert definite.minimiser.tolist() == [1.0, 2.0]
    singular = landscapes.get("quadratic", H=[[1.0, 1.0], [1.0, 1.0]])
    assert singular.minimiser is None
    assert singular.minimum == 0.0
    indefinite = landscapes.get("quadratic", H=[[1.0, 0.0], [0.0, -1.0]], minimiser=[3.0, 0.0])
    assert indefinite.minimiser is None
    assert not len(indefinite.minimisers)
    assert indefinite.minimum == -math.inf
    assert indefinite.centre.tolist() == [3.0, 0.0]


def test_quadratic_does_not_share_memory_with_what_it_was_given():
    H = torch.eye(2, dtype=torch.float64)
    quadratic = landscapes.get("quadratic", H=H)
    H[0, 0] = 9.0
    assert quadratic.H[0, 0] == 1.0


def test_worked_numbers():
    assert landscapes.get("ravine").hessian(torch.zeros(2)).diagonal().tolist() == [2.0, 10.0]
    assert landscapes.get("bilinear")(torch.tensor([3**0.5 / 2, 3**0.5 / 2])) < 1e-12
    cliff = landscapes.get("cliff")
    far = cliff.gradient(torch.tensor([[-100.0, 0.0], [100.0, 0.0]], dtype=torch.float64))[:, 0]
    assert far.tolist() == pytest.approx([-1.0, 50.0], abs=1e-6)
    with pytest.raises(ValueError, match="closed form"):
        _ = landscapes.get("generic").minimum


def test_generic_does_not_overflow():
    theta = torch.tensor([1e4, 1e4, 0.0], dtype=torch.float64)
    assert torch.isfinite(landscapes.get("generic")(theta))
