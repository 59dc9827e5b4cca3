"""Bad input raises ValueError or TypeError, and the message says what was given and what is allowed."""

import re

import numpy as np
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
    Rule,
    SignGD,
)
from optbias.torch_optimizer import as_torch

WITH_BETAS = [Adam, AMSGrad, AdamW, Lion]
WITH_DECAY = [*WITH_BETAS, GradientDescent, Momentum, SignGD, NormalizedSteepestDescent, Muon]
RULES = [*WITH_DECAY, AdaGrad, RMSProp]


def refused(error, *parts):
    """The error's message contains every part, in this order."""
    return pytest.raises(error, match=".*".join(re.escape(part) for part in parts))


@pytest.mark.parametrize("rule", RULES)
def test_learning_rates(rule):
    with refused(ValueError, "lr must be a number in [0, inf)", "got -0.1"):
        rule(lr=-0.1)
    with refused(ValueError, "lr must be", "got nan"):
        rule(lr=float("nan"))
    with refused(ValueError, "lr must be", "got inf"):
        rule(lr=float("inf"))
    with refused(ValueError, "lr must be", "a tensor with values in [-1, 2]"):
        rule(lr=torch.tensor([2.0, -1.0]))
    with refused(ValueError, "lr must be", "nan"):
        rule(lr=torch.tensor([2.0, float("nan")]))
    with refused(ValueError, "lr must be", "an empty tensor"):
        rule(lr=torch.tensor([]))
    for wrong in ("0.1", None, True, 1j, [0.1]):
        with refused(TypeError, "lr must be a number in [0, inf)", f"got {wrong!r}"):
            rule(lr=wrong)
    with refused(TypeError, "lr must be", "torch.bool"):
        rule(lr=torch.tensor([True]))


@pytest.mark.parametrize("rule", WITH_BETAS)
def test_betas(rule):
    for betas, name, given in [
        ((1.0, 0.9), "betas[0]", "1.0"),
        ((0.9, -0.1), "betas[1]", "-0.1"),
        ((0.9, 1.5), "betas[1]", "1.5"),
        ((float("nan"), 0.9), "betas[0]", "nan"),
    ]:
        with refused(ValueError, f"{name} must be a number in [0, 1)", f"got {given}"):
            rule(betas=betas)
    for wrong in (0.9, (0.9,), (0.9, 0.99, 0.999), "ab"):
        with refused(TypeError, "betas must be a pair (beta1, beta2)", f"got {wrong!r}"):
            rule(betas=wrong)


@pytest.mark.parametrize(("rule", "name"), [(Momentum, "beta"), (RMSProp, "rho"), (Muon, "momentum")])
def test_other_decay_factors(rule, name):
    for wrong in (1.0, -0.5):
        with refused(ValueError, f"{name} must be a number in [0, 1)", f"got {wrong}"):
            rule(**{name: wrong})


@pytest.mark.parametrize("rule", [AdaGrad, RMSProp, Adam, AMSGrad, AdamW])
def test_eps(rule):
    with refused(ValueError, "eps must be a number in [0, inf)", "got -1e-08"):
        rule(eps=-1e-8)
    with refused(TypeError, "eps_inside must be True or False", "got 1"):
        rule(eps_inside=1)


@pytest.mark.parametrize("rule", WITH_DECAY)
def test_weight_decay(rule):
    with refused(ValueError, "weight_decay must be a number in [0, inf)", "got -0.01"):
        rule(weight_decay=-0.01)


def test_choices():
    with refused(ValueError, "norm must be one of 'l1', 'l2', 'linf', 'spectral', 'nuclear'", "got 'l3'"):
        NormalizedSteepestDescent(norm="l3")
    with refused(ValueError, "form must be one of 'ema', 'heavy_ball'", "got 'polyak'"):
        Momentum(form="polyak")
    with refused(ValueError, "orthogonalize must be one of 'newton_schulz', 'svd'", "got 'qr'"):
        Muon(orthogonalize="qr")
    with refused(ValueError, "ns_steps must be an integer in [1, 100)", "got 0"):
        Muon(ns_steps=0)
    with refused(TypeError, "dim must be an integer or None", "got 'last'"):
        NormalizedSteepestDescent(dim="last")
    with refused(ValueError, "bias_correction=True needs form='ema'"):
        Momentum(form="heavy_ball", bias_correction=True)
    for rule in (Momentum, RMSProp, Adam):
        with refused(TypeError, "bias_correction must be True or False", "got 'yes'"):
            rule(bias_correction="yes")


def test_numpy_numbers_are_numbers():
    assert Adam(lr=np.float64(0.1), eps=np.float32(1e-3)).lr == 0.1
    with pytest.raises(TypeError, match="lr must be"):
        Adam(lr=np.array([0.1, 0.2]))


def test_replace_checks_again():
    with refused(ValueError, "lr must be", "got -1"):
        Adam().replace(lr=-1)


def test_a_rule_without_equations_cannot_be_made():
    with pytest.raises(TypeError, match="abstract"):
        Rule()


# ---- update


@pytest.mark.parametrize("rule", [r() for r in RULES], ids=lambda r: type(r).__name__)
def test_update_refuses_what_does_not_fit(rule):
    theta = torch.ones(2, 3)
    state = rule.init(theta)
    with refused(ValueError, "grad must have the shape of theta, (2, 3)", "got (3,)"):
        rule.update(theta, torch.ones(3), state)
    with refused(ValueError, "grad must hold numbers", "got 1 NaN among 6 entries"):
        rule.update(theta, torch.tensor([[1.0, 2.0, float("nan")], [1.0, 2.0, 3.0]]), state)
    with refused(TypeError, "grad must have the dtype of theta, torch.float64", "got torch.float32"):
        rule.update(theta, torch.ones(2, 3, dtype=torch.float32), state)
    with refused(TypeError, "grad must be a torch.Tensor", "got list"):
        rule.update(theta, [1.0, 1.0], state)
    with refused(TypeError, "theta must hold floating-point numbers", "got torch.int64"):
        rule.update(torch.ones(2, 3, dtype=torch.int64), theta, state)
    with refused(TypeError, "theta must be a torch.Tensor", "got float"):
        rule.init(1.0)
    with refused(ValueError, f"state must be what {type(rule).__name__} made", "'t'", "got ['foreign', 't']"):
        rule.update(theta, theta, {"t": 0, "foreign": theta})
    with refused(ValueError, "state must be what", "got NoneType"):
        rule.update(theta, theta, None)


def test_a_state_of_another_rule_or_another_shape():
    theta = torch.ones(3)
    with refused(ValueError, "state must be what Adam made", "['m', 't', 'v']", "got ['m', 't']"):
        Adam().update(theta, theta, Momentum().init(theta))
    with refused(ValueError, "state['m'] must have the shape of theta, (3,)", "got (4,)"):
        Momentum().update(theta, theta, Momentum().init(torch.ones(4)))
    with refused(ValueError, "state['m'] must have the shape of theta, (3,)", "got (2, 3)"):
        Momentum().update(theta, theta, Momentum().init(torch.ones(2, 3)))


def test_an_infinite_gradient_is_a_number():
    # inf - inf is NaN in the quick check of the sum; there is no NaN in the gradient.
    theta = torch.zeros(2)
    new, _ = SignGD(0.1).update(theta, torch.tensor([float("inf"), -float("inf")]), SignGD().init(theta))
    assert torch.equal(new, torch.tensor([-0.1, 0.1]))


def test_muon_needs_a_matrix():
    with refused(ValueError, "Muon needs a matrix", "got shape (3,)"):
        Muon().init(torch.ones(3))
    with refused(ValueError, "the spectral norm needs a matrix", "got shape (3,)"):
        rule = NormalizedSteepestDescent(norm="spectral")
        rule.update(torch.ones(3), torch.ones(3), rule.init(torch.ones(3)))


# ---- the torch form


def test_as_torch_refuses_what_does_not_fit():
    param = torch.nn.Parameter(torch.ones(2))
    with pytest.raises(ValueError, match="empty parameter list"):
        as_torch(Adam(), [])
    with refused(TypeError, "rule must be a rule from optbias.rules", "got 'adam'"):
        as_torch("adam", [param])
    with refused(ValueError, "Adam has no hyper-parameter momentum", "it has", "betas", "lr"):
        as_torch(Adam(), [{"params": [param], "momentum": 0.9}])
    with refused(ValueError, "lr must be a number in [0, inf)", "got -1"):
        as_torch(Adam(), [{"params": [param], "lr": -1}])
    with refused(TypeError, "a parameter must hold floating-point numbers", "got torch.complex128"):
        as_torch(Adam(), [torch.nn.Parameter(torch.ones(2, dtype=torch.complex128))])


def test_a_nan_gradient_changes_no_parameter():
    first, second = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2))
    optimizer = as_torch(Adam(0.1), [first, second])
    first.grad, second.grad = torch.ones(2), torch.tensor([1.0, float("nan")])
    with refused(ValueError, "grad must hold numbers", "1 NaN among 2"):
        optimizer.step()
    assert torch.equal(first.detach(), torch.ones(2))
    assert not optimizer.state


def test_sparse_gradients_are_refused():
    table = torch.nn.Embedding.from_pretrained(torch.ones(4, 2), freeze=False, sparse=True)
    optimizer = as_torch(SignGD(), table.parameters())
    table(torch.tensor([1])).sum().backward()
    with refused(TypeError, "a gradient must be dense", "got a sparse one"):
        optimizer.step()


def test_a_state_dict_of_another_rule():
    def trained(rule):
        param = torch.nn.Parameter(torch.ones(2))
        optimizer = as_torch(rule, [param])
        param.grad = torch.ones(2)
        optimizer.step()
        return optimizer

    with refused(ValueError, "Adam needs a state_dict that Adam made", "got one of Momentum"):
        trained(Adam()).load_state_dict(trained(Momentum()).state_dict())
    with refused(ValueError, "AMSGrad needs a state_dict that AMSGrad made", "got one of Adam"):
        trained(AMSGrad()).load_state_dict(trained(Adam()).state_dict())
