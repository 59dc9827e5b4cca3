"""Every rule that torch.optim has agrees with it, and the two forms of each rule agree bit for bit."""

import copy
import inspect
import io
import itertools
import re

import pytest
import torch
from torch import Tensor

from optbias.rules import (
    ADOPT,
    ASGD,
    LAMB,
    LARS,
    RULES,
    SOAP,
    AdaBelief,
    Adadelta,
    Adafactor,
    AdaGrad,
    Adam,
    Adamax,
    AdamMini,
    AdamW,
    AdEMAMix,
    AMSGrad,
    CautiousAdamW,
    GradientDescent,
    LaProp,
    Lion,
    Momentum,
    Muon,
    NAdam,
    NormalizedSteepestDescent,
    RAdam,
    RMSProp,
    Rprop,
    ScheduleFreeAdamW,
    ScheduleFreeSGD,
    Shampoo,
    SignGD,
    Signum,
    Yogi,
)
from optbias.seeding import generator
from optbias.torch_optimizer import BLOCK, as_torch

STEPS = 200
TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}
SHAPES = [(), (5,), (2, 3, 2, 2)]


def grid(**axes):
    """Every combination of the values, as keyword arguments."""
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def as_sgd(lr, beta, nesterov, weight_decay):
    return (
        Momentum(lr, beta, form="heavy_ball", nesterov=nesterov, weight_decay=weight_decay),
        torch.optim.SGD,
        {"lr": lr, "momentum": beta, "nesterov": nesterov, "weight_decay": weight_decay},
    )


def same_names(rule, twin, **fixed):
    return lambda **kw: (rule(**kw), twin, kw | fixed)


ADAM_GRID = [
    {"lr": lr, "eps": eps} | rest
    for lr, eps in [(1e-3, 1e-8), (0.1, 1e-2)]
    for rest in grid(betas=[(0.9, 0.999), (0.5, 0.5), (0.0, 0.9), (0.99, 0.9)], weight_decay=[0.0, 0.1])
]


def decoupled_too(rule, twin):
    return lambda **kw: (rule(**kw), twin, {"decoupled_weight_decay" if k == "decoupled" else k: kw[k] for k in kw})


VARIANT_GRID = [{}, {"lr": 0.1, "eps": 1e-2, "weight_decay": 0.1}]

TWINS = {
    "SGD": (
        lambda lr, weight_decay: (
            GradientDescent(lr, weight_decay),
            torch.optim.SGD,
            {"lr": lr, "weight_decay": weight_decay},
        ),
        grid(lr=[1e-3, 0.1], weight_decay=[0.0, 0.1]),
    ),
    "SGD momentum": (as_sgd, grid(lr=[1e-3, 0.05], beta=[0.5, 0.9], nesterov=[False, True], weight_decay=[0.0, 0.1])),
    "Adagrad": (same_names(AdaGrad, torch.optim.Adagrad), grid(lr=[1e-2, 0.5], eps=[1e-10, 1e-2])),
    "RMSprop": (
        lambda lr, rho, eps: (RMSProp(lr, rho, eps), torch.optim.RMSprop, {"lr": lr, "alpha": rho, "eps": eps}),
        grid(lr=[1e-3, 0.1], rho=[0.0, 0.9, 0.99], eps=[1e-8, 1e-2]),
    ),
    "Adam": (same_names(Adam, torch.optim.Adam), ADAM_GRID),
    "AMSGrad": (same_names(AMSGrad, torch.optim.Adam, amsgrad=True), ADAM_GRID),
    "AdamW": (same_names(AdamW, torch.optim.AdamW), ADAM_GRID),
    "NAdam": (
        decoupled_too(NAdam, torch.optim.NAdam),
        [*VARIANT_GRID, {"betas": (0.5, 0.5), "momentum_decay": 0.1}, {"weight_decay": 0.1, "decoupled": True}],
    ),
    # With beta2 = 0.5 there is never a second moment, with 0.9 after nine steps.
    "RAdam": (
        decoupled_too(RAdam, torch.optim.RAdam),
        [*VARIANT_GRID, *grid(betas=[(0.5, 0.5), (0.9, 0.9)]), {"weight_decay": 0.1, "decoupled": True}],
    ),
    "Adamax": (same_names(Adamax, torch.optim.Adamax), [*VARIANT_GRID, {"betas": (0.5, 0.5)}]),
    "Adadelta": (same_names(Adadelta, torch.optim.Adadelta), [*VARIANT_GRID, {"rho": 0.5}]),
    "Adafactor": (
        lambda eps1=None, eps2=1e-3, **kw: (
            Adafactor(eps1=eps1, eps2=eps2, **kw),
            torch.optim.Adafactor,
            kw | {"eps": (eps1, eps2)},
        ),
        [{}, {"lr": 0.1, "weight_decay": 0.1}, {"beta2_decay": -0.5, "d": 2.0, "eps1": 0.1, "eps2": 0.5}],
    ),
    "ASGD": (same_names(ASGD, torch.optim.ASGD), [{}, {"lr": 0.1, "lambd": 1e-2, "weight_decay": 0.1, "t0": 20}]),
    "Rprop": (same_names(Rprop, torch.optim.Rprop), [{}, {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (1e-3, 1.0)}]),
}


def gradients(shape, steps=STEPS, seed=0, scale_spread=2.0):
    """Gradients of many sizes; every third step is exactly zero, in every coordinate."""
    random = generator(seed)
    sizes = 10.0 ** (scale_spread * torch.randn((steps, *[1] * len(shape)), generator=random))
    grads = sizes * torch.randn((steps, *shape), generator=random)
    grads[2::3] = 0.0
    return grads


def start(shape, seed=1):
    return torch.randn(shape, generator=generator(seed))


def run_optimizer(make, theta0: Tensor, grads: Tensor) -> Tensor:
    """The iterates of an optimizer that is fed the gradients ``grads`` plus the iterate itself."""
    param = torch.nn.Parameter(theta0.clone())
    optimizer = make([param])
    return torch.stack([feed(optimizer, param, grad) for grad in grads])


def feed(optimizer, param, grad) -> Tensor:
    # The iterate enters the gradient, so that a difference would feed back.
    param.grad = grad + 0.1 * param.detach()
    optimizer.step()
    return param.detach().clone()


def run_rule(rule, theta: Tensor, grads: Tensor) -> Tensor:
    state, path = rule.init(theta), []
    for grad in grads:
        theta, state = rule.update(theta, grad + 0.1 * theta, state)
        path.append(theta)
    return torch.stack(path)


@pytest.mark.parametrize("name", TWINS)
def test_agrees_with_torch_optim_over_the_grid(name):
    make, settings = TWINS[name]
    # The tolerance is absolute, so that a rule whose steps grow with the gradients needs some of ordinary size.
    spread = 0.5 if "SGD" in name else 2.0
    grads = {shape: gradients(shape, scale_spread=spread) for shape in SHAPES}
    for kwargs in settings:
        rule, twin, twin_kwargs = make(**kwargs)
        params = {shape: torch.nn.Parameter(start(shape)) for shape in SHAPES}
        ours = {shape: start(shape) for shape in SHAPES}
        states = {shape: rule.init(theta) for shape, theta in ours.items()}
        optimizer = twin(params.values(), **twin_kwargs)
        for step in range(STEPS):
            for shape, param in params.items():
                # The iterate enters the gradient, so that a difference would feed back.
                grad = grads[shape][step] + 0.1 * ours[shape]
                param.grad = grads[shape][step] + 0.1 * param.detach()
                ours[shape], states[shape] = rule.update(ours[shape], grad, states[shape])
            optimizer.step()
            for shape, param in params.items():
                difference = (ours[shape] - param.detach()).abs().max().item()
                assert difference <= 1e-12 * max(1.0, param.detach().abs().max().item()), (kwargs, shape, step)


needs_muon = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this PyTorch is older than its Muon")


@needs_muon
@pytest.mark.parametrize("shape", [(4, 6), (6, 4), (3, 3)])
@pytest.mark.parametrize("nesterov", [True, False])
def test_muon_agrees_with_torch_optim(shape, nesterov):
    kwargs = {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.05, "nesterov": nesterov, "ns_steps": 4}
    grads = gradients(shape, scale_spread=0.5)
    ours = run_rule(Muon(**kwargs), start(shape), grads)
    theirs = run_optimizer(lambda p: torch.optim.Muon(p, **kwargs), start(shape), grads)
    torch.testing.assert_close(ours, theirs, **TOLERANCE)


def test_muon_svd_is_what_newton_schulz_approximates():
    grads = gradients((4, 6), steps=1)
    exact = run_rule(Muon(orthogonalize="svd", lr=1.0, weight_decay=0.0), torch.zeros(4, 6), grads)
    assert torch.allclose(torch.linalg.svdvals(exact[0]), torch.ones(4), atol=1e-12)
    rough = run_rule(Muon(lr=1.0, weight_decay=0.0), torch.zeros(4, 6), grads)
    assert (torch.linalg.svdvals(rough[0]) - 1).abs().max() < 0.5


@needs_muon
def test_defaults_are_those_of_torch():
    for rule, twin, names in [
        (Adam(), torch.optim.Adam, ["lr", "betas", "eps", "weight_decay"]),
        (AMSGrad(), torch.optim.Adam, ["lr", "betas", "eps", "weight_decay"]),
        (AdamW(), torch.optim.AdamW, ["lr", "betas", "eps", "weight_decay"]),
        (AdaGrad(), torch.optim.Adagrad, ["lr", "eps"]),
        (RMSProp(), torch.optim.RMSprop, ["lr", "eps"]),
        (GradientDescent(), torch.optim.SGD, ["lr", "weight_decay"]),
        (Muon(), torch.optim.Muon, ["lr", "momentum", "weight_decay", "nesterov", "ns_steps"]),
        (NAdam(), torch.optim.NAdam, ["lr", "betas", "eps", "weight_decay", "momentum_decay"]),
        (RAdam(), torch.optim.RAdam, ["lr", "betas", "eps", "weight_decay"]),
        (Adamax(), torch.optim.Adamax, ["lr", "betas", "eps", "weight_decay"]),
        (Adadelta(), torch.optim.Adadelta, ["lr", "rho", "eps", "weight_decay"]),
        (Adafactor(), torch.optim.Adafactor, ["lr", "beta2_decay", "d", "weight_decay"]),
        (ASGD(), torch.optim.ASGD, ["lr", "lambd", "alpha", "t0", "weight_decay"]),
        (Rprop(), torch.optim.Rprop, ["lr", "etas", "step_sizes"]),
    ]:
        defaults = inspect.signature(twin).parameters
        for name in names:
            assert getattr(rule, name) == defaults[name].default, (rule, name)
    assert RMSProp().rho == inspect.signature(torch.optim.RMSprop).parameters["alpha"].default


def test_ema_momentum_is_heavy_ball_at_a_smaller_rate():
    lr, beta = 0.1, 0.9
    grads = gradients((5,), scale_spread=0.5)
    for nesterov in (False, True):
        ema = run_rule(Momentum(lr, beta, nesterov=nesterov), start((5,)), grads)
        twin = run_optimizer(
            lambda p, n=nesterov: torch.optim.SGD(p, lr=lr * (1 - beta), momentum=beta, nesterov=n), start((5,)), grads
        )
        torch.testing.assert_close(ema, twin, **TOLERANCE)


# ---- closed forms: a constant gradient g leaves m = (1 - beta1^t) g and v = (1 - beta2^t) g^2


def displacement(rule, g: float, steps: int = 7) -> list[float]:
    theta, state, moves = torch.zeros(1), rule.init(torch.zeros(1)), []
    for _ in range(steps):
        new, state = rule.update(theta, torch.full((1,), g), state)
        moves.append((new - theta).item())
        theta = new
    return moves


@pytest.mark.parametrize("g", [3.0, -1e-3, 1e-6])
@pytest.mark.parametrize("eps", [1e-8, 0.1])
@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("corrected", [False, True])
def test_both_places_of_eps_and_both_biases_in_closed_form(g, eps, inside, corrected):
    def divide(m, v):
        return m / (v + eps) ** 0.5 if inside else m / (v**0.5 + eps)

    lr, b1, b2 = 0.01, 0.8, 0.95
    common = {"eps": eps, "eps_inside": inside}
    for t, t_adam, t_amsgrad, t_adamw, t_rms, t_ada in zip(
        range(1, 8),
        displacement(Adam(lr, (b1, b2), bias_correction=corrected, **common), g),
        displacement(AMSGrad(lr, (b1, b2), bias_correction=corrected, **common), g),
        displacement(AdamW(lr, (b1, b2), weight_decay=0.0, bias_correction=corrected, **common), g),
        displacement(RMSProp(lr, b2, bias_correction=corrected, **common), g),
        displacement(AdaGrad(lr, **common), g),
        strict=True,
    ):
        m = g if corrected else (1 - b1**t) * g
        v = g**2 if corrected else (1 - b2**t) * g**2
        expected = pytest.approx(-lr * divide(m, v), rel=1e-9, abs=0)
        assert t_adam == expected
        assert t_amsgrad == expected
        assert t_adamw == expected
        assert t_rms == pytest.approx(-lr * divide(g, v), rel=1e-9, abs=0)
        assert t_ada == pytest.approx(-lr * divide(g, t * g**2), rel=1e-9, abs=0)


def test_bias_corrected_momentum_in_closed_form():
    assert displacement(Momentum(0.1, 0.9, bias_correction=True), 2.0) == pytest.approx([-0.2] * 7, rel=1e-13)
    expected = [-0.2 * (1 - 0.9**t) for t in range(1, 8)]
    assert displacement(Momentum(0.1, 0.9), 2.0) == pytest.approx(expected, rel=1e-13)


def test_lion_and_sign_descent_by_hand():
    assert displacement(SignGD(0.1), -5.0, 3) == pytest.approx([0.1] * 3)
    rule = Lion(0.1, betas=(0.9, 0.5))
    theta, state = torch.zeros(2), rule.init(torch.zeros(2))
    theta, state = rule.update(theta, torch.tensor([1.0, -1.0]), state)
    assert torch.equal(theta, torch.tensor([-0.1, 0.1]))
    assert torch.equal(state["m"], torch.tensor([0.5, -0.5]))
    # 0.9 * 0.5 outweighs 0.1 * 3 of the other sign, and 0.1 * 5 outweighs it.
    theta, state = rule.update(theta, torch.tensor([-3.0, 5.0]), state)
    assert torch.allclose(theta, torch.tensor([-0.2, 0.0]), atol=1e-15)


def test_decoupled_decay_stands_beside_the_step():
    theta, grad = torch.tensor([2.0]), torch.tensor([0.5])
    lr, wd = 0.1, 0.3
    for rule in (
        GradientDescent(lr, wd, decoupled=True),
        Momentum(lr, 0.9, form="heavy_ball", weight_decay=wd, decoupled=True),
    ):
        new, state = rule.update(theta, grad, rule.init(theta))
        assert new.item() == pytest.approx((1 - lr * wd) * 2.0 - lr * 0.5, abs=1e-15)
    assert state["m"].item() == 0.5  # the decay stays out of the moment


# ---- 0 / 0 = 0

NO_EPS = [
    Adam(eps=0.0),
    Adam(eps=0.0, eps_inside=True),
    Adam(eps=torch.tensor(0.0)),
    Adam(eps=0.0, bias_correction=False),
    AMSGrad(eps=0.0),
    AdamW(eps=0.0, weight_decay=0.0),
    RMSProp(eps=0.0),
    AdaGrad(eps=0.0),
    NormalizedSteepestDescent(norm="l2"),
    NormalizedSteepestDescent(norm="l1"),
    NormalizedSteepestDescent(norm="linf"),
    SignGD(),
    Lion(),
]


@pytest.mark.parametrize("rule", NO_EPS, ids=repr)
def test_a_coordinate_without_gradient_does_not_move(rule):
    theta = torch.tensor([1.0, -2.0])
    state = rule.init(theta)
    for _ in range(5):
        theta, state = rule.update(theta, torch.zeros(2), state)
    assert torch.equal(theta, torch.tensor([1.0, -2.0]))


def test_with_eps_zero_only_the_silent_coordinate_stays():
    theta, state = torch.ones(2), Adam(eps=0.0).init(torch.ones(2))
    theta, _ = Adam(lr=0.1, eps=0.0).update(theta, torch.tensor([0.0, 3.0]), state)
    assert torch.allclose(theta, torch.tensor([1.0, 0.9]), atol=1e-15)


# ---- the two forms

ALL_RULES = [
    GradientDescent(0.1, weight_decay=0.1),
    GradientDescent(0.1, weight_decay=0.1, decoupled=True),
    Momentum(0.1),
    Momentum(0.1, form="heavy_ball", nesterov=True, weight_decay=0.1),
    Momentum(0.1, bias_correction=True),
    AdaGrad(0.1),
    RMSProp(0.01),
    RMSProp(0.01, bias_correction=True, eps_inside=True),
    Adam(0.01, weight_decay=0.1),
    Adam(0.01, eps=0.0),
    Adam(lr=lambda t: 0.1 / t**0.5),
    AMSGrad(0.01),
    AdamW(0.01),
    SignGD(0.01, weight_decay=0.1),
    NormalizedSteepestDescent(0.01, "linf", 0.1),
    NormalizedSteepestDescent(0.01, "l2", 0.1),
    NormalizedSteepestDescent(0.01, "l1", 0.1),
    Lion(0.01, weight_decay=0.1),
    Signum(0.01, weight_decay=0.1),
    Adadelta(weight_decay=0.1),
    Rprop(0.01),
    NAdam(0.01, weight_decay=0.1),
    RAdam(0.01, (0.9, 0.9)),
    Adamax(0.01),
    AdaBelief(0.01, weight_decay=0.1),
    Yogi(0.01),
    LaProp(0.01),
    ADOPT(0.01, weight_decay=0.1),
    AdEMAMix(0.01, warmup=2),
    CautiousAdamW(0.01, scale=False),
    CautiousAdamW(0.01),
    LARS(0.1, weight_decay=0.1),
    LAMB(0.01, weight_decay=0.1),
    AdamMini(0.01),
    Adafactor(),
    ASGD(0.1, t0=2),
    ScheduleFreeSGD(0.1, weight_decay=0.1),
    ScheduleFreeAdamW(0.01, weight_decay=0.1),
]


def test_every_rule_has_both_forms_compared():
    matrices = {Muon, Shampoo, SOAP}
    assert {type(rule) for rule in ALL_RULES} | matrices == set(RULES)


def name_of(rule):
    """The rule as text, without the address of a function in it: every worker must see the same name."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(rule))


@pytest.mark.parametrize("rule", ALL_RULES, ids=name_of)
@pytest.mark.parametrize("shape", [*SHAPES, (BLOCK + 17,), (3, BLOCK // 2)], ids=str)
def test_both_forms_agree_bit_for_bit(rule, shape):
    grads = gradients(shape, steps=4, scale_spread=0.5)
    torch_form = run_optimizer(lambda p: as_torch(rule, p), start(shape), grads)
    assert torch.equal(run_rule(rule, start(shape), grads), torch_form)


@pytest.mark.parametrize("norm", ["spectral", "nuclear"])
def test_both_forms_of_matrix_rules_agree_bit_for_bit(norm):
    grads = gradients((5, 3), steps=6, scale_spread=0.5)
    for rule in (NormalizedSteepestDescent(0.01, norm, 0.1), Muon(0.01), Muon(0.01, orthogonalize="svd"), Shampoo()):
        torch_form = run_optimizer(lambda p, r=rule: as_torch(r, p), start((5, 3)), grads)
        assert torch.equal(run_rule(rule, start((5, 3)), grads), torch_form)


def test_both_forms_of_soap_agree():
    # Not bit for bit: a decomposition returns columns, and the optimizer keeps rows in memory.
    grads, rule = gradients((5, 3), steps=6, scale_spread=0.5), SOAP(frequency=2)
    torch_form = run_optimizer(lambda p: as_torch(rule, p), start((5, 3)), grads)
    torch.testing.assert_close(run_rule(rule, start((5, 3)), grads), torch_form, rtol=1e-12, atol=1e-13)


def test_big_parameters_in_float32_and_odd_layouts():
    shape = (300, 400)
    theta, grads = start(shape).float(), gradients(shape, steps=4, scale_spread=0.5).float()
    plain = run_rule(AdamW(0.01), theta, grads)
    assert torch.equal(plain, run_optimizer(lambda p: as_torch(AdamW(0.01), p), theta, grads))
    # A gradient, then a parameter, that lies column by column in memory: same numbers.
    columns = grads.mT.contiguous().mT
    assert torch.equal(plain, run_optimizer(lambda p: as_torch(AdamW(0.01), p), theta, columns))
    assert torch.equal(plain, run_optimizer(lambda p: as_torch(AdamW(0.01), p), theta.T.contiguous().T, grads))


def test_a_tensor_of_rates_works_on_big_parameters_too():
    theta, grads = start((2, BLOCK)), gradients((2, BLOCK), steps=2, scale_spread=0.5)
    rule = Adam(lr=torch.tensor([[0.1], [0.2]]))
    assert torch.equal(run_rule(rule, theta, grads), run_optimizer(lambda p: as_torch(rule, p), theta, grads))


# ---- what torch optimizers do


def test_param_groups_override_hyper_parameters():
    def optimise(make):
        a, b = torch.nn.Parameter(start((3,))), torch.nn.Parameter(start((2, 2)))
        optimizer = make([{"params": [a], "lr": 0.1, "betas": (0.5, 0.6)}, {"params": [b], "weight_decay": 0.5}])
        for grad_a, grad_b in zip(gradients((3,)), gradients((2, 2)), strict=True):
            a.grad, b.grad = grad_a + a.detach(), grad_b + b.detach()
            optimizer.step()
        return torch.cat((a.detach(), b.detach().flatten()))

    ours = optimise(lambda groups: as_torch(AdamW(), groups))
    torch.testing.assert_close(ours, optimise(torch.optim.AdamW), **TOLERANCE)


def test_a_group_added_later_is_checked_and_used():
    a, b = torch.nn.Parameter(torch.ones(1)), torch.nn.Parameter(torch.ones(1))
    optimizer = as_torch(SignGD(0.1), [a])
    optimizer.add_param_group({"params": [b], "lr": 0.5})
    a.grad = b.grad = torch.ones(1)
    optimizer.step()
    assert (a.item(), b.item()) == (0.9, 0.5)
    with pytest.raises(ValueError, match="momentum.*lr, weight_decay"):
        optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))], "momentum": 0.9})


def test_named_parameters_work():
    model = torch.nn.Linear(2, 1, dtype=torch.float64, device="meta")
    assert as_torch(Adam(), model.named_parameters()).param_groups[0]["param_names"] == ["weight", "bias"]


@pytest.mark.parametrize(
    "schedule",
    [
        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=STEPS),
        lambda o: torch.optim.lr_scheduler.StepLR(o, step_size=30, gamma=0.3),
        lambda o: torch.optim.lr_scheduler.OneCycleLR(o, max_lr=0.1, total_steps=STEPS + 1),  # also cycles beta1
    ],
)
def test_schedulers_work_as_with_torch(schedule):
    def optimise(make):
        param = torch.nn.Parameter(start((3,)))
        optimizer = make([param])
        scheduler = schedule(optimizer)
        path = []
        for grad in gradients((3,)):
            path.append(feed(optimizer, param, grad))
            scheduler.step()
        return torch.stack(path)

    ours = optimise(lambda p: as_torch(Adam(lr=0.05), p))
    torch.testing.assert_close(ours, optimise(lambda p: torch.optim.Adam(p, lr=0.05)), **TOLERANCE)


def test_a_rate_that_is_a_function_of_the_step_is_a_scheduler():
    ours = run_rule(Adam(lr=lambda t: 0.1 / t), start((3,)), gradients((3,)))
    param = torch.nn.Parameter(start((3,)))
    optimizer = torch.optim.Adam([param], lr=0.1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 / (epoch + 1))
    theirs = []
    for grad in gradients((3,)):
        theirs.append(feed(optimizer, param, grad))
        scheduler.step()
    torch.testing.assert_close(ours, torch.stack(theirs), **TOLERANCE)


@pytest.mark.parametrize("saved", [False, True], ids=["in memory", "through torch.save"])
@pytest.mark.parametrize("shape", [(5,), (BLOCK + 17,)], ids=str)
@pytest.mark.parametrize(
    "rule",
    [Momentum(0.1), Adam(0.01), AMSGrad(0.01), RMSProp(), Lion(), NAdam(), Rprop(), ScheduleFreeSGD(), AdamMini()],
    ids=repr,
)
def test_state_dict_in_mid_run_goes_on_to_the_same_bits(rule, shape, saved):
    grads = gradients(shape, steps=8, scale_spread=0.5)
    param = torch.nn.Parameter(start(shape))
    optimizer = as_torch(rule, [param])
    for grad in grads[:4]:
        feed(optimizer, param, grad)
    # Another rate in the fresh optimizer: the loaded one must win.
    other_param = torch.nn.Parameter(param.detach().clone())
    other = as_torch(rule.replace(lr=7.0), [other_param])
    if saved:
        file = io.BytesIO()
        torch.save(optimizer.state_dict(), file)
        file.seek(0)
        other.load_state_dict(torch.load(file, weights_only=True))
    else:
        other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for grad in grads[4:]:
        assert torch.equal(feed(optimizer, param, grad), feed(other, other_param, grad))


def test_a_deep_copy_goes_on_to_the_same_bits():
    param = torch.nn.Parameter(start((3,)))
    optimizer = as_torch(Adam(0.01), [param])
    feed(optimizer, param, torch.ones(3))
    twin = copy.deepcopy(optimizer)
    twin_param = twin.param_groups[0]["params"][0]
    assert torch.equal(feed(optimizer, param, torch.ones(3)), feed(twin, twin_param, torch.ones(3)))


def test_closures_return_their_loss_and_skip_parameters_without_gradient():
    used, unused = torch.nn.Parameter(torch.tensor([2.0])), torch.nn.Parameter(torch.tensor([5.0]))
    optimizer = as_torch(GradientDescent(0.25), [used, unused])

    def closure():
        optimizer.zero_grad()
        loss = (used**2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 4.0
    assert optimizer.step(closure).item() == 1.0
    assert unused.item() == 5.0
    assert optimizer.step() is None


@pytest.mark.parametrize("name", ["Adagrad", "RMSprop", "Adam", "AdamW", "NAdam"])
def test_a_square_beyond_the_dtype_stops_a_coordinate_silently_as_in_torch(name):
    """What the docstrings of ``update`` and ``as_torch`` say: no error, and the coordinate never moves again."""
    make, settings = TWINS[name]
    rule, twin, twin_kwargs = make(**settings[-1] | ({"weight_decay": 0.0} if "weight_decay" in settings[-1] else {}))
    ours, theirs = (torch.nn.Parameter(torch.ones(2, dtype=torch.float32)) for _ in range(2))
    for optimizer, param in ((as_torch(rule, [ours]), ours), (twin([theirs], **twin_kwargs), theirs)):
        for first in (1e30, 1.0, 1.0):
            param.grad = torch.tensor([first, 1.0], dtype=torch.float32)
            optimizer.step()
    assert ours[0] == theirs[0] == 1
    assert ours[1] != 1
