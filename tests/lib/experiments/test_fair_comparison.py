"""The fair comparison: the stacked networks are the plain ones, the protocol is kept, the records hold."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
import scipy.stats
import torch

from optbias.experiments import fair_comparison as fair
from optbias.models import MLP
from optbias.rules import Adam, GradientDescent
from optbias.seeding import generator


@pytest.fixture(scope="module")
def task():
    return fair.digits_task(steps=12)


def test_a_row_of_the_stack_is_the_module():
    network = fair.StackedMLP((5, 4, 3))
    x = torch.randn(2, 7, 5, dtype=torch.float64, generator=generator(0))
    theta = torch.stack([network.init(seed) for seed in (0, 1)])
    assert theta.shape == (2, network.size)
    for seed in (0, 1):
        torch.testing.assert_close(network(theta, x)[seed], MLP((5, 4, 3), seed=seed)(x[seed]), rtol=1e-12, atol=1e-14)


def test_stacked_training_is_torch_optim_one_run_at_a_time(task):
    rates = torch.tensor([1e-3, 1e-2], dtype=torch.float64)
    contender = fair.Contender("Adam", lambda lr: Adam(lr=lr), {"lr": fair.Range(1e-3, 1e-2)})
    stacked = fair.train(task, contender.rule({"lr": rates}, 2), seeds=(5, 6), settings=2, curve_points=3)
    assert stacked["curve"]["validation_loss"].shape == (3, 2, 2)
    seeds = fair._Seeds.of(task, (5, 6))
    for (i, lr), (s, seed) in itertools.product(enumerate(rates.tolist()), enumerate((5, 6))):
        module = MLP(task.network.sizes, seed=seed)
        optimizer = torch.optim.Adam(module.parameters(), lr=lr)
        for batch in seeds.batches[s]:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(module(task.pool[0][batch]), task.pool[1][batch]).backward()
            optimizer.step()
        loss = torch.nn.functional.cross_entropy(module(task.test[0]), task.test[1]).item()
        assert stacked["test_loss"][i, s].item() == pytest.approx(loss, rel=1e-10)


def test_a_seed_fixes_split_weights_and_order(task):
    one, other = fair._Seeds.of(task, (3, 4)), fair._Seeds.of(task, (4,))
    assert torch.equal(one.batches[1], other.batches[0])
    assert torch.equal(one.theta[1], other.theta[0])
    for s in (0, 1):
        train, validation = set(one.train[s].tolist()), set(one.validation[s].tolist())
        assert not train & validation
        assert len(train | validation) == len(task.pool[1])
        assert set(one.batches[s].flatten().tolist()) <= train
        assert len(set(one.batches[s].flatten().tolist())) == one.batches[s].numel()  # within one epoch


def test_the_protocol_is_kept(task):
    protocol, _ = fair.PRESETS["smoke"]
    record = fair.compare(task, protocol=protocol)
    json.dumps(record, allow_nan=False)
    assert list(record["contenders"]) == ["SGD", "momentum", "RMSProp", "Adam"]
    for result in record["contenders"].values():
        assert len(result["scores"]) == protocol.draws
        assert all(len(v) == protocol.draws for v in result["draws"].values())
        assert set(result["evaluation"]) == set(fair.METRICS)
        assert all(len(v) == len(protocol.evaluation_seeds) for v in result["evaluation"].values())
        best = int(np.argmin(result["scores"]))
        assert result["chosen"] == {name: values[best] for name, values in result["draws"].items()}
        for name, values in result["draws"].items():
            space = result["space"][name]
            assert all(space["low"] <= value <= space["high"] for value in values)
    assert fair.compare(task, protocol=protocol) == record


def test_a_run_that_diverges_counts_as_guessing_and_stops_nobody(task):
    class Exploding(GradientDescent):
        def equations(self, theta, grad, state):
            theta, state = super().equations(theta, grad, state)
            # Only the run with the large rate blows up.
            return torch.where(self.lr > 1, theta * 1e200, theta), state

    contender = fair.Contender("odd", lambda lr: Exploding(lr=lr), {"lr": fair.Range(0.01, 10.0)})
    rule = contender.rule({"lr": torch.tensor([10.0, 0.5], dtype=torch.float64)}, 1)
    result = fair.train(task, rule, (0,), settings=2)
    assert not torch.isfinite(result["validation_loss"][0]).any()
    assert torch.isfinite(result["validation_loss"][1]).all()
    ranked = fair.scores(result["validation_loss"], task.guessing)
    assert ranked[0].item() == pytest.approx(math.log(10))
    assert ranked[1] < ranked[0]


def test_expected_best_against_all_choices():
    values = [0.3, 1.0, 0.2, 0.7, 0.7]
    for k in range(1, 6):
        brute = np.mean([min(chosen) for chosen in itertools.combinations(values, k)])
        assert fair.expected_best(values, k) == pytest.approx(brute)


def test_paired_interval_is_the_paired_t_test():
    a, b = [0.1, 0.4, 0.3, 0.35], [0.2, 0.3, 0.1, 0.25]
    interval = scipy.stats.ttest_rel(a, b).confidence_interval(0.9)
    assert fair.paired_interval(a, b, 0.9) == pytest.approx((0.075, interval.low, interval.high))


@pytest.mark.parametrize("scale", sorted(fair.SCALES))
def test_ranges_run_from_low_to_high(scale):
    values = fair.Range(0.5, 0.99, scale).at(torch.linspace(0, 1, 11, dtype=torch.float64))
    assert values[0].item() == pytest.approx(0.5)
    assert values[-1].item() == pytest.approx(0.99)
    assert (values.diff() > 0).all()


def test_save_leaves_nothing_half_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        fair.save({"loss": math.nan}, tmp_path / "record.json")
    assert list(tmp_path.iterdir()) == []


def test_command_line(tmp_path, capsys):
    path = tmp_path / "new" / "record.json"
    fair.main(["--preset", "smoke", "--steps", "4", "--draws", "2", "--out", str(path)])
    record = json.loads(path.read_text())
    assert record["protocol"]["draws"] == 2
    assert record["task"]["steps"] == 4
    assert record["provenance"]["versions"]["torch"] == torch.__version__
    assert "one core" in capsys.readouterr().out
    assert [p.name for p in path.parent.iterdir()] == ["record.json"]


@pytest.mark.parametrize(("steps", "search"), list(itertools.product((200, 1000), (0, 1, 2))))
def test_recorded_runs(steps, search):
    record = fair.recorded(f"digits-{steps}-{search}")
    assert record is not None
    assert record["task"] == fair.digits_task(steps=steps).describe()
    assert record["protocol"]["draw_seed"] == search
    assert {"command", "date", "seconds", "device", "threads", "versions"} <= set(record["provenance"])
    for contender in fair.standard_contenders():
        drawn = contender.draw(record["protocol"]["draws"], search)
        assert record["contenders"][contender.name]["draws"] == {k: pytest.approx(v.tolist()) for k, v in drawn.items()}


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_a_recorded_run_is_what_the_code_does(name):
    record = fair.recorded("digits-200-0")
    contender = next(c for c in fair.standard_contenders() if c.name == name)
    result = record["contenders"][name]
    chosen = {k: torch.tensor([v], dtype=torch.float64) for k, v in result["chosen"].items()}
    again = fair.train(fair.digits_task(steps=200), contender.rule(chosen, 2), (100, 101))
    # Another processor may round differently, and training amplifies it: not to the last digit.
    assert again["test_loss"][0].tolist() == pytest.approx(result["evaluation"]["test_loss"][:2], rel=1e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fair.Range(1.0, 0.1), "high must be a number in"),
        (lambda: fair.Range(0.1, 1.0, "cubic"), "scale must be one of"),
        (lambda: fair.Range(0.5, 1.0, "memory"), "high must be below 1"),
        (lambda: fair.Protocol(tuning_seeds=(1,), evaluation_seeds=(1, 2)), "must be fresh"),
        (lambda: fair.Protocol(evaluation_seeds=(100,)), "two evaluation seeds"),
        (lambda: fair.Protocol(draws=0), "at least 1"),
        (lambda: fair.digits_task(steps=0), "steps must be at least 1; got 0"),
        (lambda: fair.digits_task(batch_size=2000), "batch_size must lie between"),
        (lambda: fair.expected_best([1.0], 2), "k must lie between 1"),
        (lambda: fair.paired_interval([1.0], [2.0]), "at least two"),
        (lambda: fair.compare(fair.digits_task(), contenders=()), "different names"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
