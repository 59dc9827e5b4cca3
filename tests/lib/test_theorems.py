"""Theorems as data: what covers a run and what does not, and what a claim may cite."""

from __future__ import annotations

import math
import re

import pytest
import torch

from optbias.claims import claim, ledger
from optbias.losses import landscapes
from optbias.rules import (
    AdaGrad,
    Adam,
    AdamW,
    AMSGrad,
    GradientDescent,
    Momentum,
    Muon,
    NormalizedSteepestDescent,
    SignGD,
)
from optbias.theory.theorems import THEOREMS, OutsideTheorem, Run, get, plain

BOX = "thm-linf-constraint-adamw"
SQUARE = landscapes.get("ravine")


def allowed(**changes: object) -> AdamW:
    """An AdamW that Theorem 1.1 covers, with ``changes``."""
    return AdamW(lambda t: 0.05 / t**0.5, (0.9, 0.99), 0.0, 1.0, bias_correction=False).replace(**changes)


def run(rule: object, **known: object) -> Run:
    settings: dict = {"loss": SQUARE, "assume": {"converges": "the last 1,000 steps are below 1e-12"}} | known
    return Run(rule, **settings)


def refused(theorem: str, about: Run) -> str:
    with pytest.raises(OutsideTheorem) as caught:
        about.under(theorem)
    return str(caught.value)


def test_every_theorem_is_complete() -> None:
    for theorem in THEOREMS.values():
        assert theorem.hypotheses, theorem.key
        assert re.match(r"(thm|prop|cor|rem)-" + theorem.page.split("-")[0], theorem.key), theorem.key
        assert theorem.statement.strip()
        for hypothesis in theorem.hypotheses:
            assert hypothesis.text
            assert "\\" not in plain(hypothesis.text), plain(hypothesis.text)


def test_an_unknown_theorem_or_part_is_named() -> None:
    with pytest.raises(ValueError, match="no theorem 'thm-linf-constraint-adam'; near it: thm-linf-constraint"):
        get("thm-linf-constraint-adam")
    with pytest.raises(ValueError, match=r"has the parts \['minimiser'\]; got 'minimum'"):
        Run().under(f"{BOX}:minimum")


def test_the_theorem_covers_a_run_that_meets_it_and_says_what_it_took_on_trust() -> None:
    ground = run(allowed()).under(f"{BOX}:minimiser")
    assert [reason for _, reason in ground.assumed] == ["the last 1,000 steps are below 1e-12"]
    assert str(ground) == (
        "Limits of AdamW (Theorem 1.1). Taken as given: "
        "the iterates converge, θ_t → θ_∞: the last 1,000 steps are below 1e-12"
    )


@pytest.mark.parametrize(
    ("changes", "key", "found"),
    [
        ({"eps": 1e-8}, "eps-zero", "eps = 1e-08"),
        ({"bias_correction": True}, "no-bias-correction", "bias_correction = True"),
        ({"betas": (0.99, 0.9)}, "betas-ordered", "betas = (0.99; 0.9)"),
        ({"weight_decay": 0.0}, "decay", "weight_decay = 0"),
        ({"lr": lambda t: 0.1 * 0.999**t}, "rates-sum", "a finite sum"),
        ({"lr": lambda t: 0.1 / t**1.5}, "rates-sum", "like t^-1.5: a finite sum"),
        ({"lr": lambda t: 0.01 * (1 - t / 2000)}, "rates-sum", "a finite sum"),
        ({"lr": lambda t: 0.01 * (1 + math.cos(math.pi * min(t / 500, 1)))}, "rates-sum", "a rate of 0"),
        ({"lr": lambda t: min(t / 100, 1) / t}, "rates-sum", None),
        ({"lr": lambda t: min(t, 10) / 100}, "rates-not-increasing", "a rate that rises after step 1"),
    ],
)
def test_each_violated_hypothesis_is_named_with_what_was_found(changes: dict, key: str, found: str | None) -> None:
    if found is None:  # 1/t in the end: the sum diverges
        run(allowed(**changes)).under(BOX)
        return
    message = refused(BOX, run(allowed(**changes)))
    assert f"\n  {key}: needs " in message
    assert found in message
    assert 'kind="measured"' in message


def test_a_grid_of_runs_must_meet_a_hypothesis_in_every_entry() -> None:
    grid = torch.tensor([[0.5], [0.9], [0.999]])
    assert "betas-ordered" in refused(BOX, run(allowed(betas=(grid, 0.99))))
    assert "eps-zero" in refused(BOX, run(allowed(eps=torch.tensor([0.0, 1e-8]))))


def test_what_no_object_says_must_be_said_in_words() -> None:
    message = refused(BOX, Run(allowed()))
    for key in ("smooth", "full-batch", "converges"):
        assert f"  {key}: needs" in message
    assert "Run(..., assume={'converges': '...'})" in message
    noisy = run(allowed(), gradient=lambda theta, t: theta)
    assert "full-batch" in refused(BOX, noisy)
    with pytest.raises(ValueError, match="must give the reason in words"):
        Run(assume={"converges": "yes"})
    with pytest.raises(ValueError, match="the run assumes minibatch"):
        Run(allowed(), assume={"minibatch": "it is one"}).under(BOX)


def test_an_assumption_does_not_help_against_what_the_run_shows() -> None:
    words = {"converges": "it comes to rest", "eps-zero": "it is small enough"}
    assert "eps-zero: needs" in refused(BOX, run(allowed(eps=1e-8), assume=words))


def test_quadratics_say_whether_they_are_convex_and_how_far_a_rate_may_go() -> None:
    saddle = landscapes.get("saddle")
    assert "convex: needs" in refused(f"{BOX}:minimiser", run(allowed(), loss=saddle))
    Run(GradientDescent(0.19), SQUARE).under("thm-landscapes-quadratic")
    assert "positive-definite" in refused("thm-landscapes-quadratic", Run(GradientDescent(0.1), saddle))
    full = Run(
        GradientDescent(0.3), lambda w: w.sum(), hessian=torch.tensor([1.0, 10.0]), assume={"rank": "it is square"}
    )
    assert "rate-stable" in refused("thm-generalization-minnorm", full)
    full = Run(full.rule.replace(lr=0.19), full.loss, hessian=full.hessian, assume=full.assume)
    full.under("thm-generalization-minnorm")


def test_rules_say_whether_their_updates_are_bounded_and_exact() -> None:
    for rule in (SignGD(0.1, 1.0), NormalizedSteepestDescent(0.1, "l2", 1.0), AdamW(0.1, (0.9, 0.9), 0.0, 1.0)):
        Run(rule).under("thm-linf-constraint-contraction")
    assert "update-bounded" in refused("thm-linf-constraint-contraction", Run(AdamW(0.1, (0.9, 0.99), 0.0, 1.0)))
    assert "rates-damped" in refused("thm-linf-constraint-contraction", Run(SignGD(1.5, 1.0)))
    exact = {"loss": SQUARE, "assume": {"converges": "it rests at last", "smooth": "a quadratic form"}}
    Run(Muon(0.1, 0.9, 1.0, orthogonalize="svd", adjust_lr=False), **exact).under("thm-beyond-memory")
    assert "steepest" in refused("thm-beyond-memory", Run(Muon(0.1, 0.9, 1.0), **exact))


def test_the_rates_of_frank_wolfe_are_recognised() -> None:
    rule = SignGD(lambda t: 2 / (0.5 * (t + 1)), 0.5)
    Run(rule, SQUARE, start=torch.tensor([1.0, -2.0])).under("thm-linf-constraint-rate:ball")
    assert "in-ball" in refused("thm-linf-constraint-rate:ball", Run(rule, SQUARE, start=torch.tensor([1.0, -3.0])))
    assert "rates-frank-wolfe" in refused("thm-linf-constraint-rate", Run(SignGD(lambda t: 2 / t, 0.5), SQUARE))


def test_momentum_amsgrad_and_adagrad_answer_too() -> None:
    Run(Momentum(0.3, 0.9), SQUARE).under("thm-momentum-stability")
    assert "no-nesterov" in refused("thm-momentum-stability", Run(Momentum(0.3, 0.9, nesterov=True), SQUARE))
    game = {"bounded-set": "projected to an interval", "convex-losses": "they are linear"}
    paper = AMSGrad(lambda t: 0.1 / t**0.5, (0.0, 0.9), 0.0, bias_correction=False)
    Run(paper, assume=game).under("thm-amsgrad-simple")
    for change in ({"lr": 0.1}, {"betas": (0.9, 0.99)}, {"bias_correction": True}):
        refused("thm-amsgrad-simple", Run(paper.replace(**change), assume=game))
    Run(AdaGrad(1.0, 0.0), SQUARE).under("thm-preconditioning-adagrad")
    assert "bounded-below" in refused("thm-preconditioning-adagrad", Run(AdaGrad(1.0, 0.0), landscapes.get("saddle")))
    cycle = Run(Adam(1e-2, eps=1.0), SQUARE)
    assert "eps-small" in refused("thm-amsgrad-bock", cycle)


def test_a_claim_records_its_theorem_and_refuses_a_run_outside_it() -> None:
    claim(
        "the box",
        0.5,
        below=1.0,
        kind="theorem",
        theorem="thm-linf-constraint-hardbox",
        run=Run(AdamW(0.1, (0.9, 0.9))),
    )
    assert (ledger()[-1].theorem, ledger()[-1].ground) == ("thm-linf-constraint-hardbox", "The hard box")
    held = len(ledger())
    with pytest.raises(OutsideTheorem, match="betas-equal: needs β_1 = β_2 ∈"):
        claim("the box", 0.5, below=1.0, kind="theorem", theorem="thm-linf-constraint-hardbox", run=Run(AdamW(0.1)))
    with pytest.raises(ValueError, match="go together"):
        claim("the box", 0.5, below=1.0, kind="theorem", theorem=BOX)
    with pytest.raises(ValueError, match='A number that no theorem covers is claimed with kind="measured"'):
        claim("the box", 0.5, below=1.0, kind="theorem")
    with pytest.raises(ValueError, match='needs kind="theorem"'):
        claim("the box", 0.5, below=1.0, theorem=BOX, run=Run())
    with pytest.raises(TypeError, match="run must be"):
        claim("the box", 0.5, below=1.0, kind="theorem", theorem=BOX, run=AdamW())
    assert len(ledger()) == held
