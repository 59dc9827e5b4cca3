"""Filter normalisation and slices of a network's loss."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from optbias.losses.curvature import NetworkLoss
from optbias.losses.surfaces import loss_surface, random_direction
from optbias.models import MLP
from optbias.seeding import generator

X = torch.randn(20, 6, generator=generator(0), dtype=torch.float64)
Y = torch.randint(0, 3, (20,), generator=generator(1))


@pytest.fixture
def loss():
    return NetworkLoss(MLP((6, 5, 3), "relu", seed=2), X, Y)


def test_every_filter_has_the_norm_of_the_weights(loss):
    theta = loss.theta0 + 0.1
    direction, weights = (loss.unflatten(v) for v in (random_direction(loss, theta, 4), theta))
    for name, piece in direction.items():
        if piece.ndim == 1:
            assert (piece == 0).all()
        else:
            torch.testing.assert_close(piece.norm(dim=1), weights[name].norm(dim=1), rtol=1e-12, atol=0.0)


def test_filters_of_a_convolution_are_its_output_channels():
    with torch.random.fork_rng():
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 3)).double()
    loss = NetworkLoss(model, torch.randn(5, 1, 8, 8, generator=generator(3), dtype=torch.float64), Y[:5])
    piece = loss.unflatten(random_direction(loss, loss.theta0, 1))["0.weight"]
    torch.testing.assert_close(piece.flatten(1).norm(dim=1), model[0].weight.flatten(1).norm(dim=1).detach())


def test_layer_and_plain_scaling(loss):
    layers = loss.unflatten(random_direction(loss, loss.theta0, 4, normalise="layer"))
    for name, piece in layers.items():
        if piece.ndim > 1:
            assert piece.norm().item() == pytest.approx(loss.unflatten(loss.theta0)[name].norm().item(), rel=1e-12)
    plain = random_direction(loss, loss.theta0, 4, normalise="none")
    assert plain.norm().item() == pytest.approx(loss.theta0.norm().item(), rel=1e-12)


def test_biases_can_be_moved_too(loss):
    theta = loss.theta0 + 0.1
    piece = loss.unflatten(random_direction(loss, theta, 4, vectors="scale"))["layers.0.bias"]
    assert piece.norm().item() == pytest.approx(loss.unflatten(theta)["layers.0.bias"].norm().item(), rel=1e-12)


def test_a_zero_filter_gets_a_zero_direction(loss):
    weights = {name: w.clone() for name, w in loss.unflatten(loss.theta0).items()}
    weights["layers.0.weight"][2] = 0.0
    direction = loss.unflatten(random_direction(loss, loss.flatten(weights), 4))
    assert (direction["layers.0.weight"][2] == 0).all()


def test_seed_decides_the_direction(loss):
    one, same, other = (random_direction(loss, loss.theta0, s) for s in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_surface_values(loss):
    first, second = random_direction(loss, loss.theta0, 1), random_direction(loss, loss.theta0, 2)
    offsets, values = loss_surface(loss, loss.theta0, first, second, extent=0.8, points=5)
    assert offsets.tolist() == pytest.approx([-0.8, -0.4, 0.0, 0.4, 0.8])
    assert values.shape == (5, 5)
    for i, j in ((0, 0), (4, 1), (2, 3)):
        point = loss.theta0 + offsets[i] * first + offsets[j] * second
        assert values[j, i].item() == pytest.approx(loss(point).item(), rel=1e-12)
    assert values[2, 2].item() == pytest.approx(loss(loss.theta0).item(), rel=1e-12)


def test_filter_normalised_surface_ignores_the_scale_of_a_relu_layer(loss):
    """Multiply a layer by c and divide the next by c: the same function, the same surface."""
    weights = loss.unflatten(loss.theta0)
    scaled = weights | {n: weights[n] * 8.0 for n in ("layers.0.weight", "layers.0.bias")}
    scaled["layers.1.weight"] = weights["layers.1.weight"] / 8.0
    other = loss.flatten(scaled)
    slices = [loss_surface(loss, t, *(random_direction(loss, t, s) for s in (1, 2)), points=5)[1]
              for t in (loss.theta0, other)]  # fmt: skip
    torch.testing.assert_close(*slices, rtol=1e-10, atol=1e-12)
    plain = [loss_surface(loss, t, *(random_direction(loss, t, s, normalise="none") for s in (1, 2)), points=5)[1]
             for t in (loss.theta0, other)]  # fmt: skip
    assert (plain[0] - plain[1]).abs().max() > 0.1


def test_bad_input(loss):
    direction = random_direction(loss, loss.theta0, 1)
    with pytest.raises(ValueError, match="normalise must be one of 'filter', 'layer', 'none'; got 'unit'"):
        random_direction(loss, loss.theta0, 1, normalise="unit")
    with pytest.raises(ValueError, match="vectors must be one of 'zero', 'scale'"):
        random_direction(loss, loss.theta0, 1, vectors="keep")
    with pytest.raises(ValueError, match=rf"shape \({loss.dim},\); got \(3,\)"):
        random_direction(loss, torch.zeros(3), 1)
    with pytest.raises(ValueError, match="shape"):
        loss_surface(loss, loss.theta0, direction, direction[:-1])
    with pytest.raises(ValueError, match="extent"):
        loss_surface(loss, loss.theta0, direction, direction, extent=0.0)
    for points in (1, 2.0, True):
        with pytest.raises(ValueError, match="points must be a whole number >= 2"):
            loss_surface(loss, loss.theta0, direction, direction, points=points)
