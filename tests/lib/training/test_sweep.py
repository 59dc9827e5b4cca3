"""A sweep's runs are the single runs, stacked or one after another."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from optbias.models import ResidualMLP
from optbias.rules import Adam, AdamW, GradientDescent, Lion, Momentum, Muon
from optbias.training import Probes, TrainingError, engine, sweep, train, train_many

SETTINGS = [
    (Adam(lr=0.02, betas=(0.9, 0.99), eps=1e-8, eps_inside=True), 0),
    (Momentum(lr=0.1), 1),
    (Adam(lr=0.02, betas=(0.5, 0.9), eps=1e-8, eps_inside=True), 1),
    (AdamW(lr=lambda t: 0.05 / t**0.5, weight_decay=2.0), 0),
    (Adam(lr=0.02, betas=(0.9, 0.99), eps=1e-8, eps_inside=True), 2),
    (Lion(lr=0.01, weight_decay=1.0), 0),
]


def assert_same_runs(found, expected):
    assert len(found) == len(expected)
    for run, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(run.history, other.history, rtol=1e-10, atol=1e-14)
        torch.testing.assert_close(run.theta, other.theta, rtol=1e-10, atol=1e-13)


class Mapped(nn.Module):
    """A network that cannot stack itself."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, inputs):
        return self.inner(inputs)


def wide(seed):
    """More parameters than are updated and measured together: 4,803."""
    return ResidualMLP(5, 32, 2, 3, seed=seed)


OPTIONS = {
    "evaluated": {"evaluate_every": 5},
    "micro": {"micro_batch": 25},
    "mini": {"batch_size": 9, "full_gradient_every": 4, "micro_batch": 4},
    "sharpness": {"probes": Probes(radius=0.3, sharpness_every=12, sharpness_tol=1e-9)},
}


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in ("own", "vmap", "wide") for name in OPTIONS if (kind, name) != ("wide", "sharpness")],
)
def test_a_stack_is_its_runs(vectors, network, kind, name):
    options = OPTIONS[name]
    make = {"own": network, "vmap": lambda seed: Mapped(network(seed)), "wide": wide}[kind]
    stacked = train_many(make, vectors, SETTINGS, 12, stack=True, **options)
    expected = [train(make(seed), vectors, rule, 12, seed=seed, **options) for rule, seed in SETTINGS]
    assert_same_runs(stacked, expected)
    way = "torch.func.vmap" if kind == "vmap" else "the module's batched products"
    assert {run.facts["sweep"] for run in stacked} == {f"stacked, 6 networks in one pass by {way}"}
    assert [run.facts["seed"] for run in stacked] == [seed for _, seed in SETTINGS]
    assert_same_runs(train_many(make, vectors, SETTINGS, 12, stack=False, **options), expected)


def test_tokens_and_another_loss_in_a_stack(text, words, vectors, network):
    settings = [(Adam(lr=lr), 0) for lr in (0.01, 0.02)]
    make = lambda seed: words()  # noqa: E731
    assert_same_runs(
        train_many(make, text, settings, 6, stack=True, micro_batch=5),
        [train(words(), text, rule, 6) for rule, _ in settings],
    )
    split = dataclasses.replace(vectors, labels=functional.one_hot(vectors.labels, 3).double())
    split = dataclasses.replace(split, test_labels=functional.one_hot(vectors.test_labels, 3).double())
    found = train_many(network, split, settings, 6, stack=True, loss=functional.mse_loss, evaluate_every=3)
    expected = [train(network(), split, rule, 6, loss=functional.mse_loss, evaluate_every=3) for rule, _ in settings]
    assert_same_runs(found, expected)


def test_each_setting_may_have_its_own_box_and_label(vectors, network):
    settings = [(Adam(lr=0.02), 0), (Adam(lr=0.02), 1)]
    probes = [Probes(radius=0.2, eps=0.1), Probes(radius=0.5)]
    found = train_many(network, vectors, settings, 5, stack=True, probes=probes, labels=["a", "b"])
    expected = [train(network(k), vectors, Adam(lr=0.02), 5, probes=probes[k]) for k in (0, 1)]
    assert_same_runs(found, expected)
    assert [run.label for run in found] == ["a", "b"]
    with pytest.raises(ValueError, match="may differ in radius, eps and tolerance only"):
        train_many(network, vectors, settings, 5, stack=True, probes=[Probes(), Probes(every=2)])
    with pytest.raises(ValueError, match="one entry for each of the 2 settings; got 2, 1 and 2"):
        train_many(network, vectors, settings, 5, labels=["a"])


@pytest.mark.parametrize("stack", [True, False])
def test_one_run_that_diverges_leaves_the_others_alone(vectors, network, stack):
    bad = GradientDescent(lr=lambda t: 0.1 if t < 4 else 1e308)
    settings = [(GradientDescent(lr=0.1), 0), (bad, 0), (GradientDescent(lr=0.2), 1)]
    runs = train_many(network, vectors, settings, 12, stack=stack)
    assert [bool(run.error) for run in runs] == [False, True, False]
    assert "the loss became" in runs[1].error
    assert runs[1].facts["ended"] == "diverged"
    assert runs[1].history["step"].iloc[-1] in (4, 5)
    assert_same_runs([runs[0], runs[2]], [train(network(k), vectors, settings[2 * k][0], 12) for k in (0, 1)])


@pytest.mark.parametrize("make", ["small", "wide"])
def test_a_stack_shrinks_as_its_runs_end(vectors, network, monkeypatch, make):
    """And what is left goes on with its own state: the optimizer's, the order of batches, the checkpoint."""
    make = network if make == "small" else wide
    kept = []
    set_alive = engine.Engine.set_alive
    monkeypatch.setattr(engine.Engine, "set_alive", lambda self, rows: (kept.append(list(rows)), set_alive(self, rows)))
    rates = (0.001, 0.2, 0.1, 0.01, 0.05, 0.02)
    settings = [(Adam(lr=lr, eps=1e-7, eps_inside=True), k % 2) for k, lr in enumerate(rates)]
    options = {"stop_below": 0.3, "batch_size": 20, "full_gradient_every": 1}
    found = train_many(make, vectors, settings, 60, stack=True, **options)
    assert [len(rows) for rows in kept][:2] == [6, 3]
    assert len({run.facts["steps"] for run in found}) > 3
    assert_same_runs(found, [train(make(seed), vectors, rule, 60, seed=seed, **options) for rule, seed in settings])


def test_a_shrunken_stack_goes_on_from_its_checkpoint(vectors, network, tmp_path):
    rates = (0.0001, 0.2, 0.1, 0.001)

    class Stop(Exception):
        pass

    def failing(t):
        if t == 50:
            raise Stop
        return 0.0001

    def settings(first):
        return [(Adam(lr=first), 0), *((Adam(lr=lr), 0) for lr in rates[1:])]

    options = {"stop_below": 0.5, "stack": True}
    whole = train_many(network, vectors, settings(lambda t: 0.0001), 60, **options)
    assert sum(run.facts["ended"].startswith("loss below") for run in whole) == 2
    options |= {"checkpoint": tmp_path, "resume": True, "checkpoint_seconds": 0.0}
    with pytest.raises(Stop):
        train_many(network, vectors, settings(failing), 60, **options)
    found = train_many(network, vectors, settings(lambda t: 0.0001), 60, **options)
    for run, expected in zip(found, whole, strict=True):
        assert run.facts["resumed_at"] == 49
        assert run.history.equals(expected.history)
        assert torch.equal(run.theta, expected.theta)


def test_the_engine_chooses_by_a_fixed_rule(vectors, network, normalised, monkeypatch):
    settings = [(Adam(), 0), (Adam(lr=0.01), 1), (Adam(lr=0.02), 1), (Adam(lr=0.03), 1)]

    def way(make, settings=settings, **options):
        return train_many(make, vectors, settings, 1, **options)[0].facts["sweep"]

    def mapped(seed):
        return Mapped(network(seed))

    assert way(network) == "stacked, 4 networks in one pass by the module's batched products"
    assert way(mapped) == "stacked, 4 networks in one pass by torch.func.vmap"
    assert way(network, settings[:2]).startswith("stacked")
    assert "2 networks are too few for torch.func.vmap" in way(mapped, settings[:2])
    assert way(network, settings[:1]) == "one after another: there is one setting only"
    assert way(network, stack=False) == "one after another: as asked"
    assert "batch normalisation" in way(lambda seed: normalised())
    assert "a rule mixes coordinates" in way(lambda seed: Bias(), [(Muon(), 0), (Muon(), 1)])
    assert "differ in more than" in way(lambda seed: Frozen(network, seed))
    assert "stacked" in way(lambda seed: nn.Sequential(network(seed)))
    assert "torch.func.vmap cannot batch it" in way(lambda seed: nn.Sequential(network(seed), nn.Dropout(0.1)))
    monkeypatch.setattr(sweep, "LARGEST_PART", 50)
    assert "parts of 60 targets are too large" in way(network)
    assert "stacked" in way(network, micro_batch=50)
    assert "stacked" in way(network, batch_size=50)
    monkeypatch.setattr(sweep, "LARGEST_STACKED", 56)
    assert "57 parameters are too many" in way(network, batch_size=50)
    assert "stacked" in way(network, stack=True)


class Bias(nn.Module):
    """One matrix, so that Muon takes it."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.eye(5, 3, dtype=torch.float64))

    def forward(self, inputs):
        return inputs @ self.weight


class Frozen(nn.Module):
    """A part that is not trained and differs from seed to seed."""

    def __init__(self, network, seed):
        super().__init__()
        self.fixed, self.inner = nn.Parameter(torch.full((5,), float(seed)), requires_grad=False), network()

    def forward(self, inputs):
        return self.inner(inputs + self.fixed)


def test_many_networks_are_cut_into_stacks_that_fit(vectors, network, monkeypatch):
    monkeypatch.setattr(sweep, "ROOM", 3 * 57)
    settings = [(Adam(lr=0.001 * (k + 1)), k % 2) for k in range(7)]
    found = train_many(network, vectors, settings, 5, stack=True)
    assert sorted(run.facts["stacked"] for run in found) == [1, 3, 3, 3, 3, 3, 3]
    assert_same_runs(found, [train(network(seed), vectors, rule, 5) for rule, seed in settings])


def test_what_cannot_be_stacked_is_refused_if_it_is_insisted_on(vectors, network, normalised):
    settings = [(Adam(), 0), (Adam(), 1)]
    with pytest.raises(ValueError, match="stack=True, but batch normalisation"):
        train_many(lambda seed: normalised(), vectors, settings, 1, stack=True)
    with pytest.raises(ValueError, match="stack=True, but compile=True"):
        train_many(network, vectors, settings, 1, stack=True, compile=True)
    with pytest.raises(ValueError, match="stack must be 'auto', True or False; got 'yes'"):
        train_many(network, vectors, settings, 1, stack="yes")
    with pytest.raises(ValueError, match="at least one"):
        train_many(network, vectors, [], 1)
    with pytest.raises(TypeError, match="no option micro; it has .*micro_batch"):
        train_many(network, vectors, settings, 1, micro=3)


def test_a_failing_checkpoint_ends_the_sweep(vectors, network, tmp_path, monkeypatch):
    import os

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    settings = [(Adam(), 0), (Adam(), 1)]
    for stack, count in ((True, 2), (False, 1)):
        with pytest.raises(TrainingError, match="could not be written") as caught:
            train_many(network, vectors, settings, 4, stack=stack, checkpoint=tmp_path / str(stack))
        assert [len(run.history) for run in caught.value.runs] == [5] * count
