"""Settings: their columns, the steering penalty, the squared error, studies as plans."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from optbias.experiments import box_studies, hill_studies, linf_constraint, measures, one_norm_hill, runs, sweep
from optbias.experiments.runs import Setting, Steering, squared_error
from optbias.theory.modified_equations import mean_lag
from optbias.training.plan import Plan
from optbias.training.probes import Probes


def test_no_field_of_a_setting_is_a_column_of_a_history() -> None:
    """They stand side by side in the recorded table."""
    fields = {f.name for f in dataclasses.fields(Setting)}
    columns = {"step", "run", *Plan(rules=(), seeds=(), probes=(Probes(),), steps=1).columns}
    columns |= {"rate", "plain", "corrected", "rule"}  # of the studies that do more than train
    assert not fields & columns


def test_steering_turns_one_equation_into_the_other() -> None:
    """The weight is that of the target less its own; an equal pair cancels; dose scales."""
    weight = Steering(1.0, 1e-4, (0.9, 0.99), (0.9, 0.9))
    for n in (0, 5, 500):
        assert weight(n) == pytest.approx(1e-4 * (mean_lag(0.99, n) - mean_lag(0.9, n)), abs=1e-18)
    cancel = Steering(1.0, 1e-4, (0.5, 0.99), (0.0, 0.0))
    assert cancel(100) == pytest.approx(1e-4 * (mean_lag(0.99, 100) - mean_lag(0.5, 100)))
    assert Steering(0.5, 1e-4, (0.9, 0.99), (0.9, 0.9))(7) == pytest.approx(weight(7) / 2)
    assert Steering(1.0, 1e-4, (0.9, 0.99), (0.9, 0.99))(7) == 0


def test_squared_error() -> None:
    """The mean over examples and classes; the same under vmap."""
    logits = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 2.0]])
    labels = torch.tensor([0, 1])
    assert squared_error(logits, labels).item() == pytest.approx((0 + 1 + 4) / 6)
    stacked = torch.func.vmap(squared_error, in_dims=(0, None))(torch.stack([logits, 0 * logits]), labels)
    assert stacked.tolist() == pytest.approx([5 / 6, 2 / 6])


@pytest.mark.parametrize("studies", [hill_studies, box_studies])
def test_the_studies_are_asked_for_and_distinct(studies: object) -> None:
    """Every study has a question, no setting stands twice in it, and it has at least three seeds."""
    assert set(studies.STUDIES) == set(studies.QUESTIONS)  # type: ignore[attr-defined]
    for name, make in studies.STUDIES.items():  # type: ignore[attr-defined]
        settings = make()
        assert len({sweep.key(s) for s in settings}) == len(settings), name
        assert len({s.seed for s in settings}) >= (2 if name == "against-l2" else 3), name
        assert all(s.seed < 1000 for s in settings), name


def test_doses_share_a_stack_and_plain_runs_another() -> None:
    """A plain run does not pay for its neighbours' Hessian products."""
    base = hill_studies.DIGITS
    dosed = [dataclasses.replace(base, dose=k, to_beta=0.9, to_rho=0.9) for k in (0.5, 1.0)]
    assert runs.together(dosed[0]) == runs.together(dosed[1]) != runs.together(base)


def test_a_dosed_run_has_a_smaller_norm_at_the_same_loss() -> None:
    """One small network, by the whole path from setting to summary."""
    base = dataclasses.replace(
        hill_studies.DIGITS, train_size=100, width=8, depth=1, lr=1e-3, steps=120, rho=0.99, stop_below=1.0,
        evaluate_every=20, to_beta=0.9, to_rho=0.9,
    )  # fmt: skip
    out = [one_norm_hill.execute((dataclasses.replace(base, dose=k),), sweep.Where())[0].summary for k in (0.0, 1.0)]
    plain, dosed = (o["at_loss"]["1.5"]["value"] for o in out)
    assert dosed < 0.99 * plain
    assert 0 <= out[0]["test_accuracy_at_loss"]["1.5"]["value"] <= 1


def test_an_accuracy_is_interpolated_linearly() -> None:
    """Accuracies may be 0, where a logarithm has no value."""
    import pandas as pd

    history = pd.DataFrame({"step": [0, 1], "loss": [4.0, 1.0], "test_accuracy": [0.0, 0.5]})
    assert measures.crossing(history, 2.0, "test_accuracy", logarithmic=False)["value"] == pytest.approx(0.25)  # type: ignore[index]


def test_spikes_are_counted_once() -> None:
    """Neighbouring steps above the limit are one spike, early ones none."""
    import numpy as np
    import pandas as pd

    loss = np.ones(1000)
    loss[100] = loss[700] = loss[701] = loss[900] = 50.0
    assert measures.spikes(pd.DataFrame({"step": range(1000), "loss": loss})) == 2


def test_a_trend_tells_rising_from_falling() -> None:
    """What ``overshoot`` could not: it contains the end."""
    import numpy as np
    import pandas as pd

    t = np.arange(2001)
    rising = measures.box(pd.DataFrame({"step": t, "linf": 1 + 1e-4 * t}), 1.0)
    falling = measures.box(pd.DataFrame({"step": t, "linf": 2 - 1e-4 * t}), 1.0)
    assert rising["trend"] == pytest.approx(0.1)
    assert falling["trend"] == pytest.approx(-0.1)
    assert rising["end"] / rising["overshoot"] == 1
    assert rising["quarters"] == sorted(rising["quarters"])
    assert len(rising["quarters"]) == 4


def test_the_box_is_measured_absolutely() -> None:
    """G, its start, and the same beside the relative gap."""
    setting = dataclasses.replace(box_studies.WORDS, data="generated-words", train_size=4, width=4, steps=60)
    summary = linf_constraint.execute((setting,), sweep.Where())[0].summary
    gap = summary["absolute_gap"]
    assert gap["start"] > 0
    assert gap["60"]["gap"] > 0
    assert gap["60"]["gap"] == pytest.approx(gap["60"]["kkt_gap"] * gap["60"]["one_norm"], rel=0.1)
