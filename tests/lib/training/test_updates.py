"""One step on flat buffers: fused, in blocks, by matrix or merged, it is the rule's own step."""

from __future__ import annotations

import pytest
import torch

from optbias.rules import (
    AdaGrad,
    Adam,
    AdamW,
    AMSGrad,
    GradientDescent,
    Lion,
    Momentum,
    Muon,
    NormalizedSteepestDescent,
    RMSProp,
    SignGD,
)
from optbias.seeding import generator
from optbias.torch_optimizer import as_torch
from optbias.training import updates

F64 = torch.float64

SHAPES = {"a": torch.Size([3, 4]), "b": torch.Size([5])}
N = 17


def buffers(rows=1, size=N, seed=0, dtype=F64):
    theta = torch.randn(rows, size, generator=generator(seed), dtype=F64).to(dtype)
    return theta, torch.zeros_like(theta)


def gradients(rows=1, size=N, steps=40, seed=1):
    """Gradients of very different sizes, one coordinate always 0."""
    g = torch.randn(steps, rows, size, generator=generator(seed), dtype=F64)
    g = g * torch.logspace(-6, 1, size, dtype=F64)
    g[..., 3] = 0
    return g


def carried_out(made, theta, grads, steps):
    for g in steps:
        grads.copy_(g)
        made.step()
    return theta


def by_the_rule(rule, theta, steps):
    theta, state = theta.clone(), rule.init(theta)
    for g in steps:
        theta, state = rule.update(theta, g.to(theta.dtype), state)
    return theta, state


FUSED = [
    Adam(lr=0.01),
    Adam(lr=0.01, weight_decay=0.3),
    Adam(lr=0.01, bias_correction=False),
    Adam(lr=0.01, eps=1e-5, eps_inside=True),
    Adam(lr=0.01, betas=(0.5, 0.6), eps=1e-12, eps_inside=True, bias_correction=False),
    AdamW(lr=lambda t: 0.1 / t**0.5, weight_decay=0.5),
    AdamW(lr=0.01, weight_decay=0.5, betas=(0.95, 0.9), eps=1e-7, eps_inside=True),
    AMSGrad(lr=0.01),
    AMSGrad(lr=0.01, bias_correction=False),
    GradientDescent(lr=0.1, weight_decay=0.2),
    GradientDescent(lr=0.1, weight_decay=0.2, decoupled=True),
    Momentum(lr=0.1),
    Momentum(lr=0.1, form="heavy_ball", nesterov=True, weight_decay=0.1),
    Momentum(lr=0.1, weight_decay=0.1, decoupled=True),
]


@pytest.mark.parametrize("rule", FUSED, ids=lambda rule: type(rule).__name__)
def test_a_fused_kernel_takes_the_rules_own_steps(rule):
    theta, grads = buffers()
    expected, state = by_the_rule(rule, theta, gradients())
    made = updates.update(rule, theta, grads, SHAPES, fused=True)
    assert made.how.startswith("_fused_")
    carried_out(made, theta, grads, gradients())
    torch.testing.assert_close(theta, expected, rtol=1e-12, atol=1e-13)
    readable = updates.update(rule, *buffers(), SHAPES, fused=False)
    for name in rule.moments:
        readable.state[name].copy_(state[name])
    readable.t = state["t"]
    if made.preconditioner() is None:
        assert readable.preconditioner() is None
    else:
        torch.testing.assert_close(made.preconditioner(), readable.preconditioner(), rtol=1e-10, atol=0)


@pytest.mark.parametrize("rule", FUSED[:6], ids=lambda rule: type(rule).__name__)
def test_a_fused_kernel_is_right_in_float32_too(rule):
    theta, grads = buffers(dtype=torch.float32)
    expected, _ = by_the_rule(rule, theta.double(), gradients())
    carried_out(updates.update(rule, theta, grads, SHAPES, fused=True), theta, grads, gradients())
    torch.testing.assert_close(theta.double(), expected, rtol=1e-4, atol=2e-5)


READABLE = [
    Adam(lr=0.01, eps=0.0),  # the kernels have no 0 / 0 = 0
    Adam(lr=0.01, betas=(0.9, 0.0), eps=1e-5, eps_inside=True),
    AMSGrad(lr=0.01, eps_inside=True),
    AdaGrad(lr=0.1),
    RMSProp(lr=0.01, bias_correction=True),
    Momentum(lr=0.1, nesterov=True),
    Momentum(lr=0.1, bias_correction=True),
    Lion(lr=0.01, weight_decay=1.0),
    SignGD(lr=0.01),
    NormalizedSteepestDescent(lr=0.01, norm="linf"),
]


@pytest.mark.parametrize("rule", READABLE, ids=lambda rule: type(rule).__name__)
def test_other_rules_take_their_equations_bit_for_bit(rule, monkeypatch):
    monkeypatch.setattr(updates, "BLOCK", 5)
    theta, grads = buffers()
    expected, state = by_the_rule(rule, theta, gradients())
    made = updates.update(rule, theta, grads, SHAPES)
    assert made.how == "the rule's equations"
    carried_out(made, theta, grads, gradients())
    assert torch.equal(theta, expected)
    for name in rule.moments:
        assert torch.equal(made.state[name], state[name])
    with pytest.raises(ValueError, match="fused=True"):
        updates.update(rule, theta, grads, SHAPES, fused=True)


def test_the_preconditioner_of_each_adaptive_rule():
    g = gradients(steps=1)
    for rule, expected in [
        (AdaGrad(eps=0.1), g[0].abs() + 0.1),
        (RMSProp(rho=0.75, eps=0.1), g[0].abs() / 2 + 0.1),
        (RMSProp(rho=0.75, eps=0.1, bias_correction=True), g[0].abs() + 0.1),
        (Adam(eps=0.1), g[0].abs() + 0.1),
        (Adam(eps=0.1, eps_inside=True), (g[0] ** 2 + 0.1).sqrt()),
        (AMSGrad(eps=0.1, betas=(0.9, 0.75), bias_correction=False), g[0].abs() / 2 + 0.1),
    ]:
        for fused in ("auto", False):
            theta, grads = buffers()
            made = updates.update(rule, theta, grads, SHAPES, fused)
            carried_out(made, theta, grads, g)
            torch.testing.assert_close(made.preconditioner(), expected, rtol=1e-12, atol=1e-15)
    assert updates.update(SignGD(), *buffers(), SHAPES).preconditioner() is None


def test_matrix_rules_go_parameter_by_parameter():
    shapes = {"a": torch.Size([3, 4]), "b": torch.Size([5, 1])}
    for rule in (Muon(lr=0.1, orthogonalize="svd"), NormalizedSteepestDescent(lr=0.1, norm="spectral")):
        theta, grads = buffers()
        parameters = [
            p.view(s).clone().requires_grad_() for p, s in zip(theta[0].split([12, 5]), shapes.values(), strict=True)
        ]
        optimizer = as_torch(rule, parameters)
        steps = gradients(steps=5)
        carried_out(updates.update(rule, theta, grads, shapes), theta, grads, steps)
        for g in steps:
            for p, part in zip(parameters, g[0].split([12, 5]), strict=True):
                p.grad = part.view(p.shape).clone()
            optimizer.step()
        assert torch.equal(theta[0], torch.cat([p.detach().reshape(-1) for p in parameters]))
    with pytest.raises(ValueError, match="Muon needs a matrix"):
        updates.update(Muon(), *buffers(), SHAPES)


def test_a_vector_norm_is_that_of_all_parameters_together():
    rule = NormalizedSteepestDescent(lr=0.5, norm="l2")
    theta, grads = buffers(rows=2)
    g = gradients(rows=2, steps=1)
    before = theta.clone()
    carried_out(updates.update(rule, theta, grads, SHAPES), theta, grads, g)
    torch.testing.assert_close((theta - before).norm(dim=1), torch.full((2,), 0.5, dtype=F64), rtol=1e-12, atol=0)


def test_rules_of_one_kind_are_merged_and_others_are_not():
    rules = [
        Adam(lr=0.01, betas=(0.9, 0.99)),
        Adam(lr=lambda t: 0.02 / t, betas=(0.5, 0.9), weight_decay=0.1),
        Adam(lr=0.03, eps=1e-4),
        Adam(lr=0.03, eps=1e-4, eps_inside=True),
        Momentum(lr=0.1, beta=0.5),
        Momentum(lr=0.1, beta=0.9),
        Momentum(lr=0.1, beta=0.9),
    ]
    theta, grads = buffers(rows=len(rules))
    steps = gradients(rows=len(rules))
    expected = torch.cat([by_the_rule(rule, theta[k : k + 1], steps[:, k : k + 1])[0] for k, rule in enumerate(rules)])
    alone, together = theta.clone(), theta.clone()
    for merge, found, sizes in ((False, alone, [1, 1, 1, 1, 1, 2]), (True, together, [3, 1, 3])):
        made = updates.updates(rules, found, grads, SHAPES, merge=merge)
        assert [part.stop - part.start for part, _ in made] == sizes
        for g in steps:
            grads.copy_(g)
            for _, one in made:
                one.step()
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)


def test_merged_rules_keep_the_digits_of_float32():
    """1 - beta2 in float32 would be wrong in the fourth digit for beta2 = 0.9999."""
    rules = [Adam(lr=0.01, betas=(0.9, beta2)) for beta2 in (0.999, 0.9999)]
    theta, grads = buffers(rows=2, dtype=torch.float32)
    ((_, made),) = updates.updates(rules, theta, grads, SHAPES, merge=True)
    grads.fill_(1.0)
    made.step()
    torch.testing.assert_close(made.state["v"][:, 0].double(), torch.tensor([1e-3, 1e-4], dtype=F64), rtol=1e-6, atol=0)


def test_a_build_of_torch_without_the_kernel_falls_back(monkeypatch):
    def missing(*_, **__):
        raise NotImplementedError("no such operator")

    missing.__name__ = "_fused_adam_"
    monkeypatch.setattr(torch, "_fused_adam_", missing)
    theta, grads = buffers()
    assert updates.update(Adam(), theta, grads, SHAPES).how == "the rule's equations"
    with pytest.raises(ValueError, match="lacks the kernel"):
        updates.update(Adam(), theta, grads, SHAPES, fused=True)
    with pytest.raises(ValueError, match="fused must be one of"):
        updates.update(Adam(), theta, grads, SHAPES, fused="maybe")
