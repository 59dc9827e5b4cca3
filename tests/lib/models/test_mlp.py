"""The MLP: its function, its initial weights, torch.func, stacking, errors."""

from __future__ import annotations

import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap

from optbias.models import ACTIVATIONS, MLP
from optbias.seeding import generator

X = torch.randn(7, 5, generator=generator(0), dtype=torch.float64)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_forward_is_the_formula(activation):
    net = MLP((5, 4, 3, 2), activation, seed=1)
    with torch.no_grad():
        for layer in net.layers:
            layer.bias.normal_(generator=generator(2))
    a, hidden = ACTIVATIONS[activation], X
    weights = [(layer.weight, layer.bias) for layer in net.layers]
    for weight, bias in weights[:-1]:
        hidden = a(hidden @ weight.T + bias)
    torch.testing.assert_close(net(X), hidden @ weights[-1][0].T + weights[-1][1], rtol=1e-13, atol=1e-14)


def test_seed_decides_the_weights_and_nothing_else_does():
    state = torch.random.get_rng_state()
    a, b, c = MLP((5, 3), seed=4), MLP((5, 3), seed=4), MLP((5, 3), seed=5)
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.equal(a.layers[0].weight, b.layers[0].weight)
    assert not torch.equal(a.layers[0].weight, c.layers[0].weight)
    half = MLP((5, 3), seed=4, dtype=torch.float32).layers[0].weight
    assert torch.equal(half, a.layers[0].weight.float())


def test_initial_scale():
    net = MLP((400, 300, 200), gain=2**0.5)
    for layer, fan_in in zip(net.layers, (400, 300), strict=True):
        assert layer.weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.02)
        assert abs(layer.weight.mean().item()) < 1e-3
        assert (layer.bias == 0).all()


def test_no_bias():
    assert [name for name, _ in MLP((5, 4, 2), bias=False).named_parameters()] == ["layers.0.weight", "layers.1.weight"]


def test_functional_call_and_stacking():
    nets = [MLP((5, 4, 2), "gelu", seed=s) for s in range(3)]
    parameters, buffers = stack_module_state(nets)
    together = vmap(lambda p: functional_call(nets[0], (p, buffers), (X,)))(parameters)
    torch.testing.assert_close(together, torch.stack([net(X) for net in nets]), rtol=1e-12, atol=1e-13)


def test_leading_axes():
    assert MLP((5, 4, 2))(X.reshape(7, 1, 5)).shape == (7, 1, 2)


@pytest.mark.parametrize("sizes", [(), (5,), (5, 0), (5, 2.0), (5, True, 2)])
def test_sizes_are_checked(sizes):
    with pytest.raises(ValueError, match="two or more whole numbers >= 1; got"):
        MLP(sizes)


def test_options_are_checked():
    with pytest.raises(ValueError, match="activation must be one of 'tanh', .*; got 'swish'"):
        MLP((5, 2), "swish")
    with pytest.raises(ValueError, match="gain"):
        MLP((5, 2), gain=-1.0)
    with pytest.raises(TypeError, match="bias must be True or False"):
        MLP((5, 2), bias=1)
