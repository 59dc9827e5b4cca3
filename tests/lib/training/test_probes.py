"""Probes measure what the library's norms define."""

from __future__ import annotations

import math

import pytest
import torch

from optbias import norms
from optbias.rules import AdaGrad, Adam, AdamW, GradientDescent, Lion, Momentum, NormalizedSteepestDescent, SignGD
from optbias.seeding import generator
from optbias.training import Probes, probes
from optbias.training.probes import Meter

F64 = torch.float64


def tensors(rows, size, dtype=F64):
    random = generator(4)
    theta = torch.randn(rows, size, generator=random, dtype=F64).to(dtype)
    return theta, torch.randn(rows, size, generator=random, dtype=F64).mul(0.01).to(dtype)


@pytest.mark.parametrize(("rows", "size"), [(1, 50), (4, 50), (3, 5000), (1, 100_000)])
def test_the_columns_are_the_norms_of_the_library(rows, size, monkeypatch):
    monkeypatch.setattr(probes, "BLOCK", 3000)
    theta, grads = tensors(rows, size)
    own = [Probes(radius=0.5 + k, eps=10.0 ** -(4 + k), tolerance=0.1) for k in range(rows)]
    meter = Meter(own, [Adam()] * rows, theta)
    found = meter.gradient(theta, grads) | meter.parameters(theta) | meter.quantiles(theta)
    for k, probe in enumerate(own):
        t, g, size_of = theta[k], grads[k], theta[k].abs()
        expected = {
            "one_norm": norms.norm(g, "l1"),
            "one_norm_eps": norms.perturbed_one_norm(g, probe.eps),
            "two_norm": norms.norm(g, "l2"),
            "kkt_gap": norms.kkt_gap(t, g, probe.radius, relative=True),
            "linf": norms.linf(t),
            "share_on_box": ((size_of >= 0.9 * probe.radius) & (size_of <= 1.1 * probe.radius)).double().mean(),
            "share_outside": (size_of > 1.1 * probe.radius).double().mean(),
            "q50": size_of.sort().values[math.ceil(0.5 * size) - 1],
            "q90": size_of.sort().values[math.ceil(0.9 * size) - 1],
            "q99": size_of.sort().values[math.ceil(0.99 * size) - 1],
        }
        assert set(expected) == set(found)
        for name, value in expected.items():
            assert found[name][k] == pytest.approx(value.item(), rel=1e-12), name


@pytest.mark.parametrize("block", [probes.BLOCK, 10**9])
def test_sums_in_float32_keep_their_digits(block, monkeypatch):
    """The built-in one-norm loses them without blocks, which is why it is not used."""
    monkeypatch.setattr(probes, "BLOCK", block)
    size = 4_000_000
    grads = torch.rand(1, size, generator=generator(0), dtype=torch.float32)
    meter = Meter([Probes(radius=1.0, eps=1e-3)], [Adam()], grads)
    found = meter.gradient(grads, grads)
    exact = grads.double()
    assert found["one_norm"][0] == pytest.approx(exact.sum().item(), rel=1e-6)
    assert found["one_norm_eps"][0] == pytest.approx((exact**2 + 1e-3).sqrt().sum().item(), rel=1e-6)
    if block > size:
        assert torch.linalg.vector_norm(grads, 1).item() != pytest.approx(exact.sum().item(), rel=1e-5)
        return
    assert found["two_norm"][0] == pytest.approx(exact.norm().item(), rel=1e-6)
    assert found["kkt_gap"][0] == pytest.approx(1 + exact.square().sum().item() / exact.sum().item(), rel=1e-6)


@pytest.mark.parametrize("rows", [1, 2])
def test_a_parameter_that_ends_on_the_box_is_counted(rows):
    """As AdamW's do: the largest are at the radius or a little below it."""
    theta = torch.tensor([[2.0, -1.99, 0.5, 1.97, -2.03]] * rows)
    found = Meter([Probes(radius=2.0)] * rows, [Adam()] * rows, theta).parameters(theta)
    assert found["share_on_box"] == pytest.approx([0.4] * rows)
    assert found["share_outside"] == pytest.approx([0.2] * rows)
    inside = theta[:, :4]
    found = Meter([Probes(radius=2.0)] * rows, [Adam()] * rows, inside).parameters(inside)
    assert found["share_on_box"] == pytest.approx([0.5] * rows)
    assert found["share_outside"] == [0.0] * rows


def test_the_box_is_the_rules_own_unless_it_is_given():
    assert Probes().radius_of(AdamW(weight_decay=0.5)) == 2
    assert Probes().radius_of(SignGD(weight_decay=4.0)) == 0.25
    assert Probes().radius_of(Lion(weight_decay=1.0)) == 1
    assert Probes().radius_of(NormalizedSteepestDescent(weight_decay=1.0)) == 1
    assert Probes(radius=3.0).radius_of(Adam()) == 3
    for rule in (
        AdamW(weight_decay=0.0),
        Adam(weight_decay=0.5),
        Momentum(weight_decay=1.0, decoupled=True),
        NormalizedSteepestDescent(norm="l2", weight_decay=1.0),
    ):
        assert math.isnan(Probes().radius_of(rule))
    theta, grads = tensors(1, 10)
    meter = Meter([Probes()], [Adam()], theta)
    assert math.isnan(meter.gradient(theta, grads)["kkt_gap"][0])
    assert math.isnan(meter.parameters(theta)["share_outside"][0])


def test_eps_is_the_rules_own_unless_it_is_given():
    assert Probes().eps_of(Adam(eps=1e-6, eps_inside=True)) == 1e-6
    assert Probes().eps_of(Adam(eps=1e-6)) == pytest.approx(1e-12)
    assert Probes().eps_of(AdaGrad(eps=0.0)) == 0
    assert Probes().eps_of(GradientDescent()) == 0
    assert Probes(eps=0.1).eps_of(Adam()) == 0.1
    theta, grads = tensors(1, 10)
    found = Meter([Probes(eps=0.0)], [Adam()], theta).gradient(theta, grads)
    assert found["one_norm_eps"] == found["one_norm"]


@pytest.mark.parametrize("rows", [1, 2])
def test_a_zero_gradient_is_a_kkt_point(rows):
    theta, grads = tensors(rows, 10)
    found = Meter([Probes(radius=1.0)] * rows, [Adam()] * rows, theta).gradient(theta, grads.zero_())
    assert found["kkt_gap"] == [0.0] * rows


def test_quantiles_are_ranks():
    theta = -torch.arange(1.0, 11.0).reshape(1, 10)
    meter = Meter([Probes(quantiles=(0.0, 0.1, 0.11, 0.5, 0.999, 1.0))], [Adam()], theta)
    assert meter.quantiles(theta) == {"q0": [1], "q10": [1], "q11": [2], "q50": [5], "q99.9": [10], "q100": [10]}
    assert Meter([Probes(quantiles=())], [Adam()], theta).quantiles(theta) == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"radius": 0.0}, "radius must be a number in"),
        ({"eps": -1.0}, "eps must be a number in"),
        ({"every": 0}, "every must be a whole number >= 1; got 0"),
        ({"quantiles": (1.5,)}, "a quantile must be a number in"),
        ({"tolerance": 1.0}, "tolerance must be a number in"),
        ({"sharpness_every": -1}, "sharpness_every must be a whole number >= 0"),
    ],
)
def test_bad_probes_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Probes(**arguments)
