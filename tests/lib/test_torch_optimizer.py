"""``as_torch``: all that can be refused is refused before anything changes; what a user expects works."""

import copy
import pickle
from dataclasses import dataclass

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import Parameter

from optbias.rules import (
    RULES,
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
from optbias.seeding import generator
from optbias.torch_optimizer import BLOCK, as_torch


def trained(rule, *shapes, seed=0):
    """An optimizer after one step on parameters of these shapes."""
    random = generator(seed)
    params = [Parameter(torch.randn(shape, generator=random)) for shape in shapes]
    for param in params:
        param.grad = torch.randn(param.shape, generator=random)
    optimizer = as_torch(rule, params)
    optimizer.step()
    return optimizer


def numbers(optimizer):
    """A copy of all that an optimizer could change."""
    params = [p.detach().clone() for group in optimizer.param_groups for p in group["params"]]
    return params, copy.deepcopy(optimizer.state_dict())


def unchanged(optimizer, before):
    params, state = numbers(optimizer)
    assert all(torch.equal(a, b) for a, b in zip(params, before[0], strict=True))
    assert str(state) == str(before[1])


# ---- states


@pytest.mark.parametrize(
    ("made", "loaded"),
    [
        (Adam(0.1), AdamW(0.1, weight_decay=0.5)),
        (AdamW(0.1), Adam(0.1)),
        (GradientDescent(0.1), SignGD(0.1)),
        (NormalizedSteepestDescent(0.1, "l1"), SignGD(0.1)),
        (Momentum(0.1), Lion(0.1)),
        (AMSGrad(0.1), Adam(0.1)),
    ],
    ids=lambda rule: type(rule).__name__,
)
def test_a_state_of_another_rule_is_refused_before_anything_changes(made, loaded):
    optimizer = trained(loaded, (2, 3))
    before = numbers(optimizer)
    name, other = type(loaded).__name__, type(made).__name__
    with pytest.raises(ValueError, match=f"{name} needs a state_dict that {name} made; got one of {other}"):
        optimizer.load_state_dict(trained(made, (2, 3)).state_dict())
    unchanged(optimizer, before)


def test_a_state_of_torch_is_refused():
    theirs = torch.optim.SGD([Parameter(torch.ones(2))], 0.1)
    with pytest.raises(ValueError, match="SignGD needs a state_dict that SignGD made; got one of another optimizer"):
        trained(SignGD(), (2,)).load_state_dict(theirs.state_dict())


@pytest.mark.parametrize("shapes", [[(200, 500), (500, 200)], [(1, 4), (4, 4)], [(3,), (2,)]], ids=str)
def test_a_state_of_another_order_of_parameters_is_refused_before_anything_changes(shapes):
    optimizer = trained(Adam(0.1), *shapes[::-1])
    before = numbers(optimizer)
    with pytest.raises(ValueError, match="parameter 0 must have shape.*another order"):
        optimizer.load_state_dict(trained(Adam(0.1), *shapes).state_dict())
    unchanged(optimizer, before)


def test_the_names_of_parameters_tell_their_order():
    def named(*names):
        return as_torch(Adam(), [(name, Parameter(torch.ones(2))) for name in names])

    with pytest.raises(ValueError, match="must have the order of the state_dict, .'a', 'b'.; got .'b', 'a'."):
        named("b", "a").load_state_dict(named("a", "b").state_dict())
    named("a", "b").load_state_dict(named("a", "b").state_dict())


def test_a_hook_may_translate_a_foreign_state():
    optimizer = trained(Adam(0.1), (3,))
    foreign = copy.deepcopy(optimizer.state_dict())
    for group in foreign["param_groups"]:
        group["learning_rate"] = group.pop("lr")
    with pytest.raises(ValueError, match="Adam has no hyper-parameter learning_rate"):
        optimizer.load_state_dict(foreign)

    def rename(_, state):
        groups = [{{"learning_rate": "lr"}.get(k, k): v for k, v in g.items()} for g in state["param_groups"]]
        return {**state, "param_groups": groups}

    optimizer.register_load_state_dict_pre_hook(rename)
    optimizer.load_state_dict(foreign)
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_a_step_counter_that_arrives_as_a_tensor_counts_on():
    param = Parameter(torch.ones(2, dtype=torch.bfloat16))
    param.grad = torch.ones_like(param)
    optimizer = as_torch(Adam(), [param])
    optimizer.step()
    state = optimizer.state_dict()
    state["state"][0]["t"] = torch.tensor(255.0)
    optimizer.load_state_dict(state)
    for _ in range(10):
        optimizer.step()
    assert optimizer.state[param]["t"] == 265


def test_a_loaded_state_is_a_copy_and_may_lack_what_a_newer_version_added():
    first, second = trained(Adam(0.1), (3,)), trained(Adam(0.1), (3,))
    state = first.state_dict()
    for group in state["param_groups"]:
        del group["eps_inside"]
    second.load_state_dict(state)
    mine, theirs = (next(iter(o.state.values()))["m"] for o in (first, second))
    assert torch.equal(mine, theirs)
    assert mine.data_ptr() != theirs.data_ptr()
    assert second.param_groups[0]["eps_inside"] is False


@pytest.mark.parametrize("kind", RULES, ids=lambda kind: kind.__name__)
def test_a_state_goes_round_as_often_as_one_likes(kind):
    """Loaded twice into one optimizer, with a group added between, into a fresh one, through a pickle and a copy."""
    first = trained(kind(lr=0.1), (3, 2))
    again = trained(kind(lr=0.1), (3, 2), seed=1)
    again.load_state_dict(first.state_dict())
    again.load_state_dict(first.state_dict())
    unchanged(again, (numbers(again)[0], first.state_dict()))
    again.add_param_group({"params": [Parameter(torch.ones(2, 2))], "lr": 0.2})
    for last in (copy.deepcopy(again), pickle.loads(pickle.dumps(again))):
        last.load_state_dict(pickle.loads(pickle.dumps(again.state_dict())))
        assert [group["lr"] for group in last.param_groups] == [0.1, 0.2]
    fresh = as_torch(kind(lr=0.1), [Parameter(torch.ones(3, 2))])
    fresh.add_param_group({"params": [Parameter(torch.ones(2, 2))]})
    fresh.load_state_dict(again.state_dict())
    assert str(fresh.state_dict()["state"]) == str(again.state_dict()["state"])


def test_a_schedule_belongs_to_the_program_and_not_to_the_state():
    optimizer = trained(Adam(lr=lambda t: 0.1 / t), (3,))
    state = pickle.loads(pickle.dumps(optimizer.state_dict()))
    assert "lr" not in state["param_groups"][0]
    optimizer.load_state_dict(state)
    optimizer.step()
    assert optimizer.state[optimizer.param_groups[0]["params"][0]]["t"] == 2


# ---- construction and steps


@dataclass(frozen=True)
class NormGD(Rule):
    """A rule that mixes all coordinates and does not say so."""

    lr: float = 1.0

    def equations(self, theta, grad, state):
        return theta - self.lr * grad / grad.norm(), {"t": state["t"] + 1}


def test_a_rule_that_says_nothing_is_not_cut_into_blocks():
    param = Parameter(torch.zeros(BLOCK + 40_000))
    param.grad = torch.ones_like(param)
    as_torch(NormGD(), [param]).step()
    assert param.detach().norm().item() == pytest.approx(1, rel=1e-12)
    assert not NormGD().elementwise


def test_new_equations_of_an_elementwise_rule_must_say_so_again():
    class Clipped(Adam):
        def equations(self, theta, grad, state):
            return super().equations(theta, grad / grad.norm(), state)

    class Renamed(Adam):
        pass

    assert not Clipped().elementwise
    assert Renamed().elementwise


def test_what_a_rule_cannot_take_is_refused_when_the_optimizer_is_made():
    matrix, vector = Parameter(torch.ones(3, 3)), Parameter(torch.ones(3))
    with pytest.raises(ValueError, match=r"Muon needs a matrix .two axes.; got shape .3,."):
        as_torch(Muon(), [matrix, vector])
    with pytest.raises(ValueError, match="the spectral norm needs a matrix"):
        as_torch(NormalizedSteepestDescent(norm="spectral"), [matrix, vector])
    with pytest.raises(ValueError, match=r"lr must broadcast to each parameter; got shape .2, 1. for .3,."):
        as_torch(Adam(lr=torch.tensor([[0.1], [0.2]])), [Parameter(torch.ones(2, 3)), vector])
    with pytest.raises(ValueError, match="in float16 eps must be at least"):
        as_torch(Adam(), [matrix, Parameter(torch.ones(2, dtype=torch.float16))])
    optimizer = as_torch(Muon(), [matrix])
    with pytest.raises(ValueError, match="Muon needs a matrix"):
        optimizer.add_param_group({"params": [vector]})
    assert len(optimizer.param_groups) == 1


def test_equations_that_return_something_else_are_refused_when_the_optimizer_is_made():
    class Forgets(NormGD):
        def equations(self, theta, grad, state):
            return theta, {}

    class Grows(NormGD):
        def equations(self, theta, grad, state):
            return theta[None], {"t": state["t"] + 1}

    param = Parameter(torch.ones(2))
    with pytest.raises(ValueError, match="state must be what Forgets made, with .'t'.; got"):
        as_torch(Forgets(), [param])
    with pytest.raises(ValueError, match="must keep the shape of theta"):
        as_torch(Grows(), [param])


def test_a_step_changes_all_parameters_or_none():
    first, second = Parameter(torch.eye(3)), Parameter(torch.eye(3))
    first.grad, second.grad = torch.ones(3, 3), torch.full((3, 3), torch.inf)
    for rule in (Muon(orthogonalize="svd"), NormalizedSteepestDescent(norm="spectral")):
        optimizer = as_torch(rule, [first, second])
        with pytest.raises(ValueError, match="finite numbers"):
            optimizer.step()
        assert torch.equal(first.detach(), torch.eye(3))
        assert not optimizer.state

    rates = {1: 0.1, 2: -1.0, 3: float("nan"), 4: None}
    optimizer = as_torch(Adam(lr=rates.get), [first, second])
    second.grad = torch.ones(3, 3)
    optimizer.step()
    before = first.detach().clone()
    for t in (2, 3, 4):
        for state in optimizer.state.values():
            state["t"] = t - 1
        with pytest.raises((ValueError, TypeError), match=rf"lr\({t}\) must be a number"):
            optimizer.step()
    assert torch.equal(first.detach(), before)


def test_a_scheduler_leaves_the_rule_and_the_other_groups_alone():
    rule = Adam(lr=torch.tensor(0.1))
    a, b = Parameter(torch.ones(2)), Parameter(torch.ones(2))
    optimizer = as_torch(rule, [{"params": [a]}, {"params": [b]}])
    a.grad = b.grad = torch.ones(2)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    optimizer.step()
    scheduler.step()
    assert rule.lr == 0.1
    assert [group["lr"].item() for group in optimizer.param_groups] == [0.05, 0.05]


@pytest.mark.parametrize(
    ("schedule", "arguments"),
    [("OneCycleLR", {"max_lr": 0.1, "total_steps": 20}), ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1})],
)
def test_schedulers_that_cycle_the_momentum(schedule, arguments):
    def path(make, **more):
        param = Parameter(torch.ones(2))
        optimizer = make([param])
        scheduler = getattr(torch.optim.lr_scheduler, schedule)(optimizer, **arguments, **more)
        found = []
        for k in range(19):
            param.grad = torch.tensor([1.0, -0.5 * k])
            optimizer.step()
            scheduler.step()
            found.append(param.detach().clone())
        return torch.stack(found)

    ours = path(lambda p: as_torch(Momentum(0.01, form="heavy_ball"), p))
    torch.testing.assert_close(ours, path(lambda p: torch.optim.SGD(p, 0.01, momentum=0.9)), rtol=1e-12, atol=1e-12)
    for rule in (RMSProp(), GradientDescent()):
        with pytest.raises(ValueError, match="momentum"):
            path(lambda p, r=rule: as_torch(r, p))
        assert torch.isfinite(path(lambda p, r=rule: as_torch(r, p), cycle_momentum=False)).all()


def test_groups_take_the_names_of_the_rule_and_of_torch():
    a, b = Parameter(torch.ones(1)), Parameter(torch.ones(1))
    optimizer = as_torch(Momentum(0.1), [{"params": [a], "beta": 0.5}, {"params": [b], "momentum": 0.25}])
    a.grad = b.grad = torch.ones(1)
    optimizer.step()
    assert (a.item(), b.item()) == (1 - 0.1 * 0.5, 1 - 0.1 * 0.75)


# ---- tensors without numbers, vmap, the compiler


def test_meta_and_fake_tensors():
    param = Parameter(torch.ones(3, device="meta"))
    param.grad = torch.ones_like(param)
    as_torch(Adam(), [param]).step()
    with FakeTensorMode():
        param = Parameter(torch.ones(3))
        param.grad = torch.ones(3)
        as_torch(AdamW(), [param]).step()


def test_vmap_over_update():
    theta, grad = torch.randn(2, 4, 3, generator=generator(0)).unbind()
    rule = Adam()
    zeros = torch.zeros(4, 3)
    together = rule.update(theta, grad, {"t": 0, "m": zeros, "v": zeros})[0]
    each = torch.func.vmap(lambda th, g, m, v: rule.update(th, g, {"t": 0, "m": m, "v": v})[0])
    assert torch.equal(each(theta, grad, zeros, zeros), together)


@pytest.mark.slow
def test_a_step_compiles_into_one_graph():
    def step(compiled):
        optimizer = trained(AdamW(0.1), (4, 3))
        (torch.compile(optimizer.step, fullgraph=True, backend="aot_eager") if compiled else optimizer.step)()
        return optimizer.param_groups[0]["params"][0].detach()

    torch.testing.assert_close(step(True), step(False), rtol=1e-12, atol=1e-12)


def test_muon_by_svd_in_half_precision():
    for dtype in (torch.bfloat16, torch.float16):
        theta, grad = torch.ones(2, 3, dtype=dtype), torch.randn(2, 3, generator=generator(0)).to(dtype)
        rule = Muon(1.0, weight_decay=0.0, orthogonalize="svd", adjust_lr=False)
        new, _ = rule.update(theta, grad, rule.init(theta))
        assert torch.linalg.svdvals((new - theta).float()).tolist() == pytest.approx([1.0, 1.0], abs=0.02)
