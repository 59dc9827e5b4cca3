"""Checks: what holds, what fails, what was not run, and what could not fail is refused."""

from __future__ import annotations

import math

import pytest

from optbias.experiments import checks


@pytest.mark.parametrize(
    ("measured", "conditions", "holds"),
    [
        (0.5, {"below": 1.0}, True),
        (1.0, {"below": 1.0}, False),
        ([2.0, 3.0], {"above": 1.0, "below": 4.0}, True),
        ([2.0, 5.0], {"above": 1.0, "below": 4.0}, False),
        (math.nan, {"below": 1.0}, False),
        ([1.0, None], {"above": 0.0}, False),
        ([1.0, 2.0, 3.0], {"increasing": True}, True),
        ([1.0, 1.0], {"increasing": True}, False),
        ([[3.0, 2.0], [9.0, 8.0]], {"decreasing": True}, True),
        ([[3.0, 2.0], [9.0, 9.5]], {"decreasing": True}, False),
        ([1.0, None], {"increasing": True}, False),
    ],
)
def test_a_check_holds_or_fails(measured, conditions, holds):
    found = checks.check("name", "a statement", measured, **conditions)
    assert found.holds is holds
    assert found.verdict == ("holds" if holds else "FAILS")


@pytest.mark.parametrize(
    ("measured", "conditions", "message"),
    [
        ([], {"below": 1.0}, "no numbers"),
        (1.0, {}, "no condition"),
        ([1.0], {"increasing": True}, "two numbers"),
    ],
)
def test_a_check_that_could_not_fail_is_refused(measured, conditions, message):
    with pytest.raises(ValueError, match=message):
        checks.check("name", "a statement", measured, **conditions)


def test_the_table_says_every_verdict_and_counts():
    found = [
        checks.check("a", "one", 1.0, below=2.0),
        checks.check("b", "two", 3.0, below=2.0),
        checks.report("c", "three", [1.0, 2.0]),
        checks.not_run("d", "four", "no data"),
    ]
    assert [c.name for c in checks.failed(found)] == ["b"]
    text = checks.text(found)
    assert text.endswith("1 holds, 1 FAILS, 1 reported, 1 not run")
    assert "no data" in text
    assert "measured 3; allowed < 2" in text
    assert checks.from_records(checks.to_records(found)) == found


def test_many_numbers_are_shown_as_a_range():
    assert checks.show(list(range(20))) == "20 values in [0, 19]"
    assert checks.show([math.nan] * 9 + [1.0]) == "10 values in [1, 1], 9 not finite"
    assert checks.show([1.23456, None]) == "[1.235, nan]"
