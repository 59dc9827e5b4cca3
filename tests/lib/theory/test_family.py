"""The table of the family: every rule has its slots, and every cell of the property table is what a run finds."""

import pytest

from optbias import rules
from optbias.theory import family

FAST = ("GradientDescent", "SignGD", "Adam", "LAMB", "SOAP", "ADOPT")
NAMES = [kind.__name__ for kind in rules.RULES if kind is not rules.NormalizedSteepestDescent]


def test_every_rule_has_its_row():
    # Normalised steepest descent is SignGD, or another rule for each of its norms.
    assert sorted(family.SLOTS) == sorted(family.PROPERTIES) == sorted(NAMES)


@pytest.mark.parametrize("name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in NAMES])
def test_every_cell_is_what_a_run_finds(name):
    assert family.agrees(family.measure(name), family.PROPERTIES[name]) == []
    assert family.PROPERTIES[name].elementwise == getattr(rules, name)().elementwise


def test_a_wrong_cell_is_noticed():
    assert family.agrees(family.PROPERTIES["Adam"], family.PROPERTIES["AMSGrad"]) == ["bytes", "game"]
