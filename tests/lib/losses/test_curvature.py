"""A network's loss as a landscape: value, gradient, Hessian, products, top eigenvalues."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from optbias.losses import landscapes
from optbias.losses.curvature import NetworkLoss, top_eigenvalues
from optbias.models import MLP
from optbias.rules import GradientDescent
from optbias.seeding import generator
from optbias.simulate import trajectory

X = torch.randn(20, 6, generator=generator(0), dtype=torch.float64)
Y = torch.randint(0, 3, (20,), generator=generator(1))


@pytest.fixture
def loss():
    return NetworkLoss(MLP((6, 5, 3), seed=2), X, Y, chunk=7)


def random_point(loss, *leading):
    return loss.theta0 + 0.3 * torch.randn(*leading, loss.dim, generator=generator(3), dtype=torch.float64)


def test_value_and_gradient_are_the_networks(loss):
    net = MLP((6, 5, 3), seed=2)
    value = functional.cross_entropy(net(X), Y)
    value.backward()
    assert loss(loss.theta0).item() == pytest.approx(value.item(), rel=1e-13)
    expected = torch.cat([p.grad.reshape(-1) for p in net.parameters()])
    torch.testing.assert_close(loss.gradient(loss.theta0), expected, rtol=1e-11, atol=1e-14)


def test_batches_over_leading_axes(loss):
    theta = random_point(loss, 3, 4)
    assert loss(theta).shape == (3, 4)
    assert loss.gradient(theta).shape == theta.shape
    torch.testing.assert_close(loss(theta)[1, 2], loss(theta[1, 2]), rtol=1e-12, atol=0.0)
    torch.testing.assert_close(loss.gradient(theta)[2, 3], loss.gradient(theta[2, 3]), rtol=1e-10, atol=1e-14)


def test_hessian_against_autograd_twice(loss):
    theta = random_point(loss)
    expected = torch.autograd.functional.hessian(loss, theta)
    torch.testing.assert_close(loss.hessian(theta), expected, rtol=1e-9, atol=1e-12)


def test_products_are_those_of_the_hessian(loss):
    theta, vectors = random_point(loss), torch.randn(2, 4, loss.dim, generator=generator(5), dtype=torch.float64)
    torch.testing.assert_close(loss.hvp(theta, vectors), vectors @ loss.hessian(theta), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(loss.hvp(theta, vectors[0, 0]), loss.hvp(theta, vectors)[0, 0], rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("count", [1, 5])
def test_top_eigenvalues_are_those_of_the_hessian(loss, count):
    theta = random_point(loss)
    exact, columns = torch.linalg.eigh(loss.hessian(theta))
    values, vectors = top_eigenvalues(loss, theta, count, vectors=True)
    torch.testing.assert_close(values, exact.flip(0)[:count], rtol=1e-8, atol=1e-10)
    overlap = (vectors * columns.T.flip(0)[:count]).sum(-1).abs()
    assert (overlap > 1 - 1e-6).all()
    assert torch.equal(values, top_eigenvalues(loss, theta, count))


def test_top_eigenvalue_is_the_largest_not_the_largest_in_size():
    H = torch.diag(torch.tensor([-9.0, 1.0, 2.0, 3.0], dtype=torch.float64))
    quadratic = landscapes.get("quadratic", H=H)
    assert top_eigenvalues(quadratic, torch.ones(4, dtype=torch.float64), 2).tolist() == pytest.approx([3.0, 2.0])


def test_least_squares_has_the_second_moment_as_its_hessian():
    model = MLP((6, 1), bias=False)
    loss = NetworkLoss(model, X, torch.zeros(20, 1), lambda out, y: 0.5 * ((out - y) ** 2).mean())
    torch.testing.assert_close(loss.hessian(loss.theta0), X.T @ X / 20, rtol=1e-12, atol=1e-14)


def test_the_model_is_left_alone(loss):
    before = [p.clone() for p in loss.model.parameters()]
    path = trajectory(GradientDescent(0.5), loss, loss.theta0, 20)
    assert loss(path[-1]) < loss(path[0])
    assert all(torch.equal(a, b) for a, b in zip(before, loss.model.parameters(), strict=True))
    assert all(p.grad is None for p in loss.model.parameters())


def test_flatten_and_unflatten_are_inverse(loss):
    theta = random_point(loss)
    assert torch.equal(loss.flatten(loss.unflatten(theta)), theta)
    with pytest.raises(ValueError, match="must be named"):
        loss.flatten({})
    wrong = loss.unflatten(theta) | {"layers.0.bias": torch.zeros(2)}
    with pytest.raises(ValueError, match=r"'layers.0.bias' must have shape \(5,\); got \(2,\)"):
        loss.flatten(wrong)


def test_frozen_parameters_and_buffers_stay():
    with torch.random.fork_rng():
        model = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)).double().eval()
    model[0].weight.requires_grad_(False)
    loss = NetworkLoss(model, X, Y)
    assert loss.dim == sum(p.numel() for p in model.parameters()) - 24
    torch.testing.assert_close(loss.outputs(loss.theta0), model(X), rtol=1e-12, atol=1e-13)


def test_accuracy(loss):
    guesses = loss.outputs(loss.theta0).argmax(-1)
    assert loss.accuracy(loss.theta0) == pytest.approx((guesses == Y).double().mean().item())
    assert loss.accuracy(loss.theta0, X, guesses) == 1.0
    assert loss.accuracy(loss.theta0, X[:5], guesses[:5] + 1) == 0.0


def test_bad_input(loss):
    with pytest.raises(TypeError, match="torch.nn.Module; got function"):
        NetworkLoss(lambda x: x, X, Y)
    with pytest.raises(TypeError, match="criterion"):
        NetworkLoss(loss.model, X, Y, "cross_entropy")
    with pytest.raises(ValueError, match="no trainable parameter"):
        NetworkLoss(nn.ReLU(), X, Y)
    with pytest.raises(ValueError, match="chunk"):
        NetworkLoss(loss.model, X, Y, chunk=0)
    with pytest.raises(ValueError, match=rf"\(\.\.\., {loss.dim}\); got \(3,\)"):
        loss(torch.zeros(3))
    with pytest.raises(ValueError, match=rf"\({loss.dim},\); got \(2, {loss.dim}\)"):
        loss.hessian(torch.zeros(2, loss.dim))
    for count in (0, loss.dim, 1.0):
        with pytest.raises(ValueError, match="count must be a whole number"):
            top_eigenvalues(loss, loss.theta0, count)
    with pytest.raises(ValueError, match=r"shape \(dim,\)"):
        top_eigenvalues(loss, loss.theta0[None])
