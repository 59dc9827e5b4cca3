"""The explicit one-norm penalty: its gradient, that it is not measured, stacks, resuming, bad arguments."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from optbias import data
from optbias.models import LSTM, MLP, ResidualMLP
from optbias.rules import Adam, GradientDescent
from optbias.training import OneNormPenalty, train, train_many
from optbias.training.flat import trainable
from optbias.training.gradients import cross_entropy

DIGITS = data.digits(60)


def make(seed: int) -> nn.Module:
    """A network of a few hundred weights."""
    return MLP((64, 6, 10), "tanh", seed=seed)


def penalised_loss(model: nn.Module, split: data.Split, weight: float, eps: float) -> torch.Tensor:
    """The loss with its penalty, written out."""
    loss = cross_entropy(model(split.inputs), split.labels)
    grads = torch.autograd.grad(loss, list(trainable(model).values()), create_graph=True)
    return loss + weight * sum((g.square() + eps).sqrt().sum() for g in grads)


@pytest.mark.parametrize("kind", ["mlp", "residual", "lstm"])
def test_a_step_descends_loss_and_norm(kind: str) -> None:
    """One step of gradient descent with a penalty is one on the loss with it, in every kind of network."""
    text = data.generated_text("word", sequences=12, context=5)
    model, split = {
        "mlp": lambda: (make(0), DIGITS),
        "residual": lambda: (ResidualMLP(64, 6, 2, 10, seed=0), DIGITS),
        "lstm": lambda: (LSTM(text.classes, 4, 1, seed=0), text),
    }[kind]()
    parameters = list(trainable(model).values())
    before = torch.cat([p.detach().clone().reshape(-1) for p in parameters])
    total = penalised_loss(model, split, 0.01, 1e-4)
    slope = torch.cat([g.reshape(-1) for g in torch.autograd.grad(total, parameters)])
    run = train(model, split, GradientDescent(lr=0.1), 1, penalty=OneNormPenalty(lambda t: 0.01, 1e-4))
    torch.testing.assert_close(run.theta, before - 0.1 * slope, rtol=1e-10, atol=1e-12)


def test_what_is_measured_is_the_loss_alone() -> None:
    """The first row of the history is the same with and without a penalty, the later ones are not."""
    rule = Adam(lr=1e-2, eps_inside=True)
    plain = train(make(0), DIGITS, rule, 3).history
    other = train(make(0), DIGITS, rule, 3, penalty=OneNormPenalty(lambda t: 0.01, 1e-8)).history
    assert plain.iloc[0].equals(other.iloc[0])
    assert other["one_norm"].iloc[-1] < plain["one_norm"].iloc[-1]


@pytest.mark.parametrize("kind", ["mlp", "stack"])
def test_a_difference_of_gradients_is_the_product_nearly(kind: str) -> None:
    """Half the cost and an error that is proportional to the difference; also in parts, which the product cannot do."""
    rule = GradientDescent(lr=0.1)

    def trained(difference: float, **options) -> torch.Tensor:
        penalty = OneNormPenalty(lambda t: 0.01, 1e-4, difference)
        if kind == "mlp":
            return train(make(0), DIGITS, rule, 2, penalty=penalty, **options).theta
        settings, both = [(rule, 0), (rule, 1)], [None, penalty]
        return train_many(make, DIGITS, settings, 2, penalties=both, stack=True, **options)[1].theta

    exact = trained(0.0)
    plain = train(make(int(kind == "stack")), DIGITS, rule, 2).theta
    errors = [float((trained(h) - exact).norm() / (plain - exact).norm()) for h in (1e-4, 1e-5)]
    assert errors[1] < 1e-3
    assert 5 < errors[0] / errors[1] < 20
    torch.testing.assert_close(trained(1e-5, micro_batch=7), trained(1e-5), rtol=1e-7, atol=1e-9)


def test_the_weight_belongs_to_its_step() -> None:
    """A weight that is 0 from update 3 on changes updates 1 and 2 only."""
    seen: list[int] = []

    def weight(t: int) -> float:
        seen.append(t)
        return 0.01 if t < 2 else 0.0

    train(make(0), DIGITS, Adam(), 4, penalty=OneNormPenalty(weight, 1e-8))
    # Before the first step the plan's fingerprint may ask too; the steps come in order.
    assert [t for t in seen if t < 4][-4:] == [0, 1, 2, 3]


@pytest.mark.parametrize("batch_size", [None, 20])
def test_a_stack_is_its_runs(batch_size: int | None) -> None:
    """Networks with different penalties, and one without, trained in one pass."""
    settings = [(Adam(lr=1e-2, eps_inside=True), seed) for seed in (0, 1, 2)]
    penalties = [None, OneNormPenalty(lambda t: 0.01, 1e-8), OneNormPenalty(lambda t: 0.002 * t, 1e-6)]
    options = {"batch_size": batch_size, "penalties": penalties}
    one = train_many(make, DIGITS, settings, 6, stack=False, **options)
    many = train_many(make, DIGITS, settings, 6, stack=True, **options)
    for a, b in zip(one, many, strict=True):
        torch.testing.assert_close(a.theta, b.theta, rtol=1e-7, atol=1e-9)
    alone = train(make(0), DIGITS, settings[0][0], 6, batch_size=batch_size)
    torch.testing.assert_close(one[0].theta, alone.theta, rtol=0, atol=0)


def test_resumed_to_the_same_numbers(tmp_path) -> None:
    """A run that is continued has the same weights; one with another penalty is refused."""
    penalty, file = OneNormPenalty(lambda t: 0.01 / (t + 1), 1e-8), tmp_path / "run"
    whole = train(make(0), DIGITS, Adam(), 8, penalty=penalty)
    train(make(0), DIGITS, Adam(), 4, penalty=penalty, checkpoint=file)
    again = train(make(0), DIGITS, Adam(), 8, penalty=penalty, checkpoint=file, resume=True)
    assert torch.equal(whole.theta, again.theta)
    with pytest.raises(ValueError, match="belongs to another run"):
        train(make(0), DIGITS, Adam(), 9, checkpoint=file, resume=True)


def test_bad_arguments() -> None:
    """Parts of a batch, an eps of 0, no function, a wrong count."""
    penalty = OneNormPenalty(lambda t: 0.01, 1e-8)
    with pytest.raises(ValueError, match="one part"):
        train(make(0), DIGITS, Adam(), 1, penalty=penalty, micro_batch=20)
    with pytest.raises(ValueError, match="difference must be"):
        OneNormPenalty(lambda t: 0.01, 1e-8, -1.0)
    mixed = [penalty, OneNormPenalty(lambda t: 0.01, 1e-8, 1e-5)]
    with pytest.raises(ValueError, match="differ in weight and eps only"):
        train_many(make, DIGITS, [(Adam(), 0), (Adam(), 1)], 1, penalties=mixed, stack=True)
    with pytest.raises(ValueError, match="eps must be"):
        OneNormPenalty(lambda t: 0.01, 0.0)
    with pytest.raises(TypeError, match="function of the step"):
        OneNormPenalty(0.01, 1e-8)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="penalty must be"):
        train(make(0), DIGITS, Adam(), 1, penalty=0.01)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one entry for each"):
        train_many(make, DIGITS, [(Adam(), 0), (Adam(), 1)], 1, penalties=[penalty])
