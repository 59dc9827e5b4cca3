"""Norms, duals, linear minimisation oracles and KKT gaps."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from optbias import norms
from optbias.norms import DUAL_OF, NORMS
from optbias.seeding import generator

VECTOR_NORMS = ("l1", "l2", "linf")
numbers = st.floats(-1e3, 1e3).filter(lambda x: x == 0 or abs(x) > 1e-6)
matrices = st.lists(numbers, min_size=6, max_size=6).map(lambda x: torch.tensor(x).reshape(2, 3))


def inner(a, b):
    return (a * b).sum().item()


def test_values_by_hand():
    x = torch.tensor([[3.0, 0.0], [0.0, -4.0]])
    assert [norms.norm(x, name).item() for name in NORMS] == pytest.approx([7, 5, 4, 4, 7], abs=1e-14)
    assert [norms.dual_norm(x, name).item() for name in NORMS] == pytest.approx([4, 5, 7, 7, 4], abs=1e-14)
    assert norms.linf(x).item() == 4
    assert norms.norm(torch.tensor(-2.0), "l1").item() == 2


@pytest.mark.parametrize("dim", [0, 1, -1, (0, 1), None])
def test_axes(dim):
    x = torch.randn(2, 3, generator=generator(0))
    torch.testing.assert_close(norms.norm(x, "l1", dim), x.abs().sum(dim))
    assert torch.equal(norms.norm(x, "linf", dim), x.abs().amax(dim if dim is not None else (0, 1)))
    for name in VECTOR_NORMS:
        d = norms.steepest_direction(x, name, dim)
        attained = (x * d).sum() if dim is None else (x * d).sum(dim)
        torch.testing.assert_close(attained, norms.dual_norm(x, name, dim), rtol=1e-13, atol=0)


def test_matrix_norms_are_batched():
    x = torch.randn(4, 2, 3, generator=generator(0))
    for name in ("spectral", "nuclear"):
        singly = torch.stack([norms.norm(m, name) for m in x])
        torch.testing.assert_close(norms.norm(x, name), singly)
        torch.testing.assert_close(
            norms.steepest_direction(x, name), torch.stack([norms.steepest_direction(m, name) for m in x])
        )


@pytest.mark.parametrize("name", NORMS)
@given(x=matrices, y=matrices)
def test_dual_norm_inequality_and_attainment(name, x, y):
    assert inner(x, y) <= norms.norm(x, name).item() * norms.dual_norm(y, name).item() * (1 + 1e-12) + 1e-12
    d = norms.steepest_direction(y, name)
    assert norms.norm(d, name).item() <= 1 + 1e-12
    assert inner(d, y) == pytest.approx(norms.dual_norm(y, name).item(), rel=1e-12, abs=1e-12)
    assert DUAL_OF[DUAL_OF[name]] == name


@pytest.mark.parametrize("name", NORMS)
@given(g=matrices, other=matrices, radius=st.floats(0.1, 10))
def test_the_oracle_beats_every_point_of_the_ball(name, g, other, radius):
    s = norms.lmo(g, radius, name)
    assert norms.norm(s, name).item() <= radius * (1 + 1e-12)
    size = norms.norm(other, name).item()
    point = other * (radius / size if size else 0.0)
    scale = radius * norms.dual_norm(g, name).item()
    assert inner(g, s) <= inner(g, point) + 1e-11 * scale
    assert inner(g, s) == pytest.approx(-scale, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", NORMS)
@given(g=matrices, theta=matrices, radius=st.floats(0.1, 10), share=st.floats(0, 1))
def test_the_kkt_gap_in_the_ball_is_not_negative_and_is_the_frank_wolfe_gap(name, g, theta, radius, share):
    size = norms.norm(theta, name).item()
    theta = theta * (share * radius / size if size else 0.0)
    gap = norms.kkt_gap(theta, g, radius, name).item()
    scale = norms.dual_norm(g, name).item()
    assert gap >= -1e-11 * scale
    frank_wolfe = inner(theta - norms.lmo(g, radius, name), g)
    assert gap == pytest.approx(frank_wolfe / radius, abs=1e-11 * scale + 1e-12)
    relative = norms.kkt_gap(theta, g, radius, name, relative=True).item()
    assert relative == (pytest.approx(gap / scale, rel=1e-12) if scale else 0.0)


@pytest.mark.parametrize("name", NORMS)
def test_the_kkt_gap_vanishes_where_the_gradient_points_out_and_not_elsewhere(name):
    g = torch.randn(3, 4, generator=generator(1))
    corner = norms.lmo(g, 2.0, name)
    assert abs(norms.kkt_gap(corner, g, 2.0, name, relative=True).item()) < 1e-14
    assert norms.kkt_gap(-corner, g, 2.0, name, relative=True).item() == pytest.approx(2.0)
    assert norms.kkt_gap(torch.zeros(3, 4), g, 2.0, name, relative=True).item() == 1.0
    assert norms.kkt_gap(corner, torch.zeros(3, 4), 2.0, name, relative=True).item() == 0.0
    assert norms.kkt_gap(3 * corner, g, 2.0, name).item() < 0  # outside the ball


def test_the_kkt_gap_of_the_box_is_coordinatewise():
    # Inside the box the gradient must vanish; on a face it must point outwards.
    theta = torch.tensor([1.0, -1.0, 0.2])
    assert norms.kkt_gap(theta, torch.tensor([-3.0, 2.0, 0.0]), 1.0).item() == 0.0
    assert norms.kkt_gap(theta, torch.tensor([3.0, 2.0, 0.0]), 1.0).item() == 6.0
    assert norms.kkt_gap(theta, torch.tensor([-3.0, 2.0, 0.5]), 1.0).item() == pytest.approx(0.6)


def test_the_kkt_gap_of_a_batch():
    theta, g = torch.randn(5, 3, generator=generator(2)), torch.randn(5, 3, generator=generator(3))
    radius = torch.linspace(1, 2, 5)
    together = norms.kkt_gap(theta, g, radius, "l2", dim=-1)
    alone = [norms.kkt_gap(t, h, r.item(), "l2").item() for t, h, r in zip(theta, g, radius, strict=True)]
    assert together.tolist() == pytest.approx(alone, rel=1e-13)


@pytest.mark.parametrize("name", NORMS)
def test_the_steepest_direction_of_zero_is_zero(name):
    assert torch.equal(norms.steepest_direction(torch.zeros(3, 2), name), torch.zeros(3, 2))


def test_ties_and_rank():
    assert norms.steepest_direction(torch.tensor([1.0, -2.0, 2.0]), "l1").tolist() == [0, -1, 0]
    low_rank = torch.outer(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 0.0, 1.0]))
    d = norms.steepest_direction(low_rank, "spectral")
    assert torch.linalg.svdvals(d).tolist() == pytest.approx([1, 0], abs=1e-14)


@pytest.mark.parametrize("scale", [1e-200, 1e-170, 1e170, 1e300])
def test_the_l2_direction_of_gradients_whose_squares_leave_the_number_range(scale):
    d = norms.steepest_direction(scale * torch.tensor([3.0, 4.0]), "l2")
    assert d.tolist() == pytest.approx([0.6, 0.8], rel=1e-14)


def test_the_perturbed_one_norm():
    g = torch.tensor([3.0, -4.0, 0.0])
    assert norms.perturbed_one_norm(g, 0.0).item() == 7.0
    assert norms.perturbed_one_norm(torch.zeros(5), 0.04).item() == pytest.approx(1.0)
    assert norms.perturbed_one_norm(torch.tensor(3.0), 16.0).item() == 5.0
    big = 1e6
    limit = 3 * math.sqrt(big) + 25 / (2 * math.sqrt(big))
    assert norms.perturbed_one_norm(g, big).item() == pytest.approx(limit, rel=1e-9)
    assert norms.perturbed_one_norm(g.expand(2, 3), 0.0, dim=-1).tolist() == [7.0, 7.0]


@given(g=matrices, eps=st.floats(0, 10))
def test_the_gradient_of_the_perturbed_one_norm_is_adam_s_late_step(g, eps):
    g = g.requires_grad_(True)
    if eps > 1e-3:
        (slope,) = torch.autograd.grad(norms.perturbed_one_norm(g, eps), g)
        torch.testing.assert_close(slope, (g / (g**2 + eps).sqrt()).detach())
    assert norms.perturbed_one_norm(g, eps).item() >= norms.norm(g, "l1").item() * (1 - 1e-12)


def test_zero_over_zero_is_zero_and_nothing_else_changes():
    top = torch.tensor([0.0, 1.0, 0.0, -2.0, math.nan, 0.0])
    bottom = torch.tensor([0.0, 0.0, 3.0, 4.0, 1.0, math.nan])
    q = norms.ratio(top, bottom)
    assert q[:4].tolist() == [0.0, math.inf, 0.0, -0.5]
    assert q[4:].isnan().all()


def test_bad_input():
    x = torch.ones(3)
    for call in (
        lambda: norms.norm(x, "l3"),
        lambda: norms.dual_norm(x, "l3"),
        lambda: norms.lmo(x, 1.0, "l3"),
        lambda: norms.steepest_direction(x, "l3"),
        lambda: norms.kkt_gap(x, x, 1.0, "l3"),
    ):
        with pytest.raises(ValueError, match="norm must be one of 'l1', 'l2', 'linf', 'spectral', 'nuclear'; got 'l3'"):
            call()
    with pytest.raises(ValueError, match=r"the spectral norm needs a matrix .*; got shape \(3,\)"):
        norms.norm(x, "spectral")
    for radius in (0.0, -1.0):
        with pytest.raises(ValueError, match=rf"radius must be a number in \(0, inf\); got {radius}"):
            norms.lmo(x, radius, "l2")
        with pytest.raises(ValueError, match=rf"radius must be a number in \(0, inf\); got {radius}"):
            norms.kkt_gap(x, x, radius)
    with pytest.raises(ValueError, match=r"one shape; got \(3,\) and \(2,\)"):
        norms.kkt_gap(x, torch.ones(2), 1.0)
    with pytest.raises(ValueError, match=r"eps must be a number in \[0, inf\); got -1"):
        norms.perturbed_one_norm(x, -1.0)
    with pytest.raises(TypeError, match="must be a torch.Tensor; got list"):
        norms.linf([1.0])
    with pytest.raises(TypeError, match="floating-point numbers; got torch.int64"):
        norms.linf(torch.tensor([1, 2]))
