"""Measures of a whole run, on histories whose answers are known."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from optbias.experiments import measures


def history(**columns):
    n = len(next(iter(columns.values())))
    return pd.DataFrame({"step": np.arange(n), **columns})


def test_crossing_interpolates_on_logarithmic_scales():
    # loss = 2^-t and norm = loss^3: at the level c the norm is c^3, wherever the steps fall.
    loss = 2.0 ** -np.arange(10)
    found = measures.crossing(history(loss=loss, one_norm_eps=loss**3), 0.3)
    assert found["step"] == 2
    assert found["value"] == pytest.approx(0.3**3)
    assert measures.crossing(history(loss=loss, one_norm_eps=loss**3), 1e-9) is None
    assert measures.crossing(history(loss=loss, one_norm_eps=loss**3), 5.0) == {"step": 0.0, "value": 1.0}


def test_crossing_passes_over_steps_that_were_not_measured():
    loss = np.where(np.arange(10) % 3 == 0, 2.0 ** -np.arange(10), np.nan)
    found = measures.crossing(history(loss=loss, one_norm_eps=loss**2), 0.3)
    assert found == {"step": 3.0, "value": pytest.approx(0.09)}


def curve(heights, each=200):
    """Pieces of ``each`` steps, linear on a logarithmic scale, between the given heights."""
    ends = np.arange(len(heights)) * each
    return np.exp(np.interp(np.arange(ends[-1]), ends, np.log(heights)))


@pytest.mark.parametrize("spike", [False, True])
def test_hill_finds_foot_and_top(spike):
    norm = curve([100, 20, 60, 2])
    if spike:
        norm[450] *= 50  # one step: a running median does not see it
    found = measures.hill(history(loss=np.full(len(norm), 1.0), one_norm_eps=norm))
    assert found["first_fall"] == pytest.approx(5, rel=0.1)
    assert found["rise"] == pytest.approx(3, rel=0.1)
    assert found["fall"] == pytest.approx(30, rel=0.15)
    assert found["before_step"] == pytest.approx(200, abs=8)
    assert found["top_step"] == pytest.approx(400, abs=8)


def test_hill_of_a_curve_that_only_falls_or_only_rises():
    falls = measures.hill(history(loss=np.full(400, 1.0), one_norm_eps=curve([100, 10, 1])))
    assert falls["rise"] == 1.0
    assert falls["first_fall"] > 20
    rises = measures.hill(history(loss=np.full(400, 1.0), one_norm_eps=curve([1, 10, 2])))
    assert rises["first_fall"] == pytest.approx(1.0, abs=0.05)
    assert rises["rise"] > 5


def test_hill_looks_only_where_the_loss_is_large():
    norm = curve([100, 20, 40, 5, 400, 1])
    loss = np.geomspace(2, 0.01, len(norm))
    assert measures.hill(history(loss=loss, one_norm_eps=norm))["top"] == pytest.approx(40, rel=0.2)
    assert measures.hill(history(loss=loss, one_norm_eps=norm), until=0.0)["top"] > 200


def test_box_says_when_it_is_entered_and_by_how_much_it_is_left():
    linf = np.array([4.0, 2.0, 0.9, 1.5, 1.2])
    found = measures.box(history(linf=linf), 1.0)
    assert found == {
        "start": 4.0, "bound_ratio": 1.0, "largest": 4.0, "peak_step": 0, "entered": 2, "after": 1.5, "overshoot": 1.5,
        "late": 1.2, "end": 1.2,
        "quarters": [3.0, 0.9, 1.5, 1.2], "trend": pytest.approx(150.0),
    }  # fmt: skip
    outside = measures.box(history(linf=np.array([1.0, 3.0])), 0.5)
    assert outside["bound_ratio"] == 3.0
    assert outside["entered"] is None


def test_envelope_is_what_steps_of_full_length_do():
    rates = np.array([0.1, 0.05, 0.2])
    weight, path = 5.0, [5.0]
    for rate in rates:
        weight = (1 - rate / 2.0) * weight + rate  # lambda = 1/2, every step outwards with |Delta| = 1
        path.append(weight)
    np.testing.assert_allclose(measures.envelope(np.array(path), 2.0, rates), path, rtol=1e-14)
    assert (measures.envelope(np.array([0.5, 1.0]), 2.0, rates[:1]) == 2.0).all()


def test_thinning_keeps_the_ends_the_beginning_and_every_evaluation():
    n = 3000
    accuracy = np.where(np.arange(n) % 250 == 0, 0.5, np.nan)
    small = measures.thinned(history(loss=np.arange(n) * 1.0, test_loss=accuracy), 100, keep=[1234])
    assert len(small) < 130
    steps = set(small["step"])
    assert {0, 1, 5, 1234, n - 1} <= steps
    assert set(range(0, n, 250)) <= steps
    short = history(loss=np.ones(20))
    assert measures.thinned(short, 100) is short


def test_intervals_and_ranks():
    mean, low, high = measures.mean_interval([1.0, 2.0, 3.0])
    assert mean == 2.0
    assert high - mean == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert mean - low == pytest.approx(high - mean)
    with pytest.raises(ValueError, match="at least two"):
        measures.mean_interval([1.0])
    assert measures.rank_correlation([1, 2, 3], [10, 5, 1]) == -1.0
