"""The optimizer inputs that torch's own tests use, from the installed torch, on every rule that has a twin there.

``torch.testing._internal.common_optimizers`` lists, for each optimizer, the settings that its tests try, the inputs
that must
be refused, and the schedulers. Nothing of it is copied. What our rules do not claim (maximize, centered, ...) is
counted.
"""

import copy
import pickle
from collections import Counter

import pytest
import torch
from torch.nn import Parameter
from torch.testing._internal.common_optimizers import optim_db

from optbias.rules import (
    ASGD,
    Adadelta,
    Adafactor,
    AdaGrad,
    Adam,
    Adamax,
    AdamW,
    AMSGrad,
    GradientDescent,
    Momentum,
    Muon,
    NAdam,
    RAdam,
    RMSProp,
    Rprop,
)
from optbias.seeding import generator
from optbias.torch_optimizer import as_torch

SAME = {
    "NAdam": NAdam,
    "RAdam": RAdam,
    "Adamax": Adamax,
    "Adadelta": Adadelta,
    "ASGD": ASGD,
    "Rprop": Rprop,
    "Muon": Muon,
}
NOT_CLAIMED = {
    "maximize", "capturable", "differentiable", "foreach", "fused", "centered", "dampening", "lr_decay",
    "initial_accumulator_value", "ns_coefficients", "adjust_lr_fn",
}  # fmt: skip


def translated(name, options):
    """Our rule for an input of torch's optimizer ``name``, or None if it asks for what no rule claims."""
    if any(options.get(key) not in (None, False, 0) for key in NOT_CLAIMED):
        return None
    kw = {k: v for k, v in options.items() if k not in NOT_CLAIMED}
    if "decoupled_weight_decay" in kw:
        decoupled = kw.pop("decoupled_weight_decay")
        if name == "Adam":
            return translated("AdamW", kw) if decoupled else translated("Adam", kw)
        kw["decoupled"] = decoupled
    if name == "SGD":
        beta, nesterov = kw.pop("momentum", 0), kw.pop("nesterov", False)
        if beta or nesterov:
            return Momentum(beta=beta, nesterov=nesterov, form="heavy_ball", **kw)
        return GradientDescent(**kw)
    if name in ("Adam", "AdamW"):
        amsgrad = kw.pop("amsgrad", False)
        if amsgrad and name == "AdamW":
            return None
        return (AMSGrad if amsgrad else Adam if name == "Adam" else AdamW)(**kw)
    if name == "RMSprop":
        if kw.get("momentum") or kw.get("weight_decay"):
            return None
        return RMSProp(
            **{{"alpha": "rho"}.get(k, k): v for k, v in kw.items() if k not in ("momentum", "weight_decay")}
        )
    if name == "Adagrad":
        return None if kw.get("weight_decay") else AdaGrad(**{k: v for k, v in kw.items() if k != "weight_decay"})
    if name == "Adafactor":
        eps1, eps2 = kw.pop("eps", (None, 1e-3))
        return Adafactor(eps1=eps1, eps2=eps2, **kw)
    return SAME[name](**kw)


def inputs():
    """Every input of every optimizer with a twin: name, torch's options, our rule, the schedulers."""
    for info in optim_db:
        name = info.optim_cls.__name__
        if name in ("LBFGS", "SparseAdam"):
            continue  # no update rule of ours
        for given in info.optim_inputs_func("cpu"):
            rule = translated(name, given.kwargs)
            yield pytest.param(info, given.kwargs, rule, id=f"{name}: {given.desc}")


ALL = list(inputs())
CASES = [case for case in ALL if case.values[2] is not None]


def test_most_inputs_are_claimed():
    used = Counter(case.values[0].optim_cls.__name__ for case in CASES)
    every = {info.optim_cls.__name__ for info in optim_db} - {"LBFGS", "SparseAdam"}
    assert set(used) == every
    assert len(CASES) >= 45, (len(CASES), len(ALL))


def parameters(dtype=torch.float64, seed=0):
    random = generator(seed)
    made = [Parameter(torch.randn(shape, generator=random).to(dtype)) for shape in ((4, 3), (2, 5))]
    # A matrix that is not contiguous in memory.
    return [*made, Parameter(torch.randn(3, 4, generator=random).to(dtype).T)]


def feed(params, step):
    random = generator(100 + step)
    for p in params:
        p.grad = (torch.randn(p.shape, generator=random) + 0.1 * p.detach().double()).to(p.dtype)


def steps(optimizer, params, begin, end):
    for t in range(begin, end):
        feed(params, t)
        optimizer.step()


def same(a, b, tolerance=0.0):
    for x, y in zip(a, b, strict=True):
        torch.testing.assert_close(x.detach(), y.detach(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("info", "options", "rule"), CASES)
def test_input(info, options, rule):
    """The checks of torch's suite, one after the other, on one input."""
    ours, theirs = parameters(), parameters()
    optimizer, twin = as_torch(rule, ours), info.optim_cls(theirs, **options)
    # Right numbers, also for parameters that are not contiguous.
    steps(optimizer, ours, 0, 8)
    steps(twin, theirs, 0, 8)
    same(ours, theirs, 1e-11)
    # A step without any gradient, and one with gradients of zero in an empty tensor, does nothing.
    before = [p.detach().clone() for p in ours]
    optimizer.zero_grad(set_to_none=True)
    optimizer.step()
    same(ours, before)
    if type(rule) is not Muon:
        empty = Parameter(torch.empty(0))
        empty.grad = torch.empty(0)
        as_torch(rule, [empty]).step()
    # State dict, pickle and deepcopy in mid-run go on to the same bits; hooks see every call.
    seen = Counter()
    copied, pickled = copy.deepcopy((optimizer, ours)), pickle.loads(pickle.dumps((optimizer, ours)))
    fresh_params = [Parameter(p.detach().clone()) for p in ours]
    fresh = as_torch(rule, fresh_params)
    for name in ("state_dict_pre", "load_state_dict_pre", "load_state_dict_post"):
        getattr(fresh, f"register_{name}_hook")(lambda *_, n=name: seen.update([n]))
    optimizer.register_state_dict_post_hook(lambda *_: seen.update(["state_dict_post"]))
    fresh.register_step_pre_hook(lambda *_: seen.update(["step_pre"]))
    fresh.register_step_post_hook(lambda *_: seen.update(["step_post"]))
    fresh.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    fresh.state_dict()
    for other, params in (copied, pickled, (fresh, fresh_params)):
        steps(other, params, 8, 10)
    steps(optimizer, ours, 8, 10)
    same(fresh_params, ours)
    same(copied[1], ours)
    same(pickled[1], ours)
    assert seen == {
        "state_dict_pre": 1, "state_dict_post": 1, "load_state_dict_pre": 1, "load_state_dict_post": 1, "step_pre": 2,
        "step_post": 2,
    }  # fmt: skip
    # Parameter groups, one of them added later, with a rate of its own; weights that decay in one of them.
    more = {"lr": 0.02} | (
        {"weight_decay": 0.3} if "weight_decay" in rule.hyperparameters() and "weight_decay" in options else {}
    )
    # Torch's own gets them all at once: some versions of its Adagrad forget the state of a group that comes later.
    for make, params, at_once in (
        (lambda p: as_torch(rule, p), ours, 2),
        (lambda p: info.optim_cls(p, **options), theirs, 3),
    ):
        groups = [{"params": params[:1]}, {"params": params[1:2], **more}, {"params": params[2:]}]
        grouped = make(groups[:at_once])
        for group in groups[at_once:]:
            grouped.add_param_group(group)
        with torch.no_grad():
            for p, q in zip(params, parameters(seed=5), strict=True):
                p.copy_(q)
        steps(grouped, params, 0, 4)
    same(ours, theirs, 1e-11)


@pytest.mark.parametrize(("info", "options", "rule"), CASES)
def test_the_schedulers_of_the_suite_lead_in_the_right_direction(info, options, rule):
    for build in info.scheduler_inputs[0]:
        found = []
        for make in (lambda p: as_torch(rule, p), lambda p: info.optim_cls(p, **options)):
            weight, bias = Parameter(torch.ones(4, 5)), Parameter(torch.ones(4, 1))
            optimizer = make([weight, bias])
            scheduler = build(optimizer)
            x, losses = torch.arange(5.0)[:, None] / 5, []
            for _ in range(10):
                optimizer.zero_grad()
                loss = (weight @ x + bias).square().sum()
                loss.backward()
                losses.append(loss.item())
                optimizer.step()
                needs = isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau)
                scheduler.step(*([loss.item()] if needs else []))
            found.append(losses)
        assert found[0][-1] < found[0][0]
        assert found[0] == pytest.approx(found[1], rel=1e-9)


DTYPES = [torch.float32, torch.bfloat16]


@pytest.mark.parametrize(("info", "options", "rule"), CASES)
def test_low_precision_follows_torch(info, options, rule):
    if type(rule) is Muon:
        return  # its iteration is in bfloat16 already
    for dtype in DTYPES:
        ours, theirs = parameters(dtype), parameters(dtype)
        steps(as_torch(rule, ours), ours, 0, 5)
        steps(info.optim_cls(theirs, **options), theirs, 0, 5)
        same(ours, theirs, 60 * torch.finfo(dtype).eps)


def errors():
    for info in optim_db:
        name = info.optim_cls.__name__
        if name in ("LBFGS", "SparseAdam"):
            continue
        for given in info.optim_error_inputs_func("cpu", torch.float64):
            yield pytest.param(name, given, id=f"{name}: {given.optimizer_error_input.desc}")


# Accepted here by design: a tensor is a hyper-parameter like any other, and foreach is no argument.
BY_DESIGN = ("Tensor", "tensor", "betas must be either", "dampening", "lr_decay")


@pytest.mark.parametrize(("name", "given"), list(errors()))
def test_what_torch_refuses_is_refused(name, given):
    options = given.optimizer_error_input
    if any(word in options.desc for word in BY_DESIGN) or set(options.kwargs) & NOT_CLAIMED:
        return
    params = options.params or [Parameter(torch.randn(4, 3, generator=generator(0)))]
    if given.error_on.name == "STEP_ERROR":
        return  # of closures and sparse gradients, which have tests of their own
    if given.error_type is UserWarning:
        with pytest.warns(UserWarning, match=given.error_regex):
            as_torch(translated(name, options.kwargs), params)
        return
    with pytest.raises((ValueError, TypeError, RuntimeError)):
        as_torch(translated(name, options.kwargs), params)
