"""Training one network: the plain loop's numbers, exact gradients, honest histories, clear ends."""

from __future__ import annotations

import dataclasses
import math
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from optbias import norms
from optbias.data import Split
from optbias.models import MLP
from optbias.rules import Adam, AdamW, GradientDescent, Momentum, Muon, Rule
from optbias.seeding import generator
from optbias.training import Probes, Run, TrainingError, probes, train, train_many
from optbias.training.plan import Order

COLUMNS = [
    "step", "loss", "one_norm", "one_norm_eps", "two_norm", "kkt_gap", "linf", "share_on_box", "share_outside",
    "q50", "q90", "q99", "batch_loss", "test_loss", "test_accuracy", "sharpness",
    "norm_slope",
]  # fmt: skip


def flat(model):
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def plain_loop(model, split, optimizer, steps, batches=None):
    """The loss and the gradient before every step and after the last one, as one would write it."""
    losses, grads = [], []
    for t in range(steps + 1):
        chosen = slice(None) if batches is None or t == steps else batches[t]
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(split.inputs[chosen]).flatten(0, -2), split.labels[chosen].flatten())
        loss.backward()
        losses.append(loss.item())
        grads.append(torch.cat([p.grad.reshape(-1) for p in model.parameters()]))
        if t < steps:
            optimizer.step()
    return losses, grads


@pytest.mark.parametrize("fused", ["auto", False])
def test_a_run_is_the_plain_loop(vectors, network, fused):
    run = train(network(), vectors, AdamW(lr=0.03, weight_decay=2.0), 30, evaluate_every=10, fused=fused)
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.03, weight_decay=2.0)
    losses, grads = plain_loop(model, vectors, optimizer, 30)
    assert list(run.history.columns) == COLUMNS
    assert run.history["step"].tolist() == list(range(31))
    np.testing.assert_allclose(run.history["loss"], losses, rtol=1e-12)
    np.testing.assert_allclose(run.history["one_norm"], [g.abs().sum() for g in grads], rtol=1e-12)
    np.testing.assert_allclose(run.history["two_norm"], [g.norm() for g in grads], rtol=1e-12)
    torch.testing.assert_close(run.theta, flat(model), rtol=1e-12, atol=1e-14)
    last = run.history.iloc[-1]
    assert last["linf"] == pytest.approx(run.theta.abs().max().item(), rel=1e-14)
    assert last["kkt_gap"] == pytest.approx(norms.kkt_gap(run.theta, grads[-1], 0.5, relative=True).item(), rel=1e-10)
    with torch.no_grad():
        logits = model(vectors.test_inputs)
    assert last["test_loss"] == pytest.approx(functional.cross_entropy(logits, vectors.test_labels).item(), rel=1e-12)
    assert last["test_accuracy"] == (logits.argmax(1) == vectors.test_labels).double().mean().item()
    assert run.history["test_loss"].notna().tolist() == [t % 10 == 0 for t in range(31)]
    assert run.facts["fused"] is (fused == "auto")
    assert run.facts["steps"] == 30
    assert run.error == ""


def test_tokens_and_their_labels(text, words):
    run = train(words(), text, Adam(lr=0.02), 10, micro_batch=5)
    model = words()
    losses, _ = plain_loop(model, text, torch.optim.Adam(model.parameters(), lr=0.02), 10)
    np.testing.assert_allclose(run.history["loss"], losses, rtol=1e-12)


def test_mini_batches_are_the_plain_loop_and_every_epoch_sees_each_example_once(vectors, network):
    order = Order(60, 8, seed=3)
    batches = [order(t) for t in range(21)]
    for epoch in range(3):
        seen = torch.cat(batches[7 * epoch : 7 * epoch + 7])
        assert len(seen.unique()) == 56
    assert not torch.equal(batches[0], batches[7])
    assert torch.equal(Order(60, 8, seed=3)(9), batches[9])
    assert not torch.equal(Order(60, 8, seed=4)(9), batches[9])
    run = train(network(), vectors, Momentum(lr=0.1), 20, batch_size=8, seed=3, full_gradient_every=5)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1 * 0.1, momentum=0.9)
    losses, _ = plain_loop(model, vectors, optimizer, 20, batches)
    np.testing.assert_allclose(run.history["batch_loss"][:-1], losses[:-1], rtol=1e-11)
    assert math.isnan(run.history["batch_loss"].iloc[-1])
    torch.testing.assert_close(run.theta, flat(model), rtol=1e-11, atol=1e-13)
    full = run.history.set_index("step")["loss"]
    assert full.notna().tolist() == [t % 5 == 0 for t in range(21)]
    assert full[20] == pytest.approx(losses[-1], rel=1e-11)
    assert run.history["linf"].notna().all()


def test_mini_batches_alone_measure_no_full_gradient(vectors, network):
    run = train(network(), vectors, Adam(), 5, batch_size=10)
    assert run.history[["loss", "one_norm", "kkt_gap"]].isna().all(axis=None)
    assert run.history["batch_loss"][:-1].notna().all()


@pytest.mark.parametrize("micro_batch", [1, 7, 30, 1000])
def test_micro_batches_add_up_to_the_full_gradient(vectors, network, micro_batch):
    whole = train(network(), vectors, AdamW(lr=0.03), 12).history
    parts = train(network(), vectors, AdamW(lr=0.03), 12, micro_batch=micro_batch).history
    for column in ("loss", "one_norm", "two_norm", "linf"):
        np.testing.assert_allclose(parts[column], whole[column], rtol=1e-12, err_msg=column)


def test_batch_normalisation_is_refused_in_parts_and_taken_whole(vectors, normalised):
    whole = train(normalised(), vectors, Adam(lr=0.01), 5)
    for options in ({"micro_batch": 20}, {"batch_size": 20, "micro_batch": 5}):
        with pytest.raises(ValueError, match="normalises over the batch.*do not add up"):
            train(normalised(), vectors, Adam(lr=0.01), 5, **options)
    parts = train(normalised(), vectors, Adam(lr=0.01), 5, micro_batch=20, allow_batch_norm=True)
    # Not the full-batch gradient, which is why it is refused.
    assert abs(parts.history["two_norm"][0] / whole.history["two_norm"][0] - 1) > 1e-3
    train(normalised(), vectors, Adam(lr=0.01), 5, batch_size=20, micro_batch=20)


def test_measuring_changes_nothing(vectors, normalised):
    """Running averages of a normalisation layer included."""
    plain = train(normalised(), vectors, Adam(lr=0.01), 9, batch_size=20, probes=Probes(every=9))
    model = normalised()
    often = Probes(sharpness_every=3, quantiles_every=1)
    probed = train(
        model, vectors, Adam(lr=0.01), 9, batch_size=20, probes=often, full_gradient_every=2, evaluate_every=1
    )
    assert torch.equal(plain.theta, probed.theta)
    reference = normalised()
    train(reference, vectors, Adam(lr=0.01), 9, batch_size=20)
    assert torch.equal(model[1].running_mean, reference[1].running_mean)
    assert probed.history["test_loss"].iloc[-1] != probed.history["test_loss"].iloc[0]
    assert plain.history["step"].tolist() == [0, 9]


def test_another_loss(vectors, network):
    targets = functional.one_hot(vectors.labels, 3).double()
    split = dataclasses.replace(
        vectors, labels=targets, test_labels=functional.one_hot(vectors.test_labels, 3).double()
    )
    run = train(network(), split, Adam(lr=0.01), 5, loss=functional.mse_loss, micro_batch=20, evaluate_every=5)
    with torch.no_grad():
        first = functional.mse_loss(network()(vectors.inputs), targets).item()
    assert run.history["loss"][0] == pytest.approx(first, rel=1e-12)
    assert run.history["test_accuracy"].isna().all()


def test_the_same_seed_gives_the_same_numbers(vectors, network):
    def once(seed):
        model = nn.Sequential(network(), nn.Dropout(0.1))
        return train(
            model, vectors, Adam(lr=0.01), 12, batch_size=16, seed=seed, full_gradient_every=3, evaluate_every=4
        )

    one, other = once(5), once(5)
    assert one.history.equals(other.history)
    assert torch.equal(one.theta, other.theta)
    assert not torch.equal(one.theta, once(6).theta)


def test_the_model_is_trained_in_place_and_left_in_order(vectors, network):
    model = network().eval()
    model.layers[0].bias.requires_grad_(False)
    before = model.layers[0].bias.clone()
    run = train(model, vectors, Adam(lr=0.01), 4)
    assert torch.equal(torch.cat([p.detach().reshape(-1) for p in model.parameters() if p.requires_grad]), run.theta)
    assert torch.equal(model.layers[0].bias, before)
    assert run.facts["parameters"] == 51
    assert not model.training
    assert all(p.grad is None for p in model.parameters())
    again = train(model, vectors, Adam(lr=0.01), 1)
    assert again.history["loss"][0] == run.history["loss"].iloc[-1]


def test_parameters_and_gradients_are_views_of_the_flat_buffers(vectors, network):
    model, seen = network(), []

    def rate(t):
        seen.append([(p.data_ptr(), p.grad.data_ptr()) for p in model.parameters()])
        return 0.01

    train(model, vectors, Adam(lr=rate), 2)
    sizes = [8 * p.numel() for p in model.parameters()]
    for kind in (0, 1):
        first, *rest = (pointers[kind] for pointers in seen[0])
        assert rest == [first + sum(sizes[: k + 1]) for k in range(len(rest))]
    assert seen[0] == seen[1]


def test_stop_below_ends_at_the_first_step_that_reaches_it(vectors, network):
    whole = train(network(), vectors, Adam(lr=0.05), 40).history
    level = float(whole["loss"][17])
    run = train(network(), vectors, Adam(lr=0.05), 40, stop_below=level + 1e-9, probes=Probes(every=10))
    assert run.history["step"].tolist() == [0, 10, 17]
    assert run.facts["ended"].startswith("loss below")
    assert run.history["one_norm"].iloc[-1] == whole["one_norm"][17]
    with pytest.raises(ValueError, match="give full_gradient_every too"):
        train(network(), vectors, Adam(), 5, stop_below=1.0, batch_size=10)


def test_divergence_ends_with_the_history_up_to_there(vectors, network):
    # The rate explodes at step 6: the loss after it is not finite.
    rule = GradientDescent(lr=lambda t: 0.1 if t < 6 else 1e308)
    with pytest.raises(
        TrainingError, match=r"the loss became (nan|inf) at step [67]; lower the learning rate"
    ) as caught:
        train(network(), vectors, rule, 20, label="too fast")
    run = caught.value.run
    assert isinstance(run, Run)
    assert run.label == "too fast"
    assert run.error == str(caught.value)
    good = train(network(), vectors, rule, 5).history
    assert run.history["loss"][:6].tolist() == good["loss"].tolist()
    assert not math.isfinite(run.history["loss"].iloc[-1])
    copy = pickle.loads(pickle.dumps(caught.value))  # as Dask sends it
    assert copy.run.history.equals(run.history)
    with pytest.raises(TrainingError, match="the loss became"):
        train(network(), vectors, rule, 20, batch_size=10)


def test_a_gradient_that_is_not_finite_ends_the_run(vectors, network):
    class Root(nn.Module):
        """Has the derivative of sqrt at 0, which is infinite."""

        def __init__(self):
            super().__init__()
            self.inner, self.zero = network(), nn.Parameter(torch.zeros(1))

        def forward(self, inputs):
            return self.inner(inputs) * (1 + self.zero.sqrt())

    with pytest.raises(TrainingError, match="the gradient was not finite at step 0"):
        train(Root(), vectors, Adam(), 3)


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """The code of a GPU on the CPU: numbers stay in tensors and are looked at every so many steps."""
    monkeypatch.setattr(probes, "on_host", lambda device: False)


@pytest.mark.parametrize("options", [{}, {"batch_size": 20, "full_gradient_every": 3}], ids=["full", "mini"])
def test_numbers_that_wait_on_the_device_are_the_same(vectors, network, options, as_on_a_gpu, monkeypatch):
    options |= {"evaluate_every": 4, "probes": Probes(sharpness_every=20, every=2)}
    waiting = train(network(), vectors, AdamW(lr=0.03, weight_decay=2.0), 70, **options)
    monkeypatch.undo()
    expected = train(network(), vectors, AdamW(lr=0.03, weight_decay=2.0), 70, **options)
    np.testing.assert_allclose(waiting.history, expected.history, rtol=1e-11, atol=1e-15)
    assert torch.equal(waiting.theta, expected.theta)


def test_ends_that_are_noticed_late_end_where_they_should(vectors, network, as_on_a_gpu, tmp_path):
    rule = GradientDescent(lr=lambda t: 0.1 if t < 6 else 1e308)
    with pytest.raises(TrainingError, match="the loss became") as caught:
        train(network(), vectors, rule, 100, probes=Probes(every=50), checkpoint=tmp_path / "run.checkpoint")
    assert caught.value.run.history["step"].iloc[-1] in (6, 7)
    with pytest.raises(TrainingError, match="the loss became") as again:
        train(
            network(), vectors, rule, 100, probes=Probes(every=50), checkpoint=tmp_path / "run.checkpoint", resume=True
        )
    assert again.value.run.history.equals(caught.value.run.history)
    run = train(network(), vectors, Adam(lr=0.05), 40, stop_below=0.5, probes=Probes(every=50))
    losses = train(network(), vectors, Adam(lr=0.05), 40).history["loss"]
    assert run.facts["steps"] == int((losses < 0.5).idxmax()) > 3
    assert run.history["step"].tolist() == [0, run.facts["steps"]]


@pytest.mark.parametrize("options", [{}, {"batch_size": 20, "full_gradient_every": 3}], ids=["full", "mini"])
def test_a_late_noticed_end_has_the_parameters_of_its_last_step(vectors, network, options, as_on_a_gpu, monkeypatch):
    def ending(settings, **more):
        return train_many(lambda seed: network(), vectors, settings, 40, **options, **more)

    rules = [(GradientDescent(lr=Jump(at)), 0) for at in (3, 7, 50)]
    low = {} if options else {"stop_below": 0.6}
    waiting = [*ending(rules, stack=True), *ending(rules, stack=False), *ending([(Adam(lr=0.05), 0)], **low)]
    monkeypatch.undo()
    expected = [*ending(rules, stack=True), *ending(rules, stack=False), *ending([(Adam(lr=0.05), 0)], **low)]
    assert [run.facts["ended"] for run in waiting[:6]] == 2 * ["diverged", "diverged", "finished"]
    assert options or waiting[6].facts["ended"] == "loss below 0.6"
    for late, at_once in zip(waiting, expected, strict=True):
        assert late.error == at_once.error
        assert late.facts["steps"] == at_once.facts["steps"]
        torch.testing.assert_close(late.theta, at_once.theta, rtol=1e-11, atol=0, equal_nan=True)


class Jump:
    """A learning rate that destroys the network after some steps."""

    def __init__(self, at):
        self.at = at

    def __call__(self, t):
        return 0.1 if t < self.at else 1e308


def test_zero_steps_measure_the_start(vectors, network):
    run = train(network(), vectors, Adam(), 0, evaluate_every=1)
    assert len(run.history) == 1
    assert run.history["test_loss"].notna().all()
    assert torch.equal(run.theta, flat(network()))


def test_precision_is_what_was_asked_for_and_recorded(vectors, network):
    runs = {
        precision: train(network(dtype=torch.float32), vectors, Adam(), 3, precision=precision)
        for precision in ("float32", "bfloat16")
    }
    assert [run.facts["precision"] for run in runs.values()] == ["float32", "bfloat16"]
    assert all(run.theta.dtype == torch.float32 for run in runs.values())
    difference = abs(runs["bfloat16"].history["loss"][0] / runs["float32"].history["loss"][0] - 1)
    assert 1e-7 < difference < 0.02
    single = train(network(), vectors, Adam(), 3, dtype=torch.float32)
    assert single.history["loss"].tolist() == runs["float32"].history["loss"].tolist()
    assert train(network(), vectors, Adam(), 1).facts["precision"] == "float64"


def test_a_failing_compiler_is_reported_and_done_without(vectors, network, monkeypatch):
    def broken(model, **_):
        def call(inputs):
            raise RuntimeError("no compiler\nmore lines")

        return call

    expected = train(network(), vectors, Adam(), 3)
    monkeypatch.setattr(torch, "compile", broken)
    with pytest.warns(RuntimeWarning, match="torch.compile failed, so the run goes on without it"):
        run = train(network(), vectors, Adam(), 3, compile=True)
    assert run.facts["compiled"] == "no: RuntimeError: no compiler"
    assert run.history.equals(expected.history)
    assert expected.facts["compiled"] == "no"


@pytest.mark.slow
def test_a_compiled_network_has_the_same_numbers(vectors, normalised, monkeypatch):
    expected = train(normalised(), vectors, Adam(lr=0.01), 5, evaluate_every=5)
    # Traced and differentiated as ever; generating C++ would take a minute.
    compiler = torch.compile
    monkeypatch.setattr(torch, "compile", lambda model, mode: compiler(model, backend="aot_eager"))
    run = train(normalised(), vectors, Adam(lr=0.01), 5, evaluate_every=5, compile=True)
    assert run.facts["compiled"].startswith("torch.compile")
    np.testing.assert_allclose(run.history.dropna(axis=1), expected.history.dropna(axis=1), rtol=1e-9)


def test_progress_says_how_long_it_will_take(vectors, network, capsys, monkeypatch):
    from optbias.training import engine

    monkeypatch.setattr(engine, "ESTIMATE_AFTER", 0.0)
    train(network(), vectors, Adam(), 30, progress=True, label="digits")
    shown = capsys.readouterr()
    assert "digits: 30 steps, " in shown.out + shown.err
    assert "to go" in shown.out + shown.err
    assert "30/30" in shown.err
    assert [engine.duration(s) for s in (0.4, 75, 3700)] == ["0 s", "1 min 15 s", "1 h 1 min"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"steps": -1}, ValueError, "steps must be a whole number >= 0; got -1"),
        ({"batch_size": 61}, ValueError, "batch_size must be at most the 60 training examples; got 61"),
        ({"batch_size": 0}, ValueError, "batch_size must be a whole number >= 1"),
        ({"micro_batch": 2.5}, ValueError, "micro_batch must be a whole number >= 1; got 2.5"),
        ({"full_gradient_every": 5}, ValueError, "every step of this one is full-batch"),
        ({"precision": "half"}, ValueError, "precision must be one of"),
        ({"precision": "bfloat16"}, ValueError, "needs dtype=torch.float32"),
        ({"dtype": torch.bfloat16}, ValueError, "dtype must be torch.float32 or torch.float64"),
        ({"device": "gpu7"}, ValueError, "device must be 'auto'"),
        ({"resume": True}, ValueError, "resume=True needs the checkpoint's path"),
        ({"seed": -1}, ValueError, "seed must be a non-negative integer"),
        ({"rule": torch.optim.Adam}, TypeError, "rule must be a rule from optbias.rules"),
        ({"rule": Adam(lr=torch.tensor([0.1, 0.2]))}, ValueError, "Use train_many for a grid"),
        ({"rule": Muon()}, ValueError, "Muon needs a matrix"),
        ({"rule": Adam(eps=0.0), "fused": True}, ValueError, "no kernel computes"),
        ({"model": "mlp"}, TypeError, "model must be a torch.nn.Module"),
        ({"model": nn.Identity()}, ValueError, "model has no trainable parameter"),
        ({"probes": {"every": 2}}, TypeError, "probes must be optbias.training.Probes"),
        ({"loss": "mse"}, TypeError, "loss must be a function"),
    ],
)
def test_bad_arguments_are_refused(vectors, network, options, error, message):
    given = {"model": network(), "split": vectors, "rule": Adam(), "steps": 3} | options
    with pytest.raises(error, match=message):
        train(**given)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(vectors, network):
    with pytest.raises(ValueError, match="asks for a GPU that torch does not see"):
        train(network(), vectors, Adam(), 1, device="cuda")


def test_data_that_does_not_fit_is_refused(vectors, network):
    with pytest.raises(ValueError, match="inputs and their labels must have one length; got 60 and 59"):
        train(network(), dataclasses.replace(vectors, labels=vectors.labels[1:]), Adam(), 1)
    with pytest.raises(ValueError, match="at least one example"):
        train(network(), dataclasses.replace(vectors, inputs=vectors.inputs[:0], labels=vectors.labels[:0]), Adam(), 1)
    empty = dataclasses.replace(vectors, test_inputs=vectors.test_inputs[:0], test_labels=vectors.test_labels[:0])
    with pytest.raises(ValueError, match="needs held-out data"):
        train(network(), empty, Adam(), 1, evaluate_every=1)
    train(network(), empty, Adam(), 1)


@pytest.mark.parametrize("fused", ["auto", False])
def test_a_parameter_that_the_loss_does_not_reach_is_left_alone(vectors, network, fused):
    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.unused, self.used = network(seed=1), network()

        def forward(self, x):
            return self.used(x)

    before = flat(network(seed=1))
    run = train(Half(), vectors, AdamW(0.1, weight_decay=0.5), 5, fused=fused)
    alone = train(network(), vectors, AdamW(0.1, weight_decay=0.5), 5, fused=fused)
    assert torch.equal(run.theta[: len(before)], before)
    torch.testing.assert_close(run.theta[len(before) :], alone.theta, rtol=1e-12, atol=1e-14)


@dataclasses.dataclass(frozen=True)
class NormGD(Rule):
    """A rule that mixes all coordinates and does not say so."""

    lr: float = 0.1

    def equations(self, theta, grad, state):
        return theta - self.lr * grad / grad.norm(), {"t": state["t"] + 1}


def test_a_rule_that_mixes_coordinates_sees_all_of_them():
    inputs, labels = torch.randn(60, 64, generator=generator(0)), torch.arange(60) % 10
    split = Split("random", 10, inputs, labels, inputs[:1], labels[:1])
    model = MLP((64, 400, 280, 10), seed=0)
    before = flat(model)
    assert len(before) > 140_000
    run = train(model, split, NormGD(), 1, dtype=torch.float64)
    assert (run.theta - before).norm().item() == pytest.approx(0.1, rel=1e-12)


def test_a_parameter_that_a_rule_cannot_take_is_named(vectors, network):
    with pytest.raises(ValueError, match="layers.0.bias: Muon needs a matrix"):
        train(network(), vectors, Muon(), 1)
