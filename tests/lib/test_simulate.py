"""Trajectories: batches equal single runs, shapes broadcast, and one run's end is not the others'."""

import operator
from dataclasses import dataclass

import pytest
import torch

from optbias.losses import landscapes
from optbias.rules import Adam, AdamW, AMSGrad, GradientDescent, Momentum, NormalizedSteepestDescent, Rule, SignGD
from optbias.seeding import generator
from optbias.simulate import _fusion, trajectories, trajectory


def quadratic(theta):
    return 0.5 * (torch.tensor([1.0, 10.0]) * theta**2).sum(-1)


START = torch.tensor([1.0, 0.5])


def test_the_path_starts_at_theta0_and_follows_the_rule():
    rule = Adam(0.1)
    path = trajectory(rule, quadratic, START, 5)
    assert path.shape == (6, 2)
    theta, state = START, rule.init(START)
    for t in range(6):
        assert torch.equal(path[t], theta)
        theta, state = rule.update(theta, torch.tensor([1.0, 10.0]) * theta, state)
    assert torch.equal(trajectory(rule, quadratic, START, 0), START[None])
    assert not path.requires_grad


def test_gradient_descent_in_closed_form():
    path = trajectory(GradientDescent(0.05), quadratic, START, 20)
    powers = torch.tensor([0.95, 0.5]) ** torch.arange(21.0)[:, None]
    torch.testing.assert_close(path, powers * START, rtol=1e-13, atol=0)


def test_a_batch_of_starts_equals_single_runs():
    starts = torch.randn(3, 4, 2, generator=generator(0))
    together = trajectory(AMSGrad(0.1), landscapes.get("rosenbrock"), starts, 50)
    assert together.shape == (51, 3, 4, 2)
    for i in range(3):
        for j in range(4):
            alone = trajectory(AMSGrad(0.1), landscapes.get("rosenbrock"), starts[i, j], 50)
            torch.testing.assert_close(together[:, i, j], alone, rtol=1e-12, atol=1e-13)


def test_starts_and_hyper_parameters_make_a_grid():
    starts, rates = torch.randn(4, 1, 2, generator=generator(0)), torch.tensor([0.01, 0.02, 0.03])[:, None]
    rule = Adam(rates, betas=(0.9, torch.tensor([0.9, 0.99, 0.999])[:, None]))
    path = trajectory(rule, quadratic, starts, 7)
    assert path.shape == (8, 4, 3, 2)
    alone = trajectory(Adam(0.02, (0.9, 0.99)), quadratic, starts[2, 0], 7)
    torch.testing.assert_close(path[:, 2, 1], alone, rtol=1e-13, atol=1e-14)


def test_a_schedule_may_return_a_grid():
    rates = torch.tensor([[0.1], [0.2]])
    path = trajectory(SignGD(lambda t: rates / t), quadratic, START, 3)
    assert path.shape == (4, 2, 2)
    torch.testing.assert_close(path[1], START - rates)


def test_own_gradients_and_automatic_ones_agree():
    loss = landscapes.get("rosenbrock")
    own = trajectory(Momentum(1e-4), loss, START, 100)
    automatic = trajectory(Momentum(1e-4), loss.__call__, START, 100)
    torch.testing.assert_close(own, automatic, rtol=1e-11, atol=1e-12)


def test_a_gradient_that_changes_in_time():
    seen = []

    def gradient(theta, t):
        seen.append(t)
        return torch.full_like(theta, (-1.0) ** t)

    path = trajectory(SignGD(1.0), quadratic, torch.zeros(1), 25, gradient=gradient)
    assert seen == list(range(1, 26))
    assert path[:, 0].tolist() == [t % 2 for t in range(26)]


def test_projection():
    path = trajectory(GradientDescent(1.0), lambda x: -x.sum(-1), torch.zeros(2), 30, project=lambda x: x.clamp(-1, 1))
    assert torch.equal(path[1:], torch.ones(30, 2))


def test_a_diverging_run_does_not_stop_the_others():
    rates = torch.tensor([0.05, 1e3])[:, None]
    path = trajectory(GradientDescent(rates), quadratic, START, 400)
    assert not path[-1, 1].isfinite().any()
    torch.testing.assert_close(path[:, 0], trajectory(GradientDescent(0.05), quadratic, START, 400))


def test_bad_input():
    with pytest.raises(TypeError, match="rule must be a rule from optbias.rules; got 'adam'"):
        trajectory("adam", quadratic, START, 1)
    with pytest.raises(TypeError, match="loss must be callable or have a gradient method; got int"):
        trajectory(Adam(), 3, START, 1)
    with pytest.raises(TypeError, match="theta0 must hold floating-point numbers; got torch.int64"):
        trajectory(Adam(), quadratic, torch.tensor([1, 2]), 1)
    for steps in (-1, 1.5, True, "3"):
        with pytest.raises(ValueError, match=f"steps must be an integer >= 0; got {steps!r}"):
            trajectory(Adam(), quadratic, START, steps)
    with pytest.raises(ValueError, match=r"must broadcast with theta0, .*; got theta0 \(2,\), lr \(3,\)"):
        trajectory(Adam(lr=torch.tensor([0.1, 0.2, 0.3])), quadratic, START, 1)
    with pytest.raises(ValueError, match=r"a step must keep the shape \(2,\); step 1 made \(3, 2\)"):
        trajectory(Adam(), quadratic, START, 1, gradient=lambda theta, t: torch.ones(3, 2))
    with pytest.raises(ValueError, match="compile=True needs gradient=, or a loss that has a gradient method"):
        trajectory(Adam(), quadratic, START, 1, compile=True)
    with pytest.raises(TypeError, match="compile must be True or False; got 1"):
        trajectory(Adam(), quadratic, START, 1, compile=1)


GRID = torch.logspace(-4, -1, 50)[:, None]
COMPILED = {
    "Adam on a grid": {"rule": Adam(GRID)},
    "AdamW with a schedule": {"rule": AdamW(lr=lambda t: 0.1 / t**0.5)},
    "a schedule of grids": {"rule": Momentum(lr=lambda t: 1e-3 * GRID / t)},
    "betas on a grid": {"rule": Adam(1e-2, (torch.linspace(0, 0.9, 50)[:, None], 0.99))},
    "a rate for each coordinate": {"rule": AMSGrad(torch.tensor([1e-2, 1e-3]))},
    "a rule that couples the coordinates": {"rule": NormalizedSteepestDescent(1e-2, "l2")},
    "projected": {"rule": Adam(0.1), "project": lambda theta: theta.clamp(-0.5, 0.5)},
    "one gradient for all runs": {"rule": Adam(1e-2), "gradient": lambda theta, t: torch.tensor([1.0, -2.0]) / t},
    "a gradient that changes in time": {"rule": Momentum(1e-4), "gradient": lambda theta, t: theta * t},
}


def compiled_and_not(rule, **how):
    loss = landscapes.get("rosenbrock")
    starts = torch.randn(50, 2, generator=generator(0))
    count = 2 * trajectories.CHUNK + 3  # the last three steps do not fill a chunk
    return (trajectory(rule, loss, starts, count, compile=compile, **how) for compile in (True, False))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Adam on a grid", "AdamW with a schedule", "a rule that couples the coordinates"])
def test_compiled_runs_agree_up_to_rounding(name):
    compiled, plain = compiled_and_not(**COMPILED[name])
    torch.testing.assert_close(compiled, plain, rtol=1e-11, atol=1e-12)


@pytest.fixture
def graphs(monkeypatch):
    """The graphs that a compiled run makes; they are simplified, then run as they are, without a C++ compiler."""
    made = []

    def backend(module, inputs):
        _fusion.simplify(module)
        made.append(module.graph)
        return module.forward

    monkeypatch.setattr(_fusion, "backend", backend)
    monkeypatch.setattr(trajectories, "CHUNK", 3)
    torch.compiler.reset()
    trajectories._compiled_advance.cache_clear()
    yield made
    torch.compiler.reset()
    trajectories._compiled_advance.cache_clear()


@pytest.mark.parametrize("how", COMPILED.values(), ids=COMPILED)
def test_what_is_compiled_computes_the_same(graphs, how):
    compiled, plain = compiled_and_not(**how)
    assert graphs
    torch.testing.assert_close(compiled, plain, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("shape", [(), (1,), (5,), (3, 1), (4, 3, 2)])
def test_points_of_every_shape_are_compiled(graphs, shape):
    start = torch.randn(shape, generator=generator(0))
    compiled, plain = (
        trajectory(Adam(0.1), quadratic, start, 7, gradient=lambda theta, t: theta, compile=compile)
        for compile in (True, False)
    )
    assert graphs
    assert compiled.shape == (8, *shape)
    torch.testing.assert_close(compiled, plain, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("compile", [False, True])
def test_a_gradient_or_projection_of_another_shape_is_refused(graphs, compile):
    loss, starts = landscapes.get("rosenbrock"), torch.ones(3, 2)
    with pytest.raises(ValueError, match=r"the shape of theta, \(3, 2\), or broadcast to it; step 1 got \(3,\)"):
        trajectory(Adam(), loss, starts, 5, gradient=lambda theta, t: theta[..., 0], compile=compile)
    with pytest.raises(ValueError, match=r"must keep the shape \(3, 2\); step 1 made \(3, 1\)"):
        trajectory(Adam(), loss, starts, 5, project=lambda theta: theta[..., :1], compile=compile)


@pytest.mark.skipif(
    torch.__version__ < torch.torch_version.TorchVersion("2.13"),
    reason="how fast a fused step is depends on the compiler; older ones take the tensors apart in other words",
)
def test_the_compiler_sees_coordinates_apart_and_each_power_once(graphs):
    list(compiled_and_not(Adam(GRID)))
    unbound = [node for node in graphs[0].nodes if node.target == "unbind"]
    of_the_step = [n for n in graphs[0].nodes if n.target is operator.pow and isinstance(n.args[0], float)]
    assert unbound
    assert not any(entry.users for node in unbound for entry in node.users)
    assert len(of_the_step) >= 2 * trajectories.CHUNK
    assert all([user.target for user in node.users] == [torch.as_strided] for node in of_the_step)


@pytest.mark.parametrize(
    "entry",
    [
        lambda x, y: torch.stack((x, y), -1).unbind(-1)[1],
        lambda x, y: torch.stack((x, y)).movedim(0, -1).unbind(-1)[0],
        lambda x, y: torch.stack((x, y), -1).unbind(-1)[-1],
        lambda x, y: torch.stack((x, y)).unbind(-1)[1],
        lambda x, y: torch.stack((x, y), -1).unbind(0)[1],
        lambda x, y: torch.stack((x, y), 1).unbind(-1)[1],
        lambda x, y: torch.stack((x, y)).movedim(0, 1).unbind(-1)[0],
        lambda x, y: torch.stack((x, y), dim=0).unbind(dim=-1)[0],
        lambda x, y: torch.stack((x, y), -1).unbind(-1)[:1][0],
    ],
)
def test_only_a_stack_that_is_undone_is_left_out(entry):
    x, y = torch.randn(2, 3, 4, generator=generator(0))
    module = torch.fx.symbolic_trace(entry)
    _fusion.simplify(module)
    assert torch.equal(module(x, y), entry(x, y))


def test_what_is_no_loss_and_no_gradient_is_refused_by_name():
    def in_place(theta, t):
        return theta.mul_(2)

    for wrong, error, message in [
        ({"loss": lambda theta: 1.0}, TypeError, "loss must return a tensor that was computed from theta; got 1.0"),
        ({"loss": lambda theta: theta.detach().sum(-1)}, TypeError, "without a graph"),
        ({"gradient": lambda theta, t: None}, TypeError, "a gradient must be a tensor; step 1 got None"),
        ({"gradient": in_place}, ValueError, "must not change theta in place; that of step 1 did"),
        ({"project": lambda theta: None}, TypeError, "project must return a tensor; got None"),
    ]:
        with pytest.raises(error, match=message):
            trajectory(SignGD(0.1), wrong.pop("loss", quadratic), START, 3, **wrong)


def test_a_rule_without_a_learning_rate_and_one_that_forgets_to_count():
    @dataclass(frozen=True)
    class Halve(Rule):
        def equations(self, theta, grad, state):
            return theta / 2, {"t": state["t"] + 1}

    class Forgets(Halve):
        def equations(self, theta, grad, state):
            return theta, {}

    assert torch.equal(trajectory(Halve(), quadratic, START, 3)[-1], START / 8)
    with pytest.raises(ValueError, match="equations of Forgets must return t in the state"):
        trajectory(Forgets(), quadratic, START, 3)
