"""Claims: each way to fail does fail, NaN never holds, and a claim that could not fail is refused."""

import json
import math

import numpy as np
import pytest
import torch

from optbias import claims
from optbias.claims import MIME, ClaimError, claim, ledger, to_json


@pytest.fixture(autouse=True)
def empty_ledger(monkeypatch):
    monkeypatch.setattr(claims, "_ledger", [])


NAN = float("nan")

HOLD = [
    (0.5, {"equals": 0.5}),
    (3, {"equals": 3}),
    (0.5001, {"equals": 0.5, "tol": 1e-3}),
    (0.505, {"equals": 0.5, "rtol": 0.02}),
    (0.505, {"equals": 0.5, "rtol": 0.02, "tol": 1e-9}),
    (-0.505, {"equals": -0.5, "rtol": 0.02}),
    (math.inf, {"equals": math.inf}),
    ([1.0, 2.0], {"equals": [1.0, 2.0], "tol": 0}),
    (np.array([1.0, 1.0]), {"equals": 1.0}),
    (torch.tensor(2.0), {"below": 3.0, "above": 1.0}),
    (torch.tensor([1.0, 2.0], dtype=torch.bfloat16, requires_grad=True), {"above": 0.5}),
    ([torch.tensor(1.0), np.float32(2.0)], {"increasing": True}),
    (range(3), {"increasing": True, "below": 3}),
    ([3, 2, 1], {"decreasing": True}),
    (True, {}),
    (np.bool_(True), {}),
    (torch.tensor([True, True]), {}),
    ([True, True], {}),
]

FAIL = [
    (0.5 + 1e-15, {"equals": 0.5}),
    (0.502, {"equals": 0.5, "tol": 1e-3}),
    (0.511, {"equals": 0.5, "rtol": 0.02}),
    ([1.0, 2.1], {"equals": [1.0, 2.0], "tol": 0.01}),
    ([1.0, 1.1], {"equals": 1.0, "tol": 0.01}),
    (1e300, {"equals": math.inf, "rtol": 0.5}),
    (math.inf, {"equals": 1.0, "rtol": 0.5}),
    (3.0, {"below": 3.0}),
    (3.0, {"above": 3.0}),
    ([1.0, 5.0], {"below": 3.0}),
    (2.0, {"below": 3.0, "above": 2.5}),
    ([1, 2, 2], {"increasing": True}),
    ([2, 1, 1], {"decreasing": True}),
    ([1, 2, 3], {"increasing": True, "below": 3}),
    (NAN, {"equals": 0.5, "tol": 1e9}),
    (NAN, {"equals": NAN}),
    (0.5, {"equals": NAN, "tol": 1.0}),
    ([1.0, NAN], {"below": 3.0}),
    ([1.0, NAN, 3.0], {"increasing": True}),
    (False, {}),
    (np.array([True, False]), {}),
    (torch.tensor([True, False]), {}),
    ([True, False], {}),
]


@pytest.mark.parametrize(("measured", "condition"), HOLD)
def test_what_holds_goes_to_the_ledger(measured, condition):
    assert claim("it holds", measured, **condition) is None
    assert [record.statement for record in ledger()] == ["it holds"]


@pytest.mark.parametrize(("measured", "condition"), FAIL)
def test_what_does_not_hold_raises_and_stays_out_of_the_ledger(measured, condition):
    with pytest.raises(ClaimError, match="claim does not hold: it holds"):
        claim("it holds", measured, **condition)
    assert ledger() == ()


REFUSED = [
    (0.5, {}, "needs a condition"),
    ([], {"below": 1.0}, "measured is empty"),
    (torch.ones(0), {"below": 1.0}, "measured is empty"),
    (torch.ones(0, dtype=torch.bool), {}, "measured is empty"),
    (0.5, {"below": math.inf}, "below must be a finite number; got inf"),
    (0.5, {"above": -math.inf}, "above must be a finite number; got -inf"),
    (0.5, {"above": NAN}, "above must be a finite number; got nan"),
    (0.5, {"equals": 0.5, "tol": math.inf}, "tol must be a finite number; got inf"),
    (0.5, {"equals": 0.5, "rtol": NAN}, "rtol must be a finite number; got nan"),
    (0.5, {"equals": 0.5, "tol": -1e-3}, "tol must be at least 0; got -0.001"),
    (0.5, {"tol": 1e-3, "below": 1.0}, "tol and rtol go with equals"),
    (0.5, {"above": 1.0, "below": 0.0}, "nothing is above 1.0 and below 0.0"),
    ([1, 2], {"increasing": True, "decreasing": True}, "cannot be both"),
    (0.5, {"increasing": True}, r"sequence of two or more; got shape \(\)"),
    ([1.0], {"increasing": True}, r"sequence of two or more; got shape \(1,\)"),
    (np.ones((2, 2)), {"increasing": True}, r"got shape \(2, 2\)"),
    (np.ones(3), {"equals": np.ones((3, 1))}, r"shape \(3,\); got \(3, 1\)"),
    (True, {"equals": 1.0}, "takes no condition; got 1"),
    (True, {"below": 2.0}, "takes no condition; got < 2"),
]


@pytest.mark.parametrize(("measured", "condition", "message"), REFUSED)
def test_claims_that_could_not_fail_or_not_hold_are_refused(measured, condition, message):
    with pytest.raises(ValueError, match=message):
        claim("it holds", measured, **condition)
    assert ledger() == ()


@pytest.mark.parametrize("measured", ["0.5", None, 1j, torch.tensor(1j), {"a": 1}])
def test_only_numbers_and_booleans_can_be_measured(measured):
    with pytest.raises(TypeError, match="measured must be a number, a boolean, or an array of them"):
        claim("it holds", measured, below=1.0)


def test_statement_and_kind():
    for statement in ("", "  ", None):
        with pytest.raises(ValueError, match="statement must be a sentence"):
            claim(statement, True)
    with pytest.raises(ValueError, match="kind must be one of 'measured', 'theorem', 'reported'; got 'guess'"):
        claim("it holds", True, kind="guess")


def test_the_error_shows_what_rounding_would_hide():
    with pytest.raises(ClaimError) as error:
        claim("one third", 0.3333333, equals=1 / 3, tol=1e-9)
    assert "exactly 0.3333333)" in str(error.value)
    assert "allowed  0.333333 ± 1e-09" in str(error.value)


def test_the_record():
    claim("the ratio is <1 & small", [0.1, 0.2], below=1.0, above=0.0, kind="reported", source="Theorem 3.5 of <X>")
    (record,) = ledger()
    bundle = record._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html", MIME}
    assert bundle[MIME] == {
        "statement": "the ratio is <1 & small",
        "measured": "[0.1, 0.2]",
        "allowed": "> 0 and < 1",
        "kind": "reported",
        "source": "Theorem 3.5 of <X>",
        "theorem": "",
        "ground": "",
        "seeds": 0,
        "loose": "",
        "values": (0.1, 0.2, 0.0, 1.0),
    }
    assert "the ratio is &lt;1 &amp; small" in bundle["text/html"]
    assert "Theorem 3.5 of &lt;X&gt;" in bundle["text/html"]
    assert "<X>" not in bundle["text/html"]
    assert "[0.1, 0.2]" in bundle["text/plain"]
    assert json.loads(to_json()) == [bundle[MIME] | {"values": [0.1, 0.2, 0.0, 1.0]}]
    assert json.loads(to_json(())) == []


def test_long_arrays_are_summed_up():
    claim("all in range", torch.linspace(0, 1, 100), below=2.0)
    assert ledger()[0].measured == "100 values in [0, 1]"


def test_in_a_notebook_each_claim_is_shown_once():
    from IPython.testing.globalipapp import start_ipython
    from IPython.utils.capture import capture_output

    shell = start_ipython()
    try:
        with capture_output() as output:
            result = shell.run_cell("from optbias.claims import claim\nclaim('it holds', True)")
        result.raise_error()
    finally:
        type(shell).clear_instance()
    assert result.result is None  # else the notebook would show the claim a second time
    assert [MIME in shown.data for shown in output.outputs] == [True]


SHARP = [
    (9.9, {"above": 1.0}),
    (0.11, {"below": 1.0}),
    (-0.11, {"above": -1.0}),
    (1e-12, {"below": 1e-9}),  # zero up to rounding
    (1e6, {"above": 0.0}),  # a sign
    ([0.2, 1e-9], {"below": 1.0}),  # the entry that is nearest to the bound counts
    (1e-9, {"above": 0.5e-9}),
    (5.5, {"above": 5.0, "below": 6.0}),
    (0.02, {"above": -0.1, "below": 0.1}),
    (0.68, {"equals": 0.68, "tol": 0.03}),
    (1e-15, {"equals": 0.0, "tol": 1e-9}),
    (0.05, {"equals": 0.0, "tol": 0.2}),
    ([1, 2, 3], {"increasing": True}),
]

LOOSE = [
    (11.0, {"above": 1.0}, "11 times off"),
    (0.01, {"below": 1.0}, "100 times off"),
    (-0.01, {"above": -1.0}, "100 times off"),
    (1e-12, {"below": 1e-6}, r"1e\+06 times off"),
    (1.0, {"above": -1.0}, "on the other side of 0"),
    (0.0, {"below": 1.0}, "on the other side of 0"),
    (4.6e15, {"above": 1e3}, "times off"),
    (50.0, {"above": 1.0, "below": 60.0}, "50 times off"),
    (0.001, {"above": -0.1, "below": 0.1}, "100 times off"),
    (0.683, {"equals": 0.683, "tol": 0.3}, "on the other side of 0"),
    (0.6835, {"equals": 0.683, "rtol": 0.3}, "times off"),
    (1e-12, {"equals": 0.0, "tol": 1e-6}, "times off"),
]


@pytest.mark.parametrize(("measured", "condition"), SHARP)
def test_a_bound_near_the_value_needs_no_reason(measured, condition):
    claim("it holds", measured, **condition)
    assert len(ledger()) == 1


@pytest.mark.parametrize(("measured", "condition", "how"), LOOSE)
def test_a_bound_far_from_the_value_needs_a_reason(measured, condition, how):
    with pytest.raises(ClaimError, match=how) as error:
        claim("it holds", measured, **condition)
    assert "Bring the bound within a factor 10 of the value, or say why that cannot be" in str(error.value)
    assert ledger() == ()
    claim("it holds", measured, **condition, loose="the bound of the theorem")
    assert ledger()[0].loose == "the bound of the theorem"


def test_a_reason_where_none_is_needed_is_refused():
    with pytest.raises(ClaimError, match="Remove loose="):
        claim("it holds", 2.0, above=1.0, loose="the bound of the theorem")
    with pytest.raises(ValueError, match="must say in words"):
        claim("it holds", 200.0, above=1.0, loose="theorem")


APART = [0.3, 0.2, 0.4, 0.1, 0.35, 0.25, 0.3, 0.2]


def test_an_order_over_seeds_is_tested_and_carries_their_number():
    claim("A beats B", APART, above=0, order="interval")
    claim("A beats B", torch.tensor(APART).neg(), below=0, order="sign")
    interval, sign = ledger()
    assert (interval.seeds, sign.seeds) == (8, 8)
    assert interval.measured == "0.2625, 95 % interval [0.1827, 0.3423], 8 seeds"
    assert interval.values[-4:] == pytest.approx((0.2625, 0.1827, 0.3423, 8), abs=5e-5)
    assert sign.measured == "8 of 8 seeds, sign test p = 0.0078"


@pytest.mark.parametrize("order", ["interval", "sign"])
def test_an_order_that_chance_explains_does_not_hold(order):
    with pytest.raises(ClaimError, match="does not hold"):
        claim("A beats B", [0.3, -0.2, 0.4, -0.1, 0.3, -0.2, 0.1, 0.2], above=0, order=order)
    with pytest.raises(ClaimError, match="does not hold"):  # the other direction
        claim("A beats B", APART, below=0, order=order)
    with pytest.raises(ClaimError, match="1 of 8 differences are not finite"):
        claim("A beats B", [*APART[:7], NAN], above=0, order=order)
    with pytest.raises(ClaimError, match="does not hold"):  # ties decide nothing
        claim("A beats B", [0.0] * 20, above=0, order=order)
    assert ledger() == ()


def test_three_seeds_decide_nothing():
    for order in ("interval", "sign"):
        with pytest.raises(ValueError, match=r"3 seeds cannot decide an order: .* p = 0.25. Take at least 6"):
            claim("A beats B", [0.3, 0.2, 0.4], above=0, order=order)


def test_an_order_takes_one_bound_and_differences():
    for condition in ({}, {"above": 0, "below": 1}, {"equals": 0.0, "above": 0}):
        with pytest.raises(ValueError, match="takes one bound"):
            claim("A beats B", APART, **condition, order="sign")
    with pytest.raises(ValueError, match="order must be one of 'interval', 'sign'; got 'mean'"):
        claim("A beats B", APART, above=0, order="mean")
    with pytest.raises(ValueError, match=r"one paired difference a seed, in a sequence; got shape \(2, 8\)"):
        claim("A beats B", [APART, APART], above=0, order="sign")
    with pytest.raises(ValueError, match="seeds must be a number of seeds"):
        claim("it holds", True, seeds=-1)


@pytest.mark.parametrize(
    "condition", [{"above": 0}, {"below": 0.0}, {"above": 1.0}, {"increasing": True}, {"decreasing": True}]
)
@pytest.mark.parametrize("seeds", [0, 3])
def test_a_sign_over_seeds_is_no_statement_without_a_test(condition, seeds):
    values = np.array([2.0, 3.0, 4.0]) * (-1 if {"below", "decreasing"} & set(condition) else 1)
    with pytest.raises(ValueError, match=r"only a sign: A beats B in every seed\. .* order= \('interval' or"):
        claim("A beats B in every seed", values, **condition, seeds=seeds)
    with pytest.raises(ValueError, match="only a sign"):
        claim("Seed by seed A beats B", values > 0, seeds=seeds)
    assert ledger() == ()


@pytest.mark.parametrize(
    ("words", "word"),
    [
        ("each seed", "seed"),
        ("all three data sets", "data sets"),
        ("in each data set", "each data set"),
        ("three rotations", "rotations"),
        ("in every search", "every search"),
        ("mean of 1,000 noisy runs", "of 1,000 noisy runs"),
    ],
)
def test_a_statement_about_many_draws_gives_their_number(words, word):
    for told in ({}, {"seeds": 0}):
        with pytest.raises(ValueError, match=rf'\("{word}"\) gives their number, seeds=3: A over B, {words}'):
            claim(f"A over B, {words}", [1.2, 1.3, 1.4], above=1.1, **told)
    claim(f"A over B, {words}", [1.2, 1.3, 1.4], above=1.1, seeds=3)
    claim(f"A beats B, {words}", APART, above=0, order="interval")
    assert [record.seeds for record in ledger()] == [3, 8]


@pytest.mark.parametrize("words", ["seeded runs and seedlings", "what a grid search finds", "12 runs (3 problems)"])
def test_other_words_need_no_number_of_seeds(words):
    claim(words, [1.2, 1.3], above=0)
    assert ledger()[-1].seeds == 0


def test_the_record_keeps_the_values_of_a_short_array_and_the_ends_of_a_long_one():
    claim("short", [1.0, 2.0], equals=[1.0, 2.1], tol=0.2)
    claim("long", torch.linspace(1, 2, 100), above=0.5)
    claim("true", [True])
    assert [record.values for record in ledger()] == [(1.0, 2.0, 1.0, 2.1), (1.0, 2.0, 0.5), ()]
